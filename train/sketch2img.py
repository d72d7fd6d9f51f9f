"""Train Sketch2Img: many pictures of a class from one bad drawing.

    python train/sketch2img.py --data my_things/ --out runs/mine
    python train/sketch2img.py --data clothes.zip fruit.zip --sketches sketches.zip --out runs/two
    python train/publish.py runs/mine sketch2img.mine --license "mine" --data "my things"

Data is a folder for each class, or zips whose meta.csv says the class of every picture. Classes are
drawn evenly. The sketch of a photo is its edges, found in several ways, or a crude drawing of them:
outlines alone, wrong proportions, gaps; the share of crude ones grows. Both are one pixel wide at
the size of the network, as every drawing is when it is used.

First the guesser learns alone, then it goes on while the generator learns. It sees such sketches
and people's (``--sketches``, a zip with classes; ``--alias jacket=outwear`` where it names one
otherwise). The generator learns by six losses:
adversarial, class, DRAGAN, L1, perceptual, diversity.

L1 and perceptual losses on random numbers z ask for the mean of all answers, so that z is not
heard. Therefore (``encoded``; a conditional VAE-GAN, after Zhu et al., "Toward Multimodal
Image-to-Image Translation", 2017) only numbers that were read from a photo must give this photo
again. Random ones must please the critic, be of their class, give other pictures than other
numbers (diversity: the mean difference of two pictures per unit of z, as far as a limit), and be
readable from the picture again. What is read is whitened over the data, so that it lies where
random numbers lie. ``diversity = 0`` leaves all this out: photo losses on every z.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from s2i import image
from s2i.edges import canny, thin_lines, xdog
from s2i.errors import S2IError
from s2i.methods.sketch2img import (
    INK_SHARE,
    MaskedUnit,
    Sketch2Img,
    continue_rim,
    read_sketch,
    shrink,
)
from train import engine, hands
from train.critics import FeatureCritic, build_critic, choose_features
from train.data import Drawings, Sample, open_several
from train.engine import Phase, RunConfig, Turn, setting
from train.losses import Perceptual, hinge_critic, hinge_generator, mean_feature_distance
from train.photos import find_object, guess_object
from train.posterior import Posterior
from train.scenes import SCENES


@dataclass(frozen=True, kw_only=True)
class Sketch2ImgConfig(RunConfig):
    """What a Sketch2Img recipe says."""

    data: tuple[str, ...] = setting((), "folders or zips of pictures with classes; else drawings")
    batch: int = setting(16, "images a step, over all processes")
    size_px: int = setting(64, "side of the pictures trained on, a multiple of 16")
    generator: str = setting("small", "network", choices=("small", "paper"))
    width: int = setting(24, "channels of each network's first stage (64 in the paper)")
    critic: str = setting("pooled", "critic", choices=("pooled", "features", "paper"))
    critic_width: int = setting(24, "channels of the critic's first stage")
    latent: int = setting(16, "numbers z that a picture varies by")
    begin: str = setting("label", "what the features begin with", choices=("label", "sketch"))
    conditional: bool = setting(True, "norms know the class")
    masked: bool = setting(True, "masked units; else plain convolutions")
    sketches: str = setting("", "folder or zip of people's sketches with classes, for the guesser")
    alias: tuple[str, ...] = setting((), "classes that the sketches name otherwise: jacket=outwear")
    crude_from: float = setting(0.2, "share of crude sketches at the beginning")
    crude_to: float = setting(0.8, "share of crude sketches at the end")
    guessing_images: int = setting(30_000, "length of the first phase: the guesser")
    painting_images: int = setting(200_000, "length of the second phase: the generator")
    learning_rate: float = setting(4e-4, "of all but the critic, at the start")
    critic_rate: float = setting(4e-4, "learning rate of the critic, at the start")
    gan: str = setting("hinge", "adversarial loss", choices=("hinge", "softplus"))
    adversarial: float = setting(0.5, "weight of the adversarial loss")
    label: float = setting(0.5, "weight of the class loss of the generator")
    warm_up: float = setting(0.03, "part of the painting with photo losses alone")
    dragan: float = setting(0.0, "weight of the critic's gradient penalty (10 in the paper)")
    l1: float = setting(6.0, "weight of the mean absolute difference")
    perceptual: str = setting("none", "network of the feature distance: vgg19, squeezenet, ...")
    perceptual_weights: str = setting("", "safetensors file with its features")
    feature: float = setting(3.0, "weight of the perceptual feature distance")
    diversity: float = setting(2.0, "weight of the diversity; 0: photo losses on every z")
    diversity_limit: float = setting(0.2, "difference per unit of z that is enough")
    encoded: bool = setting(True, "ask for the photo only from numbers read from it")
    kl: float = setting(0.1, "weight of the posterior's KL to random numbers, per number")
    latent_regression: float = setting(0.5, "weight of reading random numbers from their picture")


MARGIN = 4  # that part of a picture's side is added all around, so that it can be made smaller

# -- samples ---------------------------------------------------------------------------------------


class SketchDraws:
    """Augmented samples, classes evenly: a photo, a clean and a crude sketch, a person's sketch."""

    def __init__(
        self,
        pictures: Sequence[Sample],
        labels: Sequence[int],
        sketches: Sequence[np.ndarray],
        sketch_labels: Sequence[int],
        config: Sketch2ImgConfig,
    ) -> None:
        """Draw from ``pictures`` of twice ``config.size_px``; a label of -1 leaves one out.

        ``sketches`` are those of people, lines of the same size, of the classes that they show.
        """
        self.pictures, self.labels, self.config = pictures, labels, config
        self.sketches = sketches
        self.of_class: dict[int, list[int]] = {}
        for index, label in enumerate(sketch_labels):
            self.of_class.setdefault(label, []).append(index)
        self.order = balance(labels)
        self._known: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}

    def __len__(self) -> int:
        """Return the length of an epoch: classes times the pictures of the largest."""
        return len(self.order)

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return one sample.

        ``photo`` (3, S, S), ``clean``, ``crude`` and ``human`` (1, S, S), the class ``label``,
        ``chance``, a number in [0, 1] by which clean or crude is chosen, and ``human_label``: -1
        where no person drew this class, ``human`` is the crude sketch then.
        """
        index = self.order[index]
        size, label = self.config.size_px, self.labels[index]
        photo, mask = frame_photo(*self._look_at(index), rng)
        clean, crude = draw_sketches(photo, mask, rng)
        clean, crude = (thin_lines(lines, (size, size)) for lines in (clean, crude))
        human, human_label = crude, -1
        if label in self.of_class:
            known = self.of_class[label]
            human = self.sketches[known[int(rng.integers(len(known)))]]
            human = hands.misshape(human, rng, amount=rng.uniform(0.3, 1.2), flips=True)
            human = hands.break_lines(human, rng, gaps=int(rng.integers(3)))
            human, human_label = thin_lines(human, (size, size)), label
        photo = image.resize(photo, (size, size))
        layers = {"photo": photo, "clean": clean, "crude": crude, "human": human}
        return {
            **{name: image.to_tensor(layer) for name, layer in layers.items()},
            "label": torch.tensor(label),
            "chance": torch.tensor(rng.random(), dtype=torch.float32),
            "human_label": torch.tensor(human_label),
        }

    def _look_at(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return a picture with a margin, and where its object is, if that can be told; kept."""
        if index not in self._known:
            sample = self.pictures[index]
            mask = find_mask(sample.photo) if sample.mask is None else sample.mask
            margins = [len(sample.photo) // MARGIN] * 4
            self._known[index] = continue_rim(clear_rim(sample.photo, mask), margins), mask
        return self._known[index]


def find_mask(photo: np.ndarray) -> np.ndarray | None:
    """Return the mask of a photo's object if it can be told and is most of the photo."""
    rim = np.concatenate([photo[0], photo[-1], photo[:, 0], photo[:, -1]])
    is_on_paper = np.median(rim, axis=0).min() > 235
    mask = find_object(photo) if is_on_paper else guess_object(photo)
    is_part = mask is not None and max(cv2.boundingRect(mask)[2:]) < 0.6 * len(mask)
    return None if is_part else mask


def clear_rim(photo: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Give the outermost pixels of a photo that its object covers the color of the others."""
    if mask is None:
        return photo
    is_rim = np.ones(mask.shape, bool)
    is_rim[1:-1, 1:-1] = False
    covered = is_rim & (cv2.dilate(mask, np.ones((5, 5), np.uint8)) > 0)
    bare = is_rim & ~covered
    if not covered.any() or not bare.any():
        return photo
    cleared = photo.copy()
    cleared[covered] = np.median(photo[bare], axis=0)
    return cleared


def balance(labels: Sequence[int]) -> list[int]:
    """Return indices in which every class is as frequent as the largest; -1 is no class.

    >>> balance([0, 0, 0, 1, 1, -1])
    [0, 1, 2, 3, 4, 3]
    """
    of_class: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        if label >= 0:
            of_class.setdefault(label, []).append(index)
    largest = max((len(each) for each in of_class.values()), default=0)
    return [each[at % len(each)] for each in of_class.values() for at in range(largest)]


def frame_photo(
    wide: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """Bring an object to the size and place that it has in use, nearly, and tint it a little.

    Its longer side becomes 85 % of the square's, give or take a tenth; beyond the photo its rim
    goes on. Without a mask (S, S) the object is taken to fill 93 % of the photo. Black stays black
    and white white.

    Args:
        wide: the photo with a margin of a quarter of its side all around: (3 S / 2, 3 S / 2, 3).
        mask: (S, S), of the photo.
        rng: chooses everything.

    Returns:
        Photo (S, S, 3) and mask (S, S).
    """
    margin = len(wide) // (MARGIN + 2)
    side = len(wide) - 2 * margin
    box = (0.035 * side, 0.035 * side, 0.93 * side, 0.93 * side)
    box = box if mask is None else cv2.boundingRect(mask)
    zoom = INK_SHARE * side / max(box[2:]) * rng.uniform(0.9, 1.1)
    zoom = float(np.clip(zoom, 0.7, 1.35))
    middle = np.array([box[0] + (box[2] - 1) / 2, box[1] + (box[3] - 1) / 2])
    turn = cv2.getRotationMatrix2D((0, 0), rng.normal(0, 2.5), zoom)[:, :2]
    if rng.random() < 0.5:
        turn[:, 0] *= -1
    shift = (side - 1) / 2 + rng.uniform(-0.03, 0.03, 2) * side - turn @ middle
    matrix = np.column_stack([turn, shift - turn @ [margin, margin]])
    moved = cv2.warpAffine(wide, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    gamma = rng.uniform(0.8, 1.2) * rng.uniform(0.95, 1.05, 3)
    tones = np.rint(255 * (np.arange(256)[:, None] / 255) ** gamma).astype(np.uint8)
    moved = cv2.LUT(moved, tones[None])
    if mask is not None:
        matrix[:, 2] = shift
        mask = cv2.warpAffine(mask, matrix, (side, side))
        mask = np.where(mask >= 128, np.uint8(255), np.uint8(0))
    return moved, mask


def draw_sketches(
    photo: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a clean and a crude sketch of a photo (S, S, 3): (S, S) each, ink 0, not thinned.

    Clean: Canny's edges or thinned XDoG of random width, or the outline with the strongest edges
    inside; of the object alone, where the mask (S, S) tells it. Crude: outline or edges, of
    few points, short pieces left out, most of the inside as well; bent, stretched and broken.
    """
    scale = len(photo) / 128
    near = None
    if mask is not None:
        near = cv2.dilate(mask, np.ones((5, 5), np.uint8)) > 0
    style = rng.random()
    if style < 0.35 and mask is not None:
        clean = np.minimum(_edge(mask), _inside(photo, mask, rng))
    elif style < 0.75:
        strength, sigma_px = rng.uniform(0.5, 1.5), rng.uniform(0.8, 2.5) * scale
        for _ in range(3):  # less detail where there is much
            clean = canny(photo, sigma_px=sigma_px, low=0.08 * strength, high=0.2 * strength)
            if (clean < 128).mean() < 0.08:
                break
            sigma_px *= 1.5
    else:
        lines = xdog(photo, sigma_px=rng.uniform(0.6, 1.2) * scale, epsilon=rng.uniform(-0.02, 0))
        clean = thin_lines(lines, lines.shape)
    if near is not None:
        clean = np.where(near, clean, np.uint8(255))
    clean = hands.break_lines(clean, rng, gaps=0, shortest_px=rng.uniform(4, 14))
    if (clean < 128).sum() < len(clean):  # a faint object
        faint = canny(photo, sigma_px=1.2 * scale, low=0.03, high=0.08)
        clean = np.minimum(clean, faint if mask is None else _edge(mask))

    shortest_px = rng.uniform(8, 30)
    if mask is not None and rng.random() < 0.9:
        crude = hands.outline(mask, rng)
        if rng.random() < 0.6:
            inside = _inside(photo, mask, rng)
            inside = hands.break_lines(inside, rng, gaps=0, shortest_px=shortest_px)
            crude = np.minimum(crude, inside)
    else:
        crude = hands.break_lines(clean, rng, gaps=0, shortest_px=shortest_px)
    if rng.random() < 0.3:
        crude = hands.jitter(crude, rng, amount_px=rng.uniform(1, 4) * scale)
    crude = hands.misshape(crude, rng, amount=rng.uniform(0.2, 1.1))
    if rng.random() < 0.6:
        crude = hands.bend(crude, rng, amount_px=rng.uniform(0.3, 1.5) * scale)
    return clean, hands.break_lines(crude, rng, gaps=int(rng.integers(4)))


def _edge(mask: np.ndarray) -> np.ndarray:
    """Return the outermost pixels of a mask as lines."""
    return np.where(mask > cv2.erode(mask, np.ones((3, 3), np.uint8)), np.uint8(0), np.uint8(255))


def _inside(photo: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return strong edges that lie well inside of a mask as lines."""
    scale = len(photo) / 128
    lines = canny(photo, sigma_px=rng.uniform(1.5, 3.5) * scale, low=0.06, high=0.15)
    deep = cv2.erode(mask, np.ones((9, 9), np.uint8), borderValue=0) > 0
    return np.where(deep, lines, np.uint8(255))


# -- the critic ------------------------------------------------------------------------------------


class Critic(nn.Module):
    """Photo and sketch to real/fake logits and class logits, by the generator's encoder.

    ``paper``: batch norm, ReLU's leak 0.1, two linear heads on the flattened 512 x 8 x 8; from 6
    channels and for ten classes 6,270,041 parameters at width 64. ``pooled``: spectral norm
    everywhere, no other norm; the class head reads the mean over the places, the real/fake head
    each place, so that there are as many of its logits; 5,911,385.
    """

    def __init__(
        self,
        *,
        classes: int,
        kind: str = "pooled",
        channels: int = 4,
        width: int = 24,
        size_px: int = 64,
    ) -> None:
        """Build for photos and sketches that have ``channels`` channels together."""
        super().__init__()
        self.is_paper, w = kind == "paper", width
        normed: Callable[[nn.Module], nn.Module] = nn.Identity() if self.is_paper else spectral_norm
        options: dict[str, Any] = {
            "picture": channels,
            "norm": "batch" if self.is_paper else "none",
            "slope": 0.1,
            "has_spectral_norm": not self.is_paper,
        }
        widths = (w, 2 * w, 4 * w, 8 * w)
        plan = pairwise((channels, *widths))
        self.units = nn.ModuleList(MaskedUnit(before, after, **options) for before, after in plan)
        self.downs = nn.ModuleList(
            normed(nn.Conv2d(each, each, 2, stride=2)) for each in widths[:-1]
        )
        out = 8 * w * (size_px // 8) ** 2 if self.is_paper else 8 * w
        self.real, self.label = normed(nn.Linear(out, 1)), normed(nn.Linear(out, classes))

    def forward(self, photo: Tensor, ink: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised photos (N, 3, S, S), ink (N, 1 or 3, S, S) -> (N, places), (N, classes)."""
        pyramid = shrink(torch.cat([photo, ink], 1))
        x = pyramid[0]
        for level, unit in enumerate(self.units):
            x = unit(x, pyramid[level])
            if level < len(self.downs):
                x = self.downs[level](x)
        if self.is_paper:
            x = x.flatten(1)
            return self.real(x), self.label(x)
        places = x.flatten(2).transpose(1, 2)
        return self.real(places)[..., 0], self.label(places.mean(1))


# -- losses ----------------------------------------------------------------------------------------


def softplus_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Adversarial loss of a critic on raw logits: E softplus(-real) + E softplus(fake)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def softplus_generator(fake: Tensor) -> Tensor:
    """Adversarial loss of a generator on raw logits: E softplus(-fake)."""
    return F.softplus(-fake).mean()


GAN = {
    "softplus": (softplus_critic, softplus_generator),
    "hinge": (hinge_critic, hinge_generator),
}


def dragan_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, *, k: float = 1.0) -> Tensor:
    """Mean of (length of the critic's gradient - k) squared, around real photos (DRAGAN).

    At y + a (y_p - y) for a random a of each photo, y_p = y + 0.5 std u, std that of the batch,
    u in [0, 1] of each number (Kodali et al. 2017). The length is over all pixels and channels.
    """
    with torch.no_grad():
        away = 0.5 * real.std() * torch.rand_like(real)
        near = real + torch.rand(len(real), 1, 1, 1, device=real.device) * away
    near = near.detach().requires_grad_()
    logits = critic(near).flatten(1).mean(1)
    (gradient,) = torch.autograd.grad(logits.sum(), near, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - k).square().mean()


def diversity(first: Tensor, second: Tensor, z: Tensor, other: Tensor, *, limit: float) -> Tensor:
    """Mean difference of two pictures per mean difference of their numbers, at most ``limit``.

    Mode seeking (Mao et al. 2019), bounded, so that noise wins nothing. Pictures (N, C, H, W),
    numbers (N, L): a scalar, which is to grow.
    """
    apart = (first - second).abs().flatten(1).mean(1)
    return (apart / ((z - other).abs().mean(1) + 1e-5)).clamp(max=limit).mean()


# -- the trainer -----------------------------------------------------------------------------------


class Sketch2ImgTrainer(engine.Trainer):
    """Networks, phases and losses of Sketch2Img."""

    name = "sketch2img"
    betas = (0.0, 0.9)
    published = ("generator", "guesser")

    def __init__(self, config: Sketch2ImgConfig) -> None:
        """Build what ``config`` describes for the classes in its data, weights drawn at random.

        Raises:
            S2IError: the data can't be read or a picture has no class.
        """
        self.config = config
        self._train = self._open("train")
        names = read_labels(self._train)
        self.classes = sorted(set(names))
        mean, scale = measure(self._train)
        self.method_kwargs: dict[str, Any] = {
            "classes": self.classes,
            "generator": config.generator,
            "width": config.width,
            "size_px": config.size_px,
            "latent": config.latent,
            "begin": config.begin,
            "conditional": config.conditional,
            "masked": config.masked,
            "mean": mean,
            "scale": scale,
        }
        self.method = Sketch2Img(**self.method_kwargs)
        self.is_encoded = config.encoded and config.diversity > 0
        self.networks = {name: getattr(self.method, name) for name in self.published}
        self.perceptual = Perceptual(config.perceptual, weights=config.perceptual_weights or None)
        self.networks["critic"] = self._build_critic()
        also: tuple[str, ...] = ()
        if self.is_encoded:
            self.networks["posterior"] = Posterior(
                channels=3,
                latent=config.latent,
                width=config.width,
                size_px=config.size_px,
                classes=len(self.classes),
            )
            also = ("posterior",)
        self.critic_loss, self.generator_loss = GAN[config.gan]
        self.phases = (
            Phase("guessing", config.guessing_images, (Turn("guesser"),)),
            Phase(
                "painting",
                config.painting_images,
                (Turn("generator", also=also), Turn("critic"), Turn("guesser")),
            ),
        )
        self.optimizers = {}

    def _build_critic(self) -> nn.Module:
        config, classes = self.config, len(self.classes)
        if config.critic != "features":
            return Critic(
                classes=classes,
                kind=config.critic,
                channels=6 if config.critic == "paper" else 4,
                width=config.critic_width,
                size_px=config.size_px,
            )
        return build_critic(
            config.critic,
            self.perceptual,
            size_px=config.size_px,
            condition=1,
            width=config.critic_width,
            classes=classes,
        )

    def _open(self, split: str) -> Sequence[Sample]:
        config = self.config
        return open_several(config.data, split, size_px=2 * config.size_px, parts=("mask",))

    def dataset(self, split: str) -> SketchDraws:
        """Return the augmented pictures of ``split``; people's sketches are those of val or test.

        Raises:
            S2IError: a word in ``alias`` is none, or no sketch is of a class in the data.
        """
        pictures = self._train if split == "train" else self._open(split)
        numbers = {name: number for number, name in enumerate(self.classes)}
        labels = [numbers.get(name, -1) for name in read_labels(pictures)] if pictures else []
        sketches, sketch_labels = self._read_sketches("val" if split == "train" else "test")
        return SketchDraws(pictures, labels, sketches, sketch_labels, self.config)

    def _read_sketches(self, split: str) -> tuple[list[np.ndarray], list[int]]:
        """Return people's sketches of the data's classes, framed, and their classes' numbers."""
        config, numbers = self.config, {name: at for at, name in enumerate(self.classes)}
        if not config.sketches:
            return [], []
        aliases = dict(numbers)
        for word in config.alias:
            theirs, _, ours = word.partition("=")
            if ours not in numbers:
                raise S2IError(
                    f"alias must be like jacket=outwear, the second one of "
                    f"{', '.join(numbers)}; got '{word}'."
                )
            aliases[theirs] = numbers[ours]
        side = 2 * config.size_px
        found, labels = [], []
        for sample in open_several((config.sketches,), split, size_px=256, parts=()):
            if sample.label in aliases:
                grey = cv2.cvtColor(sample.photo, cv2.COLOR_RGB2GRAY)
                found.append(read_sketch(grey, side)[0])
                labels.append(aliases[sample.label])
        if not found and split == "val":
            raise S2IError(f"'{config.sketches}' has no sketch of {', '.join(numbers)}: use alias.")
        return found, labels

    def prepare_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Add the normalised photos and random numbers."""
        photo = batch["photo"]
        self.perceptual.to(photo.device)
        z = torch.randn(len(photo), self.config.latent, device=photo.device)
        return {**batch, "real": self.method.normalize(photo), "z": z}

    def losses(self, turn: Turn, batch: dict[str, Any], progress: float) -> dict[str, Tensor]:
        """Return the terms of one network's turn."""
        config = self.config
        rate = config.critic_rate if turn.network == "critic" else config.learning_rate
        engine.fall_by_cosine(self.optimizers[turn.network], rate, progress)
        if turn.network == "guesser":
            return self._guess(batch)
        ramp = self._ramp(progress)
        if turn.network == "critic":
            return self._judge(batch)
        share = config.crude_from + progress * (config.crude_to - config.crude_from)
        is_crude = (batch["chance"] < share)[:, None, None, None]
        batch["ink"] = torch.where(is_crude, batch["crude"], batch["clean"])
        return self._paint(batch, ramp)

    def _ramp(self, progress: float) -> float:
        """Return how much other than photo losses counts: all at three times the warm-up."""
        if not self.config.warm_up:
            return 1.0
        return min(1.0, max(0.0, (progress / self.config.warm_up - 1) / 2))

    def _guess(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the cross-entropies of the guesser."""
        guesser, label = self.networks["guesser"], batch["label"]
        ink = torch.cat([batch[name] for name in ("clean", "crude", "human")])
        clean, crude, human = guesser(ink).float().chunk(3)
        is_known = batch["human_label"] >= 0
        right = torch.cat([crude.argmax(1) == label, (human.argmax(1) == label)[is_known]])
        batch["right"] = right.float().mean()
        entropy = F.cross_entropy(human, batch["human_label"], ignore_index=-1, reduction="sum")
        return {
            "clean": F.cross_entropy(clean, label),
            "crude": F.cross_entropy(crude, label),
            "human": entropy / len(label),
        }

    def _paint(self, batch: dict[str, Any], ramp: float) -> dict[str, Tensor]:
        """Return the terms of the generator and of the posterior."""
        config, generator = self.config, self.networks["generator"]
        ink, label, real, z = batch["ink"], batch["label"], batch["real"], batch["z"]
        terms = {}
        if self.is_encoded:
            mean, spread, divergence = self.networks["posterior"](real, label)
            read = mean + torch.einsum("ni,nij->nj", torch.randn_like(mean), spread)
            terms["kl"] = config.kl * divergence.mean()
            both = torch.stack([read, z], 1) if ramp else read[:, None]
        elif config.diversity:
            both = torch.stack([z, torch.randn_like(z)], 1)
        else:
            both = z[:, None]
        painted = generator(ink, label, both.flatten(0, 1)).float()
        first, last = painted[:: both.shape[1]], painted[both.shape[1] - 1 :: both.shape[1]]
        seen = self.perceptual.features(self.method.denormalize(painted, is_clipped=False))
        with torch.no_grad():
            batch["real_seen"] = self.perceptual.features(batch["photo"])
        terms["l1"] = config.l1 * F.l1_loss(first, real)
        if config.feature and seen:
            of_first = [each[:: both.shape[1]] for each in seen]
            apart = mean_feature_distance(of_first, batch["real_seen"])
            terms["feature"] = config.feature * apart
        if ramp and config.diversity:
            partner = first.detach() if self.is_encoded else first
            numbers = both[:, 0].detach(), both[:, 1].detach()
            ratio = diversity(partner, last, *numbers, limit=config.diversity_limit)
            terms["diversity"] = -ramp * config.diversity * ratio
        if ramp and self.is_encoded and config.latent_regression:
            again = self.networks["posterior"].reread(last, label)
            terms["latent"] = ramp * config.latent_regression * F.l1_loss(again, z)
        if ramp:
            verdict, of_class = self._look(painted, ink, label, seen)
            terms["adversarial"] = ramp * config.adversarial * self.generator_loss(verdict)
            terms["label"] = ramp * config.label * of_class
        batch["fake_seen"] = [each.detach() for each in seen]
        batch["fake"], batch["apart"] = painted.detach(), (first - last).detach().abs().mean()
        return terms

    def _look(
        self, photo: Tensor, ink: Tensor, label: Tensor, seen: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the critic's real/fake logits and its class loss.

        Of each sketch there may be several photos, one after the other; ``seen`` are the
        perceptual network's features of the photos.
        """
        count = len(photo) // len(ink)
        ink, label = ink.repeat_interleave(count, 0), label.repeat_interleave(count, 0)
        if self.config.critic == "paper":
            ink = ink.expand(-1, 3, -1, -1)
        critic = self.networks["critic"]
        if isinstance(critic, FeatureCritic):
            seen = choose_features(seen, photo.shape[-1])
            verdict, classes = critic(photo, ink, seen, label)
        else:
            verdict, classes = critic(photo, ink)
        return verdict.float(), F.cross_entropy(classes.float(), label)

    def _judge(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the critic's terms; classes are learned from real photos alone."""
        real, ink, label = batch["real"], batch["ink"], batch["label"]
        on_real, of_class = self._look(real, ink, label, batch["real_seen"])
        on_fake, _ = self._look(batch["fake"], ink, label, batch["fake_seen"])
        terms = {"adversarial": self.critic_loss(on_real, on_fake), "label": of_class}
        if self.config.dragan:
            penalty = dragan_penalty(lambda near: self._see(near, ink, label), real)
            terms["dragan"] = self.config.dragan * penalty
        return terms

    def _see(self, photo: Tensor, ink: Tensor, label: Tensor) -> Tensor:
        """Return the critic's real/fake logits of normalised photos."""
        seen = self.perceptual.features(self.method.denormalize(photo, is_clipped=False))
        return self._look(photo, ink, label, seen)[0]

    @torch.no_grad()
    def watch(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return how often the guesser is right, and how far apart a sketch's two pictures are.

        Beside the latter, how far apart photos of the batch are.
        """
        if "apart" not in batch:
            return {"right": batch["right"]}
        real = batch["real"]
        return {
            "right": batch["right"],
            "apart": batch["apart"],
            "real_apart": (real - real.roll(1, 0)).abs().mean(),
        }

    def sample(self, networks: dict[str, nn.Module], batch: dict[str, Any]) -> Tensor:
        """Return columns: photo, clean sketch, its picture; crude and a person's sketch, pictures.

        The clean one's picture and the crude one's first are painted from what the photo says, the
        others from random numbers, the same in each row.
        """
        generator, label = networks["generator"], batch["label"]
        z = torch.randn(3, self.config.latent, device=label.device)

        def paint(ink: Tensor, numbers: Tensor) -> list[Tensor]:
            """Return the pictures of each sketch for rows of numbers, or for one row of its own."""
            count = len(numbers) // len(ink)
            painted = self.method.denormalize(generator(ink, label, numbers).float())
            return list(painted.unflatten(0, (len(ink), count)).unbind(1))

        def repeat(rows: Tensor) -> Tensor:
            return rows.repeat(len(label), 1)

        own = repeat(z[:1])
        if self.is_encoded:
            own = networks["posterior"](batch["real"], label)[0]
        columns = [batch["photo"], 1 - 2 * batch["clean"], *paint(batch["clean"], own)]
        columns += [1 - 2 * batch["crude"], *paint(batch["crude"], own)]
        columns += paint(batch["crude"], repeat(z))
        columns += [1 - 2 * batch["human"], *paint(batch["human"], repeat(z[:2]))]
        return torch.cat([column.expand_as(batch["photo"]) for column in columns], 3)


def read_labels(pictures: Sequence[Sample]) -> list[str]:
    """Return the class of every picture.

    Raises:
        S2IError: one has none.
    """
    parts = getattr(pictures, "parts", [pictures])
    names: list[str] = []
    for part in parts:
        if isinstance(part, Drawings):
            kinds = tuple(SCENES)
            names += [kinds[index % len(kinds)] for index in range(len(part))]
            continue
        for sample in part:
            if not sample.label:
                raise S2IError(
                    f"'{sample.name}' has no class: use a folder for each class, or a column "
                    "'class' in meta.csv."
                )
            names.append(sample.label)
    return names


def measure(pictures: Sequence[Sample]) -> tuple[list[float], float]:
    """Return the mean color of pictures, RGB in [0, 1], and the largest distance from it.

    Of some 500, evenly chosen, each at a quarter of its size; rounded to five digits.

    Raises:
        S2IError: there are none.
    """
    if not len(pictures):
        raise S2IError("there are no pictures to train on: the train split is empty.")
    is_drawn = isinstance(getattr(pictures, "parts", [None])[0], Drawings)
    step = max(1, len(pictures) // (32 if is_drawn else 500))  # each is drawn anew
    small = [
        image.resize(photo, (len(photo) // 4, len(photo) // 4)).reshape(-1, 3)
        for photo in (pictures[index].photo for index in range(0, len(pictures), step))
    ]
    pixels = np.concatenate(small) / 255
    mean = pixels.mean(axis=0)
    return mean.round(5).tolist(), round(float(np.abs(pixels - mean).max()), 5)


def run(config: Sketch2ImgConfig) -> None:
    """Train what ``config`` says."""
    engine.train(Sketch2ImgTrainer(config), config)


if __name__ == "__main__":
    sys.exit(engine.main(Sketch2ImgConfig, run, description=__doc__ or ""))
