"""A stand-in for a perceptual network, quick, with a gradient everywhere."""

import torch
import torch.nn.functional as F


class Slopes:
    """Features of four sizes (two of one), distances of means; see ``train.losses.Perceptual``."""

    name = "stand-in"

    def to(self, device):
        return self

    def features(self, pictures):
        both = torch.cat([pictures, 1 - pictures], 1)
        return [F.avg_pool2d(both, size) for size in (2, 4, 4, 8)]

    def style(self, output, target):
        return (output.mean((2, 3)) - target.mean((2, 3))).abs().mean()
