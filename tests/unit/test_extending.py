"""A scheduler, a probe, a GPU source and checks register themselves, and are known with no other file touched."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from prov_worker import schedulers
from prov_worker.agent.job_ends import JobEnds
from prov_worker.agent.node_meter import GpuMeters
from prov_worker.agent.publisher import Publisher
from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.rules import RULES, Checked
from prov_worker.crate.summary_reader import step_of
from prov_worker.crate.violations import WARNING, Violation
from prov_worker.finding import Finding, passed
from prov_worker.model import COMPLETED, FAILED, Failure, Function, TaskRecord, Worker, host_name
from prov_worker.probes import PROBES, ProbeContext, take_all
from prov_worker.probes.base import NoData
from prov_worker.probes.gpus import GPU_SOURCES, GpuMeter, GpuSample, open_gpus
from prov_worker.probes.gpus.base import GpuDevice, GpuListing, GpuSource, description
from prov_worker.recorder.worker_info import worker_facts
from prov_worker.schedulers import SCHEDULERS
from prov_worker.schedulers.answers.hostlist import expand
from prov_worker.schedulers.base import Contradiction, Explain, JobRequest, Scheduler
from prov_worker.settings import Settings
from prov_worker.sites import combinations
from prov_worker.sites.catalog import Site
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject
from prov_worker.sites.check.preflight import preflight
from prov_worker.spool.records import Ended


class Flux(Scheduler):
    """A scheduler as a contributor would write it."""

    name = "flux"
    title = "Flux"
    job_id = "FLUX_JOB_ID"
    variables = ("FLUX_JOB_ID", "FLUX_JOB_NNODES")
    secrets = ("FLUX_TOKEN",)
    facts = {"job_id": "FLUX_JOB_ID", "node_count": "FLUX_JOB_NNODES"}  # noqa: RUF012
    commands = ("sh",)
    providers = ("FluxProvider",)
    launchers = {"FluxLauncher": "cat"}  # noqa: RUF012

    def nodes(self, environ: Mapping[str, str]) -> tuple[list[str], str | None]:
        return expand(environ.get("FLUX_HOSTS", "")), None

    def explainer(self, environ: Mapping[str, str]) -> Explain:
        def explain(record: TaskRecord, death_seen: bool) -> None:
            assert record.failure is not None
            record.failure.message += f"; job {record.worker.scheduler['FLUX_JOB_ID']} timed out, seen: {death_seen}"

        return explain

    def contradictions(self, options: Mapping[str, Any]) -> Iterator[Contradiction]:
        if options["bank"] == "none":
            yield ("bank",), "must be one of yours"

    def preflight(self, job: JobRequest) -> Iterator[Finding]:
        yield passed("bank", f"{job.values['bank']} has time left")


JOB = {"FLUX_JOB_ID": "f7", "FLUX_JOB_NNODES": "2", "FLUX_HOSTS": "tuo[1-2]", "FLUX_TOKEN": "s3cret"}


@pytest.fixture
def flux() -> Iterator[Flux]:
    scheduler = Flux()
    with SCHEDULERS.temporary("flux", scheduler):
        yield scheduler


def test_settings_and_recorder_know_a_schedulers_variables(flux: Flux) -> None:
    assert set(flux.variables) <= set(Settings().capture_environment)
    assert "FLUX_TOKEN" not in Settings().capture_environment
    facts = worker_facts(JOB, Settings().capture_environment)
    assert facts["sched"] == {"FLUX_JOB_ID": "f7", "FLUX_JOB_NNODES": "2"}
    assert "FLUX_TOKEN" in schedulers.secrets()


def test_the_probe_describes_its_jobs(flux: Flux) -> None:
    data = take_all(["scheduler"], ProbeContext(environ=JOB)).data("scheduler")
    assert data == {"kind": "flux", "job_id": "f7", "node_count": 2} | {
        "node_index": None,
        "nodes": ["tuo1", "tuo2"],
        "nodes_error": None,
    }


def task(**changes: Any) -> TaskRecord:
    values: dict[str, Any] = {
        "task_id": "00000000-0000-4000-8000-000000000001",
        "attempt": 1,
        "status": COMPLETED,
        "start_ns": 10**18,
        "end_ns": 10**18 + 10**9,
        "function": Function("f"),
        "worker": Worker(host_name(), 7, scheduler={"FLUX_JOB_ID": "f7"}),
    }
    return TaskRecord(**values | changes)


def test_the_agent_asks_it_why_a_job_ended(flux: Flux) -> None:
    record = task(status=FAILED, failure=Failure("signal", "killed"))
    JobEnds().explain(record, death_seen=True)
    assert record.failure is not None
    assert record.failure.message == "killed; job f7 timed out, seen: True"


def test_a_scheduler_that_fails_costs_a_task_nothing(flux: Flux, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flux, "explainer", lambda environ: 1 / 0)
    record = task(status=FAILED, failure=Failure("signal", "killed"))
    JobEnds().explain(record, death_seen=True)
    assert record.failure == Failure("signal", "killed")


def test_the_summary_of_a_crate_has_its_job(flux: Flux, tmp_path: Path) -> None:
    path = Path(Publisher(str(tmp_path)).publish(Ended(task(), {"probes": [], "plots": "none"}), None, None))
    assert step_of(StepCrate.open(path), b"").scheduler_job == "f7"


def site_of(bank: str) -> tuple[Site, dict[str, Any]]:
    site = Site("tuolumne", "Tuolumne", {}, "engine:\n  provider:\n    type: FluxProvider\n")
    values = {
        "bank": bank,
        "workers": 1,
        "affinity": "none",
        "accelerators": [],
        "runtime": "venv",
        "image": "",
        "image_digest": "",
        "heartbeat_period": 1,
        "heartbeat_threshold": 2,
        "min_blocks": 0,
        "init_blocks": 0,
        "max_blocks": 1,
    }
    return site, values


def test_options_of_its_sites_are_compared(flux: Flux) -> None:
    site, values = site_of("none")
    assert site.scheduler is flux
    assert list(combinations.problems(site, values)) == [(("bank",), "must be one of yours")]
    assert list(combinations.problems(*site_of("mine"))) == []


def test_the_preflight_asks_it(flux: Flux, tmp_path: Path) -> None:
    site, values = site_of("mine")
    engine = {"provider": {"type": "FluxProvider", "launcher": {"type": "FluxLauncher"}}}
    subject = Subject(site, values, engine, "#!/bin/sh\n", tmp_path)
    assert subject.scheduler is flux
    findings = list(CHECKS["scheduler"](subject))
    assert [finding.subject for finding in findings] == ["scheduler commands", "launcher", "bank"]
    assert findings[-1].found == "mine has time left"
    assert {finding.status for finding in findings} == {"pass"}


class Fans:
    """A probe."""

    name = "fans"
    time_limit_s = 1.0

    def take(self, context: ProbeContext) -> dict[str, Any]:
        return {"rpm": [1200, 900]}


def test_a_probe_is_an_option_and_is_taken_by_default(tmp_path: Path) -> None:
    with PROBES.temporary("fans", Fans):
        assert Settings.from_mapping({"probes": ["fans"]}).probes == ("fans",)
        record = task(worker=Worker(host_name(), 7))
        path = Path(Publisher(str(tmp_path)).publish(Ended(record, {"plots": "none"}), None, None))
        assert StepCrate.open(path).hardware()["probes"]["fans"]["data"] == {"rpm": [1200, 900]}
    assert "fans" not in PROBES.default_names()


class Tile(GpuDevice):
    """A device of a GPU source, and its meter."""

    vendor = "intel"

    def describe(self) -> dict[str, Any]:
        return description("intel", "Max 1550", uuid="L0-1", driver="level zero 1.14", sockets=2)

    def meter(self, index: int) -> GpuMeter:
        return TileMeter(index, self.vendor, "L0-1")


class TileMeter(GpuMeter):
    closed = False

    def read(self) -> GpuSample:
        return GpuSample(50.0, 1 << 30, 300.0, 60.0)

    def close(self) -> None:
        self.closed = True


class LevelZero(GpuSource):
    """A source that knows more of Intel's devices than the kernel shows."""

    vendors = ("intel",)

    def open(self, context: ProbeContext) -> GpuListing:
        if "pyze" not in context.libraries:
            raise NoData("Level Zero is not installed")
        return GpuListing([Tile()])


@pytest.fixture
def aurora() -> ProbeContext:
    fixtures = Path(__file__).parent / "probes" / "fixtures" / "aurora"

    def command(arguments: object, limit_s: float) -> str:
        raise NoData("not here")

    return ProbeContext(fixtures / "proc", fixtures / "sys", fixtures / "etc", environ={}, command=command)


def test_a_gpu_source_is_believed_before_those_of_higher_rank(aurora: ProbeContext) -> None:
    with GPU_SOURCES.temporary("level_zero", LevelZero(), rank=25):
        silent = take_all(["gpu"], aurora).data("gpu")
        assert len(silent["devices"]) == 6
        assert silent["notes"] == []
        here = dataclasses.replace(aurora, libraries={"pyze": object()})
        (device,) = take_all(["gpu"], here).data("gpu")["devices"]
        assert (device["index"], device["model"], device["sockets"], device["pci"]) == (0, "Max 1550", 2, None)
        (meter,) = open_gpus(here)
        assert (meter.index, meter.vendor, meter.uuid) == (0, "intel", "L0-1")


def test_the_agent_samples_its_devices(aurora: ProbeContext) -> None:
    here = dataclasses.replace(aurora, libraries={"pyze": object()})
    with GPU_SOURCES.temporary("level_zero", LevelZero(), rank=25):
        meters = GpuMeters(0.05, lambda: list(open_gpus(here)))
        deadline = time.monotonic() + 90
        while meters.history is None and time.monotonic() < deadline:
            time.sleep(0.01)
        meters.close()
    assert meters.history is not None
    assert [quantity.name for quantity in meters.history.quantities] == [
        "gpu0_utilization_percent",
        "gpu0_memory_used_bytes",
        "gpu0_power_watts",
        "gpu0_temperature_celsius",
    ]


def test_a_source_that_fails_hides_no_device_of_another(aurora: ProbeContext) -> None:
    class Broken(GpuSource):
        vendors = ("intel",)

        def open(self, context: ProbeContext) -> GpuListing:
            raise ZeroDivisionError("oops")

    with GPU_SOURCES.temporary("broken", Broken(), rank=1):
        data = take_all(["gpu"], aurora).data("gpu")
        assert len(data["devices"]) == 6
        assert data["notes"] == ["ZeroDivisionError: oops"]
        assert len(open_gpus(aurora)) == 6


def test_a_rule_looks_at_each_crate(tmp_path: Path) -> None:
    def dull(checked: Checked) -> Iterator[Violation]:
        yield Violation(WARNING, "dull", "./", f"{len(checked.graph)} entities say little")

    path = Publisher(str(tmp_path)).publish(Ended(task(), {"probes": [], "plots": "none"}), None, None)
    before = check_crate(path)
    with RULES.temporary("dull", dull):
        (finding,) = set(check_crate(path)) - set(before)
    assert finding.rule == "dull"
    assert check_crate(path) == before


def test_a_check_is_part_of_each_preflight(tmp_path: Path) -> None:
    def coffee(subject: Subject) -> Iterator[Finding]:
        yield passed("coffee", subject.site.title)

    def tea(subject: Subject) -> Iterator[Finding]:
        raise PermissionError("no key")

    site, values = site_of("mine")
    subject = Subject(site, values, {"provider": {"type": "LocalProvider"}}, "", tmp_path)
    names = CHECKS.names()
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(CHECKS.temporary(name, lambda subject: iter(())))
        stack.enter_context(CHECKS.temporary("tea", tea, rank=-1))
        stack.enter_context(CHECKS.temporary("coffee", coffee, rank=-2))
        findings = preflight(subject)
    assert [(finding.subject, finding.status) for finding in findings] == [("coffee", "pass"), ("tea", "fail")]
    assert findings[1].found == "cannot be looked at: no key"
    assert CHECKS.names() == names
