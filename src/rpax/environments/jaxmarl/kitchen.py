"""What can change of an Overcooked observation.

JaxMARL shows 26 layers of the whole grid. Most of that is the layout, or impossible: agents stand on the floor, things
lie on counters, only pots cook. What is left, in this order:

- for each floor cell and direction: the seat's agent is there and looks there (its position is their sum); then the
  other agent;
- for onion, plate and soup, and each cell of floor or counter: it is there (held, if on the floor). A soup is shown as
  three onions and as ready; what lies on a counter hides the counter;
- for each pot: onions in it, onions in its soup, cooking time left, whether it is done;
- whether the episode ends soon, which JaxMARL shows in every cell.

The layers are listed in the docstring of ``jaxmarl.environments.overcooked.Overcooked.get_obs``.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from rpax.environments.encoding import Encoding
from rpax.environments.jaxmarl.load import load
from rpax.slices import take_static

CHANNELS = 26
_DIRECTIONS = 4
_OWN_PLACE, _OTHER_PLACE, _OWN_FACING, _OTHER_FACING, _COUNTER = 0, 1, 2, 6, 11
_IN_POT, _IN_SOUP, _COOKING_TIME, _DONE, _URGENCY = 16, 18, 20, 21, 25
_MOST_ONIONS = 3
#: The layers of what never moves, and where a layout lists it.
_FIXED = {10: "pot_idx", 12: "onion_pile_idx", 14: "plate_pile_idx", 15: "goal_idx"}
#: JaxMARL's name of a thing that can be carried, and the layers that show it.
_THINGS = {"onion": {23: 1}, "plate": {22: 1}, "dish": {_IN_SOUP: _MOST_ONIONS, _DONE: 1}}


class Kitchen:
    """A layout's cells by kind, and what follows from them: the encoding and the grid at the start.

    Args:
        layout: in JaxMARL's form.
        horizon: steps of an episode.
    """

    def __init__(self, layout: Any, horizon: int) -> None:
        module, objects = load("overcooked.overcooked", "overcooked"), load("overcooked.common", "overcooked")
        self._full, self._empty = module.POT_FULL_STATUS, module.POT_EMPTY_STATUS
        self._last_minute = horizon - module.URGENCY_CUTOFF
        self._width = int(layout["width"])
        self._things = np.array([objects.OBJECT_TO_INDEX[name] for name in _THINGS], np.uint8)
        self._pots = np.sort(np.asarray(layout["pot_idx"]))
        # JaxMARL lists whatever nobody can stand on as wall.
        fixed = {channel: np.asarray(layout[key]) for channel, key in _FIXED.items()}
        self._counters = np.setdiff1d(np.asarray(layout["wall_idx"]), np.concatenate(list(fixed.values())))
        cells = self._width * int(layout["height"])
        self._floor = np.setdiff1d(np.arange(cells), np.asarray(layout["wall_idx"]))
        constant = np.zeros((cells, CHANNELS), np.int32)
        for channel, where in (fixed | {_COUNTER: self._counters}).items():
            constant[where, channel] = 1
        self.encoding = self._encode(constant)
        self._agents = np.asarray(layout["agent_idx"])
        self._empty_cell = np.array(objects.OBJECT_INDEX_TO_VEC, np.uint8)[objects.OBJECT_TO_INDEX["empty"]]
        self.start = self._start(layout, objects)

    def _start(self, layout: Any, objects: Any) -> UInt8[np.ndarray, "height width 3"]:
        """The grid when an episode starts, but for where the agents look."""
        cells = np.array(objects.OBJECT_INDEX_TO_VEC, np.uint8)
        grid = np.tile(cells[objects.OBJECT_TO_INDEX["empty"]], (len(self._floor) + np.size(layout["wall_idx"]), 1))
        for name in ("wall", "goal", "onion_pile", "plate_pile", "pot"):
            grid[np.asarray(layout[f"{name}_idx"])] = cells[objects.OBJECT_TO_INDEX[name]]
        grid[self._pots, 2] = self._empty
        for seat, cell in enumerate(np.asarray(layout["agent_idx"])):
            grid[cell, :2] = objects.OBJECT_TO_INDEX["agent"], objects.COLOR_TO_INDEX["red"] + 2 * seat
        return grid.reshape(-1, self._width, 3)

    def grid(
        self, position: UInt8[Array, "2 2"], facing: UInt8[Array, "2"], status: UInt8[Array, " pots"]
    ) -> UInt8[Array, "height width 3"]:
        """The grid with the agents and pots in the given state, and empty counters."""
        cells = jnp.asarray(self.start.reshape(-1, 3)).at[self._agents].set(self._empty_cell)
        cells = cells.at[self._pots, 2].set(status)
        agents = jnp.asarray(self.start.reshape(-1, 3)[self._agents]).at[:, 2].set(facing)
        places = position[:, 1].astype(jnp.int32) * self._width + position[:, 0]
        return cells.at[places].set(agents).reshape(self.start.shape)

    def _encode(self, constant: Int[np.ndarray, "cells channels"]) -> Encoding:
        """One column for each stored number, as in the module's docstring: which entries show it, how many times."""
        columns: list[dict[tuple[int, int], int]] = []
        for place, facing in ((_OWN_PLACE, _OWN_FACING), (_OTHER_PLACE, _OTHER_FACING)):
            columns += [{(c, place): 1, (c, facing + d): 1} for c in self._floor for d in range(_DIRECTIONS)]
        for layers in _THINGS.values():
            columns += [{(c, layer): n for layer, n in layers.items()} for c in self._floor]
            columns += [{(c, _COUNTER): -1} | {(c, layer): n for layer, n in layers.items()} for c in self._counters]
        columns += [{(c, layer): 1} for layer in (_IN_POT, _IN_SOUP, _COOKING_TIME, _DONE) for c in self._pots]
        columns.append({(c, _URGENCY): 1 for c in range(len(constant))})
        entries = [
            (cell * CHANNELS + layer, number, times)
            for number, column in enumerate(columns)
            for (cell, layer), times in column.items()
        ]
        rows, numbers, factors = np.array(entries, np.int32).T
        return Encoding(rows, numbers, factors, constant.ravel(), len(columns), jnp.uint8)

    def observe(self, state: Any, seat: int) -> UInt8[Array, " stored"]:
        """What is stored of what ``seat`` sees in an :class:`~rpax.environments.jaxmarl.overcooked.OvercookedState`."""
        places = state.position[:, 1].astype(jnp.int32) * self._width + state.position[:, 0]
        codes = places * _DIRECTIONS + state.facing
        looks = (self._floor[:, None] * _DIRECTIONS + np.arange(_DIRECTIONS)).ravel()
        grid = state.grid.reshape(-1, 3)
        held = jnp.where(places[0] == self._floor, state.held[0], jnp.where(places[1] == self._floor, state.held[1], 0))
        there = jnp.concatenate([held, take_static(grid[:, 0], self._counters, 0)])
        status = take_static(grid[:, 2], self._pots, 0)
        parts = [
            codes[seat] == looks,
            codes[1 - seat] == looks,
            (there == self._things[:, None]).reshape(-1),
            *self._pot_layers(status),
            (state.steps > self._last_minute)[None],
        ]
        return jnp.concatenate([part.astype(jnp.uint8) for part in parts])

    def _pot_layers(self, status: UInt8[Array, " pots"]) -> tuple[Array, ...]:
        """A pot's status falls from 23 (empty) by one with each onion to 20 (full), then with each step to 0 (done)."""
        onions = jnp.minimum(self._empty - status, _MOST_ONIONS)
        cooking = status < self._full
        return onions * ~cooking, onions * cooking, status * cooking, status == 0
