"""PI-REC: sparse lines and dabs of colour become a picture, refined as often as one likes.

You, You, Pan: "PI-REC: Progressive Image Reconstruction Network With Edge and Color Domain",
arXiv 1903.10146. What differs in the generator that ships:

* skips from the first stage and from the input into the last stages, and group norm in the outer
  stages: the original's instance norm everywhere forgets means, so colours wash out;
* the stages of full size are folded into half size, transposed convolutions are gone;
* bare paper is told from white paint by a painted mask, and every dab is carried through its
  region before the network sees it (:func:`s2i.palette.spread_colors`), with a confidence that
  falls with distance: a network this small does not learn to spread a lone dab by itself;
* of what the refiner paints only the detail is kept (:func:`add_detail`).

The original is the preset ``paper``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from torch import nn

from s2i import image, palette
from s2i.edges import find_lines, stretch_contrast, thin_lines
from s2i.errors import S2IError
from s2i.layers import ResidualBlock, Upsample, blur, make_norm
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


class PaperGenerator(nn.Module):
    """The original network: section 3.2 of the paper; 10,545,219 parameters at width 64.

    EdgeConnect's inpainting generator with its first deconvolution replaced by upsampling.
    The original maps tanh to [0, 1]; here pictures are in [-1, 1], so tanh is the output itself.
    """

    def __init__(self, *, channels: int = 4, width: int = 64) -> None:
        """Build for ``channels`` inputs: colour domain and lines."""
        super().__init__()
        w = width

        def norm_relu(count: int) -> list[nn.Module]:
            return [nn.InstanceNorm2d(count), nn.ReLU(inplace=True)]

        self.layers = nn.Sequential(
            nn.Conv2d(channels, w, 7, padding=3, padding_mode="reflect"),
            *norm_relu(w),
            nn.Conv2d(w, 2 * w, 4, stride=2, padding=1),
            *norm_relu(2 * w),
            nn.Conv2d(2 * w, 4 * w, 4, stride=2, padding=1),
            *norm_relu(4 * w),
            *[ResidualBlock(4 * w) for _ in range(8)],
            Upsample(),
            nn.Conv2d(4 * w, 2 * w, 3, padding=1, padding_mode="reflect"),
            *norm_relu(2 * w),
            nn.ConvTranspose2d(2 * w, w, 4, stride=2, padding=1),
            *norm_relu(w),
            nn.Conv2d(w, 3, 7, padding=3, padding_mode="reflect"),
            nn.Tanh(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W), sides multiples of 4 and at least 12 -> (N, 3, H, W) in [-1, 1]."""
        return self.layers(x)


class SkipGenerator(nn.Module):
    """The network that ships: the original's trunk, two blocks shorter, with skips around it.

    1,197,915 parameters at width 24. The input is folded (pixel unshuffle) to half its size and
    four times its channels, and the last stage unfolds: nothing wider than ``width`` works at full
    size, which halves the time of a step. Averaging 2 x 2 pixels right after it takes out the one
    frequency of checkerboards. The last two convolutions, at full size, read the input again.
    """

    def __init__(self, *, channels: int = 9, width: int = 24) -> None:
        """Build for ``channels`` inputs; see :func:`to_inputs`."""
        super().__init__()
        w = width
        self.fold = nn.PixelUnshuffle(2)
        self.stem = self._stage(nn.Conv2d(4 * channels, 2 * w, 3, padding=1), 2 * w)
        self.down = self._stage(nn.Conv2d(2 * w, 4 * w, 4, stride=2, padding=1), 4 * w)
        self.trunk = nn.Sequential(*[ResidualBlock(4 * w) for _ in range(6)])
        self.enlarge = Upsample()
        self.merge = self._stage(nn.Conv2d(6 * w, 2 * w, 3, padding=1), 2 * w)
        self.unfold = nn.Sequential(
            nn.Conv2d(2 * w, 4 * w, 3, padding=1),
            nn.PixelShuffle(2),
            nn.ReplicationPad2d((0, 1, 0, 1)),
            nn.AvgPool2d(2, stride=1),
        )
        self.out = nn.Sequential(
            nn.Conv2d(w + channels, w, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(w, 3, 3, padding=1),
            nn.Tanh(),
        )

    @staticmethod
    def _stage(conv: nn.Conv2d, width: int) -> nn.Sequential:
        return nn.Sequential(conv, make_norm("group", width), nn.ReLU(inplace=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W), sides multiples of 4 and at least 12 -> (N, 3, H, W) in [-1, 1]."""
        stem = self.stem(self.fold(x))
        y = self.trunk(self.down(stem))
        y = self.merge(torch.cat([self.enlarge(y), stem], 1))
        return self.out(torch.cat([self.unfold(y), x], 1))


DETAIL_PX = 1.5  # of the network's pixels
GENERATORS: Mapping[str, type[nn.Module]] = {"paper": PaperGenerator, "skip": SkipGenerator}
CHANNELS: Mapping[str, int] = {"paper": 4, "skip": 9}


def to_inputs(lines: np.ndarray, colors: np.ndarray, *, generator: str) -> torch.Tensor:
    """Bring a drawing of the network's size into the network's input: (CHANNELS, H, W) float32.

    Args:
        lines: (H, W), ink 0, one pixel wide.
        colors: (H, W, 4), alpha 0 or 255.
        generator: ``paper``: colours on white paper and lines. ``skip``: colours, painted mask,
            lines, spread colours times their confidence, confidence.
    """
    ink = image.to_tensor(lines)
    if generator == "paper":
        return torch.cat([image.to_tensor(image.on_paper(colors)), ink])
    spread = image.to_tensor(palette.spread_colors(colors, lines))
    return torch.cat([image.to_tensor(colors), ink, spread])


def with_picture(inputs: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    """Put a picture where the colours were: what the refiner reads.

    (N, CHANNELS, H, W) and (N, 3, H, W) -> (N, CHANNELS, H, W). Lines and spread dabs stay, so
    that repeated refinement keeps to the drawing.
    """
    if inputs.shape[1] == CHANNELS["paper"]:
        return torch.cat([picture, inputs[:, 3:]], 1)
    return torch.cat([picture, torch.ones_like(inputs[:, :1]), inputs[:, 4:]], 1)


def add_detail(picture: torch.Tensor, refined: torch.Tensor) -> torch.Tensor:
    """Take from ``refined`` only what is finer than ``DETAIL_PX``, the colours from ``picture``.

    Both (N, 3, H, W) in [-1, 1]. So no colour drifts from what was dabbed, however often a picture
    is refined; LPIPS is better than with either of the two (train/README.md).
    """
    change = refined - picture
    return (picture + change - blur(change, DETAIL_PX)).clamp(-1, 1)


class Pirec(Method):
    """Lines and dabs to a picture, by a generator and, as often as asked, a refiner."""

    name = "pirec"
    title = "PI-REC"
    reads = ("lines", "colors")
    live = True
    size_multiple = 16
    controls = (
        Slider(
            name="refine",
            default=1,
            low=0,
            high=3,
            label="Refine",
            help="How often the picture goes through the refiner: sharper, cleaner each time.",
        ),
        Choice(
            name="detail",
            default="learned",
            options=("learned", 128, 192, 256),
            label="Detail",
            help="Pixels across that it paints: as many as it learned, or more for small shapes.",
        ),
        Toggle(
            name="lighten",
            default=False,
            label="More contrast",
            help="Stretch the contrast a little (the original tool calls it lighten).",
            advanced=True,
        ),
    )
    preview: ClassVar[Mapping[str, Any]] = {"refine": 0}
    start_controls = (
        Slider(
            name="sigma",
            default=2.5,
            low=0,
            high=6,
            step=0.1,
            label="Line detail",
            help="Gaussian sigma of the line finder in pixels at 128 px: small finds more lines.",
        ),
        Slider(
            name="colors",
            default=3,
            low=1,
            high=12,
            label="Colours",
            help="How many flat colours the picture is reduced to.",
        ),
        Slider(
            name="blur",
            default=25,
            low=1,
            high=45,
            step=2,
            label="Smoothness",
            help="Median filter in pixels at 128 px: large gives broad, simple colour areas.",
        ),
    )
    actions = (
        Action(
            name="refine_photo",
            title="Refine a picture",
            help="Pass any picture through the refiner alone; its own lines are found first.",
            photos_low=1,
            photos_high=1,
            controls=(controls[0],),
        ),
        Action(
            name="style_strip",
            title="Try other colours",
            help="Paint the same lines with the colours of each picture that you choose.",
            photos_low=1,
            photos_high=24,
        ),
        Action(
            name="interpolate",
            title="Between two colour maps",
            help="Walk from the colours of one picture to those of another, as a strip and a GIF.",
            photos_low=2,
            photos_high=2,
            controls=(
                Slider(
                    name="steps", default=9, low=3, high=30, label="Steps", help="Pictures made."
                ),
            ),
        ),
        Action(
            name="turn_hue",
            title="Turn the hue",
            help="Turn the hue of the painted colours once round, as a strip and a GIF.",
            controls=(
                Slider(
                    name="steps", default=12, low=3, high=60, label="Steps", help="Pictures made."
                ),
            ),
        ),
    )
    presets: ClassVar[Mapping[str, dict[str, Any]]] = {
        "paper": {"generator": "paper", "width": 64, "size_px": 128},
        "small": {"generator": "skip", "width": 24, "size_px": 128},
    }

    def __init__(
        self,
        *,
        generator: str = "skip",
        width: int = 24,
        size_px: int = 128,
        has_refiner: bool = True,
    ) -> None:
        """Build generator and refiner, two networks of one class.

        Args:
            generator: ``skip`` or ``paper``.
            width: channels of the first stage; 64 in the paper.
            size_px: side of the pictures it was trained on.
            has_refiner: whether the refiner was trained; if not, nothing is ever refined.
        """
        super().__init__(generator=generator, width=width, size_px=size_px, has_refiner=has_refiner)
        self.size_px = size_px
        build = GENERATORS[generator]
        self.generator = build(channels=CHANNELS[generator], width=width)
        self.refiner = build(channels=CHANNELS[generator], width=width)

    def predict(
        self,
        drawing: Drawing,
        *,
        refine: int = 1,
        detail: int | str = "learned",
        lighten: bool = False,
    ) -> Result:
        """Paint ``drawing``; without colours the network chooses, without lines it smooths."""
        side_px = self.size_px if detail == "learned" else int(detail)
        picture = self._paint(drawing, refine=refine, detail=side_px)
        return Result(pictures=(palette.lighten(picture) if lighten else picture,))

    @classmethod
    def start_from(cls, photo: np.ndarray, **values: Any) -> Drawing:
        """Take lines and colour domain out of a photo (H, W, 3): a drawing to go on from.

        Both have the photo's size. ``sigma`` and ``blur`` are in pixels of a picture of 128 px and
        grow with the photo; so does the width of the lines, to that of a pen.

        Raises:
            S2IError: a value out of the bounds of ``start_controls``.
        """
        settings = check_values(cls.start_controls, values)
        size = image.fit_size(photo.shape[:2], min(512, round(_side(photo.shape[:2]))))
        scale = _side(size) / 128
        small = image.resize(photo, size)
        lines = find_lines(small, sigma=settings["sigma"])
        if (lines == 0).sum() < _side(size):  # a dim photo: less than one line across it
            lines = find_lines(stretch_contrast(small), sigma=settings["sigma"])
        if scale > 1.5:
            lines = cv2.erode(lines, np.ones((round(scale), round(scale)), np.uint8))
        domain = palette.color_domain(small, colors=settings["colors"], blur_px=settings["blur"])
        painted = np.dstack([domain, np.full(size, 255, np.uint8)])
        height, width = photo.shape[:2]
        return Drawing(
            lines=cv2.resize(lines, (width, height), interpolation=cv2.INTER_NEAREST),
            colors=cv2.resize(painted, (width, height), interpolation=cv2.INTER_NEAREST),
        )

    def refine_photo(
        self, drawing: Drawing, photos: tuple[np.ndarray, ...], *, refine: int = 1
    ) -> Result:
        """Pass any picture through the refiner, with its own lines; the drawing plays no part."""
        (photo,) = photos
        if refine < 1:
            raise S2IError("refine must be at least 1 to refine a picture, got 0.")
        size = image.fit_size(photo.shape[:2], self.size_px)
        lines = find_lines(image.resize(photo, size))
        blank = np.zeros((*size, 4), np.uint8)
        picture = self._forward(
            lines, blank, refine=refine, start=image.to_tensor(image.resize(photo, size))
        )
        return Result(pictures=(image.resize(picture, photo.shape[:2]),))

    def style_strip(self, drawing: Drawing, photos: tuple[np.ndarray, ...]) -> Result:
        """Paint the drawing's lines once with each colour map, one picture for each."""
        return Result(pictures=tuple(self._paint_map(drawing, photo) for photo in photos))

    def interpolate(
        self, drawing: Drawing, photos: tuple[np.ndarray, ...], *, steps: int = 9
    ) -> Result:
        """Paint the drawing's lines with linear blends of two colour maps, as a walk."""
        first, second = photos
        second = image.resize(second, first.shape[:2])
        shares = np.linspace(0, 1, steps)
        pictures = tuple(
            self._paint_map(drawing, palette.blend_colors(first, second, float(share)))
            for share in shares
        )
        captions = tuple(f"{share:.0%}" for share in shares)
        return Result(pictures=pictures, captions=captions, frames=pictures + pictures[-2:0:-1])

    def turn_hue(
        self, drawing: Drawing, photos: tuple[np.ndarray, ...], *, steps: int = 12
    ) -> Result:
        """Paint the drawing with its colours turned once round the hue circle."""
        if drawing.colors is None or not drawing.colors[..., 3].any():
            raise S2IError("there are no colours to turn: dab some first.")
        angles = np.arange(steps) * 360 / steps
        pictures = tuple(
            self._paint(
                Drawing(lines=drawing.lines, colors=palette.turn_hue(drawing.colors, float(angle)))
            )
            for angle in angles
        )
        captions = tuple(f"{angle:.0f}°" for angle in angles)
        return Result(pictures=pictures, captions=captions, frames=pictures)

    def _paint_map(self, drawing: Drawing, photo: np.ndarray) -> np.ndarray:
        """Paint the drawing's lines with ``photo`` (H, W, 3) as full colour map."""
        domain = image.resize(photo, drawing.size)
        colors = np.dstack([domain, np.full(drawing.size, 255, np.uint8)])
        return self._paint(Drawing(lines=drawing.lines, colors=colors))

    def _paint(self, drawing: Drawing, *, refine: int = 1, detail: int | None = None) -> np.ndarray:
        size = image.fit_size(drawing.size, detail or self.size_px)
        lines, colors = drawing.lines, drawing.colors
        thin = np.full(size, 255, np.uint8) if lines is None else thin_lines(lines, size)
        if colors is None:
            small = np.zeros((*size, 4), np.uint8)
        else:
            small = image.resize_colors(colors, size)
        return image.resize(self._forward(thin, small, refine=refine), drawing.size)

    @torch.inference_mode()
    def _forward(
        self,
        lines: np.ndarray,
        colors: np.ndarray,
        *,
        refine: int,
        start: torch.Tensor | None = None,
    ) -> np.ndarray:
        """Run the networks at the layers' own size; ``start`` replaces the generator's picture."""
        height, width = lines.shape
        m = self.size_multiple
        bottom, right = -height % m, -width % m
        pad = ((0, bottom), (0, right))
        lines = np.pad(lines, pad, constant_values=255)
        colors = np.pad(colors, (*pad, (0, 0)), mode="edge")
        weight = next(self.parameters())
        inputs = to_inputs(lines, colors, generator=self.kwargs["generator"])
        inputs = inputs[None].to(weight.device, weight.dtype)
        if start is None:
            picture = self.generator(inputs)
        else:
            padded = nn.functional.pad(start[None], (0, right, 0, bottom), mode="replicate")
            picture = padded.to(inputs)
        for _ in range(refine if self.kwargs["has_refiner"] else 0):
            refined = self.refiner(with_picture(inputs, picture))
            picture = add_detail(picture, refined)
        return image.to_picture(picture[0, :, :height, :width])


def _side(size: tuple[int, int]) -> float:
    """Return the side of the square with as many pixels as ``size``."""
    return (size[0] * size[1]) ** 0.5
