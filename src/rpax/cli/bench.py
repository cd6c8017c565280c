"""`rpax bench`."""

import dataclasses
import itertools
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from rpax.cli.output import print_json, say

if TYPE_CHECKING:
    from rpax.benchmark.measure import Measurement


@dataclasses.dataclass(frozen=True)
class Command:
    """Measure how fast an algorithm trains: compile time, updates and environment steps per second, memory, phases.

    Several values of --lookahead and --envs, and --manipulator-gradient both, are measured one after the other and
    shown side by side; phases are those of the first. Times are medians over --repetitions in this process; on shared
    machines compare ratios.

    Examples:
      rpax bench at-rpg matrix/figure-2
      rpax bench at-rpg matrix/figure-2 --lookahead 1 2 4 --envs 128 4096 --manipulator-gradient both
      rpax bench ad-rpg overcooked/coord_ring --envs 16 64
    """

    algorithm: tyro.conf.Positional[str]
    """Name of a catalogue algorithm, or a YAML file with an objective of your own."""
    environment: tyro.conf.Positional[str]
    """Name of an environment."""
    lookahead: tuple[int, ...] = (1,)
    """N, one or more values."""
    envs: tuple[int, ...] = (128,)
    """Parallel environments of each pairing, one or more values."""
    steps: int | None = None
    """Steps of a rollout chunk (default: the preset's)."""
    network: Literal["tabular", "mlp", "cnn", "gru"] = "mlp"
    """Policies and critics."""
    hidden_sizes: tuple[int, ...] | None = None
    """Their hidden layers (default: the preset's)."""
    manipulator_gradient: Literal["closed-form", "autodiff", "both"] = "closed-form"
    """How the manipulators' gradient is taken."""
    exact: tyro.conf.FlagCreatePairsOff[bool] = False
    """Exact gradients instead of sampled play."""
    base_update: Literal["pg", "ppo"] = "pg"
    """The base agents' real step."""
    sampling: Literal["uniform", "weighted"] | None = None
    """How environments are shared out among pairings (default: the preset's)."""
    population: int | None = None
    """N of AD (default: the preset's)."""
    option: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="KEY=VALUE", help_behavior_hint="(may be repeated)"),
    ] = ()
    """Set an option of the environment, for example --option horizon=100."""
    payoffs: str | None = None
    """For matrix/custom."""
    victim: str = "uniform"
    """The fixed victim of an attack."""
    partner: str = "uniform"
    """The fixed partner of `br`."""
    seeds: int = 1
    """How many seeds are trained at once."""
    repetitions: int = 5
    """How often everything is timed."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""

    def run(self) -> int:
        """Measure."""
        from rpax.errors import InputError

        if self.repetitions < 1:
            raise InputError(f"repetitions {self.repetitions} is not allowed; give at least 1")
        gradients = ("closed-form", "autodiff") if self.manipulator_gradient == "both" else (self.manipulator_gradient,)
        prepared = [self._prepare(*case) for case in itertools.product(self.lookahead, self.envs, gradients)]

        from rpax.benchmark.measure import machine, measure, peak_memory_bytes, stepping_speed
        from rpax.runs.session import make_environment

        measured = []
        for config, objective in prepared:
            size = f"N={config.lookahead}, {config.envs} envs, {config.manipulator_gradient}"
            say(f"measuring {objective.name} on {config.environment}: {size}", quiet=self.quiet)
            measured.append(measure(config, objective, self.repetitions, phases=not measured))
        document = {
            "algorithm": self.algorithm,
            "environment": self.environment,
            "base_update": self.base_update,
            "network": _network(prepared[0][0]),
            "sampling": prepared[0][0].sampling,
            "seeds": self.seeds,
            "exact": self.exact,
            "machine": machine(),
            "repetitions": self.repetitions,
            **dataclasses.asdict(measured[0]),
            "stepping": stepping_speed(make_environment(prepared[0][0]), self.repetitions)._asdict(),
            "peak_memory_bytes": peak_memory_bytes(),
            "cases": [dataclasses.asdict(case) for case in measured],
        }
        if self.json:
            print_json(document)
        else:
            _print_table(document, measured)
        return 0

    def _prepare(self, lookahead: int, envs: int, gradient: Any) -> Any:
        from rpax.objectives.catalogue import ALGORITHMS, ALIASES
        from rpax.objectives.files import load_objective
        from rpax.runs.config import TrainConfig, parse_options
        from rpax.runs.prepare import prepare

        entry = ALGORITHMS.get(ALIASES.get(self.algorithm, self.algorithm))
        objective = load_objective(self.algorithm) if self.algorithm.endswith((".yaml", ".yml")) else None
        fixed = objective.fixed if objective else ()
        needs = [*fixed, *(name for name in ("victim", "partner") if entry and self._takes(entry, name))]
        config = TrainConfig(
            algorithm=self.algorithm,
            environment=self.environment,
            lookahead=lookahead,
            envs=envs,
            steps=self.steps,
            network=self.network,
            hidden_sizes=self.hidden_sizes,
            sampling=self.sampling,
            base_update=self.base_update,
            population=self.population,
            environment_options=parse_options(self.option),
            manipulator_gradient=gradient,
            exact=self.exact,
            payoffs=self.payoffs,
            seeds=self.seeds,
            victim=self.victim if "victim" in needs else None,
            partner=self.partner if "partner" in needs else None,
        )
        return prepare(config, objective)

    @staticmethod
    def _takes(entry: Any, name: str) -> bool:
        from rpax.objectives.catalogue import algorithm

        return name in algorithm(entry.name).fixed


def _network(config: Any) -> str:
    """The network in words, like ``mlp 64x64``."""
    sizes = "x".join(map(str, config.hidden_sizes))
    return {
        "tabular": "tabular",
        "mlp": f"mlp {sizes}",
        "cnn": f"cnn {'x'.join(map(str, config.channels))}, {sizes}",
        "gru": f"gru {sizes}, {config.memory_units} units",
    }[config.network]


def _print_table(document: dict[str, Any], measured: "list[Measurement]") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    about = document["machine"]
    title = ", ".join(
        (
            f"{document['algorithm']} on {document['environment']}",
            document["network"],
            f"base update {document['base_update']}",
        )
    )
    table = Table(title=title, title_justify="left")
    for column in ("N", "envs", "gradient", "compile s", "updates/s", "env-steps/s", "program MB", "min–max ms/update"):
        table.add_column(column, justify="right")
    for case in measured:
        table.add_row(
            str(case.lookahead),
            str(case.envs),
            case.manipulator_gradient,
            f"{case.compile_seconds:.2f}",
            f"{1 / case.seconds_per_update:,.0f}",
            f"{case.env_steps_per_second:,.0f}",
            f"{case.program_bytes / 1e6:.2f}",
            f"{1e3 * case.fastest:.3f}–{1e3 * case.slowest:.3f}",
        )
    console.print(table)
    phases = ", ".join(f"{name} {share:.0%}" for name, share in measured[0].phases.items())
    console.print(f"phases of the first row: {phases}", highlight=False)
    stepping = document["stepping"]
    jaxmarl = f", JaxMARL's own loop {stepping['jaxmarl']:,.0f}" if stepping["jaxmarl"] else ""
    console.print(f"stepping alone, 512 games: {stepping['ours']:,.0f} steps/s{jaxmarl}", highlight=False)
    if document["warm_start_seconds"] is not None:
        console.print(f"warm start to the first update: {document['warm_start_seconds']:.2f} s", highlight=False)
    peak = document["peak_memory_bytes"]
    if peak:
        console.print(f"peak memory of the process: {peak / 1e6:,.0f} MB", highlight=False)
    console.print(f"{about['processor']}, {about['cores']} cores, jax {about['jax']}", highlight=False)
