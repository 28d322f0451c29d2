"""``prov-worker service status``."""

from __future__ import annotations

import json
from typing import Any

import click

from prov_worker.cli.common.examples import examples
from prov_worker.cli.service import common

_TIMEOUT_S = 5


@examples("prov-worker service status --json")
@click.command("status")
@common.where_options
@click.option("--json", "as_json", is_flag=True, help="What the service says, as JSON.")
def command(as_json: bool, **where: Any) -> int:
    """Ask a running service how it is; exit code 1 if it does not answer, or lacks its broker."""
    config = common.read_config(**where)
    try:
        import requests
    except ImportError as error:
        raise common.without_extra(error) from error
    content: dict[str, Any]
    with requests.Session() as session:
        # A proxy that the environment names is for other machines.
        session.trust_env = False
        try:
            content = dict(session.get(f"{config.url}health", timeout=_TIMEOUT_S).json())
        except requests.Timeout:
            content = {"status": "unreachable", "reason": f"no answer within {_TIMEOUT_S} s"}
        except requests.ConnectionError:
            content = {"status": "unreachable", "reason": "nothing answers there; prov-worker service run starts one"}
        except (requests.RequestException, ValueError, TypeError):
            content = {"status": "unreachable", "reason": "what answers there is not a prov-worker service"}
    if as_json:
        click.echo(json.dumps({"url": config.url, **content}))
    else:
        facts = ", ".join(f"{key}: {value}" for key, value in content.items())
        click.echo(f"{config.url} {facts}")
    return 0 if content.get("status") == "ok" else 1
