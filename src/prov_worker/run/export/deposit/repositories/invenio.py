"""InvenioRDM, such as Zenodo: a draft, its file, and the record if it is to be public.

Source: the reference of the REST API, https://inveniordm.docs.cern.ch/reference/rest_api_drafts_records/, and that of
its metadata.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from prov_worker.run.export.deposit.repository import REPOSITORIES, Destination, Receipt, Repository
from prov_worker.run.export.deposit.submission import Creator, Submission
from prov_worker.run.export.deposit.web import Session, text_at

_SPDX = re.compile(r"https?://spdx\.org/licenses/([A-Za-z0-9.+-]+?)(?:\.html)?\Z")


def document(submission: Submission, _: Destination) -> dict[str, Any]:
    """Return the metadata of a record."""
    metadata: dict[str, Any] = {
        "resource_type": {"id": "dataset"},
        "title": submission.title,
        "publication_date": submission.published,
        "creators": [{"person_or_org": _person(creator)} for creator in submission.creators],
        "description": submission.description,
    }
    if submission.publisher is not None:
        metadata["publisher"] = submission.publisher
    if submission.license is not None:
        metadata["rights"] = [_rights(submission.license)]
    access = {"record": "public", "files": "public"}
    return {"access": access, "files": {"enabled": True}, "metadata": metadata}


def _person(creator: Creator) -> dict[str, Any]:
    person: dict[str, Any] = {"type": "personal", "family_name": creator.family}
    if creator.given:
        person["given_name"] = creator.given
    if creator.orcid is not None:
        person["identifiers"] = [{"scheme": "orcid", "identifier": creator.orcid}]
    return person


def _rights(address: str) -> dict[str, Any]:
    match = _SPDX.match(address)
    if match is not None:
        return {"id": match[1].lower()}
    return {"title": {"en": address.rstrip("/").rsplit("/", 1)[-1]}, "link": address}


def send(session: Session, submission: Submission, destination: Destination, archive: Path) -> Receipt:
    """Make a draft with the file; publish it if that is asked for."""
    draft = session.json("POST", "/api/records", document(submission, destination), (201,))
    identifier = text_at(draft, "id")
    files = f"/api/records/{quote(identifier)}/draft/files"
    name = submission.archive
    session.json("POST", files, [{"key": name}], (201,))
    session.file("PUT", f"{files}/{quote(name)}/content", archive, (200,))
    session.json("POST", f"{files}/{quote(name)}/commit", None, (200,))
    if destination.publish:
        session.json("POST", f"/api/records/{quote(identifier)}/draft/actions/publish", None, (202,))
    kind = "records" if destination.publish else "uploads"
    return Receipt(identifier, f"{session.url}/{kind}/{identifier}", destination.publish)


REPOSITORIES.add(
    "invenio",
    Repository(
        "InvenioRDM, such as Zenodo",
        "INVENIORDM_API_KEY",
        ("Authorization", "Bearer "),
        "https://zenodo.org",
        (),
        True,
        document,
        send,
    ),
)
