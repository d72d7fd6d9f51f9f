"""Train pix2pix: lines to a picture.

    python train/pix2pix.py --data my_pictures/ --out runs/mine
    python train/pix2pix.py --data pairs.zip --recipe train/recipes/pix2pix_fashion.toml
    python train/publish.py runs/mine pix2pix.mine --license "mine" --data "my pictures"

The losses are the paper's: L1 100 and the cross-entropy of a patch critic, 1. What ships has the
critic and the feature distance that Auto-Painter and PI-REC learned by, so that the yardstick tells
what their networks add, not what their losses do. Lines are an artist's where the data has some,
else XDoG's, in the styles of train/hands.py; ``--lines xdog`` draws them by XDoG's defaults alone,
``--lines hand`` a third each like that, in all styles, and crooked as a hand's; both at twice the
size (as Contextual GAN's are).
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

from s2i import image
from s2i.edges import xdog
from s2i.errors import S2IError
from s2i.methods.pix2pix import Pix2pix
from train import engine, hands
from train.critics import Adversary
from train.data import augment, open_pictures
from train.engine import Phase, RunConfig, Turn, setting
from train.losses import mean_feature_distance


@dataclass(frozen=True, kw_only=True)
class Pix2pixConfig(RunConfig):
    """What a pix2pix recipe says."""

    batch: int = setting(4, "images a step, over all processes")
    size_px: int = setting(256, "side of the pictures trained on")
    generator: str = setting("folded", "network", choices=("folded", "unet"))
    width: int = setting(32, "channels of the network's first stage (64 in the paper)")
    depth: int = setting(8, "halvings of 'unet'")
    critic: str = setting("patch", "critic", choices=("patch", "features"))
    critic_width: int = setting(24, "channels of the critic's first stage (64 in the paper)")
    photo_column: str = setting("", "column of a zip's meta.csv that holds the pictures")
    lines_column: str = setting("", "column of a zip's meta.csv that holds the lines")
    lines: str = setting(
        "styles", "which lines are learned from", choices=("styles", "xdog", "hand")
    )
    given_lines: float = setting(0.7, "share of samples with the data's own lines, if it has any")
    background: str = setting(
        "scene", "plain: made white; scene: left alone", choices=("plain", "scene")
    )
    painting_images: int = setting(12_000, "length of the training")
    learning_rate: float = setting(4e-4, "of the generator, at the start (2e-4 in the paper)")
    critic_rate: float = setting(2e-4, "learning rate of the critic")
    l1: float = setting(100.0, "weight of the mean absolute difference")
    perceptual: str = setting("none", "network of the feature distance: vgg19, squeezenet, ...")
    perceptual_weights: str = setting("", "safetensors file with its features")
    feature: float = setting(0.0, "weight of the perceptual feature distance (0 in the paper)")
    gan: str = setting("bce", "adversarial loss", choices=("bce", "lsgan", "hinge"))
    adversarial: float = setting(1.0, "weight of the adversarial loss")


class Draws(engine.Draws):
    """Augmented samples: lines and picture; all but ``styles`` want pictures of twice the size."""

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return ``target`` (3, S, S) and ``inputs``, ink (1, S, S)."""
        photo, own_lines = augment(self.pictures[index], rng)
        if self.config.background == "plain":
            photo = hands.whiten(photo, hands.find_background(photo, own_lines))
        size = self.config.size_px, self.config.size_px
        if self.config.lines == "xdog":
            lines = image.resize(xdog(photo), size)
        elif self.config.lines == "hand":
            given = self.config.given_lines
            lines = image.resize_ink(hands.draw(photo, own_lines, rng, given=given), size)
        else:
            lines = hands.sketch(photo, own_lines, rng, given=self.config.given_lines)
        photo = image.resize(photo, size)
        return {"target": image.to_tensor(photo), "inputs": image.to_tensor(lines)}


class Pix2pixTrainer(engine.Trainer):
    """Networks, phase and losses of pix2pix."""

    name = "pix2pix"
    betas = (0.5, 0.999)
    published = ("generator",)

    def __init__(self, config: Pix2pixConfig) -> None:
        """Build what ``config`` describes, weights drawn at random.

        Raises:
            S2IError: the network can't be trained at that size.
        """
        self.config = config
        self.method_kwargs: dict[str, Any] = {
            "generator": config.generator,
            "channels": 1,
            "width": config.width,
            "depth": config.depth,
            "size_px": config.size_px,
        }
        method = Pix2pix(**self.method_kwargs)
        if config.size_px % method.size_multiple:
            raise S2IError(
                f"size_px must be a multiple of {method.size_multiple} for '{config.generator}', "
                f"got {config.size_px}."
            )
        self.adversary = Adversary(config, condition=1)
        self.networks = {"generator": method.generator, "critic": self.adversary.critic}
        self.phases = (
            Phase("painting", config.painting_images, (Turn("generator"), Turn("critic"))),
        )
        self.optimizers = {}

    def dataset(self, split: str) -> Draws:
        """Return the augmented pictures of ``split``."""
        config = self.config
        columns = {"photo": config.photo_column, "lines": config.lines_column}
        size_px = config.size_px if config.lines == "styles" else 2 * config.size_px
        return Draws(open_pictures(config.data, split, size_px=size_px, columns=columns), config)

    def losses(self, turn: Turn, batch: dict[str, Any], progress: float) -> dict[str, Tensor]:
        """Return L1, feature and adversarial terms, or the critic's."""
        config, target = self.config, batch["target"]
        if turn.network == "critic":
            return self.adversary.learn(batch)
        output = self.networks["generator"](batch["inputs"])
        seen, _, _ = self.adversary.see(batch, output)
        terms = {"l1": config.l1 * F.l1_loss(output, target)}
        if config.feature and seen:
            terms["feature"] = config.feature * mean_feature_distance(seen, batch["real_seen"])
        if config.adversarial:
            terms["adversarial"] = config.adversarial * self.adversary.teach(batch, output, seen)
        engine.fall_by_cosine(self.optimizers[turn.network], config.learning_rate, progress)
        return terms

    def sample(self, networks: dict[str, torch.nn.Module], batch: dict[str, Any]) -> Tensor:
        """Return columns: lines, painted, target."""
        painted = networks["generator"](batch["inputs"])
        return torch.cat([1 - 2 * batch["inputs"].expand_as(painted), painted, batch["target"]], 3)


def run(config: Pix2pixConfig) -> None:
    """Train what ``config`` says."""
    engine.train(Pix2pixTrainer(config), config)


if __name__ == "__main__":
    sys.exit(engine.main(Pix2pixConfig, run, description=__doc__ or ""))
