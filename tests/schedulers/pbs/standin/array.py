"""A job array: subjobs of one script that differ by their index (User's Guide of PBS, "Job Arrays")."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .job import _FINISHED, QDEL, Job
from .request import stand_in


def indices(text: str) -> range:
    """Of ``-J``: ``FIRST-LAST`` or ``FIRST-LAST:STEP``."""
    match = re.fullmatch(r"(\d+)-(\d+)(?::(\d+))?", text)
    if match is None or int(match[2]) <= int(match[1]) or match[3] == "0":
        raise stand_in(f"qsub -J {text} is not in it")
    return range(int(match[1]), int(match[2]) + 1, int(match[3] or 1))


@dataclass(slots=True)
class Subjob(Job):
    """One job of an array; its id is ``SEQ[INDEX].SERVER``."""

    array: str = ""
    index: int = 0

    def _suffix(self) -> str:
        return f"{self.id.partition('[')[0]}.{self.index}"

    def _of_array(self) -> dict[str, str]:
        return {"PBS_ARRAY_ID": self.array, "PBS_ARRAY_INDEX": str(self.index)}

    def extra(self) -> dict[str, Any]:
        """See :class:`Job`."""
        return {"array_id": self.array, "array_index": self.index}


@dataclass(slots=True)
class Array(Job):
    """The array as a whole; its id is ``SEQ[].SERVER``. No process is its own, and it is never placed."""

    subjobs: list[Subjob] = field(default_factory=list)

    def __post_init__(self) -> None:
        super(Array, self).__post_init__()
        number, server = self.id.split("[].", 1)
        for index in indices(self.asked.options["J"]):
            job_id = f"{number}[{index}].{server}"
            self.subjobs.append(
                Subjob(
                    job_id,
                    self.config,
                    self.directory,
                    copy.deepcopy(self.asked),
                    self.script,
                    self.submitted,
                    array=self.id,
                    index=index,
                )
            )

    def tick(self) -> None:
        """Begin with the first subjob that runs, and end with the last one."""
        if self.state == "F":
            return
        if self.state != "B" and any(job.started for job in self.subjobs):
            self.started = time.time()
            self.comment = time.strftime("Job Array Began at %a %b %d at %H:%M", time.localtime(self.started))
            self._to("B", 70)
        if all(job.state == "F" for job in self.subjobs):
            # User's Guide, "Job Array Exit Status": 0 if all ended with 0, 1 if any did not.
            self.exit_status = int(any(job.exit_status != 0 for job in self.subjobs)) if self.started else None
            self.finished = time.time()
            self._to("F", _FINISHED[self.ending or ("failed" if self.exit_status else "finished")])

    def delete(self) -> None:
        """End all that have not ended."""
        self.ending = QDEL
        self.comment = f"{self.comment or 'Not Running'} and terminated"
        for job in self.subjobs:
            if job.state != "F":
                job.delete()

    def extra(self) -> dict[str, Any]:
        """See :class:`Job`."""
        waiting = [job.index for job in self.subjobs if job.state in "QH"]
        counts = {
            "Queued": len(waiting),
            "Running": sum(job.state == "R" for job in self.subjobs),
            "Exiting": sum(job.state == "E" for job in self.subjobs),
            "Expired": sum(job.state == "F" for job in self.subjobs),
        }
        return {
            "array": "True",
            "array_state_count": "".join(f"{state}:{number} " for state, number in counts.items()),
            "array_indices_submitted": self.asked.options["J"],
            "array_indices_remaining": ",".join(map(str, waiting)) or "-",
        }

    def __iter__(self) -> Iterator[Subjob]:
        return iter(self.subjobs)
