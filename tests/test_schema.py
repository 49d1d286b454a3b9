"""Values out of strangers' files: each that cannot be is one sentence with the file's name."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from twostream.checkpoint import FORMAT, read_spec
from twostream.datasets import AskedData
from twostream.flow import make_estimator
from twostream.log_linear import LogLinear, read_fusion, write_fusion
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.contract import read_contract
from twostream.recipes import QUICK, RECIPES
from twostream.run.description import read_results
from twostream.run.settings import RunSettings
from twostream.schema import check_json, from_json, parse_json
from twostream.scoring import load_scores, save_scores
from twostream.store.clip_file import FOOTER, MAGIC, ClipFile
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import (
    DataError,
    ModelError,
    RunError,
    StoreError,
    TemporalInput,
    UsageError,
    VideoScores,
)
from untrained import make_model, save_run

DEEP = "[" * 30_000 + "]" * 30_000
WRONG: tuple[Any, ...] = (None, "x", -1, 10**400, float("nan"), [[1]], {}, "deep")


@dataclass(frozen=True)
class Inner:
    height: int = 3


@dataclass(frozen=True)
class Example:
    fps: float
    kind: Literal["a", "b"] = "a"
    inner: Inner | None = None
    names: tuple[str, ...] = ()
    pair: tuple[int, int] = (1, 2)
    shares: dict[str, float] | None = None
    flag: bool = False


def test_a_dataclass_is_the_schema_of_its_own() -> None:
    given = {"fps": 25, "kind": "b", "inner": {"height": 7}, "names": ["x"], "pair": [3, 4]}
    found = from_json(Example, {**given, "shares": {"x": 0.5}, "flag": True})
    assert found == Example(25, "b", Inner(7), ("x",), (3, 4), {"x": 0.5}, True)
    check_json(Example, {"fps": 1, "more": 1, "inner": {"depth": 2}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fps": 10**9}, "fps must be a number from 0.01 to 10000, got 1000000000"),
        ({"fps": float("nan")}, "fps must be a number from"),
        ({"fps": True}, "got True"),
        ({"fps": 10**400}, "fps must be a number"),
        ({"kind": "c"}, "kind must be one of a, b, got 'c'"),
        ({"kind": []}, "kind must be one of"),
        ({"inner": {"height": 2.5}}, "inner: height must be a whole number"),
        ({"inner": {"depth": 1}}, "inner: it has 'depth', which is not known"),
        ({"names": "ab"}, "names must be a list"),
        ({"names": [1]}, "names must be a text, got 1"),
        ({"pair": [1]}, "pair must be a list of 2"),
        ({"shares": {"x": "y"}}, r"shares\.x must be a number, got 'y'"),
        ({"flag": 1}, "flag must be true or false"),
        ({"x" * 99: 1}, "which is not known"),
    ],
)
def test_what_is_not_declared_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_json(Example, {"fps": 1, **change})


def test_what_is_missing_or_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="it has no fps"):
        from_json(Example, {})
    with pytest.raises(ValueError, match="an object was expected, got 3"):
        from_json(Example, 3)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(DEEP)


def written(value: Any) -> str:
    return json.dumps(value).replace('"deep"', DEEP)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something could be another value: the whole, and each part of it."""
    inside = value.items() if isinstance(value, dict) else []
    inside = enumerate(value[:1]) if isinstance(value, list) else inside
    return [at, *(place for key, part in inside for place in places(part, (*at, key)))]


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    value = value.copy()
    value[at[0]] = changed(value[at[0]], at[1:], new)
    return value


def refuses_or_reads(
    value: Any,
    write: Callable[[str], object],
    read: Callable[[], object],
    error: type[Exception],
    name: str,
) -> None:
    """Put each wrong value in each place: it is read, or refused in one sentence."""
    refused = 0
    for at in places(value):
        for new in WRONG:
            write(written(changed(value, at, new)))
            try:
                read()
            except error as why:
                refused += 1
                said = str(why)
                assert name in said and "\n" not in said and len(said) < 600, (at, new, said)
    assert refused > len(places(value))
    write(written(value))
    read()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = make_model(TemporalInput(length=4))
    return save_run(tmp_path_factory.mktemp("stranger"), [model])


def described() -> dict[str, Any]:
    return json.loads(json.dumps(make_model(TemporalInput(length=4)).spec.to_json()))


def test_model_files(run: Path) -> None:
    path = run / "temporal.safetensors"
    weights, before = load_file(path), path.read_bytes()
    said = [""]
    refuses_or_reads(
        described(),
        lambda text: said.__setitem__(0, text),
        lambda: read_spec(path, {"spec": said[0]}),
        ModelError,
        "temporal.safetensors",
    )
    for change in (
        {"architecture": "vit_giant_patch14_224"},  # gigabytes, for a file of a megabyte
        {"architecture": "cnn-m-2048", "crop_size": 4096},
        {"classes": [str(i) for i in range(99_999)]},
        {"test_positions": 10**9},
        {"store": {"flow": "tvl1", "parameters": {"warps": 10**9}}},
        {"store": {"flow": "raft-small", "parameters": {"weights": "/dev/zero"}}},
    ):
        text = json.dumps({**described(), **change})
        save_file(weights, path, {"format": FORMAT, "spec": text})
        with pytest.raises(ModelError, match=r"temporal\.safetensors"):
            TwoStreamPredictor.load(run)
    path.write_bytes(before)


def test_contracts(run: Path, tmp_path: Path) -> None:
    (tmp_path / "temporal.onnx").touch()
    stream = {"file": "temporal.onnx", "spec": described()}
    contract = {"format": "twostream-onnx-1", "streams": {"temporal": stream}}
    path = tmp_path / "contract.json"
    refuses_or_reads(
        contract, path.write_text, lambda: read_contract(tmp_path), ModelError, "contract.json"
    )


def test_stores_and_clips(tmp_path: Path) -> None:
    FlowStore.create(tmp_path, StoreSettings())
    path = tmp_path / "store.json"
    settings = json.loads(path.read_text())
    refuses_or_reads(
        settings, path.write_text, lambda: FlowStore.open(tmp_path), StoreError, "store.json"
    )
    header = {"kind": "rgb", "video_id": "a", "height": 24, "width": 32, "fps": 25.0, "count": 0}

    def read() -> None:
        text = clip[0].encode()
        tail = FOOTER.pack(0, len(text), zlib.crc32(text), MAGIC)
        ClipFile(MAGIC + text + tail)

    clip = [""]
    refuses_or_reads(
        header, lambda text: clip.__setitem__(0, text), read, StoreError, "clip in memory"
    )


def test_the_fusion(tmp_path: Path) -> None:
    fusion = LogLinear(("a", "b"), ("spatial", "temporal"), (0.5, 1), (1, 1), 9, 0.7, 0.6)
    write_fusion(tmp_path, fusion)
    path = tmp_path / "fusion.json"
    value = json.loads(path.read_text())
    refuses_or_reads(value, path.write_text, lambda: read_fusion(tmp_path), RunError, "fusion.json")


def test_what_a_run_keeps(tmp_path: Path) -> None:
    asked = json.loads(json.dumps(RunSettings(data="clips", recipe=QUICK).asked()))
    path = tmp_path / "asked.json"
    path.write_text(json.dumps(asked))
    assert RunSettings.from_asked(asked) == RunSettings(data="clips", recipe=QUICK)
    assert AskedData.of(tmp_path).data == "clips"
    for change in ({"seed": "x"}, {"data": 3}, {"fold": [1]}):
        path.write_text(json.dumps({**asked, **change}))
        with pytest.raises(RunError, match=r"asked\.json is damaged"):
            AskedData.of(tmp_path)
    for change in ({"recipe": []}, {"temporal": 3}, {"others": "x"}, {"how": "never"}):
        with pytest.raises(RunError, match=r"asked\.json does not say"):
            RunSettings.from_asked({**asked, **change})
    results = {
        "classes": ["a"],
        "train_videos": 3,
        "train_accuracy": {"spatial": 1.0},
        "others": {"x": {"accuracy": 0.5, "test_videos": 3}},
    }
    file = tmp_path / "results.json"
    refuses_or_reads(
        results, file.write_text, lambda: read_results(tmp_path), RunError, "results.json"
    )
    file.write_text(json.dumps({**results, "train_accuracy": {"spatial": float("nan")}}))
    read_results(tmp_path)  # of a run of before, over no clips


SCORES = VideoScores(
    ("a", "b"), np.array([0, 1]), ("x", "y"), np.eye(2, dtype=np.float32), stream="spatial"
)


def score_file(path: Path, **arrays: Any) -> Path:
    save_scores(path, SCORES)
    with np.load(path) as file:
        values = dict(file)
    np.savez_compressed(path, **{**values, **arrays})
    return path


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"scores": np.full((2, 2), np.nan, np.float32)}, "not finite"),
        ({"labels": np.array([0, 7])}, "labels outside"),
        ({"labels": np.array([0.5, 1])}, "labels is of kind float64"),
        ({"labels": np.zeros((2, 1), int)}, "shapes"),
        ({"scores": np.zeros(4)}, "shapes"),
        ({"names": np.array("a")}, "shapes"),
        ({"kind": np.array("guesses")}, "kind 'guesses'"),
        ({"unreadable": np.array("[1]")}, "unreadable"),
        ({"unreadable": np.array(DEEP)}, "nested too deeply"),
        ({"names": np.array([{}, {}])}, "names is of kind object"),
    ],
)
def test_score_files(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=rf"x\.npz is damaged.*{words}"):
        load_scores(score_file(tmp_path / "x.npz", **arrays))


def test_a_score_file_is_not_unpacked_to_gigabytes(tmp_path: Path) -> None:
    """Nor are its arrays made: the headers alone claim 60 GB here."""
    path = score_file(tmp_path / "x.npz")
    assert load_scores(path).video_ids == ("a", "b")
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 2), }"
    with zipfile.ZipFile(path) as before:
        kept = {name: before.read(name) for name in before.namelist()}
    for rows in (2, 8_000_000_000):
        text = (header % rows).ljust(117) + b"\n"
        kept["scores.npy"] = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
        kept["scores.npy"] += np.eye(2, dtype="<f4").tobytes()
        with zipfile.ZipFile(path, "w") as file:
            for name, data in kept.items():
                file.writestr(name, data)
        if rows == 2:
            assert np.array_equal(load_scores(path).scores, np.eye(2))
    with pytest.raises(DataError, match="shapes"):
        load_scores(path)
    rows = 2_000_000
    many = {"names": np.full(rows, "a"), "scores": np.zeros((rows, 2), np.float32)}
    path = score_file(tmp_path / "y.npz", **many, labels=np.zeros(rows, np.int8))
    with pytest.raises(DataError, match=r"y\.npz is damaged.*claims to hold 2600"):
        load_scores(path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tvl1", {"warps": 10**9}),
        ("tvl1", {"warps": 1000, "inner_iterations": 1000}),
        ("tvl1", {"scale_step": 1.0}),
        ("brox", {"levels": 10**9}),
        ("brox", {"median_filtering": 10**6}),
        ("dis", {"patch_stride": 0}),
        ("dis", {"finest_scale": -1}),
        ("farneback", {"window_size": 10**9}),
        ("farneback", {"pyramid_scale": 1.5}),
    ],
)
def test_flow_that_would_take_for_ever(name: str, change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"lies in|multiply to"):
        make_estimator(name, **change)


def test_every_recipe_can_be_read_again() -> None:
    for recipe in RECIPES.values():
        assert from_json(type(recipe), json.loads(json.dumps(asdict(recipe)))) == recipe
