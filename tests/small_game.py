"""A deep game that compiles in a moment, for tests in which any would do: ``small/ring``."""

import jax
import jax.numpy as jnp
import numpy as np

import rpax
from rpax.environments.encoding import Encoding

CELLS = 5


class Ring(rpax.Environment):
    """Two agents on a ring; a step that ends in the same cell pays 3 to seat 0 and 2 to seat 1.

    Observations are the own cell and the other's, one-hot, and a layer that is always 1, which is not stored.
    """

    def __init__(self, name: str = "small/ring", *, horizon: int = 5) -> None:
        self.name, self.horizon = name, horizon
        space = rpax.SeatSpace((2 * CELLS + 1,), 3, jnp.uint8, ("left", "stay", "right"))
        self.spaces = (space, space)
        stored, ones = np.arange(2 * CELLS), np.ones(2 * CELLS, np.int32)
        encoding = Encoding(stored, stored, ones, np.eye(2 * CELLS + 1, dtype=np.int32)[-1], 2 * CELLS, jnp.uint8)
        self.encodings = (encoding, encoding)

    def reset(self, key):
        return jax.random.randint(key, (2,), 0, CELLS), jnp.zeros((), jnp.int32)

    def step(self, key, state, actions):
        cells, time = (state[0] + actions - 1) % CELLS, state[1] + 1
        rewards = jnp.where(cells[0] == cells[1], jnp.array([3.0, 2.0]), 0.0)
        return rpax.Transition((cells, time), rewards, time >= self.horizon)

    def observe(self, state):
        own, other = self.observe_encoded(state)
        always = jnp.ones(1, jnp.uint8)
        return jnp.concatenate([own, always]), jnp.concatenate([other, always])

    def observe_encoded(self, state):
        own, other = ((jnp.arange(CELLS) == cell).astype(jnp.uint8) for cell in state[0])
        return jnp.concatenate([own, other]), jnp.concatenate([other, own])


class PictureRing(Ring):
    """The same game, seen as a picture of one row with a channel for either agent; everything of it is stored."""

    def __init__(self, name: str = "small/picture", *, horizon: int = 5) -> None:
        super().__init__(name, horizon=horizon)
        space = rpax.SeatSpace((1, CELLS, 2), 3, jnp.uint8, ("left", "stay", "right"))
        self.spaces = (space, space)
        self.encodings = None

    def observe(self, state):
        own, other = (seen.reshape(2, CELLS).T[None] for seen in self.observe_encoded(state))
        return own, other


rpax.register("small/ring", Ring, "two agents meet on a ring")
rpax.register("small/picture", PictureRing, "two agents meet on a ring that is shown as a picture")
