"""Time lines of many videos: what is refused, before anything is lost or written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from seen_timelines import Seen, contents, three_videos
from twostream import timelines
from twostream.files import claimed
from twostream.prediction.answering_files import LEARNT
from twostream.types import RunError, UsageError
from untrained import make_models, save_run


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return three_videos(tmp_path / "clips")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """In place of the networks."""
    return Seen.instead(monkeypatch)


def test_another_run_other_options_and_other_folders_are_refused(
    seen: Seen, run_folder: Path, clips: Path, tmp_path: Path
) -> None:
    out, other = tmp_path / "out", save_run(tmp_path / "other", make_models(None)[:1])
    timelines(run_folder, clips, out=out, threshold=0.5)
    before = contents(out)
    for options, words in (
        ({}, r"was started with other settings \(threshold: 0\.5 -> 0\.4\)"),
        ({"threshold": 0.5, "every_seconds": 1.0}, r"every_seconds: 0\.5 -> 1\.0"),
    ):
        with pytest.raises(RunError, match=words):
            timelines(run_folder, clips, out=out, **options)
    with pytest.raises(RunError, match=r"was begun with other models than those of .*other"):
        timelines(other, clips, out=out, threshold=0.5)
    for folder in (clips, run_folder):
        with pytest.raises(RunError, match=r"holds something else, not a set of time lines"):
            timelines(run_folder, clips, out=folder)
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "asked.json").write_text('{"data": "clips"}')
    with pytest.raises(RunError, match=r"trained holds something else"):
        timelines(run_folder, clips, out=tmp_path / "trained")
    asked = json.loads((out / "asked.json").read_text())
    with (
        claimed(out, asked, resume=True),
        pytest.raises(RunError, match="in use by another process"),
    ):
        timelines(run_folder, clips, out=out, threshold=0.5)
    assert contents(out) == before
    # the same models elsewhere are the same models; what else a run predicts with counts too
    copy = Path(shutil.copytree(run_folder, tmp_path / "copy"))
    (copy / "report.html").touch()
    assert timelines(copy, clips, out=out, threshold=0.5).before == 3
    for name in LEARNT:
        (copy / name).write_text("{}")
        with pytest.raises(RunError, match="other models"):
            timelines(copy, clips, out=out, threshold=0.5)
        (copy / name).unlink()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threshold": 2}, "threshold must lie in"),
        ({"positions": 0}, "positions must be"),
        ({"treshold": 0.5}, "no option treshold, but window_seconds, "),
    ],
)
def test_a_wrong_option_leaves_no_folder(
    options: dict[str, Any], words: str, seen: Seen, run_folder: Path, clips: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        timelines(run_folder, clips, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
