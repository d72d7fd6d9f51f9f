"""Sketch2Img: choose a class, draw it badly, get many pictures of it.

Masked residual units see the sketch at every size (after Chen and Hays: "SketchyGAN: Towards
Diverse and Realistic Sketch to Image Synthesis", CVPR 2018, arXiv 1801.02753); a class and random
numbers z say the rest. What differs from the published report and its code:

* one channel of sketch, thinned to a pixel, so that the pen's thickness tells nothing; what is
  drawn is brought to the size at which the network knows things, and back to its place;
* z has 64 numbers instead of 32,768. They make the map at the bottleneck and, with the class, the
  scale and shift of every norm behind it, so that they can change a picture as a whole;
* group norm in place of batch norm: nothing depends on the other pictures of a batch;
* bilinear upsampling and a convolution in place of transposed ones, which leave grids;
* a small classifier guesses the class from the sketch.

The paper's generators are the presets ``paper``, ``paper_conditional`` and ``paper_sketch``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from s2i import image
from s2i.edges import sketchify, thin_lines
from s2i.errors import S2IError
from s2i.layers import Upsample, make_norm
from s2i.methods.base import LINE_WIDTH, Drawing, Label, Method, Result, Slider, check_values

INK_SHARE = 0.85  # of the square that the network sees, the ink's longer side
RIM_PX = 2  # so many of a painted picture's outermost pixels are off: beyond them nothing is known
PAGE_PX = 512  # larger pages are read at this size

# -- networks --------------------------------------------------------------------------------------


class ConditionalNorm(nn.Module):
    """A norm without parameters; then each channel's scale and shift, as class and z say.

    Class: an embedding, scales drawn from N(1, 0.02), shifts 0. z: a linear layer on top. With
    neither, scale and shift are learned as ever.
    """

    def __init__(self, channels: int, *, kind: str, classes: int = 0, latent: int = 0) -> None:
        """Build for (N, channels, H, W); ``kind`` as in :func:`s2i.layers.make_norm`."""
        super().__init__()
        if classes and kind == "batch":
            self.norm = nn.BatchNorm2d(channels, affine=False)
        elif classes:
            groups = make_norm(kind, channels).num_groups
            self.norm = nn.GroupNorm(groups, channels, affine=False)
        else:
            self.norm = make_norm(kind, channels)
        self.of_class = nn.Embedding(classes, 2 * channels) if classes else None
        if self.of_class is not None:
            nn.init.normal_(self.of_class.weight[:, :channels], 1.0, 0.02)
            nn.init.zeros_(self.of_class.weight[:, channels:])
        self.of_noise = nn.Linear(latent, 2 * channels) if latent else None
        if self.of_noise is not None:
            nn.init.zeros_(self.of_noise.bias)
            nn.init.constant_(self.of_noise.bias[:channels], 0.0 if classes else 1.0)

    def forward(self, x: Tensor, label: Tensor, z: Tensor | None) -> Tensor:
        """(N, C, H, W), labels (N,), z (N, latent) -> (N, C, H, W)."""
        x = self.norm(x)
        if self.of_class is None and self.of_noise is None:
            return x
        both = 0.0 if self.of_class is None else self.of_class(label)
        if self.of_noise is not None:
            both = both + self.of_noise(z)
        scale, shift = both[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype))


class MaskedUnit(nn.Module):
    """Masked residual unit: features x and a picture I to features, by sigmoid gates.

    m = sigmoid(conv(x || I)), n = sigmoid(conv(x || I)), z = act(norm(conv(m x || I))),
    p = norm(conv(x)), and (1 - n) p + n z comes out. Convolutions are 3x3 with bias, weights drawn
    from N(0, 0.02). ``projects`` says that p is activated too, as the report's code does and its
    text does not; ``mask_norm`` puts norms before the sigmoids. From 1 to 64 channels with batch
    norm and a picture of 3: 5,669 parameters; from 1024 to 512: 23,652,864.
    """

    def __init__(
        self,
        before: int,
        after: int,
        *,
        picture: int,
        norm: str = "batch",
        classes: int = 0,
        latent: int = 0,
        slope: float = 0.0,
        projects: bool = False,
        mask_norm: bool = False,
        has_spectral_norm: bool = False,
    ) -> None:
        """Build for (N, before, H, W) and pictures of ``picture`` channels; ``norm`` may be none.

        ``slope`` is that of the leaky ReLU; 0 makes it a ReLU.
        """
        super().__init__()
        self.slope, self.projects = slope, projects

        def conv(channels: int, out: int) -> nn.Module:
            layer = nn.Conv2d(channels, out, 3, padding=1)
            nn.init.normal_(layer.weight, 0.0, 0.02)
            return spectral_norm(layer) if has_spectral_norm else layer

        def make(channels: int, is_used: bool = True) -> ConditionalNorm | None:
            if norm == "none" or not is_used:
                return None
            return ConditionalNorm(channels, kind=norm, classes=classes, latent=latent)

        self.mask, self.gate = conv(before + picture, before), conv(before + picture, after)
        self.update, self.project = conv(before + picture, after), conv(before, after)
        self.norm_update, self.norm_project = make(after), make(after)
        self.norm_mask, self.norm_gate = make(before, mask_norm), make(after, mask_norm)

    def forward(
        self, x: Tensor, picture: Tensor, label: Tensor | None = None, z: Tensor | None = None
    ) -> Tensor:
        """(N, before, H, W), (N, picture, H, W) -> (N, after, H, W)."""

        def normed(norm: ConditionalNorm | None, value: Tensor) -> Tensor:
            return value if norm is None else norm(value, label, z)

        both = torch.cat([x, picture], 1)
        mask = normed(self.norm_mask, self.mask(both)).sigmoid()
        gate = normed(self.norm_gate, self.gate(both)).sigmoid()
        update = self.update(torch.cat([mask * x, picture], 1))
        update = F.leaky_relu(normed(self.norm_update, update), self.slope)
        project = normed(self.norm_project, self.project(x))
        if self.projects:
            project = F.leaky_relu(project, self.slope)
        return torch.lerp(project, update, gate.to(update.dtype))


class PlainUnit(nn.Module):
    """What a masked unit is compared with: two convolutions of x || I, about as many parameters."""

    def __init__(
        self,
        before: int,
        after: int,
        *,
        picture: int,
        norm: str,
        classes: int = 0,
        latent: int = 0,
        slope: float = 0.0,
    ) -> None:
        """Build as :class:`MaskedUnit`."""
        super().__init__()
        self.slope, both = slope, before + picture
        inner = round((both * (before + 2 * after) + before * after) / (both + after))
        options = {"kind": norm, "classes": classes, "latent": latent}
        self.first = nn.Conv2d(both, inner, 3, padding=1)
        self.second = nn.Conv2d(inner, after, 3, padding=1)
        self.norm_first = ConditionalNorm(inner, **options)
        self.norm_second = ConditionalNorm(after, **options)

    def forward(self, x: Tensor, picture: Tensor, label: Tensor, z: Tensor | None = None) -> Tensor:
        """(N, before, H, W), (N, picture, H, W) -> (N, after, H, W)."""
        x = self.norm_first(self.first(torch.cat([x, picture], 1)), label, z)
        x = self.second(F.leaky_relu(x, self.slope))
        return F.leaky_relu(self.norm_second(x, label, z), self.slope)


def shrink(picture: Tensor, levels: int = 4) -> list[Tensor]:
    """Return (N, C, H, W) at full, half, ... size, each averaged over 2 x 2 of the one before."""
    pyramid = [picture]
    for _ in range(levels - 1):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    return pyramid


class Generator(nn.Module):
    """Sketch, class and z to a photo, by masked units down to an eighth of the size and up again.

    x begins as a plane that the class decides (``begin="label"``) or as 8 channels convolved from
    the sketch. Four units with convolutions of stride 2 between them; noise joins at the
    bottleneck; four units with doublings between them, each joined with the unit's map of its size.

    As in the paper (``is_paper``, width 64, three channels of sketch, batch norm, transposed
    convolutions, noise as large as the bottleneck's map) and with ten classes: 38,014,376
    parameters, 38,083,496 when norms are conditional, 38,055,619 when x begins with the sketch,
    25,398,723 when, besides, the noise has 64 channels. What ships: 4,357,302 with 23 classes.
    """

    def __init__(
        self,
        *,
        classes: int,
        width: int = 24,
        size_px: int = 64,
        latent: int = 64,
        begin: str = "label",
        conditional: bool = True,
        masked: bool = True,
        is_paper: bool = False,
    ) -> None:
        """Build for sketches of ``size_px``, a multiple of 8."""
        super().__init__()
        self.is_paper, self.ink = is_paper, 3 if is_paper else 1
        self.size_px, self.side, w = size_px, size_px // 8, width
        self.label = nn.Embedding(classes, size_px**2) if begin == "label" else None
        self.begin = None if self.label else nn.Conv2d(self.ink, 8, 3, padding=1)
        options: dict[str, Any] = {
            "picture": self.ink,
            "norm": "batch" if is_paper else "group",
            "classes": classes if conditional else 0,
            "slope": 0.0 if is_paper else 0.1,
        }
        unit = MaskedUnit if masked else PlainUnit
        widths = (w, 2 * w, 4 * w, 8 * w)
        plan = pairwise((1 if self.label else 8, *widths))
        self.encoder = nn.ModuleList(unit(before, after, **options) for before, after in plan)
        self.downs = nn.ModuleList(nn.Conv2d(each, each, 2, stride=2) for each in widths[:-1])
        noise = latent // self.side**2 if is_paper else 2 * w
        self.noise = None if is_paper else nn.Linear(latent, noise * self.side**2)
        options["latent"] = 0 if is_paper else latent
        plan = ((8 * w + noise, 8 * w), (8 * w, 4 * w), (4 * w, 2 * w), (2 * w, w))
        self.decoder = nn.ModuleList(unit(before, after, **options) for before, after in plan)
        enlarge = self._transpose if is_paper else self._enlarge
        self.ups = nn.ModuleList(enlarge(*each) for each in pairwise(reversed(widths)))
        self.out = nn.Conv2d(w, 3, 3, padding=1)

    @staticmethod
    def _transpose(before: int, after: int) -> nn.Module:
        return nn.ConvTranspose2d(before, after, 2, stride=2)

    @staticmethod
    def _enlarge(before: int, after: int) -> nn.Module:
        return nn.Sequential(Upsample(), nn.Conv2d(before, after, 3, padding=1))

    def forward(self, ink: Tensor, label: Tensor, z: Tensor) -> Tensor:
        """Paint normalised photos in [-1, 1]: (M, 3, S, S).

        Args:
            ink: (N, 1, S, S), ink 1.
            label: numbers of the classes, (N,).
            z: (M, latent), M a multiple of N: the first M / N rows belong to the first sketch.
        """
        count = len(z) // len(ink)
        pyramid = shrink(ink.expand(-1, self.ink, -1, -1))
        x = self.begin(pyramid[0]) if self.label is None else self._plane(label)
        skips = []
        for level, unit in enumerate(self.encoder):
            x = unit(x, pyramid[level], label)
            if level < len(self.downs):
                skips.append(x)
                x = self.downs[level](x)
        if count > 1:
            x, label, *rest = (
                each.repeat_interleave(count, dim=0) for each in (x, label, *skips, *pyramid)
            )
            skips, pyramid = rest[: len(skips)], rest[len(skips) :]
        noise = z if self.noise is None else self.noise(z)
        x = torch.cat([x, noise.unflatten(1, (-1, self.side, self.side))], 1)
        for level, unit in enumerate(self.decoder):
            x = unit(x, pyramid[3 - level], label, z)
            if level < len(self.ups):
                x = torch.cat([skips[2 - level], self.ups[level](x)], 1)
        return self.out(x).tanh()

    def _plane(self, label: Tensor) -> Tensor:
        return self.label(label).unflatten(1, (1, self.size_px, self.size_px))


class Guesser(nn.Module):
    """Sketch to classes: four halvings, averaged to 2 x 2; 288,791 parameters for 23 classes."""

    def __init__(self, *, classes: int, width: int = 24) -> None:
        """Build for sketches of at least 32 px."""
        super().__init__()
        stages: list[nn.Module] = []
        for before, after in pairwise((1, width, 2 * width, 4 * width, 5 * width)):
            stages.append(nn.Conv2d(before, after, 4, stride=2, padding=1))
            stages += [make_norm("group", after), nn.LeakyReLU(0.1, inplace=True)]
        self.stages = nn.Sequential(*stages, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.last = nn.Sequential(nn.Dropout(0.3), nn.Linear(20 * width, classes))

    def forward(self, ink: Tensor) -> Tensor:
        """(N, 1, S, S), ink 1 -> logits (N, classes)."""
        return self.last(self.stages(ink))


# -- the page --------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """A square of a page, which may reach beyond it; in pixels of the page."""

    top: float
    left: float
    side: float


def find_frame(lines: np.ndarray) -> Frame:
    """Return the square around the ink of lines (H, W) whose longer side fills 85 % of it.

    Where that is nearly the page, the page's own square; on a blank page as well.

    >>> page = np.full((100, 100), 255, np.uint8); page[40:57, 20:30] = 0
    >>> find_frame(page)
    Frame(top=38.5, left=15.0, side=20.0)
    """
    height, width = lines.shape
    whole = Frame((height - max(height, width)) / 2, (width - max(height, width)) / 2, 0)
    whole = whole._replace(side=float(max(height, width)))
    ink = (lines < 186).astype(np.uint8)
    if not ink.any():
        return whole
    x, y, across, down = cv2.boundingRect(ink)
    longer = max(across, down)
    side = max(longer / INK_SHARE, 4.0)
    frame = Frame(y + down / 2 - side / 2, x + across / 2 - side / 2, side)
    seen = [
        max(0.0, min(start + side, length) - max(start, 0.0)) / length
        for start, length in ((frame.top, height), (frame.left, width))
    ]
    is_whole = seen[0] * seen[1] > 0.9 and longer < 0.95 * whole.side
    return whole if is_whole else frame


def read_sketch(lines: np.ndarray, size_px: int) -> tuple[np.ndarray, Frame]:
    """Return what the network sees of lines (H, W), and which part of the page that is.

    (size_px, size_px), ink 0, paper 255, every line one pixel wide however thick it was drawn.
    """
    height, width = lines.shape
    size = image.fit_side((height, width), PAGE_PX) if max(lines.shape) > PAGE_PX else lines.shape
    thin = thin_lines(lines, size)
    frame = find_frame(thin)
    side = math.ceil(frame.side)
    top, left = round(frame.top), round(frame.left)
    part = np.full((side, side), 255, np.uint8)
    rows, columns = (
        slice(max(0, start), max(0, min(start + side, length)))
        for start, length in ((top, size[0]), (left, size[1]))
    )
    part[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = thin[
        rows, columns
    ]
    scale = max(height, width) / max(size)
    place = Frame(scale * top, scale * left, scale * side)
    return thin_lines(part, (size_px, size_px)), place


def renew_rim(picture: np.ndarray, *, width_px: int = RIM_PX) -> np.ndarray:
    """Give the outermost pixels of a picture (S, S, 3) the colors of those within.

    >>> renew_rim(np.arange(5 * 5 * 3).reshape(5, 5, 3).astype(np.uint8), width_px=2)[..., 0].max()
    np.uint8(36)
    """
    inside = picture[width_px:-width_px, width_px:-width_px]
    return cv2.copyMakeBorder(inside, *[width_px] * 4, cv2.BORDER_REPLICATE)


def place(picture: np.ndarray, frame: Frame, size: tuple[int, int]) -> np.ndarray:
    """Put a picture (S, S, 3) at ``frame`` of a page of ``size``; its rim fills the rest.

    Bicubic; see :func:`continue_rim`.
    """
    side = min(picture.shape[0], max(1, round(frame.side)))
    scale = side / frame.side
    small = image.resize(picture, (side, side))
    height, width = size
    margins = [
        max(0, math.ceil(scale * length) + 1)
        for length in (
            frame.top,
            height - frame.top - frame.side,
            frame.left,
            width - frame.left - frame.side,
        )
    ]
    wide = continue_rim(small, margins) if any(m > 1 for m in margins) else small
    if wide is small:
        margins = [0] * 4
    # page pixel centers to those of the wide picture
    matrix = np.float64(
        [
            [scale, 0, margins[2] + scale * (0.5 - frame.left) - 0.5],
            [0, scale, margins[0] + scale * (0.5 - frame.top) - 0.5],
        ]
    )
    return cv2.warpAffine(
        wide,
        matrix,
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def continue_rim(picture: np.ndarray, margins: Sequence[int]) -> np.ndarray:
    """Return a picture (S, S, 3) with margins (top, bottom, left, right) that its rim fills.

    Beside the picture its rim goes on, and soon becomes the rim's median color.
    """
    side = picture.shape[0]
    rim = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    median = np.median(rim, axis=0).astype(np.float32)
    soft, sigma_px = picture.copy(), max(0.5, side / 10)
    for row in (0, -1):
        soft[row] = cv2.GaussianBlur(picture[row][None], (0, 0), sigma_px)[0]
    for column in (0, -1):
        soft[:, column] = cv2.GaussianBlur(soft[:, column][None], (0, 0), sigma_px)[0]
    near, far = (
        cv2.copyMakeBorder(layer, *margins, cv2.BORDER_REPLICATE).astype(np.float32)
        for layer in (picture, soft)
    )
    of_near, of_far = _fade(side, tuple(margins))
    far = (far - median) * of_far + median
    return np.rint((near - far) * of_near + far).astype(np.uint8)


@functools.lru_cache(maxsize=32)
def _fade(side: int, margins: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return how much of a rim and of its blur is left beside a picture, 1 on it: (H, W, 1)."""
    rows, columns = (
        np.maximum(0, np.maximum(before - at, at - before - side + 1))
        for before, at in (
            (margins[0], np.arange(side + margins[0] + margins[1])),
            (margins[2], np.arange(side + margins[2] + margins[3])),
        )
    )
    distance = np.hypot(rows[:, None], columns)[..., None].astype(np.float32) / side
    return np.exp(-distance / 0.04), np.exp(-distance / 0.2)


# -- the method ------------------------------------------------------------------------------------


PAPER = {"generator": "paper", "width": 64, "size_px": 64, "latent": 512 * 64}


class Sketch2Img(Method):
    """Lines and a class to as many different pictures as are asked for."""

    name = "sketch2img"
    title = "Sketch2Img"
    reads = ("lines",)
    returns = "gallery"
    live = True
    controls = (
        Label(
            name="label",
            default="guess",
            label="Class",
            help="What it is to become; a guess looks at the drawing.",
            flags=("--class",),
        ),
        Slider(
            name="count",
            default=9,
            low=1,
            high=16,
            label="Pictures",
            help="How many different ones.",
            flags=("-n",),
        ),
        Slider(
            name="truncation",
            default=1.0,
            low=0,
            high=1.5,
            step=0.05,
            label="Variety",
            help="How far pictures are from the most usual one; 0 makes all alike.",
        ),
        Slider(
            name="seed",
            default=0,
            low=0,
            high=9999,
            label="Seed",
            help="Of the first picture; the others follow. The same seed gives the same picture.",
        ),
        Slider(
            name="locked",
            default=-1,
            low=-1,
            high=9999 + 16,
            label="Vary around",
            help="The seed of a picture that all others shall be like; -1: none.",
            advanced=True,
        ),
        Slider(
            name="spread",
            default=0.4,
            low=0.05,
            high=1,
            step=0.05,
            label="How far",
            help="How different they are from that picture.",
            advanced=True,
        ),
    )
    start_controls = (LINE_WIDTH,)
    preview: ClassVar[Mapping[str, Any]] = {"count": 1}
    single: ClassVar[Mapping[str, Any]] = preview
    presets: ClassVar[Mapping[str, dict[str, Any]]] = {
        "small": {"generator": "small", "width": 24, "size_px": 64, "latent": 64},
        "paper": PAPER | {"conditional": False},
        "paper_conditional": PAPER,
        "paper_sketch": PAPER | {"begin": "sketch"},
        "paper_sketch_small_noise": PAPER | {"begin": "sketch", "latent": 64 * 64},
    }

    def __init__(
        self,
        *,
        classes: Sequence[str],
        generator: str = "small",
        width: int = 24,
        size_px: int = 64,
        latent: int = 64,
        begin: str = "label",
        conditional: bool = True,
        masked: bool = True,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        scale: float = 0.5,
    ) -> None:
        """Build the generator of photos and the guesser of classes.

        Args:
            classes: their names, in the order of the network's numbers.
            generator: ``small`` or ``paper``.
            width: channels of the first stage of each network; 64 in the paper.
            size_px: side of the pictures, a multiple of 8.
            latent: how many numbers z has; in the paper 64 for each channel of noise.
            begin: what the first features are made from, ``label`` or ``sketch``.
            conditional: whether norms know the class.
            masked: whether there are masked units; else plain ones.
            mean: of the photos trained on, RGB in [0, 1].
            scale: the largest distance from that mean; the network paints (photo - mean) / scale.
        """
        if begin not in ("label", "sketch") or generator not in ("small", "paper"):
            raise ValueError(f"unexpected generator {generator!r} or begin {begin!r}")
        super().__init__(
            classes=list(classes),
            generator=generator,
            width=width,
            size_px=size_px,
            latent=latent,
            begin=begin,
            conditional=conditional,
            masked=masked,
            mean=list(mean),
            scale=scale,
        )
        self.classes, self.size_px, self.latent = tuple(classes), size_px, latent
        self.mean, self.scale = tuple(mean), scale
        self.generator = Generator(
            classes=len(self.classes),
            width=width,
            size_px=size_px,
            latent=latent,
            begin=begin,
            conditional=conditional,
            masked=masked,
            is_paper=generator == "paper",
        )
        self.guesser = Guesser(classes=len(self.classes), width=width)

    @classmethod
    def start_from(cls, photo: np.ndarray, **values: Any) -> Drawing:
        """Take the lines of a photo (H, W, 3) by XDoG, of its size; line art stays as it is.

        Raises:
            S2IError: a value out of the bounds of ``start_controls``.
        """
        return Drawing(lines=sketchify(photo, **check_values(cls.start_controls, values)))

    def normalize(self, photo: Tensor) -> Tensor:
        """Return photos (N, 3, H, W) in [-1, 1] as the generator paints them."""
        mean = photo.new_tensor(self.mean)[:, None, None]
        return ((photo + 1) / 2 - mean) / self.scale

    def denormalize(self, painted: Tensor, *, is_clipped: bool = True) -> Tensor:
        """Undo :meth:`normalize`; what lies outside of [-1, 1] is clipped."""
        mean = painted.new_tensor(self.mean)[:, None, None]
        photo = 2 * (painted * self.scale + mean) - 1
        return photo.clamp(-1, 1) if is_clipped else photo

    def predict(
        self,
        drawing: Drawing,
        *,
        label: str = "guess",
        count: int = 9,
        truncation: float = 1.0,
        seed: int = 0,
        locked: int = -1,
        spread: float = 0.4,
    ) -> Result:
        """Return ``count`` pictures of a class that follow the drawing, seed by seed.

        Picture i is painted from the numbers of ``seed + i`` alone. With a locked seed that one's
        picture comes first, and the others' numbers are near to its own.

        Raises:
            S2IError: the weights know no such class.
        """
        chosen = None if label == "guess" else self._find(label)
        sketch, frame = read_sketch(drawing.lines, self.size_px)
        ink = image.to_tensor(sketch)[None].to(next(self.parameters()).device)
        facts, guesses = "", ()
        if chosen is None:
            ranked = self._rank(ink)
            chosen = self.classes.index(ranked[0][0])
            words = ", ".join(
                f"{name} {share:.0%}".replace("%", " %") for name, share in ranked[:3]
            )
            facts = f"guessed {words}" if ink.any() else f"nothing is drawn: {ranked[0][0]}"
            guesses = tuple(ranked[:3]) if ink.any() else ()
        seeds, z = self._draw(count, seed=seed, locked=locked, spread=spread)
        number = torch.tensor([chosen], device=ink.device)
        with torch.no_grad():  # one by one: sums in another order would round differently
            painted = [
                self.generator(ink, number, each) for each in (truncation * z).to(ink).split(1)
            ]
            photos = self.denormalize(torch.cat(painted).float())
        pictures = (renew_rim(image.to_picture(photo)) for photo in photos)
        return Result(
            pictures=tuple(place(picture, frame, drawing.size) for picture in pictures),
            captions=tuple(f"seed {each}" for each in seeds),
            facts=facts or self.classes[chosen],
            seeds=seeds,
            guesses=guesses,
        )

    def guess(self, lines: np.ndarray) -> list[tuple[str, float]]:
        """Return every class and how likely lines (H, W) show it, the likeliest first."""
        ink = image.to_tensor(read_sketch(lines, self.size_px)[0])[None]
        return self._rank(ink.to(next(self.parameters()).device))

    @torch.no_grad()
    def _rank(self, ink: Tensor) -> list[tuple[str, float]]:
        shares = self.guesser(ink)[0].float().softmax(0).tolist()
        return sorted(zip(self.classes, shares, strict=True), key=lambda pair: -pair[1])

    def _find(self, label: str) -> int:
        names = [name.casefold() for name in self.classes]
        if label.casefold() not in names:
            raise S2IError(
                f"there is no class '{label}' here; the classes are: {', '.join(self.classes)}."
            )
        return names.index(label.casefold())

    def _draw(
        self, count: int, *, seed: int, locked: int, spread: float
    ) -> tuple[tuple[int, ...], Tensor]:
        """Return the seeds and numbers, (count, latent), of ``count`` pictures."""

        def numbers(own: int) -> Tensor:
            return torch.randn(self.latent, generator=torch.Generator().manual_seed(own))

        if locked < 0:
            seeds = tuple(range(seed, seed + count))
            return seeds, torch.stack([numbers(own) for own in seeds])
        others = [own for own in range(seed, seed + count) if own != locked][: count - 1]
        center = numbers(locked)
        near = [math.sqrt(1 - spread**2) * center + spread * numbers(own) for own in others]
        return (locked, *others), torch.stack([center, *near])
