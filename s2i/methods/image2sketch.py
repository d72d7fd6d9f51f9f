"""Image to sketch: a photo's object is cut out, drawn in lines, and traced into strokes.

The pipeline of an original in circulation: MaskNet finds the object in a photo of 224 px, the rest
becomes white, SketchNet (a narrowed Simo-Serra et al., "Learning to Simplify", SIGGRAPH 2016) draws
it at the size that was asked for, and the sketch is traced. What differs in what ships:

* MaskNet has the features of MobileNetV2 (Sandler et al., CVPR 2018) for a trunk, joined from
  coarse to fine (a feature pyramid; Lin et al., CVPR 2017), and can be corrected by painting;
* SketchNet is a U-Net whose full-size stages are folded into half size: it keeps thin lines at a
  fortieth of the work. Its norms have fixed statistics, so a part of a picture is drawn as the
  whole is: large pictures go in tiles, and a video does not flicker;
* the mask's edge is laid on the photo's (a guided filter), where it was the network's coarse one;
* the photo is resized once, from the original, and padded, where it was squeezed to a square; soft
  masks go from 0 to 1 without a halo; hard ones don't wrap where they overlap;
* the original's gamma of 3, which makes a sketch's grey black, comes before it is traced;
* strokes come from :mod:`s2i.vectorize`: the same on every run, and they match the sketch.

The original networks are the presets ``paper``, ``shallow`` and ``seed`` (the norm's epsilon of
0.8 that stands in the original's code), and MaskNet's ``backbone="paper"``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar

import cv2
import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2i import image, vectorize
from s2i.edges import clean_lines
from s2i.errors import S2IError
from s2i.layers import FoldedUNet, make_norm
from s2i.methods.base import Choice, Drawing, Method, Result, Slider, Toggle
from s2i.vectorize import Stroke, Strokes

# -- networks that draw ----------------------------------------------------------------------------

# kernel, channels, stride; a negative stride enlarges
_BEGIN = ((5, 48, 2), (3, 128, 1), (3, 128, 1), (3, 128, 1))
_MIDDLE = (
    *((3, 256, 2), (3, 256, 1), (3, 256, 1)),
    *((3, 256, 2), (3, 256, 1), (3, 512, 1), (3, 512, 1), (3, 256, 1)),
    *((4, 256, -2), (3, 256, 1), (3, 128, 1)),
    *((4, 128, -2), (3, 128, 1), (3, 48, 1)),
)
_END = ((4, 48, -2), (3, 24, 1), (3, 1, 1))


class SketchNet(nn.Module):
    """The original: halvings, doublings and nothing that joins them; 10,184,301 parameters.

    464,221 where ``is_shallow``, both at width 48. A halving sees 109 px around a pixel, so a
    larger picture gets thinner lines and more detail.
    """

    def __init__(self, *, width: int = 48, eps: float = 1e-5, is_shallow: bool = False) -> None:
        """Build for pictures whose sides are multiples of 8; ``eps`` is the norms' epsilon."""
        super().__init__()
        stages: list[nn.Module] = []
        before = 3
        for kernel, channels, stride in (*_BEGIN, *(() if is_shallow else _MIDDLE), *_END):
            after = max(1, channels * width // 48)
            kind = nn.Conv2d if stride > 0 else nn.ConvTranspose2d
            conv = kind(before, after, kernel, stride=abs(stride), padding=(kernel - 1) // 2)
            stages += [conv, nn.BatchNorm2d(after, eps=eps), nn.ReLU(inplace=True)]
            before = after
        self.stages = nn.Sequential(*stages, nn.Conv2d(1, 1, 3, padding=1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> ink (N, 1, H, W) in [0, 1]."""
        return self.stages((x + 1) / 2)


class FoldedSketchNet(FoldedUNet):
    """The network that ships: 1,146,737 parameters at width 24."""

    def __init__(self, *, width: int = 24) -> None:
        """Build for pictures whose sides are multiples of 32."""
        super().__init__(channels=3, width=width, outputs=1, norm="batch")

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> ink (N, 1, H, W) in [0, 1], the sigmoid of twice a logit."""
        return (super().forward(x) + 1) / 2


GENERATORS: Mapping[str, Callable[..., nn.Module]] = {
    "folded": FoldedSketchNet,
    "paper": SketchNet,
    "shallow": lambda **options: SketchNet(is_shallow=True, **options),
}
MULTIPLES: Mapping[str, int] = {"folded": 32, "paper": 8, "shallow": 8}


# -- networks that find the object -----------------------------------------------------------------

MASK_PX = 224  # what MaskNet reads
LOGIT_LIMIT = 8.0  # surer than that is not told from less sure when a mask is enlarged
MASK_SIDES: Mapping[int, int] = {1: 28, 2: 56}  # what it answers, by version


def _conv(
    before: int, after: int, kernel: int, *, stride: int = 1, padding: int | None = None
) -> nn.Sequential:
    """Return convolution, batch norm and ReLU."""
    padding = (kernel - 1) // 2 if padding is None else padding
    conv = nn.Conv2d(before, after, kernel, stride=stride, padding=padding)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU())


class _Bottleneck(nn.Module):
    """ResNet's, as the original has it: ReLU before the sum and none after it."""

    def __init__(self, before: int, middle: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            _conv(before, middle, 1, stride=stride),
            _conv(middle, middle, 3),
            _conv(middle, 4 * middle, 1),
        )
        is_same = before == 4 * middle and stride == 1
        self.shortcut = (
            nn.Identity() if is_same else _conv(before, 4 * middle, 1, stride=stride)[:2]
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.branch(x)


class PaperMaskNet(nn.Module):
    """The original: ResNet-50 without its last stage, learned from nothing, and a head.

    15,312,385 parameters for version 1; 15,182,337 for version 2, which joins the trunk's three
    maps before the head.
    """

    def __init__(self, *, version: int = 2) -> None:
        """Build version 1 (28 px) or 2 (56 px)."""
        super().__init__()
        self.version = version
        self.stem = _conv(3, 64, 7, stride=2)
        self.groups = nn.ModuleList()
        before = 64
        for middle, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2)):
            group = nn.Sequential()
            for number in range(count):
                group.append(_Bottleneck(before, middle, stride if number == 0 else 1))
                before = 4 * middle
            self.groups.append(group)
        if version == 2:
            self.laterals = nn.ModuleList(nn.Conv2d(c, 256, 1) for c in (256, 512, 1024))
            self.smooth = nn.Conv2d(256, 256, 3, padding=1)
        self.head = nn.Sequential(
            *(_conv(a, b, 3) for a, b in pairwise((1024 if version == 1 else 768, 512, 256, 256))),
            nn.ConvTranspose2d(256, 256, 2, stride=2),
            nn.ReLU(),
            nn.Conv2d(256, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 224, 224) in [-1, 1] -> logits (N, 1, 28, 28) or (N, 1, 56, 56)."""
        hidden = self.stem((x + 1) / 2)
        hidden = F.max_pool2d(F.pad(hidden, (0, 1, 0, 1)), 3, stride=2)
        maps = []
        for group in self.groups:
            hidden = group(hidden)
            maps.append(hidden)
        if self.version == 2:
            joined = _join_pyramid(maps, self.laterals, mode="nearest")
            joined = [self.smooth(each) for each in joined]
            side = joined[1].shape[-2:]
            hidden = torch.cat([F.interpolate(each, side) for each in reversed(joined)], 1)
        return self.head(hidden)


class MobileMaskNet(nn.Module):
    """The network that ships: MobileNetV2's features, joined from coarse to fine.

    1,990,465 parameters for version 2; version 1 needs no map of 7 or of 56 px, so its trunk ends
    earlier: 625,025. The trunk's norms stay in evaluation mode while it is trained, as features
    that were learned elsewhere want; its names are torchvision's ``mobilenet_v2().features``.
    """

    TAPS: ClassVar[Mapping[int, tuple[int, ...]]] = {1: (6, 13), 2: (3, 6, 13, 17)}
    CHANNELS: ClassVar[Mapping[int, int]] = {3: 24, 6: 32, 13: 96, 17: 320}

    def __init__(self, *, version: int = 2, width: int = 64) -> None:
        """Build version 1 (28 px) or 2 (56 px) with ``width`` channels in the pyramid."""
        from torchvision.models import mobilenet_v2

        super().__init__()
        self.taps = self.TAPS[version]
        self.trunk = mobilenet_v2().features[: self.taps[-1] + 1]
        self.laterals = nn.ModuleList(nn.Conv2d(self.CHANNELS[tap], width, 1) for tap in self.taps)
        self.smooths = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1), make_norm("group", width), nn.ReLU()
            )
            for _ in self.taps
        )
        self.out = nn.Conv2d(width, 1, 1)
        for name, values in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)
        self.train()

    def train(self, mode: bool = True) -> MobileMaskNet:
        """Set the mode of all but the trunk's norms."""
        super().train(mode)
        self.trunk.eval()
        return self

    def init_backbone(self, path: str | os.PathLike) -> None:
        """Take the trunk's numbers from a safetensors file named as torchvision's features are.

        Deeper layers in the file are left out.

        Raises:
            S2IError: not such a file, or a layer of the trunk is missing.
        """
        try:
            found = safetensors.torch.load_file(path)
            wanted = self.trunk.state_dict()
            self.trunk.load_state_dict({name: found[name].to(wanted[name]) for name in wanted})
        except (OSError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise S2IError(f"'{path}' does not hold MobileNetV2's features ({reason}).") from None

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 224, 224) in [-1, 1] -> logits (N, 1, 28, 28) or (N, 1, 56, 56)."""
        hidden = ((x + 1) / 2 - self.mean) / self.std
        maps = []
        for index, layer in enumerate(self.trunk):
            hidden = layer(hidden)
            if index in self.taps:
                maps.append(hidden)
        return self.out(_join_pyramid(maps, self.laterals, self.smooths)[0])


def _join_pyramid(
    maps: list[Tensor],
    laterals: nn.ModuleList,
    smooths: nn.ModuleList | None = None,
    *,
    mode: str = "bilinear",
) -> list[Tensor]:
    """Add to every map, finest first, the enlarged next coarser one, all in one width."""
    joined: list[Tensor] = []
    above = None
    for number in reversed(range(len(maps))):
        own = laterals[number](maps[number])
        if above is not None:
            own = own + F.interpolate(above, own.shape[-2:], mode=mode)
        above = smooths[number](own) if smooths is not None else own
        joined.insert(0, above)
    return joined


BACKBONES: Mapping[str, Callable[..., nn.Module]] = {
    "mobilenet": MobileMaskNet,
    "paper": PaperMaskNet,
}


# -- methods ---------------------------------------------------------------------------------------


class MaskNet(Method):
    """A photo to what its object covers; it serves :class:`Image2Sketch`."""

    name = "masknet"
    title = "MaskNet"
    reads = ("photo",)
    presets: ClassVar[Mapping[str, dict[str, Any]]] = {
        "v1": {"version": 1, "backbone": "mobilenet"},
        "v2": {"version": 2, "backbone": "mobilenet"},
        "paper_v1": {"version": 1, "backbone": "paper"},
        "paper_v2": {"version": 2, "backbone": "paper"},
    }

    def __init__(self, *, version: int = 2, backbone: str = "mobilenet") -> None:
        """Build the network.

        Args:
            version: 1 answers 28 x 28 px, 2 answers 56 x 56.
            backbone: ``mobilenet`` or ``paper``.
        """
        super().__init__(version=version, backbone=backbone)
        self.network = BACKBONES[backbone](version=version)

    def predict(self, drawing: Drawing) -> Result:
        """Return the mask of ``drawing.photo`` in greys, object white."""
        mask = np.rint(255 * self.find_mask(drawing.photo)).astype(np.uint8)
        return Result(pictures=(np.dstack([mask] * 3),))

    @torch.inference_mode()
    def find_mask(self, photo: np.ndarray) -> np.ndarray:
        """Return how sure the network is of the object: (H, W, 3) uint8 -> (H, W) in [0, 1]."""
        small = image.resize(photo, (MASK_PX, MASK_PX))
        weight = next(self.parameters())
        inputs = image.to_tensor(small)[None].to(weight.device, weight.dtype)
        logits = self.network(inputs).float().clamp(-LOGIT_LIMIT, LOGIT_LIMIT)[0, 0].cpu()
        size = MASK_PX, MASK_PX
        logits = cv2.resize(logits.numpy(), size, interpolation=cv2.INTER_CUBIC)
        return follow_edges(1 / (1 + np.exp(-logits)), small, photo)


class Image2Sketch(Method):
    """A photo to a sketch, by one network, with the object cut out by another."""

    name = "image2sketch"
    title = "Image to sketch"
    reads = ("photo", "marks")
    suffixes = (".png", ".svg", ".npz", ".gif")
    controls = (
        Choice(
            name="mask",
            default="v2",
            options=("off", "v1", "v2"),
            label="Cut out",
            help="The network that finds the object, finer in v2; off: what you mark, or all.",
        ),
        Choice(
            name="resolution",
            default=848,
            options=(304, 424, 600, 848, 1272, 1696),
            label="Resolution",
            help="Pixels of the longer side when it draws: more give thinner lines, more detail.",
        ),
        Slider(
            name="softctr",
            default=0.5,
            low=0.05,
            high=0.95,
            step=0.05,
            label="Threshold",
            help="How sure the mask must be of the object; smaller makes the object bigger.",
        ),
        Toggle(
            name="merge",
            default=False,
            label="Negative too",
            help="Draw the photo with its lights inverted as well, and lay both over each other.",
        ),
        Choice(
            name="maskmode",
            default="soft",
            options=("soft", "hard"),
            label="Mask's edge",
            help="Fade into the paper, or cut.",
            advanced=True,
        ),
        Toggle(
            name="gamma",
            default=True,
            label="Gamma",
            help="Darken what is drawn from, white stays white: more lines in bright photos.",
            advanced=True,
        ),
        Choice(
            name="clean",
            default="specks",
            options=("off", "specks", "redraw"),
            label="Clean lines",
            help="Leave the sketch as it is, take specks off, or draw it anew in one width.",
            advanced=True,
        ),
        Toggle(
            name="vec_switch",
            default=True,
            label="Strokes",
            help="Trace the sketch into strokes, for SVG, NPZ and the film of its drawing.",
            advanced=True,
        ),
        Slider(
            name="tolerance",
            default=1.0,
            low=0.25,
            high=8,
            step=0.25,
            label="Tolerance",
            help="Pixels that a stroke may be off its line: more give fewer, smoother curves.",
            advanced=True,
        ),
    )
    film = MappingProxyType({"vec_switch": False})
    presets: ClassVar[Mapping[str, dict[str, Any]]] = {
        "paper": {"generator": "paper", "width": 48},
        "seed": {"generator": "paper", "width": 48, "eps": 0.8},
        "shallow": {"generator": "shallow", "width": 48},
        "small": {"generator": "folded", "width": 24},
    }

    def __init__(
        self,
        *,
        generator: str = "folded",
        width: int = 24,
        style: str = "pencil",
        eps: float = 1e-5,
    ) -> None:
        """Build the network that draws.

        Args:
            generator: ``folded``, ``paper`` or ``shallow``.
            width: channels of the first stage; 48 in the original.
            style: what it was taught to draw like, ``pencil`` or ``ink``.
            eps: epsilon of the norms of ``paper`` and ``shallow``.
        """
        super().__init__(generator=generator, width=width, style=style, eps=eps)
        self.size_multiple = MULTIPLES[generator]
        options = {} if generator == "folded" else {"eps": eps}
        self.generator = GENERATORS[generator](width=width, **options)

    def predict(
        self,
        drawing: Drawing,
        *,
        mask: str = "v2",
        resolution: int = 848,
        softctr: float = 0.5,
        merge: bool = False,
        maskmode: str = "soft",
        gamma: bool = True,
        clean: str = "specks",
        vec_switch: bool = True,
        tolerance: float = 1.0,
    ) -> Result:
        """Return sketch, cut-out and mask of ``drawing.photo``, and the sketch as strokes.

        Raises:
            S2IError: no photo, or the mask's weight can't be loaded.
        """
        if drawing.photo is None:
            raise S2IError("there is no photo to draw from: open one first.")
        photo, marks = drawing.photo, drawing.marks
        if marks is not None and not ((marks == 255) | (marks == 0)).any():
            marks = None
        found = self._find_mask(photo, marks, name=mask)
        alpha = settle_mask(found, threshold=softctr, is_hard=maskmode == "hard")
        size = image.fit_side(drawing.size, resolution)

        cut_out = image.on_paper(np.dstack([photo, alpha]))
        lines = self.draw(image.resize(cut_out, size), is_dark=gamma)
        if merge:
            inverted = image.on_paper(np.dstack([invert_value(photo), alpha]))
            lines = np.minimum(lines, self.draw(image.resize(inverted, size), is_dark=gamma))
        if clean != "off":
            lines = clean_lines(lines, width_px=LINE_PX if clean == "redraw" else None)
        sketch = image.resize_ink(lines, drawing.size)
        facts = [f"drawn at {size[1]} x {size[0]} px", f"object {alpha.mean() / 255:.0%}"]
        strokes = None
        if vec_switch:
            strokes = _scale_strokes(
                vectorize.trace(lines, tolerance_px=tolerance), size=drawing.size
            )
            facts.append(f"{len(strokes.strokes)} strokes")
        return Result(
            pictures=(np.dstack([sketch] * 3), cut_out, np.dstack([alpha] * 3)),
            captions=("sketch", "cut-out", "mask"),
            strokes=strokes,
            facts=" · ".join(facts),
        )

    def files(
        self, drawing: Drawing, result: Result, name: str, *, suffix: str = ""
    ) -> dict[str, bytes]:
        """Return the original's folders, or the sketch alone in the form that ``suffix`` says."""
        sketch, cut_out, _ = result.pictures
        strokes = result.strokes
        if suffix not in ("", ".png") and strokes is None:
            raise S2IError(f"without strokes there is no {suffix} file: set vec_switch on.")
        if suffix:
            make = {
                ".png": lambda: image.encode_png(sketch[..., 0]),
                ".svg": lambda: vectorize.to_svg(strokes),
                ".npz": lambda: vectorize.to_npz(strokes),
                ".gif": lambda: _encode_film(strokes),
            }[suffix]
            return {f"{name}{suffix}": make()}
        files = {
            f"gallery/{name}.png": image.encode_png(np.hstack([drawing.photo, cut_out, sketch])),
            f"sketch/{name}.png": image.encode_png(sketch[..., 0]),
        }
        if strokes is not None:
            files |= {
                f"seq_data/{name}.npz": vectorize.to_npz(strokes),
                f"gif/{name}.gif": _encode_film(strokes),
                f"vector/{name}.svg": vectorize.to_svg(strokes),
            }
        return files

    def _find_mask(self, photo: np.ndarray, marks: np.ndarray | None, *, name: str) -> np.ndarray:
        """Return how much of the object each pixel is: (H, W) float32 in [0, 1]."""
        if name == "off":
            if marks is None:
                return np.ones(photo.shape[:2], np.float32)
            return cut_by_marks(photo, marks)
        try:
            part = self.load_part(f"masknet.{name}")
        except S2IError as error:
            reason = str(error).rstrip(".")
            raise S2IError(f"the mask {name} can't be had ({reason}): set mask to off.") from None
        found = part.find_mask(photo)
        return found if marks is None else correct_mask(found, photo, marks)

    def draw(self, picture: np.ndarray, *, is_dark: bool) -> np.ndarray:
        """Draw all of a picture (H, W, 3) at its size: lines (H, W) uint8; darkened if wanted."""
        if is_dark:
            picture = DARKER[picture]
        height, width = picture.shape[:2]
        multiple = self.size_multiple
        padded = cv2.copyMakeBorder(
            picture, 0, -height % multiple, 0, -width % multiple, cv2.BORDER_REPLICATE
        )
        ink = run_tiles(self.generator, padded, multiple=multiple)[:height, :width]
        lines = np.rint(255 * (1 - ink)).astype(np.uint8)
        return BLACKER[lines] if self.kwargs["style"] == "pencil" else lines


# -- drawing ---------------------------------------------------------------------------------------

LINE_PX = 1.6  # of lines that are drawn anew
DARKER = np.rint(255 * (np.arange(256) / 255) ** 2).astype(np.uint8)  # gamma 2
BLACKER = np.floor(255 * (np.arange(256) / 255) ** 3).astype(np.uint8)  # faint pencil, gamma 3
TILE_PX = 1312  # longer sides are drawn in parts, so that memory stays bounded
OVERLAP_PX = 192  # as far as the network that ships can see


@torch.inference_mode()
def run_tiles(network: nn.Module, picture: np.ndarray, *, multiple: int) -> np.ndarray:
    """Return the ink that ``network`` draws: (H, W, 3) uint8 -> (H, W) float32 in [0, 1].

    Sides must be multiples of ``multiple``. Those above ``TILE_PX`` are cut into even parts that
    overlap by about ``OVERLAP_PX`` and are blended there.
    """
    weight = next(network.parameters())
    total = np.zeros(picture.shape[:2], np.float32)
    for rows, down in _plan_tiles(picture.shape[0], multiple):
        for columns, across in _plan_tiles(picture.shape[1], multiple):
            inputs = image.to_tensor(picture[rows, columns])[None]
            inputs = inputs.to(weight.device, weight.dtype, memory_format=torch.channels_last)
            ink = network(inputs)[0, 0].float().cpu().numpy()
            total[rows, columns] += ink * down[:, None] * across
    return np.clip(total, 0, 1)


def _plan_tiles(length: int, multiple: int) -> list[tuple[slice, np.ndarray]]:
    """Return where the parts of a side lie, and how much each counts there; together 1.

    >>> [(part.start, part.stop) for part, _ in _plan_tiles(1696, 32)]
    [(0, 960), (736, 1696)]
    """
    count = 1
    if length > TILE_PX:
        count = math.ceil((length - OVERLAP_PX) / (TILE_PX - OVERLAP_PX))
    side = math.ceil((length + (count - 1) * OVERLAP_PX) / count / multiple) * multiple
    starts = [number * (length - side) // max(1, count - 1) for number in range(count)]
    starts = [start // multiple * multiple for start in starts]
    shares = np.zeros((count, length), np.float32)
    for number, start in enumerate(starts):
        ramp = np.minimum(1, np.arange(1, side + 1) / OVERLAP_PX)
        share = np.ones(side)
        if number:
            share = share * ramp
        if number < count - 1:
            share = share * ramp[::-1]
        shares[number, start : start + side] = share
    shares /= shares.sum(0)
    parts = [slice(start, start + side) for start in starts]
    return [(part, share[part]) for part, share in zip(parts, shares, strict=True)]


def invert_value(photo: np.ndarray) -> np.ndarray:
    """Return a photo (H, W, 3) with lights and darks exchanged (HSV's value), hues kept.

    >>> invert_value(np.array([[[255, 0, 0], [0, 0, 0], [50, 50, 50]]], np.uint8))[0].tolist()
    [[0, 0, 0], [255, 255, 255], [205, 205, 205]]
    """
    hsv = cv2.cvtColor(photo, cv2.COLOR_RGB2HSV_FULL)
    hsv[..., 2] = 255 - hsv[..., 2]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def _scale_strokes(strokes: Strokes, *, size: tuple[int, int]) -> Strokes:
    """Bring strokes to a page of another size."""
    scale = np.array([size[1] / strokes.size[1], size[0] / strokes.size[0]], np.float32)
    return Strokes(
        size=size,
        strokes=tuple(
            Stroke(points=stroke.points * scale, width_px=stroke.width_px * float(scale.max()))
            for stroke in strokes.strokes
        ),
    )


def _encode_film(strokes: Strokes) -> bytes:
    frames = vectorize.draw_frames(strokes, frames_per_second=FILM_RATE)
    return image.encode_gif(frames, frame_ms=1000 // FILM_RATE)


FILM_RATE = 20


# -- masks -----------------------------------------------------------------------------------------


def settle_mask(mask: np.ndarray, *, threshold: float, is_hard: bool) -> np.ndarray:
    """Return what is kept of a photo: (H, W) in [0, 1] -> (H, W) uint8, all of it 255.

    Nothing below ``threshold``. Hard: all from there on. Soft: more and more, all at 1.

    >>> mask = np.array([[0.4, 0.5, 0.75, 1]], np.float32)
    >>> settle_mask(mask, threshold=0.5, is_hard=False)[0].tolist()
    [0, 0, 128, 255]
    >>> settle_mask(mask, threshold=0.5, is_hard=True)[0].tolist()
    [0, 255, 255, 255]
    """
    if is_hard:
        return np.where(mask >= threshold, np.uint8(255), np.uint8(0))
    return np.rint(255 * np.clip((mask - threshold) / (1 - threshold), 0, 1)).astype(np.uint8)


def follow_edges(
    mask: np.ndarray, small: np.ndarray, photo: np.ndarray, *, radius_px: int = 3
) -> np.ndarray:
    """Return a small mask at its photo's size, with its edge on the photo's edges.

    The guided filter (He, Sun, Tang, ECCV 2010): within ``radius_px`` a mask is a linear function
    of the photo's colors; found at the small size, used at the large one (He and Sun 2015).

    Args:
        mask: (h, w) float32 in [0, 1].
        small: (h, w, 3) uint8, the photo at the mask's size.
        photo: (H, W, 3) uint8.
        radius_px: of the small photo.

    Returns:
        (H, W) float32 in [0, 1].
    """
    side = 2 * radius_px + 1

    def mean(layer: np.ndarray) -> np.ndarray:
        return cv2.blur(layer, (side, side), borderType=cv2.BORDER_REFLECT)

    color = small.astype(np.float32) / 255
    color_mean, mask_mean = mean(color), mean(mask)
    products = [mean(color * color[..., [channel]]) for channel in range(3)]
    spread = np.stack(products, -1) - color_mean[..., None] * color_mean[..., None, :]
    spread += 1e-3 * np.eye(3, dtype=np.float32)
    together = mean(color * mask[..., None]) - color_mean * mask_mean[..., None]
    slope = np.linalg.solve(spread, together[..., None])[..., 0]
    size = photo.shape[:2]
    found = _enlarge(mean(mask_mean - (slope * color_mean).sum(2)), size)
    slope = mean(slope)
    for channel in range(3):
        found += _enlarge(np.ascontiguousarray(slope[..., channel]), size) * (
            photo[..., channel] / np.float32(255)
        )
    return np.clip(found, 0, 1)


MARKED_PX = 320  # longer side of the photo in which the marks' object is looked for
REACH = 0.25  # of the longer side: as far from a mark a network's mask may change
RAMP_PX = 8  # a network's mask goes from 0 to 1 over about as many


def cut_by_marks(photo: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Return the object that is marked, by its colours (GrabCut; Rother et al., SIGGRAPH 2004).

    Args:
        photo: (H, W, 3) uint8.
        marks: (H, W) uint8, 255 object, 0 not; where nothing is marked as not, the rim is not,
            unless it is marked, and where nothing is marked as the object, the rest is.

    Returns:
        (H, W) float32 in [0, 1], the marks as they say.
    """
    small, is_object, is_not = _shrink_marked(photo, marks)
    if not is_not.any():
        is_not = np.ones_like(is_object)
        is_not[1:-1, 1:-1] = False
        is_not &= ~is_object
    labels = np.full(is_object.shape, cv2.GC_PR_FGD, np.uint8)
    if is_object.any():
        labels[_measure_way(is_not) < _measure_way(is_object)] = cv2.GC_PR_BGD
    found = _cut(small, labels, is_object, is_not).astype(np.float32)
    return _keep_marks(_enlarge(cv2.GaussianBlur(found, (0, 0), 0.8), marks.shape), marks)


def correct_mask(mask: np.ndarray, photo: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Return ``mask`` with what is marked, and what belongs to it, added or taken away.

    Around the marks GrabCut begins with the mask; of what it changes, only that counts which is
    connected to a mark that says the same.

    Args:
        mask: (H, W) float32 in [0, 1].
        photo: (H, W, 3) uint8.
        marks: (H, W) uint8, 255 object, 0 not.

    Returns:
        (H, W) float32 in [0, 1], the marks as they say.
    """
    small, is_object, is_not = _shrink_marked(photo, marks)
    share = cv2.resize(mask, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    before = share >= 0.5
    labels = np.where(before, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    is_far = _measure_way(is_object | is_not) > REACH * max(before.shape)
    labels[is_far] = np.where(before, cv2.GC_FGD, cv2.GC_BGD)[is_far]
    found = _cut(small, labels, is_object, is_not)
    after = before.copy()
    for mark, value in ((is_object, True), (is_not, False)):
        changed = ((found != before) & (found == value)) | mark
        _, parts = cv2.connectedComponents(changed.astype(np.uint8), connectivity=4)
        after[mark | (changed & np.isin(parts, np.unique(parts[mark])))] = value
    is_new = _measure_way(after != before) < RAMP_PX
    softened, share_new = (
        _enlarge(cv2.GaussianBlur(plane.astype(np.float32), (0, 0), sigma_px), mask.shape)
        for plane, sigma_px in ((after, 0.8), (is_new, 2.0))
    )
    return _keep_marks(mask + share_new * (softened - mask), marks)


def _shrink_marked(
    photo: np.ndarray, marks: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a small photo (h, w, 3), what is marked there (h, w) bool, and what is marked as not.

    No mark gets lost, however thin.
    """
    size = image.fit_side(marks.shape, min(MARKED_PX, max(marks.shape)))
    is_object, is_not = (
        cv2.resize((marks == value).astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
        for value in (255, 0)
    )
    small = image.resize(photo, size)
    return small, is_object > is_not, (is_not > 0) & (is_not >= is_object)


def _measure_way(mask: np.ndarray) -> np.ndarray:
    """Return each pixel's distance to ``mask`` (H, W) bool in pixels, far where there is none."""
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    return cv2.distanceTransform(1 - mask.astype(np.uint8), cv2.DIST_L2, 5)


def _cut(
    photo: np.ndarray, labels: np.ndarray, is_object: np.ndarray, is_not: np.ndarray
) -> np.ndarray:
    """Run GrabCut from labels (H, W) and marks (H, W) bool: the object (H, W) bool."""
    labels = labels.copy()
    labels[is_object], labels[is_not] = cv2.GC_FGD, cv2.GC_BGD
    is_in = labels & 1 == 1  # GC_FGD and GC_PR_FGD
    if is_in.all() or not is_in.any():
        return is_in
    cv2.setRNGSeed(0)  # it draws its first clusters at random
    models = np.zeros((2, 1, 65))
    cv2.grabCut(photo, labels, None, models[0], models[1], 5, cv2.GC_INIT_WITH_MASK)
    return labels & 1 == 1


def _keep_marks(mask: np.ndarray, marks: np.ndarray) -> np.ndarray:
    return np.where(marks == 255, 1, np.where(marks == 0, 0, mask)).astype(np.float32)


def _enlarge(share: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a float plane (H, W), bilinear: (height, width)."""
    return cv2.resize(share, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
