"""The cells of a study: each is a small JSON file, and one that is there is not made again.

::

    OUT/CASE/train-POPULATION-seed-S.json     a training: returns, learning curve, settings
    OUT/CASE/cross-play.json                  everybody with everybody
    OUT/CASE/cross-play-greedy.json           the same with the most likely actions
    OUT/CASE/attack-POPULATION-seed-S-ALGORITHM.json
    OUT/CASE/gap-POPULATION-seed-0-AGENT.json   a bound on an agent's rationality gap
    OUT/CASE/runs/                            run directories and finished pairs: large, and needed only to go on

Whoever has the JSON files has the results; whoever has the run directories too can add to them.
"""

import contextlib
import json
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rpax.errors import InputError
from rpax.reproduce.provenance import provenance
from rpax.reproduce.study import Budget, Population, Study
from rpax.runs.certify import Phase
from rpax.runs.run import Progress as RunProgress
from rpax.runs.run import Run, load, resume, train

#: Called with what is being done, how far it is, how far it goes, and the latest metrics.
Progress = Callable[[str, int, int, Sequence[Any]], None]
_MOST_POINTS = 60


class Cells:
    """The cells of one study with one budget.

    Args:
        study: what is reproduced.
        budget: how much is done.
        folder: ``OUT/CASE``.
        progress: see :data:`Progress`.
    """

    def __init__(self, study: Study, budget: Budget, folder: pathlib.Path, progress: Progress) -> None:
        self.study, self.folder, self.progress = study, folder, progress
        self.budget: Budget = budget

    def trainings(self) -> Iterator[tuple[Population, int]]:
        """Every population and seed, seed by seed, so that an early stop leaves a balanced table."""
        most = max(population.seeds[self.budget] for population in self.study.populations)
        for seed in range(most):
            for population in self.study.populations:
                if seed < population.seeds[self.budget]:
                    yield population, seed

    def train(self, population: Population, seed: int) -> dict[str, Any]:
        """The cell of a training, made if it is missing."""
        path = self.folder / f"train-{population.slug}-seed-{seed}.json"
        return self._cell(path, lambda: self._training(population, seed))

    def run(self, population: Population, seed: int) -> Run:
        """The finished run of a training: read, gone on with, or trained (again, where only its cell is there)."""
        config = self.study.config(population, self.budget, seed)
        out = self.folder / "runs" / f"{population.slug}-seed-{seed}"

        def progress(update: int, until: int, rows: Sequence[Any]) -> None:
            self.progress(f"{self.study.case}: {population.label}, seed {seed}", update, until, rows)

        if (out / "config.yaml").is_file():
            found = load(out)
            self._check_same(found, config, out)
            return found if found.status == "finished" else resume(out, progress=progress)
        settings = self._settings(population)
        return train(population.algorithm, self.study.environment, seed=seed, out=out, progress=progress, **settings)

    def _settings(self, population: Population) -> dict[str, Any]:
        return {**self.study.settings[self.budget], **population.settings}

    def _check_same(self, found: Run, config: Any, out: pathlib.Path) -> None:
        asked = self._asked(config)
        # A run of an earlier version knows nothing of settings that came later.
        known = {name: value for name in asked if (value := getattr(found.config, name)) is not None}
        differing = [name for name, value in known.items() if asked[name] != value]
        if differing:
            name = differing[0]
            raise InputError(
                f"run {out} was trained with {name} {getattr(found.config, name)}, now it is {asked[name]}; choose "
                "another --out or remove it"
            )

    @staticmethod
    def _asked(config: Any) -> dict[str, Any]:
        from rpax.runs.prepare import prepare

        complete, _ = prepare(config)
        unread = ("seeds", "minutes", "log_every", "checkpoint_minutes", "sinks")
        return {name: getattr(complete, name) for name in complete.__dataclass_fields__ if name not in unread}

    def _training(self, population: Population, seed: int) -> dict[str, Any]:
        start = time.monotonic()
        run = self.run(population, seed)
        content = run.to_dict()
        return {
            "algorithm": population.algorithm,
            "environment": self.study.environment,
            "seed": seed,
            "settings": plain(self._settings(population)),
            "updates": run.update,
            "seconds": round(time.monotonic() - start, 1),
            "pairings": content["results"][0]["pairings"],
            "diagnosis": content["results"][0]["diagnosis"],
            "curve": curve(run.metrics(), run.objective.bases),
        }

    def phases(self, title: str) -> Phase:
        """The progress of whatever is done in several phases."""

        @contextlib.contextmanager
        def phase(what: str) -> Iterator[RunProgress]:
            yield lambda update, until, rows: self.progress(f"{title}: {what}", update, until, rows)

        return phase

    def cell(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The cell ``NAME.json``, made if it is missing."""
        return self._cell(self.folder / f"{name}.json", make)

    def known(self, name: str) -> dict[str, Any] | None:
        """The cell ``NAME.json`` if it is there."""
        path = self.folder / f"{name}.json"
        return read_cell(path) if path.is_file() else None

    def _cell(self, path: pathlib.Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if path.is_file():
            return read_cell(path)
        content = {**make(), **provenance()}
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".part")
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
        temporary.replace(path)
        return content


def read_cell(path: pathlib.Path) -> dict[str, Any]:
    """A cell's content.

    Raises:
        InputError: it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{path} is damaged; remove it, and it will be made again") from None


def plain(value: Any) -> Any:
    """Settings as JSON holds them."""
    return json.loads(json.dumps(value))


def curve(rows: Sequence[Mapping[str, Any]], bases: Sequence[str]) -> dict[str, list[float | None]]:
    """Mean training returns over updates, at most 60 points: self-play, cross-play, and with manipulators."""
    step = max(1, -(-len(rows) // _MOST_POINTS))
    thinned = rows[step - 1 :: step]
    found: dict[str, list[float | None]] = {"update": [row["update"] for row in thinned]}
    for kind in ("self-play", "cross-play", "with manipulators"):
        values = [_mean_return(row, kind, bases) for row in thinned]
        if any(value is not None for value in values):
            found[kind] = values
    return found


def _mean_return(row: Mapping[str, Any], kind: str, bases: Sequence[str]) -> float | None:
    values = []
    for group in ("lookahead_episode_return", "outer_episode_return", "returns"):
        for pairing, returns in (row.get(group) or {}).items():
            names = pairing.split(" vs ")
            manipulated = any(name.startswith("manipulator") for name in names)
            its_kind = "with manipulators" if manipulated else "self-play" if names[0] == names[1] else "cross-play"
            if returns is not None and its_kind == kind and any(name in bases for name in names):
                values.append(sum(returns) / 2)
    return round(sum(values) / len(values), 4) if values else None
