"""For the tests of those who build on the product: crates of tasks that never ran, a made-up run, an endpoint.

::

    from prov_worker.testing import CrateFactory

    def test_my_reader(tmp_path):
        crates = CrateFactory(tmp_path / "crates")
        crate = crates.add(1, "simulate", wall_s=2.0, sampled=True)
        assert my_reader(crate).function == "simulate"

The crates are published by the writer that the agent uses. With ``pytest_plugins = ["prov_worker.testing.fixtures"]``
in a ``conftest.py``, tests have the fixtures ``crate_factory`` and ``embedded_endpoint``.
"""

from __future__ import annotations

from prov_worker.testing.crates import CrateFactory, node, pickled_sha256, sampled_series, task_id, text_value
from prov_worker.testing.run import make_run

__all__ = [
    "CrateFactory",
    "make_run",
    "node",
    "pickled_sha256",
    "sampled_series",
    "task_id",
    "text_value",
]
