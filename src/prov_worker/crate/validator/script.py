"""Validates crates with roc-validator, offline. Run by an interpreter that has roc-validator, not by the product's own.

Reads one JSON object from standard input: ``paths`` (absolute), ``profile``, ``level``, ``skip_checks``, ``jobs``.
Writes one JSON line a crate, as each is done: ``{"path", "issues": [{"severity", "rule", "where", "message"}],
"error"}``; ``error`` is text where the validator itself failed on the crate.

The JSON-LD contexts that crates name are on the web, and the validator calls a crate invalid when it cannot get them.
Its cache of web pages is therefore filled first, from the documents that lie beside this script.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import multiprocessing
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

CONTEXTS = {
    "https://w3id.org/ro/crate/1.1/context": "ro-crate-1.1.jsonld",
    "https://w3id.org/ro/terms/workflow-run/context": "workflow-run.jsonld",
}
ACCEPT = "application/ld+json, application/json, */*;q=0.1"


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


def plain_path(path: str, directory: Path) -> str:
    """A path that the validator reads as it is: it takes paths for URIs, so a per cent sign or a space misleads it."""
    if re.fullmatch(r"[A-Za-z0-9_./-]+", path):
        return path
    link = directory / f"crate-{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}"
    if not link.is_symlink():
        link.symlink_to(path)
    return str(link)


def line(text: Any) -> str:
    """Text as one line."""
    return " ".join(str(text).split())


def where_of(issue: Any) -> str:
    """The entity and the property that an issue is about."""
    entity = getattr(issue, "violatingEntity", None) or "crate"
    prop = getattr(issue, "violatingProperty", None)
    return f"{entity}.{prop}" if prop else str(entity)


def validate(path: str, request: dict[str, Any], cache: str) -> dict[str, Any]:
    """Validate one crate.

    Returns:
        The object that is written for it.
    """
    services: Any = importlib.import_module("rocrate_validator.services")
    severity: Any = importlib.import_module("rocrate_validator.models").Severity

    answer: dict[str, Any] = {"path": path, "issues": [], "error": None}
    plain = plain_path(path, Path(cache).parent)
    try:
        # The validator prints at times; standard output is for answers only.
        with contextlib.redirect_stdout(sys.stderr):
            settings = services.ValidationSettings(
                rocrate_uri=plain,
                profile_identifier=request["profile"],
                requirement_severity=severity[request["level"].upper()],
                skip_checks=request["skip_checks"] or None,
                offline=True,
                cache_path=Path(cache),
            )
            result = services.validate(settings)
        for issue in result.get_issues():
            answer["issues"].append(
                {
                    "severity": issue.severity.name,
                    "rule": issue.check.identifier,
                    "where": where_of(issue),
                    "message": line(issue.message).replace(plain, path),
                }
            )
    except Exception as error:  # whatever a damaged crate provokes is the verdict on that crate, not on the others
        answer["error"] = f"{type(error).__name__}: {line(error).replace(plain, path)}"
    return answer


def work(arguments: tuple[str, dict[str, Any], str]) -> dict[str, Any]:
    """:func:`validate` for a pool."""
    return validate(*arguments)


def say(answer: dict[str, Any]) -> None:
    """Write one answer."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the request, write the answers."""
    request = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="prov-worker-validator-") as directory:
        cache = str(Path(directory) / "contexts")
        fill_cache(cache)
        tasks = [(path, request, cache) for path in request["paths"]]
        jobs = min(int(request["jobs"]), len(tasks))
        if jobs <= 1:
            for task in tasks:
                say(validate(*task))
            return
        # Imported before the fork, once for all processes.
        importlib.import_module("rocrate_validator.services")

        with multiprocessing.get_context("fork").Pool(jobs) as pool:
            for answer in pool.imap_unordered(work, tasks):
                say(answer)


if __name__ == "__main__":
    main()
