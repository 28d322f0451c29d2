"""Marks that many modules of tests have."""

from __future__ import annotations

import pytest

#: Parsl's address_by_interface leaves its socket to the collector of garbage.
PARSL_SOCKET = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
#: Tests of one fleet, one after the other.
FLEET = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("fleet"), PARSL_SOCKET]
