#!/usr/bin/env bash
# State a version: in the package, and in the files that cannot read it from there. A test compares them.
#
#   scripts/set-version.sh X.Y.Z
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:?which version? for example scripts/set-version.sh 1.2.3}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+((a|b|rc)[0-9]+)?$ ]] || { echo "set-version: $version: expected X.Y.Z" >&2; exit 2; }
before=$(scripts/image-tag.sh)
sed -i "s/^__version__ = \".*\"/__version__ = \"$version\"/" src/prov_worker/__init__.py
sed -i "s/^prov_worker_version: \".*\"/prov_worker_version: \"$version\"/" ansible/roles/prov_worker/defaults/main.yml
sed -i "s/^version: .*/version: $version/" CITATION.cff
sed -i "s/\(VERSION: \).*/\1$version/; s/:-$before}/:-$(scripts/image-tag.sh)}/" docker-compose.yml
