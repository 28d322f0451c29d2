"""All subjects, at once, in the order in which people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prov_worker.finding import Finding, failed
from prov_worker.sites.catalog import Site
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject
from prov_worker.sites.install import default_user_dir, template_of


def subject_of(
    site: Site,
    values: Mapping[str, Any],
    *,
    user_dir: Path | None = None,
    name: str | None = None,
    offline: bool = False,
) -> Subject:
    """Return what the daemon would load for these options.

    Args:
        site: its site.
        values: all options, complete.
        user_dir: None takes Globus Compute's own.
        name: of the endpoint.
        offline: leave the network alone.

    Raises:
        InputError: Globus Compute refuses the configuration.
    """
    import yaml

    from prov_worker.globus import template

    text = template.render(template_of(site, values), site.schema(dict(values)))
    script = template.batch_script(text, "RUN_DIR")[1]
    engine = yaml.safe_load(text)["engine"]
    return Subject(site, values, engine, script, (user_dir or default_user_dir()).absolute(), name, offline)


def preflight(subject: Subject, advance: Callable[[], object] = lambda: None) -> list[Finding]:
    """Look at everything.

    Args:
        subject: what to look at.
        advance: called after each of :data:`CHECKS`.
    """

    def look(item: tuple[str, Callable[[Subject], Iterator[Finding]]]) -> list[Finding]:
        name, check = item
        findings: list[Finding] = []
        try:
            findings.extend(check(subject))
        except OSError as error:
            # A host may forbid to look; the other subjects are still worth it.
            findings.append(failed(name, f"cannot be looked at: {error}", "repair that first"))
        advance()
        return findings

    checks = CHECKS.items()
    with ThreadPoolExecutor(len(checks)) as pool:
        return [finding for findings in pool.map(look, checks) for finding in findings]
