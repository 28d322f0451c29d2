"""`prov-worker sites check` on the cluster's login node: what Slurm itself says about a job, without one.

Before the other tests here, which lose a node.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from slurm_cluster import Cluster

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("slurm"),
]


def check(cluster: Cluster, site: str, *options: str) -> dict[str, dict[str, str]]:
    """Findings by subject."""
    given = ["account=m0000", "interface=eth0", *options]
    words = " ".join(f"--set {one}" for one in given)
    told = cluster.run(f"prov-worker sites check {site} {words} --json", check=False)
    return {one["subject"]: one for one in json.loads(told)["findings"]}


@pytest.mark.parametrize("site", ["perlmutter-gpu", "perlmutter-cpu"])
def test_a_login_node_that_is_fit(cluster: Cluster, site: str) -> None:
    before = set(cluster.states())
    found = check(cluster, site)
    assert {name: one for name, one in found.items() if one["status"] == "fail"} == {}
    asked = ("versions at the workers", "scheduler commands", "launcher", "scheduler answers", "account")
    assert {name: found[name]["status"] for name in asked} == dict.fromkeys(asked, "pass")
    assert " to start at " in found["trial of the batch script"]["found"]
    assert found["egress, REST"]["status"] == "pass"
    assert set(cluster.states()) == before, "nothing was submitted"


@pytest.mark.parametrize(
    "option, subject, words",
    [
        ("account=m9999", "account", "m9999 is none of yours"),
        ("account=m9999", "trial of the batch script", "Invalid account"),
        ("qos=nosuch", "account", "m0000 has no QOS nosuch"),
        ("partition=nosuch", "partition", "Partition nosuch not found"),
        ("licenses=nosuch", "trial of the batch script", "Invalid license"),
        ("constraint=nosuch", "trial of the batch script", "Invalid feature"),
        ("nodes_per_block=99", "trial of the batch script", "Requested node configuration is not available"),
    ],
)
def test_what_slurm_would_refuse(cluster: Cluster, option: str, subject: str, words: str) -> None:
    found = check(cluster, "perlmutter-gpu", option)[subject]
    assert found["status"] == "fail"
    assert words in found["found"]
    assert found["remedy"]
