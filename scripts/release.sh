#!/usr/bin/env bash
# Make a release of the commit that is checked out: build wheel and source archive twice, compare them, describe what is in
# them and in the images, and sign the list of it all.
#
#   scripts/release.sh KEY [DIRECTORY]      KEY: an ssh key, as of ssh-keygen -Y sign; `-` leaves the signature out
#
# Whoever has the same commit gets the same bytes: SECURITY.md says how to check that, and the signature. Images are
# built on the base image of the moment, named by its digest, if a registry can be asked for it.
set -euo pipefail
cd "$(dirname "$0")/.."

key=${1:?which key? for example scripts/release.sh ~/.ssh/id_ed25519}
target=${2:-dist}
python=${PYTHON_RELEASE:-.venv-sbom/bin/python}
fail() { echo "release: $*" >&2; exit 1; }

[[ -z $(git status --porcelain) ]] || fail "there are changes that are not committed"
[[ $key == - || -e $key ]] || fail "$key: no such key"
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' src/prov_worker/__init__.py)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Two folders of other names, with other times and permissions of files, as two people have them.
build() { # build NAME UMASK
    mkdir "$work/$1"
    (umask "$2" && git archive HEAD | tar --extract --touch --no-same-permissions --directory "$work/$1")
    (cd "$work/$1" && "$absolute" -m hatchling build --directory "$work/$1-dist" >/dev/null 2>&1) || fail "hatchling cannot build"
}
absolute=$(command -v "$python") || fail "$python is missing (make sbom)"
absolute=$(realpath --no-symlinks "$absolute")
"$absolute" -c 'import hatchling' 2>/dev/null || fail "$python has no hatchling (make sbom)"
build first 022
build the-second-one 077
diff --recursive "$work/first-dist" "$work/the-second-one-dist" >&2 || fail "two builds of one commit differ"

mkdir -p "$target"
rm -f "$target"/prov_worker-* "$target"/SHA256SUMS*
cp "$work"/first-dist/* "$target/"
echo "release: $version, twice the same: $(cd "$target" && echo prov_worker-*)" >&2

if digest=$(timeout 60 docker buildx imagetools inspect debian:bookworm-slim --format '{{.Manifest.Digest}}' 2>/dev/null); then
    for stage in worker endpoint; do
        # shellcheck disable=SC2046
        docker build --quiet --target "$stage" --build-arg "BASE=debian:bookworm-slim@$digest" $(scripts/image-tag.sh --args) \
            --tag "prov-worker-$stage:$(scripts/image-tag.sh)" . >/dev/null
    done
    echo "debian:bookworm-slim@$digest" >"$target/base-image.txt"
else
    rm -f "$target/base-image.txt"
    echo "release: no registry tells the digest of debian:bookworm-slim: no images are made" >&2
fi

(cd "$target" && find . -type f ! -name 'SHA256SUMS*' -printf '%P\0' | sort -z | xargs -0 sha256sum >SHA256SUMS)
if [[ $key != - ]]; then
    ssh-keygen -q -Y sign -f "$key" -n prov-worker-release "$target/SHA256SUMS"
fi
echo "release: $target/SHA256SUMS" >&2
