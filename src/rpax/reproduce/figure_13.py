"""Figure 13: diversity in a cooperative game, with an action that only sabotages."""

from collections.abc import Sequence
from typing import Any

from rpax.reproduce.experiment import Case, Experiment, Mode, NetworkKind, Outcome, shown_policy
from rpax.reproduce.settings import settings_of

_D = 1
_LARGE = 0.9


def conventions(outcome: Outcome) -> list[tuple[int, int]]:
    """Each agent's most likely action in seat 0 and in seat 1, in order of actions."""
    agents = [name for name, agent in outcome.result.agents.items() if agent.role == "base"]
    return sorted((_most_likely(outcome.policy(a, 0)), _most_likely(outcome.policy(a, 1))) for a in agents)


def decided(outcome: Outcome) -> bool:
    """Whether every agent plays one action with probability above 0.9 in each seat."""
    agents = [name for name, agent in outcome.result.agents.items() if agent.role == "base"]
    return all(max(outcome.policy(agent, seat)) > _LARGE for agent in agents for seat in (0, 1))


def measure(outcome: Outcome) -> str:
    """The agents' policies in both seats."""
    agents = [name for name, agent in outcome.result.agents.items() if agent.role == "base"]
    return "; ".join(f"{shown_policy(outcome.policy(a, 0))}·{shown_policy(outcome.policy(a, 1))}" for a in agents)


def _most_likely(policy: Sequence[float]) -> int:
    return max(range(len(policy)), key=lambda action: policy[action])


def _sabotages(outcome: Outcome) -> bool:
    return any(action == _D for _, action in conventions(outcome)) and decided(outcome)


def _finds_both(outcome: Outcome) -> bool:
    return conventions(outcome) == [(0, 0), (1, 2)] and decided(outcome)


def rational_settings(mode: Mode, network: NetworkKind) -> dict[str, Any]:
    """AD-RPG's settings, here and in Figure 14."""
    return settings_of("figure-13", mode, network, lookahead=1, crossplay_weight=1.0, partner_play=0.0)


def plain_settings(mode: Mode, network: NetworkKind) -> dict[str, Any]:
    """AD's settings, here and in Figure 14."""
    settings = settings_of("figure-13", mode, network, crossplay_weight=1.0)
    if mode == "sampled" and network == "mlp":
        # There is no manipulator to wait for, and at AD-RPG's base rate nothing is decided in time.
        settings |= {"base_rate": 0.02, "updates": 4000}
    return settings


def _cases(mode: Mode, network: NetworkKind) -> Sequence[Case]:
    rational, plain = rational_settings(mode, network), plain_settings(mode, network)
    return [
        Case("ad", "AD, λ=1", "one agent plays D", measure, _sabotages, plain),
        Case("ad-rpg", "AD-RPG, λ=1", "conventions (A,C) and (B,E), D never", measure, _finds_both, rational),
    ]


EXPERIMENT = Experiment(
    "figure-13", "matrix/figure-13", "diversity in a cooperative game, with an action that only sabotages", _cases
)
