"""The explorer in a real browser: runs of every environment, cells, replays, addresses, live updates, hostile text."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("fastapi", reason="the extra [web] is missing")
pytest.importorskip("playwright.sync_api", reason="the dev extra is missing: playwright")

import explore_runs
from playwright.sync_api import expect

import rpax
from rpax.recordings.recording import Seated, record
from rpax.web.book import Book

WAIT = 120_000
#: Each environment with the algorithm that is trained on it, and the kind of its scene.
GAMES = (("overcooked/cramped_room", "sp"), ("storm", "sp"), ("hanabi/3x3", "sp"), ("matrix/figure-2", "at-rpg"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("explored")


@pytest.fixture(scope="module")
def address(folder):
    """The explorer of a run of each environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rpax.reports.run_plots.draw_run_plots", lambda *arguments: [])
        paths = [explore_runs.train(folder, *game) for game in GAMES]
    with explore_runs.served(Book(paths, settings=explore_runs.SETTINGS)) as url:
        yield url


@pytest.fixture(scope="module")
def small(folder):
    """The explorer of the matrix game's run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rpax.reports.run_plots.draw_run_plots", lambda *arguments: [])
        path = explore_runs.train(folder, "matrix/figure-2", "at-rpg")
    with explore_runs.served(Book([path], settings=explore_runs.SETTINGS)) as url:
        yield url


def shown(page) -> dict:
    """What the player shows: the step and the description of its canvas."""
    return page.evaluate("() => window.rpax.test.players[0].shown()")


def players(page, count: int) -> None:
    page.wait_for_function(f"() => window.rpax.test.players.length === {count}", timeout=WAIT)


@contextlib.contextmanager
def opened(page, book):
    """An explorer for one page, which is left before that ends."""
    with explore_runs.served(book) as url:
        yield url
        page.goto("about:blank")


def cell(page, row: int, column: int):
    return page.locator(".heatmap tbody tr").nth(row).locator("td.cell").nth(column)


def played(page) -> None:
    """Wait until all cells are played."""
    expect(page.locator("summary", has_text="Metrics of every group")).to_be_visible(timeout=WAIT)


@pytest.mark.parametrize("number", range(len(GAMES)))
def test_a_trained_run_of_each_environment_is_shown_and_its_cells_replay(address, page, number):
    page.goto(f"{address}/#/")
    environment = GAMES[number][0]
    page.get_by_role("link", name=environment).first.click()
    # Agents of Figure 2's game sit in one seat each: the victim of one seed meets the adversary of the other.
    row, column = (0, 3) if environment.startswith("matrix") else (0, 1)
    expect(page.locator("h1")).to_have_text(f"Cross-play in {environment}", timeout=WAIT)
    played(page)
    cell(page, row, column).click()
    players(page, 1)
    length = page.evaluate("() => window.rpax.test.players[0].recording.length")
    first = shown(page)
    assert first["step"] == 0
    page.locator("input[type=range]").focus()
    page.keyboard.press("End")
    assert shown(page)["step"] == length
    assert shown(page)["description"] != first["description"]
    page.keyboard.press("ArrowLeft")
    assert shown(page)["step"] == length - 1
    returns = page.evaluate(
        "() => window.rpax.test.players[0].recording.returnsSoFar(window.rpax.test.players[0].recording.length)"
    )
    for pick in ("Best", "Worst"):
        page.get_by_role("button", name=pick).click()
        expect(page.locator(".strip")).to_contain_text(f"The {pick.lower()} of 32 episodes", timeout=WAIT)
        players(page, 1)
    assert len(returns) == 2
    expect(page.locator(".why li").first).to_be_visible()
    run = GAMES[number][1] + "-" + environment.replace("/", "-")
    page.locator("article").get_by_role("link", name=run).click()
    expect(page.locator("h1")).to_have_text(run)
    for part in ("Learning curves", "Objective", "Returns by pairing", "Diagnosis", "Settings"):
        expect(page.get_by_role("heading", name=part, exact=True)).to_be_visible()
    assert page.locator(".graph text.name").all_inner_texts() != []


def test_values_seats_and_metrics_are_those_of_the_document(small, page):
    page.goto(f"{small}/#/grid/0")
    played(page)
    grid = json.loads(page.request.get(f"{small}/data/grid/0").text())
    for seat, name in (("0", "Seat 0"), ("1", "Seat 1"), ("both", "Both")):
        page.get_by_role("button", name=name).click()
        value, low, high = (grid["values"][seat][which][0][3] for which in ("mean", "low", "high"))
        label = cell(page, 0, 3).get_attribute("aria-label").replace("\u2212", "-")
        told = re.fullmatch(r"(.*) with (.*): mean return of (.*) (\S+), 95 % interval (\S+) to (\S+)", label)
        assert told is not None
        assert told[3] == ("both seats" if seat == "both" else f"seat {seat}")
        assert [float(told[i]) for i in (4, 5, 6)] == pytest.approx([value, low, high], abs=0.006)
    assert "empty" in cell(page, 0, 0).get_attribute("class")  # a victim sits in seat 0 only
    page.get_by_role("button", name="Gap").click()
    # The victim of seat 0 has a gap there, but meets only who sits in seat 1.
    page.get_by_role("button", name="Seat 0").click()
    assert [" empty" in (cell(page, 0, column).get_attribute("class") or "") for column in (0, 3)] == [True, False]
    page.get_by_role("button", name="Seat 1").click()
    gap = grid["agents"][3]["gaps"]["1"]["gap"]
    found = re.search(r"rationality gap in seat 1 (\S+)$", cell(page, 0, 3).get_attribute("aria-label"))
    assert found is not None
    assert float(found[1]) == pytest.approx(gap, rel=0.06)
    page.get_by_role("button", name="SP \u2212 XP").click()
    expect(cell(page, 0, 3)).to_have_attribute("aria-label", re.compile("self-play minus cross-play .* not played"))
    assert page.evaluate("() => location.hash") == "#/grid/0?seat=1&metric=drop"


def test_self_play_minus_cross_play_is_computed_from_both(page, small):
    """Values chosen by hand: agents get 10 and 6 alone, 3 and 4 together; half widths 3 and 4 add up to 5."""
    page.goto(small)
    page.wait_for_function("() => Boolean(window.rpax.cellValue)")
    found = page.evaluate(
        """() => {
          const values = (mean) => ({mean, low: mean, high: mean});
          const one = values([[10, 3], [null, 6]]);
          one.low = [[7, -1], [null, 6]];
          one.high = [[13, 7], [null, 6]];
          const grid = {values: {'0': one, '1': values([[8, 4], [4, 6]]), both: values([[9, 3.5], [4, 6]])}};
          const at = (seat, row, column) => window.rpax.cellValue(grid, 'drop', seat, row, column);
          return [at('0', 0, 1), at('1', 0, 1), at('both', 0, 1), at('0', 1, 0), at('0', 0, 0)];
        }"""
    )
    assert found[0] == {"value": 7, "low": 2, "high": 12}
    assert [its["value"] for its in found] == [7, 2, 4, None, 0]


def test_the_grid_is_walked_with_arrow_keys(small, page):
    page.goto(f"{small}/#/grid/0")
    played(page)
    assert page.locator(".heatmap [tabindex='0']").count() == 1
    cell(page, 0, 0).focus()
    for key, place in (
        ("ArrowRight", (0, 1)),
        ("ArrowDown", (1, 1)),
        ("End", (1, 3)),
        ("Home", (1, 0)),
        ("ArrowUp", (0, 0)),
        ("ArrowUp", (0, 0)),
    ):
        page.keyboard.press(key)
        expect(cell(page, *place)).to_be_focused()
        assert page.locator(".heatmap [tabindex='0']").count() == 1
    expect(page.locator(".heatmap .tip")).to_be_visible()
    heads = page.locator(".heatmap tbody th").all_inner_texts()
    assert len({*heads}) == len(heads)
    page.keyboard.press("Control+End")
    page.keyboard.press("PageUp")
    page.keyboard.press("Enter")
    players(page, 1)
    assert page.evaluate("() => location.hash") == "#/grid/0?row=0&column=3"
    expect(cell(page, 0, 3)).to_be_focused()
    assert cell(page, 0, 3).get_attribute("aria-selected") == "true"


def test_addresses_lead_back_and_forward_and_to_a_step(address, page):
    page.goto(f"{address}/#/grid/1?row=0&column=1&pick=best&step=7&metric=drop&seat=0")
    players(page, 1)
    assert shown(page)["step"] == 7
    expect(page.get_by_role("button", name="Best")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="SP \u2212 XP")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Mean return").click()
    page.get_by_role("link", name="Runs").click()
    expect(page.get_by_role("heading", name="Cross-play", exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("button", name="Mean return")).to_have_attribute("aria-pressed", "true")
    page.go_back()
    expect(page.get_by_role("button", name="SP \u2212 XP")).to_have_attribute("aria-pressed", "true")
    players(page, 1)
    page.go_forward()
    expect(page.get_by_role("button", name="Mean return")).to_have_attribute("aria-pressed", "true")
    page.locator(".rpax-player").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => location.hash.includes('step=8')", timeout=WAIT)
    for wrong in ("#/grid/77", "#/run/9", "#/elsewhere", "#/grid/1?row=99&column=-3&seat=7&pick=x&metric=y&step=zz"):
        page.goto(f"{address}/{wrong}")
        expect(page.locator("h1")).to_be_visible()


def test_two_cells_side_by_side_are_scrubbed_together(address, page):
    page.goto(f"{address}/#/grid/1?row=0&column=0")
    players(page, 1)
    page.get_by_role("button", name="Compare").click()
    cell(page, 0, 1).click()
    players(page, 2)
    assert page.evaluate("() => location.hash").endswith("with=0,1")
    assert page.locator("article").count() == 2
    page.locator("input[type=range]").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("() => window.rpax.test.players.map((player) => player.step)") == [3, 3]
    page.get_by_role("button", name="End comparison").click()
    players(page, 1)
    cell(page, 1, 1).click(modifiers=["Shift"])
    players(page, 2)


def test_curves_show_values_seeds_and_chosen_lines(small, page):
    page.goto(f"{small}/#/run/0")
    chart = page.locator(".chart > svg")
    chart.focus()
    page.keyboard.press("Home")
    run = json.loads(page.request.get(f"{small}/data/run/0").text())
    first = run["curves"]["lines"][0]["mean"][0]
    expect(page.locator(".chart .tip")).to_contain_text("update 1")
    expect(page.locator(".chart .tip")).to_contain_text(f"{first:.2f}".replace("-", "\u2212"))
    assert page.locator(".chart path.seed").count() == 0
    page.get_by_label("every seed").check()
    assert page.locator(".chart path.seed").count() == 2 * 2
    page.locator(".legend button").first.click()
    assert page.locator(".chart path.seed").count() == 2
    page.get_by_role("combobox").select_option("policies")
    expect(page.locator(".legend button").first).to_contain_text("victim, seat 0: A")
    assert page.evaluate("() => location.hash") == "#/run/0?seeds=1&curves=policies"
    page.locator("summary", has_text="Values as a table").click()
    assert page.locator(".chart").count() == 1
    assert page.get_by_role("region", name=re.compile("values$")).locator("tbody tr").count() == 30
    expect(page.locator(".payoffs tbody tr").first).to_have_text("A1.000.00\u22121.00")
    assert page.locator(".policy").count() == 3
    expect(page.locator(".policy .chip").first).to_have_text(re.compile(r"^gap up to \S+ \(2 seeds\)$"))


def test_episodes_of_people_are_watched_on_the_page_of_the_run(folder, tmp_path, page, monkeypatch):
    monkeypatch.setattr("rpax.reports.run_plots.draw_run_plots", lambda *arguments: [])
    path = tmp_path / "run"
    shutil.copytree(explore_runs.train(folder, "matrix/figure-2", "at-rpg"), path)
    made = record(rpax.load(path), ("victim", "adversary"))
    with opened(page, Book([path], settings=explore_runs.SETTINGS)) as url:
        page.goto(f"{url}/#/run/0")
        expect(page.get_by_role("heading", name="Settings")).to_be_visible(timeout=WAIT)
        assert page.get_by_role("heading", name="Played by people").count() == 0
        (path / "plays").mkdir()
        by_person = dataclasses.replace(made, players=(Seated("Ada", "person"), made.players[1]))
        by_person.save(path / "plays" / "first.rpax.json")
        page.get_by_role("button", name=re.compile("^Ada with adversary: ")).click(timeout=WAIT)
        players(page, 1)
        assert page.evaluate("() => location.hash") == "#/run/0?play=0"
        assert shown(page)["step"] == 0
        expect(page.locator(".rpax-seat-name").first).to_have_text("Ada (person)")


def test_a_training_in_another_process_is_followed_without_reload(tmp_path, page):
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "1"}
    command = [sys.executable, "-m", "rpax", "train", "at-rpg", "matrix/figure-2", "--exact", "--updates", "200000"]
    out = tmp_path / "live"
    process = subprocess.Popen(
        [*command, "--minutes", "0.1", "--set", "log_every=20", "--out", str(out), "--quiet"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (out / "config.yaml").is_file():
            page.wait_for_timeout(100)
        with opened(page, Book([out], settings=explore_runs.SETTINGS)) as url:
            page.goto(f"{url}/#/run/0")
            page.evaluate("() => { window.stays = 'the same page'; }")
            expect(page.locator(".facts .chip")).to_have_text("training", timeout=WAIT)
            expect(page.locator(".chart path").first).to_be_attached(timeout=WAIT)
            before = page.locator(".chart svg path.line").first.get_attribute("d")
            page.locator(".legend button").first.focus()
            page.wait_for_function(
                "(before) => document.querySelector('.chart svg path.line').getAttribute('d') !== before",
                arg=before,
                timeout=WAIT,
            )
            expect(page.locator(".legend button").first).to_be_focused()
            expect(page.locator(".facts .chip")).to_have_text("out of time", timeout=WAIT)
            expect(page.get_by_role("heading", name="Diagnosis")).to_be_visible(timeout=WAIT)
            expect(page.locator(".legend button").first).to_be_focused()
            page.get_by_role("link", name="matrix/figure-2").click()
            played(page)
            assert page.evaluate("() => window.stays") == "the same page"
    finally:
        process.kill()
        process.wait()


HOSTILE = "<img src=x onerror=window.hit=1><script>window.hit=1</script>"


def test_text_of_runs_is_never_executed(folder, tmp_path, page, monkeypatch):
    """Names, values and notes with HTML, in every file that the page shows; a damaged run beside it."""
    monkeypatch.setattr("rpax.reports.run_plots.draw_run_plots", lambda *arguments: [])
    name = "<img src=x onerror=window.hit=1>"
    path = tmp_path / name
    shutil.copytree(explore_runs.train(folder, "matrix/figure-2", "at-rpg"), path)
    text = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(re.sub(r"(?m)^victim: .*$", f"victim: '{HOSTILE}'", text))
    results = json.loads((path / "results.json").read_text())
    results["results"][0]["diagnosis"]["notes"] = [HOSTILE]
    results["results"][0]["pairings"][0]["seat_1"] = HOSTILE
    (path / "results.json").write_text(json.dumps(results))
    with (path / "metrics.jsonl").open("a") as metrics:
        metrics.write(
            json.dumps({"update": 99, "seed": 0, "returns": {HOSTILE: [1, 2]}, "entropy": {HOSTILE: 1}}) + "\n"
        )
    (path / "attack.json").write_text(
        json.dumps(
            {
                "victim": HOSTILE,
                "verdict": {"name": HOSTILE, "reason": HOSTILE},
                "partner_return": {HOSTILE: {"mean": 1, "half_width": 0}},
            }
        )
    )
    (path / "certificates.json").write_text(
        json.dumps(
            {
                "method": "trained",
                "certificates": [
                    {"agent": HOSTILE, "seed": 0, "seats": [0], "gap": 1.0, "partners": [{"partner": HOSTILE}]}
                ],
            }
        )
    )
    (path / "plays").mkdir()
    (path / "plays" / "<b>x<b>.rpax.json").write_text(json.dumps({HOSTILE: 1}))
    broken = tmp_path / "<script>window.hit=1<"
    broken.mkdir()
    (broken / "config.yaml").write_text(f"algorithm: '{HOSTILE}'\nenvironment: 7\n")
    with opened(page, Book([path, broken], settings=explore_runs.SETTINGS, title=HOSTILE)) as url:
        for view in (
            "#/",
            "#/run/0",
            "#/run/0?curves=entropy",
            f"#/run/0?curves={HOSTILE}",
            "#/run/1",
            "#/grid/0?row=0&column=3",
        ):
            page.goto(f"{url}/{view}")
            expect(page.locator("h1")).to_be_visible(timeout=WAIT)
        players(page, 1)
        page.goto(f"{url}/#/run/0")
        expect(page.get_by_text(HOSTILE, exact=True).first).to_be_visible(timeout=WAIT)
        for part in ("attack", "settings", "gaps", "diagnosis", "returns", "curves", "plays"):
            expect(page.locator(f"section[aria-labelledby=part-{part}]")).to_contain_text(
                "<img src=x" if part != "settings" else "settings"
            )
        page.goto(f"{url}/#/")
        expect(page.locator("h1")).to_have_text(HOSTILE)
        expect(page.locator("tr", has_text="unreadable")).to_be_visible()
        assert page.locator("img, main script").count() == 0
        assert page.evaluate("() => window.hit") is None


def test_nothing_but_documents_is_served(small, page, folder):
    for path in (
        "data/run/../../etc/passwd",
        "data/run/%2e%2e%2fconfig.yaml",
        "data/run/1e3",
        "data/grid/-1",
        "data/run/99",
        "data/play/0/0",
        "data/recording/0/0/0/..%2f",
        "static/..%2fbook.py",
        "static/explore.html",
        "data/",
        "docs",
        "openapi.json",
        f"data/run/{'9' * 400}",
    ):
        answer = page.request.get(f"{small}/{path}")
        assert answer.status in (400, 404), path
        assert str(folder) not in answer.text()
    assert page.request.get(f"{small}/data/overview").ok
    tag = page.request.get(f"{small}/data/grid/0").headers["etag"]
    assert page.request.get(f"{small}/data/grid/0", headers={"If-None-Match": tag}).status == 304
    assert page.request.get(f"{small}/data/overview", headers={"Origin": "http://evil.example"}).status == 403


def test_the_page_says_when_the_explorer_has_ended(folder, page, monkeypatch):
    monkeypatch.setattr("rpax.reports.run_plots.draw_run_plots", lambda *arguments: [])
    page.watch.expected.append("ERR_CONNECTION_REFUSED")
    path = explore_runs.train(folder, "matrix/figure-2", "at-rpg")
    with explore_runs.served(Book([path], settings=explore_runs.SETTINGS)) as url:
        page.goto(url)
        expect(page.locator(".state-chip")).to_have_text("live")
    expect(page.locator(".state-chip")).to_have_text("not connected", timeout=WAIT)
    expect(page.get_by_role("link", name="at-rpg-matrix-figure-2")).to_be_visible()


def test_what_could_not_be_had_is_asked_for_again(small, page):
    """Of one who was without a network for a while, and of a server that had too much to do."""
    page.watch.expected += ["ERR_INTERNET_DISCONNECTED", "503"]
    page.goto(f"{small}/#/grid/0")
    played(page)
    page.context.set_offline(True)
    cell(page, 0, 3).click()
    expect(page.locator(".one .state")).to_have_text("the server does not answer", timeout=WAIT)
    page.context.set_offline(False)
    players(page, 1)
    expect(page.locator(".why li").first).to_be_visible(timeout=WAIT)
    page.route(
        "**/best",
        lambda route: route.fulfill(status=503, content_type="application/json", body='{"error": "wait a little"}'),
        times=1,
    )
    page.get_by_role("button", name="Best").click()
    expect(page.locator(".one .state")).to_have_text("wait a little", timeout=WAIT)
    expect(page.locator(".strip")).to_contain_text("The best of 32 episodes", timeout=WAIT)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(address, page, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the dev extra is missing: axe").Axe()
    page.goto(f"{address}/#/")
    page.evaluate(f"() => window.rpax.setTheme('{theme}')")
    for view in (
        "#/",
        "#/run/3",
        "#/run/1",
        "#/grid/3?row=0&column=3",
        "#/grid/1?row=0&column=1&with=1,0&metric=drop",
        "#/grid/3?metric=gap",
    ):
        page.goto(f"{address}/{view}")
        if "row=" in view:
            page.wait_for_function(f"() => window.rpax.test.players.length === {1 + view.count('with=')}", timeout=WAIT)
        else:
            page.wait_for_timeout(400)
        found = [its for its in axe.run(page).response["violations"] if its["impact"] in ("serious", "critical")]
        assert [(its["id"], [node["html"][:200] for node in its["nodes"][:3]]) for its in found] == [], view


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_is_wider_than_the_page(address, page, width):
    page.set_viewport_size({"width": width, "height": 800})
    for view in ("#/", "#/run/3", "#/grid/1?row=0&column=1&with=1,0"):
        page.goto(f"{address}/{view}")
        expect(page.locator("h1")).to_be_visible()
        page.wait_for_timeout(500)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, view
