"""Judges step crates: the product's own checks, for what the community's validator does not look at.

The validator of the community (roc-validator, run by :mod:`prov_worker.crate.validator.client`) does not notice text
where a reference belongs, references to nothing, wrong hashes and sizes, times that run backwards, a step without
position, duplicate ids, NaN, null, entities that nothing refers to, and spaces in ids. Those are checked here, by the
rules of :mod:`prov_worker.crate.rules`.
"""

from __future__ import annotations

from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.findings import ERROR, WARNING, Finding
from prov_worker.crate.reader import load_graph
from prov_worker.crate.rules import RULES, Checked
from prov_worker.crate.rules.files import files
from prov_worker.crate.validator.client import (
    ProfileValidator,
    find_validator,
    install_validator,
    validate_profiles,
)
from prov_worker.errors import CrateError

__all__ = [
    "ERROR",
    "WARNING",
    "Finding",
    "ProfileValidator",
    "check_crate",
    "check_files",
    "find_validator",
    "install_validator",
    "validate_profiles",
]


def check_crate(path: Path | str) -> list[Finding]:
    """Run the product's own checks on one step crate.

    Returns:
        What was found, sorted; empty for a sound crate. A crate that cannot be read is one finding, no exception.
    """
    path = Path(path)
    try:
        graph = load_graph(path)
    except CrateError as error:
        return [_unreadable(path, error)]
    findings = {finding for rule in RULES for finding in rule(Checked(path, graph))}
    return sorted(findings, key=lambda finding: (finding.level, finding.rule, finding.where, finding.message))


def check_files(path: Path | str) -> list[Finding]:
    """Compare a crate's files with their sizes and hashes in its metadata, and nothing else.

    Returns:
        What is wrong, sorted; empty where each file is as its crate says. Files that it does not list are no finding.
    """
    path = Path(path)
    try:
        graph = load_graph(path)
    except CrateError as error:
        return [_unreadable(path, error)]
    wrong = (finding for finding in files(Checked(path, graph)) if finding.level == ERROR)
    return sorted(wrong, key=lambda finding: (finding.rule, finding.where))


def _unreadable(path: Path, error: CrateError) -> Finding:
    return Finding(ERROR, "unreadable", "./" if error.where == str(path) else v.METADATA_FILE, error.reason)
