"""Mixed-play: self-play from where a mixture of an agent with another one has come to.

Until a uniformly random step of the episode each seat is played, anew in every step, by the agent or by the one it is
mixed with, with equal chances: the transitions are those of self-play and cross-play. From there on the agent plays
with itself, and only that part counts, so that the agent learns to go on in good faith from wherever cross-play leads.

Source: Sarkar, Shih and Sadigh, "Diverse Conventions for Human-AI Collaboration", 2023; that each seat is drawn by
itself, and the step from 1 to the last but one, is as in their program.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rpax.environments.protocol import Key, Keys
from rpax.objectives.plan import Pairing
from rpax.policies import categorical
from rpax.policies.agent import AgentPolicy, Parameters
from rpax.training.slots import take_slots

#: What is folded into a game's key for what is drawn here, so that its own chance stays what it is.
_MIXING = 0x313D


def first_mixed_steps(pairings: Sequence[Pairing], key: Key, envs: int, horizon: int) -> Int[Array, "pairings envs"]:
    """How many steps of the first episodes are mixed."""
    steps = jax.random.randint(key, (len(pairings), envs), 1, max(2, horizon), jnp.int32)
    return steps * _is_mixed(pairings) * (horizon > 1)


def draw_mixing(keys: Keys) -> Float[Array, "pairings envs 5"]:
    """Uniform numbers, multiples of 2⁻²³ from [0, 1), from every game's key.

    Who plays seat 0 and seat 1, which action the other one takes there, and how many steps the next episode mixes.
    """

    def of_game(key: Key) -> Float[Array, "5"]:
        bits = jax.random.bits(jax.random.fold_in(key, _MIXING), (5,), jnp.uint32)
        return (bits >> 9).astype(jnp.result_type(float)) * 2.0**-23

    return jax.vmap(jax.vmap(of_game))(keys)


def mix_actions(
    policies: Mapping[str, AgentPolicy],
    parameters: Mapping[str, Parameters],
    pairings: Sequence[Pairing],
    observations: tuple[Array, Array],
    legal: tuple[Array, Array] | None,
    uniform: Float[Array, "pairings envs 5"],
    mixing: Int[Array, "pairings envs"],
    actions: Int[Array, "pairings envs 2"],
) -> Int[Array, "pairings envs 2"]:
    """The actions, with those of the agents that are mixed in where their turn is; ``parameters`` are folded."""
    for number, pairing in enumerate(pairings):
        if pairing.mixed_with is None:
            continue
        policy, own = policies[pairing.mixed_with], parameters[pairing.mixed_with]
        for seat in (0, 1):
            slots = [(seat, number)]
            mask = None if legal is None else take_slots(legal, slots, axis=0)
            seen = take_slots(observations, slots, axis=0)
            logits = policy.logits(own, policy.head_of_seat[seat], seen, legal=mask)
            drawn = categorical.invert(uniform[None, number, :, 2 + seat], logits, mask)[0]
            takes = (mixing[number] > 0) & (uniform[number, :, seat] < 0.5)
            actions = actions.at[number, :, seat].set(jnp.where(takes, drawn, actions[number, :, seat]))
    return actions


def next_mixed_steps(
    pairings: Sequence[Pairing],
    uniform: Float[Array, "pairings envs 5"],
    mixing: Int[Array, "pairings envs"],
    done: Array,
    horizon: int,
) -> Int[Array, "pairings envs"]:
    """How many steps are still to be mixed after a step: one less, or a new number where an episode ended."""
    fresh = (1 + jnp.floor(uniform[..., 4] * (horizon - 1))).astype(jnp.int32) * (horizon > 1)
    return jnp.where(done, fresh * _is_mixed(pairings), jnp.maximum(mixing - 1, 0))


def _is_mixed(pairings: Sequence[Pairing]) -> Int[np.ndarray, "pairings 1"]:
    return np.array([[pairing.mixed_with is not None] for pairing in pairings], np.int32)
