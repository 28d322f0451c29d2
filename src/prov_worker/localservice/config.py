"""Options of the service, from the command line and from ``PROV_SERVICE_…`` variables."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from prov_worker.errors import InputError
from prov_worker.localservice.quota import Quota

#: The port that stock software expects of a local service; it is fixed in its source.
STOCK_PORT = 5000
#: What printed settings name: no name service and no order of addresses has a part in it.
LOOPBACK = "127.0.0.1"
LOOPBACK_6 = "::1"
#: Of a task and of a result: what the hosted service takes ("Data limits" of its documentation), and what Globus
#: Compute's workers let pass.
MESSAGE_LIMIT_BYTES = 10 * 1024 * 1024
#: Word for ``amqp_advertise``: clients reach the broker through the service's own port.
THROUGH_SERVICE = "service"
#: Word for ``amqp_management``: no accounts on the broker.
NO_ACCOUNTS = "none"


def state_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return where the service keeps its state when nobody says otherwise."""
    environ = os.environ if environ is None else environ
    base = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME") or "/", ".local", "state")
    return Path(base) / "prov-worker" / "service"


@dataclass(frozen=True)
class Config:
    """All options.

    Attributes:
        host: address to listen on, beside both loopbacks.
        port: port to listen on; stock software finds the service on 5000 alone.
        amqp_url: the broker, for the service.
        amqp_advertise: the broker's URL for endpoints and clients; None for the same, ``service`` for the service's own
            port, which then carries AMQP too.
        amqp_management: URL of the broker's management API, through which each identity gets an account of its own;
            ``none``: all share that of ``amqp_url``; None: the usual port of the broker's host, if there is more
            than one identity. Without user and password, those of ``amqp_url`` are used.
        database: file of the durable state.
        identities: file of identities; None for the environment, or for ``identities.json`` beside the database.
        connection_limit: most connections at once.
        quota: what each identity may have at once.
        body_limit_bytes: largest body of a request.
        task_limit: most tasks of one submission.
        task_limit_bytes: largest message of a task; a larger one is refused when it is submitted.
        result_limit_bytes: largest result; a larger one fails its task.
        retain_s: how long finished tasks are kept.
        crate_dirs: directories of crates whose running tasks are shown.
        flows: whether Globus Flows is rehearsed too.
        collections: file of directories that stand for collections; None for none.
        transfer_limit_kib: KiB per second of each copy between them; 0 for as fast as it goes.
    """

    host: str = LOOPBACK
    port: int = STOCK_PORT
    amqp_url: str = "amqp://guest:guest@127.0.0.1:5672/%2F"
    amqp_advertise: str | None = None
    amqp_management: str | None = None
    database: Path = Path("service.sqlite")
    identities: Path | None = None
    connection_limit: int = 1000
    quota: Quota = field(default_factory=Quota)
    body_limit_bytes: int = 32 * 1024 * 1024
    task_limit: int = 20_000
    task_limit_bytes: int = MESSAGE_LIMIT_BYTES
    result_limit_bytes: int = MESSAGE_LIMIT_BYTES
    retain_s: float = 24 * 3600.0
    crate_dirs: tuple[Path, ...] = ()
    flows: bool = False
    collections: Path | None = None
    transfer_limit_kib: int = 0
    tick_s: float = 2.0
    stall_s: float = 10.0

    def __post_init__(self) -> None:
        _check_amqp("--amqp-url", self.amqp_url)
        if self.amqp_advertise not in (None, THROUGH_SERVICE):
            assert self.amqp_advertise is not None
            _check_amqp("--amqp-advertise", self.amqp_advertise)
        if self.amqp_management not in (None, NO_ACCOUNTS):
            assert self.amqp_management is not None
            _check_url("--amqp-management", self.amqp_management, ("http", "https"), "http://host:15672/, or none")
        if self.retain_s <= 0:
            raise InputError("--retain-hours: must be more than 0")
        if self.collections is not None and not self.flows:
            raise InputError("--collections: goes with --flows")

    @property
    def identities_default(self) -> Path:
        """Where identities are found, or made, when none are named."""
        return self.database.with_name("identities.json")

    @property
    def carries_amqp(self) -> bool:
        """Whether the service's port leads to the broker too."""
        return self.amqp_advertise == THROUGH_SERVICE

    @property
    def client_amqp_url(self) -> str:
        """The broker's URL for endpoints and clients."""
        if self.amqp_advertise is None:
            return self.amqp_url
        if self.amqp_advertise != THROUGH_SERVICE:
            return self.amqp_advertise
        own = urlsplit(self.amqp_url)
        user = own.netloc.rpartition("@")[0]
        return urlunsplit(
            ("amqp", f"{user}@{LOOPBACK}:{self.port}" if user else f"{LOOPBACK}:{self.port}", own.path, "", "")
        )

    def management_url(self, identities: int) -> str | None:
        """Return the broker's management API with an administrator's credentials; None for no accounts.

        Args:
            identities: how many there are: one alone needs no account to be kept apart from others.
        """
        if self.amqp_management == NO_ACCOUNTS or (self.amqp_management is None and identities == 1):
            return None
        own = urlsplit(self.amqp_url)
        user = own.netloc.rpartition("@")[0]
        if self.amqp_management is None:
            host = f"[{own.hostname}]" if ":" in (own.hostname or "") else own.hostname
            scheme, host = ("https", f"{host}:15671") if own.scheme == "amqps" else ("http", f"{host}:15672")
            return urlunsplit((scheme, f"{user}@{host}" if user else host, "", "", ""))
        given = urlsplit(self.amqp_management)
        netloc = given.netloc if "@" in given.netloc or not user else f"{user}@{given.netloc}"
        return urlunsplit((given.scheme, netloc, given.path, "", ""))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where to listen: the host, and what stock software on this machine may take ``localhost`` for."""
        if self.is_local:
            return (LOOPBACK, LOOPBACK_6)
        if self.host in ("", "0.0.0.0"):  # noqa: S104 - asked for
            return ("0.0.0.0", LOOPBACK_6)  # noqa: S104
        address = _address(self.host)
        # One socket for both families, which takes all of their loopbacks too.
        return (self.host,) if address and address.is_unspecified else (self.host, LOOPBACK, LOOPBACK_6)

    @property
    def is_local(self) -> bool:
        """Whether the service listens on loopback alone."""
        address = _address(self.host)
        return self.host == "localhost" or (address is not None and address.is_loopback)

    def is_called(self, authority: str) -> bool:
        """Return whether a request's ``Host`` names this service.

        A web page may have a name of its own lead to loopback (DNS rebinding), and then reads what needs no token. A
        service of loopback alone is called ``localhost``, an address, or a name without a dot, which no domain has.
        """
        host = authority.rpartition(":")[0] if re.search(r":\d*$", authority) else authority
        return not self.is_local or "." not in host.rstrip(".") or _address(host.strip("[]")) is not None

    @property
    def url(self) -> str:
        """The service's address for programs on this machine."""
        address = _address(self.host)
        if self.is_local or not self.host or (address is not None and address.is_unspecified):
            host = LOOPBACK
        else:
            host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return a host as an address; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _check_amqp(option: str, url: str) -> None:
    _check_url(option, url, ("amqp", "amqps"), "amqp://user:password@host:5672/%2F")


def _check_url(option: str, url: str, schemes: tuple[str, ...], example: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        # Never the URL itself: it holds a password.
        raise InputError(f"{option}: must look like {example}")
