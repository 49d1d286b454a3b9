"""The server: the page at /, the JSON API below /api/."""

# fastapi reads the types of its routes: they must not be strings
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from twostream.prediction import TwoStreamPredictor
from twostream.types import TwoStreamError, UsageError
from twostream.web.analysis import in_words
from twostream.web.guard import Guard
from twostream.web.limits import Limits, RefusedError
from twostream.web.page import HERE, build_page, theme
from twostream.web.service import Service
from twostream.web.uploads import Uploads, shown_name


@contextmanager
def open_app(
    predictor: TwoStreamPredictor,
    name: str,
    *,
    limits: Limits,
    videos: Sequence[Path] = (),
    auth: str | None = None,
) -> Iterator[Any]:
    """Give the ASGI application of a run; its temporary files are gone afterwards.

    Args:
        predictor: the run, or an export.
        name: of the run, for people.
        limits: of every visitor.
        videos: the server's own, to pick from.
        auth: "user:password" that every request must carry; None: everybody may ask.

    Raises:
        UsageError: gradio is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="twostream-web-") as folder:
        uploads = Uploads(Path(folder), limits)
        service = Service(predictor, name, limits, uploads, tuple(videos))
        yield Guard(_application(service), auth)


def _application(service: Service) -> Any:
    page = build_page(service)
    import gradio as gr
    from fastapi import FastAPI, Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse, Response
    from starlette.requests import ClientDisconnect

    def sweep() -> None:
        while not service.stopped.wait(service.limits.time_limit):
            service.uploads.sweep(service.limits.stale_seconds)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sweeper = threading.Thread(target=sweep, daemon=True)
        sweeper.start()
        yield
        service.stopped.set()
        sweeper.join()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(TwoStreamError)
    async def refuse(request: Request, error: TwoStreamError) -> JSONResponse:
        name = shown_name(request.query_params.get("name"))
        status = error.http_status if isinstance(error, RefusedError) else 422
        return JSONResponse({"error": in_words(error, name)}, status)

    @app.exception_handler(RequestValidationError)
    async def refuse_option(request: Request, error: RequestValidationError) -> JSONResponse:
        wrong = error.errors()[0]
        return JSONResponse({"error": f"{wrong['loc'][-1]}: {wrong['msg']}"}, 422)

    @app.exception_handler(ClientDisconnect)
    async def left(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody reads it; nor is it a defect, to be traced

    async def receive(request: Request) -> str:
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise RefusedError(
                "send the bytes of the video alone, as curl -X POST -T clip.avi does", 415
            )
        length = request.headers.get("content-length", "")
        if length.isdigit():
            service.limits.check_bytes(int(length))
        return await service.uploads.receive(request.stream(), request.query_params.get("name", ""))

    @app.get("/api/model")
    async def model() -> dict[str, Any]:
        """Tell what is served."""
        spec, limits = service.predictor.spec, service.limits
        return {
            "run": service.name,
            "classes": list(spec.classes),
            "streams": list(service.predictor.streams),
            "limits": {
                "max_mb": limits.max_mb,
                "max_seconds": limits.max_seconds,
                "time_limit": limits.time_limit,
                "at_once": limits.at_once,
            },
        }

    @app.post("/api/upload")
    async def upload(request: Request) -> dict[str, str]:
        """Keep a video for the page, for a while."""
        return {"token": await receive(request)}

    @app.post("/api/predict")
    async def predict(
        request: Request, name: str = "", top: int = 5, timeline: bool = False
    ) -> dict[str, Any]:
        """Label a video."""
        token = await receive(request)

        def work() -> dict[str, Any]:
            with service.analysed(token, shown_name(name)) as (analysis, prediction):
                told = {**prediction.to_json(max(1, top)), "video": analysis.name}
                told["warning"] = analysis.warning
                if timeline:
                    told["timeline"] = analysis.timeline().to_json()
            return told

        return await run_in_threadpool(work)

    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=theme(),
        css=(HERE / "page.css").read_text("utf-8"),
        js="() => document.body.classList.remove('dark')",
    )


def read_auth(auth: str | None, auth_file: Path | None) -> str | None:
    """Return "user:password" from an option or the first line of a file.

    Raises:
        UsageError: both are given, the file cannot be read, or it is no such pair. What was given
            is not repeated.
    """
    if auth is not None and auth_file is not None:
        raise UsageError("--auth and --auth-file exclude each other")
    if auth_file is not None:
        try:
            auth = (auth_file.read_text("utf-8").splitlines() or [""])[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{auth_file} cannot be read: expected user:password") from error
    if auth is None:
        return None
    user, _, password = auth.partition(":")
    if not user or not password:
        raise UsageError("--auth takes user:password, and --auth-file a file that holds it")
    return auth
