"""Every method of the zoo, in the order of the tabs."""

from __future__ import annotations

from s2i.errors import S2IError
from s2i.methods.autopainter import Autopainter
from s2i.methods.base import Method
from s2i.methods.contextual import Contextual
from s2i.methods.image2sketch import Image2Sketch, MaskNet
from s2i.methods.pirec import Pirec
from s2i.methods.pix2pix import Pix2pix
from s2i.methods.sketch2img import Sketch2Img

METHODS: tuple[type[Method], ...] = (
    Pirec,
    Autopainter,
    Pix2pix,
    Contextual,
    Sketch2Img,
    Image2Sketch,
)
PARTS: tuple[type[Method], ...] = (MaskNet,)  # these have weights and serve others, no tab


def find_method(name: str) -> type[Method]:
    """Return the method called ``name``.

    Raises:
        S2IError: there is none; the sentence names those that there are.
    """
    every = (*METHODS, *PARTS)
    for method in every:
        if method.name == name:
            return method
    known = ", ".join(method.name for method in every)
    raise S2IError(f"there is no method '{name}'; there are: {known}.")
