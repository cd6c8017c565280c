"""Hanabi for two, full and reduced, as JaxMARL plays it."""

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

from rpax.environments.jaxmarl.adapter import in_32_bit, strong
from rpax.environments.jaxmarl.load import load
from rpax.environments.protocol import Environment, Key, SeatSpace, Transition
from rpax.environments.symmetries import Symmetries
from rpax.errors import InputError, shown

_HAND, _TOKENS, _LIVES = 5, 8, 3
#: size -> cards of each rank, in one colour.
_CARDS = {"3x3": (3, 2, 1), "4x4": (3, 2, 2, 1), "5x5": (3, 2, 2, 2, 1)}


class HanabiState(NamedTuple):
    """A game in progress, and what the last move changed: observations show the last move.

    Attributes:
        game: JaxMARL's own state.
        action: the last move; the one that waits before the first.
        hands: both hands before the last move, one-hot cards.
        fireworks: the cards played before it.
        tokens: the information tokens before it, one a place.
    """

    game: Any
    action: Int[Array, ""]
    hands: Float[Array, "2 cards colors ranks"]
    fireworks: Float[Array, "colors ranks"]
    tokens: Num[Array, " tokens"]


class Hanabi(Environment):
    """JaxMARL's Hanabi for two players; the one whose turn it is not can only wait (the last action).

    Observations are JaxMARL's: ``float32``, as they hold beliefs. Both seats are paid 1 for each card played; who loses
    the last life loses all that was paid, so the return is the score.

    The observation is computed from the state when it is asked for, once a step; JaxMARL's own loop computes it twice.
    Its shuffled decks are the same for the same key.

    Args:
        name: how the environment is called.
        cards_of_rank: how many cards there are of each rank in one colour; as many colours as ranks.

    Raises:
        InputError: JaxMARL is missing.
    """

    def __init__(self, name: str, cards_of_rank: tuple[int, ...]) -> None:
        self.name = name
        size, cards = len(cards_of_rank), np.array(cards_of_rank)
        self.game = in_32_bit(load("hanabi.hanabi", name).HanabiEnv)(
            num_colors=size,
            num_ranks=size,
            hand_size=_HAND,
            max_info_tokens=_TOKENS,
            max_life_tokens=_LIVES,
            num_cards_of_rank=cards,
        )
        space = SeatSpace((int(self.game.obs_size),), int(self.game.num_moves), jnp.float32, self._names())
        self.spaces = (space, space)
        # Until the deck is empty, each card that is dealt takes a move and gives at most one token, each hint takes a
        # token; then both have one move more.
        to_deal = int(cards.sum()) * size - 2 * _HAND
        self.horizon = 2 * to_deal + _TOKENS + 2
        self.max_score = size**2
        # All cards, one-hot [cards, colors, ranks], as JaxMARL numbers them before it shuffles: rank by rank.
        ranks = np.repeat(np.arange(size), cards)
        one_hot = np.eye(size, dtype=np.float32)
        pairs = [np.outer(one_hot[color], one_hot[rank]) for rank in ranks for color in range(size)]
        self._cards = np.stack(pairs)

    def _names(self) -> tuple[str, ...]:
        colors, ranks = self.game.color_map, range(1, self.game.num_ranks + 1)
        moves = [f"{move} {card}" for move in ("discard", "play") for card in range(1, _HAND + 1)]
        return (*moves, *(f"hint {color}" for color in colors), *(f"hint {rank}" for rank in ranks), "wait")

    @in_32_bit
    def reset(self, key: Key) -> HanabiState:
        """A shuffled deck, five cards each; seat 0 begins."""
        # As JaxMARL does it, but without its loop over the cards.
        order = jax.random.permutation(jax.random.split(key)[1], len(self._cards))
        game = strong(self.game.get_first_state(jnp.asarray(self._cards)[order], self.game.agent_range))
        wait = jnp.asarray(self.spaces[0].num_actions - 1, jnp.int32)
        return HanabiState(game, wait, game.player_hands, game.fireworks, game.info_tokens)

    @in_32_bit
    def step(self, key: Key, state: HanabiState, actions: Int[Array, "2"]) -> Transition:
        """JaxMARL's own step: the move of the one whose turn it is."""
        acts = {agent: actions[seat].astype(jnp.int32) for seat, agent in enumerate(self.game.agents)}
        _, game, rewards, dones, _ = self.game.step_env(key, state.game, acts)
        before = state.game
        action = actions[jnp.argmax(before.cur_player_idx)].astype(jnp.int32)
        following = HanabiState(strong(game), action, before.player_hands, before.fireworks, before.info_tokens)
        paid = jnp.stack([jnp.asarray(rewards[agent], jnp.float32) for agent in self.game.agents])
        return Transition(following, paid, dones["__all__"])

    @in_32_bit
    def observe(self, state: HanabiState) -> tuple[Float[Array, " features"], Float[Array, " features"]]:
        """What JaxMARL's ``get_obs`` shows: the other's hand, the board, the discards, the last move and beliefs."""
        game = state.game
        # Before the first move nothing is shown of a last one, so it does not matter who made it.
        before = game.replace(
            cur_player_idx=game.cur_player_idx[::-1],
            player_hands=state.hands,
            fireworks=state.fireworks,
            info_tokens=state.tokens,
        )
        seen = self.game.get_obs(game, before, state.action)
        return seen["agent_0"], seen["agent_1"]

    @in_32_bit
    def legal_actions(self, state: HanabiState) -> tuple[Bool[Array, " actions"], Bool[Array, " actions"]]:
        """JaxMARL's legal moves; waiting alone for the one whose turn it is not."""
        legal = self.game.get_legal_moves(state.game)
        return legal["agent_0"] > 0, legal["agent_1"] > 0

    def symmetries(self) -> Symmetries:
        """All orders of the colours."""
        size = self.game.num_colors
        orders = [np.array(order) for order in itertools.permutations(range(size))]
        actions = np.tile(np.arange(self.spaces[1].num_actions), (len(orders), 1))
        # Hints of a colour come after those of playing and discarding.
        actions[:, 2 * _HAND : 2 * _HAND + size] = 2 * _HAND + np.stack(orders)
        return Symmetries(np.stack([self._in_color_order(order) for order in orders]), actions)

    def _in_color_order(self, order: Int[np.ndarray, " colors"]) -> Int[np.ndarray, " features"]:
        """Which entry of an observation stands in the place of each when the colours are in another order."""
        game = self.game
        colors, ranks, cards = game.num_colors, game.num_ranks, int(game.num_cards_of_rank.sum())
        # JaxMARL's blocks in their order, each with its axis of colours, if it has one.
        hands = [((_HAND, colors, ranks), 1), ((2,), None)]
        board = [((cards * colors - 2 * _HAND,), None), ((colors, ranks), 0), ((_TOKENS + _LIVES,), None)]
        discards = [((colors, cards), 0)]
        # Who moved, how and to whom; the hint, what it touched and the place of a card; the card and its effects.
        last_move = [
            ((2 + 4 + 2,), None),
            ((colors,), 0),
            ((ranks + 2 * _HAND,), None),
            ((colors, ranks), 0),
            ((2,), None),
        ]
        of_card = [((colors, ranks), 0), ((colors,), 0), ((ranks,), None)]
        found, start = [], 0
        for shape, axis in (*hands, *board, *discards, *last_move, *(of_card * (2 * _HAND))):
            block = start + np.arange(math.prod(shape)).reshape(shape)
            found.append((block if axis is None else np.take(block, order, axis)).ravel())
            start += block.size
        return np.concatenate(found)

    def score(self, state: HanabiState) -> Int[Array, ""]:
        """The score: cards played, 0 when the last life is lost."""
        return state.game.score

    def render(self, state: HanabiState) -> np.ndarray:
        """Table and hands; see :func:`rpax.reports.hanabi_picture.draw_hanabi`."""
        from rpax.reports.hanabi_picture import draw_hanabi

        return draw_hanabi(state.game, tuple(self.game.color_map))


def make_hanabi(name: str) -> Hanabi:
    """``hanabi/3x3``, ``hanabi/4x4`` or ``hanabi/5x5``.

    Raises:
        InputError: there is no such size, or JaxMARL is missing.
    """
    size = name.partition("/")[2]
    if size not in _CARDS:
        raise InputError(f"environment {shown(name)} is no size of Hanabi; give one of {', '.join(_CARDS)}")
    return Hanabi(name, _CARDS[size])
