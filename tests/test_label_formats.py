"""Every format of label files: what it holds comes back, and what it does not hold is said."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twostream.labels import (
    FORMATS,
    Bout,
    Labels,
    Recording,
    kept,
    lost,
    read_labels,
    write_labels,
)
from twostream.types import DataError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))
FPS = 25.0
# what separates, quotes, marks and escapes somewhere
NAMES = (
    *("walk", "run", "2", "10", "a, b", "x;y", "'=1", "-", 'say "hi"', "<b>&amp;", "größer"),
    *("z_7", "1 --> 2", "START", "[a]", "50%", "\u2603"),
)
texts = st.sampled_from(("", *NAMES))
times = st.one_of(st.integers(0, 400).map(lambda i: i / 8), st.floats(0, 60, width=32))


@st.composite
def bouts(draw: st.DrawFn, end: float) -> Bout:
    start, stop = sorted(min(draw(times), end) for _ in range(2))
    return Bout(
        start,
        draw(st.sampled_from((start, stop))),
        draw(st.sampled_from(NAMES)),
        draw(texts),
        draw(texts),
        draw(st.none() | st.floats(0, 1)),
        draw(texts),
    )


@st.composite
def recordings(draw: st.DrawFn, name: str) -> Recording:
    seconds = draw(st.none() | times.map(lambda t: max(t, 0.125)))
    end = 60.0 if seconds is None else seconds
    spans = st.tuples(times, times).map(lambda span: tuple(min(t, end) for t in sorted(span)))
    return Recording(
        name,
        tuple(draw(st.lists(bouts(end), max_size=4))),
        seconds,
        FPS,
        draw(st.none() | st.lists(spans, max_size=3).map(tuple)),
        draw(texts),
        draw(st.sampled_from(("", "train", "val", "test"))),
    )


@st.composite
def some_labels(draw: st.DrawFn) -> Labels:
    names = draw(
        st.sampled_from((("",), ("a.mp4",), ("b/x y.mp4", "b/a.avi"), ("c/1.mp4", "d/1.mp4")))
    )
    made = tuple(draw(recordings(name)) for name in names)
    used = {bout.label for recording in made for bout in recording.bouts}
    classes = draw(st.permutations(sorted(used | draw(st.sets(st.sampled_from(NAMES))))))
    points = draw(st.sets(st.sampled_from(classes))) if classes else set()
    return Labels(made, tuple(classes), frozenset(points))


@pytest.mark.parametrize("name", FORMATS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES < 100,
    suppress_health_check=list(HealthCheck),
)
@given(labels=some_labels())
def test_what_a_format_holds_comes_back(name: str, labels: Labels) -> None:
    holds = FORMATS[name].HOLDS
    left = kept(labels, holds)
    apart = len(labels.recordings) > 1 and not holds.several
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / ("labels" if apart else f"labels{holds.suffixes[0]}")
        said = write_labels(labels, out, name)
        again = read_labels(out, name, fps=FPS)
    assert again == left
    assert again.notes == ()
    assert kept(left, holds) == left  # nothing more is lost the second time
    assert (said == ()) == (left == labels)
    assert said == lost(labels, holds)


def test_the_own_table_is_read_as_people_write_it(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(
        "Path;Label;Start;End;Subject;Group;Weather\n"
        "a.mp4;walk;00:01:02.5;62,75;Ann;g1;rain\n"
        "a.mp4;;0;01:30;;;\n"
        "b.mp4;jump;3;3;;;\n"
        "b.mp4;walk;9;8;;;\n"
        ";sleep;;;;;\n"
    )
    labels = read_labels(table)
    assert labels.recordings == (
        Recording("a.mp4", (Bout(62.5, 62.75, "walk", "Ann"),), watched=((0, 90),), group="g1"),
        Recording("b.mp4", (Bout(3, 3, "jump"),)),
    )
    assert labels.classes == ("sleep", "jump", "walk") and labels.points == {"jump"}
    assert labels.notes == (
        f"{table}: the columns weather are not used",
        f"{table}: line 5: ends before it starts: left out, so its time has no label",
        f"{table}: jump, walk: a label that the ethogram lacks: it is added",
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.mp4,walk,1:x,2,", "line 2: start must be seconds or hh:mm:ss.mmm, got '1:x'"),
        ("a.mp4,walk,1,,", "line 2: end must be seconds"),
        ("a.mp4,walk,1,2,both", "split must be train, val or test, got both"),
        ("a.mp4,walk,1,2,,3", "6 columns, but the header has 5"),
        ("a.mp4,walk,1,2,test\na.mp4,walk,1,2,train", "has the split test and train: keep one"),
        (",walk,1,2,\na.mp4,walk,1,2,", "some of it names no video"),
    ],
)
def test_a_row_that_says_nothing_is_named(tmp_path: Path, row: str, words: str) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(f"path,label,start,end,split\n{row}\n")
    with pytest.raises(DataError, match=words):
        read_labels(table)


def test_audacity_passes_frequencies_over(tmp_path: Path) -> None:
    track = tmp_path / "track.txt"
    track.write_text("0.5\t2,25\twalk fast\n\\\t100.0\t2000.0\n3.0\t3.0\tjump\n4.0\t5.0\t\n")
    labels = read_labels(track)
    (recording,) = labels.recordings
    assert recording.bouts == (Bout(0.5, 2.25, "walk fast"), Bout(3, 3, "jump"))
    assert labels.points == {"jump"} and labels.notes == (f"{track}: line 4: no label: left out",)
