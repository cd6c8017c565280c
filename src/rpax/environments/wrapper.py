"""An environment around another one."""

import functools
from typing import TYPE_CHECKING

from jaxtyping import Array, Bool, Int, Shaped

from rpax.environments.protocol import Environment, Key, Rules, State, Transition

if TYPE_CHECKING:
    from rpax.environments.symmetries import Symmetries


class WrappedEnvironment(Environment):
    """Passes on whatever play needs; subclasses change some of it.

    Args:
        environment: what is wrapped.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.name, self.spaces, self.horizon = environment.name, environment.spaces, environment.horizon
        self.one_policy_for_both_seats = environment.one_policy_for_both_seats
        self.encodings = environment.encodings

    @functools.cached_property
    def traced_rules(self) -> Rules:
        """The environment's own, traced once for both."""
        return self._environment.traced_rules

    def reset(self, key: Key) -> State:
        """The state in which an episode starts."""
        return self._environment.reset(key)

    def exploring_reset(self, key: Key) -> State:
        """A state for an episode with an exploring start."""
        return self._environment.exploring_reset(key)

    @property
    def has_exploring_starts(self) -> bool:
        """Whether the environment has them."""
        return self._environment.has_exploring_starts

    def symmetries(self) -> "Symmetries | None":
        """The environment's own."""
        return self._environment.symmetries()

    def step(self, key: Key, state: State, actions: Int[Array, "2"]) -> Transition:
        """One simultaneous move of both seats."""
        return self._environment.step(key, state, actions)

    def observe(self, state: State) -> tuple[Shaped[Array, "..."], Shaped[Array, "..."]]:
        """What seat 0 and seat 1 see in ``state``."""
        return self._environment.observe(state)

    def observe_encoded(self, state: State) -> tuple[Shaped[Array, " stored_0"], Shaped[Array, " stored_1"]]:
        """What is stored of both seats' observations."""
        return self._environment.observe_encoded(state)

    def legal_actions(self, state: State) -> tuple[Bool[Array, " actions_0"], Bool[Array, " actions_1"]] | None:
        """The actions each seat may take."""
        return self._environment.legal_actions(state)
