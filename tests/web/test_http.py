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

import twostream.web.app
from twostream.prediction import TwoStreamPredictor
from twostream.video import VideoWriter
from twostream.web.app import STATIC
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
    assert told["limits"] == {
        "max_mb": 1.0,
        "max_seconds": 20.0,
        "time_limit": 120,
        "max_memory_mb": 2000,
        "at_once": 2,
    }
    assert told["videos"] == []


@pytest.mark.parametrize("route", ["predict", "videos"])
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
    for asked, words in (
        ("top=abc", "top: "),
        ("top=0", "top: "),
        ("timelin=1", "timelin: no such"),
    ):
        status, answer = ask(server.url, "POST", f"/api/predict?{asked}", b"x")
        assert status == 422 and json.loads(answer)["error"].startswith(words)
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
    (folder,) = server.temporary.glob(".twostream.*/new")
    link = folder / "link.avi"
    if not link.is_symlink():
        link.symlink_to(outside)
    inside = folder / "another-visitors.avi"
    inside.write_text(SECRET)
    return [outside, link, inside]


def test_no_path_can_be_read(server: Server) -> None:
    files = hidden(server)
    try:
        code = Path(twostream.web.app.__file__)
        tries = []
        for file in [*files, Path("/etc/passwd"), Path(__file__), code]:
            up = "../" * 12 + str(file).lstrip("/")
            for path in (str(file), f"/{file}", up, up.replace("/", "%2f"), up.replace(".", "%2e")):
                tries += [f"/{path}", f"/page.js/{path}", f"/static/{path}", f"/api/videos/{path}"]
                tries += [f"/api/videos/{path}/moment?seconds=1", f"/api/upload/{path}"]
            tries += [f"/{file.name}", f"/../{file.name}", f"/%2e%2e/{file.name}"]
        for path in tries:
            status, text = ask(server.url, "GET", path.replace(" ", "%20"))
            assert SECRET not in text and "root:" not in text, path
            assert "def test_" not in text and "def open_app" not in text, path
            assert status in (307, 400, 404, 405, 410), (path, status)
    finally:
        for file in files:
            file.unlink()


@pytest.mark.parametrize(
    "path", ["/docs", "/openapi.json", "/api", "/api/upload", "/api/videos", "/static", "/x"]
)
def test_there_is_nothing_else(server: Server, path: str) -> None:
    status, text = ask(server.url, "GET", path)
    assert status in (404, 405) and json.loads(text) == {"error": "there is nothing here"}


def shown(url: str, content: bytes, name: str = "a.avi") -> list[dict[str, Any]]:
    """Send a video as the page does, and return the lines of the answer."""
    answer = httpx.post(f"{url}/api/videos", params={"name": name}, content=content, timeout=60)
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.text.splitlines()]


def test_what_the_page_asks_for(server: Server, clip: Path) -> None:
    *progress, result = shown(server.url, clip.read_bytes())
    assert all(set(line) == {"task", "done", "total", "detail"} for line in progress)
    tasks = ["waiting for a place", "frames and flow", "scores over time"]
    assert list(dict.fromkeys(line["task"] for line in progress)) == tasks
    assert progress[-1]["done"] == progress[-1]["total"]
    assert result["name"] == "a.avi" and result["seconds"] == pytest.approx(2.4)
    url = f"{server.url}/api/videos/{result['key']}/moment"
    same = httpx.get(url, params={"seconds": result["moment"]["seconds"]}).json()
    assert same == result["moment"]
    assert httpx.get(url, params={"seconds": 1e308}).json()["seconds"] == pytest.approx(2.36)
    for wrong in ("nan", "inf", "x", ""):
        answer = httpx.get(url, params={"seconds": wrong})
        assert answer.status_code == 422 and answer.json()["error"].startswith("seconds: ")
    gone = httpx.get(f"{server.url}/api/videos/{'0' * 32}/moment?seconds=1")
    assert gone.status_code == 410
    assert gone.json()["error"] == "this video is not in memory any more: send it again"


@pytest.mark.parametrize("number", ["-1", "0", "7", "1e9", "[0]", "own.avi", "%2e%2e"])
def test_only_the_servers_videos_can_be_picked(server: Server, number: str) -> None:
    status, text = ask(server.url, "POST", f"/api/videos/{number}")
    assert status in (404, 422) and set(json.loads(text)) == {"error"}


def test_a_playlist_is_no_way_to_other_files(server: Server, clip: Path) -> None:
    """FFmpeg could read what a sent file names: another file of the server's, an address."""
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
        for entry in (address, str(clip), f"file:{clip}", "../clip.avi"):
            for text in (
                f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{entry}\n#EXT-X-ENDLIST\n",
                f"ffconcat version 1.0\nfile '{entry}'\n",
            ):
                for name in ("list.m3u8", "list.ts", "list.mp4", "list", address):
                    assert "error" in shown(server.url, text.encode(), name)[-1]
        assert httpx.get(address).status_code == 200
    finally:
        canary.shutdown()
        thread.join()
        canary.server_close()
    assert len(asked) == 1  # our own
    assert not server.files()


def test_the_page_names_no_other_host(server: Server) -> None:
    page = httpx.get(f"{server.url}/")
    policy = dict(
        each.split(" ", 1) for each in page.headers["content-security-policy"].split("; ")
    )
    assert policy.pop("img-src") == "'self' data:"
    for name in ("script-src", "style-src", "connect-src"):
        assert policy.pop(name) == "'self'"
    assert policy and set(policy.values()) == {"'none'"} and "default-src" in policy
    files = ["page.css", "page.js", "label.css", "label.js"]
    for file in files:
        text = httpx.get(f"{server.url}/{file}").text
        files += [name for name in re.findall(r"from '\./(\w+\.js)'", text) if name not in files]
        assert not re.search(r"(url\(|@import|https?:|//\w+\.)", text.replace("// ", ""))
        assert "innerHTML" not in text and "insertAdjacentHTML" not in text
    assert sorted(files) == sorted(path.name for path in STATIC.iterdir() if path.suffix != ".html")
    labels = httpx.get(f"{server.url}/label.html")
    for html, own in ((page, ["page.js"]), (labels, ["label.css", "label.js"])):
        loads = re.findall(r"(?:src|href)=\"([^\"]+)", html.text)
        assert sorted(loads) == sorted(["data:,", "page.css", *own])
        assert "<style" not in html.text and not re.search(r"\son\w+=", html.text)
    for answer in (page, httpx.get(f"{server.url}/page.js"), httpx.get(f"{server.url}/x")):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_bodies_that_nobody_asked_for_are_not_waited_for(server: Server) -> None:
    for path, status in (("/", 405), ("/api/videos/0", 404), ("/api/model", 405)):
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", f"{10**12}")
        connection.endheaders(b"the first bytes")
        assert connection.getresponse().status == status
        connection.close()


def test_who_leaves_while_sending_is_no_defect(server: Server) -> None:
    parts = urlsplit(server.url)
    before = len(server.log.read_text())
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(
            b"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\nabc"
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
    for path in ("/api/predict", "/api/videos", "/api/videos/0", "/"):
        status, text = ask(server.url, "POST", path, b"{}", Sec_Fetch_Site="cross-site")
        assert status == 403 and "another site's page" in text
    assert not server.files()


def test_everything_asks_for_the_password(web_run: Path, clip: Path, tmp_path: Path) -> None:
    with serving(web_run, tmp_path, "--auth", "anna:secret") as running:
        for path in ("/", "/api/model", "/page.js", "/page.css", "/nothing"):
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
        for i in range(12):  # nobody is believed to be a proxy
            names = {"x-forwarded-for": f"10.0.0.{i}"}
            guess = httpx.get(f"{running.url}/api/model", auth=("anna", str(i)), headers=names)
        assert guess.status_code == 429
    assert "secret" not in (tmp_path / "server.log").read_text()


@pytest.mark.parametrize(
    "stop",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
    ids=["Ctrl-C", "terminate"],
)
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
        connection.putrequest("POST", "/api/videos?name=a.avi")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"the first bytes")
        answers: list[int] = []

        def ask_for_long(path: str) -> None:
            try:
                answer = httpx.post(f"{running.url}{path}", content=long.read_bytes())
                answers.append(answer.status_code)
            except httpx.HTTPError:
                answers.append(0)

        paths = ("/api/predict", "/api/videos")
        threads = [threading.Thread(target=ask_for_long, args=[path]) for path in paths]
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
