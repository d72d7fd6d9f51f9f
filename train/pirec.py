"""Train PI-REC: imitation, generating, refinement.

    python train/pirec.py                     generated drawings, some minutes, gives pirec.demo
    python train/pirec.py --data my_pictures/ --out runs/mine
    python train/pirec.py --recipe train/recipes/pirec_faces.toml --data faces.zip
    python train/pirec.py --resume --out runs/mine --data my_pictures/
    python train/publish.py runs/mine pirec.mine --license "mine" --data "my pictures"

The paper (arXiv 1903.10146) describes three phases and never published their training; here:

1. *imitation*: the picture itself under strokes of bare paper -> the picture;
2. *generating*: lines and colours, drawn as people draw them -> the picture;
3. *refining*: what the averaged phase-2 generator painted (some samples: the picture blurred and
   noisy) -> the picture, by a copy of that generator.

Generator and critic are carried from phase to phase. Hyperparameter confusion (section 3.4 of the
paper) draws line detail, number of colours and both median filters afresh for every sample.
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
from s2i.edges import find_lines, thin_lines
from s2i.errors import S2IError
from s2i.methods.pirec import CHANNELS, Pirec, to_inputs, with_picture
from train import engine, hands, publish
from train.critics import Adversary
from train.data import augment, open_pictures
from train.engine import Phase, RunConfig, Turn, setting
from train.losses import (
    feature_matching,
    mean_feature_distance,
    style_distance,
)

DEMO = Path(__file__).parent / "recipes" / "pirec_demo.toml"


@dataclass(frozen=True, kw_only=True)
class PirecConfig(RunConfig):
    """What a PI-REC recipe says."""

    batch: int = setting(4, "images a step, over all processes")
    optimizer: str = setting("muon", "of all but the critic", choices=tuple(engine.OPTIMIZERS))
    size_px: int = setting(128, "side of the pictures trained on")
    generator: str = setting("skip", "network", choices=("skip", "paper"))
    width: int = setting(24, "channels of the network's first stage (64 in the paper)")
    critic: str = setting("patch", "critic", choices=("patch", "features"))
    critic_width: int = setting(24, "channels of the critic's first stage")
    photo_column: str = setting("", "column of a zip's meta.csv that holds the pictures")
    given_lines: float = setting(0.5, "share of samples with the data's own lines, if it has any")
    by_hand: bool = setting(True, "crooked lines and dabs; without: full colours alone")
    imitation_images: int = setting(1_000, "length of the first phase")
    generating_images: int = setting(6_500, "length of the second phase")
    refining_images: int = setting(2_500, "length of the third phase")
    rough: float = setting(0.15, "share of blurred pictures among those to be refined")
    learning_rate: float = setting(3e-4, "of generator and refiner, at the start of a phase")
    critic_rate: float = setting(2e-4, "learning rate of the critic")
    l1: float = setting(8.0, "weight of the mean absolute difference")
    perceptual: str = setting("none", "network of the perceptual losses: vgg19, vgg16, ...")
    perceptual_weights: str = setting("", "safetensors file with its features")
    feature: float = setting(8.0, "weight of the perceptual feature distance")
    refining_feature: float = setting(16.0, "the same in the refining phase")
    style: float = setting(0.0, "weight of the perceptual style distance")
    gan: str = setting("lsgan", "adversarial loss", choices=("lsgan", "hinge"))
    adversarial: float = setting(0.1, "weight of the adversarial loss; generating ramps it in")


class Draws(engine.Draws):
    """Augmented samples for all three phases, each with what the hyperparameters' dice gave."""

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return ``target`` (3, S, S), ``inputs`` and, if there is a first phase, ``imitation``."""
        photo, own_lines = augment(self.pictures[index], rng)
        size = photo.shape[:2]
        domain = confuse(photo, rng)
        lines = draw_lines(photo, own_lines, rng, self.config)
        if self.config.by_hand:
            photo, domain, colors = draw_colors(photo, domain, rng)
        else:
            colors = np.dstack([domain, np.full(size, 255, np.uint8)])
        lines = hands.drop_ink(lines, rng)
        kind = self.config.generator
        sample = {
            "target": image.to_tensor(photo),
            "inputs": to_inputs(lines, colors, generator=kind),
            "is_rough": torch.tensor(bool(rng.random() < self.config.rough)),
        }
        if self.config.imitation_images:
            bare = hands.leave_bare(photo, rng)
            sample["imitation"] = to_inputs(lines, bare, generator=kind)
        return sample


def confuse(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the colour domain with hyperparameters drawn from the original's ranges."""
    return palette.color_domain(
        photo,
        colors=int(rng.integers(2, 6)),
        blur_px=2 * int(rng.integers(7, 18)) + 1,
        soften_px=int(rng.choice((1, 3, 5))),
        seed=int(rng.integers(2**31)),
    )


def draw_lines(
    photo: np.ndarray,
    own_lines: np.ndarray | None,
    rng: np.random.Generator,
    config: PirecConfig,
) -> np.ndarray:
    """Return one-pixel lines: Canny of random detail or the data's own; half of them by hand."""
    size = photo.shape[:2]
    if own_lines is not None and rng.random() < config.given_lines:
        lines = thin_lines(own_lines, size)
    else:
        lines = find_lines(photo, sigma=rng.uniform(2.0, 5.4))
    if config.by_hand and rng.random() < 0.5:
        lines = hands.warp_lines(lines, rng)
    if rng.random() < 0.05:
        lines = np.full(size, 255, np.uint8)
    return lines


def draw_colors(
    photo: np.ndarray, domain: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paint as people do; return photo and domain, recoloured at times, and the painted layer.

    A third: 1 to 12 small dabs, half of them with an area recoloured to an unusual colour. A
    quarter: strokes, discs and fills over 10 to 90 %, shifted. A twentieth: nothing at all.
    The rest: the full colour domain.
    """
    kind = rng.random()
    if rng.random() < (0.5 if kind < 0.34 else 0.25):
        photo, domain = hands.recolor(photo, domain, rng)
    if kind < 0.34:
        colors, _ = hands.dab(domain, rng, count=int(rng.integers(1, 13)), radius_px=(1.5, 6))
    elif kind < 0.59:
        colors = hands.shift(hands.cover(domain, rng, share=rng.uniform(0.1, 0.9)), rng)
    elif kind < 0.64:
        colors = np.zeros((*domain.shape[:2], 4), np.uint8)
    else:
        colors = np.dstack([domain, np.full(domain.shape[:2], 255, np.uint8)])
    return photo, domain, colors


class PirecTrainer(engine.Trainer):
    """Networks, phases and losses of PI-REC."""

    name = "pirec"
    published = ("generator", "refiner")

    def __init__(self, config: PirecConfig) -> None:
        """Build what ``config`` describes, weights drawn at random.

        Raises:
            S2IError: a weight for the style without a network to measure it.
        """
        if config.style and config.perceptual == "none":
            raise S2IError("style needs a perceptual network: name one, or set style to 0.")
        self.config = config
        self.phase = "imitation"
        method = Pirec(**self.method_kwargs)
        self.adversary = Adversary(config, condition=CHANNELS[config.generator])
        self.networks = {
            "generator": method.generator,
            "refiner": method.refiner,
            "critic": self.adversary.critic,
        }
        self.optimizers = {}
        both = (Turn("generator"), Turn("critic"))
        self.phases = (
            Phase("imitation", config.imitation_images, both[:1]),
            Phase("generating", config.generating_images, both),
            Phase("refining", config.refining_images, (Turn("refiner"), Turn("critic"))),
        )

    @property
    def method_kwargs(self) -> dict[str, Any]:
        """What builds the method again; a run that stops early has no refiner yet."""
        config = self.config
        return {
            "generator": config.generator,
            "width": config.width,
            "size_px": config.size_px,
            "has_refiner": self.phase == "refining",
        }

    def dataset(self, split: str) -> Draws:
        """Return the augmented pictures of ``split``."""
        config = self.config
        columns = {"photo": config.photo_column}
        pictures = open_pictures(config.data, split, size_px=config.size_px, columns=columns)
        return Draws(pictures, config)

    def begin_phase(self, phase: Phase, ema: dict[str, torch.nn.Module]) -> None:
        """Start the refiner as a copy of the averaged generator, which then stays as it is."""
        self.phase, self.painter = phase.name, ema["generator"]
        if phase.name == "refining":
            self.networks["refiner"].load_state_dict(self.painter.state_dict())

    def prepare_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Choose the phase's inputs; in the third one paint the pictures to be refined."""
        batch = dict(batch)
        imitation = batch.pop("imitation", None)
        if self.phase == "imitation":
            batch["inputs"] = imitation
        if self.phase == "refining":
            painted = self.painter(batch["inputs"])
            rough = soften(batch["target"])
            is_rough = batch["is_rough"][:, None, None, None]
            batch["start"] = torch.where(is_rough, rough, painted)
        return batch

    def losses(self, turn: Turn, batch: dict[str, Any], progress: float) -> dict[str, Tensor]:
        """Return L1, perceptual and adversarial terms, or the critic's."""
        config, target = self.config, batch["target"]
        if turn.network == "critic":
            return self.adversary.learn(batch)
        output = self._generate(turn.network, batch)
        seen, style, real_style = self.adversary.see(batch, output, has_style=bool(config.style))
        terms = {"l1": config.l1 * F.l1_loss(output, target)}
        weight = config.refining_feature if self.phase == "refining" else config.feature
        if weight and seen:
            terms["feature"] = weight * mean_feature_distance(seen, batch["real_seen"])
        elif weight:  # L1 at three coarser scales
            halved = [[F.avg_pool2d(each, size) for size in (2, 4, 8)] for each in (output, target)]
            terms["feature"] = weight * feature_matching(*halved)
        if config.style:
            terms["style"] = config.style * style_distance(style, real_style)
        if self.phase != "imitation" and config.adversarial:
            ramp = 3 * progress - 1 if self.phase == "generating" else 1.0
            strength = config.adversarial * min(1.0, max(0.0, ramp))
            terms["adversarial"] = strength * self.adversary.teach(batch, output, seen)
        fall = 0.0 if self.phase == "imitation" else progress
        engine.fall_by_cosine(self.optimizers[turn.network], config.learning_rate, fall)
        return terms

    def _generate(self, network: str, batch: dict[str, Any]) -> Tensor:
        if network == "generator":
            return self.networks["generator"](batch["inputs"])
        refiner = self.networks["refiner"]
        picture = refiner(with_picture(batch["inputs"], batch["start"]))
        if torch.rand(()) < 0.1:  # so that repeated refinement stays stable
            picture = refiner(with_picture(batch["inputs"], picture.detach()))
        return picture

    def sample(self, networks: dict[str, torch.nn.Module], batch: dict[str, Any]) -> Tensor:
        """Return columns: colours and lines, spread colours, painted, refined, target."""
        inputs, target = batch["inputs"], batch["target"]
        painted = networks["generator"](inputs)
        refined = networks["refiner"](with_picture(inputs, painted))
        ink = inputs[:, 3:4] if inputs.shape[1] == CHANNELS["paper"] else inputs[:, 4:5]
        shown = [inputs[:, :3] * (1 - ink) - ink, painted, refined, target]
        if inputs.shape[1] != CHANNELS["paper"]:
            shown.insert(1, inputs[:, 5:8])
        return torch.cat(shown, dim=3)


def soften(target: Tensor) -> Tensor:
    """Blur pictures by half to a sixth and add a little noise: rough pictures to refine."""
    size = target.shape[-2:]
    factor = float(torch.empty(()).uniform_(2, 6))
    small = F.interpolate(target, scale_factor=1 / factor, mode="area")
    rough = F.interpolate(small, size=size, mode="bilinear", align_corners=False)
    return rough + 0.05 * torch.randn_like(rough)


def run(config: PirecConfig) -> None:
    """Train what ``config`` says; without data of one's own, publish the result as pirec.demo."""
    engine.train(PirecTrainer(config), config)
    if config.data is None:
        publish.publish(
            config.out,
            "pirec.demo",
            license="CC0-1.0",
            data="simple scenes that train/scenes.py draws",
            recipe=DEMO.name,
        )


def main(argv: list[str]) -> int:
    """Train as ``argv`` says; the recipe of the demo where it names neither data nor recipe."""
    says_what = any(word.partition("=")[0] in ("--data", "--recipe") for word in argv)
    return engine.main(
        PirecConfig,
        run,
        description=__doc__ or "",
        argv=argv if says_what else ["--recipe", str(DEMO), *argv],
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
