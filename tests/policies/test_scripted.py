"""Scripted partners by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.cli.main import main
from rpax.environments.jaxmarl.hanabi import make_hanabi
from rpax.errors import InputError
from rpax.policies import scripted
from rpax.policies.sources import find_agent


@pytest.fixture(autouse=True)
def _own_table(monkeypatch):
    monkeypatch.setattr(scripted, "PARTNERS", dict(scripted.PARTNERS))


def test_random_is_uniform_over_what_is_legal():
    game = make_hanabi("hanabi/3x3")
    actions = game.spaces[0].num_actions
    agent = find_agent("scripted:random", game)
    seen = jnp.zeros((1, *game.spaces[0].observation_shape))
    np.testing.assert_allclose(agent.probabilities(seen, 0), np.full((1, actions), 1 / actions), rtol=1e-6)
    legal = np.arange(actions) < 4
    chances = agent.probabilities(seen, 1, jnp.asarray(legal)[None])
    np.testing.assert_allclose(chances, np.where(legal, 0.25, 0)[None], rtol=1e-6)
    assert find_agent("scripted:random", rpax.make("matrix/figure-2")).seats == (0, 1)


@pytest.mark.slow
def test_idle_changes_nothing_in_storm_but_the_time():
    game = rpax.make("storm")
    agent = find_agent("scripted:idle", game)
    start = game.reset(jax.random.key(0))
    seen = jnp.stack(game.observe(start))
    actions = agent.act(seen, jax.random.key(1))
    after = game.step(jax.random.key(2), start, actions).state
    for name, before, now in zip(start._fields, start, after, strict=True):
        assert name == "time" or np.array_equal(before, now), name


def test_idle_needs_an_action_for_it():
    with pytest.raises(InputError, match=r"scripted:idle needs an action 'stay', 'hanabi/3x3' has discard 1, .*random"):
        find_agent("scripted:idle", make_hanabi("hanabi/3x3"))


def test_partners_of_your_own_are_found_by_name_and_listed(capsys):
    rpax.register_partner(
        "second", rpax.jax_policy(lambda seen: jnp.ones(len(seen), int)), "extensive", "the second one"
    )
    agent = find_agent("scripted:second", rpax.make("extensive/g2"))
    np.testing.assert_allclose(agent.probabilities(jnp.eye(5)[:1], 0), [[0, 1]], atol=1e-12)
    with pytest.raises(InputError, match=r"plays extensive/… only, not 'storm'; give one of idle, random$"):
        find_agent("scripted:second", rpax.make("storm"))
    with pytest.raises(InputError, match="partner 'second' is already registered; choose another name"):
        rpax.register_partner("second", lambda seen: None)
    with pytest.raises(InputError, match="partner name 'a:b' is no text without a colon"):
        rpax.register_partner("a:b", lambda seen: None)
    assert main(["list"]) == 0
    assert "scripted:second         the second one" in capsys.readouterr().out
