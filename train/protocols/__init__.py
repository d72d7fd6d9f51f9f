"""How weights are scored: one file a method, whose docstring says what is measured and how."""

from types import ModuleType

from train.protocols import (
    autopainter,
    contextual,
    image2sketch,
    masknet,
    pirec,
    pix2pix,
    sketch2img,
)

PROTOCOLS: dict[str, ModuleType] = {
    "pirec": pirec,
    "autopainter": autopainter,
    "pix2pix": pix2pix,
    "contextual": contextual,
    "sketch2img": sketch2img,
    "image2sketch": image2sketch,
    "masknet": masknet,
}
"""One module a method: ``evaluate`` scores a task, ``HEADLINES`` are its most telling scores."""
