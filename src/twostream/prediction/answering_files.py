"""Which files of a RUN, or of an exported one, its answers depend on."""

from __future__ import annotations

from pathlib import Path

from twostream.bout_model import BOUTS_NAME
from twostream.log_linear import FUSION_NAME
from twostream.prediction.contract import CONTRACT_NAME, is_exported, read_contract
from twostream.types import STREAMS

MODELS = tuple(f"{stream}.safetensors" for stream in STREAMS)
LEARNT = (FUSION_NAME, BOUTS_NAME)


def answering_files(run: Path) -> tuple[Path, ...]:
    """Return those that are there; with other contents a run may answer otherwise.

    Raises:
        ModelError: it is an exported one that is damaged.
    """
    if is_exported(run):
        return (run / CONTRACT_NAME, *(network for network, _ in read_contract(run)))
    return tuple(path for name in (*MODELS, *LEARNT) if (path := run / name).is_file())
