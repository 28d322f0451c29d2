"""A run crate on its way: takes step crates, then writes what describes and seals them."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import safe_name, utc
from prov_worker.crate.people import account_name, people
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import Source, each_source
from prov_worker.crate.sources.bills import bill_beside, read_bill
from prov_worker.crate.summary import RunStep
from prov_worker.crate.summary_reader import open_step
from prov_worker.errors import CrateError, blaming
from prov_worker.humanize import plural
from prov_worker.run.assembly import vocabulary as rv
from prov_worker.run.assembly.copy import CopiedCrate, FileCopier, copy_crate
from prov_worker.run.assembly.examined import Examined, ExaminedPiece, examine
from prov_worker.run.assembly.flow_record import description_of
from prov_worker.run.assembly.links import LinkFinder, link_line
from prov_worker.run.assembly.metadata import GraphWriter, Heading
from prov_worker.run.assembly.model import Assembled, Options
from prov_worker.run.assembly.plan import WorkflowPlan
from prov_worker.run.assembly.preview import write_preview
from prov_worker.run.assembly.seal import manifest_line, seal_text, sign
from prov_worker.run.assembly.shared_entities import Shared
from prov_worker.run.assembly.staging import Entry, StagingDb
from prov_worker.run.assembly.stored import StoredCrates
from prov_worker.run.assembly.triggers import trigger_entities
from prov_worker.run.assembly.verify import digest_of
from prov_worker.run.assembly.workflow import Workflow
from prov_worker.run.model import Problem
from prov_worker.settings import Settings


class Draft:
    """A run crate on its way.

    Args:
        staged: directory in which it is made.
        options: how.
        workflow: its definition, if one was given.
        target: path that it will have.

    Attributes:
        result: what was assembled so far.
        stored: crates that the zip takes as they are stored in another.
        passed: number of attempts that were not selected.
    """

    def __init__(self, staged: Path, options: Options, workflow: Workflow | None, target: Path) -> None:
        self._staged = staged
        self._steps = staged / v.STEPS_DIR
        self._options = options
        self._workflow = workflow
        self._record = workflow.record if workflow is not None else {}
        self._triggers = tuple(trigger_entities(options.triggers))
        self._name = options.name or v.key_of(target.name) or "run"
        self._copier = FileCopier(copy=options.copy)
        settings = Settings(license=options.license, author=options.author, publisher=options.publisher)
        self._people = people(settings, account_name(), "when the run was assembled")
        self._shared = Shared(self._people_ids())
        self._db = StagingDb()
        self.stored = StoredCrates()
        self._bills: dict[str, bool] = {}
        self._finder = LinkFinder(self._db, workflow.after if workflow is not None else None)
        suffix = workflow.suffix if workflow is not None else ".json"
        self._plan = WorkflowPlan(v.WORKFLOW_STEM + suffix, workflow)
        self.result = Assembled()
        self.passed = 0

    def _people_ids(self) -> list[str]:
        return [
            self._people.license,
            self._people.author,
            self._people.publisher,
            *(profile for profile, _, _ in rv.PROFILES),
        ]

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def take(self, candidate: Path) -> None:
        """Take the crates at one path."""
        for source in each_source(candidate, self._refuse):
            try:
                with blaming(source.where):
                    self._take(source)
            except CrateError as error:
                self._refuse(source.where, error)

    def _refuse(self, where: str, error: CrateError) -> None:
        self.result.problems.append(Problem.of(where, error))

    def _say(self, where: str, message: str) -> None:
        self.result.problems.append(Problem(where, message))

    def take_piece(self, piece: ExaminedPiece) -> None:
        """Take crates of packs that were examined."""
        self.result.problems += piece.problems
        for examined in piece.steps:
            try:
                if self._selects(examined.step):
                    self._add(examined, partial(bill_beside, examined.path))
            except CrateError as error:
                self._refuse(examined.where, error)

    def _selects(self, step: RunStep) -> bool:
        selected = self._options.selection is None or self._options.selection.takes(step)
        self.passed += not selected
        return selected

    def _take(self, source: Source) -> None:
        step, crate = open_step(source)
        if self._selects(step):
            examined = examine(source, step, crate, self._options.max_file_bytes if self._options.zip else None)
            self._add(examined, partial(read_bill, source), partial(self._copy, source, crate))

    def _copy(self, source: Source, crate: StepCrate, target: Path) -> CopiedCrate:
        return copy_crate(source, crate, target, self._copier, self._options.max_file_bytes)

    def _add(
        self,
        examined: Examined,
        bill: Callable[[str], bytes | None],
        copy: Callable[[Path], CopiedCrate] | None = None,
    ) -> None:
        """Add a step.

        Args:
            examined: its crate.
            bill: reads the bill of materials that it names.
            copy: copies its files to a directory, if they are not copied as they are stored.
        """
        step = examined.step
        key = self._admit(examined)
        if key is None:
            return
        step.key, step.crate_id = key, v.step_id(key)
        target = self._steps / v.crate_name(key)
        copied = examined.files
        if copied is None:
            assert copy is not None
            copied = copy(target)
        try:
            if {name: digest for name, digest, _ in copied.manifest}[v.METADATA_FILE] != step.metadata_sha256:
                raise CrateError(examined.where, "changed while it was read")
            entry = self._entry(examined)
            lines = "".join(manifest_line(digest, relative) for relative, digest, _ in copied.manifest)
            number = self._db.add(step, examined.named)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        if examined.stored is not None:
            self.stored.add(key, examined.stored)
        self._db.add_entry(number, entry, lines)
        self._take_bill(step, bill)
        self._finder.add(number, step)
        self._plan.observe(step, examined.function)
        self.result.files += len(copied.manifest)
        self.result.size_bytes += copied.size_bytes

    def _take_bill(self, step: RunStep, bill: Callable[[str], bytes | None]) -> None:
        """Take the bill of materials of a step's environment, once for all of its steps."""
        sha256 = step.software_sha256
        if sha256 is None:
            return
        if not self._bills.get(sha256):
            data = bill(sha256)
            self._bills[sha256] = data is not None
            if data is not None:
                directory = self._staged / v.RUN_SOFTWARE_DIR
                directory.mkdir(exist_ok=True)
                (directory / v.bill_name(sha256)).write_bytes(data)
                self.result.software += 1
        self.result.without_software += not self._bills[sha256]

    def _admit(self, examined: Examined) -> str | None:
        """Return the key under which a step is kept; None if it is not."""
        step, where = examined.step, examined.where
        plain = safe_name(step.task_id)
        attempts = self._db.attempts(step.task_id)
        for other in attempts:
            if other.id == step.attempt_id:
                if other.sha256 == step.metadata_sha256:
                    self.result.duplicates += 1
                else:
                    self._say(where, f"another crate of this very attempt was taken as {other.key}")
                return None
        if not attempts:
            return plain
        latest = attempts[-1]
        if examined.named == plain and any(
            other.id.attempt == step.attempt and other.named == plain for other in attempts
        ):
            self._say(
                where,
                f"two crates of task {step.task_id}, attempt {step.attempt}, that ran apart; both kept",
            )
        if (step.end_ns, step.attempt) < (latest.end_ns, latest.id.attempt):
            return self._free(plain, step.attempt)
        # This one is later: it gets the plain name, and the one that has it now steps back.
        for other in attempts:
            if other.key == plain:
                self._rename(plain, self._free(plain, other.id.attempt))
        return plain

    def _rename(self, old: str, new: str) -> None:
        if not self.stored.rename(old, new):
            os.rename(self._steps / v.crate_name(old), self._steps / v.crate_name(new))
        self._db.rename(old, new)

    def _name_latest(self) -> None:
        """Give the plain name to latest attempts whose later one turned out to be damaged."""
        for key, task in [row for row in self._db.ordered_keys(latest=True) if row[0] != safe_name(row[1])]:
            self._rename(key, safe_name(task))

    def _free(self, plain: str, attempt: int) -> str:
        keys = (v.attempt_key(plain, attempt, number) for number in itertools.count(1))
        return next(key for key in keys if not self._db.has(key))

    def _entry(self, examined: Examined) -> Entry:
        ids = {
            role: None if identifier is None else self._shared.take(examined.related, identifier)
            for role, identifier in examined.roles.items()
        }
        return Entry(
            step=examined.step,
            action_id=examined.action_id,
            entities=examined.entities,
            root=examined.root,
            license=ids["license"] or self._people.license,
            agent=ids["agent"] or self._people.author,
            provider=ids["provider"],
        )

    def finish(self) -> Assembled:
        """Write what describes and seals the steps."""
        result, db = self.result, self._db
        db.finalize_attempts()
        self._name_latest()
        self._plan.assign_labels()
        result.defined = None if self._workflow is None else len(self._workflow.steps)
        result.idle = self._plan.idle
        result.steps = len(db)
        if not result.steps:
            return result
        result.tasks, result.failed = db.tasks()
        with open(self._staged / v.LINKS_FILE, "x", encoding="utf-8") as stream:
            for link in self._finder.links():
                stream.write(link_line(link))
                db.link(link.target, link.target_id, link.source, link.source_id, link.via)
                result.links[link.via] = result.links.get(link.via, 0) + 1
        db.finalize_links()
        workflow = self._plan.file
        text = self._workflow.text if self._workflow is not None else self._listed()
        (self._staged / workflow).write_bytes(text)
        (self._staged / v.README_FILE).write_text(self._readme(), encoding="utf-8")
        for name, content in self._record.items():
            (self._staged / name).write_bytes(content)
        bills = sorted(v.bill_name(sha256) for sha256, there in self._bills.items() if there)
        software = [f"{v.RUN_SOFTWARE_DIR}/{name}" for name in bills]
        top = (workflow, v.README_FILE, v.LINKS_FILE, *self._record, *software)
        digests = {name: digest_of(self._staged / name) for name in top}
        heading = self._heading(digests)
        with open(self._staged / v.METADATA_FILE, "x", encoding="utf-8", newline="\n") as stream:
            GraphWriter(stream, self._db, self._plan, self._shared, self._workflow).write(heading)
        if self._options.preview:
            # it holds the metadata, so that these cannot hold the digest of the manifest, which has the page's
            write_preview(self._staged, heading, self._db)
            digests[v.PREVIEW_FILE] = digest_of(self._staged / v.PREVIEW_FILE)
        self._write_manifest({name: digest for name, (digest, _) in digests.items()})
        sealed = (digest_of(self._staged / name)[0] for name in (v.METADATA_FILE, v.MANIFEST_FILE))
        (self._staged / v.SEAL_FILE).write_text(seal_text(*sealed), encoding="utf-8")
        if self._options.sign is not None:
            sign(self._staged, self._options.sign)
            result.signed = True
        for path in (*self._staged.iterdir(), *(self._staged / name for name in software)):
            if path.is_file():
                result.files += 1
                result.size_bytes += path.stat().st_size
        return result

    def _listed(self) -> bytes:
        """Return the workflow as it was seen, if no definition was given."""
        stages = sorted(self._plan.stages.values(), key=lambda stage: stage.position)
        data = {
            "name": self._name,
            "steps": [
                {"name": stage.name, "function": list(stage.functions), "tasks": stage.tasks} for stage in stages
            ],
        }
        return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()

    def _readme(self) -> str:
        result = self.result
        inferred = sum(result.links.get(kind, 0) for kind in ("file", "value"))
        stated = sum(result.links.values()) - inferred
        named = f"- `{v.RUN_SOFTWARE_DIR}/`: what the tasks' environments were made of, as CycloneDX, named by sha256\n"
        software = named if result.software else ""
        page = f"- `{v.PREVIEW_FILE}`: the same as a page\n" if self._options.preview else ""
        return (
            f"# {self._name}\n\n"
            f"A run of {plural(result.tasks, 'task')} in {plural(result.steps, 'attempt')}; {result.failed} failed in "
            f"the end.\n\n"
            f"- `{v.step_id('<task id>')}`: the crate of each task, byte for byte as it was recorded; an earlier "
            f"attempt is `<task id>.attempt-N{v.CRATE_SUFFIX}/`\n"
            f"- `{v.METADATA_FILE}`: the run, as a Provenance Run Crate 0.5\n"
            f"- `{self._plan.file}`: the workflow "
            f"{'as it was defined' if self._workflow is not None else 'as the tasks show it'}\n"
            f"{self._recorded()}"
            f"{page}{software}"
            f"- `{v.LINKS_FILE}`: what flowed from task to task: {stated} stated, {inferred} inferred from equal "
            f"content\n"
            f"- `{v.MANIFEST_FILE}`, `{v.SEAL_FILE}`: the seal; `prov-worker run verify` or "
            f"`sha256sum -c {v.SEAL_FILE} {v.MANIFEST_FILE}` finds what changed\n"
        )

    def _recorded(self) -> str:
        described = ((name, description_of(name)) for name in self._record)
        return "".join(f"- `{name}`: {text[0].lower()}{text[1:]}\n" for name, text in described)

    def _write_manifest(self, top: dict[str, str]) -> None:
        with open(self._staged / v.MANIFEST_FILE, "x", encoding="utf-8", newline="\n") as stream:
            for name in sorted(top):
                stream.write(manifest_line(top[name], name))
            for key, lines in self._db.manifests():
                prefix = v.step_id(key)
                stream.writelines(f"{line[:66]}{prefix}{line[66:]}\n" for line in lines.split("\n")[:-1])

    def _heading(self, digests: dict[str, tuple[str, int]]) -> Heading:
        """Return what the run says of itself; the digests are those of the files that are there."""
        result = self.result
        given = self._workflow is not None
        workflow = self._plan.file
        media_type = "application/json" if workflow.endswith(".json") else "application/yaml"
        texts = {
            workflow: (
                "The workflow as it was defined" if given else "The order of the functions as the tasks show it",
                media_type,
            ),
            v.README_FILE: ("About this crate", "text/markdown"),
            v.LINKS_FILE: ("What flowed from task to task, one link per line", "application/x-ndjson"),
            **{name: (description_of(name), "application/json") for name in self._record},
            **{
                name: ("What an environment of tasks was made of: its bill of materials", v.BILL_MEDIA_TYPE)
                for name in digests
                if name.startswith(f"{v.RUN_SOFTWARE_DIR}/")
            },
        }
        files = [(name, *texts[name], digests[name][1], digests[name][0]) for name in texts]
        seals = (
            (v.MANIFEST_FILE, "sha256 of every file of the steps and of this run", "text/plain", None, None),
            (v.SEAL_FILE, "Seals metadata and manifest by their hashes", "text/plain", None, None),
        )
        failed = f", {result.failed} of which failed" if result.failed else ""
        tasks, crates = plural(result.tasks, "task"), plural(result.steps, "step crate")
        description = f"Provenance of a run of {tasks}{failed}, assembled from {crates}"
        return Heading(
            name=self._name,
            description=description,
            published=utc(time.time_ns()),
            people=self._people,
            files=(*files, *seals),
            triggers=self._triggers,
            preview=self._options.preview,
        )
