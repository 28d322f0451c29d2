#!/usr/bin/env bash
# globus-sdk 4.10.0: a submission of tasks whose answer is lost is sent six times, and each makes tasks that run.
#
# The transport repeats a request if the connection breaks, whatever its method (transport/default_retry_checks.py,
# check_request_exception; RetryConfig.max_retries is 5). ComputeClientV3.submit is a POST that makes tasks, and
# globus-compute-sdk 4.19.0's Executor and Client.batch_run send by it. A proxy that closes the connection after the
# service has taken the request is enough. Remedy: retry_config=RetryConfig(max_retries=0), and ask the task group what
# came of it.
#
# Seen: a server that reads each submission and closes the connection has read 6 of them; with the remedy, 1.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check globus-sdk==4.10.0
cat >"$work/run.py" <<'PY'
import http.server
import threading
import uuid

from globus_sdk import ComputeClientV3, NetworkError
from globus_sdk.authorizers import NullAuthorizer
from globus_sdk.transport import RetryConfig

taken = []


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.close_connection = True  # and no answer

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_address[1]}"
for options in ({}, {"retry_config": RetryConfig(max_retries=0)}):
    taken.clear()
    client = ComputeClientV3(base_url=url, authorizer=NullAuthorizer(), **options)
    try:
        client.submit(uuid.uuid4(), {"tasks": {str(uuid.uuid4()): ["28\n00\ngASVBwAAAAAAAABLBUsKhpQu\n"]}})
    except NetworkError:
        print("submissions taken", len(taken), "different", len(set(taken)))
PY
cd "$work"
venv/bin/python run.py | tee output
diff output - <<'SEEN'
submissions taken 6 different 1
submissions taken 1 different 1
SEEN
