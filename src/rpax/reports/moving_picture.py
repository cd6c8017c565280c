"""Moving pictures: GIF, WebP and MP4 files of pictures that are drawn one by one."""

import itertools
import pathlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image

from rpax.errors import InputError, shown
from rpax.runs.writing import writing_out

Format = Literal["gif", "webp", "mp4"]
FORMATS: tuple[str, ...] = get_args(Format)
#: The least and the most pictures a second that can be asked for.
FPS = (0.1, 60.0)
#: So many pictures decide the colours of a GIF.
_SAMPLED_FRAMES = 12


@runtime_checkable
class Frames(Protocol):
    """Pictures of one size, drawn when they are asked for."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    @property
    def holds(self) -> list[int]:
        """For how many frames each picture stays."""
        ...

    def draw(self, number: int) -> Image.Image:
        """One of the pictures."""
        ...


def check_writable(folder: pathlib.Path, kind: str) -> None:
    """Make the folder, and see that files of that kind can be written to it.

    Raises:
        InputError: it cannot be made or written to, or MP4 is asked for and the package that writes it is missing.
    """
    if kind == "mp4":
        _video_encoder()
    with writing_out(folder, f"folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def write_moving_picture(
    path: pathlib.Path, frames: Frames, fps: float, progress: Callable[[int], None] = lambda done: None
) -> None:
    """Write a moving picture in the format that the suffix of ``path`` names; an existing file is replaced.

    Args:
        path: ends in ``.gif``, ``.webp`` or ``.mp4``.
        frames: what to draw.
        fps: pictures a second.
        progress: called with the number of pictures drawn.

    Raises:
        InputError: ``fps`` is out of range, the suffix is another one, or the file cannot be written.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in FORMATS:
        raise InputError(f"file '{path}' ends in '{path.suffix}'; end its name in .{', .'.join(FORMATS)}")
    check_range("fps", fps, *FPS)

    def drawn() -> Iterator[Image.Image]:
        for number in range(len(frames)):
            yield frames.draw(number)
            progress(number + 1)

    # The writers know the format by the suffix.
    temporary = path.with_name(f".{path.stem}.part.{kind}")
    with writing_out(path, f"file '{path}'"):
        try:
            # It may lead anywhere.
            if temporary.is_symlink():
                temporary.unlink()
            if kind == "mp4":
                _write_video(temporary, drawn(), frames.holds, fps)
            else:
                _write_animation(temporary, kind, drawn(), frames, fps)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def check_range(name: str, value: float, least: float, most: float) -> None:
    """Refuse a number out of range.

    Raises:
        InputError: it is.
    """
    if not least <= value <= most:
        raise InputError(f"{name} {shown(value)} is not allowed; give a number from {least:g} to {most:g}")


def _write_animation(path: pathlib.Path, kind: str, drawn: Iterator[Image.Image], frames: Frames, fps: float) -> None:
    durations = [round(1000 * hold / fps) for hold in frames.holds]
    options: dict[str, Any] = {"loop": 0, "duration": durations, "save_all": True}
    if kind == "webp":
        # Drawings of few colours are smallest, and exact, without loss.
        first = next(drawn)
        first.save(path, "WEBP", append_images=drawn, lossless=True, quality=40, method=2, **options)
        return
    colours = _frequent_colours(frames)
    reduced = (_with_colours(frame, colours) for frame in drawn)
    next(reduced).save(path, "GIF", append_images=reduced, optimize=False, disposal=1, **options)


def _frequent_colours(frames: Frames) -> UInt8[np.ndarray, "colours 3"]:
    """The at most 256 most frequent colours of some pictures: one palette for all, so that nothing flickers."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, _SAMPLED_FRAMES).astype(int))
    found, counts = np.unique(np.concatenate([_packed(frames.draw(int(n))) for n in chosen]), return_counts=True)
    return _unpacked(found[np.argsort(-counts, kind="stable")[:256]])


def _with_colours(frame: Image.Image, colours: UInt8[np.ndarray, "colours 3"]) -> Image.Image:
    """The picture with each pixel in the nearest of the colours (Pillow's own search is not exact)."""
    found, which = np.unique(_packed(frame), return_inverse=True)
    apart = _unpacked(found)[:, None].astype(np.int32) - colours.astype(np.int32)
    nearest = (apart**2).sum(axis=2).argmin(axis=1).astype(np.uint8)
    reduced = Image.fromarray(nearest[which].reshape(frame.height, frame.width), "P")
    reduced.putpalette(colours.ravel().tolist())
    return reduced


def _packed(frame: Image.Image) -> Integer[np.ndarray, " pixels"]:
    """One number a pixel."""
    return np.asarray(frame).reshape(-1, 3).astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)


def _unpacked(colours: Integer[np.ndarray, " colours"]) -> UInt8[np.ndarray, "colours 3"]:
    return np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.uint8)


def _video_encoder() -> str:
    """The path of FFmpeg."""
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError(
            "MP4 needs the package imageio-ffmpeg; pip install 'rpax[video]', or choose gif or webp"
        ) from None
    return imageio_ffmpeg.get_ffmpeg_exe()


def _write_video(path: pathlib.Path, drawn: Iterator[Image.Image], holds: list[int], fps: float) -> None:
    """Pipe the pictures to FFmpeg, whose process is started directly: one that forks would warn about JAX's threads."""
    first = next(drawn)
    # The codec wants even sizes.
    width, height = first.width + first.width % 2, first.height + first.height % 2
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-"]
    target = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "18", "-movflags", "+faststart", str(path)]
    command = [_video_encoder(), "-y", "-loglevel", "error", *source, *target]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            for frame, hold in zip(itertools.chain([first], drawn), holds, strict=True):
                even = Image.new("RGB", (width, height), "white")
                even.paste(frame)
                process.stdin.write(even.tobytes() * hold)
            process.stdin.close()
        except BrokenPipeError:
            pass  # FFmpeg gave up, and says why
        complaint = process.stderr.read().decode(errors="replace")
    if process.returncode:
        raise OSError(" ".join(complaint.split()) or f"FFmpeg ended with status {process.returncode}")
