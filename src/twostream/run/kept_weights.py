"""Which weights files a run's nets start from, in RUN/weights.json: by content, as its videos."""

from __future__ import annotations

from pathlib import Path

from twostream.files import read_json, write_json
from twostream.types import RunError
from twostream.video.fingerprint import content_hash

WEIGHTS_NAME = "weights.json"


def keep_weights(run: Path, file: Path) -> None:
    """Remember a file's content before a net starts from it, or see that it is what it was.

    The nets of a run's folds, and of its curve, must start from what its own started from.

    Args:
        run: the RUN folder.
        file: as it was asked for. What the run makes itself it may make again.

    Raises:
        RunError: another content than when the run began.
    """
    if not file.is_file() or file.resolve().is_relative_to(run.resolve()):
        return
    known = read_json(run / WEIGHTS_NAME) if (run / WEIGHTS_NAME).is_file() else {}
    content = content_hash(file)
    if known.get(str(file), content) != content:
        raise RunError(
            f"{file} is of another content than when {run} was begun: put the old one back, or "
            "choose another --out"
        )
    if str(file) not in known:
        write_json(run / WEIGHTS_NAME, known | {str(file): content})
