"""Where compiled programs are kept, and that another kind of processor does not find them there."""

import pathlib

import pytest

from rpax.runs import compilation_cache
from rpax.runs.compilation_cache import cache_folder

FLAGS = "model name\t: Some Processor\nbogomips\t: 5000\nflags\t\t: fpu sse2"


@pytest.fixture
def say(monkeypatch):
    """A function that sets what the system says of its processor."""

    def set_to(text: str) -> None:
        monkeypatch.setattr(pathlib.Path, "read_text", lambda self, **_: text)

    return set_to


def test_another_kind_of_processor_has_another_folder(say, monkeypatch, tmp_path):
    monkeypatch.setenv("RPAX_CACHE", str(tmp_path))
    folders = []
    for text in (FLAGS, f"{FLAGS}\n{FLAGS}", FLAGS.replace("5000", "4800"), f"{FLAGS} avx512f"):
        say(text)
        folders.append(cache_folder())
    one, two_cores, slower, newer = folders
    assert one == two_cores == slower
    assert newer != one
    assert {folder.parent for folder in folders} == {tmp_path / "xla"}
    say(FLAGS.replace("Some", "Another"))
    assert cache_folder() not in folders


def test_another_version_of_jax_has_another_folder(monkeypatch):
    before = cache_folder()
    monkeypatch.setattr(compilation_cache.jax, "__version__", "0.0.1")
    assert cache_folder() != before


def test_the_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("RPAX_CACHE", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().parent == tmp_path / "rpax" / "xla"
