"""A stand-in of Globus Auth's token route and of the Transfer API, small: collections are directories of this machine.

It knows what ``prov-worker run transfer`` uses – tokens of a service account, submission ids, tasks, their list, a
listing – and does what a task asks for: filter rules, comparison by checksum, times. It is not Globus: consents,
identities, limits and the times that a service takes are only what a test says of them.
"""

from __future__ import annotations

import base64
import fnmatch
import json
import re
import shutil
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from support.http_service import HttpService, Request

CLIENT = "11111111-2222-4333-8444-555555555555"
SECRET = "the-secret-of-the-client"


class TransferService(HttpService):
    """Globus as far as a client of Transfer sees it.

    Attributes:
        url: of Auth and of Transfer.
        collections: UUID and directory.
        documents: of the tasks that were submitted, in their order.
        tasks: what is told of each, by id.
        hold: new tasks stay under way until :meth:`finish`.
        consent: a scope that a token must have before anything is submitted; empty for none.
        grants: whether a client gets that scope when it asks.
        fault: details with which new tasks fail; empty for none.
    """

    def __init__(self) -> None:
        self.collections: dict[str, Path] = {}
        self.documents: list[dict[str, Any]] = []
        self.tasks: dict[str, dict[str, Any]] = {}
        self.hold = False
        self.consent = ""
        self.grants = True
        self.fault = ""
        self._tokens: dict[str, str] = {}
        super().__init__()

    def collection(self, directory: Path) -> str:
        """A new collection whose root is this directory."""
        name = str(uuid.uuid4())
        self.collections[name] = directory
        return name

    def finish(self, task_id: str) -> None:
        """Do what the task asks for."""
        task = self.tasks[task_id]
        order = next(document for document in self.documents if document["task_id"] == task_id)
        if self.fault:
            task |= {"status": "FAILED", "is_ok": None, "nice_status_details": self.fault}
            return
        for item in order["DATA"]:
            source = self.collections[order["source_endpoint"]] / item["source_path"].strip("/")
            target = self.collections[order["destination_endpoint"]] / item["destination_path"].strip("/")
            self._copy(source, target, order, task)
        task["status"] = "SUCCEEDED"

    def _copy(self, source: Path, target: Path, order: dict[str, Any], task: dict[str, Any]) -> None:
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(source.iterdir()):
            kind = "dir" if path.is_dir() else "file"
            rules = [rule for rule in order.get("filter_rules", []) if rule.get("type") in (None, kind)]
            methods = [rule["method"] for rule in rules if fnmatch.fnmatchcase(path.name, rule["name"])]
            if methods[:1] == ["exclude"]:  # of the rules, the first that matches is applied
                continue
            if path.is_dir():
                self._copy(path, target / path.name, order, task)
                continue
            task["files"] += 1
            there = target / path.name
            if order["sync_level"] == 3 and there.is_file() and there.read_bytes() == path.read_bytes():
                task["files_skipped"] += 1
                continue
            (shutil.copy2 if order["preserve_timestamp"] else shutil.copy)(path, there)
            task["files_transferred"] += 1
            task["bytes_transferred"] += path.stat().st_size

    def answer(self, request: Request) -> tuple[int, Any]:
        """See :class:`HttpService`."""
        method, path, query = request.method, request.path, request.query
        body, given = request.body, request.authorization
        if path == "/v2/oauth2/token":
            return self._token(parse_qs(body), given)
        scopes = self._tokens.get(given.removeprefix("Bearer "))
        if scopes is None:
            return 401, {"code": "AuthenticationFailed", "message": "Token is not active"}
        if path == "/v0.10/submission_id":
            return 200, {"value": str(uuid.uuid4())}
        if path == "/v0.10/transfer" and method == "POST":
            return self._submit(json.loads(body), scopes)
        if path == "/v0.10/task_list":
            wanted = dict(part.split(":", 1) for part in query["filter"].split("/"))["status"].split(",")
            tasks = [task for task in self.tasks.values() if task["status"] in wanted]
            return 200, {"DATA": tasks, "total": len(tasks), "limit": 1000, "offset": 0}
        if path.startswith("/v0.10/task/"):
            task = self.tasks.get(path.rsplit("/", 1)[1])
            return (200, task) if task else (404, {"code": "TaskNotFound", "message": "No such task"})
        match = re.fullmatch(r"/v0\.10/operation/endpoint/([^/]+)/ls", path)
        return self._listing(match[1], query) if match else (404, {"code": "NotFound", "message": path})

    def _token(self, form: dict[str, list[str]], given: str) -> tuple[int, Any]:
        expected = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if given != f"Basic {expected}":
            return 401, {"error": "invalid_client"}
        token, scope = uuid.uuid4().hex, form["scope"][0]
        self._tokens[token] = scope if self.grants else ""
        plain = " ".join(part.partition("[")[0] for part in scope.split())
        return 200, {
            "access_token": token,
            "resource_server": "transfer.api.globus.org",
            "scope": plain,
            "expires_in": 3600,
            "token_type": "Bearer",
            "other_tokens": [],
        }

    def _submit(self, order: dict[str, Any], scopes: str) -> tuple[int, Any]:
        for name in ("source_endpoint", "destination_endpoint"):
            if order[name] not in self.collections:
                return 404, {"code": "EndpointNotFound", "message": f"No such endpoint '{order[name]}'"}
        if self.consent and self.consent not in scopes:
            return 403, {
                "code": "ConsentRequired",
                "message": "Missing required data_access consent",
                "required_scopes": [self.consent],
            }
        task_id = str(uuid.uuid4())
        self.documents.append(order | {"task_id": task_id})
        counts = dict.fromkeys(("files", "files_transferred", "files_skipped", "bytes_transferred"), 0)
        self.tasks[task_id] = counts | {
            "task_id": task_id,
            "label": order["label"],
            "status": "ACTIVE",
            "source_endpoint_id": order["source_endpoint"],
            "destination_endpoint_id": order["destination_endpoint"],
            "is_ok": True,
            "nice_status": "OK",
            "nice_status_details": None,
            "fatal_error": None,
        }
        if not self.hold:
            self.finish(task_id)
        return 202, {"code": "Accepted", "task_id": task_id, "message": "accepted"}

    def _listing(self, collection: str, query: dict[str, str]) -> tuple[int, Any]:
        if collection not in self.collections:
            return 404, {"code": "EndpointNotFound", "message": f"No such endpoint '{collection}'"}
        directory = self.collections[collection] / query["path"].strip("/")
        if not directory.is_dir():
            return 404, {"code": "ClientError.NotFound", "message": f"Directory '{query['path']}' not found"}
        names = sorted(directory.iterdir())
        return 200, {"DATA": [{"name": entry.name, "type": "dir" if entry.is_dir() else "file"} for entry in names]}
