"""Judges step crates: the product's own checks, for what the community's validator does not look at.

The validator of the community (roc-validator, run by :mod:`prov_worker.crate.validator.client`) does not notice text
where a reference belongs, references to nothing, wrong hashes and sizes, times that run backwards, a step without
position, duplicate ids, NaN, null, entities that nothing refers to, and spaces in ids. Those are checked here, by the
rules of :mod:`prov_worker.crate.rules`.
"""

from __future__ import annotations

import os
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import load_graph
from prov_worker.crate.rules import RULES, Checked
from prov_worker.crate.rules.files import files
from prov_worker.crate.sources import Source, source_of
from prov_worker.crate.validator.client import (
    ProfileValidator,
    find_validator,
    install_validator,
    validate_profiles,
)
from prov_worker.crate.violations import ERROR, WARNING, Violation
from prov_worker.errors import CrateError, blaming

__all__ = [
    "ERROR",
    "WARNING",
    "ProfileValidator",
    "Violation",
    "check_crate",
    "check_files",
    "find_validator",
    "install_validator",
    "unreadable",
    "validate_profiles",
]


def check_crate(crate: Path | str | Source) -> list[Violation]:
    """Run the product's own checks on one step crate.

    Args:
        crate: as :meth:`prov_worker.crate.reader.StepCrate.open` takes it.

    Returns:
        What was found, sorted; empty for a sound crate. A crate that cannot be read is one finding, no exception.
    """
    checked = _checked(crate)
    if isinstance(checked, Violation):
        return [checked]
    findings: set[Violation] = set()
    for rule in RULES:
        try:
            with blaming(checked.source.where):
                findings.update(rule(checked))
        except CrateError as error:
            findings.add(unreadable(checked.source.where, error))
    return sorted(findings, key=lambda finding: (finding.level, finding.rule, finding.where, finding.message))


def check_files(crate: Path | str | Source) -> list[Violation]:
    """Compare a crate's files with their sizes and hashes in its metadata, and nothing else.

    Returns:
        What is wrong, sorted; empty if each file is as its crate says. Files that it does not list are not a finding.
    """
    checked = _checked(crate)
    if isinstance(checked, Violation):
        return [checked]
    wrong = (finding for finding in files(checked) if finding.level == ERROR)
    return sorted(wrong, key=lambda finding: (finding.rule, finding.where))


def _checked(crate: Path | str | Source) -> Checked | Violation:
    """Read a crate; return what is wrong if that is impossible."""
    where = os.fspath(crate) if isinstance(crate, (Path, str)) else crate.where
    try:
        source = source_of(crate) if isinstance(crate, (Path, str)) else crate
        with blaming(where):
            return Checked(source, load_graph(source))
    except CrateError as error:
        return unreadable(where, error)


def unreadable(where: str, error: CrateError) -> Violation:
    """Return the finding of a crate, or of a file of crates, that cannot be read; ``where`` is its path."""
    return Violation(ERROR, "unreadable", "./" if error.where == where else v.METADATA_FILE, error.reason)
