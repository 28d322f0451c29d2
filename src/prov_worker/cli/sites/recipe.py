"""``prov-worker sites recipe``."""

from __future__ import annotations

import click

from prov_worker.cli.common.examples import examples
from prov_worker.cli.sites import common


@examples("prov-worker sites recipe polaris mine --project datascience")
@click.command("recipe")
@common.site_argument
@click.argument("name", default="NAME", metavar="[NAME]")
@click.option("--project", default="PROJECT", metavar="ACCOUNT", help="Project that batch jobs are charged to.")
@click.option("--environment", metavar="DIR", help="Virtual environment, on a shared file system.")
@click.option("--crate-dir", metavar="DIR", help="Where crates appear, on a shared file system.")
@click.option("--worker-init", "init_only", is_flag=True, help="The option worker_init alone.")
def command(site: str, name: str, project: str, environment: str | None, crate_dir: str | None, init_only: bool) -> int:
    """Print the steps from nothing to a first task on SITE, as commands.

    An environment, the endpoint NAME, its daemon, a first task, and where its crates are, as the documentation of the
    facility has it, which is named. Nothing is run.
    """
    from prov_worker.sites import catalog
    from prov_worker.sites.recipe import recipe_of

    recipe = recipe_of(catalog.site(site), project=project, name=name, environment=environment, crate_dir=crate_dir)
    click.echo(recipe.worker_init if init_only else recipe.text().rstrip("\n"))
    return 0
