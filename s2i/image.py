"""Read, write, check and convert pictures: the one place that knows the conventions.

Outside networks every picture is a uint8 array, RGB, height x width x channels:

====== ============ ==========================================================
photo  (H, W, 3)    any picture that was not drawn here
lines  (H, W)       ink 0, paper 255
colors (H, W, 4)    RGBA; alpha says *painted*, so white paint differs from bare paper
====== ============ ==========================================================

Inside networks everything is float32, channels first: pictures in [-1, 1], lines in [0, 1] with
ink 1 (so that zero padding is bare paper), colors as three channels in [-1, 1] that are 0 where
nothing is painted, and the painted mask as a fourth channel in [0, 1].
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from s2i.errors import S2IError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
MAX_PIXELS = 40_000_000
MAX_SIDE_PX = 12_000
Source = str | os.PathLike | bytes

Image.MAX_IMAGE_PIXELS = None  # our own limit below is lower and speaks in a sentence


def _open(source: Source, *, formats: Sequence[str], max_pixels: int) -> Image.Image:
    """Return the decoded first frame of ``source`` with EXIF rotation applied."""
    is_bytes = isinstance(source, bytes)
    name = "the picture" if is_bytes else f"'{Path(source).name}'"
    try:
        opened = Image.open(io.BytesIO(source) if is_bytes else source, formats=list(formats))
        width, height = opened.size
        if width * height > max_pixels or max(width, height) > MAX_SIDE_PX:
            raise S2IError(
                f"{name} is {width} x {height} px; at most {max_pixels / 1e6:.0f} million pixels "
                f"and {MAX_SIDE_PX} px a side are read: make it smaller."
            )
        opened.load()
        return ImageOps.exif_transpose(opened)
    except S2IError:
        raise
    except FileNotFoundError:
        raise S2IError(f"{name} was not found: check the path.") from None
    except UnidentifiedImageError:
        raise S2IError(f"{name} is not a {', '.join(formats)} picture.") from None
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
        raise S2IError(f"{name} could not be read ({error}): the file may be damaged.") from None


def read_layer(
    source: Source, *, formats: Sequence[str] = FORMATS, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Return ``source`` (a path or the bytes of a file) as it is: (H, W, 4) uint8 RGBA.

    Raises:
        S2IError: not a picture of ``formats``, larger than ``max_pixels``, or damaged.
    """
    picture = _open(source, formats=formats, max_pixels=max_pixels)
    if picture.mode.startswith("I;16"):  # Pillow would clip sixteen bits to white, not scale them
        picture = Image.fromarray(np.rint(np.asarray(picture) / 257).astype(np.uint8))
    return np.array(picture.convert("RGBA"))


def read_photo(
    source: Source, *, formats: Sequence[str] = FORMATS, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Return ``source`` as a photo: (H, W, 3) uint8 RGB, transparency laid on white paper.

    Raises:
        S2IError: as :func:`read_layer`.
    """
    return on_paper(read_layer(source, formats=formats, max_pixels=max_pixels))


def on_paper(layer: np.ndarray) -> np.ndarray:
    """Lay an (H, W, 4) layer on white paper: (H, W, 3).

    >>> on_paper(np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], np.uint8))[0].tolist()
    [[10, 20, 30], [255, 255, 255]]
    """
    alpha = layer[..., 3:].astype(np.uint16)
    blended = (layer[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return blended.astype(np.uint8)


def lay_lines(picture: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Multiply lines (H, W) over a picture (H, W, 3) of the same size."""
    product = picture.astype(np.uint16) * lines[..., None]
    return ((product + 127) // 255).astype(np.uint8)


def find_pictures(folder: str | os.PathLike) -> list[Path]:
    """List the picture files below ``folder``, any depth, any case of extension, sorted."""
    return sorted(
        path
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )


def encode_png(array: np.ndarray) -> bytes:
    """Return lines, a picture or a layer as the bytes of a PNG file (fast compression)."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def encode_gif(frames: Sequence[np.ndarray], *, frame_ms: int = 80) -> bytes:
    """Return (H, W, 3) frames of one size as the bytes of a GIF that loops."""
    if not frames:
        raise S2IError("an animation needs at least one frame, got none.")
    buffer = io.BytesIO()
    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=frame_ms, loop=0)
    return buffer.getvalue()


def write_bytes(path: str | os.PathLike, content: bytes) -> Path:
    """Write a file whole or not at all; folders are made.

    Raises:
        S2IError: as :func:`replace_file`.
    """
    with replace_file(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


@contextlib.contextmanager
def replace_file(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary neighbor of ``path`` to write; it takes the place when all went well.

    Raises:
        S2IError: the disk is full or the place can't be written; an older file stays as it was.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            yield temporary
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise S2IError(f"'{path}' could not be written ({reason}); nothing was changed.") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write(path: str | os.PathLike, array: np.ndarray) -> Path:
    """Write lines, a picture or a layer as PNG, whole or not at all; see :func:`write_bytes`."""
    return write_bytes(path, encode_png(array))


def resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a picture (H, W, 3) or one plane (H, W) to ``size`` = (height, width).

    Area averaging when it shrinks, Lanczos when it grows.
    """
    height, width = picture.shape[:2]
    if (height, width) == tuple(size):
        return picture
    is_shrinking = size[0] * size[1] < height * width
    method = cv2.INTER_AREA if is_shrinking else cv2.INTER_LANCZOS4
    return cv2.resize(picture, (size[1], size[0]), interpolation=method)


def resize_ink(lines: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize lines (H, W), greys welcome, so that thin ones stay dark: (height, width).

    Averaging a line of 1 px over k x k pixels leaves ink of 1 / k; multiplied by k, at most 4, it
    is as dark as it was.

    >>> resize_ink(np.array([[255, 255, 0, 255]] * 4, np.uint8), (2, 2)).tolist()
    [[255, 1], [255, 1]]
    """
    gain = min(4.0, max(1.0, math.sqrt(lines.size / (size[0] * size[1]))))
    ink = 255 - resize(lines, size).astype(np.float32)
    return (255 - np.clip(ink * gain, 0, 255)).round().astype(np.uint8)


def resize_colors(colors: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a colour layer so that dabs neither bleed into bare paper nor get lost.

    (H, W, 4) -> (height, width, 4). Colours are averaged over *painted* pixels only. A pixel is
    painted where at least a quarter of it was (a sixteenth when the layer shrinks by four or
    more, so that a dab of 2 px survives); alpha comes out as 0 or 255.

    >>> dab = np.zeros((8, 8, 4), np.uint8); dab[0, 0] = (200, 0, 0, 255)
    >>> resize_colors(np.repeat(np.repeat(dab, 2, 0), 2, 1), (8, 8))[0, 0].tolist()
    [200, 0, 0, 255]
    """
    height, width = colors.shape[:2]
    if (height, width) == tuple(size):
        out = colors.copy()
        out[out[..., 3] < 128] = 0
        out[..., 3] = np.where(out[..., 3] >= 128, 255, 0)
        return out
    is_shrinking = size[0] * size[1] < height * width
    method = cv2.INTER_AREA if is_shrinking else cv2.INTER_LINEAR
    weight = colors[..., 3].astype(np.float32) / 255
    stacked = np.dstack([colors[..., :3].astype(np.float32) * weight[..., None], weight])
    small = cv2.resize(stacked, (size[1], size[0]), interpolation=method)
    is_tiny = size[0] * size[1] * 16 <= height * width
    painted = small[..., 3] >= (0.06 if is_tiny else 0.25)
    out = np.zeros((*size, 4), np.uint8)
    out[painted, :3] = np.clip(np.rint(small[painted, :3] / small[painted, 3:]), 0, 255).astype(
        np.uint8
    )
    out[painted, 3] = 255
    return out


def fit_size(size: tuple[int, int], side_px: int) -> tuple[int, int]:
    """Scale (height, width) to about ``side_px`` squared pixels, keeping the aspect.

    >>> fit_size((300, 700), 256)
    (168, 391)
    """
    scale = side_px / math.sqrt(size[0] * size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def fit_side(size: tuple[int, int], side_px: int) -> tuple[int, int]:
    """Scale (height, width) until the longer one is ``side_px``, keeping the aspect.

    >>> fit_side((300, 700), 350)
    (150, 350)
    """
    scale = side_px / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def crop_square(photo: np.ndarray, size_px: int) -> np.ndarray:
    """Cut the centred square out of ``photo`` and resize it: (size_px, size_px[, C])."""
    height, width = photo.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize(photo[top : top + side, left : left + side], (size_px, size_px))


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """Bring one array into the form that networks read: float32 (C, H, W).

    Lines (H, W) -> 1 channel, ink 1. Picture (H, W, 3) -> 3 channels in [-1, 1]. Colors
    (H, W, 4) -> 3 channels in [-1, 1], 0 where nothing is painted, and the painted mask.

    >>> to_tensor(np.array([[0, 255]], np.uint8)).tolist()
    [[[1.0, 0.0]]]
    """
    if array.dtype != np.uint8 or array.ndim not in (2, 3):
        raise ValueError(f"expected (H, W[, 3 or 4]) uint8, got {array.shape} {array.dtype}")
    if array.ndim == 2:
        return torch.from_numpy(1 - array.astype(np.float32) / 255)[None]
    tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1))).float()
    if array.shape[2] == 3:
        return tensor / 127.5 - 1
    mask = tensor[3:] / 255
    return torch.cat([(tensor[:3] / 127.5 - 1) * mask, mask])


def to_picture(tensor: torch.Tensor) -> np.ndarray:
    """Bring a network's output (3, H, W) in [-1, 1] back to a picture: (H, W, 3) uint8, rounded."""
    scaled = (tensor.detach().float().clamp(-1, 1) + 1) * 127.5
    return scaled.round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
