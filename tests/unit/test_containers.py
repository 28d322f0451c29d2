"""Containers are seen if they are there, and not seen if they are not.

The files are those that each runtime leaves inside (see the module's sources); ``mountinfo`` is as it writes it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prov_worker.containers import KINDS, Container, find_container
from prov_worker.crate.software import container_image
from prov_worker.mountinfo import parse_mountinfo

PLAIN = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
ID = "0123456789abcdef" * 4
POD = "11112222-3333-4444-5555-666677778888"
OVERLAY = "27 1 0:50 / / rw,relatime - overlay overlay rw,lowerdir={0}/l/A:{0}/l/B,upperdir={0}/x/diff\n"


def bind(root: str, point: str) -> str:
    return f"40 27 254:0 {root} {point} rw,relatime - ext4 /dev/vda rw\n"


def docker(store: str) -> str:
    return OVERLAY.format(store) + bind(f"/var/lib/docker/containers/{ID}/hostname", "/etc/hostname")


NAMESPACE, FULL = "0 1000 1\n", "0 0 4294967295\n"
SEEN = {
    "docker": ({".dockerenv": "", "mounts": docker("/var/lib/docker/overlay2")}, {}, ("docker", None)),
    "docker-on-containerd": (
        {".dockerenv": "", "mounts": docker("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs")},
        {},
        ("docker", None),
    ),
    "docker-by-group": ({"groups": "0::/system.slice/docker-0a1b.scope\n", "mounts": PLAIN}, {}, ("docker", None)),
    "docker-without-mountinfo": ({".dockerenv": ""}, {}, ("docker", None)),
    "nerdctl": (
        {"mounts": OVERLAY.format("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs")},
        {},
        ("containerd", None),
    ),
    "podman": (
        {"run/.containerenv": 'engine="podman-4.9.3"\nimage="ghcr.io/a/b:1"\nimageid="x"\n', "mounts": PLAIN},
        {},
        ("podman", "ghcr.io/a/b:1"),
    ),
    "podman-rootless": (
        {
            "run/.containerenv": "",
            "mounts": PLAIN + bind(f"/u/overlay-containers/{ID}/userdata/.containerenv", "/run/.containerenv"),
        },
        {},
        ("podman", None),
    ),
    "podman-by-group": ({"groups": "0::/machine.slice/libpod-0a1b.scope\n"}, {}, ("podman", None)),
    "podman-hpc": (
        {"run/.containerenv": 'engine="podman-4.3"\n'},
        {"PODMAN_HPC_IMAGE": "nersc/x:1"},
        ("podman-hpc", "nersc/x:1"),
    ),
    "kubernetes-containerd": (
        {"var/run/secrets/kubernetes.io/serviceaccount/namespace": "lab", "groups": "0::/\n"},
        {"KUBERNETES_SERVICE_HOST": "10.1.0.1"},
        ("kubernetes", None),
    ),
    "kubernetes-without-token": (
        {"mounts": PLAIN + bind(f"/var/lib/kubelet/pods/{POD}/etc-hosts", "/etc/hosts"), "groups": "0::/\n"},
        {},
        ("kubernetes", None),
    ),
    "kubernetes-by-group": ({"groups": "0::/kubepods.slice/pod1/cri-1.scope\n"}, {}, ("kubernetes", None)),
    "lxc-with-systemd": ({"run/systemd/container": "lxc"}, {"container": "lxc"}, ("lxc", None)),
    "lxc": ({"groups": "0::/lxc.payload.web\n", "mounts": PLAIN}, {}, ("lxc", None)),
    "lxcfs": (
        {"mounts": PLAIN + "50 27 0:60 /proc/meminfo /proc/meminfo rw - fuse.lxcfs lxcfs rw\n", "groups": "0::/\n"},
        {},
        ("lxc", None),
    ),
    "nspawn": ({"run/host/container-manager": "systemd-nspawn\n"}, {}, ("systemd-nspawn", None)),
    # lxc-execute of LXC 5.0.2, without systemd and lxcfs, in a control group name space of its own
    "lxc-5.0.2": (
        {
            "mounts": "113 88 254:0 /var/lib/lxc/web/rootfs / rw,relatime shared:2 - ext4 /dev/vda rw\n"
            "90 117 0:40 /.lxc-boot-id /proc/sys/kernel/random/boot_id ro,nosuid,nodev - tmpfs none rw,size=492k\n",
            "groups": "0::/\n",
            "users": FULL,
        },
        {"container": "lxc"},
        ("lxc", None),
    ),
    # systemd-nspawn 252 with --private-users
    "nspawn-252": (
        {
            "run/host/container-manager": "systemd-nspawn\n",
            "mounts": "160 133 254:0 /srv/tree / rw,relatime shared:2 - ext4 /dev/vda rw\n",
            "groups": "0::/\n",
            "users": "0 65536 65536\n",
        },
        {"container": "systemd-nspawn"},
        ("systemd-nspawn", None),
    ),
    # Podman 4.3.1 with runc, run by root with --rootfs: its mark is empty
    "podman-4.3.1": (
        {
            "run/.containerenv": "",
            "mounts": "124 94 254:0 /srv/tree / rw,relatime - ext4 /dev/vda rw\n"
            + bind(f"/run/containers/storage/overlay-containers/{ID}/userdata/.containerenv", "/run/.containerenv"),
            "groups": f"9:name=systemd:/libpod_parent/libpod-{ID}\n0::/\n",
        },
        {"HOSTNAME": "vm"},
        ("podman", None),
    ),
    # ch-run 0.31 as root
    "charliecloud-0.31": (
        {
            "mounts": "90 113 254:0 /srv/tree / ro,relatime - ext4 /dev/vda rw\n"
            + bind("/tmp/ch-run_passwd.AkuCQS//deleted", "/etc/passwd"),
            "users": "0 0 1\n",
        },
        {"CH_RUNNING": "Weirdal Yankovic"},
        ("charliecloud", None),
    ),
    # ctr run of containerd 1.6.20 and runc run of runc 1.1.5 differ in nothing that is looked at
    "masked-by-runc": (
        {
            "mounts": "124 94 254:0 /srv/tree / rw,relatime - ext4 /dev/vda rw\n"
            "100 125 0:45 /null /proc/keys rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755\n",
            "groups": "0::/lab/web\n",
        },
        {},
        ("container", None),
    ),
    "unknown-manager": ({"run/systemd/container": "rkt"}, {}, ("container", None)),
    "charliecloud": ({"users": NAMESPACE}, {"CH_RUNNING": "Weirdal Yankovic"}, ("charliecloud", None)),
    "apptainer": (
        {".singularity.d/labels.json": "{}"},
        {"APPTAINER_CONTAINER": "/a/b.sif", "SINGULARITY_CONTAINER": "/a/b.sif"},
        ("apptainer", "/a/b.sif"),
    ),
    "apptainer-with-clean-environment": (
        {"mounts": "27 1 0:50 / / ro - overlay overlay ro,lowerdir=/var/lib/apptainer/mnt/session/final\n"},
        {},
        ("apptainer", None),
    ),
    # apptainer exec of 1.4.5 by an ordinary user, of a directory and of a SIF file alike: no /.singularity.d is needed
    "apptainer-1.4.5": (
        {
            "mounts": "95 43 0:41 / / rw,nodev,relatime unbindable - overlay overlay "
            "ro,lowerdir=/var/lib/apptainer/mnt/session/overlay-lowerdir:/var/lib/apptainer/mnt/session/rootfs\n",
            "users": "1000 1000 1\n",
        },
        {"APPTAINER_CONTAINER": "/tmp/i.sif", "APPTAINER_NAME": "i.sif"},
        ("apptainer", "/tmp/i.sif"),
    ),
    "singularity": (
        {".singularity.d/labels.json": "{}"},
        {"SINGULARITY_CONTAINER": "/c.sif"},
        ("singularity", "/c.sif"),
    ),
    "apptainer-of-a-docker-image": (
        {".singularity.d/labels.json": "{}", ".dockerenv": "", "mounts": PLAIN},
        {"APPTAINER_CONTAINER": "/d.sif"},
        ("apptainer", "/d.sif"),
    ),
    "shifter": (
        {"var/shifterConfig.json": '{"identifier":"9bb1","user":"u","volMap":""}\n', "mounts": PLAIN},
        {"SHIFTER_IMAGEREQUEST": "docker:x:1"},
        ("shifter", "docker:x:1"),
    ),
    "shifter-by-its-id": (
        {"var/shifterConfig.json": '{"identifier":"9bb1","user":"u","volMap":""}\n'},
        {},
        ("shifter", "9bb1"),
    ),
    # CRI-O mounts a mark for all containers of a pod, empty, as Podman's without privileges is
    "kubernetes-crio": (
        {
            "run/.containerenv": "",
            "mounts": PLAIN
            + bind(f"/containers/storage/overlay-containers/{ID}/userdata/.containerenv", "/run/.containerenv")
            + bind(f"/var/lib/kubelet/pods/{POD}/etc-hosts", "/etc/hosts"),
            "groups": "0::/\n",
        },
        {},
        ("kubernetes", None),
    ),
    # a static pod, with hosts of its image
    "kubernetes-static-pod": (
        {
            "mounts": PLAIN + bind(f"/pods/{ID[:32]}/containers/web/0a1b2c3d", "/dev/termination-log"),
            "groups": "0::/\n",
        },
        {},
        ("kubernetes", None),
    ),
    "podman-in-a-pod": (
        {
            "run/.containerenv": 'engine="podman-5.2.1"\nimage="x"\n',
            "mounts": PLAIN,
            "groups": f"0::/kubepods.slice/cri-1.scope/libpod-{ID}.scope\n",
        },
        {},
        ("podman", "x"),
    ),
}
NOT_SEEN = {
    "plain": ({"mounts": PLAIN}, {}),
    "nothing": ({}, {}),
    "empty-dockerenv": ({".dockerenv": "", "mounts": PLAIN, "groups": "0::/\n"}, {}),
    "empty-containerenv": ({"run/.containerenv": "", "mounts": PLAIN}, {}),
    "docker-is-installed": ({"groups": "0::/system.slice/docker.service\n", "mounts": PLAIN}, {}),
    "slurm-job-from-singularity": (
        {"groups": "0::/system.slice/slurmstepd.scope/job_41/step_0/user/task_0\n"},
        {"SINGULARITY_CONTAINER": "/home/u/tools.sif", "SINGULARITY_NAME": "tools.sif", "SLURM_JOB_ID": "41"},
    ),
    "job-from-charliecloud": ({"users": FULL, "mounts": PLAIN}, {"CH_RUNNING": "Weirdal Yankovic"}),
    "job-from-a-pod": ({"mounts": PLAIN}, {"KUBERNETES_SERVICE_HOST": "10.1.0.1", "container": "oci"}),
    "job-from-podman-hpc": ({"mounts": PLAIN}, {"PODMAN_HPC_IMAGE": "nersc/x:1", "container": "podman"}),
    "job-that-asks-for-shifter": ({"mounts": PLAIN}, {"SHIFTER_IMAGEREQUEST": "docker:x:1"}),
    "job-from-shifter": ({"mounts": PLAIN}, {"SHIFTER_RUNTIME": "1", "SHIFTER_IMAGEREQUEST": "docker:x:1"}),
    "a-folder-of-pods": ({"mounts": PLAIN + bind("/data/pods/2026/hosts", "/etc/hosts")}, {}),
    "diskless-node": ({"mounts": OVERLAY.format("/lower"), ".dockerenv": ""}, {}),
    # InaccessiblePaths= of a unit, systemd 252
    "service-with-masks": (
        {"mounts": PLAIN + "60 29 0:24 /systemd/inaccessible/reg /proc/kcore ro,nosuid - tmpfs tmpfs rw,mode=755\n"},
        {},
    ),
    "boot-id-of-its-own": (
        {"mounts": PLAIN + "61 29 0:24 /boot-id /proc/sys/kernel/random/boot_id ro - tmpfs tmpfs rw\n"},
        {},
    ),
    "node-that-serves-containers": ({"mounts": PLAIN + bind("/var/lib/docker/overlay2", "/scratch/o")}, {}),
}
FILES = {"mounts": "proc/self/mountinfo", "groups": "proc/self/cgroup", "users": "proc/self/uid_map"}


def find(root: Path, files: dict[str, str], environ: dict[str, str]) -> Container | None:
    for name, text in files.items():
        path = root / FILES.get(name, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return find_container(environ, str(root), str(root / "proc"))


@pytest.mark.parametrize("name", SEEN)
def test_container_is_seen(name: str, tmp_path: Path) -> None:
    files, environ, container = SEEN[name]
    seen = find(tmp_path, files, environ)
    assert seen is not None
    assert (seen.kind, seen.image) == tuple(container)


@pytest.mark.parametrize("name", NOT_SEEN)
def test_no_container_is_seen(name: str, tmp_path: Path) -> None:
    files, environ = NOT_SEEN[name]
    assert find(tmp_path, files, environ) is None


def test_every_kind_can_be_given_and_is_no_image() -> None:
    assert {container[0] for _, _, container in SEEN.values()} == set(KINDS)
    assert [container_image(kind) for kind in KINDS] == [None] * len(KINDS)


def test_variable_of_charliecloud_in_a_real_user_name_space() -> None:
    """ch-run makes a user name space; on the plain node the variable was inherited."""
    code = "import os; from prov_worker.containers import find_container as f; c = f(os.environ); print(c and c.kind)"
    environ = {**os.environ, "CH_RUNNING": "Weirdal Yankovic"}

    def kind(*command: str) -> str:
        output = subprocess.run([*command, sys.executable, "-c", code], env=environ, capture_output=True, text=True)
        return output.stdout.strip()

    inside = ["unshare", "--user", "--map-root-user"]
    if shutil.which("unshare") is None or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("user name spaces cannot be made here")
    if Path("/proc/self/uid_map").read_text().split()[:3] == FULL.split():
        assert kind() != "charliecloud"
    assert kind(*inside) == "charliecloud"


def test_lines_of_mountinfo() -> None:
    text = "1 2 3\n22 1 0:20 / /proc rw\n30 1 0:25 /a\\040b /c\\134d ro shared:1 master:2 - ext4 /dev/a rw,x\n"
    (line,) = parse_mountinfo(text)
    assert (line.root, line.point, line.options) == ("/a b", "/c\\d", "ro")
    assert (line.type, line.source, line.super_options) == ("ext4", "/dev/a", "rw,x")
