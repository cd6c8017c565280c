"""Where a number comes from: version, commit, machine."""

import functools
import pathlib
import subprocess
from typing import Any

from rpax._version import __version__


def provenance() -> dict[str, Any]:
    """What is written beside every result."""
    from rpax.benchmark.machine import machine

    about = machine()
    accelerator = {} if about["device"] == "cpu" else {"device": about["device"]}
    return {
        "rpax": __version__,
        "commit": commit(),
        "processor": about["processor"],
        **accelerator,
        "jax": about["jax"],
    }


@functools.cache
def commit() -> str | None:
    """The commit of the checkout that this package lies in, ``-dirty`` if its code was changed; ``None`` elsewhere."""
    root = pathlib.Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None

    def of_git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=root, check=True)
        return done.stdout.strip()

    try:
        changed = of_git("status", "--porcelain", "--", "src")
        return of_git("describe", "--always") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
