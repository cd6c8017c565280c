"""Metrics go to JSON lines always, and to TensorBoard or Weights & Biases if asked for."""

import importlib.machinery
import json
import pathlib
import sys
import types
from typing import Any

import pytest

import rpax
from rpax.errors import InputError
from rpax.runs.sinks import JsonLines, Sink, TensorBoard, WeightsAndBiases, make_sinks, numbers_of, read_rows

ROW = {
    "update": 3,
    "seed": 7,
    "entropy": {"victim": 0.5},
    "returns": {"a vs b": [1, -0.25], "b vs b": None},
    "loss": 2.0,
}
NUMBERS = {"entropy/victim": 0.5, "returns/a vs b/0": 1, "returns/a vs b/1": -0.25, "loss": 2.0}


def test_numbers_are_named_by_their_place_and_what_is_missing_is_left_out():
    assert dict(numbers_of(ROW)) == NUMBERS


def test_every_line_is_whole_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    sink = JsonLines(path, resume_at=0)
    for update in range(1, 5):
        sink.write(ROW | {"update": update})
        # Read while the run goes on.
        text = path.read_text()
        assert text.endswith("\n")
        assert [json.loads(line)["update"] for line in text.splitlines()] == list(range(1, update + 1))
    sink.close()
    assert read_rows(path)[2] == ROW


def test_lines_beyond_where_a_run_goes_on_and_a_line_that_was_cut_off_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps(ROW | {"update": update, "seed": seed}) for update in (1, 2, 3) for seed in (0, 1)]
    path.write_text("\n".join(lines) + "\n" + lines[0][:-9])
    assert len(read_rows(path)) == 6, "a reader stops before the line that was cut off"
    sink = JsonLines(path, resume_at=2)
    sink.write(ROW | {"update": 30})
    sink.close()
    assert [(row["update"], row["seed"]) for row in read_rows(path)] == [(1, 0), (1, 1), (2, 0), (2, 1), (30, 7)]


def lines_of(*updates: int) -> list[bytes]:
    return [json.dumps(ROW | {"update": update, "seed": 0}).encode() + b"\n" for update in updates]


def write_damaged(path: pathlib.Path, damage: bytes) -> tuple[int, bytes]:
    """Lines of updates 1 to 5, the third of them damaged; how long those up to 4 were, and those that are sound."""
    lines = lines_of(1, 2, 3, 4, 5)
    length = sum(map(len, lines[:4]))
    path.write_bytes(b"".join([*lines[:2], damage.ljust(len(lines[2]) - 1)[: len(lines[2]) - 1] + b"\n", *lines[3:]]))
    assert path.stat().st_size == length + len(lines[4])
    return length, b"".join([lines[0], lines[1], lines[3]])


DAMAGE = [
    b"{",
    b"\xff\xfe",
    b"\0",
    b"[" * 5000,
    b'{"update": Infinity, "seed": 0}',
    b'{"update": 9, "seed": 0}',
    b"[3, 0]",
    b'{"update": "3", "seed": 0}',
]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
def test_a_damaged_line_costs_no_other_line_and_the_file_as_it_was_is_kept(damage, known, tmp_path):
    path = tmp_path / "metrics.jsonl"
    length, sound = write_damaged(path, damage)
    before = path.read_bytes()
    if not known and b": 9" in damage:
        pytest.skip("without the length, a line of a later update ends what is kept")
    sink = JsonLines(path, 4, length if known else None)
    assert sink.note is not None
    assert f"kept as {path}.damaged" in sink.note
    assert path.with_name("metrics.jsonl.damaged").read_bytes() == before
    assert path.read_bytes() == sound
    sink.write(ROW | {"update": 5, "seed": 0})
    sink.close()
    assert path.read_bytes() == sound + lines_of(5)[0]
    # Killed before the next checkpoint, it goes on from the same one.
    again = JsonLines(path, 4, length)
    again.close()
    assert again.note is None
    assert path.read_bytes() == sound


def test_lines_are_cut_where_they_ended_when_the_update_was_saved(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = lines_of(1, 2, 2)
    path.write_bytes(b"".join(lines))
    JsonLines(path, 2, len(lines[0] + lines[1])).close()
    assert path.read_bytes() == lines[0] + lines[1]


def test_the_last_saved_line_that_is_damaged_is_told_too(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = lines_of(1, 2)
    path.write_bytes(lines[0] + b"x" * len(lines[1]))
    sink = JsonLines(path, 2, len(lines[0] + lines[1]))
    sink.close()
    assert sink.note is not None
    assert path.read_bytes() == lines[0]


def test_a_second_damage_keeps_what_was_kept_of_the_first(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for damage in (b"{", b"["):
        write_damaged(path, damage)
        JsonLines(path, 4).close()
    assert path.with_name("metrics.jsonl.damaged").read_bytes().splitlines()[2].strip() == b"{"
    assert path.with_name("metrics.jsonl.damaged1").read_bytes().splitlines()[2].strip() == b"["


def test_readers_leave_damaged_lines_out(tmp_path):
    write_damaged(tmp_path / "metrics.jsonl", b"[" * 5000)
    assert [row["update"] for row in read_rows(tmp_path / "metrics.jsonl")] == [1, 2, 4, 5]


def test_nothing_is_written_or_cut_through_a_link(tmp_path):
    mine, path = tmp_path / "mine", tmp_path / "metrics.jsonl"
    content = b"".join(lines_of(1, 2))
    mine.write_bytes(content)
    path.symlink_to(mine)
    with pytest.raises(InputError, match=r"metrics\.jsonl is a link or no file, to which nothing is written"):
        JsonLines(path, 1)
    path.unlink()
    path.hardlink_to(mine)
    sink = JsonLines(path, 1)
    sink.write(ROW | {"update": 3, "seed": 0})
    sink.close()
    assert path.read_bytes() == b"".join(lines_of(1, 3))
    assert mine.read_bytes() == content


def test_there_are_no_rows_where_there_is_no_file(tmp_path):
    assert read_rows(tmp_path / "none.jsonl") == []


def test_tensorboard_gets_every_number_of_every_seed(tmp_path, monkeypatch):
    tensorboard = pytest.importorskip("tensorboardX")
    written = []

    class Writer(tensorboard.SummaryWriter):
        def add_scalar(self, *arguments: Any, **options: Any) -> None:
            written.append(arguments)
            super().add_scalar(*arguments, **options)

    monkeypatch.setattr(tensorboard, "SummaryWriter", Writer)
    sink = TensorBoard(tmp_path / "tensorboard", 0)
    assert isinstance(sink, Sink)
    sink.write(ROW)
    sink.close()
    assert {name: (value, step) for name, value, step in written} == {
        f"seed-7/{name}": (value, 3) for name, value in NUMBERS.items()
    }
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"seed-7/entropy/victim" in events.read_bytes()


def test_what_a_killed_session_told_tensorboard_beyond_its_checkpoint_is_purged(tmp_path):
    """As TensorBoard does it: what is of a later session's first step, or beyond, is dropped."""
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    for resume_at, updates in ((0, (1, 2, 3)), (2, (3, 4))):
        sink = TensorBoard(tmp_path / "tensorboard", resume_at)
        for update in updates:
            sink.write(ROW | {"update": update})
        sink.close()
    shown: list[int] = []
    for file in sorted((tmp_path / "tensorboard").iterdir()):
        content, events = file.read_bytes(), []
        while content:
            # Length, its checksum, the event, its checksum.
            length = int.from_bytes(content[:8], "little")
            events.append(Event.FromString(content[12 : 12 + length]))
            content = content[16 + length :]
        for event in events:
            if event.session_log.status == SessionLog.START:
                shown = [step for step in shown if step < event.step]
            shown += [event.step for value in event.summary.value if value.tag == "seed-7/loss"]
    assert shown == [1, 2, 3, 4]


class FakeRun:
    """What `wandb.init` returns."""

    def __init__(self) -> None:
        self.logged: list[dict[str, Any]] = []
        self.finished = False

    def log(self, row: dict[str, Any], step: int) -> None:
        assert step == row["update"]
        self.logged.append(row)

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def wandb(monkeypatch):
    """A module that stands for Weights & Biases and remembers what it was told."""
    module: Any = types.ModuleType("wandb")
    module.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
    module.runs = []

    def init(**options: Any) -> FakeRun:
        module.runs.append((options, FakeRun()))
        return module.runs[-1][1]

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_weights_and_biases_gets_every_line_of_a_run_with_its_configuration(wandb, tmp_path):
    run = rpax.train(
        "sp", "matrix/figure-2", exact=True, updates=2, seeds=[7, 3], sinks=["wandb"], out=tmp_path / "run"
    )
    ((options, told),) = wandb.runs
    assert options["name"] == "run"
    assert options["dir"] == str(tmp_path / "run")
    assert options["config"]["algorithm"] == "sp"
    assert options["config"]["seeds"] == [7, 3]
    assert told.finished
    expected = [
        {"update": row["update"], **{f"seed-{row['seed']}/{name}": value for name, value in numbers_of(row)}}
        for row in run.metrics()
    ]
    assert told.logged == expected
    assert len(expected) == 4


def test_all_sessions_of_a_run_are_one_run_of_weights_and_biases_also_where_it_was_moved(wandb, tmp_path, no_plots):
    settings = {"exact": True, "updates": 3, "log_every": 1, "minutes": 1e-9, "sinks": ["wandb"]}
    for name in ("run", "other"):
        rpax.train("sp", "matrix/figure-2", **settings, out=tmp_path / name)
    (tmp_path / "run").rename(tmp_path / "moved")
    assert rpax.resume(tmp_path / "moved").status == "finished"
    first, other, again = (options["id"] for options, _ in wandb.runs)
    assert first == again
    assert first != other
    (tmp_path / "other" / "wandb.json").write_text('{"id": "../x"}')
    with pytest.raises(InputError, match=r"other/wandb\.json is damaged; remove it"):
        rpax.resume(tmp_path / "other")
    assert not (tmp_path / "other" / "lock").exists()


def test_no_other_sink_is_open_where_one_refuses(wandb, tmp_path, no_plots, monkeypatch):
    settings = {"exact": True, "updates": 3, "log_every": 1, "minutes": 1e-9, "sinks": ["wandb"]}
    run = tmp_path / "run"
    rpax.train("sp", "matrix/figure-2", **settings, out=run)
    assert len(wandb.runs) == 1
    (run / "metrics.jsonl").rename(run / "mine")
    (run / "metrics.jsonl").symlink_to(run / "mine")
    with pytest.raises(InputError, match="is a link or no file"):
        rpax.resume(run)
    assert len(wandb.runs) == 1, "it was not begun"

    def refuse(*arguments: Any) -> None:
        raise RuntimeError("refused")

    monkeypatch.setattr("rpax.runs.sinks.TensorBoard", refuse)
    with pytest.raises(RuntimeError, match="refused"):
        make_sinks(("wandb", "tensorboard"), tmp_path, {})
    assert wandb.runs[-1][1].finished


def test_sinks_are_closed_when_training_fails(wandb, tmp_path):
    from rpax.errors import NonFiniteError

    with pytest.raises(NonFiniteError):
        rpax.train(
            "sp", "matrix/custom", payoffs=[[1e300, 0], [0, 1e300]], exact=True, base_rate=1e10, updates=2,
            sinks=["wandb"], out=tmp_path / "run",
        )  # fmt: skip
    assert wandb.runs[0][1].finished


def test_optional_sinks_are_made_in_the_order_asked_for(wandb, tmp_path):
    (sink,) = make_sinks(("wandb",), tmp_path, {})
    assert isinstance(sink, WeightsAndBiases)
    assert make_sinks((), tmp_path, {}) == []


@pytest.mark.parametrize(("sink", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_sink_whose_package_is_missing_names_the_extra_and_leaves_no_directory(sink, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"sink {sink} needs {package}; install rpax\[{sink}\]"):
        rpax.train("sp", "matrix/figure-2", exact=True, updates=1, sinks=[sink], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_sink_needs_a_run_directory():
    with pytest.raises(InputError, match="sink wandb needs a run directory; give out="):
        rpax.train("sp", "matrix/figure-2", exact=True, updates=1, sinks=["wandb"])
