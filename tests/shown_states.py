"""What a page must show of a state, told from the environments' own fields and independently of rpax.recordings."""

import functools
from typing import Any

import jax
import numpy as np
from jaxmarl.environments.overcooked.common import OBJECT_TO_INDEX
from jaxmarl.environments.overcooked.overcooked import POT_EMPTY_STATUS, POT_FULL_STATUS, POT_READY_STATUS
from jaxmarl.environments.overcooked_v2.common import DynamicObject, StaticObject

from rpax.evaluation.episodes import Episode

_NAMES = {number: name for name, number in OBJECT_TO_INDEX.items()}
_NOTHING = {"ingredients": [], "plated": False, "cooked": False}
_ONION = {"ingredients": [0], "plated": False, "cooked": False}
_PLATE = {"ingredients": [], "plated": True, "cooked": False}
_SOUP = {"ingredients": [0, 0, 0], "plated": True, "cooked": True}
_CARRIED = {"empty": _NOTHING, "wall": _NOTHING, "onion": _ONION, "plate": _PLATE, "dish": _SOUP}
#: How long soups cook in both versions.
_COOK_TIME = 20
#: STORM's grid, and where its coins lie.
_SIZE, _COINS = 5, [[1, 1], [1, 3], [3, 1], [3, 3]]


def overcooked(environment: Any, state: Any) -> dict[str, Any]:
    """From JaxMARL's own state."""
    game = _unpacking(environment)(state)
    padding = (np.asarray(game.maze_map).shape[0] - environment.game.height) // 2
    grid = np.asarray(game.maze_map)[padding : padding + environment.game.height]
    grid = grid[:, padding : padding + environment.game.width]
    cooks = [
        {"cell": cell, "facing": facing, "held": _CARRIED[_NAMES[held]]}
        for cell, facing, held in zip(
            np.asarray(game.agent_pos).tolist(),
            np.asarray(game.agent_dir_idx).tolist(),
            np.asarray(game.agent_inv).tolist(),
            strict=True,
        )
    ]
    tiles = [[_tile(_NAMES[int(kind)], int(status)) for kind, _, status in line] for line in grid]
    return {"cookTime": POT_FULL_STATUS, "tiles": tiles, "cooks": cooks}


@functools.cache
def _unpacking(environment: Any) -> Any:
    return jax.jit(environment.unpack)


def _tile(name: str, status: int) -> dict[str, Any]:
    if name in ("empty", "agent"):
        return {"kind": "floor"}
    if name == "onion_pile":
        return {"kind": "pile", "pile": 0}
    if name in ("plate_pile", "goal"):
        return {"kind": "plates" if name == "plate_pile" else "goal"}
    if name != "pot":
        return {"kind": "counter", "item": _CARRIED[name]}
    onions = 3 if status <= POT_FULL_STATUS else POT_EMPTY_STATUS - status
    item = {"ingredients": [0] * onions, "plated": False, "cooked": status == POT_READY_STATUS}
    return {"kind": "pot", "item": item, "left": status if status <= POT_FULL_STATUS else None}


def overcooked_v2(environment: Any, state: Any) -> dict[str, Any]:
    """From JaxMARL's own state."""
    game = state.game
    agents = game.agents
    columns, lines, facings = (np.asarray(each).tolist() for each in (agents.pos.x, agents.pos.y, agents.dir))
    cooks = [
        {"cell": [x, y], "facing": facing, "held": _item_v2(int(held))}
        for x, y, facing, held in zip(columns, lines, facings, np.asarray(agents.inventory), strict=True)
    ]
    recipe = _item_v2(int(game.recipe))
    tiles = [[_tile_v2([int(part) for part in cell], recipe) for cell in line] for line in np.asarray(game.grid)]
    return {"cookTime": _COOK_TIME, "tiles": tiles, "cooks": cooks}


def _item_v2(bits: int) -> dict[str, Any]:
    ingredients = []
    for number in range(10):
        one = int(DynamicObject.ingredient(number))
        ingredients += [number] * (bits // one % 4)
    cooked, plated = (bool(bits & int(flag)) for flag in (DynamicObject.COOKED, DynamicObject.PLATE))
    return {"ingredients": ingredients, "plated": plated, "cooked": cooked}


def _tile_v2(cell: list[int], recipe: dict[str, Any]) -> dict[str, Any]:
    static, dynamic, extra = cell
    if static >= StaticObject.INGREDIENT_PILE_BASE:
        return {"kind": "pile", "pile": static - StaticObject.INGREDIENT_PILE_BASE}
    if static == StaticObject.WALL:
        return {"kind": "counter", "item": _item_v2(dynamic)}
    if static == StaticObject.POT:
        item = _item_v2(dynamic)
        return {"kind": "pot", "item": item, "left": 0 if item["cooked"] else extra if extra else None}
    if static == StaticObject.RECIPE_INDICATOR:
        return {"kind": "recipe", "item": recipe}
    if static == StaticObject.BUTTON_RECIPE_INDICATOR:
        return {"kind": "button", "item": recipe if extra else None}
    return {"kind": {StaticObject.GOAL: "goal", StaticObject.PLATE_PILE: "plates"}.get(StaticObject(static), "floor")}


def storm(environment: Any, state: Any) -> dict[str, Any]:
    """From the state's own fields. A beam reaches two cells ahead, and those to the left and right of the first."""
    position, inventory = np.asarray(state.position).tolist(), np.asarray(state.inventory).tolist()
    agents = [
        {
            "cell": position[seat],
            "facing": int(state.facing[seat]),
            "coins": {"red": inventory[seat][0], "blue": inventory[seat][1]},
            "beam": bool(state.beam[seat]),
        }
        for seat in (0, 1)
    ]
    coins = [
        {"cell": cell, "colour": "blue" if blue else "red"}
        for cell, blue, lies in zip(_COINS, state.blue, state.coin, strict=True)
        if lies
    ]
    # Complex numbers: seen with y down, facing 0 looks along i, and each turn to the left is one by −i.
    reached = [
        complex(*position[seat]) + 1j * (-1j) ** int(state.facing[seat]) * far
        for seat in (0, 1)
        for far in (1, 2, 1 + 1j, 1 - 1j)
        if state.beam[seat]
    ]
    cells = {(round(cell.real), round(cell.imag)) for cell in reached}
    lit = {(x, y) for x, y in cells if 0 <= x < _SIZE and 0 <= y < _SIZE}
    lit -= {tuple(cell) for cell in position} | {tuple(coin["cell"]) for coin in coins}
    return {
        "size": _SIZE,
        "freeze": environment.rules.freeze,
        "marked": [0, 0] if environment.rules.sabotage else None,
        "agents": agents,
        "coins": coins,
        "lit": [list(cell) for cell in sorted(lit)],
        "frozen": int(state.frozen),
    }


def hanabi(environment: Any, state: Any) -> dict[str, Any]:
    """From JaxMARL's own state and the last action's name."""
    game, inner = state.game, environment.game
    colours, ranks = inner.num_colors, inner.num_ranks
    hands = [[_place(game, seat, place) for place in range(inner.hand_size)] for seat in (0, 1)]
    discards = [[0] * ranks for _ in range(colours)]
    for _, colour, rank in np.argwhere(np.asarray(game.discard_pile) > 0).tolist():
        discards[colour][rank] += 1
    words = environment.spaces[0].name_of(int(state.action)).split()
    verb = {"discard": "discards card", "play": "plays card", "hint": "hints"}.get(words[0])
    return {
        "letters": list(inner.color_map),
        "ranks": ranks,
        "most": colours * ranks,
        "hints": int(np.asarray(game.info_tokens).sum()),
        "mostHints": inner.max_info_tokens,
        "lives": int(np.asarray(game.life_tokens).sum()),
        "mostLives": inner.max_life_tokens,
        "deck": sum(bool(card.any()) for card in np.asarray(game.deck)),
        "fireworks": [int(np.asarray(game.fireworks)[colour].sum()) for colour in range(colours)],
        "discards": discards,
        "score": int(game.score),
        "turn": next(seat for seat in (0, 1) if np.asarray(game.cur_player_idx)[seat]),
        "over": bool(game.terminal),
        "hands": hands,
        "last": None if words[0] == "wait" else f"{verb} {words[1]}",
    }


def _place(game: Any, seat: int, place: int) -> dict[str, Any]:
    found = np.argwhere(np.asarray(game.player_hands)[seat, place] > 0).tolist()
    colours = np.flatnonzero(np.asarray(game.colors_revealed)[seat, place]).tolist()
    ranks = [rank + 1 for rank in np.flatnonzero(np.asarray(game.ranks_revealed)[seat, place]).tolist()]
    card = {"colour": found[0][0], "rank": found[0][1] + 1} if found else None
    return {"card": card, "told": {"colours": colours, "ranks": ranks}}


def table(environment: Any, episode: Episode, t: int) -> dict[str, Any]:
    """From the table and the moves; the state is followed through ``next_state``, as a finished game's is lost."""
    path, payoffs, following = [0], environment.payoffs, environment.next_state
    for row, column in episode.actions[:t].tolist():
        path.append(int(following[path[-1], row, column]))
    ended = path[-1] == -1
    shown = path[-2] if ended else path[-1]
    last = episode.actions[t - 1].tolist() if t else None
    return {
        "state": shown,
        "states": len(payoffs),
        "actions": [[space.name_of(a) for a in range(space.num_actions)] for space in environment.spaces],
        "payoffs": payoffs[shown].tolist(),
        "next": following[shown].tolist(),
        "common": bool((payoffs[shown][..., 0] == payoffs[shown][..., 1]).all()),
        "ended": ended,
        "played": last if ended else None,
        "last": None if last is None else {"state": path[-2], "actions": last},
    }
