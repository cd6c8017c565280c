"""Figure 6: cross-play of populations in Overcooked and Hanabi: self-play, AD and AD-RPG."""

from collections.abc import Mapping

from rpax.reproduce.budgets import HANABI, OVERCOOKED
from rpax.reproduce.study import (
    PAPERS,
    SELF_PLAY,
    STRICT,
    WITHIN_SEED,
    Budget,
    DeepExperiment,
    Finding,
    Population,
    Study,
    Value,
    difference,
    gap_of,
)

_SEEDS_OF_SP: Mapping[Budget, int] = {"smoke": 3, "laptop": 10, "paper": 5}
POPULATIONS = (
    Population("SP .01", "sp", {"entropy": 0.01}, _SEEDS_OF_SP),
    Population("SP .05", "sp", {"entropy": 0.05}, _SEEDS_OF_SP),
    Population("AD", "ad", certified=("base_0",)),
    Population("AD-RPG", "ad-rpg", certified=("base_0",)),
)
#: Case -> population -> (self-play, within a seed, different seeds, the paper's way), as far as they are published.
_PUBLISHED: dict[str, dict[str, tuple[str | None, str | None, str | None, str | None]]] = {
    "cramped_room": {
        "SP .01": ("240", None, None, "66.9 [24, 110]"),
        "SP .05": ("240", None, None, "166.4 [122, 211]"),
        "AD": ("240", "≈ 0", "103", "91.9 [69, 115]"),
        "AD-RPG": ("231", "233", "205", "207.5 [201, 215]"),
    },
    "coord_ring": {
        "SP .01": ("261", None, None, "98.1 [39, 158]"),
        "SP .05": ("248", None, None, "89.0 [49, 129]"),
        "AD": ("214", "≈ 0", "50", "44.1 [27, 61]"),
        "AD-RPG": ("222", "247", "171", "178.6 [167, 191]"),
    },
    "counter_circuit": {
        "SP .01": ("161", None, None, "21.3 [0, 44]"),
        "SP .05": ("149", None, None, "22.2 [1, 44]"),
        "AD": ("157", "≈ 0", "45", "39.5 [26, 53]"),
        "AD-RPG": ("140", "141", "90", "95.2 [85, 105]"),
    },
    "forced_coord": {
        "SP .01": ("186", None, None, "136.8 [120, 154]"),
        "SP .05": ("160", None, None, "158.7 [158, 159]"),
        "AD": ("181", "≈ 0", "67", "58.7 [43, 75]"),
        "AD-RPG": ("172", "170", "156", "156.5 [152, 162]"),
    },
    "asymm_advantages": {
        "SP .01": ("≥ 500", None, None, None),
        "SP .05": ("492", None, None, None),
        "AD": ("437", "≈ 0", "177", None),
        "AD-RPG": ("478", "474", "473", None),
    },
    "hanabi-4x4": {
        "SP .01": (None, None, None, "4.07 [2.9, 5.3]"),
        "SP .05": (None, None, None, "12.93 [12.4, 13.5]"),
        "AD": (None, None, None, "0.59 [0.34, 0.85]"),
        "AD-RPG": (None, None, None, "10.24 [9.9, 10.7]"),
    },
}
_QUANTITIES = (SELF_PLAY, WITHIN_SEED, STRICT, PAPERS)


def published(case: str) -> dict[tuple[str, str], str]:
    """(population, quantity) to what the paper says of a case."""
    return {
        (label, quantity): text
        for label, texts in _PUBLISHED[case].items()
        for quantity, text in zip(_QUANTITIES, texts, strict=True)
        if text is not None
    }


def sabotages(values: Mapping[tuple[str, str], Value], label: str, *, expected: bool) -> Finding:
    """AD's agents of a seed get (almost) nothing together, AD-RPG's get most of what each gets with itself."""
    claim = f"{label}: cross-play within a seed is " + (
        "below 10 % of self-play (self-sabotage)" if expected else "at least 75 % of self-play (no self-sabotage)"
    )
    within, self_play = values.get((label, WITHIN_SEED)), values.get((label, SELF_PLAY))
    if within is None or self_play is None or self_play.mean <= 0:
        return Finding(claim, None, "not measured yet" if within is None else f"{within} of {self_play}")
    share = within.mean / self_play.mean
    return Finding(claim, share < 0.1 if expected else share >= 0.75, f"{within} of {self_play}: {100 * share:.0f} %")


def irrational(values: Mapping[tuple[str, str], Value], label: str, agent: str, *, expected: bool) -> Finding:
    """An agent that sabotages is far from a best response to those it trains with, one that does not is near."""
    bound = "more than 10 %" if expected else "less than 10 %"
    claim = f"{label}: a best response to the training partners of {agent} gains {bound} on it"
    gap = values.get((label, gap_of(agent)))
    if gap is None:
        return Finding(claim, None, "not measured yet, or the best response gets nothing")
    end = gap.low if expected else gap.high
    holds = end is not None and (end > 0.1 if expected else end < 0.1)
    return Finding(claim, holds, f"{gap}, as a share of what the best response gets")


def exceeds(values: Mapping[tuple[str, str], Value], more: str, less: str) -> Finding:
    """Different-seed cross-play of one population is higher than another's, beyond doubt."""
    claim = f"cross-play of different seeds: {more} exceeds {less} (95 % interval of the difference above 0)"
    first, second = values.get((more, STRICT)), values.get((less, STRICT))
    if first is None or second is None:
        return Finding(claim, None, "not measured yet")
    apart = difference(first, second)
    return Finding(claim, None if apart.low is None else apart.low > 0, f"{first} against {second}: difference {apart}")


def _claims(values: Mapping[tuple[str, str], Value]) -> list[Finding]:
    return [
        sabotages(values, "AD", expected=True),
        sabotages(values, "AD-RPG", expected=False),
        irrational(values, "AD", "base_0", expected=True),
        irrational(values, "AD-RPG", "base_0", expected=False),
        exceeds(values, "AD-RPG", "SP .01"),
        exceeds(values, "AD-RPG", "AD"),
    ]


def _study(case: str) -> Study:
    hanabi = case.startswith("hanabi")
    environment = case.replace("-", "/") if hanabi else f"overcooked/{case}"
    settings = HANABI if hanabi else OVERCOOKED
    return Study(case, environment, POPULATIONS, settings, published=published(case), claims=_claims)


EXPERIMENT = DeepExperiment(
    "figure-6",
    "cross-play of SP, AD and AD-RPG in Overcooked and Hanabi",
    tuple(_study(case) for case in _PUBLISHED),
    default={"smoke": ("cramped_room",), "laptop": ("cramped_room",)},
)
