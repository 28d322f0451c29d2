#!/usr/bin/env bash
# Make a virtual environment from nothing, once per version, content of pyproject.toml, of its lock and of its arguments.
#
#   scripts/make-venv.sh DIRECTORY [--lock NAME] PIP-ARGUMENTS...
#
# PYTHON names the interpreter (default: python3). With --lock, every distribution is the one of requirements/NAME-X.Y.txt,
# its files compared with the hashes there; LOCKED=0, and a Python without such a file, take the newest that PIP-ARGUMENTS
# allow, and say so. Quiet; a second run takes milliseconds.
set -euo pipefail

venv=$1
shift
name=
if [[ ${1:-} == --lock ]]; then
    name=$2
    shift 2
fi
python=${PYTHON:-python3}
key=$({ cat pyproject.toml; grep -s '^__version__' src/prov_worker/__init__.py || true; ! [[ -n $name ]] || cat requirements/"$name"-*.txt; pwd; echo "${LOCKED:-1}"; printf '%s\n' "$@"; } |
    sha256sum | cut -c1-16)
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

pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet --quiet)
lock=
if [[ -n $name ]]; then
    # The environment's own version: it may be there already, made by another interpreter than PYTHON.
    lock=requirements/$name-$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt
    if [[ ${LOCKED:-1} == 0 ]]; then
        echo "LOCKED=0: $venv gets the newest releases, without hashes" >&2
        lock=
    elif [[ ! -e $lock ]]; then
        echo "THERE IS NO $lock: $venv gets the newest releases, without hashes" >&2
        lock=
    fi
fi

if [[ -n $lock ]]; then
    echo "installing into $venv what $lock names" >&2
    "${pip[@]}" install --require-hashes -r "$lock" || {
        echo "the index that pip uses has not what $lock names; what it has, without hashes: make LOCKED=0" >&2
        exit 1
    }
    # Of the arguments only the package itself is left; its build backend is in the lock too.
    ! [[ " $* " == *" --editable "* ]] || "${pip[@]}" install --no-index --no-deps --no-build-isolation --editable .
    if ! grep -qx "# of pyproject.toml $(scripts/dependencies-digest.sh)" "$lock"; then
        echo "$lock IS OLDER THAN pyproject.toml (make lock): $venv gets what it lacks without hashes" >&2
        "${pip[@]}" install "$@"
    fi
else
    echo "installing into $venv" >&2
    # Dependency groups (PEP 735) came to pip with 25.1.
    "${pip[@]}" install --upgrade 'pip>=25.1'
    "${pip[@]}" install "$@"
fi
rm -f "$venv"/.installed-*
touch "$stamp"
