"""Documents that anybody may have written are refused in one line, quickly, and never inflated beyond what they say."""

import base64
import copy
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_play import play_randomly, record_all

import rpax
from rpax.errors import InputError
from rpax.recordings.packing import pack, unpack
from rpax.recordings.reading import MOST_BYTES, parse_recording
from rpax.recordings.recording import Seated, make_recording
from rpax.untrusted import NotStrictJSON


def deflated(content: bytes) -> str:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(packer.compress(content) + packer.flush()).decode()


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    found = {}
    names = ("overcooked/cramped_room", "overcooked_v2/grounded_coord_simple", "storm/sabotage", "hanabi/3x3")
    for name in (*names, "matrix/figure-14", "extensive/g2"):
        environment = rpax.make(name, **({"horizon": 10} if name.startswith("overcooked") else {}))
        found[name] = json.loads(record_all(environment, play_randomly(environment, 1, seed=0))[0].to_json())
    return found


def put(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        at: Any = document
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = to

    return change


def drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.pop(key)


_BOMB = {"type": "u8", "data": deflated(bytes(50_000_000))}
_DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "truncated": (lambda d: put("frames", "data", "data", to=d["frames"]["data"]["data"][:40])(d), "not the expected"),
    "no deflate": (put("frames", "data", "data", to="////"), "cannot be inflated"),
    "no base64": (put("frames", "data", "data", to="a<b>"), "no base64"),
    "a bomb": (put("frames", "data", to=_BOMB), "not the expected"),
    "a bomb of actions": (put("actions", 0, to=_BOMB), "not the expected"),
    "another type": (put("frames", "data", "type", to="u64"), "unknown type"),
    "more fields": (put("frames", "fields", to=4097), "no whole number from 0 to 4096"),
    "too many numbers": (lambda d: (put("length", to=10_000)(d), put("frames", "fields", to=4000)(d)), "more than"),
    "longer than anything": (put("length", to=10**12), "for length"),
    "length of thousands of digits": (put("length", to=10**2000), "for length"),
    "negative length": (put("length", to=-1), "for length"),
    "a fraction": (put("length", to=2.5), "for 'length'"),
    "true": (put("length", to=True), "for 'length'"),
    "another length": (put("length", to=9), "not the expected"),
    "another format": (put("format", to=2), "format 2"),
    "nothing of the scene": (put("scene", to={}), "unknown kind"),
    "an unknown scene": (put("scene", "kind", to="<script>"), "unknown kind"),
    "a list of kinds": (put("scene", "kind", to=["overcooked"]), "unknown kind"),
    "an unknown key": (put("more", to=1), "unknown key"),
    "no key": (drop("key"), "lacks 'key'"),
    "a key of floats": (put("key", to=[0.5, 1]), "word of the key"),
    "a key too long": (put("key", to=[1, 2, 3]), "a key of two seats"),
    "a huge word": (put("key", to=[2**32, 0]), "word of the key"),
    "a reward of text": (put("rewards", to=[[1, "1", 0]]), "for a reward"),
    "a huge reward": (put("rewards", to=[[1, 10**400, 0]]), "too large"),
    "rewards twice": (put("rewards", to=[[1, 1, 1], [1, 1, 1]]), "in order"),
    "other returns": (put("returns", to=[3, 3]), "rewards sum to"),
    "returns of text": (put("returns", to=["0", 0]), "for a return"),
    "three players": (lambda d: d["players"].append(d["players"][0]), "players of two seats"),
    "a long name": (put("players", 0, "name", to="x" * 501), "at most 500"),
    "a name for terminals": (put("players", 0, "name", to="\x1b[31mred"), "printable"),
    "half a character": (put("players", 0, "name", to="\ud800"), "printable"),
    "an unknown player": (put("players", 0, "kind", to="robot"), "neither agent nor person"),
    "no action": (put("action_names", 0, to=[]), "names of 1 to"),
    "a name of an action": (put("action_names", 0, to=[3]), "name of an action"),
    "unknown actions": (
        lambda d: (
            put("action_names", 0, to=["x"])(d),
            put("actions", 0, to=pack(np.ones((1, d["length"]), np.int64)))(d),
        ),
        "who has 1",
    ),
    "probabilities of words": (put("probabilities", 0, to=[0.5]), "for a mapping"),
    "an event of nobody": (put("events", to=[[1, 2, "end", "x"]]), "for a seat"),
    "an event beyond": (put("events", to=[[10**6, None, "end", "x"]]), "step of an event"),
    "an unknown event": (put("events", to=[[1, None, "<b>", "x"]]), "unknown kind"),
    "a list for an event": (put("events", to=[[1, None, ["end"], "x"]]), "unknown kind"),
    "payoffs of text": (put("environment", "payoffs", to="p.npy"), "for 'payoffs'"),
    "deep": (put("environment", "options", to={"a": [[[[[[[[[[[[[]]]]]]]]]]]]]}), "more than 12 levels"),
}


@pytest.mark.parametrize("about", _DAMAGES)
def test_damaged_documents_are_refused_in_one_line(documents, about):
    damage, said = _DAMAGES[about]
    document = copy.deepcopy(documents["overcooked/cramped_room"])
    damage(document)
    tracemalloc.start()
    started = time.perf_counter()
    try:
        with pytest.raises(InputError) as refused:
            parse_recording(json.dumps(document), "FILE")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = str(refused.value)
    assert message.startswith("FILE is no recording, it ")
    assert said in message
    assert "\n" not in message
    assert len(message) < 300
    assert peak < 5_000_000, "nothing much was inflated"
    assert time.perf_counter() - started < 2


_SCENES: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "lines of other lengths": ("overcooked/cramped_room", put("scene", "tiles", 0, to="##")),
    "unknown tiles": ("overcooked/cramped_room", put("scene", "tiles", 0, to="##<##")),
    "too many lines": ("overcooked/cramped_room", put("scene", "tiles", to=["#####"] * 65)),
    "no cooking time": ("overcooked/cramped_room", put("scene", "cook_time", to=0)),
    "a pot more": ("overcooked/cramped_room", put("scene", "tiles", 0, to="PPPPP")),
    "no recipe": (
        "overcooked_v2/grounded_coord_simple",
        lambda d: d["scene"].update(tiles=[r.replace("R", "#") for r in d["scene"]["tiles"]]),
    ),
    "a coin outside": ("storm/sabotage", put("scene", "coins", 0, to=[5, 0])),
    "sixteen coins": ("storm/sabotage", put("scene", "coins", to=[[0, 0]] * 16)),
    "a fraction of a cell": ("storm/sabotage", put("scene", "marked", to=[0.5, 0])),
    "a smaller grid": ("storm/sabotage", put("scene", "size", to=3)),
    "no ranks": ("hanabi/3x3", put("scene", "ranks", to=0)),
    "fewer lives": ("hanabi/3x3", put("scene", "lives", to=1)),
    "a colour more": ("hanabi/3x3", lambda d: d["scene"]["colours"].append("B")),
    "colours of lists": ("hanabi/3x3", put("scene", "colours", 0, to=["R"])),
    "a colour without a name": ("hanabi/3x3", put("scene", "colours", 0, to="")),
    "a colour with a long name": ("hanabi/3x3", put("scene", "colours", 0, to="R" * 9)),
    "a colour read from the right": ("hanabi/3x3", put("scene", "colours", 0, to="R\u202e")),
    "an action read from the right": ("matrix/figure-14", put("scene", "actions", 0, 0, to="\u202eA")),
    "an action of signals": ("extensive/g2", put("scene", "actions", 1, 0, to="\x1b[2J")),
    "an action with a long name": ("extensive/g2", put("scene", "actions", 1, 0, to="A" * 501)),
    "a row less": ("matrix/figure-14", lambda d: d["scene"]["payoffs"][0].pop()),
    "payoffs of text": ("matrix/figure-14", put("scene", "payoffs", 0, 0, 0, 0, to="3")),
    "a payoff beyond all floats": ("matrix/figure-14", put("scene", "payoffs", 0, 0, 0, 0, to=10**400)),
    "a huge payoff": ("matrix/figure-14", put("scene", "payoffs", 0, 0, 0, 0, to=1e308)),
    "a state that is none": ("extensive/g2", put("scene", "next", 0, 0, 0, to=5)),
    "an action less": ("extensive/g2", lambda d: d["scene"]["actions"][0].pop()),
    "more keys": ("extensive/g2", put("scene", "policies", to=[])),
    "pictures of the web": (
        "extensive/g2",
        put("scene", to={"kind": "pictures", "pictures": ["https://example.org/x.png"]}),
    ),
    "pictures that are programs": (
        "extensive/g2",
        put("scene", to={"kind": "pictures", "pictures": ["data:image/svg+xml;base64,PHN2Zz4="]}),
    ),
    "pictures of other kinds": (
        "extensive/g2",
        put("scene", to={"kind": "pictures", "pictures": ["data:image/png;base64,PHN2Zz4="]}),
    ),
}


@pytest.mark.parametrize("about", _SCENES)
def test_scenes_that_nothing_can_draw_are_refused(documents, about):
    name, damage = _SCENES[about]
    document = copy.deepcopy(documents[name])
    parse_recording(json.dumps(document))
    damage(document)
    with pytest.raises(InputError, match="is no recording, it has"):
        parse_recording(json.dumps(document))


def test_numbers_beyond_a_scene_are_refused(documents):
    """Every number of every kind of scene, one beyond what it can be."""
    for document in documents.values():
        recording = parse_recording(json.dumps(document))
        for field in range(recording.frames.shape[1]):
            frames = recording.frames.copy()
            frames[-1, field] = 2**16 - 1
            changed = {**document, "frames": {"fields": frames.shape[1], "data": pack(frames.T)}}
            if document["scene"]["kind"] == "overcooked" and (field in (3, 7) or field >= 8):
                continue  # items have all bits
            with pytest.raises(InputError, match="is allowed"):
                parse_recording(json.dumps(changed))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        '{"format": NaN}',
        '{"format": 1e999}',
        '{"format": 1, "format": 1}',
        "[" * 100_000,
        '{"a":' * 5_000,
        "\ufeff{}",
        " " * (MOST_BYTES + 1),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_text_that_is_no_document_is_refused(text):
    with pytest.raises(InputError, match="is no recording, it "):
        parse_recording(text)


def test_files_that_are_none(tmp_path):
    missing = tmp_path / "missing.rpax.json"
    with pytest.raises(InputError, match="cannot be read"):
        rpax.Recording.load(missing)
    with pytest.raises(InputError, match="Is a directory"):
        rpax.Recording.load(tmp_path)
    large = tmp_path / "large.rpax.json"
    large.write_bytes(b" " * (MOST_BYTES + 1))
    with pytest.raises(InputError, match="larger than"):
        rpax.Recording.load(large)
    binary = tmp_path / "binary.rpax.json"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"binary.rpax.json is no recording, it is no JSON"):
        rpax.Recording.load(binary)


def test_odd_names_of_ones_own_can_be_read_again():
    environment = rpax.make("matrix/figure-2")
    ((episode, key),) = play_randomly(environment, 1, seed=0)
    players = (Seated("tab\there \x1b[31m \ud800"), Seated("x" * 600, "person"))
    recording = make_recording(environment, episode, players, key)
    read = parse_recording(recording.to_json())
    assert [player.name for player in read.players] == ["tab?here ?[31m ?", "x" * 500]


def test_markup_in_names_is_kept_as_text(documents):
    document = copy.deepcopy(documents["matrix/figure-14"])
    name = "</script><script>alert(1)</script>"
    document["players"][0]["name"] = name
    assert parse_recording(json.dumps(document)).players[0].name == name


@settings(max_examples=200, deadline=None)
@given(
    rows=st.integers(0, 5),
    time=st.integers(1, 30),
    most=st.sampled_from([0, 1, 255, 256, 65535]),
    differences=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_packed_numbers_come_out_as_they_went_in(rows, time, most, differences, seed):
    values = np.random.default_rng(seed).integers(0, most + 1, (rows, time))
    packed = pack(values, differences=differences)
    assert packed["type"] == ("u8" if not values.size or values.max() < 256 else "u16")
    np.testing.assert_array_equal(unpack(packed, rows, time, differences=differences), values)
    with pytest.raises(NotStrictJSON):
        unpack(packed, rows + 1, time, differences=differences)


def test_packed_numbers_are_laid_out_as_documented():
    """Differences in time modulo 256 or 65536, little endian, each row for itself, in raw DEFLATE."""
    values = np.array([[3, 5, 4], [200, 0, 0]])
    raw = zlib.decompress(base64.b64decode(pack(values)["data"]), -15)
    assert list(raw) == [3, 2, 255, 200, 56, 0]
    wide = pack(np.array([[1, 513, 0]]))
    assert wide["type"] == "u16"
    raw = zlib.decompress(base64.b64decode(wide["data"]), -15)
    assert list(raw) == [1, 0, 0, 2, 255, 253]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_is_changed_is_read_or_refused(documents, data):
    """Values anywhere in a document become others: there is a recording or an InputError, nothing else."""
    name = data.draw(st.sampled_from(sorted(documents)))
    document = copy.deepcopy(documents[name])
    odd = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
        st.just([]),
        st.just({}),
        st.lists(st.integers(0, 3), max_size=3),
    )
    at: Any = document
    while True:
        keys = sorted(at) if isinstance(at, dict) else [*range(len(at))]
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            at[key] = data.draw(odd)
            break
        at = at[key]
    try:
        read = parse_recording(json.dumps(document))
    except InputError:
        return
    assert parse_recording(read.to_json()).to_json() == read.to_json()
