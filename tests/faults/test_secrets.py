"""Secrets go in by every door, and are looked for in every file that comes out."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from support.crate_dir import CrateDir
from support.direct import Call, Start

CLIENT = "planted-client-secret-0123456789"
TOKEN = "Ag" + "Pl4nt3dT0k3n" * 5
PASSWORD = "planted-p4ssw0rd-of-somebody"
PLANTED = {CLIENT: "the client secret", TOKEN: "a token", PASSWORD: "a password"}
PLANTED |= {"hunter2-in-the-docstring": "the docstring's", "hunter2-in-the-source": "the source's"}


@pytest.mark.parametrize("capture", ["types", "values"])
@pytest.mark.parametrize(
    "strategy", [None, "PureSourceTextInspect", "PureSourceDill", "DillCodeSource", "CombinedCode"]
)
def test_no_planted_secret_is_in_any_file(
    crate_dir: CrateDir, start: Start, capture: str, strategy: str | None
) -> None:
    calls = [
        Call("fail_with_secrets", (TOKEN,), {"password": PASSWORD}, strategy=strategy),
        Call("return_secret", (TOKEN,), strategy=strategy),
        Call("read_secret", ("GLOBUS_COMPUTE_CLIENT_SECRET",), strategy=strategy),
        Call("add", ([f"password={PASSWORD}"], [{"token": TOKEN, "x": CLIENT}]), strategy=strategy),
        Call("add", (f"{'x' * 190}{TOKEN}", CLIENT), strategy=strategy),
        Call("leave_by_sys_exit", (f"password={PASSWORD} {TOKEN} {CLIENT}",), strategy=strategy),
        Call("kill_self", (9, 0.3), strategy=strategy),
    ]
    worker = start(
        *calls,
        settings={
            "capture_arguments": capture,
            "probes": ["cpu", "environment", "scheduler", "storage"],
            "capture_environment": ["GLOBUS_COMPUTE_CLIENT_SECRET", "MY_TOKEN", "PBS_JOBNAME"],
            "plots": "svg",
            "plot_min_duration": 0.1,
        },
        environment={
            "GLOBUS_COMPUTE_CLIENT_SECRET": CLIENT,
            "MY_TOKEN": TOKEN,
            "PBS_JOBNAME": f"job password={PASSWORD}",
            "PBS_JOBCOOKIE": CLIENT,
            "DATABASE_URL": f"postgres://me:{PASSWORD}@db/x",
        },
    )
    crates = crate_dir.wait_for([call.task for call in calls])
    worker.wait()
    assert [crate.status for crate in crates] == ["failed", *["completed"] * 4, "failed", "failed"]
    assert "login failed" in (crates[0].error or "")
    crate_dir.wait_for_end_of_agent()
    time.sleep(0.2)
    looked_at = set()
    for root in (crate_dir.crates, crate_dir.runtime):
        for path in (Path(folder, name) for folder, _, names in os.walk(root) for name in names):
            data = path.read_bytes()
            looked_at.add(path)
            for secret, label in PLANTED.items():
                assert secret.encode() not in data, f"{label} in {path.relative_to(root)}:\n{_around(data, secret)}"
                assert secret[:30].encode() not in data or len(secret) <= 30, f"a part of {label} in {path}"
    assert {crate.path / "ro-crate-metadata.json" for crate in crates} < looked_at
    assert set(crate_dir.journals()) <= looked_at
    assert any("redacted" in path.read_text() for path in crate_dir.journals())


def _around(data: bytes, secret: str) -> str:
    at = data.index(secret.encode())
    return data[max(0, at - 150) : at + 60].decode(errors="replace")
