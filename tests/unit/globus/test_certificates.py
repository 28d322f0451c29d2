"""The directory of CurveZMQ certificates is the user's alone, or the endpoint does not start."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import zmq
from parsl import curvezmq

from prov_worker.errors import SettingsError
from prov_worker.globus.certificates import close_certificates


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_closed(tmp_path: Path) -> None:
    directory = tmp_path / "run" / "label" / "certificates"
    close_certificates(directory)
    assert mode(directory) == 0o700


def test_one_that_is_open_to_others_is_closed(tmp_path: Path) -> None:
    directory = tmp_path / "certificates"
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    close_certificates(directory)
    assert mode(directory) == 0o700
    assert curvezmq.create_certificates(tmp_path) == str(directory)
    context = curvezmq.ClientContext(directory)
    context.socket(zmq.REQ).close()  # reads the keys, and refuses an open directory
    context.term()


@pytest.mark.parametrize("kind", ["file", "link", "file above"])
def test_what_cannot_be_closed_is_named(tmp_path: Path, kind: str) -> None:
    directory = tmp_path / "run" / "certificates"
    if kind == "file above":
        directory.parent.write_text("")
    else:
        directory.parent.mkdir()
        if kind == "file":
            directory.write_text("")
        else:
            (tmp_path / "elsewhere").mkdir(mode=0o755)
            directory.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match=rf"engine\.encrypted: {directory}: cannot be"):
        close_certificates(directory)
