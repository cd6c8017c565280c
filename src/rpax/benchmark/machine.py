"""What numbers were measured on, and how much memory this process has taken."""

import os
import platform
from typing import Any

import jax


def peak_memory_bytes() -> int | None:
    """The most memory taken so far, ``None`` where it is unknown.

    Of GPUs their own; else the resident memory of this process, compilation included.
    """
    statistics = [device.memory_stats() or {} for device in jax.local_devices()]
    if all("peak_bytes_in_use" in its for its in statistics):
        return sum(its["peak_bytes_in_use"] for its in statistics)
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else 1024 * peak


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def _processor_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
