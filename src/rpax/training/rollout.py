"""Rollouts: all pairings at once, each agent's part of them in one network call."""

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from rpax.environments.protocol import Environment, Key, step_and_reset
from rpax.objectives.plan import Pairing, Term
from rpax.policies import categorical
from rpax.policies.agent import AgentPolicy, Parameters, View
from rpax.training.problem import Streams

#: One seat of one pairing: (seat, index of the pairing).
Slot = tuple[int, int]


class Chunk(NamedTuple):
    """What was recorded; time first, then pairings and environments.

    Attributes:
        observations: of seat 0 and seat 1, one more step than the rest (the last is what follows the chunk).
        legal: legal actions of both seats, or ``None``.
        actions: of both seats.
        rewards: raw reward of each seat.
        shaped: shaped reward of each seat.
        first: whether the step starts an episode.
        done: whether the episode ended with the step.
        episode_returns: where ``done``, the raw return of the episode that ended, a seat; 0 elsewhere.
    """

    observations: tuple[Shaped[Array, "time_plus_1 pairings envs ..."], Shaped[Array, "time_plus_1 pairings envs ..."]]
    legal: tuple[Bool[Array, "time pairings envs _"], Bool[Array, "time pairings envs _"]] | None
    actions: Int[Array, "time pairings envs 2"]
    rewards: Float[Array, "time pairings envs 2"]
    shaped: Float[Array, "time pairings envs 2"]
    first: Bool[Array, "time pairings envs"]
    done: Bool[Array, "time pairings envs"]
    episode_returns: Float[Array, "time pairings envs 2"]


@dataclasses.dataclass(frozen=True)
class SlotGroup:
    """The slots that one head of one agent plays."""

    agent: str
    head: str
    slots: tuple[Slot, ...]


def group_slots(pairings: Sequence[Pairing], policies: Mapping[str, AgentPolicy]) -> tuple[SlotGroup, ...]:
    """Who plays where, in a fixed order: one network call per group."""
    groups: dict[tuple[str, str], list[Slot]] = {}
    for seat in (0, 1):
        for number, pairing in enumerate(pairings):
            head = policies[pairing[seat]].head_of_seat[seat]
            groups.setdefault((pairing[seat], head), []).append((seat, number))
    return tuple(SlotGroup(agent, head, tuple(slots)) for (agent, head), slots in groups.items())


def take_slots(of_seats: tuple[Array, Array], slots: Sequence[Slot], axis: int) -> Array:
    """The entries of ``slots``, in their order, along the pairing axis of each seat's array."""
    parts = [
        jnp.take(of_seats[seat], np.array([pairing for _, pairing in run]), axis=axis)
        for seat, run in itertools.groupby(slots, key=lambda slot: slot[0])
    ]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=axis)


def start_streams(environment: Environment, key: Key, pairings: int, envs: int) -> Streams:
    """Fresh environments for ``pairings`` × ``envs``."""
    keys = jax.random.split(key, (pairings, envs))
    state = jax.vmap(jax.vmap(environment.reset))(keys)
    return Streams(state, jnp.ones((pairings, envs), bool), jnp.zeros((pairings, envs, 2)))


def roll_out(
    environment: Environment,
    policies: Mapping[str, AgentPolicy],
    parameters: Mapping[str, Parameters],
    pairings: Sequence[Pairing],
    key: Key,
    streams: Streams,
    steps: int,
) -> tuple[Chunk, Streams]:
    """Play ``steps`` steps of every pairing, going on where ``streams`` stand; episodes restart by themselves."""
    play = functools.partial(_play_step, environment, policies, parameters, group_slots(pairings, policies))
    streams, chunk = jax.lax.scan(play, streams, jax.random.split(key, steps))
    last = _observe(environment, streams)
    observations = tuple(jnp.concatenate([seen, end[None]]) for seen, end in zip(chunk.observations, last, strict=True))
    return chunk._replace(observations=observations), streams


def _observe(environment: Environment, streams: Streams) -> tuple[Array, Array]:
    seen = jax.vmap(jax.vmap(environment.observe))(streams.state)
    stored = [s.astype(space.observation_dtype) for s, space in zip(seen, environment.spaces, strict=True)]
    return stored[0], stored[1]


def _play_step(
    environment: Environment,
    policies: Mapping[str, AgentPolicy],
    parameters: Mapping[str, Parameters],
    groups: tuple[SlotGroup, ...],
    streams: Streams,
    key: Key,
) -> tuple[Streams, Chunk]:
    """One step of every pairing in every environment."""
    key_act, key_env = jax.random.split(key)
    observations = _observe(environment, streams)
    legal = jax.vmap(jax.vmap(environment.legal_actions))(streams.state)
    actions = _act(policies, parameters, groups, key_act, observations, legal)
    keys = jax.random.split(key_env, streams.first.shape)
    transition, state = jax.vmap(jax.vmap(functools.partial(step_and_reset, environment)))(keys, streams.state, actions)
    dtype = streams.episode_return.dtype
    rewards = transition.rewards.astype(dtype)
    total = streams.episode_return + rewards
    done = transition.done
    shaped = jnp.asarray(transition.shaped, dtype)
    recorded = Chunk(
        observations, legal, actions, rewards, shaped, streams.first, done, jnp.where(done[..., None], total, 0.0)
    )
    return Streams(state, done, jnp.where(done[..., None], 0.0, total)), recorded


def _act(policies, parameters, groups, key, observations, legal) -> Int[Array, "pairings envs 2"]:
    """Every agent's actions, one network call a group, put back in the order of slots."""
    pairings, envs = observations[0].shape[:2]
    drawn, order = [], []
    for key_group, group in zip(jax.random.split(key, len(groups)), groups, strict=True):
        seen = take_slots(observations, group.slots, axis=0)
        allowed = None if legal is None else take_slots(legal, group.slots, axis=0)
        logits = policies[group.agent].logits(parameters[group.agent], group.head, seen)
        drawn.append(categorical.sample(key_group, logits, allowed))
        order += [seat * pairings + pairing for seat, pairing in group.slots]
    in_order = jnp.concatenate(drawn)[np.argsort(np.array(order))]
    return jnp.moveaxis(in_order.reshape(2, pairings, envs), 0, -1)


def views(chunk: Chunk, policy: AgentPolicy, slots: Sequence[Slot]) -> tuple[View, ...]:
    """What one agent saw and did in ``slots``: one view for each run of slots that the same head plays."""
    actions = (chunk.actions[..., 0], chunk.actions[..., 1])
    seen = tuple(observation[:-1] for observation in chunk.observations)
    found = []
    for head, run in itertools.groupby(slots, key=lambda slot: policy.head_of_seat[slot[0]]):
        run_slots = tuple(run)
        legal = None if chunk.legal is None else take_slots(chunk.legal, run_slots, axis=1)
        observation = take_slots((seen[0], seen[1]), run_slots, axis=1)
        found.append(View(head, observation, legal, take_slots(actions, run_slots, axis=1)))
    return tuple(found)


def actor_slots(terms: Sequence[Term]) -> tuple[Slot, ...]:
    """Where the actor of each term sits."""
    return tuple((term.actor_seat, term.pairing) for term in terms)


def other_slots(terms: Sequence[Term]) -> tuple[Slot, ...]:
    """Where the other player of each term sits."""
    return tuple((1 - term.actor_seat, term.pairing) for term in terms)
