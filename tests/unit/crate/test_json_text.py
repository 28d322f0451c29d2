"""Text, numbers and names that are safe in a crate."""

from __future__ import annotations

import json
import math
from urllib.parse import unquote

import pytest

from prov_worker.crate.json_text import clean, finite, is_web, one_line, path_id, ranges, safe_name, scalar, urn, utc
from prov_worker.crate.observations import _component
from prov_worker.crate.software import container_image
from prov_worker.model import Column


def test_times_are_as_the_profiles_take_them():
    assert utc(1_795_217_215_565_123_456) == "2026-11-20T23:26:55.565+00:00"
    assert utc(1_795_217_215_999_999_999) == "2026-11-20T23:26:55.999+00:00"
    assert utc(0) == "1970-01-01T00:00:00.000+00:00"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (2**53, "9007199254740992"),
        (2**53 + 1, '"9007199254740993"'),
        (1.5, "1.5"),
        (math.nan, '"nan"'),
        (math.inf, '"inf"'),
        ('a"b\n', '"a\\"b\\n"'),
        ("\ud800\x00x", '"x"'),
    ],
)
def test_scalar(value, text):
    assert scalar(value) == text
    json.loads(scalar(value), parse_constant=pytest.fail)


def test_long_text_says_how_much_is_missing():
    assert clean("x" * 20, limit=10) == "xxxxxxxxxx … (10 more characters)"
    assert one_line(" a\n\tb ") == "a b"


def test_finite():
    assert finite({1: [math.nan, (1, "\x00a")], "b": {3}}) == {"1": [None, [1, "a"]], "b": [3]}


@pytest.mark.parametrize("name", ["a", "7a171870-b038", "a_b.c"])
def test_plain_names_stay(name):
    assert safe_name(name) == name


@pytest.mark.parametrize("name", [".hidden", "a/b", "..", "", " ", "é" * 500, "%41", "a\nb", "\ud800"])
def test_other_names_are_encoded(name):
    safe = safe_name(name)
    assert safe
    assert len(safe) <= 120
    assert not safe.startswith(".")
    assert set(safe) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~%-")
    if 0 < len(name) < 20 and "\ud800" not in name:
        assert unquote(safe) == name


def test_long_names_stay_two():
    assert safe_name("x" * 300 + "a") != safe_name("x" * 300 + "b")


def test_small_helpers():
    assert ranges([3, 1, 2, 8, 8]) == "1-3,8"
    assert ranges([]) == ""
    assert path_id("output/my file.txt") == "output/my%20file.txt"
    assert urn("e8c8b86f-a6fb-4c5b-9bc0-45423336f0c5") == "urn:uuid:e8c8b86f-a6fb-4c5b-9bc0-45423336f0c5"
    assert urn("plain") == "plain"
    assert is_web("https://orcid.org/0000-0002-1825-0097")
    assert not is_web("https://a b")
    assert not is_web("Josiah Carberry")


@pytest.mark.parametrize(
    "container, name, more",
    [
        ("docker:ghcr.io/o/i:1.0", "o/i", {"registry": "ghcr.io", "tag": "1.0"}),
        ("podman:python:3.11", "python", {"registry": "docker.io", "tag": "3.11"}),
        ("shifter:docker://quay.io/a/b", "a/b", {"registry": "quay.io", "tag": "latest"}),
        ("docker://quay.io/a/b", "a/b", {"registry": "quay.io", "tag": "latest"}),
        ("apptainer:/images/work.sif", "/images/work.sif", {"registry": "none: a file on the node"}),
        ("apptainer:/images/work.sif@sha256:ab", "/images/work.sif", {"sha256": "ab"}),
        ("docker:o/i:1.0@sha256:ab", "o/i", {"tag": "1.0", "sha256": "ab"}),
    ],
)
def test_the_image_of_a_container_is_named_without_the_kind(container: str, name: str, more: dict[str, str]) -> None:
    image = json.loads(container_image(container) or "")
    assert image["name"] == name
    assert more.items() <= image.items()


def test_no_image_is_made_up_for_a_container_that_names_none() -> None:
    assert [container_image(kind) for kind in ("docker", "podman")] == [None, None]


@pytest.mark.parametrize(
    "name, component",
    [
        ("threads", "#hardware-cpu"),
        ("read_chars", "#hardware-storage"),
        ("written_bytes", "#hardware-storage"),
        ("children_rss_bytes", "#hardware-ram"),
        ("cpu_percent", "#hardware-cpu"),
    ],
)
def test_what_a_column_is_about(name: str, component: str) -> None:
    assert _component(name, Column("count", [1]), "#hardware-storage") == component
