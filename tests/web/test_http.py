"""The server over HTTP: the JSON API, its limits, and what nobody may read."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from browser import Server, serving

from twostream.prediction import TwoStreamPredictor
from twostream.video import VideoWriter
from untrained import write_clip

SECRET = "nobody reads this"


def ask(url: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    """Ask for a path as it is: no client may tidy it up before."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, names)
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, text


def test_predict_answers_as_the_command_does(server: Server, web_run: Path, clip: Path) -> None:
    url = f"{server.url}/api/predict?name=../a%3Cb%3E.avi&top=3&timeline=true"
    answer = httpx.post(url, content=clip.read_bytes(), timeout=60)
    assert answer.status_code == 200
    told = answer.json()
    predictor = TwoStreamPredictor.load(web_run)
    wanted = predictor.predict(clip).to_json(3)
    assert told["video"] == "a<b>.avi" and told["warning"] is None
    for found, row in zip(told["labels"], wanted["labels"], strict=True):
        assert found == {"label": row["label"], "score": pytest.approx(row["score"], abs=1e-5)}
    assert list(told["streams"]) == ["spatial", "temporal"]
    timeline = predictor.timeline(clip).to_json()
    for name in ("times", "segments", "classes", "seconds"):
        assert told["timeline"][name] == timeline[name]
    assert not server.files()


def test_model_tells_classes_and_limits(server: Server) -> None:
    told = httpx.get(f"{server.url}/api/model").json()
    assert told["classes"] == list("abcdefg") and told["streams"] == ["spatial", "temporal"]
    assert told["limits"]["max_mb"] == 1.0 and told["limits"]["max_seconds"] == 20.0


@pytest.mark.parametrize("route", ["predict", "upload"])
def test_too_many_bytes_are_refused(server: Server, route: str) -> None:
    def chunks() -> Iterator[bytes]:  # their number is not told before
        for _ in range(12):
            yield bytes(100_000)

    path = f"/api/{route}?name=x.avi"
    status, said = ask(server.url, "POST", path, bytes(1_000_001))
    assert status == 413 and json.loads(said)["error"] == (
        "x.avi: the file is larger than 1 MB: cut it"
    )
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", path, chunks(), encode_chunked=True)
        assert connection.getresponse().status == 413
    except ConnectionError:
        pass  # hung up on in the middle of it: as good
    connection.close()
    assert not server.files()


def test_other_refusals(server: Server, clip: Path, tmp_path: Path) -> None:
    def post(content: bytes, **headers: str) -> tuple[int, str]:
        status, said = ask(server.url, "POST", "/api/predict?name=x.avi", content, **headers)
        return status, json.loads(said)["error"]

    assert post(b"")[0] == 422 and "empty" in post(b"")[1]
    status, said = post(b"no video\n" * 100)
    assert status == 422 and said.startswith("x.avi: cannot be opened") and "/" not in said
    status, answer = ask(server.url, "POST", "/api/predict?top=abc", b"x")
    assert status == 422 and json.loads(answer)["error"].startswith("top: ")
    assert post(b"--x", Content_Type="multipart/form-data; boundary=x")[0] == 415
    status, said = post(write_clip(tmp_path / "small.avi", size=16).read_bytes())
    assert status == 422 and "smaller than the model's crop" in said
    long = tmp_path / "long.avi"
    with VideoWriter(long, fps=2, width=64, height=48) as writer:
        for _ in range(44):
            writer.write(np.full((48, 64, 3), 90, np.uint8))
    assert post(long.read_bytes()) == (422, "x.avi: the video is longer than 20 s: cut it")
    assert not server.files()


def hidden(server: Server) -> list[Path]:
    """Files that are not the visitors': beside the uploads, and a link among them."""
    outside = server.temporary.parent / "secret.txt"
    outside.write_text(SECRET)
    (folder,) = server.temporary.glob("twostream-web-*")
    link = folder / "link.avi"
    if not link.is_symlink():
        link.symlink_to(outside)
    inside = folder / "another-visitors.avi"
    inside.write_text(SECRET)
    return [outside, link, inside]


def test_no_path_can_be_read(server: Server) -> None:
    files = hidden(server)
    try:
        tries = ["/?deep_link=../../../../etc/passwd", "/config?deep_link=..%2f..%2fetc%2fpasswd"]
        for file in [*files, Path("/etc/passwd"), Path(__file__)]:
            up = "../" * 12 + str(file).lstrip("/")
            for path in (str(file), f"/{file}", up, up.replace("/", "%2f"), up.replace(".", "%2e")):
                tries += [
                    f"/gradio_api/file={path}",
                    f"/gradio_api/file/{path}",
                    f"/file={path}",
                    f"/gradio_api/proxy=file://{path}",
                    f"/gradio_api/custom_component/x/client/component/{path}",
                    f"/assets/{path}",
                    f"/static/{path}",
                    f"/svelte/{path}",
                    f"/theme.css/{path}",
                    f"/gradio_api/heartbeat/../file={path}",
                    f"/gradio_api/heartbeat/%2e%2e/file={path}",
                    f"/{path}",
                ]
        for path in tries:
            status, text = ask(server.url, "GET", path.replace(" ", "%20"))
            assert SECRET not in text and "root:" not in text, path
            assert "def test_" not in text, path
            assert status in (307, 400, 403, 404, 405) or "deep_link" in path, (path, status)
    finally:
        for file in files:
            file.unlink()


@pytest.mark.parametrize(
    "route",
    ["upload", "vibe-edit", "vibe-code", "process_recording", "component_server", "run/sent",
     "call/sent", "stream/x", "run-history/connect", "profiling/clear", "openapi.json", "runs"],
)  # fmt: skip
def test_what_the_page_does_not_need_is_closed(server: Server, route: str) -> None:
    for method in ("GET", "POST"):
        status, text = ask(server.url, method, f"/gradio_api/{route}", b"{}")
        assert status == 404 and json.loads(text) == {"error": "there is nothing here"}


def handlers(server: Server) -> dict[str, int]:
    """Return the page's events, by name."""
    config = httpx.get(f"{server.url}/config").json()
    return {each["targets"][0][1]: each["id"] for each in config["dependencies"]}


def event(server: Server, name: str, told: Any, data: list[Any]) -> str:
    """Send an event of the page with any content, and return everything that comes back."""
    join = {
        "fn_index": handlers(server)[name],
        "session_hash": f"s{time.monotonic_ns()}",
        "data": data,
        "event_data": told,
        "trigger_id": None,
    }
    joined = httpx.post(f"{server.url}/gradio_api/queue/join", json=join)
    if joined.status_code != 200:
        return joined.text
    lines = []
    query = {"session_hash": join["session_hash"]}
    with httpx.stream("GET", f"{server.url}/gradio_api/queue/data", params=query) as stream:
        for line in stream.iter_lines():
            lines.append(line)
            if "process_completed" in line or "close_stream" in line:
                break
    return "\n".join(lines)


def test_tokens_are_no_paths(server: Server) -> None:
    files = hidden(server)
    try:
        folder = files[1].parent
        for token in (
            str(files[0]), "link", "link.avi", f"../{folder.name}/link", {"path": str(files[0])},
            None, 5, "0" * 32, "/etc/passwd",
        ):  # fmt: skip
            said = event(server, "sent", {"token": token, "name": "x"}, [])
            refused = ("this video is not here any more", "cannot be accessed")  # gradio's own
            assert any(words in said for words in refused), said
            assert SECRET not in said
        for index in (-1, 0, 7, "0", None, [0], 1e9):
            assert "not in the list" in event(server, "picked", {"index": index}, [])
        for told in ({"seconds": 1}, {"seconds": "x"}, None, [], "x"):
            assert "not in memory" in event(server, "moment", told, [None])
        assert files[2].read_text() == SECRET
    finally:
        for file in files:
            file.unlink()


def test_the_server_fetches_nothing(server: Server) -> None:
    """Gradio downloads what a visitor's file says is its address; no file is taken here."""
    asked = []

    class Canary(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    canary = HTTPServer(("127.0.0.1", 0), Canary)
    thread = threading.Thread(target=canary.serve_forever)
    thread.start()
    try:
        address = f"http://127.0.0.1:{canary.server_port}/clip.avi"
        file = {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}}
        for name in handlers(server):
            event(server, name, {"token": file, "seconds": 1}, [file])
        httpx.get(f"{server.url}/gradio_api/proxy={address}")
        assert httpx.get(address).status_code == 200
    finally:
        canary.shutdown()
        thread.join()
        canary.server_close()
    assert len(asked) == 1  # our own
    assert not server.files()


def test_the_page_names_no_other_host(server: Server) -> None:
    page = httpx.get(f"{server.url}/")
    loads = re.findall(r"<(?:script|img|iframe|source)[^>]*\bsrc=[\"']([^\"']+)", page.text)
    loads += re.findall(r"<link[^>]*\bhref=[\"']([^\"']+)", page.text)
    assert loads
    for load in loads:
        assert not re.match(r"(https?:)?//", load) or load.startswith(server.url), load
    styles = httpx.get(f"{server.url}/theme.css").text
    for text in (page.text, styles):
        assert "googleapis" not in text and "gstatic" not in text
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", text)
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'self' data: blob:") and "http" not in policy
    assert httpx.get(f"{server.url}/config").json()["analytics_enabled"] is False


def test_long_requests_and_unknown_lengths_are_refused(server: Server) -> None:
    path = "/gradio_api/queue/join"
    assert ask(server.url, "POST", path, bytes(2 << 20))[0] == 413
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    connection.request("POST", path, iter([b"{}"]), encode_chunked=True)
    assert connection.getresponse().status == 411
    connection.close()


def test_who_leaves_while_sending_is_no_defect(server: Server) -> None:
    parts = urlsplit(server.url)
    before = len(server.log.read_text())
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(
            b"POST /api/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc"
        )
        end = time.monotonic() + 30
        while not server.files() and time.monotonic() < end:
            time.sleep(0.05)
        assert server.files()  # it is being received
    while server.files() and time.monotonic() < end:
        time.sleep(0.05)
    assert not server.files()
    assert ask(server.url, "GET", "/api/model")[0] == 200
    assert "Traceback" not in server.log.read_text()[before:]


def test_other_sites_pages_cannot_send(server: Server) -> None:
    """Browsers say whose page it is; programs say nothing."""
    for path in ("/api/predict", "/api/upload", "/gradio_api/queue/join"):
        status, text = ask(server.url, "POST", path, b"{}", Sec_Fetch_Site="cross-site")
        assert status == 403 and "another site's page" in text
    assert not server.files()


def test_everything_asks_for_the_password(web_run: Path, clip: Path, tmp_path: Path) -> None:
    with serving(web_run, tmp_path, "--auth", "anna:secret") as running:
        for path in ("/", "/api/model", "/theme.css", "/gradio_api/queue/data", "/nothing"):
            answer = httpx.get(running.url + path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic")
        for pair in (("anna", "secre"), ("anna", ""), ("", "secret"), ("Anna", "secret")):
            assert httpx.get(f"{running.url}/api/model", auth=pair).status_code == 401
        post = {"content": clip.read_bytes(), "timeout": 60}
        assert httpx.post(f"{running.url}/api/predict", **post).status_code == 401
        ours = httpx.post(f"{running.url}/api/predict", auth=("anna", "secret"), **post)
        assert ours.status_code == 200
        assert not running.files()
    assert "secret" not in (tmp_path / "server.log").read_text()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "terminate"])
def test_a_stop_in_the_middle_of_work_leaves_nothing(
    web_run: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    """Videos are being sent, waited for and worked on; ``serving`` looks what is left."""
    long = tmp_path / "long.avi"
    noise = np.random.default_rng(0).integers(0, 255, (4, 240, 320, 3), np.uint8)
    with VideoWriter(long, fps=25, width=320, height=240) as writer:
        for i in range(1000):
            writer.write(noise[i % 4])
    with serving(web_run, tmp_path, "--at-once", "1", stop=stop) as running:
        connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=60)
        connection.putrequest("POST", "/api/upload?name=a.avi")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"the first bytes")
        address = f"{running.url}/api/predict"
        answers: list[int] = []

        def ask_for_long() -> None:
            try:
                answers.append(httpx.post(address, content=long.read_bytes()).status_code)
            except httpx.HTTPError:
                answers.append(0)

        threads = [threading.Thread(target=ask_for_long) for _ in range(2)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 30
        while len(running.files()) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        assert len(running.files()) >= 3
        began = time.monotonic()
    assert time.monotonic() - began < 20
    for thread in threads:
        thread.join()
    connection.close()
