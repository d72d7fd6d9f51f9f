"""Image to sketch: a photo's object is cut out, drawn in lines, and traced into strokes.

The pipeline of an original in circulation: MaskNet finds the object in a photo of 224 px, the rest
becomes white, SketchNet (a narrowed Simo-Serra et al., "Learning to Simplify", SIGGRAPH 2016) draws
it at the size that was asked for, and the sketch is traced. What differs in what ships:

* MaskNet has the features of MobileNetV2 (Sandler et al., CVPR 2018) for a trunk, joined from
  coarse to fine (a feature pyramid; Lin et al., CVPR 2017), and can be corrected by painting;
* SketchNet is a U-Net whose full-size stages are folded into half size: it keeps thin lines at a
  fortieth of the work. Its norms have fixed statistics, so a part of a picture is drawn as the
  whole is: large pictures go in tiles, and a video does not flicker;
* the photo is resized once, from the original, and padded, where it was squeezed to a square; soft
  masks go from 0 to 1 without a halo; hard ones don't wrap where they overlap;
* strokes come from :mod:`s2i.vectorize`: the same on every run, and they match the sketch.

The original networks are the presets ``paper``, ``shallow`` and ``seed`` (the norm's epsilon of
0.8 that stands in the original's code), and MaskNet's ``backbone="paper"``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import cv2
import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2i import image
from s2i.errors import S2IError
from s2i.layers import FoldedUNet, make_norm
from s2i.methods.base import Drawing, Method, Result

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
        small = image.to_tensor(image.resize(photo, (MASK_PX, MASK_PX)))
        weight = next(self.parameters())
        logits = self.network(small[None].to(weight.device, weight.dtype)).float()
        share = torch.sigmoid(logits)[0, 0].cpu().numpy()
        return np.clip(_enlarge(share, photo.shape[:2]), 0, 1)


class Image2Sketch(Method):
    """A photo to a sketch, by one network, with the object cut out by another."""

    name = "image2sketch"
    title = "Image to sketch"
    reads = ("photo", "marks")
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


def _enlarge(share: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a float plane (H, W), bilinear: (height, width)."""
    return cv2.resize(share, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
