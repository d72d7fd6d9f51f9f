"""Train Toy: lines to a picture.

python train/toy.py --data my_pictures/ --out runs/toy
python train/publish.py runs/toy toy.demo --license CC0-1.0 --data "my pictures"
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from s2i import image
from s2i.edges import sketchify
from s2i.methods.toy import Toy
from train import engine
from train.data import augment, open_pictures
from train.engine import Phase, RunConfig, Turn, setting


@dataclass(frozen=True, kw_only=True)
class ToyConfig(RunConfig):
    """What a recipe of Toy says."""

    size_px: int = setting(64, "side of the pictures trained on")
    painting_images: int = setting(1000, "length of the training")
    learning_rate: float = setting(0.1, "of the generator")


class Draws(engine.Draws):
    """Augmented samples: lines and picture."""

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return ``target`` (3, S, S) and ``inputs``, ink (1, S, S)."""
        photo, _ = augment(self.pictures[index], rng)
        return {"target": image.to_tensor(photo), "inputs": image.to_tensor(sketchify(photo))}


class ToyTrainer(engine.Trainer):
    """Network, phase and loss of Toy."""

    name = "toy"
    published = ("generator",)

    def __init__(self, config: ToyConfig) -> None:
        """Build what ``config`` describes."""
        self.config, self.optimizers = config, {}
        self.method_kwargs: dict[str, Any] = {"width": 1}
        self.networks = {"generator": Toy().generator}
        self.phases = (Phase("painting", config.painting_images, (Turn("generator"),)),)

    def dataset(self, split: str) -> Draws:
        """Return the augmented pictures of ``split``."""
        pictures = open_pictures(self.config.data, split, size_px=self.config.size_px)
        return Draws(pictures, self.config)

    def losses(self, turn: Turn, batch: dict[str, Any], progress: float) -> dict[str, Tensor]:
        """Return the mean absolute difference."""
        return {"l1": F.l1_loss(self.networks["generator"](batch["inputs"]), batch["target"])}

    def sample(self, networks: dict[str, nn.Module], batch: dict[str, Any]) -> Tensor:
        """Return what is painted."""
        return networks["generator"](batch["inputs"])


def run(config: ToyConfig) -> None:
    """Train what ``config`` says."""
    engine.train(ToyTrainer(config), config)


if __name__ == "__main__":
    sys.exit(engine.main(ToyConfig, run, description=__doc__ or ""))
