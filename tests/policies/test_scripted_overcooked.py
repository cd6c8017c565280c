"""Scripted cooks: what they do in places where it can be told by hand, and that together they deliver soups."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.environments.jaxmarl.overcooked import OvercookedState
from rpax.evaluation.episodes import Player
from rpax.policies.sources import find_agent

UP, DOWN, RIGHT, LEFT, STAY, INTERACT = range(6)
#: A move at random is drawn so often, or where only the other cook is in the way.
WANDER, GIVE_WAY = 0.05, 0.4
EMPTY, FULL, DONE = 23, 20, 0


@pytest.fixture(scope="module")
def room():
    """cramped_room: pot above (2, 1), onions beside (1, 1) and (3, 1), plates below (1, 2), delivery below (3, 2)."""
    return rpax.make("overcooked/cramped_room")


def state_of(game: Any, own: tuple, other: tuple, *, facing: int, holds: str = "", pot: int = EMPTY) -> OvercookedState:
    """A state in which seat 0 is at ``own``, (column, line), and seat 1 at ``other``, facing down."""
    things = game._common.OBJECT_TO_INDEX
    position, facings = jnp.array([own, other], jnp.uint8), jnp.array([facing, DOWN], jnp.uint8)
    held = jnp.array([things[holds or "empty"], things["empty"]], jnp.uint8)
    statuses = jnp.full(len(game._pots), pot, jnp.uint8)
    return OvercookedState(position, facings, held, game._kitchen.grid(position, facings, statuses), jnp.int32(0))


def chances(name: str, game: Any, state: OvercookedState) -> np.ndarray:
    return np.asarray(act_of(name, game)(game.observe(state)[0][None])[0])


@functools.cache
def act_of(name: str, game: Any) -> Any:
    """Compiled once for each cook and kitchen."""
    return jax.jit(functools.partial(find_agent(f"scripted:{name}", game).probabilities, seat=0))


def distribution(*actions: int, chance: float = WANDER) -> np.ndarray:
    """Equal shares of ``actions`` but for moves at random."""
    expected = np.array([chance / 4] * 4 + [0.0, 0.0])
    expected[list(actions)] += (1 - chance) / len(actions)
    return expected


FAR = (3, 2)


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        # At the onions: take one if it looks at them, else turn to them.
        ("onion-carrier", {"own": (1, 1), "facing": LEFT}, distribution(INTERACT)),
        ("onion-carrier", {"own": (1, 1), "facing": UP}, distribution(LEFT)),
        # With an onion to the pot, by the only shortest way, and into it.
        ("onion-carrier", {"own": (1, 1), "facing": LEFT, "holds": "onion"}, distribution(RIGHT)),
        ("onion-carrier", {"own": (1, 2), "facing": LEFT, "holds": "onion"}, distribution(UP, RIGHT)),
        ("onion-carrier", {"own": (2, 1), "facing": LEFT, "holds": "onion"}, distribution(UP)),
        ("onion-carrier", {"own": (2, 1), "facing": UP, "holds": "onion"}, distribution(INTERACT)),
        # The other cook stands at the pot, where there is one place only.
        (
            "onion-carrier",
            {"own": (1, 1), "other": (2, 1), "facing": LEFT, "holds": "onion"},
            distribution(RIGHT, chance=GIVE_WAY),
        ),
        # No pot takes an onion: to (2, 2), which is beside no station, or if that is taken anywhere but at the pot.
        ("onion-carrier", {"own": (1, 1), "facing": LEFT, "holds": "onion", "pot": DONE}, distribution(DOWN, RIGHT)),
        ("onion-carrier", {"own": (2, 2), "facing": LEFT, "holds": "onion", "pot": FULL - 1}, distribution(STAY)),
        (
            "onion-carrier",
            {"own": (1, 1), "other": (2, 2), "facing": LEFT, "holds": "onion", "pot": DONE},
            distribution(STAY),
        ),
        # What it should not hold it gets rid of: a plate on the counter above (1, 1), a soup at the delivery.
        ("onion-carrier", {"own": (1, 1), "facing": UP, "holds": "plate"}, distribution(INTERACT)),
        ("onion-carrier", {"own": (3, 1), "other": (1, 1), "facing": UP, "holds": "dish"}, distribution(DOWN)),
        # Plates are fetched first; who has one waits for the soup, takes it up and delivers it.
        ("plate-carrier", {"own": (1, 1), "facing": LEFT}, distribution(DOWN)),
        ("plate-carrier", {"own": (1, 2), "facing": DOWN}, distribution(INTERACT)),
        ("plate-carrier", {"own": (2, 2), "facing": LEFT, "holds": "plate", "pot": FULL - 5}, distribution(STAY)),
        ("plate-carrier", {"own": (2, 2), "facing": LEFT, "holds": "plate", "pot": DONE}, distribution(UP)),
        ("plate-carrier", {"own": (2, 1), "facing": UP, "holds": "plate", "pot": DONE}, distribution(INTERACT)),
        ("plate-carrier", {"own": (2, 1), "other": (1, 1), "facing": UP, "holds": "dish"}, distribution(DOWN, RIGHT)),
        ("plate-carrier", {"own": (3, 2), "other": (1, 1), "facing": DOWN, "holds": "dish"}, distribution(INTERACT)),
    ],
)
def test_what_a_cook_does_next(room, name, state, expected):
    found = chances(name, room, state_of(room, **{"other": FAR, **state}))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
def test_cooks_in_different_rooms_share_the_work_over_counters():
    # Left of column 2 onions and plates, right of it pots and delivery; the counters (2, 1) to (2, 3) touch both rooms.
    game = rpax.make("overcooked/forced_coord")
    onion = game._common.OBJECT_TO_INDEX["onion"]
    left, right = (1, 2), (3, 2)

    def does(name: str, own: tuple, facing: int, laid: tuple = (), **its: Any) -> np.ndarray:
        state = state_of(game, own, right if own == left else left, facing=facing, **its)
        grid = state.grid
        for line in laid:
            grid = grid.at[line, 2, 0].set(onion)
        return chances(name, game, state._replace(grid=grid))

    for name in ("onion-carrier", "plate-carrier"):
        # What the left one holds, it lays on a counter.
        for holds in ("onion", "plate"):
            np.testing.assert_allclose(does(name, left, RIGHT, holds=holds), distribution(INTERACT), atol=1e-6)
            np.testing.assert_allclose(does(name, left, UP, holds=holds), distribution(RIGHT), atol=1e-6)
        # It fetches onions, beside it, while pots take them, and plates, below, as soon as a soup cooks.
        np.testing.assert_allclose(does(name, left, LEFT), distribution(INTERACT), atol=1e-6)
        np.testing.assert_allclose(does(name, left, LEFT, pot=FULL - 1), distribution(DOWN), atol=1e-6)
        # Two pots take six onions, so it goes on while two lie there; the last counter is not for onions.
        np.testing.assert_allclose(does(name, left, LEFT, laid=(1, 2)), distribution(INTERACT), atol=1e-6)
        assert does(name, left, DOWN, laid=(1, 2), holds="onion")[DOWN] < 0.5
        np.testing.assert_allclose(
            does(name, (1, 3), RIGHT, laid=(1, 2), holds="plate"), distribution(INTERACT), atol=1e-6
        )
        # The right one takes what lies there if its pots take it, and brings it there.
        np.testing.assert_allclose(does(name, right, LEFT, laid=(2,)), distribution(INTERACT), atol=1e-6)
        np.testing.assert_allclose(does(name, right, LEFT, holds="onion"), distribution(UP), atol=1e-6)
        assert does(name, right, LEFT, laid=(2,), pot=FULL - 1)[INTERACT] == 0


def returns(game: Any, cooks: tuple[str, str], episodes: int = 4) -> np.ndarray:
    """Of whole episodes."""
    agents = [find_agent(f"scripted:{name}", game) for name in cooks]
    play = Player(game, greedy=False)._make((agents[0], agents[1]), watched=False)
    rewards = jax.jit(jax.vmap(lambda key: play([{}, {}], key)[1][2]))(jax.random.split(jax.random.key(0), episodes))
    return np.asarray(rewards.sum(axis=1)[:, 0])


DRAWN = """
WPWWWW
O    W
W WW W
W A AW
WBWWXW
"""


@pytest.mark.parametrize(
    "layout",
    [
        "cramped_room",
        pytest.param("custom", marks=pytest.mark.slow),
        pytest.param("forced_coord", marks=pytest.mark.slow),
        pytest.param("forced_two_exchange", marks=pytest.mark.slow),
        pytest.param("forced_three_exchange", marks=pytest.mark.slow),
        pytest.param("forced_split_pot", marks=pytest.mark.slow),
        pytest.param("coord_ring", marks=pytest.mark.slow),
        pytest.param("counter_circuit", marks=pytest.mark.slow),
        pytest.param("asymm_advantages", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("cooks", [("onion-carrier", "plate-carrier"), ("plate-carrier", "onion-carrier")])
def test_together_they_deliver_soups(layout, cooks):
    options = {"layout": DRAWN} if layout == "custom" else {}
    game = rpax.make(f"overcooked/{layout}", **options)
    found = returns(game, cooks)
    # A soup pays 20: two in every episode, and five on average on the layouts that everybody knows.
    assert (found >= 40).all()
    assert layout == "custom" or found.mean() >= 100


@pytest.mark.slow
def test_idle_cooks_change_nothing_but_the_time(room):
    agent = find_agent("scripted:idle", room)
    state = state_of(room, (1, 1), FAR, facing=LEFT, holds="onion", pot=EMPTY - 1)
    actions = agent.act(jnp.stack(room.observe(state)), jax.random.key(0))
    after = room.step(jax.random.key(1), state, actions).state
    for name, before, now in zip(state._fields, state, after, strict=True):
        assert name == "steps" or np.array_equal(before, now), name


@pytest.mark.slow
def test_agents_train_with_a_scripted_cook(no_plots):
    run = rpax.train(
        "br", "overcooked/cramped_room", partner="scripted:plate-carrier", updates=2, envs=2, steps=3,
        hidden_sizes=(4,), evaluation_episodes=2, sampling="uniform", environment_options={"horizon": 6},
        exploring_starts=0,
    )  # fmt: skip
    assert run.status == "finished"
    assert run.agent("partner").name == "partner"
