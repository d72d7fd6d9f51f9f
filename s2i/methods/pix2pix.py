"""pix2pix: lines become a picture, and nothing else is asked. The yardstick of the other methods.

Isola, Zhu, Zhou, Efros: "Image-to-Image Translation with Conditional Adversarial Networks", CVPR
2017. What differs: normalisation per picture in place of batch statistics of a batch of one (the
original runs in training mode at test, so that its answers vary), no dropout at test, ink as one
channel. What ships is as wide as Auto-Painter's network and learned by that one's critic and losses
(train/pix2pix.py); the original is the preset ``paper``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from s2i import image
from s2i.edges import sketchify
from s2i.layers import FoldedUNet, UNet, run_padded
from s2i.methods.base import LINE_WIDTH, OVERLAY, Drawing, Method, Result, check_values


class Pix2pix(Method):
    """Lines to a picture, by one network."""

    name = "pix2pix"
    title = "pix2pix"
    reads = ("lines",)
    live = True
    controls = (OVERLAY,)
    start_controls = (LINE_WIDTH,)
    presets: ClassVar[Mapping[str, dict[str, Any]]] = {
        "paper": {"generator": "unet", "channels": 3, "width": 64, "depth": 8, "size_px": 256},
        "small": {"generator": "folded", "channels": 1, "width": 32, "size_px": 256},
    }

    def __init__(
        self,
        *,
        generator: str = "folded",
        channels: int = 1,
        width: int = 32,
        depth: int = 8,
        size_px: int = 256,
    ) -> None:
        """Build the generator.

        Args:
            generator: ``folded`` or ``unet``; see :mod:`s2i.layers`.
            channels: 1, or 3 for the original's grey picture repeated.
            width: channels of the first stage; 64 in the original.
            depth: halvings of ``unet``, log2 of the side that it ends with one pixel for.
            size_px: side of the pictures it was trained on.
        """
        super().__init__(
            generator=generator, channels=channels, width=width, depth=depth, size_px=size_px
        )
        self.size_px = size_px
        if generator == "unet":
            self.size_multiple = 2**depth
            self.generator = UNet(channels=channels, width=width, depth=depth)
        else:
            self.size_multiple = 32
            self.generator = FoldedUNet(channels=channels, width=width)

    @classmethod
    def start_from(cls, photo: np.ndarray, **values: Any) -> Drawing:
        """Take the lines of a photo (H, W, 3) by XDoG, of its size.

        Raises:
            S2IError: a value out of the bounds of ``start_controls``.
        """
        return Drawing(lines=sketchify(photo, **check_values(cls.start_controls, values)))

    @torch.inference_mode()
    def predict(self, drawing: Drawing, *, overlay: bool = False) -> Result:
        """Paint ``drawing``'s lines at the size that was learned; the result has its size."""
        size = image.fit_size(drawing.size, self.size_px)
        ink = image.to_tensor(image.resize_ink(drawing.lines, size))
        weight = next(self.parameters())
        inputs = ink.expand(self.kwargs["channels"], -1, -1)[None].to(weight.device, weight.dtype)
        output = run_padded(self.generator, inputs, self.size_multiple)
        picture = image.resize(image.to_picture(output[0]), drawing.size)
        return Result(pictures=(image.lay_lines(picture, drawing.lines) if overlay else picture,))
