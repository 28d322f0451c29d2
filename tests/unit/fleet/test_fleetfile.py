"""Fleet files: what they may say, and one clear line where they say something else."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prov_worker import variables
from prov_worker.errors import InputError
from prov_worker.fleet import fleetfile

Write = Callable[[Any], Path]
ONE = {"name": "one", "site": "local"}

WRONG: dict[str, tuple[Any, str]] = {
    "no mapping": ("- one", "expected a mapping with endpoints"),
    "no YAML": ("endpoints: [", "invalid YAML"),
    "no endpoints": ({"host": "login01"}, "endpoints: must be set"),
    "none": ({"endpoints": []}, "endpoints: expected a list of at least 1"),
    "unknown key": (
        {"endpoints": [ONE], "hosts": "x"},
        "hosts: no such key; did you mean 'host'? Keys are host, unbound_host, user_dir, ",
    ),
    "a host, and none": ({"endpoints": [ONE], "host": "x", "unbound_host": True}, "host: contradicts unbound_host"),
    "an endpoint's host, and none": (
        {"endpoints": [{**ONE, "host": "x"}], "unbound_host": True},
        "endpoints[0].host: contradicts unbound_host",
    ),
    "truth": ({"endpoints": [ONE], "unbound_host": "yes"}, "unbound_host: input should be a valid boolean, got 'yes'"),
    "unknown key of the watch": (
        {"endpoints": [ONE], "watch": {"pause": 3}},
        "watch.pause: no such key; keys are interval, backoff, cap, window, metrics",
    ),
    "unknown key of an endpoint": (
        {"endpoints": [{**ONE, "sites": 1}]},
        "endpoints[0].sites: no such key; did you mean 'site'? Keys are name, site, host, options",
    ),
    "type": ({"endpoints": [ONE], "watch": {"cap": "five"}}, "watch.cap: input should be a valid integer, got 'five'"),
    "type of the watch": ({"endpoints": [ONE], "watch": 30}, "watch: expected a mapping"),
    "truth for a number": ({"endpoints": [ONE], "watch": {"cap": True}}, "watch.cap: input should be a valid integer"),
    "no number": ({"endpoints": [ONE], "watch": {"window": float("nan")}}, "watch.window: input should be a finite"),
    "type of endpoints": ({"endpoints": {"one": "local"}}, "endpoints: expected a list"),
    "a key that is meant for another": ({"endpoint": [ONE]}, "endpoint: no such key; did you mean 'endpoints'? Keys"),
    "an empty path": ({"endpoints": [ONE], "credentials": ""}, "credentials: "),
    "a host of no name": ({"endpoints": [ONE], "host": "a b"}, "host: string should match pattern"),
    "range": (
        {"endpoints": [ONE], "watch": {"interval": 0}},
        "watch.interval: input should be greater than or equal to 0.1, got 0",
    ),
    "back-off": ({"endpoints": [ONE], "watch": {"backoff": [9, 3]}}, "watch.backoff: expected [shortest, longest]"),
    "back-off of one": ({"endpoints": [ONE], "watch": {"backoff": [9]}}, "watch.backoff[1]: must be set"),
    "back-off of three": (
        {"endpoints": [ONE], "watch": {"backoff": [1, 2, 3]}},
        "watch.backoff: expected a list of at most 2",
    ),
    "name": ({"endpoints": [{"name": "../x", "site": "local"}]}, "endpoints[0].name: string should match pattern"),
    "a name that is a number": ({"endpoints": [{"name": 5, "site": "local"}]}, "endpoints[0].name: input should be"),
    "no name": ({"endpoints": [{"site": "local"}]}, "endpoints[0].name: must be set"),
    "twice": ({"endpoints": [ONE, ONE]}, "endpoints[1].name: one is there twice"),
    "site": ({"endpoints": [{"name": "one", "site": "moon"}]}, "endpoints[0].site: moon: no such site; known are"),
    "option": (
        {"endpoints": [{**ONE, "options": {"worker": 3}}]},
        "endpoints[0].options: worker: local has no such option",
    ),
    "value": (
        {"endpoints": [{**ONE, "options": {"workers": "many"}}]},
        'endpoints[0].options: workers: "many" is not allowed',
    ),
    "missing option": (
        {"endpoints": [{"name": "one", "site": "polaris"}]},
        "endpoints[0].options: account: must be set",
    ),
    "contradiction": (
        {"endpoints": [{**ONE, "options": {"min_blocks": 4}}]},
        "endpoints[0].options: init_blocks: 0 must lie between",
    ),
}


@pytest.mark.parametrize("content, message", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_by_file_and_key(write: Write, content: Any, message: str) -> None:
    file = write(content)
    with pytest.raises(InputError) as error:
        fleetfile.read()
    assert str(error.value).startswith(f"{file}: {message}")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: no such file"):
        fleetfile.read(tmp_path / "none.yaml")


def test_everything_said(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "there")
    write(
        {
            "host": "login01",
            "user_dir": "~/compute",
            "credentials": "secret",
            "watch": {"interval": 5, "backoff": [1, 2], "cap": 9, "window": 60, "metrics": "/x/$PLACE"},
            "endpoints": [ONE, {"name": "far", "site": "local", "host": "login02", "options": {"workers": 7}}],
        }
    )
    fleet = fleetfile.read()
    assert fleet.user_dir == Path.home() / "compute"
    assert fleet.credentials == tmp_path / "config" / "prov-worker" / "secret"
    assert fleet.watch.model_dump() == {
        "interval_s": 5.0, "backoff_s": (1.0, 2.0), "cap": 9, "window_s": 60.0, "metrics": Path("/x/there"),
    }  # fmt: skip
    assert [(endpoint.name, endpoint.host, endpoint.values["workers"]) for endpoint in fleet.endpoints] == [
        ("one", "login01", 2),
        ("far", "login02", 7),
    ]
    assert fleet.endpoints[1].directory == Path.home() / "compute" / "far"


def test_what_is_left_out(write: Write, tmp_path: Path) -> None:
    write({"endpoints": [ONE]})
    fleet = fleetfile.read()
    assert (fleet.user_dir, fleet.credentials, fleet.endpoints[0].host) == (tmp_path / "gc", None, None)
    assert fleet.watch.model_dump() == {
        "interval_s": 30.0, "backoff_s": (10.0, 600.0), "cap": 5, "window_s": 3600.0, "metrics": None,
    }  # fmt: skip


def rows(part: type[fleetfile.Part], prefix: str = "") -> Iterator[str]:
    """Rows of the table of keys, as the models have them."""
    for name, field in part.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner = fleetfile.PARTS.get((key,))
        if inner is not None:
            yield from rows(inner, f"{key}[]." if field.is_required() else f"{key}.")
            continue
        default = "required" if field.is_required() else None if field.default_factory else field.default
        if isinstance(default, tuple | float | dict):
            default = json.dumps(default).replace(".0", "")
        yield f"| `{key}` | {default} | {field.description} |" if default else f"| `{key}` | | {field.description} |"


def test_the_page_on_fleets_has_the_keys_of_the_models() -> None:
    text = (Path(__file__).parents[3] / "docs" / "fleet.md").read_text()
    table = text[text.index("| key | default | |") :].partition("\n\n")[0]
    assert table.splitlines()[2:] == list(rows(fleetfile.Fleet))


def test_the_example_of_the_page_on_fleets_is_read(write: Write) -> None:
    text = (Path(__file__).parents[3] / "docs" / "fleet.md").read_text()
    write(text.partition("```yaml\n")[2].partition("```")[0])
    assert fleetfile.read().names == ("polaris-prov", "crux-prov")


def test_the_file_is_found(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write({"endpoints": [ONE]})
    assert fleetfile.default_path() == file
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert fleetfile.default_path() == Path.home() / ".config" / "prov-worker" / "fleet.yaml"
    monkeypatch.setenv("PROV_WORKER_FLEET", str(tmp_path / "mine.yaml"))
    assert fleetfile.default_path() == tmp_path / "mine.yaml"


def test_the_old_name_of_the_variable_works_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(variables, "_warned", set())
    monkeypatch.delenv("PROV_WORKER_FLEET", raising=False)
    monkeypatch.setenv("PROV_FLEET", str(tmp_path / "mine.yaml"))
    assert fleetfile.default_path() == tmp_path / "mine.yaml"
    warning = "prov-worker: PROV_FLEET is now PROV_WORKER_FLEET; the old name works in this release only\n"
    assert capsys.readouterr() == ("", warning)


def test_names_that_are_chosen(write: Write) -> None:
    write({"endpoints": [ONE, {**ONE, "name": "two"}]})
    fleet = fleetfile.read()
    assert [endpoint.name for endpoint in fleet.chosen(["two", "one"])] == ["one", "two"]
    with pytest.raises(InputError, match="none is called three; there are one, two"):
        fleet.chosen(["three"])


@pytest.mark.parametrize(
    "mine, named, same",
    [
        ("login01", "login01", True),
        ("login01.site.org", "login01", True),
        ("login01", "LOGIN01.site.org", True),
        ("login01.site.org", "login01.other.org", False),
        ("login01", "login02", False),
        ("login01", "login011", False),
    ],
)
def test_whether_a_host_is_this_one(monkeypatch: pytest.MonkeyPatch, mine: str, named: str, same: bool) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: mine)
    assert fleetfile.is_here(named) is same
