"""The action that waits for a person: https://docs.globus.org/api/flows/hosted-action-providers/ap-weboption-wait-for-option/.

Its pages are this service's own: ``/weboption/landing_page/SUFFIX`` and ``/weboption/option/SUFFIX``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from prov_worker.localservice.flows import roles
from prov_worker.localservice.flows.actions.provider import Request, Status, UnableError
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.sqlite.choices import OPTION, ChoiceStore

_SUFFIX = re.compile(r"[0-9A-Za-z._~-]{1,200}\Z")
_OPEN = {"public", "all_authenticated_users"}
#: Texts of a landing page.
_TEXTS = ("page_title", "header_text", "preamble_text")


class PersonProvider:
    """Offers options, and goes on with the one that is chosen.

    Args:
        store: what is durable.
        wake: is called when something was chosen.
    """

    def __init__(self, store: ChoiceStore, wake: Callable[[], None]) -> None:
        self.store, self._wake = store, wake

    def prepare(self, request: Request) -> dict[str, Any]:
        """See :class:`Provider`."""
        body = request.body
        options = body.get("options")
        if not isinstance(options, list) or not options:
            raise UnableError("options: expected a list with an option at least")
        page = body.get("landing_page")
        offers = [_option(option, f"options[{number}]") for number, option in enumerate(options)]
        landing = None if page is None else _page(page)
        # An option that says nothing of its own is for those whom the page is for.
        for offer in offers:
            if offer["selectable_by"] is None and landing is not None:
                offer["selectable_by"] = landing["selectable_by"]
        return {"options": offers, "landing_page": landing}

    def look(self, request: Request, note: Mapping[str, Any]) -> Status | None:
        """See :class:`Provider`."""
        chosen = self.store.chosen(request.id)
        if chosen is None:
            taken = self.store.add(request.id, note)
            if taken:
                raise UnableError(f"url_suffix: {taken}: another action has it")
            return None
        return Status(True, {"name": chosen["name"], "url_suffix": chosen["url_suffix"]}, request.id)

    def cancel(self, request: Request) -> None:
        """See :class:`Provider`."""
        self.store.forget(request.id)

    def choose(self, suffix: str) -> bool:
        """Choose the option that has an address; returns whether it was there to be chosen."""
        offered = self.store.offered(OPTION, suffix)
        if offered is None:
            return False
        action, content = offered
        option = next(option for option in content["options"] if option["url_suffix"] == suffix)
        taken = self.store.choose(action, option)
        self._wake()
        return taken


def is_for(holder: Mapping[str, Any], identity: Identity | None) -> bool:
    """Return whether someone may see a page, or choose an option; None is someone who has not logged in."""
    allowed = holder["selectable_by"]
    if allowed is None or "public" in allowed:
        return True
    return identity is not None and bool({roles.urn(identity.client_id), identity.client_id, *_OPEN} & set(allowed))


def _option(option: Any, where: str) -> dict[str, Any]:
    if not isinstance(option, Mapping):
        raise UnableError(f"{where}: expected an object")
    name = option.get("name")
    if not isinstance(name, str) or not name:
        raise UnableError(f"{where}.name: expected a text")
    return {
        **_offer(option, where),
        "name": name,
        "description": str(option.get("description") or name),
        "completed_message": str(option.get("completed_message") or name),
    }


def _page(page: Any) -> dict[str, Any]:
    if not isinstance(page, Mapping):
        raise UnableError("landing_page: expected an object")
    return {**_offer(page, "landing_page"), **{key: str(page.get(key) or "") for key in _TEXTS}}


def _offer(holder: Mapping[str, Any], where: str) -> dict[str, Any]:
    suffix, allowed = holder.get("url_suffix"), holder.get("selectable_by")
    if not isinstance(suffix, str) or not _SUFFIX.match(suffix):
        raise UnableError(f"{where}.url_suffix: expected letters, digits and any of . _ ~ -")
    if allowed is not None and (
        not isinstance(allowed, list) or not all(isinstance(principal, str) for principal in allowed)
    ):
        raise UnableError(f"{where}.selectable_by: expected a list of identities")
    return {"url_suffix": suffix, "selectable_by": allowed}
