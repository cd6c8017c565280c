"""A picture of Hanabi for two, from JaxMARL's state: both hands and what their holders know, table and discards."""

from typing import Any

import numpy as np
from jaxtyping import UInt8

from rpax.reports.drawing import FAINT, FLOOR, INK, MUTED, SEAT_COLOURS, Canvas, mixed

#: Suits by their letter in JaxMARL.
_SUITS = {"R": "#C62F2D", "Y": "#D9A400", "G": "#2E9E5B", "W": "#8A93A0", "B": "#2F6FD0"}
_OTHERS = ("#7F5A9E", "#E58E4B", "#56B4E9")
_CARD, _GAP, _MARGIN = (50, 70), 10, 18
_HINT, _LABEL = 22, 96


def draw_hanabi(game: Any, letters: tuple[str, ...]) -> UInt8[np.ndarray, "height width 3"]:
    """One state of the game.

    Above, the table: fireworks, information tokens, lives, score and the cards left in the deck; then both hands, cards
    in their colours and below each card what its holder was told: its colour, its rank, or nothing (·). A bar marks
    whose turn it is. At the bottom lie the discarded cards, sorted.

    Args:
        game: JaxMARL's own ``State``.
        letters: one a colour, as JaxMARL's ``color_map`` has them.
    """
    hands = np.asarray(game.player_hands) > 0
    fireworks = (np.asarray(game.fireworks) > 0).sum(axis=1)
    colours, ranks = hands.shape[2:]
    across = max(_LABEL + hands.shape[1] * (_CARD[0] + _GAP), 300 + colours * 58)
    discarded = _counts(np.asarray(game.discard_pile))
    hand_height = _CARD[1] + _HINT + 16
    canvas = Canvas(across + 2 * _MARGIN, 118 + 2 * hand_height + 34 + 24 * colours + _MARGIN)
    for colour in range(colours):
        corner = (_MARGIN + colour * 58, _MARGIN)
        _card(canvas, corner, letters[colour], int(fireworks[colour]) or None, colour)
    _table(canvas, (_MARGIN + colours * 58 + 18, _MARGIN), game, int(fireworks.sum()), colours * ranks)
    turn = int(np.asarray(game.cur_player_idx).argmax())
    for seat in (0, 1):
        top = 118 + seat * hand_height
        _hand(canvas, top, seat, hands[seat], game, letters, seat == turn and not bool(game.terminal))
    top = 118 + 2 * hand_height + 12
    canvas.text((_MARGIN, top), "discarded", 12, colour=MUTED)
    for colour in range(colours):
        _discards(canvas, (_MARGIN, top + 24 * (colour + 1) - 4), letters[colour], colour, discarded[colour])
    return canvas.picture()


def _suit(letter: str, number: int) -> str:
    return _SUITS.get(letter, _OTHERS[number % len(_OTHERS)])


def _counts(cards: np.ndarray) -> np.ndarray:
    """How many cards of each colour and rank: [colours, ranks]."""
    return np.rint(cards.sum(axis=0)).astype(int)


def _card(canvas: Canvas, corner: tuple[float, float], letter: str, rank: int | None, number: int) -> None:
    """A card, or an empty place where it is missing (``rank`` ``None``)."""
    x, y = corner
    colour = _suit(letter, number)
    if rank is None:
        canvas.rectangle(corner, _CARD, FLOOR, edge=mixed(colour, "#FFFFFF", 0.5), line=1.5, radius=7)
        canvas.text(
            (x + _CARD[0] / 2, y + _CARD[1] / 2), letter, 16, colour=mixed(colour, "#FFFFFF", 0.45), anchor="mm"
        )
        return
    canvas.rectangle(corner, _CARD, mixed(colour, "#FFFFFF", 0.86), edge=colour, line=2, radius=7)
    canvas.text((x + _CARD[0] / 2, y + _CARD[1] / 2 - 4), str(rank), 28, colour=colour, anchor="mm", bold=True)
    canvas.text((x + _CARD[0] / 2, y + _CARD[1] - 12), letter, 11, colour=colour, anchor="mm")


def _table(canvas: Canvas, corner: tuple[float, float], game: Any, played: int, most: int) -> None:
    x, y = corner
    tokens, lives = np.asarray(game.info_tokens), np.asarray(game.life_tokens)
    for name, row, values, colour in (("hints", 0, tokens, "#2F6FD0"), ("lives", 1, lives, "#C62F2D")):
        canvas.text((x, y + 10 + 24 * row), name, 12, colour=MUTED)
        left = int((values > 0).sum())
        for number in range(len(values)):
            fill = colour if number < left else None
            canvas.disc((x + 56 + 18 * number, y + 10 + 24 * row), 6.5, fill, edge=mixed(colour, "#FFFFFF", 0.3))
    deck = int((np.asarray(game.deck) > 0).any(axis=(1, 2)).sum())
    canvas.text((x, y + 58), f"deck {deck}", 12, colour=MUTED)
    canvas.text((x + 72, y + 58), f"score {int(game.score)} of {most}", 13, bold=True)
    if bool(game.terminal):
        ended = "no lives left" if not lives.any() else "the end"
        canvas.text((x + 190, y + 58), ended, 13, colour="#C62F2D", bold=True)


def _hand(
    canvas: Canvas, top: float, seat: int, hand: np.ndarray, game: Any, letters: tuple[str, ...], moves: bool
) -> None:
    colour = SEAT_COLOURS[seat]
    if moves:
        canvas.rectangle((_MARGIN - 8, top), (4, _CARD[1]), colour, radius=2)
    canvas.text((_MARGIN, top + _CARD[1] / 2 - 8), f"seat {seat}", 14, colour=colour, bold=True)
    if moves:
        canvas.text((_MARGIN, top + _CARD[1] / 2 + 10), "to move", 12, colour=MUTED)
    told_colours, told_ranks = np.asarray(game.colors_revealed)[seat] > 0, np.asarray(game.ranks_revealed)[seat] > 0
    for place, card in enumerate(hand):
        x = _MARGIN + _LABEL + place * (_CARD[0] + _GAP)
        if not card.any():
            canvas.rectangle((x, top), _CARD, FLOOR, edge=FAINT, radius=7)
            continue
        suit, rank = (int(index[0]) for index in np.nonzero(card))
        _card(canvas, (x, top), letters[suit], rank + 1, suit)
        told = "".join(letters[i] for i in np.nonzero(told_colours[place])[0])
        told += "".join(str(i + 1) for i in np.nonzero(told_ranks[place])[0])
        middle = x + _CARD[0] / 2
        if told:
            canvas.rectangle((x + 6, top + _CARD[1] + 4), (_CARD[0] - 12, _HINT - 4), INK, radius=5)
            canvas.text((middle, top + _CARD[1] + 13), told, 12, colour="#FFFFFF", anchor="mm", bold=True)
        else:
            canvas.text((middle, top + _CARD[1] + 13), "·", 14, colour=MUTED, anchor="mm")


def _discards(canvas: Canvas, place: tuple[float, float], letter: str, number: int, counts: np.ndarray) -> None:
    x, y = place
    colour = _suit(letter, number)
    canvas.text((x, y), letter, 12, colour=colour, bold=True)
    x += 24
    for rank, count in enumerate(counts):
        for _ in range(count):
            canvas.rectangle((x, y - 9), (16, 19), mixed(colour, "#FFFFFF", 0.86), edge=colour, radius=3)
            canvas.text((x + 8, y), str(rank + 1), 11, colour=colour, anchor="mm")
            x += 19
