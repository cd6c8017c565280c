"""`rpax bench`."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from rpax.cli.output import print_json, say
from rpax.errors import InputError
from rpax.runs.config import PresetInt, TrainConfig, config_to_dict, parse_options

if TYPE_CHECKING:
    from rpax.benchmark.measure import Measurement
    from rpax.objectives.edges import Objective

_Integers = Annotated[tuple[int, ...], tyro.conf.arg(metavar="INT …")]
_Agent = Annotated[str, tyro.conf.arg(metavar="AGENT")]


@dataclasses.dataclass(frozen=True)
class Command:
    """Measure how fast an algorithm trains: compile time, time of an update, environment steps, memory, phases.

    Several values of --lookahead and --envs, and --manipulator-gradient both, are measured one after the other and
    shown side by side; starts, phases and the host's overhead are those of the first. Times are medians over
    --repetitions in this process; on shared machines compare ratios.

    Examples:
      rpax bench at-rpg matrix/figure-2
      rpax bench at-rpg matrix/figure-2 --lookahead 1 2 4 --envs 128 4096 --manipulator-gradient both
      rpax bench ad-rpg overcooked/coord_ring --envs 16 64
    """

    elsewhere: ClassVar[dict[str, str]] = {
        "--preset": "its defaults are fixed and listed by `rpax bench --help`; presets are for `rpax train`"
    }

    algorithm: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ALGORITHM")]
    """Name of a catalogue algorithm (see `rpax list`), or a YAML file with an objective of your own."""
    environment: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ENVIRONMENT")]
    """Name of an environment (see `rpax list`); yours is FILE.py:NAME, with the file that registers it."""
    lookahead: _Integers = (1,)
    """N, one or more values."""
    envs: _Integers = (128,)
    """Parallel environments of each pairing, one or more values."""
    steps: PresetInt = None
    """Steps of a rollout chunk."""
    network: Literal["tabular", "mlp", "cnn", "gru"] = "mlp"
    """Policies and critics."""
    hidden_sizes: _Integers = (64, 64)
    """Widths of their fully connected layers."""
    manipulator_gradient: Literal["closed-form", "autodiff", "both"] = "closed-form"
    """How the manipulators' gradient is taken."""
    exact: tyro.conf.FlagCreatePairsOff[bool] = False
    """Exact gradients instead of sampled play."""
    base_update: Literal["pg", "ppo"] = "pg"
    """The base agents' real step."""
    sampling: Annotated[
        Literal["uniform", "weighted"] | None,
        tyro.conf.arg(metavar="{uniform,weighted}", help_behavior_hint="(default: the preset's)"),
    ] = None
    """How environments are shared out among pairings."""
    population: PresetInt = None
    """N of AD."""
    option: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="KEY=VALUE", help_behavior_hint="(may be repeated)"),
    ] = ()
    """Set an option of the environment, for example --option horizon=100."""
    payoffs: Annotated[str | None, tyro.conf.arg(metavar="MATRIX|FILE", help_behavior_hint="")] = None
    """For matrix/custom and storm: '[[…],[…]]', or a JSON, NPY or CSV file."""
    victim: _Agent = "uniform"
    """The fixed victim of an attack."""
    partner: _Agent = "uniform"
    """The fixed partner of `br`."""
    seeds: int = 1
    """How many seeds are trained at once."""
    repetitions: int = 5
    """How often everything but compilation is timed."""
    compilations: int = 1
    """How often compilation is timed."""
    brief: tyro.conf.FlagCreatePairsOff[bool] = False
    """Measure compilation and updates only, not starts, phases and stepping alone, which take several compilations."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""

    def run(self) -> int:
        """Measure."""
        cases = self.cases()

        from rpax.benchmark.machine import machine, peak_memory_bytes
        from rpax.benchmark.measure import measure
        from rpax.benchmark.stepping import stepping_speed
        from rpax.policies.external import asking
        from rpax.runs.session import make_environment, resolve_fixed
        from rpax.training.setup import make_problem

        # Before anything is measured, which takes minutes, for what is wrong with any of the cases.
        environment = make_environment(cases[0][0])
        fixed = resolve_fixed(*cases[0], environment, {})
        for config, objective in cases:
            make_problem(config, objective, environment, fixed)

        def tell(stage: str) -> None:
            say(f"  {stage}", quiet=self.quiet)

        measured = []
        for config, objective in cases:
            size = f"N={config.lookahead}, {config.envs} envs, {config.manipulator_gradient}"
            say(f"measuring {objective.name} on {config.environment}: {size}", quiet=self.quiet)
            how = {"compilations": self.compilations, "phases": not (measured or self.brief), "tell": tell}
            with asking():
                measured.append(measure(config, objective, self.repetitions, **how))
        first = cases[0][0]
        stepping = None
        if not self.brief:
            tell("stepping the environment alone")
            stepping = stepping_speed(environment, self.repetitions)._asdict()
        document = {
            "algorithm": self.algorithm,
            "environment": self.environment,
            "base_update": self.base_update,
            "network": _network(first),
            "sampling": first.sampling,
            "seeds": self.seeds,
            "exact": self.exact,
            "machine": machine(),
            "repetitions": self.repetitions,
            "compilations": self.compilations,
            **dataclasses.asdict(measured[0]),
            "stepping": stepping,
            "peak_memory_bytes": peak_memory_bytes(),
            "cases": [
                {**dataclasses.asdict(case), "config": config_to_dict(config)}
                for case, (config, _) in zip(measured, cases, strict=True)
            ],
        }
        if self.json:
            print_json(document)
        else:
            print_table(document, measured)
        return 0

    def cases(self) -> "list[tuple[TrainConfig, Objective]]":
        """The complete configurations to measure, each with its objective.

        Raises:
            InputError: a setting is wrong, or an option that takes several values has none.
        """
        for name in ("repetitions", "compilations"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} is not allowed; give at least 1")
        for name, example in (("lookahead", "1 2 4"), ("envs", "128 4096"), ("hidden_sizes", "64 64")):
            if not getattr(self, name):
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option} has no value; give one or more, like {option} {example}")
        gradients = ("closed-form", "autodiff") if self.manipulator_gradient == "both" else (self.manipulator_gradient,)
        return [self._prepare(*case) for case in itertools.product(self.lookahead, self.envs, gradients)]

    def _prepare(self, lookahead: int, envs: int, gradient: Any) -> "tuple[TrainConfig, Objective]":
        from rpax.objectives.catalogue import find_algorithm
        from rpax.objectives.files import load_objective
        from rpax.runs.prepare import prepare

        entry = find_algorithm(self.algorithm)
        if entry and entry.in_stages:
            raise InputError(f"algorithm '{entry.name}' is trained in stages; measure one of them, like sp or br")
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


def print_table(document: dict[str, Any], measured: "list[Measurement]") -> None:
    """What was measured, for people: a row a case, then what was measured of the first case only."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(_table(document, measured))
    for line in _lines(document, measured[0]):
        console.print(line, highlight=False)


def _table(document: dict[str, Any], measured: "list[Measurement]") -> Any:
    from rich.table import Table

    title = ", ".join(
        (
            f"{document['algorithm']} on {document['environment']}",
            document["network"],
            f"base update {document['base_update']}",
        )
    )
    table = Table(title=title, title_justify="left")
    for column in ("N", "envs", "gradient", "compile s", "ms/update", "min–max", "env-steps/s", "program MB"):
        table.add_column(column, justify="right")
    for case in measured:
        table.add_row(
            str(case.lookahead),
            str(case.envs),
            case.manipulator_gradient,
            f"{case.compile_seconds:.2f}",
            f"{1e3 * case.seconds_per_update:.3f}",
            f"{1e3 * case.fastest:.3f}–{1e3 * case.slowest:.3f}",
            f"{case.env_steps_per_second:,.0f}",
            f"{case.program_bytes / 1e6:.2f}",
        )
    return table


def _lines(document: dict[str, Any], first: "Measurement") -> Iterator[str]:
    """What is said below the table."""
    if first.cold_start_seconds is not None and first.warm_start_seconds is not None:
        cold, warm = first.cold_start_seconds, first.warm_start_seconds
        yield f"start to the first update: cold {cold:.2f} s, warm {warm:.2f} s"
    if len(first.phases) > 1:
        yield f"phases of the first row: {', '.join(f'{name} {share:.0%}' for name, share in first.phases.items())}"
    if first.host_overhead_seconds is not None:
        yield f"host overhead: {1e3 * first.host_overhead_seconds:.3f} ms a call"
    if stepping := document["stepping"]:
        jaxmarl = f", JaxMARL's own loop {stepping['jaxmarl']:,.0f}" if stepping["jaxmarl"] else ""
        yield f"stepping alone, 512 games: {stepping['ours']:,.0f} steps/s{jaxmarl}"
    if document["peak_memory_bytes"]:
        yield f"peak memory: {document['peak_memory_bytes'] / 1e6:,.0f} MB"
    about = document["machine"]
    accelerator = "" if about["device"] == "cpu" else f"{about['device']} beside "
    yield f"{accelerator}{about['processor']}, {about['cores']} cores, jax {about['jax']}"
