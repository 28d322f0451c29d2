"""``prov-worker check``: are these crates what they should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli.common import renamed, terminal
from prov_worker.cli.common.examples import examples
from prov_worker.crate import vocabulary as v
from prov_worker.crate.unpack import Unpacked
from prov_worker.errors import CrateError
from prov_worker.humanize import plural, size

if TYPE_CHECKING:
    from prov_worker.crate.check import ProfileValidator, Violation

#: The validator takes some five seconds for a megabyte of metadata.
_RUN_BYTES = 32 << 20


@examples("prov-worker check --install-validator crates", "prov-worker check --json RUN.crate")
@click.command(
    "check", cls=renamed.RenamedOptions, renamed={"--profile": "--validator", "--no-profile": "--no-validator"}
)
@click.argument("crates", nargs=-1, type=terminal.PATH, metavar="CRATE...")
@click.option(
    "--validator/--no-validator",
    "use_validator",
    default=None,
    help="Run the community's roc-validator too, or not.  [default: if it is installed]",
)
@click.option(
    "--level",
    type=click.Choice(["required", "recommended"]),
    default="recommended",
    show_default=True,
    help="Which of the profile's rules.",
)
@click.option("--install-validator", is_flag=True, help="Install roc-validator in an environment of its own, first.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Processes of the validator.  [default: one per CPU, if there are four crates for each]",
)
@click.option("--json", "as_json", is_flag=True, help="Findings, as JSON.")
def command(
    crates: tuple[str, ...],
    use_validator: bool | None,
    level: str,
    install_validator: bool,
    jobs: int | None,
    as_json: bool,
) -> int:
    """Check each CRATE, or all crates in a directory or a zip file: own rules, and the community's validator.

    Of a run crate its steps are checked, and the validator takes its own metadata too.

    Exit code 1 if there is a finding.
    """
    from prov_worker.crate import check

    if install_validator:
        click.echo(f"validator: {check.install_validator()}", err=True)
        if not crates:
            return 0
    if not crates:
        raise click.UsageError("Missing argument 'CRATE...'.")
    candidates = terminal.candidates_at(crates)
    if use_validator is None:
        use_validator = check.find_validator() is not None
        if not use_validator:
            click.echo(
                "prov-worker: profiles are not checked: there is no roc-validator; "
                "get it with `prov-worker check --install-validator`",
                err=True,
            )
    findings: dict[str, list[Violation]] = {}
    with Unpacked() as unpacked:
        names = _own_rules(candidates, findings, unpacked if use_validator else None)
        if use_validator:
            with check.ProfileValidator() as validator:
                _validate(validator, names, level, findings, jobs=jobs)
                _validate_runs(validator, crates, level, findings, unpacked)
    if as_json:
        terminal.print_json({crate: [_plain(finding) for finding in some] for crate, some in findings.items()})
    else:
        _print(findings, use_validator, level)
    return 1 if any(findings.values()) else 0


def _own_rules(
    candidates: list[Path], findings: dict[str, list[Violation]], unpacked: Unpacked | None
) -> dict[Path, str]:
    """Check crates by the product's rules; return their directories, for the validator, with their names."""
    from prov_worker.crate import check
    from prov_worker.crate.sources.comparison import distinct_sources

    names: dict[Path, str] = {}

    def refuse(where: str, error: CrateError) -> None:
        findings.setdefault(where, []).append(check.unreadable(where, error))

    with terminal.progress("checking", len(candidates)) as advance:
        for source in distinct_sources(candidates, refuse, whole=True, advance=advance):
            findings[source.where] = check.check_crate(source)
            if unpacked is not None:
                try:
                    names[unpacked.directory(source)] = source.where
                except CrateError as error:
                    refuse(source.where, error)
    return names


def _validate(
    validator: ProfileValidator, names: dict[Path, str], level: str, findings: dict[str, list[Violation]], **more: Any
) -> None:
    """Add what the validator finds in directories, by the names of their crates."""
    with terminal.progress("validating profiles", len(names)) as advance:
        by_path = validator.validate(list(names), level, progress=lambda *_: advance(), **more)
    for path, some in by_path.items():
        named = [
            replace(
                finding,
                where=finding.where.replace(str(path), names[path]),
                message=finding.message.replace(str(path), names[path]),
            )
            for finding in some
        ]
        findings.setdefault(names[path], []).extend(named)


def _validate_runs(
    validator: ProfileValidator,
    paths: tuple[str, ...],
    level: str,
    findings: dict[str, list[Violation]],
    unpacked: Unpacked,
) -> None:
    """Add what the validator finds in the metadata of run crates themselves."""
    from prov_worker.crate.sources import run_sources
    from prov_worker.run.assembly.vocabulary import PROFILE_OF_VALIDATOR, SKIPPED_CHECK

    names: dict[Path, str] = {}
    for path in paths:
        try:
            for run in run_sources(Path(path)):
                count = run.size(v.METADATA_FILE)
                if count <= _RUN_BYTES:
                    names[unpacked.directory(run)] = run.where
                    continue
                much = f"{size(count)}, more than {size(_RUN_BYTES)}"
                terminal.complain(f"{run.where}: its own metadata is not validated: {much}")
        except CrateError as error:
            if path not in findings:  # else it is a finding already
                terminal.complain(f"{error}; its own metadata is not validated")
    if names:
        _validate(validator, names, level, findings, profile=PROFILE_OF_VALIDATOR, skip_checks=[SKIPPED_CHECK])


def _plain(finding: Violation) -> dict[str, str]:
    return {"level": finding.level, "rule": finding.rule, "where": finding.where, "message": finding.message}


def _print(findings: dict[str, list[Violation]], profile: bool, level: str) -> None:
    out = terminal.console()
    for crate, some in findings.items():
        if some:
            out.print(terminal.styled((crate, "bold")), soft_wrap=True)
        for finding in some:
            colour = "red" if finding.level == "error" else "yellow"
            out.print(
                terminal.styled(
                    "  ", (finding.level, colour), f" {finding.rule} at {finding.where}: {finding.message}"
                ),
                soft_wrap=True,
            )
    bad = sum(1 for some in findings.values() if some)
    rules = f"own rules and profiles at {level.upper()}" if profile else "own rules"
    checked = plural(len(findings), "crate")
    out.print(f"{checked} checked ({rules}): " + (f"{bad} with findings" if bad else "no finding"))
