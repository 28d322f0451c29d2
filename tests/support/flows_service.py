"""A stand-in of Globus Auth's token route and of Flows, as far as a trigger sees them: runs started and listed.

It is not Globus Flows: it runs nothing.
"""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import parse_qs

from support.http_service import HttpService, Request

_FLOWS_SCOPES = "eec9b274-0c81-4334-bdc2-54e90e689b9a"


class FlowsService(HttpService):
    """Flows as far as a client sees it.

    Attributes:
        url: of Auth and Flows.
        runs: bodies of the runs that were started, in their order, with their ids.
        refuses: status and error with which a run, and its validation, are refused; None to take them.
    """

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.refuses: tuple[int, dict[str, Any]] | None = None
        super().__init__()

    def answer(self, request: Request) -> tuple[int, Any]:
        """See :class:`HttpService`."""
        method, path, body = request.method, request.path, request.body
        if path == "/v2/oauth2/token":
            return 200, _tokens(parse_qs(body)["scope"][0].split())
        if path == "/runs":
            runs = [{key: run[key] for key in ("run_id", "label", "tags")} for run in reversed(self.runs)]
            return 200, {"runs": runs, "has_next_page": False}
        flow, _, verb = path.removeprefix("/flows/").partition("/")
        if method != "POST" or verb not in ("run", "validate_run"):
            return 404, {"error": {"code": "NOT_FOUND", "detail": path}}
        if self.refuses is not None:
            return self.refuses
        if verb == "validate_run":
            return 200, {"message": "validation successful"}
        run = {"tags": [], **json.loads(body), "run_id": str(uuid.uuid4()), "flow_id": flow}
        self.runs.append(run)
        return 201, run


def _tokens(scopes: list[str]) -> dict[str, Any]:
    tokens: list[dict[str, Any]] = []
    for scope in scopes:
        owner = scope.partition("/scopes/")[2].partition("/")[0]
        server = "flows.globus.org" if owner == _FLOWS_SCOPES else owner
        same = next((token for token in tokens if token["resource_server"] == server), None)
        if same is not None:
            same["scope"] += f" {scope}"
            continue
        tokens.append(
            {
                "access_token": uuid.uuid4().hex,
                "resource_server": server,
                "scope": scope,
                "expires_in": 3600,
                "token_type": "Bearer",
            }
        )
    return {**tokens[0], "other_tokens": tokens[1:]}
