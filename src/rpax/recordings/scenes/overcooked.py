"""Kitchens: Overcooked and OvercookedV2.

An item is a number as in OvercookedV2: bit 0 for a plate, bit 1 for cooked, then two bits for the count of each
ingredient, of which the onion is the first. Numbers of a state, in this order:

- for each seat: column, line, facing (0 up, 1 down, 2 right, 3 left), item held;
- for each counter and pot, line by line: the item there;
- for each pot: 1 more than the steps until the soup is done, 0 while nothing cooks;
- for each button that shows the recipe: whether it does;
- the recipe, where something shows it.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Int, Integer, Shaped

from rpax.environments.jaxmarl.overcooked import Overcooked, OvercookedV2
from rpax.evaluation.episodes import Episode
from rpax.recordings.events import Event, number
from rpax.recordings.scenes.scene import Moments, Scene, columns

#: Cells by kind; piles are digits, the number of their ingredient.
FLOOR, COUNTER, POT, GOAL, PLATES, RECIPE, BUTTON = ".", "#", "P", "X", "B", "R", "r"
_PLATE, _COOKED, _ONION = 1, 2, 4
_COOK_TIME = 20
#: Where each facing looks, as (across, down).
_STEPS = ((0, -1), (0, 1), (1, 0), (-1, 0))
#: JaxMARL's first version: kinds of objects, what can be carried as items, and a pot's status without onions.
_OBJECTS = {1: FLOOR, 4: "0", 6: PLATES, 7: GOAL, 8: POT, 10: FLOOR}
_THINGS = {3: _ONION, 5: _PLATE, 9: _PLATE | _COOKED | 3 * _ONION}
_EMPTY_POT = 23
#: OvercookedV2's kinds of cells; from 10 on they are piles.
_STATIC = {0: FLOOR, 2: FLOOR, 3: FLOOR, 4: GOAL, 5: POT, 6: RECIPE, 7: BUTTON, 9: PLATES}
_FIRST_PILE = 10


class KitchenScene(Scene):
    """What both versions share.

    Args:
        tiles: the kinds of cells, a string a line.
    """

    kind = "overcooked"

    def __init__(self, tiles: list[str]) -> None:
        self.tiles = tiles
        cells = np.array([list(row) for row in tiles])
        self._holds = np.isin(cells, (COUNTER, POT))
        self._pots, self._buttons = cells == POT, cells == BUTTON
        self._has_recipe = bool(np.isin(cells, (RECIPE, BUTTON)).any())

    def static(self) -> dict[str, Any]:
        """The kinds of cells, and how long a soup cooks."""
        return {"tiles": self.tiles, "cook_time": _COOK_TIME}

    def _columns(
        self,
        cooks: Integer[np.ndarray, "moments 2 4"],
        items: Integer[np.ndarray, "moments height width"],
        left: Integer[np.ndarray, "moments height width"],
        shows: Shaped[np.ndarray, "moments height width"],
        recipe: Integer[np.ndarray, " moments"],
    ) -> Int[np.ndarray, "moments fields"]:
        last = [recipe] if self._has_recipe else []
        return columns(cooks, items[:, self._holds], left[:, self._pots], shows[:, self._buttons], *last)

    def events(self, episode: Episode) -> list[Event]:
        """Deliveries with who served, dear wrong ones, and pots that begin to cook and are done."""
        frames = self.frames(episode)
        first_pot = 8 + int(self._holds.sum())
        left = frames[:, first_pot : first_pot + int(self._pots.sum())]
        found = []
        for t in range(1, len(frames)):
            before, now = left[t - 1], left[t]
            found += [Event(t, None, "cooking", "a pot cooks") for _ in range(int(_begins(before, now).sum()))]
            found += [Event(t, None, "ready", "a soup is ready") for _ in range(int(((now == 1) & (before > 1)).sum()))]
            if episode.rewards[t - 1].any():
                found.append(self._paid(t, frames[t - 1], frames[t], episode.rewards[t - 1].tolist()))
        return found

    def _paid(self, t: int, before: np.ndarray, now: np.ndarray, rewards: list[float]) -> Event:
        served = [seat for seat in (0, 1) if self._serves(before[4 * seat : 4 * seat + 4], int(now[4 * seat + 3]))]
        seat = served[0] if len(served) == 1 else None
        pays = number(rewards[seat or 0])
        if max(rewards) > 0:
            return Event(t, seat, "delivery", f"serves soup: {pays}")
        if served:
            return Event(t, seat, "mistake", f"serves the wrong dish: {pays}")
        return Event(t, None, "payoff", f"asks for the recipe: {pays}")

    def _serves(self, cook: np.ndarray, held_after: int) -> bool:
        """Whether a cook that had a dish before a delivery has nothing now."""
        column, line, facing, held = cook.tolist()
        across, down = _STEPS[facing]
        return bool(held & _PLATE) and not held_after and self.tiles[line + down][column + across] == GOAL


def _begins(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    return (now > 1) & (before == 0)


class OvercookedScene(KitchenScene):
    """JaxMARL's first version."""

    def __init__(self, environment: Overcooked) -> None:
        start = np.asarray(environment.reset(jax.random.key(0)).grid)[..., 0].tolist()
        super().__init__(["".join(_OBJECTS.get(kind, COUNTER) for kind in row) for row in start])
        self._item_of = np.zeros(256, np.int64)
        self._item_of[list(_THINGS)] = list(_THINGS.values())

    def fields(self, moments: Moments) -> Int[np.ndarray, "moments fields"]:
        """See the module."""
        state = moments.states
        cooks = np.concatenate(
            [state.position, state.facing[..., None], self._item_of[state.held][..., None]], axis=-1, dtype=np.int64
        )
        kinds, status = state.grid[..., 0], state.grid[..., 2].astype(np.int64)
        onions = np.minimum(_EMPTY_POT - status, 3)
        stew = onions * _ONION + np.where(status == 0, _COOKED, 0)
        left = np.where(status <= _COOK_TIME, status + 1, 0)
        items = np.where(self._pots, stew, self._item_of[kinds])
        nothing = np.zeros_like(items)
        return self._columns(cooks, items, left, nothing, nothing[:, 0, 0])


class OvercookedV2Scene(KitchenScene):
    """The second version, with recipes and more ingredients."""

    def __init__(self, environment: OvercookedV2) -> None:
        grid = np.asarray(environment.game.layout.static_objects)
        super().__init__(["".join(_tile(int(kind)) for kind in row) for row in grid])

    def fields(self, moments: Moments) -> Int[np.ndarray, "moments fields"]:
        """See the module."""
        game = moments.states.game
        agents = game.agents
        cooks = np.stack([agents.pos.x, agents.pos.y, agents.dir, agents.inventory], axis=-1).astype(np.int64)
        items, extra = game.grid[..., 1].astype(np.int64), game.grid[..., 2].astype(np.int64)
        done = (items & _COOKED) > 0
        left = np.where(done, 1, np.where(extra > 0, extra + 1, 0))
        return self._columns(cooks, items, left, extra > 0, game.recipe.astype(np.int64))


def _tile(kind: int) -> str:
    return str(kind - _FIRST_PILE) if kind >= _FIRST_PILE else _STATIC.get(kind, COUNTER)
