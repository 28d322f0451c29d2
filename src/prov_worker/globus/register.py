"""Importing this module makes the engines known by name: the explicit way, if the ``.pth`` line cannot be used.

import prov_worker.globus.register
from globus_compute_endpoint.endpoint.config.utils import load_config_yaml

config = load_config_yaml("engine: {type: ProvenanceEngine, ...}")
"""

from __future__ import annotations

from prov_worker.globus.hook import install

install()
