"""The scheduler's commands as a unit of systemd would run them, which may forbid what they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prov_worker import programs
from prov_worker.finding import Finding, failed, passed
from prov_worker.humanize import plural
from prov_worker.sites import confinement
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject

_LINE = "unit"


def check(subject: Subject) -> Iterator[Finding]:
    """Try each command that works here under the options of the endpoint's unit too."""
    options = confinement.options(subject.site, subject.values)
    properties = [f"--property={key}={value}" for key, value in options.items() if key != "OOMPolicy"]
    scheduler = subject.scheduler
    if scheduler is None:
        yield passed(_LINE, "tasks run in it and are not confined")
        return
    run = ["systemd-run", "--user", "--pipe", "--wait", "--collect", "--quiet"]
    if programs.find(run[0]) is None or programs.run([*run, "--", "true"]).status != 0:
        yield passed(_LINE, "no user manager of systemd answers; cron and scrontab limit by ulimit")
        return
    commands = [path for path in map(programs.find, scheduler.commands) if path is not None]
    questions: list[Sequence[str]] = [[path, "--version"] for path in commands]
    if scheduler.question and programs.find(scheduler.question[0]):
        questions.append(scheduler.question)
    broken = []
    for question in questions:
        if programs.run(question).status == 0:
            answer = programs.run([*run, *properties, "--", *question])
            if answer.status != 0:
                broken.append(f"{' '.join(question)}: {answer.message}")
    names = ", ".join(key for key in options if key != "OOMPolicy")
    if broken:
        yield failed(
            _LINE, f"under {names}: {'; '.join(broken)}", "take the options away that forbid it: systemctl --user edit"
        )
    else:
        answered = plural(len(questions), "question to the scheduler is", "questions to the scheduler are")
        yield passed(_LINE, f"{answered} answered under {names}")


CHECKS.add("unit", check, rank=55)
