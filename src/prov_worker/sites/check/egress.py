"""The way to the service: REST, through a proxy if one is set, AMQPS, which takes none, and the clock."""

from __future__ import annotations

import email.utils
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from prov_worker.finding import Finding, failed, passed, warned
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject

_LIMIT_S = 5.0
_SKEW_S = 10.0
#: Those that the service listens on; a daemon takes 443 if config.yaml names none.
_AMQPS_PORTS = (443, 5671)
_T = TypeVar("_T")


def check(subject: Subject) -> Iterator[Finding]:
    """Yield the service's REST and AMQPS addresses, as Globus Compute's SDK takes them from the environment."""
    from prov_worker.globus import service_urls

    if subject.offline:
        yield warned("egress", "not tried", "leave --offline out to try it")
        return
    yield from rest(service_urls.web_service_url())
    host = service_urls.amqp_host()
    if host is None:
        yield passed("egress, AMQP", "the local service names its broker when the endpoint starts")
    else:
        yield from amqps(host)


def rest(url: str) -> Iterator[Finding]:
    """Ask the web service: any answer will do, and its date shows how wrong the clock is."""
    import requests
    from globus_sdk.config import get_ssl_verify

    line = "egress, REST"
    proxy = requests.utils.get_environ_proxies(url).get(urlsplit(url).scheme)
    way = f" through {_without_password(proxy)}" if proxy else ""

    def get() -> requests.Response:
        return requests.get(f"{url}/v2/version", timeout=_LIMIT_S, verify=get_ssl_verify(), allow_redirects=False)

    try:
        answer = _within(2 * _LIMIT_S, get)
    except requests.exceptions.SSLError as error:
        yield failed(
            line, f"{url}{way}: {_told(error)}", "REQUESTS_CA_BUNDLE names the certificates of a proxy that opens TLS"
        )
        return
    except (requests.RequestException, OSError) as error:
        repair = (
            "check the proxy" if proxy else "set HTTPS_PROXY if this host has a proxy; else use a host that reaches it"
        )
        yield failed(line, f"{url}{way}: {_told(error)}", repair)
        return
    if answer.status_code == 407 or answer.status_code >= 500:
        yield failed(
            line, f"{url}{way}: HTTP {answer.status_code} {answer.reason}", "ask whoever runs the proxy or service"
        )
    else:
        yield passed(line, f"{url}{way}")
    date = answer.headers.get("Date")
    if date is not None:
        yield clock(date, time.time())


def clock(date: str, now_s: float) -> Finding:
    """Compare an HTTP date with seconds since the epoch on this host."""
    try:
        skew_s = now_s - email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return warned("clock", f"the service's date is not understood: {date}", "compare the clock by hand")
    if abs(skew_s) > _SKEW_S:
        how = "ahead of" if skew_s > 0 else "behind"
        observation = f"{abs(skew_s):.0f} s {how} the service"
        return warned("clock", observation, "let NTP set it: tokens expire, and times in crates are wrong")
    return passed("clock", f"within {_SKEW_S:.0f} s of the service")


def amqps(host: str, ports: tuple[int, ...] = _AMQPS_PORTS) -> Iterator[Finding]:
    """Yield a TLS connection to the broker: tasks come by it, and it goes through no HTTP proxy."""
    line = "egress, AMQPS"
    failures = []
    for port in ports:
        try:
            _within(2 * _LIMIT_S, partial(_handshake, host, port))
        except OSError as error:
            failures.append(f"{host}:{port}: {_told(error)}")
            continue
        if failures:
            observation = f"{host}:{port}, but not {failures[0]}"
            yield warned(line, observation, f"add `amqp_port: {port}` to the endpoint's config.yaml")
        else:
            yield passed(line, f"{host}:{port}")
        return
    yield failed(
        line, "; ".join(failures), "tasks come by AMQPS, which no HTTP proxy passes on: use a host that reaches it"
    )


def _handshake(host: str, port: int) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection((host, port), timeout=_LIMIT_S) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        pass


def _within(limit_s: float, do: Callable[[], _T]) -> _T:
    """Do it in a thread that is left behind at the limit: the search for a name has none of its own."""
    done: list[_T] = []
    error: list[Exception] = []

    def run() -> None:
        try:
            done.append(do())
        except Exception as raised:  # handed to the caller
            error.append(raised)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    if error:
        raise error[0]
    if not done:
        raise TimeoutError(f"no answer within {limit_s:g} s")
    return done[0]


def _told(error: BaseException) -> str:
    """Return the innermost reason: those around it repeat the address."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join((text or type(error).__name__).split())[:200]


def _without_password(url: str) -> str:
    return urlsplit(url)._replace(netloc=urlsplit(url).netloc.rpartition("@")[2]).geturl()


CHECKS.add("egress", check, rank=90)
