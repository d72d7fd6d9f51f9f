"""What a method made: the stage beside the pad, the session below, the words; and the tour."""

from __future__ import annotations

import base64
import io
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from s2i import image
from s2i.errors import S2IError
from s2i.methods.base import Method, Result
from s2i.ui.pad import decode_url, read_asset, write_layer
from s2i.vectorize import draw_frames, from_npz, to_npz, to_svg

NPZ_PREFIX = "data:application/npz;base64,"
MAX_NPZ_CHARS = 8_000_000
FRAMES_PER_SECOND = 20


class Stage(gr.HTML):
    """The newest picture; from Python only: ``shown={seq, picture, about, sentence, ...}``.

    Without a picture the older one stays, dimmed, with the sentence below. ``more`` says that the
    results of a stream go on.
    """

    def __init__(self, value: Any = None, *, shown: dict | None = None, **kwargs: Any) -> None:
        """Show nothing yet."""
        super().__init__(
            value=value,
            html_template=read_asset("results.html"),
            css_template=read_asset("results.css", "all.css"),
            js_on_load=read_asset("results.js", "all.js"),
            apply_default_css=False,
            server_functions=[gif_of],
            shown=shown,
            **kwargs,
        )
        self.shown = shown  # as the pad's cmd


class Session(gr.HTML):
    """Kept pictures with their drawings; they live in the browser, the server never sees them."""

    def __init__(self, value: Any = None, **kwargs: Any) -> None:
        """Show what this browser kept."""
        super().__init__(
            value=value,
            html_template=read_asset("session.html"),
            css_template=read_asset("session.css"),
            js_on_load=read_asset("store.js", "session.js"),
            apply_default_css=False,
            **kwargs,
        )


class Tour(gr.HTML):
    """Five steps through the page; whether they were seen is known in the browser only."""

    def __init__(self, value: Any = None, **kwargs: Any) -> None:
        """Show them to whoever has not seen them yet."""
        super().__init__(
            value=value,
            html_template=read_asset("tour.html"),
            css_template=read_asset("tour.css"),
            js_on_load=read_asset("store.js", "tour.js"),
            apply_default_css=False,
            **kwargs,
        )


def describe(method: type[Method], weights: str, values: dict[str, Any]) -> str:
    """Return the caption of a picture: method, weights, controls that differ from their default.

    The seed is always named: with it the same drawing gives the same picture again.
    """
    parts = [method.title, weights.partition(".")[2] or weights]
    for control in method.controls:
        value = values.get(control.name, control.default)
        if control.name == "seed" or value != control.default:
            word = (
                {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
            )
            parts.append(f"{control.label.lower()} {word}")
    return " · ".join(str(part) for part in parts)


def show_result(
    result: Result, *, is_preview: bool = False, is_passing: bool = False, **words: Any
) -> dict[str, Any]:
    """Return a result as the stage's ``shown``: data URLs of pictures and colours, captions, a GIF.

    Of strokes it carries the SVG as text and the NPZ, of which :func:`gif_of` makes a film.
    Where pictures have seeds of their own, they come along, and guesses with their share of 1.
    Pictures are PNG. A preview, which lasts until the pen is lifted, is a JPEG of the first one:
    ten times faster to make, a fifth of the bytes. Of a stream's result that is soon replaced
    (``is_passing``) all pictures are JPEG, and there is nothing else to take from it.
    """
    words |= {"progress": result.progress} if result.progress is not None else {}
    words |= {"facts": result.facts} if result.facts else {}
    words |= {"curve": [round(loss, 4) for loss in result.curve]} if len(result.curve) > 1 else {}
    words |= {"guesses": [list(guess) for guess in result.guesses]} if result.guesses else {}
    if is_preview:
        return {"picture": _to_jpeg(result.pictures[0]), **words}
    pictures = [(_to_jpeg if is_passing else write_layer)(one) for one in result.pictures]
    shown = {"picture": pictures[0], **words}
    shown |= {"seeds": list(result.seeds)} if result.seeds else {}
    if len(pictures) > 1 or result.frames or result.colors:
        shown |= {"pictures": pictures, "captions": list(result.captions)}
    if is_passing:
        return shown
    if result.colors:
        shown["colors"] = [write_layer(layer) for layer in result.colors]
    if result.frames:
        shown["gif"] = _to_url(image.encode_gif(result.frames), "image/gif")
    if result.strokes is not None:
        shown["svg"] = to_svg(result.strokes).decode()
        shown["npz"] = _to_url(to_npz(result.strokes), "application/npz")
    return shown


def gif_of(url: Any) -> dict[str, str]:
    """Answer the stage's wish for a film of strokes being drawn: NPZ in, GIF or a sentence out."""
    try:
        content = decode_url(
            url, name="the strokes", prefixes=(NPZ_PREFIX,), max_chars=MAX_NPZ_CHARS
        )
        frames = draw_frames(from_npz(content), frames_per_second=FRAMES_PER_SECOND)
        gif = image.encode_gif(frames, frame_ms=1000 // FRAMES_PER_SECOND)
    except S2IError as error:
        return {"sentence": str(error)[:1].upper() + str(error)[1:]}
    return {"gif": _to_url(gif, "image/gif")}


def _to_jpeg(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=92, subsampling=0)
    return _to_url(buffer.getvalue(), "image/jpeg")


def _to_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
