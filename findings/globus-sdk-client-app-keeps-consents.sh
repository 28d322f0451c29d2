#!/usr/bin/env bash
# globus-sdk 4.10.0: a ClientApp whose requirements get a dependent scope goes on with the token that it has.
#
# `SpecificFlowClient.add_app_transfer_data_access_scope` is documented to "add a dependent data_access scope … to this
# client's GlobusApp", for runs that access mapped collections. A UserApp notices that consents are missing and logs in
# again. A ClientApp compares the names of root scopes alone: it asks for no new token, and the run fails for the same
# consent as before. `app.login(force=True)` gets one.
#
# Seen:
#   after the first call: 1 request of the flow's scope, with data_access: False
#   after add_app_transfer_data_access_scope and a call: 1, False
#   after login(force=True): 2, True
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check globus-sdk==4.10.0
cat >"$work/run.py" <<'PY'
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

FLOW, COLLECTION = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc", "1b0bd6fe-5c3f-4a52-9d2b-1f0a6f6a8c01"
asked = []


class Handler(BaseHTTPRequestHandler):
    """Auth's token route, and a run's."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        answer = {"run_id": FLOW}
        if self.path == "/v2/oauth2/token":
            scope = parse_qs(body)["scope"][0]
            asked.append(scope)
            answer = {
                "access_token": "token", "resource_server": FLOW, "scope": scope.split("[")[0], "expires_in": 3600,
                "token_type": "Bearer", "other_tokens": [],
            }
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *args: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
for name in ("AUTH", "FLOWS"):
    os.environ[f"GLOBUS_SDK_SERVICE_URL_{name}"] = f"http://127.0.0.1:{server.server_port}/"

import globus_sdk

config = globus_sdk.GlobusAppConfig(token_storage="memory")
app = globus_sdk.ClientApp("finding", client_id=FLOW, client_secret="secret", config=config)
client = globus_sdk.SpecificFlowClient(FLOW, app=app)
seen = []


def note(when: str) -> None:
    seen.append((len(asked), "data_access" in asked[-1]))
    print(f"{when}: {len(asked)} requests of the flow's scope, with data_access: {seen[-1][1]}")


client.run_flow({})
note("after the first call")
client.add_app_transfer_data_access_scope(COLLECTION)
client.run_flow({})
note("after add_app_transfer_data_access_scope and a call")
app.login(force=True)
note("after login(force=True)")
sys.exit(seen != [(1, False), (1, False), (2, True)])
PY
"$work/venv/bin/python" "$work/run.py"
