"""Train Auto-Painter: lines and hints to a finished cartoon.

    python train/autopainter.py --data my_cartoons/ --out runs/mine
    python train/autopainter.py --data pairs.zip --recipe train/recipes/autopainter_cartoon.toml
    python train/autopainter.py --resume --out runs/mine --data my_cartoons/
    python train/publish.py runs/mine autopainter.mine --license "mine" --data "my cartoons"

A folder of colour pictures is enough: their lines are drawn by XDoG. Pairs (train/prepare.py makes
them) give an artist's lines. Lines come in many styles, hints as people make them, two fifths of
the samples have none. Where there are hints, areas are recoloured at random, so that colours are
learned to come from the hints. A background that the lines can't tell is made white; where it
stays, it is hinted.

Every loss is a mean, so that weights don't depend on the size. What the original's weights (L1 50,
feature 1e-4, adversarial 1, total variation 1e-3) mean here: its L1 and adversarial terms are means
already; its total variation is a sum of squares over 512 x 512 x 3 numbers, so 1e-3 of it is 786
times their mean; its feature term compares raw activations of a wrongly fed VGG-16 and is noise at
1e-4. ``recipes/autopainter_paper.toml`` is the original in these terms.
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

from s2i import image, palette
from s2i.errors import S2IError
from s2i.methods.autopainter import CHANNELS, Autopainter, to_inputs
from train import engine, hands
from train.critics import Adversary
from train.data import augment, open_pictures
from train.engine import Phase, RunConfig, Turn, setting
from train.losses import mean_feature_distance, total_variation


@dataclass(frozen=True, kw_only=True)
class AutopainterConfig(RunConfig):
    """What an Auto-Painter recipe says."""

    batch: int = setting(4, "images a step, over all processes")
    size_px: int = setting(256, "side of the pictures trained on")
    generator: str = setting("gated", "network", choices=("gated", "folded", "unet", "shifted"))
    hints: str = setting(
        "spread", "how hints reach the network", choices=("spread", "mask", "pasted")
    )
    width: int = setting(32, "channels of the network's first stage (64 in the original)")
    critic: str = setting("patch", "critic", choices=("patch", "features"))
    critic_width: int = setting(24, "channels of the critic's first stage")
    photo_column: str = setting("", "column of a zip's meta.csv that holds the pictures")
    lines_column: str = setting("", "column of a zip's meta.csv that holds the lines")
    given_lines: float = setting(0.7, "share of samples with the data's own lines, if it has any")
    no_hints: float = setting(0.4, "share of samples without any hint")
    recolored: float = setting(0.6, "share of hinted samples with areas in other colours")
    background: str = setting(
        "plain", "plain: made white or hinted; scene: left alone", choices=("plain", "scene")
    )
    painting_images: int = setting(20_000, "length of the training")
    learning_rate: float = setting(4e-4, "of the generator, at the start")
    critic_rate: float = setting(2e-4, "learning rate of the critic")
    l1: float = setting(8.0, "weight of the mean absolute difference")
    perceptual: str = setting("none", "network of the feature distance: vgg19, squeezenet, ...")
    perceptual_weights: str = setting("", "safetensors file with its features")
    feature: float = setting(6.0, "weight of the perceptual feature distance")
    gan: str = setting("lsgan", "adversarial loss", choices=("lsgan", "hinge", "bce"))
    adversarial: float = setting(0.2, "weight of the adversarial loss; ramped in")
    total_variation: float = setting(0.0, "weight of the output's mean squared step")


class Draws(engine.Draws):
    """Augmented samples: lines of many styles, hints of many kinds, areas recoloured."""

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return ``target`` (3, S, S) and ``inputs`` (CHANNELS, S, S)."""
        config = self.config
        photo, own_lines = augment(self.pictures[index], rng)
        lines = hands.sketch(photo, own_lines, rng, given=config.given_lines)
        has_hints = rng.random() >= config.no_hints
        background = None
        if config.background == "plain":
            background = hands.find_background(photo, own_lines)
            if not has_hints or rng.random() < 0.6:
                photo = hands.whiten(photo, background)
        domain = palette.color_domain(
            photo, colors=8, blur_px=2, soften_px=2, seed=int(rng.integers(2**31))
        )
        if has_hints and rng.random() < config.recolored:
            for _ in range(int(rng.integers(1, 4))):
                photo, domain = hands.recolor(
                    photo, domain, rng, everywhere=bool(rng.random() < 0.5), keep=background
                )
        colors = hands.hint(domain, lines, rng, none=0.0 if has_hints else 1.0)
        if has_hints and background is not None and background.any():
            dab_background(colors, domain, background, rng)
        paper = palette.find_paper(lines, colors) if config.background == "plain" else None
        return {
            "target": image.to_tensor(photo),
            "inputs": to_inputs(lines, colors, hints=config.hints, paper=paper),
        }


def dab_background(
    colors: np.ndarray, domain: np.ndarray, background: np.ndarray, rng: np.random.Generator
) -> None:
    """Paint one small square of the background into ``colors``, unless it is white."""
    ys, xs = np.nonzero(background)
    at = int(rng.integers(len(ys)))
    y, x = int(ys[at]), int(xs[at])
    if domain[y, x].min() < 245:
        side = round(rng.uniform(2, 8) * domain.shape[0] / 128)
        place = np.s_[y : y + side, x : x + side]
        inside = background[place]
        colors[place][inside] = (*domain[y, x], 255)


class AutopainterTrainer(engine.Trainer):
    """Networks, phase and losses of Auto-Painter."""

    name = "autopainter"
    published = ("generator",)

    def __init__(self, config: AutopainterConfig) -> None:
        """Build what ``config`` describes, weights drawn at random.

        Raises:
            S2IError: the network can't be trained at that size.
        """
        self.config = config
        self.method_kwargs: dict[str, Any] = {
            "generator": config.generator,
            "hints": config.hints,
            "width": config.width,
            "size_px": config.size_px,
            "paper": config.background == "plain",
        }
        method = Autopainter(**self.method_kwargs)
        if config.size_px % method.size_multiple:
            raise S2IError(
                f"size_px must be a multiple of {method.size_multiple} for '{config.generator}', "
                f"got {config.size_px}."
            )
        self.adversary = Adversary(config, condition=CHANNELS[config.hints])
        self.networks = {"generator": method.generator, "critic": self.adversary.critic}
        self.phases = (
            Phase("painting", config.painting_images, (Turn("generator"), Turn("critic"))),
        )
        self.optimizers = {}

    def dataset(self, split: str) -> Draws:
        """Return the augmented pictures of ``split``."""
        config = self.config
        columns = {"photo": config.photo_column, "lines": config.lines_column}
        return Draws(
            open_pictures(config.data, split, size_px=config.size_px, columns=columns), config
        )

    def losses(self, turn: Turn, batch: dict[str, Any], progress: float) -> dict[str, Tensor]:
        """Return L1, feature, total variation and adversarial terms, or the critic's."""
        config, target = self.config, batch["target"]
        if turn.network == "critic":
            return self.adversary.learn(batch)
        output = self.networks["generator"](batch["inputs"])
        seen, _, _ = self.adversary.see(batch, output)
        terms = {"l1": config.l1 * F.l1_loss(output, target)}
        if config.feature and seen:
            terms["feature"] = config.feature * mean_feature_distance(seen, batch["real_seen"])
        if config.total_variation:
            terms["total_variation"] = config.total_variation * total_variation(output, power=2)
        if config.adversarial:
            strength = config.adversarial * min(1.0, 5 * progress)
            terms["adversarial"] = strength * self.adversary.teach(batch, output, seen)
        engine.fall_by_cosine(self.optimizers[turn.network], config.learning_rate, progress)
        return terms

    def sample(self, networks: dict[str, torch.nn.Module], batch: dict[str, Any]) -> Tensor:
        """Return columns: lines and hints, painted with them and without, target."""
        inputs, target = batch["inputs"], batch["target"]
        painted = networks["generator"](inputs)
        if self.config.hints == "pasted":
            return torch.cat([inputs, painted, target], dim=3)
        ink, mask = inputs[:, 4:5], inputs[:, 3:4]
        page = inputs[:, :3] + (1 - mask)
        bare = torch.cat([torch.zeros_like(inputs[:, :4]), ink, 0 * inputs[:, 5:]], 1)
        return torch.cat([page * (1 - ink) - ink, painted, networks["generator"](bare), target], 3)


def run(config: AutopainterConfig) -> None:
    """Train what ``config`` says."""
    engine.train(AutopainterTrainer(config), config)


if __name__ == "__main__":
    sys.exit(engine.main(AutopainterConfig, run, description=__doc__ or ""))
