"""Episodes that two agents play, one by one or many at once."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Shaped

from rpax.environments.protocol import Environment, Key, State
from rpax.policies import categorical
from rpax.policies.agent import as_arrays
from rpax.policies.external import asking
from rpax.runs.agent import Agent


@dataclasses.dataclass(frozen=True)
class Episode:
    """One episode that two agents played.

    Attributes:
        states: before the first step, and after each; the last is not reset.
        actions: of each seat in each step.
        rewards: of each seat in each step, the game's own.
    """

    states: tuple[State, ...]
    actions: Integer[np.ndarray, "steps 2"]
    rewards: Float[np.ndarray, "steps 2"]

    @property
    def length(self) -> int:
        """How many steps it lasted."""
        return len(self.actions)

    @property
    def returns_so_far(self) -> Float[np.ndarray, "states 2"]:
        """The undiscounted return of each seat up to each state."""
        return np.concatenate([np.zeros((1, 2)), np.cumsum(self.rewards, axis=0, dtype=np.float64)])

    @property
    def returns(self) -> tuple[float, float]:
        """The undiscounted return of seat 0 and of seat 1."""
        first, second = self.returns_so_far[-1].tolist()
        return first, second


class Player:
    """Plays episodes; agents with the same networks share one compiled program.

    Args:
        environment: the game.
        greedy: agents take their likeliest action instead of drawing one.
    """

    def __init__(self, environment: Environment, *, greedy: bool) -> None:
        self.environment, self.greedy = environment, greedy
        self._compiled: list[tuple[list[Any], str, Callable[..., Any]]] = []

    def play(self, agents: tuple[Agent, Agent], key: Key) -> Episode:
        """One episode of ``agents`` in seats 0 and 1.

        The key is split in two, for the start and for the steps; that of the steps into as many as the horizon, and
        each of these into three: for the actions of seat 0 and of seat 1, and for the environment.
        """
        return self._play(agents, key, watched=False)[0]

    def watch(
        self, agents: tuple[Agent, Agent], key: Key
    ) -> tuple[Episode, tuple[Float[np.ndarray, "steps actions_0"], Float[np.ndarray, "steps actions_1"]]]:
        """The same, and the probabilities from which each seat's action was taken in each step."""
        episode, (first, second) = self._play(agents, key, watched=True)
        return episode, (first[: episode.length], second[: episode.length])

    def returns(self, agents: tuple[Agent, Agent], keys: Shaped[Array, " episodes"]) -> Float[np.ndarray, "episodes 2"]:
        """What the episodes of these keys return to each seat; they are played side by side, and nothing else is kept.

        Batches are rounded otherwise, so that an action may come out differently than in :meth:`play`, rarely.
        """
        play, parameters = self._program(agents, "returns")
        with asking():
            return np.asarray(play(parameters, keys), np.float64)

    def _play(self, agents: tuple[Agent, Agent], key: Key, *, watched: bool) -> tuple[Episode, Any]:
        play, parameters = self._program(agents, "watch" if watched else "play")
        with asking():
            start, (after, actions, rewards, done, chances) = jax.tree.map(np.asarray, play(parameters, key))
        steps = int(np.argmax(done)) + 1 if done.any() else len(done)
        states = (start, *(jax.tree.map(lambda field, t=t: field[t], after) for t in range(steps)))
        return Episode(states, actions[:steps], rewards[:steps].astype(np.float64)), chances

    def _program(self, agents: tuple[Agent, Agent], kind: str) -> tuple[Callable[..., Any], list[Any]]:
        """The compiled program of a kind for agents with such networks, and these agents' parameters."""
        wanted = [agent.policy.networks[agent.policy.head_of_seat[seat]] for seat, agent in enumerate(agents)]
        known = (program for networks, its, program in self._compiled if networks == wanted and its == kind)
        program = next(known, None)
        if program is None:
            program = jax.jit(self._make_returns(agents) if kind == "returns" else self._make(agents, kind == "watch"))
            self._compiled.append((wanted, kind, program))
        parameters = [as_arrays(agent.parameters[agent.policy.head_of_seat[seat]]) for seat, agent in enumerate(agents)]
        return program, parameters

    def _make_returns(self, agents: tuple[Agent, Agent]) -> Callable[..., Any]:
        play = self._make(agents, watched=False)

        def returns(parameters: list[Any], key: Key) -> Float[Array, "2"]:
            _, (_, _, rewards, done, _) = play(parameters, key)
            over = jnp.cumsum(done) > done
            return jnp.where(over[:, None], 0.0, rewards).sum(axis=0)

        return jax.vmap(returns, in_axes=(None, 0))

    def _make(self, agents: tuple[Agent, Agent], watched: bool) -> Callable[..., Any]:
        environment, policies = self.environment, [agent.policy for agent in agents]
        heads = [policy.head_of_seat[seat] for seat, policy in enumerate(policies)]
        choose = self._choose

        def one_step(parameters: list[Any], carried: tuple[Any, Any, Any], key: Key) -> tuple[Any, Any]:
            state, first, memories = carried
            *keys_act, key_step = jax.random.split(key, 3)
            legal = environment.legal_actions(state) or (None, None)
            actions, remembered, chances = [], [], []
            for seat, seen in enumerate(environment.observe(state)):
                own = {heads[seat]: parameters[seat]}
                stored = seen.astype(environment.spaces[seat].observation_dtype)
                known = (own, heads[seat], stored, first, memories[seat])
                logits, memory = policies[seat].act(*known, legal=legal[seat])
                actions.append(choose(keys_act[seat], logits, legal[seat]))
                remembered.append(memory)
                chances += [categorical.probabilities(logits, legal[seat])] if watched else []
            after = environment.step(key_step, state, jnp.stack(actions))
            following = (after.state, jnp.zeros((), bool), remembered)
            return following, (after.state, jnp.stack(actions), after.rewards, after.done, tuple(chances))

        def play(parameters: list[Any], key: Key) -> tuple[Any, Any]:
            key_start, key_steps = jax.random.split(key)
            start = environment.reset(key_start)
            memories = [jnp.zeros(policy.memory_units) if policy.memory_units else None for policy in policies]
            keys = jax.random.split(key_steps, environment.horizon)
            carried = (start, jnp.ones((), bool), memories)
            return start, jax.lax.scan(lambda c, k: one_step(parameters, c, k), carried, keys)[1]

        return play

    def _choose(self, key: Key, logits: Array, legal: Array | None) -> Array:
        if self.greedy:
            return jnp.argmax(categorical.log_probabilities(logits, legal), axis=-1).astype(jnp.int32)
        return categorical.sample(key, logits, legal)
