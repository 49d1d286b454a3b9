"""One server and one browser for all tests of the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, Server, serving

from twostream.types import TemporalInput
from untrained import make_models, save_run, write_clip

MAX_MB = 1.0


@pytest.fixture(scope="session")
def web_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of untrained networks whose scores are far from equal."""
    return save_run(
        tmp_path_factory.mktemp("run") / "of-tests", make_models(TemporalInput(length=4))
    )


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a texture that drifts; its name is no HTML."""
    return write_clip(tmp_path_factory.mktemp("sent") / "drift <b>.avi", frames=60)


@pytest.fixture(scope="session")
def server(web_run: Path, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with serving(web_run, folder, "--max-mb", f"{MAX_MB}", "--max-seconds", "20") as running:
        yield running
        assert not [p for p in running.files() if "twostream" in str(p)]


@pytest.fixture
def browser(server: Server, tmp_path: Path) -> Iterator[Browser]:
    with Browser(server.url, tmp_path) as opened:
        yield opened
