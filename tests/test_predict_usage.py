"""What `predict` is asked for and cannot do: one sentence, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from twostream.__main__ import run
from untrained import write_clip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "needs a VIDEO, or --live SOURCE"),
        # options of time lines
        ("clip.avi --srt x.srt", "--srt is for --timeline"),
        ("clip.avi --window 3", "--window is for --timeline"),
        ("clip.avi --timeline --video x.txt", "a film is written as one of"),
        ("clip.avi --timeline --window nan", "window_seconds must be a number above 0"),
        ("clip.avi --timeline --threshold 2", "threshold must lie in 0..1"),
        ("clip.avi --timeline --csv nowhere/x.csv", "no folder nowhere"),
        ("clip.avi --timeline --csv x.csv --scores ./x.csv", "would both write x.csv"),
        # of many of them
        ("clip.avi --out=o", "--out is for --timeline"),
        ("clip.avi --timeline --out=o --csv=x", "its table of all videos is OUT/segments.csv"),
        ("clip.avi --timeline --out=o --video=x", "--video is not for --out"),
        ("clip.avi --timeline --out=o --labels-format=boris", "--labels-format is for --labels"),
        ("clip.avi --timeline --shard=1/2", "--shard is for --timeline with --out"),
        # of sources
        ("--live 0 clip.avi", "leave clip.avi out"),
        ("--live 0 --timeline", "give one of them"),
        ("--live 0 --srt x.srt", "--srt is for --timeline"),
        ("clip.avi --seconds 3", "--seconds is for --live"),
        ("--live 0 --threshold nan", "threshold must lie in 0..1"),
        ("--live file:///x", "an address starts with"),
        ("--live 0 --live 0", "--live 0 is given twice"),
        ("--live rtsp://u:secret@h --live rtsp://u:secret@h", "rtsp://***@h is given"),
        # of alerts
        ("--live 0 --alert a>.5 --alert a>0.50", '"a > 0.5" is given twice'),
        ("--live 0 --alert jump>0.5", "no class jump, only a, b, c, d, e, f, g"),
        ("clip.avi --alert a>0.5", "--alert is for --timeline or --live"),
        ("clip.avi --timeline --webhook http://h/x", "--webhook is for --live"),
        ("clip.avi --timeline --out o --alert a>0", "--alert is not for --out"),
        ("--live 0 --on-alert true", "--on-alert is for --alert RULE"),
        ("--live 0 --alert-log x", "--alert-log is for --alert RULE"),
        ("--live 0 --alert a>0.5 --webhook h", "--webhook takes an address"),
    ],
)
def test_wrong_usage_is_one_sentence(
    arguments: str,
    words: str,
    run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.avi")
    assert run(["predict", str(run_folder), *arguments.split()]) == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said and "secret" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["clip.avi"]
