"""``prov-worker service run``."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from prov_worker.cli.common.examples import examples
from prov_worker.cli.service import common
from prov_worker.printable import LineFormatter

_MIB = 1024 * 1024


@examples(
    "prov-worker service run --identities identities.json",
    "prov-worker service run --identities identities.json --flows --collections collections.json",
)
@click.command("run")
@common.where_options
@common.option("--amqp-url", default="amqp://guest:guest@127.0.0.1:5672/%2F", show_default=False, help="The broker.")
@common.option(
    "--amqp-advertise",
    metavar="URL|service",
    help="The broker as endpoints and scripts reach it; 'service': through this service's port.  [default: --amqp-url]",
)
@common.option(
    "--amqp-management",
    metavar="URL|none",
    help="The broker's management API, by which each identity gets an account of its own there; 'none': all use that "
    "of --amqp-url.  [default: port 15672 of the broker, if there is more than one identity]",
)
@common.option("--crate-dir", "crate_dirs", multiple=True, metavar="DIR", help="Crates whose running tasks are shown.")
@common.option("--retain-hours", type=float, default=24.0, help="How long finished tasks are kept.")
@common.option(
    "--max-connections", type=click.IntRange(8, 100_000), default=1000, help="At once; idle ones make space."
)
@common.option("--max-body-mib", type=click.IntRange(1, 1024), default=32, help="Largest request.")
@common.option("--max-tasks", type=click.IntRange(1, 1_000_000), default=20_000, help="Most tasks of one submission.")
@common.option("--max-task-mib", type=click.IntRange(1, 512), default=10, help="A larger task is refused.")
@common.option("--max-result-mib", type=click.IntRange(1, 512), default=10, help="A larger result fails its task.")
@common.option("--quota-functions", type=click.IntRange(1), default=10_000, help="Functions of one identity.")
@common.option("--quota-tasks", type=click.IntRange(1), default=100_000, help="Its tasks without a result.")
@common.option("--quota-mib", type=click.IntRange(1), default=4096, help="Its functions, tasks and results together.")
@common.option("--quota-queues", type=click.IntRange(3), default=20_000, help="Its endpoints and task groups.")
@common.option("--quota-channels", type=click.IntRange(8), default=2000, help="Of its account at the broker.")
@common.option("--flows/--no-flows", default=False, help="Globus Flows too, as a rehearsal (docs/flows.md).")
@common.option("--collections", metavar="FILE", help="Directories that stand for collections, with --flows.")
@common.option("--transfer-limit", type=click.IntRange(0), default=0, help="KiB/s of each copy; 0: none.")
@common.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
def command(
    amqp_url: str,
    amqp_advertise: str | None,
    amqp_management: str | None,
    crate_dirs: tuple[str, ...],
    retain_hours: float,
    max_connections: int,
    max_body_mib: int,
    max_tasks: int,
    max_task_mib: int,
    max_result_mib: int,
    quota_functions: int,
    quota_tasks: int,
    quota_mib: int,
    quota_queues: int,
    quota_channels: int,
    flows: bool,
    collections: str | None,
    transfer_limit: int,
    log_level: str,
    **where: Any,
) -> int:
    """Serve until SIGTERM; the broker may come and go meanwhile."""
    common.refuse_passwords("amqp_url", "amqp_advertise", "amqp_management")
    try:
        from prov_worker.localservice.lograte import LineRate
        from prov_worker.localservice.quota import Quota
        from prov_worker.localservice.server import run as serve
    except ImportError as error:
        raise common.without_extra(error) from error
    config = common.read_config(
        **where,
        quota=Quota(quota_functions, quota_tasks, quota_mib * _MIB, quota_queues, quota_channels),
        amqp_url=amqp_url,
        amqp_advertise=amqp_advertise or None,
        amqp_management=amqp_management or None,
        crate_dirs=tuple(Path(directory).absolute() for directory in crate_dirs),
        retain_s=retain_hours * 3600,
        connection_limit=max_connections,
        body_limit_bytes=max_body_mib * _MIB,
        task_limit=max_tasks,
        task_limit_bytes=max_task_mib * _MIB,
        result_limit_bytes=max_result_mib * _MIB,
        flows=flows,
        collections=Path(collections).absolute() if collections else None,
        transfer_limit_kib=transfer_limit,
    )
    handler = logging.StreamHandler(sys.stderr)
    # Names and messages of endpoints and tasks are in it.
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(LineRate())
    logging.basicConfig(level=log_level.upper(), handlers=[handler])
    # Pika tells every step of a connection, with its parameters; the service says what matters of it.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    serve(config, dict(os.environ))
    return 0
