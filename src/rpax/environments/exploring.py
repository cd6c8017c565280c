"""Exploring starts: training episodes that begin anywhere in the game.

Partners that always begin at the same place soon agree on a way of working and see no more of the game than that way
needs, so they never learn what a better one would be worth. Beginning elsewhere shows them the rest of it.

Source of the term: Sutton and Barto, "Reinforcement Learning: An Introduction", 2nd edition, section 5.3.
"""

import functools

import jax
import jax.numpy as jnp

from rpax.environments.own_files import running
from rpax.environments.protocol import Environment, Key, Rules, State
from rpax.environments.wrapper import WrappedEnvironment


class ExploringStarts(WrappedEnvironment):
    """An environment of which some episodes begin with :meth:`~Environment.exploring_reset`, the others as usual.

    Args:
        environment: one that has exploring starts.
        share: with which probability an episode begins so.
    """

    def __init__(self, environment: Environment, share: float) -> None:
        super().__init__(environment)
        self.share = share

    @functools.cached_property
    def traced_rules(self) -> Rules:
        """The environment's own step, and the mixed reset."""
        return Rules(self._environment.traced_rules.step, jax.jit(self.reset, inline=True))

    def reset(self, key: Key) -> State:
        """The state in which an episode starts.

        Raises:
            InputError: an exploring start raises something, or is another kind of state than a usual one.
        """
        if self.share >= 1.0:
            return self._explore(key)
        key_which, key_exploring, key_usual = jax.random.split(key, 3)
        where = functools.partial(jnp.where, jax.random.uniform(key_which) < self.share)
        return jax.tree.map(where, self._explore(key_exploring), self._environment.traced_rules.reset(key_usual))

    def _explore(self, key: Key) -> State:
        usual = jax.eval_shape(self._environment.traced_rules.reset, key)
        with running(f"environment '{self.name}': exploring_reset"):
            start = self._environment.exploring_reset(key)
        return self.in_types_of(usual, start, "exploring_reset")
