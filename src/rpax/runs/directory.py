"""The run directory: what lies where, created before anything slow happens. Never imports JAX.

::

    config.yaml      every setting, complete
    objective.yaml   the objective's agents and edges
    versions.json    of Python, rpax and the libraries that matter
    metrics.jsonl    one line per seed and logged update
    checkpoints/     update-XXXXXXXXX/{state.safetensors, manifest.json}
    policies/        seed-S/AGENT.safetensors
    results.json     what `rpax train --json` prints
    plots/           learning curves, policies over time
    scheme.json      of an algorithm that is trained in stages: which folder holds which
    failure.json     of training that became non-finite: which agent, which term, when
    wandb.json       what the run is called by Weights & Biases, where it is told
    lock             which process writes the directory, while it does
"""

import contextlib
import itertools
import json
import os
import pathlib
import platform
import shutil
import time
from collections.abc import Iterator
from typing import Any

from rpax._version import __version__
from rpax.errors import InputError, NonFiniteError
from rpax.folders import missing_folders, remove_empty
from rpax.objectives.edges import Objective
from rpax.objectives.files import load_objective, save_objective
from rpax.runs.config import TrainConfig, config_from_dict, config_to_dict, read_settings
from rpax.runs.lock import RunLock, is_lock_file
from rpax.runs.manifest import library_versions
from rpax.runs.presets import ALGORITHM_OPTIONS, preset_values
from rpax.runs.writing import NotWritten, Unwritable, write_text
from rpax.untrusted import NotStrictJSON, check_keys, inside, read_json, refuse_code_inside, refuse_links_out_of
from rpax.yaml_files import format_yaml

#: The most stages a scheme can have.
_MOST_STAGES = 10_000


def default_directory(algorithm: str, environment: str) -> pathlib.Path:
    """``runs/<time>-<algorithm>-<environment>`` with ``/`` as ``-``, and a number behind it where that is taken.

    Of an algorithm's or an environment's file, only what it names.
    """
    stem = pathlib.Path(algorithm).stem if algorithm.endswith((".yaml", ".yml")) else algorithm
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{stem}-{environment.rpartition(':')[2]}".replace("/", "-")
    candidates = (pathlib.Path("runs") / (name if i == 1 else f"{name}-{i}") for i in itertools.count(1))
    return next(path for path in candidates if not path.exists())


class RunDirectory:
    """Paths of a run directory, and its small files."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)
        self.config = self.path / "config.yaml"
        self.objective = self.path / "objective.yaml"
        self.versions = self.path / "versions.json"
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.policies = self.path / "policies"
        self.results = self.path / "results.json"
        self.plots = self.path / "plots"
        self.scheme = self.path / "scheme.json"
        self.failure = self.path / "failure.json"
        self.lock = RunLock(self.path)
        self._made: list[pathlib.Path] = []

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: TrainConfig, objective: Objective) -> "RunDirectory":
        """A new run directory with configuration, objective and versions, locked for this process.

        What a process left behind that was killed while it made one is gone on with. It is known by
        ``config.yaml.part``, which is there from before the first other file until the directory is made.

        Raises:
            InputError: something is there already, or the place cannot be written.
        """
        run = cls(path)
        try:
            # Before a lock file comes to lie in somebody else's folder.
            run._refuse_what_is_there()
            run._made = missing_folders(run.path)
            run.path.mkdir(parents=True, exist_ok=True)
            run.lock.acquire()
            # Another process may have begun it in between.
            run._refuse_what_is_there()
            run._write_beginning(config, objective)
        except (OSError, NotWritten) as error:
            run.lock.release()
            remove_empty(run._made)
            reason = error.reason if isinstance(error, NotWritten) else error.strerror
            raise InputError(f"run directory {run.path}: cannot be created ({reason}); choose another --out") from None
        except BaseException:
            run.lock.release()
            raise
        return run

    def _write_beginning(self, config: TrainConfig, objective: Objective) -> None:
        try:
            self._begun.touch()
            save_objective(objective, self.objective)
            self.write_json(self.versions, _versions())
            # Last: it makes the folder a run directory, which can be gone on with.
            self.write_config(config)
        except BaseException:
            for file in (self.objective, self.versions, self._begun):
                with contextlib.suppress(OSError):
                    file.unlink()
            raise

    def _refuse_what_is_there(self) -> None:
        if self.path.exists() and (not self.path.is_dir() or self._holds_something()):
            raise InputError(
                f"run directory {self.path} exists and is not empty; choose another --out or `rpax resume` it"
            )

    def _holds_something(self) -> bool:
        """Whether there is something in the folder that no :meth:`create` left behind that was killed."""
        there = {entry.name: entry for entry in self.path.iterdir()}
        # What create() writes is no link, through which it would write to anything.
        if any(entry.is_symlink() for entry in there.values()):
            return True
        if self.lock.file.name in there and not is_lock_file(self.lock.file):
            return True
        ours = {self.lock.file.name, self._begun.name}
        if self._begun.name in there:
            ours |= {name for file in (self.objective, self.versions) for name in (file.name, f"{file.name}.part")}
        return not there.keys() <= ours

    @property
    def _begun(self) -> pathlib.Path:
        """What the configuration is called while it is written."""
        return self.config.with_name(f"{self.config.name}.part")

    def check_there(self) -> None:
        """Before something is written that would make the folder anew.

        Raises:
            InputError: the run directory has vanished.
        """
        if not self.config.is_file():
            raise InputError(
                f"run directory {self.path} has vanished while it was written; bring it back, then go on with "
                "`rpax resume`"
            )

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "RunDirectory":
        """An existing run directory.

        Raises:
            InputError: there is none.
        """
        run = cls(path)
        if not run.config.is_file():
            what = (
                "is a file" if run.path.is_file() else "has no config.yaml" if run.path.is_dir() else "does not exist"
            )
            raise InputError(f"run directory {run.path} {what}; give the directory that `rpax train` wrote")
        return run

    @contextlib.contextmanager
    def discarded_if_untrained(self) -> Iterator[None]:
        """Where the block fails before it made an update, nothing is left, so that a corrected attempt can begin.

        A folder that was there before stays, empty as it was. Of training that became non-finite, or that the disk
        refused, everything is kept, and of what another process writes. In the end the directory is unlocked.
        """
        try:
            yield
        except (NonFiniteError, Unwritable):
            raise
        except Exception:
            # What is gone already, or another process's by now, hides no error.
            with contextlib.suppress(OSError, InputError):
                self.lock.acquire()
                if not self._has_updates():
                    self._empty()
            self.lock.release()
            remove_empty(self._made)
            raise
        finally:
            self.lock.release()

    def _has_updates(self) -> bool:
        """Whether an update was made, here or in a run further down (a stage of a scheme)."""
        logged = any(file.stat().st_size > 0 for file in self.path.rglob(self.metrics.name))
        saved = self.path.rglob(f"{self.checkpoints.name}/update-*")
        return logged or any(path.name != "update-000000000" for path in saved)

    def _empty(self) -> None:
        for path in self.path.iterdir():
            if path == self.lock.file:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def read_config(self) -> TrainConfig:
        """The complete configuration.

        Raises:
            InputError: it is damaged, or names code that came with the run directory.
        """
        config = config_from_dict(read_settings(self.config), where=f"{self.config}: key")
        for name in ("environment", "victim", "partner"):
            refuse_code_inside(self._outermost(), getattr(config, name) or "", f"{self.config}: {name}")
        self._check_complete(config)
        return config

    def _outermost(self) -> pathlib.Path:
        """The largest folder that can have come with the run: a run directory may lie in another one."""
        here = self.path.resolve()
        above = (RunDirectory(folder) for folder in reversed(here.parents))
        # Other folders may well have a config.yaml.
        return next((run.path for run in above if run.config.is_file() and run.objective.is_file()), here)

    def _check_complete(self, config: TrainConfig) -> None:
        """Refuse what :func:`rpax.train` never writes: open settings, and files that it replaces by what they hold."""
        preset = preset_values(config.preset, config.environment, exact=config.exact, network=config.network)
        for name in (*preset, "log_every"):
            if getattr(config, name) is None and name not in ALGORITHM_OPTIONS:
                raise InputError(f"{self.config}: key '{name}' is missing; restore the file from a copy")
        layout = config.environment_options.get("layout")
        drawn = not config.environment.startswith("overcooked") or not isinstance(layout, str) or "\n" in layout.strip()
        for name, is_held in (("payoffs", not isinstance(config.payoffs, str)), ("layout", drawn)):
            if not is_held:
                raise InputError(f"{self.config}: {name} names a file instead of what it holds; restore it from a copy")

    def open_to_write(self) -> None:
        """Lock it for this process; nothing where it is locked so already.

        Raises:
            InputError: another process writes it, or it has links through which something else would be written.
        """
        refuse_links_out_of(self.path)
        self.lock.acquire()

    def read_scheme(self) -> dict[str, Any]:
        """The scheme's name and stages; without stages for a single run.

        Raises:
            InputError: the file is damaged, or names a folder that is not in the run directory.
        """
        if not self.scheme.is_file():
            return {"scheme": None, "stages": []}
        content = read_json(self.scheme, "train the scheme anew")
        try:
            check_keys(content, {"scheme": str, "stages": list})
            stages = [check_keys(stage, {"folder": str, "about": str}) for stage in content["stages"]]
        except NotStrictJSON as error:
            raise InputError(f"{self.scheme} is damaged, it {error}; train the scheme anew") from None
        folders = [inside(self.path, stage["folder"], str(self.scheme)).resolve() for stage in stages]
        if len(set(folders)) < len(folders) or len(folders) > _MOST_STAGES:
            raise InputError(f"{self.scheme} names a folder twice, or more than {_MOST_STAGES}; train the scheme anew")
        return {"scheme": content["scheme"], "stages": stages}

    def stages(self) -> "list[RunDirectory]":
        """The run directories of a scheme's stages in folders of their own, as far as they are begun, in order."""
        folders = [stage["folder"] for stage in self.read_scheme()["stages"]]
        found, here = [RunDirectory(self.path / folder) for folder in folders], self.path.resolve()
        stages = [stage for stage in found if stage.path.resolve() != here and stage.config.is_file()]
        for stage in stages:
            if stage.scheme.is_file():
                raise InputError(f"{stage.scheme} lies in a stage of {self.path}, and stages have none; remove it")
        return stages

    def read_objective(self) -> Objective:
        """The objective."""
        return load_objective(self.objective)

    def read_results(self) -> dict[str, Any] | None:
        """What the finished (or stopped) run wrote, or ``None``.

        Raises:
            InputError: the file is damaged.
        """
        remedy = "remove it and `rpax resume` the run"
        if not self.results.is_file():
            if self.results.exists():
                raise InputError(f"{self.results} is a folder or no file at all; {remedy}")
            return None
        content = read_json(self.results, remedy)
        fine = isinstance(content, dict) and type(content.get("update")) is int and content["update"] >= 0
        status = content.get("status") if fine else None
        if status and isinstance(status, str) and (status == "interrupted" or content.get("results")):
            return content
        raise InputError(f"{self.results} is damaged; {remedy}")

    def write_config(self, config: TrainConfig) -> None:
        """Write the configuration."""
        write_text(self.config, format_yaml(config_to_dict(config)))

    def write_json(self, path: pathlib.Path, content: Any) -> None:
        """Write a JSON document."""
        write_text(path, json.dumps(content, indent=1) + "\n")


def _versions() -> dict[str, str]:
    return {"platform": platform.platform(), "rpax": __version__} | library_versions()
