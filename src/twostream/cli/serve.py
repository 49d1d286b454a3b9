"""The verb serve: a page and a JSON API for new videos."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from twostream import stopping
from twostream.cli import options
from twostream.cli.console import Shown
from twostream.cli.options import CUDA, own

if TYPE_CHECKING:
    from twostream.web.labelling import LabelPlace

logger = logging.getLogger(__name__)

LABELLING = "Labelling"
MaybeRun = Annotated[
    Path | None,
    typer.Argument(metavar="[RUN]", help="A RUN folder with trained models, or an exported one."),
]
LogKind = Literal["text", "json"]
GRACE_SECONDS = 3  # for answers that are under way when the server is stopped


def serve(
    run: MaybeRun = None,
    label: Path = own(
        None, "A folder of videos to label in the page, and to train on.", LABELLING, "--label"
    ),
    runs: Path = own(
        None,
        "Where the page's RUNs and predictions go; default FOLDER-runs here.",
        LABELLING,
        "--runs",
    ),
    recipe: options.RecipeName = own(None, "How the page trains.", LABELLING),
    steps: int = own(None, "SGD steps of the page's trainings.", LABELLING, min=1),
    host: str = own("127.0.0.1", "Address to listen at; 0.0.0.0: every one."),
    port: int = own(7860, "0 takes a free one.", min=0, max=65535),
    auth: str = own(None, "Asked of every visitor (HTTP basic).", metavar="USER:PASSWORD"),
    auth_file: Path = own(None, "The same, from a file's first line.", metavar="FILE"),
    allow_host: list[str] = own(
        None,
        "Another name that leads here, such as a proxy's.",
        None,
        "--allow-host",
        metavar="NAME",
    ),
    max_mb: float = own(100, "Largest video file, in MB."),
    max_seconds: float = own(60, "Longest video."),
    time_limit: float = own(120, "Seconds that the work on a video may take."),
    max_memory_mb: float = own(2000, "Memory that decoding a video may take, in MB."),
    at_once: int = own(
        None, "Videos worked on at the same time; default 2, or as many as --workers."
    ),
    workers: int = own(
        None, "Processes with the networks, beside the server's; default 2, with --label 1.", min=1
    ),
    videos: list[Path] = own(
        None, "A video, or a folder of them, to pick from.", None, "--video", metavar="VIDEO"
    ),
    log: LogKind = own("text", "json: a line a request and a note, on standard error."),
    accelerator: options.Device = "auto",
    as_json: options.AsJson = False,
) -> int:
    """Serve a page and a JSON API that label new videos; Ctrl-C ends it, SIGHUP loads RUN anew.

    With --label the page labels a folder of videos, by hand and by predictions that are corrected,
    and trains on it; RUN may be left out then.
    """
    from twostream.types import UsageError
    from twostream.web.limits import Limits

    try:
        import uvicorn  # noqa: F401  who answers needs it

        from twostream.web.allowed_names import Names
        from twostream.web.app import open_app
        from twostream.web.guard import read_auth
        from twostream.web.json_log import log_json
        from twostream.web.labelling import Labelling
        from twostream.web.reloading import Reloading
        from twostream.web.workers import Workers
    except ModuleNotFoundError as error:
        raise UsageError(f"the page needs {error.name}: pip install 'twostream[web]'") from error

    shown = Shown(as_json=as_json)
    if log == "json":
        log_json()
    workers = workers or (2 if label is None else 1)  # of one, clicks wait behind others' videos
    limits = Limits(
        max_mb=max_mb,
        max_seconds=max_seconds,
        time_limit=time_limit,
        max_memory_mb=max_memory_mb,
        at_once=max(2, workers) if at_once is None else at_once,
    )
    secret = read_auth(auth, auth_file)
    own = _own_videos(videos)
    if label is not None and workers > 1:
        raise UsageError("--label works with one worker: leave --workers out")
    place, run = _label_place(label, run, runs, recipe, steps, accelerator)
    served: dict[str, Any] = {"limits": limits, "videos": own, "auth": secret}
    with ExitStack() as held:
        load = partial(Workers, run, workers, CUDA[accelerator]) if run else None
        networks = held.enter_context(closing(load())) if load else None
        listener = held.enter_context(_listening(host, port))
        bound = listener.getsockname()
        alone = ipaddress.ip_address(bound[0].partition("%")[0]).is_loopback
        if place is not None:
            if not alone and secret is None:
                raise UsageError(
                    "--label writes files: at an address that others may reach it needs a "
                    "password, --auth USER:PASSWORD"
                )
            served["labelling"] = Labelling(place, run, limits)
        elif load is not None:
            served["reloading"] = Reloading(partial(load, gently=True))
        served["names"] = Names(host, allow_host or ())
        app = held.enter_context(open_app(networks, _name(run), log=log == "json", **served))
        if "reloading" in served:
            served["reloading"].listen()
        if not alone and secret is None:
            logger.warning("whoever reaches this address may use it: --auth asks for a password")
        shown_host = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        url = f"http://{shown_host}:{bound[1]}"
        _announce(shown, url, f"{url}/label.html" if place else url, as_json and log == "json")
        _answer(app, listener, own_log=log == "text")
    return 0


def _name(run: Path | None) -> str:
    return run.resolve().name if run else ""


def _announce(shown: Shown, url: str, page: str, quietly: bool) -> None:
    """Say where the server is; quietly: in the one JSON line alone, beside a log of such lines."""
    if not quietly:
        shown.out.print(f"page: {page}  API: {url}/api/predict", soft_wrap=True)
    shown.result({"page": page, "api": f"{url}/api/predict"})


def _own_videos(videos: list[Path] | None) -> list[Path]:
    """Return the server's own videos, each of which is there."""
    from twostream.prediction.videos import find_videos
    from twostream.types import UsageError

    own = list(find_videos(videos)) if videos else []
    missing = next((video for video in own if not (video.is_file() or video.is_dir())), None)
    if missing is not None:  # the page would offer it to every visitor
        raise UsageError(f"--video {missing}: no such file")
    return own


def _answer(app: Any, listener: socket.socket, *, own_log: bool) -> None:
    """Answer whoever asks, until the server is stopped.

    Args:
        app: the ASGI application.
        listener: where they ask.
        own_log: whether uvicorn writes its log as it does.
    """
    import uvicorn

    from twostream.web.patience import PatientProtocol

    how: dict[str, Any] = {} if own_log else {"log_config": None}
    config = uvicorn.Config(
        app,
        **how,
        http=PatientProtocol,
        log_level="warning",
        ws="none",
        timeout_graceful_shutdown=GRACE_SECONDS,
        # who is on this machine could call itself anybody; behind a proxy, uvicorn's variable
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
    )
    # uvicorn ends in order and then raises the signal again
    stopping.listen()
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def _label_place(
    label: Path | None,
    run: Path | None,
    runs: Path | None,
    recipe: str | None,
    steps: int | None,
    accelerator: str,
) -> tuple[LabelPlace | None, Path | None]:
    """Return what is labelled, and the run that is served: the page's newest where none is named.

    Raises:
        UsageError: neither a run nor a folder is named, or options that need one.
    """
    from twostream.types import UsageError
    from twostream.web.labelling import LabelPlace
    from twostream.web.training_job import TrainingChoice, newest_run

    if label is None:
        given = {"--runs": runs, "--recipe": recipe, "--steps": steps}
        if odd := next((name for name, value in given.items() if value is not None), None):
            raise UsageError(f"{odd} goes with --label FOLDER, and only with it")
        if run is None:
            raise UsageError("name a RUN to serve, or a folder of videos: --label FOLDER")
        return None, run
    folder = runs or Path(f"{label.resolve().name or 'labels'}-runs")
    choice = TrainingChoice(recipe=recipe, steps=steps, accelerator=accelerator)
    place = LabelPlace(folder=label, runs=folder, choice=choice, device=CUDA[accelerator])
    return place, run or newest_run(folder)


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; raises UsageError where it cannot."""
    from twostream.types import UsageError

    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:  # the latter of a name such as 127.0.0..1
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen at {host}:{port} ({why}): another --port, or --host"
        ) from error


COMMANDS = (serve,)
