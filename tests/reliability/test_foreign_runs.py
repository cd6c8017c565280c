"""Run directories that somebody else made: nothing outside them is read or written, and no code in them is run."""

import json
import pathlib
import shutil

import pytest
import yaml

import rpax
from rpax.errors import InputError
from rpax.runs.checkpoint import read_arrays
from rpax.runs.directory import RunDirectory
from rpax.runs.manifest import MANIFEST, STATE
from rpax.runs.presets import ALGORITHM_OPTIONS, preset_values

pytestmark = pytest.mark.usefixtures("no_plots")
SETTINGS = {"exact": True, "log_every": 1, "evaluation_episodes": 2}


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory) -> pathlib.Path:
    run = tmp_path_factory.mktemp("foreign") / "run"
    rpax.train("at-rpg", "matrix/figure-2", updates=2, out=run, **SETTINGS)
    return run


@pytest.fixture
def run(finished_run, tmp_path) -> pathlib.Path:
    return shutil.copytree(finished_run, tmp_path / "run")


def edit(run: pathlib.Path, **changes: object) -> None:
    file = run / "config.yaml"
    settings = {**yaml.safe_load(file.read_text()), **changes}
    file.write_text(yaml.safe_dump(settings))


@pytest.mark.parametrize("name", ["checkpoints", "policies", "plots", "fixed"])
def test_nothing_is_written_through_a_folder_that_is_a_link(name, run, tmp_path):
    elsewhere = tmp_path / "mine"
    if (run / name).exists():
        shutil.move(run / name, elsewhere)
    else:
        elsewhere.mkdir()
    (run / name).symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    with pytest.raises(InputError, match=rf"run/{name} is a link that leads out of .*put here what it links to"):
        rpax.resume(run, until=4)
    assert sorted(elsewhere.rglob("*")) == before
    assert not (run / "lock").exists()


def test_nothing_is_written_through_a_file_that_is_a_link(run, tmp_path):
    mine = tmp_path / "mine.png"
    mine.write_bytes(b"mine")
    (run / "plots").mkdir(exist_ok=True)
    (run / "plots" / "policies.png").unlink(missing_ok=True)
    (run / "plots" / "policies.png").symlink_to(mine)
    with pytest.raises(InputError, match=r"policies.png is a link"):
        rpax.resume(run, until=4)
    assert mine.read_bytes() == b"mine"


def test_links_within_a_run_are_followed(run):
    (run / "policies").rename(run / "agents")
    (run / "policies").symlink_to("agents")
    assert rpax.resume(run, until=3).update == 3


def test_code_within_a_run_around_the_one_that_names_it_is_not_run(finished_run, tmp_path):
    outer = shutil.copytree(finished_run, tmp_path / "outer")
    inner = shutil.copytree(finished_run, outer / "inner")
    ran = tmp_path / "ran"
    (outer / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()\ndef f(observation): return 0\n")
    edit(inner, victim=f"{outer / 'evil.py'}:f")
    with pytest.raises(InputError, match="code in the folder itself, which is never run"):
        rpax.load(inner)
    assert not ran.exists()


def test_other_folders_with_a_configuration_are_no_runs(finished_run, tmp_path):
    (tmp_path / "config.yaml").write_text("of: something else\n")
    (tmp_path / "mine.py").write_text("def f(observation): return 0\n")
    run = shutil.copytree(finished_run, tmp_path / "runs" / "run")
    edit(run, victim=f"{tmp_path / 'mine.py'}:f")
    assert rpax.load(run).config.victim == f"{tmp_path / 'mine.py'}:f"


#: What is open in some complete configurations.
NEEDED = {*preset_values("fast", "matrix/figure-2", exact=True), "log_every"} - {*ALGORITHM_OPTIONS}


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_configuration_with_a_setting_left_out_is_refused(name, run):
    settings = yaml.safe_load((run / "config.yaml").read_text())
    for changed in ({**settings, name: None}, {key: value for key, value in settings.items() if key != name}):
        (run / "config.yaml").write_text(yaml.safe_dump(changed))
        with pytest.raises(InputError, match=f"key '{name}' is missing; restore the file from a copy"):
            rpax.load(run)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"environment": "matrix/custom", "payoffs": "/etc/payoffs.json"}, "payoffs"),
        ({"environment": "overcooked/custom", "environment_options": {"layout": "../kitchen.txt"}}, "layout"),
    ],
)
def test_a_configuration_names_no_files_that_are_read(changes, name, run):
    edit(run, **changes)
    with pytest.raises(InputError, match=f"{name} names a file instead of what it holds"):
        rpax.load(run)


@pytest.mark.parametrize("stages", [["pool", "pool"], ["pool", "./pool"]])
def test_a_scheme_that_names_a_folder_twice_is_refused(stages, run):
    shutil.copytree(run, run / "pool")
    document = {"scheme": "fcp", "stages": [{"folder": folder, "about": "pool"} for folder in stages]}
    (run / "scheme.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="names a folder twice"):
        RunDirectory(run).read_scheme()


def test_a_scheme_in_a_stage_of_a_scheme_is_refused(run):
    (run / "results.json").unlink()
    stage = shutil.copytree(run, run / "pool")
    document = {"scheme": "fcp", "stages": [{"folder": "pool", "about": "pool"}]}
    for place in (run, stage):
        (place / "scheme.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="lies in a stage"):
        rpax.load(run)


def test_no_room_is_made_for_what_a_manifest_claims(run, monkeypatch):
    checkpoint = max((run / "checkpoints").iterdir())
    monkeypatch.setattr("rpax.runs.manifest._digest", lambda content: content["sha256"])
    manifest = json.loads((checkpoint / MANIFEST).read_text())
    manifest["files"][STATE]["bytes"] = 63 * 10**9
    (checkpoint / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="does not match its checksum"):
        read_arrays(checkpoint)
