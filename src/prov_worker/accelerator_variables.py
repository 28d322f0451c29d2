"""The environment variables by which workers are given their accelerators. Every worker imports these names."""

from __future__ import annotations

#: CUDA, Level Zero, ROCm.
VARIABLES = ("CUDA_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
#: Says whether Level Zero counts devices (``COMPOSITE``) or their tiles (``FLAT``, ``COMBINED``).
HIERARCHY = "ZE_FLAT_DEVICE_HIERARCHY"
#: Says in which order CUDA counts: ``PCI_BUS_ID``, as NVML does, or, by default, ``FASTEST_FIRST``.
ORDER = "CUDA_DEVICE_ORDER"
#: Variables that say how those of :data:`VARIABLES` are to be read.
DETAILS = (HIERARCHY, ORDER, "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE")
