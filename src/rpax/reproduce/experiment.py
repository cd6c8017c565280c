"""What an experiment is: cases that are trained over several seeds, and what the paper says of each."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rpax.evaluation.results import SeedResult

Mode = Literal["exact", "sampled"]
NetworkKind = Literal["tabular", "mlp"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One seed of one case, as its claim sees it.

    Attributes:
        result: the end of the run.
        rows: the seed's lines of metrics.
    """

    result: "SeedResult"
    rows: Sequence[Mapping[str, Any]]

    def policy(self, agent: str, seat: int) -> Sequence[float]:
        """The final policy of an agent in a seat."""
        return self.result.policies[agent][seat].tolist()

    def gap(self, agent: str, seat: int) -> float:
        """The final rationality gap of an agent in a seat."""
        return self.result.gaps[agent][seat]


@dataclasses.dataclass(frozen=True)
class Case:
    """One algorithm with one set of settings.

    Attributes:
        algorithm: catalogue name.
        label: how the table calls it.
        paper: what the paper says comes out.
        measure: from a seed's outcome to what the table shows.
        holds: whether a seed shows what the paper says.
        settings: training settings beside the environment's preset.
        expected: whether we claim that it holds; where not, ``docs/matrix-games.md`` says why.
    """

    algorithm: str
    label: str
    paper: str
    measure: Callable[[Outcome], str]
    holds: Callable[[Outcome], bool]
    settings: Mapping[str, Any]
    expected: bool = True


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A figure of the paper on one matrix game.

    Attributes:
        name: as `rpax reproduce` takes it.
        environment: the game.
        summary: one line about it.
        cases: from the mode and the kind of network to the cases.
        picture: ``policies`` draws each case's policies over time, ``returns`` the victim's return by case.
    """

    name: str
    environment: str
    summary: str
    cases: Callable[[Mode, NetworkKind], Sequence[Case]]
    picture: Literal["policies", "returns"] = "policies"


@dataclasses.dataclass(frozen=True)
class CaseResult:
    """A case after training.

    Attributes:
        case: what was trained.
        mode: exact or sampled.
        network: tabular or MLP.
        outcomes: one a seed.
        seconds: wall-clock time of training and evaluation, compilation included.
    """

    case: Case
    mode: Mode
    network: NetworkKind
    outcomes: tuple[Outcome, ...]
    seconds: float

    @property
    def held(self) -> int:
        """In how many seeds it comes out as the paper says."""
        return sum(map(self.case.holds, self.outcomes))

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "algorithm": self.case.algorithm,
            "label": self.case.label,
            "mode": self.mode,
            "network": self.network,
            "settings": dict(self.case.settings),
            "paper": self.case.paper,
            "measured": [self.case.measure(outcome) for outcome in self.outcomes],
            "seeds": len(self.outcomes),
            "seeds_that_hold": self.held,
            "expected": self.case.expected,
            "seconds": round(self.seconds, 2),
            "results": [outcome.result.to_dict() for outcome in self.outcomes],
        }


def close(value: float, target: float, margin: float) -> bool:
    """Whether a number is within ``margin`` of ``target``."""
    return abs(value - target) <= margin


def close_policy(policy: Sequence[float], target: Sequence[float], margin: float) -> bool:
    """Whether every probability is within ``margin`` of its target."""
    return all(close(p, t, margin) for p, t in zip(policy, target, strict=True))


def shown_policy(policy: Sequence[float]) -> str:
    """A policy as the table shows it."""
    return "(" + ", ".join(f"{p:.3f}" for p in policy) + ")"
