from __future__ import annotations

import pytest

from prov_worker.schedulers.answers.hostlist import MAX_NODES, expand


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node1", ["node1"]),
        ("node[01-03,7]", ["node01", "node02", "node03", "node7"]),
        ("node[1-2],login1", ["node1", "node2", "login1"]),
        ("gpu-a[1-2]b", ["gpu-a1b", "gpu-a2b"]),
        ("r[1-2]n[8-10]", ["r1n8", "r1n9", "r1n10", "r2n8", "r2n9", "r2n10"]),
        ("n[098-101]", ["n098", "n099", "n100", "n101"]),
        ("nid[001234,001236]", ["nid001234", "nid001236"]),
        ("", []),
    ],
)
def test_expand(text: str, names: list[str]) -> None:
    assert expand(text) == names


@pytest.mark.parametrize(
    "text",
    ["n[1-2", "n1-2]", "n[[1]]", "n[]", "n[a-b]", "n[2-1]", "n[1-]", "n[1-999999999]", "a[1-60000],b[1-60000]", "n[²]"],
)
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        expand(text)


def test_bound_holds_for_products() -> None:
    with pytest.raises(ValueError, match=f"more than {MAX_NODES} nodes"):
        expand("a[1-5000]b[1-5000]c[1-5000]")
