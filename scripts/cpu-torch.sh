#!/usr/bin/env bash
# Print what pip is to install for the newest PyTorch that runs on CPUs alone: a build of that kind, if pip's own settings
# lead to one (a directory of wheels, an index beside the public one), else the newest release, with what it brings.
set -euo pipefail

python=${PYTHON:-python3}
options=(--disable-pip-version-check --dry-run --no-deps --no-index --ignore-installed)
versions=$("$python" -m pip install "${options[@]}" torch 2>/dev/null || true)
version=$(grep -o 'torch-[^-]*+cpu' <<<"$versions" | head -1 | cut -d- -f2)
echo "torch${version:+==$version}"
