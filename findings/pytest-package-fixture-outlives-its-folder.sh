#!/usr/bin/env bash
# pytest 9.2.0: a fixture of scope "package" in a conftest.py lives until the end of the session if its folder has no
# __init__.py, which the importlib mode of importing makes usual. It is then a fixture of the session in all but name:
# --setup-show still prints P for it. What it holds (a patched environment, a network, a server) stays for the tests of
# all folders after it; nothing warns.
#
# Seen (the fixture's end, among the tests in their order):
#   without __init__.py: begin test_a test_b end
#   with __init__.py: begin test_a end test_b
#   --setup-show, without __init__.py: SETUP    P part
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0
mkdir -p "$work/tests/a" "$work/tests/b"
cd "$work"
cat >tests/a/conftest.py <<'PY'
import pytest


@pytest.fixture(scope="package")
def part():
    print("\n@begin")
    yield
    print("\n@end")
PY
printf 'def test_a(part):\n    print("\\n@test_a")\n' >tests/a/test_first.py
printf 'def test_b():\n    print("\\n@test_b")\n' >tests/b/test_second.py

run() { venv/bin/python -m pytest -q -s -p no:cacheprovider --import-mode=importlib "$@" tests; }
order() { run | sed -n 's/.*@//p' | paste -sd ' '; }
{
    echo "without __init__.py: $(order)"
    touch tests/a/__init__.py
    echo "with __init__.py: $(order)"
    rm tests/a/__init__.py
    echo "--setup-show, without __init__.py: $(run --setup-show | grep -o 'SETUP *[A-Z] part')"
} | tee output
diff output - <<'SEEN'
without __init__.py: begin test_a test_b end
with __init__.py: begin test_a end test_b
--setup-show, without __init__.py: SETUP    P part
SEEN
