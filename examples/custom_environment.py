"""A game of your own: two agents on a ring of five cells are paid for meeting, and train against sabotage."""

import jax
import jax.numpy as jnp

import rpax


class Meeting(rpax.Environment):
    """Each agent steps left, stays or steps right; a step that ends in the same cell pays 1 to both."""

    def __init__(self, name: str, cells: int = 5) -> None:
        self.name, self.cells, self.horizon = name, cells, 8
        space = rpax.SeatSpace((2 * cells,), 3, jnp.uint8, ("left", "stay", "right"))
        self.spaces = (space, space)

    def reset(self, key):
        """Both somewhere, at time 0."""
        return jax.random.randint(key, (2,), 0, self.cells), jnp.zeros((), jnp.int32)

    def step(self, key, state, actions):
        """Action 0 is to the left, 1 stays, 2 is to the right."""
        cells, time = (state[0] + actions - 1) % self.cells, state[1] + 1
        met = (cells[0] == cells[1]).astype(jnp.float32)
        return rpax.Transition((cells, time), jnp.stack([met, met]), time >= self.horizon)

    def observe(self, state):
        """The own cell, then the other's, one-hot."""
        own, other = (jnp.arange(self.cells) == cell for cell in state[0])
        return jnp.concatenate([own, other]), jnp.concatenate([other, own])


# On the command line: rpax train ad-rpg examples/custom_environment.py:mine/meeting --updates 150
rpax.register("mine/meeting", Meeting, "two agents meet on a ring")


def main() -> None:
    env = rpax.make("mine/meeting", cells=5)
    run = rpax.train("ad-rpg", env, updates=150, steps=16)
    for pairing in run.results[0].pairings:
        print(f"{pairing.seat_0} with {pairing.seat_1}: {pairing.returns[0]:.2f}")


if __name__ == "__main__":
    main()
