"""What pages are made of: templates, styles and scripts of this package, and how numbers are written."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

from prov_worker import humanize
from prov_worker.errors import MissingExtraError
from prov_worker.humanize import plural

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

#: Styles of pages, in their order.
STYLES = ("theme.css", "layout.css", "parts.css", "dialog.css", "media.css")
#: What every page has near its beginning, and hardly another file.
OWN_MARK = b'<meta name="generator" content="prov-worker '


def template(name: str) -> jinja2.Template:
    """Return a template; what it is given is escaped.

    Raises:
        MissingExtraError: jinja2 is missing.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("the report needs jinja2", "report", error) from None
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for filter_name in ("duration", "size", "number", "percent", "moment", "quantity"):
        environment.filters[filter_name] = getattr(humanize, filter_name)
    environment.filters["plural"] = plural
    environment.filters["prose"] = prose
    return environment.from_string(asset(name))


def prose(text: str) -> Markup:
    """Return text as HTML, escaped; what stands between one or two backticks, as in docstrings, is code."""
    from markupsafe import Markup, escape

    parts = re.split(r"(``[^`]+``|`[^`]+`)", text)
    shown = (
        Markup("<code>{}</code>").format(part.strip("`")) if n % 2 else escape(part) for n, part in enumerate(parts)
    )
    return Markup().join(shown)


def asset(name: str) -> str:
    """Return the text of a file among the assets."""
    return resources.files("prov_worker.run.report").joinpath("assets").joinpath(name).read_text(encoding="utf-8")


def style() -> str:
    """Return the style of a page."""
    return "\n".join(map(asset, STYLES))
