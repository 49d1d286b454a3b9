"""The contract of an exported folder: what goes into its networks, and what comes out.

``DIR/contract.json`` is written by ``export`` and holds everything that another program needs to
run the networks: inputs with shapes, types, units and order, how videos are stored before, which
frames and fields make a sample, and how scores become a prediction. ``export.describe`` lists it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twostream.bout_model import BoutModel
from twostream.log_linear import LogLinear
from twostream.schema import parse_json
from twostream.store.flow_store import StoreSettings
from twostream.types import ModelError, ModelSpec, UsageError

CONTRACT_NAME = "contract.json"
# In the first the answer is the mean of the streams, in the second what `fusion` says.
FORMAT, FORMAT_FUSED = "twostream-onnx-1", "twostream-onnx-2"
AVERAGED = "the mean of the streams' scores"


def is_exported(folder: Path) -> bool:
    """Tell whether a folder was written by ``twostream export``."""
    return (folder / CONTRACT_NAME).is_file()


def read_contract(folder: Path) -> list[tuple[Path, ModelSpec]]:
    """Read the contract of an exported folder: the ONNX files, and what each network sees.

    Raises:
        ModelError: damaged, of another version, or a network is missing.
    """
    path = folder / CONTRACT_NAME
    text = _read(path)
    with _readable(path):
        streams = [  # a contract must not lead out of its folder
            (folder / Path(stream["file"]).name, ModelSpec.from_json(stream["spec"]))
            for stream in text["streams"].values()
        ]
        for _, spec in streams:
            StoreSettings.of_model(spec)
    if not streams:
        raise ModelError(f"{path} names no network: export again")
    for network, _ in streams:
        if not network.is_file():
            raise ModelError(f"{path} names {network.name}, which is not there: export again")
    return streams


def exported_fusion(folder: Path) -> LogLinear | None:
    """Read how an exported folder's streams become one; None: by their mean.

    Raises:
        ModelError: damaged, or of another version.
    """
    path = folder / CONTRACT_NAME
    text = _read(path)
    if text["format"] == FORMAT:
        return None
    with _readable(path, "fusion: "):
        return LogLinear.from_json(text["fusion"])


def exported_bouts(folder: Path) -> BoutModel | None:
    """Read how long an exported run's bouts last; None: it does not know.

    Raises:
        ModelError: damaged, or of another version.
    """
    path = folder / CONTRACT_NAME
    said = _read(path).get("bouts")
    with _readable(path, "bouts: "):
        return None if said is None else BoutModel.from_json(said)


@contextmanager
def _readable(path: Path, what: str = "") -> Iterator[None]:
    """Raise a ModelError for what a damaged contract makes in the block."""
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise ModelError(f"{path} cannot be read ({what}{error}): export again") from error


def _read(path: Path) -> dict[str, Any]:
    with _readable(path):
        text = parse_json(path.read_text(encoding="utf-8"))
        if text["format"] not in (FORMAT, FORMAT_FUSED):
            raise ModelError(
                f"{path} has format {text['format']!r}, this version reads {FORMAT!r} and "
                f"{FORMAT_FUSED!r}: export again"
            )
    return dict(text)
