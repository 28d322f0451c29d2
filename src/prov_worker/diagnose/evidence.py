"""What came back from an endpoint, for checks to judge."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from prov_worker.diagnose.plan import Plan
from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.globus.answers import Answer
from prov_worker.globus.endpoint_report import EndpointReport

#: Characters of a reason that are shown.
_LONGEST = 600


@dataclass(slots=True)
class SentTask:
    """One task of a diagnosis; times are nanoseconds since the epoch, by the clock of this machine.

    Attributes:
        probes: what it runs.
        stage: of the diagnosis: 1, 2 or 3.
        sent_ns: when the request for it was sent.
        accepted_ns: when the web service had taken it.
        id: of the task; None before that.
        answer: what came back; None: nothing yet.
        received_ns: when.
        value: what its function said; empty if it did not end well.
        error: why not.
    """

    probes: tuple[str, ...]
    stage: int
    sent_ns: int
    accepted_ns: int = 0
    id: str | None = None
    answer: Answer | None = None
    received_ns: int = 0
    value: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    def take(self, answer: Answer, received_ns: int) -> None:
        """Keep what came back."""
        from prov_worker.globus.call_packing import unpack_result

        if not answer.succeeded:
            self.error = answer.text.strip()
        else:
            try:
                self.value = json.loads(unpack_result(answer.text))
            except (InputError, ValueError, TypeError) as error:
                self.error = str(error)
        self.received_ns = received_ns
        self.answer = answer

    @property
    def host(self) -> str:
        """Name of the node that it ran on."""
        return str(self.value["worker"]["host"])

    @property
    def began_ns(self) -> int:
        """When its function began, by the worker's clock."""
        started_ns = self.answer.started_ns if self.answer is not None else None
        return int(started_ns or self.value["begin_ns"])

    @property
    def ended_ns(self) -> int:
        """When its function ended, by the worker's clock."""
        ended_ns = self.answer.ended_ns if self.answer is not None else None
        return int(ended_ns or self.began_ns)


@dataclass(slots=True)
class Evidence:
    """All that is known when the checks judge.

    Attributes:
        plan: of the diagnosis.
        here: versions on this machine, by distribution; None of what is not installed.
        report: what the web service says of the endpoint; None: it was not asked, or gave no answer.
        late_report: the same after a long wait for a task: how many workers there are.
        error: why the diagnosis could not go on.
        tasks: that were sent.
        took_s: how long all of it took.
        over: the time limit was reached before all had come back.
    """

    plan: Plan
    here: dict[str, str | None]
    report: EndpointReport | None = None
    late_report: EndpointReport | None = None
    error: ProvWorkerError | None = None
    tasks: list[SentTask] = field(default_factory=list)
    took_s: float = 0.0
    over: bool = False

    def sent(self, probe: str) -> list[SentTask]:
        """Return the tasks that run a probe."""
        return [task for task in self.tasks if probe in task.probes]

    def answers(self, probe: str) -> Iterator[tuple[SentTask, dict[str, Any]]]:
        """Yield the tasks whose probe said something, and what; without those whose probe failed."""
        for task in self.sent(probe):
            answer = task.value.get(probe)
            if answer is not None and "error" not in answer:
                yield task, answer

    def errors(self, probe: str) -> list[str]:
        """Return why tasks of a probe said nothing, each reason once."""
        reasons: dict[str, None] = {}
        for task in self.sent(probe):
            text = task.error or (task.value.get(probe) or {}).get("error")
            if text:
                reasons[reason(text)] = None
        return list(reasons)

    def first(self) -> SentTask | None:
        """Return the task that was sent alone and first; None if it was not."""
        return self.tasks[0] if self.tasks else None

    def clock_offset_s(self, host: str | None = None) -> tuple[float, float] | None:
        """Return bounds of how far clocks of workers are ahead of this machine's, in seconds; None without a task.

        A task begins after it was sent and ends before its result is here, by any one clock: the correctness interval
        of NTP (RFC 5905, 11.2.1), with nothing assumed about how long either way takes.

        Args:
            host: of one node; None: of the first task's.
        """
        tasks = [task for task in self.tasks if task.value]
        if host is None and tasks:
            host = tasks[0].host
        tasks = [task for task in tasks if task.host == host]
        if not tasks:
            return None
        least = max(task.ended_ns - task.received_ns for task in tasks) / 1e9
        most = min(task.began_ns - task.sent_ns for task in tasks) / 1e9
        return least, most

    def here_ns(self, task: SentTask, moment_ns: int) -> float:
        """Return a worker's time by the clock of this machine, as far as it is known to be off."""
        least, most = self.clock_offset_s(task.host) or (0.0, 0.0)
        offset_s = 0.0 if least <= 0 <= most else (least + most) / 2
        return moment_ns - offset_s * 1e9


def reason(text: str) -> str:
    """Return what stands behind the frames of a traceback, on one line; what is too long loses its middle."""
    lines = [line for line in text.splitlines() if any(map(str.isalnum, line))]
    frames = [number for number, line in enumerate(lines) if line.startswith("  ")]
    after = lines[frames[-1] + 1 :] if frames else lines
    joined = " ".join(" ".join(after or lines).split())
    return joined if len(joined) <= _LONGEST else f"{joined[: _LONGEST // 2]} … {joined[-_LONGEST // 2 :]}"


def listed(names: Iterable[object]) -> str:
    """Return things as people list them: ``a, b and c``."""
    texts = [str(name) for name in names]
    return " and ".join(texts) if len(texts) < 3 else f"{', '.join(texts[:-1])} and {texts[-1]}"
