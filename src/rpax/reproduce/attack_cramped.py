"""Attacks on self-play in Overcooked's cramped_room: AP blocks, AP-RPG works in a way that the victim does not know."""

from collections.abc import Mapping

from rpax.reproduce.budgets import OVERCOOKED
from rpax.reproduce.study import BEFORE, DeepExperiment, Finding, Population, Study, Value, best_partner, under


def _claims(values: Mapping[tuple[str, str], Value]) -> list[Finding]:
    before = values.get(("SP .01", BEFORE))

    def share(quantity: str) -> float | None:
        value = values.get(("SP .01", quantity))
        return None if value is None or before is None or before.mean <= 0 else value.mean / before.mean

    def finding(claim: str, quantity: str, holds: bool | None) -> Finding:
        value = values.get(("SP .01", quantity))
        return Finding(claim, holds, f"{value} of {before}" if value and before else "not measured yet")

    low, partner = share(under("ap-rpg")), share(best_partner("ap-rpg"))
    sabotage, nobody = share(under("ap")), share(best_partner("ap"))
    return [
        finding(
            "AP-RPG brings an SP victim below 25 % of its self-play",
            under("ap-rpg"),
            None if low is None else low < 0.25,
        ),
        finding(
            "the adversary of AP-RPG and its best partner get at least 75 % of it",
            best_partner("ap-rpg"),
            None if partner is None else partner >= 0.75,
        ),
        finding("AP brings it below 5 %", under("ap"), None if sabotage is None else sabotage < 0.05),
        finding(
            "nobody gets more than half of it with AP's adversary (sabotage)",
            best_partner("ap"),
            None if nobody is None else nobody < 0.5,
        ),
    ]


EXPERIMENT = DeepExperiment(
    "attack-cramped",
    "AP and AP-RPG on self-play in cramped_room",
    (
        Study(
            "cramped_room",
            "overcooked/cramped_room",
            (Population("SP .01", "sp", {"entropy": 0.01}, {"smoke": 1, "laptop": 1, "paper": 5}),),
            OVERCOOKED,
            attacks=("ap", "ap-rpg"),
            attack_settings=OVERCOOKED,
            # Partner-play lets the adversary learn the victim's ways: with the paper's 0.1 they cooperate.
            attack_options={("laptop", "ap-rpg"): {"partner_play": 0.0}},
            published={
                ("SP .01", BEFORE): "240",
                ("SP .01", under("ap")): "0 (blocks the plates)",
                ("SP .01", under("ap-rpg")): "4.6",
            },
            claims=_claims,
        ),
    ),
)
