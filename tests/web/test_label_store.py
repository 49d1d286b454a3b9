"""Labels of a folder, changed one video at a time: what is kept, where, and in which format."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from motions import write_motions

from twostream.datasets import load_dataset
from twostream.judging import compare_labels, of_one
from twostream.labels import Bout, Labels, Recording, read_labels, write_labels
from twostream.types import DataError
from twostream.web.label_store import ChangedError, LabelStore
from twostream.web.video_labels import VideoLabels

NEW = VideoLabels().version


def folder_of(tmp_path: Path, *names: str) -> Path:
    folder = tmp_path / "cage"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"not decoded here")
    return folder


def said(folder: Path) -> list[str]:
    return (folder / "labels.csv").read_text().splitlines()


def test_new_labels_are_what_training_reads(tmp_path: Path) -> None:
    folder = tmp_path / "cage"
    folder.mkdir()
    for name in ("a.avi", "b.avi"):
        write_motions(folder / name, [(1, 8)])
    store = LabelStore(folder)
    assert store.classes() == () and store.all()["a.avi"] == (VideoLabels(), "")
    for name in ("walk", "sit", "rear"):
        store.add_class(name)
    bouts = (Bout(0, 2, "walk"), Bout(2, 4, "sit"))
    saved, file = store.save("a.avi", NEW, VideoLabels(bouts, ((6.0, 8.0),)))
    assert file == "labels.csv" and saved == VideoLabels(bouts, ((6.0, 8.0),))
    store.save("b.avi", NEW, VideoLabels((Bout(1, 3, "sit"),), (), True))
    assert LabelStore(folder).all() == store.all()
    assert LabelStore(folder).classes() == ("walk", "sit", "rear")
    dataset = load_dataset(folder)
    stretches = {video.video_id: dataset.classes[video.label] for video in dataset.videos}
    assert stretches == {
        "a.avi#0.000-2.000": "walk",
        "a.avi#2.000-4.000": "sit",
        "a.avi#6.000-8.000": "other",  # 4 to 6 s are nobody's
        "b.avi#0.000-1.000": "other",
        "b.avi#1.000-3.000": "sit",
        "b.avi#3.000-5.500": "other",
        "b.avi#5.500-8.000": "other",
    }


def test_two_pages_do_not_overwrite_each_other(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.mp4", "b.mp4")
    one, other = LabelStore(folder), LabelStore(folder)
    one.add_class("walk")
    first, _ = one.save("a.mp4", NEW, VideoLabels((Bout(0, 1, "walk"),)))
    with pytest.raises(ChangedError, match="labelled elsewhere"):
        other.save("a.mp4", NEW, VideoLabels((Bout(5, 6, "walk"),)))
    other.save("b.mp4", NEW, VideoLabels((Bout(5, 6, "walk"),)))  # another video is no conflict
    seen = other.all()["a.mp4"][0]
    assert seen == first
    other.save("a.mp4", seen.version, VideoLabels((*seen.bouts, Bout(5, 6, "walk"))))
    with pytest.raises(ChangedError):
        one.save("a.mp4", first.version, VideoLabels())
    assert len(one.all()["a.mp4"][0].bouts) == 2 and len(one.all()["b.mp4"][0].bouts) == 1


def test_a_refused_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path, "a.mp4")
    store = LabelStore(folder)
    store.add_class("walk")
    now, _ = store.save("a.mp4", NEW, VideoLabels((Bout(0, 1, "walk"),)))
    before = said(folder)

    def refused(*what: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refused)
        with pytest.raises(DataError, match=r"labels\.csv cannot be written: No space left"):
            store.save("a.mp4", now.version, VideoLabels())
    assert said(folder) == before and store.all()["a.mp4"][0] == now
    left = sorted(path.name for path in folder.iterdir() if path.name != ".lock")
    assert left == ["a.mp4", "labels.csv"]


def test_a_boris_project_stays_one_as_long_as_it_can_hold_all(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.mp4", "b.mp4")
    bouts = (Bout(0, 1, "walk", subject="Ann"),)
    pair = (
        Recording("a.mp4", bouts, 20.0, 25.0),
        Recording("b.mp4", (Bout(3, 4, "sit"),), 9.0, 25.0),
    )
    write_labels(Labels(pair, ("walk", "sit")), folder / "study.boris")
    original = (folder / "study.boris").read_bytes()
    store = LabelStore(folder)
    now, file = store.all()["a.mp4"]
    assert file == "study.boris" and now == VideoLabels(bouts, (), True)

    more = VideoLabels((*bouts, Bout(5, 6.25, "sit")), (), True)
    saved, file = store.save("a.mp4", now.version, more)
    assert file == "study.boris" and saved == more
    assert (folder / ".study.boris.original").read_bytes() == original
    assert not (folder / "labels.csv").exists()

    # what was watched is nothing that BORIS can hold
    partly = VideoLabels(more.bouts, ((10.0, 12.0),))
    saved, file = store.save("a.mp4", saved.version, partly)
    assert file == "labels.csv" and saved == partly
    assert [r.video for r in read_labels(folder / "study.boris").recordings] == ["b.mp4"]
    assert read_labels(folder).recordings[0].seconds == 20.0  # what was known of it is still known
    assert store.classes() == ("walk", "sit")  # keys stay what they were
    assert (folder / ".study.boris.original").read_bytes() == original


def test_what_others_add_to_a_project_later_is_kept_too(tmp_path: Path) -> None:
    """What we do not read of it may go with a change: each time that others were at work."""
    folder = folder_of(tmp_path, "a.mp4")
    path = folder / "study.boris"
    bouts = (Bout(0, 1, "walk"),)
    write_labels(Labels((Recording("a.mp4", bouts, 20.0, 25.0),), ("walk",)), path)
    store = LabelStore(folder)

    def worked_on(name: str) -> bytes:
        project = json.loads(path.read_text())
        project["project_name"] = name
        path.write_text(json.dumps(project))
        return path.read_bytes()

    def one_more(store: LabelStore, at: float) -> None:
        labels, _ = store.all()["a.mp4"]
        more = VideoLabels((*labels.bouts, Bout(at, at + 1, "walk")), (), True)
        store.save("a.mp4", labels.version, more)

    first = worked_on("cage 1")
    one_more(store, 2)
    one_more(store, 4)
    one_more(LabelStore(folder), 6)  # that is what would be written of it: no copy
    second = worked_on("cage 2")
    one_more(store, 8)
    copies = {each.name: each.read_bytes() for each in folder.glob(".study*")}
    assert copies == {".study.boris.original": first, ".study.boris.original-2": second}
    assert len(read_labels(path).recordings[0].bouts) == 5


def test_a_bout_of_a_class_of_point_events_is_one(tmp_path: Path) -> None:
    """Else the class were one of states, and the points of all videos bouts without a length."""
    folder = folder_of(tmp_path, "a.mp4", "b.mp4")
    (folder / "labels.csv").write_text("path,label,start,end\nb.mp4,sneeze,5,5\nb.mp4,walk,7,9\n")
    store = LabelStore(folder)
    lasting, _ = store.save("a.mp4", NEW, VideoLabels((Bout(2, 3, "sneeze"),)))
    assert lasting.bouts == (Bout(2, 3, "sneeze"),)  # one point alone may be a slip
    store.save("a.mp4", lasting.version, VideoLabels((Bout(2, 2, "sneeze"),)))  # now there are two
    made = VideoLabels((Bout(2.32, 2.36, "sneeze"), Bout(4, 6, "walk")))
    before = store.all()["a.mp4"][0].version
    saved, _ = store.save("a.mp4", before, made)
    assert saved.bouts == (Bout(2.34, 2.34, "sneeze"), Bout(4, 6, "walk"))
    assert read_labels(folder / "labels.csv").points == {"sneeze"}


def test_a_stretch_of_a_class_of_point_events_stays_as_it_was_drawn(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.mp4")
    (folder / "labels.csv").write_text("path,label,start,end\na.mp4,jump,1,1\na.mp4,jump,3,3\n")
    store = LabelStore(folder)
    before, _ = store.all()["a.mp4"]
    drawn = (*before.bouts, Bout(5, 8, "jump"))
    saved, _ = store.save("a.mp4", before.version, replace(before, bouts=drawn))
    assert saved.bouts == drawn


def _label_one(folder: Path, name: str) -> None:
    store = LabelStore(folder)
    for start in range(12):
        before = store.all().get(name, (VideoLabels(), ""))[0]
        bout = Bout(start, start + 0.5, "walk")
        store.save(name, before.version, replace(before, bouts=(*before.bouts, bout)))


def test_two_servers_of_a_folder_lose_nothing(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    LabelStore(folder).add_class("walk")
    context = multiprocessing.get_context("spawn")
    names = "a.mp4", "b.mp4", "c.mp4"
    servers = [context.Process(target=_label_one, args=(folder, name)) for name in names]
    for each in servers:
        each.start()
    for each in servers:
        each.join(60)
        assert each.exitcode == 0
    assert {r.video: len(r.bouts) for r in read_labels(folder).recordings} == dict.fromkeys(
        names, 12
    )


def test_time_around_a_point_event_was_watched(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.mp4")
    store = LabelStore(folder)
    (folder / "labels.csv").write_text("path,label,start,end\n,sneeze,,\n,walk,,\n")
    points = (Bout(0.1, 0.1, "sneeze"), Bout(5.1234, 5.1234, "sneeze"))
    made = VideoLabels((*points, Bout(7, 8, "walk")), ((9.0, 9.5),))
    saved, _ = store.save("a.mp4", NEW, made)
    around = ((0.0, 0.6), (pytest.approx(4.6234), pytest.approx(5.6234)))
    assert saved.bouts == made.bouts and saved.nothing == (*around, (9.0, 9.5))
    (found,) = read_labels(folder / "labels.csv").recordings
    assert found.watched is not None
    assert found.watched[0] == (0.0, 0.6) and found.watched[1] == pytest.approx((4.6234, 5.6234))
    itself = compare_labels(of_one(read_labels(folder), "TRUE"), of_one(read_labels(folder), "P"))
    assert [(each.label, each.true_points) for each in itself.points] == [("sneeze", 2)]


def test_a_label_that_subtitles_read_otherwise_moves(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.mp4")
    (folder / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nwalk\n")
    store = LabelStore(folder)
    store.add_class("light (50%)")
    labels, _ = store.all()["a.mp4"]
    made = VideoLabels((Bout(3, 4, "light (50%)"),), (), True)
    assert store.save("a.mp4", labels.version, made) == (made, "labels.csv")


def test_a_new_class_goes_where_it_has_a_place(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.mp4")
    (folder / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nwalk\n")
    store = LabelStore(folder)
    store.add_class("sit")
    assert store.classes() == ("walk", "sit")
    now, _ = store.all()["a.mp4"]
    later = VideoLabels((*now.bouts, Bout(4, 5, "sit")), (), True)
    now, file = store.save("a.mp4", now.version, later)
    assert file == "a.srt" and now == later
    with pytest.raises(DataError, match="'sit' has 1 bouts: delete them first"):
        store.remove_class("sit")
    store.add_class("rear")
    store.remove_class("rear")
    assert store.classes() == ("walk", "sit")
    with pytest.raises(DataError, match="'rear' is none of the classes"):
        store.save("a.mp4", now.version, VideoLabels((Bout(0, 1, "rear"),)))
    store.save(
        "a.mp4", now.version, VideoLabels()
    )  # nothing is left: the file goes, its copy stays
    assert not (folder / "a.srt").exists() and "walk" in (folder / ".a.srt.original").read_text()
    assert said(folder) == ["path,label,start,end", ",walk,,", ",sit,,"]


def test_a_video_that_nobody_labelled_is_no_row(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.mp4", "b.mp4")
    store = LabelStore(folder)
    store.add_class("walk")
    now, _ = store.save("a.mp4", NEW, VideoLabels((Bout(0, 1, "walk"),)))
    now, file = store.save("a.mp4", now.version, VideoLabels())
    assert (now, file) == (VideoLabels(), "") and said(folder)[1:] == [",walk,,"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"notes.txt": ""}, "holds no video"),
        ({"walk/a.mp4": ""}, "has videos in walk, which training takes for a class"),
        (
            {"a.mp4": "", "a.srt": "1\n00:00:01,000 --> 00:00:02,000\nx\n", "b.csv": "path,label,"
             "start,end\na.mp4,x,1,2\n"},
            r"a\.srt and b\.csv are both about a\.mp4",
        ),
    ],
)  # fmt: skip
def test_folders_that_cannot_be_labelled(tmp_path: Path, files: dict[str, str], words: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=words):
        LabelStore(tmp_path).all()


def test_a_class_is_called_otherwise_in_all_files_and_stays_in_its_place(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    pair = (Recording("b.mp4", (Bout(3, 4, "sit"), Bout(5, 6, "walk")), 9.0, 25.0),)
    write_labels(Labels(pair, ("walk", "sit")), folder / "study.boris")
    (folder / "c.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nwalk\n")
    store = LabelStore(folder)
    for label in ("walk", "run"):
        store.add_class(label)
    store.save("a.mp4", NEW, VideoLabels((Bout(0, 1, "walk", subject="Ann"),)))
    store.rename_class("walk", " pace\n")
    bouts = {name: each.bouts for name, (each, _) in store.all().items()}
    assert bouts["a.mp4"] == (Bout(0, 1, "pace", subject="Ann"),)
    assert bouts["b.mp4"] == (Bout(3, 4, "sit"), Bout(5, 6, "pace"))
    assert bouts["c.mp4"] == (Bout(1, 2.5, "pace"),)
    assert store.classes() == ("pace", "sit", "run")
    assert read_labels(folder / "study.boris").classes == ("pace", "sit")
    store.rename_class("sit", "pace")  # one of two that were told apart
    assert [b.label for b in store.all()["b.mp4"][0].bouts] == ["pace", "pace"]
    assert store.classes() == ("pace", "run")
    for label, name, words in (
        ("fly", "soar", "'fly' is none of the classes"),
        ("run", "other", "is what unlabelled time is called"),
        ("run", "  ", "needs a name"),
    ):
        with pytest.raises(DataError, match=words):
            store.rename_class(label, name)


def test_a_rename_that_was_cut_short_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path, "a.mp4", "b.mp4")
    for name in ("a", "b"):
        (folder / f"{name}.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nwalk\n")
    store, renames, replace = LabelStore(folder), [], os.replace

    def once(source: str, target: str) -> None:
        renames.append(target)
        if sum(str(each).endswith(".srt") for each in renames) > 1:  # the first's copy is one too
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", once)
        with pytest.raises(DataError, match="No space left"):
            store.rename_class("walk", "pace")
    assert set(LabelStore(folder).classes()) == {"pace", "walk"}
    LabelStore(folder).rename_class("walk", "pace")
    assert LabelStore(folder).classes() == ("pace",)


def test_the_copy_of_what_people_had_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of it, left by a full disk, would be taken for the copy ever after."""
    folder = folder_of(tmp_path, "a.mp4")
    before = "1\n00:00:01,000 --> 00:00:02,500\nwalk\n"
    (folder / "a.srt").write_text(before)
    store = LabelStore(folder)
    labels, _ = store.all()["a.mp4"]

    def part(source: BinaryIO, target: BinaryIO) -> None:
        target.write(source.read(5))
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", part)
        with pytest.raises(DataError, match="No space left"):
            store.save("a.mp4", labels.version, VideoLabels((Bout(3, 4, "walk"),)))
    assert (folder / "a.srt").read_text() == before
    store.save("a.mp4", labels.version, VideoLabels((Bout(3, 4, "walk"),)))
    assert (folder / ".a.srt.original").read_text() == before


def test_a_bout_may_end_a_little_after_what_the_file_calls_the_end(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.mp4")
    known = Recording("a.mp4", (Bout(1, 2, "walk"),), 10.0)
    write_labels(Labels((known,), ("walk",)), folder / "labels.csv", "csv")
    store = LabelStore(folder)
    labels, _ = store.all()["a.mp4"]
    store.save("a.mp4", labels.version, VideoLabels((Bout(1, 2, "walk"), Bout(9, 10.02, "walk"))))
    (found,) = read_labels(folder / "labels.csv").recordings
    assert (found.bouts[-1].end_seconds, found.seconds) == (10.02, 10.02)
    labels, _ = store.all()["a.mp4"]
    store.save("a.mp4", labels.version, VideoLabels((Bout(1, 2, "walk"),)))
    assert read_labels(folder / "labels.csv").recordings[0].bouts == (Bout(1, 2, "walk"),)


def test_a_rename_that_a_file_cannot_take_changes_none(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.mp4", "b.mp4")
    (folder / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nwalk\n")
    pair = (Recording("b.mp4", (Bout(3, 5, "sit"), Bout(4, 6, "walk")), 9.0, 25.0),)
    write_labels(Labels(pair, ("walk", "sit")), folder / "b.boris")
    store = LabelStore(folder)
    before = store.all()
    for name, words in (
        ("walk (90%)", r"a.srt .* cannot hold a class called 'walk \(90%\)'"),  # a confidence there
        ("<b>walk</b>", "cannot hold a class called '<b>"),
        ("sit", "b.boris .* overlap or touch, of 'walk' and 'sit'"),
    ):
        with pytest.raises(DataError, match=words):
            store.rename_class("walk", name)
    assert store.all() == before
