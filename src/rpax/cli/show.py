"""`rpax show`."""

import dataclasses
import pathlib
from typing import Annotated, Literal

import tyro

from rpax.cli.output import print_json, say


@dataclasses.dataclass(frozen=True)
class Command:
    """Draw an algorithm's objective graph in the terminal, and as PNG or SVG with --out.

    ALGORITHM is a catalogue name (see `rpax list`) or a YAML file like this one:

      name: my-attack
      agents: {victim: fixed, adversary: base}
      edges:
        - {learner: adversary, beneficiary: victim, partner: adversary, weight: -1, seats: [0]}

    Examples:
      rpax show ad-rpg --population 3 --out ad-rpg.svg
      rpax show my-attack.yaml
    """

    algorithm: tyro.conf.Positional[str]
    """Name of a catalogue algorithm, or a YAML file with an objective of your own."""
    out: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="FILE.png|FILE.svg")] = None
    """Write a picture there."""
    population: int | None = None
    """N, the number of base agents of AD."""
    partner_play: float | None = None
    """ε, the weight of each evaluation partner in a base agent's objective."""
    crossplay_weight: float | None = None
    """λ, how strongly the agents of AD are pushed apart."""
    sides: Literal["single", "both"] | None = None
    """Each role in its own seat, or every edge from both seats."""
    victim_self_play: float | None = None
    """Weight of the victim's (protagonist's) self-play in its own objective, in AT and PAIRED."""
    antagonist: Literal["separate", "adversary"] | None = None
    """In PAIRED: a separate antagonist, or the adversary itself."""
    mixed_play_weight: float | None = None
    """β of CoMeDi, how much mixed-play counts."""
    entropies: tuple[float, ...] | None = None
    """The entropy bonuses of sp-sweep."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the objective as one JSON document on stdout."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print nothing in the terminal."""

    def run(self) -> int:
        """Show."""
        from rpax.errors import InputError
        from rpax.objectives.catalogue import algorithm
        from rpax.objectives.files import load_objective, objective_to_dict
        from rpax.runs.presets import ALGORITHM_OPTIONS

        options = {name: getattr(self, name) for name in ALGORITHM_OPTIONS if getattr(self, name) is not None}
        if self.algorithm.endswith((".yaml", ".yml")):
            if options:
                raise InputError(f"{next(iter(options))} varies catalogue algorithms; write it into {self.algorithm}")
            objective = load_objective(self.algorithm)
        else:
            objective = algorithm(self.algorithm, **options)
        if self.out is not None:
            from rpax.reports.objective_graph import draw_objective_graph

            draw_objective_graph(objective, self.out)
            say(f"written to {self.out}", quiet=self.quiet)
        if self.json:
            print_json(objective_to_dict(objective))
        elif not self.quiet:
            from rich.console import Console

            from rpax.reports.objective_graph import graph_text

            Console().print(graph_text(objective))
        return 0
