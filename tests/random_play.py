"""Episodes of uniformly random legal play, many at once, with the keys that replays use."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rpax.environments.protocol import Environment
from rpax.evaluation.episodes import Episode
from rpax.recordings.recording import Recording, Seated, make_recording

_PLAYERS = (Seated("random"), Seated("chance"))


def play_randomly(environment: Environment, count: int, seed: int, *, exploring: int = 0) -> list[tuple[Episode, Any]]:
    """``count`` episodes with their keys; the last ``exploring`` of them begin in states of exploring starts."""

    def one_step(state: Any, key: Any) -> tuple[Any, Any]:
        *keys_act, key_step = jax.random.split(key, 3)
        masks = environment.legal_actions(state) or (None, None)
        logits = [
            jnp.zeros(space.num_actions) if mask is None else jnp.where(mask, 0.0, -jnp.inf)
            for space, mask in zip(environment.spaces, masks, strict=True)
        ]
        actions = jnp.stack([jax.random.categorical(key, each) for key, each in zip(keys_act, logits, strict=True)])
        after = environment.step(key_step, state, actions)
        return after.state, (after.state, actions, after.rewards, after.done)

    def play(key: Any, explores: Any) -> Any:
        key_start, key_steps = jax.random.split(key)
        start = environment.reset(key_start)
        if exploring:
            other = environment.exploring_reset(key_start)
            start = jax.tree.map(lambda one, two: jnp.where(explores, two, one), start, other)
        return start, jax.lax.scan(one_step, start, jax.random.split(key_steps, environment.horizon))[1]

    keys = jax.random.split(jax.random.key(seed), count)
    explores = np.arange(count) >= count - exploring
    start, (after, actions, rewards, done) = jax.tree.map(np.asarray, jax.jit(jax.vmap(play))(keys, explores))
    episodes = []
    for number in range(count):
        steps = int(np.argmax(done[number])) + 1 if done[number].any() else environment.horizon
        later = [jax.tree.map(lambda leaf, n=number, t=t: leaf[n, t], after) for t in range(steps)]
        states = (jax.tree.map(lambda leaf, n=number: leaf[n], start), *later)
        episode = Episode(states, actions[number, :steps], rewards[number, :steps].astype(np.float64))
        episodes.append((episode, keys[number]))
    return episodes


def record_all(environment: Environment, episodes: list[tuple[Episode, Any]]) -> list[Recording]:
    """Each of them recorded."""
    return [make_recording(environment, episode, _PLAYERS, key) for episode, key in episodes]
