"""`rpax replay`: moving pictures of chosen pairings."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from rpax.cli.output import print_json, progress_bar, say
from rpax.errors import InputError, shown

if TYPE_CHECKING:
    from rpax.evaluation.episodes import Episode, Player
    from rpax.runs.run import Run


@dataclasses.dataclass(frozen=True)
class Command:
    """Draw episodes of a run's agents as GIF, WebP or MP4, with who sits where, the step, the actions and the returns.

    Without --pairing, every base agent plays with itself and with the others, in all seats that they can play. There is
    one file a pairing, which holds its episodes one after the other; files of an earlier replay are replaced.
    Long episodes make large GIFs that play long: --format webp is a fifth of the size, a higher --fps is faster.

    Examples:
      rpax replay runs/x
      rpax replay runs/x --format webp --fps 20
      rpax replay runs/x --pairing base_0:base_1 --pairing base_1:manipulator_1 --episodes 3
      rpax replay runs/x --pairing victim:adversary --greedy --format mp4 --fps 10 --out pictures
    """

    run_dir: tyro.conf.Positional[pathlib.Path]
    """The run directory."""
    pairing: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="SEAT0:SEAT1", help_behavior_hint="(may be repeated)"),
    ] = ()
    """Who plays: the agent in seat 0 and the one in seat 1."""
    run_seed: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: its first)")] = None
    """Agents of this seed of the run."""
    episodes: int = 1
    """Episodes of each pairing."""
    seed: int = 0
    """Of the episodes: their starts and what agents draw."""
    greedy: tyro.conf.FlagCreatePairsOff[bool] = False
    """Agents take their likeliest action."""
    sample: tyro.conf.FlagCreatePairsOff[bool] = False
    """Agents draw actions from their policies; so they do anyway without --greedy."""
    format: Literal["gif", "webp", "mp4"] = "gif"
    """Format of the files; MP4 needs the extra `rpax[video]`."""
    fps: float = 5.0
    """Steps shown in a second."""
    scale: float = 1.0
    """Size of the pictures, from 0.25 to 4."""
    out: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: PATH/replays)")] = (
        None
    )
    """Folder of the files."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""

    def run(self) -> int:
        """Play and draw."""
        if self.greedy and self.sample:
            raise InputError("--greedy and --sample exclude each other; give one of them")
        from rpax.runs.run import load

        run = load(self.run_dir)
        pairings = [_parse_pairing(run, text) for text in self.pairing]
        seed = run.config.seed_list[0] if self.run_seed is None else self.run_seed
        from rpax.evaluation.episodes import Player
        from rpax.folders import no_empty_folders
        from rpax.reports.moving_picture import check_writable
        from rpax.reports.replay import check_draws, check_numbers
        from rpax.runs.session import make_environment

        check_numbers(self.episodes, self.seed, self.fps, self.scale)
        agents = {name: run.agent(name, seed) for name in _needed(run, pairings)}
        pairings = _playable(agents, pairings)
        player = Player(make_environment(run.config), greedy=self.greedy)
        check_draws(player.environment)
        out = self.out or self.run_dir / "replays"
        with no_empty_folders(out):
            check_writable(out, self.format)
            replays = [self._replay(run, player, (agents[a], agents[b]), seed, out) for a, b in dict.fromkeys(pairings)]
        if self.json:
            shared = {"run_dir": str(self.run_dir), "environment": run.config.environment, "run_seed": seed}
            print_json({**shared, "seed": self.seed, "greedy": self.greedy, "replays": replays})
        else:
            for replay in replays:
                returns = "; ".join(", ".join(f"{r:.4g}" for r in episode["returns"]) for episode in replay["episodes"])
                print(f"{replay['file']}  {replay['seat_0']} with {replay['seat_1']}: returns {returns}")
        return 0

    def _replay(self, run: "Run", player: "Player", agents: Any, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """Play one pairing's episodes and write its file."""
        from rpax.reports.moving_picture import write_moving_picture
        from rpax.reports.replay import Replay, title_of

        names = (agents[0].name, agents[1].name)
        say(f"{names[0]} with {names[1]}: playing", quiet=self.quiet)
        played = Replay.play(player, agents, title_of(run, seed), episodes=self.episodes, seed=self.seed)
        frames = played.frames(self.scale)
        path = out / f"seed-{seed}-{names[0]}-{names[1]}.{self.format}"
        with progress_bar(f"{names[0]} with {names[1]}: drawing", quiet=self.quiet, first="starting") as show:
            write_moving_picture(path, frames, self.fps, lambda drawn: show(drawn, len(frames), ()))
        entry = {"file": str(path), "seat_0": names[0], "seat_1": names[1]}
        return {**entry, "frames": len(frames), "episodes": [_summary(episode) for episode in played.episodes]}


def _summary(episode: "Episode") -> dict[str, Any]:
    return {"returns": list(episode.returns), "length": episode.length}


def _parse_pairing(run: "Run", text: str) -> tuple[str, str]:
    first, colon, second = text.partition(":")
    if not colon or not first or not second or ":" in second:
        some = next(iter(run.objective.agents))
        raise InputError(f"pairing {shown(text)} is no pair of agents; write SEAT0:SEAT1, for example {some}:{some}")
    return first, second


def _needed(run: "Run", pairings: list[tuple[str, str]]) -> list[str]:
    """The agents that play: those of the pairings, or all base agents and, if they never learn, the fixed ones."""
    if pairings:
        return list(dict.fromkeys(name for pairing in pairings for name in pairing))
    return [*run.objective.bases, *run.objective.fixed]


def _playable(agents: dict[str, Any], pairings: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairings asked for, or all that the agents' seats allow.

    Raises:
        InputError: an agent of a pairing does not play that seat.
    """
    from rpax.reports.replay import check_seats

    for first, second in pairings:
        check_seats((agents[first], agents[second]))
    seats = [[name for name, agent in agents.items() if seat in agent.seats] for seat in (0, 1)]
    return pairings or [(first, second) for first in seats[0] for second in seats[1]]
