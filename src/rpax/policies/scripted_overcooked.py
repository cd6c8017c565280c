"""Scripted cooks: they act from the 26 layers of an Overcooked observation alone, whatever the layout.

A cook decides what it wants to interact with (a set of cells), and goes the shortest way to the nearest one, around the
other cook where there is a way around. Where there is nothing to do it waits where it stands in nobody's way. A cook
whose room lacks something shares the work with the other one over the counters between them, whatever its role.

Functions are of one observation, in JAX; what they return are probabilities, as a few moves are left to chance: that
resolves whatever two cooks can block each other in.

The layers are listed in the docstring of ``jaxmarl.environments.overcooked.Overcooked.get_obs``.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped, UInt8

from rpax.policies.functions import JaxPolicy, jax_policy

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment

#: (line, column) that the actions up, down, right and left lead to; facings have the same numbers.
_MOVES = ((-1, 0), (1, 0), (0, 1), (0, -1))
_STAY, _INTERACT, _ACTIONS = 4, 5, 6
#: How likely a move at random is, and how likely where there is no way to what is wanted but through the other cook.
_WANDER, _GIVE_WAY = 0.05, 0.4
_IN_POT, _FULL = 16, 3
_FAR = 10_000

Cells = Bool[Array, "height width"]
Distances = Int[Array, "*fields height width"]


class Kitchen(NamedTuple):
    """What a cook sees, as sets of cells.

    Attributes:
        own: where it is.
        other: where the other cook is.
        facing: the cell ahead of it.
        floor: where cooks can stand, occupied or not.
        pots: all pots.
        with_room: pots that take an onion.
        done: pots with a soup to be taken up.
        onion_piles: as they are called.
        plate_piles: as they are called.
        deliveries: where soups are delivered.
        counters: counters that nothing lies on.
        onions: onions on counters.
        plates: plates on counters.
        soups: soups on counters.
        missing: how many onions each pot takes.
        holds: whether it holds an onion, a plate or a soup.
        other_holds: what the other cook holds.
    """

    own: Cells
    other: Cells
    facing: Cells
    floor: Cells
    pots: Cells
    with_room: Cells
    done: Cells
    onion_piles: Cells
    plate_piles: Cells
    deliveries: Cells
    counters: Cells
    onions: Cells
    plates: Cells
    soups: Cells
    missing: Int[Array, "height width"]
    holds: Bool[Array, "3"]
    other_holds: Bool[Array, "3"]


def look(observation: UInt8[Array, "height width 26"]) -> Kitchen:
    """The layers as sets of cells."""
    layer = [observation[..., channel] > 0 for channel in range(observation.shape[-1])]
    own, other = layer[0], layer[1]
    ahead = [_shift(own & layer[2 + d], move) for d, move in enumerate(_MOVES)]
    pots, counters = layer[10], layer[11]
    things = {"onions": layer[23], "plates": layer[22], "soups": layer[21] & ~pots}
    lying = {name: cells & ~own & ~other for name, cells in things.items()}
    stations = pots | layer[12] | layer[14] | layer[15]
    blocked = stations | counters | lying["onions"] | lying["plates"] | lying["soups"]
    with_room = pots & ~layer[20] & ~layer[21] & (observation[..., _IN_POT] < _FULL)
    return Kitchen(
        own=own,
        other=other,
        facing=ahead[0] | ahead[1] | ahead[2] | ahead[3],
        floor=~blocked,
        pots=pots,
        with_room=with_room,
        missing=with_room * (_FULL - observation[..., _IN_POT].astype(jnp.int32)),
        done=pots & layer[21],
        onion_piles=layer[12],
        plate_piles=layer[14],
        deliveries=layer[15],
        counters=counters,
        holds=jnp.stack([(cells & own).any() for cells in things.values()]),
        other_holds=jnp.stack([(cells & other).any() for cells in things.values()]),
        **lying,
    )


def carry_onions(kitchen: Kitchen) -> Cells:
    """What a cook wants to interact with who brings onions to pots. What else it holds it gets rid of."""
    onion, plate, soup = kitchen.holds
    wanted = jnp.where(onion, kitchen.with_room, kitchen.onion_piles | kitchen.onions)
    return jnp.where(plate, kitchen.counters, jnp.where(soup, kitchen.deliveries, wanted))


def carry_plates(kitchen: Kitchen) -> Cells:
    """What a cook wants to interact with who takes soups up and delivers them; it fetches a plate first and waits."""
    onion, plate, soup = kitchen.holds
    sources = jnp.where(kitchen.soups.any(), kitchen.soups, kitchen.plate_piles | kitchen.plates)
    wanted = jnp.where(onion, kitchen.with_room | kitchen.counters, sources)
    return jnp.where(plate, kitchen.done, jnp.where(soup, kitchen.deliveries, wanted))


def share_work(kitchen: Kitchen) -> Cells:
    """What a cook wants to interact with where its room lacks something, so that things must pass over counters.

    It does what its own pots need, and what pots elsewhere need and do not get from counters or the other cook's hands.
    Plates come before onions: soups that nobody takes up hold up everything.
    """
    room = _room(kitchen)
    beside = _grown(room)
    between = beside & _grown(kitchen.floor & ~room) & ~kitchen.floor
    over = kitchen.counters & between
    own, elsewhere = kitchen.pots & beside, kitchen.pots & ~beside
    takes_onions, has_soup = (own & kitchen.with_room).any(), (own & ~kitchen.with_room).any()
    lying = [(things & between).sum() for things in (kitchen.onions, kitchen.plates)]
    on_the_way = jnp.stack(lying) + kitchen.other_holds[:2]
    lacks_onions = jnp.sum(kitchen.missing * elsewhere) > on_the_way[0]
    lacks_plates = (elsewhere & ~kitchen.with_room).sum() > on_the_way[1]
    soups = kitchen.soups & beside & (kitchen.deliveries & beside).any()
    plates = (kitchen.plate_piles & (has_soup | lacks_plates) | kitchen.plates & has_soup) & beside
    onions = (kitchen.onion_piles & (takes_onions | lacks_onions) | kitchen.onions & takes_onions) & beside
    sources = jnp.where(soups.any(), soups, jnp.where(plates.any(), plates, onions))
    # The last counter between the rooms is left to plates and soups. Who waits to lay an onion there, and should take
    # one of these instead, lays it anywhere.
    places = kitchen.counters | kitchen.onions | kitchen.plates | kitchen.soups
    has_place = (over.sum() > 1) | ((places & between).sum() == 1)
    lay_onion = jnp.where(has_place, over, kitchen.counters & (soups | plates).any())
    onion, plate, soup = kitchen.holds
    wanted = jnp.where(onion, jnp.where(takes_onions, own & kitchen.with_room, lay_onion), sources)
    wanted = jnp.where(plate, jnp.where(has_soup, own & kitchen.done, over), wanted)
    deliveries = kitchen.deliveries & beside
    return jnp.where(soup, jnp.where(deliveries.any(), deliveries, over), wanted)


def _has_everything(kitchen: Kitchen) -> Bool[Array, ""]:
    """Whether the cook can cook and deliver a soup alone."""
    beside = _grown(_room(kitchen))
    stations = (kitchen.pots, kitchen.onion_piles, kitchen.plate_piles, kitchen.deliveries)
    return jnp.stack([(cells & beside).any() for cells in stations]).all()


def go_for(kitchen: Kitchen, wanted: Cells) -> Float[Array, "6"]:
    """The probabilities of the actions of a cook that wants to interact with the nearest of some cells.

    Where it cannot get to any of them, it goes out of the way: to a cell next to no station if there is one, else to
    one next to no pot.
    """
    free = kitchen.floor & ~kitchen.other
    stations = kitchen.pots | kitchen.onion_piles | kitchen.plate_piles | kitchen.deliveries
    beside = kitchen.floor & _grown(wanted)
    out_of_the_way = [free & ~_grown(stations), free & ~_grown(kitchen.pots)]
    goals = jnp.stack([beside & free, beside, *out_of_the_way])
    distances = _distances(goals, jnp.stack([free, kitchen.floor, free, free]))
    here = jnp.sum(distances * kitchen.own, axis=(1, 2))
    can, could = here[0] < _FAR, here[1] < _FAR
    # Around the other cook, or up to it, or out of the way.
    field = jnp.where(can, 0, jnp.where(could, 1, jnp.where(here[2] < _FAR, 2, 3)))
    arrived = here[field] == 0
    steps = jnp.stack([_at(distances[field], kitchen.own, move) < here[field] for move in _MOVES])
    turns = jnp.stack([_shift(kitchen.own, move) & wanted for move in _MOVES]).any(axis=(1, 2))
    faces = (kitchen.facing & wanted).any()
    at_work = arrived & (can | could)
    moves = jnp.where(arrived, turns & at_work & ~faces, steps)
    acts = jnp.concatenate([moves, jnp.stack([~moves.any() & ~(at_work & faces), at_work & faces])])
    chance = jnp.where(can | ~could, _WANDER, _GIVE_WAY)
    return (1 - chance) * acts / acts.sum() + chance * _wander()


def _wander() -> Float[Array, "6"]:
    return jnp.array([*[1 / len(_MOVES)] * len(_MOVES), 0.0, 0.0], jnp.result_type(float))


def _distances(goals: Bool[Array, "fields height width"], passable: Bool[Array, "fields height width"]) -> Distances:
    """How many moves it takes from each cell to the nearest goal over passable cells; ``_FAR`` if there is no way."""
    start = jnp.where(goals, 0, _FAR)

    def one_further(carried: tuple[Distances, Array]) -> tuple[Distances, Array]:
        known, _ = carried
        nearest = jnp.stack([_shift(known, move, _FAR) for move in _MOVES]).min(axis=0) + 1
        following = jnp.where(passable, jnp.minimum(known, nearest), _FAR)
        return following, (following != known).any()

    return jax.lax.while_loop(lambda carried: carried[1], one_further, (start, jnp.ones((), bool)))[0]


def _room(kitchen: Kitchen) -> Cells:
    """The floor that the cook can get to if the other one lets it pass."""
    return (_distances(kitchen.own[None], kitchen.floor[None])[0] < _FAR) & kitchen.floor


def _grown(cells: Cells) -> Cells:
    """The cells beside the given ones."""
    return jnp.stack([_shift(cells, move) for move in _MOVES]).any(axis=0)


def _shift(
    array: Shaped[Array, "*fields height width"], move: tuple[int, int], fill: int = 0
) -> Shaped[Array, "*fields height width"]:
    """The array moved by (lines, columns); what comes in is ``fill``."""
    height, width = array.shape[-2:]
    line, column = move
    around = [(0, 0)] * (array.ndim - 2) + [(1, 1), (1, 1)]
    padded = jnp.pad(array, around, constant_values=fill)
    return padded[..., 1 - line : 1 - line + height, 1 - column : 1 - column + width]


def _at(distances: Int[Array, "height width"], own: Cells, move: tuple[int, int]) -> Int[Array, ""]:
    """The distance of the cell that a move leads to."""
    target = _shift(own, move)
    return jnp.where(target.any(), jnp.sum(distances * target), _FAR)


def _cook(decide: Callable[[Kitchen], Cells], name: str) -> JaxPolicy:
    def of_one(observation: UInt8[Array, "height width 26"]) -> Float[Array, "6"]:
        kitchen = look(observation)
        return go_for(kitchen, jnp.where(_has_everything(kitchen), decide(kitchen), share_work(kitchen)))

    def act(observations: UInt8[Array, "batch height width 26"]) -> Float[Array, "batch 6"]:
        return jax.vmap(of_one)(observations)

    act.__name__ = name
    return jax_policy(act)


def make_onion_carrier(environment: "Environment") -> JaxPolicy:
    """``scripted:onion-carrier``."""
    return _cook(carry_onions, "onion-carrier")


def make_plate_carrier(environment: "Environment") -> JaxPolicy:
    """``scripted:plate-carrier``."""
    return _cook(carry_plates, "plate-carrier")
