"""``prov-worker completion``: completion scripts, as click makes them."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script for SHELL.

    \b
    bash:  eval "$(prov-worker completion bash)"
    fish:  prov-worker completion fish > ~/.config/fish/completions/prov-worker.fish
    """  # noqa: D301 - the mark of click for lines that stay as they are
    from click.shell_completion import get_completion_class

    from prov_worker.cli import cli

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(cli, {}, "prov-worker", "_PROV_WORKER_COMPLETE").source())
    return 0
