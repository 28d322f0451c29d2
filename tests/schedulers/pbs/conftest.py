"""Clusters of the stand-in for PBS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from globus_compute_sdk import Client
    from pbs_site import PBSSite
    from service_stack import Stack
    from standin.cluster import Cluster


@pytest.fixture
def cluster_of(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Make clusters, by what differs from the stand-in's defaults; they end with the test."""
    from standin.cluster import Cluster

    made: list[Cluster] = []

    def make(**config: Any) -> Cluster:
        made.append(Cluster(tmp_path / f"pbs{len(made)}", **config))
        made[-1].start()
        return made[-1]

    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Broker and service of a site; its network, which the process is in, must be left with the module."""
    import pbs_site  # noqa: F401 - knows the folder of the next one
    from service_stack import running

    with running(tmp_path_factory.mktemp("stack"), endpoint=False) as stack:
        yield stack


@pytest.fixture
def wait_online(wait_for: Callable[..., None]) -> Callable[[PBSSite], Client]:
    """A client, once an endpoint is online."""

    def wait(site: PBSSite) -> Client:
        from globus_compute_sdk import Client

        client = Client()
        wait_for(lambda: client.get_endpoint_status(site.id)["status"] == "online", "endpoint online")
        return client

    return wait
