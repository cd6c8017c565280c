"""The explorer's book: grids that are played as cross-play is, recordings of their cells, and what goes wrong in it."""

import json
import os
import shlex
import shutil
import threading

import jax
import numpy as np
import pytest

import rpax
from rpax.cli.main import main
from rpax.evaluation.cross_play import Cell
from rpax.evaluation.cross_play_result import CrossPlay, Named
from rpax.evaluation.episodes import Player
from rpax.recordings.recording import Recording, record
from rpax.web.book import Book, Missing, PlaySettings
from rpax.web.book.grid import Grid
from rpax.web.book.grid import Player as Seated
from rpax.web.book.played import PlayedEpisodes
from rpax.web.book.run_page import RunPage
from rpax.web.book.words import why
from rpax.web.book.worker import Worker

SETTINGS = PlaySettings(episodes=6, seed=3)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Self-play of two seeds and AD-RPG on the coordination game of Figure 13; another game; an attack's adversary."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rpax.reports.run_plots.draw_run_plots", lambda *arguments: [])
        rpax.train("sp", "matrix/figure-13", exact=True, seeds=2, updates=3, out=folder / "sp")
        rpax.train("ad-rpg", "matrix/figure-13", exact=True, crossplay_weight=1.0, updates=3, out=folder / "ad")
        rpax.train("sp", "matrix/custom", exact=True, updates=3, payoffs=[[1, 0], [0, 1]], out=folder / "other")
        rpax.train(
            "ap", "matrix/custom", exact=True, updates=3, payoffs=[[9, 0], [0, 1]], victim="uniform", out=folder / "ap"
        )
    return folder


def book_of(*paths, **options) -> Book:
    book = Book([*paths], settings=SETTINGS, live=False, **options)
    book.refresh()
    return book


@pytest.fixture(scope="module")
def book(runs):
    found = book_of(*(runs / name for name in ("sp", "ad", "other", "ap")))
    found.finish_grids(lambda done, total: None)
    return found


def test_runs_of_one_game_meet_in_a_grid_and_others_have_their_own(book):
    overview = book.overview()
    assert [run["name"] for run in overview["runs"]] == ["sp", "ad", "other", "ap"]
    grids = [(grid["environment"], grid["agents"], grid["done"], grid["total"]) for grid in overview["grids"]]
    # Two seeds of one agent and one seed of two; an adversary in seat 1 alone meets nobody.
    assert grids == [("matrix/figure-13", 4, 16, 16), ("matrix/custom", 1, 1, 1)]
    json.dumps(overview, allow_nan=False)


def test_a_grid_is_the_cross_play_of_its_runs(book, runs):
    expected = rpax.cross_play([runs / "sp", runs / "ad"], episodes=6, seed=3)
    found = book.grid(0)
    assert [agent["name"] for agent in found["agents"]] == list(expected.names)
    assert [agent["group"] for agent in found["agents"]] == ["sp", "sp", "ad-rpg", "ad-rpg"]
    for seat in (0, 1):
        values = found["values"][str(seat)]
        np.testing.assert_allclose(values["mean"], expected.returns[..., seat], rtol=1e-5)
        np.testing.assert_allclose(
            values["low"], (expected.returns - expected.half_width)[..., seat], rtol=1e-4, atol=1e-5
        )
    np.testing.assert_allclose(found["values"]["both"]["mean"], expected.returns.mean(axis=-1), rtol=1e-5)
    strict = {its["group"]: its["strict_metric"] for its in found["metrics"]}
    assert strict["sp"][0] == pytest.approx(expected.group("sp").strict_metric.mean, rel=1e-5)
    assert strict["ad-rpg"] is None
    gaps = rpax.load(runs / "sp").results[1].gaps["base_0"]
    assert {seat: its["gap"] for seat, its in found["agents"][1]["gaps"].items()} == pytest.approx(
        {str(seat): gap for seat, gap in gaps.items()}, rel=1e-5
    )


def test_agents_keep_their_numbers_when_others_come_and_their_marks_until_they_change(runs, tmp_path, no_plots):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    shutil.copytree(runs / "sp", second)
    found = book_of(first, second)
    found.finish_grids(lambda done, total: None)
    before = found.grid(0)
    shutil.rmtree(first)
    shutil.copytree(runs / "ad", first)
    found._looked = -1e9
    found.refresh()
    found.finish_grids(lambda done, total: None)
    joined = found.grid(0)
    assert [agent["name"] for agent in joined["agents"][:2]] == [agent["name"] for agent in before["agents"]]
    assert [agent["run"] for agent in joined["agents"]] == ["second", "second", "first", "first"]
    np.testing.assert_array_equal(
        np.array(joined["values"]["0"]["mean"])[:2, :2], np.array(before["values"]["0"]["mean"])
    )
    marks = [agent["mark"] for agent in joined["agents"]]
    assert marks[:2] == [agent["mark"] for agent in before["agents"]]
    # The first run goes on under the same names: its agents are others, and the old ones are forgotten.
    shutil.rmtree(first)
    rpax.train("ad-rpg", "matrix/figure-13", exact=True, crossplay_weight=1.0, updates=4, out=tmp_path / "new")
    shutil.copytree(tmp_path / "new", first)
    found._looked = -1e9
    found.refresh()
    found.finish_grids(lambda done, total: None)
    after = found.grid(0)
    assert [agent["mark"] for agent in after["agents"]][:2] == marks[:2]
    assert len({*marks, *(agent["mark"] for agent in after["agents"])}) == 6
    assert len(found.grids[0]._known) == 16


def test_cells_of_cross_play_are_used_and_kept(runs, tmp_path, monkeypatch):
    expected = rpax.cross_play([runs / "sp"], episodes=6, seed=3, out=tmp_path / "cells")
    found = book_of(runs / "sp", cells=tmp_path / "cells")
    played = []
    monkeypatch.setattr(
        "rpax.evaluation.cross_play.play_cells", lambda *given, **how: iter(played.append(given[2]) or ())
    )
    found.finish_grids(lambda done, total: None)
    np.testing.assert_allclose(found.grid(0)["values"]["0"]["mean"], expected.mean, rtol=1e-5)
    assert played == [[]]
    monkeypatch.undo()
    kept = book_of(runs / "sp", runs / "other", cells=tmp_path / "new")
    kept.finish_grids(lambda done, total: None)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["matrix-custom", "matrix-figure-13"]
    again = rpax.cross_play([runs / "sp"], episodes=6, seed=3, out=tmp_path / "new" / "matrix-figure-13")
    assert again.mean.tolist() == expected.mean.tolist()


def test_cells_played_otherwise_are_refused_on_the_page(runs, tmp_path):
    rpax.cross_play([runs / "sp"], episodes=9, seed=3, out=tmp_path / "cells")
    found = book_of(runs / "sp", cells=tmp_path / "cells")
    found.finish_grids(lambda done, total: None)
    assert "episodes 9, not 6" in found.overview()["grids"][0]["problem"]


def test_cells_of_another_game_are_left_alone_and_that_is_told_once(runs, tmp_path, capsys):
    cells = tmp_path / "cells"
    cells.mkdir()
    (cells / "settings.json").write_text('{"environment": "matrix/custom"}')
    found = book_of(runs / "sp", runs / "ad", runs / "other", cells=cells)
    found.refresh()
    assert [grid.cells_folder for grid in found.grids] == [None, cells]
    assert capsys.readouterr().err == (
        f"rpax: folder {cells} holds cells of 'matrix/custom'; those of matrix/figure-13 are played anew and not kept, "
        "give them a --cells of their own\n"
    )


def test_damaged_runs_stand_beside_the_others(runs, tmp_path):
    for name in ("config", "policy"):
        shutil.copytree(runs / "sp", tmp_path / name)
    (tmp_path / "config" / "config.yaml").write_text("algorithm: 7\n")
    next((tmp_path / "policy").rglob("*.safetensors")).write_bytes(b"no tensors")
    shutil.copytree(runs / "sp", tmp_path / "copy")
    found = book_of(tmp_path / "config", runs / "sp", tmp_path / "policy", tmp_path / "copy", runs / "ad")
    found.finish_grids(lambda done, total: None)
    assert [run["status"] for run in found.overview()["runs"]] == ["unreadable", *["finished"] * 4]
    grid = found.grid(0)
    assert (grid["problem"], len(grid["agents"]), grid["done"]) == (None, 4, 16)
    # A copy would count as more seeds than were trained.
    assert [its["run"] for its in grid["left_out"]] == ["policy", "copy"]


def test_best_median_and_worst_are_ordered_and_simulate_again(book):
    values = {}
    for pick in ("best", "median", "worst"):
        found = book.recording_now(0, 0, 2, pick)
        assert found["values"] == sorted(found["values"])
        assert found["values"][found["place"]] == pytest.approx(np.mean(found["recording"]["returns"]), abs=1e-6)
        values[pick] = found["place"]
        assert [player["name"] for player in found["recording"]["players"]] == ["sp:0:base_0", "ad:0:base_0"]
    assert (values["worst"], values["median"], values["best"]) == (0, 15, 31)
    assert book.recording_now(0, 0, 2, "best") == book.recording_now(0, 0, 2, "best")


def test_there_is_nothing_beyond_what_there_is(book):
    for ask in (
        lambda: book.run(9),
        lambda: book.grid(-1),
        lambda: book.cell(0, 4, 0),
        lambda: book.recording(0, 0, 99, "best"),
        lambda: book.recording(0, 0, 0, "second"),
        lambda: book.play(0, 0),
    ):
        with pytest.raises(Missing):
            ask()


def test_returns_side_by_side_are_those_of_the_single_episodes(runs):
    run = rpax.load(runs / "sp")
    agents = (run.agent("base_0", 0), run.agent("base_0", 1))
    player = Player(rpax.make("matrix/figure-13"), greedy=False)
    keys = jax.random.split(jax.random.key(5), 20)
    assert player.returns(agents, keys).tolist() == [list(player.play(agents, key).returns) for key in keys]


def test_episodes_of_people_are_listed_and_damaged_ones_say_why(runs, tmp_path):
    shutil.copytree(runs / "sp", tmp_path / "run")
    found = book_of(tmp_path / "run")
    assert found.overview()["runs"][0]["plays"] == 0
    plays = tmp_path / "run" / "plays"
    plays.mkdir()
    made = record(rpax.load(runs / "sp"), ("base_0", "base_0"), plays / "b.rpax.json")
    (plays / "a.rpax.json").write_text('{"format": 1}')
    (plays / "c.txt").write_text("something else")
    found._looked = -1e9
    found.refresh()
    first, second = found.run(0)["plays"]
    assert first["name"] == "a"
    assert "a.rpax.json" in first["reason"]
    assert second["returns"] == [pytest.approx(value, rel=1e-5) for value in made.returns]
    assert Recording.load(plays / "b.rpax.json").to_dict() == found.play(0, 1)
    with pytest.raises(rpax.InputError):
        found.play(0, 0)


def test_a_recording_that_is_damaged_in_a_way_nobody_thought_of_leaves_the_rest(runs, tmp_path, monkeypatch):
    run = shutil.copytree(runs / "sp", tmp_path / "run")
    (run / "plays").mkdir()
    for name in "ab":
        record(rpax.load(runs / "sp"), ("base_0", "base_0"), run / "plays" / f"{name}.rpax.json")
    read = Recording.load

    def load(path):
        if path.name.startswith("a"):
            raise OverflowError("int too large to convert to float")
        return read(path)

    monkeypatch.setattr(Recording, "load", load)
    first, second = book_of(run).run(0)["plays"]
    assert (first["name"], first["reason"]) == ("a", "int too large to convert to float")
    assert "returns" in second


@pytest.mark.parametrize("live", [True, False])
def test_the_command_that_plays_with_an_agent_is_one_whatever_the_run_is_called(live, runs, tmp_path):
    run = shutil.copytree(runs / "sp", tmp_path / "x; touch $(ran) 'y")
    page = RunPage(run, "x")
    page.refresh()
    grid = Grid([page], SETTINGS, None, commands=live)
    assert list(grid.play())
    command = grid.document()["agents"][0]["command"]
    if live:
        assert shlex.split(command) == ["rpax", "play", str(run), "--agent", "base_0", "--run-seed", "0"]
    else:
        assert command is None, "a file that is sent to others tells no paths"


def test_episodes_keep_their_numbers_and_the_newest_are_listed(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("rpax.web.book.played.MOST_EPISODES", 3)
    made = record(rpax.load(runs / "sp"), ("base_0", "base_0"))
    for name, changed in (("a", 100), ("b", 400), ("c", 300)):
        made.save(tmp_path / f"{name}.rpax.json")
        os.utime(tmp_path / f"{name}.rpax.json", (changed, changed))
    played = PlayedEpisodes(tmp_path)
    played.refresh()
    marks = {its["name"]: its["mark"] for its in played.entries}
    assert [(its["id"], its["name"]) for its in played.entries] == [(0, "a"), (1, "b"), (2, "c")]
    (tmp_path / "a.rpax.json").unlink()
    made.save(tmp_path / "aa.rpax.json")
    os.utime(tmp_path / "b.rpax.json", (500, 500))
    played.refresh()
    assert [(its["id"], its["name"]) for its in played.entries] == [(3, "aa"), (1, "b"), (2, "c")]
    assert {name: its["mark"] == marks.get(name) for its in played.entries for name in [its["name"]]} == {
        "aa": False,
        "b": False,
        "c": True,
    }
    assert played.document(0) is None
    assert played.document(2) == made.to_dict()
    # What leads nowhere hides nothing, and is left out before others are.
    (tmp_path / "0.rpax.json").symlink_to(tmp_path / "nowhere")
    played.refresh()
    assert ([its["name"] for its in played.entries], played.left_out) == (["aa", "b", "c"], 1)
    (tmp_path / "c.rpax.json").unlink()
    played.refresh()
    assert ([its["name"] for its in played.entries], played.left_out) == (["0", "aa", "b"], 0)
    assert "0.rpax.json" in played.entries[0]["reason"]


# ---- words


def grid_of(cells, *, pages, players, gaps=None) -> Grid:
    """A grid with these cells, without playing."""
    grid = Grid(pages, SETTINGS, None)
    named = [Named(f"{p.page.name}:{p.seed}:{p.agent}", "sp", f"{p.page.name}:{p.seed}") for p in players]
    result = CrossPlay("x", tuple(named), cells, episodes=100, seed=0, greedy=False)
    grid.players = players
    grid.result = lambda: result  # type: ignore[method-assign]
    return grid


def cell(first: float, second: float | None = None, std: float = 1.0) -> Cell:
    second = first if second is None else second
    return Cell((first, second, (first + second) / 2), (std, std, std), 100)


@pytest.fixture
def pair(runs):
    """Two agents of different runs whose exact gaps are those of the runs."""
    pages = [RunPage(runs / name, name) for name in ("sp", "ad")]
    for page in pages:
        page.refresh()
    return [Seated(pages[0], 0, "base_0"), Seated(pages[1], 0, "base_1")], pages


def test_words_say_what_is_lost_to_self_play(pair):
    players, pages = pair
    cells = {(0, 0): cell(10.0), (1, 1): cell(8.0), (0, 1): cell(2.0), (1, 0): cell(7.95)}
    grid = grid_of(cells, pages=pages, players=players)
    told = " ".join(why(grid, 0, 1))
    # t of 99 degrees of freedom at 97.5 % is 1.984, so each mean is ± 0.198 and a difference ± 0.281.
    assert "Together they get 2.00 [1.80, 2.20], the same in both seats." in told
    assert "With itself base_0 gets 10.0 [9.80, 10.2] in seat 0: here it gets 8.00 ± 0.28 less." in told
    assert "different runs, sp and ad, and never met in training" in told
    assert "together they fail" in told
    assert "no difference that 100 episodes show" in " ".join(why(grid, 1, 0))
    assert "fail" not in " ".join(why(grid, 1, 0))
    assert why(grid, 0, 0)[0] == "With itself it gets 10.0 [9.80, 10.2]."


def test_words_name_gaps_and_unknown_ones(pair, monkeypatch):
    players, pages = pair
    grid = grid_of({(0, 1): cell(2.0, 3.0)}, pages=pages, players=players)
    known = {0: {"0": {"gap": 0.0, "exact": True}}, 1: {"1": {"gap": 0.5, "exact": True}}}
    monkeypatch.setattr("rpax.web.book.words.gaps_of_agent", lambda player: known[players.index(player)])
    told = " ".join(why(grid, 0, 1))
    assert "base_0 gets 2.00 [1.80, 2.20] in seat 0, base_1 gets 3.00 [2.80, 3.20] in seat 1." in told
    assert "base_0 is rational" in told
    assert "base_1 is a best response to nobody: its rationality gap is 0.5 (exact)." in told
    assert "base_0 cannot play with itself." in told
    known[0], known[1] = {}, {"1": {"gap": 0.25, "exact": False}}
    told = " ".join(why(grid, 0, 1))
    assert "The rationality gap of base_0 is not known" in told
    assert "A trained best response gains 0.25 on base_1" in told
    assert why(grid, 1, 0) == []


# ---- the worker


def test_what_is_asked_for_comes_before_the_background_and_errors_come_back():
    worker, order, go = Worker(), [], threading.Event()

    def steps():
        for number in range(3):
            go.wait(10)
            order.append(number)
            yield

    worker.begin("slow", steps())
    futures = [worker.ask(lambda: order.append("asked")), worker.ask(lambda: 1 / 0)]
    go.set()
    futures[0].result(10)
    with pytest.raises(ZeroDivisionError):
        futures[1].result(10)
    worker.ask(lambda: None).result(10)
    worker.end()
    # One step may have begun before anything was asked for.
    assert order.index("asked") <= 1


def test_steps_that_are_preferred_go_on_first():
    worker, order, go = Worker(), [], threading.Event()
    done = threading.Event()

    def steps(name):
        for _ in range(2):
            go.wait(10)
            order.append(name)
            yield
        done.set() if name == "a" else None

    worker.begin("a", steps("a"))
    worker.begin("b", steps("b"))
    worker.prefer("b")
    go.set()
    done.wait(10)
    worker.end()
    assert sorted(order) == ["a", "a", "b", "b"]
    assert order.index("b") <= 1


# ---- the command


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "explore needs runs"),
        (["missing"], "run directory missing does not exist"),
        (["."], "run directory . has no config.yaml"),
        (["RUN", "--episodes", "1"], "episodes 1 is not allowed"),
        (["RUN", "--export", "no/such/folder/x.html"], "there is no folder"),
        (["RUN", "--export", "."], "is a folder"),
        (["RUN", "--port", "99999"], "port 99999 is not allowed"),
        (["RUN", "--host", "no.such.host.invalid"], "is no address of this computer"),
        (["RUN", "--cells", "damaged"], "is damaged"),
    ],
)
def test_wrong_input_is_one_line(arguments, told, finished_run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "settings.json").write_text("[1]")
    given = [str(finished_run) if argument == "RUN" else argument for argument in arguments]
    assert main(["explore", *given]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_taken_port_and_a_missing_extra_are_told(finished_run, capsys, monkeypatch):
    from rpax.web.server import listen

    listening = listen(port=0)
    port = listening.socket.getsockname()[1]
    assert main(["explore", str(finished_run), "--port", str(port)]) == 2
    assert f"port {port} at 127.0.0.1 is taken" in capsys.readouterr().err
    listening.socket.close()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["explore", str(finished_run)]) == 2
    assert "pip install 'rpax[web]'" in capsys.readouterr().err
