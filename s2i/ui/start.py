"""The start row: examples, a photo, the camera, saved layers, an empty page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from s2i import image
from s2i.ui.pad import read_asset

FIRST_SIGHT = ("pirec.emoji", "sun")  # weights and example that whoever comes first is shown


class StartRow(gr.HTML):
    """Ways to begin: its value is ``{seq, method, photo[, sketch]}`` or settings to choose.

    Those are ``{seq, tab, weights, values}``. Events: ``photo`` (its lines, or those of its sketch,
    and its colours are wanted) and ``choose`` (a tab, weights by method, values by method and
    control are wanted, any of them). From Python ``chosen={method: weights}`` tells which weights
    the tabs show now.
    """

    def __init__(
        self,
        value: Any = None,
        *,
        folder: str = "",
        examples: Sequence[dict] = (),
        chosen: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Offer ``examples`` ({method, weights, name}) out of ``folder``."""
        super().__init__(
            value=value,
            html_template=read_asset("start.html"),
            css_template=read_asset("start.css"),
            js_on_load=read_asset("start.js"),
            apply_default_css=False,
            folder=folder,
            examples=list(examples),
            chosen=chosen or {},
            **kwargs,
        )
        self.chosen = chosen or {}  # as the pad's cmd

    def api_info(self) -> dict[str, Any]:
        """Describe the value for the API's documentation."""
        return {"type": "object", "description": "a photo as a PNG data URL, or settings"}


def find_examples(folder: Path, names: list[tuple[str, str]]) -> list[dict[str, str]]:
    """List the examples of every (method, weights), the first sight, then the most painted first.

    An example is a pair of NAME.lines.png and NAME.colors.png in ``folder`` / weights, or a
    NAME.photo.jpg (or .png) for a method that reads photos.
    """
    found = []
    for method, weights in names:
        shares = {}
        for path in sorted((folder / weights).glob("*.colors.png")):
            name = path.name.removesuffix(".colors.png")
            if path.with_name(f"{name}.lines.png").is_file():
                shares[name] = (image.read_layer(path)[..., 3] > 0).mean()
        ordered = sorted(shares, key=lambda name: ((weights, name) != FIRST_SIGHT, -shares[name]))
        found += [{"method": method, "weights": weights, "name": name} for name in ordered]
        for path in sorted((folder / weights).glob("*.photo.*")):
            if path.suffix in (".jpg", ".png"):
                name = path.name.partition(".")[0]
                found.append(
                    {"method": method, "weights": weights, "name": name, "photo": path.name}
                )
    return found
