"""Which files of a RUN, or of an exported one, its answers depend on."""

from __future__ import annotations

import hashlib
from pathlib import Path

from twostream.bout_model import BOUTS_NAME
from twostream.files import PROBED
from twostream.log_linear import FUSION_NAME
from twostream.prediction.contract import CONTRACT_NAME, is_exported, read_contract
from twostream.types import STREAMS, RunError

MODELS = tuple(f"{stream}.safetensors" for stream in STREAMS)
LEARNT = (FUSION_NAME, BOUTS_NAME)


def answering_files(run: Path) -> tuple[Path, ...]:
    """Return those that are there; with other contents a run may answer otherwise.

    Raises:
        ModelError: it is an exported one that is damaged.
    """
    if is_exported(run):
        return (run / CONTRACT_NAME, *(network for network, _ in read_contract(run).networks))
    return tuple(path for name in (*MODELS, *LEARNT) if (path := run / name).is_file())


def refuse_probed(run: Path) -> None:
    """Raise RunError where a RUN is an update's: it predicts, and has no results."""
    if (run / PROBED).is_file():
        raise RunError(
            f"{run} is of an update of last layers, without results: train anew for them"
        )


def answering_hash(run: Path) -> str:
    """Return the fingerprint of all files that a run or an export answers with."""
    digest = hashlib.sha256()
    for path in answering_files(run):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()
