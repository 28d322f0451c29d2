"""Plain English in what users and maintainers read: words and turns that have a plainer one are refused."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: A pattern, and what to write instead.
TURNS = {
    r"\bmend(s|ed|ing)?\b": "fix, repair",
    r"\banew\b": "again",
    r"(?<![<\w/])aside\b": "away; a temporary file",
    r"\btold\b": "reported, logged, returned; asked to",
    r"\b(come|comes|came|coming|bring|brings|brought|are|is) home\b": "collect, collected",
    r"\bhouses?\b": "architecture, package",
    r"\brooms?\b": "space; package",
    r"\bcellars?\b": "layer",
    r"\bno (plain|regular) file\b": "not a regular file",
    r"\b(one|a) (row|line|link|key|entity|sample|module|process) an? (?!time\b)\w+\b": "one X per Y",
    r"\b(none|null|empty|false|true|else|also|even|fails?|exit code \d|default:) where \w": "if",
    r"\bwhere (there (is|are) no\b|nothing|none|neither|unknown|possible|needed|necessary|missing|one has)": "if",
    r"\bwhere (it|that|this) (has|does)\b": "if",
    r"\b\d+ (workers|tasks|samples|seconds|keys|files) an? (node|task|second|worker)\b": "N Xs per Y",
}
PLACES = ("src", "docker", "ansible", "endpoint_configs", "examples", "benchmarks", "scripts", "docs", ".ci")
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile", "Dockerfile", "docker-compose.yml", "mkdocs.yml")
ENDINGS = {".py", ".md", ".yml", ".yaml", ".sh", ".j2", ".html", ".js", ".toml", ""}


def texts() -> list[Path]:
    """Return the files that are looked at."""
    command = ["git", "ls-files", "-z", *PLACES, *PAGES]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return [ROOT / name for name in names if name and Path(name).suffix in ENDINGS]


@pytest.mark.parametrize("pattern", TURNS)
def test_plain_words_are_used(pattern: str) -> None:
    turn = re.compile(pattern, re.IGNORECASE)
    places = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if turn.search(line)
    ]
    assert not places, f"write instead: {TURNS[pattern]}\n" + "\n".join(places)


@pytest.mark.parametrize(
    "line",
    [
        "repaired what was mended",
        "Written anew.",
        "set aside",
        "who was told",
        "crates come home",
        "no plain file",
        "one row a task",
        "12 workers a node",
        "the room of agents",
        "None where it is gone",
        "empty where nothing was sampled",
        "where it has none",
    ],
)
def test_each_turn_is_seen(line: str) -> None:
    assert any(re.search(pattern, line, re.IGNORECASE) for pattern in TURNS)


@pytest.mark.parametrize(
    "line", ["<aside>", "one process per node", "one at a time", "~/home/me", "recommended", "goes on where it was"]
)
def test_plain_text_is_let_pass(line: str) -> None:
    assert not [pattern for pattern in TURNS if re.search(pattern, line, re.IGNORECASE)]


#: What the docstring of a function begins with: what it does, as a request.
REQUESTS = """
Accept Acknowledge Act Add Advise Answer Append Apply Arrive Ask Become Begin Bring Build Call Cancel Change Charge
Check Choose Claim Close Collect Compare Complete Connect Consume Convert Copy Count Create Cut Deflate Delete Deploy
Deposit Describe Diagnose Disconnect Divide Do Drain Draw Drop Empty End Ensure Escape Export Fail Fetch Fill Filter
Find Finish Fold Follow Forget Format Free Get Give Go Group Hand Hash Have Hide Hold Import Inspect Install Issue
Join Judge Keep Kill Learn Leave Let Lift Limit Link List Listen Load Lock Log Look Lower Make Map Mark Merge Move
Multiply Name Note Number Offer Open Pack Parse Pass Pause Plot Post Prepare Print Produce Publish Put Raise Read
Record Redact Refuse Register Release Remember Remove Rename Render Renew Repair Replace Report Rerun Reset Resolve
Restart Resume Retry Return Run Sample Save Say Schedule Seal See Send Serve Set Settle Show Shut Sign Skip Sleep Sort
Split Stand Start State Stop Store Stream Submit Sum Switch Take Tell Transfer Try Turn Unmap Unpack Update Use
Validate Verify Wait Wake Walk Warn Watch Work Wrap Write Yield
"""
#: "Name of the host" is a noun, "Name the host" a request.
NOUN = re.compile(r"[A-Z][a-z]+(,| of| and| or)\b")
BOTH = "Issue Link List Map Mark Name Note Number Record Report Sample Seal State Store Sum"


def _is_request(docstring: str) -> bool:
    """Return whether a docstring begins as a request does."""
    first = re.split(r"\W", docstring, maxsplit=1)[0]
    return first in REQUESTS.split() and not (first in BOTH.split() and NOUN.match(docstring))


def test_docstrings_say_what_a_function_does() -> None:
    nouns = []
    for path in texts():
        if path.suffix != ".py" or "src" not in path.relative_to(ROOT).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (docstring := ast.get_docstring(node)):
                # What a property is, is a noun.
                is_property = any(
                    ast.unparse(decorator).endswith(("property", ".setter")) for decorator in node.decorator_list
                )
                if not is_property and not _is_request(docstring):
                    nouns.append(f"{path.relative_to(ROOT)}:{node.lineno}: {docstring.splitlines()[0]}")
    assert not nouns, "begin with what it does, such as Return:\n" + "\n".join(nouns)


@pytest.mark.parametrize("docstring", ["The path.", "Whether it runs.", "Name of the host.", "As :meth:`read`."])
def test_a_noun_is_no_request(docstring: str) -> None:
    assert not _is_request(docstring)


@pytest.mark.parametrize("docstring", ["Return the path.", "Name the spools that are left.", "Refuse: it is none."])
def test_a_request_is_one(docstring: str) -> None:
    assert _is_request(docstring)
