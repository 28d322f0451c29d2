"""The page about a run in its run crate: ``ro-crate-preview.html``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import Entity
from prov_worker.crate.html import Markup, Table, link, table, text
from prov_worker.crate.preview import MAX_ROWS, citation, page
from prov_worker.humanize import duration, moment, size
from prov_worker.run.assembly.metadata import Heading
from prov_worker.run.assembly.staging import StagingDb

_BLOCK = 1 << 20


def write_preview(staged: Path, heading: Heading, db: StagingDb) -> None:
    """Write the page beside the metadata, which it holds.

    Args:
        staged: directory of the run crate, with its metadata.
        heading: what the run says of itself.
        db: the steps, settled.

    Raises:
        OSError: it cannot be written.
    """
    with (
        open(staged / v.METADATA_FILE, encoding="utf-8", newline="\n") as metadata,
        open(staged / v.PREVIEW_FILE, "x", encoding="utf-8", errors="backslashreplace", newline="\n") as out,
    ):
        out.writelines(page(heading.name, _body(heading, db), iter(lambda: metadata.read(_BLOCK), "")))


def _body(heading: Heading, db: StagingDb) -> Iterator[str]:
    tasks, failed = db.tasks()
    first, last = db.span()
    yield f"<h1>{text(heading.name)}</h1><p>{text(heading.description, 2000)}.</p>"
    facts: list[tuple[str, str]] = [("Tasks", f"{tasks:,}, of which {failed:,} failed in the end")]
    if first is not None and last is not None:
        facts += [("Began", moment(first)), ("Ended", moment(last)), ("Took", duration((last - first) / 1e9))]
    people = _entities(heading)
    facts.append(("Licence", link(heading.people.license)))
    facts.append(("Cite as", citation(people)))
    facts.append(("Seal", f"prov-worker run verify, or sha256sum -c {v.SEAL_FILE} {v.MANIFEST_FILE}"))
    yield table(Table("", (), facts))
    functions: dict[str, list[float]] = {}
    rows: list[tuple[str, ...]] = []
    failures: list[tuple[str, ...]] = []
    attempts = failed_attempts = 0
    for key, function, is_failed, wall_s, host, error in db.overview():
        counts = functions.setdefault(function, [0, 0, 0.0])
        counts[0] += 1
        counts[1] += is_failed
        counts[2] += wall_s or 0.0
        attempts += 1
        failed_attempts += is_failed
        if len(rows) < MAX_ROWS or (is_failed and len(failures) < MAX_ROWS):
            named = link(f"{v.step_id(key)}{v.METADATA_FILE}", key)
            row = (named, function, _status(is_failed), duration(wall_s), host or "")
            if len(rows) < MAX_ROWS:
                rows.append(row)
            if is_failed and len(failures) < MAX_ROWS:
                failures.append((named, function, error or ""))
    ranked = sorted(functions.items(), key=lambda item: (-item[1][2], item[0]))
    yield table(
        Table(
            "Functions",
            ("Function", "Attempts", "Failed", "Time of all"),
            [(name, f"{count:.0f}", f"{bad:.0f}", duration(wall)) for name, (count, bad, wall) in ranked[:MAX_ROWS]],
            max(0, len(ranked) - MAX_ROWS),
        )
    )
    yield table(Table("Failed attempts", ("Step", "Function", "Why"), failures, failed_attempts - len(failures)))
    yield table(Table("Steps", ("Step", "Function", "Status", "Time", "Node"), rows, attempts - len(rows)))
    files = [(link(name), size(count), description) for name, description, _, count, _ in heading.files]
    yield table(Table("Files of the run", ("File", "Size", "Description"), files))


def _status(failed: bool) -> Markup:
    return Markup('<span class="failed">failed</span>' if failed else "completed")


def _entities(heading: Heading) -> dict[str, Entity]:
    """Return what a citation is made of."""
    import json

    people = heading.people
    entities: dict[str, Entity] = {entity["@id"]: entity for entity in map(json.loads, people.entities)}
    entities["./"] = {
        "@id": "./",
        "name": heading.name,
        "datePublished": heading.published,
        "author": {"@id": people.author},
        "publisher": {"@id": people.publisher},
    }
    return entities
