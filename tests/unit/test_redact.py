"""Secrets in every spelling, and text that is made to make patterns slow."""

from __future__ import annotations

import pytest

from prov_worker.redact import MARK, is_secret_name, redact, redact_beginning, redact_part, secret_values
from support.commands import run_python

SECRET = "hunter2-planted"
SPELLINGS = [
    f"password={SECRET}",
    f"PASSWORD={SECRET} command",
    f"password = '{SECRET}'",
    f'password = f"{SECRET}"',
    f"password = r'{SECRET}'",
    f'password = """{SECRET}"""',
    f'password = ("{SECRET}")',
    f"secret=['{SECRET}']",
    f"password='{SECRET} that never ends",
    f"password = 'it\\'s {SECRET}'",
    f"password = 'a\"b{SECRET}'",
    f'token: str = "{SECRET}"',
    f"password => '{SECRET}'",
    f"MY_TOKEN: {SECRET}",
    f"{{'token': '{SECRET}'}}",
    f'{{"a": 1, "passphrase": b"{SECRET}"}}',
    f'{{\\"password\\": \\"{SECRET}\\"}}',
    f"('token', '{SECRET}')",
    f'os.environ["X_SECRET"] = "{SECRET}"',
    f'os.environ["X_SECRET"] = os.environ.get("Y", "{SECRET}")',
    f'set_password("{SECRET}")',
    f"--api-key {SECRET}",
    f"client_secret={SECRET}&grant_type=client_credentials",
    f"postgres://me:{SECRET}@db/x",
    f"redis://:{SECRET}@db",
    f"Authorization: Bearer {SECRET}0123456789",
    f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_no_spelling_of_a_named_secret_survives(text: str) -> None:
    result = redact(f"before\n{text}", ())
    assert SECRET not in result
    assert MARK in result
    assert result.startswith("before\n")


@pytest.mark.parametrize(
    "spelling", ["pa\u017f\u017fword", "to\u212aen", "credent\u0131al", "credent\u0130al", "SECRET"]
)
def test_letters_that_a_pattern_takes_for_others_hide_nothing(spelling: str) -> None:
    """As re.IGNORECASE does: https://docs.python.org/3/library/re.html#re.IGNORECASE."""
    assert redact(f"{spelling}={SECRET}", ()) == f"{spelling}={MARK}"


@pytest.mark.parametrize(
    "token",
    [
        "Ag" + "aB3" * 16,
        "ghp_" + "a1" * 18,
        "AKIA" + "A1" * 8,
        "xoxb-" + "12345678-abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    ],
    ids=lambda token: token[:4],
)
@pytest.mark.parametrize("around", ["{}", "x={}.", "('{}',)", "url/{}?", "_{}_"])
def test_tokens_are_known_by_their_shape(token: str, around: str) -> None:
    assert token not in redact(around.format(token), ())


def test_values_of_secret_variables_are_removed_wherever_they_stand() -> None:
    secrets = secret_values({"GLOBUS_COMPUTE_CLIENT_SECRET": "s3cr3t-of-client", "HOME": "/home/me", "A_TOKEN": "abc"})
    assert secrets == ("s3cr3t-of-client",)  # too short a value would take ordinary words with it
    assert redact("it is s3cr3t-of-client in /home/me", secrets) == f"it is {MARK} in /home/me"


def test_longer_secrets_go_first() -> None:
    secrets = secret_values({"A_SECRET": "abcdef", "B_SECRET": "abcdefghij"})
    assert redact("abcdefghij", secrets) == MARK


@pytest.mark.parametrize(
    "text", ["", "nothing here", "a key figure", "the secretary said: hello", "Agree to all terms"]
)
def test_ordinary_text_stays_readable(text: str) -> None:
    result = redact(text, ())
    assert result == text or result.startswith("the secretary said")


@pytest.mark.parametrize(
    "name, secret",
    [
        ("password", True),
        ("GLOBUS_COMPUTE_CLIENT_SECRET", True),
        ("apiKey", True),
        ("sort_key", False),
        ("path", False),
    ],
)
def test_names(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


@pytest.mark.parametrize("tail", [False, True])
def test_a_part_never_holds_half_a_secret(tail: bool) -> None:
    secret = "Ag" + "x" * 60
    for shift in range(0, 140, 7):
        text = "a " * 5000 + "b" * shift + " " + f"password={secret} " * 400 + "c " * 5000
        result = redact_part(text, 1000, (), tail=tail)
        assert "xxx" not in result
        assert len(result) <= 1000


def test_a_part_of_a_short_text_is_its_beginning_or_its_end() -> None:
    assert redact_part("abcdef", 3, ()) == "abc"
    assert redact_part("abcdef", 3, (), tail=True) == "def"


def test_text_of_any_shape_takes_a_time_that_grows_with_its_length() -> None:
    """Quadratic patterns would take hours for these; the limit only tells minutes from hours."""
    units = [
        "a",
        "-",
        "token=",
        "token='",
        'token="',
        "token=\\",
        "token: a",
        "token=(",
        "eyJ-",
        "Ag",
        "://a:",
        "--",
        " ",
    ]
    code = (
        "from prov_worker.redact import redact\n"
        f"for unit in {units!r}:\n    redact('token ' + unit * (100_000 // len(unit)), ())\nprint('all')"
    )
    done = run_python("-c", code, timeout=180, check=True)
    assert done.stdout == "all\n"


def test_a_beginning_says_how_much_is_missing() -> None:
    assert redact_beginning("x" * 50, 50) == "x" * 50
    assert redact_beginning("x" * 51, 50) == "x" * 50 + " … (1 more character)"
    assert redact_beginning("x" * 50_000, 50) == "x" * 50 + " … (49950 more characters)"
    assert redact_beginning("password=" + "y" * 100, 50) == f"password={MARK}"
