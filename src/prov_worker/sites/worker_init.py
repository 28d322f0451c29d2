"""A few lines of shell for endpoints that belong to a facility, whose users set ``worker_init`` alone."""

from __future__ import annotations

import shlex

from prov_worker.errors import InputError
from prov_worker.sites import catalog


def snippet(site: str, environment: str | None = None, crate_dir: str | None = None) -> str:
    """Return lines that activate an environment with prov-worker, and switch recording on.

    Args:
        site: name of the site.
        environment: virtual environment; None takes a path to be filled in.
        crate_dir: absolute directory for crates; None likewise.

    Raises:
        InputError: there is no such site, or a path is not absolute.
    """
    recipe = catalog.site(site).recipe
    project = recipe.get("project", "/path/to/PROJECT")
    environment = environment or recipe.get("environment", f"{project}/prov-worker-venv")
    crate_dir = crate_dir or f"{project}/crates"
    for option, path in (("--environment", environment), ("--crate-dir", crate_dir)):
        if not path.startswith("/"):
            raise InputError(f"{option}: {path}: expected an absolute path, the same on login and compute nodes")
    return (
        "export TMPDIR=/tmp\n"
        f"source {shlex.quote(environment + '/bin/activate')}\n"
        f"export PROV_WORKER=1 PROV_WORKER_CRATE_DIR={shlex.quote(crate_dir)}\n"
    )
