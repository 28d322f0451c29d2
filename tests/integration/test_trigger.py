"""``prov-worker trigger`` on what arrives as data do: written, copied by rsync, paused, deleted, on a file system that
goes away. Each command notes how much was there, and is held against what there was to come."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from support.commands import run_program
from support.programs import Programs

pytestmark = pytest.mark.skipif(shutil.which("rsync") is None, reason="no rsync here")


class Station:
    """A directory in which data arrive, and what its triggers have noted."""

    def __init__(self, path: Path, programs: Programs) -> None:
        self.path, self.data = path, path / "data"
        self.data.mkdir()
        self._programs = programs

    def start(self, name: str, pattern: str, *options: str, settle: str = "2") -> subprocess.Popen[bytes]:
        """Start a trigger whose command notes a folder and the number of its files."""
        command = f'echo "$(basename "$1") $(find "$1" -type f | wc -l)" >> {self.path / name}.log'
        return self._programs.start([
            sys.executable, "-m", "prov_worker", "trigger", str(self.data), "--pattern", pattern,
            "--settle", settle, "--every", "0.2", "--state", str(self.path / f"{name}.state"), *options,
            "--exec", command,
        ])  # fmt: skip

    def notes(self, name: str) -> list[str]:
        log = self.path / f"{name}.log"
        return log.read_text().splitlines() if log.exists() else []

    def wait(self, name: str, count: int) -> None:
        while len(self.notes(name)) < count:
            time.sleep(0.1)

    def put(self, folder: str, count: int, pause_s: float = 0.0, below: str = "") -> None:
        """Write files into a folder one after the other."""
        place = self.data / folder / below
        place.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (place / f"part{number}.evt").write_bytes(b"x" * 1000)
            time.sleep(pause_s)

    def source(self, folder: str, count: int, size: int) -> Path:
        """Make a folder elsewhere, with old times."""
        place = self.path / "source" / folder
        place.mkdir(parents=True)
        for number in range(count):
            (place / f"part{number}.evt").write_bytes(os.urandom(size))
            os.utime(place / f"part{number}.evt", ns=(10**18, 10**18))
        return place


@pytest.fixture
def station(tmp_path: Path, programs: Programs) -> Station:
    return Station(tmp_path, programs)


@pytest.mark.slow
def test_seven_ways_in_which_data_arrive(station: Station) -> None:
    station.put("run0", 3)  # there before the start
    station.start("all", "run*")
    station.start("marked", "paused*", "--done-file", "DONE", "--expect", "*.evt", settle="0.5")
    (station.data / "run3").mkdir()  # empty
    source = station.source("run2", 4, 100_000)
    copying = threading.Thread(
        target=run_program, args=("rsync", "-a", "--bwlimit=120", f"{source}", f"{station.data}/")
    )
    writing = threading.Thread(target=station.put, args=("run1", 30, 0.1, "deep/er"))
    for thread in (copying, writing):
        thread.start()
    station.put("paused", 1)
    time.sleep(1.5)  # longer than that trigger's settle time
    station.put("paused", 3)
    assert station.notes("marked") == []
    (station.data / "paused" / "DONE").touch()
    for thread in (copying, writing):
        thread.join()
    station.wait("all", 3)
    station.wait("marked", 1)
    shutil.rmtree(station.data / "run0")  # after it was fired
    station.put("run4", 2)
    time.sleep(0.5)
    os.rename(station.data, station.path / "away")
    time.sleep(1.0)
    os.rename(station.path / "away", station.data)
    station.put("run5", 2)
    station.wait("all", 5)
    assert Counter(station.notes("all")) == Counter(["run0 3", "run1 30", "run2 4", "run4 2", "run5 2"])
    assert station.notes("marked") == ["paused 4"]


@pytest.mark.slow
def test_rsync_that_is_killed_in_the_middle(station: Station) -> None:
    station.start("all", "run*", settle="1")
    source = station.source("run1", 1, 400_000)
    command = ["rsync", "-a", "--bwlimit=100", str(source), f"{station.data}/"]
    copying = subprocess.Popen(command, start_new_session=True)
    while not list(station.data.glob("run1/.part0.evt.??????")):
        time.sleep(0.05)
    os.killpg(copying.pid, signal.SIGKILL)
    copying.wait()
    time.sleep(2.5)
    assert station.notes("all") == []  # at rest, but not whole
    run_program(*[option for option in command if "bwlimit" not in option], check=True)
    station.wait("all", 1)
    time.sleep(1.5)
    assert station.notes("all") == ["run1 2"]  # with what the first one left


@pytest.mark.slow
def test_a_trigger_of_cron_goes_on_where_it_left_off(station: Station) -> None:
    station.put("run1", 2)
    for _ in range(2):
        assert station.start("all", "run*", "--once", settle="0.5").wait(60) == 0
        time.sleep(0.6)
    assert station.start("all", "run*", "--once", settle="0.5").wait(60) == 0
    assert station.notes("all") == ["run1 2"]


def test_sigterm_ends_it_and_a_second_one_is_refused(station: Station) -> None:
    first = station.start("all", "run*")
    while not (station.path / "all.state").exists():
        time.sleep(0.05)
    assert station.start("all", "run*").wait(60) == 2
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
