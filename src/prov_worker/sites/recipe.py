"""From nothing to a first task at a site: an environment, an endpoint, its daemon, and where crates are.

What differs between sites is in ``recipe`` of their ``options.yaml``, with the page of the facility's documentation
that it is from.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from prov_worker.errors import InputError
from prov_worker.sites.catalog import Site

_PROJECT, _NAME, _ENVIRONMENT = "PROJECT", "NAME", "ENVIRONMENT"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Commands, and what they are from.

    Attributes:
        site: whose recipe.
        project: account of the batch jobs.
        name: of the endpoint.
        environment: virtual environment, on a file system that login and compute nodes share.
        crate_dir: where crates appear.
    """

    site: Site
    project: str
    name: str
    environment: str
    crate_dir: str

    @property
    def worker_init(self) -> str:
        """Commands that activate the environment on a compute node."""
        activate = f"source {shlex.quote(self.environment + '/bin/activate')}"
        return "\n".join([*self._modules(), activate])

    def text(self) -> str:
        """Return all steps as commands of a shell, to be read and taken one by one."""
        site, recipe = self.site, self.site.recipe
        options = [f"--set account={self.project}"] if "account" in site.options else []
        if "submit_dir" in site.options:
            options.append(f"--set submit_dir={self._filled(recipe['project'])}")
        options.append(f"--set crate_dir={self.crate_dir}")
        if recipe.get("scrontab"):
            options.append("--unbound-host")
        lines = [
            f"# {site.title}: from nothing to a first task. Source: {recipe['source']}.",
            *(f"# - {self._filled(note)}" for note in recipe.get("notes", ())),
            "",
            "# 1. Once, on a login node: an environment for daemon and workers, from a checkout of prov_worker.",
            *self._modules(),
            f"{recipe['python']} -m venv {shlex.quote(self.environment)}",
            f"source {shlex.quote(self.environment + '/bin/activate')}",
            "pip install './prov_worker[cli,endpoint]'",
            "",
            "# 2. The endpoint, and what this host lacks for it.",
            f"prov-worker sites install {site.name} {self.name} {' '.join(options)} \\",
            f"    --set worker_init={shlex.quote(self.worker_init)}",
            f"prov-worker sites check {site.name} --name {self.name}",
            "",
            "# 3. Log in at Globus once, and start the daemon.",
            "globus-compute-endpoint login",
            *self._daemon(),
            "",
            "# 4. From any machine: is all well? The endpoint's UUID is what `globus-compute-endpoint list` prints.",
            f"prov-worker diagnose UUID --site {site.name}",
            "prov-worker jobs submit work.py:function --endpoint UUID",
            "",
            "# 5. What was left behind.",
            f"prov-worker list {shlex.quote(self.crate_dir)}",
        ]
        if recipe.get("launcher"):
            lines += ["", f"# For MPI tasks, in step 2 also: --set mpi={recipe['launcher']} --set nodes_per_block=2"]
        return "\n".join(lines) + "\n"

    def _daemon(self) -> list[str]:
        entry = self.site.recipe.get("scrontab")
        if not entry:
            return [f"globus-compute-endpoint start {self.name}"]
        return [
            "# These lines go into `scrontab -e`; its times are in UTC.",
            *(f"#   {self._filled(line)}" for line in entry),
        ]

    def _modules(self) -> list[str]:
        return [part.strip() for part in self.site.recipe.get("modules", "").split(";") if part.strip()]

    def _filled(self, text: str) -> str:
        return text.replace(_PROJECT, self.project).replace(_ENVIRONMENT, self.environment).replace(_NAME, self.name)


def recipe_of(
    site: Site,
    *,
    project: str = _PROJECT,
    name: str = _NAME,
    environment: str | None = None,
    crate_dir: str | None = None,
) -> Recipe:
    """Return the recipe of a site.

    Args:
        site: which.
        project: account of the batch jobs; not given, it stands there to be filled in, as the name does.
        name: of the endpoint.
        environment: virtual environment; None: where the facility's documentation would have it.
        crate_dir: directory for crates; None: within the project's.

    Raises:
        InputError: the site has none, a path is not absolute, or a name has characters that a shell would take for
            something else.
    """
    for option, value in (("--project", project), ("NAME", name)):
        if shlex.quote(value) != value or not value:
            raise InputError(f"{option}: {value!r}: expected letters, digits, dots, dashes and underscores")
    own = site.recipe
    if not own:
        raise InputError(f"{site.name}: has no recipe: docs/local-endpoint.md has its steps")
    folder = own["project"].replace(_PROJECT, project)
    environment = environment or own.get("environment", f"{folder}/prov-worker-venv").replace(_PROJECT, project)
    crate_dir = crate_dir or f"{folder}/crates"
    for option, path in (("--environment", environment), ("--crate-dir", crate_dir)):
        if not path.startswith("/"):
            raise InputError(f"{option}: {path}: expected an absolute path, the same on login and compute nodes")
    return Recipe(site, project, name, environment, crate_dir)
