"""Environments that draw themselves: their pictures, each kept once. The number of a state is that of its picture."""

import base64
import io
from typing import Any

import jax
import numpy as np
from jaxtyping import Int
from PIL import Image

from rpax.environments.protocol import Environment
from rpax.recordings.scenes.scene import Moments, Scene, at
from rpax.reports.replay import picture_of

#: Larger pictures are shrunk.
_MOST_PIXELS = 512


class PicturesScene(Scene):
    """Pictures as PNG data URLs, those of all states that were asked for so far."""

    kind = "pictures"

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._pictures: dict[str, int] = {}

    def static(self) -> dict[str, Any]:
        """The pictures by number."""
        return {"pictures": list(self._pictures)}

    def fields(self, moments: Moments) -> Int[np.ndarray, "moments fields"]:
        """Draw each state.

        Raises:
            rpax.InputError: the environment draws no picture.
        """
        count = len(jax.tree.leaves(moments.states)[0])
        numbers = []
        for index in range(count):
            picture = _data_url(picture_of(self.environment, at(moments.states, index)))
            numbers.append(self._pictures.setdefault(picture, len(self._pictures)))
        return np.array(numbers, np.int64)[:, None]


def _data_url(picture: np.ndarray) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((_MOST_PIXELS, _MOST_PIXELS), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
