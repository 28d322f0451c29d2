#!/opt/prov/bin/python -I
"""What the containers of this image run: ``endpoint``, ``service``, ``client``, ``setup``, or any other command.

=============  =====================================================================================================
``endpoint``   the stock daemon of Globus Compute, in the foreground, with ``ProvenanceEngine`` in its template
``service``    the local web service
``client …``   a command with the identity of this installation, as a user's script has it
``setup``      once, before the others: keys, and a folder for crates that the endpoint can write
COMMAND …      that command, in this process
=============  =====================================================================================================

Whatever is missing or wrong is said in one line each, with exit code 2. The daemon runs in this very process, so that
signals reach it. The client secret is in no environment that another process could read: it comes from a file or from
the container's environment, is kept from the children that the daemon forks, and this process is closed to its user's
other processes (prctl(2), ``PR_SET_DUMPABLE``).

Settings are variables: ``PROV_WORKER_*`` of the recording, as everywhere (docs/settings.md), ``PROV_STACK_*`` of the
endpoint (docs/local-endpoint.md).
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import sys
import uuid
from pathlib import Path
from typing import NoReturn

from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.files import write_file
from prov_worker.locks import lock, open_lock
from prov_worker.settings import Settings
from prov_worker.variables import take_renamed, warn_of_renamed

HERE = Path(__file__).resolve().parent
SECRET = "GLOBUS_COMPUTE_CLIENT_SECRET"  # noqa: S105 - a name
CLIENT = "GLOBUS_COMPUTE_CLIENT_ID"
#: What neither user endpoints nor workers need, and tasks should not see.
PRIVATE = (CLIENT, SECRET, f"{SECRET}_FILE", "PROV_STACK_IDENTITIES", "PROV_IDENTITIES")
PR_SET_DUMPABLE = 4
#: Old names of variables.
RENAMED = {
    "PROV_CRATE_DIR": "PROV_WORKER_CRATE_DIR",
    "PROV_ENDPOINT_CONFIG": "PROV_STACK_ENDPOINT_CONFIG",
    "PROV_ENDPOINT_DISPLAY_NAME": "PROV_STACK_ENDPOINT_DISPLAY_NAME",
    "PROV_ENDPOINT_NAME": "PROV_STACK_ENDPOINT_NAME",
    "PROV_ENDPOINT_WORKERS": "PROV_STACK_WORKERS",
    "PROV_IDENTITIES": "PROV_STACK_IDENTITIES",
    "PROV_UID": "PROV_STACK_UID",
}
#: What docker-compose.yml and its users call a setting of the recording.
OUTSIDE = {
    "PROV_WORKER_MOUNT_POINTS": "PROV_STACK_MOUNT_POINTS",
    "PROV_WORKER_POLL_INTERVAL": "PROV_STACK_POLL_INTERVAL",
    "PROV_WORKER_PLOTS": "PROV_STACK_PLOTS",
    "PROV_WORKER_STREAM": "PROV_STACK_STREAM",
    "PROV_WORKER_CRATE_DIR": "PROV_STACK_CRATES",
}


def fail(*lines: str) -> NoReturn:
    """End with one line for each thing that is wrong."""
    for line in map(as_outside, lines):
        sys.stderr.write(f"prov-worker container: {line}\n")
    sys.exit(2)


def as_outside(line: str) -> str:
    """A message, with the name that a variable has in docker-compose.yml if it has another one there."""
    for inside, outside in OUTSIDE.items():
        line = re.sub(rf"\b{inside}\b", f"{inside} ({outside} of docker-compose.yml)", line, count=1)
    return line


class Wants:
    """Settings from the environment; what is wrong with them is collected and said at once."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds."""
        text = os.environ.get(name) or str(default)
        if text.isdecimal() and low <= int(text) <= high:
            return int(text)
        self.wrong.append(f"{name}: expected a whole number, {low} to {high}, got {text!r}")
        return default

    def directory(self, name: str, default: str, purpose: str) -> Path:
        """A folder that this user can write; made if it is missing."""
        path = Path(os.environ.get(name) or default)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            self.wrong.append(f"{name}: {path}: cannot make the folder for {purpose}: {error.strerror}")
            return path
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            self.wrong.append(
                f"{name}: {path}: the folder for {purpose} must be writable by user {os.getuid()} of the container "
                "(set PROV_STACK_UID and PROV_STACK_GID to the owner of the folder on the host)"
            )
        return path

    def text(self, name: str, content: str) -> str:
        """A variable, or what is in the file that ``<name>_FILE`` names."""
        value, file = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
        if not value and file:
            before = len(self.wrong)
            value = self._read(f"{name}_FILE", Path(file)).strip()
            if len(self.wrong) > before:
                return ""
        if not value:
            self.wrong.append(f"{name}: not set; expected {content}, or the name of a file with it in {name}_FILE")
        return value

    def identity(self) -> tuple[str, str]:
        """Client id and secret: the first of PROV_STACK_IDENTITIES, or from their variables."""
        file = os.environ.get("PROV_STACK_IDENTITIES")
        if not file:
            client, secret = self.text(CLIENT, "the UUID of a Globus client"), self.text(SECRET, "its secret")
        else:
            try:
                first = json.loads(self._read("PROV_STACK_IDENTITIES", Path(file)) or "[{}]")[0]
                client, secret = str(first.get("client_id", "")), str(first.get("client_secret", ""))
            except (ValueError, LookupError, TypeError, AttributeError):
                self.wrong.append(f"PROV_STACK_IDENTITIES: {file}: not a JSON list of client_id and client_secret")
                return "", ""
        try:
            return (client and str(uuid.UUID(client))), secret
        except ValueError:
            self.wrong.append(f"{CLIENT}: expected a UUID")
            return "", secret

    def _read(self, name: str, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            self.wrong.append(f"{name}: {path}: cannot be read: {why}")
            return ""

    def check(self) -> None:
        """End if anything is wrong."""
        if self.wrong:
            fail(*self.wrong)


def name_this_user() -> None:
    """Add a passwd entry for an unknown uid, which Globus Compute requires.

    The database's second file (nss extrausers) points into a file system that is writable.
    """
    import pwd

    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        home = os.environ.get("HOME", "/tmp")  # noqa: S108 - a container's own
        Path("/run/prov/passwd").write_text(f"prov:x:{os.getuid()}:{os.getgid()}:prov:{home}:/bin/bash\n")
        Path("/run/prov/group").write_text(f"prov:x:{os.getgid()}:\n")


def close_to_others() -> None:
    """Keep other processes of this user from reading this one's memory and first environment."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def tell_of_agents() -> None:
    """Relay agent warnings to the container log from a separate process."""
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    command = ["/bin/sh", "-c", '"$@" </dev/null &', "sh", str(HERE / "agentlog.py")]
    os.waitpid(os.posix_spawn("/bin/sh", command, environment), 0)


def clear_stale(user_dir: Path) -> None:
    """Remove what an endpoint that was killed left.

    A pid file says nothing across containers: the number may be anybody's now, or this process's own. A lock on the
    folder, which ends with the container that holds it, says whether another one lives there.
    """
    if not lock(open_lock(user_dir / ".container.lock")):
        fail(f"GLOBUS_COMPUTE_USER_DIR: {user_dir}: the endpoint of another container keeps its state there")
    for path in user_dir.glob("*/daemon.pid*"):
        path.unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Replace a file, unless it has this content already."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_file(path, text)


def install(name: str, user_dir: Path, settings: Settings, crates: str, workers: int) -> None:
    """Write the endpoint's directory, as ``prov-worker sites install local`` does.

    Options are those of ``endpoint.yaml``, over them those of the variables, and over these a file of the user's.

    Raises:
        ProvWorkerError: names the file or variable, and the option.
    """
    from prov_worker.sites import catalog, options
    from prov_worker.sites import install as sites

    site = catalog.site("local")
    recording = settings.to_mapping() | settings.stream_mapping() | {"crate_dir": crates}
    recorded = json.dumps(recording)
    named = {key: recording.pop(key) for key in site.options if key in recording}
    named["display_name"] = os.environ.get("PROV_STACK_ENDPOINT_DISPLAY_NAME", "")
    variables = {key: f"PROV_WORKER_{key.upper()}" for key in named} | {
        "display_name": "PROV_STACK_ENDPOINT_DISPLAY_NAME"
    }
    for key, variable in variables.items():
        options.check(site, {key: named[key]}, variable)
    values = options.read(site, file=HERE / "endpoint.yaml")[0]
    values |= {"workers": workers, "provenance": recording, **named}
    file = os.environ.get("PROV_STACK_ENDPOINT_OPTIONS")
    if file:
        values |= options.read(site, file=Path(file))[0]
    texts = {}
    own = os.environ.get("PROV_STACK_ENDPOINT_CONFIG")
    if own:
        for path in (Path(own, catalog.TEMPLATE), Path(own, sites.SCHEMA)):
            try:
                texts[path.name] = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"PROV_STACK_ENDPOINT_CONFIG: {path}: cannot be read: {error}") from None
        # A template of the user's reads these (as _GC.env).
        os.environ["PROV_STACK_ENDPOINT_PROVENANCE"] = recorded
        os.environ["PROV_STACK_WORKERS"] = str(workers)
        # Templates written for the release before name these.
        os.environ["PROV_ENDPOINT_PROVENANCE"] = os.environ["PROV_STACK_ENDPOINT_PROVENANCE"]
        os.environ["PROV_ENDPOINT_WORKERS"] = os.environ["PROV_STACK_WORKERS"]
    complete = options.complete(site, values, file or str(HERE / "endpoint.yaml"), variables)
    # A container has another host name each time; what a person changed in its volume is kept beside.
    sites.install(site, name, complete, user_dir=user_dir, overwrite=True, unbound_host=True, texts=texts)


def values_of_endpoint(wants: Wants) -> tuple[str, int, Settings]:
    """Name of an endpoint, number of its workers, and settings of the recording."""
    name = os.environ.get("PROV_STACK_ENDPOINT_NAME") or "local"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        wants.wrong.append(f"PROV_STACK_ENDPOINT_NAME: expected letters, digits, '_', '.' and '-', got {name!r}")
    workers = wants.number("PROV_STACK_WORKERS", min(4, os.cpu_count() or 1), 1, 4096)
    try:
        settings = Settings.from_environ()
    except ProvWorkerError as error:
        wants.wrong.append(str(error))
        settings = Settings()
    return name, workers, settings


def endpoint() -> int:
    """Run the daemon until it is asked to stop."""
    close_to_others()
    wants = Wants()
    name, workers, settings = values_of_endpoint(wants)
    user_dir = wants.directory("GLOBUS_COMPUTE_USER_DIR", "/var/lib/prov/globus_compute", "the endpoint's state")
    client, secret = wants.identity()
    crates = settings.crate_dir or "/crates"
    # Tasks read it; those written for the release before by its old name.
    os.environ["PROV_WORKER_CRATE_DIR"] = os.environ["PROV_CRATE_DIR"] = crates
    wants.directory("PROV_WORKER_CRATE_DIR", crates, "crates")
    wants.check()

    name_this_user()
    tell_of_agents()
    clear_stale(user_dir)
    install(name, user_dir, settings, crates, workers)
    for mount in settings.mount_points:
        if not os.path.isdir(mount):
            line = f"PROV_WORKER_MOUNT_POINTS: {mount}: no such folder in this container; crates will call it absent"
            sys.stderr.write(f"prov-worker container: {as_outside(line)}\n")
    os.environ["GLOBUS_COMPUTE_USER_DIR"] = str(user_dir)
    os.environ[CLIENT], os.environ[SECRET] = client, secret
    os.register_at_fork(after_in_child=lambda: [os.environ.pop(name, None) for name in PRIVATE] and None)

    from globus_compute_endpoint.cli import cli_run
    from globus_sdk import NetworkError

    sys.argv = ["globus-compute-endpoint", "start", "--log-to-console", "--no-color", name]
    try:
        cli_run()
    except NetworkError:
        where = "the local web service" if os.environ.get("GLOBUS_SDK_ENVIRONMENT") == "local" else "auth.globus.org"
        fail(f"{where} cannot be reached from this container; the endpoint needs it to log in")
    except SystemExit as end:
        # Stock has logged all of it, in many lines.
        if end.code == os.EX_NOPERM:
            fail(f"{CLIENT}, {SECRET}: refused: no such client, or a wrong secret")
        raise
    return 0


def service() -> int:
    """Run the local web service; its settings are ``PROV_SERVICE_*``."""
    close_to_others()
    wants = Wants()
    os.environ["PROV_SERVICE_AMQP_URL"] = wants.text("PROV_SERVICE_AMQP_URL", "the URL of an AMQP broker")
    wants.check()
    os.environ.pop("PROV_SERVICE_AMQP_URL_FILE", None)
    from prov_worker.__main__ import main

    return main(["service", "run"])


def client(arguments: list[str]) -> NoReturn:
    """Run a command as a user would: credentials and addresses in its environment."""
    wants = Wants()
    client_id, secret = wants.identity()
    if not arguments:
        wants.wrong.append("client: say what to run")
    wants.check()
    os.environ[CLIENT], os.environ[SECRET] = client_id, secret
    run(arguments)


def run(arguments: list[str]) -> NoReturn:
    """Become a command."""
    name_this_user()
    program = shutil.which(arguments[0])
    if program is None:
        fail(f"{arguments[0]}: no such command in this image")
    os.execv(program, arguments)  # noqa: S606 - that is what it is for


def setup() -> int:
    """Make the keys of this installation if they are missing, and the folder of crates writable.

    Runs as the container's root without any capability: as owner of the folders it makes, no more. What is there and
    belongs to another user's stack is left as it is.
    """
    import secrets

    for pair in os.environ.get("PROV_STACK_OLD_NAMES", "").split():
        warn_of_renamed(*pair.split("="))
    wants = Wants()
    uid, gid = wants.number("PROV_STACK_UID", 1000, 0, 2**32 - 2), os.getgid()
    values_of_endpoint(wants)  # which would refuse them only once the other parts run
    wants.check()
    broker, identities, owner = Path("/run/broker"), Path("/run/identity/identities.json"), Path("/run/identity/owner")
    os.umask(0o022)
    if identities.exists():
        keep_owner(owner, identities, uid, gid)
    take_crates(Path("/crates"), uid, gid)
    if not (broker / "amqp-url").exists():
        password = secrets.token_urlsafe(24)
        (broker / "conf.d").mkdir(exist_ok=True)
        write(broker / "conf.d" / "10-broker.conf", (HERE / "rabbitmq.conf").read_text(encoding="utf-8"))
        write(broker / "conf.d" / "20-user.conf", f"default_user = prov\ndefault_pass = {password}\n")
        write(broker / "amqp-url", f"amqp://prov:{password}@broker:5672/%2F\n")
    write(owner, f"{uid}:{gid}\n")
    if not identities.exists():
        os.umask(0o027)
        entry = {"client_id": str(uuid.uuid4()), "client_secret": secrets.token_urlsafe(32), "name": "local client"}
        write(identities, json.dumps([entry], indent=2) + "\n")
    return 0


def keep_owner(owner: Path, identities: Path, uid: int, gid: int) -> None:
    """End if the keys and the state of this installation were made for another user, who alone can read them."""
    made_for = owner.read_text(encoding="utf-8").strip() if owner.exists() else f"{uid}:{identities.stat().st_gid}"
    if made_for != f"{uid}:{gid}":
        their_uid, _, their_gid = made_for.partition(":")
        fail(
            f"keys and state of this stack are those of user {their_uid}, group {their_gid}, and not of {uid}, {gid}: "
            f"start it with PROV_STACK_UID={their_uid} PROV_STACK_GID={their_gid}, or one of your own beside it with "
            "COMPOSE_PROJECT_NAME and PROV_STACK_PORT, or take it away first (make down)"
        )


def take_crates(crates: Path, uid: int, gid: int) -> None:
    """Let the endpoint write in the folder of crates, if that is root's; end if it cannot."""
    status = crates.stat()
    try:
        if status.st_uid == os.getuid() and uid != status.st_uid:
            # Made by Docker, or by root: the endpoint's group may write there too.
            os.chown(crates, -1, gid)
            crates.chmod(0o2770)
            status = crates.stat()
    except OSError as error:
        fail(f"PROV_STACK_CRATES: the folder of crates cannot be made writable for group {gid}: {error.strerror}")
    if os.statvfs(crates).f_flag & os.ST_RDONLY:
        fail("PROV_STACK_CRATES: the folder of crates is on a read-only file system")
    shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
    if uid and (status.st_mode >> shift) & 0o7 != 0o7:
        fail(
            f"PROV_STACK_CRATES: the folder of crates belongs to user {status.st_uid}, group {status.st_gid}, and "
            f"user {uid}, group {gid} may not write there: "
            f"set PROV_STACK_UID={status.st_uid} PROV_STACK_GID={status.st_gid}"
        )


def main(arguments: list[str]) -> int:
    """Run what the first argument names."""
    os.umask(0o077)
    os.environ["PATH"] = os.environ.get("PATH") or "/opt/prov/bin:/usr/local/bin:/usr/bin:/bin"
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    take_renamed(RENAMED)
    own = {"endpoint": endpoint, "service": service, "setup": setup}
    if not arguments:
        fail(f"say what to run: {', '.join(own)}, client COMMAND, or a command")
    if arguments[0] == "client":
        client(arguments[1:])
    if arguments[0] not in own:
        run(arguments)
    if len(arguments) > 1:
        fail(f"{arguments[0]}: takes no arguments; its settings are variables")
    return own[arguments[0]]()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ProvWorkerError as error:
        fail(str(error))
