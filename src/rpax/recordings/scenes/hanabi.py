"""Hanabi. Numbers of a state, in this order; a card is 0 where there is none, else 1 + colour × ranks + rank:

- the cards of seat 0, then of seat 1;
- of each of them the colours that its holder was told, as bits, then of each the ranks;
- the height of each firework;
- how many cards of each colour and rank were discarded;
- hints, lives and cards that are left, the score, whose turn it is, whether the game is over, the last action.
"""

from typing import Any

import numpy as np
from jaxtyping import Int

from rpax.environments.jaxmarl.hanabi import Hanabi
from rpax.evaluation.episodes import Episode
from rpax.recordings.events import Event
from rpax.recordings.scenes.scene import Moments, Scene, bits, columns


class HanabiScene(Scene):
    """Both hands, what their holders know, and the table."""

    kind = "hanabi"

    def __init__(self, environment: Hanabi) -> None:
        self.game, self.most = environment.game, environment.max_score
        self.names = environment.spaces[0].action_names or ()

    def static(self) -> dict[str, Any]:
        """The letters of the colours and how much there is of everything."""
        return {
            "colours": list(self.game.color_map),
            "ranks": int(self.game.num_ranks),
            "hand": int(self.game.hand_size),
            "hints": int(self.game.max_info_tokens),
            "lives": int(self.game.max_life_tokens),
            "most": int(self.most),
        }

    def fields(self, moments: Moments) -> Int[np.ndarray, "moments fields"]:
        """See the module."""
        game, last = moments.states.game, moments.states.action
        hands = game.player_hands > 0
        number_of_card = 1 + np.arange(hands.shape[-2] * hands.shape[-1]).reshape(hands.shape[-2:])
        discards = np.rint(game.discard_pile.sum(axis=1)).astype(int)
        left = [(tokens > 0).sum(axis=-1) for tokens in (game.info_tokens, game.life_tokens)]
        return columns(
            (hands * number_of_card).sum(axis=(-2, -1)),
            bits(game.colors_revealed),
            bits(game.ranks_revealed),
            (game.fireworks > 0).sum(axis=-1),
            discards,
            *left,
            (game.deck > 0).any(axis=(-2, -1)).sum(axis=-1),
            game.score,
            game.cur_player_idx.argmax(axis=-1),
            game.terminal,
            last,
        )

    def events(self, episode: Episode) -> list[Event]:
        """Cards played well or badly, and by whom."""
        found = []
        for t, (before, now) in enumerate(zip(episode.states, episode.states[1:], strict=False), start=1):
            seat = int(np.asarray(before.game.cur_player_idx).argmax())
            name = self.names[int(now.action)]
            scored = _count(now.game.fireworks) - _count(before.game.fireworks)
            if scored > 0:
                found.append(Event(t, seat, "score", f"{name}: {_count(now.game.fireworks)} of {self.most}"))
            lives = _count(now.game.life_tokens)
            if lives < _count(before.game.life_tokens):
                left = f"{lives} {'life' if lives == 1 else 'lives'} left" if lives else "all is lost"
                found.append(Event(t, seat, "mistake", f"{name}: {left}"))
        return found


def _count(flags: Any) -> int:
    return int((np.asarray(flags) > 0).sum())
