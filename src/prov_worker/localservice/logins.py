"""Logins by secret: a right one is let in at once, and wrong ones are answered ever more slowly."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prov_worker.localservice.identities import Identities, Identity

#: The first wrong secret waits so long, each further one twice as long, up to the second number.
_FIRST_S, _LONGEST_S = 0.1, 5.0
#: More wrong secrets at once than can be answered within this time are refused without a wait.
_QUEUE_S = 10.0
#: So long after the last wrong one all is forgotten.
_FORGET_S = 60.0
#: Clients whose failures are remembered.
_CLIENTS = 1000


class SlowDownError(Exception):
    """Too many wrong secrets; ``wait_s`` says when to try again, in whole seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many wrong secrets")
        self.wait_s = max(1, math.ceil(wait_s))


class Logins:
    """Who has tried what.

    A client is an address with a client id; all ids that do not exist count as one.
    """

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        #: Number of failures, and until when the last of them waits.
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    async def authenticate(self, address: str, client_id: str, secret: str) -> Identity | None:
        """Return the identity if the secret is right, and None, after a while, if it is not.

        Raises:
            SlowDownError: it is wrong, and so were too many before.
        """
        identity = self._identities.authenticate(client_id, secret)
        if identity is not None:
            return identity
        client = address, client_id if self._identities.get(client_id) else ""
        now = time.monotonic()
        number, until = self._failures.pop(client, (0, now))
        if now - until > _FORGET_S:
            number = 0
        until = max(now, until)
        if until - now <= _QUEUE_S:
            until += min(_FIRST_S * 2 ** min(number, 16), _LONGEST_S)
            number += 1
            late = False
        else:
            late = True
        self._failures[client] = number, until
        while len(self._failures) > _CLIENTS:
            self._failures.popitem(last=False)
        if late:
            raise SlowDownError(until - now)
        await asyncio.sleep(until - now)
        return None
