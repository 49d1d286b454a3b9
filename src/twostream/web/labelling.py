"""The labelling of a folder of videos: what its page asks of the server, below /api/label/."""

# fastapi reads the types of its routes: they must not be strings
import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response

from twostream.datasets.time_spans import length, without
from twostream.labels import Bout
from twostream.labels.recordings import MOST_SECONDS, OTHER, joined, one_line
from twostream.schema import from_json, parse_json
from twostream.types import DataError
from twostream.web.forecasts import Forecast, Forecasts
from twostream.web.label_frames import FramePictures
from twostream.web.label_store import ChangedError, LabelStore
from twostream.web.limits import Limits, RefusedError
from twostream.web.proposals import proposals
from twostream.web.training_job import TrainingChoice, TrainingJob, Update
from twostream.web.video_labels import VideoLabels, spans_of
from twostream.web.workers import Workers

MOST_BYTES, MOST_SECONDS_SENDING = 4_000_000, 60.0  # of a request
MOST_BOUTS = 20_000  # of a video

label_api = APIRouter(prefix="/api/label")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPlace:
    """What is labelled, and where what is made of it goes.

    Attributes:
        folder: videos, and their label files beside them.
        runs: folder of the RUNs that the page trains, and of predictions; made when it is needed.
        choice: how the page trains.
        device: that predictions are made on: "auto", "cpu" or "cuda".
    """

    folder: Path
    runs: Path
    choice: TrainingChoice
    device: str = "auto"


class Labelling:
    """A folder that is being labelled.

    Args:
        place: where.
        run: whose predictions are shown until the page has trained; None: none are.
        limits: of every visitor.

    Attributes:
        on_networks: given those of each RUN that the page has trained, and its name.

    Raises:
        DataError: the folder cannot be used.
    """

    def __init__(
        self,
        place: LabelPlace,
        run: Path | None,
        limits: Limits,
    ) -> None:
        self.place = place
        self.store = LabelStore(place.folder)
        self._stopped = threading.Event()
        self.pictures = FramePictures(limits, self._stopped)
        self.forecasts = Forecasts(
            place.runs / "timelines", place.runs, self.store.videos, place.device
        )
        self.training = TrainingJob(place.folder, place.runs, place.choice, self._trained)
        self.on_networks: Callable[[Workers, str], None] = lambda *what: None
        if run is not None:
            self.forecasts.use(run)

    def close(self) -> None:
        """End all work."""
        self._stopped.set()
        self.training.close()
        self.forecasts.close()
        self.pictures.close()

    def train(self, *, update: bool = False) -> None:
        """Start a training, or an update of the run that answers.

        Raises:
            DataError: nothing is labelled, or one is under way.
        """
        if not any(labels.bouts for labels, _ in self.store.all().values()):
            raise DataError(
                "label some bouts first: training needs two classes, of which one may be nothing"
            )
        again = Update(self.forecasts.run, self.store.videos()) if update else None
        self.training.start(again)

    def _trained(self, run: Path) -> None:
        self.forecasts.use(run)
        self.on_networks(Workers(run, 1, self.place.device), run.name)

    def path(self, name: str) -> Path:
        """Return a video's file: one that the folder holds now, and nothing else."""
        path = self.store.videos().get(name)
        if path is None:
            raise HTTPException(404, "this video is not in the folder")
        return path

    def overview(self) -> dict[str, Any]:
        """Return all videos, the classes, and what is under way."""
        videos = []
        for name, (labels, file) in self.store.all().items():
            state, found, share = self.forecasts.of(name, self.place.folder / name)
            videos.append(
                {
                    "name": name,
                    "bouts": len(labels.bouts),
                    "whole": labels.whole,
                    "file": file,
                    "state": state,
                    "share": share,
                    "why": found if isinstance(found, str) else None,
                }
            )
        run = self.forecasts.run
        return {
            "folder": self.place.folder.resolve().name,
            "classes": list(self.store.classes()),
            "videos": videos,
            "run": run.name if run else None,
            "training": self.training.state.to_json(),
            "notes": list(self.store.notes()),
        }

    def video(self, name: str) -> dict[str, Any]:
        """Return the labels of a video, and what the run says of it."""
        path = self.path(name)
        labels, file = self.store.all()[name]
        self.forecasts.first(name)
        state, found, share = self.forecasts.of(name, path)
        predicted = None
        if isinstance(found, Forecast):
            predicted = {"bouts": list(found.bouts), "warning": found.warning}
        return {
            **labels_shown(labels, file),
            "name": name,
            "state": state,
            "share": share,
            "why": found if isinstance(found, str) else None,
            "predicted": predicted,
        }

    def proposed(self) -> list[dict[str, Any]]:
        """Return the moments that would teach most, of the videos that have predictions."""
        forecasts, watched = {}, {}
        for name, (labels, _) in self.store.all().items():
            _, found, _ = self.forecasts.of(name, self.place.folder / name)
            if isinstance(found, Forecast):
                forecasts[name], watched[name] = found, labels.watched()
        classes = self.store.classes()
        return [
            {
                "video": each.video,
                "seconds": each.seconds,
                "uncertainty": each.uncertainty,
                "labels": [_worded(label, classes) for label in each.labels],
            }
            for each in proposals(forecasts, watched)
        ]


async def _labelling(request: Request) -> Labelling:
    found: Labelling | None = request.app.state.labelling
    if found is None:
        raise HTTPException(404, "no folder is being labelled: start with --label FOLDER")
    return found


async def _sent(request: Request) -> dict[str, Any]:
    """Return the JSON object that is a request's body."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RefusedError("send application/json", 415)
    body = bytearray()
    try:
        async with asyncio.timeout(MOST_SECONDS_SENDING):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise RefusedError(f"more than {MOST_BYTES / 1e6:g} MB of labels", 413)
    except TimeoutError as error:
        raise RefusedError("the labels came too slowly", 408) from error
    try:
        found = parse_json(bytes(body))
    except ValueError as error:
        raise RefusedError("this is no JSON", 422) from error
    if not isinstance(found, dict):
        raise RefusedError("a JSON object is needed", 422)
    return found


Used = Annotated[Labelling, Depends(_labelling)]
Sent = Annotated[dict[str, Any], Depends(_sent)]
Second = Annotated[int, Query(ge=0, le=int(MOST_SECONDS))]


@label_api.get("")
def overview(labelling: Used) -> dict[str, Any]:
    """Tell what is labelled, and what is under way."""
    return labelling.overview()


@label_api.get("/video")
def video(labelling: Used, name: str) -> dict[str, Any]:
    """Tell the labels of a video."""
    return labelling.video(name)


@label_api.put("/video")
def save(labelling: Used, name: str, sent: Sent) -> Any:
    """Change the labels of a video, unless they have been changed by others."""
    labelling.path(name)
    labels, version = labels_sent(sent)
    try:
        return labels_shown(*labelling.store.save(name, version, labels))
    except ChangedError as error:
        now = labels_shown(*labelling.store.all()[name])
        return JSONResponse({"error": str(error), "now": now}, 409)


@label_api.get("/frames")
def frames(labelling: Used, name: str, second: Second) -> Response:
    """Give the frames of a second of a video."""
    data = labelling.pictures.second(labelling.path(name), second)
    return Response(data, media_type="application/octet-stream")


@label_api.get("/proposals")
def proposed(labelling: Used) -> list[dict[str, Any]]:
    """Give the moments that would teach most."""
    return labelling.proposed()


@label_api.post("/classes")
def change_classes(labelling: Used, sent: Sent) -> list[str]:
    """Add a class, remove it, or call it otherwise."""
    match sent:
        case {"add": str(label)}:
            labelling.store.add_class(label)
        case {"remove": str(label)}:
            labelling.store.remove_class(label)
        case {"rename": str(label), "to": str(name)}:
            labelling.store.rename_class(label, name)
        case _:
            raise RefusedError(
                'say {"add": NAME}, {"remove": NAME} or {"rename": NAME, "to": NAME}', 422
            )
    return list(labelling.store.classes())


@label_api.post("/training")
def train(labelling: Used) -> dict[str, Any]:
    """Start a training on the labels as they are now."""
    labelling.train()
    return labelling.training.state.to_json()


@label_api.post("/update")
def update(labelling: Used) -> dict[str, Any]:
    """Start an update: new last layers for the networks that answer."""
    labelling.train(update=True)
    return labelling.training.state.to_json()


@label_api.delete("/training")
def stop_training(labelling: Used) -> dict[str, Any]:
    """Stop it."""
    labelling.training.stop()
    return labelling.training.state.to_json()


def _worded(label: str, classes: Sequence[str]) -> str:
    """Return what the page calls a class of a net: time without a label is "nothing" there."""
    return "nothing" if label == OTHER and label not in classes else one_line(label)


@dataclass(frozen=True, slots=True)
class PageBout:
    """A ``Bout`` as the page sends and takes it."""

    start: float
    end: float
    label: str
    subject: str = ""
    annotator: str = ""
    confidence: float | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class PageLabels:
    """What the page sends: the labels of a video, and the version of those that were changed."""

    version: str
    bouts: tuple[PageBout, ...]
    nothing: tuple[tuple[float, float], ...]
    whole: bool = False


def labels_shown(labels: VideoLabels, file: str) -> dict[str, Any]:
    """Return labels as the page takes them."""
    return {
        "version": labels.version,
        "bouts": [asdict(PageBout(*astuple(bout))) for bout in labels.bouts],
        "nothing": [list(span) for span in labels.nothing],
        "whole": labels.whole,
        "file": file,
    }


def labels_sent(sent: dict[str, Any]) -> tuple[VideoLabels, str]:
    """Return the labels that a page sends, and of which version they are.

    Raises:
        RefusedError: for what cannot be some.
    """
    try:
        page = from_json(PageLabels, sent, spare=True)
        if len(page.bouts) + len(page.nothing) > MOST_BOUTS:
            raise RefusedError(f"a video may have up to {MOST_BOUTS} bouts", 413)
        bouts = tuple(Bout(*astuple(each)) for each in page.bouts)
        nothing = joined(page.nothing)
    except ValueError as error:
        raise RefusedError(f"these cannot be labels: {error}", 422) from error
    apart = without(nothing, spans_of(bouts))
    return VideoLabels(bouts, apart if length(apart) else (), page.whole), page.version
