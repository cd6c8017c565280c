"""Table 1: what fixed victims get in unobserved STORM, as they were trained and under three attacks.

Before the attacks a victim plays with itself, or where it has a seat of its own with its training partners. The paper's
training column has 0 for AD, whose agents do well with themselves: it seems to be their return with each other.
"""

from collections.abc import Mapping

from rpax.reproduce.budgets import STORM
from rpax.reproduce.figure_6 import irrational
from rpax.reproduce.study import BEFORE, Budget, DeepExperiment, Finding, Population, Study, Value, under

ATTACKS = ("ap", "paired-a-rpg", "ap-rpg")
#: Victim -> its return in training, under AP, PAIRED-A-RPG and AP-RPG.
_PUBLISHED = {
    "PAIRED": (".13", "0", ".50", ".42"),
    "PAIRED-RPG": (".93", "0", ".84", ".85"),
    "AT": ("0", "0", "0", "0"),
    "AT-RPG": (".65", "0", ".72", ".88"),
    "AD": ("0", "0", "0", "0"),
    "AD-RPG": (".98", "0", ".25", ".96"),
    "SP": (".98", "0", ".16", ".96"),
}
_ONE_SEED: Mapping[Budget, int] = {"smoke": 1, "laptop": 1, "paper": 5}
_POPULATIONS = (
    Population("SP", "sp", seeds=_ONE_SEED),
    Population("AT", "at", {"sides": "single"}, _ONE_SEED, victim="victim", certified=("adversary",)),
    Population("AT-RPG", "at-rpg", {"sides": "single"}, _ONE_SEED, victim="victim", certified=("adversary",)),
    Population("AD-RPG", "ad-rpg", seeds=_ONE_SEED),
    Population("AD", "ad", seeds=_ONE_SEED, certified=("base_0",)),
    Population("PAIRED", "paired", {"sides": "single"}, _ONE_SEED, victim="protagonist", certified=("adversary",)),
    Population("PAIRED-RPG", "paired-rpg", {"sides": "single"}, _ONE_SEED, victim="protagonist"),
)


def published() -> dict[tuple[str, str], str]:
    """(victim, quantity) to what the paper says."""
    quantities = (BEFORE, *map(under, ATTACKS))
    return {
        (label, quantity): text
        for label, texts in _PUBLISHED.items()
        for quantity, text in zip(quantities, texts, strict=True)
    }


def _claims(values: Mapping[tuple[str, str], Value]) -> list[Finding]:
    zero = [("AT", BEFORE, "AT sabotages itself")]
    zero += [(label, under("ap"), "AP sabotages") for label in _PUBLISHED]
    rational = ("paired-a-rpg", "ap-rpg")
    zero += [(label, under(attack), "it learned nothing") for label in ("AT", "AD") for attack in rational]
    found = [_near_zero(values, label, quantity, why) for label, quantity, why in zero]
    sabotaging = {"AT": "adversary", "PAIRED": "adversary", "AD": "base_0"}
    found += [irrational(values, label, agent, expected=True) for label, agent in sabotaging.items()]
    found += [irrational(values, "AT-RPG", "adversary", expected=False)]
    found += [_above(values, label, BEFORE, 0.5) for label in ("SP", "AT-RPG", "AD-RPG", "PAIRED-RPG")]
    found += [_above(values, label, under("ap-rpg"), 0.5) for label in ("SP", "AT-RPG", "AD-RPG", "PAIRED-RPG")]
    return found


def _near_zero(values: Mapping[tuple[str, str], Value], label: str, quantity: str, why: str) -> Finding:
    value = values.get((label, quantity))
    claim = f"{label} {quantity}: at most 0.1 ({why})"
    return Finding(claim, None if value is None else value.mean <= 0.1, str(value or "not measured yet"))


def _above(values: Mapping[tuple[str, str], Value], label: str, quantity: str, least: float) -> Finding:
    value = values.get((label, quantity))
    claim = f"{label} {quantity}: at least {least:g} (no sabotage)"
    return Finding(claim, None if value is None else value.mean >= least, str(value or "not measured yet"))


EXPERIMENT = DeepExperiment(
    "table-1",
    "seven victims under three attacks in unobserved STORM",
    (
        Study(
            "storm-unobserved",
            "storm/unobserved",
            _POPULATIONS,
            {**STORM, "laptop": {"updates": 2000}},
            attacks=ATTACKS,
            attack_settings={**STORM, "laptop": {"updates": 2000}},
            published=published(),
            claims=_claims,
        ),
    ),
)
