#!/usr/bin/env bash
# Write docker/requirements/*.txt: every distribution of the images, with its version and the hashes of its files; then
# requirements/*.txt, by lock_environments.py.
#
#   scripts/lock-requirements.sh [pip-compile options, such as --upgrade-package parsl]
#
# Versions that are in the files stay if they still fit. The index is the one that pip is configured for; none is
# written down. Python must be the images' (3.11).
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${LOCK_VENV:-.venv-lock}
scripts/make-venv.sh "$venv" 'pip-tools>=7.5' 'pip<26' 'uv>=0.9' packaging
"$venv/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "scripts/lock-requirements.sh: needs Python 3.11, the images' (make PYTHON=/path/to/python3.11 lock)" >&2
    exit 1
}

# Local folders of wheels are not for others: their files have other hashes.
unset PIP_FIND_LINKS PIP_EXTRA_INDEX_URL

options=("$@")
lock() { # lock FILE ARGUMENTS...
    local file=docker/requirements/$1
    shift
    "$venv/bin/pip-compile" --quiet --no-config --generate-hashes --strip-extras --no-header \
        --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
        --output-file "$file" "$@" "${options[@]}" 2>"$venv/lock.log" || {
        cat "$venv/lock.log" >&2
        exit 1
    }
    # Remarks on the package itself, which is left out.
    sed -i '/^#/d; /^$/d' "$file"
}
extras() { printf -- '--extra=%s\n' "$@"; }

mapfile -t all < <(extras cli crate endpoint fleet gpu plot service)
mapfile -t few < <(extras cli endpoint gpu)
# The package itself, which its extras name, is built and not fetched.
lock endpoint.txt "${all[@]}" --unsafe-package prov-worker pyproject.toml
# The same versions in both images.
lock worker.txt "${few[@]}" --unsafe-package prov-worker --constraint docker/requirements/endpoint.txt pyproject.toml
lock build.txt --allow-unsafe docker/requirements/build.in
PATH="$PWD/$venv/bin:$PATH" "$venv/bin/python" scripts/lock_environments.py "${options[@]}"
