"""How much partner-play: AD-RPG with ε from 0 to 0.2 in Overcooked's cramped_room and in STORM."""

from rpax.reproduce.budgets import OVERCOOKED, STORM
from rpax.reproduce.study import DeepExperiment, Population, Study

_EPSILONS = (0.0, 0.05, 0.1, 0.15, 0.2)
_POPULATIONS = tuple(
    Population(f"AD-RPG ε = {epsilon:g}", "ad-rpg", {"partner_play": epsilon}) for epsilon in _EPSILONS
)

EXPERIMENT = DeepExperiment(
    "partner-play",
    "AD-RPG with partner-play from 0 to 0.2 in cramped_room and STORM",
    (
        Study("cramped_room", "overcooked/cramped_room", _POPULATIONS, OVERCOOKED),
        Study("storm", "storm", _POPULATIONS, STORM),
    ),
    default={"smoke": ("storm",)},
)
