"""``prov-worker completion``: completion scripts, as click makes them, with ``KEY=`` and ``KEY=VALUE`` as one word."""

from __future__ import annotations

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ZshComplete,
    add_completion_class,
    get_completion_class,
)

from prov_worker.cli.common.examples import examples


@add_completion_class
class _Bash(BashComplete):
    """Bash breaks words at ``=``, and puts a space after ``KEY=``."""

    name = "bash"
    source_template = BashComplete.source_template.replace(
        "    return 0\n",
        "    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n    return 0\n",
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        self._before = ""
        if incomplete == "=" and args:
            self._before, incomplete = f"{args.pop()}=", ""
        elif args[-1:] == ["="] and len(args) > 1:
            args.pop()
            self._before = f"{args.pop()}="
        return args, self._before + incomplete

    def format_completion(self, item: CompletionItem) -> str:
        # Bash puts the answer in the place of what stands after its last break.
        return f"{item.type},{str(item.value).removeprefix(self._before)}"


@add_completion_class
class _Zsh(ZshComplete):
    """Zsh puts a space after ``KEY=``."""

    name = "zsh"
    source_template = (
        ZshComplete.source_template.replace("    local -a response\n", "    local -a response suffix\n")
        .replace("in ${response}; do\n", 'in ${response}; do\n        [[ "$key" == *= ]] && suffix=(-S "")\n')
        .replace("completions_with_descriptions -U\n", 'completions_with_descriptions -U "${suffix[@]}"\n')
        .replace("compadd -U -V", 'compadd -U "${suffix[@]}" -V')
    )


@examples(
    'eval "$(prov-worker completion bash)"',
    "prov-worker completion fish > ~/.config/fish/completions/prov-worker.fish",
)
@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script for SHELL."""
    from prov_worker.cli.main import cli

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(cli, {}, "prov-worker", "_PROV_WORKER_COMPLETE").source())
    return 0
