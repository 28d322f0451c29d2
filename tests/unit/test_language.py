"""Plain English in what users and maintainers read: words and turns that have a plainer one are refused."""

from __future__ import annotations

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
    ],
)
def test_each_turn_is_seen(line: str) -> None:
    assert any(re.search(pattern, line, re.IGNORECASE) for pattern in TURNS)


@pytest.mark.parametrize("line", ["<aside>", "one process per node", "one at a time", "~/home/me", "recommended"])
def test_plain_text_is_let_pass(line: str) -> None:
    assert not [pattern for pattern in TURNS if re.search(pattern, line, re.IGNORECASE)]
