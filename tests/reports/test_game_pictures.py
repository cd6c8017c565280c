"""Pictures of STORM, kitchens and Hanabi: what is there is drawn, and nothing else changes."""

import types
from typing import Any

import numpy as np
import pytest
from PIL import ImageColor

import rpax
from rpax.environments.storm.grid import StormState
from rpax.reports import hanabi_picture, overcooked_picture, storm_picture
from rpax.reports.drawing import SEAT_COLOURS, Canvas, mixed, text_width

CELL, MARGIN = 72, 16


def storm(**given: Any) -> StormState:
    fields = {
        "position": ((0, 0), (4, 4)),
        "facing": (0, 2),
        "blue": (True, False, True, False),
        "coin": (True,) * 4,
        "inventory": ((0, 0), (0, 0)),
        "beam": (False, False),
        "frozen": 0,
        "time": 3,
    } | given
    return StormState(**{name: np.array(value) for name, value in fields.items()})


def shows(picture: np.ndarray, colour: str) -> int:
    """How many pixels have exactly this colour."""
    return int((picture == ImageColor.getrgb(colour)).all(axis=-1).sum())


def cell_of(picture: np.ndarray, x: int, y: int) -> np.ndarray:
    return picture[MARGIN + y * CELL : MARGIN + (y + 1) * CELL, MARGIN + x * CELL : MARGIN + (x + 1) * CELL]


def changed_cells(state: StormState, other: StormState) -> set[tuple[int, int]]:
    pictures = [storm_picture.draw_storm(s) for s in (state, other)]
    cells = [(x, y) for x in range(5) for y in range(5)]
    return {cell for cell in cells if not np.array_equal(*(cell_of(picture, *cell) for picture in pictures))}


def test_pictures_are_light_rgb_and_reproducible():
    picture = storm_picture.draw_storm(storm())
    assert picture.dtype == np.uint8
    assert picture.shape == (2 * MARGIN + 5 * CELL + 68, 2 * MARGIN + 5 * CELL, 3)
    assert tuple(picture[0, 0]) == (255, 255, 255)
    assert picture.mean() > 220
    np.testing.assert_array_equal(picture, storm_picture.draw_storm(storm()))


def test_storm_draws_agents_coins_and_beams_where_they_are():
    start = storm()
    picture = storm_picture.draw_storm(start)
    for seat, cell in ((0, (0, 0)), (1, (4, 4))):
        assert shows(cell_of(picture, *cell), SEAT_COLOURS[seat]) > 200
        assert not shows(cell_of(picture, *cell), SEAT_COLOURS[1 - seat])
    for cell, colour in (((1, 1), storm_picture.BLUE_COIN), ((3, 3), storm_picture.RED_COIN)):
        assert shows(cell_of(picture, *cell), colour) > 100
    assert changed_cells(start, start._replace(position=np.array(((2, 0), (4, 4))))) == {(0, 0), (2, 0)}
    assert changed_cells(start, start._replace(facing=np.array((1, 2)))) == {(0, 0)}
    assert changed_cells(start, start._replace(coin=np.array((True, True, False, True)))) == {(3, 1)}
    # Seat 1 fires to smaller y: two ahead, and beside the first cell where the grid ends and no coin lies.
    fired = start._replace(beam=np.array((False, True)), coin=np.array((True, True, True, True)))
    assert changed_cells(start, fired) == {(4, 3), (4, 2)}
    assert changed_cells(start._replace(coin=np.zeros(4, bool)), fired._replace(coin=np.zeros(4, bool))) == {
        *((4, 3), (4, 2)),
        (3, 3),
    }


def test_storm_shows_inventories_frozen_agents_and_the_marked_cell():
    start = storm()
    plain = storm_picture.draw_storm(start)
    below = 2 * MARGIN + 5 * CELL
    holding = storm_picture.draw_storm(start._replace(inventory=np.array(((2, 0), (0, 9)))))
    assert not np.array_equal(holding[below:], plain[below:])
    np.testing.assert_array_equal(holding[:below], plain[:below])
    assert changed_cells(start, start._replace(frozen=np.array(4))) == {(0, 0), (4, 4)}
    marked = rpax.make("storm/sabotage").render(start._replace(position=np.array(((2, 2), (4, 4)))))
    usual = rpax.make("storm").render(start._replace(position=np.array(((2, 2), (4, 4)))))
    assert not np.array_equal(cell_of(marked, 0, 0), cell_of(usual, 0, 0))
    np.testing.assert_array_equal(cell_of(marked, 2, 2), cell_of(usual, 2, 2))
    together = storm_picture.draw_storm(start._replace(position=np.array(((2, 2), (2, 2)))))
    assert all(shows(cell_of(together, 2, 2), colour) > 80 for colour in SEAT_COLOURS)


#: JaxMARL's numbers of objects.
FLOOR, WALL, ONION, ONIONS, PLATE, PLATES, GOAL, POT, DISH, AGENT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10


def kitchen(**given: Any) -> np.ndarray:
    """A small kitchen with every kind of tile, drawn."""
    kinds = [[ONIONS, POT, PLATES, GOAL], [WALL, AGENT, AGENT, WALL], [WALL, WALL, WALL, WALL]]
    grid = np.zeros((3, 4, 3), np.uint8)
    grid[..., 0] = kinds
    grid[0, 1, 2] = given.pop("pot", 23)
    for (line, column), thing in given.pop("things", {}).items():
        grid[line, column, 0] = thing
    arguments = {"position": ((1, 1), (2, 1)), "facing": (0, 1), "held": (FLOOR, FLOOR)} | given
    arrays = {name: np.array(value, np.uint8) for name, value in arguments.items()}
    return overcooked_picture.draw_overcooked(grid, **arrays, step=7)


def changed_tiles(picture: np.ndarray, other: np.ndarray) -> set[tuple[int, int]]:
    """(line, column) of the tiles that differ."""
    size, margin = 64, 14
    inside = [
        p[margin : margin + 3 * size, margin : margin + 4 * size].reshape(3, size, 4, size, 3) for p in (picture, other)
    ]
    return {tuple(tile) for tile in np.argwhere((inside[0] != inside[1]).any(axis=(1, 3, 4))).tolist()}


def test_overcooked_draws_what_lies_and_cooks_where_it_does():
    start = kitchen()
    assert start.shape == (3 * 64 + 2 * 14 + 26, 4 * 64 + 2 * 14, 3)
    pots = [kitchen(pot=status) for status in (23, 22, 21, 20, 12, 1, 0)]
    assert all(changed_tiles(start, pot) == {(0, 1)} for pot in pots[1:])
    assert len({pot.tobytes() for pot in pots}) == len(pots)
    lying = [kitchen(things={(2, 2): thing}) for thing in (WALL, ONION, PLATE, DISH)]
    assert all(changed_tiles(start, picture) == {(2, 2)} for picture in lying[1:])
    assert len({picture.tobytes() for picture in lying}) == 4


def test_overcooked_draws_cooks_where_they_look_and_what_they_hold():
    start = kitchen()
    for facing in (1, 2, 3):
        assert (1, 1) in changed_tiles(start, kitchen(facing=(facing, 1)))
        assert (1, 2) not in changed_tiles(start, kitchen(facing=(facing, 1))) or facing == 2
    held = [kitchen(held=(FLOOR, thing)) for thing in (FLOOR, ONION, PLATE, DISH)]
    assert len({picture.tobytes() for picture in held}) == 4
    assert all((1, 2) in changed_tiles(start, picture) for picture in held[1:])
    assert all(shows(start, colour) > 300 for colour in SEAT_COLOURS)


def test_overcooked_numbers_are_those_of_jaxmarl():
    from rpax.environments.jaxmarl.load import load

    names = load("overcooked.common", "overcooked/cramped_room").OBJECT_TO_INDEX
    kinds = {names[name]: name for name in names}
    drawn = overcooked_picture._KINDS
    stations = {
        "onion_pile": "pile",
        "plate_pile": "plates",
        "goal": "goal",
        "pot": "pot",
        "empty": "floor",
        "wall": "counter",
    }
    assert {kinds[number]: drawn[number] for number in drawn if kinds[number] in stations} == stations
    items = overcooked_picture._ITEMS
    assert items[names["plate"]].plated
    assert items[names["onion"]].ingredients == (0,)
    assert items[names["dish"]].cooked
    module = load("overcooked.overcooked", "overcooked/cramped_room")
    assert (module.POT_EMPTY_STATUS, module.POT_FULL_STATUS) == (23, 20)


def test_overcooked_v2_reads_jaxmarls_bits():
    # Two bits count each ingredient above the bits for plate and cooked: onion, two of the second, on a plate.
    item = overcooked_picture._item_v2(0b1 | 0b10 | (1 << 2) | (2 << 4))
    assert item == overcooked_picture.Item((0, 1, 1), plated=True, cooked=True)
    assert overcooked_picture._item_v2(0).nothing
    tile = overcooked_picture._tile_v2
    assert tile([11, 0, 0], item).pile == 1
    assert tile([5, 3 << 2, 9], item).left == 9
    assert tile([5, 1 << 2, 0], item).left is None
    assert tile([5, (3 << 2) | 2, 0], item).left == 0
    assert tile([6, 0, 0], item).item == item
    assert tile([7, 0, 0], item).item.nothing


def test_overcooked_v2_draws_a_kitchen():
    grid = np.zeros((2, 3, 3), int)
    grid[0] = [(10, 0, 0), (5, 1 << 2, 0), (6, 0, 0)]
    position = types.SimpleNamespace(x=np.array([0, 2]), y=np.array([1, 1]))
    agents = types.SimpleNamespace(pos=position, dir=np.array([0, 2]), inventory=np.array([0, 1]))
    game = types.SimpleNamespace(grid=grid, recipe=np.array(3 << 2), agents=agents, step=np.array(4))
    picture = overcooked_picture.draw_overcooked_v2(game)
    assert picture.shape == (2 * 64 + 2 * 14 + 26, 3 * 64 + 2 * 14, 3)
    assert all(shows(picture, colour) > 300 for colour in SEAT_COLOURS)
    game.recipe = np.array((1 << 2) | (2 << 4))
    assert not np.array_equal(picture, overcooked_picture.draw_overcooked_v2(game))


def hanabi(**given: Any) -> Any:
    """Both hold three of the nine cards of three colours, in order."""
    cards = np.eye(9).reshape(9, 3, 3)
    fields = {
        "player_hands": np.stack([cards[:3], cards[3:6]]),
        "fireworks": np.zeros((3, 3)),
        "info_tokens": np.ones(8),
        "life_tokens": np.ones(3),
        "deck": np.concatenate([np.zeros((6, 3, 3)), cards[:4]]),
        "discard_pile": np.zeros((10, 3, 3)),
        "colors_revealed": np.zeros((2, 3, 3)),
        "ranks_revealed": np.zeros((2, 3, 3)),
        "cur_player_idx": np.array([1.0, 0.0]),
        "terminal": np.array(False),
        "score": np.array(0),
    }
    return types.SimpleNamespace(**(fields | given))


def test_hanabi_draws_everything_that_can_change():
    letters = ("R", "Y", "G")
    played = np.zeros((3, 3))
    played[1, :2] = 1
    thrown = np.zeros((10, 3, 3))
    thrown[0, 2, 2] = 1
    told = np.zeros((2, 3, 3))
    told[0, 1, 0] = 1
    empty = hanabi().player_hands.copy()
    empty[1, 2] = 0
    changes: dict[str, dict[str, Any]] = {
        "nothing": {},
        "fireworks": {"fireworks": played},
        "tokens": {"info_tokens": np.arange(8) < 5},
        "lives": {"life_tokens": np.arange(3) < 1},
        "deck": {"deck": np.zeros((10, 3, 3))},
        "discards": {"discard_pile": thrown},
        "colour told": {"colors_revealed": told},
        "rank told": {"ranks_revealed": told},
        "turn": {"cur_player_idx": np.array([0.0, 1.0])},
        "the end": {"terminal": np.array(True)},
        "score": {"score": np.array(2)},
        "a missing card": {"player_hands": empty},
    }
    pictures = {what: hanabi_picture.draw_hanabi(hanabi(**change), letters) for what, change in changes.items()}
    assert len({picture.tobytes() for picture in pictures.values()}) == len(pictures)
    assert len({picture.shape for picture in pictures.values()}) == 1
    assert all(picture.mean() > 220 for picture in pictures.values())


def test_canvases_draw_what_they_are_told():
    canvas = Canvas(40, 30)
    canvas.rectangle((10, 5), (20, 10), "#FF0000")
    picture = canvas.picture()
    assert picture.shape == (30, 40, 3)
    red = (picture == (255, 0, 0)).all(axis=-1)
    assert set(zip(*np.nonzero(red), strict=True)) == {(y, x) for y in range(5, 15) for x in range(10, 30)}
    inner = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    canvas.paste(inner, (3, 2))
    np.testing.assert_array_equal(canvas.picture()[2:9, 3:12], inner)


def test_colours_mix_and_text_has_a_width():
    assert mixed("#000000", "#FFFFFF", 0.0) == "#000000"
    assert mixed("#000000", "#FF00FF", 1.0) == "#FF00FF"
    assert mixed("#000000", "#C86400", 0.5) == "#643200"
    assert text_width("mm", 12) == pytest.approx(2 * text_width("m", 12))
    assert text_width("m", 24) == pytest.approx(2 * text_width("m", 12), rel=0.05)
