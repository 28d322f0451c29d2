"""``kafka://[USER@]HOST[:PORT][,HOST…]/TOPIC[?…]``: messages of a Kafka topic, by confluent-kafka.

The key of a message is the task's id, so that one partition has all events of a task in their order. ``tls=1`` is with
TLS (:mod:`prov_worker.stream.tls`); with a user there is SASL, by ``mechanism``: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
https://docs.confluent.io/platform/current/clients/librdkafka/html/md_CONFIGURATION.html
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from prov_worker.errors import InputError
from prov_worker.stream import tls
from prov_worker.stream.events import Event
from prov_worker.stream.sink import TIMEOUT_S, AwayError, RefusedError, check_parameters, need
from prov_worker.stream_url import SINKS, StreamUrl

_PARAMETERS = ("tls", "mechanism", *tls.PARAMETERS)
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_HEADERS = [("content-type", b"application/cloudevents+json")]
#: Names of librdkafka's errors that somebody must see to.
_REFUSED = (
    "_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED",
    "MSG_SIZE_TOO_LARGE", "INVALID_TOPIC_EXCEPTION", "TOPIC_EXCEPTION",
)  # fmt: skip
#: Names of those that only follow from others.
_VAGUE = ("_ALL_BROKERS_DOWN", "_TRANSPORT", "_MSG_TIMED_OUT")


class KafkaSink:
    """Produces messages, and has a batch once all brokers in sync do; after a kill the last one may come twice."""

    def __init__(self, url: StreamUrl, password: str | None) -> None:
        self._kafka = need("confluent_kafka", url.sink)
        parameters = check_parameters(url, _PARAMETERS)
        parts = urlsplit(url.text)
        user, _, hosts = parts.netloc.rpartition("@")
        self._topic = parts.path.strip("/")
        if not self._topic or "/" in self._topic:
            raise InputError(f"{url.text}: expected kafka://HOST:PORT/TOPIC")
        secure = parameters.get("tls") == "1"
        if parameters.get("tls", "0") not in ("0", "1"):
            raise InputError(f"{url.text}: tls: expected 0 or 1, got {parameters['tls']!r}")
        mechanism = parameters.get("mechanism") or "PLAIN"
        if mechanism not in _MECHANISMS:
            raise InputError(f"{url.text}: mechanism: expected one of {', '.join(_MECHANISMS)}; got {mechanism!r}")
        if "mechanism" in parameters and not user:
            raise InputError(f"{url.text}: mechanism: for a user, which this address has none of; USER@HOST")
        files = tls.tls_files(url, secure=secure, how="add tls=1")
        self._settings: dict[str, Any] = {
            "bootstrap.servers": ",".join(host if ":" in host else f"{host}:9092" for host in hosts.split(",")),
            "client.id": "prov-worker",
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.timeout.ms": int(TIMEOUT_S * 1000),
            "log_level": 0,
        }
        locations = {
            "ssl.ca.location": files.ca, "ssl.certificate.location": files.cert, "ssl.key.location": files.key,
        }  # fmt: skip
        self._settings |= {name: path for name, path in locations.items() if path is not None}
        if user:
            self._settings |= {
                "sasl.username": unquote(user),
                "sasl.password": password or "",
                "sasl.mechanism": mechanism,
            }
        kind = f"{'SASL_' if user else ''}{'SSL' if secure else 'PLAINTEXT'}"
        self._settings["security.protocol"] = kind
        self._producer: Any = None
        self._problem = ""
        self._refused = False

    def open(self) -> None:
        """Connect: the brokers are asked for the topic."""
        self._problem, self._refused = "", False
        try:
            self._producer = self._kafka.Producer({**self._settings, "error_cb": self._failed})
            topics = self._producer.list_topics(self._topic, timeout=TIMEOUT_S).topics
            error = topics[self._topic].error
            # one that is missing is made by the brokers with the first message, if they may
            if error is not None and error.name() != "UNKNOWN_TOPIC_OR_PART":
                self._failed(error)
                raise self._refusal()
        except self._kafka.KafkaException as error:
            producer, self._producer = self._producer, None
            if producer is not None:
                producer.poll(0)  # has it say why no broker could be reached, such as for a certificate
            self._failed(error.args[0])
            raise self._refusal() from error

    def send(self, events: Sequence[Event]) -> None:
        """Produce a batch, and wait until it is delivered."""
        producer = self._producer
        self._problem, self._refused = "", False
        delivered = 0

        def on_delivery(error: Any, _: Any) -> None:
            nonlocal delivered
            if error is None:
                delivered += 1
            else:
                self._failed(error)

        until = time.monotonic() + 2 * TIMEOUT_S
        for event in events:
            while True:
                try:
                    producer.produce(
                        self._topic, event.line, key=event.task_id, headers=_HEADERS, on_delivery=on_delivery
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
                    if time.monotonic() > until:
                        raise self._refusal() from None
                except self._kafka.KafkaException as error:
                    self._failed(error.args[0])
                    raise self._refusal() from error
        producer.flush(max(0.1, until - time.monotonic()))
        if delivered != len(events):
            raise self._refusal()

    def compare_clocks(self) -> None:
        """Return None: no broker tells the time; one may put its own on messages, by ``message.timestamp.type``."""

    def close(self) -> None:
        """Disconnect; what is under way is given up, and comes again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()

    def _failed(self, error: Any) -> None:
        if not self._problem or error.name() not in _VAGUE:
            self._problem = error.str()
        self._refused = self._refused or error.name() in _REFUSED or tls.is_distrust(self._problem)

    def _refusal(self) -> AwayError | RefusedError:
        text = self._problem or "no answer"
        return RefusedError(text) if self._refused else AwayError(text)


SINKS.add("kafka", KafkaSink)
