"""Losses that trainers share: perceptual and style distances, adversarial pairs, penalties.

Pictures are (N, 3, H, W) in [-1, 1]; every loss is an unweighted scalar, its weight is the
recipe's. Torchvision and timm are imported only when a network of theirs is asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from s2i.errors import S2IError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
INCEPTION = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
VGG19_CHANNELS = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)


def _vgg(name: str) -> nn.Sequential:
    import torchvision

    return getattr(torchvision.models, name)().features


def _squeezenet() -> nn.Sequential:
    import torchvision

    return torchvision.models.squeezenet1_1().features


def _inception() -> nn.Sequential:
    import timm

    return timm.create_model("inception_v4").features


def _distilled() -> nn.Sequential:
    """VGG19 with a quarter of the channels (a sixteenth of the weights) and reflected borders."""
    layers: list[nn.Module] = []
    before = 3
    for block in VGG19_CHANNELS:
        for channels in block:
            conv = nn.Conv2d(before, channels // 4, 3, padding=1, padding_mode="reflect")
            layers += [conv, nn.ReLU()]
            before = channels // 4
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def fetch_torchvision(weights: str) -> dict[str, Tensor]:
    """Return the tensors that torchvision publishes as ``weights``, from its cache or network."""
    import torchvision

    entry = torchvision.models.get_weight(weights)
    return entry.get_state_dict(progress=False, check_hash=True, weights_only=True)


def _fetch_timm() -> dict[str, Tensor]:
    import timm

    return timm.create_model("inception_v4", pretrained=True).state_dict()


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network whose layers are compared: how it is built, found, fed and tapped.

    Attributes:
        build: returns the untrained layers.
        fetch: returns trained weights from the user's cache or the network; ``None``: only a file.
        taps: layers whose outputs the feature distance compares.
        style_taps: layers whose Gram matrices the style distance compares.
        normalization: mean and standard deviation of its pictures in [0, 1].
    """

    build: Callable[[], nn.Sequential]
    fetch: Callable[[], dict[str, Tensor]] | None
    taps: tuple[int, ...]
    style_taps: tuple[int, ...]
    normalization: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET


BACKBONES = {
    # relu1_1 .. relu5_1; style: relu2_2, 3_4, 4_4, 5_2 (the paper's)
    "vgg19": Backbone(
        lambda: _vgg("vgg19"),
        lambda: fetch_torchvision("VGG19_Weights.IMAGENET1K_V1"),
        (1, 6, 11, 20, 29),
        (8, 17, 26, 31),
    ),
    # the same names; style: relu2_2, 3_3, 4_3, 5_2
    "vgg16": Backbone(
        lambda: _vgg("vgg16"),
        lambda: fetch_torchvision("VGG16_Weights.IMAGENET1K_V1"),
        (1, 6, 11, 18, 25),
        (8, 15, 22, 27),
    ),
    "vgg19_distilled": Backbone(_distilled, None, (1, 6, 11, 20, 29), (8, 17, 26)),
    # the seven slices of LPIPS-squeeze
    "squeezenet": Backbone(
        _squeezenet,
        lambda: fetch_torchvision("SqueezeNet1_1_Weights.IMAGENET1K_V1"),
        (1, 4, 7, 9, 10, 11, 12),
        (4, 7, 10, 12),
    ),
    # stem, first mixing, the last Inception-A and the last Inception-B block
    "inception_v4": Backbone(_inception, _fetch_timm, (2, 3, 9, 17), (3, 9), INCEPTION),
}


def _read_weights(path: str) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file of features, auxiliary heads left out."""
    try:
        state = load_file(path)
    except FileNotFoundError:
        raise S2IError(
            f"'{path}' was not found: check the path of the perceptual weights."
        ) from None
    except (OSError, SafetensorError) as error:
        raise S2IError(
            f"'{Path(path).name}' could not be read as safetensors ({error}): it may be damaged."
        ) from None
    return {key: tensor for key, tensor in state.items() if not key.startswith("aux")}


def _load_layers(name: str, weights: str | None) -> tuple[nn.Sequential, bool]:
    """Return the trained layers of ``name`` and whether the weights reach its end."""
    backbone = BACKBONES[name]
    if weights is not None:
        state = _read_weights(weights)
    elif backbone.fetch is None:
        raise S2IError(f"'{name}' is in no public cache: give its safetensors file of weights.")
    else:
        try:
            state = backbone.fetch()
        except Exception as error:  # whatever the HTTP client of the day raises
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise S2IError(
                f"the perceptual network '{name}' is neither in this computer's cache nor could be "
                f"downloaded ({reason}): connect once, or give a safetensors file of its features."
            ) from None
    state = {
        key.removeprefix("features."): tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in state.items()
        if weights is not None or key.startswith("features.")
    }
    with torch.device("meta"):
        layers = backbone.build()
    indices = [int(key.split(".")[0]) for key in state if key.split(".")[0].isdigit()]
    end = max(indices, default=-1) + 1
    has_rest = any(True for _ in layers[end:].parameters())
    if end < len(layers) and isinstance(layers[end], nn.ReLU):
        end += 1
    covered = layers[:end]
    try:
        covered.load_state_dict(state, assign=True)
    except RuntimeError:
        source = "the cached file" if weights is None else f"'{Path(weights).name}'"
        raise S2IError(f"{source} does not hold features of '{name}'.") from None
    return covered, not has_rest


class Perceptual(nn.Module):
    """Distances between pictures as a frozen classification network sees them.

    Feature distance (PI-REC's L_feat on unit-normalized features): every tap's feature
    vectors are scaled to length 1 along the channels; squared differences are summed over the
    channels, averaged over pixels, pictures and taps. 0 for equal pictures, at most 2 where
    features are never negative. Style distance (PI-REC's L_style): mean absolute difference of
    Gram matrices F Fᵀ / (C H W), summed over the style taps. Both are computed in float32 from
    the taps on, also under autocast; gradients reach ``output`` only.

    Args:
        name: a key of ``BACKBONES``, or ``"none"``: every distance is 0 then.
        weights: a safetensors file with the network's features, keys as in the sequential
            ``features`` of torchvision or timm; it may end early. Taps beyond its end are left
            out, and its last layer becomes a tap. Without a file the user's own torchvision or
            timm cache is used, or the network.

    Raises:
        S2IError: no such name, no weights to be had, or a file that doesn't fit.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, name: str, *, weights: str | None = None) -> None:
        """Load the network; see the class."""
        super().__init__()
        self.name = name
        self.taps: tuple[int, ...] = ()
        self.style_taps: tuple[int, ...] = ()
        self.layers = nn.Sequential()
        if name == "none":
            return
        if name not in BACKBONES:
            raise S2IError(
                f"there is no perceptual network '{name}'; choose one of "
                f"{', '.join(BACKBONES)} or none."
            )
        backbone = BACKBONES[name]
        layers, is_whole = _load_layers(name, weights)
        end = len(layers)
        cut = () if is_whole or end - 1 >= backbone.taps[-1] else (end - 1,)
        self.taps = tuple(sorted({*(tap for tap in backbone.taps if tap < end), *cut}))
        self.style_taps = tuple(tap for tap in backbone.style_taps if tap < end)
        self.layers = layers[: max(self.taps + self.style_taps) + 1]
        for layer in self.layers:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False  # the tap before it must stay as it was
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in backbone.normalization)
        self.register_buffer("scale", 0.5 / std)
        self.register_buffer("shift", (0.5 - mean) / std)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Perceptual:
        """Stay in evaluation mode, whatever a trainer asks its modules for."""
        return super().train(False)

    def _tapped(self, pictures: Tensor, taps: Sequence[int]) -> dict[int, Tensor]:
        """Return the outputs of the layers ``taps``; nothing behind the last one is computed."""
        found = {}
        if not taps:
            return found
        hidden = pictures * self.scale + self.shift
        for index, layer in enumerate(self.layers[: max(taps) + 1]):
            hidden = layer(hidden)
            if index in taps:
                found[index] = hidden
        return found

    def look(
        self, pictures: Tensor, *, has_style: bool = False
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the raw outputs of all feature taps and, if asked, of all style taps: one pass."""
        style_taps = self.style_taps * has_style
        found = self._tapped(pictures, self.taps + style_taps)
        return [found[tap] for tap in self.taps], [found[tap] for tap in style_taps]

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Return the raw output of every feature tap, shallow to deep."""
        return self.look(pictures)[0]

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the feature distance."""
        with torch.no_grad():
            wanted = self.features(target)
        if not wanted:
            return output.new_zeros((), dtype=torch.float32)
        return mean_feature_distance(self.features(output), wanted)

    def style(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the style distance."""
        with torch.no_grad():
            wanted = self.look(target, has_style=True)[1]
        if not wanted:
            return output.new_zeros((), dtype=torch.float32)
        return style_distance(self.look(output, has_style=True)[1], wanted)


def feature_distance(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared distance of feature vectors (N, C, H, W) scaled to length 1 along C: a scalar.

    >>> feature_distance(torch.tensor([3.0, 4]).view(1, 2, 1, 1), torch.ones(1, 2, 1, 1)).item()
    0.0201...
    """
    return (_unit(first.float()) - _unit(second.float())).square().sum(1).mean()


def mean_feature_distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Return the mean :func:`feature_distance` of features, pair by pair: what Perceptual does."""
    pairs = zip(first, second, strict=True)
    return torch.stack([feature_distance(one, other) for one, other in pairs]).mean()


def style_distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Return the sum of the mean absolute differences of features' Gram matrices, in float32."""
    with torch.autocast(first[0].device.type, enabled=False):
        pairs = zip(first, second, strict=True)
        return torch.stack([F.l1_loss(gram(one), gram(other)) for one, other in pairs]).sum()


def _unit(features: Tensor) -> Tensor:
    # not features / norm: its gradient is undefined where all channels are 0
    return features * torch.rsqrt(features.square().sum(1, keepdim=True) + 1e-8)


def gram(features: Tensor) -> Tensor:
    """Gram matrices of (N, C, H, W) over C H W: (N, C, C), float32."""
    count, channels, height, width = features.shape
    rows = features.float().reshape(count, channels, height * width)
    return rows @ rows.transpose(1, 2) / (channels * height * width)


def feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Sum over a critic's layers of the mean absolute difference; gradients reach ``fake`` only."""
    return torch.stack(
        [F.l1_loss(one, other.detach()) for one, other in zip(fake, real, strict=True)]
    ).sum()


def lsgan_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Least-squares loss of a critic on raw logits: half of E (real - 1)² + E fake²."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def lsgan_generator(fake: Tensor) -> Tensor:
    """Least-squares loss of a generator on raw logits: E (fake - 1)²."""
    return (fake - 1).square().mean()


def hinge_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of a critic on raw logits: E max(0, 1 - real) + E max(0, 1 + fake)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """Hinge loss of a generator on raw logits: - E fake."""
    return -fake.mean()


def bce_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Half the cross-entropy of a critic's raw logits, real as 1 and fake as 0: pix2pix's."""
    return (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2


def bce_generator(fake: Tensor) -> Tensor:
    """Non-saturating loss of a generator on raw logits: - E log sigmoid(fake)."""
    return F.softplus(-fake).mean()


GAN: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "lsgan": (lsgan_critic, lsgan_generator),
    "hinge": (hinge_critic, hinge_generator),
    "bce": (bce_critic, bce_generator),
}
"""The (critic, generator) losses by name."""


def r1_penalty(critic: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Mean over the pictures of the squared length of the critic's gradient at real ones (R1).

    ``critic`` returns logits of any shape, which are summed. The usual weight is gamma / 2.
    """
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(real).sum(), real, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def total_variation(pictures: Tensor, *, power: int = 1) -> Tensor:
    """Mean absolute step between neighbouring pixels, across plus down; squared with ``power`` 2.

    >>> total_variation(torch.tensor([[[[0.0, 3.0], [0.0, 3.0]]]]), power=2).item()
    9.0
    """
    steps = (pictures.diff(dim=-1), pictures.diff(dim=-2))
    return torch.stack([step.abs().pow(power).mean() for step in steps]).sum()


def split_l1(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Mean absolute differences on paper and on ink, of ink in [0, 1]: each over its own mass.

    With t the target's ink: sum (1 - t)|o - t| / sum (1 - t), and sum t|o - t| / sum t. So a few
    lines on a page count as much as the page; a mass below a thousandth of the pixels counts as
    that.

    >>> split_l1(torch.tensor([0.5, 0.5, 0.5, 0.0]), torch.tensor([0.0, 0.0, 0.0, 1.0]))
    (tensor(0.5000), tensor(1.))
    """
    difference, least = (output - target).abs(), target.numel() / 1000
    return tuple(
        (mass * difference).sum() / mass.sum().clamp(min=least) for mass in (1 - target, target)
    )


def dice(output: Tensor, target: Tensor) -> Tensor:
    """Soft Dice distance of masks (N, 1, H, W) in [0, 1], each picture's own, then their mean.

    sum |o - t| / sum (o + t): what 1 - Dice is of hard masks, and 0 for equal soft ones only (Wang
    and Blaschko, "Jaccard Metric Losses", 2023).

    >>> dice(torch.tensor([[[[1.0, 1.0, 0.0]]]]), torch.tensor([[[[1.0, 0.0, 0.0]]]])).item()
    0.3333...
    """
    apart = (output - target).abs().flatten(1).sum(1)
    return (apart / (output + target).flatten(1).sum(1).clamp(min=1e-3)).mean()
