"""`rpax train`: settings from defaults ← preset ← file ← options, then train and show what came out."""

import dataclasses
import pathlib
from typing import Annotated, Any

import tyro

from rpax.cli.output import print_json, print_run, progress_bar, say
from rpax.runs.config import FIELDS, TrainConfig, config_from_dict, parse_assignments, parse_options, read_settings


@dataclasses.dataclass(frozen=True)
class Command(TrainConfig):
    """Train an algorithm on an environment and write a run directory.

    Settings that are not given come from --set, then --config, then the --preset.

    Examples:
      rpax train at-rpg matrix/figure-2 --exact --lookahead 4 --seeds 5
      rpax train ad-rpg matrix/custom --payoffs '[[1, 0.9, 0], [0, -1, 1]]' --crossplay-weight 1
      rpax train ap-rpg matrix/figure-2 --victim runs/x:victim
      rpax train sp overcooked/cramped_room --option horizon=200
      rpax train fcp hanabi/3x3 --population 8
      rpax train my-objective.yaml extensive/g2 --config settings.yaml --set lookahead=2
    """

    # Both may come from --config instead, so neither is required here.
    algorithm: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ALGORITHM", help_behavior_hint="")] = ""
    """Name of a catalogue algorithm (see `rpax list`), or a YAML file with an objective of your own."""
    environment: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ENVIRONMENT", help_behavior_hint="")] = ""
    """Name of an environment (see `rpax list`); yours is FILE.py:NAME, with the file that registers it."""
    seeds: int = 1
    """How many consecutive seeds are trained, in one compiled program."""
    exact: tyro.conf.FlagCreatePairsOff[bool] = False
    """Exact gradients instead of sampled play (normal-form and small extensive-form games)."""
    payoffs: Annotated[str | None, tyro.conf.arg(metavar="MATRIX|FILE", help_behavior_hint="")] = None
    """For matrix/custom and storm: '[[…],[…]]', or a JSON, NPY or CSV file; one matrix, or one a seat (row: seat 0)."""
    config: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="FILE.yaml", help_behavior_hint="")] = None
    """Read settings from this file (the same names as the options)."""
    set: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="KEY=VALUE", help_behavior_hint="(may be repeated)"),
    ] = ()
    """Set any setting, for example --set hidden_sizes='[32, 32]'."""
    option: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="KEY=VALUE", help_behavior_hint="(may be repeated)"),
    ] = ()
    """Set an option of the environment, for example --option horizon=100."""
    out: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """The run directory (default: runs/<time>-<algorithm>-<environment>)."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""
    given: frozenset[str] = dataclasses.field(default=frozenset(), init=False)
    """Names of the options that were written on the command line."""

    def __post_init__(self) -> None:
        """Check nothing yet: :meth:`settings` does, once options are laid over --set and --config."""

    def settings(self) -> TrainConfig:
        """The configuration asked for: file ← --set ← options."""
        values: dict[str, Any] = read_settings(self.config) if self.config else {}
        for name, value in parse_assignments(self.set).items():
            values[name] = {**(values.get(name) or {}), **value} if name == "environment_options" else value
        if self.option:
            values["environment_options"] = {**(values.get("environment_options") or {}), **parse_options(self.option)}
        names = {name for name in ("algorithm", "environment") if getattr(self, name)}
        names |= self.given.intersection(FIELDS)
        return config_from_dict(values | {name: getattr(self, name) for name in FIELDS if name in names})

    def run(self) -> int:
        """Train."""
        from rpax.runs.directory import RunDirectory, default_directory
        from rpax.runs.prepare import prepare

        config, objective = prepare(self.settings())
        out = self.out or default_directory(config.algorithm, config.environment)
        directory = RunDirectory.create(out, config, objective)
        with directory.discarded_if_untrained():
            from rpax.schemes import begin

            session = begin(config, objective, directory, environment=config.environment, fixed={})
            # Not before: whether the fixed agents fit is known only now.
            for note in (f"run directory: {directory.path}", *session.notes):
                say(note, quiet=self.quiet)
            with progress_bar(f"{objective.name} on {config.environment}", quiet=self.quiet) as progress:
                run = session.run(progress)
        if self.json:
            print_json(run.to_dict())
        else:
            print_run(run)
        return 0
