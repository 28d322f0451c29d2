"""Dataverse: a dataset in a collection, its file, and a version if it is to be public.

Source: the native API, https://guides.dataverse.org/en/latest/api/native-api.html.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from prov_worker.run.export.deposit.repository import REPOSITORIES, Destination, Receipt, Repository
from prov_worker.run.export.deposit.submission import Creator, Submission
from prov_worker.run.export.deposit.web import Session, text_at

_SUBJECT = "Computer and Information Science"


def document(submission: Submission, destination: Destination) -> dict[str, Any]:
    """Return the first version of a dataset, with the fields that a collection wants at least."""
    citation = [
        _text("title", submission.title),
        _compounds("author", [_author(creator) for creator in submission.creators]),
        _compounds("datasetContact", [[_text("datasetContactEmail", str(destination.contact))]]),
        _compounds("dsDescription", [[_text("dsDescriptionValue", submission.description)]]),
        {"typeName": "subject", "typeClass": "controlledVocabulary", "multiple": True, "value": [_SUBJECT]},
    ]
    block = {"displayName": "Citation Metadata", "fields": citation}
    version: dict[str, Any] = {"metadataBlocks": {"citation": block}}
    if submission.license is not None:
        version["termsOfUse"] = submission.license
    return {"datasetVersion": version}


def _text(name: str, value: str) -> dict[str, Any]:
    return {"typeName": name, "typeClass": "primitive", "multiple": False, "value": value}


def _compounds(name: str, groups: list[list[dict[str, Any]]]) -> dict[str, Any]:
    values = [{field["typeName"]: field for field in group} for group in groups]
    return {"typeName": name, "typeClass": "compound", "multiple": True, "value": values}


def _author(creator: Creator) -> list[dict[str, Any]]:
    fields = [_text("authorName", creator.name)]
    if creator.orcid is not None:
        scheme = {**_text("authorIdentifierScheme", "ORCID"), "typeClass": "controlledVocabulary"}
        fields += [scheme, _text("authorIdentifier", creator.orcid)]
    return fields


def send(session: Session, submission: Submission, destination: Destination, archive: Path) -> Receipt:
    """Make a dataset with the file, which stays one zip; publish it if that is asked for."""
    collection = quote(str(destination.collection), safe="")
    answer = session.json("POST", f"/api/dataverses/{collection}/datasets", document(submission, destination), (201,))
    identifier = text_at(answer, "data", "persistentId")
    dataset = f"persistentId={quote(identifier, safe='')}"
    session.form(f"/api/datasets/:persistentId/add?{dataset}", {}, "file", archive, submission.archive, (200,))
    if destination.publish:
        path = f"/api/datasets/:persistentId/actions/:publish?{dataset}&type=major"
        session.json("POST", path, None, (200, 202))
    return Receipt(identifier, f"{session.url}/dataset.xhtml?{dataset}", destination.publish)


REPOSITORIES.add(
    "dataverse",
    Repository(
        "Dataverse",
        "DATAVERSE_API_TOKEN",
        ("X-Dataverse-key", ""),
        None,
        ("collection", "contact"),
        True,
        document,
        send,
    ),
)
