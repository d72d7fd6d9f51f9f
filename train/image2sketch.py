"""Train image to sketch: a network that finds the object in a photo, and one that draws it.

    python train/image2sketch.py mask --data masks.zip --init-backbone torchvision --out runs/mask
    python train/image2sketch.py sketch --data my_photos/ faces.zip --out runs/pencil
    python train/image2sketch.py sketch --data pairs.zip --style ink --out runs/ink
    python train/publish.py runs/mask masknet.mine --license "mine" --data "my masks"

``mask`` wants photos and masks. Because masks that are easily had show objects on plain backdrops,
a share of the samples are composites: objects, of the data itself and of ``--cutouts`` (pictures of
one thing on one color are enough), stand somewhere in other photos. MobileNetV2's features are the
beginning; their file or ``torchvision`` is named by ``--init-backbone``.

``sketch`` wants photos, or pairs of pictures and lines (``--style ink``). The photos become worse,
with noise, in low light, under dirt, and what is to be drawn stays what the clean photo gives: the
colour dodge of :func:`s2i.edges.pencil`, or the artist's lines. Lines cover little of a page, so
paper and ink weigh by their own mass each. A critic judges patches of photo and sketch, by plain
logits: in the original a ReLU before its sigmoid kept it from ever calling a sketch false.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from s2i import image
from s2i.edges import pencil
from s2i.errors import S2IError
from s2i.layers import PatchCritic
from s2i.methods.image2sketch import MASK_PX, MASK_SIDES, Image2Sketch, MaskNet
from train import engine, photos
from train.data import Sample, augment, open_several
from train.engine import Phase, RunConfig, Turn, setting
from train.losses import GAN, Perceptual, dice, fetch_torchvision, split_l1

# -- masks -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MaskConfig(RunConfig):
    """What a MaskNet recipe says."""

    data: tuple[str, ...] = setting((), "folders or zips of photos and masks; else drawings")
    batch: int = setting(16, "images a step, over all processes")
    version: int = setting(2, "1 answers 28 x 28 px, 2 answers 56 x 56", choices=(1, 2))
    backbone: str = setting("mobilenet", "network", choices=("mobilenet", "paper"))
    init_backbone: str = setting("", "safetensors file of MobileNetV2's features, or: torchvision")
    frozen: int = setting(0, "layers of mobilenet that stay as they begin; 4 save a third")
    cutouts: tuple[str, ...] = setting((), "folders or zips of things on one color, to be pasted")
    cutout_column: tuple[str, ...] = setting(
        (), "column of meta.csv that holds them: one for all, or one for each"
    )
    often: tuple[str, ...] = setting((), "pictures with such a word in their path count twice")
    pasted: float = setting(0.35, "share of samples that are composites")
    foreign: float = setting(0.3, "share of composites whose object is one of the cut-outs")
    degraded: float = setting(0.25, "share of samples made worse by noise, low light and the like")
    masking_images: int = setting(40_000, "length of the training")
    learning_rate: float = setting(1.5e-3, "of all but the backbone, at the start")
    backbone_rate: float = setting(2e-4, "learning rate of the backbone, at the start")
    bce: float = setting(1.0, "weight of the cross-entropy")
    dice: float = setting(1.0, "weight of the soft Dice distance")
    boundary: float = setting(1.0, "how much more pixels at the mask's boundary count")


CUTOUT_PX = 160  # they are pasted at 70 to 220 px
OPEN = 0.02  # a backdrop shows at most so much of its own object


class MaskDraws:
    """Augmented samples: photos with their masks, and composites."""

    def __init__(
        self, pictures: Sequence[Sample], cutouts: Sequence[Sample], config: MaskConfig
    ) -> None:
        """Draw from ``pictures`` as ``config`` says; ``cutouts`` may be empty."""
        self.pictures, self.cutouts, self.config = pictures, cutouts, config
        self.order = list(range(len(pictures)))
        if config.often:
            self.order += [
                index
                for index, name in enumerate(pictures.names)
                if any(word in name for word in config.often)
            ]

    def __len__(self) -> int:
        """Return the number of pictures, those that count twice twice."""
        return len(self.order)

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return ``photo`` (3, 224, 224) and ``mask`` (1, s, s), the covered share, s 28 or 56."""
        sample = self.pictures[self.order[index]]
        if sample.mask is None:
            raise S2IError(f"'{sample.name}' has no mask: name a column 'mask' in meta.csv.")
        photo, mask = sample.photo, sample.mask
        if rng.random() < self.config.pasted:
            photo, mask = self._compose(sample, rng)
        photo, mask = photos.crop(photo, mask, rng)
        photo = photos.tint(photo, rng)
        photo = photos.degrade(photo, rng, share=self.config.degraded)
        side = MASK_SIDES[self.config.version]
        share = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)
        return {
            "photo": image.to_tensor(photo),
            "mask": torch.from_numpy(share.astype(np.float32) / 255)[None],
        }

    def _compose(self, own: Sample, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return an object, ``own``'s or a cut-out, somewhere in another photo, and its mask."""
        thing, mask = own.photo, own.mask
        if len(self.cutouts) and rng.random() < self.config.foreign:
            other = self.cutouts[int(rng.integers(len(self.cutouts)))]
            found = photos.find_object(other.photo) if other.mask is None else other.mask
            thing, mask = (thing, mask) if found is None else (other.photo, found)
        if not mask.any():
            return own.photo, own.mask
        for _ in range(5):
            other = self.pictures[int(rng.integers(len(self.pictures)))]
            backdrop, covered = photos.find_backdrop(other.photo, other.mask, rng, size_px=MASK_PX)
            if covered < OPEN:
                break
        if covered >= OPEN or rng.random() < 0.25:  # as if far out of focus
            backdrop = cv2.GaussianBlur(
                backdrop, (0, 0), rng.uniform(4, 16) if covered < OPEN else 24
            )
        return photos.paste(thing, mask, backdrop, rng)


class MaskTrainer(engine.Trainer):
    """Network, phase and losses of MaskNet."""

    name = "masknet"
    betas = (0.9, 0.999)
    published = ("network",)

    def __init__(self, config: MaskConfig) -> None:
        """Build what ``config`` describes; the backbone begins with the features it names.

        Raises:
            S2IError: there are no such features, or the network has no place for them.
        """
        self.config = config
        self.method_kwargs: dict[str, Any] = {
            "version": config.version,
            "backbone": config.backbone,
        }
        network = MaskNet(**self.method_kwargs).network
        if config.init_backbone and config.backbone != "mobilenet":
            raise S2IError("init_backbone: only the backbone 'mobilenet' begins with features.")
        if config.frozen and config.backbone != "mobilenet":
            raise S2IError("frozen: only layers of the backbone 'mobilenet' can stay.")
        if config.init_backbone == "torchvision":
            network.trunk.load_state_dict(_fetch_features(network.trunk))
        elif config.init_backbone:
            network.init_backbone(config.init_backbone)
        self.networks = {"network": network}
        self.phases = (Phase("masking", config.masking_images, (Turn("network"),)),)
        self.optimizers = {}

    def dataset(self, split: str) -> MaskDraws:
        """Return the augmented photos of ``split``; cut-outs are always those of train."""
        config = self.config
        pictures = open_several(config.data, split, size_px=MASK_PX, parts=("mask",), squash=True)
        columns = [{"photo": column} for column in config.cutout_column]
        cutouts: Sequence[Sample] = ()
        if config.cutouts:
            cutouts = open_several(
                config.cutouts, "train", size_px=CUTOUT_PX, columns=columns, parts=("mask",)
            )
        return MaskDraws(pictures, cutouts, config)

    def optimizer(self, turn: Turn) -> torch.optim.Optimizer:
        """Return an optimiser with a lower rate for the backbone."""
        network = self.networks["network"]
        trunk = list(network.trunk.parameters()) if self.config.backbone == "mobilenet" else []
        known = {id(value) for value in trunk}
        rest = [value for value in network.parameters() if id(value) not in known]
        groups = [{"params": rest}, *([{"params": trunk}] if trunk else [])]
        build = engine.OPTIMIZERS[self.config.optimizer]
        self.optimizers["network"] = build(groups, lr=1e-3, betas=self.betas)
        return self.optimizers["network"]

    def losses(self, turn: Turn, batch: dict[str, Any], progress: float) -> dict[str, Tensor]:
        """Return cross-entropy and soft Dice distance."""
        config, mask = self.config, batch["mask"]
        optimizer = self.optimizers["network"]
        rates = [config.learning_rate, config.backbone_rate][: len(optimizer.param_groups)]
        engine.fall_by_cosine(optimizer, rates, progress)
        network = self.networks["network"]
        if config.frozen:
            network.trunk[: config.frozen].requires_grad_(False)
        logits = network(batch["photo"]).float()
        weight = 1 + config.boundary * find_boundary(mask)
        entropy = F.binary_cross_entropy_with_logits(logits, mask, weight)
        return {"bce": config.bce * entropy, "dice": config.dice * dice(logits.sigmoid(), mask)}

    def sample(self, networks: dict[str, torch.nn.Module], batch: dict[str, Any]) -> Tensor:
        """Return columns: photo, found mask, true mask."""
        found = networks["network"](batch["photo"]).float().sigmoid()
        layers = [
            F.interpolate(2 * layer - 1, MASK_PX, mode="bilinear").expand_as(batch["photo"])
            for layer in (found, batch["mask"])
        ]
        return torch.cat([batch["photo"], *layers], 3)


def find_boundary(mask: Tensor) -> Tensor:
    """Return 1 where a mask (N, 1, H, W) has other values within a pixel, less by the step's size.

    >>> find_boundary(torch.tensor([[[[0.0, 0.0, 0.0, 1.0]]]])).tolist()
    [[[[0.0, 0.0, 1.0, 1.0]]]]
    """
    largest = F.max_pool2d(mask, 3, stride=1, padding=1)
    return largest + F.max_pool2d(-mask, 3, stride=1, padding=1)


def _fetch_features(trunk: torch.nn.Module) -> dict[str, Tensor]:
    state = fetch_torchvision("MobileNet_V2_Weights.IMAGENET1K_V1")
    return {name: state[f"features.{name}"] for name in trunk.state_dict()}


# -- sketches --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SketchConfig(RunConfig):
    """What a SketchNet recipe says."""

    data: tuple[str, ...] = setting((), "folders or zips of photos or pairs; else drawings")
    batch: int = setting(8, "images a step, over all processes")
    style: str = setting("pencil", "what is drawn", choices=("pencil", "ink"))
    size_px: int = setting(192, "side of the parts trained on")
    picture_px: int = setting(256, "side that pictures are brought to before a part is taken")
    generator: str = setting("folded", "network", choices=("folded", "paper", "shallow"))
    width: int = setting(24, "channels of the network's first stage (48 in the original)")
    critic_width: int = setting(16, "channels of the critic's first stage")
    photo_column: tuple[str, ...] = setting(
        (), "column of meta.csv that holds the pictures: one for all data, or one for each"
    )
    lines_column: tuple[str, ...] = setting((), "the same for the lines")
    moved: float = setting(0.5, "share of pictures moved, turned, scaled and tinted")
    degraded: float = setting(0.75, "share of samples whose photo is made worse")
    drawing_images: int = setting(40_000, "length of the training")
    learning_rate: float = setting(8e-4, "of the generator, at the start")
    critic_rate: float = setting(2e-4, "learning rate of the critic")
    paper: float = setting(4.0, "weight of the difference on paper, over the mass of paper")
    ink: float = setting(1.0, "weight of the difference on ink, over the mass of ink")
    perceptual: str = setting("none", "network of the feature distance: squeezenet, vgg19, ...")
    perceptual_weights: str = setting("", "safetensors file with its features")
    feature: float = setting(1.0, "weight of the perceptual feature distance")
    gan: str = setting("hinge", "adversarial loss", choices=("hinge", "lsgan", "bce"))
    adversarial: float = setting(0.02, "weight of the adversarial loss, ramped in")


class SketchDraws(engine.Draws):
    """Augmented samples: a photo, mostly made worse, and what is to be drawn.

    Pictures come at ``config.picture_px``.
    """

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return ``photo`` (3, S, S), perhaps made worse, and ``ink`` (1, S, S)."""
        config, sample = self.config, self.pictures[index]
        photo, lines = augment(sample, rng, amount=float(rng.random() < config.moved))
        top, left = rng.integers(photo.shape[0] - config.size_px + 1, size=2).tolist()
        part = np.s_[top : top + config.size_px, left : left + config.size_px]
        is_mirrored = rng.random() < 0.5

        def take(layer: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(layer[part][:, ::-1] if is_mirrored else layer[part])

        photo = take(photo)
        is_pencil = config.style == "pencil"
        target = pencil(photo) if is_pencil else take(self._own_lines(sample, lines))
        return {
            "photo": image.to_tensor(photos.degrade(photo, rng, share=config.degraded)),
            "ink": image.to_tensor(target),
        }

    @staticmethod
    def _own_lines(sample: Sample, lines: np.ndarray | None) -> np.ndarray:
        if lines is None:
            raise S2IError(
                f"'{sample.name}' has no lines: ink is learned from pairs; name their column of "
                "meta.csv with --lines-column, or train the style pencil."
            )
        return lines


class SketchTrainer(engine.Trainer):
    """Networks, phase and losses of SketchNet."""

    name = "image2sketch"
    published = ("generator",)

    def __init__(self, config: SketchConfig) -> None:
        """Build what ``config`` describes, weights drawn at random.

        Raises:
            S2IError: the network can't be trained at that size.
        """
        self.config = config
        self.method_kwargs: dict[str, Any] = {
            "generator": config.generator,
            "width": config.width,
            "style": config.style,
        }
        method = Image2Sketch(**self.method_kwargs)
        if config.size_px % method.size_multiple or config.size_px > config.picture_px:
            raise S2IError(
                f"size_px must be a multiple of {method.size_multiple} for '{config.generator}', "
                f"at most picture_px ({config.picture_px}); got {config.size_px}."
            )
        self.networks = {
            "generator": method.generator,
            "critic": PatchCritic(channels=4, width=config.critic_width),
        }
        self.perceptual = Perceptual(config.perceptual, weights=config.perceptual_weights or None)
        self.critic_loss, self.generator_loss = GAN[config.gan]
        turns = (Turn("generator"), *([Turn("critic")] if config.adversarial else []))
        self.phases = (Phase("drawing", config.drawing_images, turns),)
        self.optimizers = {}

    def dataset(self, split: str) -> SketchDraws:
        """Return the augmented pictures of ``split``."""
        config = self.config
        count = max(len(config.photo_column), len(config.lines_column))
        named = [
            [*column, *column * count][:count]
            for column in (config.photo_column or ("",), config.lines_column or ("",))
        ]
        columns = [{"photo": photo, "lines": lines} for photo, lines in zip(*named, strict=True)]
        parts = ("lines",) if config.style == "ink" else ()
        pictures = open_several(
            config.data, split, size_px=config.picture_px, columns=columns, parts=parts
        )
        return SketchDraws(pictures, config)

    def prepare_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the batch as it is, in a dictionary that may be added to."""
        self.perceptual.to(batch["photo"].device)
        return dict(batch)

    def losses(self, turn: Turn, batch: dict[str, Any], progress: float) -> dict[str, Tensor]:
        """Return the differences on paper and on ink, feature and adversarial terms; critic's."""
        config, photo, ink = self.config, batch["photo"], batch["ink"]
        critic = self.networks["critic"]
        if turn.network == "critic":
            real, fake = (critic(join(photo, drawn)) for drawn in (ink, batch["fake"]))
            return {"adversarial": self.critic_loss(real, fake)}
        drawn = self.networks["generator"](photo)
        batch["fake"] = drawn.detach()
        on_paper, on_ink = split_l1(drawn.float(), ink)
        terms = {"paper": config.paper * on_paper, "ink": config.ink * on_ink}
        if config.feature and config.perceptual != "none":
            pages = [(1 - 2 * each).expand_as(photo) for each in (drawn, ink)]
            terms["feature"] = config.feature * self.perceptual(*pages)
        if config.adversarial:
            ramp = min(1.0, max(0.0, 5 * progress - 0.5))
            verdict = critic(join(photo, drawn))
            terms["adversarial"] = ramp * config.adversarial * self.generator_loss(verdict)
        engine.fall_by_cosine(self.optimizers[turn.network], config.learning_rate, progress)
        return terms

    def sample(self, networks: dict[str, torch.nn.Module], batch: dict[str, Any]) -> Tensor:
        """Return columns: photo, drawn, to be drawn."""
        photo = batch["photo"]
        pages = [
            (1 - 2 * each).expand_as(photo) for each in (networks["generator"](photo), batch["ink"])
        ]
        return torch.cat([photo, *pages], 3)


def join(photo: Tensor, ink: Tensor) -> Tensor:
    """Return what the critic judges: (N, 3, H, W) and (N, 1, H, W) -> (N, 4, H, W) in [-1, 1]."""
    return torch.cat([photo, 1 - 2 * ink], 1)


# -- commands --------------------------------------------------------------------------------------

COMMANDS: dict[str, tuple[type[RunConfig], type[engine.Trainer]]] = {
    "mask": (MaskConfig, MaskTrainer),
    "sketch": (SketchConfig, SketchTrainer),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    command, *rest = [*(sys.argv[1:] if arguments is None else arguments), ""]
    if command not in COMMANDS:
        is_help = command in ("-h", "--help")
        usage = f"usage: image2sketch.py {{{','.join(COMMANDS)}}} [-h] ..."
        print(f"{usage}\n\n{__doc__}", file=sys.stdout if is_help else sys.stderr)
        return 0 if is_help else 2
    config_class, trainer_class = COMMANDS[command]

    def run(config: Any) -> None:
        engine.train(trainer_class(config), config)

    return engine.main(config_class, run, description=__doc__ or "", argv=rest[:-1])


if __name__ == "__main__":
    sys.exit(main())
