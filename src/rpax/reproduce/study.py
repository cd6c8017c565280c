"""What a study of deep environments is: populations to train, what the paper published of them, what is claimed.

A study is reproduced cell by cell (:mod:`rpax.reproduce.cells`): a training of one seed, a cross-play of everybody, an
attack on one victim. How much is done, a budget says.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from rpax.evaluation.statistics import Centre, difference_of_means
from rpax.runs.config import TrainConfig

Budget = Literal["smoke", "laptop", "paper"]
BUDGETS: tuple[Budget, ...] = get_args(Budget)

#: What is measured of a population.
SELF_PLAY = "self-play"
WITHIN_SEED = "cross-play within a seed"
STRICT = "cross-play, different seeds"
PAPERS = "cross-play, the paper's way"
WITH_MANIPULATORS = "with manipulators"
GREEDY = "greedy "
#: What is measured of a victim; for each attack also :func:`under` and :func:`best_partner`.
BEFORE = "before the attacks"


def under(attack: str) -> str:
    """The victim's return under an attack."""
    return f"under {attack.upper()}"


def gap_of(agent: str) -> str:
    """What a trained best response gains on an agent with the same partners, as a share of its own return."""
    return f"gap of {agent}, share of the best response"


def best_partner(attack: str) -> str:
    """What whoever does best in the victim's place gets with an attack's adversary."""
    return f"best partner of {attack.upper()}'s adversary"


@dataclasses.dataclass(frozen=True)
class Population:
    """What is trained over several seeds.

    Attributes:
        label: how tables call it.
        algorithm: of the catalogue, or a scheme.
        settings: beside those of the budget.
        seeds: how many with each budget.
        victim: the agent that is attacked, where somebody is.
        certified: the agents of its first seed whose rationality gap is bounded.
    """

    label: str
    algorithm: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seeds: Mapping[Budget, int] = dataclasses.field(default_factory=lambda: {"smoke": 3, "laptop": 3, "paper": 5})
    victim: str = "base_0"
    certified: Sequence[str] = ()

    @property
    def slug(self) -> str:
        """The label as a file's name."""
        return re.sub(r"[^a-z0-9.]+", "-", self.label.lower()).strip("-")


class Value(NamedTuple):
    """A number with its 95 % interval, where that is known.

    Attributes:
        mean: the number.
        low: lower end of the interval.
        high: upper end.
        number: of how many it is the mean: seeds, pairs or episodes.
        unit: what is counted.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    number: int | None = None
    unit: str = ""

    def centre(self) -> tuple[Centre, int] | None:
        """The number with its half width, and its degrees of freedom; ``None`` without an interval."""
        if self.low is None or self.high is None or not self.number:
            return None
        return Centre(np.float64(self.mean), np.float64((self.high - self.low) / 2)), self.number - 1

    def __str__(self) -> str:
        interval = "" if self.low is None or self.high is None else f" [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.mean:.4g}{interval}" + (f", n = {self.number} {self.unit}".rstrip() if self.number else "")


def difference(of: Value, minus: Value) -> Value:
    """of − minus, of means over independent seeds; see :func:`rpax.evaluation.statistics.difference_of_means`."""
    one, other = of.centre(), minus.centre()
    if one is None or other is None:
        return Value(of.mean - minus.mean)
    apart = difference_of_means(one[0], other[0], degrees=(one[1], other[1])).interval()
    return Value(apart.mean, apart.low, apart.high)


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        label: of the population, or of the victim and the attack.
        quantity: what was measured.
        published: what the paper says, or ``None``.
        measured: what came out, or ``None`` where its cell is missing.
    """

    label: str
    quantity: str
    published: str | None
    measured: Value | None


class Finding(NamedTuple):
    """What became of a claim.

    Attributes:
        claim: the claim, as it was stated beforehand.
        holds: whether it does; ``None`` where the cells to tell are missing.
        evidence: the numbers it rests on.
    """

    claim: str
    holds: bool | None
    evidence: str


@dataclasses.dataclass(frozen=True)
class Study:
    """Populations in one environment.

    Attributes:
        case: how ``--only`` calls it.
        environment: where.
        populations: who is trained.
        settings: of all populations, for each budget.
        attacks: the algorithms that attack each population's victim; none for cross-play.
        attack_settings: of the attacks, for each budget.
        attack_options: beside these, for a budget and an attack.
        manipulators: whether they take part in cross-play.
        published: (label, quantity) to what the paper says.
        claims: from the results to what became of each claim.
    """

    case: str
    environment: str
    populations: Sequence[Population]
    settings: Mapping[Budget, Mapping[str, Any]]
    attacks: Sequence[str] = ()
    attack_settings: Mapping[Budget, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    attack_options: Mapping[tuple[Budget, str], Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    published: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    claims: Callable[[Mapping[tuple[str, str], Value]], list[Finding]] = lambda values: []

    def config(self, population: Population, budget: Budget, seed: int) -> TrainConfig:
        """What one training is asked for."""
        settings = {**self.settings[budget], **population.settings}
        return TrainConfig(population.algorithm, self.environment, seed=seed, **settings)

    def settings_of_attack(self, budget: Budget, algorithm: str) -> dict[str, Any]:
        """What an attack is asked for."""
        return {**self.attack_settings[budget], **self.attack_options.get((budget, algorithm), {})}


@dataclasses.dataclass(frozen=True)
class DeepExperiment:
    """An experiment of the paper on deep environments.

    Attributes:
        name: as `rpax reproduce` takes it.
        summary: one line about it.
        studies: one for each case.
        default: the cases with each budget, where none is chosen.
    """

    name: str
    summary: str
    studies: Sequence[Study]
    default: Mapping[Budget, Sequence[str]] = dataclasses.field(default_factory=dict)

    def chosen(self, budget: Budget, only: Sequence[str]) -> list[Study]:
        """The studies of the chosen cases, or of the budget's."""
        cases = only or self.default.get(budget) or [study.case for study in self.studies]
        return [study for study in self.studies if study.case in cases]
