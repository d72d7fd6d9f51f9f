"""The pad: a drawing on two layers, a photo with marks on it; and the check of what they send.

Both are kept in the browser, and nothing that comes from one is trusted: every layer is checked for
type, length, prefix, signature and size before it is decoded.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from s2i import image, palette
from s2i.edges import read_ink
from s2i.errors import S2IError
from s2i.methods.base import Drawing

HERE = Path(__file__).parent
PREFIX = "data:image/png;base64,"
PHOTO_PREFIXES = (PREFIX, "data:image/jpeg;base64,")
MAX_CHARS = 2_000_000
MAX_PHOTO_CHARS = 12_000_000
MAX_SIDE_PX = 1024
MAX_PHOTO_SIDE_PX = 2048
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PALETTE = (
    "#f6d7b8", "#d99a6c", "#8a5a3b", "#3d2a20", "#f2c14e", "#e4572e",
    "#c2274b", "#8e6bbf", "#3a6ea5", "#7ec4cf", "#5b8c5a", "#f4f4f4",
)  # fmt: skip


def read_asset(*names: str) -> str:
    """Return the files ``names`` of this package, one after the other."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


class SketchPad(gr.HTML):
    """Two layers to draw on or, for a method that reads ``photo``, a photo to paint marks on.

    Its value is ``{seq, method, again, is_preview[, is_single]}`` with the data URLs ``lines`` and
    ``colors`` or ``photo`` and ``marks``; its events are ``paint`` and, for a stream of results
    with the key ``stream``, ``paint_steps``.
    From Python ``cmd={"seq": ..., "lines": url, "colors": url, "sentence": ...}`` lays layers on
    the pad (undoable) or tells the person something; ``seq`` has to differ from the one before.
    """

    def __init__(
        self,
        value: Any = None,
        *,
        methods: Sequence[dict] = (),
        palette: Sequence[str] = PALETTE,
        cmd: dict | None = None,
        server_functions: Sequence[Callable] = (),
        **kwargs: Any,
    ) -> None:
        """Describe the methods by ``name, title, reads, live, is_slow``."""
        super().__init__(
            value=value,
            html_template=read_asset("pad.html"),
            css_template=read_asset("pad.css"),
            js_on_load=read_asset("raster.js", "store.js", "pad.js"),
            apply_default_css=False,
            server_functions=[palette_of, ink_of, *server_functions],
            methods=list(methods),
            palette=list(palette),
            cmd=cmd,
            **kwargs,
        )
        self.cmd = cmd  # else Gradio takes the name, which the script watches, for an event's

    def api_info(self) -> dict[str, Any]:
        """Describe the value for the API's documentation."""
        return {"type": "object", "description": "lines and colors, or photo and marks: data URLs"}


def decode_url(url: Any, *, name: str, prefixes: Sequence[str], max_chars: int) -> bytes:
    """Return what a base64 data URL holds.

    Raises:
        S2IError: no text with one of ``prefixes``, longer than ``max_chars``, or no base64.
    """
    prefix = next((one for one in prefixes if isinstance(url, str) and url.startswith(one)), None)
    if prefix is None:
        kinds = " or ".join(one[:-8].rpartition("/")[2].upper() for one in prefixes)
        starts = " or ".join(f"'{one}'" for one in prefixes)
        raise S2IError(f"{name} must be a {kinds} as a data URL that starts with {starts}.")
    if len(url) > max_chars:
        raise S2IError(
            f"{name} has {len(url) / 1e6:.1f} MB; at most {max_chars / 1e6:.0f} MB are read: "
            "make it smaller."
        )
    try:
        return base64.b64decode(url[len(prefix) :], validate=True)
    except (binascii.Error, ValueError):
        raise S2IError(f"{name} is not valid base64: send it again.") from None


def read_layer(url: Any, *, name: str = "the layer") -> np.ndarray:
    """Return a PNG data URL as (H, W, 4) uint8.

    Raises:
        S2IError: anything but a sound PNG of at most 1024 x 1024 px and 2 MB.
    """
    content = decode_url(url, name=name, prefixes=(PREFIX,), max_chars=MAX_CHARS)
    if content[:8] != PNG_SIGNATURE or content[12:16] != b"IHDR":
        raise S2IError(f"{name} is not a PNG picture: send a PNG.")
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise S2IError(
            f"{name} is {width} x {height} px; at most {MAX_SIDE_PX} px a side are read: "
            "make it smaller."
        )
    return image.read_layer(content, formats=("PNG",), max_pixels=MAX_SIDE_PX**2)


def read_photo(url: Any, *, name: str = "the photo") -> np.ndarray:
    """Return a PNG or JPEG data URL as (H, W, 3) uint8, upright, transparency on white.

    Raises:
        S2IError: anything but a sound PNG or JPEG of at most 2048 x 2048 px and 12 MB.
    """
    content = decode_url(url, name=name, prefixes=PHOTO_PREFIXES, max_chars=MAX_PHOTO_CHARS)
    photo = image.read_photo(content, formats=("PNG", "JPEG"), max_pixels=MAX_PHOTO_SIDE_PX**2)
    height, width = photo.shape[:2]
    if max(height, width) > MAX_PHOTO_SIDE_PX:
        raise S2IError(
            f"{name} is {width} x {height} px; at most {MAX_PHOTO_SIDE_PX} px a side are read: "
            "make it smaller."
        )
    return photo


def read_drawing(payload: Any) -> Drawing:
    """Return what a pad or an API call sent as a drawing; missing layers stay ``None``.

    Lines may be ink with alpha, or be on any plain paper, as :func:`s2i.edges.read_ink` finds them.
    A colour counts as painted from half alpha on. So do marks: what is more green than red says
    *object*, the rest *background*; they may be smaller than their photo and get its size.

    Raises:
        S2IError: no drawing, a bad layer (see :func:`read_layer`) or photo (:func:`read_photo`), a
            photo for lines, layers of different sizes, or marks of another shape than the photo.
    """
    if not isinstance(payload, dict):
        raise S2IError("no drawing came: draw something, or open a picture.")
    layers = {
        name: read_layer(payload[name], name=f"the layer '{name}'")
        for name in ("lines", "colors", "marks")
        if payload.get(name) is not None
    }
    marks = layers.pop("marks", None)
    if payload.get("photo") is not None:
        layers["photo"] = read_photo(payload["photo"])
    sizes = {layer.shape[:2] for layer in layers.values()}
    if len(sizes) > 1:
        found = " and ".join(f"{width} x {height}" for height, width in sorted(sizes))
        raise S2IError(f"the layers have different sizes ({found}): send them in one size.")
    lines, colors, photo = (layers.get(name) for name in ("lines", "colors", "photo"))
    return Drawing(
        lines=None if lines is None else _find_ink(lines),
        colors=None if colors is None else _find_paint(colors),
        photo=photo,
        marks=None if marks is None else _find_marks(marks, photo),
    )


def _find_marks(layer: np.ndarray, photo: np.ndarray | None) -> np.ndarray | None:
    """Return painted marks as (H, W) of the photo's size: 255, 0, 128 nothing; None if all that."""
    if photo is None:
        raise S2IError("there are marks but no photo that they are on: send both.")
    (height, width), (rows, columns) = photo.shape[:2], layer.shape[:2]
    if abs(rows * width - columns * height) > max(height, width):  # a pixel off is rounding
        raise S2IError(
            f"the marks are {columns} x {rows} px and the photo is {width} x {height} px: "
            "send marks of the photo's shape."
        )
    is_painted = layer[..., 3] >= 128
    if not is_painted.any():
        return None
    is_object = layer[..., 1] > layer[..., 0]
    marks = np.where(is_painted, np.where(is_object, np.uint8(255), np.uint8(0)), np.uint8(128))
    down, across = np.arange(height) * rows // height, np.arange(width) * columns // width
    return marks[np.ix_(down, across)]


def _find_ink(layer: np.ndarray) -> np.ndarray:
    """Return black ink with alpha, or lines on anything, as (H, W) with ink 0."""
    grey = layer[..., 0]
    if not layer[..., :3].any():
        return 255 - layer[..., 3]
    is_grey = (layer[..., :3] == grey[..., None]).all() and (layer[..., 3] == 255).all()
    if is_grey and np.median(grey) == 255:
        return grey.copy()  # as the pad saves it: nothing to find out, every grey stays
    return read_ink(layer)


def _find_paint(layer: np.ndarray) -> np.ndarray:
    """Return the layer with every pixel painted (alpha 255) or bare (all 0)."""
    is_painted = layer[..., 3] >= 128
    paint = layer * is_painted[..., None]
    paint[..., 3] = np.where(is_painted, 255, 0)
    return paint


def write_layer(array: np.ndarray) -> str:
    """Return lines, a picture or a layer as a PNG data URL."""
    return PREFIX + base64.b64encode(image.encode_png(array)).decode("ascii")


def ink_of(url: Any) -> dict[str, str]:
    """Answer the pad's wish for the lines of a picture, ink with alpha on any paper: PNG data URL.

    Light lines on a dark or colored board come as ink too; a photo gets a sentence instead.
    """
    try:
        layer = read_layer(url, name="the drawing")
        ink = np.zeros_like(layer)
        ink[..., 3] = 255 - _find_ink(layer)
    except S2IError as error:
        return {"sentence": str(error)[:1].upper() + str(error)[1:]}
    return {"lines": write_layer(ink)}


def palette_of(url: Any) -> dict[str, Any]:
    """Answer the pad's wish for a palette: twelve HEX colours of a picture, or a sentence."""
    try:
        photo = image.on_paper(read_layer(url, name="the picture"))
        colors = palette.extract_palette(photo, len(PALETTE))
    except S2IError as error:
        return {"sentence": str(error)}
    return {"palette": ["#" + bytes(color).hex() for color in np.asarray(colors, np.uint8)]}
