"""One run as the explorer follows it: what its files say, read again when they change."""

import json
import os
import pathlib
import time
from typing import TYPE_CHECKING, Any

from rpax.errors import InputError
from rpax.runs.directory import RunDirectory
from rpax.web.book.curves import MetricsFile
from rpax.web.book.run_parts import attack_of, certificates_of, gaps_of, notes_of, pairings_of, policies_of
from rpax.web.book.text import name_text, plain_text

if TYPE_CHECKING:
    from rpax.runs.run import Run

#: A run is being trained if its directory is locked and something was written in so many seconds.
_ALIVE = 600.0
#: Settings in which runs differ without being different.
_NOT_COMPARED = ("seed", "seeds", "minutes", "log_every", "checkpoint_minutes", "checkpoints_kept", "sinks")
_MOST_SETTINGS, _MOST_SETTING, _MOST_SEEDS = 200, 200, 64
_FILES = (
    "config.yaml",
    "objective.yaml",
    "results.json",
    "attack.json",
    "certificates.json",
    "failure.json",
    "scheme.json",
)


class RunPage:
    """A run directory and what is known of it.

    Args:
        path: the run directory.
        name: what the page calls it.
        about: what it is, for a stage of a scheme.

    Attributes:
        run: what :func:`rpax.load` gives; ``None`` where the directory cannot be read.
        reason: why not, in a line.
        version: counts changes.
        played_version: counts those after which its agents may be others.
    """

    def __init__(self, path: pathlib.Path, name: str, about: str | None = None) -> None:
        self.path, self.name, self.about = path, name_text(name), None if about is None else plain_text(about)
        self.run: Run | None = None
        self.reason: str | None = None
        self.version = self.played_version = 0
        self._metrics = MetricsFile(path / "metrics.jsonl")
        self._signature: tuple[Any, ...] = ()
        self._graph: tuple[Any, dict[str, Any] | None] | None = None
        self._status = "unfinished"

    def refresh(self, *, whole: bool = False) -> None:
        """Read what has changed since the last time; ``whole`` if all of it, else of long metrics the next part."""
        signature = (*map(_stamp, (self.path / name for name in _FILES)), _stamp(self.path / "checkpoints"))
        if signature != self._signature or self.run is None:
            before = (self.run, self.reason)
            self._read()
            if signature != self._signature or before != (self.run, self.reason):
                self.version += 1
                self.played_version += 1
            self._signature = signature
        while self._metrics.read_on():
            self.version += 1
            if not whole:
                break
        status = self._find_status()
        if status != self._status:
            self._status = status
            self.version += 1

    def _read(self) -> None:
        from rpax.objectives.plan import make_plan
        from rpax.runs.run import load

        try:
            found = load(self.path)
            # What plays whom is asked later, when no error could be told.
            make_plan(found.objective)
            self.run, self.reason = found, None
        except InputError as error:
            self.run, self.reason = None, plain_text(error)
        except Exception as error:  # whatever a damaged directory brings about, the other runs are shown
            self.run, self.reason = None, plain_text(f"{self.path} cannot be read ({type(error).__name__}: {error})")

    def _find_status(self) -> str:
        if self.run is None:
            return "unreadable"
        if (self.path / "lock").exists() and time.time() - self._written < _ALIVE:
            return "training"
        return self.run.status

    @property
    def _written(self) -> float:
        """When something was written last."""
        stamps = [_stamp(self.path / name) for name in ("lock", "metrics.jsonl", "checkpoints", "config.yaml")]
        return max((stamp[0] / 1e9 for stamp in stamps if stamp), default=0.0)

    @property
    def plays(self) -> bool:
        """Whether it has agents that can play."""
        return self.run is not None and bool(self.run.results or self.run.status == "interrupted")

    def stages(self) -> list[tuple[pathlib.Path, str]]:
        """Of a scheme, the stages in folders of their own that are begun."""
        directory = RunDirectory(self.path)
        try:
            begun = {stage.path for stage in directory.stages()}
            told = [(self.path / stage["folder"], stage["about"]) for stage in directory.read_scheme()["stages"]]
        except (InputError, OSError):
            return []
        return [(path, about) for path, about in told if path in begun]

    def summary(self) -> dict[str, Any]:
        """The run's line in the list of runs."""
        run = self.run
        found: dict[str, Any] = {"name": self.name, "status": self._status, "version": self.version}
        if self.about is not None:
            found["about"] = self.about
        if run is None:
            return found | {"reason": self.reason}
        return found | {
            "algorithm": name_text(run.objective.name),
            "environment": name_text(run.config.environment),
            "seeds": list(run.config.seed_list[:_MOST_SEEDS]),
            "update": max(run.update, self._metrics.last_update if self._status != "finished" else 0),
            "updates": run.config.updates,
            "stage": None if run.stage is None else name_text(run.stage),
        }

    def document(self, others: "list[RunPage]") -> dict[str, Any]:
        """Everything about the run.

        Args:
            others: the runs that it is compared with.
        """
        found = self.summary()
        run = self.run
        if run is None:
            return found
        return found | {
            "settings": self._settings(run),
            "differing": self._differing(run, others),
            "graph": self._drawn(run),
            "curves": self._metrics.curves(),
            "pairings": pairings_of(run),
            "table": policies_of(run),
            "gaps": gaps_of(run),
            "notes": notes_of(run),
            "attack": attack_of(self.path),
            "certificates": certificates_of(self.path),
            "failure": self._failure() if run.status == "failed" else None,
        }

    def _failure(self) -> str:
        from rpax.runs.failure import told

        return plain_text(told(self.path / "failure.json") or "training became non-finite")

    def _settings(self, run: "Run") -> list[dict[str, str]]:
        return [{"name": name, "value": _shown(value)} for name, value in _config(run).items()][:_MOST_SETTINGS]

    def _differing(self, run: "Run", others: "list[RunPage]") -> list[str]:
        """The settings in which it differs from another run of its environment."""
        own, where = _config(run), run.config.environment
        runs = [other.run for other in others if other.run is not None]
        configs = [_config(other) for other in runs if other.config.environment == where]
        return [
            name
            for name in own
            if name not in _NOT_COMPARED and any(config.get(name) != own[name] for config in configs)
        ]

    def _drawn(self, run: "Run") -> dict[str, Any] | None:
        if self._graph is None or self._graph[0] != run.objective:
            from rpax.web.book.graph import graph_of

            self._graph = (run.objective, graph_of(run.objective))
        return self._graph[1]


def _config(run: "Run") -> dict[str, Any]:
    from rpax.runs.config import config_to_dict

    return config_to_dict(run.config)


def _shown(value: Any) -> str:
    text = "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return plain_text(text, _MOST_SETTING)


def _stamp(path: pathlib.Path) -> tuple[int, int, int] | None:
    """What changes when a file is written."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
