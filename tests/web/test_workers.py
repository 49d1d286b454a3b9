"""Networks in workers beside the server: nothing is lost when one dies, or the run is reloaded."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import Server, serving
from prometheus_client.parser import text_string_to_metric_families

from analysed import OwnNetworks, service_of
from twostream.prediction import TwoStreamPredictor
from twostream.types import RunError
from twostream.web import answers
from twostream.web.analysis import Decoded
from twostream.web.decoding import decoded
from twostream.web.limits import Deadline, Limits, RefusedError
from twostream.web.reloading import Reloading
from twostream.web.workers import Served, Workers
from untrained import make_model, save_run, write_clip

PASSWORD = ("anna", "secret")
WAIT_SECONDS = 120


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def crew(web_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two workers, a password and a log in JSON."""
    options = ("--workers", "2", "--log", "json", "--auth", ":".join(PASSWORD))
    with serving(web_run, tmp_path_factory.mktemp("crew"), *options) as running:
        yield running


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_clip(tmp_path_factory.mktemp("small") / "a.avi", frames=9).read_bytes()


def predict(crew: Server, content: bytes, name: str = "a.avi") -> httpx.Response:
    url = f"{crew.url}/api/predict"
    return httpx.post(url, params={"name": name}, content=content, auth=PASSWORD, timeout=60)


def measured(crew: Server) -> dict[tuple[str, ...], float]:
    """Return name and labels -> value of all that is told to Prometheus."""
    answer = httpx.get(f"{crew.url}/metrics", auth=PASSWORD)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name.removeprefix("twostream_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_what_was_done_is_counted_over_all_workers(crew: Server, small: bytes) -> None:
    before = measured(crew)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: predict(crew, small), range(6)))
    assert [answer.status_code for answer in found] == [200] * 6
    assert len({answer.text for answer in found}) == 1  # whichever worker it was
    assert predict(crew, b"no video").status_code == 422
    sent = {"params": {"name": "a.avi"}, "auth": PASSWORD, "timeout": 60}
    assert "label" in httpx.post(f"{crew.url}/api/videos", content=small, **sent).text
    assert "error" in httpx.post(f"{crew.url}/api/videos", content=b"no video", **sent).text
    for path in ("/one", "/one/two", "/page.js/../three"):
        assert httpx.get(crew.url + path, auth=PASSWORD).status_code == 404
    assert httpx.get(f"{crew.url}/api/model").status_code == 401
    after = measured(crew)

    def more(*key: str) -> float:
        return after[key] - before.get(key, 0)

    assert more("requests_total", "/api/predict", "200") == 6
    assert more("requests_total", "/api/predict", "422") == 1
    assert more("request_seconds_count", "/api/predict") == 7
    assert more("requests_total", "/api/videos", "200") == 2
    assert more("requests_total", "static", "404") == 3
    assert more("requests_total", "none", "401") == 1
    assert more("requests_total", "/metrics", "200") == 1  # the first one
    assert more("videos_predicted_total") == 7
    assert more("refused_total", "video") == 2 and more("refused_total", "password") == 1
    assert after["requests_in_flight",] == 1  # this one
    assert after["workers",] == 2 and after["workers_lost_total",] == 0
    assert not {"one", "two", "three", "/one"} & {word for key in after for word in key}


def test_health_is_told_without_the_password_and_nothing_else_is(crew: Server) -> None:
    answer = httpx.get(f"{crew.url}/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    # a visitor's cookie counts its own wrong passwords: handed out here, it would allow any number
    assert "set-cookie" not in answer.headers
    assert httpx.get(f"{crew.url}/metrics").status_code == 401
    assert httpx.get(f"{crew.url}/healthz/x").status_code == 401
    assert httpx.get(f"{crew.url}/healthz", headers={"host": "evil.example"}).status_code == 403


@pytest.mark.slow
def test_a_reload_loses_no_request(crew: Server, small: bytes) -> None:
    """Four visitors send one video after the other all the while; a page that is open goes on."""
    sent = {"params": {"name": "a.avi"}, "auth": PASSWORD, "timeout": 60}
    lines = httpx.post(f"{crew.url}/api/videos", content=small, **sent).text.splitlines()
    page = json.loads(lines[-1])
    done, statuses = threading.Event(), []

    def visit(number: int) -> None:
        with httpx.Client(auth=PASSWORD, timeout=60) as client:  # on one connection
            while not done.is_set():
                answer = client.post(f"{crew.url}/api/predict", content=small)
                statuses.append(answer.status_code)

    def loaded() -> bool:
        return crew.log.read_text().count("the run was loaded again") == 1

    with ThreadPoolExecutor(4) as pool:
        visitors = [pool.submit(visit, number) for number in range(4)]
        try:
            crew.process.send_signal(signal.SIGHUP)
            wait_until(loaded)
            after = len(statuses)
            wait_until(lambda: len(statuses) > after + 8)  # those who came later, too
        finally:
            done.set()
        for visitor in visitors:
            visitor.result()
    assert set(statuses) == {200}
    assert measured(crew)["workers",] == 2 and measured(crew)["workers_lost_total",] == 0
    url = f"{crew.url}/api/videos/{page['key']}/moment"
    seconds = {"seconds": page["moment"]["seconds"]}
    assert httpx.get(url, params=seconds, auth=PASSWORD, timeout=60).json() == page["moment"]


def test_the_log_has_a_line_a_request_and_no_secret(crew: Server, small: bytes) -> None:
    def requests() -> list[dict[str, Any]]:
        whole, _, _ = crew.log.read_text().rpartition("\n")
        lines = [json.loads(line) for line in whole.splitlines()]
        return [line for line in lines if line.get("event") == "request"]

    httpx.request("DELETE", f"{crew.url}/", auth=PASSWORD)  # what came before it is written by then
    wait_until(lambda: any(line["method"] == "DELETE" for line in requests()))
    before = len(requests())
    assert predict(crew, small, "private.avi").status_code == 200
    assert httpx.get(f"{crew.url}/api/model", auth=("anna", "guess")).status_code == 401
    assert httpx.get(f"{crew.url}/some/where?token=private", auth=PASSWORD).status_code == 404
    wait_until(lambda: len(requests()) == before + 3)  # each is written once its answer is sent
    first, second, third = sorted(requests()[before:], key=lambda line: line["status"])
    assert first["milliseconds"] > 1 and first["time"].endswith("Z") and first["level"] == "info"
    same = {"event": "request", "level": "info", "client": "127.0.0.1"}
    for line, method, path, status in (
        (first, "POST", "/api/predict", 200),
        (second, "GET", "none", 401),
        (third, "GET", "static", 404),
    ):
        del line["milliseconds"], line["time"]
        assert line == {**same, "method": method, "path": path, "status": status}
    for secret in ("secret", "guess", "YW5uYTp", "private", "where", "twostream-visitor"):
        assert secret not in crew.log.read_text()


@pytest.fixture
def seen(web_run: Path, clip: Path) -> Decoded:
    served = Served.of(TwoStreamPredictor.load(web_run))
    limits = Limits()
    files = decoded(clip, served.settings, served.kinds, limits, lambda **news: None)
    return Decoded(clip, "a.avi", files)


def pids(workers: Workers) -> list[int | None]:
    """The numbers of the processes that are alive."""
    return [each.process.pid for each in (*workers._idle, *workers._busy) if each.alive]


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_video_done_by_another(
    web_run: Path, seen: Decoded, caplog: pytest.LogCaptureFixture
) -> None:
    own = OwnNetworks.of_run(web_run)
    wanted, timeline = own.do(answers.shown, seen, deadline=Deadline(60))
    with closing(Workers(web_run, 1, "cpu")) as workers:
        assert workers.served == own.served
        (first,) = pids(workers)
        killed: list[int] = []

        def kill(task: str, done: float, total: float, detail: str = "") -> None:
            if not killed:
                killed.extend(pids(workers))
                os.kill(first, signal.SIGKILL)

        found, again = workers.do(
            answers.shown, seen, deadline=Deadline(WAIT_SECONDS), progress=kill
        )
        assert killed == [first] and found == wanted
        assert again.scores.tolist() == timeline.scores.tolist()
        (second,) = pids(workers)
        assert second != first and workers.lost == 1 and workers.alive == 1
        assert "a worker ended" in caplog.text

        def leave(task: str, done: float, total: float, detail: str = "") -> None:
            raise RefusedError("nobody waits for this any more", 499)

        for deadline, progress, words in (
            (Deadline(60), leave, "nobody waits"),
            (Deadline(1e-9), kill, "took more than 1e-09 s"),
        ):
            with pytest.raises(RefusedError, match=words):
                workers.do(answers.shown, seen, deadline=deadline, progress=progress)
        assert pids(workers) == [second]  # who leaves costs no worker
        found = workers.do(answers.moment, seen, timeline, 0.4, deadline=Deadline(60))
        assert found == own.do(answers.moment, seen, timeline, 0.4, deadline=Deadline(60))
    assert not pids(workers)


@pytest.mark.slow
def test_a_run_that_cannot_be_loaded_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no trained model"):
        Workers(tmp_path, 1, "cpu")


def test_whatever_keeps_a_worker_from_being_replaced_it_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No memory for a process, say: the thread that replaces them must outlive that."""
    begun: list[str] = []

    class Paper:
        """A worker without a process."""

        def __init__(self, *arguments: object) -> None:
            if len(begun) == 1:
                begun.append("fails")
                raise OSError(errno.EAGAIN, "no more processes")
            begun.append("begins")
            self.alive = True

        def load(self) -> None:
            if len(begun) == 3:
                raise RuntimeError("CUDA out of memory")

        def end(self) -> None:
            self.alive = False

    monkeypatch.setattr("twostream.web.workers.Worker", Paper)
    monkeypatch.setattr("twostream.web.workers.AGAIN_SECONDS", 0.01)
    with closing(Workers(Path("run"), 1, "cpu")) as workers:
        workers._idle[0].end()
        wait_until(lambda: len(begun) == 4 and workers.alive == 1)
    for why in ("no more processes", "CUDA out of memory"):
        assert "a worker cannot be replaced: " in caplog.text and why in caplog.text


def test_a_worker_that_loads_another_run_than_the_others_answers_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run trained anew under a running server: answers would change from one to the next."""
    loads = iter(["before", "before", *["after"] * 100])
    asked: list[str] = []

    class Paper:
        """A worker without a process."""

        alive = True

        def __init__(self, *arguments: object) -> None:
            self.served = next(loads)

        def load(self) -> str:
            return self.served

        def end(self) -> None:
            self.alive = False

    monkeypatch.setattr("twostream.web.workers.Worker", Paper)
    monkeypatch.setattr("twostream.web.workers.AGAIN_SECONDS", 0.01)
    with closing(Workers(Path("run"), 2, "cpu")) as workers:
        workers.on_changed = lambda: asked.append("anew")
        workers._idle[0].end()
        wait_until(lambda: bool(asked))
        assert workers.alive == 1 and workers._idle[-1].load() == "before"
        workers._idle[-1].end()
        time.sleep(0.2)  # it is not asked for anew, again and again
        assert asked == ["anew"] and workers.alive == 0
        with pytest.raises(RefusedError, match="send it again"):
            workers._take(Deadline(60))
    assert "run has changed since it was loaded: it is loaded anew" in caplog.text
    with pytest.raises(RunError, match="run changed while it was loaded: try again"):
        loads = iter(["before", "after"])
        Workers(Path("run"), 2, "cpu")


class Counted(OwnNetworks):
    """Networks that know whether they were closed."""

    closed = False

    def close(self, *, busy: bool = True) -> None:
        self.closed = True


def test_a_run_that_is_replaced_ends_after_what_is_under_way(tmp_path: Path) -> None:
    """A video that is still being sent then is done by the next one; what was shown stays."""
    video = write_clip(tmp_path / "own.avi", frames=15)
    predictor = TwoStreamPredictor.from_models([make_model(None)])
    old, new = Counted(predictor), Counted(predictor)
    with closing(service_of(predictor, Limits(), tmp_path, video)) as service:
        service.use(old, "run")
        before = service.show(video, "before")
        closed = []

        def replace(task: str, done: float, total: float, detail: str = "") -> None:
            if task == "scores over time" and not closed:
                service.use(new, "run")
                closed.append(old.closed)

        during = service.show(video, "during", replace)
        assert closed == [False] and old.closed and not new.closed
        after = service.show(video, "after")
        for page in (before, during, after):
            seconds = page["moment"]["seconds"]
            assert service.show_moment(page["key"], seconds) == page["moment"]


def test_what_was_shown_by_other_weights_is_not_kept(tmp_path: Path) -> None:
    """A page left open would go on with time lines of the run before."""
    video = write_clip(tmp_path / "own.avi", frames=15)
    run = save_run(tmp_path / "run", [make_model(None)])
    predictor = TwoStreamPredictor.load(run)
    with closing(service_of(predictor, Limits(), tmp_path, video)) as service:
        service.use(OwnNetworks.of_run(run), "run")
        page = service.show(video, "before")
        service.use(OwnNetworks.of_run(run), "run")
        seconds = page["moment"]["seconds"]
        assert service.show_moment(page["key"], seconds) == page["moment"]
        trained_on = make_model(None)
        for weights in trained_on.parameters():
            weights.data *= 2
        save_run(run, [trained_on])
        other, shown = OwnNetworks.of_run(run), list[str]()

        def replace(task: str, done: float, total: float, detail: str = "") -> None:
            if task == "scores over time" and not shown:
                service.use(other, "run")
                shown.append(task)

        late = service.show(video, "during", replace)
        for each in (page, late):
            assert service.show_moment(each["key"], seconds) is None


def test_a_run_that_cannot_be_loaded_again_leaves_the_one_before(
    web_run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []
    taken: list[object] = []

    def load() -> OwnNetworks:
        tries.append(1)
        if len(tries) == 1:
            raise RunError("it is damaged: train again")
        return OwnNetworks(TwoStreamPredictor.from_models([make_model(None)]))

    reloading = Reloading(load)
    reloading.on_networks = taken.append
    with caplog.at_level(logging.INFO):
        reloading.ask()
        wait_until(lambda: "the run before goes on: it is damaged: train again" in caplog.text)
        assert not taken
        reloading.ask()
        wait_until(lambda: "the run was loaded again" in caplog.text)
    assert len(taken) == 1


def test_a_hang_up_loads_again_but_a_closed_terminal_ends_the_server(tmp_path: Path) -> None:
    """Otherwise a server whose window was closed would go on for ever, out of anybody's sight."""
    pty = pytest.importorskip("pty", reason="Windows has no hang-ups")
    code = """
import sys, time
from twostream.web.reloading import Reloading

reloading = Reloading(lambda: print("loaded", file=open(sys.argv[1], "a"), flush=True))
reloading.on_networks = lambda networks: None
reloading.listen()
print("ready", file=open(sys.argv[1], "a"), flush=True)
while True:
    time.sleep(0.05)
"""
    told = tmp_path / "told"
    process, terminal = pty.fork()
    if not process:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, under which tests may run, ignores it
        os.execv(sys.executable, [sys.executable, "-c", code, str(told)])
    try:
        wait_until(lambda: told.is_file() and "ready" in told.read_text())
        os.kill(process, signal.SIGHUP)
        wait_until(lambda: "loaded" in told.read_text())
    finally:
        os.close(terminal)
        _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM
    assert told.read_text().split() == ["ready", "loaded"]
