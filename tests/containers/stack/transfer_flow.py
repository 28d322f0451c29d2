"""A client of the rehearsed Globus Flows in a container: a flow that copies a collection; prints how its run ended."""

from __future__ import annotations

import json
import os
import sys
import time

import globus_sdk

source, target = sys.argv[1:]
application = globus_sdk.ClientApp(
    "test",
    client_id=os.environ["GLOBUS_COMPUTE_CLIENT_ID"],
    client_secret=os.environ["GLOBUS_COMPUTE_CLIENT_SECRET"],
    config=globus_sdk.GlobusAppConfig(token_storage="memory"),
)
flows = globus_sdk.FlowsClient(app=application)
item = {"source_path": "/", "destination_path": "/", "recursive": True}
move = {
    "Type": "Action",
    "ActionUrl": "https://transfer.actions.globus.org/transfer",
    "Parameters": {"source_endpoint": source, "destination_endpoint": target, "DATA": [item]},
    "ResultPath": "$.moved",
    "End": True,
}
flow = flows.create_flow("Copy", {"StartAt": "Move", "States": {"Move": move}}, {})["id"]
run = globus_sdk.SpecificFlowClient(flow, app=application).run_flow({})["run_id"]
while (shown := flows.get_run(run))["status"] == "ACTIVE":
    time.sleep(0.2)
print(json.dumps({"status": shown["status"], "details": shown["details"]}))
