"""Validates crates with roc-validator, offline. Run by an interpreter that has roc-validator, not by the product's own.

Reads requests from standard input, one JSON line each: ``paths`` (absolute), ``profile``, ``level``, ``skip_checks``,
``jobs``. Writes one JSON line per crate, as each is done: ``{"path", "issues": [{"severity", "rule", "where",
"message"}], "error"}``; ``error`` is text if the validator itself failed on the crate. Ends with its standard input.

The JSON-LD contexts that crates name are on the web, and the validator calls a crate invalid when it cannot get them.
Its cache of web pages is therefore filled first, from the documents that lie beside this script.

Profiles are loaded once per request, and shared by its processes. What the validator's libraries work out again for
each crate, though it is the same each time, is kept (``repeats.py``).
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import io
import json
import multiprocessing
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

CONTEXTS = {
    "https://w3id.org/ro/crate/1.1/context": "ro-crate-1.1.jsonld",
    "https://w3id.org/ro/terms/workflow-run/context": "workflow-run.jsonld",
}
ACCEPT = "application/ld+json, application/json, */*;q=0.1"
PR_SET_PDEATHSIG = 1

Answer = dict[str, Any]


def fill_cache(path: str) -> None:
    """Make a cache of web pages that holds the contexts under their real addresses.

    Args:
        path: of the cache, without the suffix ``.sqlite``.
    """
    # By name, as neither is there where the product itself is checked and built.
    adapters: Any = importlib.import_module("requests.adapters")
    requests_cache: Any = importlib.import_module("requests_cache")
    urllib3: Any = importlib.import_module("urllib3")

    class Shipped(adapters.HTTPAdapter):  # type: ignore[misc]
        """Answers from the documents beside this script, and never from the network."""

        def send(self, request: Any, **_: Any) -> Any:
            """Answer one request."""
            body = (Path(__file__).parent / "contexts" / CONTEXTS[request.url]).read_bytes()
            answer = urllib3.HTTPResponse(
                body=io.BytesIO(body),
                headers={"Content-Type": "application/ld+json", "Content-Length": str(len(body))},
                status=200,
                reason="OK",
                preload_content=False,
                request_url=request.url,
            )
            return self.build_response(request, answer)

    session = requests_cache.CachedSession(cache_name=path, backend="sqlite", expire_after=-1)
    session.mount("https://w3id.org/", Shipped())
    for address in CONTEXTS:
        session.get(address, headers={"Accept": ACCEPT}).raise_for_status()
    session.close()


def keep_what_repeats() -> None:
    """Have the libraries below the validator keep what they work out again for each crate."""
    # Not by its name: an isolated interpreter (-I) does not look for modules beside its script.
    spec = importlib.util.spec_from_file_location("repeats", Path(__file__).with_name("repeats.py"))
    if spec is None or spec.loader is None:
        raise ImportError("repeats.py")
    repeats = importlib.util.module_from_spec(spec)
    sys.modules["repeats"] = repeats
    spec.loader.exec_module(repeats)
    repeats.keep_queries()
    repeats.keep_terms()
    repeats.keep_contexts(CONTEXTS)
    repeats.keep_pages(CONTEXTS)
    repeats.keep_closure()
    repeats.keep_profiles()
    repeats.keep_shapes()


def link_to(path: str, directory: Path) -> str:
    """Return one path for all crates, in a directory of this process: a link to the one that is validated.

    The validator takes paths for URIs, with ``%`` and spaces, and writes the crate's into the shapes of profiles.
    """
    link = directory / f"crate{'.zip' if path.endswith('.zip') else ''}"
    with contextlib.suppress(OSError):  # one that cannot be made leads nowhere, which is the verdict then
        link.unlink(missing_ok=True)
        link.symlink_to(path)
    return str(link)


def line(text: Any) -> str:
    """Return text as one line."""
    return " ".join(str(text).split())


def where_of(issue: Any) -> str:
    """Return the entity and the property that an issue is about."""
    entity = getattr(issue, "violatingEntity", None) or "crate"
    prop = str(getattr(issue, "violatingProperty", None) or "")
    # A path of properties is a node without a name in the profile: rdflib gives it another one in each process.
    return f"{entity}.{prop}" if prop and not re.fullmatch(r"n[0-9a-f]{32}b\d+", prop) else str(entity)


class Checker:
    """Validates crates as one request asks for it, with profiles that are loaded once.

    Args:
        request: see the head of this file.
        cache: the cache of web pages, without its suffix.
    """

    def __init__(self, request: dict[str, Any], cache: str) -> None:
        self._services: Any = importlib.import_module("rocrate_validator.services")
        self._models: Any = importlib.import_module("rocrate_validator.models")
        self._request = request
        self._cache = Path(cache)
        self._links = Path(tempfile.mkdtemp(prefix="link-", dir=self._cache.parent))
        self._validator = self._models.Validator(self._settings("."))
        # Loads the profiles; the metadata are those of no crate.
        self._validator.prepare(metadata_dict={"@context": next(iter(CONTEXTS)), "@graph": []})

    def _settings(self, plain: str) -> Any:
        # Also opens the cache of web pages, again.
        return self._services.ValidationSettings(
            rocrate_uri=plain,
            profile_identifier=self._request["profile"],
            requirement_severity=self._models.Severity[self._request["level"].upper()],
            skip_checks=self._request["skip_checks"] or None,
            offline=True,
            cache_path=self._cache,
        )

    def reopen(self) -> None:
        """Open the cache of web pages again, in a process that was forked, and have links of its own."""
        self._settings(".")
        self._links = Path(tempfile.mkdtemp(prefix="link-", dir=self._cache.parent))

    def validate(self, path: str) -> Answer:
        """Validate one crate. Returns the object that is written for it."""
        answer: Answer = {"path": path, "issues": [], "error": None}
        plain = link_to(path, self._links)
        try:
            if os.path.isdir(plain):
                result = self._validator.validate(plain)
            else:
                result = self._services.validate(self._settings(plain))
            for issue in result.get_issues():
                answer["issues"].append(
                    {
                        "severity": issue.severity.name,
                        "rule": issue.check.identifier,
                        "where": where_of(issue).replace(plain, path),
                        "message": line(issue.message).replace(plain, path),
                    }
                )
        except Exception as error:  # whatever a damaged crate provokes is the verdict on that crate, not on the others
            answer["error"] = f"{type(error).__name__}: {line(error).replace(plain, path)}"
        return answer


_checker: Checker | None = None


def start_process(checker: Checker) -> None:
    """Prepare a process of the pool, which ends with its parent."""
    global _checker
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    checker.reopen()
    _checker = checker


def validate_here(path: str) -> Answer:
    """Validate one crate in a process of the pool."""
    if _checker is None:
        raise RuntimeError("the process was not prepared")
    return _checker.validate(path)


def process_pool(checker: Checker, jobs: int) -> ProcessPoolExecutor:
    """Return processes that share what the checker has loaded."""
    context = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=start_process, initargs=(checker,))


def validate_each(checker: Checker, paths: list[str], jobs: int) -> Iterator[Answer]:
    """Validate crates in so many processes; yields the answers, as each is there, one per crate."""
    left = dict.fromkeys(paths)
    try:
        with process_pool(checker, jobs) as pool:
            for future in as_completed([pool.submit(validate_here, path) for path in paths]):
                answer = future.result()
                del left[answer["path"]]
                yield answer
        return
    except BrokenProcessPool:
        # A process was killed, and nobody says on which crate: the rest is done one by one.
        pass
    for path in left:
        try:
            with process_pool(checker, 1) as pool:
                yield pool.submit(validate_here, path).result()
        except BrokenProcessPool:
            yield {"path": path, "issues": [], "error": "the validator's process was killed"}


def main() -> None:
    """Read the requests, write the answers."""
    # Libraries and profiles print at times: standard output is for answers, and nobody else has it.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    keep_what_repeats()
    with tempfile.TemporaryDirectory(prefix="prov-worker-validator-") as directory:
        cache = str(Path(directory) / "contexts")
        fill_cache(cache)
        for text in sys.stdin:
            request = json.loads(text)
            checker = Checker(request, cache)
            for answer in validate_each(checker, request["paths"], min(int(request["jobs"]), len(request["paths"]))):
                answers.write(json.dumps(answer) + "\n")
                answers.flush()


if __name__ == "__main__":
    main()
