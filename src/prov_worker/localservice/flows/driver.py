"""Runs, driven on: one thread that takes each run through its states, from what is durable alone.

What begins is kept before it begins: whenever the service ends, by SIGKILL too, the next one goes on from there.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prov_worker.flow.machine import failures
from prov_worker.flow.machine.failures import StateError
from prov_worker.flow.machine.machine import CONTEXT, Entry, Machine, Step
from prov_worker.localservice.flows import documents, roles
from prov_worker.localservice.flows.actions.provider import (
    ConsentError,
    NotNowError,
    Provider,
    Request,
    SessionError,
    Status,
    UnableError,
)
from prov_worker.localservice.flows.records import INACTIVE, Position, Run
from prov_worker.localservice.flows.scopes import TRANSFER_SCOPE, flow_scope, root
from prov_worker.localservice.identities import Identities, Identity
from prov_worker.localservice.sqlite.flows import FlowStore

_log = logging.getLogger(__name__)
#: Between two looks at an action that is under way, and at what is away.
_LOOK_S, _AWAY_S = 0.5, 5.0
#: Runs are kept for so long after their end (https://docs.globus.org/api/flows/limits/), and looked through so often.
_KEPT_S, _FORGET_EVERY_S = 90 * 86_400.0, 3600.0
#: Changes of one run: a loop without an end has one.
_MOST_TURNS = 50_000
#: The thread looks so often at least.
_LONGEST_SLEEP_S = 60.0


class Driver:
    """Takes runs through their states.

    Args:
        store: what is durable.
        identities: who runs flows.
        providers: of actions, by the addresses that reach them.
    """

    def __init__(self, store: FlowStore, identities: Identities, providers: Mapping[str, Provider]) -> None:
        self._store, self._identities, self._providers = store, identities, providers
        self._changed, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="flows", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; runs under way go on when the service does."""
        self._ended.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """Look now: something has changed."""
        self._changed.set()

    def forget(self, run: Run) -> None:
        """Let go of the action of a run that was ended from outside."""
        self._end_action(run)

    def _work(self) -> None:
        forget_at = 0.0
        while not self._ended.is_set():
            self._changed.clear()
            try:
                if time.time() > forget_at:
                    self._store.forget_runs(time.time() - _KEPT_S)
                    forget_at = time.time() + _FORGET_EVERY_S
                for run in self._store.due(time.time()):
                    if self._ended.is_set():
                        return
                    self._advance(run)
                wake = self._store.next_wake()
            except sqlite3.Error as error:  # a full disk, mostly
                _log.error("flows: the state cannot be kept now: %s", error)
                wake = time.time() + _AWAY_S
            pause = _LONGEST_SLEEP_S if wake is None else min(max(wake - time.time(), 0.0), _LONGEST_SLEEP_S)
            self._changed.wait(pause)

    def _advance(self, run: Run) -> None:
        identity = self._identities.get(run.owner)
        if identity is None:
            self._store.postpone(run, time.time() + _LONGEST_SLEEP_S)  # its identity may come back
            return
        machine = Machine(run.content["definition"], _context(run, identity))
        if run.turn >= _MOST_TURNS:
            cause = StateError("States.Runtime", f"the run has taken {_MOST_TURNS} steps; no more are taken")
            self._keep(run, machine.aborted(run.state, cause))
            return
        try:
            if run.position.phase == "act":
                self._act(run, identity, machine)
            elif run.position.phase == "wait":
                if run.position.until > time.time():
                    self._store.postpone(run, run.position.until)
                else:
                    self._keep(run, machine.waited(run.position.state, run.state))
            else:
                self._keep(run, machine.enter(run.position.state, run.state, time.time()))
        except sqlite3.Error:
            raise
        except Exception as error:
            # A definition was checked when it was deployed: what is left is a fault here, which must end one run alone.
            _log.exception("run %s: state %s", run.id, run.position.state)
            cause = StateError("States.Runtime", f"{type(error).__name__}: {error}"[:500])
            self._keep(run, machine.failed(run.position.state, run.state, cause))

    def _keep(self, run: Run, step: Step) -> None:
        """Make what became of a state durable."""
        now = time.time()
        position, wake = run.position, now
        if step.call is not None:
            position = Position(
                run.position.state,
                "act",
                action={
                    "id": str(uuid.uuid4()), "url": step.call.url, "body": step.call.body, "began": now,
                    "wait_s": step.call.wait_s, "note": None,
                },
            )  # fmt: skip
        elif step.until is not None:
            position, wake = replace(position, phase="wait", until=step.until), step.until
        elif step.follows is not None:
            position = Position(step.follows)
        changed = replace(
            run,
            state=step.state,
            position=position,
            status=step.ended or run.status,
            ended=now if step.ended else None,
            details=_details(step, run),
        )
        self._store.change_run(run, changed, step.entries, now, wake)
        self._changed.set()

    def _act(self, run: Run, identity: Identity, machine: Machine) -> None:
        action, name = run.position.action, run.position.state
        fresh = self._store.login_time(run.owner, run.flow) > run.started
        request = Request(action["id"], identity, self._consents(run), action["url"], action["body"], fresh)
        provider = self._providers.get(action["url"].rstrip("/"))
        try:
            if provider is None:
                raise UnableError(f"there is no action {action['url']} here")
            if action["note"] is None:
                note = provider.prepare(request)
                position = replace(run.position, action={**action, "note": note})
                now = time.time()
                self._store.change_run(run, replace(run, position=position), [], now, now)
                self._changed.set()
                return
            status = provider.look(request, action["note"])
        except UnableError as error:
            self._keep(run, machine.failed(name, run.state, StateError(failures.UNABLE, str(error))))
            return
        except ConsentError as error:
            scope = f"{flow_scope(run.flow)}[{TRANSFER_SCOPE}[*{error.scope}]]"
            details = {"code": "ConsentRequired", "description": str(error), "required_scope": scope}
            self._wait_for_login(run, "consent", details, {"required_scopes": [scope]})
            return
        except SessionError as error:
            parameters = {"session_message": str(error), "session_required_policies": [error.policy]}
            session: dict[str, Any] = {
                "code": "AuthorizationRequired", "description": str(error), "authorization_parameters": parameters,
            }  # fmt: skip
            self._wait_for_login(run, "login", session, {})
            return
        except NotNowError as error:
            _log.info("run %s: %s: %s", run.id, name, error)
            status, wake_s = None, _AWAY_S
        else:
            wake_s = _LOOK_S
        now = time.time()
        if status is not None:
            self._keep(run, machine.acted(name, run.state, _status(run, status, now)))
        elif now > action["began"] + action["wait_s"]:
            self._end_action(run)
            cause = f"the action has taken longer than {action['wait_s']:g} s"
            self._keep(run, machine.failed(name, run.state, StateError(failures.TIMEOUT, cause)))
        else:
            self._store.postpone(run, now + wake_s)

    def _consents(self, run: Run) -> str:
        """Return what the owner of a run has consented to for its flow."""
        return " ".join(consent for consent in self._store.consents(run.owner) if root(consent) == flow_scope(run.flow))

    def _wait_for_login(self, run: Run, need: str, details: dict[str, Any], more: dict[str, Any]) -> None:
        """Make a run inactive; its details are what ``globus_sdk.gare`` reads."""
        entry = Entry("FlowInactive", f"The Flow Instance waits for a {need}", details)
        shown = {**details, **more, "details": details}
        now = time.time()
        self._store.change_run(run, replace(run, status=INACTIVE, details=shown), [entry], now, now)

    def _end_action(self, run: Run) -> None:
        action = run.position.action
        identity = self._identities.get(run.owner)
        provider = self._providers.get(action["url"].rstrip("/")) if run.position.phase == "act" else None
        if provider is not None and identity is not None:
            provider.cancel(Request(action["id"], identity, "", action["url"], action["body"]))


def _context(run: Run, identity: Identity) -> dict[str, Any]:
    """Return what ``$._context`` has (https://docs.globus.org/api/flows/authoring-flows/context/)."""
    return {
        "flow_id": run.flow,
        "run_id": run.id,
        "action_id": run.id,
        "username": identity.username,
        "email": "",
        "user_id": roles.urn(identity.client_id),
        "identities": [roles.urn(identity.client_id)],
        "token_info": {},
    }


def _status(run: Run, status: Status, now: float) -> dict[str, Any]:
    """Return a status document (Action Provider Interface, "ActionStatus")."""
    text = "SUCCEEDED" if status.succeeded else "FAILED"
    return {
        "action_id": status.action_id,
        "status": text,
        "display_status": text,
        "details": status.details,
        "creator_id": roles.urn(run.owner),
        "start_time": documents.time_text(run.position.action["began"]),
        "completion_time": documents.time_text(now),
        "release_after": None,
        "label": None,
        "monitor_by": [],
        "manage_by": [],
        "state_name": run.position.state,
    }


def _details(step: Step, run: Run) -> Mapping[str, Any]:
    """Return the last thing that happened, as a run shows it."""
    if not step.entries:
        return run.details
    entry = step.entries[-1]
    if step.ended:
        output = {key: value for key, value in step.state.items() if key != CONTEXT}
        return {"code": entry.code, "description": entry.description, "output": output, "details": entry.details}
    return {"code": entry.code, "description": entry.description, "details": entry.details}
