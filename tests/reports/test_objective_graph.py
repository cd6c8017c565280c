"""The objective graph: what the terminal shows, that pictures are reproducible, and that labels stay legible."""

import io
import itertools
import os
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest
from rich.console import Console

from rpax.errors import InputError
from rpax.objectives import ALGORITHMS, Objective, ObjectiveEdge, algorithm
from rpax.reports.figure_style import NEGATIVE, POSITIVE
from rpax.reports.graph_layout import BOX_HEIGHT, place_boxes, place_labels, route_arrows
from rpax.reports.objective_graph import draw_objective_graph, graph_text

SINGLE = [name for name in ALGORITHMS if "sides" in ALGORITHMS[name].options]
VARIANTS = [
    *[(name, {}) for name in ALGORITHMS],
    *[(name, {"sides": "single"}) for name in SINGLE],
    ("at-rpg", {"sides": "single", "victim_self_play": 0.1}),
    ("paired-rpg", {"antagonist": "adversary"}),
    ("ad", {"population": 4}),
    ("ad-rpg", {"population": 3}),
    ("ad-rpg", {"population": 4}),
]
LIVELY = Objective(
    agents={"alice": "base", "bob": "base", "m1": "manipulator", "m2": "manipulator", "carol": "base", "dan": "fixed"},
    edges=[
        ObjectiveEdge("alice", "alice", "m1", 0.5),
        ObjectiveEdge("alice", "alice", "m2", 0.25, seats=(1,)),
        ObjectiveEdge("alice", "alice", "alice", 0.1, seats=(0,)),
        ObjectiveEdge("alice", "alice", "alice", 0.2, seats=(1,)),
        ObjectiveEdge("bob", "bob", "dan", 1234.5, seats=(0,)),
        ObjectiveEdge("bob", "bob", "dan", 1, seats=(1,)),
        ObjectiveEdge("bob", "carol", "bob", -1e-9),
        ObjectiveEdge("carol", "carol", "alice", 3),
        ObjectiveEdge("m1", "bob", "alice", -1, shapes="alice"),
        ObjectiveEdge("m2", "alice", "alice", 2, shapes="alice"),
    ],
    name="lively $x$ one",
)


def printed(objective, *, width=140, colour=False):
    file = io.StringIO()
    colours = "standard" if colour else None
    console = Console(file=file, width=width, force_terminal=colour, color_system=colours, no_color=not colour)
    console.print(graph_text(objective))
    return file.getvalue()


@pytest.mark.parametrize("objective", [*[algorithm(name, **o) for name, o in VARIANTS], LIVELY], ids=lambda o: o.name)
def test_the_text_names_every_agent_edge_and_weight(objective):
    lines = [" ".join(line.split()) for line in printed(objective).splitlines()]
    assert lines[0] == objective.name
    for name, role in objective.agents.items():
        shaping = f" shapes {objective.shaped_by(name)}" if role == "manipulator" else ""
        assert f"{name} {role}{shaping}" in lines
    for edge in objective.edges:
        start = f"{edge.weight:+g} U_{edge.beneficiary}({edge.beneficiary}, {edge.partner})"
        seats = "both seats" if edge.seats == (0, 1) else f"{edge.beneficiary} in seat {edge.seats[0]}"
        assert any(line.startswith(start) and line.endswith(seats) for line in lines)


def test_edges_stand_below_their_learner():
    text = printed(algorithm("at-rpg"))
    victim, adversary = text.index("U_victim("), text.index("U_adversary(")
    shaping = text.index("manipulator, through the lookahead of adversary")
    assert victim < adversary < shaping < text.rindex("U_victim(")


def test_the_text_lists_the_pairings():
    lines = [" ".join(line.split()) for line in printed(algorithm("ad-rpg")).splitlines()]
    at = lines.index("every lookahead step: 8")
    assert lines[at + 1 : at + 5] == [
        "base_0 with manipulator_0, base_0, base_1",
        "manipulator_0 with base_0",
        "base_1 with base_0, manipulator_1, base_1",
        "manipulator_1 with base_1",
    ]
    at = lines.index("the outer step: 4")
    assert lines[at + 1 :] == ["base_0 with base_0, base_1", "base_1 with base_0, base_1"]
    assert "every update: 2" in printed(algorithm("at"))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_text_says_whether_rationality_is_preserved(name):
    second_line = printed(algorithm(name)).splitlines()[1]
    rational = name in {"sp", "br", "sp-sweep", "sp-augmented", "other-play", "fcp"} or name.endswith("-rpg")
    assert second_line.startswith("rational: " if rational else "may self-sabotage: ")


def test_the_terminal_shows_the_sign_in_colour():
    red, blue = "\x1b[1;31m", "\x1b[1;34m"
    text = printed(algorithm("at"), colour=True)
    assert f"{blue}         +1" in text
    assert f"{red}         -1" in text
    assert red not in printed(algorithm("sp"), colour=True)


def test_names_are_not_read_as_markup():
    objective = Objective({"a": "base"}, [ObjectiveEdge("a", "a", "a")], name="[red]x[/red]")
    assert "[red]x[/red]" in printed(objective)


@pytest.mark.parametrize(("name", "options"), [("sp", {}), ("ap-rpg", {}), ("ad-rpg", {"population": 3})])
def test_pictures_are_what_their_suffix_says(tmp_path, name, options):
    draw_objective_graph(algorithm(name, **options), tmp_path / "graph.png")
    draw_objective_graph(algorithm(name, **options), str(tmp_path / "graph.SVG"))
    picture = matplotlib.image.imread(tmp_path / "graph.png")
    assert picture.ndim == 3
    assert min(picture.shape[:2]) > 200
    root = ElementTree.parse(tmp_path / "graph.SVG").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def has_colour(picture, colour):
    return bool(np.any(np.all(np.abs(picture[..., :3] - matplotlib.colors.to_rgb(colour)) < 0.01, axis=-1)))


@pytest.mark.parametrize(("name", "negative"), [("sp", False), ("br", False), ("at", True), ("ap", True)])
def test_blue_raises_and_red_lowers(tmp_path, name, negative):
    draw_objective_graph(algorithm(name), tmp_path / "graph.png")
    picture = matplotlib.image.imread(tmp_path / "graph.png")
    assert has_colour(picture, NEGATIVE) is negative
    assert has_colour(picture, POSITIVE) is (name != "ap")


DRAW_ELSEWHERE = """
import sys
from rpax.reports.objective_graph import draw_objective_graph, graph_text
from rpax.objectives import algorithm
graph_text(algorithm("sp"))
assert "matplotlib" not in sys.modules, "matplotlib is imported before a picture is drawn"
draw_objective_graph(algorithm("paired-a-rpg"), sys.argv[1])
import matplotlib
assert "matplotlib.pyplot" not in sys.modules, "pyplot is imported"
assert matplotlib.rcParams["svg.hashsalt"] is None, "the caller's settings are changed"
"""


def test_the_same_objective_gives_the_same_bytes_everywhere(tmp_path):
    for name in ("first.svg", "second.svg", "first.png", "second.png"):
        draw_objective_graph(algorithm("paired-a-rpg"), tmp_path / name)
    subprocess.run(
        [sys.executable, "-c", DRAW_ELSEWHERE, str(tmp_path / "third.svg")],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        check=True,
    )
    first = (tmp_path / "first.svg").read_bytes()
    assert first == (tmp_path / "second.svg").read_bytes() == (tmp_path / "third.svg").read_bytes()
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    assert b"dc:date" not in first


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("graph.pdf", ("graph.pdf' ends in '.pdf'", "end its name in .png or .svg")),
        ("graph", ("graph' has no suffix", "end its name in .png or .svg")),
        ("no-folder/graph.png", ("there is no folder", "no-folder'", "make it first or choose another")),
    ],
)
def test_pictures_that_cannot_be_written(tmp_path, file, parts):
    with pytest.raises(InputError) as caught:
        draw_objective_graph(algorithm("sp"), tmp_path / file)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_picture(tmp_path):
    (tmp_path / "graph.svg").mkdir()
    with pytest.raises(InputError, match=r"graph\.svg' cannot be written \(Is a directory\); choose another place"):
        draw_objective_graph(algorithm("sp"), tmp_path / "graph.svg")


def corners(x, y, angle, width, height):
    angle = np.radians(angle)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.array([(x, y) + a * along * width / 2 + b * across * height / 2 for a, b in signs])


def apart(one, other):
    """Whether two convex quadrilaterals have a line between them, along one of their sides."""
    for shape in (one, other):
        for side in np.roll(shape, -1, axis=0) - shape:
            normal = np.array([-side[1], side[0]])
            if (one @ normal).max() <= (other @ normal).min() or (other @ normal).max() <= (one @ normal).min():
                return True
    return False


@pytest.mark.parametrize("objective", [*[algorithm(name, **o) for name, o in VARIANTS], LIVELY], ids=lambda o: o.name)
def test_labels_keep_clear_of_each_other_and_of_boxes(objective):
    boxes = place_boxes(objective)
    arrows = route_arrows(objective, boxes)
    assert sorted(str(arrow.edge) for arrow in arrows if arrow.edge) == sorted(str(edge) for edge in objective.edges)
    assert sum(arrow.edge is None for arrow in arrows) == len(objective.manipulators)
    spots = place_labels(arrows, boxes)
    labels = [corners(spot.x, spot.y, spot.angle, *arrow.size) for spot, arrow in zip(spots, arrows, strict=True)]
    frames = [corners(box.x, box.y, 0, box.width, BOX_HEIGHT) for box in boxes.values()]
    assert all(apart(one, other) for one, other in itertools.combinations(labels, 2))
    assert all(apart(label, frame) for label in labels for frame in frames)
    assert all(apart(one, other) for one, other in itertools.combinations(frames, 2))


def test_arrows_lead_from_the_learner_to_whom_it_plays_with():
    boxes = place_boxes(algorithm("at-rpg"))
    ends = {}
    for arrow in route_arrows(algorithm("at-rpg"), boxes):
        nearest = [min(boxes.values(), key=lambda box: np.hypot(*(point - (box.x, box.y)))) for point in arrow.points]
        ends[arrow.text] = (nearest[0].name, nearest[-1].name)
    assert ends == {
        r"+1 $U_{\text{victim}}$": ("victim", "adversary"),
        r"+0.1 $U_{\text{adversary}}$": ("adversary", "victim"),
        r"+0.9 $U_{\text{adversary}}$": ("adversary", "manipulator"),
        r"−1 $U_{\text{victim}}$": ("manipulator", "victim"),
        "shapes": ("manipulator", "adversary"),
    }


def test_manipulators_stand_above_the_agent_they_shape():
    boxes = place_boxes(algorithm("ad-rpg", population=3))
    for i in range(3):
        base, manipulator = boxes[f"base_{i}"], boxes[f"manipulator_{i}"]
        assert manipulator.x == base.x
        assert manipulator.y > base.y


def test_the_adversary_of_paired_stands_between_its_partners():
    boxes = place_boxes(algorithm("paired"))
    assert boxes["protagonist"].x < boxes["adversary"].x < boxes["antagonist"].x
