"""Figure 2: adversarial training sabotages a cooperative game, its rational version solves it."""

from collections.abc import Sequence

from rpax.reproduce.experiment import Case, Experiment, Mode, NetworkKind, Outcome, close, close_policy, shown_policy
from rpax.reproduce.settings import settings_of

_E = 2


def _measure(outcome: Outcome) -> str:
    value = outcome.result.returns("victim", "adversary")[0]
    sabotage = outcome.policy("adversary", 1)[_E]
    return f"return {value:.3f}, X {shown_policy(outcome.policy('victim', 0))}, P(E) {sabotage:.4f}"


def sabotages(outcome: Outcome) -> bool:
    """AT: the return is −1 because Y plays E, whose gap is 1.5."""
    value = outcome.result.returns("victim", "adversary")[0]
    return (
        close(value, -1, 0.1)
        and outcome.policy("adversary", 1)[_E] > 0.95
        and close(outcome.gap("adversary", 1), 1.5, 0.1)
    )


def solves_exactly(outcome: Outcome) -> bool:
    """AT-RPG: return 0.5 with X uniform, E (almost) never, and both rational but for what is left of E."""
    left = outcome.policy("adversary", 1)[_E]
    return (
        close(outcome.result.returns("victim", "adversary")[0], 0.5, 0.05)
        and close_policy(outcome.policy("victim", 0), (0.5, 0.5), 0.05)
        and left < 0.01
        and outcome.gap("victim", 0) < 1e-9
        and close(outcome.gap("adversary", 1), 1.5 * left, 1e-6)
    )


def solves(outcome: Outcome) -> bool:
    """AT-RPG from samples: return within 0.1 of 0.5."""
    return close(outcome.result.returns("victim", "adversary")[0], 0.5, 0.1)


def _cases(mode: Mode, network: NetworkKind) -> Sequence[Case]:
    adversarial = settings_of("figure-2", mode, network)
    cases = [Case("at", "AT", "return −1: Y plays E", _measure, sabotages, adversarial)]
    for lookahead in (2, 3, 4) if mode == "exact" else (3, 4):
        settings = settings_of("figure-2", mode, network, lookahead=lookahead)
        holds = solves_exactly if mode == "exact" and network == "tabular" else solves
        cases.append(
            Case("at-rpg", f"AT-RPG, N={lookahead}", "return 0.5: X uniform, E never", _measure, holds, settings)
        )
    return cases


EXPERIMENT = Experiment(
    "figure-2",
    "matrix/figure-2",
    "adversarial training sabotages a cooperative game, its rational version solves it",
    _cases,
)
