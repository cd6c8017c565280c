"""Rollouts: recorded play is replayed step by step in plain Python, and who played where is counted by hand."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rpax.environments.tabular_game import END, TabularGame
from rpax.objectives import ObjectiveEdge
from rpax.objectives.plan import Pairing, Term
from rpax.policies.agent import make_agent_policy
from rpax.policies.networks import Tabular
from rpax.training.parts import Part, views
from rpax.training.problem import key_data
from rpax.training.rollout import Chunk, SlotGroup, draw_chance, group_slots, roll_out, start_streams
from rpax.training.slots import actor_slots, other_slots, take_slots

PAIRINGS = (Pairing("a", "b"), Pairing("b", "a"), Pairing("a", "a"), Pairing("c", "b"))
AGENTS = ("a", "b", "c")


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


class Walk(TabularGame):
    """Three states, two actions a seat, own payoffs for each seat; episodes of one to three steps."""

    def __init__(self, *, shared: bool) -> None:
        next_state = np.array([[[1, 2], [END, 1]], [[2, END], [2, 2]], [[END, END], [END, END]]])
        super().__init__("walk", next_state, np.random.default_rng(0).normal(size=(3, 2, 2, 2)))
        self.one_policy_for_both_seats = shared


def softmax(logits) -> np.ndarray:
    weights = np.exp(np.asarray(logits))
    return weights / weights.sum(axis=-1, keepdims=True)


def make_agents(game: Walk):
    """Policies of a, b and c, and parameters that differ between agents, heads, states and actions."""
    seats = {name: [seat for seat in (0, 1) if any(p[seat] == name for p in PAIRINGS)] for name in AGENTS}
    policies = {
        name: make_agent_policy(
            game.spaces, tuple(seats[name]), shared=game.one_policy_for_both_seats, make_network=Tabular
        )
        for name in AGENTS
    }
    rng = np.random.default_rng(1)
    parameters = {
        name: {head: {"params": {"table": jnp.asarray(1.5 * rng.normal(size=(3, 2)))}} for head in policy.networks}
        for name, policy in policies.items()
    }
    return policies, parameters


ENVS, STEPS = 1000, 7


@functools.cache
def play_two_chunks(*, shared: bool):
    """Two chunks, the second going on where the first stopped, and the streams after each."""
    game = Walk(shared=shared)
    policies, parameters = make_agents(game)

    @jax.jit
    def play(key, streams):
        return roll_out(game, policies, parameters, PAIRINGS, key, streams, STEPS)

    streams, recorded = start_streams(game, key_data(2), len(PAIRINGS), ENVS), []
    for number in range(2):
        chunk, streams = play(key_data(3 + number), streams)
        recorded.append(jax.tree.map(np.asarray, (chunk, streams)))
    return recorded


@pytest.mark.parametrize("shared", [True, False])
def test_chunks_are_what_the_recorded_actions_lead_to(shared):
    """Observations, rewards, ends, starts and returns of both chunks; an episode may lie across their border."""
    game, across_the_border = Walk(shared=shared), 0
    for pairing, env in np.ndindex(len(PAIRINGS), 6):
        state, first, total = 0, True, np.zeros(2)
        for chunk, streams in play_two_chunks(shared=shared):
            assert chunk.legal is None
            for t in range(STEPS):
                for seen in chunk.observations:
                    assert_array_equal(seen[t, pairing, env], np.eye(3)[state])
                assert chunk.first[t, pairing, env] == first
                a, b = chunk.actions[t, pairing, env]
                payoffs, following = game.payoffs[state, a, b], game.next_state[state, a, b]
                first = following == END
                total = total + payoffs
                assert_array_equal(chunk.rewards[t, pairing, env], payoffs)
                assert_array_equal(chunk.shaped[t, pairing, env], [0, 0])
                assert chunk.done[t, pairing, env] == first
                assert_allclose(chunk.episode_returns[t, pairing, env], total if first else [0, 0], rtol=1e-14)
                state, total = (0, np.zeros(2)) if first else (following, total)
            for seen in chunk.last:
                assert_array_equal(seen[pairing, env], np.eye(3)[state])
            assert int(streams.state.number[pairing, env]) == state
            assert bool(streams.first[pairing, env]) == first
            assert_allclose(streams.episode_return[pairing, env], total, rtol=1e-14)
            across_the_border += not first
    assert across_the_border > 0


@pytest.mark.parametrize("shared", [True, False])
def test_every_agent_plays_its_own_policy_wherever_it_sits(shared):
    """The z-score of how often action 1 was drawn in each state, in every pairing and seat.

    Given its state an action is drawn with its table's probability, so count − Σ π is a sum of martingale differences
    with variance Σ π (1 − π): 24 scores beyond 5 happen about once in 70,000 keys. The tables of other agents and of
    other heads must give far larger scores, or the test would not notice a mistake.
    """
    _, parameters = make_agents(Walk(shared=shared))
    one = {(n, head): softmax(its["params"]["table"])[:, 1] for n in AGENTS for head, its in parameters[n].items()}
    (chunk, _), _ = play_two_chunks(shared=shared)
    for pairing, seat in itertools.product(range(len(PAIRINGS)), (0, 1)):
        met = chunk.observations[seat][:, pairing].sum(axis=(0, 1))
        drawn = np.einsum("te,tes->s", chunk.actions[:, pairing, :, seat], chunk.observations[seat][:, pairing])
        scores = {who: np.abs(drawn - met * p).max() / np.sqrt(met * p * (1 - p)).max() for who, p in one.items()}
        own = (PAIRINGS[pairing][seat], "shared" if shared else f"seat_{seat}")
        p = one[own]
        assert np.all(np.abs(drawn - met * p) < 5 * np.sqrt(met * p * (1 - p)))
        assert min(score for who, score in scores.items() if who != own) > 8


@pytest.mark.parametrize("shared", [True, False])
def test_seats_pairings_environments_and_steps_draw_independently(shared):
    """Actions, standardised by their own probabilities, multiply to 0 on average: within 5/√n for n products."""
    _, parameters = make_agents(Walk(shared=shared))
    (chunk, _), _ = play_two_chunks(shared=shared)
    slots = list(itertools.product((0, 1), range(len(PAIRINGS))))
    drawn = []
    for seat, pairing in slots:
        head = parameters[PAIRINGS[pairing][seat]]["shared" if shared else f"seat_{seat}"]
        one = chunk.observations[seat][:, pairing] @ softmax(head["params"]["table"])[:, 1]
        drawn.append((chunk.actions[:, pairing, :, seat] - one) / np.sqrt(one * (1 - one)))
    drawn = np.stack(drawn, axis=-1)

    for one, other in itertools.combinations(range(len(slots)), 2):
        product = drawn[..., one] * drawn[..., other]
        assert abs(product.mean()) < 5 / np.sqrt(product.size), (slots[one], slots[other])
    for product in (drawn[:, 1:] * drawn[:, :-1], drawn[1:] * drawn[:-1]):  # neighbouring environments; steps
        assert np.all(np.abs(product.mean(axis=(0, 1))) < 5 / np.sqrt(product[..., 0].size))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_chance_is_uniform_and_no_number_is_drawn_twice(precision):
    with jax.enable_x64(precision == "float64"):
        chance = draw_chance(key_data(5), (7, 3, 50))
    assert chance.uniform.shape == chance.keys.shape == (7, 3, 50, 2)
    assert (chance.uniform.dtype, chance.keys.dtype) == (precision, "uint32")
    uniform = np.asarray(chance.uniform, np.float64)
    numbers = np.ravel(uniform * 2**23)
    assert_array_equal(numbers, np.round(numbers))
    assert numbers.min() >= 0
    assert numbers.max() < 2**23
    assert abs(uniform.mean() - 1 / 2) < 5 * np.sqrt(1 / 12 / uniform.size)
    # Among 4,200 words of 23 bits, about one pair is equal by chance.
    words = np.concatenate([numbers.astype(np.uint32), np.ravel(chance.keys) >> 9])
    assert len(np.unique(words)) > len(words) - 10


def test_slots_are_grouped_by_agent_and_head():
    separate, _ = make_agents(Walk(shared=False))
    assert group_slots(PAIRINGS, separate) == (
        SlotGroup("a", "seat_0", ((0, 0), (0, 2))),
        SlotGroup("b", "seat_0", ((0, 1),)),
        SlotGroup("c", "seat_0", ((0, 3),)),
        SlotGroup("b", "seat_1", ((1, 0), (1, 3))),
        SlotGroup("a", "seat_1", ((1, 1), (1, 2))),
    )
    shared, _ = make_agents(Walk(shared=True))
    assert group_slots(PAIRINGS, shared) == (
        SlotGroup("a", "shared", ((0, 0), (0, 2), (1, 1), (1, 2))),
        SlotGroup("b", "shared", ((0, 1), (1, 0), (1, 3))),
        SlotGroup("c", "shared", ((0, 3),)),
    )


#: Any order of seats and pairings, also one slot twice.
SLOTS = ((0, 3), (0, 0), (1, 2), (0, 2), (1, 0), (1, 0))


@pytest.mark.parametrize("axis", [0, 1])
def test_taken_slots_come_in_the_order_asked_for(axis):
    of_seats = [np.moveaxis(np.arange(40).reshape(4, 5, 2) + 100 * seat, 0, axis) for seat in (0, 1)]
    found = np.asarray(take_slots(tuple(map(jnp.asarray, of_seats)), SLOTS, axis))
    for position, (seat, pairing) in enumerate(SLOTS):
        assert_array_equal(np.take(found, position, axis), np.take(of_seats[seat], pairing, axis))


def random_chunk(*, masked: bool) -> Chunk:
    """Every entry of the fields that views read is different, so nothing can be mixed up unnoticed."""
    shape = (3, len(PAIRINGS), 2)  # time, pairings, envs
    count = np.arange(np.prod(shape)).reshape(shape)
    seen = tuple(jnp.asarray(np.stack([count, -count], axis=-1) + 1000 * seat) for seat in (0, 1))
    legal = tuple(jnp.asarray(np.stack([count % (seat + 2) == 0, count % 5 != 0], axis=-1)) for seat in (0, 1))
    zeros = jnp.zeros((*shape, 2))
    never = jnp.zeros(shape, bool)
    actions = jnp.asarray(np.stack([count, count + 500], axis=-1))
    return Chunk(seen, None, legal if masked else None, actions, zeros, zeros, never, never, zeros)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_views_hold_what_was_seen_and_done_in_their_slots(shared, masked):
    """One view for each run of slots of one head; laid side by side they are the slots in order."""
    policies, _ = make_agents(Walk(shared=shared))
    chunk = random_chunk(masked=masked)
    found = views(chunk, Part.of(policies["a"], SLOTS))
    if shared:
        assert [(view.head, view.action.shape[1]) for view in found] == [("shared", 6)]
    else:
        runs = [("seat_0", 2), ("seat_1", 1), ("seat_0", 1), ("seat_1", 2)]
        assert [(view.head, view.action.shape[1]) for view in found] == runs
    observation, action = (np.concatenate([getattr(v, f) for v in found], axis=1) for f in ("observation", "action"))
    for position, (seat, pairing) in enumerate(SLOTS):
        assert_array_equal(observation[:, position], chunk.observations[seat][:, pairing])
        assert_array_equal(action[:, position], chunk.actions[:, pairing, :, seat])
        if masked:
            legal = np.concatenate([view.legal for view in found], axis=1)
            assert_array_equal(legal[:, position], chunk.legal[seat][:, pairing])
        else:
            assert all(view.legal is None for view in found)


def test_actor_and_other_sit_opposite_each_other():
    """A base agent's own edge in seat 1, and a manipulator's edge whose beneficiary sits in seat 0."""
    own = ObjectiveEdge("a", "a", "b", 1.0, (1,))
    shaping = ObjectiveEdge("c", "b", "a", -1.0, (0,), shapes="a")
    terms = (
        Term(own, pairing=1, actor_seat=own.actor_seat(1), beneficiary_seat=1),
        Term(shaping, pairing=0, actor_seat=shaping.actor_seat(0), beneficiary_seat=0),
    )
    assert actor_slots(terms) == ((1, 1), (1, 0))
    assert other_slots(terms) == ((0, 1), (0, 0))
    assert [term.other for term in terms] == ["b", "b"]
