"""``ro-crate-preview.html``: a crate as a page for people, which needs no script and nothing from elsewhere.

RO-Crate 1.1, "RO-Crate Website": a valid HTML 5 document, which holds a copy of the metadata in a ``script`` element of
its head. Nothing in that copy can end the element: its ``<`` are escapes of JSON, which reads them as the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from prov_worker import __version__
from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import Entity, content_size, reference_ids, types_of
from prov_worker.crate.html import STYLE, Markup, Table, link, reference, table, text
from prov_worker.files import write_file
from prov_worker.humanize import quantity, size

#: Most rows of a table.
MAX_ROWS = 200
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' file:"


def page(title: str, body: Iterable[str], metadata: Iterable[str]) -> Iterator[str]:
    """Yield the text of the page, in parts.

    Args:
        title: of the document; any text.
        body: HTML.
        metadata: text of the metadata document, in parts.
    """
    yield (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{text(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<style>{STYLE}.prov{{margin:1.5rem auto;padding:0 1rem}}</style>\n"
        '<script type="application/ld+json">\n'
    )
    for part in metadata:
        yield part.replace("<", "\\u003c")
    yield '</script>\n</head>\n<body class="prov">\n'
    for part in body:
        yield part + "\n"
    yield (
        f"<p>All of it is in {link(v.METADATA_FILE)}, the metadata of this "
        f"{link(v.CRATE_PROFILE, 'RO-Crate')}. Written by prov-worker {text(__version__)}.</p>\n</body>\n</html>\n"
    )


def step_page(metadata: str) -> bytes:
    """Return the page of a step crate.

    Args:
        metadata: text of its metadata document.
    """
    entities = {entity["@id"]: entity for entity in json.loads(metadata)["@graph"]}
    action = entities[v.ACTION_ID]
    title = str(entities["./"].get("name", ""))
    return "".join(page(title, step_body(entities, action), [metadata])).encode("utf-8", "backslashreplace")


def write_metadata(crate: Path, metadata: str) -> None:
    """Replace the metadata of a step crate, and its page if it has one.

    Raises:
        OSError: the file system refused.
    """
    write_file(crate / v.METADATA_FILE, metadata.encode())
    if (crate / v.PREVIEW_FILE).is_file():
        write_file(crate / v.PREVIEW_FILE, step_page(metadata))


def step_body(entities: Mapping[str, Entity], action: Entity, plot: str | None = None) -> Iterator[str]:
    """Yield what a page says of a step.

    Args:
        entities: of its crate, by id.
        action: its execution.
        plot: HTML of a picture; None shows the one in the crate, in which the page lies then.
    """
    inside = plot is None
    root = entities.get("./", {})
    failed = "Failed" in str(reference_ids(action.get("actionStatus")) or action.get("actionStatus"))
    status = Markup('<span class="failed">failed</span>' if failed else '<span class="completed">completed</span>')
    yield f"<h1>{text(_name(entities, action, 'instrument'))} {status}</h1>"
    if isinstance(action.get("error"), str):
        yield f'<p class="failed">{text(action["error"], 2000)}</p>'
    yield f"<p>{text(root.get('description') or action.get('description') or '')}</p>"
    yield table(Table("", (), list(_facts(entities, action))))
    yield _image(entities) if plot is None else plot
    for title, role in (
        ("Arguments", "object"),
        ("Results", "result"),
        ("What it used", "resourceUsage"),
        ("Particulars", "additionalProperty"),
        ("Environment", "environment"),
    ):
        yield table(_properties(title, entities, reference_ids(action.get(role)), inside=inside))
    yield table(_files(entities, inside=inside))


def citation(entities: Mapping[str, Entity]) -> str:
    """Return how a crate is cited: who, when, what and where from."""
    root = entities.get("./", {})
    parts = (
        _name(entities, root, "author"),
        str(root.get("datePublished", ""))[:10],
        str(root.get("name", "")),
        _name(entities, root, "publisher"),
    )
    return ". ".join(part for part in parts if part)


def _image(entities: Mapping[str, Entity]) -> str:
    """Return the picture that lies in a crate; nothing without one."""
    for identifier, entity in entities.items():
        address = reference(identifier) if str(entity.get("encodingFormat")).startswith("image/") else None
        if address is not None:
            return f'<p><img alt="{text(entity.get("name", ""))}" src="{address}"></p>'
    return ""


def _facts(entities: Mapping[str, Entity], action: Entity) -> Iterator[tuple[str, str]]:
    root = entities.get("./", {})
    for label, identifier in (("Task", "#task-id"), ("Attempt", "#attempt"), ("Node", "#worker-host")):
        value = entities.get(identifier, {}).get("value")
        if value is not None:
            yield label, str(value)
    for label, key in (("Began", "startTime"), ("Ended", "endTime")):
        if isinstance(action.get(key), str):
            yield label, action[key]
    for label, owner, key in (("Endpoint", action, "provider"), ("Licence", root, "license")):
        for identifier in reference_ids(owner.get(key))[:1]:
            yield label, link(identifier, _name(entities, owner, key))  # of the web, or text
    cited = citation(entities)
    if cited:
        yield "Cite as", cited


def _name(entities: Mapping[str, Entity], owner: Entity, key: str) -> str:
    """Return the name of the first entity that another refers to, or else its id."""
    ids = reference_ids(owner.get(key))
    return str(entities.get(ids[0], {}).get("name") or ids[0]) if ids else ""


def _properties(title: str, entities: Mapping[str, Entity], ids: list[str], *, inside: bool) -> Table:
    rows: list[tuple[str, str, str]] = []
    for identifier in ids[:MAX_ROWS]:
        entity = entities.get(identifier, {})
        if "File" in types_of(entity):
            rows.append(
                (link(identifier, str(entity.get("name", identifier))), "", text(entity.get("description", "")))
            )
            continue
        value = entity.get("value", "")
        unit = v.UNIT_NAMES.get(str(entity.get("unitCode")))
        shown = quantity(value, unit) if isinstance(value, (int, float, str)) else ""
        description = entity.get("description")
        rows.append((str(entity.get("name", identifier)), shown, description if isinstance(description, str) else ""))
    return Table(title, ("Name", "Value", "Description"), rows, max(0, len(ids) - MAX_ROWS))


def _files(entities: Mapping[str, Entity], *, inside: bool) -> Table:
    files = [(name, entity) for name, entity in entities.items() if "File" in types_of(entity)]
    rows = [
        (link(name, inside=inside), size(content_size(entity)), str(entity.get("description", entity.get("name", ""))))
        for name, entity in files[:MAX_ROWS]
    ]
    return Table("Files", ("File", "Size", "Description"), rows, max(0, len(files) - MAX_ROWS))
