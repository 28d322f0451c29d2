#!/usr/bin/env bash
# Make a Docker Engine answer on this machine, with the compose and buildx plugins.
#
#   scripts/setup-docker.sh
#
# Does nothing if all three answer. Otherwise it needs root on Debian: it installs Debian's own packages and, if no
# init system does it, starts dockerd. Exit status 0: it answers; 1: it does not, and one line says why.
# On Debian 12 the engine comes from trixie's archive (bookworm's 20.10 is too old for compose's start_interval), fetched
# through an apt state of its own, so that no source, pin or list stays behind on the machine.
#
#   DOCKERD_LOG          log of a dockerd started here (default: /var/log/dockerd.log)
#   DOCKERD_TIMEOUT_S    seconds to wait for it (default: 60)
set -euo pipefail

log=${DOCKERD_LOG:-/var/log/dockerd.log}
timeout_s=${DOCKERD_TIMEOUT_S:-60}

note() { echo "setup-docker: $*" >&2; }
fail() { note "$*"; exit 1; }

# Client 26 ends with 0 if no server answers: only a version is an answer.
server() { timeout 15 docker info --format '{{.ServerVersion}}' 2>/dev/null || true; }
engine_answers() { [[ -n $(server) ]]; }
compose_answers() { timeout 15 docker compose version >/dev/null 2>&1; }
buildx_answers() { timeout 15 docker buildx version >/dev/null 2>&1; }
ready() { command -v docker >/dev/null && compose_answers && buildx_answers && engine_answers; }

ready && exit 0
[[ $(id -u) == 0 ]] || fail "no usable Docker here, and only root can set it up"
# shellcheck source=/dev/null
. /etc/os-release 2>/dev/null || fail "cannot tell which system this is"
[[ ${ID:-} == debian ]] || fail "no usable Docker here, and it is set up on Debian only (this is ${ID:-unknown})"
suite=${VERSION_CODENAME:?}
[[ $suite == bookworm ]] && suite=trixie

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
work=$(mktemp -d)
chmod 755 "$work" # apt's own user reads there
quiet_services=/usr/sbin/policy-rc.d
mine=false
clean_up() {
    rm -rf "$work"
    ! $mine || rm -f "$quiet_services"
}
trap clean_up EXIT

# Address of the Debian archive that this machine's apt uses: none is written down here.
archive_address() {
    apt-get --print-uris update 2>/dev/null | sed -n "s#^'\([^']*/debian\)/dists/.*#\1#p" | sed -n 1p
}

# fetch PACKAGE...: packages of $suite into $work, by an apt state that ends with this script
fetch() {
    local address options
    address=$(archive_address)
    [[ -n $address ]] || fail "apt knows no Debian archive"
    mkdir -p "$work/lists/partial" "$work/none"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $address $suite main" >"$work/sources.list"
    options=(
        -qq -o "Dir::Etc::SourceList=$work/sources.list" -o "Dir::Etc::SourceParts=$work/none"
        -o Dir::Etc::Preferences=/dev/null -o "Dir::Etc::PreferencesParts=$work/none"
        -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work"
        -o Acquire::Languages=none -o APT::Sandbox::User=root -o Debug::NoLocking=true
    )
    apt-get "${options[@]}" update
    (cd "$work" && apt-get "${options[@]}" download "$@")
}

install() {
    local apt=(apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
    # Lists are missing or stale on many a machine: once more after an update.
    "${apt[@]}" install "$@" >"$work/apt.log" 2>&1 || {
        "${apt[@]}" update
        "${apt[@]}" install "$@" >"$work/apt.log" 2>&1
    } || {
        tail -n 20 "$work/apt.log" >&2
        fail "apt-get could not install: $*"
    }
}

wanted=()
# A client that is there already stays.
command -v docker >/dev/null || wanted+=(docker-cli)
command -v dockerd >/dev/null || wanted+=(docker.io)
compose_answers || wanted+=(docker-compose)
buildx_answers || wanted+=(docker-buildx)
if ((${#wanted[@]})); then
    note "installing ${wanted[*]} ($suite)"
    fetch "${wanted[@]}"
    if [[ ! -e $quiet_services && ! -d /run/systemd/system ]]; then
        # Without an init system the packages' scripts must not try to start a service.
        printf '#!/bin/sh\nexit 101\n' >"$quiet_services"
        chmod +x "$quiet_services"
        mine=true
    fi
    packages=("$work"/*.deb)
    command -v iptables >/dev/null || packages+=(iptables)
    install "${packages[@]}"
fi

runs() { [[ $(cat "/proc/$(cat "$1" 2>/dev/null)/comm" 2>/dev/null) == "$2" ]]; }

if ! engine_answers; then
    if [[ -d /run/systemd/system ]]; then
        systemctl start docker
    elif runs /var/run/docker.pid dockerd; then
        # Never a second one: it would take the first one's network away.
        note "dockerd runs already; waiting for its answer"
    else
        # A killed daemon leaves its number behind; if another process has that number now, dockerd will not start.
        rm -f /var/run/docker.pid
        runs /var/run/docker/containerd/containerd.pid containerd || rm -f /var/run/docker/containerd/containerd.pid
        note "starting dockerd (log: $log)"
        setsid --fork nohup dockerd >"$log" 2>&1 </dev/null
    fi
    end=$((SECONDS + timeout_s))
    until engine_answers || ((SECONDS >= end)); do sleep 0.2; done
fi
ready || {
    [[ ! -e $log ]] || tail -n 15 "$log" >&2
    fail "Docker does not answer after $timeout_s s"
}
note "engine $(server) answers"
