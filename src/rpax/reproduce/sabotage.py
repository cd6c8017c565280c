"""Figure 18: STORM with a cell in which either agent hurts both."""

from collections.abc import Mapping

from rpax.reproduce.budgets import STORM
from rpax.reproduce.study import SELF_PLAY, WITHIN_SEED, DeepExperiment, Finding, Population, Study, Value


def _claims(values: Mapping[tuple[str, str], Value]) -> list[Finding]:
    found = []
    for label, negative in (("CoMeDi", True), ("AD", True), ("AD-RPG", False)):
        sabotage = "negative: one of the two sabotages" if negative else "not negative: nobody sabotages"
        claim = f"{label}: cross-play within a seed is {sabotage}"
        within = values.get((label, WITHIN_SEED))
        holds = None if within is None else (within.mean < 0) == negative
        found.append(Finding(claim, holds, "not measured yet" if within is None else str(within)))
    return found


EXPERIMENT = DeepExperiment(
    "sabotage",
    "STORM with sabotage: CoMeDi and AD hurt each other, AD-RPG does not",
    (
        Study(
            "storm-sabotage",
            "storm/sabotage",
            (Population("CoMeDi", "comedi", {"population": 2}), Population("AD", "ad"), Population("AD-RPG", "ad-rpg")),
            STORM,
            published={("CoMeDi", SELF_PLAY): "≈ 1", ("CoMeDi", WITHIN_SEED): "≈ −0.6"},
            claims=_claims,
        ),
    ),
)
