"""What a run's bits depend on beside its settings and the versions of libraries. Imported without JAX."""

import os


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine(devices: int) -> dict[str, str | int]:
    """Where updates are made, as a checkpoint says it: backend, devices, and threads of XLA on processors.

    Args:
        devices: over how many the environments are spread.
    """
    import jax

    # XLA has a thread a core, or as many as this variable says.
    asked = os.environ.get("NPROC", "")
    threads = int(asked) if asked.isdecimal() and int(asked) else usable_cores()
    return {"backend": jax.default_backend(), "devices": devices, "threads": threads}
