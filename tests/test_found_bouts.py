"""The report's section on recordings: bouts above each other, where they differ, and measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from invented_run import Page, copy_run, read, write_run
from twostream.files import write_json
from twostream.judging import compare_labels
from twostream.judging.differences import differences
from twostream.judging.stretches import compared
from twostream.labels import Bout, Labels, Recording, write_labels
from twostream.report.bout_lines import drawn_lines
from twostream.report.wording import DASH
from twostream.store.flow_store import ClipHeader, FlowStore

NASTY = "<b>dig</b> & rear"
TRUE = (Bout(0, 10, "walk"), Bout(30, 60, NASTY))
SAID = (Bout(0, 12, "walk", confidence=0.875), Bout(30, 40, "walk", confidence=0.5))


def both(
    true: tuple[Bout, ...] = TRUE,
    said: tuple[Bout, ...] = SAID,
    watched: tuple[float, float] = (0, 60),
) -> tuple[Labels, Labels]:
    classes = ("walk", NASTY, "touch")
    sides = (
        Recording("day/a.mp4", true, 60.0, watched=(watched,)),
        Recording("day/a.mp4", said, 60.0),
    )
    ours, theirs = (Labels((each,), classes) for each in sides)
    return ours, theirs


def judged(run: Path, true: Labels, said: Labels) -> Page:
    """Write RUN/recordings as a run does, and read the report."""
    folder = run / "recordings"
    write_labels(true, folder / "true.csv", "csv")
    write_labels(said, folder / "predicted" / "a.csv", "csv")
    write_json(folder / "agreement.json", compare_labels(true, said).to_json())
    return read(run)


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("bouts") / "RUN")


@pytest.fixture
def run(complete: Path, tmp_path: Path) -> Path:
    return copy_run(complete, tmp_path / "RUN")


class TestDifferences:
    def test_each_as_long_as_it_lasts_and_what_was_taken_for_what(self) -> None:
        ours, theirs = both()
        found = differences(compared(ours, theirs))
        assert [(d.start_seconds, d.end_seconds) for d in found] == [(10, 12), (30, 60)]
        assert found[0].states == (("(none)", "walk", 2.0),)
        assert found[1].states == ((NASTY, "(none)", 20.0), (NASTY, "walk", 10.0))

    def test_unwatched_time_parts_them_and_equal_sides_have_none(self) -> None:
        true = Labels((Recording("a", (), 9.0, watched=((0, 3), (5, 8))),), ("walk",))
        said = Labels((Recording("a", (Bout(1, 9, "walk"),), 9.0),), ("walk",))
        found = differences(compared(true, said))
        assert [(d.start_seconds, d.end_seconds) for d in found] == [(1, 3), (5, 8)]
        assert differences(compared(true, true)) == ()


class TestLines:
    def test_places_are_shares_of_a_line(self) -> None:
        sides = compared(*both(watched=(0, 45)))
        first, second = drawn_lines(sides, 0, differences(sides))
        assert (first["start"], first["end"], second["end"]) == (0, 30, 60)
        assert first["judged"] == [(0, 1)] and second["judged"] == [(0, 0.5)]
        assert first["apart"] == [pytest.approx((1 / 3, 1 / 15))] and second["apart"] == [(0, 0.5)]
        rows = dict(first["rows"])
        (walk,) = rows["predicted"]
        assert (walk.x, walk.width, walk.colour, walk.label) == (0, 0.4, 0, "walk")
        assert walk.told == "predicted: walk, 0:00.0 to 0:12.0, score 0.88"
        assert [words for _, words in first["ticks"]] == [f"0:{s:02d}" for s in range(0, 31, 5)]
        (dig,), _ = (bars for _, bars in second["rows"])
        assert (dig.x, dig.width, dig.colour) == (0, 0.5, 1)  # cut where nobody watched

    def test_an_hour_is_twelve_lines_and_short_bouts_have_no_name(self) -> None:
        true = Labels((Recording("a", (Bout(301, 304, "walk"),), 3600.0),), ("walk",))
        sides = compared(true, true)
        lines = drawn_lines(sides, 0, ())
        assert len(lines) == 12 and lines[-1]["ticks"][-1] == (1.0, "1:00:00")
        (bar,) = dict(lines[1]["rows"])["true"]
        assert (bar.x, bar.width, bar.label) == (pytest.approx(1 / 300), 0.01, "")

    def test_bouts_at_once_have_lanes_and_a_moment_is_a_point(self) -> None:
        true, said = both((Bout(0, 20, "walk"), Bout(10, 20, NASTY), Bout(5, 5, "touch")))
        first = drawn_lines(compared(true, said), 0, ())[0]
        bars = {bar.told.split(": ")[1].split(",")[0]: bar for bar in dict(first["rows"])["true"]}
        assert [bar.lane for bar in bars.values()] == [0, 1, 1] and first["lanes"] == 2
        assert bars["touch"].width == 0 and bars["touch"].x == pytest.approx(5 / 30)


def test_the_section_says_how_well_bouts_are_found(run: Path) -> None:
    page = judged(run, *both())
    for tag, attrs in page.tags:
        if tag == "svg":
            assert attrs["role"] == "img" and attrs["aria-label"]
    text = page.text("bouts")
    assert "60.0 s of 1 recording, never trained on, with 2 bouts" in text
    # right: 10 s of walk, 18 s of nothing; wrong: 2 s and 30 s
    assert "In 46.7% of the time both say the same" in text and "no 95% interval" in text
    # walk: 10 of the 22 s said are right, none is missed; kappa (48 / 60 - 2120 / 3600) / ...; of
    # two bouts the surer is right, and ends late; one is false in 50 s without walk
    assert f"walk 1 2 10.0 22.0 0.455 1.000 0.625 0.514 {'0.667 ' * 3}1.000 2.000 72.0" in text
    assert f"{NASTY} 1 0 30.0 0.0 {DASH} 0.000 0.000" in text
    assert f"{NASTY} 30.0 10.0 33% 20.0 67%" in text  # the matrix: taken for walk, for other
    assert ("a", {"href": "#bouts"}) in page.tags


def test_where_they_differ_longest_is_shown(run: Path) -> None:
    store = FlowStore.open(run / "flow")
    header = ClipHeader(
        video_id="day/a.mp4", kind="rgb", codec="lossless", height=24, width=32, fps=2.0
    )
    rgb = store.writer(header)
    for i in range(120):  # as bright as the second that it is of
        rgb.append(np.full((24, 32, 3), i // 2, np.uint8))
    rgb.close()
    page = judged(run, *both())
    first, second = page.text("bouts", "article").split(f"{NASTY} , taken for")[1:]
    assert "other (20.0 s)" in first and second.startswith(" walk (10.0 s)")
    assert "day/a.mp4 , 0:30.0 to 1:00.0: 30.0 s" in second
    assert [round(float(p.mean())) for p in page.images("frame of day/a.mp4")[:3]] == [35, 45, 55]


def test_labels_that_hold_at_once_are_a_state_of_the_matrix(run: Path) -> None:
    text = judged(run, *both((*TRUE, Bout(5, 20, NASTY)))).text("bouts")
    assert "of the time both say" not in text  # there is no one label at a time
    # 0 to 5 walk; 5 to 10 both, taken for walk; 10 to 20 and 30 to 60 the other, 12 s for walk
    assert f"walk 5.0 5.0 100% {NASTY} 40.0 12.0 30% 28.0 70% other 10.0 10.0 100%" in text
    assert f"walk + {NASTY} 5.0 5.0 100%" in text


def test_a_recording_that_could_not_be_read_is_drawn_without_prediction(run: Path) -> None:
    true, _ = both()
    nothing = Labels((Recording("day/a.mp4", ()),), true.classes)
    judged(run, true, nothing)
    (run / "recordings" / "predicted" / "a.csv").unlink()
    assert "30.0% of 60.0 s agrees" not in (text := read(run).text("bouts"))
    assert "33.3% of 60.0 s agrees" in text


def test_what_is_damaged_is_left_out_and_said(run: Path) -> None:
    judged(run, *both())
    (run / "recordings" / "true.csv").write_text("nothing")
    page = read(run)
    assert not page.text("bouts") and "recordings is damaged, and left out" in page.text("notes")


def test_reports_of_clips_know_nothing_of_it(run: Path) -> None:
    page = read(run)
    assert not page.text("bouts") and "bout" not in page.source
