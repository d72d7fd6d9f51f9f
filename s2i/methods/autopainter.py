"""Auto-Painter: line art becomes a finished cartoon, in colours of its own or as dabbed.

Liu, Qin, Luo, Wang: "Auto-painter: Cartoon Image Generation from Sketch by Using Conditional
Generative Adversarial Networks", arXiv 1705.01908. The original pastes squares of colour into the
sketch: the faithful way, ``hints="pasted"``. What differs in what ships:

* hints are channels of their own with a painted mask, so they hide no lines and white is a colour;
* every dab is carried through its region before the network sees it
  (:func:`s2i.palette.spread_colors`), with a confidence that falls with distance;
* a U-Net whose full-size stages are folded into half size, normalised per picture, which paints
  and says where the spread hints are to be taken as they are;
* then every hinted area is shifted to its hint's colour (:func:`obey_hints`), shade and gloss kept.

The original networks are the presets ``paper`` and ``seed``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from torch import nn

from s2i import image, palette
from s2i.edges import sketchify
from s2i.errors import S2IError
from s2i.layers import FoldedUNet, UNet, run_padded
from s2i.methods.base import (
    INK_AMOUNT,
    LINE_WIDTH,
    OVERLAY,
    Action,
    Choice,
    Drawing,
    Method,
    Result,
    Slider,
    Toggle,
    check_values,
)


class GatedUNet(FoldedUNet):
    """The network that ships: it paints a picture, and says where the spread hints are better.

    A fourth output mixes the spread hint into what the network paints, so that a flat area takes
    a hint's colour exactly, and the network is left with lines, shading and bare areas. 2,042,084
    parameters at width 32.
    """

    def __init__(self, *, channels: int = 9, width: int = 32) -> None:
        """Build for the inputs of ``hints="spread"``; see :func:`to_inputs`."""
        super().__init__(channels=channels, width=width, outputs=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 9, H, W), sides multiples of 32 -> (N, 3, H, W) in [-1, 1]."""
        own, share = super().forward(x).split((3, 1), dim=1)
        hint, confidence = x[:, 5:8], x[:, 8:9]
        share = (share + 1) / 2 * (confidence > 0)
        return own + share * (hint - own)


GENERATORS: Mapping[str, Callable[..., nn.Module]] = {
    "gated": GatedUNet,
    "folded": FoldedUNet,
    "unet": UNet,
    "shifted": lambda **options: UNet(is_shifted=True, **options),
}
MULTIPLES: Mapping[str, int] = {"gated": 32, "folded": 32, "unet": 256, "shifted": 256}
CHANNELS: Mapping[str, int] = {"spread": 9, "mask": 5, "pasted": 3}
PAPER = (255, 255, 255, 128)
CROSSING_PX = 384  # dear enough that an area with paint of its own takes no other
GRID_PX = 256  # what the network learned at: borders without steps
REACH_PX = 96  # wide enough that one dab is believed in all of its area
SURE = 0.35  # confidence from which on a hint's colour holds in full
OTHER = 48  # of 255: an area painted that far from its hint is believed less, twice as far not
SMOOTH = 0.024  # of the picture's side: how softly one hint's area passes into the next
SHIFTED = 0.0003  # of the picture: smaller areas are not shifted on their own
SMALLEST = 0.001  # of the picture: smaller areas get no colour suggested
UNSURE = 35  # of 255: a network that paints all areas this much alike has no colours of its own
MOST = 40  # areas that get one


def to_inputs(
    lines: np.ndarray, colors: np.ndarray, *, hints: str, paper: np.ndarray | None = None
) -> torch.Tensor:
    """Bring a drawing of the network's size into the network's input: (CHANNELS, H, W) float32.

    Args:
        lines: (H, W), ink 0, greys welcome.
        colors: (H, W, 4), alpha 0 or 255.
        hints: ``pasted``: a white page with the lines, and the hints over them. ``mask``: hints,
            painted mask, ink. ``spread``: the same, then the spread hints, 0 where there are
            none, and the confidence in them.
        paper: (H, W) bool, bare paper around the figure: for ``spread`` a white hint of middle
            confidence.
    """
    if hints == "pasted":
        painted = colors[..., 3:] >= 128
        return image.to_tensor(np.where(painted, colors[..., :3], lines[..., None]))
    parts = [image.to_tensor(colors), image.to_tensor(lines)]
    if hints == "spread":
        spread = palette.spread_colors(
            colors, lines, crossing_px=CROSSING_PX, reach_px=REACH_PX, grid_px=GRID_PX
        )
        if paper is not None:
            spread[paper] = PAPER
        confidence = image.to_tensor(255 - spread[..., 3])
        parts += [image.to_tensor(spread[..., :3]) * (confidence > 0), confidence]
    return torch.cat(parts)


class Autopainter(Method):
    """Lines and hints to a finished cartoon, by one network."""

    name = "autopainter"
    title = "Auto-Painter"
    reads = ("lines", "colors")
    live = True
    controls = (
        Choice(
            name="detail",
            default="learned",
            options=("learned", 256, 384, 512),
            label="Detail",
            help="Pixels across that it paints: as many as it learned, or more for small shapes.",
        ),
        OVERLAY,
        Toggle(
            name="vivid",
            default=True,
            label="Vivid without hints",
            help="Where you dab nothing at all, every area gets a clear colour of its own.",
            advanced=True,
        ),
    )
    start_controls = (
        LINE_WIDTH,
        INK_AMOUNT,
        Slider(
            name="softness",
            default=0.2,
            low=0,
            high=1,
            step=0.05,
            label="Softness",
            help="Hard black and white, or grey borders as of a pencil.",
        ),
    )
    actions = (
        Action(
            name="suggest_colors",
            title="Suggest colours",
            help="Colour the drawing in several ways; take the one that you like onto the pad.",
            controls=(
                Slider(name="count", default=6, low=2, high=12, label="Count", help="Pictures."),
                Slider(
                    name="seed",
                    default=0,
                    low=0,
                    high=9999,
                    label="Seed",
                    help="Others, by number.",
                ),
            ),
        ),
    )
    presets: ClassVar[Mapping[str, dict[str, Any]]] = {
        "paper": {
            "generator": "unet",
            "hints": "pasted",
            "width": 64,
            "size_px": 512,
            "paper": False,
        },
        "seed": {
            "generator": "shifted",
            "hints": "pasted",
            "width": 64,
            "size_px": 512,
            "paper": False,
        },
        "small": {"generator": "gated", "hints": "spread", "width": 32, "size_px": 256},
    }

    def __init__(
        self,
        *,
        generator: str = "gated",
        hints: str = "spread",
        width: int = 32,
        size_px: int = 256,
        paper: bool = True,
    ) -> None:
        """Build the generator.

        Args:
            generator: ``gated`` (for ``spread`` alone), ``folded``, ``unet`` or ``shifted``; see
                :mod:`s2i.layers`.
            hints: ``spread``, ``mask`` or ``pasted``; see :func:`to_inputs`.
            width: channels of the first stage; 64 in the original.
            size_px: side of the pictures it was trained on.
            paper: bare paper around the figure stays white unless hinted.
        """
        if generator == "gated" and hints != "spread":
            raise S2IError(f"the generator 'gated' needs hints 'spread', got '{hints}'.")
        super().__init__(
            generator=generator, hints=hints, width=width, size_px=size_px, paper=paper
        )
        self.size_px = size_px
        self.size_multiple = MULTIPLES[generator]
        self.generator = GENERATORS[generator](channels=CHANNELS[hints], width=width)

    def predict(
        self,
        drawing: Drawing,
        *,
        detail: int | str = "learned",
        overlay: bool = False,
        vivid: bool = True,
    ) -> Result:
        """Paint ``drawing``; without hints the network chooses the colours."""
        side_px = self.size_px if detail == "learned" else int(detail)
        lines, colors = self._fit(drawing, side_px)
        picture = self._paint(lines, colors)
        if vivid and not colors[..., 3].any():
            picture = self._paint(lines, suggest_colors(lines, colors, picture))
        picture = image.resize(picture, drawing.size)
        if overlay and drawing.lines is not None:
            picture = image.lay_lines(picture, drawing.lines)
        return Result(pictures=(picture,))

    @classmethod
    def start_from(cls, photo: np.ndarray, **values: Any) -> Drawing:
        """Sketchify: the lines of a photo (H, W, 3) by XDoG, of its size.

        Raises:
            S2IError: a value out of the bounds of ``start_controls``.
        """
        return Drawing(lines=sketchify(photo, **check_values(cls.start_controls, values)))

    def suggest_colors(
        self, drawing: Drawing, photos: tuple[np.ndarray, ...], *, count: int = 6, seed: int = 0
    ) -> Result:
        """Colour the drawing ``count`` ways: its own colours, then palettes drawn by ``seed``.

        Every closed area gets one dab; areas that have paint already keep it.
        """
        if drawing.lines is None:
            raise S2IError("there are no lines to colour: draw some first.")
        lines, colors = self._fit(drawing, self.size_px)
        rng = np.random.default_rng(seed)
        layers = [suggest_colors(lines, colors, self._paint(lines, colors))]
        layers += [suggest_colors(lines, colors, rng) for _ in range(count - 1)]
        size = drawing.size
        return Result(
            pictures=tuple(image.resize(self._paint(lines, layer), size) for layer in layers),
            captions=tuple(f"colours {number + 1}" for number in range(count)),
            colors=tuple(
                cv2.resize(layer, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
                for layer in layers
            ),
        )

    @staticmethod
    def _fit(drawing: Drawing, side_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Return lines (H, W) and colours (H, W, 4) at about ``side_px`` squared pixels."""
        size = image.fit_size(drawing.size, side_px)
        lines, colors = drawing.lines, drawing.colors
        lines = np.full(size, 255, np.uint8) if lines is None else image.resize_ink(lines, size)
        if colors is None:
            return lines, np.zeros((*size, 4), np.uint8)
        return lines, palette.settle_dabs(image.resize_colors(colors, size), lines)

    @torch.inference_mode()
    def _paint(self, lines: np.ndarray, colors: np.ndarray) -> np.ndarray:
        """Run the network on a drawing of its size: a picture (H, W, 3) of that size."""
        hints = self.kwargs["hints"]
        paper = palette.find_paper(lines, colors) if self.kwargs["paper"] else None
        inputs = to_inputs(lines, colors, hints=hints, paper=paper)
        weight = next(self.parameters())
        output = run_padded(
            self.generator,
            inputs[None].to(weight.device, weight.dtype),
            self.size_multiple,
            value=1.0 if hints == "pasted" else 0.0,
        )
        picture = image.to_picture(output[0])
        if hints == "spread":
            picture = obey_hints(picture, lines, inputs[5:])
        return picture if paper is None else clear_paper(picture, paper)


def obey_hints(picture: np.ndarray, lines: np.ndarray, spread: torch.Tensor) -> np.ndarray:
    """Shift every hinted area by one colour, so that its mean is its hint's: (H, W, 3) uint8.

    An area is what one hint reaches without crossing ink; paint that is large enough is an area of
    its own. The network dulls hints that it seldom saw; a shift keeps shade and gloss, and what was
    painted where no hint reaches. Where quite another colour was painted around a dab, as on paper
    that a stroke slipped onto, that stays.

    Args:
        picture: (H, W, 3), what the network painted.
        lines: (H, W), ink below 128.
        spread: (4, H, W), the last channels of :func:`to_inputs`: spread hints, confidence.
    """
    ink = lines < 128
    hint, confidence = image.to_picture(spread[:3]), spread[3].numpy()
    near_ink = cv2.dilate(ink.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    weight = np.where(near_ink | (confidence < SURE), 0, confidence)[..., None]
    missing = weight * (hint.astype(np.float32) - picture)
    shifts = np.zeros_like(missing)
    painted = confidence == 1
    for is_apart in (ink, np.dstack([ink, painted])):
        areas = palette.find_regions(np.dstack([hint, is_apart]))
        sums = [np.bincount(areas.ravel(), layer.ravel()) for layer in cv2.split(missing)]
        total = np.bincount(areas.ravel(), weight.ravel())
        means = (np.stack(sums, axis=1) / np.maximum(total, 1e-6)[:, None]).astype(np.float32)
        is_large = (total >= SHIFTED * ink.size)[areas]
        shifts[is_large] = means[areas[is_large]]
    belief = np.clip(2 - np.abs(shifts).max(axis=2) / OTHER, 0, 1)
    strength = (belief * np.minimum(1, confidence / SURE))[..., None]
    is_free = (~ink).astype(np.float32)[..., None]
    soft = _soften(np.dstack([shifts * strength * is_free, is_free]))
    soft = soft[..., :3] / np.maximum(soft[..., 3:], 1e-3)
    shifted = picture + is_free * np.where(painted[..., None], shifts, soft)
    return np.clip(np.rint(shifted), 0, 255).astype(np.uint8)


def _soften(layers: np.ndarray) -> np.ndarray:
    """Return (H, W, 4) under a Gaussian of :data:`SMOOTH`, found at a quarter of the size."""
    height, width = layers.shape[:2]
    size = max(1, width // 4), max(1, height // 4)
    small = cv2.resize(layers, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), SMOOTH * (size[0] * size[1]) ** 0.5)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def clear_paper(picture: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Whiten a picture (H, W, 3) where there is paper (H, W) bool, softly towards the lines."""
    inner = cv2.erode(paper.astype(np.float32), np.ones((5, 5), np.uint8))
    weight = cv2.GaussianBlur(inner, (0, 0), 1.5)[..., None] * paper[..., None]
    return np.rint(picture + weight * (255 - picture.astype(np.float32))).astype(np.uint8)


def suggest_colors(
    lines: np.ndarray, colors: np.ndarray, source: np.ndarray | np.random.Generator
) -> np.ndarray:
    """Return ``colors`` (H, W, 4) with one dab more in every closed area that has no paint.

    The paper around the figure and areas too small to see get none.

    Args:
        lines: (H, W), ink 0: bounds of the areas.
        colors: (H, W, 4), what is painted already.
        source: a picture (H, W, 3), whose colours are made stronger, or what draws a palette:
            then areas of about one size, as petals or eyes are, share a colour. A picture in
            which all areas look alike gives but the first colour of a palette.
    """
    areas = palette.find_areas(lines)
    areas[palette.find_paper(lines, colors)] = -1
    is_area = areas >= 0
    sizes = np.bincount(areas[is_area], minlength=1)
    painted = np.unique(areas[is_area & (colors[..., 3] > 0)])
    sizes[painted] = 0
    order = np.argsort(-sizes, kind="stable")[:MOST]
    chosen = order[sizes[order] >= SMALLEST * areas.size]
    if not len(chosen):
        return colors
    falls = -np.diff(np.log2(sizes[chosen]), prepend=np.log2(sizes[chosen[0]]))
    kinds = np.cumsum(falls > 0.4)
    if isinstance(source, np.random.Generator):
        dabs = palette.draw_palette(int(kinds[-1]) + 1, source)[kinds]
    else:
        medians = np.array([np.median(source[areas == number], axis=0) for number in chosen])
        own = palette.strengthen(medians.astype(np.uint8))
        if medians.std(axis=0).max() < UNSURE:
            rng = np.random.default_rng(0)
            own = palette.draw_palette(int(kinds[-1]) + 1, rng, first=own[0])[kinds]
        dabs = own
    suggested = colors.copy()
    largest = 0.03 * np.sqrt(areas.size)
    for number, color in zip(chosen, dabs, strict=True):
        inside = cv2.copyMakeBorder((areas == number).astype(np.uint8), 1, 1, 1, 1, 0)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
        _, reach, _, (x, y) = cv2.minMaxLoc(depth)
        radius = max(1, round(min(0.6 * reach, largest)))
        cv2.circle(suggested, (x - 1, y - 1), radius, (*map(int, color), 255), -1)
    return suggested
