"""``prov-worker sites``: templates of endpoints for known machines."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from prov_worker.cli import terminal

if TYPE_CHECKING:
    from prov_worker.sites.check.finding import Finding


class _SiteName(click.ParamType):
    """A name that the shell completes."""

    name = "site"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from prov_worker.sites.catalog import names

        return [CompletionItem(one) for one in names() if one.startswith(incomplete)]


class _Assignment(click.ParamType):
    """``KEY=VALUE``, of the site that was named before."""

    name = "assignment"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from prov_worker.sites.catalog import names, site

        # An option whose value is missing still keeps click from telling arguments apart.
        named = next((one for one in (ctx.params.get("site"), *ctx.args) if one in names()), None)
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


class _EndpointName(click.ParamType):
    """An endpoint that was installed in Globus Compute's own directory."""

    name = "endpoint"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from prov_worker.sites.install import MARKER, default_user_dir

        user_dir = Path(ctx.params.get("user_dir") or default_user_dir())
        found = sorted(path.parent.name for path in user_dir.glob(f"*/{MARKER}"))
        return [CompletionItem(one) for one in found if one.startswith(incomplete)]


_site = click.argument("site", type=_SiteName(), metavar="SITE")
_set = click.option(
    "--set",
    "assignments",
    multiple=True,
    type=_Assignment(),
    metavar="KEY=VALUE",
    help="Set an option; may be repeated.",
)
_file = click.option("-f", "--file", type=click.Path(), metavar="FILE", help="Options, in YAML; --set goes over them.")
_user_dir = click.option(
    "--user-dir",
    type=click.Path(),
    metavar="DIR",
    help="Globus Compute's directory.  [default: as Globus Compute's own]",
)


@click.group("sites")
def command() -> None:
    """Templates of endpoints for known machines: show, render, check, install."""


def _options(
    site: str, assignments: tuple[str, ...], file: str | None, before: dict[str, Any] | None = None
) -> tuple[Any, dict[str, Any], dict[str, str]]:
    from prov_worker.sites import options
    from prov_worker.sites.catalog import site as known

    found = known(site)
    given, sources = options.read(found, assignments, Path(file) if file else None)
    return found, options.complete(found, {**(before or {}), **given}, site, sources), sources


def _note(site: Any, values: dict[str, Any]) -> None:
    """Tell what the scheduler may refuse."""
    from prov_worker.sites.combinations import notes

    for one in notes(site, values):
        click.echo(one, err=True)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_sites(as_json: bool) -> int:
    """List the sites that there are templates for."""
    from prov_worker.sites.catalog import names, site

    found = {name: site(name).title for name in names()}
    if as_json:
        terminal.print_json([{"name": name, "title": title} for name, title in found.items()])
    else:
        for name, title in found.items():
            click.echo(f"{name:<16}{title}")
    return 0


@command.command("show")
@_site
def show(site: str) -> int:
    """Show the options of SITE, their defaults, and where these come from."""
    from prov_worker.sites.catalog import site as known

    found = known(site)
    click.echo(found.title)
    for name, option in found.options.items():
        default = json.dumps(option["default"]) if "default" in option else "must be set"
        click.echo(f"\n{name}: {default}\n    {option['description']}")
        if "$comment" in option:
            click.echo(f"    source: {option['$comment']}")
    if found.cores:
        click.echo(f"\na node: {found.node}\n    source: {found.cores_source}")
    for one in found.fixed:
        click.echo(f"\n{one['what']} (not an option): {one['value']}\n    source: {one['source']}")
    return 0


@command.command("schema")
@_site
def schema(site: str) -> int:
    """Print the JSON schema of the options of SITE."""
    from prov_worker.sites.catalog import site as known

    click.echo(json.dumps(known(site).schema(), indent=2))
    return 0


@command.command("render")
@_site
@_set
@_file
@click.option("--script", is_flag=True, help="The batch script that would be submitted, instead.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def render(site: str, assignments: tuple[str, ...], file: str | None, script: bool, as_json: bool) -> int:
    """Print what the daemon would load for SITE, by Globus Compute's own code.

    With --script: what Parsl's provider would submit. LOGIN_NODE, RUN_DIR and TIME stand for what is known then.
    """
    from prov_worker.globus import template
    from prov_worker.sites.install import template_of

    found, values, _ = _options(site, assignments, file)
    text = template.render(template_of(found, values), found.schema(values))
    # Nothing that the daemon would refuse is printed.
    submitted, batch = template.batch_script(text, "RUN_DIR")
    if as_json:
        terminal.print_json({"site": site, "options": values, "config": text, "submit": submitted, "script": batch})
    elif script:
        click.echo((f"# {submitted}\n" if submitted else "") + batch, nl=False)
    else:
        click.echo(text)
    _note(found, values)
    return 0


@command.command("install")
@_site
@click.argument("name", type=_EndpointName(), metavar="NAME")
@_set
@_file
@_user_dir
@click.option(
    "--force",
    is_flag=True,
    help="Also over changed files, which are kept, an endpoint of another host or site, and without the interface.",
)
@click.option(
    "--any-host", is_flag=True, help="A batch system chooses the daemon's host, as for scrontab: it belongs to none."
)
@click.option("-n", "--dry-run", is_flag=True, help="Show what would change; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Summary, as JSON.")
def install(
    site: str,
    name: str,
    assignments: tuple[str, ...],
    file: str | None,
    user_dir: str | None,
    force: bool,
    any_host: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Write the directory of an endpoint NAME on SITE, for `globus-compute-endpoint start NAME`.

    What the options give is loaded by Globus Compute's own code first. Run again, it changes what differs; files that
    were changed by hand are refused.
    """
    from prov_worker.globus import template
    from prov_worker.globus.daemons import wants_email
    from prov_worker.sites.install import MARKER, template_of
    from prov_worker.sites.install import install as write

    found, values, sources = _options(site, assignments, file)
    template.batch_script(template.render(template_of(found, values), found.schema(values)), "RUN_DIR")
    directory = Path(user_dir).expanduser() if user_dir else None
    done = write(
        found, name, values, user_dir=directory, force=force, any_host=any_host, dry_run=dry_run, sources=sources
    )
    _note(found, values)
    written = [*done.written, *([MARKER] if done.noted else [])]
    if as_json:
        data = {"written": written, "unchanged": done.unchanged, "backups": done.backups, "diff": done.diff}
        terminal.print_json({"directory": str(done.directory), "dry_run": dry_run, **data})
        return 0
    if dry_run:
        click.echo(done.diff, nl=False)
    verb = "would be written" if dry_run else "written"
    click.echo(f"{done.directory}: {', '.join(written) or 'nothing'} {verb}")
    for backup in done.backups:
        click.echo(f"kept as it was: {done.directory / backup}")
    if not values["email"] and wants_email():
        click.echo("email: Globus Compute starts no endpoint of root without it: --set email=ADDRESS", err=True)
    if not dry_run:
        click.echo(f"start it with: {_elsewhere(directory)}globus-compute-endpoint start {name}")
    return 0


def _elsewhere(directory: Path | None) -> str:
    """What tells a command of Globus Compute's that its directory is not the one that it would take."""
    from prov_worker.sites.install import default_user_dir

    if directory is None or directory.absolute() == default_user_dir().absolute():
        return ""
    return f"GLOBUS_COMPUTE_USER_DIR={shlex.quote(str(directory.absolute()))} "


@command.command("check")
@_site
@_set
@_file
@click.option(
    "--name", type=_EndpointName(), metavar="NAME", help="An endpoint: its own options, and whether it runs elsewhere."
)
@_user_dir
@click.option("--offline", is_flag=True, help="Leave the network alone.")
@click.option("--json", "as_json", is_flag=True, help="Findings, as JSON.")
def check(
    site: str,
    assignments: tuple[str, ...],
    file: str | None,
    name: str | None,
    user_dir: str | None,
    offline: bool,
    as_json: bool,
) -> int:
    """Look whether this host has what an endpoint on SITE needs, before the first start.

    Runs worker_init in a shell of its own, and writes nothing but short trial files. Exit code 1 where something
    failed. To be run on the host, as the user, that the endpoint is for.
    """
    from prov_worker.sites.check import preflight
    from prov_worker.sites.install import default_user_dir, options_of

    directory = Path(user_dir).expanduser() if user_dir else default_user_dir()
    installed = options_of(directory / name, site) if name else {}
    if name and not installed:
        click.echo(f"{name}: is not installed here yet; options are defaults and those of this command", err=True)
    found, values, _ = _options(site, assignments, file, installed)
    subject = preflight.subject_of(found, values, user_dir=directory, name=name, offline=offline)
    with terminal.progress("checking", len(preflight.CHECKS)) as advance:
        findings = preflight.preflight(subject, advance)
    counts = {status: sum(one.status == status for one in findings) for status in ("pass", "warn", "fail")}
    if as_json:
        lines = [
            {"subject": one.subject, "status": one.status, "found": one.found, "remedy": one.remedy} for one in findings
        ]
        terminal.print_json({"site": site, "options": values, **counts, "findings": lines})
    else:
        _print(findings)
        click.echo(f"{site}: {counts['pass']} passed, {counts['warn']} warnings, {counts['fail']} failed")
    return 1 if counts["fail"] else 0


def _print(findings: list[Finding]) -> None:
    out = terminal.console()
    width = max(len(one.subject) for one in findings)
    colours = {"pass": "green", "warn": "yellow", "fail": "red"}
    for one in findings:
        colour = colours[one.status]
        out.print(terminal.styled((one.status, colour), f"  {one.subject:<{width}}  {one.found}"), soft_wrap=True)
        if one.remedy:
            out.print(terminal.styled(f"      {'':<{width}}  -> {one.remedy}"), soft_wrap=True)


@command.command("worker-init")
@_site
@click.option("--environment", metavar="DIR", help="Virtual environment with prov-worker, on a shared file system.")
@click.option("--crate-dir", metavar="DIR", help="Where crates appear, on a shared file system.")
def worker_init(site: str, environment: str | None, crate_dir: str | None) -> int:
    """Print a `worker_init` that switches recording on where the endpoint belongs to the facility.

    Such an endpoint takes no engine of yours, and its worker_init alone is your own.
    """
    from prov_worker.sites.worker_init import snippet

    click.echo(snippet(site, environment, crate_dir), nl=False)
    return 0
