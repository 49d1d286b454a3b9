"""How data sets are read, today and before: what was begun is read as it was then.

A RUN folder keeps the number of the reading it was begun with, so that no clip changes its class or
its side when a newer version looks at the same folder. What a number means stands here alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from twostream.foreign import is_foreign, was_foreign

READING = 8  # today's


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is recognised in folders and lists; all of it today.

    Attributes:
        lists_inside: the clips.csv of a folder; columns split1, split2, ... (from 2 on).
        other_names: files of another suffix, slash or root than a list writes; other headers and
            separators of CSV files (from 3 on).
        system_folders: those that systems make are no classes (from 3 on).
        known_systems: a name with @, or one like recycled, does not do to be taken for one (from 4
            on).
        frame_folders: folders of numbered images are videos (from 4 on).
        labels_in_time: label files are data sets of recordings (from 4 on).
        odd_marks: one word that is none of train, val and test does not turn a column of another
            name off, such as subset: it is refused (from 4 on).
        counted_words: `folder number-of-frames label` with labels of several words (from 4 on).
        known_suffixes: in official lists only what videos' names end in is a suffix, so that 1.5 is
            not a file 1 of another suffix (from 4 on).
        labels_together: labels that often hold at once are a class (from 5 on).
        sides_beside_lists: train/ and test/ are no classes of UCF-101 and HMDB-51 (from 4 on).
        disputes: time in which two annotators contradict each other is left out (from 7 on).
        spans_refused: a list of clips with columns of starts and ends is refused: it is labels in
            time under other names (from 8 on).
        slips_of_sides: trian/ and Test_set/ are no classes: they are refused (from 6 on).
    """

    lists_inside: bool = True
    other_names: bool = True
    system_folders: bool = True
    known_systems: bool = True
    frame_folders: bool = True
    labels_in_time: bool = True
    odd_marks: bool = True
    counted_words: bool = True
    known_suffixes: bool = True
    sides_beside_lists: bool = True
    labels_together: bool = True
    slips_of_sides: bool = True
    disputes: bool = True
    spans_refused: bool = True

    @classmethod
    def of(cls, number: int) -> Self:
        """Return what a number means that a RUN folder keeps; older ones kept none, which is 1."""
        return cls(
            lists_inside=number > 1,
            other_names=number > 2,
            system_folders=number > 2,
            known_systems=number > 3,
            frame_folders=number > 3,
            labels_in_time=number > 3,
            odd_marks=number > 3,
            counted_words=number > 3,
            known_suffixes=number > 3,
            sides_beside_lists=number > 3,
            labels_together=number > 4,
            slips_of_sides=number > 5,
            disputes=number > 6,
            spans_refused=number > 7,
        )

    def passes(self, folder: str) -> bool:
        """Tell whether a folder of this name is not looked into."""
        if not self.system_folders:
            return folder == "__MACOSX"
        return is_foreign(folder) if self.known_systems else was_foreign(folder)


TODAY = Reading()
