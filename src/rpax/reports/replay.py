"""Replays: episodes that agents play together, as moving pictures with who sits where, what they do and get."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Shaped, UInt8
from PIL import Image

from rpax.environments.own_files import running
from rpax.environments.protocol import Environment, Key, State
from rpax.errors import InputError, shown
from rpax.folders import no_empty_folders
from rpax.policies import categorical
from rpax.policies.agent import as_arrays
from rpax.policies.external import asking
from rpax.reports.drawing import FAINT, INK, MUTED, SEAT_COLOURS, Canvas, text_width
from rpax.reports.moving_picture import FORMATS, FPS, check_range, check_writable, write_moving_picture
from rpax.runs.agent import Agent
from rpax.runs.run import Run

_MARGIN, _LINE, _SIZE = 14, 24, 14.0
#: The least and the most by which pictures are scaled.
SCALE = (0.25, 4.0)
_WHOLE = {"episodes": (1, 1000), "seed": (0, 2**32 - 1)}
#: How long the last picture of an episode stays, in pictures.
_HOLD = 3


@dataclasses.dataclass(frozen=True)
class Episode:
    """One episode that two agents played.

    Attributes:
        states: before the first step, and after each; the last is not reset.
        actions: of each seat in each step.
        rewards: of each seat in each step, the game's own.
    """

    states: tuple[State, ...]
    actions: Integer[np.ndarray, "steps 2"]
    rewards: Float[np.ndarray, "steps 2"]

    @property
    def length(self) -> int:
        """How many steps it lasted."""
        return len(self.actions)

    @property
    def returns_so_far(self) -> Float[np.ndarray, "states 2"]:
        """The undiscounted return of each seat up to each state."""
        return np.concatenate([np.zeros((1, 2)), np.cumsum(self.rewards, axis=0, dtype=np.float64)])

    @property
    def returns(self) -> tuple[float, float]:
        """The undiscounted return of seat 0 and of seat 1."""
        first, second = self.returns_so_far[-1].tolist()
        return first, second


class Player:
    """Plays episodes; agents with the same networks share one compiled program.

    Args:
        environment: the game.
        greedy: agents take their likeliest action instead of drawing one.
    """

    def __init__(self, environment: Environment, *, greedy: bool) -> None:
        self.environment, self.greedy = environment, greedy
        self._compiled: list[tuple[list[Any], str, Callable[..., Any]]] = []

    def play(self, agents: tuple[Agent, Agent], key: Key) -> Episode:
        """One episode of ``agents`` in seats 0 and 1.

        The key is split in two, for the start and for the steps; that of the steps into as many as the horizon, and
        each of these into three: for the actions of seat 0 and of seat 1, and for the environment.
        """
        return self._play(agents, key, watched=False)[0]

    def watch(
        self, agents: tuple[Agent, Agent], key: Key
    ) -> tuple[Episode, tuple[Float[np.ndarray, "steps actions_0"], Float[np.ndarray, "steps actions_1"]]]:
        """The same, and the probabilities from which each seat's action was taken in each step."""
        episode, (first, second) = self._play(agents, key, watched=True)
        return episode, (first[: episode.length], second[: episode.length])

    def returns(self, agents: tuple[Agent, Agent], keys: Shaped[Array, " episodes"]) -> Float[np.ndarray, "episodes 2"]:
        """What the episodes of these keys return to each seat; they are played side by side, and nothing else is kept.

        Batches are rounded otherwise, so that an action may come out differently than in :meth:`play`, rarely.
        """
        play, parameters = self._program(agents, "returns")
        with asking():
            return np.asarray(play(parameters, keys), np.float64)

    def _play(self, agents: tuple[Agent, Agent], key: Key, *, watched: bool) -> tuple[Episode, Any]:
        play, parameters = self._program(agents, "watch" if watched else "play")
        with asking():
            start, (after, actions, rewards, done, chances) = jax.tree.map(np.asarray, play(parameters, key))
        steps = int(np.argmax(done)) + 1 if done.any() else len(done)
        states = (start, *(jax.tree.map(lambda field, t=t: field[t], after) for t in range(steps)))
        return Episode(states, actions[:steps], rewards[:steps].astype(np.float64)), chances

    def _program(self, agents: tuple[Agent, Agent], kind: str) -> tuple[Callable[..., Any], list[Any]]:
        """The compiled program of a kind for agents with such networks, and these agents' parameters."""
        wanted = [agent.policy.networks[agent.policy.head_of_seat[seat]] for seat, agent in enumerate(agents)]
        known = (program for networks, its, program in self._compiled if networks == wanted and its == kind)
        program = next(known, None)
        if program is None:
            program = jax.jit(self._make_returns(agents) if kind == "returns" else self._make(agents, kind == "watch"))
            self._compiled.append((wanted, kind, program))
        parameters = [as_arrays(agent.parameters[agent.policy.head_of_seat[seat]]) for seat, agent in enumerate(agents)]
        return program, parameters

    def _make_returns(self, agents: tuple[Agent, Agent]) -> Callable[..., Any]:
        play = self._make(agents, watched=False)

        def returns(parameters: list[Any], key: Key) -> Float[Array, "2"]:
            _, (_, _, rewards, done, _) = play(parameters, key)
            over = jnp.cumsum(done) > done
            return jnp.where(over[:, None], 0.0, rewards).sum(axis=0)

        return jax.vmap(returns, in_axes=(None, 0))

    def _make(self, agents: tuple[Agent, Agent], watched: bool) -> Callable[..., Any]:
        environment, policies = self.environment, [agent.policy for agent in agents]
        heads = [policy.head_of_seat[seat] for seat, policy in enumerate(policies)]
        choose = self._choose

        def one_step(parameters: list[Any], carried: tuple[Any, Any, Any], key: Key) -> tuple[Any, Any]:
            state, first, memories = carried
            *keys_act, key_step = jax.random.split(key, 3)
            legal = environment.legal_actions(state) or (None, None)
            actions, remembered, chances = [], [], []
            for seat, seen in enumerate(environment.observe(state)):
                own = {heads[seat]: parameters[seat]}
                stored = seen.astype(environment.spaces[seat].observation_dtype)
                known = (own, heads[seat], stored, first, memories[seat])
                logits, memory = policies[seat].act(*known, legal=legal[seat])
                actions.append(choose(keys_act[seat], logits, legal[seat]))
                remembered.append(memory)
                chances += [categorical.probabilities(logits, legal[seat])] if watched else []
            after = environment.step(key_step, state, jnp.stack(actions))
            following = (after.state, jnp.zeros((), bool), remembered)
            return following, (after.state, jnp.stack(actions), after.rewards, after.done, tuple(chances))

        def play(parameters: list[Any], key: Key) -> tuple[Any, Any]:
            key_start, key_steps = jax.random.split(key)
            start = environment.reset(key_start)
            memories = [jnp.zeros(policy.memory_units) if policy.memory_units else None for policy in policies]
            keys = jax.random.split(key_steps, environment.horizon)
            carried = (start, jnp.ones((), bool), memories)
            return start, jax.lax.scan(lambda c, k: one_step(parameters, c, k), carried, keys)[1]

        return play

    def _choose(self, key: Key, logits: Array, legal: Array | None) -> Array:
        if self.greedy:
            return jnp.argmax(categorical.log_probabilities(logits, legal), axis=-1).astype(jnp.int32)
        return categorical.sample(key, logits, legal)


class Row(NamedTuple):
    """One seat's line on a picture: who sits there, what it did last, what it has got."""

    seat: str
    agent: str
    action: str
    returns: str


class Caption(NamedTuple):
    """What is written on a picture."""

    title: str
    step: str
    rows: tuple[Row, Row]


def captions(environment: Environment, names: tuple[str, str], episode: Episode, title: str) -> list[Caption]:
    """What is written on each picture of an episode, one a state."""
    so_far = episode.returns_so_far
    found = []
    for t in range(len(episode.states)):
        rows = []
        for seat in (0, 1):
            action = environment.spaces[seat].name_of(int(episode.actions[t - 1, seat])) if t else "–"
            returns = f"{so_far[t, seat]:.4g}".replace("-", "−")
            rows.append(Row(f"seat {seat}", names[seat], action, returns))
        found.append(Caption(title, f"step {t} of {episode.length}", (rows[0], rows[1])))
    return found


@dataclasses.dataclass(frozen=True)
class Layout:
    """The places of a caption's columns and the size of all pictures of a replay, in pixels before scaling."""

    columns: tuple[float, float, float, float]
    width: int
    height: int


def make_layout(all_captions: Sequence[Caption], picture: tuple[int, int]) -> Layout:
    """A layout in which every caption and a ``picture`` of (height, width) fit."""
    heads = Row("seat", "agent", "action", "return")
    widths = [
        max(
            text_width(row[column], _SIZE, bold=True)
            for row in {heads, *(row for caption in all_captions for row in caption.rows)}
        )
        for column in range(4)
    ]
    columns = [_MARGIN + sum(widths[:i]) + 22 * i for i in range(5)]
    titles = max(
        text_width(caption.title, _SIZE, bold=True) + text_width(caption.step, _SIZE) + 22 for caption in all_captions
    )
    width = max(columns[4] - 22 + _MARGIN, titles + 2 * _MARGIN, picture[1])
    return Layout((columns[0], columns[1], columns[2], columns[3]), int(np.ceil(width)), caption_height() + picture[0])


def caption_height() -> int:
    """The height of what is written above the picture."""
    return 4 * _LINE + _MARGIN


def draw_frame(
    picture: UInt8[np.ndarray, "height width 3"], caption: Caption, layout: Layout
) -> UInt8[np.ndarray, "layout_height layout_width 3"]:
    """The caption above the picture."""
    canvas = Canvas(layout.width, layout.height)
    y = _MARGIN / 2 + _LINE / 2
    canvas.text((_MARGIN, y), caption.title, _SIZE, bold=True)
    canvas.text((layout.width - _MARGIN, y), caption.step, _SIZE, colour=MUTED, anchor="rm")
    for place, name in zip(layout.columns, ("seat", "agent", "action", "return"), strict=True):
        canvas.text((place, y + _LINE), name, 11, colour=MUTED)
    for seat, row in enumerate(caption.rows):
        line = y + _LINE * (2 + seat)
        for place, text in zip(layout.columns, row, strict=True):
            colour = SEAT_COLOURS[seat] if place < layout.columns[2] else INK
            canvas.text((place, line), text, _SIZE, colour=colour, bold=True)
    canvas.stroke([(_MARGIN, caption_height() - 2), (layout.width - _MARGIN, caption_height() - 2)], FAINT)
    canvas.paste(picture, ((layout.width - picture.shape[1]) // 2, caption_height()))
    return canvas.picture()


@dataclasses.dataclass(frozen=True)
class Replay:
    """A pairing's episodes, ready to be drawn.

    Attributes:
        environment: the game.
        names: who sits in seat 0 and in seat 1.
        title: written on every picture.
        episodes: what they played.
    """

    environment: Environment
    names: tuple[str, str]
    title: str
    episodes: tuple[Episode, ...]

    @classmethod
    def play(cls, player: Player, agents: tuple[Agent, Agent], title: str, *, episodes: int, seed: int) -> "Replay":
        """So many episodes of ``agents`` in seats 0 and 1; ``seed`` decides their starts and what agents draw."""
        keys = jax.random.split(jax.random.key(seed), episodes)
        played = tuple(player.play(agents, key) for key in keys)
        return cls(player.environment, (agents[0].name, agents[1].name), title, played)

    def captions(self) -> list[list[Caption]]:
        """What is written on the pictures of each episode."""
        count = len(self.episodes)
        titles = [self.title + (f", episode {i} of {count}" if count > 1 else "") for i in range(1, count + 1)]
        return [
            captions(self.environment, self.names, episode, title)
            for episode, title in zip(self.episodes, titles, strict=True)
        ]

    def frames(self, scale: float = 1.0) -> "Frames":
        """The pictures of all episodes, drawn when they are asked for.

        Raises:
            InputError: the environment does not draw itself or draws no picture, or the scale is out of range.
        """
        check_range("scale", scale, *SCALE)
        every = [
            (state, caption, t == episode.length)
            for episode, written in zip(self.episodes, self.captions(), strict=True)
            for t, (state, caption) in enumerate(zip(episode.states, written, strict=True))
        ]
        check_draws(self.environment)
        first = picture_of(self.environment, every[0][0])
        layout = make_layout([caption for _, caption, _ in every], (first.shape[0], first.shape[1]))
        return Frames(self.environment, tuple(every), layout, scale)


@dataclasses.dataclass(frozen=True)
class Frames:
    """Pictures to be drawn one by one: the state, what is written above it, and whether it ends an episode."""

    environment: Environment
    every: tuple[tuple[State, Caption, bool], ...]
    layout: Layout
    scale: float

    def __len__(self) -> int:
        return len(self.every)

    @property
    def holds(self) -> list[int]:
        """For how many pictures each one stays: the end of an episode a little longer."""
        return [_HOLD if last else 1 for _, _, last in self.every]

    def draw(self, number: int) -> Image.Image:
        """One of them; every picture of a replay has the same size."""
        state, caption, _ = self.every[number]
        picture = picture_of(self.environment, state)
        room = (self.layout.height - caption_height(), self.layout.width)
        frame = Image.fromarray(draw_frame(_padded(picture, room), caption, self.layout))
        if self.scale == 1:
            return frame
        size = (max(round(frame.width * self.scale), 1), max(round(frame.height * self.scale), 1))
        return frame.resize(size, Image.Resampling.LANCZOS)


def picture_of(environment: Environment, state: State) -> np.ndarray:
    """A state, as its environment draws it.

    Raises:
        InputError: drawing it raises something, or gives no picture.
    """
    what = f"environment '{environment.name}': render"
    with running(what):
        picture = np.asarray(environment.render(state))
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        found = f"{picture.dtype}{list(picture.shape)}"
        raise InputError(f"{what} returns {found}; return a picture of uint8, [height, width, 3]")
    return picture


def _padded(picture: np.ndarray, room: tuple[int, int]) -> np.ndarray:
    """The picture in the middle of a white one of the given size (height, width), shrunk where it is larger."""
    image = Image.fromarray(picture)
    image.thumbnail((room[1], room[0]), Image.Resampling.LANCZOS)
    padded = Image.new("RGB", (room[1], room[0]), "white")
    padded.paste(image, ((room[1] - image.width) // 2, (room[0] - image.height) // 2))
    return np.asarray(padded)


def replay(
    run: Run,
    pairing: tuple[str, str],
    path: str | os.PathLike[str],
    *,
    run_seed: int | None = None,
    episodes: int = 1,
    seed: int = 0,
    greedy: bool = False,
    fps: float = 5.0,
    scale: float = 1.0,
) -> Replay:
    """Let two agents of a run play, and write a moving picture of it, as `rpax replay` does.

    A game of one's own is drawn by its method ``render``; :func:`rpax.register` it first where the run was loaded.

    Args:
        run: what :func:`rpax.train` or :func:`rpax.load` returned.
        pairing: who plays: the agent in seat 0 and the one in seat 1.
        path: the file, ending in ``.gif``, ``.webp`` or ``.mp4``; an existing one is replaced.
        run_seed: agents of this seed of the run; the first by default.
        episodes: how many are played, one after the other.
        seed: of the episodes: their starts and what agents draw.
        greedy: agents take their likeliest action instead of drawing one.
        fps: steps shown in a second.
        scale: size of the pictures, from 0.25 to 4.

    Returns:
        What was played; its ``episodes`` tell their states, actions, rewards and returns.

    Raises:
        InputError: something is wrong with what was asked for, or the game does not draw itself.

    >>> run = rpax.train("at-rpg", "matrix/figure-2", exact=True, updates=10)
    >>> played = rpax.replay(run, ("victim", "adversary"), "attack.webp", episodes=3)
    >>> [episode.length for episode in played.episodes]
    [1, 1, 1]
    """
    from rpax.runs.session import make_environment

    path = pathlib.Path(path)
    if path.suffix.removeprefix(".") not in FORMATS:
        raise InputError(f"file '{path}' ends in '{path.suffix}'; end its name in .{', .'.join(FORMATS)}")
    check_numbers(episodes, seed, fps, scale)
    agents = (run.agent(pairing[0], run_seed), run.agent(pairing[1], run_seed))
    check_seats(agents)
    player = Player(make_environment(run.config), greedy=greedy)
    check_draws(player.environment)
    with no_empty_folders(path.parent):
        check_writable(path.parent, path.suffix.removeprefix("."))
        played = Replay.play(player, agents, title_of(run, run_seed), episodes=episodes, seed=seed)
        write_moving_picture(path, played.frames(scale), fps)
    return played


def title_of(run: Run, run_seed: int | None) -> str:
    """What is written on pictures of a run's agents; the first seed's by default."""
    seed = run.config.seed_list[0] if run_seed is None else run_seed
    return f"{run.objective.name} on {run.config.environment}, seed {seed}"


def check_numbers(episodes: int, seed: int, fps: float, scale: float) -> None:
    """Refuse numbers out of range.

    Raises:
        InputError: one of them is.
    """
    for name, value in (("episodes", episodes), ("seed", seed)):
        least, most = _WHOLE[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InputError(f"{name} {shown(value)} is not allowed; give a whole number from {least} to {most}")
    check_range("fps", fps, *FPS)
    check_range("scale", scale, *SCALE)


def draws_itself(environment: Environment) -> bool:
    """Whether an environment has a method ``render`` of its own."""
    return getattr(environment.render, "__func__", None) is not Environment.render


def check_draws(environment: Environment) -> None:
    """Refuse an environment without a method ``render`` of its own.

    Raises:
        InputError: it has none.
    """
    if not draws_itself(environment):
        raise InputError(f"environment '{environment.name}' does not draw itself; give it a method render(state)")


def check_seats(agents: tuple[Agent, Agent]) -> None:
    """Refuse an agent in a seat that it does not play.

    Raises:
        InputError: one of them sits there.
    """
    for seat, agent in enumerate(agents):
        if seat not in agent.seats:
            raise InputError(
                f"pairing '{agents[0].name}:{agents[1].name}': agent '{agent.name}' plays seat "
                f"{', '.join(map(str, agent.seats))} only; name the agent of seat 0 first, then that of seat 1"
            )
