"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from listening import listening
from twostream import stopping

if TYPE_CHECKING:
    from twostream.prediction import TwoStreamPredictor

# The nets of the tests are tiny: threads inside one operation only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell without job control lets what it starts with "&" ignore Ctrl-C, and so all that is started
# and stopped here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips that lies beside the checkout; tests skip where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the real clips in ../shared/data, which are not part of the repository")
    return SHARED / "data"


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """ImageNet SqueezeNet weights beside the checkout; tests skip where they are absent."""
    path = SHARED / "weights" / "squeezenet1_0-imagenet.safetensors"
    if not path.is_file():
        pytest.skip("needs ../shared/weights, which is not part of the repository")
    return path


@pytest.fixture(autouse=True)
def stops_answered_as_before() -> Iterator[None]:
    """No test leaves its own answer to a stop: one that sends a stop later would end by it."""
    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    with stopping.handlers_kept():
        yield
        after = [signal.getsignal(number) for number in stopping.SIGNALS]
    assert after == before and not stopping.asked_for()


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What the package tells people during a test, a line each."""
    with listening() as lines:
        yield lines


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip GPU tests without a GPU, unless REQUIRE_CUDA=1 turns that into failures."""
    gpu_items = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu_items or os.environ.get("REQUIRE_CUDA") == "1":
        return
    import torch

    if not torch.cuda.is_available():
        for item in gpu_items:
            item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of one test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def made_once(folder: Path, make: Callable[[], object]) -> Path:
    """Make a folder in the first process that needs it; the others wait and take it."""
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        done = folder.with_name(f"{folder.name}.done")
        if not done.is_file():
            make()
            done.touch()
    return folder


@pytest.fixture(scope="session")
def tiny_data(shared_folder: Path) -> Path:
    """The built-in data set with four groups as real video files: 42 clips to train, 14 to test."""
    from twostream.synthetic import render_dataset

    clips = shared_folder / "clips"
    return made_once(clips, lambda: render_dataset(clips, seed=1, groups=4))


@pytest.fixture(scope="session")
def few_data(tiny_data: Path, shared_folder: Path) -> Path:
    """Its first two classes: 12 clips to train, 4 to test."""
    clips = shared_folder / "few"
    names = sorted(path.name for path in tiny_data.iterdir() if path.is_dir())[:2]

    def copy() -> None:
        for name in names:
            shutil.copytree(tiny_data / name, clips / name, dirs_exist_ok=True)

    return made_once(clips, copy)


@pytest.fixture(scope="session")
def other_data(shared_folder: Path) -> Path:
    """Other clips of the same classes."""
    from twostream.synthetic import render_dataset

    clips = shared_folder / "others"
    return made_once(clips, lambda: render_dataset(clips, seed=7, groups=3))


@pytest.fixture(scope="session")
def tiny_run(tiny_data: Path, shared_folder: Path) -> Path:
    """A finished run of a few steps on the tiny data set; tests must not change it."""
    from twostream.recipes import make_recipe
    from twostream.run import RunSettings, train_run

    recipe = make_recipe("quick", steps=10, test_positions=3, fit_folds=2)
    run = shared_folder / "tiny"
    return made_once(run, lambda: train_run(RunSettings(data=str(tiny_data), recipe=recipe), run))


@pytest.fixture(scope="module")
def predictor() -> TwoStreamPredictor:
    """Untrained networks of both streams."""
    from twostream.prediction import TwoStreamPredictor
    from untrained import INPUTS, make_models

    return TwoStreamPredictor.from_models(make_models(INPUTS["stack"]))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RUN folder of such networks."""
    from untrained import INPUTS, make_models, save_run

    return save_run(tmp_path_factory.mktemp("runs") / "run", make_models(INPUTS["stack"]))
