"""``docs/environment.md`` lists the environment variables that there are."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from prov_worker.cli.service import COMMANDS
from prov_worker.settings import OTHER_VARIABLES, PREFIX, SWITCH, Settings

ROOT = Path(__file__).resolve().parents[2]
PRODUCT, _, TESTS = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8").partition("\n## Tests\n")
NAME = re.compile(r"\bPROV_[A-Z_]*[A-Z]\b")
#: Constants of the library `prov`, and what a message calls two variables together.
NO_VARIABLES = {"PROV_LABEL", "PROV_TYPE", "PROV_VALUE", "PROV_SERVICE_CLIENT", "PROV_WORKER_OPTIONS_REFUSED"}
SOURCES = ("src", "docker", "scripts", "docker-compose.yml")
SOURCES_OF_TESTS = ("tests", "ansible", ".config", ".ci", "Makefile")


def files(names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = ROOT / name
        yield from [path] if path.is_file() else (file for file in path.rglob("*") if file.is_file())


def names_in(sources: tuple[str, ...]) -> set[str]:
    return {
        name
        for file in files(sources)
        if file.suffix != ".pyc"
        for name in NAME.findall(file.read_text("utf-8", "ignore"))
    }


def computed() -> set[str]:
    """Names that the code puts together."""
    options = {
        parameter.envvar
        for module in COMMANDS
        for parameter in importlib.import_module(f"prov_worker.cli.service.{module}").command.params
        if parameter.envvar
    }
    return options | {PREFIX + field.name.upper() for field in fields(Settings)} | set(OTHER_VARIABLES) | {SWITCH}


def test_every_variable_is_on_the_page_and_no_other() -> None:
    read = (names_in(SOURCES) | computed()) - NO_VARIABLES
    assert {name for name in read if name.startswith("PROV_TEST_")} == set()
    assert set(NAME.findall(PRODUCT)) == read


def test_every_variable_of_the_tests_is_on_the_page_and_no_other() -> None:
    read = {name for name in names_in(SOURCES_OF_TESTS) if name.startswith("PROV_TEST_")}
    assert set(NAME.findall(TESTS)) == read


def test_users_variables_follow_the_rule() -> None:
    new = PRODUCT.partition("\n## Old names\n")[0]
    assert [name for name in NAME.findall(new) if not re.match(r"PROV_(WORKER|STACK_|SERVICE_)", name)] == []
