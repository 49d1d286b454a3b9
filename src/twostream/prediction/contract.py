"""The contract of an exported folder: what goes into its networks, and what comes out.

``DIR/contract.json`` is written by ``export`` and holds everything that another program needs to
run the networks: inputs with shapes, types, units and order, how videos are stored before, which
frames and fields make a sample, and how scores become a prediction. ``export.describe`` lists it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Contract:
    """What an exported folder says of itself.

    Attributes:
        networks: the ONNX files, and what each network sees.
        fusion: how their answers become one; None: by their mean.
        bouts: how long they last in a time line; None: it does not know.
    """

    networks: tuple[tuple[Path, ModelSpec], ...]
    fusion: LogLinear | None
    bouts: BoutModel | None


def read_contract(folder: Path) -> Contract:
    """Read the contract of an exported folder.

    Raises:
        ModelError: damaged, of another version, or a network is missing.
    """
    path = folder / CONTRACT_NAME
    with _readable(path):
        text = parse_json(path.read_text(encoding="utf-8"))
        if text["format"] not in (FORMAT, FORMAT_FUSED):
            raise ModelError(
                f"{path} has format {text['format']!r}, this version reads {FORMAT!r} and "
                f"{FORMAT_FUSED!r}: export again"
            )
        networks = tuple(  # a contract must not lead out of its folder
            (folder / Path(stream["file"]).name, ModelSpec.from_json(stream["spec"]))
            for stream in text["streams"].values()
        )
        for _, spec in networks:
            StoreSettings.of_model(spec)
    if not networks:
        raise ModelError(f"{path} names no network: export again")
    for network, _ in networks:
        if not network.is_file():
            raise ModelError(f"{path} names {network.name}, which is not there: export again")
    with _readable(path, "fusion: "):
        fused = text["format"] == FORMAT_FUSED
        fusion = LogLinear.from_json(text["fusion"]) if fused else None
    with _readable(path, "bouts: "):
        bouts = BoutModel.from_json(text["bouts"]) if text.get("bouts") is not None else None
    return Contract(networks, fusion, bouts)


@contextmanager
def _readable(path: Path, what: str = "") -> Iterator[None]:
    """Raise a ModelError for what a damaged contract makes in the block."""
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise ModelError(f"{path} cannot be read ({what}{error}): export again") from error
