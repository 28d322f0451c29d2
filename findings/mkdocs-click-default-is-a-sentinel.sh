#!/usr/bin/env bash
# mkdocs-click 0.9.0 with click 8.3 and later: in tables of options, the default of an option that has none reads
# `Sentinel.UNSET`, a name from within click.
#
# Since click 8.3 an option without a default holds a marker instead of None, and from 8.4 or 8.5 on a flag and --help do so
# too. mkdocs-click's style `table` prints what it finds there. Nothing warns, also with mkdocs' `strict`. The style `plain`,
# which prints click's own help, is right with each of them.
#
# Seen, in the column of defaults:
#   click 8.2.1: `--count` None, `--verbose` False, `--help` False
#   click 8.3.1: `--count` Sentinel.UNSET, `--verbose` False, `--help` False
#   click 8.5.1: `--count` Sentinel.UNSET, `--verbose` Sentinel.UNSET, `--help` Sentinel.UNSET
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
pip() { "$work/venv/bin/pip" --quiet --disable-pip-version-check "$@"; }
pip install mkdocs-click==0.9.0 2>/dev/null

cat >"$work/run.py" <<'PY'
import sys
from importlib.metadata import version

import click
from mkdocs_click._docs import make_command_docs


@click.command()
@click.option("--count", type=int, help="How many.")
@click.option("--verbose", is_flag=True, help="More words.")
def cli(count: int, verbose: bool) -> None:
    """Count."""


rows = [line.split("|") for line in make_command_docs("cli", cli, style="table") if line.startswith("| `")]
defaults = {row[1].strip(" `"): row[-2].strip(" `") for row in rows}
plain = "\n".join(make_command_docs("cli", cli, style="plain"))
print(f"mkdocs-click {version('mkdocs-click')}, click {version('click')}: {defaults}")
wanted = dict(zip(("--count", "--verbose", "--help"), sys.argv[1:], strict=True))
sys.exit(defaults != wanted or "UNSET" in plain)
PY
status=0
for wanted in "8.2.1 None False False" "8.3.1 Sentinel.UNSET False False" "8.5.1 Sentinel.UNSET Sentinel.UNSET Sentinel.UNSET"; do
    read -r release count verbose help <<<"$wanted"
    pip install "click==$release" 2>/dev/null
    "$work/venv/bin/python" "$work/run.py" "$count" "$verbose" "$help" || status=1
done
exit "$status"
