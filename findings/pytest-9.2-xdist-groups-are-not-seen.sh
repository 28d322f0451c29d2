#!/usr/bin/env bash
# pytest 9.2.0 with pytest-xdist 3.8.0: the tests of one xdist_group run in several processes, with --dist loadgroup.
#
# With pytest 9.1.1 they run in one, as pytest-xdist's manual says. Nothing warns and every test passes, so a module that
# shares a server by its group starts one server per process, and tests that must not run at once do. Only the
# count of processes shows it.
#
# Seen (8 tests of one group, 4 processes to run them):
#   pytest 9.1.1: 8 passed, in 1 process(es)
#   pytest 9.2.0: 8 passed, in 4 process(es)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
cd "$work"
cat >test_group.py <<'PY'
import os
import time

import pytest

pytestmark = pytest.mark.xdist_group("together")


@pytest.mark.parametrize("number", range(8))
def test_it(number):
    time.sleep(0.3)
    with open("processes", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], file=file)
PY
for version in 9.1.1 9.2.0; do
    venv/bin/pip install --quiet --disable-pip-version-check "pytest==$version" pytest-xdist==3.8.0
    rm -f processes
    passed=$(venv/bin/python -m pytest -q -n 4 --dist loadgroup -p no:cacheprovider | grep -o '^[0-9]* passed')
    echo "pytest $version: $passed, in $(sort -u processes | wc -l) process(es)"
done | tee output
diff output - <<'SEEN'
pytest 9.1.1: 8 passed, in 1 process(es)
pytest 9.2.0: 8 passed, in 4 process(es)
SEEN
