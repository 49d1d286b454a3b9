"""The verb serve: wrong options are one sentence, and nothing is told that is secret."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

import twostream.web
from twostream.__main__ import run
from twostream.types import UsageError
from twostream.web.guard import read_auth


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-mb", "0"], "--max-mb must be a number above 0"),
        (["--max-seconds", "nan"], "--max-seconds must be a number above 0"),
        (["--at-once", "-1"], "--at-once must be a number above 0"),
        (["--time-limit", "0"], "--time-limit must be a number above 0"),
        (["--auth", "secret"], "--auth takes user:password"),
        (["--auth", "a:b", "--auth-file", "x"], "exclude each other"),
        (["--auth-file", "missing"], "missing cannot be read"),
        (["--host", "no.such.host.invalid"], "cannot listen at no.such.host.invalid"),
        (["--host", "192.0.2.1"], "cannot listen at 192.0.2.1"),
        (["--host", "127.0.0..1"], "cannot listen at 127.0.0..1"),
        (["--video", "missing.avi"], "--video missing.avi: no such file"),
    ],
)
def test_wrong_options(
    web_run: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", str(web_run), "--port", "0", *options]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and "secret" not in said


def test_labelling_has_one_worker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--label", str(tmp_path), "--workers", "2"]) == 2
    assert "--label works with one worker: leave --workers out" in capsys.readouterr().err


def test_a_port_in_use(web_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["serve", str(web_run), "--port", str(port)]) == 2
    assert f"cannot listen at 127.0.0.1:{port}" in capsys.readouterr().err


def test_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", str(tmp_path)]) == 1
    assert "holds no trained model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "package", ["fastapi", "starlette.datastructures", "uvicorn", "prometheus_client"]
)
def test_without_the_extra(
    web_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str
) -> None:
    for name in [name for name in sys.modules if name.startswith("twostream.web.")]:
        monkeypatch.delattr(twostream.web, name.removeprefix("twostream.web."))  # put back as well
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert run(["serve", str(web_run)]) == 2
    assert f"the page needs {package}: pip install 'twostream[web]'" in capsys.readouterr().err


def test_a_password_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "auth"
    file.write_text("anna:pass:word \nmore\n")
    assert read_auth(None, file) == "anna:pass:word"
    assert read_auth("a:b", None) == "a:b" and read_auth(None, None) is None
    for content in (b"", b"anna\n", b":x\n", b"anna:\n", b"\xff\xfe"):
        file.write_bytes(content)
        with pytest.raises(UsageError) as caught:
            read_auth(None, file)
        assert "anna" not in str(caught.value)


def test_an_export_is_served_without_torch() -> None:
    """Nothing of the page imports torch: only the saliency of a run does, when it is asked for."""
    code = "import sys, twostream.web.app; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
