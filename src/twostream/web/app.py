"""The server: the page at /, the JSON API below /api/."""

# fastapi reads the types of its routes: they must not be strings
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import (
    FileResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect

from twostream.files import staged
from twostream.types import Progress, TwoStreamError
from twostream.web.allowed_names import Names
from twostream.web.analysis import in_words
from twostream.web.guard import HEALTH, Guard
from twostream.web.labelling import Labelling, label_api
from twostream.web.limits import Limits, RefusedError
from twostream.web.metrics import Measures, Watched
from twostream.web.news import told
from twostream.web.reloading import Reloading
from twostream.web.service import Run, Service
from twostream.web.uploads import Uploads, shown_name
from twostream.web.workers import Workers

STATIC = Path(__file__).parent / "static"

api = APIRouter(prefix="/api")


@contextmanager
def open_app(
    networks: Workers | None,
    name: str,
    *,
    limits: Limits,
    videos: Sequence[Path] = (),
    auth: str | None = None,
    names: Names | None = None,
    labelling: Labelling | None = None,
    reloading: Reloading | None = None,
    log: bool = False,
) -> Iterator[Any]:
    """Give the ASGI application of a run; its temporary files are gone afterwards.

    Args:
        networks: of the run, or an export; None: there is none yet, and videos are only labelled.
        name: of the run, for people.
        limits: of every visitor.
        videos: the server's own, to pick from.
        auth: "user:password" that every request must carry; None: everybody may ask.
        names: under which it answers; None: of this machine's own loopback.
        labelling: a folder to label; closed at the end.
        reloading: gives other networks of the run, when it is asked to.
        log: whether each request is logged.
    """
    with ExitStack() as held:
        folder = held.enter_context(staged(None))  # what a killed server left is removed
        service = Service(limits, Uploads(folder, limits), videos)
        measures = Measures()

        def serve(networks: Workers, name: str) -> None:
            measures.watch(networks)
            if reloading is not None:
                networks.on_changed = reloading.ask
            service.use(networks, name)

        def close() -> None:
            if labelling is not None:
                labelling.close()
            service.close()

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            yield
            close()

        app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
        app.state.service, app.state.labelling = service, labelling
        app.state.measures = measures
        held.callback(close)
        if networks is not None:
            serve(networks, name)
        if reloading is not None:
            reloading.on_networks = lambda networks: serve(networks, name)
        if labelling is not None:  # of what the page trains
            labelling.on_networks = serve
        app.include_router(api)
        app.include_router(label_api)
        app.add_api_route("/", _start)
        app.add_api_route(HEALTH, health)
        app.add_api_route("/metrics", metrics)
        app.mount("/", StaticFiles(directory=STATIC, html=True))
        for kind in (TwoStreamError, RequestValidationError, AnyHTTPException, ClientDisconnect):
            app.add_exception_handler(kind, _refuse)
        guard = Guard(app, names or Names("127.0.0.1"), auth)
        yield Watched(guard, measures, log=log)


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    if service.run is None:
        raise HTTPException(409, "there is no run here, only a folder to label: label.html")
    return service


async def _start(request: Request) -> Response:
    """Give the page of new videos, or where there is no run that of labels."""
    state = request.app.state
    if state.service.run is None and state.labelling is not None:
        return RedirectResponse("label.html", 307)
    return FileResponse(STATIC / "index.html")


Served = Annotated[Service, Depends(_service)]


async def health(request: Request) -> JSONResponse:
    """Tell whether videos can be answered: who asks may be a machine without the password."""
    run: Run | None = request.app.state.service.run
    alive = run is None or run.networks.alive > 0
    return JSONResponse({"status": "ok" if alive else "no worker is alive"}, 200 if alive else 503)


async def metrics(request: Request) -> Response:
    """Tell what was done, for Prometheus."""
    text, kind = request.app.state.measures.text()
    return Response(text, media_type=kind)


async def _received(request: Request, service: Served, name: str = "") -> AsyncIterator[Path]:
    """Give the video that is a request's body, until the answer is sent."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        how = "send the bytes of the video alone, as curl -X POST -T clip.avi does"
        raise RefusedError(how, 415)
    length = request.headers.get("content-length", "")
    if length.isdigit():
        service.limits.check_bytes(int(length))
    client = request.client.host if request.client else ""
    async with service.uploads.received(request.stream(), name, client) as path:
        yield path


async def _picked(service: Served, number: int) -> AsyncIterator[Path]:
    """Give one of the server's own videos."""
    if not 0 <= number < len(service.videos):
        raise HTTPException(404, "this video is not in the list")
    with service.uploads.place():
        yield service.videos[number]


def _of_predict(request: Request) -> None:
    """Refuse what ``predict`` does not take: a slip would be left out in silence."""
    known = ("name", "top", "timeline")
    if unknown := sorted(set(request.query_params) - set(known)):
        raise HTTPException(422, f"{unknown[0]}: no such option, there are {', '.join(known)}")


Received = Annotated[Path, Depends(_received)]
Picked = Annotated[Path, Depends(_picked)]
Finite = Annotated[float, Query(allow_inf_nan=False)]


@api.get("/model")
async def model(service: Served, request: Request) -> dict[str, Any]:
    """Tell what is served."""
    labelling: Labelling | None = request.app.state.labelling
    run = service.run
    assert run is not None
    served = run.networks.served
    return {
        "labelled": labelling and labelling.place.folder.resolve().name,
        "run": run.name,
        "classes": list(served.classes),
        "streams": list(served.streams),
        "limits": asdict(service.limits),
        "videos": [video.name for video in service.videos],
    }


@api.post("/predict", dependencies=[Depends(_of_predict)])
def predict(
    request: Request,
    service: Served,
    video: Received,
    name: str = "",
    top: Annotated[int, Query(ge=1)] = 5,
    timeline: bool = False,
) -> dict[str, Any]:
    """Label a video."""
    answer = service.predict(video, shown_name(name), top, timeline)
    request.app.state.measures.videos.inc()
    return answer


@api.post("/videos")
async def send(
    request: Request, service: Served, video: Received, name: str = ""
) -> StreamingResponse:
    """Show a video: lines of progress, the last one is what the page shows."""
    return _shown(request, service, video, shown_name(name))


@api.post("/videos/{number}")
async def pick(request: Request, service: Served, video: Picked) -> StreamingResponse:
    """Show one of the server's own videos likewise."""
    return _shown(request, service, video, video.name)


@api.get("/videos/{key}/moment")
def moment(service: Served, key: str, seconds: Finite) -> dict[str, Any]:
    """Show a moment of a video that was shown."""
    shown = service.show_moment(key, seconds)
    if shown is None:
        raise HTTPException(410, "this video is not in memory any more: send it again")
    return shown


def _shown(request: Request, service: Service, video: Path, name: str) -> StreamingResponse:
    measures: Measures = request.app.state.measures

    def show(progress: Progress) -> dict[str, Any]:
        try:
            page = service.show(video, name, progress)
        except TwoStreamError as error:  # told in a line: the status has been sent
            measures.refused(_status(error))
            raise
        measures.videos.inc()
        return page

    lines = told(show, name)
    return StreamingResponse(lines, media_type="application/x-ndjson; charset=utf-8")


def _status(error: Exception) -> int:
    return error.http_status if isinstance(error, RefusedError) else 422


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer what went wrong with one sentence."""
    match error:
        case ClientDisconnect():
            return Response(status_code=400)  # nobody reads it; nor is it a defect, to be traced
        case RequestValidationError():
            wrong, status = error.errors()[0], 422
            sentence = f"{wrong['loc'][-1]}: {wrong['msg']}"
        case AnyHTTPException():
            status, sentence = error.status_code, error.detail
            if sentence == HTTPStatus(status).phrase:  # no sentence of ours
                sentence = "there is nothing here"
        case _:
            name = request.query_params.get("name")
            labels = request.url.path.startswith(label_api.prefix)
            about_all = labels and name is None
            sentence = str(error) if about_all else in_words(error, shown_name(name))
            status = _status(error)
    return JSONResponse({"error": sentence}, status)
