#!/usr/bin/env bash
# Tests under Python 3.14.
#
#   scripts/test-python-3.14.sh [PYTEST-ARGUMENTS...]
#
# With a python3.14 in PATH this is `make PYTHON=python3.14 VENV=.venv-3.14 venv`, and pytest. Without one, root on Debian
# gets it from Debian's next release (forky), unpacked into .cache/python-3.14 once; the checkout is seen inside at its own
# path, and nothing of this system is changed.
set -euo pipefail
cd "$(dirname "$0")/.."

arguments=("$@")
((${#arguments[@]})) || arguments=(tests/unit)
tests=(.venv-3.14/bin/python -m pytest -q -n "${JOBS:-2}" --dist loadgroup -m 'not long' "${arguments[@]}")
if command -v python3.14 >/dev/null && python3.14 --version >/dev/null 2>&1; then
    make PYTHON=python3.14 VENV=.venv-3.14 venv
    exec "${tests[@]}"
fi

root=$PWD/.cache/python-3.14
scripts/install-programs.sh mmdebstrap=mmdebstrap
if [[ $(id -u) != 0 ]] || ! command -v mmdebstrap >/dev/null; then
    echo "no python3.14; install it, or run this as root on Debian" >&2
    exit 1
fi
if [[ ! -x $root/usr/bin/python3.14 ]]; then
    archive=$(sed -En 's|^(URIs: *\|deb (\[[^]]*\] )?)(https?://[^ ]*/debian)/?( .*)?$|\3|p' \
        /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1 || true)
    # under another name until it is complete: one that was interrupted is made again
    rm -rf "$root" "$root.part" && mkdir -p "$root.part"
    # What lies in a mirror may be older than the date that testing's index is valid until.
    mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
        --include=python3.14-venv,python3.14-dev,gcc,libc6-dev,ca-certificates,git,make,procps,rsync,util-linux \
        --include=openssh-client,openssh-server,e2fsprogs,btrfs-progs,fuse3 \
        forky "$root.part" "deb ${archive:-http://deb.debian.org/debian} forky main"
    cp -r /usr/local/share/ca-certificates/. "$root.part/usr/local/share/ca-certificates/"
    chroot "$root.part" update-ca-certificates >/dev/null 2>&1
    mv "$root.part" "$root"
fi
# Its own mounts, and its own root: as a real machine has them, which a chroot has not. What a worktree belongs to is
# elsewhere, and tests ask git which files there are; so may .cache be, which benchmarks keep environments in.
export root here=$PWD also=
for outside in "$(git rev-parse --path-format=absolute --git-common-dir 2>/dev/null || true)" "$(realpath .cache)"; do
    [[ -z $outside || $outside == "$here"/* ]] || also+=" $outside"
done
# shellcheck disable=SC2016 # for the inner shell
exec unshare --mount --propagation private bash -c '
    set -euo pipefail
    mount --bind "$root" "$root"
    cd "$root"
    mkdir -p ".$here" old
    for directory in /proc /sys /dev "$here"; do mount --rbind "$directory" ".$directory"; done
    for directory in $also; do
        mkdir -p ".$directory"
        mount --bind "$directory" ".$directory"
    done
    cp /etc/resolv.conf /etc/hosts etc/
    pivot_root . old
    umount --lazy old
    cd "$here"
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PIP_CERT=/etc/ssl/certs/ca-certificates.crt
    unset REQUESTS_CA_BUNDLE CURL_CA_BUNDLE PIP_FIND_LINKS
    # Environments of this system, whose interpreters are not here: their tests are skipped, and say so.
    for variable in PROV_WORKER_VALIDATOR "${!PROV_TEST_@}"; do
        [[ ${!variable-} != "$here"/.venv-*/bin/* || -x ${!variable%/*}/python ]] || unset "$variable"
    done
    make PYTHON=python3.14 VENV=.venv-3.14 venv
    exec "$@"' bash "${tests[@]}"
