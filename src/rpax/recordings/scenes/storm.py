"""STORM. Numbers of a state, in this order:

- for each seat: column, line (from the top), facing, red coins held, blue coins held, whether it fired a beam;
- the coins that are blue and those that lie there, as bits;
- the steps for which both seats are frozen.
"""

from typing import Any

import numpy as np
from jaxtyping import Int

from rpax.environments.storm.game import SABOTAGE_CELL, Storm
from rpax.environments.storm.grid import COIN_CELLS, SIZE
from rpax.evaluation.episodes import Episode
from rpax.recordings.events import Event, number
from rpax.recordings.scenes.scene import Moments, Scene, bits, columns


class StormScene(Scene):
    """The grid, what lies there and what both hold."""

    kind = "storm"

    def __init__(self, environment: Storm) -> None:
        self.rules = environment.rules

    def static(self) -> dict[str, Any]:
        """Size, places of the coins, the cell that means harm, and how long an interaction freezes."""
        marked = SABOTAGE_CELL.tolist() if self.rules.sabotage else None
        return {"size": SIZE, "coins": COIN_CELLS.tolist(), "marked": marked, "freeze": self.rules.freeze}

    def fields(self, moments: Moments) -> Int[np.ndarray, "moments fields"]:
        """See the module."""
        state = moments.states
        seats = np.concatenate(
            [state.position, state.facing[..., None], state.inventory, state.beam[..., None]], axis=-1, dtype=np.int64
        )
        return columns(seats, bits(state.blue), bits(state.coin), state.frozen)

    def events(self, episode: Episode) -> list[Event]:
        """Interactions with what both hold and get, and sabotage."""
        found = []
        for t, (before, now) in enumerate(zip(episode.states, episode.states[1:], strict=False), start=1):
            pays = [number(reward) for reward in episode.rewards[t - 1].tolist()]
            if int(now.frozen) == self.rules.freeze and int(before.frozen) == 0:
                held = [_coins(*inventory) for inventory in np.asarray(now.inventory).tolist()]
                fired = np.flatnonzero(np.asarray(now.beam)).tolist()
                seat = fired[0] if len(fired) == 1 else None
                text = f"interaction: {held[0]} with {held[1]}: {pays[0]} and {pays[1]}"
                found.append(Event(t, seat, "interaction", text))
            elif episode.rewards[t - 1].any():
                there = [seat for seat in (0, 1) if (np.asarray(now.position)[seat] == SABOTAGE_CELL).all()]
                seat = there[0] if len(there) == 1 else None
                found.append(Event(t, seat, "sabotage", f"sabotage: {pays[0]} and {pays[1]}"))
        return found


def _coins(red: int, blue: int) -> str:
    return " ".join(f"{count} {colour}" for count, colour in ((red, "red"), (blue, "blue")) if count) or "nothing"
