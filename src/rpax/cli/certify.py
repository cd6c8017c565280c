"""`rpax certify`: exact rationality gaps of a run's agents, with the witness or what dominates."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

import tyro

from rpax.cli.output import print_json
from rpax.errors import InputError

if TYPE_CHECKING:
    from rpax.environments.tabular_game import TabularGame
    from rpax.runs.run import Run


@dataclasses.dataclass(frozen=True)
class Command:
    """Rationality gap of each base agent of a run, in every seat it plays: 0 means a best response to somebody.

    Prints the co-policy that the agent is a best response to, or, where it is irrational, the policy that does better
    against everybody.

    Examples:
      rpax certify runs/x
      rpax certify runs/x --json
    """

    run_dir: tyro.conf.Positional[pathlib.Path]
    """The run directory."""
    manipulators: tyro.conf.FlagCreatePairsOff[bool] = False
    """Certify manipulators too."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print gaps only."""

    def run(self) -> int:
        """Certify."""
        from rpax.environments.tabular_game import TabularGame
        from rpax.runs.run import load
        from rpax.runs.session import make_environment

        run = load(self.run_dir)
        game = make_environment(run.config)
        if not isinstance(game, TabularGame):
            raise InputError(
                f"run {self.run_dir}: '{game.name}' is no game that can be enumerated; certify matrix games"
            )
        certificates = list(_certificates(run, game, self.manipulators))
        if self.json:
            print_json({"run_dir": str(self.run_dir), "environment": game.name, "certificates": certificates})
            return 0
        for entry in certificates:
            print(f"seed {entry['seed']}  {entry['agent']}  seat {entry['seat']}  gap {entry['gap']!r}")
            if not self.quiet:
                key = "dominating_policy" if entry["dominating_policy"] else "co_policy"
                says = "dominated by" if key == "dominating_policy" else "best response to"
                print(f"    {says} {_in_words(entry[key])}")
        return 0


def _certificates(run: "Run", game: "TabularGame", manipulators: bool) -> Any:
    names = [*run.objective.bases, *(run.objective.manipulators if manipulators else ())]
    for seed in run.config.seed_list:
        for name in names:
            agent = run.agent(name, seed)
            for seat in agent.seats:
                yield {"seed": seed, "agent": name, "seat": seat, **_certificate(game, seat, agent)}


def _certificate(game: "TabularGame", seat: int, agent: Any) -> dict[str, Any]:
    import jax
    import numpy as np

    from rpax.evaluation.rationality import rationality
    from rpax.evaluation.sequence_form import game_rationality

    with jax.enable_x64(True):
        table = np.asarray(agent.probabilities(game.all_observations(), seat))
    if not np.isfinite(table).all():
        raise InputError(f"agent '{agent.name}' has a policy that is not finite; train it with lower learning rates")
    if game.is_normal_form:
        found = rationality(game.payoff_matrix(seat), table[0])
        dominating = found.dominating_policy
        own, other = game.spaces[seat], game.spaces[1 - seat]
        return {
            "gap": found.gap,
            "co_policy": {other.name_of(i): float(p) for i, p in enumerate(found.co_policy)},
            "dominating_policy": None
            if dominating is None
            else {own.name_of(i): float(p) for i, p in enumerate(dominating)},
        }
    found = game_rationality(game, seat, table)
    return {
        "gap": found.gap,
        "co_policy": _plan(found.co_policy),
        "dominating_policy": None if found.dominating_policy is None else _plan(found.dominating_policy),
    }


def _plan(strategy: Any) -> dict[str, list[float]]:
    return {str(where): [float(p) for p in probabilities] for where, probabilities in strategy.items()}


def _in_words(policy: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}" for name, value in policy.items()
    )
