#!/usr/bin/env bash
# Make a virtual environment from nothing, once per content of pyproject.toml and of its arguments.
#
#   scripts/make-venv.sh DIRECTORY PIP-ARGUMENTS...
#
# PYTHON names the interpreter (default: python3). Quiet; a second run takes milliseconds.
set -euo pipefail

venv=$1
shift
python=${PYTHON:-python3}
key=$({ cat pyproject.toml; pwd; printf '%s\n' "$@"; } | sha256sum | cut -c1-16)
stamp=$venv/.installed-$key
[[ -e $stamp ]] && exit 0

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "$python is no Python 3.10 or later; name one: make PYTHON=/path/to/python3" >&2
    exit 1
fi

if command -v flock >/dev/null; then
    # Two runs of make at once must not fill one environment.
    mkdir -p "$venv"
    exec 9>"$venv/.lock"
    flock 9
    [[ -e $stamp ]] && exit 0
fi

if [[ ! -x $venv/bin/python ]]; then
    echo "making $venv with $("$python" --version)" >&2
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        if command -v virtualenv >/dev/null; then
            virtualenv -q -p "$python" "$venv"
        else
            version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            echo "$python cannot make virtual environments: its venv or ensurepip module is missing." >&2
            echo "On Debian and Ubuntu: apt-get install python3-venv (or python$version-venv)." >&2
            echo "Or install virtualenv, or name another interpreter: make PYTHON=/path/to/python3" >&2
            exit 1
        fi
    else
        "$python" -m venv "$venv"
    fi
fi

echo "installing into $venv" >&2
pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet --quiet)
# Dependency groups (PEP 735) came to pip with 25.1.
"${pip[@]}" install --upgrade 'pip>=25.1'
"${pip[@]}" install "$@"
rm -f "$venv"/.installed-*
touch "$stamp"
