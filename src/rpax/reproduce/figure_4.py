"""Figure 4: learning curves of AD-RPG in STORM, and CoMeDi, AD and AD-RPG in Overcooked's cramped_room."""

from collections.abc import Mapping

from rpax.reproduce.budgets import OVERCOOKED, STORM
from rpax.reproduce.figure_6 import sabotages
from rpax.reproduce.study import (
    SELF_PLAY,
    WITH_MANIPULATORS,
    WITHIN_SEED,
    DeepExperiment,
    Finding,
    Population,
    Study,
    Value,
)


def _claims_on_storm(values: Mapping[tuple[str, str], Value]) -> list[Finding]:
    claim = "AD-RPG: self-play at least 1.4, cross-play within a seed positive and below half of it"
    self_play, within = values.get(("AD-RPG", SELF_PLAY)), values.get(("AD-RPG", WITHIN_SEED))
    if self_play is None or within is None:
        return [Finding(claim, None, "not measured yet")]
    holds = self_play.mean >= 1.4 and 0 < within.mean < self_play.mean / 2
    return [Finding(claim, holds, f"self-play {self_play}, cross-play {within}")]


def _claims_in_the_cramped_room(values: Mapping[tuple[str, str], Value]) -> list[Finding]:
    expected = {"CoMeDi": True, "AD": True, "AD-RPG": False}
    return [sabotages(values, label, expected=sabotage) for label, sabotage in expected.items()]


STORM_EXPERIMENT = DeepExperiment(
    "figure-4-storm",
    "AD-RPG in STORM: self-play rises, cross-play stays low but positive",
    (
        Study(
            "storm",
            "storm",
            (Population("AD-RPG", "ad-rpg"),),
            STORM,
            published={
                ("AD-RPG", SELF_PLAY): "≈ 1.65",
                ("AD-RPG", WITHIN_SEED): "≈ 0.10 (0.35 on the way)",
                ("AD-RPG", WITH_MANIPULATORS): "≈ 1.15",
            },
            claims=_claims_on_storm,
        ),
    ),
)
CRAMPED_EXPERIMENT = DeepExperiment(
    "figure-4-cramped",
    "CoMeDi and AD sabotage each other in cramped_room, AD-RPG does not",
    (
        Study(
            "cramped_room",
            "overcooked/cramped_room",
            (
                Population("CoMeDi", "comedi", {"population": 2}),
                Population("AD", "ad"),
                Population("AD-RPG", "ad-rpg"),
            ),
            OVERCOOKED,
            published={
                ("CoMeDi", SELF_PLAY): "220",
                ("CoMeDi", WITHIN_SEED): "2",
                ("AD", SELF_PLAY): "240",
                ("AD", WITHIN_SEED): "1.25",
                ("AD-RPG", SELF_PLAY): "240",
                ("AD-RPG", WITHIN_SEED): "240",
            },
            claims=_claims_in_the_cramped_room,
        ),
    ),
)
