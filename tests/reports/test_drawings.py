"""Payoff tables, learning curves and policies over time."""

from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rpax
from rpax.environments.tabular_game import TabularState
from rpax.errors import InputError
from rpax.reports.curves import _spread, draw_learning_curves, draw_policies_over_time
from rpax.reports.figure_style import seed_band, signed
from rpax.reports.payoff_table import draw_payoff_table

GAMES = ["matrix/figure-2", "matrix/figure-13", "matrix/figure-14", "matrix/figure-17", "extensive/g1", "extensive/g2"]
UPDATES = np.arange(0, 100, 10)
CURVES = {
    "victim × adversary": np.linspace(0, 1, 30).reshape(3, 10),
    "adversary × manipulator": np.linspace(1, 0, 10)[None],
}
POLICIES = {"victim, seat 0": np.full((2, 10, 2), 0.5), "adversary, seat 1": np.full((2, 10, 3), 1 / 3)}
ACTIONS = {"victim, seat 0": "AB", "adversary, seat 1": ["C", "D", "E"]}


@pytest.mark.parametrize("name", GAMES)
def test_payoff_tables_are_rgb_pictures(name):
    game = rpax.make(name)
    for state in {0, game.num_states - 1}:
        picture = draw_payoff_table(game, state)
        assert picture.dtype == np.uint8
        assert picture.shape[2:] == (3,)
        assert min(picture.shape[:2]) > 100
        assert tuple(picture[0, 0]) == (255, 255, 255)
        np.testing.assert_array_equal(picture, draw_payoff_table(game, state))


def test_games_draw_themselves():
    game = rpax.make("extensive/g1")
    np.testing.assert_array_equal(game.render(TabularState(np.array(3))), draw_payoff_table(game, 3))


def test_states_have_tables_of_their_own():
    game = rpax.make("extensive/g2")
    pictures = {draw_payoff_table(game, state).tobytes() for state in range(5)}
    assert len(pictures) == 5


def test_good_cells_are_tinted_blue_and_bad_ones_orange():
    # figure-2 has two cells of 1, two of 0 and two of −1.
    picture = draw_payoff_table(rpax.make("matrix/figure-2"), 0)
    blue, orange = (np.all(picture == colour, axis=-1).sum() for colour in ([214, 232, 245], [250, 222, 208]))
    assert blue > 0.1 * picture.shape[0] * picture.shape[1]
    assert orange == pytest.approx(blue, rel=0.1)
    zero_sum = draw_payoff_table(rpax.make("matrix/figure-17"), 0)
    assert not np.any(np.all(zero_sum == [214, 232, 245], axis=-1))


def test_common_payoffs_are_written_once():
    common = rpax.make("matrix/custom", payoffs=[[1, 2], [3, 4]])
    different = rpax.make("matrix/custom", payoffs=[[[1, 2], [3, 4]], [[1, 2], [3, 5]]])
    ink = [np.sum(draw_payoff_table(game, 0).min(axis=-1) < 120) for game in (common, different)]
    assert ink[1] > 1.2 * ink[0]


def test_large_tables_stay_small_pictures():
    game = rpax.make("matrix/custom", payoffs=np.arange(120 * 80.0).reshape(120, 80))
    assert max(draw_payoff_table(game, 0).shape) <= 1401


@pytest.mark.parametrize("state", [-1, 1, 7])
def test_states_that_do_not_exist(state):
    with pytest.raises(InputError, match=f"game 'matrix/figure-2' has no state {state}; give one of 0 … 0"):
        draw_payoff_table(rpax.make("matrix/figure-2"), state)


def draw_curves(path, updates=UPDATES, curves=CURVES, **options):
    draw_learning_curves(path, updates, curves, **{"title": "at-rpg", "y_label": "return", **options})


def draw_policies(path, updates=UPDATES, policies=POLICIES, names=ACTIONS):
    draw_policies_over_time(path, updates, policies, names, title="at-rpg")


@pytest.mark.parametrize("draw", [draw_curves, draw_policies])
def test_figures_are_what_their_suffix_says_and_reproducible(tmp_path, draw):
    for name in ("a.png", "b.png", "a.svg", "b.svg"):
        draw(tmp_path / name)
    assert matplotlib.image.imread(tmp_path / "a.png").ndim == 3
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    for kind in ("png", "svg"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


@pytest.mark.parametrize("draw", [draw_curves, draw_policies])
@pytest.mark.parametrize("file", ["a.jpg", "a", "missing/a.png"])
def test_figures_that_cannot_be_written(tmp_path, draw, file):
    with pytest.raises(InputError, match=r"end its name in \.png or \.svg|there is no folder"):
        draw(tmp_path / file)
    assert not list(tmp_path.iterdir())


def test_curves_of_unusual_content(tmp_path):
    broken = np.array([[0, np.nan, np.inf] + [1] * 7, [np.nan] * 10])
    many = {f"base_{i} × $base_{j}": CURVES["victim × adversary"] + i for i in range(6) for j in range(6)}
    draw_curves(tmp_path / "broken.png", curves={"broken": broken, "nothing": np.full((2, 10), np.nan)})
    draw_curves(tmp_path / "many.png", curves=many, reference={"paper": 0.5, "value": 1.0}, title="100 $")
    draw_curves(tmp_path / "one.png", UPDATES[:1], {"one row": np.ones((3, 1))})
    wide, narrow = (matplotlib.image.imread(tmp_path / f"{name}.png").shape[1] for name in ("many", "one"))
    assert wide > 1.2 * narrow


def test_policies_of_unusual_content(tmp_path):
    draw_policies(tmp_path / "one.png", UPDATES[:1], {"a": np.full((1, 1, 2), np.nan)}, {"a": ["$", "_"]})
    panels = {f"base_{i}": np.full((1, 10, 9), 1 / 9) for i in range(5)}
    draw_policies(tmp_path / "many.png", policies=panels, names=dict.fromkeys(panels, "abcdefghi"))
    one, many = (matplotlib.image.imread(tmp_path / f"{name}.png").shape for name in ("one", "many"))
    assert many[0] > one[0]
    assert many[1] > one[1]


@pytest.mark.parametrize(
    ("draw", "parts"),
    [
        (lambda path: draw_curves(path, curves={}), ("there is no curve to draw", "give at least one")),
        (
            lambda path: draw_curves(path, curves={"x": np.ones((3, 9))}),
            ("curve 'x' has shape (3, 9)", "give [seeds, rows] with 10 rows"),
        ),
        (lambda path: draw_curves(path, curves={"x": np.ones((0, 10))}), ("curve 'x' has shape (0, 10)", "give")),
        (lambda path: draw_policies(path, policies={}), ("there is no policy to draw", "give at least one")),
        (
            lambda path: draw_policies(path, policies={"victim, seat 0": np.ones((1, 4, 2))}),
            ("policy 'victim, seat 0' has shape (1, 4, 2)", "give [seeds, rows, actions] with 10 rows"),
        ),
        (
            lambda path: draw_policies(path, names={"victim, seat 0": "AB", "adversary, seat 1": "CD"}),
            ("policy 'adversary, seat 1' has 3 actions but 2 action names", "give one name an action"),
        ),
        (
            lambda path: draw_policies(path, names={"victim, seat 0": "AB"}),
            ("policy 'adversary, seat 1' has 3 actions but 0 action names", "give one name an action"),
        ),
    ],
)
def test_content_that_cannot_be_drawn(tmp_path, draw, parts):
    with pytest.raises(InputError) as caught:
        draw(tmp_path / "figure.png")
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_bands_reach_from_the_lowest_to_the_highest_seed():
    values = np.array([[0.0, 1.0, np.nan, np.nan], [4.0, 3.0, 5.0, np.inf]])
    mean, low, high = seed_band(values)
    np.testing.assert_array_equal(mean, [2, 2, 5, np.nan])
    np.testing.assert_array_equal(low, [0, 1, 5, np.nan])
    np.testing.assert_array_equal(high, [4, 3, 5, np.nan])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(deadline=None)
def test_names_at_the_ends_of_lines_are_spread(heights):
    heights = np.array(heights)
    placed = _spread(heights, apart=0.1)
    order = np.argsort(heights, kind="stable")
    assert np.all(np.diff(placed[order]) >= 0.1 - 1e-9)
    assert placed.mean() == pytest.approx(heights.mean(), abs=1e-9)
    if np.all(np.diff(heights[order]) >= 0.1):
        np.testing.assert_allclose(placed, heights, atol=1e-12)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "+1"), (-0.25, "−0.25"), (-1 / 12, "−0.0833"), (1234.5, "+1234"), (-1e-9, "−1e−09"), (2.5e7, "+2.5e+07")],
)
def test_weights_show_their_sign(value, text):
    assert signed(value) == text
