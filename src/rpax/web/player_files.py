"""The files of the player of recordings, in the order in which a page needs them."""

import importlib.resources

STYLES = ("theme.css", "player.css")
SCRIPTS = (
    "drawing.js",
    "recording.js",
    "render_overcooked.js",
    "render_storm.js",
    "render_hanabi.js",
    "render_table.js",
    "render_pictures.js",
    "scene.js",
    "player.js",
)


def read_static(name: str) -> str:
    """The text of a file of the pages."""
    return (importlib.resources.files("rpax.web") / "static" / name).read_text(encoding="utf-8")
