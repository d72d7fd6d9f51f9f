"""Read and write videos, one frame in memory at a time: (H, W, 3) uint8 RGB each.

Sound is left out.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from s2i.errors import S2IError
from s2i.image import MAX_PIXELS, replace_file

SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi"})
CODECS = (("libx264", {"crf": "18", "preset": "medium"}), ("libvpx-vp9", {"crf": "24", "b": "0"}))
WHOLE = 0.95  # of the frames that a file promises: with fewer it was cut off
UNITS = ("s", "f")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A part of a video.

    Attributes:
        path: the file.
        rate: frames per second.
        first: number of the first frame, from 0.
        last: number of the frame after the last one.
    """

    path: Path
    rate: Fraction
    first: int
    last: int

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.last - self.first


def open_clip(
    path: str | os.PathLike, *, start: float = 0, end: float | None = None, unit: str = "s"
) -> Clip:
    """Return the part of a video from ``start`` to before ``end``.

    Args:
        path: any file that FFmpeg reads.
        start: where it begins.
        end: where it ends; None and what lies behind the video's end: with the video.
        unit: ``s``, seconds, or ``f``, frames.

    Raises:
        S2IError: no video, cut off, or nothing of it lies between ``start`` and ``end``.
    """
    path = Path(path)
    if unit not in UNITS:
        raise S2IError(f"the unit must be one of {', '.join(UNITS)}; got '{unit}'.")
    with _open(path) as container:
        stream = container.streams.video[0]
        rate, promised = stream.average_rate or stream.guessed_rate, stream.frames
        if stream.width * stream.height > MAX_PIXELS:
            raise S2IError(
                f"'{path.name}' is {stream.width} x {stream.height} px; at most "
                f"{MAX_PIXELS / 1e6:.0f} million pixels are read: make it smaller."
            )
        count = sum(packet.size > 0 for packet in container.demux(stream))
    if not rate or not count or count < WHOLE * promised:
        raise S2IError(
            f"'{path.name}' holds {count} of {promised or 'any'} frames: it was cut off or damaged."
        )
    scale = float(rate) if unit == "s" else 1.0
    first, last = (
        count if at is None or not at * scale < count else round(at * scale) for at in (start, end)
    )
    if start < 0 or first >= last:
        whole = f"{float(count / rate):.2f} seconds" if unit == "s" else f"{count} frames"
        until = "its end" if end is None else f"{end:g}"
        raise S2IError(
            f"there is nothing from {start:g} to {until}: '{path.name}' goes from 0 to {whole}."
        )
    return Clip(path=path, rate=Fraction(rate), first=first, last=last)


def read_frames(clip: Clip) -> Iterator[np.ndarray]:
    """Yield the frames of ``clip``, upright.

    Raises:
        S2IError: a frame is damaged.
    """
    with _open(clip.path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for number, frame in enumerate(container.decode(stream)):
            if number >= clip.last:
                return
            if number >= clip.first:
                upright = np.rot90(frame.to_ndarray(format="rgb24"), _turns(frame))
                yield np.ascontiguousarray(upright)


def _turns(frame: av.VideoFrame) -> int:
    """Return by how many quarters ``frame`` is to be turned, counter-clockwise."""
    return round(frame.rotation / 90)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a video to read; what goes wrong with it inside is one sentence."""
    try:
        with av.open(os.fspath(path)) as container:
            if not container.streams.video:
                raise S2IError(f"'{path.name}' holds no video.")
            yield container
    except FileNotFoundError:
        raise S2IError(f"'{path.name}' was not found: check the path.") from None
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or error
        raise S2IError(
            f"'{path.name}' could not be read as a video ({reason}): it may be damaged."
        ) from None


def write_video(path: str | os.PathLike, frames: Iterable[np.ndarray], *, rate: Fraction) -> Path:
    """Write ``frames`` (H, W, 3) of one size as an MP4, whole or not at all: H.264, else VP9.

    It plays in browsers from its first bytes on. Odd sides get one pixel more, as codecs want.

    Args:
        path: the file.
        frames: at least one.
        rate: frames per second.

    Raises:
        S2IError: no frame, no codec, or the place can't be written.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise S2IError("a video needs at least one frame, got none.")
    codec = next((codec for codec in CODECS if codec[0] in av.codecs_available), None)
    if codec is None:
        raise S2IError("this machine has neither an H.264 nor a VP9 encoder: no video is written.")
    height, width = first.shape[:2]
    options = {"movflags": "+faststart"}
    try:
        with (
            replace_file(path) as temporary,
            av.open(os.fspath(temporary), "w", format="mp4", options=options) as container,
        ):
            stream = container.add_stream(codec[0], rate=rate, options=codec[1])
            stream.width, stream.height = width + width % 2, height + height % 2
            stream.pix_fmt = "yuv420p"
            for frame in itertools.chain((first,), frames):
                even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            container.mux(stream.encode())
    except av.FFmpegError as error:
        reason = error.strerror or error
        raise S2IError(f"'{path}' could not be written ({reason}); nothing was changed.") from None
    return Path(path)
