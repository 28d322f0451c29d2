"""YAML of people: what is refused, and where it stands."""

from __future__ import annotations

import pytest

from prov_worker import yamlfile
from prov_worker.errors import InputError


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: 1\nb: 2\na: 3\n", "a: is there twice, in lines 1 and 3"),
        ("x:\n  - {name: n}\n  - {name: n, name: m}\n", "x[1].name: is there twice, in lines 3 and 3"),
        ("x: {y: {z: 1, z: 2}}", "x.y.z: is there twice"),
        ("a: [", "invalid YAML: "),
        ("a: !!python/object:os.system {}", "invalid YAML: "),
        ("a: \x00", "invalid YAML: "),
    ],
)
def test_what_is_refused_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        yamlfile.parse(text, "f.yaml")
    assert str(caught.value).startswith(f"f.yaml: {message}")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InputError, match="invalid YAML"):
        yamlfile.parse(b"a: \xff\xfe\xff", "f.yaml")


def test_what_yaml_allows_is_taken() -> None:
    text = 'base: &b {x: 1}\nuse: {<<: *b, x: 2}\nother: *b\n1: one\n"1": text\n'
    document = yamlfile.parse(text, "f.yaml")
    assert document == {"base": {"x": 1}, "use": {"x": 2}, "other": {"x": 1}, 1: "one", "1": "text"}
    assert yamlfile.parse("", "f.yaml") is None


@pytest.mark.parametrize(
    "text, key",
    [("a: &a [*a]", "a[0]"), ("a: &a {b: *a}", "a.b"), ("x: [&l [1, {y: *l}]]", "x[0][1].y")],
)
def test_an_alias_of_what_holds_it_is_refused(text: str, key: str) -> None:
    with pytest.raises(InputError) as caught:
        yamlfile.parse(text, "f.yaml")
    assert str(caught.value).startswith(f"f.yaml: {key}: an alias of what holds it")
