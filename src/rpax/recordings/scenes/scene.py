"""What is shown of an environment: a static description, and some whole numbers for each state."""

import abc
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int, Integer, Shaped

from rpax.environments.protocol import Environment, State
from rpax.evaluation.episodes import Episode
from rpax.recordings.events import Event, number, printable
from rpax.reports.replay import draws_itself


class Move(NamedTuple):
    """The step that led to a state.

    Attributes:
        before: the state before it.
        actions: of both seats.
        ended: whether the episode ended with it.
    """

    before: State
    actions: Integer[np.ndarray, "2"] | tuple[int, int]
    ended: bool


class Moments(NamedTuple):
    """Some states of an episode and what led to them; the leading axis of everything is the state.

    Attributes:
        states: the states.
        before: the states before; at the start of an episode the same ones.
        actions: of both seats, −1 at the start of an episode.
        ended: whether the episode ended with the state.
    """

    states: State
    before: State
    actions: Integer[np.ndarray, "moments 2"]
    ended: Bool[np.ndarray, " moments"]


class Scene(abc.ABC):
    """How an environment's states are told to a page.

    Attributes:
        kind: which renderer draws them.
    """

    kind: str

    @abc.abstractmethod
    def static(self) -> dict[str, Any]:
        """What does not change during an episode, as plain data without ``kind``."""

    @abc.abstractmethod
    def fields(self, moments: Moments) -> Int[np.ndarray, "moments fields"]:
        """The numbers of each state, none of them negative."""

    def events(self, episode: Episode) -> list[Event]:
        """What happened, in order; steps that pay something unless a scene knows better."""
        return [
            Event(t, None, "payoff", f"{number(first)} and {number(second)}")
            for t, (first, second) in enumerate(episode.rewards.tolist(), start=1)
            if first or second
        ]

    def document(self) -> dict[str, Any]:
        """The static description with the kind of renderer."""
        return {"kind": self.kind, **self.static()}

    def frames(self, episode: Episode, *, ended: bool = True) -> Int[np.ndarray, "states fields"]:
        """The numbers of all states of an episode; ``ended`` is ``False`` for one that was broken off."""
        states = stacked(episode.states)
        before = jax.tree.map(lambda leaf: np.concatenate([leaf[:1], leaf[:-1]]), states)
        actions = np.concatenate([np.full((1, 2), -1), episode.actions])
        last = np.arange(len(actions)) == episode.length
        return self.fields(Moments(states, before, actions, last & (ended and episode.length > 0)))

    def values(self, state: State, move: Move | None = None) -> Int[np.ndarray, " fields"]:
        """The numbers of one state, and of the ``move`` that led to it."""
        states = stacked((state,))
        if move is None:
            return self.fields(Moments(states, states, np.full((1, 2), -1), np.zeros(1, bool)))[0]
        actions = np.asarray(move.actions).reshape(1, 2)
        return self.fields(Moments(states, stacked((move.before,)), actions, np.full(1, move.ended)))[0]


def stacked(states: tuple[State, ...]) -> State:
    """States side by side, as NumPy arrays."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *states)


def at(states: State, index: int) -> State:
    """One of several states."""
    return jax.tree.map(lambda leaf: leaf[index], states)


def columns(*parts: np.ndarray) -> Int[np.ndarray, "moments fields"]:
    """Numbers side by side, each part [moments, …]."""
    return np.concatenate([np.asarray(part).reshape(len(part), -1).astype(np.int64) for part in parts], axis=1)


def bits(flags: Shaped[np.ndarray, "*batch n"]) -> Int[np.ndarray, "*batch"]:
    """Truth values as one number; the first is the lowest bit."""
    flags = np.asarray(flags) > 0
    return (flags * (1 << np.arange(flags.shape[-1]))).sum(axis=-1)


def action_names(environment: Environment) -> list[list[str]]:
    """What the actions of both seats are called."""
    return [[printable(space.name_of(action)) for action in range(space.num_actions)] for space in environment.spaces]


def scene_of(environment: Environment) -> Scene:
    """The scene of an environment: its game's own, pictures where it draws itself, else what the seats do."""
    from rpax.environments.jaxmarl.hanabi import Hanabi
    from rpax.environments.jaxmarl.overcooked import Overcooked, OvercookedV2
    from rpax.environments.storm.game import Storm
    from rpax.environments.tabular_game import TabularGame
    from rpax.recordings.scenes.hanabi import HanabiScene
    from rpax.recordings.scenes.moves import MovesScene
    from rpax.recordings.scenes.overcooked import OvercookedScene, OvercookedV2Scene
    from rpax.recordings.scenes.pictures import PicturesScene
    from rpax.recordings.scenes.storm import StormScene
    from rpax.recordings.scenes.tabular import TableScene

    known: list[tuple[type, Any]] = [
        (Overcooked, OvercookedScene),
        (OvercookedV2, OvercookedV2Scene),
        (Storm, StormScene),
        (Hanabi, HanabiScene),
        (TabularGame, TableScene),
    ]
    for game, scene in known:
        if isinstance(environment, game):
            return scene(environment)
    return PicturesScene(environment) if draws_itself(environment) else MovesScene(environment)
