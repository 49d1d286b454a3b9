"""Parts of a job in several processes: together they do what one does, and no video twice."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from seen_timelines import Seen, contents
from twostream import extract, timelines
from twostream.__main__ import run
from twostream.prediction.fatal_videos import DEATHS, FatalVideos
from twostream.prediction.shared_timelines import held
from twostream.shards import Shard
from twostream.types import RunError, UsageError, VideoError
from twostream.video.fingerprint import source_hash
from untrained import write_clip


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    for name, frames in (("a/one.avi", 12), ("a/two.avi", 8), ("b/one.avi", 10), ("b/two.avi", 9)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_clip(folder / name, frames=frames)
    return folder


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    return Seen.instead(monkeypatch)


def test_shards_have_each_item_once() -> None:
    items = list(range(11))
    for count in (1, 2, 5, 11, 20):
        parts = [Shard.parse(f"{i}/{count}").of(items) for i in range(1, count + 1)]
        assert sorted(item for part in parts for item in part) == items
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["", "2", "0/3", "4/3", "-1/3", "a/b", "1/2/3", "1.5/3", "1/0"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"a shard is written i/n|needs i from 1 to n"):
        Shard.parse(text)


def test_shards_of_an_extraction_make_the_store_that_one_process_makes(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(clips, store=tmp_path / "whole")
    for part in ("2/3", "1/3", "2/3"):
        extract(clips, store=tmp_path / "parts", shard=part)
    assert not any("b/one" in name for name in contents(tmp_path / "parts/rgb"))
    command = ["extract", str(clips), "--store", str(tmp_path / "parts"), "--recipe", "quick"]
    assert run([*command, "--shard", "3/3", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["videos"], said["done"], said["failed"]) == (1, 1, 0)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert run([*command, "--shard", "4/3"]) == 2


def test_time_lines_of_shards_are_those_of_one_process(
    seen: Seen, run_folder: Path, clips: Path, tmp_path: Path
) -> None:
    (clips / "a/two.avi").write_text("no video")
    whole, out = tmp_path / "whole", tmp_path / "out"
    timelines(run_folder, clips, out=whole)
    seen.videos.clear()
    found = timelines(run_folder, clips, out=out, shard="1/2")
    assert (found.videos, found.done, found.seconds) == (2, 2, 2.0)
    assert seen.videos == ["a/one.avi", "b/one.avi"]
    assert not (out / "segments.csv").exists() and not (out / "results.json").exists()
    found = timelines(run_folder, clips, out=out, shard="2/2")
    assert (found.videos, found.done) == (2, 1) and len(found.failed) == 1
    seen.videos.clear()
    found = timelines(run_folder, clips, out=out)
    assert (found.videos, found.done, found.before) == (4, 0, 3)
    assert seen.videos == ["a/two.avi"]  # what failed is tried again
    assert contents(out) == contents(whole) and not (out / "shards").exists()


def test_shards_hold_a_folder_beside_each_other_and_keep_others_out(tmp_path: Path) -> None:
    out, asked = tmp_path / "out", {"timelines": 1}
    with held(out, asked, Shard(1, 2)):
        with held(out, asked, Shard(2, 2)):
            pass
        for shard, words in ((Shard(1, 2), "do another shard"), (None, "wait, or choose another")):
            with (
                pytest.raises(RunError, match=f"in use by another process: .*{words}"),
                held(out, asked, shard),
            ):
                pass
        with pytest.raises(RunError, match="other settings"), held(out, {"a": 1}, Shard(2, 2)):
            pass
    with (
        held(out, asked, None),
        pytest.raises(RunError, match="in use"),
        held(out, asked, Shard(2, 2)),
    ):
        pass
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.jpg").touch()
    with pytest.raises(RunError), held(tmp_path / "other", asked, Shard(1, 2)):
        pass


def test_what_a_shard_died_over_is_known_to_who_does_all(clips: Path, tmp_path: Path) -> None:
    out, asked = tmp_path / "out", {"timelines": 1}
    video = clips / "a/one.avi"
    key = source_hash(video)
    for _ in range(DEATHS):
        with held(out, asked, Shard(1, 2)) as fatal:
            fatal._write(key, fatal.times(key) + 1)  # and the process died
    with held(out, asked, None) as fatal:
        assert fatal.times(key) == DEATHS and not (out / "shards").exists()
        path = re.escape(str(out / "fatal.json"))
        with pytest.raises(VideoError, match=f"delete {path}"), fatal.written_down(key, video):
            pass
    assert FatalVideos(out / "fatal.json").times(key) == DEATHS
