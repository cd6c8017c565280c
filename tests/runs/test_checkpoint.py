"""Checkpoints are whole or not there, read back bit for bit, and say what is wrong with them."""

import json

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpax.errors import InputError
from rpax.runs.checkpoint import flatten, list_checkpoints, load_checkpoint, save_checkpoint, unflatten
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


def test_saving_the_same_update_again_leaves_it_alone(tmp_path):
    path = save_checkpoint(tmp_path, some_state(0), 5)
    assert save_checkpoint(tmp_path, some_state(1), 5) == path
    assert same(load_checkpoint(path, SHAPE)[0], some_state(0))


def test_there_are_no_checkpoints_where_there_is_no_folder(tmp_path):
    assert list_checkpoints(tmp_path / "checkpoints") == []


@settings(max_examples=40, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(tmp_path_factory, place, bit):
    path = save_checkpoint(tmp_path_factory.mktemp("flip"), some_state(), 1)
    content = bytearray((path / "state.safetensors").read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    (path / "state.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="does not match its checksum, it is damaged; remove it"):
        load_checkpoint(path, SHAPE)


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
    with pytest.raises(InputError, match=r"update-000000001: cannot be read \(No such file"):
        load_checkpoint(path, SHAPE)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"schema": 1, "files": {}, "update": 1}', "\x00"])
def test_a_damaged_manifest_is_named(tmp_path, text):
    path = save_checkpoint(tmp_path, some_state(), 1)
    (path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json is damaged; remove it"):
        load_checkpoint(path, SHAPE)


def rewrite(path, **changes: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | changes))


def test_a_newer_format_asks_for_the_rpax_that_wrote_it(tmp_path):
    path = save_checkpoint(tmp_path, some_state(), 1)
    rewrite(path, schema=2, rpax="7.8.9")
    with pytest.raises(InputError, match=r"format 2, this rpax reads format 1; use rpax 7\.8\.9"):
        load_checkpoint(path, SHAPE)


def test_content_that_is_no_safetensors_is_refused_even_with_the_right_checksum(tmp_path):
    import hashlib

    path = save_checkpoint(tmp_path, some_state(), 1)
    (path / "state.safetensors").write_bytes(b"pickle")
    rewrite(path, files={"state.safetensors": {"sha256": hashlib.sha256(b"pickle").hexdigest(), "bytes": 6}})
    with pytest.raises(InputError, match="no safetensors file; remove it"):
        load_checkpoint(path, SHAPE)


def test_an_array_of_another_shape_type_or_name_is_named(tmp_path):
    path = save_checkpoint(tmp_path, some_state(), 1)
    with pytest.raises(InputError, match=r"'critics' is float16\[2, 3\], this run needs float16\[2, 4\]; is it of"):
        load_checkpoint(path, SHAPE._replace(critics=np.zeros((2, 4), np.float16)))
    with pytest.raises(InputError, match=r"'critics' is float16\[2, 3\], this run needs float32\[2, 3\]; is it of"):
        load_checkpoint(path, SHAPE._replace(critics=np.zeros((2, 3), np.float32)))
    with pytest.raises(InputError, match="'outer_streams' is missing; is it of this run"):
        load_checkpoint(path, SHAPE._replace(outer_streams=np.zeros(2)))


@pytest.mark.parametrize("call", [1, 2, 3])
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
    # Synchronised in this order: state, manifest, then the folder, when the checkpoint is whole already.
    whole = [1, 2] if call == 3 else [1]
    assert [load_checkpoint(path, SHAPE)[1] for path in list_checkpoints(tmp_path)] == whole
    # What the dead writer left does not disturb the next one.
    save_checkpoint(tmp_path, some_state(2), 2)
    assert same(load_checkpoint(list_checkpoints(tmp_path)[-1], SHAPE)[0], some_state(2))
    assert not list(tmp_path.glob(".*"))
