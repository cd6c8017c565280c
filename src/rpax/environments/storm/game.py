"""STORM as the paper plays it: two agents collect coins on a 5×5 grid and meet in a matrix game.

In a step agents turn or move, collect the coin they enter, fire beams, are paid, and then freeze or start over. An
agent that fires at the other one, when both hold a coin, meets it: each is paid the matrix game's expected payoff of
drawing one of its coins. Both then stay for some frozen steps, seeing what the other one holds, and a *soft reset*
follows: new places, empty hands, all coins back. The last step of an episode pays nothing.

The state is a handful of small integers and every rule is arithmetic without branches, so thousands of games advance in
one vectorised program. What chance decides is drawn apart (:class:`Chance`): the rest of a step is a plain function.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int8, Int16, Shaped, UInt32

from rpax.environments.payoffs import check_payoffs, read_payoffs
from rpax.environments.protocol import Environment, Key, SeatSpace, Transition
from rpax.environments.storm.grid import (
    ARRANGEMENTS,
    COIN_CELLS,
    FIXED_BLUE,
    SIZE,
    SPAWNS,
    StormState,
    ahead_of,
    beam_cells,
    inside,
)
from rpax.environments.storm.view import OBSERVATION_SIZE, encoding, kept_entries, observe_seat, swapped_colors
from rpax.environments.symmetries import Symmetries
from rpax.errors import InputError, shown

LEFT, RIGHT, FORWARD, INTERACT = range(4)
ACTIONS = ("turn left", "turn right", "forward", "interact", "stay")
ACTIONS_WITHOUT_BEAM = ("turn left", "turn right", "forward", "stay")
SABOTAGE_CELL = np.array((0, 0), np.int8)
SABOTAGE_REWARD = -0.1
_LONGEST = 10_000


@dataclasses.dataclass(frozen=True)
class StormRules:
    """What tells one game of STORM from another.

    Attributes:
        interaction: whether agents meet by beam. If not, they pass through each other, coins are not used up, and both
            are paid once, in the last step but one.
        sabotage: whether standing on ``SABOTAGE_CELL`` pays ``SABOTAGE_REWARD`` to both instead of the reward.
        sees_other: whether an agent sees where the other one is and what it holds.
        horizon: steps of an episode.
        payoffs: [own colour of seat 0, of seat 1, seat], red then blue.
        fixed_coins: coins lie where ``FIXED_BLUE`` says, or are shuffled when an episode starts.
        freeze: steps that agents stay after they met.
        facings: spawning agents face one of the first so many directions.
    """

    interaction: bool
    sabotage: bool
    sees_other: bool
    horizon: int
    payoffs: np.ndarray
    fixed_coins: bool
    freeze: int
    facings: int


def colors_can_be_swapped(rules: StormRules) -> bool:
    """Whether STORM is the same game with its colours swapped, in payoffs and in what agents come to see.

    Shuffled coins are as likely with either colour. Fixed coins change colour when the grid is turned by half a turn,
    which agents cannot tell, if they spawn with any facing and no cell is marked for sabotage.
    """
    same_payoffs = np.array_equal(rules.payoffs, rules.payoffs[::-1, ::-1])
    return same_payoffs and (not rules.fixed_coins or (rules.facings == 4 and not rules.sabotage))


class Chance(NamedTuple):
    """What chance decides in a step.

    Attributes:
        seat_0_wins: whether seat 0 gets the cell that both agents moved to.
        position: where the agents stand if the step ends with a soft reset.
        facing: where they look then.
    """

    seat_0_wins: Bool[Array, ""]
    position: Int8[Array, "2 2"]
    facing: Int8[Array, "2"]


class Storm(Environment):
    """The game for one set of rules; both seats have the same spaces and a symmetric view.

    Args:
        name: how the game is called.
        rules: the rules; see :func:`make_storm` for the usual ones.
    """

    def __init__(self, name: str, rules: StormRules) -> None:
        self.name = name
        self.rules = rules
        self.horizon = rules.horizon
        names = ACTIONS if rules.interaction else ACTIONS_WITHOUT_BEAM
        # There are four coins; where they are not used up, inventories grow by at most one a step.
        fits_a_byte = rules.interaction or rules.horizon < 2**7
        space = SeatSpace((OBSERVATION_SIZE,), len(names), jnp.int8 if fits_a_byte else jnp.int16, names)
        self.spaces = (space, space)
        shared = not rules.interaction
        stored = encoding(shared, space.observation_dtype)
        self._kept = kept_entries(shared)
        self.encodings = (stored, stored)

    def reset(self, key: Key) -> StormState:
        """A new episode: coins laid out, agents on opposite spawns."""
        words = jax.random.bits(key, (3,), jnp.uint32)
        if self.rules.fixed_coins:
            blue = jnp.asarray(FIXED_BLUE)
        else:
            blue = jnp.asarray(ARRANGEMENTS)[_choose(words[2], len(ARRANGEMENTS))]
        return self._start(self._chance(words[:2]), blue, jnp.zeros((), jnp.int16))

    def step(self, key: Key, state: StormState, actions: Int[Array, "2"]) -> Transition:
        """Turn or move, collect, fire, be paid, then freeze or start over."""
        return self.play(state, actions, self._chance(jax.random.bits(key, (2,), jnp.uint32)))

    def play(self, state: StormState, actions: Int[Array, "2"], chance: Chance) -> Transition:
        """One step, given what chance decides."""
        rules = self.rules
        free = state.frozen == 0
        moved = self._move(state, free & (actions == FORWARD), chance.seat_0_wins)
        moved = self._collect(moved)._replace(
            facing=jnp.where(free, _turned(state.facing, actions), state.facing),
            beam=free & (actions == INTERACT) & rules.interaction,
            time=state.time + jnp.int16(1),
        )
        both_hold_coins = (moved.inventory > 0).any(axis=1).all()
        if rules.interaction:
            paid = meet = _someone_hits(moved) & both_hold_coins
        else:
            meet = moved.time == rules.horizon - 1
            paid = meet & both_hold_coins
        done = moved.time >= rules.horizon
        rewards = jnp.where(done, 0.0, self._rewards(moved, paid))
        thawed = jnp.maximum(state.frozen - jnp.int16(1), 0)
        moved = moved._replace(frozen=jnp.where(meet, jnp.int16(rules.freeze), thawed))
        fresh = self._start(chance, state.blue, moved.time)
        following = jax.tree.map(lambda new, old: jnp.where(state.frozen == 1, new, old), fresh, moved)
        return Transition(following, rewards, done)

    def observe(self, state: StormState) -> tuple[Shaped[Array, " 256"], Shaped[Array, " 256"]]:
        """Each seat's window and inventories, 256 numbers; see :mod:`rpax.environments.storm.view`."""
        return self._observe(state, np.arange(OBSERVATION_SIZE))

    def observe_encoded(self, state: StormState) -> tuple[Shaped[Array, " stored"], Shaped[Array, " stored"]]:
        """The entries from which all others follow."""
        return self._observe(state, self._kept)

    def _observe(self, state: StormState, entries: Int[np.ndarray, " some"]) -> tuple[Array, Array]:
        seen = [
            observe_seat(
                state,
                seat,
                entries,
                cells_are_shared=not self.rules.interaction,
                other_is_hidden=not self.rules.sees_other,
                dtype=self.spaces[seat].observation_dtype,
            )
            for seat in (0, 1)
        ]
        return seen[0], seen[1]

    def symmetries(self) -> Symmetries | None:
        """Swapping the colours, where that leaves the game as it is; see :func:`colors_can_be_swapped`."""
        if not colors_can_be_swapped(self.rules):
            return None
        swapped = swapped_colors()
        actions = np.arange(self.spaces[1].num_actions)
        return Symmetries(np.stack([np.arange(OBSERVATION_SIZE), swapped]), np.stack([actions, actions]))

    def render(self, state: StormState) -> np.ndarray:
        """The grid and what both agents hold; see :func:`rpax.reports.storm_picture.draw_storm`."""
        from rpax.reports.storm_picture import draw_storm

        return draw_storm(state, marked=SABOTAGE_CELL if self.rules.sabotage else None)

    def _chance(self, words: UInt32[Array, "2"]) -> Chance:
        """What chance decides, from two random words. :func:`_choose` leaves the lowest bits to others."""
        position = jnp.asarray(SPAWNS)[_choose(words[0], len(SPAWNS))]
        facing = _choose(words[1], self.rules.facings**2)
        facings = jnp.stack([facing // self.rules.facings, facing % self.rules.facings])
        return Chance(
            (words[0] & 1) == 1, jnp.stack([position, jnp.int8(SIZE - 1) - position]), facings.astype(jnp.int8)
        )

    def _start(self, chance: Chance, blue: Bool[Array, "4"], time: Int16[Array, ""]) -> StormState:
        """Agents in their new places with empty hands, all coins in theirs."""
        return StormState(
            position=chance.position,
            facing=chance.facing,
            blue=blue,
            coin=jnp.ones(len(COIN_CELLS), bool),
            inventory=jnp.zeros((2, 2), jnp.int16),
            beam=jnp.zeros(2, bool),
            frozen=jnp.zeros((), jnp.int16),
            time=time,
        )

    def _move(self, state: StormState, forward: Bool[Array, "2"], seat_0_wins: Bool[Array, ""]) -> StormState:
        """Agents after those that go ``forward`` moved. Walls stop; of two that want one cell, one gets it."""
        ahead = state.position + ahead_of(state.facing)
        moves = forward & inside(ahead)
        target = jnp.where(moves[:, None], ahead, state.position)
        if not self.rules.interaction:
            return state._replace(position=target)
        collide = (target[0] == target[1]).all()
        # The one who did not move keeps the cell; if both moved, chance decides.
        seat_0_stays = jnp.where(moves.all(), ~seat_0_wins, moves[0])
        stays = collide & jnp.stack([seat_0_stays, ~seat_0_stays])
        return state._replace(position=jnp.where(stays[:, None], state.position, target))

    def _collect(self, state: StormState) -> StormState:
        """Agents hold the coins that they stand on, which are gone then if agents meet by beam."""
        on = (state.position[:, None] == COIN_CELLS).all(axis=-1) & state.coin
        red, blue = (on & ~state.blue).any(axis=1), (on & state.blue).any(axis=1)
        inventory = state.inventory + jnp.stack([red, blue], axis=1).astype(jnp.int16)
        coin = state.coin & ~on.any(axis=0) if self.rules.interaction else state.coin
        return state._replace(inventory=inventory, coin=coin)

    def _rewards(self, state: StormState, paid: Bool[Array, ""]) -> Float[Array, "2"]:
        """f_0ᵀ P_k f_1 for each seat k, with f the share of each colour in what an agent holds; or sabotage's price."""
        held = state.inventory.astype(jnp.float32)
        share = held / jnp.maximum(held.sum(axis=1, keepdims=True), 1.0)
        drawn = share[0][:, None] * share[1]
        expected = (drawn[..., None] * self.rules.payoffs.astype(np.float32)).sum(axis=(0, 1))
        rewards = jnp.where(paid, expected, 0.0)
        if not self.rules.sabotage:
            return rewards
        sabotages = (state.position == SABOTAGE_CELL).all(axis=1).any()
        return jnp.where(sabotages, SABOTAGE_REWARD, rewards)


def _choose(word: UInt32[Array, ""], count: int) -> UInt32[Array, ""]:
    """A number below ``count`` (at most 32) from the 27 highest bits of a random word; equally likely up to 2⁻²²."""
    return ((word >> 5) * jnp.uint32(count)) >> 27


def _turned(facing: Int8[Array, "2"], actions: Int[Array, "2"]) -> Int8[Array, "2"]:
    turn = (actions == LEFT).astype(jnp.int8) - (actions == RIGHT).astype(jnp.int8)
    return (facing + turn) & 3


def _someone_hits(state: StormState) -> Bool[Array, ""]:
    """Whether a beam reaches the other agent."""
    others = state.position[::-1, None]
    return (state.beam[:, None] & (beam_cells(state) == others).all(axis=-1)).any()


#: variant → whether agents meet by beam, sabotage, see each other.
_VARIANTS = {
    "storm": (True, False, True),
    "storm/sabotage": (True, True, True),
    "storm/independent": (False, False, True),
    "storm/unobserved": (False, False, False),
}


def make_storm(
    name: str,
    horizon: object = 20,
    payoffs: object = None,
    coins: object = "fixed",
    freeze: object = 5,
    spawn_facings: object = 4,
) -> Storm:
    """``storm``, ``storm/sabotage``, ``storm/independent`` or ``storm/unobserved``.

    Args:
        name: which of them. ``sabotage``: any step with an agent on (0, 0) pays −0.1 to both instead of the reward.
            ``independent``: no beam, agents pass through each other, coins are not used up, and both are paid once, in
            the last step but one. ``unobserved``: that, and the other agent cannot be seen.
        horizon: steps of an episode, 3 to 10,000.
        payoffs: 2×2, or a pair of them (one a seat, rows are seat 0): what an interaction pays by the colours drawn,
            red then blue. By default equal colours pay 1 to both.
        coins: ``fixed`` places, or ``shuffled`` when an episode starts.
        freeze: steps that agents stay after an interaction.
        spawn_facings: agents spawn looking in one of the first so many directions (3 in the authors' environment).

    Raises:
        InputError: an unknown variant, or a value out of range.
    """
    if name not in _VARIANTS:
        raise InputError(f"environment {shown(name)} is no variant of STORM; give one of {', '.join(_VARIANTS)}")
    if coins not in ("fixed", "shuffled"):
        raise InputError(f"coins {shown(coins)} is not allowed; give fixed or shuffled")
    table = check_payoffs(np.eye(2) if payoffs is None else read_payoffs(payoffs))
    if table.shape != (2, 2, 2):
        raise InputError(f"payoffs are {table.shape[0]}×{table.shape[1]}; STORM has two colours, so give 2×2")
    interaction, sabotage, sees_other = _VARIANTS[name]
    return Storm(
        name,
        StormRules(
            interaction=interaction,
            sabotage=sabotage,
            sees_other=sees_other,
            horizon=_whole("horizon", horizon, 3, _LONGEST),
            payoffs=table,
            fixed_coins=coins == "fixed",
            freeze=_whole("freeze", freeze, 1, _LONGEST),
            facings=_whole("spawn_facings", spawn_facings, 1, 4),
        ),
    )


def _whole(name: str, value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{name} {shown(value)} is not allowed; give a whole number from {least} to {most}")
    return value
