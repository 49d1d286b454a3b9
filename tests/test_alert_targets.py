"""Where alerts go: a webhook, a topic and a command that answer, refuse, hang and fail."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from paper_broker import Broker, listening_at
from twostream.alerts import deliveries as deliveries_module
from twostream.alerts import mqtt_topic, targets
from twostream.alerts.alert import Alert
from twostream.alerts.alert_log import AlertLog
from twostream.alerts.deliveries import Deliveries
from twostream.alerts.mqtt_topic import MqttTopic
from twostream.alerts.targets import Command, NotDelivered, Target, Webhook
from twostream.types import UsageError
from untrained import own_threads

ALERT = Alert("rtsp://***@hall/1", "fall > 0.8 for 1 s", "fall; $(touch x) 'ä", 0.9, 2.0, 3.2)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def hook(*statuses: int, **headers: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook's host and port, and what it got; it answers by these statuses, then by 204."""
    got: list[dict[str, Any]] = []
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            got.append({"method": self.command, "path": self.path, "body": body, **self.headers})
            self.send_response(left.pop(0) if left else 204)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{http.server_port}", got
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def why(target: Target) -> tuple[str, bool]:
    """Why an alert is not delivered, and whether to try again."""
    with pytest.raises(NotDelivered) as raised:
        target.send(ALERT)
    return raised.value.why, raised.value.again


def wait_for(true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


# --- webhook


def test_a_webhook_gets_the_alert_as_json_and_the_login_as_a_header() -> None:
    with hook() as (host, got):
        target = Webhook(f"http://anna:p%40ss@{host}/hooks/T0?x=1#part")
        target.send(ALERT)
    (request,) = got
    assert (request["method"], request["path"]) == ("POST", "/hooks/T0?x=1")
    assert request["Content-Type"] == "application/json"
    assert base64.b64decode(request["Authorization"].removeprefix("Basic ")) == b"anna:p@ss"
    assert json.loads(request["body"]) == ALERT.to_json()
    assert target.name == f"webhook http://{host}"  # neither the password nor the path


@pytest.mark.parametrize(
    ("status", "words", "again"),
    [
        (500, "500 Internal Server Error", True),
        (429, "429 Too Many Requests", True),
        (404, "404 Not Found", False),
        (302, "302 (it is elsewhere now", False),
    ],
)
def test_an_answer_that_is_no_delivery(status: int, words: str, again: bool) -> None:
    with hook(status, Location="/elsewhere") as (host, got):
        said, tries = why(Webhook(f"http://{host}/secret"))
    assert words in said and tries == again
    assert [request["path"] for request in got] == ["/secret"]  # a GET elsewhere would be no alert


def test_who_does_not_answer_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert why(Webhook(f"http://u:secret@127.0.0.1:{port}/x")) == (
            "no answer within 0.2 s",
            True,
        )
    assert why(Webhook(f"http://127.0.0.1:{port}/x")) == ("connection refused", True)


@pytest.mark.parametrize(
    "address",
    ["hooks.example/x", "ftp://secret@host/x", "http:///x", "http://host:port/", "http://a b/",
     "http://host/\r\nX: y", "http://h/ä", "http://secret..host/x"],
)  # fmt: skip
def test_no_webhook_is_one_sentence_without_its_secrets(address: str) -> None:
    with pytest.raises(UsageError, match=r"^--webhook takes an address http://\.\.\. or") as raised:
        Webhook(address)
    assert "secret" not in str(raised.value)


# --- command


def python(code: str) -> Command:
    return Command(f"{sys.executable} -c '{code}'")


def test_a_command_gets_the_alert_twice_and_no_shell(tmp_path: Path) -> None:
    code = (
        "import json, os, sys; alert = json.load(sys.stdin); "
        'names = [k for k in os.environ if k.startswith("TWOSTREAM_ALERT_")]; '
        'pairs = [(os.environ[f"TWOSTREAM_ALERT_{k.upper()}"], str(alert[k])) for k in alert]; '
        'open(sys.argv[1], "w").write(json.dumps([alert, pairs, len(names)]))'
    )
    Command(f"{sys.executable} -c '{code}' '{tmp_path}/a b.json'").send(ALERT)
    alert, pairs, count = json.loads((tmp_path / "a b.json").read_text())
    assert alert == ALERT.to_json() and all(a == b for a, b in pairs) and count == len(alert)
    assert [path.name for path in tmp_path.iterdir()] == ["a b.json"]


def test_a_command_that_fails_says_its_last_line() -> None:
    failing = python('import sys; print("hot", file=sys.stderr); sys.exit("the siren is off\\n")')
    assert why(failing) == ("it ended with status 1 (the siren is off)", True)
    assert why(Command("./no-such-program --token secret")) == (
        "it cannot be run (no such file or directory)",
        False,
    )
    assert Command("curl -H 'Authorization: secret'").name == "command curl"
    for wrong in ("", "  ", "echo 'x"):
        with pytest.raises(UsageError, match="--on-alert"):
            Command(wrong)


@pytest.mark.skipif(sys.platform == "win32", reason="process groups of Unix")
def test_a_command_that_hangs_is_ended_and_one_in_its_background_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Command(f"sh -c 'sleep 60 & echo $! > {tmp_path}/pid'").send(ALERT)  # nothing to raise
    subprocess.run(["kill", (tmp_path / "pid").read_text().strip()], check=True)
    monkeypatch.setattr(targets, "COMMAND_SECONDS", 0.2)
    assert why(Command("sleep 60")) == ("it did not end within 0.2 s", True)


# --- mqtt


def test_a_message_of_mqtt_is_acknowledged() -> None:
    pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt: pip install twostream[mqtt]")
    broker = Broker()
    with listening_at(broker) as port:
        target = MqttTopic(f"mqtt://anna:p%40ss@127.0.0.1:{port}/house/hall%20one?a")
        target.send(ALERT)
        target.send(ALERT)
    topic, payload, quality = broker.messages[0]
    assert (topic, quality) == ("house/hall one?a", 1)
    assert json.loads(payload) == ALERT.to_json()
    assert broker.logins == [("anna", "p@ss")] * 2 and len(broker.messages) == broker.ended == 2
    assert target.name == f"mqtt mqtt://127.0.0.1:{port}/house/hall one?a"


def test_a_broker_that_refuses_or_is_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt: pip install twostream[mqtt]")
    with listening_at(Broker(refuse=5)) as port:
        assert why(MqttTopic(f"mqtt://127.0.0.1:{port}/x")) == (
            "the broker refuses: not authorized",
            True,
        )
    assert why(MqttTopic(f"mqtt://127.0.0.1:{port}/x")) == ("connection refused", True)
    monkeypatch.setattr(mqtt_topic, "TIMEOUT_SECONDS", 0.2)
    with listening_at(Broker(deaf=1)) as port:
        assert why(MqttTopic(f"mqtt://127.0.0.1:{port}/x")) == ("no answer within 0.2 s", True)
    assert not [each for each in threading.enumerate() if "paho" in each.name]


def test_what_is_no_topic_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in (
        "mqtt://host",
        "mqtt://host/",
        "mqtt://u:secret@host/a/+/b",
        "mqtt://host/a/%23",
    ):
        with pytest.raises(UsageError, match="--mqtt needs a topic") as raised:
            MqttTopic(address)
        assert "secret" not in str(raised.value)
    with pytest.raises(UsageError, match="--mqtt takes an address"):
        MqttTopic("host/topic")
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(UsageError, match=r"not installed: pip install 'twostream\[mqtt\]'"):
        MqttTopic("mqtt://host/topic")


def test_a_real_broker_passes_the_message_on(tmp_path: Path) -> None:
    paho = pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt")
    mosquitto = shutil.which(
        "mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin"
    )
    if mosquitto is None:
        pytest.skip("needs the broker mosquitto, which is not installed here")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    broker = subprocess.Popen([mosquitto, "-c", str(tmp_path / "conf")], stderr=subprocess.DEVNULL)
    got: list[bytes] = []
    ready, came = threading.Event(), threading.Event()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_subscribe = lambda *arguments: ready.set()
    client.on_message = lambda _c, _d, message: (got.append(message.payload), came.set())
    try:
        for _ in range(200):
            try:
                client.connect("127.0.0.1", port)
                break
            except ConnectionRefusedError:  # it is about to start
                time.sleep(0.05)
        client.loop_start()
        client.subscribe("house/#", qos=1)
        assert ready.wait(20)
        MqttTopic(f"mqtt://127.0.0.1:{port}/house/hall").send(ALERT)
        assert came.wait(20)
    finally:
        client.disconnect()
        client.loop_stop()
        broker.terminate()
        broker.wait(20)
    assert [json.loads(each) for each in got] == [ALERT.to_json()]


# --- deliveries


class Script:
    """A target that raises, in turn, what a script says; "hang" waits until it is let go."""

    def __init__(self, *script: Any, name: str = "script") -> None:
        self.name = name
        self.script = list(script)
        self.sent: list[str] = []
        self.let_go = threading.Event()
        self.hangs = threading.Event()

    def send(self, alert: Alert) -> None:
        step = self.script.pop(0) if self.script else None
        if step == "hang":
            self.hangs.set()
            assert self.let_go.wait(60)
        elif step is not None:
            raise step
        self.sent.append(alert.id)

    def end(self) -> None:
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="process groups of Unix")
def test_a_program_that_outlasts_the_watch_is_ended_with_it(
    tmp_path: Path, said: list[str]
) -> None:
    """Nobody would be left to count its minute."""
    code = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    command = Command(f"{sys.executable} -c \"import os; os.chdir('{tmp_path}'); {code}\"")
    deliveries = Deliveries([command], AlertLog(None))
    deliveries.send(ALERT)
    deliveries.send(ALERT)
    pid = tmp_path / "pid"
    wait_for(lambda: pid.exists() and pid.read_text())
    deliveries.close(0)
    wait_for(lambda: own_threads() == 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert why(command) == ("the watch ended before", False)  # none is begun later
    assert said and all(line.endswith("the watch ended before") for line in said)


def test_a_webhook_that_fails_twice_gets_it_the_third_time(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook(500, 503) as (host, got):
        log = AlertLog(tmp_path / "logs" / "alerts.jsonl")
        monkeypatch.setattr(deliveries_module, "FIRST_WAIT_SECONDS", 0.01)
        deliveries = Deliveries([Webhook(f"http://{host}/secret")], log)
        deliveries.send(ALERT)
        deliveries.close(60)
    assert [json.loads(request["body"])["id"] for request in got] == [ALERT.id] * 3
    alert, delivery = lines(tmp_path / "logs" / "alerts.jsonl")
    assert alert["alert"] == ALERT.to_json()
    assert delivery.pop("time") >= alert["time"]
    assert delivery == {
        "alert_id": ALERT.id,
        "to": f"webhook http://{host}",
        "delivered": True,
        "tries": 3,
    }
    assert (deliveries.delivered, deliveries.given_up, said) == (1, 0, [])
    assert own_threads() == 0


def test_tries_are_bounded_and_giving_up_is_told(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    down, moved, broken = NotDelivered("down"), NotDelivered("moved", again=False), KeyError("x")
    script = Script(down, down, down, moved, broken)
    log = AlertLog(tmp_path / "log")
    monkeypatch.setattr(deliveries_module, "TRIES", 3)
    monkeypatch.setattr(deliveries_module, "FIRST_WAIT_SECONDS", 0.001)
    deliveries = Deliveries([script], log)
    alerts = [Alert("hall", "r", "fall", 0.9, 0, number) for number in range(4)]
    for alert in alerts:
        deliveries.send(alert)
    deliveries.close(60)
    results = {line["alert_id"]: line for line in lines(tmp_path / "log") if "to" in line}
    assert [(results[a.id]["tries"], results[a.id].get("why")) for a in alerts] == [
        (3, "down"),
        (1, "moved"),
        (1, "an unexpected KeyError: please report it"),
        (1, None),
    ]
    assert script.sent == [alerts[3].id]
    assert (deliveries.delivered, deliveries.given_up) == (1, 3)
    assert said[0] == "not delivered to script: hall: fall 0.90 at 0.0 s (r): down"
    assert len(said) == 3


def test_a_target_that_hangs_holds_nobody_up(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither who sends, nor other targets, nor the end; what it has not got is told and logged."""
    script, other = Script("hang"), Script(name="other")
    monkeypatch.setattr(deliveries_module, "WAITING", 3)
    deliveries = Deliveries([script, other], AlertLog(tmp_path / "log"))
    alerts = [Alert("hall", "r", "fall", 0.9, 0, number) for number in range(5)]
    for number, alert in enumerate(alerts):
        deliveries.send(alert)  # the test would never go on
        assert script.hangs.wait(60)
        while deliveries.delivered <= number:
            time.sleep(0.001)
    deliveries.close(0.05)
    found = {
        (line["to"], line["alert_id"]): line for line in lines(tmp_path / "log") if "to" in line
    }
    reasons = [found["script", alert.id]["why"] for alert in alerts]
    assert reasons == ["the watch ended before"] * 3 + ["3 others wait for it already"] * 2
    assert len(said) == 5 and deliveries.given_up == 5
    script.let_go.set()
    for thread in threading.enumerate():
        if thread.name == "twostream alerts":
            thread.join(60)
    # what comes too late changes nothing that was told
    assert len(lines(tmp_path / "log")) == 15 and len(other.sent) == deliveries.delivered == 5


# --- the log


def test_lines_are_appended_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"half')  # of another program
    log = AlertLog(path)
    log.add({"a": "line\nend"})
    path.rename(tmp_path / "yesterday")
    log.add({"a": 2})
    first, second = (tmp_path / "yesterday").read_bytes().splitlines()
    assert first == b'{"half' and json.loads(second)["a"] == "line\nend"
    assert [line["a"] for line in lines(path)] == [2]


def test_a_full_disk_leaves_no_half_line_and_is_told(tmp_path: Path, said: list[str]) -> None:
    path = tmp_path / "log"
    log = AlertLog(path)
    log.add({"a": 1})
    before = path.read_bytes()
    resource = pytest.importorskip("resource", reason="limits of Unix")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        log.add({"a": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert len(said) == 1 and "this is not in it" in said[0] and '"a": 2' in said[0]
    log.add({"a": 3})
    assert [line["a"] for line in lines(path)] == [1, 3]
