"""Figure 17: rock-paper-scissors, where adversarial training cycles and enough lookahead settles."""

from collections.abc import Sequence

from rpax.reproduce.experiment import Case, Experiment, Mode, NetworkKind, Outcome, close_policy, shown_policy
from rpax.reproduce.settings import MOVING, settings_of

_UNIFORM = (1 / 3, 1 / 3, 1 / 3)
#: A policy oscillates if some probability still moves by so much in the last quarter of training.
_MOVES = 0.2


_SPIRAL_RATES: dict[tuple[Mode, NetworkKind], float] = {
    ("exact", "tabular"): 0.2,
    ("sampled", "tabular"): 0.2,
    ("exact", "mlp"): 0.1,
    ("sampled", "mlp"): 0.02,
}


def late_movement(outcome: Outcome) -> float:
    """How far the victim's most mobile probability moves in the last quarter of training."""
    late = [row["policies"]["victim"]["0"] for row in outcome.rows][-max(1, len(outcome.rows) // 4) :]
    return max(max(column) - min(column) for column in zip(*late, strict=True))


def _measure(outcome: Outcome) -> str:
    policies = f"X {shown_policy(outcome.policy('victim', 0))}, Y {shown_policy(outcome.policy('adversary', 1))}"
    return f"{policies}, still moves by {late_movement(outcome):.2f}"


def _oscillates(outcome: Outcome) -> bool:
    return late_movement(outcome) > _MOVES


def _settles(outcome: Outcome) -> bool:
    final = (outcome.policy("victim", 0), outcome.policy("adversary", 1))
    return all(close_policy(policy, _UNIFORM, 0.1) for policy in final) and late_movement(outcome) < _MOVES


def _cases(mode: Mode, network: NetworkKind) -> Sequence[Case]:
    entropy = MOVING if mode == "exact" and network == "tabular" else {}
    settings = settings_of("figure-17", mode, network, partner_play=0.0, **entropy)
    # Plain gradient play spirals outwards slowly from where policies start, near uniform: larger steps show it sooner.
    plain = settings_of("figure-17", mode, network)
    faster = plain | {"base_rate": _SPIRAL_RATES[mode, network]}
    # With samples or an MLP and one lookahead step the policies saturate in a corner instead of cycling.
    short = settings | {"lookahead": 1}
    expected = mode == "exact" and network == "tabular"
    return [
        Case("at", "AT", "oscillates", _measure, _oscillates, faster),
        Case("at-rpg", "AT-RPG, N=1", "oscillates", _measure, _oscillates, short, expected),
        Case("at-rpg", "AT-RPG, N=10", "settles on uniform", _measure, _settles, settings | {"lookahead": 10}),
    ]


EXPERIMENT = Experiment(
    "figure-17",
    "matrix/figure-17",
    "rock-paper-scissors, where adversarial training cycles and enough lookahead settles",
    _cases,
)
