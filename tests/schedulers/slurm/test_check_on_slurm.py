"""`prov-worker sites check` on the cluster's login node: what Slurm itself says about a job, without one.

Before the other tests here, which lose a node.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.marks import SLURM_CLUSTER

if TYPE_CHECKING:
    from slurm_cluster import Cluster

pytestmark = [pytest.mark.timeout(1200), *SLURM_CLUSTER]  # the first limit holds


def check(cluster: Cluster, site: str, *options: str) -> dict[str, dict[str, str]]:
    """Findings by subject."""
    given = ["account=m0000", "interface=eth0", *options]
    arguments = " ".join(f"--set {assignment}" for assignment in given)
    output = cluster.run(f"prov-worker sites check {site} {arguments} --json", check=False)
    return {finding["subject"]: finding for finding in json.loads(output)["findings"]}


@pytest.mark.parametrize("site", ["perlmutter-gpu", "perlmutter-cpu"])
def test_a_login_node_that_is_fit(cluster: Cluster, site: str) -> None:
    before = set(cluster.states())
    findings = check(cluster, site)
    assert {name: finding for name, finding in findings.items() if finding["status"] == "fail"} == {}
    subjects = ("versions at the workers", "scheduler commands", "launcher", "scheduler answers", "account")
    assert {name: findings[name]["status"] for name in subjects} == dict.fromkeys(subjects, "pass")
    assert " to start at " in findings["trial of the batch script"]["found"]
    assert findings["egress, REST"]["status"] == "pass"
    assert set(cluster.states()) == before, "nothing was submitted"


@pytest.mark.parametrize(
    "option, subject, message",
    [
        ("account=m9999", "account", "m9999 is not one of your accounts"),
        ("account=m9999", "trial of the batch script", "Invalid account"),
        ("qos=nosuch", "account", "m0000 has no QOS nosuch"),
        ("partition=nosuch", "partition", "Partition nosuch not found"),
        ("licenses=nosuch", "trial of the batch script", "Invalid license"),
        ("constraint=nosuch", "trial of the batch script", "Invalid feature"),
        ("nodes_per_block=99", "trial of the batch script", "Requested node configuration is not available"),
    ],
)
def test_what_slurm_would_refuse(cluster: Cluster, option: str, subject: str, message: str) -> None:
    finding = check(cluster, "perlmutter-gpu", option)[subject]
    assert finding["status"] == "fail"
    assert message in finding["found"]
    assert finding["remedy"]
