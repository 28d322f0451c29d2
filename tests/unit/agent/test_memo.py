"""What is kept for objects, by their identity."""

from __future__ import annotations

from prov_worker.agent.memo import Memo


def test_a_value_is_kept_for_the_very_objects() -> None:
    memo: Memo[str] = Memo()
    first, second = {"a": 1}, {"a": 1}
    assert memo.get(first) is None
    assert memo.keep("of the first", first) == "of the first"
    assert (memo.get(first), memo.get(second), memo.get(first, second)) == ("of the first", None, None)
    memo.keep("of both", first, second)
    assert memo.get(first, second) == "of both"


def test_no_other_object_gets_what_was_kept_for_one_that_is_gone() -> None:
    memo: Memo[int] = Memo()
    for number in range(5000):
        mapping = {"number": number}  # which would have the address of the one before, were that not kept
        assert memo.get(mapping) is None
        memo.keep(number, mapping)
    assert len(memo._values) <= 512
