"""Figure 12: the victim's return in Figure 2's game, AT-RPG with one to four lookahead steps."""

from collections.abc import Sequence

from rpax.reproduce.experiment import Case, Experiment, Mode, NetworkKind, Outcome, close
from rpax.reproduce.settings import settings_of

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


def _cases(mode: Mode, network: NetworkKind) -> Sequence[Case]:
    cases = []
    for lookahead, paper in _PAPER.items():
        settings = settings_of("figure-2", mode, network, lookahead=lookahead)
        # N = 2 depends on learning rates (it settles with exact gradients), so it is reported, not claimed.
        holds = {1: _swings, 2: None}.get(lookahead, _settles)
        cases.append(Case("at-rpg", f"AT-RPG, N={lookahead}", paper, _measure, holds, settings))
    return cases


EXPERIMENT = Experiment(
    "figure-12",
    "matrix/figure-2",
    "the victim's return in Figure 2's game, AT-RPG with one to four lookahead steps",
    _cases,
    "returns",
)
