"""Policy files are read as they were written, or refused."""

import hashlib
import json
import pathlib

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import rpax
from rpax.errors import InputError
from rpax.policies.agent import AgentPolicy
from rpax.policies.files import MIGRATIONS, SCHEMA, load_policy, save_policy
from rpax.policies.networks import MLP

GOLDEN = pathlib.Path(__file__).parent.parent / "data" / "runs"


@pytest.fixture
def written(tmp_path) -> tuple[pathlib.Path, dict[str, np.ndarray]]:
    """The file of a small network, and its arrays."""
    game = rpax.make("matrix/figure-2")
    policy = AgentPolicy({"shared": MLP(2, hidden_sizes=(2,))}, {0: "shared"}, game.spaces)
    parameters = jax.tree.map(lambda leaf: np.asarray(leaf) + 0.5, policy.init(jax.random.key(3)))
    file = tmp_path / "victim.safetensors"
    save_policy(file, policy, parameters, agent="victim")
    return file, named(parameters)


def named(parameters: object) -> dict[str, np.ndarray]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(parameters)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


def header_of(file: pathlib.Path) -> dict[str, object]:
    with safe_open(file, "np") as opened:
        return json.loads(opened.metadata()["rpax"])


def with_header(file: pathlib.Path, header: object, arrays: dict[str, np.ndarray]) -> None:
    save_file(arrays, file, metadata={"rpax": json.dumps(header)})


def test_a_flipped_bit_in_any_byte_is_found(written):
    file, _ = written
    content = file.read_bytes()
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        with pytest.raises(InputError, match=r"policy file .*victim\.safetensors"):
            load_policy(file)


def test_the_checksum_is_that_of_the_header_and_of_every_array(written):
    file, arrays = written
    header = header_of(file)
    said = header.pop("sha256")
    # Written down here from the description of the format alone.
    kinds = {name: ["float32", [*array.shape]] for name, array in arrays.items()}
    text = json.dumps([header, kinds], sort_keys=True, separators=(",", ":")).encode()
    assert said == hashlib.sha256(text + b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()
    assert (header["schema"], header["rpax"]) == (2, rpax.__version__)
    _, parameters, found = load_policy(file)
    assert found == header | {"sha256": said}
    assert all(array.tobytes() == arrays[name].tobytes() for name, array in named(parameters).items())


def test_other_numbers_under_the_same_header_are_refused(written):
    file, arrays = written
    name = next(iter(arrays))
    with_header(file, header_of(file), arrays | {name: arrays[name] + 1})
    with pytest.raises(InputError, match="does not match its checksum, it is damaged; restore it from a copy, or"):
        load_policy(file)


@pytest.mark.parametrize("change", [{"schema": 1}, {"schema": True}, {"schema": 2.0}, {"sha256": None}])
def test_a_checksum_cannot_be_left_out_of_format_2(change, written):
    file, arrays = written
    with_header(file, header_of(file) | change, arrays)
    with pytest.raises(InputError, match="damaged, or not a policy written by rpax"):
        load_policy(file)


def test_a_newer_format_is_refused_with_the_version_that_wrote_it(written):
    file, arrays = written
    with_header(file, header_of(file) | {"schema": 3, "rpax": "9.8.7"}, arrays)
    with pytest.raises(
        InputError, match=r"has format 3; this rpax .* reads formats 1 to 2; use rpax 9\.8\.7, which wrote it"
    ):
        load_policy(file)


def test_files_of_format_1_are_read():
    file = GOLDEN / "schema-1" / "exact" / "policies" / "seed-0" / "victim.safetensors"
    assert header_of(file)["schema"] == 1
    _, parameters, header = load_policy(file)
    assert (header["schema"], header["rpax"], header["sha256"], header["agent"]) == (2, None, None, "victim")
    with safe_open(file, "np") as opened:
        for name, array in named(parameters).items():
            assert array.tobytes() == opened.get_tensor(name).tobytes()


def test_every_format_has_a_way_to_the_next_one():
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA))
