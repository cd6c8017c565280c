"""Small drawings from shapes and text, for pictures of games: drawn large with Pillow, then scaled down smoothly."""

import functools
import math
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageColor, ImageDraw, ImageFont

from rpax.reports.figure_style import FAINT, INK, MUTED, PALETTE

Point = tuple[float, float]
#: The seats' colours in every picture, and what games have in common.
SEAT_COLOURS = PALETTE[:2]
BACKGROUND, FLOOR = "#FFFFFF", "#F5F6F8"
__all__ = ["BACKGROUND", "FAINT", "FLOOR", "INK", "MUTED", "SEAT_COLOURS", "Canvas", "mixed", "text_width"]

#: Everything is drawn this much larger than it is shown.
_FINER = 3


def mixed(colour: str, other: str, share: float) -> str:
    """``colour`` with ``share`` (0 to 1) of ``other`` in it."""
    pairs = zip(ImageColor.getrgb(colour)[:3], ImageColor.getrgb(other)[:3], strict=True)
    return "#" + "".join(f"{round((1 - share) * a + share * b):02X}" for a, b in pairs)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """The width of a line of text in pixels."""
    return _font(round(size * _FINER), bold).getlength(text) / _FINER


@functools.lru_cache(maxsize=64)
def _font(pixels: int, bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib, so that pictures are the same everywhere."""
    import matplotlib

    folder = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), pixels)


class Canvas:
    """A picture in the making; places and lengths are in pixels of the result, x to the right and y down.

    Args:
        width: of the picture.
        height: of the picture.
        background: its colour.
    """

    def __init__(self, width: int, height: int, background: str = BACKGROUND) -> None:
        self.width, self.height = width, height
        self._image = Image.new("RGB", (width * _FINER, height * _FINER), background)
        self._draw = ImageDraw.Draw(self._image)

    def rectangle(
        self,
        corner: Point,
        size: Point,
        fill: str | None,
        *,
        edge: str | None = None,
        line: float = 1.0,
        radius: float = 0.0,
    ) -> None:
        """A rectangle by its upper left corner, with rounded corners if ``radius`` is given."""
        (x, y), (width, height) = corner, size
        box = [x * _FINER, y * _FINER, (x + width) * _FINER - 1, (y + height) * _FINER - 1]
        self._draw.rounded_rectangle(box, radius * _FINER, fill, edge, max(round(line * _FINER), 1))

    def disc(
        self, centre: Point, radius: float, fill: str | None, *, edge: str | None = None, line: float = 1.0
    ) -> None:
        """A circle."""
        self._draw.ellipse(self._box(centre, radius), fill, edge, max(round(line * _FINER), 1))

    def sector(self, centre: Point, radius: float, share: float, fill: str) -> None:
        """The first ``share`` of a disc, clockwise from the top."""
        if share > 0:
            self._draw.pieslice(self._box(centre, radius), -90, -90 + 360 * min(share, 1.0), fill)

    def polygon(self, points: Sequence[Point], fill: str | None, *, edge: str | None = None, line: float = 1.0) -> None:
        """A closed shape."""
        self._draw.polygon([(x * _FINER, y * _FINER) for x, y in points], fill, edge, max(round(line * _FINER), 1))

    def stroke(self, points: Sequence[Point], colour: str, line: float = 1.0) -> None:
        """A line through some points."""
        self._draw.line(
            [(x * _FINER, y * _FINER) for x, y in points], colour, max(round(line * _FINER), 1), joint="curve"
        )

    def arrow(self, centre: Point, radius: float, toward: Point, fill: str, *, edge: str | None = None) -> None:
        """An arrowhead in a circle of ``radius`` that points along ``toward`` (a step: x to the right, y down)."""
        angle = math.atan2(toward[1], toward[0])
        corners = ((0.0, 1.0), (2.45, 1.0), (math.pi, 0.42), (-2.45, 1.0))
        points = [
            (centre[0] + radius * length * math.cos(angle + turn), centre[1] + radius * length * math.sin(angle + turn))
            for turn, length in corners
        ]
        self.polygon(points, fill, edge=edge, line=1.5)

    def text(
        self, place: Point, text: str, size: float, *, colour: str = INK, anchor: str = "lm", bold: bool = False
    ) -> None:
        """A line of text.

        Args:
            place: where its anchor is.
            text: the text.
            size: of the font, in pixels.
            colour: of the text.
            anchor: which of its points is at ``place``: ``l``, ``m`` or ``r`` across, ``m`` the middle of its height.
            bold: whether it is bold.
        """
        font = _font(round(size * _FINER), bold)
        self._draw.text((place[0] * _FINER, place[1] * _FINER), text, colour, font, anchor)

    def paste(self, picture: UInt8[np.ndarray, "height width 3"], corner: tuple[int, int]) -> None:
        """Another picture, pixel by pixel; its upper left ``corner``."""
        image = Image.fromarray(np.ascontiguousarray(picture))
        size = (image.width * _FINER, image.height * _FINER)
        # Every pixel becomes a square of equal ones, which scaling down makes the same pixel again.
        self._image.paste(image.resize(size, Image.Resampling.NEAREST), (corner[0] * _FINER, corner[1] * _FINER))

    def picture(self) -> UInt8[np.ndarray, "height width 3"]:
        """What was drawn."""
        return np.asarray(self._image.reduce(_FINER)).copy()

    def _box(self, centre: Point, radius: float) -> list[float]:
        (x, y), scale = centre, _FINER
        return [(x - radius) * scale, (y - radius) * scale, (x + radius) * scale, (y + radius) * scale]
