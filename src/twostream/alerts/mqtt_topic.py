"""A topic of an MQTT broker, to which alerts are published."""

from __future__ import annotations

import json
import threading
from typing import Any
from urllib.parse import unquote

from twostream.alerts.alert import Alert
from twostream.alerts.targets import TIMEOUT_SECONDS, NotDelivered, shown_host, split_address
from twostream.types import UsageError

_PORTS = {"mqtt": 1883, "mqtts": 8883}


class MqttTopic:
    """A topic; each alert is a message of its own, which the broker has acknowledged (QoS 1).

    Alerts are rare: there is no connection between them that could have died unseen.

    Args:
        address: ``mqtt://[user:password@]host[:port]/topic``; ``mqtts`` with TLS.

    Raises:
        UsageError: it is none, or paho-mqtt is not installed.
    """

    def __init__(self, address: str) -> None:
        parts = split_address(address, tuple(_PORTS), "--mqtt")
        # what stands behind a ? is a topic's too
        self._topic = unquote(parts._replace(scheme="", netloc="").geturl().lstrip("/"))
        if not self._topic or set(self._topic) & set("+#\0"):
            raise UsageError(
                "--mqtt needs a topic, without + and #: mqtt://host/house/alarms, for example"
            )
        try:
            import paho.mqtt.client as paho
        except ImportError:
            raise UsageError(
                "--mqtt needs paho-mqtt, which is not installed: pip install 'twostream[mqtt]'"
            ) from None
        self._paho: Any = paho
        self._host, self._port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        self._tls = parts.scheme == "mqtts"
        self._login = [each and unquote(each) for each in (parts.username, parts.password)]
        self.name = f"mqtt {parts.scheme}://{shown_host(parts)}/{self._topic}"

    def send(self, alert: Alert) -> None:
        """Connect, publish an alert, and wait for the broker's word that it has it."""
        client = self._paho.Client(
            self._paho.CallbackAPIVersion.VERSION2, reconnect_on_failure=False
        )
        client.connect_timeout = TIMEOUT_SECONDS
        if self._login[0] is not None:
            client.username_pw_set(*self._login)
        if self._tls:
            client.tls_set()
        answered = threading.Event()
        answers: list[Any] = []

        def connected(_client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
            answers.append(reason)
            answered.set()

        client.on_connect = connected
        try:
            client.connect(self._host, self._port)
            client.loop_start()
            if not answered.wait(TIMEOUT_SECONDS):
                raise NotDelivered(f"no answer within {TIMEOUT_SECONDS:g} s")
            if answers[0].is_failure:
                raise NotDelivered(f"the broker refuses: {str(answers[0]).lower()}")
            message = client.publish(self._topic, json.dumps(alert.to_json()), qos=1)
            message.wait_for_publish(TIMEOUT_SECONDS)
            if not message.is_published():
                raise NotDelivered(f"not acknowledged within {TIMEOUT_SECONDS:g} s")
        except OSError as error:
            why = "no answer" if isinstance(error, TimeoutError) else error.strerror
            raise NotDelivered((why or type(error).__name__).lower()) from None
        except (ValueError, RuntimeError) as error:
            raise NotDelivered(f"{type(error).__name__} of paho-mqtt") from None
        finally:
            client.disconnect()
            client.loop_stop()

    def end(self) -> None:
        """Do nothing: a connection ends with its thread."""
