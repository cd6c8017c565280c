"""A persistent cache of compiled programs in the user's cache folder, one for each kind of processor."""

import hashlib
import os
import pathlib
import platform
import sys

import jax


def cache_folder() -> pathlib.Path:
    """Where compiled programs are kept: ``$RPAX_CACHE``, or a folder in the user's cache, named after the processor.

    Programs compiled for one processor may use instructions that another lacks, so no other kind may read them.
    """
    chosen = os.environ.get("RPAX_CACHE")
    if chosen:
        root = pathlib.Path(chosen)
    elif sys.platform == "win32":
        root = pathlib.Path(os.environ.get("LOCALAPPDATA", pathlib.Path.home() / "AppData/Local")) / "rpax"
    elif sys.platform == "darwin":
        root = pathlib.Path.home() / "Library/Caches/rpax"
    else:
        root = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "rpax"
    return root / "xla" / hashlib.sha256(_processor().encode()).hexdigest()[:16]


def use_compilation_cache() -> None:
    """Turn the cache on, unless the user has set one up or switched it off with ``RPAX_CACHE=off``."""
    if os.environ.get("RPAX_CACHE") == "off" or getattr(jax.config, "jax_compilation_cache_dir", None):
        return
    jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)


def folder_in_use() -> pathlib.Path | None:
    """Where JAX keeps compiled programs now, ours or the user's; ``None`` if it keeps none, or not on a disk."""
    folder = getattr(jax.config, "jax_compilation_cache_dir", None)
    off = os.environ.get("RPAX_CACHE") == "off" or not getattr(jax.config, "jax_enable_compilation_cache", True)
    if off or not folder or "://" in folder:
        return None
    return pathlib.Path(folder)


def _processor() -> str:
    """What tells one kind of processor from another: its model and instruction sets where the system says them."""
    about = f"{platform.machine()} {platform.processor()} jax {jax.__version__}"
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return about
    wanted = ("model name", "flags", "Features", "CPU part")
    return about + "".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))
