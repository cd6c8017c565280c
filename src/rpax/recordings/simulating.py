"""Playing a recording again: the environment's start and steps, from the recorded key and actions."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rpax.environments.own_files import SEPARATOR
from rpax.environments.protocol import Environment, Key
from rpax.environments.registry import make
from rpax.errors import InputError, shown
from rpax.evaluation.episodes import Episode
from rpax.recordings.recording import Recording
from rpax.recordings.scenes.scene import scene_of

#: How the names of files end that environments would read.
_FILES = (".txt", ".json", ".npy", ".csv")


def environment_of(recording: Recording) -> Environment:
    """The environment as the recording says that it was made.

    What a recording says is data: no file or module is imported for it, and no file read.

    Raises:
        InputError: nothing is registered under its name, or it would be made from code or files.
    """
    made = recording.environment
    options = dict(made.options) | ({} if made.payoffs is None else {"payoffs": made.payoffs})
    if SEPARATOR in made.name:
        raise InputError(
            f"recording: environment {shown(made.name)} is code, which is not run for a recording; make it yourself "
            "and give it to simulate(environment)"
        )
    for option, value in options.items():
        if isinstance(value, str) and "\n" not in value and pathlib.Path(value.strip()).suffix.lower() in _FILES:
            raise InputError(
                f"recording: option {shown(option)} names the file {shown(value)}, which is not read for a recording; "
                "make the environment yourself and give it to simulate(environment)"
            )
    return make(made.name, **options)


class Simulator:
    """Plays recordings of one environment again; all of them share one compiled program.

    Args:
        environment: where they were played.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._play = jax.jit(self._make)

    def simulate(self, recording: Recording) -> Episode:
        """The episode that the recorded key and actions lead to.

        Raises:
            InputError: the recording does not fit the environment: other actions, more steps than an episode has, or
                steps after its end.
        """
        self._check(recording)
        environment, length = self.environment, recording.length
        actions = np.zeros((environment.horizon, 2), np.int32)
        actions[:length] = recording.actions
        key = jax.random.wrap_key_data(jnp.array(recording.key, jnp.uint32))
        start, (after, rewards, done, legal) = jax.tree.map(np.asarray, self._play(key, actions))
        if done[: max(length - 1, 0)].any():
            raise InputError(
                f"recording: goes on after the end of the episode in step {int(np.argmax(done)) + 1}; it is damaged"
            )
        if not legal[:length].all():
            t = int(np.argmin(legal[:length].all(axis=1))) + 1
            raise InputError(f"recording: an action of step {t} is not legal in {environment.name}; it is damaged")
        states = (start, *(jax.tree.map(lambda field, t=t: field[t], after) for t in range(length)))
        return Episode(states, recording.actions, rewards[:length].astype(np.float64))

    def verify(self, recording: Recording) -> Episode:
        """The same, if its rewards and all that is shown of it are what the recording says.

        Raises:
            InputError: they are not.
        """
        episode = self.simulate(recording)
        if not np.allclose(episode.rewards, recording.rewards, rtol=1e-5, atol=1e-6):
            raise InputError("recording: its rewards are not those of its actions; it is damaged or of another version")
        scene = scene_of(self.environment)
        ended = any(event.kind == "end" for event in recording.events)
        frames = scene.frames(episode, ended=ended)
        if not np.array_equal(frames, recording.frames) or scene.document() != recording.scene:
            raise InputError(
                "recording: it does not show what its actions lead to; it is damaged or of another version"
            )
        return episode

    def _check(self, recording: Recording) -> None:
        name, horizon = self.environment.name, self.environment.horizon
        if recording.length > horizon:
            raise InputError(f"recording: has {recording.length} steps, {name} at most {horizon}; is it of this game?")
        for seat, space in enumerate(self.environment.spaces):
            if recording.length and recording.actions[:, seat].max() >= space.num_actions:
                raise InputError(
                    f"recording: seat {seat} takes action {recording.actions[:, seat].max()}, {name} has "
                    f"{space.num_actions}; is it of this game?"
                )

    def _make(self, key: Key, actions: Any) -> Any:
        environment = self.environment

        def one_step(state: Any, given: tuple[Any, Any]) -> tuple[Any, Any]:
            key_step, acts = given
            masks = environment.legal_actions(state)
            legal = (
                jnp.ones(2, bool)
                if masks is None
                else jnp.stack([mask[a] for mask, a in zip(masks, acts, strict=True)])
            )
            after = environment.step(jax.random.split(key_step, 3)[2], state, acts)
            return after.state, (after.state, after.rewards, after.done, legal)

        key_start, key_steps = jax.random.split(key)
        start = environment.reset(key_start)
        keys = jax.random.split(key_steps, environment.horizon)
        return start, jax.lax.scan(one_step, start, (keys, actions))[1]
