"""Train Contextual GAN: pairs [sketch | photo] from numbers, and which numbers a drawing means.

    python train/contextual.py --data my_faces/ --out runs/mine
    python train/contextual.py --data faces.zip --recipe train/recipes/contextual_faces.toml
    python train/contextual.py --data faces.zip --recipe train/recipes/contextual_paper.toml
    python train/publish.py runs/mine contextual.mine --license "mine" --data "my faces"

A folder of pictures of one kind in one place is enough; faces want their eyes where all others have
theirs. Sketches are XDoG's at twice the size, then shrunk.

The original (``recipes/contextual_paper.toml``) is a GAN and nothing else: blotches for a long
time on a small computer. What ships learns three ways at once (a VAE-GAN, Larsen et al. 2016):

* a posterior, which only training needs, reads a pair; the generator must paint it again. What it
  reads is whitened over the data, so that it lies where random numbers lie: without that, random
  pairs were stripes (README.md beside this file);
* a critic judges these and pairs from random numbers, so that those are pictures too: R1, and
  moved, tinted, partly covered pairs, real and painted alike, for small data; with
  ``photo_adversarial`` a second one sees the photos, and what was drawn, by a perceptual network's
  features (train/critics.py; hinge loss), and is not published;
* the encoder learns from a drawing the mean and spread of the numbers. It sees drawings in three
  styles, bent, broken, half erased, while the pair to paint keeps XDoG's own lines: so real
  drawings are in range of the search. What is painted of its means and draws is judged as all else
  is: means lie nearer to the origin than random numbers, where pictures were of nobody.

The log's ``watch/collapsed`` is the share of random pairs whose photos differ from the others by
less than half of what true photos do; ``watch/difference`` is the ratio itself. ``watch/frechet``
is the Fréchet distance of random pairs' photos to true ones, 512 of each, averaged to 8 x 8 px.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from s2i import image, metrics
from s2i.edges import xdog
from s2i.layers import split_moments
from s2i.methods.contextual import (
    Contextual,
    halves,
    join,
    match_lines,
    match_photo,
    shrink_lines,
    to_ink,
)
from train import engine, hands
from train.critics import build_critic, judge
from train.data import augment, open_pictures
from train.engine import Phase, RunConfig, Turn, setting
from train.losses import GAN, Perceptual, hinge_critic, hinge_generator, r1_penalty
from train.posterior import Posterior


@dataclass(frozen=True, kw_only=True)
class ContextualConfig(RunConfig):
    """What a Contextual GAN recipe says."""

    batch: int = setting(16, "images a step, over all processes")
    size_px: int = setting(64, "side of the pictures trained on, a multiple of 16")
    generator: str = setting("style", "network", choices=("style", "paper"))
    latent: int = setting(128, "numbers that a pair is made from (100 in the paper)")
    width: int = setting(32, "channels of each network's first stage (64 in the paper)")
    photo_column: str = setting("", "column of a zip's meta.csv that holds the pictures")
    moved: float = setting(0.4, "how far pictures are moved and tinted (0: not, nor flipped)")
    lines: str = setting("styles", "what the encoder reads", choices=("styles", "xdog"))
    posterior: bool = setting(True, "paint encoded pairs again too (VAE-GAN); else GAN alone")
    painting_images: int = setting(200_000, "length of the training")
    learning_rate: float = setting(5e-4, "of all but the critic, at the start")
    critic_rate: float = setting(3e-4, "learning rate of the critic")
    photo: float = setting(8.0, "weight of the difference of painted and true photos")
    sketch: float = setting(2.0, "weight of the same for sketches")
    kl: float = setting(0.1, "weight of the posterior's KL to the prior, per number")
    guess: float = setting(1.0, "weight of what the encoder's guess looks like")
    searched: int = setting(0, "steps of a search that half of the guesses are moved by")
    perceptual: str = setting("none", "network of the feature distance: vgg19, squeezenet, ...")
    perceptual_weights: str = setting("", "safetensors file with its features")
    feature: float = setting(4.0, "weight of the perceptual feature distance")
    gan: str = setting("bce", "adversarial loss", choices=("bce", "hinge", "lsgan"))
    adversarial: float = setting(0.3, "weight of the adversarial loss, ramped in")
    photo_adversarial: float = setting(0.0, "weight of a critic that sees photos by their features")
    r1: float = setting(0.2, "weight of the critic's gradient penalty")
    disturbed: float = setting(0.5, "share of pairs that the critic sees disturbed")


R1_EVERY = 4  # on average, and that much heavier
SEARCH_RATE = 0.1  # the longest step of each number, that of the method's search
FRECHET_PICTURES = 512


class Draws(engine.Draws):
    """Augmented samples: a photo, its own sketch, and a drawing of it.

    Pictures come at twice ``config.size_px``.
    """

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return ``photo`` (3, S, S), ``ink`` and ``drawn``, (1, S, S) each."""
        size = self.config.size_px, self.config.size_px
        photo, own_lines = augment(self.pictures[index], rng, amount=self.config.moved)
        ink = image.resize(xdog(photo), size)
        drawn = ink
        if self.config.lines == "styles":
            drawn = shrink_lines(hands.draw(photo, own_lines, rng), size)
        layers = {"photo": image.resize(photo, size), "ink": ink, "drawn": drawn}
        return {name: image.to_tensor(layer) for name, layer in layers.items()}


class ContextualTrainer(engine.Trainer):
    """Networks, phase and losses of Contextual GAN."""

    name = "contextual"
    betas = (0.5, 0.999)
    published = ("generator", "encoder", "critic")

    def __init__(self, config: ContextualConfig) -> None:
        """Build what ``config`` describes, weights drawn at random.

        Raises:
            S2IError: a critic of photos without a perceptual network.
        """
        self.config = config
        self.method_kwargs: dict[str, Any] = {
            "generator": config.generator,
            "latent": config.latent,
            "width": config.width,
            "size_px": config.size_px,
        }
        self.method = Contextual(**self.method_kwargs)
        self.networks = {name: getattr(self.method, name) for name in self.published}
        self.perceptual = Perceptual(config.perceptual, weights=config.perceptual_weights or None)
        critic = Turn("critic")
        if config.photo_adversarial:
            self.networks["photo_critic"] = build_critic(
                "features",
                self.perceptual,
                size_px=config.size_px,
                condition=1,
                width=config.width // 2,
            )
            critic = Turn("critic", also=("photo_critic",))
        if config.posterior:
            self.networks["posterior"] = Posterior(
                channels=4, latent=config.latent, width=config.width, size_px=config.size_px
            )
            turns = (Turn("generator", also=("posterior", "encoder")), critic)
        else:  # the original: the critic, then the generator twice, on the same numbers
            turns = (critic, Turn("generator"), Turn("generator"), Turn("encoder"))
        self.critic_loss, self.generator_loss = GAN[config.gan]
        self.phases = (Phase("painting", config.painting_images, turns),)
        self._seen: list[np.ndarray] = []
        self.optimizers = {}

    def dataset(self, split: str) -> Draws:
        """Return the augmented pictures of ``split``."""
        config = self.config
        options = {"columns": {"photo": config.photo_column}} if config.photo_column else {}
        pictures = open_pictures(config.data, split, size_px=2 * config.size_px, **options)
        return Draws(pictures, config)

    def prepare_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Add the true pairs and the numbers that random pairs are made from."""
        photo = batch["photo"]
        self.perceptual.to(photo.device)
        real = join(1 - 2 * batch["ink"], photo, generator=self.config.generator)
        return {**batch, "real": real, "z": self.method.draw_prior(len(photo)).to(photo)}

    def losses(self, turn: Turn, batch: dict[str, Any], progress: float) -> dict[str, Tensor]:
        """Return the terms of one network's turn."""
        if turn.network == "critic":
            return self._judge(batch)
        engine.fall_by_cosine(
            self.optimizers[turn.network],
            self.config.learning_rate,
            progress if self.config.posterior else 0.0,
        )
        if turn.network == "encoder":
            return {"encoder": unlikelihood(batch["z"], *self._read(batch["ink_of_z"]))}
        if self.config.posterior:
            return self._reconstruct(batch, progress)
        painted = self.networks["generator"](batch["z"])
        self._leave(batch, painted, painted)
        return self._please(painted)

    def _reconstruct(self, batch: dict[str, Any], progress: float) -> dict[str, Tensor]:
        """Return the terms of generator, posterior and encoder."""
        config, photo, ink = self.config, batch["photo"], batch["ink"]
        pair = torch.cat([1 - 2 * ink, photo], 1)
        mean, spread, divergence = self.networks["posterior"](pair)
        z = mean + torch.einsum("ni,nij->nj", torch.randn_like(mean), spread)
        guess, doubt = self._read(batch["drawn"])
        begins = draw_half(guess, doubt.detach())
        if config.searched:
            begins = self._search(begins, batch["drawn"])
        painted = self.networks["generator"](torch.cat([z, batch["z"], begins]))
        again, random, guessed = painted.split(len(photo))
        self._leave(batch, painted, random)
        sketch_again, photo_again = halves(again)
        ink_again = to_ink(sketch_again).float()
        sketch = match_lines(ink_again, ink).mean() + F.mse_loss(ink_again, ink)
        count = half(len(photo))
        sketch_guessed, photo_guessed = halves(guessed[:count].float())
        missed = match_lines(to_ink(sketch_guessed), ink[:count]).mean()
        missed = missed + F.l1_loss(photo_guessed, photo[:count])
        of_random = unlikelihood(batch["z"], *self._read(batch["ink_of_z"]))
        terms = {
            "photo": config.photo * match_photo(photo_again, photo).mean(),
            "sketch": config.sketch * sketch,
            "kl": config.kl * divergence.mean(),
            "guess": config.guess * missed,
            "encoder": (unlikelihood(z.detach(), guess, doubt) + of_random) / 2,
        }
        if config.feature and config.perceptual != "none":
            terms["feature"] = config.feature * self.perceptual(photo_again, photo)
        ramp = min(1.0, 10 * progress)
        pleased = self._please(painted)
        return terms | {name: ramp * term for name, term in pleased.items()}

    def _search(self, begins: Tensor, drawn: Tensor) -> Tensor:
        """Move what is not a mean some way towards lines like the drawing's, as a search would.

        The generator is judged by these points too: where only the search comes, it would go for
        lines alone and leave the faces. Adam's first steps are those of the gradient's signs.
        """
        count = half(len(begins))
        z, goal = begins[count:].detach(), drawn[count:]
        rate = SEARCH_RATE * torch.rand(len(z), 1, device=z.device)
        for _ in range(self.config.searched):
            at = z.clone().requires_grad_()
            sketch, _ = halves(self.networks["generator"](at))
            (gradient,) = torch.autograd.grad(match_lines(to_ink(sketch).float(), goal).sum(), at)
            z = z - rate * gradient.sign()
        moved = z - begins[count:].detach()
        return torch.cat([begins[:count], begins[count:] + moved])

    def _leave(self, batch: dict[str, Any], painted: Tensor, random: Tensor) -> None:
        """Leave in ``batch`` what the critic, the encoder and :meth:`watch` look at."""
        batch["fake"] = painted.detach()
        sketch, batch["random"] = halves(random.detach())
        batch["ink_of_z"] = to_ink(sketch)

    def _read(self, ink: Tensor) -> tuple[Tensor, Tensor]:
        return split_moments(self.networks["encoder"](ink))

    def _please(self, painted: Tensor) -> dict[str, Tensor]:
        """Return the generator's adversarial terms."""
        config, terms = self.config, {}
        painted = self._disturb(painted)
        if config.adversarial:
            verdict = self.networks["critic"](painted)
            terms["adversarial"] = config.adversarial * self.generator_loss(verdict)
        if config.photo_adversarial:
            verdict = self._judge_photos(painted)
            terms["photo_adversarial"] = config.photo_adversarial * hinge_generator(verdict)
        return terms

    def _judge_photos(self, joint: Tensor) -> Tensor:
        """Return the logits of the critic that sees photos by their features: (N, places)."""
        sketch, photo = halves(joint)
        seen = self.perceptual.features(photo)
        return judge(self.networks["photo_critic"], photo, to_ink(sketch), seen)

    def _judge(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the critics' terms."""
        critic = self.networks["critic"]
        if "fake" not in batch:
            with torch.no_grad():
                batch["fake"] = self.networks["generator"](batch["z"])
        real, fake = self._disturb(batch["real"]), self._disturb(batch["fake"])
        terms = {"adversarial": self.critic_loss(critic(real), critic(fake))}
        if self.config.photo_adversarial:
            verdicts = self._judge_photos(real), self._judge_photos(fake)
            terms["photo_adversarial"] = hinge_critic(*verdicts)
        if self.config.r1 and torch.rand(()) < 1 / R1_EVERY:
            terms["r1"] = R1_EVERY * self.config.r1 * r1_penalty(critic, real)
        return terms

    def _disturb(self, joint: Tensor) -> Tensor:
        share = self.config.disturbed
        return disturb(joint, share=share, generator=self.config.generator) if share else joint

    @torch.no_grad()
    def watch(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return how different random pairs' photos are, the share that hardly is, and Fréchet."""
        random, true = batch["random"].float(), batch["photo"].float()
        ratio = mean_difference(random) / mean_difference(true).mean()
        seen = torch.stack(
            [F.adaptive_avg_pool2d(photos, 8).flatten(1) for photos in (random, true)]
        )
        self._seen.append(seen.cpu().numpy())
        watched = {"difference": ratio.mean(), "collapsed": (ratio < 0.5).float().mean()}
        if sum(part.shape[1] for part in self._seen) >= FRECHET_PICTURES:
            pair = np.concatenate(self._seen, axis=1)
            self._seen.clear()
            watched["frechet"] = ratio.new_tensor(metrics.frechet_distance(*pair))
        return watched

    def sample(self, networks: dict[str, torch.nn.Module], batch: dict[str, Any]) -> Tensor:
        """Return columns: drawing; sketch and photo guessed from it, encoded, random, true."""
        generator = networks["generator"]
        guess, _ = split_moments(networks["encoder"](batch["drawn"]))
        numbers = [guess, batch["z"]]
        if self.config.posterior:
            pair = torch.cat([1 - 2 * batch["ink"], batch["photo"]], 1)
            numbers.insert(1, networks["posterior"](pair)[0])
        pairs = [halves(generator(z)) for z in numbers] + [(1 - 2 * batch["ink"], batch["photo"])]
        columns = [1 - 2 * batch["drawn"], *(half for pair in pairs for half in pair)]
        return torch.cat([column.expand_as(batch["photo"]) for column in columns], 3)


def unlikelihood(z: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Return the negative log-likelihood of z under a normal distribution, a mean over numbers.

    >>> unlikelihood(torch.ones(2), torch.zeros(2), torch.ones(2)).item()
    0.5
    """
    return (((z - mean) / deviation).square() / 2 + deviation.log()).mean()


def half(count: int) -> int:
    """Return half of ``count``, at least 1."""
    return (count + 1) // 2


def draw_half(mean: Tensor, deviation: Tensor) -> Tensor:
    """Return the first half's means as they are, of the others up to a whole deviation beside them.

    The points that a search begins with, (N, latent) all three.
    """
    share = torch.rand(len(mean), 1, device=mean.device)
    share[: half(len(mean))] = 0
    return mean + share * deviation * torch.randn_like(mean)


def mean_difference(photos: Tensor) -> Tensor:
    """Return each photo's mean absolute difference from the others: (N, C, H, W) -> (N,).

    >>> mean_difference(torch.tensor([0.0, 0.0, 3.0]).view(3, 1, 1, 1)).tolist()
    [1.5, 1.5, 3.0]
    """
    rows = photos.float().flatten(1)
    return torch.cdist(rows, rows, p=1).sum(1) / (max(1, len(rows) - 1) * rows.shape[1])


def disturb(joint: Tensor, *, share: float, generator: str) -> Tensor:
    """Move, tint and cover pairs at random, differentiably, a ``share`` of them each way.

    Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", 2020. Both halves of
    a pair are moved and covered alike, only the photo is tinted. Same shape out.
    """
    sketch, photo = halves(joint)
    count, side = len(joint), photo.shape[-1]

    def chosen(*shape: int) -> Tensor:
        """Return numbers in [-1, 1], 0 for pairs that stay as they are."""
        is_chosen = torch.rand(count, *[1] * len(shape), device=joint.device) < share
        return (2 * torch.rand(count, *shape, device=joint.device) - 1) * is_chosen

    photo = photo * (1 + 0.3 * chosen(1, 1, 1)) + 0.2 * chosen(photo.shape[1], 1, 1)
    both = torch.cat([sketch, photo], 1)
    move = torch.eye(2, 3, device=joint.device).repeat(count, 1, 1)
    move[:, :, :2] *= 1 + 0.1 * chosen(1, 1)
    move[:, :, 2:] = 0.25 * chosen(2, 1)
    grid = F.affine_grid(move, list(both.shape), align_corners=False)
    moved = F.grid_sample(both.float(), grid, padding_mode="reflection", align_corners=False)
    places = torch.linspace(-1, 1, side, device=joint.device)
    corner = torch.rand(count, 2, 1, device=joint.device) * 1.5 - 1
    is_inside = (places >= corner) & (places < corner + 0.7)
    is_covered = torch.rand(count, 1, 1, device=joint.device) < share / 2
    covered = is_inside[:, 0, :, None] & is_inside[:, 1, None, :] & is_covered
    moved = moved * ~covered[:, None]
    return join(*moved.split([sketch.shape[1], photo.shape[1]], 1), generator=generator)


def run(config: ContextualConfig) -> None:
    """Train what ``config`` says."""
    engine.train(ContextualTrainer(config), config)


if __name__ == "__main__":
    sys.exit(engine.main(ContextualConfig, run, description=__doc__ or ""))
