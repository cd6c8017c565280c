"""`rpax attack`: train an adversary against a frozen victim, and judge what it shows."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from rpax.cli.output import estimate_text, print_json, progress_bar, say
from rpax.errors import InputError
from rpax.runs.attack_target import VICTIM
from rpax.runs.config import parse_assignments, read_settings
from rpax.runs.writing import Unwritable

if TYPE_CHECKING:
    from rpax.evaluation.attack import AttackReturns, Score
    from rpax.runs.attack import Attack

#: Options that have no effect on an attack that is trained already.
_OF_TRAINING = ("agent", "environment", "algorithm", "exact", "seed", "config", "set", "out")
_NOTHING = "–"
_NO_REFERENCE = (
    "the verdict will be unclear: the victim plays one seat only and nobody is known with whom it played before; leave "
    "--no-best-response out to train somebody"
)


@dataclasses.dataclass(frozen=True)
class Command:
    """Train an adversary against a fixed victim, then tell sabotage from a real weakness of the victim.

    VICTIM is a run directory (with --agent, unless it has one base agent only), RUN:AGENT, RUN:SEED:AGENT, either with
    @UPDATE, @first or @last, or anything else that `rpax train --victim` takes; --environment says where it plays if
    that is not a run's agent. Environment, its options, preset and exactness are those of the victim's run unless they
    are set.

    The adversary's training is an ordinary run in --out, for `rpax resume`, `rpax replay` and `rpax certify`. Then a
    best response is trained with the adversary as partner, and fresh episodes are played. Written beside the run:
    attack.json, attack.png, best_response.safetensors, and replays of the episodes with the victim's lowest returns.

    The verdict, with shares of the victim's return before the attack ("surely" is the whole 95 % interval): *robust* if
    the interval of what the victim keeps reaches 90 % and stays above 75 %; *real weakness* if the victim keeps surely
    less than 75 % while the adversary's best partner gets surely 75 % or more; *sabotage* if that partner and
    the victim get surely less than 50 %, and both seats have the same payoffs; else *unclear*, with why.
    docs/attacks.md has the rules in full.

    An attack that was stopped is trained to its end by `rpax resume DIR` and judged by `rpax attack DIR --evaluate`.

    Examples:
      rpax attack runs/x --agent base_0
      rpax attack runs/x:2:base_1 --algorithm ap --minutes 10
      rpax attack runs/x:base_0@first
      rpax attack '[0.8, 0.2]' --environment matrix/figure-2 --algorithm ap --exact
      rpax attack runs/x --agent base_0 --updates 500 --set envs=8 --set evaluation_episodes=200 --out runs/attack
      rpax attack runs/attack --evaluate
    """

    victim: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="VICTIM")]
    """Who is attacked; with --evaluate, the run directory of an attack."""
    agent: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: the run's only base agent)")
    ] = None
    """Which agent of the run is attacked, with @UPDATE, @first or @last if not as it ended."""
    environment: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: that of the victim's run)")
    ] = None
    """Where they play (see `rpax list`)."""
    algorithm: str = "ap-rpg"
    """ap-rpg, ap, paired-a-rpg, or a YAML file with a fixed agent `victim` and a base agent `adversary`."""
    exact: tyro.conf.FlagCreatePairsOff[bool] = False
    """Exact gradients instead of sampled play (normal-form and small extensive-form games)."""
    seed: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: the first behind the victim's run's)")
    ] = None
    """Of training and episodes. With the victim's own seed an adversary would start from its parameters."""
    updates: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: the preset's)")] = None
    """Updates of each training: the adversary's and the best response's."""
    minutes: Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="(default: no limit)")] = None
    """End each training after so many minutes."""
    no_best_response: tyro.conf.FlagCreatePairsOff[bool] = False
    """Train no best response to the adversary; then nothing is called sabotage. Nor one to a victim that plays one seat
    only and comes from no run: then it is unknown what it got before, and every verdict is unclear."""
    replays: int = 2
    """How many of the worst episodes are drawn, out of 64 that are played for it, where the game draws itself."""
    evaluate: tyro.conf.FlagCreatePairsOff[bool] = False
    """Train no adversary: judge that of an attack's run directory, with a best response trained anew."""
    config: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="FILE.yaml", help_behavior_hint="")] = None
    """Read settings of the training from this file (the names that `rpax train` takes as options)."""
    set: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="KEY=VALUE", help_behavior_hint="(may be repeated)"),
    ] = ()
    """Set any setting of the training, for example --set partner_play=0.2."""
    out: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """The attack's run directory (default: runs/<time>-attack-<algorithm>-<environment>)."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""
    given: frozenset[str] = dataclasses.field(default=frozenset(), init=False)
    """Names of the options that were written on the command line."""

    def run(self) -> int:
        """Attack. The verdict is told before it is written, so that it is not lost where it cannot be."""
        judged: list[Attack] = []

        def tell(found: "Attack") -> None:
            judged.append(found)
            if not self.json:
                print_attack(found)

        try:
            found = self._evaluate(tell) if self.evaluate else self._attack(tell)
        except Unwritable:
            if self.json and judged:
                print_json(judged[0].to_dict())
            raise
        if self.json:
            print_json(found.to_dict())
        else:
            print_written(found)
        return 0

    def settings(self) -> dict[str, Any]:
        """The settings asked for: file ← --set ← options."""
        values: dict[str, Any] = read_settings(self.config) if self.config else {}
        for name, value in parse_assignments(self.set).items():
            values[name] = {**(values.get(name) or {}), **value} if name == "environment_options" else value
        for name in ("algorithm", "environment", "victim", "partner"):
            if name in values:
                raise InputError(f"setting {name} has a place of its own; leave it out of --config and --set")
        return values | {
            name: getattr(self, name) for name in ("exact", "seed", "updates", "minutes") if name in self.given
        }

    def _attack(self, tell: "Callable[[Attack], None]") -> "Attack":
        from rpax.runs.attack import check_replays, evaluate_attack, find_target, prepare_attack, reference_is_known
        from rpax.runs.directory import RunDirectory, default_directory

        check_replays(self.replays)
        target = find_target(self.victim, self.agent)
        config, objective = prepare_attack(target, self.environment, self.algorithm, self.settings())
        out = self.out or default_directory(f"attack-{pathlib.Path(config.algorithm).stem}", config.environment)
        directory = RunDirectory.create(out, config, objective)
        with directory.discarded_if_untrained():
            from rpax.runs.session import Session

            session = Session.begin(config, objective, directory, environment=config.environment, fixed={})
            say(f"run directory: {directory.path}", quiet=self.quiet)
            seats = session.trainer.problem.policies[VICTIM].head_of_seat
            if self.no_best_response and not reference_is_known(target, seats):
                say(_NO_REFERENCE, quiet=self.quiet)
            with self._phase(f"{objective.name} on {config.environment}") as progress:
                run = session.run(progress)
        return evaluate_attack(
            run,
            target,
            best_response=not self.no_best_response,
            replays=self.replays,
            phase=self._phase,
            judged=tell,
        )

    def _evaluate(self, tell: "Callable[[Attack], None]") -> "Attack":
        from rpax.runs.attack import check_replays, evaluate_attack
        from rpax.runs.run import load

        for name in _OF_TRAINING:
            if name in self.given:
                raise InputError(f"--{name} is about the adversary, whom --evaluate does not train; leave it out")
        check_replays(self.replays)
        return evaluate_attack(
            load(self.victim),
            best_response=not self.no_best_response,
            updates=self.updates,
            minutes=self.minutes,
            replays=self.replays,
            phase=self._phase,
            judged=tell,
        )

    @property
    def _phase(self) -> Any:
        return functools.partial(progress_bar, quiet=self.quiet)


def print_attack(found: "Attack") -> None:
    """An attack's returns as a table, and its verdict."""
    from rich.console import Console
    from rich.table import Table

    console, returns = Console(), found.returns
    title = f"{found.run.objective.name} on {found.victim}, {found.run.config.environment}"
    console.print(title, style="italic", highlight=False, markup=False, soft_wrap=True)
    table = Table()
    for name in ("return of", "with", "both seats", "seat 0", "seat 1"):
        table.add_column(name)
    for whose, other, score in _rows(returns):
        table.add_row(whose, other, *_cells(score))
    console.print(table)
    gap, trained = returns.best_response_gap, found.best_response
    if gap is not None and trained is not None:
        told = f"  in the victim's place the best response gets {estimate_text(gap)} more than the victim"
        told += f" ({trained.status} at update {trained.update})"
        console.print(told, highlight=False, soft_wrap=True)
    console.print(f"verdict: {found.verdict.name}", style="bold", highlight=False)
    console.print(f"  {found.verdict.reason}", highlight=False, soft_wrap=True)


def print_written(found: "Attack") -> None:
    """What was written of an attack."""
    from rich.console import Console

    console = Console()
    for episode in found.worst:
        told = ", ".join(f"{value:.4g}" for value in episode.returns)
        console.print(f"  {episode.file}  returns {told}", highlight=False, markup=False, soft_wrap=True)
    if found.run.path is not None:
        told = f"{found.run.status} at update {found.run.update}; written to {found.run.path}"
        console.print(told, highlight=False, markup=False, soft_wrap=True)


def _rows(returns: "AttackReturns") -> Any:
    if returns.before is not None:
        yield "victim", returns.before_with, returns.before
    yield "victim", "the adversary", returns.under_attack
    for name, score in returns.adversary.items():
        yield "adversary", name.replace("_", " "), score
    if not returns.common_payoff:
        for name, score in returns.partners.items():
            yield f"{name.replace('_', ' ')}, in the victim's place", "the adversary", score


def _cells(score: "Score") -> list[str]:
    values = [score.together if len(score.by_seat) == 2 else None, score.by_seat.get(0), score.by_seat.get(1)]
    return [_NOTHING if value is None else estimate_text(value) for value in values]
