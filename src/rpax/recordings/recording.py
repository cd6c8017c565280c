"""One episode as a compact document: enough to show it step by step, and to simulate it again."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int, Integer, UInt8

from rpax._version import __version__
from rpax.environments.payoffs import read_payoffs
from rpax.environments.protocol import Environment, Key
from rpax.errors import InputError, shown
from rpax.evaluation.episodes import Episode, Player
from rpax.recordings.events import Event, printable
from rpax.recordings.packing import pack
from rpax.recordings.scenes.scene import action_names, scene_of
from rpax.reports.replay import check_numbers, check_seats
from rpax.runs.agent import Agent
from rpax.runs.run import Run

FORMAT = 1
#: How files of recordings end.
SUFFIX = ".rpax.json"
#: Probabilities are kept as multiples of 1/255.
LEVELS = 255


@dataclasses.dataclass(frozen=True)
class Seated:
    """Who sat in a seat.

    Attributes:
        name: an agent's, or the label of a person.
        kind: ``agent`` or ``person``.
    """

    name: str
    kind: str = "agent"


@dataclasses.dataclass(frozen=True)
class Made:
    """How an environment was made.

    Attributes:
        name: as registered.
        options: what :func:`rpax.make` was given, but payoffs.
        payoffs: of a game that takes them.
    """

    name: str
    options: Mapping[str, Any]
    payoffs: Any = None


@dataclasses.dataclass(frozen=True)
class Recording:
    """One episode.

    Attributes:
        environment: how the game was made.
        players: who sat in seat 0 and in seat 1.
        key: the two words of the episode's key, see :meth:`rpax.evaluation.episodes.Player.play`.
        greedy: whether agents took their likeliest actions.
        actions: of each seat in each step.
        rewards: of each seat in each step.
        scene: what does not change of what is shown, see :mod:`rpax.recordings.scenes`.
        frames: the numbers of each state.
        probabilities: with which each seat acted, in 1/255; ``None`` where that is not known, as of a person.
        action_names: of each seat.
        events: what happened.
        version: of the rpax that made it.
    """

    environment: Made
    players: tuple[Seated, Seated]
    key: tuple[int, int]
    greedy: bool
    actions: Integer[np.ndarray, "steps 2"]
    rewards: Float[np.ndarray, "steps 2"]
    scene: dict[str, Any]
    frames: Int[np.ndarray, "states fields"]
    probabilities: tuple[UInt8[np.ndarray, "steps actions_0"] | None, UInt8[np.ndarray, "steps actions_1"] | None]
    action_names: tuple[tuple[str, ...], tuple[str, ...]]
    events: tuple[Event, ...]
    version: str = __version__

    def __repr__(self) -> str:
        """Who played what: one line."""
        names = " with ".join(f"'{player.name}'" for player in self.players)
        returns = " and ".join(f"{value:.4g}" for value in self.returns)
        return f"<Recording: {names} on {self.environment.name}, {self.length} steps, returns {returns}>"

    @property
    def length(self) -> int:
        """How many steps the episode lasted."""
        return len(self.actions)

    @property
    def returns(self) -> tuple[float, float]:
        """The undiscounted return of seat 0 and of seat 1."""
        # In the order in which Episode sums, so that both are equal to the last bit.
        total = np.cumsum(np.concatenate([np.zeros((1, 2)), self.rewards]), axis=0, dtype=np.float64)[-1]
        return float(total[0]), float(total[1])

    def to_dict(self) -> dict[str, Any]:
        """The document as plain data."""
        rewards = [[t, *pair] for t, pair in enumerate(self.rewards.tolist(), start=1) if any(pair)]
        chances = [
            None if each is None else pack(each.T.astype(np.int64), differences=False) for each in self.probabilities
        ]
        return {
            "format": FORMAT,
            "rpax": self.version,
            "environment": {
                "name": self.environment.name,
                "options": dict(self.environment.options),
                "payoffs": self.environment.payoffs,
            },
            "players": [dataclasses.asdict(player) for player in self.players],
            "key": list(self.key),
            "greedy": self.greedy,
            "length": self.length,
            "actions": [pack(self.actions[:, seat][None].astype(np.int64)) for seat in (0, 1)],
            "rewards": rewards,
            "returns": list(self.returns),
            "scene": self.scene,
            "frames": {"fields": self.frames.shape[1], "data": pack(self.frames.T)},
            "probabilities": chances,
            "action_names": [list(names) for names in self.action_names],
            "events": [[event.step, event.seat, event.kind, event.text] for event in self.events],
        }

    def to_json(self) -> str:
        """The document as text without spaces, in ASCII."""
        return json.dumps(self.to_dict(), separators=(",", ":"), allow_nan=False)

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Write the document whole or not at all; an existing file is replaced.

        Raises:
            InputError: the file cannot be written.
        """
        from rpax.runs.writing import write_text

        path = pathlib.Path(path)
        write_text(path, self.to_json())
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Recording":
        """Read a document that anybody may have written.

        Raises:
            InputError: it is no such document, see :mod:`rpax.recordings.reading`.
        """
        from rpax.recordings.reading import read_recording

        return read_recording(pathlib.Path(path))

    def simulate(self, environment: Environment | None = None) -> Episode:
        """The episode again: the same start, the same actions, the same chance.

        Args:
            environment: where it was played; by default it is made as the recording says, which is refused for
                environments that files or modules of a user's make.

        Raises:
            InputError: it cannot be made, or the recording does not fit it.
        """
        from rpax.recordings.simulating import Simulator, environment_of

        return Simulator(environment_of(self) if environment is None else environment).simulate(self)


def make_recording(
    environment: Environment,
    episode: Episode,
    players: tuple[Seated, Seated],
    key: Key,
    *,
    greedy: bool = False,
    probabilities: tuple[Any, Any] = (None, None),
    ended: bool = True,
) -> Recording:
    """Record an episode.

    Args:
        environment: where it was played.
        episode: what was played, with the keys of :meth:`rpax.evaluation.episodes.Player.play`.
        players: who sat in seat 0 and in seat 1.
        key: of the episode.
        greedy: whether agents took their likeliest actions.
        probabilities: [steps, actions] of each seat, ``None`` where nobody knows them.
        ended: ``False`` for an episode that was broken off.

    Raises:
        InputError: the environment's options are no plain data.
    """
    scene = scene_of(environment)
    frames = scene.frames(episode, ended=ended)
    events = scene.events(episode)
    if ended and episode.length:
        returns = " and ".join(f"{value:.4g}".replace("-", "−") for value in episode.returns)
        events.append(Event(episode.length, None, "end", f"the end: {returns}"))
    names = [tuple(each) for each in action_names(environment)]
    chances = [None if each is None else np.rint(np.asarray(each) * LEVELS).astype(np.uint8) for each in probabilities]
    words = np.asarray(jax.random.key_data(key)).tolist()
    return Recording(
        environment=made(environment),
        players=(_readable(players[0]), _readable(players[1])),
        key=(words[0], words[1]),
        greedy=greedy,
        actions=np.asarray(episode.actions),
        rewards=episode.rewards,
        scene=scene.document(),
        frames=frames,
        probabilities=(chances[0], chances[1]),
        action_names=(names[0], names[1]),
        events=tuple(dataclasses.replace(event, text=printable(event.text)) for event in events),
    )


def _readable(player: Seated) -> Seated:
    return dataclasses.replace(player, name=printable(player.name))


def made(environment: Environment) -> Made:
    """How ``environment`` was made.

    Raises:
        InputError: with options that JSON cannot hold.
    """
    options = {name: _plain(value) for name, value in environment.made_with.items()}
    # Those of a file as they are now.
    payoffs = _plain(read_payoffs(options.pop("payoffs", None)))
    try:
        json.dumps([options, payoffs], allow_nan=False)
    except (TypeError, ValueError):
        raise InputError(
            f"environment '{environment.name}' was made with {shown(options)}, which JSON cannot hold; make it with "
            "numbers, text and lists to record its episodes"
        ) from None
    return Made(environment.name, options, payoffs)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def record_episode(
    player: Player, agents: tuple[Agent, Agent], key: Key, names: tuple[str, str] | None = None
) -> Recording:
    """Let agents in seats 0 and 1 play an episode, and record it with the probabilities from which they acted.

    Args:
        player: plays it; use one for many episodes, so that it compiles once.
        agents: who plays.
        key: of the episode.
        names: what they are called; by default by their own names.

    Raises:
        InputError: an agent does not play its seat.
    """
    check_seats(agents)
    episode, probabilities = player.watch(agents, key)
    called = names or (agents[0].name, agents[1].name)
    seated = (Seated(called[0]), Seated(called[1]))
    return make_recording(player.environment, episode, seated, key, greedy=player.greedy, probabilities=probabilities)


def record(
    run: Run,
    pairing: tuple[str, str],
    path: str | os.PathLike[str] | None = None,
    *,
    run_seed: int | None = None,
    seed: int = 0,
    greedy: bool = False,
) -> Recording:
    """Let two agents of a run play an episode, and record it for the browser.

    The same ``seed`` plays the episode that :func:`rpax.replay` draws.

    Args:
        run: what :func:`rpax.train` or :func:`rpax.load` returned.
        pairing: who plays: the agent in seat 0 and the one in seat 1.
        path: the file to write, ending in ``.rpax.json``; nothing is written where it is ``None``.
        run_seed: agents of this seed of the run; the first by default.
        seed: of the episode: its start and what agents draw.
        greedy: agents take their likeliest action instead of drawing one.

    Raises:
        InputError: something is wrong with what was asked for.

    >>> run = rpax.train("at-rpg", "matrix/figure-2", exact=True, updates=10)
    >>> recording = rpax.record(run, ("victim", "adversary"))
    >>> recording.simulate().returns == recording.returns
    True
    """
    from rpax.runs.session import make_environment

    if path is not None and not os.fspath(path).endswith(SUFFIX):
        raise InputError(f"file '{os.fspath(path)}' does not end in {SUFFIX}; end its name in it")
    check_numbers(1, seed, 1.0, 1.0)
    agents = (run.agent(pairing[0], run_seed), run.agent(pairing[1], run_seed))
    player = Player(make_environment(run.config), greedy=greedy)
    key = jax.random.split(jax.random.key(seed), 1)[0]
    recording = record_episode(player, agents, key)
    if path is not None:
        recording.save(path)
    return recording
