"""Frozen agents play each other: the returns of chosen pairings, and estimates of weighted sums of them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from rpax.environments.encoding import EncodedEnvironment
from rpax.environments.protocol import Environment
from rpax.environments.tabular_game import TabularGame
from rpax.evaluation.returns import make_player
from rpax.objectives.plan import Pairing
from rpax.policies.agent import AgentPolicy, Parameters, as_arrays
from rpax.policies.folding import can_fold
from rpax.training.exact_step import returns_of
from rpax.training.problem import key_data

#: Folded into a seed's key, so that no episode of training is replayed.
_KEY = 0x3A7C
#: The networks and parameters of an agent that does not learn any more.
Frozen = tuple[AgentPolicy, Parameters]
#: Who sits in seat 0 and in seat 1, and whose return counts.
Place = tuple[Pairing, int]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number and how sure it is.

    Attributes:
        mean: the number.
        half_width: half the width of its 95 % confidence interval (normal approximation); 0 where it is exact.
    """

    mean: float
    half_width: float

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return self.mean + self.half_width

    def minus(self, other: "Estimate", share: float = 1.0) -> "Estimate":
        """This number less ``share`` of another that was measured independently."""
        return Estimate(self.mean - share * other.mean, math.hypot(self.half_width, share * other.half_width))

    def to_dict(self) -> dict[str, float]:
        """Plain data."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, eq=False)
class Matches:
    """What chosen pairings returned.

    Attributes:
        returns: pairing to the raw, undiscounted return of each seat in each episode; where they are exact, one row
            with the expected returns.
        exact: whether they are.
    """

    returns: Mapping[Pairing, Float[np.ndarray, "_episodes 2"]]
    exact: bool

    @property
    def episodes(self) -> int:
        """How many of each pairing were played; 0 where returns are exact."""
        return 0 if self.exact else min(map(len, self.returns.values()))

    def estimate(self, weights: Mapping[Place, float]) -> Estimate:
        """Σ weight · return. Seats of one pairing are taken together episode by episode, as they depend on each other.

        Args:
            weights: by pairing and seat.
        """
        mean = variance = 0.0
        for pairing in dict.fromkeys(pairing for pairing, _ in weights):
            seats = np.array([weights.get((pairing, seat), 0.0) for seat in (0, 1)])
            values = self.returns[pairing] @ seats
            mean += float(values.mean())
            if not self.exact:
                variance += float(values.var(ddof=1)) / len(values)
        return Estimate(mean, 1.96 * math.sqrt(variance))

    def mean_of(self, places: Sequence[Place]) -> Estimate:
        """The mean return of some places."""
        return self.estimate(dict.fromkeys(places, 1 / len(places)))


def play_matches(
    environment: Environment,
    agents: Mapping[str, Frozen],
    pairings: Sequence[Pairing],
    *,
    episodes: int,
    seed: int,
) -> Matches:
    """Let ``agents`` play: at least ``episodes`` fresh episodes of every pairing, or exactly in tabular games.

    Args:
        environment: the game.
        agents: all that play.
        pairings: who plays with whom; repetitions are played once.
        episodes: at least 2.
        seed: of the episodes.
    """
    pairings = tuple(dict.fromkeys(pairings))
    playing = {name: agents[name] for name in dict.fromkeys(name for pairing in pairings for name in pairing)}
    if isinstance(environment, TabularGame):
        return _enumerate(environment, playing, pairings)
    policies = {name: policy for name, (policy, _) in playing.items()}
    networks = [network for policy in policies.values() for network in policy.networks.values()]
    encodings = environment.encodings if all(map(can_fold, networks)) else None
    stage = environment if encodings is None else EncodedEnvironment(environment)
    players = {name: dataclasses.replace(policy, encodings=encodings) for name, policy in policies.items()}
    parameters: dict[str, Any] = {name: as_arrays(own) for name, (_, own) in playing.items()}
    returns = make_player(stage, players, pairings, episodes)(parameters, jax.random.fold_in(key_data(seed), _KEY))
    return Matches(dict(zip(pairings, returns, strict=True)), exact=False)


def _enumerate(game: TabularGame, agents: Mapping[str, Frozen], pairings: Sequence[Pairing]) -> Matches:
    found = {}
    with jax.enable_x64(True):
        for pairing in pairings:
            tables = []
            for seat, (policy, parameters) in enumerate(agents[name] for name in pairing):
                exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), parameters)
                tables.append(policy.table(as_arrays(exact), seat, game.all_observations()))
            found[pairing] = np.asarray(returns_of(game, *tables), np.float64)[None]
    return Matches(found, exact=True)
