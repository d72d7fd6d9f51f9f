"""Network blocks that several methods share."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def make_norm(kind: str, channels: int) -> nn.Module:
    """Return a normalisation whose answer, once trained, does not depend on the rest of the batch.

    ``instance`` has no parameters and forgets each channel's mean; ``group`` (eight groups, or as
    many as divide ``channels``) keeps what the groups have in common, so colours survive it. Both
    read the whole picture; ``batch`` keeps the statistics of its training, so that a part of a
    picture gives what the whole gives there.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels)
    if kind == "group":
        groups = next(count for count in (8, 4, 3, 2, 1) if channels % count == 0)
        return nn.GroupNorm(groups, channels)
    raise ValueError(f"norm must be 'instance', 'group' or 'batch', got {kind!r}")


class ResidualBlock(nn.Module):
    """Dilated residual block: PI-REC (and EdgeConnect, which it builds on), no final ReLU."""

    def __init__(self, channels: int, *, norm: str = "instance") -> None:
        """Build the block for (N, channels, H, W), H and W at least 3."""
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2, padding_mode="reflect"),
            make_norm(norm, channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            make_norm(norm, channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x plus the branch's answer, same shape."""
        return x + self.branch(x)


class Upsample(nn.Module):
    """Twice the height and width, bilinear."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, 2H, 2W)."""
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class PatchCritic(nn.Module):
    """Spectral-norm PatchGAN critic: plain logits for overlapping patches of 70 px.

    Five 4x4 convolutions without bias, LeakyReLU 0.2 between them and no other norm, as
    EdgeConnect's discriminator, which PI-REC's description fits; 2,763,776 parameters at width 64
    for RGB alone. Logits are 6, 14 or 30 px square for pictures of 64, 128 or 256 px.
    """

    def __init__(self, *, channels: int = 3, width: int = 64) -> None:
        """Build for ``channels`` inputs: the picture and whatever it is conditioned on."""
        super().__init__()
        plan = [(channels, width, 2), (width, 2 * width, 2), (2 * width, 4 * width, 2)]
        plan += [(4 * width, 8 * width, 1), (8 * width, 1, 1)]
        stages: list[nn.Module] = []
        for number, (before, after, stride) in enumerate(plan):
            if number:
                stages.append(nn.LeakyReLU(0.2, inplace=True))
            conv = nn.Conv2d(before, after, 4, stride=stride, padding=1, bias=False)
            stages.append(spectral_norm(conv))
        self.stages = nn.Sequential(*stages)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> logits (N, 1, H/8 - 2, W/8 - 2)."""
        return self.stages(x)


class UNet(nn.Module):
    """U-Net of pix2pix (Isola et al., CVPR 2017), normalised per picture instead of per batch.

    ``depth`` halvings by 4x4 convolutions of stride 2 (width, 2, 4, 8, 8, ... x width; leaky ReLU
    0.2), as many doublings by transposed ones (ReLU), each joined with the map of its size; norms
    everywhere but in the first, the innermost and the last; dropout 0.5 while training in the
    ``depth - 5`` stages above the innermost. From 3 to 3 channels at width 64: 54,413,955
    parameters at depth 8, 41,828,995 at 7, 29,244,035 at 6. Group norm has as many parameters as
    the original's batch norm, gives the same answer for a picture alone and in a batch, and bears
    a map of 1 x 1.

    ``is_shifted`` widens every doubling to what the next deeper one had and adds the innermost
    norm: 61,234,691 parameters at depth 8, the network of an Auto-Painter in circulation.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 64,
        depth: int = 8,
        is_shifted: bool = False,
    ) -> None:
        """Build for (N, channels, H, W), sides multiples of 2 ** depth."""
        super().__init__()
        down = [width * min(2**level, 8) for level in range(depth)]
        up = [*reversed(down[:-1])]
        if is_shifted:
            up = [8 * width, *up[:-1]]
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        before = channels
        for level, after in enumerate(down):
            has_norm = level > 0 and (level < depth - 1 or is_shifted)
            self.downs.append(self._stage(nn.Conv2d, before, after, norm=has_norm, slope=level > 0))
            before = after
        for level, after in enumerate(up):
            is_dropped = (is_shifted and level < 4) or 0 < level < depth - 4
            stage = self._stage(nn.ConvTranspose2d, before, after, norm=True)
            if is_dropped:
                stage.append(nn.Dropout(0.5))
            self.ups.append(stage)
            before = after + down[-2 - level]
        self.out = nn.Sequential(
            nn.ReLU(), nn.ConvTranspose2d(before, 3, 4, stride=2, padding=1), nn.Tanh()
        )

    @staticmethod
    def _stage(
        conv: type[nn.Conv2d] | type[nn.ConvTranspose2d],
        before: int,
        after: int,
        *,
        norm: bool,
        slope: bool = False,
    ) -> nn.Sequential:
        """Return activation, convolution and norm, as pix2pix orders them."""
        is_down = conv is nn.Conv2d
        stage = nn.Sequential()
        if slope or not is_down:
            stage.append(nn.LeakyReLU(0.2) if is_down else nn.ReLU())
        stage.append(conv(before, after, 4, stride=2, padding=1, bias=False))
        if norm:
            stage.append(make_norm("group", after))
        return stage

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> (N, 3, H, W) in [-1, 1]."""
        skips = []
        for down in self.downs:
            x = down(x)
            skips.append(x)
        for up, skip in zip(self.ups, reversed(skips[:-1]), strict=True):
            x = torch.cat([up(x), skip], 1)
        return self.out(x)


class FoldedUNet(nn.Module):
    """U-Net for processors: nothing wide works at full size, nothing deep is wider than 4 x width.

    The input is folded (pixel unshuffle) to half its size; four halvings follow, two residual
    blocks at the second of them, four bilinear doublings joined with the maps of their size, and an
    unfolding stage whose result is averaged over 2 x 2 pixels, which takes out the one frequency of
    checkerboards. The last two convolutions, at full size, read the input again. 2,041,939
    parameters from 9 channels at width 32. Normalised per picture unless ``norm`` is ``batch``.
    """

    def __init__(
        self, *, channels: int = 3, width: int = 32, outputs: int = 3, norm: str = "group"
    ) -> None:
        """Build for (N, channels, H, W), sides multiples of 32."""
        super().__init__()
        deep = "instance" if norm == "group" else norm
        widths = [width, 2 * width, 4 * width, 4 * width, 4 * width]
        self.fold = nn.PixelUnshuffle(2)
        self.stem = self._stage(nn.Conv2d(4 * channels, width, 3, padding=1), norm)
        self.downs = nn.ModuleList(
            self._stage(nn.Conv2d(before, after, 4, stride=2, padding=1), norm)
            for before, after in pairwise(widths)
        )
        self.blocks = nn.Sequential(*[ResidualBlock(4 * width, norm=deep) for _ in range(2)])
        self.enlarge = Upsample()
        self.ups = nn.ModuleList(
            self._stage(nn.Conv2d(before + after, after, 3, padding=1), norm)
            for before, after in pairwise(reversed(widths))
        )
        self.unfold = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.PixelShuffle(2),
            nn.ReplicationPad2d((0, 1, 0, 1)),
            nn.AvgPool2d(2, stride=1),
        )
        self.out = nn.Sequential(
            nn.Conv2d(width // 2 + channels, 16, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(16, outputs, 3, padding=1),
            nn.Tanh(),
        )

    @staticmethod
    def _stage(conv: nn.Conv2d, norm: str) -> nn.Sequential:
        return nn.Sequential(
            conv, make_norm(norm, conv.out_channels), nn.LeakyReLU(0.2, inplace=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> (N, outputs, H, W) in [-1, 1]."""
        y = self.stem(self.fold(x))
        skips = []
        for level, down in enumerate(self.downs):
            skips.append(y)
            y = down(y)
            if level == 1:
                y = self.blocks(y)
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            y = up(torch.cat([self.enlarge(y), skip], 1))
        return self.out(torch.cat([self.unfold(y), x], 1))


class VectorEncoder(nn.Module):
    """A square picture to a vector: folded to half its size, three halvings, a linear layer.

    Contextual GAN's encoder of drawings is one (952,672 parameters at width 32: 1 channel to mean
    and log-variance of 128 numbers), its critic of pairs another without norms (432,993).
    """

    def __init__(
        self, *, channels: int, out: int, width: int = 32, size_px: int = 64, has_norm: bool = True
    ) -> None:
        """Build for (N, channels, S, S), ``size_px`` a multiple of 16."""
        super().__init__()
        w = width
        stages: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(4 * channels, w, 3, padding=1)]
        for before, after in pairwise((w, 2 * w, 4 * w, 4 * w)):
            stages.append(nn.LeakyReLU(0.2, inplace=True))
            stages.append(nn.Conv2d(before, after, 4, stride=2, padding=1))
            if has_norm:
                stages.append(make_norm("group", after))
        last = nn.Linear(4 * w * (size_px // 16) ** 2, out)
        self.stages = nn.Sequential(*stages, nn.LeakyReLU(0.2), nn.Flatten(), last)
        for layer in self.stages:
            if isinstance(layer, nn.Conv2d | nn.Linear):  # without norms signals would fade
                nn.init.kaiming_normal_(layer.weight, a=0.2)
                nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, S, S) -> (N, out)."""
        return self.stages(x)


def split_moments(moments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation, (N, latent) each, from an encoder's (N, 2 latent)."""
    mean, log_variance = moments.float().chunk(2, dim=1)
    return mean, (log_variance.clamp(-6, 2) / 2).exp()


def run_padded(
    network: nn.Module, inputs: torch.Tensor, multiple: int, *, value: float = 0.0
) -> torch.Tensor:
    """Return what ``network`` makes of inputs of any size: (N, C, H, W) -> (N, 3, H, W).

    Padded at the right and below with ``value`` to multiples of ``multiple``, then cut back. 0 is
    bare paper for ink and for hints.
    """
    height, width = inputs.shape[-2:]
    padded = F.pad(inputs, (0, -width % multiple, 0, -height % multiple), value=value)
    return network(padded)[..., :height, :width]


def blur(x: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Return (N, C, H, W) under a Gaussian of ``sigma_px``, borders replicated."""
    reach = round(3 * sigma_px)
    ramp = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    taps = torch.exp(-(ramp**2) / (2 * sigma_px**2))
    channels = x.shape[1]
    taps = (taps / taps.sum()).expand(channels, 1, -1)
    x = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    x = F.conv2d(x, taps[:, :, :, None], groups=channels)
    return F.conv2d(x, taps[:, :, None, :], groups=channels)
