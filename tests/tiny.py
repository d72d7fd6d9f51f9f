"""A method of one small network, for tests of everything that surrounds methods."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from s2i.errors import S2IError
from s2i.methods.base import (
    Action,
    Choice,
    Drawing,
    Method,
    Result,
    Slider,
    Toggle,
    check_values,
)


class Tiny(Method):
    """Colours where there are some, ink on top, times what its network says (1 as built)."""

    name, title = "tiny", "Tiny"
    reads = ("lines", "colors")
    controls = (
        Slider(name="refine", default=0, low=0, high=3, label="Refine", help="darkens by 10 each"),
        Toggle(name="lighten", default=False, label="Lighten", help="adds 10"),
        Choice(name="paper", default="white", options=("white", "grey"), label="P", help="below"),
    )
    actions = (
        Action(name="refine_photo", title="Refine a photo", help="", photos_low=1, photos_high=1),
        Action(
            name="interpolate",
            title="Interpolate",
            help="blend two",
            photos_low=2,
            photos_high=2,
            controls=(Slider(name="steps", default=3, low=2, high=9, label="Steps", help=""),),
        ),
        Action(name="turn_hue", title="Turn the hue", help="", photos_high=0),
        Action(name="suggest_colors", title="Suggest colours", help=""),
    )
    start_controls = (
        Slider(name="sigma", default=2.5, low=0.5, high=9, step=0.1, label="S", help="line detail"),
        Slider(name="colors", default=3, low=2, high=8, label="K", help="number of colours"),
    )

    def __init__(self, width: int = 4) -> None:
        super().__init__(width=width)
        self.generator = nn.Linear(width, 1)
        nn.init.constant_(self.generator.weight, 1 / width)
        nn.init.zeros_(self.generator.bias)

    @classmethod
    def start_from(cls, photo: np.ndarray, **values) -> Drawing:
        values = check_values(cls.start_controls, values)
        lines = np.full(photo.shape[:2], 255, np.uint8)
        lines[0] = 0
        step = 256 // values["colors"]
        flat = photo // step * step
        return Drawing(lines=lines, colors=np.dstack([flat, lines | 255]))

    def predict(self, drawing, *, refine=0, lighten=False, paper="white") -> Result:
        if drawing.lines is None:
            raise S2IError("Tiny wants lines: draw some.")
        scale = self.generator(torch.ones(self.generator.in_features)).item()
        picture = np.full((*drawing.size, 3), 255 if paper == "white" else 128, np.uint8)
        if drawing.colors is not None:
            is_painted = drawing.colors[..., 3] > 127
            picture[is_painted] = drawing.colors[is_painted, :3]
        picture[drawing.lines < 128] = 0
        shift = 10 * lighten - 10 * refine
        return Result(pictures=(np.clip(picture * scale + shift, 0, 255).round().astype(np.uint8),))

    def refine_photo(self, drawing, photos) -> Result:
        return Result(pictures=(255 - photos[0],))

    def interpolate(self, drawing, photos, *, steps=3) -> Result:
        first, second = (photo.astype(float) for photo in photos)
        weights = np.linspace(0, 1, steps)
        frames = tuple(((1 - w) * first + w * second).astype(np.uint8) for w in weights)
        return Result(pictures=frames, frames=frames)

    def turn_hue(self, drawing, photos) -> Result:
        picture = self.predict(drawing).pictures[0]
        return Result(pictures=(np.hstack([picture] * 3),), frames=(picture, 255 - picture))

    def suggest_colors(self, drawing, photos) -> Result:
        colors = tuple(np.full((*drawing.size, 4), shade, np.uint8) for shade in (99, 255))
        pictures = tuple(
            self.predict(Drawing(lines=drawing.lines, colors=layer)).pictures[0] for layer in colors
        )
        return Result(pictures=pictures, colors=colors)
