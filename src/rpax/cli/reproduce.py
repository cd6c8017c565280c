"""`rpax reproduce`."""

import dataclasses
import pathlib
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from rpax.cli.output import latest_returns, print_json, say
from rpax.errors import InputError

if TYPE_CHECKING:
    from rpax.reproduce.experiment import CaseResult

_OF_MATRIX_GAMES, _OF_DEEP_ENVIRONMENTS = ("mode", "network", "seed", "seeds"), ("budget", "only", "population", "show")


@dataclasses.dataclass(frozen=True)
class Command:
    """Run one of the paper's experiments end to end and print what the paper says beside what was measured.

    Matrix games: figure-2, figure-12, figure-13, figure-14, figure-17, and matrix for all of these.
    Deep environments: figure-4-storm, figure-4-cramped, figure-6, table-1, attack-cramped, partner-play, sabotage.
    These are made cell by cell in a folder of their own: a second call makes only what is missing. --budget smoke shows
    in minutes that everything runs, laptop takes hours on two cores, paper needs a GPU and days.

    Examples:
      rpax reproduce figure-2
      rpax reproduce figure-14 --mode sampled --network mlp
      rpax reproduce figure-6 --budget laptop --only cramped_room
      rpax reproduce figure-6 --budget laptop --show
      rpax reproduce table-1 --population SP --population AT-RPG
      rpax reproduce table-1 --budget smoke --out results/table-1
    """

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """Which experiment."""
    budget: Literal["smoke", "laptop", "paper"] = "laptop"
    """Deep environments: how much is done."""
    only: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="CASE", help_behavior_hint="(may be repeated; default: the budget's)"),
    ] = ()
    """Deep environments: which of the experiment's cases, for example cramped_room."""
    population: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="LABEL", help_behavior_hint="(may be repeated; default: all)"),
    ] = ()
    """Deep environments: make cells of these populations only, for example AT-RPG."""
    show: tyro.conf.FlagCreatePairsOff[bool] = False
    """Deep environments: make nothing, show what is there."""
    mode: Literal["exact", "sampled", "both"] = "both"
    """Matrix games: exact gradients, sampled play, or both."""
    network: Literal["tabular", "mlp", "both"] = "tabular"
    """Matrix games: tabular softmax policies, the paper's MLPs, or both."""
    seed: int = 0
    """Matrix games: first random seed."""
    seeds: int = 5
    """Matrix games: how many consecutive seeds."""
    out: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Where results go (default: runs/<time>-reproduce-<name>; deep environments: runs/reproduce-<name>-<budget>)."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""
    given: frozenset[str] = dataclasses.field(default=frozenset(), init=False)
    """Names of the options that were written on the command line."""

    def run(self) -> int:
        """Reproduce."""
        from rpax.errors import suggestion
        from rpax.reproduce import DEEP_EXPERIMENTS, EXPERIMENTS

        if self.name not in (*EXPERIMENTS, *DEEP_EXPERIMENTS):
            known = suggestion(self.name, [*EXPERIMENTS, *DEEP_EXPERIMENTS])
            raise InputError(f"experiment '{self.name}' is unknown; {known}")
        deep = self.name in DEEP_EXPERIMENTS
        for option in _OF_MATRIX_GAMES if deep else _OF_DEEP_ENVIRONMENTS:
            if option in self.given:
                kind = "deep environments" if deep else "matrix games"
                raise InputError(f"--{option} has no effect on '{self.name}', which is of {kind}; leave it out")
        if deep:
            from rpax.cli.deep_experiments import Output, Part, reproduce

            output = Output(self.json, self.quiet)
            part = Part(self.only, self.population, not self.show)
            return reproduce(self.name, self.budget, part, self.out, output)
        if self.seeds < 1 or self.seed < 0:
            raise InputError(
                f"seeds {self.seeds} from seed {self.seed} is not allowed; give at least 1 seed, from 0 on"
            )
        folder = self.out or pathlib.Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-reproduce-{self.name}"
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} exists and is not empty; choose another --out")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder} cannot be created ({error.strerror}); choose another --out") from None
        say(f"results go to {folder}", quiet=self.quiet)
        documents = [self._one(name, folder) for name in self._experiments()]
        if self.json:
            print_json(documents[0] if len(documents) == 1 else {"experiment": self.name, "experiments": documents})
        return 0

    def _experiments(self) -> tuple[Any, ...]:
        from rpax.reproduce.runner import find_experiments

        return find_experiments(self.name)

    def _one(self, experiment: Any, folder: pathlib.Path) -> dict[str, Any]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        from rpax.reproduce.runner import experiment_to_dict, run_experiment, write_document, write_results

        console = Console(stderr=True)
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[latest]}"),
        ]
        # Of a bar that moves, a file would keep an empty line.
        disabled = self.quiet or not console.is_terminal
        with Progress(*columns, console=console, transient=True, disable=disabled) as bar:
            task = bar.add_task(f"{experiment.name}: starting", total=None, latest="")

            def progress(title: str, update: int, until: int, rows: Any) -> None:
                bar.update(task, description=title, completed=update, total=until, latest=latest_returns(rows))

            results: list[CaseResult] = []
            for result in run_experiment(
                experiment,
                modes=("exact", "sampled") if self.mode == "both" else (self.mode,),
                networks=("tabular", "mlp") if self.network == "both" else (self.network,),
                seeds=tuple(range(self.seed, self.seed + self.seeds)),
                progress=progress,
            ):
                # At once, so that an interruption loses no case that is finished.
                results.append(result)
                write_document(experiment, results, folder)
                if not console.is_terminal:
                    say(f"{experiment.name}: {result.case.label}, {result.seconds:.1f} s", quiet=self.quiet)
        if not self.json:
            _print_table(experiment, results)
        written = write_results(experiment, results, folder)
        if not self.json:
            print("written: " + ", ".join(map(str, written)))
        return experiment_to_dict(experiment, results)


def _print_table(experiment: Any, results: "list[CaseResult]") -> None:
    from rich.console import Console
    from rich.table import Table

    from rpax.reproduce.runner import table_rows

    console = Console()
    # A terminal decides its own width; in a file or pipe nothing is to be cut or wrapped.
    if not console.is_terminal:
        console = Console(width=200)
    table = Table(title=f"{experiment.name}: {experiment.summary}", title_justify="left", show_lines=True)
    for column in ("case", "paper", "measured (first seed)", "rational? (gap, unrounded)", "holds in"):
        table.add_column(column, overflow="fold")
    for row in table_rows(results):
        table.add_row(*row)
    console.print(table)
    console.print(f"{sum(result.seconds for result in results):.0f} s of training and evaluation", highlight=False)
