"""What a worker runs in: versions, PATH, proxies, disk space, umask."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import tempfile
import urllib.parse
from importlib import metadata
from typing import Any


def probe_environment(request: dict[str, Any]) -> dict[str, Any]:
    """Look at this worker's environment; no value of a secret is in the answer.

    Args:
        request: ``packages``, distributions whose versions are of interest; ``connect_s``, how long a proxy may take.
    """
    versions: dict[str, Any] = {"python": platform.python_version()}
    for name in request["packages"]:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    path = [part for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    return {
        "versions": versions,
        "path": path,
        "missing_path": [part for part in path if not os.path.isdir(part)],
        "endpoint_program": shutil.which("globus-compute-endpoint"),
        "proxies": _proxies(request["connect_s"]),
        "no_proxy": os.environ.get("no_proxy") or os.environ.get("NO_PROXY"),
        "disks": _disks(),
        "umask": _umask(),
        "switched_on": os.environ.get("PROV_WORKER"),
    }


def _proxies(connect_s: float) -> list[dict[str, Any]]:
    """Return proxies that the environment names, without credentials, and whether each takes a connection."""
    errors: dict[str, Any] = {}
    proxies = []
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            value = os.environ.get(variable)
            if not value:
                continue
            if value not in errors:
                errors[value] = _proxy_error(value, connect_s)
            proxies.append({"variable": variable, "url": _without_credentials(value), "error": errors[value]})
    return proxies


def _without_credentials(url: str) -> str:
    scheme, separator, rest = url.rpartition("://")
    credentials, at, place = rest.rpartition("@")
    return scheme + separator + ("***@" if at and credentials else "") + place


def _proxy_error(url: str, connect_s: float) -> Any:
    try:
        parts = urllib.parse.urlsplit(url if "://" in url else "http://" + url)
        port = parts.port or {"https": 443, "socks5": 1080, "socks5h": 1080}.get(parts.scheme, 80)
        if not parts.hostname:
            return "names no host"
        with socket.create_connection((parts.hostname, port), timeout=connect_s):
            return None
    except ValueError as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__


def _disks() -> list[dict[str, Any]]:
    """Return space where workers write, and the error of a trial there."""
    disks = []
    for name, directory in (
        ("working directory", os.getcwd()),
        ("temporary directory", tempfile.gettempdir()),
        ("home", os.path.expanduser("~")),
    ):
        disk: dict[str, Any] = {"name": name, "path": directory}
        disk.update(space_of_directory(directory))
        disks.append(disk)
    return disks


def space_of_directory(directory: str) -> dict[str, Any]:
    """Return bytes and inodes that a user has there, and the error of a trial of 64 KiB, which is removed."""
    space: dict[str, Any] = {"error": None}
    try:
        status = os.statvfs(directory)
        space["total_bytes"] = status.f_blocks * status.f_frsize
        space["free_bytes"] = status.f_bavail * status.f_frsize
        space["free_inodes"] = status.f_favail if status.f_files else None
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".prov-worker-diagnose-") as trial:
            trial.write(b"\0" * 65536)
            trial.flush()
            os.fsync(trial.fileno())
    except OSError as error:
        space["error"] = error.strerror or str(error)
    return space


def _umask() -> Any:
    """Return the umask, in octal, without setting it: other threads make files."""
    try:
        with open("/proc/self/status") as stream:
            for line in stream:
                if line.startswith("Umask:"):
                    return line.split()[1]
    except OSError:
        pass
    return None
