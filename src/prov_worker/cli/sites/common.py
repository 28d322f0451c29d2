"""What the commands of ``prov-worker sites`` share: names that the shell completes, and options of a site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem


class SiteName(click.ParamType):
    """A name that the shell completes."""

    name = "site"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return names of sites that begin so."""
        from prov_worker.sites.catalog import names

        return [CompletionItem(name) for name in names() if name.startswith(incomplete)]


class Assignment(click.ParamType):
    """``KEY=VALUE``, of the site that was named before."""

    name = "assignment"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return options of the site, or values of one, that begin so."""
        from prov_worker.sites.catalog import names, site

        # An option whose value is missing still keeps click from telling arguments apart.
        named = next((argument for argument in (ctx.params.get("site"), *ctx.args) if argument in names()), None)
        if named is None:
            return []
        options = site(named).options
        key, equals, start = incomplete.partition("=")
        if not equals:
            return [
                CompletionItem(f"{name}=", help=option["description"])
                for name, option in options.items()
                if name.startswith(key)
            ]
        option = options.get(key, {})
        values = ["true", "false"] if option.get("type") == "boolean" else option.get("enum", [])
        return [CompletionItem(f"{key}={value}") for value in values if value.startswith(start)]


class EndpointName(click.ParamType):
    """An endpoint that was installed in Globus Compute's own directory."""

    name = "endpoint"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return names of endpoints that begin so."""
        from prov_worker.sites.install import MARKER, default_user_dir

        user_dir = Path(ctx.params.get("user_dir") or default_user_dir())
        endpoints = sorted(path.parent.name for path in user_dir.glob(f"*/{MARKER}"))
        return [CompletionItem(endpoint) for endpoint in endpoints if endpoint.startswith(incomplete)]


site_argument = click.argument("site", type=SiteName(), metavar="SITE")
set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    type=Assignment(),
    metavar="KEY=VALUE",
    help="Set an option; may be repeated.",
)
file_option = click.option(
    "-f", "--file", type=click.Path(), metavar="FILE", help="Options, in YAML; --set goes over them."
)
user_dir_option = click.option(
    "--user-dir",
    type=click.Path(),
    metavar="DIR",
    help="Globus Compute's directory.  [default: GLOBUS_COMPUTE_USER_DIR, else ~/.globus_compute]",
)


def read_options(
    site: str, assignments: tuple[str, ...], file: str | None, before: dict[str, Any] | None = None
) -> tuple[Any, dict[str, Any], dict[str, str]]:
    """Return a site, the values of all its options, and where each given value comes from.

    Args:
        site: its name.
        assignments: ``KEY=VALUE``, which go over the file.
        file: options in YAML.
        before: options that both go over, such as those of an installed endpoint.

    Raises:
        InputError: an unknown site or option, or a value that it does not take.
    """
    from prov_worker.sites import catalog, options

    definition = catalog.site(site)
    given, sources = options.read(definition, assignments, Path(file) if file else None)
    return definition, options.complete(definition, {**(before or {}), **given}, site, sources), sources


def print_notes(site: Any, values: dict[str, Any]) -> None:
    """Tell what the scheduler may refuse."""
    from prov_worker.sites.combinations import notes

    for note in notes(site, values):
        click.echo(note, err=True)
