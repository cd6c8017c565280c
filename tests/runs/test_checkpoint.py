"""Checkpoints are whole or not there, read back bit for bit, and say what is wrong with them."""

import hashlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpax.errors import InputError
from rpax.runs.checkpoint import flatten, list_checkpoints, load_checkpoint, read_arrays, save_checkpoint, unflatten
from rpax.runs.manifest import read_manifest
from rpax.training.problem import Streams, TrainState


def some_state(seed: int = 0) -> TrainState:
    """A state with every kind of entry: nested, of several types, without axes, empty."""
    draw = np.random.default_rng(seed)
    return TrainState(
        base={"victim": {"seat_0": {"params": {"table": draw.normal(size=(2, 1, 3))}}}, "adversary": {"shared": {}}},
        base_optimizer={"victim": (draw.normal(size=2).astype(np.float32), np.int32(4))},
        manipulators={"manipulator": {"seat_1": draw.normal(size=(2, 0))}},
        manipulator_optimizer={},
        critics=draw.normal(size=(2, 3)).astype(np.float16),
        critic_optimizer=(),
        lookahead_streams=Streams(
            draw.integers(0, 9, size=(2, 4)), draw.random((2, 4)) < 0.5, draw.normal(size=(2, 4, 2))
        ),
        outer_streams=None,
        outer_gradients={},
        key=draw.integers(0, 2**32, size=(2, 2), dtype=np.uint32),
        update=np.array([7, 7], np.int32),
        partners={"partner": {"shared": draw.normal(size=(2, 3))}},
    )


SHAPE = jax.tree.map(lambda leaf: np.zeros_like(leaf), some_state())


def same(one: TrainState, other: TrainState) -> bool:
    """Equal bit for bit, in the same structure."""
    first, second = flatten(one), flatten(other)
    return (
        jax.tree.structure(one) == jax.tree.structure(other)
        and first.keys() == second.keys()
        and all(first[name].tobytes() == second[name].tobytes() for name in first)
        and all(first[name].dtype == second[name].dtype for name in first)
    )


def test_a_checkpoint_is_read_back_bit_for_bit(tmp_path):
    state = some_state()
    state.base["victim"]["seat_0"]["params"]["table"][0, 0, :] = [np.nan, -0.0, 5e-324]
    path = save_checkpoint(tmp_path, state, 7)
    found, update = load_checkpoint(path, SHAPE)
    assert update == 7
    assert same(found, state)
    assert found.outer_streams is None


def test_arrays_are_named_by_their_place():
    assert "base/victim/seat_0/params/table" in flatten(some_state())
    assert "lookahead_streams/first" in flatten(some_state())
    assert same(unflatten(flatten(some_state(3)), SHAPE, "here"), some_state(3))


def test_only_the_last_two_checkpoints_are_kept_in_order(tmp_path):
    for update in (1, 3, 20, 100):
        save_checkpoint(tmp_path, some_state(update), update)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["update-000000020", "update-000000100"]
    assert same(load_checkpoint(list_checkpoints(tmp_path)[0], SHAPE)[0], some_state(20))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["update-000000020", "update-000000100"]


@pytest.mark.parametrize("kept", [1, 3])
def test_as_many_checkpoints_are_kept_as_was_asked_for(tmp_path, kept):
    for update in range(5):
        save_checkpoint(tmp_path, some_state(update), update, kept=kept)
    assert [load_checkpoint(path, SHAPE)[1] for path in list_checkpoints(tmp_path)] == list(range(5 - kept, 5))


def test_saving_the_same_update_again_leaves_it_alone(tmp_path):
    path = save_checkpoint(tmp_path, some_state(0), 5)
    assert save_checkpoint(tmp_path, some_state(1), 5) == path
    assert same(load_checkpoint(path, SHAPE)[0], some_state(0))


def test_checkpoints_are_in_the_order_of_their_updates_even_beyond_nine_digits(tmp_path):
    updates = (999_999_998, 999_999_999, 10**9, 10**9 + 1)
    for update in updates:
        save_checkpoint(tmp_path, some_state(), update)
    assert [read_manifest(path).update for path in list_checkpoints(tmp_path)] == [10**9, 10**9 + 1]


def test_an_old_checkpoint_that_cannot_be_removed_does_not_undo_the_new_one(tmp_path, monkeypatch):
    def refuse(*arguments: object, **named: object) -> None:
        raise PermissionError("in use")

    save_checkpoint(tmp_path, some_state(1), 1, kept=1)
    with monkeypatch.context() as patch:
        patch.setattr("os.unlink", refuse)
        path = save_checkpoint(tmp_path, some_state(2), 2, kept=1)
    assert same(load_checkpoint(path, SHAPE)[0], some_state(2))
    save_checkpoint(tmp_path, some_state(3), 3, kept=1)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["update-000000003"]


@pytest.mark.parametrize("dtype", ["bfloat16", "complex64", "float8_e4m3fn"])
def test_an_array_that_could_not_be_read_back_is_refused_before_anything_is_written(dtype, tmp_path):
    state = some_state()._replace(critics={"shared": np.zeros((2, 3), jnp.dtype(dtype))})
    with pytest.raises(InputError, match=rf"array 'critics/shared' is {dtype}\[2, 3\], a type that .* use one of bool"):
        save_checkpoint(tmp_path, state, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["state.safetensors", "manifest.json"])
def test_to_remove_a_damaged_checkpoint_helps_only_where_there_is_another_one(name, tmp_path):
    path = save_checkpoint(tmp_path, some_state(), 7)
    (path / name).write_bytes(b"")
    with pytest.raises(InputError, match="; it is the only one, so the run cannot go on; restore it from a copy, or"):
        load_checkpoint(path, SHAPE)
    save_checkpoint(tmp_path, some_state(), 6)
    with pytest.raises(InputError, match="; remove it to go on from the one before"):
        load_checkpoint(path, SHAPE)


def test_there_are_no_checkpoints_where_there_is_no_folder(tmp_path):
    assert list_checkpoints(tmp_path / "checkpoints") == []


@settings(max_examples=40, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_of_the_arrays_is_found(tmp_path_factory, place, bit):
    path = save_checkpoint(tmp_path_factory.mktemp("flip"), some_state(), 1)
    content = bytearray((path / "state.safetensors").read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    (path / "state.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="does not match its checksum, it is damaged; it is the only one"):
        load_checkpoint(path, SHAPE)


def test_a_flipped_bit_in_any_byte_of_the_manifest_is_found(tmp_path):
    path = save_checkpoint(tmp_path, some_state(), 1)
    file = path / "manifest.json"
    content = file.read_bytes()
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        with pytest.raises(InputError, match=r"manifest\.json"):
            read_manifest(path)
    file.write_bytes(content)
    assert read_manifest(path).update == 1


@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_file_that_was_cut_off_is_found(tmp_path, kept):
    path = save_checkpoint(tmp_path, some_state(), 1)
    (path / "state.safetensors").write_bytes((path / "state.safetensors").read_bytes()[:kept])
    with pytest.raises(InputError, match="checksum"):
        load_checkpoint(path, SHAPE)


@pytest.mark.parametrize("name", ["state.safetensors", "manifest.json"])
def test_a_missing_file_is_named(tmp_path, name):
    path = save_checkpoint(tmp_path, some_state(), 1)
    (path / name).unlink()
    with pytest.raises(InputError, match=rf"update-000000001: {name}: cannot be read \(No such file"):
        load_checkpoint(path, SHAPE)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"schema": 1, "files": {}, "update": 1}', "\x00", "[" * 10**5]
)
def test_a_damaged_manifest_is_named(tmp_path, text):
    path = save_checkpoint(tmp_path, some_state(), 1)
    (path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json is damaged, it .*; it is the only one"):
        load_checkpoint(path, SHAPE)


def rewrite(path, **changes: object) -> None:
    """A manifest that says something else, with the checksum that belongs to it."""
    manifest = json.loads((path / "manifest.json").read_text()) | changes
    del manifest["sha256"]
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    manifest["sha256"] = hashlib.sha256(canonical).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_a_newer_format_asks_for_the_rpax_that_wrote_it(tmp_path):
    path = save_checkpoint(tmp_path, some_state(), 1)
    rewrite(path, schema=3, rpax="7.8.9")
    with pytest.raises(InputError, match=r"format 3; this rpax .* reads formats 1 to 2; use rpax 7\.8\.9, which"):
        load_checkpoint(path, SHAPE)


def test_content_that_is_no_safetensors_is_refused_even_with_the_right_checksum(tmp_path):
    path = save_checkpoint(tmp_path, some_state(), 1)
    (path / "state.safetensors").write_bytes(b"pickle")
    rewrite(path, files={"state.safetensors": {"sha256": hashlib.sha256(b"pickle").hexdigest(), "bytes": 6}}, arrays={})
    with pytest.raises(InputError, match="no safetensors file, it has 6 bytes; it is the only one"):
        read_arrays(path)


def test_an_array_of_another_shape_type_or_name_is_named(tmp_path):
    path = save_checkpoint(tmp_path, some_state(), 1)
    with pytest.raises(InputError, match=r"'critics' is float16\[2, 3\], this run needs float16\[2, 4\]; is it of"):
        load_checkpoint(path, SHAPE._replace(critics=np.zeros((2, 4), np.float16)))
    with pytest.raises(InputError, match=r"'critics' is float16\[2, 3\], this run needs float32\[2, 3\]; is it of"):
        load_checkpoint(path, SHAPE._replace(critics=np.zeros((2, 3), np.float32)))
    with pytest.raises(InputError, match="'outer_streams' is missing; is it of this run"):
        load_checkpoint(path, SHAPE._replace(outer_streams=np.zeros(2)))


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_writer_that_dies_leaves_the_checkpoints_before_untouched(tmp_path, monkeypatch, call):
    save_checkpoint(tmp_path, some_state(1), 1)
    calls = []

    def die(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == call:
            raise OSError("no power")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", die)
        with pytest.raises(OSError, match="no power"):
            save_checkpoint(tmp_path, some_state(2), 2)
    # Synchronised in this order: state, manifest, the folder they are in, and the folder of all checkpoints, when this
    # one is whole already.
    whole = [1, 2] if call == 4 else [1]
    assert [load_checkpoint(path, SHAPE)[1] for path in list_checkpoints(tmp_path)] == whole
    # What the dead writer left does not disturb the next one.
    save_checkpoint(tmp_path, some_state(2), 2)
    assert same(load_checkpoint(list_checkpoints(tmp_path)[-1], SHAPE)[0], some_state(2))
    assert not list(tmp_path.glob(".*"))


def test_a_manifest_says_what_lies_beside_it(tmp_path):
    path = save_checkpoint(tmp_path, some_state(), 7)
    manifest = json.loads((path / "manifest.json").read_text())
    content = (path / "state.safetensors").read_bytes()
    assert manifest["files"] == {
        "state.safetensors": {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    }
    assert manifest["arrays"].keys() == flatten(some_state()).keys()
    assert manifest["arrays"]["lookahead_streams/first"] == {"dtype": "bool", "shape": [2, 4]}
    assert manifest["arrays"]["manipulators/manipulator/seat_1"] == {"dtype": "float64", "shape": [2, 0]}
    assert manifest["libraries"]["jax"] == jax.__version__
    assert manifest["libraries"]["numpy"] == np.__version__


def test_a_checkpoint_of_another_update_than_its_folder_says_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, some_state(), 7)
    with pytest.raises(InputError, match=r"manifest\.json is that of update 7, it is damaged"):
        load_checkpoint(path.rename(tmp_path / "update-000000008"), SHAPE)


def test_other_arrays_are_refused_before_they_are_read(tmp_path):
    path = save_checkpoint(tmp_path, some_state(), 7)
    (path / "state.safetensors").unlink()
    with pytest.raises(InputError, match=r"'critics' is .* is it of this run"):
        load_checkpoint(path, SHAPE._replace(critics=np.zeros((2, 4), np.float16)))


def test_files_that_do_not_belong_to_a_checkpoint_change_nothing(tmp_path):
    path = save_checkpoint(tmp_path, some_state(), 7)
    (path / ".DS_Store").write_bytes(b"pickle")
    (tmp_path / "update-x").mkdir()
    assert list_checkpoints(tmp_path) == [path]
    assert same(load_checkpoint(path, SHAPE)[0], some_state())
