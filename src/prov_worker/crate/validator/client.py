"""Runs the community's RO-Crate validator (roc-validator) on crates, without network.

The validator cannot share an environment with Globus Compute (both pin ``rich``, to different versions), so it runs in
an interpreter of its own, which is looked for in this order: this one, ``$PROV_WORKER_VALIDATOR``, the private
environment that :func:`install_validator` makes, and the interpreter behind a ``rocrate-validator`` command on the
path. The script that it runs, and the two JSON-LD contexts that the profiles need, ship with the package. Its process
loads each profile once, and lives until all crates have their verdict.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from prov_worker.crate.violations import ERROR, WARNING, Violation
from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.humanize import plural

VARIABLE = "PROV_WORKER_VALIDATOR"
REQUIREMENT = "roc-validator==0.13.*"
LEVELS = ("required", "recommended", "optional")
STEP_PROFILE = "process-run-crate"

#: Crates for which another process is worth its start.
_CRATES_PER_JOB = 4
#: Seconds in which the validator ends once it has nothing more to do.
_END_S = 10.0
_SCRIPT = Path(__file__).with_name("script.py")

Progress = Callable[[Path, list[Violation]], None]


class ValidatorMissingError(ProvWorkerError):
    """There is no interpreter that has roc-validator."""


def private_validator() -> Path:
    """Return directory of the private environment of the validator, whether it exists or not."""
    cache = os.environ.get("XDG_CACHE_HOME") or ""
    base = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    return base / "prov-worker" / "validator"


def find_validator() -> Path | None:
    """Return the interpreter that runs the validator; None if there is none.

    Raises:
        InputError: ``$PROV_WORKER_VALIDATOR`` names no program.
    """
    if find_spec("rocrate_validator") is not None and sys.executable:
        return Path(sys.executable)
    named = os.environ.get(VARIABLE)
    if named:
        if not os.access(named, os.X_OK) or os.path.isdir(named):
            raise InputError(f"{VARIABLE}: {named} is not a program; it must be the path of a Python interpreter")
        return Path(named)
    private = private_validator() / "bin" / "python"
    if os.access(private, os.X_OK):
        return private
    command = shutil.which("rocrate-validator")
    return _interpreter_of(Path(command)) if command else None


def _interpreter_of(script: Path) -> Path | None:
    """Return the interpreter in the first line of an installed script."""
    try:
        with script.open("rb") as stream:
            first = stream.readline(4096).decode("utf-8", "replace").strip()
            second = stream.readline(4096).decode("utf-8", "replace")
    except OSError:
        return None
    if not first.startswith("#!"):
        return None
    command = first[2:].split()
    if command and command[0] == "/bin/sh":
        # pip writes the interpreter into a second line if the path is long or has spaces: '''exec' "…" "$0" "$@"
        parts = second.split('"') if '"' in second else second.split()
        command = [part for part in parts if part.startswith("/")][:1]
    elif command and command[0].endswith("/env"):
        command = [program for name in command[1:2] if (program := shutil.which(name))]
    return Path(command[0]) if command and os.access(command[0], os.X_OK) else None


def install_validator() -> Path:
    """Make the private environment of the validator with ``venv`` and ``pip``; keep the one that is there.

    Returns:
        Its interpreter.

    Raises:
        ProvWorkerError: it could not be made; the message holds the last line of what ``venv`` or ``pip`` said.
    """
    target = private_validator()
    python = target / "bin" / "python"
    if os.access(python, os.X_OK) and _has_validator(python):
        return python
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = Path(tempfile.mkdtemp(prefix=".validator-", dir=target.parent))
    try:
        _run([sys.executable, "-m", "venv", str(temporary)], "the environment of the validator could not be made")
        # Through the interpreter: scripts hold the path that the environment has now, and it moves.
        _run(
            [
                str(temporary / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                REQUIREMENT,
            ],
            f"{REQUIREMENT} could not be installed",
        )
        if target.exists():
            target.rename(Path(tempfile.mkdtemp(prefix=".validator-old-", dir=target.parent)) / "validator")
        try:
            temporary.rename(target)
        except OSError:
            # Another process installed it meanwhile.
            if not os.access(python, os.X_OK):
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for old in target.parent.glob(".validator-old-*"):
            shutil.rmtree(old, ignore_errors=True)
    return python


def _has_validator(python: Path) -> bool:
    command = [str(python), "-I", "-c", "import rocrate_validator"]
    try:
        return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=120).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(command: list[str], problem: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise ProvWorkerError(f"{problem}: {lines[-1].strip() if lines else f'exit status {done.returncode}'}")


def validate_profiles(
    paths: Sequence[Path | str],
    level: str = "recommended",
    progress: Progress | None = None,
    *,
    profile: str = STEP_PROFILE,
    skip_checks: Sequence[str] = (),
    jobs: int | None = None,
) -> dict[Path, list[Violation]]:
    """Validate crates against a profile of the community, and those that it builds on.

    :meth:`ProfileValidator.validate` of a validator that ends with this call.
    """
    with ProfileValidator() as validator:
        return validator.validate(paths, level, progress, profile=profile, skip_checks=skip_checks, jobs=jobs)


class ProfileValidator:
    """The community's validator, as a process that is started for the first crate and lives until the block ends."""

    def __init__(self) -> None:
        self._python = Path()
        self._process: subprocess.Popen[str] | None = None
        self._errors: deque[str] = deque(maxlen=1)
        self._drain = threading.Thread()

    def __enter__(self) -> ProfileValidator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(at_once=kind is not None)

    def validate(
        self,
        paths: Sequence[Path | str],
        level: str = "recommended",
        progress: Progress | None = None,
        *,
        profile: str = STEP_PROFILE,
        skip_checks: Sequence[str] = (),
        jobs: int | None = None,
    ) -> dict[Path, list[Violation]]:
        """Validate crates against a profile of the community, and those that it builds on.

        Args:
            paths: crates.
            level: ``required``, ``recommended`` or ``optional``; a missed requirement is an error, all else a warning.
            progress: called with path and findings as each crate is done.
            profile: identifier of the validator, such as ``process-run-crate`` or ``provenance-run-crate``.
            skip_checks: ids of checks to leave out.
            jobs: processes to use; None takes one for each four crates, as many as there are CPUs at most.

        Returns:
            Findings by path, in the order of ``paths``.

        Raises:
            InputError: unknown level.
            ValidatorMissingError: no interpreter has the validator.
            ProvWorkerError: the validator ended without a verdict on every crate.
        """
        if level not in LEVELS:
            raise InputError(f"level: expected one of {', '.join(LEVELS)}; got {level!r}")
        places: dict[str, list[Path]] = {}
        for path in dict.fromkeys(Path(path) for path in paths):
            places.setdefault(str(path.absolute()), []).append(path)
        if not places:
            return {}
        if jobs is None:
            jobs = max(1, min(len(os.sched_getaffinity(0)), len(places) // _CRATES_PER_JOB))
        request = {
            "paths": list(places),
            "level": level,
            "profile": profile,
            "skip_checks": list(skip_checks),
            "jobs": jobs,
        }
        verdicts: dict[Path, list[Violation]] = {}
        total = len(places)
        for answer in self._answers(request):
            # A second answer on a path is none.
            for path in places.pop(answer["path"], []):
                verdicts[path] = _findings(path, answer)
                if progress is not None:
                    progress(path, verdicts[path])
            if not places:
                break
        else:
            trouble = self._end(at_once=False)
            done = total - len(places)
            raise ProvWorkerError(
                f"the validator ({self._python}) gave {done} of {plural(total, 'verdict')}: {trouble}"
            )
        return {path: verdicts[path] for path in dict.fromkeys(Path(path) for path in paths)}

    def _answers(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Send a request; yields what is answered, until the process ends."""
        process = self._process or self._start()
        if process.stdin is None or process.stdout is None:  # both are pipes
            return
        with contextlib.suppress(BrokenPipeError):
            # A broken pipe: it ended before it read, and its standard error says why.
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            answer = _answer(line)
            if answer is not None:
                yield answer

    def _start(self) -> subprocess.Popen[str]:
        python = find_validator()
        if python is None:
            raise ValidatorMissingError(
                f"roc-validator was not found; install it with `prov-worker check --install-validator`, "
                f"or set {VARIABLE} to an interpreter that has it"
            )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        process = subprocess.Popen(
            [str(python), "-I", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
        )
        self._python, self._process = python, process
        # Both pipes are read at once: a full one would stop the script.
        self._errors.clear()
        self._drain = threading.Thread(target=_keep_last, args=(process.stderr, self._errors), daemon=True)
        self._drain.start()
        return process

    def _end(self, *, at_once: bool) -> str:
        """End the process. Returns the last line of its standard error, or its exit status."""
        process, self._process = self._process, None
        if process is None:
            return "it did not start"
        if at_once:
            process.kill()
        with contextlib.suppress(BrokenPipeError):
            # It ends with its standard input.
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # A process that the script left behind may hold the pipe.
        self._drain.join(_END_S)
        for stream in (process.stdout, process.stderr):
            if stream is not None and not self._drain.is_alive():
                stream.close()
        return self._errors[-1] if self._errors else f"exit status {process.returncode}"


def _keep_last(stream: Iterable[str], lines: deque[str]) -> None:
    """Read a stream to its end; keep its last lines that are not empty."""
    with contextlib.suppress(ValueError):  # closed meanwhile
        lines.extend(line for text in stream if (line := text.strip()))


def _answer(line: str) -> dict[str, Any] | None:
    """Return the script's answer on one crate; None for a line that something else has printed."""
    try:
        answer = json.loads(line)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and "path" in answer and "issues" in answer else None


def _findings(path: Path, answer: dict[str, Any]) -> list[Violation]:
    findings = [
        Violation(
            ERROR if issue["severity"] == "REQUIRED" else WARNING, issue["rule"], issue["where"], issue["message"]
        )
        for issue in answer["issues"]
    ]
    if answer.get("error"):
        findings.append(Violation(ERROR, "validator", str(path), answer["error"]))
    return findings
