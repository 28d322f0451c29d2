"""``prov-worker service status``."""

from __future__ import annotations

import http.client
import json
from typing import Any

import click

from prov_worker.cli.service import common


@click.command("status")
@common.where_options
@click.option("--json", "as_json", is_flag=True, help="What the service says, as JSON.")
def command(as_json: bool, **where: Any) -> int:
    """Ask a running service how it is; exit code 1 where it does not answer, or lacks its broker."""
    config = common.read_config(**where)
    content: dict[str, Any]
    host = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host  # noqa: S104
    connection = http.client.HTTPConnection(host, config.port, timeout=5)
    try:
        connection.request("GET", "/health")
        content = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        content = {"status": "unreachable", "reason": str(error)}
    finally:
        connection.close()
    if as_json:
        click.echo(json.dumps({"url": config.url, **content}))
    else:
        facts = ", ".join(f"{key}: {value}" for key, value in content.items())
        click.echo(f"{config.url} {facts}")
    return 0 if content.get("status") == "ok" else 1
