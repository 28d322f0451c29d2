#!/usr/bin/env bash
# Fetch the wheels that the roll-out installs on a node with this Python, once per content of their lock, and print where
# they are. Another run at the same time does no harm.
#
#   scripts/node-wheels.sh 3.11
set -euo pipefail
cd "$(dirname "$0")/.."

version=$1
lock=requirements/node-$version.txt
kept=$PWD/.cache/wheels-$(sha256sum "$lock" | cut -c1-12)-$version
if [[ ! -d $kept ]]; then
    mkdir -p .cache
    fresh=$(mktemp -d "$kept.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    tries=0
    until "${PIP_PYTHON:-.venv/bin/python}" -m pip --quiet --quiet --disable-pip-version-check download --dest "$fresh" \
        --python-version "$version" --only-binary=:all: --require-hashes -r "$lock" >&2; do
        ((++tries < 3)) || exit 1
        sleep $((tries * 10)) # an index or a name server that is away for a moment
    done
    chmod 755 "$fresh"
    mv -T "$fresh" "$kept" 2>/dev/null || [[ -d $kept ]]
fi
echo "$kept"
