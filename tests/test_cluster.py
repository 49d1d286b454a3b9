"""Work on a Ray cluster of this machine: what one machine makes, and what a bad item costs."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cluster_work import dies_over_two, work
from invented_study import study_of
from moving_clips import SETTINGS, contents, make_data
from seen_timelines import contents as timeline_contents
from seen_timelines import three_videos
from twostream import extract as extract_data
from twostream import stopping, timelines
from twostream.__main__ import run
from twostream.cluster import AHEAD, DEATHS, LOCAL, Ended, check_seen, joined, spread
from twostream.experiments import reproduce, running
from twostream.experiments.reproduction import planned
from twostream.experiments.running import run_all
from twostream.extraction import extract
from twostream.files import write_json
from twostream.threads import num_cores
from twostream.types import LabeledVideo, UsageError
from untrained import write_clip

# Ray leaves its processes to end by themselves
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
TESTS = Path(__file__).parent
WAIT_SECONDS = 60


ANSWERS = {number: signal.getsignal(number) for number in stopping.SIGNALS}


@pytest.fixture(scope="module")
def here() -> Iterator[None]:
    """A cluster of this machine; its processes can import what stands in this file."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        with joined(LOCAL):
            yield
        gc.collect()


def all_of(work: Any, items: dict[str, Any], **options: Any) -> dict[str, Ended[Any]]:
    with closing(spread(work, items.items(), **options)) as ends:
        ended = [each for some in ends for each in some]
    assert len(ended) == len({each.name for each in ended})
    return {each.name: each for each in ended}


def test_a_stop_is_answered_as_before(here: None) -> None:
    """By who joined, not by Ray, and not by a command that this process is not."""
    assert {number: signal.getsignal(number) for number in stopping.SIGNALS} == ANSWERS


def test_the_store_is_that_of_one_machine(here: None, tmp_path: Path, said: list[str]) -> None:
    videos = make_data(tmp_path / "data", 5)
    bad = tmp_path / "data" / "bad.avi"
    bad.write_text("no video")
    videos += [LabeledVideo("bad.avi", bad, 0), LabeledVideo("none.avi", tmp_path / "none.avi", 0)]
    alone = extract(videos, store=tmp_path / "alone", settings=SETTINGS)
    seen: list[tuple[float, float]] = []
    spread_out = extract(
        videos,
        store=tmp_path / "spread",
        settings=SETTINGS,
        cluster=LOCAL,
        progress=lambda task, done, total, detail="": seen.append((done, total)),
    )
    assert contents(tmp_path / "spread") == contents(tmp_path / "alone")
    for name in ("videos", "done", "skipped", "failed", "warnings", "pairs", "device"):
        assert getattr(spread_out, name) == getattr(alone, name)
    assert sorted(spread_out.failed) == ["bad.avi", "none.avi"] and spread_out.done == 5
    assert seen[-1] == (7, 7) and seen == sorted(seen)
    clip = next((tmp_path / "spread").glob("forward/**/*.clip"))
    clip.write_bytes(clip.read_bytes()[:-20])
    again = extract(videos, store=tmp_path / "spread", settings=SETTINGS, cluster=LOCAL)
    assert (again.done, again.skipped) == (1, 4)
    assert contents(tmp_path / "spread") == contents(tmp_path / "alone")
    assert [line for line in said if "is damaged, and is made again" in line]  # by a process there


def test_what_ends_its_process_costs_itself_alone(
    here: None, tmp_path: Path, said: list[str]
) -> None:
    names = ["a", "dies", "b", "c", "no video", "d", "odd"]
    ended = all_of(partial(work, tmp_path / "begun"), {name: name for name in names})
    good = {name: each.result for name, each in ended.items() if each.failed is None}
    assert good == {name: name.upper() for name in "abcd"}
    assert ended["no video"].failed == "a.avi: is no video"
    assert "unexpected RuntimeError (UnsendableError" in (ended["odd"].failed or "")
    assert f"killed or crashed {DEATHS} times" in (ended["dies"].failed or "")
    begun = (tmp_path / "begun").read_text().split("\n")[:-1]
    assert Counter(begun) == {name: DEATHS if name == "dies" else 1 for name in names}
    assert begun[-1] == "dies"
    assert [line for line in said if line.startswith("dies comes last")]


@pytest.mark.slow
def test_who_asks_may_know_of_deaths_before(here: None, tmp_path: Path) -> None:
    died: list[str] = []

    def once(name: str) -> str:
        died.append(name)
        return "again"

    ended = all_of(partial(work, tmp_path / "begun"), {"a": "a", "b": "dies"}, died=once)
    assert (ended["b"].failed, died) == ("again", ["b"])


def test_an_error_that_meets_all_others_ends_it(here: None, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no space left") as full:
        all_of(partial(work, tmp_path / "begun"), {"a": "full"})
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, "there")
    with pytest.raises(UsageError, match="does not see nowhere: all nodes need the same disk"):
        all_of(check_seen, {"a": Path("nowhere")})


def test_a_node_with_another_version_is_refused(
    here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twostream.cluster.version", lambda name: "9.9")
    with pytest.raises(UsageError, match=r"has twostream .* and this machine 9\.9: install"):
        all_of(check_seen, {"a": Path("/")})


def test_processes_have_one_core_and_the_folder_of_who_asks(
    here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = all_of(partial(work, Path("begun")), {"a": "settings"})
    assert ended["a"].result == ("1", str(tmp_path)) and (tmp_path / "begun").is_file()


def test_no_more_is_asked_for_than_the_cores_will_take(here: None, tmp_path: Path) -> None:
    asked = ended = most = 0

    def items() -> Iterator[tuple[str, str]]:
        nonlocal asked
        for number in range(40):
            asked += 1
            yield f"{number}", "a"

    with closing(spread(partial(work, tmp_path / "begun"), items())) as ends:
        for some in ends:
            most = max(most, asked - ended)
            ended += len(some)
    assert asked == ended == 40 and most <= AHEAD * num_cores() + 1


@pytest.mark.slow
def test_what_has_begun_ends_when_it_is_left(here: None, tmp_path: Path) -> None:
    process = tmp_path / "process"
    with closing(spread(partial(work, tmp_path / "begun"), [("a", "sleeps")])) as ends:
        while not (process.is_file() and process.read_text()):
            next(ends)
        number = int(process.read_text())
    end = time.monotonic() + WAIT_SECONDS
    while Path(f"/proc/{number}/cmdline").exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not Path(f"/proc/{number}/cmdline").exists()


def test_time_lines_are_those_of_one_machine(
    here: None, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = three_videos(tmp_path / "clips")
    (clips / "b/two.avi").write_text("no video")
    monkeypatch.chdir(tmp_path)
    alone = timelines(run_folder, "clips", out="alone")
    seen: list[tuple[float, float]] = []
    found = timelines(
        run_folder,
        "clips",
        out="spread",
        cluster=LOCAL,
        progress=lambda task, done, total, detail="": seen.append((done, total)),
    )
    assert timeline_contents(tmp_path / "spread") == timeline_contents(tmp_path / "alone")
    assert (found.videos, found.done, found.failed) == (4, 3, alone.failed)
    assert found.failed["clips/b/two.avi"].startswith("clips/b/two.avi: ")
    assert seen[-1][0] == seen[-1][1] == pytest.approx(3.0, abs=0.1)


@pytest.mark.slow
def test_a_video_that_ends_processes_is_known_the_next_time(
    here: None, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips, out = three_videos(tmp_path / "clips"), tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("twostream.prediction.one_timeline._make_there", dies_over_two)
        found = timelines(run_folder, clips, out=out, cluster=LOCAL)
    words = f"killed or crashed {DEATHS} times over it: delete {out / 'fatal.json'}"
    assert found.done == 2 and words in found.failed[str(clips / "a/two.avi")]
    again = timelines(run_folder, clips, out=out, cluster=LOCAL)
    assert (again.before, again.done, again.failed) == (2, 0, found.failed)
    (out / "fatal.json").unlink()
    assert timelines(run_folder, clips, out=out, cluster=LOCAL).done == 1


@pytest.mark.parametrize("option", [["--workers", "2"], ["--shard", "1/2"]])
def test_options_of_one_machine_are_refused(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    command = ["extract", str(tiny_data), "--store", str(tmp_path / "store"), "--cluster", LOCAL]
    assert run([*command, *option]) == 2
    assert f"{option[0]} is for machines" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_a_cluster_is_for_many_time_lines_alone(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", str(run_folder), str(tmp_path), "--timeline", "--cluster", LOCAL]
    assert run(command) == 2
    assert "--cluster is for --timeline with --out: add it" in capsys.readouterr().err
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips" / "a.avi", frames=8)
    assert run([*command, "--out", str(tmp_path / "out"), "--shard", "1/2"]) == 2
    assert "--shard is for machines" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
        ("ray://127.0.0.1:1", "no Ray cluster answers at ray://127.0.0.1:1"),
        ("anywhere", "--cluster is local, auto, or the address"),
        ("host:99999999", "no Ray cluster answers"),
    ],
)
def test_where_no_cluster_is_says_so_and_nothing_is_begun(
    address: str, words: str, few_data: Path, tmp_path: Path
) -> None:
    import ray

    store = tmp_path / "store"

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ray, "is_initialized", lambda: False)
        patched.setattr(ray, "shutdown", lambda: None)  # of the one that other tests are in
        with pytest.raises(UsageError, match=words):
            extract_data(few_data, store=store, cluster=address)
    assert not store.exists()


def test_without_ray_it_says_what_to_install(
    few_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'twostream\[cluster\]'"):
        extract_data(few_data, store=tmp_path / "store", cluster="auto")


@pytest.mark.slow
def test_the_runs_of_a_study_are_those_of_one_machine(
    here: None, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = study_of(tiny_data, tmp_path / "alone", folds=2)
    there = study_of(tiny_data, tmp_path / "there", folds=2)
    runs = planned(there, "figure4")
    write_json(runs[0].folder / "asked.json", {"data": "something else"})
    failed = run_all(there, runs, cluster=LOCAL)
    assert list(failed) == [runs[0].folder]
    assert "started with other settings" in failed[runs[0].folder]
    (runs[0].folder / "asked.json").unlink()
    assert run_all(there, runs, cluster=LOCAL) == {}
    monkeypatch.setattr(running, "num_cores", lambda: 2)  # a thread for each of the two runs
    assert run_all(alone, planned(alone, "figure4"), jobs=2) == {}
    for own, other in zip(planned(alone, "figure4"), runs, strict=True):
        for name in ("temporal.safetensors", "scores/temporal-test.npz"):
            assert (own.folder / name).read_bytes() == (other.folder / name).read_bytes()
        assert other.done


def test_jobs_are_for_one_machine(tiny_data: Path, tmp_path: Path) -> None:
    study = study_of(tiny_data, tmp_path / "out", folds=2)
    with pytest.raises(UsageError, match="--jobs is for one machine: leave it or --cluster out"):
        reproduce(study, "figure4", jobs=2, cluster=LOCAL)
    assert not (tmp_path / "out").exists()
