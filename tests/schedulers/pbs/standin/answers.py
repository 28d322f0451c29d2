"""What ``qstat`` prints of jobs: a table, lines, or JSON."""

from __future__ import annotations

import grp
import json
import os
import textwrap
import time
from typing import Any

from .job import Job, stamp
from .request import clock


def table(jobs: list[Job]) -> str:
    if not jobs:
        return ""
    lines = [
        "Job id            Name             User              Time Use S Queue",
        "----------------  ---------------- ----------------  -------- - -----",
    ]
    for job in jobs:
        name = job.name if len(job.name) <= 16 else f"{job.name[:15]}*"
        used = clock(job.cput_s) if job.started else "0"
        lines.append(f"{job.id:<16}  {name:<16} {job.user:<16}  {used:>8} {job.state} {job.asked.options['q']:<16}")
    return "\n".join(lines) + "\n"


def attributes(job: Job) -> dict[str, Any]:
    """All that is told of a job, in the order of the real one."""
    host, submitted = job.config.server, job.submitted
    waits = job.state in "QH"
    ran = job.process is not None
    options, named = job.asked.options, job.asked.resources
    memory = {"mem": job.asked.chunks[0][1]["mem"]} if "mem" in job.asked.chunks[0][1] else {}
    nodes = sum(count for count, _ in job.asked.chunks)
    gpus = sum(count * int(chunk.get("ngpus", 0)) for count, chunk in job.asked.chunks)
    resources = {
        **memory,
        **({"ngpus": gpus} if gpus else {}),
        "ncpus": job.cpus,
        "nodect": nodes,
        "place": "pack",
        **named,
    }
    fields: dict[str, Any] = {"Job_Name": job.name, "Job_Owner": f"{job.user}@{host}"}
    if ran:
        fields["resources_used"] = {
            "cpupercent": 0, "cput": clock(job.cput_s), "mem": f"{job.memory_kb}kb", "ncpus": job.cpus, "vmem": "0kb",
            "walltime": job.walltime_used,
        }  # fmt: skip
    fields |= {"job_state": job.state, "queue": options["q"], "server": host}
    if job.config.manager:
        group = grp.getgrgid(os.getgid()).gr_name
        fields |= {"euser": job.user, "egroup": group, "hashname": job.id, "queue_rank": int(job.created)}
        fields |= {"queue_type": "E", "schedselect": job.select}
        if job.run_count:
            fields["run_version"] = job.run_count
    if "A" in options:
        fields["Account_Name"] = options["A"]
    fields |= {"Checkpoint": "u", "ctime": stamp(job.created), "Error_Path": f"{host}:{job.output('e')}"}
    if ran:
        fields["exec_host"] = "+".join(
            f"{name}/{slot}" + ("" if needs["ncpus"] == "1" else f"*{needs['ncpus']}")
            for (name, needs), slot in zip(job.nodes, job.slots, strict=True)
        )
        fields["exec_vnode"] = job.vnodes
    held = "s" if job.run_count else "u"
    fields |= {
        "Hold_Types": held if job.state == "H" else "n", "Join_Path": "n", "Keep_Files": options.get("k", "n"),
        "Mail_Points": options.get("m", "a"), "mtime": stamp(job.changed), "Output_Path": f"{host}:{job.output('o')}",
        "Priority": int(options.get("p", 0)), "qtime": stamp(job.created), "Rerunable": "True",
        "Resource_List": dict(sorted(resources.items())),
    }  # fmt: skip
    if job.started:
        fields["stime"] = stamp(job.started)
    if job.finished and ran:
        fields["obittime"] = stamp(job.finished)
    if ran and job.process is not None:
        fields |= {"session_id": job.process.pid}
    if "S" in options:
        fields["Shell_Path_List"] = options["S"]
    if not waits:
        fields["jobdir"] = job.config.home
    fields |= {"substate": job.substate, "Variable_List": job.variables()}
    if job.comment:
        fields["comment"] = job.comment
    if job.state != "H":
        fields["etime"] = stamp(job.created)
    if job.run_count:
        fields["run_count"] = job.run_count
    if job.finished and ran:
        fields["Stageout_status"] = 1
    if (job.finished and ran) or job.exit_status is not None:
        fields["Exit_status"] = job.exit_status
    fields["Submit_arguments"] = " ".join(submitted["words"])
    if job.finished:
        fields["history_timestamp"] = int(job.finished)
    fields |= {"project": "_pbs_project_default", "Submit_Host": host, **job.extra()}
    return fields


def as_json(server: str, jobs: list[Job]) -> str:
    """The real one's layout: tabs indent, and a tab follows each colon."""
    document: dict[str, Any] = {"timestamp": int(time.time()), "pbs_version": "23.06.06", "pbs_server": server}
    if jobs:
        document["Jobs"] = {job.id: attributes(job) for job in jobs}
    return json.dumps(document, indent="\t", separators=(",", ":\t")) + "\n"


def as_lines(job: Job) -> str:
    """``qstat -f``: long values go on in lines that begin with a tab."""
    lines = [f"Job Id: {job.id}"]
    for name, value in attributes(job).items():
        if name == "Variable_List":
            value = ",".join(f"{key}={item}" for key, item in value.items())
        for key, item in (
            [(f"{name}.{key}", item) for key, item in value.items()] if isinstance(value, dict) else [(name, value)]
        ):
            folded = textwrap.wrap(
                f"    {key} = {item}", 78, subsequent_indent="\t", drop_whitespace=False, replace_whitespace=False
            )
            lines += folded
    return "\n".join(lines) + "\n\n"
