"""`rpax list`."""

import dataclasses

import tyro

from rpax.cli.output import print_json


@dataclasses.dataclass(frozen=True)
class Command:
    """List algorithms, environments, scripted partners and experiments of the paper, one line each.

    Examples:
      rpax list
      rpax list --json
    """

    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON document on stdout."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print names only."""

    def run(self) -> int:
        """List."""
        from rpax.environments.registry import ENVIRONMENTS
        from rpax.objectives.catalogue import ALGORITHMS
        from rpax.policies.scripted import PARTNERS, SCRIPTED
        from rpax.reproduce import EXPERIMENTS

        groups = {
            "algorithms": {name: entry.summary for name, entry in ALGORITHMS.items()},
            "environments": {name: entry.summary for name, entry in ENVIRONMENTS.items()},
            "partners": {f"{SCRIPTED}:{name}": entry.summary for name, entry in PARTNERS.items()},
            "experiments": {name: summary for name, (summary, _) in EXPERIMENTS.items()},
        }
        if self.json:
            print_json(groups)
            return 0
        for title, entries in groups.items():
            print(f"{title}:")
            width = max(map(len, entries))
            for name, summary in entries.items():
                print(f"  {name}" if self.quiet else f"  {name:<{width}}  {summary}")
        return 0
