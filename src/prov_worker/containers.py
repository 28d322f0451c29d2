"""The container that a process runs in, by what its runtime leaves inside.

A variable alone proves nothing: batch systems hand the environment of whoever submits a job to the job (sbatch's
default is ``--export=ALL``), so a process on the plain node may have those of a container. Nor does an empty mark file:
``docker export`` leaves ``/.dockerenv`` in images of virtual machines. So each runtime is known by something that it
alone makes: a mount, a control group, or a file with content.

Sources: Apptainer's user guide ("Environment and Metadata"), Shifter (``saveShifterConfig`` in
``src/shifter_core.c``), ch-run(1), podman-run(1), the kubelet's mounts (hosts and termination log), CRI-O
(``SetupHostPropMounts``: it mounts a mark that is Podman's too), systemd's container interface, the runtime
specification of the Open Container Initiative, and mountinfo of Docker, containerd, LXC and runc. The tests name the
releases whose marks were read in a container that ran.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from prov_worker.mountinfo import MountLine, parse_mountinfo

_MAX_BYTES = 4 << 20
#: Kinds that :func:`find_container` gives.
KINDS = (
    "apptainer",
    "singularity",
    "shifter",
    "charliecloud",
    "podman-hpc",
    "podman",
    "kubernetes",
    "docker",
    "containerd",
    "lxc",
    "systemd-nspawn",
    "container",
)
#: Words of systemd's container interface for kinds that have another name here.
_MANAGERS = {"lxc": "lxc", "lxc-libvirt": "lxc", "systemd-nspawn": "systemd-nspawn", "docker": "docker"}
_MANAGERS |= {"podman": "podman", "oci": "container"}
#: Files that Docker, containerd and Podman put over those of the image.
_NETWORK_FILES = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
#: Files that are masked in containers by default.
_MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list")
_POD = r"/pods/(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})/"
_SESSION = r"/(apptainer|singularity)/mnt/(?:session|container)\b"


class Container:
    """A container.

    Attributes:
        kind: one of :data:`KINDS`; ``container`` if its runtime is not known.
        image: its file or name; None if nothing inside tells it.
    """

    __slots__ = ("image", "kind")

    def __init__(self, kind: str, image: str | None) -> None:
        self.kind = kind
        self.image = image

    def to_mapping(self) -> dict[str, str | None]:
        """Return both as plain data."""
        return {"kind": self.kind, "image": self.image}


def find_container(environ: Mapping[str, str], root: str = "/", proc: str = "/proc") -> Container | None:
    """Return the container that this process runs in; None if it runs in none, or nothing proves one.

    Args:
        environ: the environment of the process; it names images, and proves little.
        root: root directory of the process.
        proc: root of its process file system.
    """
    inside = _Inside(environ, root, proc)
    for runtime in _RUNTIMES:
        container = runtime(inside)
        if container is not None:
            return container
    return None


class _Inside:
    """What can be seen from within."""

    def __init__(self, environ: Mapping[str, str], root: str, proc: str) -> None:
        self.environ = environ
        self._root = root
        mounts = _read(os.path.join(proc, "self/mountinfo"))
        #: Whether the mounts are known: if not, a mark file has to be believed.
        self.mounts_known = bool(mounts)
        self.mounts: dict[str, MountLine] = {line.point: line for line in parse_mountinfo(mounts or "")}
        self.groups = _read(os.path.join(proc, "self/cgroup")) or ""
        self.users = (_read(os.path.join(proc, "self/uid_map")) or "").split()

    def has(self, path: str) -> bool:
        try:
            return os.path.lexists(os.path.join(self._root, path))
        except (OSError, ValueError):
            return False

    def read(self, path: str) -> str | None:
        return _read(os.path.join(self._root, path))

    def network_files(self) -> str:
        """Return the directories from which the runtime has put hostname, hosts, resolv.conf over the image's."""
        return "\n".join(self.mounts[point].root for point in _NETWORK_FILES if point in self.mounts)

    def root_options(self) -> str:
        root = self.mounts.get("/")
        return f"{root.root} {root.source} {root.super_options}" if root else ""


def _singularity(inside: _Inside) -> Container | None:
    session = _search(_SESSION, "/mnt/", inside.root_options())
    if session is None and not inside.has(".singularity.d"):
        return None
    for kind, variable in (("apptainer", "APPTAINER_CONTAINER"), ("singularity", "SINGULARITY_CONTAINER")):
        if inside.environ.get(variable):
            return Container(kind, inside.environ[variable])
    return Container(session[1] if session else "singularity", None)


def _shifter(inside: _Inside) -> Container | None:
    # {"identifier":"<id of the image>","user":…,"volMap":…}. A job that asks for an image, and one that was submitted
    # from inside, has Shifter's variables on the plain node too.
    identifier = _search(r'"identifier":"([^"]+)"', '"identifier"', inside.read("var/shifterConfig.json") or "")
    if identifier is None:
        return None
    return Container("shifter", inside.environ.get("SHIFTER_IMAGEREQUEST") or identifier[1])


def _charliecloud(inside: _Inside) -> Container | None:
    # ch-run always makes a user name space (user_namespaces(7)): the node's own maps all ids to themselves.
    if "CH_RUNNING" not in inside.environ or inside.users[:3] == ["0", "0", "4294967295"]:
        return None
    return Container("charliecloud", None)


def _named_podman(inside: _Inside) -> Container | None:
    # engine="podman-4.9.3", image="..."
    return _podman(inside) if "engine=" in (inside.read("run/.containerenv") or "") else None


def _podman(inside: _Inside) -> Container | None:
    # Without privileges its mark is empty, and mounted from the container's user data. So is CRI-O's, in pods.
    mark = inside.read("run/.containerenv")
    proved = (
        "engine=" in (mark or "") or "/run/.containerenv" in inside.mounts or "/userdata/" in inside.network_files()
    )
    if mark is not None and (proved or not inside.mounts_known):
        image = re.search(r'^image="?([^"\n]+)"?$', mark, re.MULTILINE)
        # podman-hpc is Podman at NERSC; its variable names the image.
        hpc = inside.environ.get("PODMAN_HPC_IMAGE")
        return Container("podman-hpc", hpc) if hpc else Container("podman", image[1] if image else None)
    if _has_any(inside.groups, "/libpod-", "/libpod_") and "/libpod-conmon" not in inside.groups:
        return Container("podman", None)
    return None


def _kubernetes(inside: _Inside) -> Container | None:
    account = "run/secrets/kubernetes.io/serviceaccount"
    if inside.has(f"var/{account}") or inside.has(account):
        return Container("kubernetes", None)
    # The kubelet mounts hosts and the termination log from its pod's directory, with an account's token or without. The
    # UID of a static pod is a hash without hyphens.
    log = inside.mounts.get("/dev/termination-log")
    if "kubepods" in inside.groups or _search(_POD, "/pods/", f"{inside.network_files()}\n{log.root if log else ''}"):
        return Container("kubernetes", None)
    return None


def _docker(inside: _Inside) -> Container | None:
    if _has_any(inside.groups, "/docker-", "/docker/"):
        return Container("docker", None)
    files = inside.network_files()
    proved = bool(_search(r"/containers/[0-9a-f]{64}/", "/containers/", files)) or "/docker/" in inside.root_options()
    if inside.has(".dockerenv") and (proved or not inside.mounts_known):
        return Container("docker", None)
    if _has_any(f"{files}\n{inside.root_options()}", "/nerdctl/", "/containerd/"):
        return Container("containerd", None)
    return None


def _managed(inside: _Inside) -> Container | None:
    # systemd inside a container notes its manager; so does a manager for what it starts.
    for path in ("run/host/container-manager", "run/systemd/container"):
        manager = (inside.read(path) or "").strip()
        if manager:
            return Container(_MANAGERS.get(manager, "container"), None)
    # Each LXC container has a boot id of its own, lxcfs or not, and whatever name space its control group is in.
    boot_id = inside.mounts.get("/proc/sys/kernel/random/boot_id")
    if (
        (boot_id is not None and boot_id.root.endswith("/.lxc-boot-id"))
        or _has_any(inside.groups, "/lxc.", "/lxc/")
        or any(mount.type == "fuse.lxcfs" and point.startswith("/proc/") for point, mount in inside.mounts.items())
    ):
        return Container("lxc", None)
    return None


def _open_container(inside: _Inside) -> Container | None:
    # Runtimes of the Open Container Initiative mask files of /proc with the container's own /dev/null (runtime-spec,
    # "Masked Paths", and the default of runc, crun and containerd); systemd's units have other masks.
    for point in _MASKED:
        mask = inside.mounts.get(point)
        if mask is not None and (mask.root, mask.type) == ("/null", "tmpfs"):
            return Container("container", None)
    return None


#: The first that finds its marks is believed.
_RUNTIMES = (
    _singularity,
    _shifter,
    _charliecloud,
    _named_podman,
    _kubernetes,
    _podman,
    _docker,
    _managed,
    _open_container,
)


def _search(pattern: str, part: str, text: str) -> re.Match[str] | None:
    """Return the match of a pattern that has ``part`` in it; a text without that has no pattern compiled."""
    return re.search(pattern, text) if part in text else None


def _has_any(text: str, *parts: str) -> bool:
    return any(part in text for part in parts)


def _read(path: str) -> str | None:
    """Return content of a small file; None if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None
