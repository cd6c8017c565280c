"""Optimisers as pure functions that can be differentiated through; lookahead and real step share their state."""

import dataclasses
from typing import Any, Literal

import jax
import optax

from rpax.policies.agent import Parameters

OptimizerKind = Literal["sgd", "adam"]
OptimizerState = Any

#: The paper's.
ADAM_EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Gradient *ascent* with SGD or Adam, one learning rate a call. Adam's direction is m̂ / (√(v̂ + ε_root) + ε).

    Attributes:
        kind: ``"sgd"`` or ``"adam"``.
        max_norm: global norm to which :meth:`ascend` clips a gradient first; ``None`` never clips.
        epsilon_root: ε_root. Must be positive where the step is differentiated, as √v̂ has no derivative at 0; where
            √ε_root exceeds the gradients, steps shrink with them.
        epsilon: ε.
    """

    kind: OptimizerKind = "sgd"
    max_norm: float | None = None
    epsilon_root: float = 0.0
    epsilon: float = ADAM_EPSILON

    def _direction(self) -> optax.GradientTransformation:
        if self.kind == "sgd":
            return optax.identity()
        return optax.scale_by_adam(eps=self.epsilon, eps_root=self.epsilon_root)

    def init(self, parameters: Parameters) -> OptimizerState:
        """The state before the first step."""
        return self._direction().init(parameters)

    def look_ahead(
        self, gradient: Parameters, state: OptimizerState, parameters: Parameters, learning_rate: float
    ) -> tuple[Parameters, OptimizerState]:
        """A step without clipping, as the lookahead takes it. May be differentiated in all three arguments."""
        direction, state = self._direction().update(gradient, state, parameters)
        return jax.tree.map(lambda p, d: p + learning_rate * d, parameters, direction), state

    def ascend(
        self, gradient: Parameters, state: OptimizerState, parameters: Parameters, learning_rate: float
    ) -> tuple[Parameters, OptimizerState]:
        """A real step: the gradient is clipped to ``max_norm`` first."""
        if self.max_norm is not None:
            gradient, _ = optax.clip_by_global_norm(self.max_norm).update(gradient, optax.EmptyState())
        return self.look_ahead(gradient, state, parameters, learning_rate)
