"""Traced programs, kept beside the compiled ones, so that a warm start need not trace an update again.

Tracing and lowering an update of a deep environment takes several seconds, reading it back a fifth of one. A file holds
what JAX exports: the program in StableHLO and the structure of its results. It is named after everything that the
program is made from, this package's own source included. What is not in a file is not noticed: whoever replaces
functions of ``rpax`` or of the packages below it in a running process switches the cache off first, with
``RPAX_CACHE=off``.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import logging
import os
import pathlib
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
from jax import export

from rpax.environments.registry import check_environment_name
from rpax.runs.compilation_cache import folder_in_use
from rpax.runs.config import TrainConfig, config_to_dict
from rpax.training.metrics import StepMetrics
from rpax.training.problem import Problem, TrainState
from rpax.training.trainer import Advance, Report

#: What programs are made with. All that is computed comes from their files.
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "jaxmarl")
#: Settings of a run that its program does not depend on.
_NOT_IN_PROGRAMS = (
    "updates",
    "seed",
    "seeds",
    "out",
    "sinks",
    "minutes",
    "checkpoint_minutes",
    "checkpoints_kept",
    "log_every",
    "snapshots",
)
#: Settings of JAX that say where something is kept or written, not what is computed.
_NOT_IN_RESULTS = ("cache", "log", "dump", "traceback", "profiler")

_log = logging.getLogger(__name__)

#: Programs that nobody used for so long are removed.
_KEPT_SECONDS = 30 * 24 * 3600
_CHECKSUM = hashlib.sha256().digest_size

for _part in (Report, StepMetrics):
    export.register_namedtuple_serialization(_part, serialized_name=f"{_part.__module__}.{_part.__qualname__}")


@dataclasses.dataclass(frozen=True)
class TracedPrograms:
    """The kept programs of one training run.

    Attributes:
        about: everything that they depend on besides JAX's settings.
    """

    about: str

    @classmethod
    def of(cls, config: TrainConfig, problem: Problem) -> "TracedPrograms | None":
        """Those of a run in an environment that was made by its name.

        ``None`` where the program depends on more than the settings and this package's source: with fixed agents, whose
        parameters are in it, and with environments registered by users. For processors only, untried elsewhere.
        """
        built_in = isinstance(check_environment_name(config.environment).factory, str)
        source = _source()
        if problem.fixed or not built_in or source is None or jax.default_backend() != "cpu":
            return None
        settings = {name: value for name, value in config_to_dict(config).items() if name not in _NOT_IN_PROGRAMS}
        made_with = dict(problem.environment.made_with)
        return cls(repr((settings, made_with, problem.plan.objective, len(config.seed_list), source)))

    def keep(self, advance: Advance) -> Advance:
        """``jax.jit(advance, donate_argnums=0)``, traced only if no file holds it."""
        program: list[Callable[..., Any]] = []

        def kept(state: TrainState, updates: Any) -> tuple[TrainState, Report]:
            # What comes out of an exported program is bound to its devices; unbound arrays would be another program.
            leaves, structure = jax.tree.flatten(jax.tree.map(_bound, state))
            if not program:
                program.append(self._load_or_trace(advance, structure, leaves, updates))
            leaves, report = program[0](leaves, updates)
            return jax.tree.unflatten(structure, leaves), _by_seat(report, int)

        return kept

    def _load_or_trace(self, advance: Advance, structure: Any, leaves: list[Any], updates: Any) -> Callable[..., Any]:
        def of_leaves(leaves: list[Any], updates: Any) -> tuple[list[Any], Report]:
            state, report = advance(jax.tree.unflatten(structure, leaves), updates)
            return jax.tree.leaves(state), _by_seat(report, str)

        folder = folder_in_use()
        here = jax.jit(of_leaves, donate_argnums=0)
        if folder is None:
            return here
        file = folder / "traced" / self._digest(leaves)
        program = _read_program(file)
        if program is None:
            try:
                program = export.export(jax.jit(of_leaves))(leaves, updates)
                _write(file, program.serialize())
            except Exception as error:  # Whatever JAX cannot export, it can still compile.
                _log.warning("the update is traced anew at every start, as it could not be exported: %s", error)
                return here
        return jax.jit(program.call, donate_argnums=0)

    def _digest(self, leaves: list[Any]) -> str:
        arguments = [(leaf.shape, str(leaf.dtype), _spread(leaf)) for leaf in leaves]
        settings = sorted(
            (name, value) for name, value in jax.config.values.items() if not any(w in name for w in _NOT_IN_RESULTS)
        )
        return hashlib.sha256(repr((self.about, arguments, settings, jax.device_count())).encode()).hexdigest()


def _bound(leaf: Any) -> jax.Array:
    """The array, bound to where it is."""
    return jax.device_put(leaf, leaf.sharding if isinstance(leaf, jax.Array) else jax.local_devices()[0])


def _spread(leaf: Any) -> str:
    """How an array is spread over several devices."""
    several = isinstance(leaf, jax.Array) and len(leaf.sharding.device_set) > 1
    return str(leaf.sharding) if several else ""


def _by_seat(report: Report, kind: Callable[[Any], Any]) -> Report:
    """The report with the seats of policies as ``kind``: the keys of exported dicts are text."""
    policies = {name: {kind(seat): table for seat, table in its.items()} for name, its in report.policies.items()}
    return report._replace(policies=policies)


def _read_program(file: pathlib.Path) -> export.Exported | None:
    """The program in a file; ``None`` if there is no file, or nothing that can be read in it."""
    try:
        whole = file.read_bytes()
    except OSError:
        return None
    checksum, content = whole[:_CHECKSUM], whole[_CHECKSUM:]
    if hashlib.sha256(content).digest() != checksum:
        return None
    try:
        program = export.deserialize(bytearray(content))
    except Exception:  # Of another version of the format: it will be replaced.
        return None
    with contextlib.suppress(OSError):
        os.utime(file)  # It was used, so it stays.
    return program


def _write(file: pathlib.Path, content: bytes | bytearray) -> None:
    """A checksum and the content, whole or not at all. A cache that cannot be written is no reason to stop."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(hashlib.sha256(content).digest() + content)
        temporary.replace(file)
        _remove_unused(file.parent)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _remove_unused(folder: pathlib.Path) -> None:
    """Programs that nobody used for a month go, and what writing them left behind."""
    for file in folder.iterdir():
        if re.fullmatch(r"[0-9a-f]{64}(\.\d+)?", file.name):
            with contextlib.suppress(OSError):
                if time.time() - file.stat().st_mtime > _KEPT_SECONDS:
                    file.unlink()


def _source() -> str | None:
    """A digest of this package's source and of what it is built on.

    ``None`` if they can differ from what this process has imported: files changed since, or packages that were
    installed to be edited.
    """
    import rpax

    digest = hashlib.sha256(sys.version.encode())
    for name in _PACKAGES:
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if "editable" in (package.read_text("direct_url.json") or ""):
            return None
        # It holds a checksum of every file.
        digest.update((package.read_text("RECORD") or f"{name} {package.version}").encode())
    for file in sorted(pathlib.Path(os.fspath(rpax.__path__[0])).rglob("*.py")):
        if file.stat().st_mtime > rpax.IMPORTED_AT:
            return None
        digest.update(file.read_bytes())
    return digest.hexdigest()
