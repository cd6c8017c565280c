"""What one update reports: a few numbers per agent and pairing, cheap enough to be computed every time."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from rpax.objectives.plan import Pairing, distinct
from rpax.policies.agent import Parameters
from rpax.training.lookahead import LookaheadStep
from rpax.training.manipulator_update import Influence
from rpax.training.problem import Problem, global_norm
from rpax.training.rollout import Chunk

if TYPE_CHECKING:
    from rpax.training.ppo_update import BaseUpdate
    from rpax.training.step import OuterBatch


class StepMetrics(NamedTuple):
    """One update's numbers; the trainer averages them over the updates of a chunk.

    Attributes:
        base_gradient_norm: per base agent, ‖∇_θ L‖ before clipping.
        manipulator_gradient_norm: per manipulator, ‖∇_φ L^O‖, with its entropy bonus, before clipping.
        influence: per manipulator, the root mean square influence credit of the first lookahead step.
        entropy: per base agent, mean policy entropy in nats.
        clipped: per base agent, the share of samples that PPO clips; empty without PPO.
        critic_loss: summed over critics.
        episode_return_sum: per group of pairings and pairing, raw return of each seat summed over finished episodes.
        episodes: per group of pairings and pairing, how many episodes finished.
    """

    base_gradient_norm: dict[str, Array]
    manipulator_gradient_norm: dict[str, Array]
    influence: dict[str, Array]
    entropy: dict[str, Array]
    clipped: dict[str, Array]
    critic_loss: Float[Array, ""]
    episode_return_sum: dict[str, Float[Array, "pairings 2"]]
    episodes: dict[str, Float[Array, " pairings"]]


def step_metrics(
    problem: Problem,
    first: LookaheadStep,
    outer: "OuterBatch | None",
    updates: "Mapping[str, BaseUpdate]",
    influences: Mapping[str, Influence],
    critic_loss: Array,
) -> StepMetrics:
    """The numbers of one sampled update."""
    chunks: dict[str, Chunk] = {"lookahead": first.chunk}
    if outer is not None:
        chunks["outer"] = outer.chunk
    kind = jnp.result_type(float)
    pairings = {"lookahead": problem.plan.lookahead_pairings, "outer": problem.plan.outer_pairings}
    returns = {g: _by_pairing(chunk.episode_returns.sum(axis=(0, 2)), pairings[g]) for g, chunk in chunks.items()}
    episodes = {g: _by_pairing(chunk.done.sum(axis=(0, 2)).astype(kind), pairings[g]) for g, chunk in chunks.items()}
    returns, episodes = problem.devices.sum((returns, episodes), after=critic_loss)
    return StepMetrics(
        base_gradient_norm={name: update.gradient_norm for name, update in updates.items()},
        manipulator_gradient_norm=norms({name: influence.gradient for name, influence in influences.items()}),
        influence={name: i.credit for name, i in influences.items() if i.credit is not None},
        entropy={name: update.entropy for name, update in updates.items()},
        clipped={name: update.clipped for name, update in updates.items() if update.clipped is not None},
        critic_loss=critic_loss,
        episode_return_sum=returns,
        episodes=episodes,
    )


def _by_pairing(sums: Shaped[Array, "rows ..."], rows: Sequence[Pairing]) -> Shaped[Array, "pairings ..."]:
    """Sums over the repetitions of each pairing."""
    pairings = distinct(rows)
    if len(pairings) == len(rows):
        return sums
    return jax.ops.segment_sum(sums, np.array([pairings.index(row) for row in rows]), num_segments=len(pairings))


def norms(gradients: Mapping[str, Parameters]) -> dict[str, Array]:
    """Each agent's global gradient norm."""
    return {name: global_norm(gradient) for name, gradient in gradients.items()}
