"""Which numbers may have made a picture, for trainers that paint it again (VAE-GAN)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from s2i.layers import VectorEncoder, split_moments


class Posterior(nn.Module):
    """Reads which numbers may have made a picture: a normal distribution, whitened over the data.

    A network says means and deviations. These are moved, turned and scaled as their running mean
    and covariance ask, so that the numbers of all pictures together have mean 0 and covariance 1,
    as random ones have: what is painted from random numbers is then like what the posterior reads.
    With ``classes`` the mean is each class's own: z says what differs within a class.
    """

    momentum, least = 0.005, 1e-3

    def __init__(
        self, *, channels: int, latent: int, width: int, size_px: int, classes: int = 1
    ) -> None:
        """Build for pictures of ``channels`` channels and ``size_px``, a multiple of 16."""
        super().__init__()
        self.network = VectorEncoder(
            channels=channels, out=2 * latent, width=width, size_px=size_px
        )
        self.register_buffer("mean", torch.zeros(classes, latent))
        self.register_buffer("covariance", torch.eye(latent))

    def forward(
        self, picture: Tensor, label: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(N, C, S, S), classes (N,) -> mean (N, L), spread (N, L, L), KL in nats a number (N,).

        A draw is mean + e @ spread for normal e; the KL is that to the prior.
        """
        mean, deviation = split_moments(self.network(picture))
        label = torch.zeros(len(mean), dtype=torch.long) if label is None else label
        label = label.to(mean.device)
        with torch.autocast(picture.device.type, enabled=False):
            if self.training:
                z = mean.detach() + deviation.detach() * torch.randn_like(mean)
                self._observe(z, label)
            whiten, values = self._whitening()
            mean, spread = (mean - self.mean[label]) @ whiten, deviation[:, :, None] * whiten
            volume = deviation.log().sum(1) - values.log().sum() / 2
            size = mean.square().sum(1) + spread.square().sum((1, 2)) - mean.shape[1]
            return mean, spread, (size / 2 - volume) / mean.shape[1]

    def reread(self, picture: Tensor, label: Tensor) -> Tensor:
        """Return the mean alone, (N, L), for what was painted: only the picture gets a gradient."""
        fixed = {name: value.detach() for name, value in self.network.named_parameters()}
        mean, _ = split_moments(functional_call(self.network, fixed, (picture,)))
        with torch.autocast(picture.device.type, enabled=False):
            return (mean - self.mean[label]) @ self._whitening()[0]

    def _whitening(self) -> tuple[Tensor, Tensor]:
        """Return the covariance's inverse root and its eigenvalues."""
        values, vectors = torch.linalg.eigh(self.covariance)
        values = values.clamp(min=self.least)
        return vectors * values.rsqrt() @ vectors.T, values

    @torch.no_grad()
    def _observe(self, z: Tensor, label: Tensor) -> None:
        away = z - self.mean[label]
        share = self.momentum * len(self.mean) / len(z)  # a class is seen that much more seldom
        self.mean.index_add_(0, label, share * away)
        self.covariance.lerp_(away.T @ away / len(z), self.momentum)
