"""Readers of files that others may have written or damaged: they raise what they document, and nothing else."""

from __future__ import annotations

import random
from importlib.util import find_spec
from pathlib import Path

import pytest
import readers
from mutations import mutate

from support.commands import run_python

HERE = Path(__file__).parent
#: As many as take a second.
MUTATIONS = {"journal": 150, "records": 8, "slot": 0, "crate": 30, "zip": 0, "fleet": 15}
#: Of each reader; tests/fuzz/fuzz.py takes as many as one has.
SECONDS = 2.5


def _corpus(name: str) -> list[Path]:
    paths = sorted((HERE / "corpus" / readers.CORPORA.get(name, name)).iterdir())
    assert paths, f"no corpus for {name}"
    return paths


@pytest.mark.parametrize("name", readers.READERS)
def test_readers_keep_their_promise_for_the_corpus(name: str) -> None:
    for path in _corpus(name):
        readers.READERS[name](path.read_bytes())


@pytest.mark.parametrize("name", readers.READERS)
def test_readers_keep_their_promise_for_odd_values_and_flipped_bytes(name: str) -> None:
    """The same inputs each time: whoever has atheris tries others."""
    source = random.Random(20)
    seeds = [path.read_bytes() for path in _corpus(name)]
    for _ in range(MUTATIONS[name]):
        odd = mutate(source.choice(seeds), source)
        if odd is not None:
            readers.READERS[name](odd)
    for _ in range(20):
        damaged = bytearray(source.choice(seeds))
        for _ in range(source.randint(1, 8)):
            damaged[source.randrange(len(damaged))] = source.randrange(256)
        readers.READERS[name](bytes(damaged))


@pytest.mark.fuzz
@pytest.mark.slow
def test_coverage_guided_fuzzing_finds_nothing(tmp_path: Path) -> None:
    if find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    places = ("--output", tmp_path / "faults", "--work", tmp_path / "work")
    run = run_python(HERE / "fuzz.py", "--seconds", str(SECONDS), *places)
    faults = "\n".join(path.read_text() for path in tmp_path.glob("faults/*/*.txt"))
    assert run.returncode == 0, f"{run.stdout}{run.stderr}{faults}"
    assert run.stdout.count("faults: none") == len(readers.READERS)
