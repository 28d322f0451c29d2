"""When a crate that the disk refused is tried again."""

from __future__ import annotations

from typing import Any, cast

from prov_worker.agent.refused_crates import RefusedCrates


def job(name: str) -> Any:
    return cast("Any", name)


def test_pauses_grow_until_a_crate_is_written() -> None:
    refused = RefusedCrates()
    now, pauses = 100.0, []
    for _ in range(8):
        refused.add(job("a"), now)
        pauses.append(refused.again_at - now)
        assert refused.due(refused.again_at - 0.001) == []
        now = refused.again_at
        assert refused.due(now) == ["a"]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    refused.end()
    refused.add(job("a"), now)
    assert refused.again_at == now + 0.5


def test_all_wait_for_one_moment() -> None:
    refused = RefusedCrates()
    refused.add(job("a"), 10.0)
    refused.add(job("b"), 10.4)
    assert refused.again_at == 10.5
    assert refused.due(10.5) == ["a", "b"]
    assert not refused.jobs
    assert refused.due(11.0) == []


def test_three_refusals_in_a_row_are_the_disks() -> None:
    refused = RefusedCrates()
    refused.add(job("a"), 10.0)
    refused.add(job("b"), 10.0)
    assert not refused.all_are(10.0)
    refused.end()  # one that was written is between them
    refused.add(job("c"), 10.0)
    assert not refused.all_are(10.0)
    refused.add(job("d"), 10.0)
    refused.add(job("e"), 10.0)
    assert refused.all_are(10.4)
    assert not refused.all_are(10.5)
