"""Toy: blurred lines in two colors. CONTRIBUTING's steps are tried on it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from s2i import image
from s2i.edges import sketchify
from s2i.methods.base import Drawing, Method, Result, Slider, check_values


class Toy(Method):
    """Lines to a picture, by one convolution of one pixel."""

    name = "toy"
    title = "Toy"
    reads = ("lines",)
    live = True
    controls = (
        Slider(name="blur", default=2, low=1, high=9, label="Blur", help="Sigma in pixels."),
    )

    def __init__(self, *, width: int = 1) -> None:
        """Build the network; ``width`` is there for those who build every method alike."""
        super().__init__(width=width)
        self.generator = nn.Conv2d(1, 3, 1)

    @classmethod
    def start_from(cls, photo: np.ndarray, **values: Any) -> Drawing:
        """Take the lines of a photo (H, W, 3) by XDoG, of its size.

        Raises:
            S2IError: any value: there are no controls.
        """
        check_values(cls.start_controls, values)
        return Drawing(lines=sketchify(photo))

    @torch.inference_mode()
    def predict(self, drawing: Drawing, *, blur: int = 2) -> Result:
        """Paint ``drawing``'s lines, blurred."""
        ink = image.to_tensor(cv2.GaussianBlur(drawing.lines, (0, 0), blur))
        output = self.generator(ink[None].to(next(self.parameters())))
        return Result(pictures=(image.to_picture(output[0]),))
