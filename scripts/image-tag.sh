#!/usr/bin/env bash
# Print the images' tag, VERSION-gceGLOBUS_COMPUTE-parslPARSL; with --args as build arguments of the Dockerfile.
# Workers and endpoint must have the same versions of both: a tag says whether two images fit together.
set -euo pipefail
cd "$(dirname "$0")/.."

locked() { sed -n "s/^$1==\([^ ;]*\).*/\1/p" docker/requirements/worker.txt; }

version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' src/prov_worker/__init__.py)
gce=$(locked globus-compute-endpoint)
parsl=$(locked parsl)
if [[ ${1:-} == --args ]]; then
    echo "--build-arg VERSION=$version --build-arg GLOBUS_COMPUTE=$gce --build-arg PARSL=$parsl"
else
    echo "$version-gce$gce-parsl$parsl"
fi
