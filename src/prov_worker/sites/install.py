"""An endpoint's directory, as the stock daemon takes it: ``globus-compute-endpoint start NAME``.

Beside the daemon's own files it has ``prov_worker.json``: the site, the options, the host that the endpoint belongs to
(null if a batch system chooses it), and the hashes of what was written, by which a later installation knows what a
person has changed since; if something looks after the endpoint, ``owner`` says what.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import pwd
import re
import socket
import string
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker import __version__
from prov_worker.errors import InputError
from prov_worker.files import write_files
from prov_worker.globus import daemons
from prov_worker.sites import interface
from prov_worker.sites import options as site_options
from prov_worker.sites.catalog import SHARED, TEMPLATE, Site, directory

MARKER = "prov_worker.json"
SCHEMA = "user_config_schema.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class DamagedError(InputError):
    """A marker that cannot be understood: an installation with ``overwrite`` keeps a copy and writes it again."""


@dataclass(slots=True)
class Installed:
    """What an installation wrote, or would write.

    Attributes:
        directory: of the endpoint.
        written: names of files that are new or differ.
        unchanged: names of files that were as they should be.
        backups: copies of files that a person had changed.
        diff: unified, of all that is written.
        noted: whether the marker is new or differs.
    """

    directory: Path
    written: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    backups: list[str] = field(default_factory=list)
    diff: str = ""
    noted: bool = False


def default_user_dir() -> Path:
    """Return Globus Compute's: ``GLOBUS_COMPUTE_USER_DIR``, else ``~/.globus_compute``.

    Raises:
        InputError: it begins with ``~``, which Globus Compute takes for the name of a directory.
    """
    named = os.environ.get("GLOBUS_COMPUTE_USER_DIR", "")
    if named.startswith("~"):
        raise InputError(
            f"GLOBUS_COMPUTE_USER_DIR: {named}: no shell has put a home in the place of ~; write the whole path"
        )
    return Path(named or Path.home() / ".globus_compute")


def template_of(site: Site, values: Mapping[str, Any]) -> str:
    """Return the template with the options as its defaults."""
    head = (
        f"# {site.title}. Written by prov-worker {__version__}; options of the client go first, then these defaults.\n"
    )
    return head + site_options.defaults(site, values) + site.template


def files_of(site: Site, name: str, values: Mapping[str, Any], user_dir: Path) -> dict[str, str]:
    """Return all files of an endpoint by name.

    Args:
        site: its site.
        name: its name.
        values: all options, as :func:`prov_worker.sites.options.complete` gives them.
        user_dir: Globus Compute's directory, which user endpoints need if it is not the usual one.
    """
    shared = directory() / SHARED
    schema = site.schema(dict(values))
    # The daemon starts user endpoints by name: the program is beside this interpreter, activated or not.
    programs = str(Path(sys.executable).parent)
    path_entries = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part != programs]
    substitutions = {
        "display_name": json.dumps(values["display_name"] or name),
        "heartbeat": str(values["service_heartbeat"]),
        "path": json.dumps(os.pathsep.join([programs, *path_entries])),
    }

    def filled(file: str) -> str:
        text = (shared / file).read_text(encoding="utf-8")
        return string.Template(text).substitute(substitutions)

    environment = filled("user_environment.yaml")
    # If the daemon starts user endpoints with privileges, it takes the home from the user database, not from HOME.
    homes = {Path.home(), Path(pwd.getpwuid(os.getuid()).pw_dir)}
    if {user_dir.absolute()} != {home / ".globus_compute" for home in homes}:
        environment += f"GLOBUS_COMPUTE_USER_DIR: {json.dumps(str(user_dir.absolute()))}\n"
    service_url = _other_service()
    if service_url is not None:
        environment += f"PROV_WORKER_SERVICE_URL: {json.dumps(service_url)}\n"
    if values.get("submit_dir"):
        # If the daemon starts user endpoints, and these submit.
        environment += f"CWD: {json.dumps(values['submit_dir'])}\n"
    config = filled("config.yaml")
    if values["email"]:
        config += f"email: {json.dumps(values['email'])}\n"
    return {
        "config.yaml": config,
        TEMPLATE: template_of(site, values),
        SCHEMA: json.dumps(schema, indent=2) + "\n",
        "user_environment.yaml": environment,
    }


def _other_service() -> str | None:
    """Return address of the web service that the daemon is to use, if it is another than Globus Compute's own."""
    if "GLOBUS_SDK_ENVIRONMENT" not in os.environ:
        return None  # the SDK is slow to import
    try:
        from prov_worker.globus.service_urls import other_web_service_url

        return other_web_service_url()
    except ImportError:
        return None  # files are written where the endpoint's package is not


def install(
    site: Site,
    name: str,
    values: Mapping[str, Any],
    *,
    user_dir: Path | None = None,
    overwrite: bool = False,
    unbound_host: bool = False,
    dry_run: bool = False,
    owner: Mapping[str, Any] | None = None,
    sources: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
) -> Installed:
    """Write an endpoint's directory.

    Args:
        site: its site.
        name: its name.
        values: all options, complete.
        user_dir: None takes :func:`default_user_dir`.
        overwrite: write over files that a person has changed, which are kept as ``<file>.bak-<time>``, the marker too
            if it is damaged; take over an endpoint that belongs to another host, or was installed for another site;
            take an interface that is not here.
        unbound_host: the daemon's host is chosen by a batch system, one daemon at a time: the endpoint belongs to none.
        dry_run: write nothing.
        owner: what looks after the endpoint, noted beside the rest; None keeps what is noted.
        sources: where each option was given, for errors.
        texts: files of the caller's, by name, in place of the site's.

    Raises:
        InputError: the name is none, the directory is not ours or belongs to another host or site, a file was changed
            by hand, or an interface is not there.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name}: expected a name of letters, digits, dots, dashes and underscores")
    problem = interface.problem(values["interface"])
    if problem and not overwrite:
        where = (sources or {}).get("interface", site.name)
        raise InputError(
            f"{where}: interface: {problem}; name another one, or none; --overwrite writes it for a host that has it"
        )
    installed = Installed((user_dir or default_user_dir()) / name)
    damaged = None
    try:
        before = marker_of(installed.directory)
    except DamagedError as error:
        if not overwrite:
            raise InputError(f"{error}; --overwrite keeps a copy and replaces it") from None
        before, damaged = None, _read(installed.directory / MARKER)
    if before is not None and before.get("site") != site.name and not overwrite:
        raise InputError(
            f"{installed.directory / MARKER}: site: this endpoint was installed for {before.get('site')}, not "
            f"{site.name}; take another name, or --overwrite"
        )
    host = socket.gethostname()
    if before is not None and before.get("host") not in (None, host) and not overwrite:
        raise InputError(
            f"{installed.directory / MARKER}: host: this endpoint belongs to {before.get('host')}, and a daemon here "
            "would be a duplicate of it; install it there, take another name, or move it here with --overwrite"
        )
    core = daemons.look(installed.directory)
    if core.state == "elsewhere" and not overwrite and not unbound_host:
        raise InputError(
            f"{installed.directory / daemons.PID_FILE}: kept fresh by a daemon on another host (process {core.pid}); "
            "stop it there first, or take another name"
        )
    if before is None and installed.directory.exists() and any(installed.directory.iterdir()) and not overwrite:
        raise InputError(
            f"{installed.directory}: an endpoint that was not made here; take another name, or --overwrite"
        )
    digests = (before or {}).get("files")
    digests = digests if isinstance(digests, dict) else {}
    texts = files_of(site, name, values, installed.directory.parent) | dict(texts or {})
    current = {file: _read(installed.directory / file) for file in texts}
    changed = [
        file
        for file, text in current.items()
        if text is not None and text != texts[file] and digests.get(file) != _sha256(text)
    ]
    if changed and not overwrite:
        raise InputError(
            f"{installed.directory / changed[0]}: was changed by hand; --overwrite keeps a copy and replaces it"
        )
    for file, text in texts.items():
        if current[file] == text:
            installed.unchanged.append(file)
            continue
        installed.written.append(file)
        installed.diff += "".join(
            difflib.unified_diff(
                (current[file] or "").splitlines(keepends=True),
                text.splitlines(keepends=True),
                f"{name}/{file}" if current[file] is not None else os.devnull,
                f"{name}/{file}",
            )
        )
    marker: dict[str, Any] = {
        "site": site.name,
        "options": dict(values),
        "host": None if unbound_host else host,
        "version": __version__,
        "files": {file: _sha256(text) for file, text in texts.items()},
    }
    if owner is None:
        owner = (before or {}).get("owner")
    if owner is not None:
        marker["owner"] = owner
    new = {file: texts[file] for file in installed.written}
    if marker != before:
        new[MARKER] = json.dumps(marker, indent=1) + "\n"
        installed.noted = True
    if dry_run:
        return installed
    kept = {file: current[file] or "" for file in changed}
    if damaged is not None:
        kept[MARKER] = damaged
    for file, text in kept.items():
        backup = f"{file}.bak-{time.strftime('%Y%m%dT%H%M%S')}"
        new[backup] = text
        installed.backups.append(backup)
    _write_all(installed.directory, new)
    return installed


def options_of(endpoint: Path, site: str) -> dict[str, Any]:
    """Return options that an endpoint was installed with; none if it was not installed yet.

    Raises:
        InputError: it was installed for another site.
    """
    marker = marker_of(endpoint)
    if marker is None:
        return {}
    if marker.get("site") != site:
        raise InputError(f"{endpoint / MARKER}: site: this endpoint was installed for {marker.get('site')}, not {site}")
    options = marker.get("options")
    return dict(options) if isinstance(options, dict) else {}


def marker_of(endpoint: Path) -> dict[str, Any] | None:
    """Return what was noted when a directory was written by this package; None if it was not.

    Raises:
        DamagedError: it cannot be understood.
        InputError: it cannot be read.
    """
    text = _read(endpoint / MARKER)
    if text is None:
        return None
    try:
        marker = json.loads(text)
    except ValueError as error:
        raise DamagedError(f"{endpoint / MARKER}: invalid JSON: {error}") from None
    if not isinstance(marker, dict):
        raise DamagedError(f"{endpoint / MARKER}: expected an object")
    return marker


def _read(path: Path) -> str | None:
    try:
        # What was changed by hand is kept as it is, whatever its encoding.
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _write_all(directory: Path, texts: Mapping[str, str]) -> None:
    """Write all files or none: a full disk leaves what was there."""
    new = not directory.exists()
    written = False
    try:
        # Globus Compute's own directory holds tokens; it makes it private as well.
        for path in (directory.parent, directory):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(directory.iterdir()):
            # Made by a person just before, as for a mount point: what comes into it is private all the same.
            directory.chmod(0o700)
        write_files({str(directory / file): text for file, text in texts.items()}, mode=0o600)
        written = True
    except OSError as error:
        raise InputError(f"{error.filename or directory}: cannot be written: {error.strerror}") from None
    finally:
        if new and not written:
            with contextlib.suppress(OSError):  # not made at all, or another has put something there
                directory.rmdir()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
