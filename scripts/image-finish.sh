#!/bin/sh
# In a build stage: install the wheel into /opt/prov, leave out what nobody runs, compile the rest.
set -eu
PIP_REQUIRE_HASHES=0 /build/venv/bin/pip --python /opt/prov/bin/python install -q --no-deps --no-index /build/dist/*.whl
cd /opt/prov/lib/python3*/site-packages
find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
# Some distributions carry sources for other versions of Python, which do not compile: not an error.
/opt/prov/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash . >/dev/null || true
chmod -R go=rX /opt/prov
