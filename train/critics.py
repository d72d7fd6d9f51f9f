"""Critics that trainers share, and their losses; one sees as a frozen classification network does.

After Sauer, Chitta, Müller and Geiger, "Projected GANs Converge Faster", NeurIPS 2021: features
that were learned from a million photos tell a false picture from a true one at once, so that the
generator has something to learn from in its first thousand pictures.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from s2i.errors import S2IError
from s2i.layers import PatchCritic
from train.losses import GAN, Perceptual

SLOPE = 0.1  # of every leaky ReLU
PLACES = 4  # verdicts across, about, at every size of features


class Look(nn.Module):
    """Features and what the picture was made from to real/fake logits at some places.

    A 1 x 1 convolution of the features plus a 3 x 3 one of the condition at their size, halvings,
    a convolution; the logit of a place is linear in its vector, and so is what the class adds to it
    (projection: Miyato and Koyama, "cGANs with Projection Discriminator", ICLR 2018).
    """

    def __init__(
        self, channels: int, *, condition: int, width: int, halvings: int, classes: int
    ) -> None:
        """Build for features (N, channels, H, W); without classes with ``classes`` 0."""
        super().__init__()
        self.features = spectral_norm(nn.Conv2d(channels, width, 1))
        self.condition = spectral_norm(nn.Conv2d(condition, width, 3, padding=1))
        self.halvings = nn.ModuleList(
            spectral_norm(nn.Conv2d(width, width, 4, stride=2, padding=1)) for _ in range(halvings)
        )
        self.last = spectral_norm(nn.Conv2d(width, width, 3, padding=1))
        self.real = spectral_norm(nn.Conv2d(width, 1, 1))
        self.of_class = spectral_norm(nn.Embedding(classes, width)) if classes else None

    def forward(self, features: Tensor, condition: Tensor, label: Tensor | None) -> Tensor:
        """(N, channels, H, W), (N, condition, S, S), labels (N,) -> (N, places)."""
        condition = F.adaptive_avg_pool2d(condition, features.shape[-2:])
        x = F.leaky_relu(self.features(features) + self.condition(condition), SLOPE)
        for halving in self.halvings:
            x = F.leaky_relu(halving(x), SLOPE)
        x = F.leaky_relu(self.last(x), SLOPE)
        logits = self.real(x)
        if self.of_class is not None:
            of_class = self.of_class(label)[:, :, None, None]
            logits = logits + (of_class * x).sum(1, keepdim=True)
        return logits.flatten(1)


class FeatureCritic(nn.Module):
    """Picture and condition to real/fake and class logits, by a frozen network's features.

    One :class:`Look` for every size of that network's features and one for the pixels, each brought
    to about 4 x 4 places. Features are scaled to length 1 a place. Classes are read from the means
    of all features over the places; they are learned, as the looks are, the features are not.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        size_px: int,
        condition: int = 1,
        width: int = 16,
        classes: int = 0,
    ) -> None:
        """Build for the features that :func:`choose_features` leaves, of so many ``channels``.

        Args:
            channels: of each size's features, the largest size first.
            size_px: side of the pictures, a power of 2 from 32 on.
            condition: channels of what the pictures were made from.
            width: of the first layer that sees pixels; a quarter of the looks'.
            classes: how many there are; 0 where nobody knows any.
        """
        super().__init__()
        halvings = [
            max(0, round(math.log2(size_px / 4 / PLACES)) - level) for level in range(len(channels))
        ]
        options = {"condition": condition, "width": 4 * width, "classes": classes}
        self.looks = nn.ModuleList(
            Look(each, halvings=count, **options)
            for each, count in zip(channels, halvings, strict=True)
        )
        widths = (3 + condition, width, 2 * width, 4 * width)
        pixels: list[nn.Module] = []
        for stage, (before, after) in enumerate(itertools.pairwise(widths)):
            size = {"kernel_size": 4, "stride": 2} if stage else {"kernel_size": 3}
            pixels.append(spectral_norm(nn.Conv2d(before, after, padding=1, **size)))
            pixels.append(nn.LeakyReLU(SLOPE))
        self.pixels = nn.Sequential(*pixels)
        self.near = Look(4 * width, halvings=halvings[0], **options)
        self.label = nn.Linear(sum(channels), classes) if classes else None

    def forward(
        self,
        picture: Tensor,
        condition: Tensor,
        seen: Sequence[Tensor],
        label: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Judge pictures.

        Args:
            picture: (N, 3, S, S).
            condition: (N, condition, S, S).
            seen: the pictures' features, from :func:`choose_features`.
            label: classes (N,), where there are any.

        Returns:
            Logits (N, places), and (N, classes) or None.
        """
        seen = [F.normalize(each.float(), dim=1) * each.shape[1] ** 0.5 for each in seen]
        verdicts = [
            look(each, condition, label) for look, each in zip(self.looks, seen, strict=True)
        ]
        near = self.pixels(torch.cat([picture, condition], 1))
        verdicts.append(self.near(near, condition, label))
        verdict = torch.cat(verdicts, 1)
        if self.label is None:
            return verdict, None
        return verdict, self.label(torch.cat([each.mean((2, 3)) for each in seen], 1))


def choose_features(features: Sequence[Tensor], size_px: int) -> list[Tensor]:
    """Return the deepest features of every size, a quarter of ``size_px`` at most, as they come.

    >>> sides = (32, 16, 8, 8)
    >>> [each.shape[-1] for each in choose_features([torch.empty(1, 1, s, s) for s in sides], 64)]
    [16, 8]
    """
    of_size = {each.shape[-1]: each for each in features if each.shape[-1] <= size_px // 4}
    return list(of_size.values())


def build_critic(
    kind: str, perceptual: Perceptual, *, size_px: int, condition: int, width: int, classes: int = 0
) -> nn.Module:
    """Return a critic of pictures and what they were made from, for :func:`judge`.

    ``patch``: pix2pix's, :class:`s2i.layers.PatchCritic`; ``features``: by ``perceptual``'s.

    Raises:
        S2IError: ``features`` without a perceptual network.
    """
    if kind == "patch":
        return PatchCritic(channels=3 + condition, width=width)
    if perceptual.name == "none":
        raise S2IError("critic = features needs a perceptual network: name one.")
    with torch.no_grad():
        seen = perceptual.features(torch.zeros(1, 3, size_px, size_px))
    channels = [each.shape[1] for each in choose_features(seen, size_px)]
    return FeatureCritic(
        channels, size_px=size_px, condition=condition, width=width, classes=classes
    )


def judge(critic: nn.Module, picture: Tensor, condition: Tensor, seen: Sequence[Tensor]) -> Tensor:
    """Return the logits of a critic without classes; ``seen`` are all features of ``picture``."""
    if isinstance(critic, FeatureCritic):
        return critic(picture, condition, choose_features(seen, picture.shape[-1]))[0]
    return critic(torch.cat([picture, condition], 1))


class Adversary:
    """Whom a painter learns against: a critic, the network that it may see by, and their losses.

    Attributes:
        critic: :func:`build_critic`'s.
        perceptual: of the feature distance too; without layers where the settings name none.
    """

    def __init__(self, config: Any, *, condition: int) -> None:
        """Build what a trainer's ``config`` names: its settings of critic, network, gan and size.

        ``condition`` is how many channels the pictures are made from.

        Raises:
            S2IError: no such perceptual network, or none where the critic needs one.
        """
        self.perceptual = Perceptual(config.perceptual, weights=config.perceptual_weights or None)
        self.critic = build_critic(
            config.critic,
            self.perceptual,
            size_px=config.size_px,
            condition=condition,
            width=config.critic_width,
        )
        self.critic_loss, self.generator_loss = GAN[config.gan]

    def see(
        self, batch: dict[str, Any], output: Tensor, *, has_style: bool = False
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return the features of ``output``, and what tells its style and that of the target.

        What the critic learns from later is left in ``batch``.
        """
        self.perceptual.to(output.device)
        seen, style = self.perceptual.look(output, has_style=has_style)
        with torch.no_grad():
            batch["real_seen"], real_style = self.perceptual.look(
                batch["target"], has_style=has_style
            )
        batch["fake"], batch["fake_seen"] = output.detach(), [each.detach() for each in seen]
        return seen, style, real_style

    def teach(self, batch: dict[str, Any], output: Tensor, seen: Sequence[Tensor]) -> Tensor:
        """Return the painter's adversarial loss, unweighted; ``seen`` are ``output``'s features."""
        return self.generator_loss(judge(self.critic, output, batch["inputs"], seen))

    def learn(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the critic's loss on a batch that :meth:`see` has seen."""
        inputs = batch["inputs"]
        real = judge(self.critic, batch["target"], inputs, batch["real_seen"])
        fake = judge(self.critic, batch["fake"], inputs, batch["fake_seen"])
        return {"adversarial": self.critic_loss(real, fake)}
