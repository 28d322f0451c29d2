"""The tasks of a diagnosis, in at most three round trips.

The first is one small task, whose stages are timed. The second has what needs workers of its own, all at once. The
third looks for the crates of the first two.
"""

from __future__ import annotations

import json
import math
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.diagnose.channel import Channel
from prov_worker.diagnose.checks import CHECKS
from prov_worker.diagnose.evidence import Evidence, SentTask
from prov_worker.diagnose.remote import source
from prov_worker.diagnose.versions import PACKAGES
from prov_worker.errors import ProvWorkerError
from prov_worker.globus.answers import Answer
from prov_worker.humanize import plural

#: How long tasks of the second trip wait for each other, if the limit leaves it.
_HOLD_S = 15.0
_CONNECT_S = 3.0
_CRATE_WAIT_S = 20.0
_LAUNCH_S = 60.0
_MATRIX = 1024
#: Tasks that are sent if nobody says how many workers there are.
_TASKS = 2
#: After so long without an answer the web service is asked again how the endpoint is.
_ASK_AGAIN_S = 10.0


class Conversation:
    """One diagnosis while it runs.

    Args:
        channel: the way to the endpoint; closed at the end.
        evidence: is filled.
        say: takes one line about what is waited for.
    """

    def __init__(self, channel: Channel, evidence: Evidence, say: Callable[[str], None]) -> None:
        self._channel = channel
        self._evidence = evidence
        self._say = say
        self._probes = {probe for name in evidence.plan.checks for probe in CHECKS[name].probes}
        self._changed = threading.Condition()
        self._deadline = math.inf
        self._early: dict[str, tuple[Answer, int]] = {}

    def hold(self) -> None:
        """Send and wait until all is back, or the limit is reached; what went wrong is in the evidence.

        The web service may be slow to say that it cannot be reached: what asks it is a thread of its own, which is left
        behind at the limit.
        """
        begin = time.monotonic()
        self._deadline = begin + self._evidence.plan.timeout_s
        thread = threading.Thread(target=self._run, name="prov-worker-diagnose", daemon=True)
        thread.start()
        thread.join(self._evidence.plan.timeout_s)
        with self._changed:
            self._evidence.over = self._evidence.over or thread.is_alive()
            self._evidence.took_s = time.monotonic() - begin

    def _run(self) -> None:
        try:
            self._talk()
        except ProvWorkerError as error:
            with self._changed:
                self._evidence.error = error
        finally:
            threading.Thread(target=self._channel.close, daemon=True).start()  # may wait for a broker

    def _talk(self) -> None:
        evidence = self._evidence
        self._channel.listen(self._take)
        self._say("asking the web service for the endpoint")
        evidence.report = self._channel.report()
        if not evidence.report.online:
            return
        self._channel.prepare(source())
        (first,) = self._send(1, [self._request(["environment"] if "environment" in self._probes else [])])
        self._say("waiting for a worker")
        if not self._wait([first]) or not first.value:
            return
        requests = self._second(first)
        if requests:
            self._say(f"waiting for {plural(len(requests), 'task')} that run at once")
            if not self._wait(self._send(2, requests)):
                return
        if "crates" in self._probes:
            self._say("waiting for crates")
            wait_s = min(_CRATE_WAIT_S, max(1.0, (self._deadline - time.monotonic()) / 2))
            request = self._request(["crates"], tasks=[task.id for task in evidence.tasks], crate_wait_s=wait_s)
            self._wait(self._send(3, [request]))

    def _second(self, first: SentTask) -> list[dict[str, Any]]:
        """Return requests of the second trip; the launcher comes last, so that it waits for the others' workers."""
        plan, requests = self._evidence.plan, []
        left_s = self._deadline - time.monotonic()
        if self._probes & {"placement", "gpu"}:
            count = plan.tasks or plan.promised_tasks or _count(first)
            probes = ["placement", *(["gpu"] if "gpu" in self._probes else [])]
            shared = {"tasks": count, "nonce": uuid.uuid4().hex, "hold_s": min(_HOLD_S, left_s / 4), "size": _MATRIX}
            requests += [self._request(probes, number=number, **shared) for number in range(count)]
        if "launcher" in self._probes:
            requests.append(self._request(["launcher"], ranks=plan.ranks, launch_s=min(_LAUNCH_S, left_s / 3)))
        return requests

    def _request(self, probes: Sequence[str], **needs: Any) -> dict[str, Any]:
        return {"probes": list(probes), "run": v.DIAGNOSIS_RUN, "packages": PACKAGES, "connect_s": _CONNECT_S, **needs}

    def _send(self, stage: int, requests: Sequence[Mapping[str, Any]]) -> list[SentTask]:
        sent_ns = time.time_ns()
        tasks = [SentTask(tuple(request["probes"]), stage, sent_ns) for request in requests]
        with self._changed:
            self._evidence.tasks += tasks
        ids = self._channel.send([json.dumps(request) for request in requests], self._evidence.plan.resources)
        with self._changed:
            for task, name in zip(tasks, ids, strict=True):
                task.id, task.accepted_ns = name, time.time_ns()
                if name in self._early:
                    task.take(*self._early.pop(name))
        return tasks

    def _take(self, answer: Answer, received_ns: int) -> None:
        with self._changed:
            task = next((task for task in self._evidence.tasks if task.id == answer.task_id), None)
            if task is None:
                self._early[answer.task_id] = answer, received_ns
            elif task.answer is None:
                task.take(answer, received_ns)
            self._changed.notify_all()

    def _wait(self, tasks: Sequence[SentTask]) -> bool:
        """Wait for tasks; False: the limit came first."""
        while True:
            with self._changed:
                left_s = self._deadline - time.monotonic()
                # A moment before the limit, so that what is known is judged by this thread's last word.
                step_s = max(0.0, min(left_s - 0.05, _ASK_AGAIN_S))
                if self._changed.wait_for(lambda: all(task.answer is not None for task in tasks), step_s):
                    return True
            if self._deadline - time.monotonic() <= 0.1:
                with self._changed:
                    self._evidence.over = True
                return False
            report = self._channel.report()
            with self._changed:
                self._evidence.late_report = report
            missing = sum(task.answer is None for task in tasks)
            self._say(
                f"waiting for {missing} of {plural(len(tasks), 'task')}; "
                f"the endpoint is {'on' if report.online else 'off'}line"
            )


def _count(first: SentTask) -> int:
    """Return how many workers a pool has, as its worker says; 2 if it does not."""
    text = str(first.value["worker"]["count"])
    return int(text) if text.isdigit() and int(text) else _TASKS
