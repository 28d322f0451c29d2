"""Environments of workers that are wrong in one way each, by what ``worker_init`` can do."""

from __future__ import annotations

from pathlib import Path

#: Read by each interpreter that worker_init's commands start. A clock and a release of Python are a worker's alone:
#: the manager's heartbeats would stop otherwise, which is another fault.
SITECUSTOMIZE = """\
import os, sys

faults = os.environ.get("WORKER_FAULTS", "").split(",")
worker = "spawn_main" in " ".join(sys.orig_argv)
if "clock" in faults and worker:
    import time

    now, now_ns = time.time, time.time_ns
    time.time, time.time_ns = (lambda: now() + 3600), (lambda: now_ns() + 3600 * 10**9)
if "python" in faults and worker:
    import platform

    platform.python_version = lambda: "3.9.7"
if "package" in faults:
    for name in [name for name in sys.modules if name.partition(".")[0] == "prov_worker"]:
        del sys.modules[name]
    sys.path[:] = [path for path in sys.path if not os.path.exists(os.path.join(path, "prov_worker", "__init__.py"))]
"""


def worker_init(directory: Path, *faults: str) -> str:
    """Shell commands that bring faults about: ``clock``, ``python``, ``dill``, ``package``, ``proxy``, ``launcher``.

    Args:
        directory: for what they need; made here.
        faults: which.
    """
    directory.mkdir(exist_ok=True)
    (directory / "sitecustomize.py").write_text(SITECUSTOMIZE)
    commands = [f"export PYTHONPATH={directory}:$PYTHONPATH WORKER_FAULTS={','.join(faults)}"]
    if "dill" in faults:
        metadata = directory / "dill-0.3.6.dist-info"
        metadata.mkdir(exist_ok=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: dill\nVersion: 0.3.6\n")
    if "proxy" in faults:
        commands.append("export HTTPS_PROXY=http://ada:lovelace@127.0.0.1:1")
    if "launcher" in faults:
        programs = directory / "bin"
        programs.mkdir(exist_ok=True)
        for program in (path for place in ("/bin", "/usr/bin") for path in Path(place).iterdir()):
            if (
                program.name.partition(".")[0] not in ("mpiexec", "mpirun", "srun")
                and not (programs / program.name).exists()
            ):
                (programs / program.name).symlink_to(program)
        commands.append(f"export PATH=$(dirname $(command -v globus-compute-endpoint)):{programs}")
    return "; ".join(commands)
