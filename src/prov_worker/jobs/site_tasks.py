"""Jobs without the web service: an engine in this process, with the template of a site.

Engine, workers and crates are those of an endpoint of the site; blocks are jobs of its scheduler, or processes here.
What is at the engine ends with this process. Has the interface of :class:`prov_worker.globus.task_client.TaskClient`.
"""

from __future__ import annotations

import contextlib
import getpass
import logging
import queue
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prov_worker.errors import InputError
from prov_worker.globus import template
from prov_worker.globus.answers import Answer, read_message
from prov_worker.globus.call_packing import PackedFunction, serializer_for
from prov_worker.globus.embedded import EmbeddedEndpoint, TaskFuture
from prov_worker.globus.result_queue import Results
from prov_worker.jobs.session import Jobs, OpenLedger
from prov_worker.jobs.store import Store
from prov_worker.sites import options as site_options
from prov_worker.sites.catalog import Site, site
from prov_worker.sites.install import template_of

_log = logging.getLogger(__name__)

_ENDED = "the program whose engine had it has ended"
_LOGIND = ("/etc/systemd/logind.conf", *(f"{top}/systemd/logind.conf.d" for top in ("/usr/lib", "/run", "/etc")))
_KILLS = re.compile(r"^\s*KillUserProcesses\s*=\s*(\w+)", re.MULTILINE | re.IGNORECASE)


class SiteTasks:
    """Tasks of an engine of this process.

    Args:
        text: YAML of the site's user endpoint.
        folder: of the engine, for logs and working files. An engine that was killed there is cleared away first.
        text_of: gives a registered function's text by its id.

    """

    def __init__(self, text: str, folder: Path, text_of: Callable[[str], str]) -> None:
        self._text_of = text_of
        self._texts: dict[str, str] = {}
        self._lock = threading.Lock()
        self._open: set[str] = set()
        self._requests: dict[str, Answer] = {}
        self._answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        self._endpoint = EmbeddedEndpoint(template=text, run_dir=folder)
        self._running = False

    def start(self) -> None:
        """Start the engine.

        Raises:
            InputError: it cannot be started.
        """
        self._endpoint.start()
        self._running = True

    def close(self) -> None:
        """End the engine with its workers, and give its blocks back."""
        self._endpoint.shutdown()

    def register(self, packed: PackedFunction) -> str:
        """Keep a function; return its id."""
        function_id = str(uuid.uuid5(uuid.NAMESPACE_OID, packed.sha256))
        self._texts[function_id] = str(serializer_for(packed.function).serialize(packed.function))
        return function_id

    def kept_text(self, function_id: str) -> str | None:
        """Return a function's text, which the store keeps: nobody else does."""
        return self._texts.get(function_id)

    def submit(
        self, payloads: Mapping[str, Sequence[str]], resource_specification: Mapping[str, Any] | None = None
    ) -> dict[str, list[str]]:
        """Submit tasks; return their ids by function, in the order of their payloads."""
        return {
            function_id: [self._send(function_id, text, resource_specification, self._deliver) for text in texts]
            for function_id, texts in payloads.items()
        }

    def request(self, function_id: str, payload: str, resource_specification: Mapping[str, Any]) -> str:
        """Submit one task whose answer is asked for; return its id.

        Raises:
            InputError: no engine runs here.
        """
        if not self._running:
            raise InputError("the engine that had these jobs has ended with its program")

        def keep(answer: Answer) -> None:
            self._requests[answer.task_id] = answer

        return self._send(function_id, payload, resource_specification, keep)

    def _send(
        self,
        function_id: str,
        payload: str,
        specification: Mapping[str, Any] | None,
        take: Callable[[Answer], None],
    ) -> str:
        text = self._texts.get(function_id) or self._text_of(function_id)
        task_id = uuid.uuid4()
        with self._lock:
            self._open.add(str(task_id))
        buffer = f"{len(text)}\n{text}{payload}"
        future = self._endpoint.submit_buffer(
            task_id, buffer, function_id=uuid.UUID(function_id), resource_specification=specification
        )
        future.add_done_callback(lambda done: take(_answer(done)))  # type: ignore[arg-type]
        return str(task_id)

    def _deliver(self, answer: Answer) -> None:
        self._answers.put(answer)

    def group_tasks(self) -> set[str]:
        """Return the ids of the tasks that this engine has: those of an engine before it have ended with it."""
        with self._lock:
            return set(self._open)

    def answers(self, task_ids: Iterable[str]) -> Iterator[Answer]:
        """Yield how tasks ended; those that are under way are left out."""
        for task_id in list(task_ids):
            answer = self._requests.get(task_id)
            with self._lock:
                under_way = task_id in self._open
            if answer is not None:
                yield answer
            elif not under_way:
                yield Answer(task_id, False, _ENDED, False)

    def results(
        self, open_tasks: Callable[[], Sequence[str]], deliver: Callable[[Sequence[Answer]], None]
    ) -> SiteResults:
        """Return the thread that hands results on."""
        return SiteResults(self, open_tasks, deliver)

    def next_answer(self) -> Answer | None:
        """Wait for the next answer; None at the end."""
        return self._answers.get()

    def end_of_answers(self) -> None:
        """Let whoever waits for an answer go."""
        self._answers.put(None)


class SiteResults(Results):
    """Hands on what comes back; see :class:`prov_worker.globus.result_queue.ResultQueue`.

    Args:
        tasks: whose answers.
        open_tasks: returns the tasks that have not ended, as far as is known.
        deliver: takes answers.
    """

    def __init__(
        self,
        tasks: SiteTasks,
        open_tasks: Callable[[], Sequence[str]],
        deliver: Callable[[Sequence[Answer]], None],
    ) -> None:
        super().__init__()
        self._tasks = tasks
        self._open_tasks = open_tasks
        self._deliver = deliver

    def run(self) -> None:
        """Hand on until stopped."""
        try:
            self._deliver(list(self._tasks.answers(self._open_tasks())))
            while (answer := self._tasks.next_answer()) is not None:
                self._deliver([answer])
        except Exception:
            _log.exception("results cannot be kept any more")

    def stop(self) -> None:
        """End the thread, wait for it, and end the engine."""
        self._tasks.end_of_answers()
        if self.is_alive():
            self.join(30)
        self._tasks.close()


def checked_template(name: str, options: Mapping[str, Any], store: Path) -> tuple[Site, Path, str]:
    """Return a site, the directory of its crates, and the YAML of its user endpoint.

    Args:
        name: of the site.
        options: of its template.
        store: of the jobs; the crates are beside it unless the options say otherwise.

    Raises:
        InputError: there is no such site, or an option is not allowed.
    """
    definition = site(name)
    crates = Path(str(options.get("crate_dir") or f"{store.absolute()}.crates"))
    given = {**options, "crate_dir": str(crates)}
    site_options.check(definition, given, "options")
    values = site_options.complete(definition, given, "options")
    return definition, crates, template.render(template_of(definition, values), definition.schema(values))


def open_site(ledger: OpenLedger, store: Store, defaults: Mapping[str, Any], settle_s: float, *, send: bool) -> Jobs:
    """Return the session of a store whose jobs run in an engine here.

    Args:
        ledger: what the store says.
        store: the file.
        defaults: as of :class:`prov_worker.jobs.session.Jobs`.
        settle_s: likewise.
        send: False: no engine is started.

    Raises:
        InputError: as of :func:`checked_template`, or the engine cannot be started.
    """
    name = str(ledger.head["endpoint"]).partition(":")[2]
    definition, crates, text = checked_template(name, ledger.head["options"], store.path)
    ledger.crates = ledger.crates or crates
    tasks = SiteTasks(text, Path(f"{store.path.absolute()}.engine"), ledger.texts.__getitem__)
    try:
        if send:
            for note in login_notes(definition):
                _log.warning("%s: %s", name, note)
            tasks.start()
        session = Jobs(ledger, store, tasks, defaults, settle_s, send=send)
        session.note_ours()
    except BaseException:
        tasks.close()
        raise
    return session


def login_notes(definition: Site) -> Iterator[str]:
    """Yield what a person who begins something long on this host, a login node, has to know."""
    if definition.login:
        yield definition.login
    if _ends_processes():
        yield (
            "this host ends what you began when you log out (KillUserProcesses of systemd-logind); "
            "remedy: loginctl enable-linger, or begin this in a job"
        )


def _ends_processes() -> bool:
    """Return whether systemd-logind ends a user's processes with the last login (logind.conf(5), loginctl(1))."""
    kills = ""
    for place in map(Path, _LOGIND):
        for path in sorted(place.glob("*.conf")) if place.is_dir() else [place]:
            with contextlib.suppress(OSError, ValueError):
                kills = [*_KILLS.findall(path.read_text()), kills][0]
    if kills.lower() not in ("yes", "true", "1", "on"):
        return False
    try:
        return not (Path("/var/lib/systemd/linger") / getpass.getuser()).exists()
    except (OSError, KeyError):
        return True


def _answer(future: TaskFuture) -> Answer:
    """Return what a task of this engine came to."""
    try:
        return read_message(future.packed_result or b"")
    except ValueError as error:
        return Answer(str(future.task_id), False, f"{future.exception() or error}", False)
