"""Contextual GAN: the drawing is a hint, the picture stays a picture.

Lu, Wu, Tai, Tang: "Image Generation from Sketch Constraint Using Contextual GAN", ECCV 2018,
arXiv 1711.08972. A network that was never shown what to answer paints pairs [sketch | photo] from
numbers z. For a drawing, the z is searched whose sketch resembles it; the photo beside that sketch
is the answer. So crooked lines bend no face, and the same network reads photos. What differs:

* the halves of a pair lie over each other, sketch and photo as 1 + 3 channels of one square: both
  are told by the same features, no wide layer works at full size, and a search step takes a
  quarter of the time; z changes every stage, not the first alone;
* an encoder reads from a drawing which z are likely (mean and spread): a first guess at once,
  candidates to start from, and what keeps the search among faces;
* a contextual loss that looks at blurred lines: it has a gradient where lines do not yet overlap,
  and does not mind thick or faint ones. The original's KL divergence reads whole pages as
  distributions, so paper counts more than lines; with an epsilon here, a black pixel made it
  infinite;
* all candidates are searched in one batch, each as if it were alone, and stop when nothing is
  gained; norms are per picture, where the original's answers depended on their batch.

The original network is the preset ``paper``, batch norm with the statistics of its training; the
original search is ``preset="seed"``. There the best point of the way is the answer, not the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2i import image
from s2i.edges import xdog
from s2i.errors import S2IError
from s2i.layers import Upsample, VectorEncoder, make_norm, split_moments
from s2i.methods.base import (
    INK_AMOUNT,
    Action,
    Choice,
    Drawing,
    Method,
    Result,
    Slider,
    Toggle,
    check_values,
)

LUMINANCE = (0.299, 0.587, 0.114)


# -- networks --------------------------------------------------------------------------------------


class PaperGenerator(nn.Module):
    """The original: numbers to a pair side by side; 5,962,755 parameters at width 64.

    DCGAN's, a linear layer and four transposed 5x5 convolutions; drawn at random as there.
    """

    prior, limit = "uniform", 1.0

    def __init__(self, *, latent: int = 100, width: int = 64, size_px: int = 64) -> None:
        """Build for ``latent`` numbers in [-1, 1] and pictures of ``size_px``, a multiple of 16."""
        super().__init__()
        w, self.side = width, size_px // 16
        self.first = nn.Linear(latent, 8 * w * 2 * self.side**2)
        stages: list[nn.Module] = [nn.BatchNorm2d(8 * w), nn.ReLU(inplace=True)]
        for before, after in pairwise((8 * w, 4 * w, 2 * w, w)):
            stages += [_enlarge(before, after), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.stages = nn.Sequential(*stages, _enlarge(w, 3), nn.Tanh())
        self.apply(_draw_as_paper)

    def forward(self, z: Tensor) -> Tensor:
        """(N, latent) -> (N, 3, S, 2 S) in [-1, 1]: sketch, dark on white, and photo."""
        return self.stages(self.first(z).unflatten(1, (-1, self.side, 2 * self.side)))


class PaperCritic(nn.Module):
    """The original's judge of pairs side by side: one logit; 4,324,737 parameters at width 64."""

    def __init__(self, *, width: int = 64, size_px: int = 64) -> None:
        """Build for pictures of ``size_px``, a multiple of 16."""
        super().__init__()
        w = width
        stages: list[nn.Module] = []
        for before, after in pairwise((3, w, 2 * w, 4 * w, 8 * w)):
            stages.append(nn.Conv2d(before, after, 5, stride=2, padding=2))
            if before != 3:
                stages.append(nn.BatchNorm2d(after))
            stages.append(nn.LeakyReLU(0.2, inplace=True))
        last = nn.Linear(8 * w * 2 * (size_px // 16) ** 2, 1)
        self.stages = nn.Sequential(*stages, nn.Flatten(), last)
        self.apply(_draw_as_paper)

    def forward(self, joint: Tensor) -> Tensor:
        """(N, 3, S, 2 S) -> logits (N, 1)."""
        return self.stages(joint)


def _enlarge(before: int, after: int) -> nn.Module:
    return nn.ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1)


def _draw_as_paper(layer: nn.Module) -> None:
    """Draw a layer's weights as the original does: deviation 0.02, about 1 in norms."""
    if isinstance(layer, nn.Conv2d):
        nn.init.trunc_normal_(layer.weight, std=0.02, a=-0.04, b=0.04)
    elif isinstance(layer, nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(layer.weight, std=0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
    if getattr(layer, "bias", None) is not None:
        nn.init.zeros_(layer.bias)


class _Stage(nn.Module):
    """Twice the size, a convolution, and a norm whose scale and shift z decides."""

    def __init__(self, before: int, after: int, latent: int) -> None:
        super().__init__()
        self.grow = nn.Sequential(Upsample(), nn.Conv2d(before, after, 3, padding=1))
        self.norm = make_norm("group", after)
        self.style = nn.Linear(latent, 2 * after)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        scale, shift = self.style(z)[:, :, None, None].chunk(2, dim=1)
        return F.leaky_relu(self.norm(self.grow(x)) * (1 + scale) + shift, 0.2)


class StyleGenerator(nn.Module):
    """The network that ships: numbers to a pair of 1 + 3 channels; 1,076,964 parameters.

    At width 32, 128 numbers and 64 px. Three doublings by bilinear upsampling, then a stage that
    unfolds to full size and is averaged over 2 x 2 pixels, which takes out the one frequency of
    checkerboards.
    """

    prior, limit = "normal", 3.0

    def __init__(self, *, latent: int = 128, width: int = 32, size_px: int = 64) -> None:
        """Build for ``latent`` normal numbers and pictures of ``size_px``, a multiple of 16."""
        super().__init__()
        w, self.side = width, size_px // 16
        widths = (8 * w, 4 * w, 3 * w, 3 * w // 2)
        self.first = nn.Linear(latent, widths[0] * self.side**2)
        self.stages = nn.ModuleList(
            _Stage(before, after, latent) for before, after in pairwise(widths)
        )
        self.unfold = nn.Sequential(
            nn.Conv2d(widths[-1], 2 * w, 3, padding=1),
            nn.PixelShuffle(2),
            nn.ReplicationPad2d((0, 1, 0, 1)),
            nn.AvgPool2d(2, stride=1),
        )
        self.out = nn.Sequential(
            nn.Conv2d(w // 2, 16, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(16, 4, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """(N, latent) -> (N, 4, S, S) in [-1, 1]: sketch, dark on white, and photo."""
        x = F.leaky_relu(self.first(z), 0.2).unflatten(1, (-1, self.side, self.side))
        for stage in self.stages:
            x = stage(x, z)
        return self.out(self.unfold(x))


# -- pairs -----------------------------------------------------------------------------------------


def halves(joint: Tensor) -> tuple[Tensor, Tensor]:
    """Return sketch and photo of a pair, both (N, C, S, S) in [-1, 1], the sketch dark on white.

    4 channels are 1 of sketch and 3 of photo; 3 channels hold the sketch left, the photo right.
    """
    if joint.shape[1] == 4:
        return joint[:, :1], joint[:, 1:]
    left, right = joint.chunk(2, dim=3)
    return left, right


def join(sketch: Tensor, photo: Tensor, *, generator: str) -> Tensor:
    """Return the pair that the generator named ``generator`` would paint; see :func:`halves`."""
    if generator == "paper":
        return torch.cat([sketch.expand_as(photo), photo], 3)
    return torch.cat([sketch, photo], 1)


def to_ink(sketch: Tensor) -> Tensor:
    """Return the sketch of a pair as lines: (N, 1 or 3, S, S) -> (N, 1, S, S), ink 1."""
    if sketch.shape[1] == 3:
        sketch = (sketch * sketch.new_tensor(LUMINANCE)[:, None, None]).sum(1, keepdim=True)
    return (1 - sketch) / 2


# -- losses, one number a picture ------------------------------------------------------------------


def kl_divergence(first: Tensor, second: Tensor, *, epsilon: float = 1e-3) -> Tensor:
    """KL divergence of pictures read as distributions over their pixels: one number a picture.

    (N, 1, S, S) in [0, 1] each, either N may be 1. ``epsilon`` is added to every pixel, so that
    black ones give finite numbers.
    """
    p, q = ((x.flatten(1) + epsilon) for x in (first, second))
    p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
    return (p * (p / q).log()).sum(1)


def match_lines(ink: Tensor, goal: Tensor) -> Tensor:
    """How far lines are from a drawing's, 0 to 1: one number a picture.

    1 - the cosine of the blurred maps, mean of three widths of blur: strength and thickness count
    little, near misses cost less than far ones, and a blank page asks for nothing. (N, 1, S, S),
    ink 1; either N may be 1.
    """
    one, other = (_blur_thrice(x[:, 0]) for x in (ink, goal))
    squares = (one.square().sum(2) + 1e-2) * (other.square().sum(2) + 1e-2)
    return (1 - (one * other).sum(2) * squares.rsqrt()).mean(0)


def _blur_thrice(ink: Tensor) -> Tensor:
    """Return (N, S, S) under three Gaussians, flat: (3, N, S * S).

    Two products with a matrix of S x S; convolutions of one channel take ten times as long.
    """
    side = ink.shape[-1]
    places = torch.arange(side, device=ink.device, dtype=ink.dtype)
    sigmas = side * ink.new_tensor((0.0125, 0.025, 0.05))
    steps = (places[:, None] - places) / sigmas[:, None, None]
    taps = torch.softmax(-steps.square() / 2, dim=2)[:, None]
    return (taps @ ink @ taps.transpose(2, 3)).flatten(2)


def match_photo(photo: Tensor, goal: Tensor) -> Tensor:
    """Mean absolute difference of photos at full, half and quarter size: one number a picture."""
    terms = [(photo - goal).abs().flatten(1).mean(1)]
    for side in (2, 4):
        terms.append(
            (F.avg_pool2d(photo, side) - F.avg_pool2d(goal, side)).abs().flatten(1).mean(1)
        )
    return torch.stack(terms).mean(0)


# -- the search ------------------------------------------------------------------------------------


class Weights(NamedTuple):
    """What the terms of a search weigh.

    Attributes:
        contextual: of the distance to the goal; times the faithfulness asked for.
        realism: of -log sigmoid(critic), which judges whole pairs.
        prior: of the mean squared distance of z from what is likely, in standard deviations.
        colors: of the mean squared change of the photo, averaged to 4 x 4 px, since the start:
            lines tell nothing about colors, so a search has no reason to move them.
    """

    contextual: float
    realism: float
    prior: float
    colors: float = 0.0


WEIGHTS: Mapping[str, Weights] = {
    "kl": Weights(100.0, 1.0, 0.0),  # the original's
    "lines": Weights(1.0, 0.02, 0.1, 4.0),
    "photo": Weights(1.0, 0.05, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Where a search stands: candidates in the order of their loss.

    Attributes:
        step: steps taken.
        z: (N, latent).
        losses: (N,), weighted sums.
        joint: (N, C, S, W), the pairs that z gives.
        curve: the lowest loss after each step.
        is_last: whether the search is over.
    """

    step: int
    is_last: bool
    z: Tensor
    losses: Tensor
    joint: Tensor
    curve: tuple[float, ...]


class _Goal:
    """What is searched for: the loss of every z, and which z are likely."""

    def __init__(
        self,
        method: Contextual,
        goal: Tensor,
        *,
        loss: str,
        faithfulness: float,
        read: Tensor | None,
    ) -> None:
        self.method, self.goal, self.loss = method, goal, loss
        weights = WEIGHTS[loss]
        self.weights = weights._replace(contextual=weights.contextual * faithfulness)
        self.mean, self.deviation = goal.new_zeros(1, 1), goal.new_ones(1, 1)
        if read is not None:
            self.mean, self.deviation = split_moments(method.encoder(read))
        self.colors: Tensor | None = None

    def distance(self, joint: Tensor, *, is_reversed: bool = False) -> Tensor:
        """Return the contextual loss of each pair: (N,)."""
        sketch, photo = halves(joint)
        if self.loss == "photo":
            return match_photo(photo, self.goal)
        ink = to_ink(sketch)
        if self.loss == "lines":
            return match_lines(ink, self.goal)
        paper, wanted = 1 - ink, 1 - self.goal
        return kl_divergence(wanted, paper) if is_reversed else kl_divergence(paper, wanted)

    def __call__(self, z: Tensor, rows: Tensor) -> Tensor:
        """Return the loss of each z: (N, latent) -> (N,).

        The first call is for the points that a search starts from, all others for those of them
        that ``rows`` says.
        """
        joint = self.method.generator(z)
        verdict = self.method.critic(joint)
        with torch.autocast(z.device.type, enabled=False):
            losses = self.weights.contextual * self.distance(joint.float())
            losses = losses + self.weights.realism * F.softplus(-verdict.float()).flatten()
            if self.weights.prior:
                away = (z - self.mean) / self.deviation.clamp(min=0.2)
                losses = losses + self.weights.prior * away.square().mean(1)
            if self.weights.colors:
                colors = _pool(joint)
                if self.colors is None:
                    self.colors = colors.detach()
                change = (colors - self.colors[rows]).square().mean((1, 2, 3))
                losses = losses + self.weights.colors * change
        return losses


def _pool(joint: Tensor) -> Tensor:
    """Return the photos of pairs, averaged to (N, 3, 4, 4)."""
    return F.adaptive_avg_pool2d(halves(joint)[1].float(), 4)


DRAWS = 30  # the original's, of which the best starts; all starting points come from such draws
STEPS: Mapping[str, int] = {"fast": 30, "seed": 1000}
MOMENTUM, SEED_RATE = 0.9, 1e-3
FAST_RATE, BETAS = 0.1, (0.9, 0.999)
PATIENCE, LEAST_GAIN = 20, 1e-3  # steps without this relative gain end a candidate's search


class _Nesterov:
    """The original's optimiser; every row of z on its own."""

    def __init__(self, z: Tensor, steps: int) -> None:
        self.velocity = torch.zeros_like(z)

    def move(self, z: Tensor, gradient: Tensor, rows: Tensor, step: int) -> Tensor:
        before = self.velocity[rows]
        after = MOMENTUM * before - SEED_RATE * gradient
        self.velocity[rows] = after
        return z - MOMENTUM * before + (1 + MOMENTUM) * after


class _Adam:
    """Adam whose rate rises for a twentieth of the steps, then falls by a cosine to a tenth."""

    def __init__(self, z: Tensor, steps: int) -> None:
        self.steps, self.first, self.second = steps, torch.zeros_like(z), torch.zeros_like(z)

    def move(self, z: Tensor, gradient: Tensor, rows: Tensor, step: int) -> Tensor:
        first, second = BETAS
        self.first[rows] = first * self.first[rows] + (1 - first) * gradient
        self.second[rows] = second * self.second[rows] + (1 - second) * gradient.square()
        progress = step / self.steps
        rate = FAST_RATE * min(1.0, 20 * progress) * (0.55 + 0.45 * np.cos(np.pi * progress))
        slope = self.first[rows] / (1 - first**step)
        size = (self.second[rows] / (1 - second**step)).sqrt()
        return z - rate * slope / (size + 1e-8)


# -- the method ------------------------------------------------------------------------------------

GENERATORS: Mapping[str, type[nn.Module]] = {"paper": PaperGenerator, "style": StyleGenerator}
SEED = Slider(
    name="seed",
    default=0,
    low=0,
    high=9999,
    label="Seed",
    help="Where the search starts, by number: the same number gives the same pictures.",
)
COUNT = Slider(
    name="count", default=8, low=1, high=16, label="Candidates", help="Searched side by side."
)
LENGTH = Slider(
    name="steps",
    default=STEPS["fast"],
    low=0,
    high=1000,
    label="Steps",
    help="How long it searches at most; none shows where the search would start.",
)


class Contextual(Method):
    """Lines to pictures whose own sketch is like them, by searching; photos to sketches as well."""

    name = "contextual"
    title = "Contextual GAN"
    reads = ("lines",)
    needs_gradients = True  # the search follows them
    returns = "gallery"
    live = True
    controls = (
        Slider(
            name="faithfulness",
            default=1.0,
            low=0,
            high=4,
            step=0.1,
            label="Faithfulness",
            help="How much your lines count against what is likely; 0 paints whatever it likes.",
        ),
        COUNT,
        LENGTH,
        SEED,
        Choice(
            name="preset",
            default="fast",
            options=("fast", "seed"),
            label="Search",
            help="The fast one, or the original: the best of 30 draws, then about 1000 steps.",
            advanced=True,
        ),
        Toggle(
            name="sketches",
            default=True,
            label="Show what was matched",
            help="The sketch that came with each picture, beside it.",
            advanced=True,
        ),
    )
    preview: ClassVar[Mapping[str, Any]] = {"count": 1, "steps": 0}
    start_controls = (INK_AMOUNT,)
    actions = (
        Action(
            name="between",
            title="Walk between",
            help="Walk from the first guess to the answer, or between two, as a strip and a GIF.",
            controls=(
                Choice(
                    name="ends",
                    default="guess and answer",
                    options=("guess and answer", "two answers"),
                    label="From where to where",
                    help="The encoder's first guess and the best answer, or the two best answers.",
                ),
                Slider(
                    name="pictures",
                    default=9,
                    low=3,
                    high=30,
                    label="Pictures",
                    help="How many are painted.",
                ),
                SEED,
            ),
        ),
        Action(
            name="photo_to_sketch",
            title="The other way round",
            help="Search the pair whose photo is like the middle square of yours; see its sketch.",
            photos_low=1,
            photos_high=1,
            controls=(COUNT, LENGTH, SEED),
        ),
    )
    presets: ClassVar[Mapping[str, dict[str, Any]]] = {
        "paper": {"generator": "paper", "latent": 100, "width": 64, "size_px": 64},
        "small": {"generator": "style", "latent": 128, "width": 32, "size_px": 64},
    }

    def __init__(
        self, *, generator: str = "style", latent: int = 128, width: int = 32, size_px: int = 64
    ) -> None:
        """Build generator, encoder of drawings and critic of pairs.

        The critic serves the search as well as the training, so it is here.

        Args:
            generator: ``style`` or ``paper``.
            latent: how many numbers z has; 100 in the original.
            width: channels of the first stage of each network; 64 in the original.
            size_px: side of the pictures, a multiple of 16.
        """
        super().__init__(generator=generator, latent=latent, width=width, size_px=size_px)
        self.size_px, self.latent = size_px, latent
        self.generator = GENERATORS[generator](latent=latent, width=width, size_px=size_px)
        self.encoder = VectorEncoder(channels=1, out=2 * latent, width=width, size_px=size_px)
        if generator == "paper":
            self.critic = PaperCritic(width=width, size_px=size_px)
        else:
            self.critic = VectorEncoder(
                channels=4, out=1, width=width, size_px=size_px, has_norm=False
            )

    def predict(
        self,
        drawing: Drawing,
        *,
        faithfulness: float = 1.0,
        count: int = 8,
        steps: int = 30,
        seed: int = 0,
        preset: str = "fast",
        sketches: bool = True,
    ) -> Iterator[Result]:
        """Yield the candidates for a drawing while the search runs, the best one first.

        The drawing lies in the middle of a square, as the network's faces do.
        """
        ink = self.read_goal(square(drawing.lines))
        options = {"count": count, "steps": steps, "seed": seed, "faithfulness": faithfulness}
        for found in self.search(ink, preset=preset, **options):
            yield _show(found, drawing.size, steps=steps, seed=seed, has_sketches=sketches)

    @classmethod
    def start_from(cls, photo: np.ndarray, **values: Any) -> Drawing:
        """Draw a photo (H, W, 3) as the sketches are that the network learned: XDoG, of its size.

        Raises:
            S2IError: a value out of the bounds of ``start_controls``.
        """
        settings = check_values(cls.start_controls, values)
        height, width = photo.shape[:2]
        size = image.fit_size((height, width), min(512, round((height * width) ** 0.5)))
        lines = xdog(
            image.resize(photo, size),
            sigma_px=max(0.3, 0.8 * (size[0] * size[1]) ** 0.5 / 128),
            epsilon=0.03 * settings["ink"] - 0.025,
        )
        return Drawing(lines=image.resize(lines, (height, width)))

    @torch.inference_mode(False)
    @torch.enable_grad()
    def search(
        self,
        goal: Tensor,
        *,
        preset: str = "fast",
        loss: str | None = None,
        read: Tensor | None = None,
        count: int = 8,
        steps: int | None = None,
        seed: int = 0,
        faithfulness: float = 1.0,
    ) -> Iterator[Candidates]:
        """Yield the best pairs found so far, ever better, the last time when all is done.

        ``fast``: the encoder's mean, and the best of thirty draws of its normal distribution for
        the others; Adam; a candidate without gain stops early. ``seed``, the original: the best
        of thirty draws of the prior by KL(goal || sketch), then Nesterov steps, z clipped. A photo
        without lines to ``read`` begins with draws of the prior. No candidate depends on others.

        Args:
            goal: drawing (1, 1, S, S), ink 1, or photo (1, 3, S, S) in [-1, 1]: the loss looks at
                that half of the pairs.
            preset: ``fast`` or ``seed``.
            loss: ``lines`` or ``kl`` for a drawing, whatever the preset; None: ``kl`` for ``seed``.
            read: lines (1, 1, S, S) that the encoder begins with; None: the goal, if it is lines.
            count: candidates, at most 30.
            steps: at most; None: 30 or, for ``seed``, the original's 1000.
            seed: where all randomness starts.
            faithfulness: factor of the contextual term.
        """
        steps = STEPS[preset] if steps is None else steps
        is_fast, is_photo = preset == "fast", goal.shape[1] == 3
        if is_photo:
            loss = "photo"
        elif loss is None:
            loss = "lines" if is_fast else "kl"
        read = goal if read is None and not is_photo else read
        read = read if is_fast else None
        with torch.no_grad():
            measure = _Goal(self, goal, loss=loss, faithfulness=faithfulness, read=read)
            z = self._start(measure, count=count, seed=seed, has_guess=read is not None)
        optimizer = (_Adam if is_fast else _Nesterov)(z, steps)
        limit, every = self.generator.limit, 10 if is_fast else 20
        best, lowest = z.clone(), z.new_full((len(z),), float("inf"))
        mark, gained_at = lowest.clone(), torch.zeros(len(z), dtype=torch.long, device=z.device)
        rows, curve = torch.arange(len(z), device=z.device), []
        for step in range(steps + 1):
            at = z[rows].requires_grad_()
            losses = measure(at, rows)
            values = losses.detach()
            is_lower = values < lowest[rows]
            best[rows[is_lower]], lowest[rows[is_lower]] = z[rows[is_lower]], values[is_lower]
            curve.append(lowest.min().item())
            is_gain = values < mark[rows] * (1 - LEAST_GAIN * mark[rows].sign())
            mark[rows[is_gain]], gained_at[rows[is_gain]] = values[is_gain], step
            is_going = (step - gained_at[rows] < PATIENCE) | (not is_fast)
            is_last = step == steps or not bool(is_going.any())
            if is_last or step % every == 0:
                yield self._rank(best, lowest, curve, is_last=is_last)
            if is_last:
                return
            (gradient,) = torch.autograd.grad(losses.sum(), at)
            moved = optimizer.move(at.detach(), gradient, rows, step + 1)
            z[rows] = moved.clamp(-limit, limit)
            rows = rows[is_going]

    def _start(self, measure: _Goal, *, count: int, seed: int, has_guess: bool) -> Tensor:
        """Return the points to search from, best draws by the contextual loss: (count, latent)."""
        if has_guess and count == 1:
            return measure.mean.clamp(-self.generator.limit, self.generator.limit)
        draws = self.draw_prior(DRAWS, torch.Generator().manual_seed(seed)).to(measure.goal)
        if has_guess:
            draws = measure.mean + measure.deviation * draws
            draws = torch.cat([measure.mean, draws]).clamp(
                -self.generator.limit, self.generator.limit
            )
        distances = measure.distance(self.generator(draws).float(), is_reversed=True)
        if has_guess:
            distances[0] = -1  # the mean is always among them
        return draws[distances.argsort(stable=True)[:count]]

    def draw_prior(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Return numbers as the generator was trained on: (count, latent) on the CPU."""
        if self.generator.prior == "uniform":
            return 2 * torch.rand(count, self.latent, generator=generator) - 1
        return torch.randn(count, self.latent, generator=generator)

    @torch.no_grad()
    def _rank(self, z: Tensor, losses: Tensor, curve: list[float], *, is_last: bool) -> Candidates:
        order = losses.argsort(stable=True)
        return Candidates(
            step=len(curve) - 1,
            is_last=is_last,
            z=z[order],
            losses=losses[order],
            joint=self.generator(z[order]).float(),
            curve=tuple(curve),
        )

    @torch.inference_mode(False)
    def read_goal(self, layer: np.ndarray) -> Tensor:
        """Return a square drawing (S, S) or photo (S, S, 3) as the search's goal."""
        size = self.size_px, self.size_px
        small = shrink_lines(layer, size) if layer.ndim == 2 else image.resize(layer, size)
        return image.to_tensor(small)[None].to(next(self.parameters()).device)

    def between(
        self,
        drawing: Drawing,
        photos: tuple[np.ndarray, ...],
        *,
        ends: str = "guess and answer",
        pictures: int = 9,
        seed: int = 0,
    ) -> Result:
        """Walk in z from the first guess to the answer, or from the best answer to the next."""
        if drawing.lines is None:
            raise S2IError("there are no lines to search for: draw some first.")
        goal = self.read_goal(square(drawing.lines))
        if ends == "two answers":
            *_, found = self.search(goal, count=4, seed=seed)
            first, last = found.z[:2]
        else:
            guess, *rest = self.search(goal, count=1, seed=seed)
            first, last = guess.z[0], (rest[-1] if rest else guess).z[0]
        with torch.no_grad():
            joint = self.generator(walk(first, last, pictures)).float()
        made = tuple(_fit(image.to_picture(photo), drawing.size) for photo in halves(joint)[1])
        captions = tuple(f"{share:.0%}" for share in np.linspace(0, 1, pictures))
        return Result(pictures=made, captions=captions, frames=made + made[-2:0:-1])

    def photo_to_sketch(
        self,
        drawing: Drawing,
        photos: tuple[np.ndarray, ...],
        *,
        count: int = 8,
        steps: int = 30,
        seed: int = 0,
    ) -> Result:
        """Return the sketches of the pairs whose photo is like the middle square of the photo.

        Each with its photo beside it, best first, as large as that square. Only the photo half is
        compared; the photo's XDoG lines tell where to begin, and what is likely.
        """
        (photo,) = photos
        side = min(photo.shape[:2])
        middle = image.crop_square(photo, side)
        lines = self.read_goal(self.start_from(middle).lines)
        goal = self.read_goal(middle)
        *_, found = self.search(goal, read=lines, count=count, steps=steps, seed=seed)
        shown = _show(found, (side, side), steps=steps, seed=seed, has_sketches=True)
        pairs = zip(shown.pictures[1::2], shown.pictures[::2], strict=True)
        captions = zip(shown.captions[::2], range(1, count + 1), strict=True)
        return Result(
            pictures=tuple(picture for pair in pairs for picture in pair),
            captions=tuple(
                caption for loss, rank in captions for caption in (loss, f"{rank}: its photo")
            ),
            facts=shown.facts,
            curve=shown.curve,
        )


def shrink_lines(lines: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize lines (H, W) to ``size``; those grown faint become dark again: (height, width).

    Only as far as they are faint, at most four times, so XDoG's stay as they are.

    >>> page = np.full((8, 8), 255, np.uint8); page[:, 3] = 0
    >>> shrink_lines(page, (2, 2)).tolist()
    [[0, 255], [0, 255]]
    """
    ink = 255 - image.resize(lines, size).astype(np.float32)
    dark = ink[ink > 12]
    gain = min(4.0, 255 / np.quantile(dark, 0.9)) if dark.size else 1.0
    return (255 - np.clip(gain * ink, 0, 255)).round().astype(np.uint8)


def square(lines: np.ndarray) -> np.ndarray:
    """Put lines (H, W) into the middle of a square of white paper: (S, S), S the longer side.

    >>> square(np.zeros((1, 3), np.uint8)).tolist()
    [[255, 255, 255], [0, 0, 0], [255, 255, 255]]
    """
    height, width = lines.shape
    side = max(height, width)
    paper = np.full((side, side), 255, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    paper[top : top + height, left : left + width] = lines
    return paper


def _fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Undo :func:`square`: enlarge a picture (S, S, 3), cut ``size`` out of its middle."""
    height, width = size
    side = max(size)
    large = image.resize(picture, (side, side))
    top, left = (side - height) // 2, (side - width) // 2
    return np.ascontiguousarray(large[top : top + height, left : left + width])


def walk(first: Tensor, last: Tensor, count: int) -> Tensor:
    """Return ``count`` points from one z to another: (latent,) each -> (count, latent).

    Their lengths go evenly from the one's to the other's; a straight line would pass by the origin,
    where pictures are bland.
    """
    shares = torch.linspace(0, 1, count, device=first.device)[:, None]
    points = torch.lerp(first[None], last[None], shares)
    lengths = torch.lerp(first.norm(), last.norm(), shares)
    return points * (lengths / points.norm(dim=1, keepdim=True).clamp(min=1e-6))


def _show(
    found: Candidates, size: tuple[int, int], *, steps: int, seed: int, has_sketches: bool
) -> Result:
    """Return what the page shows of a search: pictures of ``size``, captions, facts, curve."""
    sketches, photos = halves(found.joint)
    pictures, captions = [], []
    for rank, (sketch, photo, loss) in enumerate(
        zip(to_ink(sketches), photos, found.losses.tolist(), strict=True), 1
    ):
        pictures.append(_fit(image.to_picture(photo), size))
        captions.append(f"{rank}: loss {loss:.3f}")
        if has_sketches:
            paper = (1 - 2 * sketch).expand(3, -1, -1)
            pictures.append(_fit(image.to_picture(paper), size))
            captions.append(f"{rank}: its sketch")
    return Result(
        pictures=tuple(pictures),
        captions=tuple(captions),
        progress=1.0 if found.is_last else found.step / steps,
        facts=f"seed {seed} · step {found.step} of {steps}",
        curve=found.curve,
    )
