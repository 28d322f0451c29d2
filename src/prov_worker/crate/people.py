"""Who stands behind a crate: licence, author, publisher, and the person for whom the task ran."""

from __future__ import annotations

import os
from dataclasses import dataclass

from prov_worker.crate.entities import entity
from prov_worker.crate.json_text import is_web, one_line
from prov_worker.crate.vocabulary import NAMESPACE
from prov_worker.settings import Settings

#: Name of the organisation if none is stated.
UNSTATED = "not stated"
#: An organisation should have an address (RO-Crate 1.1 recommendation 31.2); this one says that none is known.
_NO_URL = NAMESPACE + "not-stated"


def account_name() -> str:
    """Return the name of the account that runs this process; ``uid <n>`` if it has none."""
    # The password database is asked, not LOGNAME: the environment of a batch job may say anything.
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"


@dataclass(frozen=True, slots=True)
class People:
    """Ids of the four roles and the rendered entities behind them; the agent submitted the task, if that is known."""

    license: str
    author: str
    publisher: str
    agent: str
    entities: tuple[str, ...]


def people(settings: Settings, account: str, stated: str = "in the settings of the endpoint") -> People:
    """Return entities for the settings ``license``, ``author`` and ``publisher``; ``stated`` says where they come from.

    Without them the crate says so: a local licence entity that states none, the account that ran the task as author,
    and an organisation that is not stated. An author needs an affiliation and a publisher must be an Organization
    (RO-Crate 1.1 recommendations 30.2, 22.3), so both exist in every crate.
    """
    texts: list[str] = []
    license_id, text = _license(settings.license, stated)
    texts.append(text)
    publisher_id, text = _publisher(settings.publisher, stated, taken={license_id})
    texts.append(text)
    author_id = "#agent"
    author_name = account
    description = "The account that ran the task; no author is stated"
    if settings.author:
        author_name = one_line(settings.author)
        description = f"Author as stated {stated}"
        if is_web(settings.author) and settings.author not in (license_id, publisher_id):
            author_id = settings.author
    texts.append(
        entity(
            author_id,
            "Person",
            {"name": author_name, "description": description, "affiliation": {"@id": publisher_id}},
        )
    )
    agent_id = author_id
    if settings.submitter:
        agent_id = "#submitter"
        properties = {
            "name": one_line(settings.submitter),
            "identifier": f"urn:globus:auth:identity:{one_line(settings.submitter)}",
            "description": "The Globus identity for which the task ran",
            "affiliation": {"@id": publisher_id},
        }
        texts.append(entity(agent_id, "Person", properties))
    return People(license_id, author_id, publisher_id, agent_id, tuple(texts))


def _license(stated: str | None, where: str) -> tuple[str, str]:
    if not stated:
        properties = {
            "name": "No licence stated",
            "description": "All rights are reserved to those who hold them",
            "identifier": "not stated",
        }
        return "#license", entity("#license", "CreativeWork", properties)
    name = one_line(stated)
    identifier = stated if is_web(stated) else "#license"
    if is_web(stated):
        name = stated.rstrip("/").rsplit("/", 1)[-1].removesuffix(".html") or stated
    properties = {
        "name": name,
        "identifier": one_line(stated),
        "description": f"Licence as stated {where}",
    }
    return identifier, entity(identifier, "CreativeWork", properties)


def _publisher(stated: str | None, where: str, taken: set[str]) -> tuple[str, str]:
    if not stated:
        properties = {
            "name": UNSTATED,
            "description": "No organisation is stated",
            "url": _NO_URL,
        }
        return "#organization", entity("#organization", "Organization", properties)
    identifier = stated if is_web(stated) and stated not in taken else "#organization"
    properties = {
        "name": one_line(stated),
        "description": f"Organisation as stated {where}",
        "url": stated if is_web(stated) else _NO_URL,
    }
    return identifier, entity(identifier, "Organization", properties)
