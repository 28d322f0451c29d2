"""The first start of all: nobody has logged in on this host, and there is no storage of tokens yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.marks import endpoints

if TYPE_CHECKING:
    from fleet_host import FleetHost

pytestmark = endpoints("fleet")

CLIENT = "5d9f8a52-3b1c-4f0e-8a44-0d2f4a6f1c01"


def test_without_a_login_every_endpoint_says_so(host: FleetHost) -> None:
    for name in ("GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET"):
        host.environment.pop(name, None)
    host.write("one", "two", "three")
    rows = host.json("up", code=1)
    assert {row["action"] for row in rows.values()} == {"not started"}
    for row in rows.values():
        assert "is not logged in: run `globus-compute-endpoint login`" in row["detail"], rows
    assert all("is not logged in" in row["last_error"] for row in host.json("status", code=1).values())
    # An id alone is one to log in with as a person.
    detail = host.json("up", "one", code=1, GLOBUS_COMPUTE_CLIENT_ID=CLIENT)["one"]["detail"]
    assert "is not logged in (GLOBUS_COMPUTE_CLIENT_SECRET is not set, and GLOBUS_COMPUTE_CLIENT_ID is): run" in detail
