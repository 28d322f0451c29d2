#!/usr/bin/env bash
# Debian packages of programs that tests use, if the programs are missing and this user may install.
#
#   scripts/install-programs.sh PROGRAM=PACKAGE...
#
# Elsewhere one line says what is missing, and the tests that need it say that they are skipped. Exit status: 0.
set -euo pipefail

note() { echo "install-programs: $*" >&2; }

PATH=$PATH:/usr/sbin:/sbin
wanted=()
for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || wanted+=("${pair#*=}")
done
((${#wanted[@]})) || exit 0
# shellcheck source=/dev/null
if [[ $(id -u) != 0 ]] || ! (. /etc/os-release 2>/dev/null && [[ ${ID:-} == debian ]]); then
    note "missing here, and installed by root on Debian only: ${wanted[*]}"
    exit 0
fi

note "installing ${wanted[*]}"
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
log=$(mktemp)
quiet_services=/usr/sbin/policy-rc.d
mine=false
clean_up() {
    rm -f "$log"
    ! $mine || rm -f "$quiet_services"
}
trap clean_up EXIT
if [[ ! -e $quiet_services ]]; then
    # Tests start what they need, on ports of their own; the packages' scripts must start nothing.
    printf '#!/bin/sh\nexit 101\n' >"$quiet_services"
    chmod +x "$quiet_services"
    mine=true
fi
apt=(apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
# Lists are missing or stale on many a machine: once more after an update.
"${apt[@]}" install "${wanted[@]}" >"$log" 2>&1 || {
    "${apt[@]}" update
    "${apt[@]}" install "${wanted[@]}" >"$log" 2>&1
} || {
    tail -n 5 "$log" >&2
    note "could not be installed: ${wanted[*]}"
}
