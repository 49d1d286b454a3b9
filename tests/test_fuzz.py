"""Every parser of files that may come from strangers, fed with broken ones.

A few of each run always; FUZZ_EXAMPLES says how many (``make fuzz``: thousands). What is asked: an
error of ours in one sentence, or a value; no other exception, in 20 seconds and a gigabyte.
"""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import signal
import sys
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.broken_json import broken, damaged
from fuzz.broken_videos import broken_video, parts_of
from twostream.types import TwoStreamError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15"))
LIMIT_SECONDS, LIMIT_BYTES = 20, 1 << 30
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=LIMIT_SECONDS * 1000,
    derandomize=EXAMPLES < 100,  # always the same few
    database=None,
    suppress_health_check=list(HealthCheck),
)


def held(read: Callable[[], object]) -> None:
    """Fail unless a parser gives a value, or an error of ours in one sentence."""
    try:
        read()
    except TwoStreamError as error:
        assert "\n" not in str(error) and str(error)


JSON_FILES = ("fusion.json", "results.json", "settings.json", "asked.json", "videos.json")


@pytest.fixture(scope="module")
def run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a finished run, to break one file of at a time."""
    copy: Path = shutil.copytree(tiny_run, tmp_path_factory.mktemp("fuzz") / "run")
    return copy


def read_run(run: Path) -> None:
    """Read a run as the verbs do."""
    from twostream.datasets.kept_videos import kept_videos
    from twostream.files import ASKED, read_json
    from twostream.log_linear import read_fusion
    from twostream.report import write_report
    from twostream.report.card import write_card
    from twostream.run.settings import RunSettings

    for read in (
        lambda: read_fusion(run),
        lambda: kept_videos(run),
        lambda: RunSettings.from_asked(read_json(run / ASKED)),
        lambda: write_card(run),
        lambda: write_report(run),
    ):
        held(read)


@pytest.mark.parametrize("name", JSON_FILES)
def test_json_of_a_run(run: Path, name: str) -> None:
    path = run / name
    whole = path.read_bytes()

    @settings(fuzzed, max_examples=-(-EXAMPLES // 3))  # each is a report
    @given(broken(json.loads(whole)))
    def check(value: Any) -> None:
        path.write_text(json_text(value))
        read_run(run)

    try:
        check()
    finally:
        path.write_bytes(whole)


def json_text(value: Any) -> str:
    """Return JSON; of what is too deep for the encoder, such text by hand."""
    try:
        return json.dumps(value)
    except RecursionError:
        return '{"a": ' * 5000 + "0" + "}" * 5000


def test_store_settings_and_clips(run: Path, tmp_path: Path) -> None:
    from twostream.store.clip_file import ClipFile
    from twostream.store.flow_store import FlowStore

    store = run / "flow"
    clip = next(path for path in store.rglob("*") if path.is_file() and path.suffix != ".json")

    @fuzzed
    @given(broken(json.loads((store / "store.json").read_text())), damaged(clip.read_bytes()))
    def check(value: Any, data: bytes) -> None:
        (tmp_path / "store.json").write_text(json_text(value))
        held(lambda: FlowStore.open(tmp_path))
        (tmp_path / clip.name).write_bytes(data)
        held(lambda: opened(tmp_path / clip.name))

    def opened(path: Path) -> None:
        clip = ClipFile(path)
        clip.check()
        clip.kept(0, 1)

    check()


def test_model_files(run: Path, tmp_path: Path) -> None:
    from twostream.checkpoint import load_model

    data = (run / "spatial.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    spec_key = next(key for key, text in header["__metadata__"].items() if text[:1] == "{")
    spec = json.loads(header["__metadata__"][spec_key])
    path = tmp_path / "spatial.safetensors"

    @fuzzed
    @given(broken(spec), broken(header), damaged(data[: size + 64]))
    def check(value: Any, other: Any, start: bytes) -> None:
        metadata = {**header["__metadata__"], spec_key: json_text(value)}
        for head in ({**header, "__metadata__": metadata}, other):
            text = json_text(head).encode()
            path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
            held(lambda: load_model(path))
        path.write_bytes(start + data[size + 64 :])
        held(lambda: load_model(path))

    check()


def test_score_files(run: Path, tmp_path: Path) -> None:
    from twostream.scoring import load_scores

    data = (run / "scores" / "spatial-test.npz").read_bytes()
    path = tmp_path / "scores.npz"
    with np.load(io.BytesIO(data)) as kept:
        arrays = dict(kept)
    odd = st.sampled_from(
        [
            np.zeros(0), np.zeros((3, 2)), np.full((14, 14), np.nan), np.array("a"),
            np.array([1e40]), np.arange(14) + 10**9, np.array([b"\xff"]), np.zeros((1, 1, 1)),
        ]
    )  # fmt: skip

    @fuzzed
    @given(damaged(data), st.sampled_from(sorted(arrays)), odd)
    def check(broken_file: bytes, name: str, array: Any) -> None:
        path.write_bytes(broken_file)
        held(lambda: load_scores(path))
        with open(path, "wb") as file:
            np.savez(file, **{**arrays, name: array})
        held(lambda: load_scores(path))

    check()


def test_a_small_npz_cannot_fill_the_memory(run: Path, tmp_path: Path) -> None:
    from twostream.scoring import load_scores

    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("scores", "labels", "names"):
            head = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                head, {"descr": "<f4", "fortran_order": False, "shape": (1 << 29,)}
            )
            with file.open(f"{name}.npy", "w") as entry:
                entry.write(head.getvalue())
                for _ in range(64):
                    entry.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    assert ended_well(lambda: held(lambda: load_scores(path)))


TABLES = (
    "path,label,group,split\na/1.avi,a,g1,train\nb/2.avi,b,g2,test\n",
    "video;class\r\na/1.avi;a\r\nb/2.avi;b\r\n",
    "a/1.avi 0\nb/2.avi 1\n",
    "a/1.avi\ta\nb/2.avi\tb\n",
)


@pytest.mark.parametrize("text", TABLES)
def test_lists(tmp_path: Path, text: str) -> None:
    from twostream.datasets import load_dataset

    for name in ("a/1.avi", "b/2.avi"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    path = tmp_path / "clips.csv"

    @fuzzed
    @given(damaged(text.encode()))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        held(lambda: load_dataset(path).split(1))

    check()


def test_label_files(tmp_path: Path) -> None:
    from twostream.labels import FORMATS, Bout, Labels, Recording, read_labels, write_labels

    bouts = (
        Bout(0.5, 2, "walk", "Ann", "EK", 0.5, "slow"),
        Bout(1, 3, "walk"),
        Bout(2, 2.04, "run"),
    )
    recording = Recording("a.mp4", bouts, 5, 25, ((0, 1), (2, 4)), "g1", "train")
    labels = Labels((recording,), ("walk", "run", "rest"))
    whole: dict[str, bytes] = {}
    for name, module in FORMATS.items():
        path = tmp_path / f"{name}{module.HOLDS.suffixes[0]}"
        write_labels(labels, path, name)
        whole[path.name] = path.read_bytes()

    @fuzzed
    @given(st.data())
    def check(data: st.DataObject) -> None:
        for name, text in whole.items():
            path = tmp_path / name
            path.write_bytes(data.draw(damaged(text)))
            held(lambda: read_labels(path, path.stem, fps=25))  # noqa: B023
            held(lambda: read_labels(path, fps=25))  # noqa: B023
            if text[:1] in b"{[":
                path.write_text(json_text(data.draw(broken(json.loads(text)))))
                held(lambda: read_labels(path, path.stem, fps=25))  # noqa: B023

    check()


def test_contracts_of_exports(run: Path, tmp_path: Path) -> None:
    from twostream.checkpoint import load_model
    from twostream.prediction.contract import read_contract

    spec = load_model(run / "spatial.safetensors").spec
    fusion = json.loads((run / "fusion.json").read_text())
    stream = {"file": "spatial.onnx", "spec": spec.to_json()}
    contract = {"format": "twostream-onnx-2", "streams": {"spatial": stream}, "fusion": fusion}
    (tmp_path / "spatial.onnx").touch()

    @fuzzed
    @given(broken(contract))
    def check(value: Any) -> None:
        (tmp_path / "contract.json").write_text(json_text(value))
        held(lambda: read_contract(tmp_path))

    check()


# ---- videos


def ended_well(work: Callable[[], object]) -> bool:
    """Run in a process of its own within the limits; True where it ended without an error."""
    process = os.fork()
    if not process:
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_SECONDS, LIMIT_SECONDS + 5))
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT_BYTES, used + LIMIT_BYTES))
        signal.alarm(3 * LIMIT_SECONDS)
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001  told, and counted as a failure
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitpid(process, 0)[1] == 0


def read_whole(path: Path) -> None:
    """Decode a video as the extraction does, but not more than 2,000 frames."""
    from twostream.video import VideoReader

    with VideoReader(path, short_side=64) as reader:
        for frame in islice(reader, 2000):
            assert frame.rgb.shape[:2] == reader.size


@pytest.fixture(scope="module")
def sources(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Videos to break: H.264 in MP4 and AVI's MPEG-4 of our own, and real ones where they are."""
    from twostream.video import VideoReader, VideoWriter

    folder = tmp_path_factory.mktemp("videos")
    clip = next(tiny_data.rglob("*.avi"))
    found = [clip]
    with VideoReader(clip) as reader:
        frames = [frame.rgb for frame in reader]
    height, width = frames[0].shape[:2]
    for suffix in ("mp4", "mkv"):
        with VideoWriter(folder / f"a.{suffix}", fps=25, height=height, width=width) as writer:
            for rgb in frames:
                writer.write(rgb)
        found.append(folder / f"a.{suffix}")
    real = sorted((DATA / "robustness").glob("*.m*")) if DATA.is_dir() else []
    return found + [path for path in real if path.stat().st_size < 1 << 20]


def test_the_breaker_knows_boxes_and_chunks(sources: list[Path]) -> None:
    names = {path.suffix: len(parts_of(path.read_bytes())) for path in sources[:2]}
    assert names[".avi"] > 20 and names[".mp4"] > 15


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process are Linux's")
def test_broken_videos(sources: list[Path], tmp_path: Path) -> None:
    count = 2 * EXAMPLES
    whole = [path.read_bytes() for path in sources]
    failed = []
    for number in range(count):
        source = sources[number % len(sources)]
        random = np.random.default_rng(number)
        path = tmp_path / f"broken{source.suffix}"
        path.write_bytes(broken_video(whole[number % len(sources)], random))
        if not ended_well(lambda: held(lambda: read_whole(path))):  # noqa: B023
            failed.append(f"{source.name} broken with seed {number}")
            shutil.copy(path, tmp_path / f"failed-{number}{source.suffix}")
    assert not failed
