"""Fuzz readers with atheris: ``python tests/fuzz/fuzz.py [READER…] --seconds 60``.

What breaks it is written to ``--output``, one file per kind of fault, beside its traceback; the run goes on. Exit
status 1 if there was any. New inputs that reach new code are kept in ``--work``, not in the corpus, and
so is an input that takes more than 30 seconds or 2 GiB, which ends the run.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import atheris  # noqa: E402

with atheris.instrument_imports(include=["prov_worker"]):
    import readers

from mutations import mutate  # noqa: E402


class Faults:
    """Inputs that broke a reader, the first of each kind: where it was raised, and what."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.kinds: dict[str, int] = {}

    def add(self, data: bytes, error: BaseException) -> None:
        """Keep an input, unless one broke the reader at the same place."""
        frames = traceback.extract_tb(error.__traceback__)
        ours = next((frame for frame in reversed(frames) if "prov_worker" in frame.filename), frames[-1])
        kind = f"{type(error).__name__} {Path(ours.filename).name}:{ours.lineno}"
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if self.kinds[kind] == 1:
            name = hashlib.sha256(kind.encode()).hexdigest()[:12]
            self.output.mkdir(parents=True, exist_ok=True)
            (self.output / name).write_bytes(data)
            text = "".join(traceback.format_exception(error))
            (self.output / f"{name}.txt").write_text(f"{kind}\n{text}", errors="backslashreplace")


def fuzz(reader: str, options: argparse.Namespace) -> None:
    """Fuzz one reader until its time is over; the process ends with it."""
    read = readers.READERS[reader]
    faults, count, slowest = Faults(options.output / reader), 0, 0.0
    work = (options.work or Path(tempfile.mkdtemp(prefix="prov-worker-fuzz-"))) / reader
    work.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + options.seconds

    def test(data: bytes) -> None:
        nonlocal count, slowest
        began = time.monotonic()
        try:
            read(data)
        except Exception as error:
            faults.add(data, error)
        count += 1
        slowest = max(slowest, time.monotonic() - began)
        if time.monotonic() > until:
            kinds = ", ".join(f"{kind} ({number} times)" for kind, number in sorted(faults.kinds.items())) or "none"
            print(f"{reader}: {count} inputs, slowest {slowest:.2f} s, faults: {kinds}", flush=True)
            # An exception, SystemExit too, is a crash to libFuzzer.
            os._exit(1 if faults.kinds else 0)

    def odd(data: bytes, max_size: int, seed: int) -> bytes:
        source = random.Random(seed)
        mutated = mutate(data, source) if source.random() < 0.8 else None
        if mutated is None or len(mutated) > max_size:
            return bytes(atheris.Mutate(data, max_size))
        return mutated

    flags = [f"-seed={options.seed}", "-timeout=30", "-rss_limit_mb=2048", "-max_len=65536", "-verbosity=0"]
    flags.append(f"-artifact_prefix={work}/")
    corpus = HERE / "corpus" / readers.CORPORA.get(reader, reader)
    atheris.Setup([sys.argv[0], *flags, str(work), str(corpus)], test, custom_mutator=odd)
    atheris.Fuzz()


def main() -> int:
    """Fuzz one reader after the other, each in a process of its own: libFuzzer ends the one that it is in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", default=[*readers.READERS], metavar="READER")
    parser.add_argument("--seconds", type=float, default=60, help="for each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("fuzz-faults"))
    parser.add_argument("--work", type=Path, default=None)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    status = 0
    for reader in options.readers:
        child = os.fork()
        if child == 0:
            fuzz(reader, options)
            os._exit(2)
        status = max(status, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) and 1)
    return status


if __name__ == "__main__":
    sys.exit(main())
