"""Environment variables with a new name: the old one works, with a warning."""

from __future__ import annotations

import pytest

from prov_worker import variables

WARNING = "prov-worker: PROV_OLD is now PROV_NEW; the old name works in this release only\n"


@pytest.fixture(autouse=True)
def _as_in_a_fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variables, "_warned", set())


@pytest.mark.parametrize(
    "environ, value, warning",
    [
        ({}, "", ""),
        ({"PROV_NEW": "a"}, "a", ""),
        ({"PROV_OLD": "b"}, "b", WARNING),
        ({"PROV_NEW": "", "PROV_OLD": "b"}, "b", WARNING),
        ({"PROV_NEW": "a", "PROV_OLD": "b"}, "a", ""),
        ({"PROV_OLD": ""}, "", ""),
    ],
)
def test_the_old_name_works_with_a_warning(
    environ: dict[str, str], value: str, warning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dict(environ)
    assert variables.read_renamed("PROV_NEW", "PROV_OLD", environ) == value
    assert variables.read_renamed("PROV_NEW", "PROV_OLD", environ) == value
    assert capsys.readouterr() == ("", warning)
    assert environ == before


def test_new_names_are_set_from_old_ones(capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"PROV_OLD": "b", "PROV_OTHER_OLD": "c", "PROV_OTHER": "d"}
    variables.take_renamed(
        {"PROV_OLD": "PROV_NEW", "PROV_OTHER_OLD": "PROV_OTHER", "PROV_NEITHER_OLD": "PROV_NEITHER"}, environ
    )
    assert environ == {"PROV_OLD": "b", "PROV_NEW": "b", "PROV_OTHER_OLD": "c", "PROV_OTHER": "d"}
    assert capsys.readouterr() == ("", WARNING)
