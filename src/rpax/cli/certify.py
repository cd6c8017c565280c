"""`rpax certify`: rationality gaps of a run's agents, exact or by trained best responses."""

import dataclasses
import functools
import pathlib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from rpax.cli.output import estimate_text, print_json, progress_bar, say
from rpax.errors import InputError

if TYPE_CHECKING:
    from rpax.runs.certify import Certification, ExactCertificate, TrainedCertificate


@dataclasses.dataclass(frozen=True)
class Command:
    """Rationality gap of each base agent of a run: 0 means a best response to somebody.

    In games that can be enumerated, the gap in every seat is exact. Printed with it is the co-policy that the agent is
    a best response to, or, where it is irrational, the policy that does better against everybody.

    Elsewhere a fresh best response is trained against the frozen mixture of the agent's training partners (in the
    weights of the agent's own objective; of an adversary that has none, those of all edges it plays in). What it gains
    on the agent, U(BR, mixture) − U(agent, mixture), bounds the gap against these partners from below only.

    Certificates of all agents are written to certificates.json in the run directory, where `rpax report` finds them.

    Examples:
      rpax certify runs/x
      rpax certify runs/storm --agent base_0 --updates 1000 --episodes 2000
      rpax certify runs/x --method trained --json
    """

    run_dir: tyro.conf.Positional[pathlib.Path]
    """The run directory."""
    agent: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: every base agent)")] = None
    """Certify this agent only."""
    run_seed: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: all)")] = None
    """Agents of this seed of the run only."""
    method: Annotated[
        Literal["exact", "trained"] | None,
        tyro.conf.arg(metavar="{exact,trained}", help_behavior_hint="(default: exact where the game is small)"),
    ] = None
    """By a linear program, or by training best responses."""
    manipulators: tyro.conf.FlagCreatePairsOff[bool] = False
    """Certify manipulators too (exact only)."""
    partners: Annotated[
        Literal["own", "all"] | None, tyro.conf.arg(metavar="{own,all}", help_behavior_hint="(default: own)")
    ] = None
    """Of a trained best response: those of the agent's own objective, or all it plays with in training."""
    updates: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: the preset's)")] = None
    """Updates of each best response's training."""
    minutes: Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="(default: no limit)")] = None
    """End each training after so many minutes."""
    episodes: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: 1000)")] = None
    """Fresh episodes of each side with each partner, at least, where returns are not exact."""
    seed: int = 0
    """Of best responses and episodes."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress, print gaps only."""

    def run(self) -> int:
        """Certify."""
        from rpax.runs.certify import CAVEAT, ExactCertificate, certify
        from rpax.runs.run import load

        found = certify(
            load(self.run_dir),
            method=self.method,
            agent=self.agent,
            run_seed=self.run_seed,
            manipulators=self.manipulators,
            partners=self.partners,
            updates=self.updates,
            minutes=self.minutes,
            episodes=self.episodes,
            seed=self.seed,
            phase=functools.partial(progress_bar, quiet=self.quiet),
        )
        if self.json:
            print_json({"run_dir": str(self.run_dir), **found.to_dict()})
        else:
            for entry in found.certificates:
                self._print_exact(entry) if isinstance(entry, ExactCertificate) else self._print_trained(entry)
            if found.method == "trained":
                say(CAVEAT, quiet=self.quiet)
        if self.agent is None and self.run_seed is None:
            self._keep(found)
        return 0

    def _keep(self, found: "Certification") -> None:
        """Write certificates of all agents for `rpax report`; what they say is printed by now."""
        from rpax.runs.directory import RunDirectory
        from rpax.runs.writing import NotWritten

        directory = RunDirectory(self.run_dir)
        file = directory.path / "certificates.json"
        try:
            directory.open_to_write()
            directory.write_json(file, found.to_dict())
        except InputError as error:
            reason = error.reason if isinstance(error, NotWritten) else str(error)
            say(f"rpax: {file} could not be written ({reason}), so `rpax report` does not show these gaps")
        finally:
            directory.lock.release()

    def _print_exact(self, entry: "ExactCertificate") -> None:
        print(f"seed {entry.seed}  {entry.agent}  seat {entry.seat}  gap {entry.gap!r}")
        if not self.quiet:
            says = "dominated by" if entry.dominating_policy else "best response to"
            print(f"    {says} {_in_words(entry.dominating_policy or entry.co_policy)}")

    def _print_trained(self, entry: "TrainedCertificate") -> None:
        measured = entry.measured
        seats = " and ".join(map(str, measured.mixture.seats))
        print(f"seed {entry.seed}  {entry.agent}  seat {seats}  gap at least {measured.bound:.4g}")
        if self.quiet:
            return
        gain, best, own = (
            estimate_text(value) for value in (measured.difference, measured.best_response, measured.agent)
        )
        sure = " (95 % intervals)" if measured.episodes else ""
        print(f"    best response {best}, agent {own}, difference {gain}{sure}")
        shares: dict[str, float] = {}
        for part in measured.mixture.parts:
            shares[part.partner] = shares.get(part.partner, 0.0) + part.weight
        played = ", ".join(f"{partner} {share:.3g}" for partner, share in shares.items())
        whence = "its own objective" if measured.mixture.own_objective else "all edges it learns from"
        print(f"    partners {played}, from {whence}; trained for {entry.updates} updates ({entry.status})")
        if measured.difference.mean < 0:
            print("    no better policy was found, so the bound is 0")


def _in_words(policy: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}" for name, value in policy.items()
    )
