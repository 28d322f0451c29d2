"""The read me of a site, from its options: one of the two is written by hand."""

from __future__ import annotations

import json
from typing import Any

from prov_worker.sites import options
from prov_worker.sites.catalog import Site, site
from prov_worker.sites.recipe import recipe_of


def complete(name: str, **values: Any) -> dict[str, Any]:
    """Options of a site, with those that it demands."""
    definition = site(name)
    if "account" in definition.options:
        values.setdefault("account", "X")
    if "submit_dir" in definition.options:
        values.setdefault("submit_dir", "/flare/X")
    options.check(definition, values, "test")
    return options.complete(definition, values, "test")


def read_me(site: Site) -> str:
    """A table of the options, their defaults, and where these come from."""
    lines = [
        f"# {site.title}",
        "",
        f"    prov-worker sites install {site.name} NAME --set KEY=VALUE...",
        "",
        "| option | default | what it is | source of the default |",
        "|---|---|---|---|",
    ]
    for name, option in site.options.items():
        default = f"`{json.dumps(option['default'])}`" if "default" in option else "must be set"
        description = option["description"].replace("|", "\\|")
        lines.append(f"| `{name}` | {default} | {description} | {option.get('$comment', '')} |")
    if site.cores:
        lines += ["", f"A node: {site.node} ({site.cores_source})."]
    if site.fixed:
        lines += ["", "What the template says by itself:", "", "| what | value | source |", "|---|---|---|"]
        lines += [f"| {row['what']} | `{row['value']}` | {row['source']} |" for row in site.fixed]
    if site.recipe:
        steps = recipe_of(site).text().splitlines()
        lines += ["", "From nothing to a first task (`prov-worker sites recipe`):", ""]
        lines += [f"    {line}".rstrip() for line in steps]
    return "\n".join(lines) + "\n"
