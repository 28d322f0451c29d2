"""Counters of energy, of described nodes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prov_worker.probes import ProbeContext, take_all
from prov_worker.probes.energy import EnergyInventory, open_counters
from prov_worker.probes.energy.base import CountingFile


def context(root: Path) -> ProbeContext:
    return ProbeContext(root / "proc", root / "sys", root / "etc", environ={})


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / "sys" / name.replace("__", ":")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def zone(root: Path, number: str, name: str, microjoules: int, largest: int = 262_143_328_850) -> Path:
    directory = f"class/powercap/intel-rapl:{number}"
    files = {"name": name, "energy_uj": str(microjoules), "max_energy_range_uj": str(largest)}
    write(root, **{f"{directory}/{key}": value for key, value in files.items()})
    return root / "sys" / directory / "energy_uj"


def readings(inventory: EnergyInventory) -> dict[str, float | None]:
    return {counter.subject: counter.read() for counter in inventory.counters}


def test_rapl_sums_packages_and_knows_that_they_start_again(tmp_path: Path) -> None:
    first = zone(tmp_path, "0", "package-0", 262_143_000_000)
    second = zone(tmp_path, "1", "package-1", 5_000_000)
    zone(tmp_path, "0:0", "core", 1_000_000)
    memory = zone(tmp_path, "0:1", "dram", 7_000_000, 65_712_999_613)
    inventory = open_counters(context(tmp_path))
    assert readings(inventory) == {"cpu": 0.0, "memory": 0.0}
    first.write_text("1671150\n")  # 2 J more: past the end of its range
    second.write_text("8000000\n")
    memory.write_text("7500000\n")
    assert readings(inventory) == {"cpu": 5.0, "memory": 0.5}
    second.write_text("")
    assert readings(inventory) == {"cpu": None, "memory": 0.5}
    second.write_text("9000000\n")
    assert readings(inventory)["cpu"] == 6.0, "what could not be read in between is not lost"
    inventory.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_rapl_that_root_alone_may_read_is_named(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 1).chmod(0)
    inventory = open_counters(context(tmp_path))
    assert inventory.counters == []
    assert "since 2020 kernels let root alone read RAPL" in inventory.notes[0]


def test_rapl_without_its_counter_is_named(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 1).unlink()
    report = take_all(["energy"], context(tmp_path)).probes["energy"]
    assert not report.success
    assert report.error is not None
    assert "no such file or directory: since 2020 kernels let root alone read RAPL" in report.error


def test_cray_counters_come_before_rapl(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 1_000_000)
    zone(tmp_path, "0:1", "dram", 1_000_000)
    directory = "cray/pm_counters"
    write(
        tmp_path,
        **{
            f"{directory}/energy": "1000 J 1669832323000000 us",
            f"{directory}/cpu_energy": "400 J 1669832323000000 us",
            f"{directory}/accel0_energy": "300 J 1669832323000000 us",
            f"{directory}/freshness": "7",
        },
    )
    report = take_all(["energy"], context(tmp_path)).probes["energy"]
    assert report.data == {
        "counters": [
            {"subject": "node", "source": "Cray pm_counters"},
            {"subject": "cpu", "source": "Cray pm_counters"},
            {"subject": "memory", "source": "RAPL (powercap)"},
        ],
        "notes": [],
    }
    inventory = open_counters(context(tmp_path))
    readings(inventory)
    (tmp_path / "sys" / directory / "energy").write_text("1250 J 1669832324000000 us\n")
    assert readings(inventory) == {"node": 250.0, "cpu": 0.0, "memory": 0.0}
    inventory.close()


def test_cray_counters_in_another_unit_are_named(tmp_path: Path) -> None:
    write(tmp_path, **{"cray/pm_counters/energy": "1000 kJ 1669832323000000 us"})
    inventory = open_counters(context(tmp_path))
    assert inventory.counters == []
    assert "expected a number of joules, got '1000 kJ" in inventory.notes[0]


def test_sensors_of_amd_sockets(tmp_path: Path) -> None:
    files = {"name": "amd_energy"}
    for number, label in enumerate(("Ecore000", "Ecore001", "Esocket0", "Esocket1"), 1):
        files |= {f"energy{number}_label": label, f"energy{number}_input": str(number * 1_000_000)}
    write(tmp_path, **{f"class/hwmon/hwmon3/{name}": text for name, text in files.items()})
    inventory = open_counters(context(tmp_path))
    assert readings(inventory) == {"cpu": 0.0}
    (tmp_path / "sys/class/hwmon/hwmon3/energy4_input").write_text("9000000\n")
    assert readings(inventory) == {"cpu": 5.0}
    inventory.close()


def test_a_node_without_any_says_what_was_looked_for(tmp_path: Path) -> None:
    report = take_all(["energy"], context(tmp_path)).probes["energy"]
    assert report.success
    assert report.absent is not None
    assert [word in report.absent for word in ("pm_counters", "RAPL", "hwmon")] == [True, True, True]


def test_a_counter_that_was_reset_loses_no_more_than_it_had(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("100")
    file = CountingFile(path)
    assert file.read() == 0
    path.write_text("130")
    assert file.read() == 30
    path.write_text("5")
    assert file.read() == 35
    file.close()
    assert file.read() is None
