#!/usr/bin/env bash
# Make sure that base images are there: Debian's and RabbitMQ's, also if no container registry can be reached.
#
#   scripts/base-images.sh debian:SUITE-slim... rabbitmq:4.0-management
#
# An image that is present stays; else it is pulled; else, as root on Debian, an image of the same packages is made from
# Debian's archive under the official name, labelled prov-worker.standin=1: for RabbitMQ that of trixie, which is 4.0, with
# the official image's user, ports, variables and plugins. Root filesystems are kept between runs in
# ${XDG_CACHE_HOME:-~/.cache}/prov-worker.
set -euo pipefail

note() { echo "base-images: $*" >&2; }
fail() { note "$*"; exit 1; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/prov-worker

# Address of the Debian archive that this machine's apt uses.
archive_address() {
    apt-get --print-uris update 2>/dev/null | sed -n "s#^'\([^']*/debian\)/dists/.*#\1#p" | sed -n 1p
}

# bootstrap IMAGE SUITE FILE OPTIONS...: a small root filesystem as a tar archive, by mmdebstrap with these options
bootstrap() {
    local image=$1 suite=$2 file=$3 address keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    shift 3
    [[ $(id -u) == 0 ]] || fail "$image cannot be pulled, and only root can make one"
    command -v apt-get >/dev/null || fail "$image cannot be pulled, and is made on Debian only"
    local apt=(apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300)
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
    command -v mmdebstrap >/dev/null || {
        "${apt[@]}" install mmdebstrap >/dev/null 2>&1 || { "${apt[@]}" update && "${apt[@]}" install mmdebstrap >/dev/null; }
    }
    address=$(archive_address)
    [[ -n $address ]] || fail "apt knows no Debian archive"
    # What a build on this machine needs and a user's does not, such as the certificates of a proxy, is in the image made
    # here: no Dockerfile speaks of it. The hook is run by mmdebstrap, which gives it the new root as $1.
    # shellcheck disable=SC2016
    local trust='mkdir -p "$1/usr/local/share/ca-certificates"
        find /usr/local/share/ca-certificates -name "*.crt" -exec cp {} "$1/usr/local/share/ca-certificates/" \;
        printf "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n" >"$1/etc/pip.conf"'
    # usr-is-merged stands for usrmerge, which would bring all of Perl.
    mmdebstrap --quiet --variant=minbase --format=tar --include=usr-is-merged \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' --aptopt='Acquire::Retries "3"' \
        --customize-hook="$trust" --keyring="$keyring" --aptopt='Acquire::Languages "none"' "$@" \
        "$suite" "$file.$$" "deb $address $suite main" "deb $address $suite-updates main" \
        "deb $address-security $suite-security main" >"$file.log" 2>&1 || {
        rm -f "$file.$$"
        tail -n 20 "$file.log" >&2
        fail "could not make $image"
    }
    mv "$file.$$" "$file"
}

# take IMAGE FILE CHANGES...: the archive as an image
take() {
    local image=$1 file=$2
    shift 2
    docker import --message "from Debian's packages" --change 'LABEL prov-worker.standin=1' "$@" "$file" "$image" >/dev/null
}

readonly path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

make_debian() {
    local image=$1 suite=$2 file=$cache/debian-$2-slim.tar
    [[ -s $file ]] || bootstrap "$image" "$suite" "$file"
    take "$image" "$file" --change 'CMD ["bash"]' --change "ENV PATH=$path"
}

make_rabbitmq() {
    local image=$1 file=$cache/rabbitmq-4.0.tar users conf
    # Ids of the official image: volumes and `user:` mean the same. The package's scripts take the user that is there.
    # shellcheck disable=SC2016
    users='echo "rabbitmq:x:999:" >>"$1/etc/group"
        echo "rabbitmq:x:999:999::/var/lib/rabbitmq:/bin/sh" >>"$1/etc/passwd"
        [ ! -e "$1/etc/shadow" ] || echo "rabbitmq:!:20000::::::" >>"$1/etc/shadow"'
    # Debian wraps the programs in a script that changes the user; the official image calls them as they are.
    # shellcheck disable=SC2016
    conf='mkdir -p "$1/etc/rabbitmq/conf.d"
        printf "loopback_users.guest = false\nlog.console = true\n" >"$1/etc/rabbitmq/conf.d/10-defaults.conf"
        printf "[rabbitmq_management,rabbitmq_prometheus].\n" >"$1/etc/rabbitmq/enabled_plugins"
        rm -rf "$1/etc/rabbitmq/rabbitmq-env.conf" "$1/var/lib/rabbitmq/mnesia" "$1/var/lib/rabbitmq/.erlang.cookie"
        for program in "$1"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/*; do
            ln -sf "${program#"$1"}" "$1/usr/local/bin/${program##*/}"
        done
        chroot "$1" chown -R rabbitmq:rabbitmq /etc/rabbitmq /var/lib/rabbitmq /var/log/rabbitmq'
    [[ -s $file ]] || bootstrap "$image" trixie "$file" --include=rabbitmq-server \
        --essential-hook="$users" --customize-hook="$conf"
    take "$image" "$file" --change 'CMD ["rabbitmq-server"]' --change 'USER 999:999' --change 'VOLUME /var/lib/rabbitmq' \
        --change 'EXPOSE 4369 5671 5672 15671 15672 15692 25672' \
        --change "ENV HOME=/var/lib/rabbitmq LANG=C.UTF-8 RABBITMQ_DATA_DIR=/var/lib/rabbitmq RABBITMQ_LOGS=- PATH=$path"
}

(($#)) || fail "which? for example debian:trixie-slim"
mkdir -p "$cache"
for image in "$@"; do
    if [[ $image =~ ^debian:([a-z]+)-slim$ ]]; then
        suite=${BASH_REMATCH[1]} made=$suite
    elif [[ $image == rabbitmq:4.0-management ]]; then
        made=rabbitmq
    else
        fail "$image: only debian:SUITE-slim and rabbitmq:4.0-management are known"
    fi
    ! docker image inspect "$image" >/dev/null 2>&1 || continue
    if timeout 300 docker pull --quiet "$image" >/dev/null 2>&1; then
        note "pulled $image"
        continue
    fi
    exec 9>"$cache/$made.lock"
    flock 9
    note "making $image from Debian's packages"
    case $made in
        rabbitmq) make_rabbitmq "$image" ;;
        *) make_debian "$image" "$suite" ;;
    esac
    exec 9>&-
done
