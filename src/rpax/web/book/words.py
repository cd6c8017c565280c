"""A cell of a cross-play in words: what its numbers say, and what is known of the two agents."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from rpax.reports.heatmap import short_number
from rpax.web.book.grid import Grid, Player, gaps_of_agent
from rpax.web.book.run_parts import attack_of, notes_of

if TYPE_CHECKING:
    from rpax.evaluation.cross_play_result import CrossPlay

#: A pair fails together if it gets less than this share of what each gets alone.
_FAILS = 0.5
#: A gap that is no rounding error: a bound of training is only known so well.
_SOME_GAP = 1e-3
_MOST_NOTES = 3


class Measured(NamedTuple):
    """A mean return and half the width of its 95 % interval."""

    mean: float
    half: float

    def __str__(self) -> str:
        return (
            f"{short_number(self.mean)} [{short_number(self.mean - self.half)}, {short_number(self.mean + self.half)}]"
        )


def why(grid: Grid, row: int, column: int) -> list[str]:
    """Sentences about the pair with ``row`` in seat 0 and ``column`` in seat 1; none before it has played."""
    result = grid.result()
    if result is None or (row, column) not in result.cells:
        return []
    names = [grid.players[row].agent, grid.players[column].agent]
    if row == column:
        names = [f"{names[0]} in seat 0", f"{names[1]} in seat 1"]
    elif names[0] == names[1]:
        names = [_called(grid, row), _called(grid, column)]
    found = [_returns(result, row, column, names)]
    losses = []
    if row != column:
        found.append(_relation(grid, row, column))
        losses = [_loss(result, (row, column), seat, names[seat]) for seat in (0, 1)]
        found += [sentence for sentence, _ in losses]
    found += [_gap(player, seat, name) for seat, (player, name) in enumerate(_pair(grid, row, column, names))]
    found += _conclusion(result, grid, (row, column), [loss for _, loss in losses])
    return found + _told(grid, row, column)


def _pair(grid: Grid, row: int, column: int, names: list[str]) -> list[tuple[Player, str]]:
    return [(grid.players[row], names[0]), (grid.players[column], names[1])]


def _called(grid: Grid, number: int) -> str:
    player = grid.players[number]
    return f"{player.agent} of {player.page.name}, seed {player.seed}"


def _measured(result: "CrossPlay", row: int, column: int, seat: int) -> Measured:
    low, high = result.interval_of(row, column, seat)
    return Measured((low + high) / 2, (high - low) / 2)


def _returns(result: "CrossPlay", row: int, column: int, names: list[str]) -> str:
    first, second = (_measured(result, row, column, seat) for seat in (0, 1))
    if row == column:
        both = f"With itself it gets {first}"
        return f"{both}." if first == second else f"{both} in seat 0 and {second} in seat 1."
    if first == second:
        return f"Together they get {first}, the same in both seats."
    return f"{names[0]} gets {first} in seat 0, {names[1]} gets {second} in seat 1."


def _relation(grid: Grid, row: int, column: int) -> str:
    first, second = grid.players[row], grid.players[column]
    if first.page is second.page and first.seed == second.seed:
        return "They were trained together, in the same seed of the same run."
    if first.page is second.page:
        return "They come from different seeds of the same run and never met in training."
    return f"They come from different runs, {first.page.name} and {second.page.name}, and never met in training."


def _loss(result: "CrossPlay", pair: tuple[int, int], seat: int, name: str) -> tuple[str, "Loss | None"]:
    """What an agent loses to playing with itself, in its seat."""
    own = pair[seat]
    if (own, own) not in result.cells:
        return f"{name} cannot play with itself.", None
    alone, together = _measured(result, own, own, seat), _measured(result, *pair, seat)
    loss = Loss(alone, together)
    said = f"With itself {name} gets {alone} in seat {seat}"
    if abs(loss.difference) <= loss.half:
        return f"{said}: no difference that {result.episodes} episodes show.", loss
    way = "less" if loss.difference > 0 else "more"
    return f"{said}: here it gets {short_number(abs(loss.difference))} ± {short_number(loss.half)} {way}.", loss


class Loss(NamedTuple):
    """What an agent gets alone and in a pair."""

    alone: Measured
    together: Measured

    @property
    def difference(self) -> float:
        """What it loses."""
        return self.alone.mean - self.together.mean

    @property
    def half(self) -> float:
        """Half the width of the difference's interval."""
        return math.hypot(self.alone.half, self.together.half)

    @property
    def fails(self) -> bool:
        """Whether the pair gets surely less than half of what is had alone."""
        return self.difference > self.half and self.alone.mean > 0 and self.together.mean < _FAILS * self.alone.mean


def _gap(player: Player, seat: int, name: str) -> str:
    known = gaps_of_agent(player).get(str(seat))
    if known is None or known["gap"] is None:
        return f"The rationality gap of {name} is not known; rpax certify finds it."
    if not known["exact"]:
        return f"A trained best response gains {known['gap']:.3g} on {name} (a lower bound of its rationality gap)."
    if known["gap"] <= _SOME_GAP:
        return f"{name} is rational: its policy is a best response to some partner (gap {known['gap']:.2g}, exact)."
    return f"{name} is a best response to nobody: its rationality gap is {known['gap']:.3g} (exact)."


def _conclusion(result: "CrossPlay", grid: Grid, pair: tuple[int, int], losses: "list[Loss | None]") -> list[str]:
    """What the numbers together look like, where they look like something."""
    if not losses or any(loss is None or not loss.fails for loss in losses):
        return []
    gaps = [gaps_of_agent(grid.players[number]).get(str(seat)) for seat, number in enumerate(pair)]
    if any(gap is not None and gap["exact"] and gap["gap"] > _SOME_GAP for gap in gaps):
        return ["Each does well alone, together they fail, and not both are rational: this looks like self-sabotage."]
    rational = all(gap is not None and gap["exact"] and gap["gap"] <= _SOME_GAP for gap in gaps)
    both = ", and both are rational" if rational else ""
    return [f"Each does well alone{both}, together they fail: this looks like conventions that do not fit."]


def _told(grid: Grid, row: int, column: int) -> list[str]:
    """What diagnoses and attacks say of the two agents' runs."""
    found: dict[str, None] = {}
    for number in dict.fromkeys((row, column)):
        player = grid.players[number]
        run = player.page.run
        notes: list[dict[str, Any]] = [] if run is None else notes_of(run)
        for note in [its["note"] for its in notes if its["seed"] == player.seed][:_MOST_NOTES]:
            found.setdefault(f"Diagnosis of {player.page.name}, seed {player.seed}: {note}.")
        attack = attack_of(player.page.path)
        if attack is not None:
            found.setdefault(
                f"{player.page.name} is an attack, with the verdict {attack['verdict']}: {attack['reason']}."
            )
    return list(found)
