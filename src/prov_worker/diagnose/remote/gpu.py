"""The accelerator that a worker sees: by torch, and by the devices of the host."""

from __future__ import annotations

import glob
import importlib
import importlib.util
import time
from typing import Any


def probe_gpu(request: dict[str, Any]) -> dict[str, Any]:
    """Multiply two matrices on the first accelerator that torch has, of any maker.

    Args:
        request: ``size``, rows and columns of the matrices.

    Returns ``devices``, files of accelerators in /dev; ``torch``, its version, None: it is not there; ``kind``
    (``cuda``, ``rocm``, ``xpu`` or None), ``count`` and ``name`` of what torch sees; ``seconds`` of a product.
    """
    answer: dict[str, Any] = {
        "devices": sorted(
            glob.glob("/dev/nvidia[0-9]*")
            + glob.glob("/dev/dri/render*")
            + glob.glob("/dev/kfd")
            + glob.glob("/dev/dxg")
        ),
        "torch": None,
        "kind": None,
    }
    if importlib.util.find_spec("torch") is None:
        return answer
    begin = time.perf_counter()
    torch = importlib.import_module("torch")
    answer["import_s"] = time.perf_counter() - begin
    answer["torch"] = str(torch.__version__)
    # torch.cuda is NVIDIA's and AMD's, torch.xpu Intel's; the latter is in torch itself since 2.5.
    for name in ("cuda", "xpu"):
        maker = getattr(torch, name, None)
        if maker is None or not maker.is_available():
            continue
        answer["kind"] = "rocm" if name == "cuda" and getattr(torch.version, "hip", None) else name
        answer["count"] = int(maker.device_count())
        answer["name"] = str(maker.get_device_name(0))
        matrix = torch.ones((request["size"], request["size"]), device=name)
        product = matrix @ matrix  # loads libraries and starts the device
        maker.synchronize()
        begin = time.perf_counter()
        product = matrix @ matrix
        maker.synchronize()
        answer["seconds"] = time.perf_counter() - begin
        answer["right"] = float(product[0, 0]) == float(request["size"])
        break
    return answer
