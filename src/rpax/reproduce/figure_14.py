"""Figure 14: a general-sum game with two equilibria and an action that only sabotages."""

from collections.abc import Sequence

from rpax.reproduce.experiment import Case, Experiment, Mode, NetworkKind, Outcome, close_policy, shown_policy
from rpax.reproduce.figure_13 import conventions, decided, measure, plain_settings, rational_settings
from rpax.reproduce.settings import settings_of

_E = 2
_MARGIN = 0.1


def _measure(outcome: Outcome) -> str:
    victim = "victim" if "victim" in outcome.result.policies else "protagonist"
    return f"X {shown_policy(outcome.policy(victim, 0))}, Y {shown_policy(outcome.policy('adversary', 1))}"


def _sabotages(outcome: Outcome) -> bool:
    return outcome.policy("adversary", 1)[_E] > 0.95


def _mixes(outcome: Outcome) -> bool:
    """X = (¼, ¾) and Y = (½, ½, 0): Y mixes its rational actions, X makes both worth the same to itself (value 1.5)."""
    return close_policy(outcome.policy("victim", 0), (0.25, 0.75), _MARGIN) and close_policy(
        outcome.policy("adversary", 1), (0.5, 0.5, 0.0), _MARGIN
    )


def _one_equilibrium(outcome: Outcome) -> bool:
    x, y = outcome.policy("protagonist", 0), outcome.policy("adversary", 1)
    return any(x[action] > 0.9 and y[action] > 0.9 for action in (0, 1))


def _one_sabotages(outcome: Outcome) -> bool:
    return sorted(action == _E for _, action in conventions(outcome)) == [False, True] and decided(outcome)


def _both_equilibria(outcome: Outcome) -> bool:
    return conventions(outcome) == [(0, 0), (1, 1)] and decided(outcome)


def _cases(mode: Mode, network: NetworkKind) -> Sequence[Case]:
    settings = settings_of("figure-14", mode, network, lookahead=4, partner_play=0.0)
    plain = {name: value for name, value in settings.items() if name not in ("partner_play", "lookahead")}
    diverse, apart = rational_settings(mode, network), plain_settings(mode, network)
    return [
        Case("at", "AT", "Y plays E", _measure, _sabotages, plain),
        Case("at-rpg", "AT-RPG, N=4", "X (¼, ¾), Y (½, ½, 0)", _measure, _mixes, settings),
        # Under the regret objective E gains nothing, so it is not expected.
        Case("paired", "PAIRED", "Y plays E", _measure, _sabotages, plain, False),
        Case("paired-rpg", "PAIRED-RPG, N=4", "one equilibrium", _measure, _one_equilibrium, settings),
        # With λ = 1 both equilibria come out.
        Case("ad", "AD, λ=1", "one sabotage, one equilibrium", measure, _one_sabotages, apart, False),
        Case("ad-rpg", "AD-RPG, λ=1", "both equilibria", measure, _both_equilibria, diverse),
    ]


EXPERIMENT = Experiment(
    "figure-14", "matrix/figure-14", "a general-sum game with two equilibria and an action that only sabotages", _cases
)
