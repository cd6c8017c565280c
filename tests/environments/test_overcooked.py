"""Overcooked against JaxMARL's own loop, hand-written positions, and our layouts played to a delivery."""

import itertools
import warnings
from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rpax
from rpax.environments.jaxmarl.layouts import CLASSIC, OWN
from rpax.environments.jaxmarl.load import load
from rpax.environments.jaxmarl.overcooked import Overcooked, OvercookedState

UP, DOWN, RIGHT, LEFT, STAY, INTERACT = range(6)
#: JaxMARL's numbers of what an agent can hold, and of a pot.
NOTHING, WALL, ONION, PLATE, SOUP = 1, 2, 3, 5, 9
POT, AGENT = 8, 10
#: JaxMARL's number of the colour that each agent has in its map.
SEAT_COLOUR = (0, 2)
#: A pot's status: 23 is empty, each of three onions takes one off, then it counts down while it cooks.
EMPTY_POT, ONE_ONION, READY = 23, 22, 0


def jaxmarls_own(layout: str, steps: int):
    """The object that JaxMARL's users make, of one of its layouts or of one of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = load("overcooked.layouts", "test")
        grid = module.layout_grid_to_dict(OWN[layout]) if layout in OWN else module.overcooked_layouts[layout]
        return load("overcooked.overcooked", "test").Overcooked(layout=grid, max_steps=steps)


def decoded(game: Overcooked, states):
    """Observations made from what is stored of them."""
    stored = jax.vmap(game.observe_encoded)(states)
    return tuple(
        encoding.decode(numbers).reshape(len(numbers), *space.observation_shape)
        for encoding, numbers, space in zip(game.encodings, stored, game.spaces, strict=True)
    )


def play_both(ours: Overcooked, theirs, key, envs: int, steps: int):
    """The same keys and random actions through our step and JaxMARL's auto-resetting one, in one compiled scan."""

    def same(tree, other):
        """Whether all arrays are equal, an entry an environment."""
        pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
        return jnp.stack([(a == b).reshape(envs, -1).all(axis=1) for a, b in pairs]).all(axis=0)

    def one_step(carry, key):
        state, own = carry
        key_actions, key_step = jax.random.split(key)
        # Interacting more often than one time in six, or nearly nothing would happen.
        actions = jnp.minimum(jax.random.randint(key_actions, (envs, 2), 0, 9), INTERACT)
        keys = jax.random.split(key_step, envs)
        transition, following = jax.vmap(ours.step_and_reset)(keys, state, actions)
        by_agent = {"agent_0": actions[:, 0], "agent_1": actions[:, 1]}
        seen, own, rewards, dones, info = jax.vmap(theirs.step)(keys, own, by_agent)
        equal = {
            "observations": same(jax.vmap(ours.observe)(following), (seen["agent_0"], seen["agent_1"])),
            "what is stored of observations": same(decoded(ours, following), jax.vmap(ours.observe)(following)),
            "state": same(jax.vmap(ours.unpack)(following), own),
            "reward": same(transition.rewards, jnp.stack([rewards["agent_0"], rewards["agent_1"]], axis=1)),
            "shaped reward": same(
                transition.shaped,
                jnp.stack([info["shaped_reward"]["agent_0"], info["shaped_reward"]["agent_1"]], axis=1),
            ),
            "done": transition.done == dones["__all__"],
        }
        return (following, own), (equal, transition)

    key_reset, key_play = jax.random.split(key)
    # Both begin in our states, with full hands and pots in some, or random play would deliver nothing. JaxMARL's own
    # reset comes when the episodes end.
    state = jax.vmap(ours.exploring_reset)(jax.random.split(key_reset, envs))
    carry = state, jax.vmap(ours.unpack)(state)
    return jax.lax.scan(one_step, carry, jax.random.split(key_play, steps))[1]


@pytest.mark.parametrize(
    "layout",
    [name if name == "cramped_room" else pytest.param(name, marks=pytest.mark.slow) for name in (*CLASSIC, *OWN)],
)
def test_every_step_is_jaxmarls(layout):
    """10,240 random steps, and the reset after each episode."""
    envs, steps, horizon = 64, 160, 150
    ours = rpax.make(f"overcooked/{layout}", horizon=horizon)
    assert isinstance(ours, Overcooked)
    theirs = jaxmarls_own(layout, horizon)
    equal, transition = jax.jit(lambda key: play_both(ours, theirs, key, envs, steps))(jax.random.key(3))
    for what, each in equal.items():
        assert each.shape == (steps, envs)
        assert bool(each.all()), what
    assert_array_equal(transition.done, np.tile((np.arange(steps) == horizon - 1)[:, None], (1, envs)))
    assert set(np.unique(transition.rewards)) == {0, 20}
    assert set(np.unique(transition.shaped)) == {0, 3, 5}
    assert set(np.unique(transition.state.held)) == {NOTHING, ONION, PLATE, SOUP}


@pytest.mark.parametrize("layout", ["coord_ring", "forced_coord"])
def test_an_exploring_start_is_anything_that_agents_could_come_to(layout):
    game = rpax.make(f"overcooked/{layout}")
    assert isinstance(game, Overcooked)
    states = jax.jit(jax.vmap(game.exploring_reset))(jax.random.split(jax.random.key(1), 4000))
    usual = jax.tree.map(np.asarray, game.reset(jax.random.key(0)))
    floor = (usual.grid[..., 0] == NOTHING) | (usual.grid[..., 0] == AGENT)
    if layout == "coord_ring":  # eight cells around the counter in the middle
        expected = {(*one, *two) for one, two in itertools.permutations(cells(floor), 2)}
    else:  # a room each
        expected = {(*one, *two) for one in cells(floor) for two in cells(floor) if one[0] < 2 < two[0]} | {
            (*one, *two) for one in cells(floor) for two in cells(floor) if two[0] < 2 < one[0]
        }
        expected = {pair for pair in expected if (pair[0] < 2) == (usual.position[0, 0] < 2)}
    position = np.asarray(states.position)
    assert set(map(tuple, position.reshape(-1, 4).tolist())) == expected
    for values, allowed in ((states.held, (NOTHING, ONION, PLATE, SOUP)), (states.facing, range(4))):
        counts = [np.sum(np.asarray(values) == value, axis=0) for value in allowed]
        assert_allclose(counts, 1000, atol=5 * np.sqrt(1000 * 3 / 4))
    pots = np.asarray(states.grid)[..., 2][:, usual.grid[..., 0] == POT]
    assert set(np.unique(pots)) == set(range(EMPTY_POT + 1))
    # In the grid, agents are where they are and look where they look; all else is the layout.
    for state in (jax.tree.map(lambda leaf, at=at: np.asarray(leaf[at]), states) for at in range(50)):
        is_agent = state.grid[..., 0] == AGENT
        assert set(cells(is_agent)) == set(map(tuple, state.position.tolist()))
        for seat, (column, line) in enumerate(state.position):
            assert state.grid[line, column].tolist() == [AGENT, SEAT_COLOUR[seat], state.facing[seat]]
        assert_array_equal(state.grid[~floor][:, :2], usual.grid[~floor][:, :2])
        assert_array_equal(state.grid[floor & ~is_agent], np.broadcast_to([NOTHING, 0, 0], (floor.sum() - 2, 3)))
        assert state.steps == 0


@pytest.mark.parametrize("layout", [*OWN, "drawn"])
def test_what_is_stored_shows_all_that_is_seen_in_layouts_of_our_own(layout):
    options = {"layout": CRAMPED} if layout == "drawn" else {}
    game = rpax.make(f"overcooked/{'custom' if options else layout}", **options)
    assert isinstance(game, Overcooked)
    states = jax.jit(jax.vmap(game.exploring_reset))(jax.random.split(jax.random.key(1), 500))
    # Things on counters, too.
    things = jax.random.choice(
        jax.random.key(2), jnp.array([WALL, WALL, ONION, PLATE, SOUP], jnp.uint8), states.grid.shape[:-1]
    )
    grid = states.grid.at[..., 0].set(jnp.where(states.grid[..., 0] == WALL, things, states.grid[..., 0]))
    states = states._replace(grid=grid)
    for stored, seen in zip(decoded(game, states), jax.vmap(game.observe)(states), strict=True):
        assert_array_equal(stored, seen)


def test_exploring_starts_reach_every_cell_of_a_large_room():
    size = 20
    rows = ["W" * size, *["W" + " " * (size - 2) + "W"] * (size - 2), "W" * size]
    rows[0], rows[1] = "WPOBX" + rows[0][5:], "WA A" + rows[1][4:]
    game = rpax.make("overcooked/custom", layout="\n".join(rows))
    assert isinstance(game, Overcooked)
    states = jax.jit(jax.vmap(game.exploring_reset))(jax.random.split(jax.random.key(1), 8000))
    position = np.asarray(states.position, int)
    floor = {(column, line) for column in range(1, size - 1) for line in range(1, size - 1)}
    for seat in (0, 1):
        assert set(map(tuple, position[:, seat].tolist())) == floor
    assert (position[:, 0] != position[:, 1]).any(axis=1).all()


def cells(where):
    """(column, line) of every cell that is true."""
    return [(int(column), int(line)) for line, column in np.argwhere(where)]


#: cramped_room as its figure shows it.
CRAMPED = """
WWPWW
OA AO
W   W
WBWXW
"""


def test_a_drawn_layout_is_the_one_that_jaxmarl_lists():
    drawn = rpax.make("overcooked/custom", layout=CRAMPED)
    listed = rpax.make("overcooked/cramped_room")
    assert isinstance(drawn, Overcooked)
    assert isinstance(listed, Overcooked)
    assert set(drawn.game.layout) == set(listed.game.layout)
    for key, cells in drawn.game.layout.items():
        assert_array_equal(np.sort(np.ravel(cells)), np.sort(np.ravel(listed.game.layout[key])), err_msg=key)
    assert drawn.made_with == {"layout": CRAMPED.strip("\n")}
    assert drawn.name == "overcooked/custom"


def test_spaces_and_options():
    game = rpax.make("overcooked/cramped_room")
    assert game.horizon == 400
    assert game.one_policy_for_both_seats
    for space in game.spaces:
        assert (space.observation_shape, space.num_actions) == ((4, 5, 26), 6)
        assert space.observation_dtype == jnp.uint8
        assert (space.name_of(UP), space.name_of(INTERACT)) == ("up", "interact")
    assert rpax.make("overcooked/coord_ring", horizon=7).horizon == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shaping": "papr"}, r"'overcooked/cramped_room': shaping 'papr' is unknown; did you mean 'paper'\?"),
        ({"shaping": None}, "shaping None is unknown"),
        ({"horizon": 0}, "horizon 0 is no number of steps; give 1 or more"),
        ({"horizon": 2.5}, "horizon 2.5 is no number of steps"),
        ({"horizon": True}, "horizon True is no number of steps"),
        ({"horizn": 3}, "no option 'horizn'; it takes shaping, horizon"),
    ],
    ids=str,
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(rpax.InputError, match=message):
        rpax.make("overcooked/cramped_room", **options)


def situation(position, facing, held, pot: int) -> OvercookedState:
    """A hand-written moment in cramped_room: (column, line) of each agent, and the status of the one pot."""
    rows = CRAMPED.strip("\n").split("\n")
    number = {"W": 2, " ": 1, "A": 1, "P": POT, "O": 4, "B": 6, "X": 7}
    grid = np.zeros((4, 5, 3), np.uint8)
    for line, column in itertools.product(range(4), range(5)):
        grid[line, column, 0] = number[rows[line][column]]
    grid[0, 2, 2] = pot
    for (column, line), direction in zip(position, facing, strict=True):
        grid[line, column] = (10, 0, direction)
    return OvercookedState(
        np.array(position, np.uint8), np.array(facing, np.uint8), np.array(held, np.uint8), grid, np.zeros((), np.int32)
    )


NEAR_PLATES, NEAR_POT, NEAR_DELIVERY = (1, 2), (2, 1), (3, 2)
#: what happens -> (situation, actions, reward of both, shaped reward as in JaxMARL, without plates, held afterwards)
HAND_WRITTEN = {
    "a plate that a started pot needs": (
        situation([NEAR_PLATES, (3, 1)], [DOWN, UP], [NOTHING, NOTHING], ONE_ONION),
        *([INTERACT, STAY], 0, [3, 0], [0, 0], [PLATE, NOTHING]),
    ),
    "a plate that no pot needs": (
        situation([NEAR_PLATES, (3, 1)], [DOWN, UP], [NOTHING, NOTHING], EMPTY_POT),
        *([INTERACT, STAY], 0, [0, 0], [0, 0], [PLATE, NOTHING]),
    ),
    "a second plate for one pot": (
        situation([NEAR_PLATES, (3, 1)], [DOWN, UP], [NOTHING, PLATE], ONE_ONION),
        *([INTERACT, STAY], 0, [0, 0], [0, 0], [PLATE, PLATE]),
    ),
    "an onion into the pot": (
        situation([(3, 1), NEAR_POT], [UP, UP], [NOTHING, ONION], ONE_ONION),
        *([STAY, INTERACT], 0, [0, 3], [0, 3], [NOTHING, NOTHING]),
    ),
    "soup out of the pot": (
        situation([NEAR_POT, (3, 1)], [UP, UP], [PLATE, NOTHING], READY),
        *([INTERACT, STAY], 0, [5, 0], [5, 0], [SOUP, NOTHING]),
    ),
    "a pot that still cooks": (
        situation([NEAR_POT, (3, 1)], [UP, UP], [PLATE, NOTHING], 5),
        *([INTERACT, STAY], 0, [0, 0], [0, 0], [PLATE, NOTHING]),
    ),
    "a delivery": (
        situation([(1, 1), NEAR_DELIVERY], [UP, DOWN], [NOTHING, SOUP], EMPTY_POT),
        *([STAY, INTERACT], 20, [0, 0], [0, 0], [NOTHING, NOTHING]),
    ),
    "an onion, and a plate that the pot needs for it": (
        situation([NEAR_POT, NEAR_PLATES], [UP, DOWN], [ONION, NOTHING], EMPTY_POT),
        *([INTERACT, INTERACT], 0, [3, 3], [3, 0], [NOTHING, PLATE]),
    ),
    "walking away from the plates": (
        situation([NEAR_PLATES, (3, 1)], [DOWN, UP], [NOTHING, NOTHING], ONE_ONION),
        *([RIGHT, LEFT], 0, [0, 0], [0, 0], [NOTHING, NOTHING]),
    ),
}


def random_situations(count: int) -> list[OvercookedState]:
    draw = np.random.default_rng(0)
    floor = [(column, line) for column in (1, 2, 3) for line in (1, 2)]
    return [
        situation(
            [floor[cell] for cell in draw.choice(6, 2, replace=False)],
            draw.choice(4, 2),
            draw.choice([NOTHING, NOTHING, ONION, PLATE, SOUP], 2),
            int(draw.choice([EMPTY_POT, ONE_ONION, 21, 7, READY])),
        )
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def both_shapings():
    """One step from many situations under either shaping, as functions of (states, actions)."""
    games = [rpax.make("overcooked/cramped_room", shaping=shaping) for shaping in ("jaxmarl", "paper")]

    def step_both(states, actions):
        keys = jax.random.split(jax.random.key(0), len(actions))
        return tuple(jax.vmap(game.step)(keys, states, actions) for game in games)

    return step_both


def test_shaping_differs_exactly_where_a_plate_is_taken_up(both_shapings):
    """Hand-written situations first, then 2,000 random ones."""
    drawn = random_situations(2000)
    interacting = np.random.default_rng(1).choice([INTERACT, INTERACT, STAY, DOWN], (len(drawn), 2))
    states = jax.tree.map(lambda *leaves: np.stack(leaves), *[case[0] for case in HAND_WRITTEN.values()], *drawn)
    actions = np.concatenate([[case[1] for case in HAND_WRITTEN.values()], interacting]).astype(np.int32)
    jaxmarl, paper = jax.jit(both_shapings)(states, actions)
    for number, (what, (_, _, pays, shaped, without_plates, held)) in enumerate(HAND_WRITTEN.items()):
        assert_array_equal(jaxmarl.rewards[number], [pays, pays], err_msg=what)
        assert_array_equal(paper.rewards[number], [pays, pays], err_msg=what)
        assert_array_equal(jaxmarl.shaped[number], shaped, err_msg=what)
        assert_array_equal(paper.shaped[number], without_plates, err_msg=what)
        assert_array_equal(paper.state.held[number], held, err_msg=what)
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), jaxmarl.state, paper.state)))
    took_plate = (states.held == NOTHING) & (np.asarray(paper.state.held) == PLATE)
    rewarded = took_plate & (np.asarray(jaxmarl.shaped) == 3)
    assert_array_equal(np.asarray(jaxmarl.shaped) - np.asarray(paper.shaped), 3 * rewarded)
    assert 20 < rewarded.sum() < took_plate.sum()


def test_the_game_is_the_same_where_64_bit_numbers_are_on(both_shapings):
    drawn = random_situations(64)
    states = jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)
    actions = np.random.default_rng(2).integers(0, 6, (64, 2)).astype(np.int32)
    expected = jax.jit(both_shapings)(states, actions)
    with jax.enable_x64(True):
        found = jax.jit(both_shapings)(states, actions)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        assert_array_equal(a, b)


class Kitchen:
    """Two cooks that follow a script, on a layout drawn as text; knows nothing of how layouts are checked."""

    def __init__(self, name: str, text: str) -> None:
        self.rows = text.strip("\n").split("\n")
        self.game = rpax.make(name)
        self.key = jax.random.key(0)
        self.reset, self.step = jax.jit(self.game.reset), jax.jit(self.game.step)
        starts = [(c, r) for r, row in enumerate(self.rows) for c, s in enumerate(row) if s == "A"]
        self.rooms = [set(self.ways(start)) for start in starts]
        self.start_again()

    def start_again(self) -> None:
        self.state = self.reset(self.key)
        self.paid = 0.0

    def ways(self, start) -> dict:
        """Every floor cell that can be walked to, with the first moves of a shortest way there."""
        ways, queue = {start: []}, deque([start])
        while queue:
            here = queue.popleft()
            for move, there in enumerate(self.around(here)):
                if self.rows[there[1]][there[0]] in " A" and there not in ways:
                    ways[there] = [*ways[here], move]
                    queue.append(there)
        return ways

    def around(self, cell):
        """The cells above, below, right and left: in the order of the moves."""
        return [(cell[0], cell[1] - 1), (cell[0], cell[1] + 1), (cell[0] + 1, cell[1]), (cell[0] - 1, cell[1])]

    def touches(self, agent: int, cell) -> bool:
        return any(floor in self.rooms[agent] for floor in self.around(cell))

    def find(self, symbol: str) -> list:
        return [(c, r) for r, row in enumerate(self.rows) for c, s in enumerate(row) if s == symbol]

    def shared_counters(self) -> list:
        return [cell for cell in self.inner("W") if all(self.touches(agent, cell) for agent in (0, 1))]

    def inner(self, symbol: str) -> list:
        height, width = len(self.rows), len(self.rows[0])
        return [(c, r) for c, r in self.find(symbol) if 0 < c < width - 1 and 0 < r < height - 1]

    def act(self, agent: int, action: int) -> None:
        actions = np.full(2, STAY, np.int32)
        actions[agent] = action
        transition = self.step(self.key, self.state, actions)
        self.state = transition.state
        self.paid += float(np.asarray(transition.rewards)[agent])

    def use(self, agent: int, cell) -> None:
        """Walk to ``cell``, face it and interact."""
        ways = self.ways(tuple(np.asarray(self.state.position)[agent].tolist()))
        move, floor = min(
            ((move, floor) for move, floor in enumerate(self.around(cell)) if floor in ways),
            key=lambda way: len(ways[way[1]]),
        )
        turn = [DOWN, UP, LEFT, RIGHT][move]  # from the cell above one faces down
        for action in [*ways[floor], turn, INTERACT]:
            self.act(agent, action)

    def who_touches(self, cell) -> int:
        return next(agent for agent in (0, 1) if self.touches(agent, cell))

    def hand_to(self, giver: int, taker: int, counter) -> None:
        """Whatever ``giver`` holds goes to ``taker``."""
        if giver != taker:
            self.use(giver, counter)
            self.use(taker, counter)

    def cook_and_deliver(self, pot, counters) -> None:
        counter = itertools.cycle(counters)
        cook = self.who_touches(pot)
        for station in [*self.find("O")[:1] * 3, self.find("B")[0]]:
            helper = self.who_touches(station)
            self.use(helper, station)
            self.hand_to(helper, cook, next(counter))
            if station != self.find("B")[0]:
                self.use(cook, pot)
        for _ in range(20):
            self.act(cook, STAY)
        self.use(cook, pot)
        delivery = self.find("X")[0]
        self.hand_to(cook, self.who_touches(delivery), next(counter))
        self.use(self.who_touches(delivery), delivery)


@pytest.mark.parametrize(
    ("layout", "exchanges"), [("forced_two_exchange", 2), ("forced_three_exchange", 3), ("forced_split_pot", 2)]
)
def test_soup_can_be_delivered_on_our_layouts_but_not_alone(layout, exchanges):
    kitchen = Kitchen(f"overcooked/{layout}", OWN[layout])
    assert kitchen.rooms[0].isdisjoint(kitchen.rooms[1])
    assert len(kitchen.shared_counters()) == exchanges
    for agent in (0, 1):
        assert not all(any(kitchen.touches(agent, cell) for cell in kitchen.find(s)) for s in "POBX")
    for pot in kitchen.find("P"):
        kitchen.start_again()
        kitchen.cook_and_deliver(pot, kitchen.shared_counters())
        assert kitchen.paid == 20
        assert int(kitchen.state.steps) < 400
    assert kitchen.step._cache_size() == 1, "no step is compiled a second time"


def test_our_layouts_are_all_played():
    assert set(OWN) == {"forced_two_exchange", "forced_three_exchange", "forced_split_pot"}


@pytest.mark.parametrize(
    "name",
    [
        name if name == "overcooked/forced_split_pot" else pytest.param(name, marks=pytest.mark.slow)
        for name in (f"overcooked/{layout}" for layout in (*CLASSIC, *OWN))
    ],
)
def test_an_episode_starts_as_jaxmarls(name):
    ours = rpax.make(name)
    assert isinstance(ours, Overcooked)
    keys = jax.random.split(jax.random.key(5), 32)
    states = jax.vmap(ours.reset)(keys)
    theirs = jax.jit(jax.vmap(ours.game.reset))(keys)[1]
    found = jax.tree.leaves(jax.vmap(ours.unpack)(states))
    for leaf, other in zip(found, jax.tree.leaves(theirs), strict=True):
        assert_array_equal(leaf, other)
    assert set(np.unique(states.facing)) == {UP, DOWN, RIGHT, LEFT}
