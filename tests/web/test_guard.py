"""What visitors do that is not meant well: other names, guesses, silence, half a request."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from browser import Server

import twostream.web.patience
import twostream.web.uploads
from twostream.web.allowed_names import Names
from twostream.web.app import open_app
from twostream.web.guard import Guard
from twostream.web.guesses import FREE, SECONDS_EACH, Guesses
from twostream.web.known_visitors import KnownVisitors
from twostream.web.limits import Limits, RefusedError
from twostream.web.patience import PatientProtocol
from twostream.web.uploads import Uploads
from untrained import write_clip


async def answering(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def asked(guard: Guard, method: str = "GET", host: str = "localhost", **headers: str) -> Any:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=guard)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.request(method, "/", headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost:7860", True),
        ("127.0.0.1:7860", True),
        ("[::1]:7860", True),
        ("192.168.1.7", True),
        ("lab-machine:80", True),
        ("Demo.Example.org", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_other_names_lead_nowhere(host: str, known: bool) -> None:
    names = Names("lab-machine", ["demo.example.org"])
    assert names.known(host) == known
    if host.endswith("example"):
        for method in ("GET", "POST"):
            answer = asked(Guard(answering, names), method, host)
            assert answer.status_code == 403 and f"the name {host}:" in answer.json()["error"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:7860", 200),
        ("https://demo.example.org", 200),  # of the proxy in front
        ("http://localhost:3000", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("file://localhost:7860", 403),
    ],
)
def test_only_the_own_page_sends(origin: str, status: int) -> None:
    guard = Guard(answering, Names("127.0.0.1", ["demo.example.org"]))
    answer = asked(guard, "POST", "localhost:7860", Origin=origin)
    assert answer.status_code == status
    assert asked(guard, "GET", "localhost:7860", Origin=origin).status_code == 200  # as a link does


def test_passwords_cannot_be_guessed_by_the_thousand() -> None:
    clock = [100.0]
    guesses = Guesses(lambda: clock[0])
    for _ in range(FREE):
        assert not guesses.seconds_to_wait("10.0.0.1")
        guesses.wrong("10.0.0.1")
    assert 0 < guesses.seconds_to_wait("10.0.0.1") <= SECONDS_EACH
    assert not guesses.seconds_to_wait("10.0.0.2")
    clock[0] += SECONDS_EACH
    assert not guesses.seconds_to_wait("10.0.0.1")  # one more
    guesses.wrong("10.0.0.1")
    assert guesses.seconds_to_wait("10.0.0.1")
    for i in range(FREE):
        guesses.wrong(f"2001:db8::{i}")  # all of one customer
    assert guesses.seconds_to_wait("2001:db8::ffff") and not guesses.seconds_to_wait("2001:db9::1")
    guard = Guard(answering, Names("127.0.0.1"), "anna:secret")
    tries = [asked(guard, authorization="Basic eA==").status_code for _ in range(FREE + 5)]
    assert tries == [401] * FREE + [429] * 5
    assert asked(guard, authorization="Basic YW5uYTpzZWNyZXQ=").status_code == 429  # nor looked at
    assert asked(guard).status_code == 401  # who has not tried is only asked


def test_who_has_said_the_password_does_not_wait_for_others_guesses() -> None:
    """Behind a proxy all have one address; a guesser gets no more guesses than before."""
    guard = Guard(answering, Names("127.0.0.1"), "anna:secret")
    right, wrong = {"authorization": "Basic YW5uYTpzZWNyZXQ="}, {"authorization": "Basic eA=="}
    first = asked(guard, **right)
    cookie = first.headers["set-cookie"].partition(";")[0]
    assert "HttpOnly" in first.headers["set-cookie"] and first.status_code == 200
    assert "secret" not in cookie and "set-cookie" not in asked(guard, **wrong).headers
    while asked(guard, **wrong).status_code != 429:
        pass
    assert asked(guard, **right).status_code == 429  # else the guesser would know it
    again = asked(guard, cookie=f"theme=dark; {cookie}", **right)
    assert again.status_code == 200 and "set-cookie" not in again.headers
    forged = f"{cookie[:-1]}{'0' if cookie[-1] != '0' else '1'}"
    of_another_server = Guard(answering, Names("127.0.0.1"), "anna:secret")
    foreign = asked(of_another_server, **right).headers["set-cookie"].partition(";")[0]
    for other in (forged, foreign, cookie.partition(".")[0]):
        assert asked(guard, cookie=other, **right).status_code == 429
    assert not KnownVisitors().visitor("twostream-visitor=\xe9.\xe9")  # bytes that are no text
    # it replaces no password, and with it as many may be guessed as from an address
    assert asked(guard, cookie=cookie).status_code == 401
    tries = [asked(guard, cookie=cookie, **wrong).status_code for _ in range(FREE + 2)]
    assert tries == [401] * FREE + [429] * 2
    assert "set-cookie" not in asked(Guard(answering, Names("127.0.0.1"))).headers


def test_who_sends_three_bytes_and_waits_keeps_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twostream.web.uploads, "IDLE_SECONDS", 0.5)
    uploads = Uploads(tmp_path, Limits(max_mb=1, at_once=1))

    async def stalled() -> AsyncIterator[bytes]:
        yield b"abc"
        await asyncio.sleep(60)

    async def quick() -> AsyncIterator[bytes]:
        yield b"a whole video"

    async def receive(chunks: AsyncIterator[bytes], client: str) -> bytes:
        async with uploads.received(chunks, "a.avi", client) as path:
            return path.read_bytes()

    async def visits() -> list[Any]:
        slow = [asyncio.create_task(receive(stalled(), f"10.0.0.{i}")) for i in range(20)]
        await asyncio.sleep(0.05)
        assert len(list(tmp_path.iterdir())) == 20
        assert await receive(quick(), "10.0.1.1") == b"a whole video"
        return await asyncio.gather(*slow, return_exceptions=True)

    refused = asyncio.run(visits())
    assert all(isinstance(each, RefusedError) and each.http_status == 408 for each in refused)
    assert not list(tmp_path.iterdir())


def test_one_client_does_not_take_the_whole_disk(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, Limits(max_mb=0.001, at_once=1))  # four videos of 1000 bytes
    hold = asyncio.Event()

    async def sent(hold: asyncio.Event) -> AsyncIterator[bytes]:
        yield bytes(900)
        await hold.wait()

    async def receive(client: str, hold: asyncio.Event) -> None:
        async with uploads.received(sent(hold), "a.avi", client):
            pass

    async def visits() -> None:
        hold = asyncio.Event()
        two = [asyncio.create_task(receive("10.0.0.1", hold)) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(RefusedError, match="too many videos are being sent"):
            await receive("10.0.0.1", hold)
        other = asyncio.create_task(receive("10.0.0.2", hold))
        await asyncio.sleep(0.05)
        hold.set()
        await asyncio.gather(*two, other)

    asyncio.run(visits())
    assert hold and not list(tmp_path.iterdir())


@contextmanager
def listening() -> Iterator[tuple[str, int]]:
    """A server that answers {} to everything."""
    config = uvicorn.Config(answering, http=PatientProtocol, log_level="error", ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join()


def test_half_open_connections_are_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twostream.web.patience, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(twostream.web.patience, "MOST_FROM_ONE", 5)
    whole = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def closed(connection: socket.socket) -> bool:
        connection.settimeout(20)
        try:
            while connection.recv(4096):
                pass
        except ConnectionResetError:
            pass
        return True

    with listening() as place, ExitStack() as opened:
        for said in (b"", b"GET / HTTP/1.1\r\nHos", whole + b"GET"):
            connection = opened.enter_context(socket.create_connection(place))
            connection.sendall(said)
            assert closed(connection)
        many = [opened.enter_context(socket.create_connection(place)) for _ in range(9)]
        assert all(map(closed, many))
        with socket.create_connection(place) as connection:
            connection.sendall(whole)
            assert b"200 OK" in connection.recv(4096)


def test_the_next_start_removes_what_a_killed_server_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import os
from twostream.web.app import open_app
from twostream.web.known_visitors import KnownVisitors
from twostream.web.limits import Limits
with open_app(None, "", limits=Limits()) as app:
    (app.app.app.state.service.uploads.folder / "visitor.avi").write_bytes(b"private")
    os.kill(os.getpid(), 9)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    (left,) = tmp_path.rglob("visitor.avi")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_app(None, "", limits=Limits()) as app:
        assert not left.exists()
        assert app.app.app.state.service.uploads.folder.is_relative_to(tmp_path)
    assert not list(tmp_path.iterdir())


def test_fifty_visitors_of_whom_twenty_misbehave(server: Server, tmp_path: Path) -> None:
    """Each of the others is answered, while eight would once have blocked everybody."""
    content = write_clip(tmp_path / "a.avi", frames=13).read_bytes()
    parts = urlsplit(server.url)
    head = f"POST /api/predict HTTP/1.1\r\nHost: {parts.netloc}\r\n"
    misbehaved = [
        *(8 * [head + "Content-Length: 5000\r\n\r\nabc"]),
        *(4 * [head]),
        *(4 * [""]),
        *(2 * ["no HTTP\r\n\r\n"]),
        *(2 * ["POST /api/predict HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 9\r\n\r\n"]),
    ]

    def visit(number: int) -> tuple[int, int]:
        page = httpx.get(f"{server.url}/api/model", timeout=60)
        if number % 3:  # who only looks around
            return page.status_code, 200
        answer = httpx.post(f"{server.url}/api/predict", content=content, timeout=60)
        assert len(json.loads(answer.text)["labels"]) == 5
        return page.status_code, answer.status_code

    with ExitStack() as opened:
        for said in misbehaved:
            connection = opened.enter_context(
                socket.create_connection((parts.hostname or "", parts.port or 0))
            )
            connection.sendall(said.encode())
        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(visit, range(30))) == {(200, 200)}
