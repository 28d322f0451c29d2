"""What the web service says of an endpoint: whether it is there, and what its last heartbeat said."""

from __future__ import annotations

import contextlib
import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """The state of an endpoint.

    Attributes:
        online: whether it is.
        since: when it was heard last, in seconds since the epoch; None if the service does not say.
        details: its last heartbeat: workers, blocks and more of a user endpoint; empty for one that has none.
        ahead_s: how far the clock of this machine is ahead of the service's, to the second; None if it does not say.
    """

    online: bool
    since: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    ahead_s: float | None = None


def read_report(document: Mapping[str, Any], headers: Mapping[str, str]) -> EndpointReport:
    """Return what an answer of ``/v2/endpoints/ID/status`` says; its ``details`` may have a ``timestamp``."""
    details = document.get("details")
    details = dict(details) if isinstance(details, Mapping) else {}
    since = details.get("timestamp")
    ahead_s = None
    with contextlib.suppress(KeyError, TypeError, ValueError):
        ahead_s = time.time() - email.utils.parsedate_to_datetime(headers["Date"]).timestamp()
    return EndpointReport(
        document.get("status") == "online",
        float(since) if isinstance(since, (int, float)) and since > 0 else None,
        details,
        ahead_s,
    )
