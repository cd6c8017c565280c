"""Tabular games. Numbers of a state: the state that is shown (the last one where the game is over), whether it is over,
and of the last move 1 more than its state and than both actions, 0 before the first.
"""

from typing import Any

import numpy as np
from jaxtyping import Int

from rpax.environments.tabular_game import TabularGame
from rpax.evaluation.episodes import Episode
from rpax.recordings.events import Event, number
from rpax.recordings.scenes.scene import Moments, Scene, action_names, columns


class TableScene(Scene):
    """The payoffs of every joint action, and what was played."""

    kind = "table"

    def __init__(self, environment: TabularGame) -> None:
        self.game = environment

    def static(self) -> dict[str, Any]:
        """Payoffs and following states of every joint action, and what actions are called."""
        payoffs, following = self.game.payoffs.tolist(), self.game.next_state.tolist()
        return {"payoffs": payoffs, "next": following, "actions": action_names(self.game)}

    def fields(self, moments: Moments) -> Int[np.ndarray, "moments fields"]:
        """See the module."""
        now, before = moments.states.number, moments.before.number
        moved = moments.actions[:, 0] >= 0
        shown = np.where(moments.ended, before, now)
        return columns(shown, moments.ended, np.where(moved, before + 1, 0), moments.actions + 1)

    def events(self, episode: Episode) -> list[Event]:
        """Moves that pay; in a game in normal form its only one."""
        names = action_names(self.game)
        found = []
        for t, (first, second) in enumerate(episode.rewards.tolist(), start=1):
            if first or second or self.game.is_normal_form:
                row, column = episode.actions[t - 1].tolist()
                played = f"{names[0][row]}, {names[1][column]}"
                found.append(Event(t, None, "payoff", f"{played}: {number(first)} and {number(second)}"))
        return found
