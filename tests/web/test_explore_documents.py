"""The documents of the explorer: what they say is what the runs' files say, whatever these hold."""

import itertools
import json
import shutil

import numpy as np
import pytest

import rpax
from rpax.web.book.curves import MOST_POINTS, MetricsFile
from rpax.web.book.graph import graph_of
from rpax.web.book.labels import Whose, labels_of
from rpax.web.book.run_page import RunPage
from rpax.web.book.text import MOST_TEXT, number, plain_text

HOSTILE = "<img src=x onerror=alert(1)>"


def row(update: int, seed: int = 0, **groups) -> str:
    return json.dumps({"update": update, "seed": seed, **groups}) + "\n"


def returns(first: float, second: float | None = None) -> dict:
    return {"returns": {"a vs b": [first, first if second is None else second]}}


# ---- text and numbers


def test_text_is_one_bounded_printable_line():
    assert plain_text("a\n b\t c") == "a b c"
    assert plain_text(HOSTILE) == HOSTILE  # shown as it is: the page sets text, never HTML
    assert plain_text("right\u202eto left\x00") == "right\ufffdto left\ufffd"
    assert plain_text("\ud800").encode() == b"\xef\xbf\xbd"
    assert len(plain_text("x" * 10**7)) == MOST_TEXT


@pytest.mark.parametrize(
    ("runs", "labels"),
    [
        (["ad-rpg-seed-0", "ad-rpg-seed-1"], ["seed-0:base_0", "seed-1:base_0"]),
        (["sp-.01-seed-0", "sp-.05-seed-0"], [".01:base_0", ".05:base_0"]),
        (["short_run", "long_run"], ["short:base_0", "long:base_0"]),
        (["sp", "sp-2"], ["sp:base_0", "sp-2:base_0"]),
        (["a-b-c", "a-c", "a"], ["a-b-c:base_0", "a-c:base_0", "a:base_0"]),
        (["x-a-x", "x-b-x"], ["a:base_0", "b:base_0"]),
        (["alone"], ["7:base_0"]),
    ],
)
def test_labels_tell_the_runs_of_a_group_apart(runs, labels):
    others = [Whose("other", "ad-rpg-seed-0", 0, "base_0")]
    assert labels_of([*others, *(Whose("group", run, 7, "base_0") for run in runs)]) == ["0:base_0", *labels]


def test_labels_name_seeds_where_runs_have_several():
    agents = [Whose("g", run, seed, name) for run, seed, name in (("a", 0, "x"), ("b", 0, "x"), ("b", 1, "x"))]
    assert labels_of(agents) == ["a:x", "b:0:x", "b:1:x"]


def test_numbers_are_json_numbers_or_nothing():
    assert [number(value) for value in (1.0, -0.25, 1 / 3, True, "1", None, [1])] == [
        1,
        -0.25,
        0.333333,
        None,
        None,
        None,
        None,
    ]
    assert [number(value) for value in (float("nan"), float("inf"), 10**400)] == [None, None, None]


# ---- curves


def test_curves_have_mean_band_and_every_seed(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text("".join(row(u, s, **returns(u + 10.0 * s, -1.0)) for u in (1, 2, 3) for s in (0, 1)))
    metrics = MetricsFile(file)
    assert metrics.read_on()
    found = metrics.curves()
    assert found["updates"] == [1, 2, 3]
    assert found["seeds"] == [0, 1]
    first, second = found["lines"]
    assert (first["kind"], first["name"], first["part"], second["part"]) == ("exact", "a vs b", [0], [1])
    assert first["seeds"] == {"0": [1, 2, 3], "1": [11, 12, 13]}
    assert (first["mean"], first["low"], first["high"]) == ([6, 7, 8], [1, 2, 3], [11, 12, 13])


def test_seats_that_always_get_the_same_are_one_curve(tmp_path):
    (tmp_path / "m").write_text(row(1, **returns(3.0)) + row(2, **returns(4.0)))
    metrics = MetricsFile(tmp_path / "m")
    metrics.read_on()
    assert [(line["part"], line["mean"]) for line in metrics.curves()["lines"]] == [(None, [3, 4])]


def test_a_file_that_grows_is_read_on_and_a_half_written_line_waits(tmp_path):
    file = tmp_path / "m"
    file.write_text(row(1, **returns(1.0)) + row(2, **returns(2.0))[:-9])
    metrics = MetricsFile(file)
    assert not MetricsFile(tmp_path / "none").read_on()
    assert metrics.read_on()
    assert (metrics.last_update, metrics.read_on()) == (1, False)
    with file.open("a") as more:
        more.write(row(2, **returns(2.0))[-9:] + "no json\n" + row(3, **returns(3.0)))
    assert metrics.read_on()
    assert metrics.curves()["updates"] == [1, 2, 3]


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_that_was_cut_or_replaced_is_read_from_its_start(tmp_path, replace):
    file = tmp_path / "m"
    file.write_text("".join(row(u, **returns(1.0)) for u in range(1, 9)))
    metrics = MetricsFile(file)
    metrics.read_on()
    if replace:
        (tmp_path / "new").write_text("".join(row(u, **returns(5.0)) for u in range(1, 19)))
        (tmp_path / "new").replace(file)
    else:
        file.write_text(row(1, **returns(5.0)))
    assert metrics.read_on()
    assert metrics.curves()["updates"] == list(range(1, 19 if replace else 2))
    assert metrics.curves()["lines"][0]["mean"][0] == 5
    file.unlink()
    assert metrics.read_on()
    assert metrics.curves()["lines"] == []


def test_many_updates_are_thinned_evenly_and_the_last_is_kept(tmp_path):
    file = tmp_path / "m"
    file.write_text("".join(row(u, **returns(float(u))) for u in range(1, 4098)))
    metrics = MetricsFile(file)
    metrics.read_on()
    found = metrics.curves()
    updates = found["updates"]
    assert MOST_POINTS // 2 < len(updates) <= MOST_POINTS
    assert (updates[0], updates[-1]) == (1, 4097)
    assert {b - a for a, b in itertools.pairwise(updates)} == {found["every"]}
    assert found["lines"][0]["mean"] == updates


def test_curves_of_very_many_pairings_and_seeds_stay_small(tmp_path):
    file = tmp_path / "m"
    groups = {"returns": {f"agent_{i} vs agent_{j}": [i, j] for i in range(15) for j in range(15)}}
    file.write_text("".join(row(u, s, **groups) for u in range(60) for s in range(8)))
    metrics = MetricsFile(file)
    metrics.read_on()
    found = metrics.curves()
    assert len(found["lines"]) <= 400
    assert len(json.dumps(found)) < 2_000_000
    assert found["updates"][-1] == 59


def test_long_files_are_read_in_parts(tmp_path, monkeypatch):
    file = tmp_path / "metrics.jsonl"
    file.write_text("".join(row(u, **returns(1.0)) for u in range(1, 101)))
    monkeypatch.setattr("rpax.web.book.curves.MOST_READ", 1000)
    metrics = MetricsFile(file)
    seen = []
    while metrics.read_on():
        seen.append(metrics.last_update)
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert metrics.curves()["updates"] == list(range(1, 101))
    page = RunPage(tmp_path, "x")
    page.refresh(whole=True)
    assert page._metrics.last_update == 100


def test_rows_of_other_forms_are_passed_over(tmp_path):
    file = tmp_path / "m"
    strange = [
        {"returns": [1, 2]},
        {"returns": {"a vs b": "x"}},
        {"returns": {"a vs b": [1]}},
        {"policies": {"a": {"0": {"x": 1}}, "b": 7, "c": {"9": [1.0]}}},
        {"entropy": {HOSTILE: "high", "a": float("nan")}},
        {"lookahead_episode_return": {"a vs b": None}},
    ]
    file.write_text("".join(row(u, **groups) for u, groups in enumerate(strange)) + row(99, **returns(1.0)))
    metrics = MetricsFile(file)
    metrics.read_on()
    shown = {line["name"]: line["mean"] for line in metrics.curves()["lines"]}
    assert shown["a vs b"] == [None, None, None, None, None, None, 1]
    assert shown[HOSTILE] == [None] * 7
    json.dumps(metrics.curves(), allow_nan=False)


# ---- graphs


def test_the_graph_has_every_agent_and_edge_within_its_frame():
    objective = rpax.algorithm("at-rpg")
    graph = graph_of(objective)
    assert {(node["name"], node["role"]) for node in graph["nodes"]} == set(objective.agents.items())
    drawn = [edge for edge in graph["edges"] if edge["weight"] is not None]
    told = {(edge["learner"], edge["beneficiary"], edge["partner"], edge["raises"]) for edge in drawn}
    assert told == {(e.learner, e.beneficiary, e.partner, e.weight > 0) for e in objective.edges}
    for node in graph["nodes"]:
        assert node["width"] / 2 <= node["x"] <= graph["width"] - node["width"] / 2
        assert node["height"] / 2 <= node["y"] <= graph["height"] - node["height"] / 2
    for edge in graph["edges"]:
        assert all(0 <= x <= graph["width"] and 0 <= y <= graph["height"] for x, y in edge["points"])


def test_a_graph_too_large_to_be_read_is_left_out():
    assert graph_of(rpax.algorithm("ad", population=14)) is None


# ---- runs


def test_the_page_of_a_run_says_what_its_files_say(finished_run):
    page = RunPage(finished_run, "x")
    page.refresh()
    run, found = rpax.load(finished_run), page.document([])
    assert (found["status"], found["update"], found["seeds"]) == ("finished", 4, [0, 1])
    both = [result.returns("victim", "adversary")[0] for result in run.results]
    pairing = next(its for its in found["pairings"] if its["seat_0"] == "victim")
    assert pairing["returns"][0]["values"] == pytest.approx(both, rel=1e-5)
    assert pairing["returns"][1]["mean"] == pytest.approx(np.mean(both), rel=1e-5)
    assert found["table"]["payoffs"] == [[[1, 1], [0, 0], [-1, -1]], [[0, 0], [1, 1], [-1, -1]]]
    victim = next(its for its in found["table"]["agents"] if its["agent"] == "victim")
    assert victim["seeds"][1]["policy"] == pytest.approx(run.results[1].policies["victim"][0], rel=1e-5)
    gaps = {(its["agent"], its["seat"]): its["values"] for its in found["gaps"]}
    expected = [float(result.gaps["adversary"][1]) for result in run.results]
    assert gaps["adversary", 1] == pytest.approx(expected, rel=1e-5)
    assert {its["name"]: its["value"] for its in found["settings"]}["environment"] == "matrix/figure-2"
    assert found["curves"]["updates"] == [1, 2, 3, 4]
    json.dumps(found, allow_nan=False)


def test_settings_that_differ_are_those_of_runs_on_the_same_environment(finished_run, tmp_path, no_plots):
    rpax.train("at-rpg", "matrix/figure-2", exact=True, seeds=2, updates=1, out=tmp_path / "other")
    rpax.train("sp", "matrix/figure-13", exact=True, updates=1, out=tmp_path / "elsewhere")
    pages = [RunPage(path, path.name) for path in (finished_run, tmp_path / "other", tmp_path / "elsewhere")]
    for page in pages:
        page.refresh()
    assert pages[0].document(pages)["differing"] == ["updates"]
    assert pages[2].document(pages)["differing"] == []


def test_a_run_changes_from_training_to_finished_and_its_version_tells(finished_run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(finished_run, path)
    results = (path / "results.json").read_text()
    (path / "results.json").unlink()
    shutil.rmtree(path / "checkpoints")
    (path / "lock").touch()
    lines = (path / "metrics.jsonl").read_text().splitlines(keepends=True)
    (path / "metrics.jsonl").write_text("".join(lines[:4]))
    page = RunPage(path, "run")
    page.refresh()
    assert (page.summary()["status"], page.summary()["update"]) == ("training", 2)
    assert not page.plays
    versions = [page.version]
    page.refresh()
    assert page.version == versions[0]
    (path / "metrics.jsonl").write_text("".join(lines))
    page.refresh()
    versions.append(page.version)
    assert page.summary()["update"] == 4
    (path / "results.json").write_text(results)
    (path / "lock").unlink()
    page.refresh()
    versions.append(page.version)
    assert page.summary()["status"] == "finished"
    assert page.plays
    assert versions == sorted(set(versions))


def test_a_run_that_cannot_be_read_says_why_in_a_line(finished_run, tmp_path):
    for name, damage in {
        "config.yaml": "environment: [",
        "objective.yaml": "agents: 7",
        "results.json": '{"update": 4, "status": "finished", "results": [{"seed": "x"}]}',
    }.items():
        path = tmp_path / name.partition(".")[0]
        shutil.copytree(finished_run, path)
        (path / name).write_text(damage)
        page = RunPage(path, "run")
        page.refresh()
        found = page.document([])
        assert found["status"] == "unreadable"
        assert name in found["reason"]
        assert "\n" not in found["reason"]


def test_damaged_documents_beside_a_run_are_left_out(finished_run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(finished_run, path)
    (path / "attack.json").write_text("{")
    (path / "certificates.json").write_text('{"method": "trained", "certificates": [7, {"gap": "x", "partners": 3}]}')
    page = RunPage(path, "run")
    page.refresh()
    found = page.document([])
    assert found["attack"] is None
    assert [its["gap"] for its in found["certificates"]["certificates"]] == [None]
    (path / "attack.json").write_text(json.dumps({"verdict": {"name": HOSTILE, "reason": 5}, "victim_return": [1]}))
    page.refresh()
    assert page.document([])["attack"]["verdict"] == HOSTILE


def test_exact_certificates_show_what_they_rest_on(finished_run, tmp_path):
    """The gap of an action that another one dominates, and of one that is a best response."""
    path = tmp_path / "run"
    shutil.copytree(finished_run, path)
    rational = {"seed": 0, "agent": "victim", "seat": 0, "gap": 0.0, "co_policy": {"C": 1.0}, "dominating_policy": None}
    other = {"seed": 0, "agent": "adversary", "seat": 1, "gap": 1.5, "co_policy": {"A": 1.0}}
    other["dominating_policy"] = {"C": 0.5, "D": 0.5}
    (path / "certificates.json").write_text(json.dumps({"method": "exact", "certificates": [rational, other]}))
    page = RunPage(path, "run")
    page.refresh()
    found = page.document([])["certificates"]
    told = [(its["agent"], its["seats"], its["gap"], its["proof"]) for its in found["certificates"]]
    assert told == [
        ("victim", [0], 0, "best response to C: 1"),
        ("adversary", [1], 1.5, "dominated by C: 0.5, D: 0.5"),
    ]


def test_a_scheme_shows_its_stages(tmp_path):
    page = RunPage(tmp_path / "x", "x")
    (tmp_path / "x" / "pool").mkdir(parents=True)
    (tmp_path / "x" / "pool" / "config.yaml").touch()
    stages = [{"folder": "pool", "about": HOSTILE}, {"folder": "later", "about": "not begun"}]
    (tmp_path / "x" / "scheme.json").write_text(json.dumps({"scheme": "fcp", "stages": stages}))
    assert page.stages() == [(tmp_path / "x" / "pool", HOSTILE)]
    stages[0]["folder"] = "../elsewhere"
    (tmp_path / "x" / "scheme.json").write_text(json.dumps({"scheme": "fcp", "stages": stages}))
    assert page.stages() == []
