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

from rpax.errors import InputError, shown
from rpax.reproduce.provenance import provenance
from rpax.reproduce.study import Budget, Population, Study
from rpax.runs.certify import Phase
from rpax.runs.config import TrainConfig
from rpax.runs.run import Progress as RunProgress
from rpax.runs.run import Run, load, resume, train
from rpax.runs.writing import write_text, writing_out
from rpax.untrusted import read_json

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
        labels: the populations whose cells are made; all, if there are none. Cells of all of them make nothing then.
    """

    def __init__(
        self, study: Study, budget: Budget, folder: pathlib.Path, progress: Progress, labels: Sequence[str] = ()
    ) -> None:
        self.study, self.folder, self.progress, self._labels = study, folder, progress, labels
        self.budget: Budget = budget

    def wants(self, population: Population) -> bool:
        """Whether cells of this population are made."""
        return not self._labels or population.label in self._labels

    @property
    def wants_all(self) -> bool:
        """Whether cells of all populations together are made."""
        return not self._labels

    def trainings(self) -> Iterator[tuple[Population, int]]:
        """Every population and seed, seed by seed, so that an early stop leaves a balanced table."""
        most = max(population.seeds[self.budget] for population in self.study.populations)
        for seed in range(most):
            for population in self.study.populations:
                if seed < population.seeds[self.budget] and self.wants(population):
                    yield population, seed

    def train(self, population: Population, seed: int, *, make: bool = True) -> dict[str, Any] | None:
        """The cell of a training, made if it is missing, unless it is only to be read."""
        name = f"train-{population.slug}-seed-{seed}"
        made = (lambda: self._training(population, seed)) if make else None
        return self.cell(name, self.settings_of(population), made)

    def run(self, population: Population, seed: int) -> Run:
        """The finished run of a training: read, gone on with, or trained (again, where only its cell is there)."""
        config = self.study.config(population, self.budget, seed)
        out = self.folder / "runs" / f"{population.slug}-seed-{seed}"

        def progress(update: int, until: int, rows: Sequence[Any]) -> None:
            self.progress(f"{self.study.case}: {population.label}, seed {seed}", update, until, rows)

        if (out / "config.yaml").is_file():
            found = load(out)
            check_same(found, _asked(config), f"run {out}")
            return found if found.status == "finished" else resume(out, progress=progress)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_cell(_started(out), provenance())
        settings = self.settings_of(population)
        return train(population.algorithm, self.study.environment, seed=seed, out=out, progress=progress, **settings)

    def settings_of(self, population: Population) -> dict[str, Any]:
        """What a population's trainings are asked for."""
        return {**self.study.settings[self.budget], **population.settings}

    def _training(self, population: Population, seed: int) -> dict[str, Any]:
        out = self.folder / "runs" / f"{population.slug}-seed-{seed}"
        start, trained_before = time.monotonic(), (out / "config.yaml").is_file()
        run = self.run(population, seed)
        if run.status != "finished":
            raise InputError(f"run {out} is {run.status} at update {run.update}; `rpax resume` it to its end")
        content = run.to_dict()
        # Of a run that was not made in one go, nobody knows how long it took, only where it began.
        seconds = None if trained_before else round(time.monotonic() - start, 1)
        began = read_cell(_started(out)) if _started(out).is_file() else {}
        return {
            "algorithm": population.algorithm,
            "environment": self.study.environment,
            "seed": seed,
            "updates": run.update,
            "seconds": seconds,
            "pairings": content["results"][0]["pairings"],
            "diagnosis": content["results"][0]["diagnosis"],
            "curve": curve(_rows(run), run.objective.bases),
            **began,
        }

    def phases(self, title: str) -> Phase:
        """The progress of whatever is done in several phases."""

        @contextlib.contextmanager
        def phase(what: str) -> Iterator[RunProgress]:
            yield lambda update, until, rows: self.progress(f"{title}: {what}", update, until, rows)

        return phase

    def cell(
        self,
        name: str,
        settings: Mapping[str, Any],
        make: Callable[[], dict[str, Any]] | None,
        *,
        renew: bool = False,
    ) -> dict[str, Any] | None:
        """The cell ``NAME.json``, which is made if it is missing.

        Args:
            name: of the file.
            settings: what it is made with; written down, and compared with those of a cell that is there.
            make: how it is made; ``None`` to read it only, where it is there.
            renew: make one anew that was made with other settings, and read such a one, instead of refusing it.

        Raises:
            InputError: it is there and was made with other settings, or is damaged.
        """
        path = self.folder / f"{name}.json"
        if path.is_file():
            known = read_cell(path)
            if known.get("settings") == plain(settings) or (renew and make is None):
                return known
            if not renew:
                before, now = shown(known.get("settings")), shown(plain(settings))
                raise InputError(f"{path} was made with {before}, not {now}; choose another --out or remove it")
        if make is None:
            return None
        began = provenance()
        content = {"settings": plain(settings), **began, **make()}
        write_cell(path, content)
        return content


def check_same(run: Run, asked: Mapping[str, Any], what: str) -> None:
    """Refuse to go on with a run that was begun with other settings.

    Raises:
        InputError: a setting differs from what is asked for. A run of an earlier version knows nothing of settings that
            came later, which is no difference.
    """
    for name, value in asked.items():
        known = getattr(run.config, name)
        if known is not None and plain(known) != plain(value):
            raise InputError(
                f"{what} was made with {name} {known}, now it is {value}; choose another --out or remove it"
            )


def _asked(config: TrainConfig) -> dict[str, Any]:
    """Everything that a training's outcome depends on."""
    from rpax.runs.prepare import prepare

    complete, _ = prepare(config)
    unread = ("seeds", "minutes", "log_every", "checkpoint_minutes", "checkpoints_kept", "sinks")
    return {name: getattr(complete, name) for name in complete.__dataclass_fields__ if name not in unread}


def _started(out: pathlib.Path) -> pathlib.Path:
    """Where it is written with what a run began."""
    return out.with_name(out.name + ".json")


def _rows(run: Run) -> list[dict[str, Any]]:
    """The metrics of a run; of one that was assembled from stages, those of the last stage."""
    rows = run.metrics()
    if rows or run.path is None:
        return rows
    stages = sorted(path.parent for path in run.path.glob("*/metrics.jsonl"))
    return load(stages[-1]).metrics() if stages else []


def write_cell(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Write a cell so that a reader sees the whole of it or nothing.

    Raises:
        InputError: it cannot be written.
    """
    with writing_out(path, str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(content) + "\n")


def read_cell(path: pathlib.Path) -> dict[str, Any]:
    """A cell's content.

    Raises:
        InputError: it is damaged.
    """
    remedy = "remove it, and it will be made again"
    content = read_json(path, remedy)
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged; {remedy}")
    return content


def plain(value: Any) -> Any:
    """Settings as JSON holds them."""
    return json.loads(json.dumps(value))


def curve(rows: Sequence[Mapping[str, Any]], bases: Sequence[str]) -> dict[str, list[float | None]]:
    """Mean training returns over updates, at most 60 points: self-play, cross-play, and with manipulators."""
    step = max(1, -(-len(rows) // _MOST_POINTS))
    # Backwards, so that the last one is there.
    thinned = rows[::-1][::step][::-1]
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
