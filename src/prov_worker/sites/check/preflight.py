"""All subjects, at once, in the order in which people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prov_worker.finding import Finding, failed
from prov_worker.sites.catalog import Site
from prov_worker.sites.check import (
    container,
    duplicates,
    egress,
    file_systems,
    limits,
    network,
    scheduler,
    storage,
    user,
    versions,
)
from prov_worker.sites.check.context import Subject
from prov_worker.sites.install import default_user_dir, template_of

CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    user.check,
    versions.check,
    container.check,
    network.check,
    scheduler.check,
    file_systems.check,
    storage.check,
    limits.check,
    egress.check,
    duplicates.check,
)


def subject_of(
    site: Site,
    values: Mapping[str, Any],
    *,
    user_dir: Path | None = None,
    name: str | None = None,
    offline: bool = False,
) -> Subject:
    """What the daemon would load for these options.

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

    def look(check: Callable[[Subject], Iterator[Finding]]) -> list[Finding]:
        found: list[Finding] = []
        try:
            found.extend(check(subject))
        except OSError as error:
            # A host may forbid to look; the other subjects are still worth it.
            line = check.__module__.rpartition(".")[2]
            found.append(failed(line, f"cannot be looked at: {error}", "mend that first"))
        advance()
        return found

    with ThreadPoolExecutor(len(CHECKS)) as pool:
        return [one for some in pool.map(look, CHECKS) for one in some]
