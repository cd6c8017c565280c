"""Every rule of STORM from positions written down by hand; chance is given where it matters."""

import collections
import fractions
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rpax.environments.storm.game import Chance, make_storm
from rpax.environments.storm.grid import StormState
from rpax.errors import InputError

LEFT, RIGHT, FORWARD, INTERACT, STAY = range(5)
STAY_WITHOUT_BEAM = 3
#: Where facing 0, 1, 2, 3 looks; the left of facing d is where d + 1 looks.
AHEAD = ((0, 1), (1, 0), (0, -1), (-1, 0))
CELLS = list(itertools.product(range(5), range(5)))
BLUE_CELLS, RED_CELLS = ((1, 1), (3, 1)), ((1, 3), (3, 3))
#: Each cell with y ≠ 2 that holds no coin, and (2, 0) and (2, 4) twice.
SPAWNS = [(x, y) for x, y in CELLS if y != 2 and (x, y) not in BLUE_CELLS + RED_CELLS] + [(2, 0), (2, 4)]
AFTER_SOFT_RESET = {"position": ((2, 0), (2, 4)), "facing": (1, 3)}
TYPES = StormState(np.int8, np.int8, np.bool_, np.bool_, np.int16, np.bool_, np.int16, np.int16)


@functools.cache
def game(name: str = "storm", **options: Any) -> Any:
    return make_storm(name, **options)


@functools.cache
def compiled(env: Any) -> Any:
    return jax.jit(env.play)


def situation(**given: Any) -> StormState:
    """A state; what is not given: agents in two corners that look away, coins in their fixed places, empty hands."""
    fields = {
        "position": ((0, 4), (4, 0)),
        "facing": (0, 2),
        "blue": [cell in BLUE_CELLS for cell in ((1, 1), (1, 3), (3, 1), (3, 3))],
        "coin": (True,) * 4,
        "inventory": ((0, 0), (0, 0)),
        "beam": (False, False),
        "frozen": 0,
        "time": 0,
    } | given
    return StormState(**{name: jnp.asarray(fields[name], getattr(TYPES, name)) for name in StormState._fields})


def play(env: Any, state: StormState, actions: tuple[int, int], seat_0_wins: bool = True) -> Any:
    chance = Chance(
        jnp.array(seat_0_wins),
        jnp.array(AFTER_SOFT_RESET["position"], jnp.int8),
        jnp.array(AFTER_SOFT_RESET["facing"], jnp.int8),
    )
    return compiled(env)(state, jnp.array(actions, jnp.int32), chance)


def plus(cell: tuple[int, int], step: tuple[int, int], times: int = 1) -> tuple[int, int]:
    return cell[0] + times * step[0], cell[1] + times * step[1]


def beam(cell: tuple[int, int], facing: int) -> set[tuple[int, int]]:
    """The cells ahead, two ahead, front-left and front-right, as far as they exist."""
    front = plus(cell, AHEAD[facing])
    left, right = plus(front, AHEAD[(facing + 1) % 4]), plus(front, AHEAD[(facing - 1) % 4])
    return {front, plus(front, AHEAD[facing]), left, right} & set(CELLS)


def holds(state: StormState, **expected: Any) -> None:
    for name, value in expected.items():
        np.testing.assert_array_equal(np.asarray(getattr(state, name)), value, err_msg=name)


@pytest.mark.parametrize("facing", range(4))
def test_turning(facing):
    state = situation(facing=(facing, facing))
    holds(
        play(game(), state, (LEFT, RIGHT)).state, facing=((facing + 1) % 4, (facing - 1) % 4), position=state.position
    )
    holds(play(game(), state, (STAY, INTERACT)).state, facing=(facing, facing), position=state.position)


@pytest.mark.parametrize("facing", range(4))
def test_moving_forward(facing):
    state = situation(position=((2, 2), (4, 0)), facing=(facing, 0))
    holds(
        play(game(), state, (FORWARD, STAY)).state, position=(plus((2, 2), AHEAD[facing]), (4, 0)), facing=(facing, 0)
    )


@pytest.mark.parametrize(
    ("cell", "facing"), [((2, 4), 0), ((4, 2), 1), ((2, 0), 2), ((0, 2), 3), ((0, 0), 2), ((0, 0), 3)]
)
def test_walls_stop(cell, facing):
    for seat in (0, 1):
        position = ((3, 2), cell) if seat else (cell, (3, 2))
        state = situation(position=position, facing=(facing, facing))
        actions = (STAY, FORWARD) if seat else (FORWARD, STAY)
        holds(play(game(), state, actions).state, position=position)


@pytest.mark.parametrize("seat_0_wins", [True, False])
@pytest.mark.parametrize("still", [LEFT, RIGHT, INTERACT, STAY])
def test_the_one_who_did_not_move_keeps_the_cell(still, seat_0_wins):
    state = situation(position=((2, 1), (2, 2)), facing=(0, 1))
    holds(play(game(), state, (FORWARD, still), seat_0_wins).state, position=((2, 1), (2, 2)))
    state = situation(position=((2, 2), (2, 1)), facing=(1, 0))
    holds(play(game(), state, (still, FORWARD), seat_0_wins).state, position=((2, 2), (2, 1)))


@pytest.mark.parametrize("seat_0_wins", [True, False])
def test_one_who_runs_into_the_wall_keeps_the_cell(seat_0_wins):
    state = situation(position=((2, 3), (2, 4)), facing=(0, 0))
    holds(play(game(), state, (FORWARD, FORWARD), seat_0_wins).state, position=((2, 3), (2, 4)))


def test_chance_decides_if_both_moved():
    state = situation(position=((2, 1), (2, 3)), facing=(0, 2))
    holds(play(game(), state, (FORWARD, FORWARD), True).state, position=((2, 2), (2, 3)))
    holds(play(game(), state, (FORWARD, FORWARD), False).state, position=((2, 1), (2, 2)))


@pytest.mark.parametrize("seat_0_wins", [True, False])
def test_agents_may_swap_cells_and_follow_each_other(seat_0_wins):
    state = situation(position=((2, 1), (2, 2)), facing=(0, 2))
    holds(play(game(), state, (FORWARD, FORWARD), seat_0_wins).state, position=((2, 2), (2, 1)))
    state = situation(position=((2, 1), (2, 2)), facing=(0, 0))
    holds(play(game(), state, (FORWARD, FORWARD), seat_0_wins).state, position=((2, 2), (2, 3)))


def test_collisions_are_decided_by_a_fair_coin():
    state = situation(position=((2, 1), (2, 3)), facing=(0, 2))
    keys = jax.random.split(jax.random.key(0), 4000)
    step = jax.vmap(lambda key: game().step(key, state, jnp.array((FORWARD, FORWARD))).state.position)
    wins = np.asarray(jax.jit(step)(keys))[:, 0, 1] == 2
    # Five standard deviations of 4000 fair coins are 158.
    assert abs(wins.sum() - 2000) < 158


@pytest.mark.parametrize("cell", BLUE_CELLS + RED_CELLS)
@pytest.mark.parametrize("seat", [0, 1])
def test_coins_are_collected_on_entering_by_colour(cell, seat):
    agents = (plus(cell, AHEAD[0], -1), (0, 4))
    state = situation(position=agents if seat == 0 else agents[::-1], facing=(0, 0))
    after = play(game(), state, (FORWARD, STAY) if seat == 0 else (STAY, FORWARD)).state
    found = (0, 1) if cell in BLUE_CELLS else (1, 0)
    lie = [other != cell for other in ((1, 1), (1, 3), (3, 1), (3, 3))]
    holds(after, inventory=(found, (0, 0)) if seat == 0 else ((0, 0), found), coin=lie)
    holds(play(game(), after, (STAY, STAY)).state, inventory=after.inventory, coin=lie)


@pytest.mark.parametrize("seat_0_wins", [True, False])
def test_only_the_winner_of_a_collision_collects(seat_0_wins):
    state = situation(position=((0, 1), (1, 0)), facing=(1, 0))
    after = play(game(), state, (FORWARD, FORWARD), seat_0_wins).state
    holds(after, inventory=((0, 1), (0, 0)) if seat_0_wins else ((0, 0), (0, 1)), coin=(False, True, True, True))


@pytest.mark.parametrize("seat", [0, 1])
def test_beams_reach_four_cells(seat):
    """All places of both agents and all facings: the other one is met in the beam's cells and nowhere else."""
    cases = [(a, f, b) for a in CELLS for f in range(4) for b in CELLS if a != b]
    template = situation(coin=(False,) * 4, inventory=((1, 0), (1, 0)))
    own, facing, other = (np.array(part) for part in zip(*cases, strict=True))
    order = (own, other) if seat == 0 else (other, own)
    facings = np.stack([facing, 0 * facing][:: 1 if seat == 0 else -1], axis=1)
    fire = jnp.array((INTERACT, STAY) if seat == 0 else (STAY, INTERACT))

    def met(position: Any, facing: Any) -> Any:
        chance = Chance(jnp.array(True), position, facing)
        return game().play(template._replace(position=position, facing=facing), fire, chance).state.frozen

    frozen = jax.jit(jax.vmap(met))(jnp.asarray(np.stack(order, 1), jnp.int8), jnp.asarray(facings, jnp.int8))
    expected = [5 * (b in beam(a, f)) for a, f, b in cases]
    np.testing.assert_array_equal(frozen, expected)


FACE_TO_FACE = {"position": ((2, 1), (2, 3)), "facing": (0, 2)}


@pytest.mark.parametrize("inventory", [((0, 0), (1, 0)), ((0, 1), (0, 0)), ((0, 0), (0, 0))])
def test_both_must_hold_a_coin(inventory):
    after = play(game(), situation(**FACE_TO_FACE, inventory=inventory), (INTERACT, INTERACT))
    holds(after.state, frozen=0, beam=(True, True), inventory=inventory)
    np.testing.assert_array_equal(after.rewards, 0)


@pytest.mark.parametrize("actions", [(INTERACT, STAY), (STAY, INTERACT), (INTERACT, INTERACT)])
def test_either_one_interacting_is_enough(actions):
    after = play(game(), situation(**FACE_TO_FACE, inventory=((1, 0), (1, 0))), actions)
    holds(after.state, frozen=5, beam=[action == INTERACT for action in actions])
    np.testing.assert_array_equal(after.rewards, 1)


def test_without_a_beam_nothing_happens():
    after = play(game(), situation(**FACE_TO_FACE, inventory=((1, 0), (1, 0))), (STAY, STAY))
    holds(after.state, frozen=0, beam=(False, False))
    np.testing.assert_array_equal(after.rewards, 0)


PAYOFFS = (((3, 0), (1, 2)), ((2, 0), (1, 3)))


@pytest.mark.parametrize(
    "inventory", [((1, 0), (0, 1)), ((2, 0), (1, 0)), ((1, 1), (1, 1)), ((2, 1), (0, 1)), ((1, 2), (1, 0))]
)
def test_an_interaction_pays_the_mean_over_all_pairs_of_coins(inventory):
    hands = [[0] * red + [1] * blue for red, blue in inventory]
    pairs = list(itertools.product(*hands))
    for payoffs in (PAYOFFS, ((1, 0), (0, 1))):
        matrices = payoffs if payoffs is PAYOFFS else (payoffs, payoffs)
        expected = [float(fractions.Fraction(sum(matrix[a][b] for a, b in pairs), len(pairs))) for matrix in matrices]
        state = situation(**FACE_TO_FACE, inventory=inventory)
        after = play(game(payoffs=payoffs), state, (INTERACT, STAY))
        np.testing.assert_allclose(after.rewards, expected, rtol=1e-6)


def test_payoffs_are_the_identity_by_default():
    for own, other in itertools.product(((1, 0), (0, 1)), repeat=2):
        after = play(game(), situation(**FACE_TO_FACE, inventory=(own, other)), (STAY, INTERACT))
        np.testing.assert_array_equal(after.rewards, float(own == other))


def test_beams_are_fired_after_moves():
    into_the_beam = situation(position=((2, 1), (3, 3)), facing=(0, 3), coin=(True, True, True, False))
    after = play(game(), into_the_beam._replace(inventory=jnp.ones((2, 2), jnp.int16)), (INTERACT, FORWARD))
    holds(after.state, position=((2, 1), (2, 3)), frozen=5)
    out_of_it = situation(position=((2, 1), (2, 3)), facing=(0, 0), inventory=((1, 0), (1, 0)))
    holds(play(game(), out_of_it, (INTERACT, FORWARD)).state, position=((2, 1), (2, 4)), frozen=0)


def test_a_coin_collected_in_the_same_step_counts():
    # Seat 1 enters (1, 3), which holds a red coin and is front-left of nobody but two ahead of seat 0.
    state = situation(
        position=((1, 1), (1, 4)), facing=(0, 2), coin=(False, True, True, True), inventory=((0, 2), (0, 0))
    )
    after = play(game(payoffs=PAYOFFS), state, (INTERACT, FORWARD))
    holds(after.state, inventory=((0, 2), (1, 0)), frozen=5)
    np.testing.assert_array_equal(after.rewards, [1, 1])  # row blue, column red


@pytest.mark.parametrize("freeze", [1, 5])
def test_frozen_agents_stay_and_start_over(freeze):
    env = game(freeze=freeze)
    inventory = ((2, 1), (0, 1))
    met = play(env, situation(**FACE_TO_FACE, inventory=inventory, coin=(False,) * 4), (INTERACT, STAY)).state
    holds(met, frozen=freeze, beam=(True, False))
    state = met
    for left in range(freeze - 1, 0, -1):
        after = play(env, state, (FORWARD, INTERACT))
        state = after.state
        holds(state, **FACE_TO_FACE, frozen=left, inventory=inventory, beam=(False, False), coin=(False,) * 4)
        np.testing.assert_array_equal(after.rewards, 0)
    after = play(env, state, (LEFT, FORWARD))
    np.testing.assert_array_equal(after.rewards, 0)
    empty = ((0, 0), (0, 0))
    holds(after.state, **AFTER_SOFT_RESET, frozen=0, inventory=empty, coin=(True,) * 4, time=freeze + 1)
    holds(after.state, blue=met.blue, beam=(False, False))
    holds(play(env, after.state, (FORWARD, STAY)).state, position=((3, 0), (2, 4)))


@pytest.mark.parametrize("horizon", [3, 20, 100])
def test_the_episode_ends_at_the_horizon_and_its_last_step_pays_nothing(horizon):
    env = game(horizon=horizon)
    assert env.horizon == horizon
    for time in (0, horizon - 2, horizon - 1):
        state = situation(**FACE_TO_FACE, inventory=((1, 0), (1, 0)), time=time)
        after = play(env, state, (INTERACT, STAY))
        assert bool(after.done) == (time == horizon - 1)
        np.testing.assert_array_equal(after.rewards, float(time < horizon - 1))
        holds(after.state, time=time + 1, frozen=5)


def spawned(env: Any, count: int) -> StormState:
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(7), count)))


def soft_reset(env: Any, count: int) -> StormState:
    state = situation(frozen=1)
    step = jax.vmap(lambda key: env.step(key, state, jnp.array((STAY, STAY))).state)
    return jax.tree.map(np.asarray, jax.jit(step)(jax.random.split(jax.random.key(8), count)))


def assert_frequencies(found: list[Any], expected: dict[Any, float]) -> None:
    """Each outcome as often as expected, within five standard deviations, and no other."""
    counts = collections.Counter(found)
    assert set(counts) <= set(expected)
    for outcome, chance in expected.items():
        spread = 5 * np.sqrt(len(found) * chance * (1 - chance))
        assert abs(counts[outcome] - len(found) * chance) < spread, outcome


@pytest.mark.parametrize("start", [spawned, soft_reset])
@pytest.mark.parametrize("facings", [4, 3])
def test_spawns(start, facings):
    assert len(SPAWNS) == 18
    state = start(game(spawn_facings=facings), 9000)
    cells = {cell: times / 18 for cell, times in collections.Counter(SPAWNS).items()}
    assert cells[(2, 0)] == cells[(2, 4)] == 2 * cells[(0, 0)]
    assert_frequencies([tuple(cell) for cell in state.position[:, 0].tolist()], cells)
    np.testing.assert_array_equal(state.position[:, 1], 4 - state.position[:, 0])
    pairs = dict.fromkeys(itertools.product(range(facings), repeat=2), 1 / facings**2)
    assert_frequencies([tuple(pair) for pair in state.facing.tolist()], pairs)
    corner = (state.position[:, 0] == 0).all(axis=1)
    alone = dict.fromkeys(range(facings), 1 / facings)
    assert_frequencies(state.facing[corner, 0].tolist(), alone)  # independent of where


def test_coins_lie_in_their_fixed_places():
    state = spawned(game(), 10)
    for field in ("blue", "coin", "inventory", "frozen", "beam", "time"):
        np.testing.assert_array_equal(getattr(state, field), np.stack([getattr(situation(), field)] * 10))


def test_shuffled_coins_are_two_of_each_colour_and_return_to_their_cells():
    env = game(coins="shuffled")
    laid = [tuple(blue) for blue in spawned(env, 6000).blue.tolist()]
    six = [blue for blue in itertools.product((False, True), repeat=4) if sum(blue) == 2]
    assert_frequencies(laid, dict.fromkeys(six, 1 / 6))
    state = situation(frozen=1, blue=(False, True, True, False), coin=(False,) * 4)
    holds(play(env, state, (STAY, STAY)).state, blue=state.blue, coin=(True,) * 4)


@pytest.mark.parametrize("position", [((0, 0), (4, 4)), ((4, 4), (0, 0))])
def test_sabotage_pays_both_instead_of_the_reward(position):
    sabotage, default = game("storm/sabotage"), game()
    state = situation(position=position)
    np.testing.assert_allclose(play(sabotage, state, (STAY, STAY)).rewards, [-0.1, -0.1], rtol=1e-6)
    np.testing.assert_array_equal(play(default, state, (STAY, STAY)).rewards, 0)
    meeting = situation(position=((0, 0), (0, 1)), facing=(0, 0), inventory=((1, 0), (1, 0)))
    after = play(sabotage, meeting, (INTERACT, STAY))
    np.testing.assert_allclose(after.rewards, [-0.1, -0.1], rtol=1e-6)
    holds(after.state, frozen=5)


def test_sabotage_counts_after_the_move():
    env = game("storm/sabotage")
    entering = situation(position=((0, 1), (4, 4)), facing=(2, 0))
    np.testing.assert_allclose(play(env, entering, (FORWARD, STAY)).rewards, -0.1, rtol=1e-6)
    leaving = situation(position=((0, 0), (4, 4)), facing=(0, 0))
    np.testing.assert_array_equal(play(env, leaving, (FORWARD, STAY)).rewards, 0)


@pytest.mark.parametrize("frozen", [5, 2, 1])
def test_sabotage_goes_on_while_frozen_and_before_a_soft_reset(frozen):
    after = play(game("storm/sabotage"), situation(position=((0, 0), (4, 4)), frozen=frozen), (FORWARD, STAY))
    np.testing.assert_allclose(after.rewards, -0.1, rtol=1e-6)


def test_sabotage_pays_nothing_on_the_last_step():
    state = situation(position=((0, 0), (4, 4)), time=19)
    np.testing.assert_array_equal(play(game("storm/sabotage"), state, (STAY, STAY)).rewards, 0)


def test_without_sabotage_it_pays_what_the_default_does():
    state = situation(**FACE_TO_FACE, inventory=((1, 0), (1, 0)))
    np.testing.assert_array_equal(play(game("storm/sabotage"), state, (INTERACT, STAY)).rewards, 1)


BY_THEMSELVES = pytest.mark.parametrize("name", ["storm/independent", "storm/unobserved"])


@BY_THEMSELVES
def test_agents_by_themselves_pass_through_each_other_and_share_coins(name):
    env = game(name)
    assert [space.num_actions for space in env.spaces] == [4, 4]
    assert env.spaces[0].action_names == ("turn left", "turn right", "forward", "stay")
    state = situation(position=((1, 0), (1, 2)), facing=(0, 2))
    both = play(env, state, (FORWARD, FORWARD)).state
    holds(both, position=((1, 1), (1, 1)), inventory=((0, 1), (0, 1)), coin=(True,) * 4)
    holds(
        play(env, both, (STAY_WITHOUT_BEAM,) * 2).state, inventory=((0, 2), (0, 2)), coin=(True,) * 4, beam=(False,) * 2
    )


@BY_THEMSELVES
@pytest.mark.parametrize("horizon", [3, 20])
def test_agents_by_themselves_are_paid_once(name, horizon):
    env = game(name, horizon=horizon, payoffs=PAYOFFS)
    for time in range(horizon):
        state = situation(inventory=((3, 1), (0, 2)), time=time)
        after = play(env, state, (STAY_WITHOUT_BEAM,) * 2)
        # 3 of 4 times red meets blue, once blue meets blue.
        expected = [(3 * 0 + 2) / 4, (3 * 0 + 3) / 4] if time == horizon - 2 else [0, 0]
        np.testing.assert_allclose(after.rewards, expected, rtol=1e-6)
        assert bool(after.done) == (time == horizon - 1)
    empty = situation(inventory=((3, 1), (0, 0)), time=horizon - 2)
    np.testing.assert_array_equal(play(env, empty, (STAY_WITHOUT_BEAM,) * 2).rewards, 0)


def test_observations_are_small_integers():
    assert game().spaces[0].observation_dtype == jnp.int8
    assert game(horizon=1000).spaces[0].observation_dtype == jnp.int8
    assert game("storm/independent").spaces[0].observation_dtype == jnp.int8
    # 200 coins of one colour do not fit a byte.
    env = game("storm/independent", horizon=1000)
    seen = jax.jit(env.observe)(situation(inventory=((200, 0), (0, 0)), time=300))
    assert seen[0].dtype == env.spaces[0].observation_dtype
    assert seen[0][250] == 200


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "storm/sabotag"}, r"'storm/sabotag' is no variant of STORM; give one of storm, storm/sabotage"),
        ({"horizon": 2}, "horizon 2 is not allowed; give a whole number from 3 to 10000"),
        ({"horizon": 20.0}, r"horizon 20\.0 is not allowed"),
        ({"horizon": True}, "horizon True is not allowed"),
        ({"freeze": 0}, "freeze 0 is not allowed; give a whole number from 1 to 10000"),
        ({"spawn_facings": 5}, "spawn_facings 5 is not allowed; give a whole number from 1 to 4"),
        ({"coins": "random"}, "coins 'random' is not allowed; give fixed or shuffled"),
        ({"payoffs": np.eye(3)}, "payoffs are 3×3; STORM has two colours, so give 2×2"),
        ({"payoffs": [[1, 0]]}, "payoffs are 1×2"),
        ({"payoffs": [[1, 0], [0, np.nan]]}, "payoffs contain nan"),
        ({"payoffs": "[[1, 0], [0"}, "not a JSON list of lists"),
    ],
)
def test_options_out_of_range(options, says):
    with pytest.raises(InputError, match=says):
        make_storm(**{"name": "storm", **options})
