"""``prov-worker check``: are these crates what they should be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from prov_worker.cli import renamed, terminal
from prov_worker.crate import vocabulary as v
from prov_worker.humanize import plural, size

if TYPE_CHECKING:
    from prov_worker.crate.check import Finding, ProfileValidator

#: The validator takes some five seconds for a megabyte of metadata.
_RUN_BYTES = 32 << 20


@click.command(
    "check", cls=renamed.RenamedOptions, renamed={"--profile": "--validator", "--no-profile": "--no-validator"}
)
@click.argument("crates", nargs=-1, type=terminal.PATH, metavar="CRATE...")
@click.option(
    "--validator/--no-validator",
    "use_validator",
    default=None,
    help="Run the community's roc-validator too, or not.  [default: where it is installed]",
)
@click.option(
    "--level",
    type=click.Choice(["required", "recommended"]),
    default="recommended",
    show_default=True,
    help="Which of the profile's rules.",
)
@click.option("--install-validator", is_flag=True, help="Install roc-validator in an environment of its own, first.")
@click.option("--json", "as_json", is_flag=True, help="Findings, as JSON.")
def command(
    crates: tuple[str, ...], use_validator: bool | None, level: str, install_validator: bool, as_json: bool
) -> int:
    """Check each CRATE, or all crates in a directory: own rules, and the community's validator.

    Of a run crate its steps are checked, and the validator takes its own metadata too.

    Exit code 1 where there is a finding.
    """
    from prov_worker.crate import check

    if install_validator:
        click.echo(f"validator: {check.install_validator()}", err=True)
        if not crates:
            return 0
    if not crates:
        raise click.UsageError("Missing argument 'CRATE...'.")
    found = terminal.crates_at(crates)
    findings: dict[Path, list[Finding]] = {}
    with terminal.progress("checking", len(found)) as advance:
        for crate in found:
            findings[crate] = list(check.check_crate(crate))
            advance()
    if use_validator is None:
        use_validator = check.find_validator() is not None
        if not use_validator:
            click.echo(
                "prov-worker: profiles are not checked: there is no roc-validator; "
                "get it with `prov-worker check --install-validator`",
                err=True,
            )
    if use_validator:
        with check.ProfileValidator() as validator:
            with terminal.progress("validating profiles", len(found)) as advance:
                by_profile = validator.validate(found, level, progress=lambda *_: advance())
            by_profile.update(_runs(validator, crates, level))
        for crate, more in by_profile.items():
            findings.setdefault(crate, []).extend(more)
    if as_json:
        terminal.print_json({str(crate): [_plain(one) for one in some] for crate, some in findings.items()})
    else:
        _print(findings, use_validator, level)
    return 1 if any(findings.values()) else 0


def _runs(validator: ProfileValidator, paths: tuple[str, ...], level: str) -> dict[Path, list[Finding]]:
    """What the validator finds in the metadata of run crates themselves."""
    from prov_worker.crate.sources import is_run
    from prov_worker.run.assembly.vocabulary import PROFILE_OF_VALIDATOR, SKIPPED_CHECK

    runs = []
    for run in (Path(path) for path in paths):
        if is_run(run):
            count = (run / v.METADATA_FILE).stat().st_size
            if count <= _RUN_BYTES:
                runs.append(run)
            else:
                much = f"{size(count)}, more than {size(_RUN_BYTES)}"
                click.echo(f"prov-worker: {run}: its own metadata is not validated: {much}", err=True)
    return validator.validate(runs, level, profile=PROFILE_OF_VALIDATOR, skip_checks=[SKIPPED_CHECK])


def _plain(finding: Finding) -> dict[str, str]:
    return {"level": finding.level, "rule": finding.rule, "where": finding.where, "message": finding.message}


def _print(findings: dict[Path, list[Finding]], profile: bool, level: str) -> None:

    out = terminal.console()
    for crate, some in findings.items():
        if some:
            out.print(terminal.styled((str(crate), "bold")), soft_wrap=True)
        for one in some:
            colour = "red" if one.level == "error" else "yellow"
            out.print(
                terminal.styled("  ", (one.level, colour), f" {one.rule} at {one.where}: {one.message}"),
                soft_wrap=True,
            )
    bad = sum(1 for some in findings.values() if some)
    what = f"own rules and profiles at {level.upper()}" if profile else "own rules"
    checked = plural(len(findings), "crate")
    out.print(f"{checked} checked ({what}): " + (f"{bad} with findings" if bad else "no finding"))
