"""Overcooked and OvercookedV2 as JaxMARL plays them."""

import operator
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from rpax.environments.jaxmarl.adapter import AdaptedEnvironment, AdaptedState, checked_horizon, in_32_bit
from rpax.environments.jaxmarl.kitchen import Kitchen
from rpax.environments.jaxmarl.layouts import OWN, check_layout, read_layout
from rpax.environments.jaxmarl.load import load
from rpax.environments.protocol import Environment, Key, SeatSpace, Transition
from rpax.errors import InputError, shown, suggestion

# Options come as a user wrote them, of any type, and are checked here.
_HORIZON = 400
_CHANNELS = 26
_DIRECTIONS = 4
_THINGS_TO_HOLD = ("empty", "onion", "plate", "dish")
SHAPINGS = ("jaxmarl", "paper")


class OvercookedState(NamedTuple):
    """What changes during an episode; the rest of JaxMARL's state is the layout's, and constant.

    Attributes:
        position: (column, line) of each agent.
        facing: 0 up, 1 down, 2 right, 3 left.
        held: what each agent holds, by JaxMARL's number of the object.
        grid: object, colour and pot status or facing in every cell, as in JaxMARL's map without its padding.
        steps: how many steps the episode has lasted.
    """

    position: UInt8[Array, "2 2"]
    facing: UInt8[Array, "2"]
    held: UInt8[Array, "2"]
    grid: UInt8[Array, "height width 3"]
    steps: Int[Array, ""]


class Overcooked(Environment):
    """JaxMARL's Overcooked (its first version): two cooks fill pots with three onions, plate the soup and deliver it.

    Each step is JaxMARL's own, so are observations: ``uint8`` [height, width, 26], the seat's own layers first. A
    delivery pays 20 to both. ``Transition.shaped`` is the shaped reward of the agent that earned it: 3 for an onion put
    into a pot, 3 for a plate taken up when a pot needs one (not with ``shaping="paper"``), 5 for a soup taken up.
    Only the directions in which the agents face are random when an episode starts.

    The state holds what changes, in ``uint8``: about a quarter of JaxMARL's, which makes stepping faster than its own
    loop. Computes in 32 bit also where 64-bit numbers are switched on.

    Args:
        name: how the environment is called.
        layout: in JaxMARL's form, see ``jaxmarl.environments.overcooked.layouts``.
        shaping: ``"jaxmarl"``, or ``"paper"`` for no reward for plates: it was dead in the JaxMARL of the paper.
        horizon: steps of an episode.

    Raises:
        InputError: ``shaping`` or ``horizon`` is wrong, or JaxMARL is missing.
    """

    def __init__(self, name: str, layout: Any, *, shaping: Any = "jaxmarl", horizon: Any = _HORIZON) -> None:
        if shaping not in SHAPINGS:
            raise InputError(f"environment '{name}': shaping {shown(shaping)} is unknown; {_choice(shaping)}")
        self.name = name
        self.shaping = shaping
        self.horizon = checked_horizon(name, horizon)
        self._module = load("overcooked.overcooked", name)
        self._common = load("overcooked.common", name)
        self.game = self._make_game(layout)
        shape = (self.game.height, self.game.width, _CHANNELS)
        names = ("up", "down", "right", "left", "stay", "interact")
        space = SeatSpace(shape, len(names), jnp.uint8, names)
        self.spaces = (space, space)
        # What JaxMARL's state holds of the layout, as NumPy arrays: constants of the compiled program.
        self._padding = self.game.agent_view_size - 1
        padded = (shape[0] + 2 * self._padding, shape[1] + 2 * self._padding, 3)
        wall = np.asarray(self._common.OBJECT_INDEX_TO_VEC)[self._common.OBJECT_TO_INDEX["wall"]]
        self._outside = np.broadcast_to(wall, padded)
        self._goals, self._pots, self._starts = (
            self._positions(layout[key]) for key in ("goal_idx", "pot_idx", "agent_idx")
        )
        self._walls = np.zeros(shape[:2], bool)
        self._walls.flat[np.asarray(layout["wall_idx"])] = True
        self._rooms = self._rooms_of_agents()
        self._kitchen = Kitchen(layout, self.horizon)
        self.encodings = (self._kitchen.encoding, self._kitchen.encoding)

    def _rooms_of_agents(self) -> list[np.ndarray]:
        """The floor that each agent can get to, (column, line) of every cell."""
        import scipy.ndimage

        room = np.zeros(self._walls.shape, np.int32)
        scipy.ndimage.label(~self._walls, output=room)
        return [np.argwhere(room == room[line, column])[:, ::-1] for column, line in self._starts]

    @in_32_bit
    def _make_game(self, layout: Any) -> Any:
        with warnings.catch_warnings():
            # It recommends OvercookedV2, which is offered too.
            warnings.filterwarnings("ignore", message="OvercookedV2 is now released", category=DeprecationWarning)
            return self._module.Overcooked(layout=layout, max_steps=self.horizon)

    def _positions(self, cells: Any) -> np.ndarray:
        cells = np.asarray(cells)
        return np.stack([cells % self.game.width, cells // self.game.width], axis=1).astype(np.uint32)

    @in_32_bit
    def reset(self, key: Key) -> OvercookedState:
        """Both agents at their starts with empty hands, facing where JaxMARL's reset turns them, given the same key.

        Its reset also draws what a fixed layout ignores, which would take as long to compile as a whole step.
        """
        # JaxMARL draws places first, then directions.
        key_facing = jax.random.split(jax.random.split(key)[0])[1]
        facing = jax.random.randint(key_facing, (2,), 0, _DIRECTIONS).astype(jnp.uint8)
        column, line = self._starts.T
        return OvercookedState(
            position=jnp.asarray(self._starts, jnp.uint8),
            facing=facing,
            held=jnp.full(2, self._common.OBJECT_TO_INDEX["empty"], jnp.uint8),
            grid=jnp.asarray(self._kitchen.start).at[line, column, 2].set(facing),
            steps=jnp.zeros((), jnp.int32),
        )

    @in_32_bit
    def exploring_reset(self, key: Key) -> OvercookedState:
        """Agents anywhere in their rooms, facing anywhere, with anything in their hands; pots at any stage of work.

        JaxMARL's ``random_reset`` also puts agents into each other's rooms, where one of them may reach nothing. Agents
        of one room can begin past each other, even where they could not have passed.
        """
        # An agent in the other one's room takes one of the cells that are left there.
        together = int(np.array_equal(self._rooms[0], self._rooms[1]))
        things = jnp.asarray([self._common.OBJECT_TO_INDEX[name] for name in _THINGS_TO_HOLD], jnp.uint8)
        places = [len(self._rooms[0]), len(self._rooms[1]) - together]
        statuses = [self._module.POT_EMPTY_STATUS + 1] * len(self._pots)
        counts = np.array([*places, *[_DIRECTIONS] * 2, *[len(things)] * 2, *statuses])
        # A product compiles faster than randint, which draws twice; the numbers are small enough for it.
        drawn = (jax.random.uniform(key, counts.shape) * counts).astype(jnp.int32)
        place, facing, held, status = jnp.split(drawn, [2, 4, 6])
        place = place.at[1].add(together * (place[1] >= place[0]))
        facing = facing.astype(jnp.uint8)
        position = jnp.stack([jnp.asarray(room, jnp.uint8)[at] for room, at in zip(self._rooms, place, strict=True)])
        return OvercookedState(
            position=position,
            facing=facing,
            held=things[held],
            grid=self._kitchen.grid(position, facing, status.astype(jnp.uint8)),
            steps=jnp.zeros((), jnp.int32),
        )

    @in_32_bit
    def step(self, key: Key, state: OvercookedState, actions: Int[Array, "2"]) -> Transition:
        """JaxMARL's own step."""
        acts = {agent: actions[seat].astype(jnp.int32) for seat, agent in enumerate(self.game.agents)}
        _, after, rewards, dones, info = self.game.step_env(key, self.unpack(state), acts)
        raw, shaped = (
            jnp.stack([jnp.asarray(by_agent[agent], jnp.float32) for agent in self.game.agents])
            for by_agent in (rewards, info["shaped_reward"])
        )
        if self.shaping == "paper":
            # An agent does one thing a step, and only taking up a plate leaves it with one: what else is rewarded
            # leaves empty hands (an onion in the pot) or a soup.
            shaped = jnp.where(after.agent_inv == self._common.OBJECT_TO_INDEX["plate"], 0.0, shaped)
        return Transition(self._pack(after), raw, dones["__all__"], shaped)

    @in_32_bit
    def observe(
        self, state: OvercookedState
    ) -> tuple[UInt8[Array, "height width channels"], UInt8[Array, "height width channels"]]:
        """The 26 layers that JaxMARL's ``get_obs`` lists."""
        seen = self.game.get_obs(self.unpack(state))
        return seen["agent_0"], seen["agent_1"]

    def observe_encoded(self, state: OvercookedState) -> tuple[UInt8[Array, " stored"], UInt8[Array, " stored"]]:
        """What can change of the layers, see :mod:`rpax.environments.jaxmarl.kitchen`."""
        return self._kitchen.observe(state, 0), self._kitchen.observe(state, 1)

    def _pack(self, state: Any) -> OvercookedState:
        inside = slice(self._padding, -self._padding)
        position, facing, held = (x.astype(jnp.uint8) for x in (state.agent_pos, state.agent_dir_idx, state.agent_inv))
        return OvercookedState(
            position, facing, held, state.maze_map[inside, inside], jnp.asarray(state.step, jnp.int32)
        )

    @in_32_bit
    def unpack(self, state: OvercookedState) -> Any:
        """JaxMARL's own state, for its renderer and whatever else takes one."""
        inside = slice(self._padding, -self._padding)
        return self._module.State(
            done=state.steps >= self.horizon,
            step=state.steps,
            agent_pos=state.position.astype(jnp.uint32),
            agent_dir=self._common.DIR_TO_VEC[state.facing],
            agent_dir_idx=state.facing.astype(jnp.int32),
            agent_inv=state.held.astype(jnp.int32),
            goal_pos=jnp.asarray(self._goals),
            pot_pos=jnp.asarray(self._pots),
            wall_map=jnp.asarray(self._walls),
            maze_map=jnp.asarray(self._outside).at[inside, inside].set(state.grid),
        )

    def render(self, state: OvercookedState) -> np.ndarray:
        """The kitchen; see :func:`rpax.reports.overcooked_picture.draw_overcooked`."""
        from rpax.reports.overcooked_picture import draw_overcooked

        grid, position, facing, held = map(np.asarray, (state.grid, state.position, state.facing, state.held))
        return draw_overcooked(grid, position, facing, held, int(state.steps))


def make_overcooked(name: str, *, shaping: Any = "jaxmarl", horizon: Any = _HORIZON) -> Overcooked:
    """``overcooked/<layout>``: a layout of our own or one of JaxMARL's.

    Raises:
        InputError: there is no such layout, an option is wrong, or JaxMARL is missing.
    """
    layout = name.partition("/")[2]
    module = load("overcooked.layouts", name)
    if layout in OWN:
        return Overcooked(name, module.layout_grid_to_dict(OWN[layout]), shaping=shaping, horizon=horizon)
    _check_layout_name(name, layout, module.overcooked_layouts)
    return Overcooked(name, module.overcooked_layouts[layout], shaping=shaping, horizon=horizon)


def make_custom_overcooked(
    name: str, *, layout: object = None, shaping: Any = "jaxmarl", horizon: Any = _HORIZON
) -> Overcooked:
    """``overcooked/custom``: a layout drawn as text, see :mod:`rpax.environments.jaxmarl.layouts`.

    Raises:
        InputError: the layout is missing or cannot be played, an option is wrong, or JaxMARL is missing.
    """
    if layout is None:
        raise InputError(f"environment '{name}' needs a layout; draw it as text of several lines or name a .txt file")
    text = read_layout(layout)
    check_layout(text)
    module = load("overcooked.layouts", name)
    environment = Overcooked(name, module.layout_grid_to_dict(text), shaping=shaping, horizon=horizon)
    # The text itself, so that a run can be resumed when the file is gone.
    environment.made_with = {"layout": text}
    return environment


class OvercookedV2(AdaptedEnvironment):
    """JaxMARL's OvercookedV2, which draws itself."""

    def render(self, state: AdaptedState) -> np.ndarray:
        """The kitchen; see :func:`rpax.reports.overcooked_picture.draw_overcooked_v2`."""
        from rpax.reports.overcooked_picture import draw_overcooked_v2

        return draw_overcooked_v2(state.game)


def make_overcooked_v2(
    name: str,
    *,
    horizon: Any = _HORIZON,
    agent_view_size: Any = None,
    random_agent_positions: Any = False,
    negative_rewards: Any = False,
    sample_recipe_on_delivery: Any = False,
    start_cooking_interaction: Any = False,
    indicate_successful_delivery: Any = False,
) -> OvercookedV2:
    """``overcooked_v2/<layout>``: JaxMARL's OvercookedV2 with its own options.

    Args:
        name: as registered.
        horizon: steps of an episode.
        agent_view_size: how many cells an agent sees in each direction, at most the layout's larger side; ``None`` for
            the whole grid.
        random_agent_positions: agents start anywhere in their room, facing anywhere.
        negative_rewards: a wrong dish costs 20 instead of nothing.
        sample_recipe_on_delivery: a new recipe after each delivery, not only in each episode.
        start_cooking_interaction: a pot starts to cook when an agent interacts with it, not by itself.
        indicate_successful_delivery: a layer more, which shows a delivery of the right dish.

    Raises:
        InputError: there is no such layout, an option is wrong, or JaxMARL is missing.
    """
    switches = {
        "random_agent_positions": random_agent_positions,
        "negative_rewards": negative_rewards,
        "sample_recipe_on_delivery": sample_recipe_on_delivery,
        "start_cooking_interaction": start_cooking_interaction,
        "indicate_successful_delivery": indicate_successful_delivery,
    }
    for option, value in switches.items():
        if not isinstance(value, bool):
            raise InputError(f"environment '{name}': {option} {shown(value)} is no truth value; give true or false")
    steps = checked_horizon(name, horizon)
    layout = name.partition("/")[2]
    layouts = load("overcooked_v2.layouts", name).overcooked_v2_layouts
    _check_layout_name(name, layout, layouts)
    larger_side = max(layouts[layout].static_objects.shape)
    view = None if agent_view_size is None else _checked_view(name, agent_view_size, larger_side)
    game = in_32_bit(load("overcooked_v2.overcooked", name).OvercookedV2)(
        layout=layout, max_steps=steps, agent_view_size=view, **switches
    )
    names = ("right", "down", "left", "up", "stay", "interact")
    return OvercookedV2(name, game, sees_state=True, action_names=names)


def _checked_view(name: str, view: object, most: int) -> int:
    try:
        cells = operator.index(view)  # type: ignore[arg-type]
    except TypeError:
        cells = 0
    if cells < 1 or isinstance(view, bool):
        raise InputError(f"environment '{name}': agent_view_size {shown(view)} is no number of cells; give 1 or more")
    if cells > most:
        raise InputError(
            f"environment '{name}': agent_view_size {shown(cells)} is more than the layout's larger side; "
            f"give at most {most}, or leave it out to see everything"
        )
    return cells


def _check_layout_name(name: str, layout: str, known: Any) -> None:
    if layout not in known:
        raise InputError(f"environment '{name}': layout '{layout}' is unknown; {suggestion(layout, [*known, *OWN])}")


def _choice(shaping: object) -> str:
    return suggestion(str(shaping), SHAPINGS)
