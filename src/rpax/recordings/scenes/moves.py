"""Environments that do not draw themselves: what both seats did last. Numbers: 1 more than each action, 0 at first."""

from typing import Any

import numpy as np
from jaxtyping import Int

from rpax.environments.protocol import Environment
from rpax.recordings.scenes.scene import Moments, Scene, action_names, columns


class MovesScene(Scene):
    """The last actions."""

    kind = "moves"

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    def static(self) -> dict[str, Any]:
        """What actions are called."""
        return {"actions": action_names(self.environment)}

    def fields(self, moments: Moments) -> Int[np.ndarray, "moments fields"]:
        """See the module."""
        return columns(moments.actions + 1)
