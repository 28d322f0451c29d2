"""Addresses of streams: what is taken, and that no password is, nor shown."""

from __future__ import annotations

import pytest

from prov_worker.errors import SettingsError
from prov_worker.settings import Settings
from prov_worker.stream_url import SINKS, stream_urls


def test_addresses_are_numbered_and_known_by_their_sinks() -> None:
    urls = stream_urls(["jsonl:-", "sqlite:/tmp/a b.sqlite"])
    assert [(url.number, url.sink, url.path) for url in urls] == [(1, "jsonl", "-"), (2, "sqlite", "/tmp/a b.sqlite")]
    assert urls[1].variable == "PROV_WORKER_STREAM_PASSWORD_2"


@pytest.mark.parametrize(
    "text, part",
    [
        ("", "expected a list of addresses"),
        ("nothing", "has no scheme"),
        ("ftp://host/", "unknown scheme 'ftp'"),
        ("jsonl:", "expected jsonl:PATH"),
        ("sqlite:///x", "expected sqlite:PATH"),
        ("jsonl:a\nb", "control characters"),
    ],
)
def test_what_is_no_address_is_refused(text: str, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        stream_urls([text])
    assert {"jsonl", "sqlite"} <= set(SINKS.names())


def test_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        stream_urls(["jsonl:-", "jsonl:-"])


def test_settings_name_the_key() -> None:
    with pytest.raises(SettingsError, match=r"provenance\.stream: unknown scheme 'ftp'"):
        Settings.from_mapping({"stream": ["ftp://host/"]})
    with pytest.raises(SettingsError, match=r"PROV_WORKER_STREAM: unknown scheme 'ftp'"):
        Settings.from_environ({"PROV_WORKER_STREAM": "jsonl:- ftp://host/"})
    with pytest.raises(SettingsError, match=r"provenance\.stream_keep: expected 60 to"):
        Settings.from_mapping({"stream_keep": 1})


def test_where_events_go_is_in_no_journal_and_no_crate() -> None:
    settings = Settings.from_environ(
        {
            "PROV_WORKER_STREAM": "jsonl:/tmp/x sqlite:/tmp/y",
            "PROV_WORKER_STREAM_KEEP": "3600",
            "PROV_WORKER_STREAM_LIMIT": "2097152",
            "PROV_WORKER_STREAM_PASSWORD_1": "geheim",
            "PROV_WORKER_PLOTS": "none",
        }
    )
    assert settings.to_mapping() == {"plots": "none"}
    assert settings.stream_mapping() == {
        "stream": ["jsonl:/tmp/x", "sqlite:/tmp/y"],
        "stream_keep": 3600.0,
        "stream_limit": 2097152,
    }
    assert Settings.from_mapping({"stream_keep": 3600.0}).stream_mapping() == {}
