"""A PyTorch policy and a scripted partner, attacked and in cross-play, beside episodes that a plain loop plays."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.policies.scripted import scripted_function

#: Long enough for a soup: three onions of about 8 steps, 20 of cooking, 8 to the counter.
HORIZON, EPISODES = 70, 64
UP, RIGHT, LEFT, INTERACT = 0, 2, 3, 5
KITCHEN, OPTIONS = "overcooked/cramped_room", {"horizon": HORIZON}
TINY = {
    "environment_options": {"horizon": 6}, "envs": 2, "steps": 3, "hidden_sizes": (4,), "updates": 1, "lookahead": 1,
    "evaluation_episodes": 2, "exploring_starts": 0.0, "sampling": "uniform",
}  # fmt: skip
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="pip install 'rpax[torch]'")


def torch_carrier():
    """A cook in PyTorch for the cramped room: from the left onion pile to the pot and back, a tenth of it at random."""
    import torch

    class Carrier(torch.nn.Module):
        def forward(self, observations):
            own = observations[..., 0]  # the pot is above (1, 2), the pile left of (1, 1)
            holds = (own * observations[..., 23]).sum((1, 2)) > 0
            row, column = (own.flatten(1).argmax(1) // own.shape[2], own.flatten(1).argmax(1) % own.shape[2])
            facing = observations[..., 2:6].sum((1, 2)).argmax(1)
            aim = torch.where(holds, 2, 1)
            there = torch.where(holds, UP, LEFT)
            at_place = torch.where(facing == there, INTERACT, there)
            move = torch.where(column > aim, LEFT, torch.where(column < aim, RIGHT, at_place))
            action = torch.where(row > 1, UP, move)
            return 0.9 * torch.nn.functional.one_hot(action, 6).float() + 0.1 / 6

    return Carrier()


def asked(source):
    """What to call with a batch of observations for probabilities, without the library's agents."""
    if isinstance(source, str):
        return jax.jit(scripted_function("cook", source.partition(":")[2], rpax.make(KITCHEN, **OPTIONS)).function)
    import torch

    return lambda seen: source(torch.from_numpy(np.array(seen)).float()).detach().numpy()


def played_in_a_loop(sources, episodes=EPISODES):
    """The returns of seat 0 in episodes that are played step by step, all of them side by side."""
    game, cooks = rpax.make(KITCHEN, **OPTIONS), [asked(source) for source in sources]
    observe, step = jax.jit(jax.vmap(game.observe)), jax.jit(jax.vmap(game.step))
    states = jax.jit(jax.vmap(game.reset))(jax.random.split(jax.random.key(11), episodes))
    rng, returns, running = np.random.default_rng(3), np.zeros(episodes), np.ones(episodes, bool)
    for t in range(HORIZON):
        seen = observe(states)
        chances = [np.asarray(cook(seen[seat]), float) for seat, cook in enumerate(cooks)]
        actions = [[rng.choice(6, p=row / row.sum()) for row in of_cook] for of_cook in chances]
        keys = jax.random.split(jax.random.key(t), episodes)
        transition = step(keys, states, jnp.array(actions, jnp.int32).T)
        returns += running * np.asarray(transition.rewards)[:, 0]
        running &= ~np.asarray(transition.done)
        states = transition.state
    assert not running.any(), "every episode ended"
    return returns


def agrees_with_the_loop(carrier):
    """Whether the carrier's cell with the plate carrier is what a plain loop plays."""
    table = rpax.cross_play(
        {"carrier": carrier, "plates": "scripted:plate-carrier"},
        environment=rpax.make(KITCHEN, **OPTIONS),
        episodes=EPISODES,
    )
    assert len(table.cells) == 4
    cell, returns = table.cells[0, 1], played_in_a_loop([carrier, "scripted:plate-carrier"])
    error = np.sqrt(cell.std[0] ** 2 / cell.episodes + returns.var(ddof=1) / EPISODES)
    assert returns.mean() > 5 * error, "there are soups to compare"
    assert cell.mean[0] == pytest.approx(returns.mean(), abs=5 * error)


def is_attacked(victim):
    """Whether an attack with its best response goes through."""
    found = rpax.attack(victim, KITCHEN, "ap", **TINY)
    assert found.run.status == "finished"
    assert found.best_response is not None
    assert found.best_response.status == "finished"
    assert np.isfinite(found.returns.under_attack.together.mean)
    assert "best_response" in found.returns.partners


@pytest.mark.slow
def test_a_scripted_partner_plays_in_cross_play_as_in_a_plain_loop():
    agrees_with_the_loop("scripted:onion-carrier")


@pytest.mark.slow
def test_a_scripted_partner_is_attacked(no_plots):
    is_attacked("scripted:onion-carrier")


@needs_torch
def test_a_torch_module_plays_in_cross_play_as_in_a_plain_loop():
    agrees_with_the_loop(torch_carrier())


@needs_torch
def test_a_torch_module_is_attacked(no_plots):
    is_attacked(torch_carrier())
