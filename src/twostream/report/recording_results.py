"""RUN/recordings as the report needs it: what is true and predicted, and how well both agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twostream.judging import Agreement
from twostream.judging.stretches import Compared, compared
from twostream.labels import Labels, Recording, csv_table
from twostream.labels.formats import joined_labels
from twostream.schema import parse_json
from twostream.types import TwoStreamError

FOLDER = "recordings"
TRUE, PREDICTED, MADE = "true.csv", "predicted", "made.json"
AGREEMENT, BUDGET = "agreement.json", "time-budget.csv"


@dataclass(frozen=True)
class RecordingResults:
    """How well the bouts of the recordings that were tested are found.

    Attributes:
        agreement: every measure.
        sides: true and predicted bouts in the time that was compared.
    """

    agreement: Agreement
    sides: Compared


def read_recordings(run: Path, problems: list[str]) -> RecordingResults | None:
    """Read what a run was judged by; None where its data are clips, or with a sentence."""
    folder = run / FOLDER
    try:
        text = (folder / AGREEMENT).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problems.append(f"{FOLDER}/{AGREEMENT} cannot be read ({error}).")
        return None
    try:
        agreement = Agreement.from_json(parse_json(text))
        sides = compared(csv_table.read(folder / TRUE), _predicted(folder, agreement.recordings))
    except (TwoStreamError, ValueError) as error:
        problems.append(f"{FOLDER} is damaged, and left out ({error}).")
        return None
    return RecordingResults(agreement, sides)


def _predicted(folder: Path, videos: tuple[str, ...]) -> Labels:
    """Return what is predicted of videos; nothing of those that could not be read."""
    parts = [csv_table.read(path) for path in sorted((folder / PREDICTED).glob("*.csv"))]
    parts = [part for part in parts if {each.video for each in part.recordings} <= set(videos)]
    there = {recording.video for part in parts for recording in part.recordings}
    parts += [Labels((Recording(video, ()),), ()) for video in videos if video not in there]
    return joined_labels(folder, parts)
