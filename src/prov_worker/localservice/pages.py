"""Templates and other parts of the service's pages, from ``assets/``."""

from __future__ import annotations

from functools import cache
from importlib import resources

import jinja2

#: Of every page: nothing of it is kept, named to other sites, or taken for something else.
HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


@cache
def template(name: str) -> jinja2.Template:
    """Return a template, which escapes what is put into it."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(asset(name))


@cache
def asset(name: str) -> str:
    """Return the text of a file of ``assets/``."""
    return resources.files("prov_worker.localservice").joinpath("assets").joinpath(name).read_text(encoding="utf-8")
