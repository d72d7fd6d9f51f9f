"""Network blocks that several methods share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def make_norm(kind: str, channels: int) -> nn.Module:
    """Return a normalisation whose answer does not depend on the rest of the batch.

    ``instance`` has no parameters and forgets each channel's mean; ``group`` (eight groups, or as
    many as divide ``channels``) keeps what the groups have in common, so colours survive it.
    """
    if kind == "instance":
        return nn.InstanceNorm2d(channels)
    if kind == "group":
        groups = next(count for count in (8, 4, 3, 2, 1) if channels % count == 0)
        return nn.GroupNorm(groups, channels)
    raise ValueError(f"norm must be 'instance' or 'group', got {kind!r}")


class ResidualBlock(nn.Module):
    """Dilated residual block: PI-REC (and EdgeConnect, which it builds on), no final ReLU."""

    def __init__(self, channels: int) -> None:
        """Build the block for (N, channels, H, W), H and W at least 3."""
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
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
