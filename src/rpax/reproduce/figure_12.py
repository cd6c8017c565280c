"""Figure 12: the victim's return in Figure 2's game, AT-RPG with one to four lookahead steps."""

from collections.abc import Callable, Sequence

from rpax.reproduce.experiment import Case, Experiment, Mode, NetworkKind, Outcome, close
from rpax.reproduce.settings import MOVING, settings_of

_PAPER = {1: "swings between 0 and 1", 2: "ends at 1.0", 3: "settles at 0.5 ± 0.1", 4: "settles at 0.5 ± 0.1"}


def late_returns(outcome: Outcome) -> tuple[float, float, float]:
    """Smallest, mean and largest return of the victim in the last quarter of training."""
    values = [row["returns"]["victim vs adversary"][0] for row in outcome.rows]
    late = values[-max(1, len(values) // 4) :]
    return min(late), sum(late) / len(late), max(late)


def _measure(outcome: Outcome) -> str:
    low, mean, high = late_returns(outcome)
    return f"last quarter: mean {mean:.3f}, from {low:.3f} to {high:.3f}"


def _settles(outcome: Outcome) -> bool:
    low, _, high = late_returns(outcome)
    return close(low, 0.5, 0.1) and close(high, 0.5, 0.1)


def _swings(outcome: Outcome) -> bool:
    low, _, high = late_returns(outcome)
    return high - low > 0.5


def _ends_at_one(outcome: Outcome) -> bool:
    low, _, high = late_returns(outcome)
    return close(low, 1.0, 0.1) and close(high, 1.0, 0.1)


def _cases(mode: Mode, network: NetworkKind) -> Sequence[Case]:
    entropy = MOVING if mode == "exact" and network == "tabular" else {}
    cases = []
    for lookahead, paper in _PAPER.items():
        settings = settings_of("figure-12", mode, network, lookahead=lookahead, **entropy)
        cases.append(Case("at-rpg", f"AT-RPG, N={lookahead}", paper, _measure, _claim(lookahead, mode), settings))
    return cases


def _claim(lookahead: int, mode: Mode) -> Callable[[Outcome], bool] | None:
    """What must hold. N = 1 and 2 depend on learning rates: with exact gradients 1 swings and 2 settles, with samples 2
    ends at 1 as in the paper, and 1 is reported.
    """
    if lookahead > 2:
        return _settles
    if mode == "exact":
        return _swings if lookahead == 1 else None
    return _ends_at_one if lookahead == 2 else None


EXPERIMENT = Experiment(
    "figure-12",
    "matrix/figure-2",
    "the victim's return in Figure 2's game, AT-RPG with one to four lookahead steps",
    _cases,
    "returns",
)
