"""Pictures of kitchens: Overcooked and OvercookedV2, from JaxMARL's states."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Integer, UInt8

from rpax.reports.drawing import FAINT, INK, MUTED, SEAT_COLOURS, Canvas, mixed

_CELL, _MARGIN, _LINE = 64, 14, 26
#: Facing 0 up, 1 down, 2 right, 3 left, as (across, down).
_STEPS = ((0, -1), (0, 1), (1, 0), (-1, 0))
#: Ingredients by number; the first is the onion.
INGREDIENTS = ("#E9B949", "#D9534A", "#6AA84F", "#8E6BB3", "#E58E4B")
FLOOR_TILE, COUNTER, PLATE, POT, GOAL = "#F4EFE6", "#CDB79A", "#FFFFFF", "#5B6470", "#BFE3C8"
_READY, _COOKING = "#2E9E5B", "#E08A2E"


class Item(NamedTuple):
    """What a cell or a cook holds: ingredients by number, on a plate or not, cooked or not."""

    ingredients: tuple[int, ...] = ()
    plated: bool = False
    cooked: bool = False

    @property
    def nothing(self) -> bool:
        """Whether there is nothing."""
        return not self.ingredients and not self.plated


class Tile(NamedTuple):
    """One cell.

    Attributes:
        kind: ``floor``, ``counter``, ``pile`` (of ``pile``), ``plates``, ``pot``, ``goal`` or ``recipe``.
        item: what lies there, cooks there, or what the recipe is.
        pile: the ingredient that is stored there.
        left: in a pot, the steps until the soup is done; 0 when it is done, ``None`` while it is not cooking.
    """

    kind: str
    item: Item = Item()
    pile: int = 0
    left: int | None = None


class Cook(NamedTuple):
    """An agent: its cell (column, line), the direction it faces, what it holds."""

    cell: tuple[int, int]
    facing: int
    held: Item


class Kitchen(NamedTuple):
    """Everything to be drawn; ``tiles[line][column]``."""

    tiles: list[list[Tile]]
    cooks: list[Cook]
    step: int


#: JaxMARL's numbers of objects in the first version of the game.
_FLOOR, _ONION, _PLATE, _DISH, _AGENT = 1, 3, 5, 9, 10
_KINDS = {1: "floor", 2: "counter", 3: "counter", 4: "pile", 5: "counter", 6: "plates", 7: "goal", 8: "pot"}
_KINDS |= {9: "counter", 10: "floor"}
_ITEMS = {_ONION: Item((0,)), _PLATE: Item(plated=True), _DISH: Item((0, 0, 0), plated=True, cooked=True)}
#: A pot's status: 23 is empty, 20 holds three onions and starts to cook, 0 is ready.
_EMPTY_POT, _FULL_POT = 23, 20
_COOK_TIME = 20


def draw_overcooked(
    grid: Integer[np.ndarray, "height width 3"],
    position: Integer[np.ndarray, "2 2"],
    facing: Integer[np.ndarray, "2"],
    held: Integer[np.ndarray, "2"],
    step: int,
) -> UInt8[np.ndarray, "pixels_down pixels_across 3"]:
    """One state of Overcooked, in JaxMARL's numbers.

    Args:
        grid: object, colour and status of each cell, without padding.
        position: (column, line) of each seat's cook.
        facing: 0 up, 1 down, 2 right, 3 left.
        held: the object that each cook holds.
        step: how many steps the episode has lasted.
    """
    tiles = [[_tile(int(kind), int(status)) for kind, _, status in line] for line in grid]
    cooks = [
        Cook((int(x), int(y)), int(direction), _ITEMS.get(int(thing), Item()))
        for (x, y), direction, thing in zip(position, facing, held, strict=True)
    ]
    return draw_kitchen(Kitchen(tiles, cooks, step))


def _tile(kind: int, status: int) -> Tile:
    if _KINDS.get(kind) != "pot":
        return Tile(_KINDS.get(kind, "counter"), _ITEMS.get(kind, Item()))
    onions = (0,) * min(_EMPTY_POT - status, 3)
    # A full pot starts to cook by itself.
    return Tile("pot", Item(onions, cooked=status == 0), left=status if status <= _FULL_POT else None)


def draw_overcooked_v2(game: Any) -> UInt8[np.ndarray, "pixels_down pixels_across 3"]:
    """One state of OvercookedV2, JaxMARL's own ``State``. Indicators show the recipe in its ingredients."""
    grid, recipe = np.asarray(game.grid), _item_v2(int(game.recipe))
    tiles = [[_tile_v2([int(value) for value in cell], recipe) for cell in line] for line in grid]
    agents = game.agents
    columns, lines = np.asarray(agents.pos.x), np.asarray(agents.pos.y)
    cooks = [
        Cook((int(x), int(y)), int(direction), _item_v2(int(thing)))
        for x, y, direction, thing in zip(
            columns, lines, np.asarray(agents.dir), np.asarray(agents.inventory), strict=True
        )
    ]
    return draw_kitchen(Kitchen(tiles, cooks, int(game.step)))


def _item_v2(bits: int) -> Item:
    """Bit 0 is a plate, bit 1 says cooked, then two bits count each ingredient."""
    ingredients, rest, number = [], bits >> 2, 0
    while rest:
        ingredients += [number] * (rest & 3)
        rest, number = rest >> 2, number + 1
    return Item(tuple(ingredients), plated=bool(bits & 1), cooked=bool(bits & 2))


def _tile_v2(cell: list[int], recipe: Item) -> Tile:
    static, dynamic, extra = cell
    item = _item_v2(dynamic)
    if static >= 10:
        return Tile("pile", pile=static - 10)
    if static == 5:
        return Tile("pot", item, left=0 if item.cooked else extra or None)
    # A button shows the recipe for a while after it was pressed.
    if static == 6 or (static == 7 and extra > 0):
        return Tile("recipe", recipe)
    kinds = {0: "floor", 1: "counter", 2: "floor", 3: "floor", 4: "goal", 7: "recipe", 9: "plates"}
    return Tile(kinds.get(static, "counter"), item)


def draw_kitchen(kitchen: Kitchen) -> UInt8[np.ndarray, "pixels_down pixels_across 3"]:
    """Draw a kitchen: cooks in their seats' colours, with what they hold before them."""
    lines, columns = len(kitchen.tiles), len(kitchen.tiles[0])
    canvas = Canvas(columns * _CELL + 2 * _MARGIN, lines * _CELL + 2 * _MARGIN + _LINE)
    for line, row in enumerate(kitchen.tiles):
        for column, tile in enumerate(row):
            _draw_tile(canvas, (_MARGIN + column * _CELL, _MARGIN + line * _CELL), tile)
    for seat, cook in enumerate(kitchen.cooks):
        _draw_cook(canvas, cook, SEAT_COLOURS[seat])
    y = lines * _CELL + 2 * _MARGIN + _LINE / 2 - 4
    for seat in range(len(kitchen.cooks)):
        canvas.disc((_MARGIN + 8 + 80 * seat, y), 7, SEAT_COLOURS[seat])
        canvas.text((_MARGIN + 20 + 80 * seat, y), f"seat {seat}", 13, colour=SEAT_COLOURS[seat], bold=True)
    canvas.text((columns * _CELL + _MARGIN, y), f"step {kitchen.step}", 13, colour=MUTED, anchor="rm")
    return canvas.picture()


def _draw_tile(canvas: Canvas, corner: tuple[float, float], tile: Tile) -> None:
    x, y = corner
    centre = (x + _CELL / 2, y + _CELL / 2)
    if tile.kind == "floor":
        canvas.rectangle(corner, (_CELL, _CELL), FLOOR_TILE, edge=mixed(FLOOR_TILE, INK, 0.06))
        return
    fill = GOAL if tile.kind == "goal" else COUNTER
    canvas.rectangle((x + 0.5, y + 0.5), (_CELL - 1, _CELL - 1), fill, edge=mixed(fill, INK, 0.25), radius=4)
    canvas.rectangle((x + 4, y + 4), (_CELL - 8, _CELL - 8), mixed(fill, "#FFFFFF", 0.18), radius=3)
    if tile.kind == "goal":
        canvas.text((centre[0], centre[1]), "serve", 14, colour=mixed(_READY, INK, 0.35), anchor="mm", bold=True)
    elif tile.kind == "pile":
        for across, down in ((-11, 8), (11, 8), (0, -9)):
            _ingredient(canvas, (centre[0] + across, centre[1] + down), tile.pile, 10)
    elif tile.kind == "plates":
        for lift in (8, 0, -8):
            _plate(canvas, (centre[0], centre[1] + lift), 17)
    elif tile.kind == "pot":
        _pot(canvas, centre, tile)
    elif tile.kind == "recipe":
        canvas.rectangle((x + 9, y + 12), (_CELL - 18, _CELL - 24), "#FFFDF5", edge=MUTED, radius=3)
        for number, ingredient in enumerate(tile.item.ingredients):
            _ingredient(canvas, (centre[0] - 14 + 14 * number, centre[1]), ingredient, 6)
        if not tile.item.ingredients:
            canvas.text(centre, "?", 18, colour=MUTED, anchor="mm", bold=True)
    else:
        _draw_item(canvas, centre, tile.item, 1.0)


def _pot(canvas: Canvas, centre: tuple[float, float], tile: Tile) -> None:
    x, y = centre
    canvas.rectangle((x - 25, y - 5), (50, 8), mixed(POT, INK, 0.3), radius=3)
    canvas.disc(centre, 20, POT, edge=mixed(POT, INK, 0.5), line=2)
    canvas.disc(centre, 15, mixed(POT, INK, 0.4))
    if tile.left is not None:
        done = 1 - tile.left / _COOK_TIME
        canvas.disc(centre, 15, _READY if tile.left == 0 else mixed(_COOKING, "#FFFFFF", 0.25))
        if tile.left:
            canvas.sector(centre, 15, done, _COOKING)
        label = "ready" if tile.left == 0 else str(tile.left)
        canvas.text(centre, label, 9.5 if tile.left == 0 else 14, colour="#FFFFFF", anchor="mm", bold=True)
        spots, size = ((-18, -20), (0, -24), (18, -20)), 5.0
    else:
        spots, size = ((-6.5, 4), (6.5, 4), (0, -6.5)), 6.0
    for (across, down), ingredient in zip(spots, tile.item.ingredients, strict=False):
        _ingredient(canvas, (x + across, y + down), ingredient, size)


def _plate(canvas: Canvas, centre: tuple[float, float], radius: float) -> None:
    canvas.disc(centre, radius, PLATE, edge=mixed(PLATE, INK, 0.45), line=1.2)
    canvas.disc(centre, radius * 0.62, mixed(PLATE, INK, 0.06), edge=mixed(PLATE, INK, 0.18))


def _ingredient(canvas: Canvas, centre: tuple[float, float], number: int, radius: float) -> None:
    colour = INGREDIENTS[number % len(INGREDIENTS)]
    x, y = centre
    canvas.stroke([(x, y - radius * 0.7), (x + radius * 0.3, y - radius * 1.35)], mixed(colour, "#2E7D32", 0.7), 2)
    canvas.disc(centre, radius, colour, edge=mixed(colour, INK, 0.45), line=1.2)
    canvas.disc((x - radius * 0.3, y - radius * 0.3), radius * 0.28, mixed(colour, "#FFFFFF", 0.6))


def _draw_item(canvas: Canvas, centre: tuple[float, float], item: Item, scale: float) -> None:
    if item.nothing:
        return
    x, y = centre
    if item.plated:
        _plate(canvas, centre, 17 * scale)
        if item.cooked:
            canvas.disc(centre, 10.5 * scale, _COOKING, edge=mixed(_COOKING, INK, 0.3))
    spots = ((0.0, 0.0),) if len(item.ingredients) == 1 else ((-5.0, 3.0), (5.0, 3.0), (0.0, -5.0))
    size = 10.0 if len(item.ingredients) == 1 and not item.plated else 4.5
    for (across, down), ingredient in zip(spots, item.ingredients, strict=False):
        _ingredient(canvas, (x + across * scale, y + down * scale), ingredient, size * scale)


def _draw_cook(canvas: Canvas, cook: Cook, colour: str) -> None:
    x = _MARGIN + (cook.cell[0] + 0.5) * _CELL
    y = _MARGIN + (cook.cell[1] + 0.5) * _CELL
    across, down = _STEPS[cook.facing]
    canvas.disc((x, y + 2), 23, mixed(FLOOR_TILE, INK, 0.12))
    canvas.disc((x, y), 22, colour, edge=mixed(colour, INK, 0.4), line=2)
    canvas.disc((x - 3 * across, y - 3 * down), 13, "#FFFFFF", edge=FAINT)
    for side in (-1, 1):
        eye = (x + across * 7 + side * down * 5, y + down * 7 + side * across * 5)
        canvas.disc(eye, 2.4, INK)
    canvas.arrow((x + across * 25, y + down * 25), 7, (across, down), colour, edge=mixed(colour, INK, 0.4))
    _draw_item(canvas, (x + across * 14, y + down * 14), cook.held, 0.8)
