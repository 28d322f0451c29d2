"""The runtime of containers and the image, if workers run in one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from prov_worker.files import sha256_of_file
from prov_worker.finding import Finding, failed, passed, warned
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject
from prov_worker.sites.check.worker_shell import in_worker_shell

_IMAGE_FILES = ("apptainer", "singularity")
#: As the templates start containers.
_NO_RIGHTS = ("--cap-drop=ALL", "--security-opt=no-new-privileges")


def command(subject: Subject, inside: list[str]) -> list[str]:
    """Return a command that runs another one in the image, without network if that can be said."""
    runtime = str(subject.engine["container_type"])
    image = subject.values["image"]
    if runtime in _IMAGE_FILES:
        return [runtime, "exec", image, *inside]
    network = ["--network=none"] if runtime == "docker" else []
    return [runtime, "run", "--rm", *network, *_NO_RIGHTS, image, *inside]


def present(subject: Subject) -> bool:
    """Return whether runtime and image are here, so that the image can be asked without fetching anything."""
    runtime = str(subject.engine["container_type"])
    if _where(subject, runtime) is None:
        return False
    if runtime in _IMAGE_FILES:
        return Path(subject.values["image"]).exists()
    return _inspect(subject, runtime)[0] is not None


def check(subject: Subject) -> Iterator[Finding]:
    """Yield runtime, image and digest."""
    if subject.values["runtime"] != "container":
        return
    runtime = str(subject.engine["container_type"])
    path = _where(subject, runtime)
    if path is None:
        observation = f"there is no {runtime} on this host, not even after worker_init"
        if subject.scheduler:
            yield warned(
                "container runtime", observation, f"some sites have {runtime} on compute nodes alone: try a short job"
            )
        else:
            yield failed("container runtime", observation, f"install {runtime}, or set runtime to venv")
            return
    else:
        yield passed("container runtime", path)
    if runtime in _IMAGE_FILES:
        yield from _file(subject, subject.values["image"])
    elif path is not None:
        yield from _stored(subject, runtime)


def _file(subject: Subject, image: str) -> Iterator[Finding]:
    if "://" in image:
        yield warned(
            "image",
            f"{image} would be fetched by each batch job",
            "pull it into a file once, and set image to that file",
        )
        return
    path = Path(image)
    if not path.exists():
        yield failed("image", f"{image}: no such file", "set image to the absolute path of an image")
    elif not os.access(path, os.R_OK):
        yield failed("image", f"{image}: not readable", f"chmod u+r {image}, or ask its owner")
    elif path.is_dir():
        yield warned(
            "image", f"{image}: a directory, which has no digest", "build one file of it for crates that name it"
        )
    else:
        yield from _digest(subject, image, [f"sha256:{sha256_of_file(path)}"])


def _stored(subject: Subject, runtime: str) -> Iterator[Finding]:
    image = subject.values["image"]
    digests, message = _inspect(subject, runtime)
    if digests is None:
        yield failed("image", f"{image}: {message}", f"{runtime} pull {image}, or build it on this host")
    else:
        yield from _digest(subject, image, digests)


def _digest(subject: Subject, image: str, digests: list[str]) -> Iterator[Finding]:
    stated = subject.values["image_digest"]
    if not stated:
        yield warned("image", f"{image}, {digests[0]}", f"--set image_digest={digests[0]}, so that crates name it")
    elif stated not in digests:
        yield failed(
            "image", f"{image} is {digests[0]}, and image_digest says {stated}", f"--set image_digest={digests[0]}"
        )
    else:
        yield passed("image", f"{image}, {stated}")


def _inspect(subject: Subject, runtime: str) -> tuple[list[str] | None, str]:
    """Return digests of an image that is stored here, that of its registry first; None if there is no such image."""
    answer = in_worker_shell(subject, [runtime, "image", "inspect", subject.values["image"]]).answer
    if answer.status != 0:
        return None, answer.message
    try:
        (description,) = json.loads(answer.output[answer.output.index("[") :])
        identity = str(description["Id"])
        digests = [str(repodigest).rpartition("@")[2] for repodigest in description.get("RepoDigests") or []]
    except (ValueError, KeyError, TypeError):
        return None, f"{runtime} image inspect: not understood"
    return [*digests, identity if identity.startswith("sha256:") else f"sha256:{identity}"], ""


def _where(subject: Subject, runtime: str) -> str | None:
    """Return path of the runtime, which a module may bring in."""
    answer = in_worker_shell(subject, ["bash", "-c", f"command -v {runtime}"]).answer
    lines = answer.output.split()
    return lines[-1] if answer.status == 0 and lines else None


CHECKS.add("container", check, rank=30)
