"""A broker that speaks as much of MQTT 3.1.1 as one message needs, on a loopback port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CONNECT, PUBLISH, DISCONNECT = 1, 3, 14  # section 2.2.1


class Broker:
    """Takes connections one after the other.

    Args:
        refuse: the code of CONNACK (section 3.2.2.3); 0: accepted.
        deaf: how many connections it does not answer.

    Attributes:
        logins: (user, password) of each connection that was answered.
        messages: (topic, payload, quality of service) of each message.
        ended: how many connections were ended in order.
    """

    def __init__(self, refuse: int = 0, deaf: int = 0) -> None:
        self.refuse, self.deaf = refuse, deaf
        self.logins: list[tuple[str | None, str | None]] = []
        self.messages: list[tuple[str, bytes, int]] = []
        self.ended = 0

    def serve(self, connection: socket.socket) -> None:
        """Answer one client until it goes."""
        if self.deaf:
            self.deaf -= 1
            while connection.recv(1000):
                pass
            return
        with connection.makefile("rwb") as stream:
            while first := stream.read(1):
                kind, flags = first[0] >> 4, first[0] & 15
                body = stream.read(_length(stream))
                if kind == CONNECT:
                    self.logins.append(_login(body))
                    stream.write(bytes([0x20, 2, 0, self.refuse]))
                elif kind == PUBLISH:
                    topic, rest = _text(body)
                    self.messages.append((topic.decode(), rest[2:], flags >> 1 & 3))
                    stream.write(bytes([0x40, 2]) + rest[:2])
                elif kind == DISCONNECT:
                    self.ended += 1
                    return
                stream.flush()


def _length(stream) -> int:  # type: ignore[no-untyped-def]
    """Read a remaining length (section 2.2.3)."""
    value = shift = 0
    while True:
        (byte,) = stream.read(1)
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value


def _text(body: bytes) -> tuple[bytes, bytes]:
    """Return a string with its length before it (section 1.5.3), and the rest."""
    end = 2 + int.from_bytes(body[:2], "big")
    return body[2:end], body[end:]


def _login(body: bytes) -> tuple[str | None, str | None]:
    """Return who connects (section 3.1)."""
    name, rest = _text(body)
    assert name == b"MQTT" and rest[0] == 4, "version 3.1.1"
    flags, rest = rest[1], rest[4:]
    _, rest = _text(rest)  # the client's id
    found: list[str | None] = [None, None]
    for place, flag in enumerate((0x80, 0x40)):
        if flags & flag:
            value, rest = _text(rest)
            found[place] = value.decode()
    return found[0], found[1]


@contextmanager
def listening_at(broker: Broker) -> Iterator[int]:
    """Let a broker listen; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # it is closed
                    return
                with connection, suppress(ConnectionError):
                    broker.serve(connection)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)
