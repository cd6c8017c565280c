"""The explorer as one file: everything is inside, it opens from disk without network, and stays small."""

import base64
import json
import pathlib
import re
import subprocess
import sys
import zlib

import pytest

import rpax
from rpax.cli.main import main
from rpax.web import export as exporting
from rpax.web.book import Book, PlaySettings
from rpax.web.export import export
from rpax.web.page_files import EXPLORE_PAGE, files_of
from rpax.web.player_files import SCRIPTS, STYLES

SETTINGS = PlaySettings(episodes=4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rpax.reports.run_plots.draw_run_plots", lambda *arguments: [])
        rpax.train("sp", "matrix/figure-13", exact=True, seeds=2, updates=10, out=path)
    return path


def book(*paths: pathlib.Path, title: str = "rpax explorer") -> Book:
    return Book([*paths], settings=SETTINGS, title=title, live=False)


def documents(page: pathlib.Path) -> dict:
    packed = re.search(r'<script type="application/json" id="rpax-documents">([^<]*)</script>', page.read_text())
    assert packed is not None
    return json.loads(zlib.decompress(base64.b64decode(packed[1]), wbits=-15))


def test_the_file_holds_every_document_that_the_page_asks_for(run, tmp_path):
    shown = []
    written = export(book(run), tmp_path / "x.html", lambda *told: shown.append(told))
    found = documents(written.path)
    cells = [(row, column) for row in (0, 1) for column in (0, 1)]
    expected = {"overview", "run/0", "grid/0", *(f"cell/0/{r}/{c}" for r, c in cells)}
    expected |= {f"recording/0/{r}/{c}/{pick}" for r, c in cells for pick in ("best", "median", "worst")}
    assert set(found) == expected
    assert (written.recordings, written.picks) == (12, ("best", "median", "worst"))
    assert written.size == written.path.stat().st_size
    assert found["overview"]["live"] is False
    assert found["grid/0"]["done"] == 4
    assert {what for what, _, _ in shown} == {
        "reading the runs",
        "cross-play",
        *(f"recording the {pick}" for pick in ("best", "median", "worst")),
    }
    assert not list(tmp_path.glob("*.part"))


def test_as_many_episodes_of_each_cell_are_kept_as_fit(run, tmp_path, monkeypatch):
    size = export(book(run), tmp_path / "x.html").size
    monkeypatch.setattr(exporting, "MOST_BYTES", size - 1)
    written = export(book(run), tmp_path / "y.html")
    assert written.picks == ("median", "worst")
    assert documents(written.path)["overview"]["picks"] == ["median", "worst"]
    assert not any(name.endswith("/best") for name in documents(written.path))
    assert written.size < size
    monkeypatch.setattr(exporting, "MOST_BYTES", 1000)
    written = export(book(run), tmp_path / "z.html")
    assert written.picks == ("median",)
    assert written.recordings == 4


def test_the_policy_allows_what_is_inside_and_nothing_else(run, tmp_path):
    title = "<script>window.hit=1</script>"
    text = export(book(run, title=title), tmp_path / "x.html").path.read_text()
    assert title not in text
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for name in ("script-src", "style-src"):
        assert all(source.startswith("'sha256-") for source in rules[name].split()), name
    assert not re.search(r'(src|href)="(?!data:|#)', text.replace('href="#main"', ""))


def test_the_page_loads_the_player_whole_and_in_order():
    names = files_of(EXPLORE_PAGE)
    assert names[: len(STYLES)] == [*STYLES]
    scripts = [name for name in names if name.endswith(".js")]
    assert scripts[: len(SCRIPTS)] == [*SCRIPTS]


def test_a_file_that_cannot_be_written_is_told(run, tmp_path):
    with pytest.raises(rpax.InputError, match="there is no folder"):
        export(book(run), tmp_path / "none" / "x.html")
    with pytest.raises(rpax.InputError, match="is a folder"):
        export(book(run), tmp_path)


def test_the_command_exports_without_the_extra(run, tmp_path):
    """In a process where importing any of the extra's packages fails."""
    block = "import sys; sys.modules.update(dict.fromkeys(('fastapi', 'starlette', 'uvicorn', 'websockets')))"
    call = f"{block}; from rpax.cli.main import main; sys.exit(main(sys.argv[1:]))"
    out = tmp_path / "x.html"
    arguments = ["explore", str(run), "--export", str(out), "--episodes", "3", "--title", "mine"]
    done = subprocess.run([sys.executable, "-c", call, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"written: {out}, " in done.stderr
    assert "12 episodes (best, median, worst of each cell)" in done.stderr
    assert documents(out)["overview"]["title"] == "mine"


def test_what_was_written_is_told_as_json(run, tmp_path, capsys):
    out = tmp_path / "x.html"
    assert main(["explore", str(run), "--export", str(out), "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["bytes"]) == (str(out), out.stat().st_size)
    assert told["recordings"] >= len(told["picks"]) > 0


def test_quiet_says_nothing(run, tmp_path, capsys):
    assert main(["explore", str(run), "--export", str(tmp_path / "x.html"), "--episodes", "3", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_it_opens_from_disk_with_the_network_blocked(run, tmp_path, page):
    from playwright.sync_api import expect

    written = export(book(run), tmp_path / "x.html")
    page.context.set_offline(True)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    url = written.path.as_uri()
    page.goto(f"{url}#/")
    expect(page.locator(".state-chip")).to_have_text("exported")
    page.get_by_role("link", name="matrix/figure-13").first.click()
    page.locator("td.cell").nth(1).click()
    page.wait_for_function("() => window.rpax.test.players.length === 1")
    page.locator(".rpax-player").focus()
    page.keyboard.press("End")
    assert page.evaluate("() => window.rpax.test.players[0].step") == 1
    page.get_by_role("button", name="Worst").click()
    expect(page.locator(".strip")).to_contain_text("The worst of 32")
    expect(page.locator(".why li").first).to_be_visible()
    page.go_back()
    expect(page.locator(".strip")).to_contain_text("The median of 32")
    page.get_by_role("link", name="run", exact=True).click()
    expect(page.locator(".chart path.line").first).to_be_visible()
    page.goto(f"{url}#/grid/0?row=1&column=0&pick=best&step=1")
    page.reload()
    page.wait_for_function("() => window.rpax.test.players.length === 1")
    assert page.evaluate("() => window.rpax.test.players[0].step") == 1
    assert {name.partition("#")[0] for name in asked} == {url}


@pytest.mark.slow
def test_a_grid_of_twenty_agents_with_overcooked_episodes_fits(tmp_path):
    """What `benchmarks/export.py` does: 400 cells with an episode of 400 steps each in at most 5 MB."""
    benchmark = pathlib.Path(__file__).parents[2] / "benchmarks" / "export.py"
    command = [sys.executable, str(benchmark), "--out", str(tmp_path / "x.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["cells"] == 400
    assert told["recordings"] >= 400
    assert told["bytes"] <= 5_000_000
