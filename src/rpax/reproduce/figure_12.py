"""Figure 12: the victim's return in Figure 2's game, AT-RPG with one to four lookahead steps."""

from collections.abc import Sequence

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
    holds = {1: _swings, 2: _ends_at_one, 3: _settles, 4: _settles}
    # N = 1 and 2 depend on learning rates and on how fast policies saturate.
    expected = {1: mode == "exact" and network == "tabular", 2: mode == "sampled" and network == "tabular"}
    cases = []
    for n, paper in _PAPER.items():
        settings = settings_of("figure-12", mode, network, lookahead=n, **entropy)
        cases.append(Case("at-rpg", f"AT-RPG, N={n}", paper, _measure, holds[n], settings, expected.get(n, True)))
    return cases


EXPERIMENT = Experiment(
    "figure-12",
    "matrix/figure-2",
    "the victim's return in Figure 2's game, AT-RPG with one to four lookahead steps",
    _cases,
    "returns",
)
