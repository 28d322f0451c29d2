"""HTML of crates: text is escaped, links lead into the crate or to the web, and nothing is fetched from elsewhere.

What a crate holds is data of others: each text that comes from one goes through :func:`text` or :func:`link`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from prov_worker.crate.identifiers import leads_outside, local_path
from prov_worker.crate.json_text import clean, is_web
from prov_worker.humanize import plural

#: Most characters of a text in a cell.
CELL_LIMIT = 400
STYLE = (
    ".prov{font:15px/1.45 system-ui,sans-serif;color:#222;max-width:60rem}"
    ".prov h1{font-size:1.5em;margin:.2em 0}.prov h2{font-size:1.1em;margin:1.4em 0 .3em}"
    ".prov table{border-collapse:collapse;margin:0;font-size:.93em}"
    ".prov th,.prov td{text-align:left;vertical-align:top;padding:.2em .9em .2em 0;border-bottom:1px solid #ddd;"
    "overflow-wrap:anywhere;white-space:normal;background:none}"
    ".prov th{font-weight:600;color:#555}.prov .failed{color:#b3261e}.prov .completed{color:#1b6e3c}"
    ".prov img,.prov svg{max-width:100%;height:auto}.prov pre{white-space:pre-wrap;margin:0}"
)


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        title: above it.
        head: names of the columns; empty for rows whose first cell is their name.
        rows: cells, each a text, which is escaped, or :class:`Markup`.
        left_out: number of rows that were left out.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    left_out: int = 0


def text(value: object, limit: int = CELL_LIMIT) -> Markup:
    """Return a value as escaped text, cut at ``limit`` characters."""
    if isinstance(value, Markup):
        return value
    return Markup(escape(clean(value, limit)))


def reference(identifier: str) -> str | None:
    """Return the escaped address of a file of the crate; None for what lies elsewhere."""
    path = local_path(identifier)
    if path is None or leads_outside(path):
        return None
    return escape("./" + identifier.removeprefix("./"))


def link(identifier: str, label: str | None = None, *, inside: bool = True) -> Markup:
    """Return a link to a file of the crate or to a page of the web; anything else as text.

    Args:
        identifier: of an entity.
        label: what is shown; None shows the identifier.
        inside: whether the page lies in the crate; else its files are text too.
    """
    shown = text(identifier if label is None else label)
    address = reference(identifier) if inside else None
    if address is not None:
        return Markup(f'<a href="{address}">{shown}</a>')
    if is_web(identifier):
        return Markup(f'<a href="{escape(identifier)}" rel="noopener noreferrer">{shown}</a>')
    return shown


def table(content: Table) -> str:
    """Return a table; nothing for one without rows."""
    if not content.rows:
        return ""
    parts = [f"<h2>{text(content.title)}</h2>" if content.title else "", "<table>"]
    if content.head:
        parts.append(f"<tr>{''.join(f'<th>{text(name)}</th>' for name in content.head)}</tr>")
    for row in content.rows:
        cells = [text(cell) for cell in row]
        first = f"<td>{cells[0]}</td>" if content.head else f"<th>{cells[0]}</th>"
        parts.append(f"<tr>{first}{''.join(f'<td>{cell}</td>' for cell in cells[1:])}</tr>")
    parts.append("</table>")
    if content.left_out:
        parts.append(f"<p>{plural(content.left_out, 'more is', 'more are')} not shown.</p>")
    return "".join(parts)


def section(parts: Iterable[str]) -> str:
    """Return parts of a page, with their style: what a notebook shows of an object."""
    return f'<div class="prov"><style>{STYLE}</style>{"".join(parts)}</div>'
