"""Scores: pictures in, numbers out.

Pictures are (H, W, 3) uint8 RGB, lines (H, W) uint8 with ink 0. Distances by trained networks
(:class:`Lpips`, :class:`Features`) find their weights in a folder of safetensors files, given as
``weights_dir`` or in the environment variable ``S2I_PERCEPTUAL``, else in torchvision's cache,
else torchvision downloads them. Everything that a picture is scored by stays out of training.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from s2i.errors import S2IError

if TYPE_CHECKING:
    import torch

BATCH = 16
FEATURE_TAPS = (1, 3, 6, 13, 17)
Pictures = Sequence[np.ndarray] | np.ndarray


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, peak 255; infinite for equal pictures."""
    error = np.square(first.astype(np.float64) - second).mean()
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Structural similarity on [0, 1] RGB, mean of the channels; 1 for equal pictures.

    Gaussian window of 11 px (sigma 1.5), K 0.01 and 0.03, as in Wang et al. 2004; the 5 px along
    the border, where the window would hang over, are left out. At least 11 px a side.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    batches = (_to_batch([picture], "cpu") for picture in (first, second))
    _, similarity = structural_similarity_index_measure(
        *batches, sigma=1.5, data_range=1.0, return_full_image=True
    )
    return float(similarity[..., 5:-5, 5:-5].mean())


def edge_f1(first: np.ndarray, second: np.ndarray, *, tolerance_px: float = 2) -> float:
    """Agreement of two line drawings of one size: 1 when all ink of each is near the other's.

    Harmonic mean of the share of ``first``'s ink that lies within ``tolerance_px`` of ink of
    ``second``, and the other way round. Two blank pages agree, a blank one and a drawn one don't.
    """
    is_ink = [lines < 128 for lines in (first, second)]
    if not is_ink[0].any() or not is_ink[1].any():
        return float(is_ink[0].any() == is_ink[1].any())
    shares = []
    for here, there in (is_ink, is_ink[::-1]):
        away = cv2.distanceTransform((~there).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        shares.append((away[here] <= tolerance_px).mean())
    total = sum(shares)
    return float(2 * shares[0] * shares[1] / total) if total else 0.0


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """Convert sRGB colors (..., 3) uint8 to CIELAB (D65, 2 degrees): (..., 3) float64."""
    value = np.asarray(rgb, np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_xyz = [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
    xyz = linear @ np.array(to_xyz).T / (0.95047, 1.0, 1.08883)
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def ciede2000(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Color difference CIEDE2000 of CIELAB colors (..., 3), which broadcast; about 2 is seen.

    Sharma, Wu, Dalal: The CIEDE2000 color-difference formula (2005), all weights 1.
    """
    l1, a1, b1 = np.moveaxis(np.asarray(first, np.float64), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(second, np.float64), -1, 0)
    mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(mean7 / (mean7 + 25.0**7))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    is_grey = c1 * c2 == 0
    turn = h2 - h1
    turn -= 360 * np.sign(turn) * (np.abs(turn) > 180 + 1e-9)  # opposite hues up to rounding
    turn = np.where(is_grey, 0, turn)
    hue = np.where(is_grey, h1 + h2, (h1 + turn / 2) % 360)
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    dl, dc = l2 - l1, c2 - c1
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    t = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    off50 = (lightness - 50) ** 2
    sl = 1 + 0.015 * off50 / np.sqrt(20 + off50)
    sc, sh = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    blue = 60 * np.exp(-(((hue - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.radians(blue))
    dl, dc, dh = dl / sl, dc / sc, dh / sh
    return np.sqrt(dl**2 + dc**2 + dh**2 + rotation * dc * dh)


def color_error(picture: np.ndarray, domain: np.ndarray, *, blur_px: int = 25) -> float:
    """Mean CIEDE2000 between ``picture`` after a median filter and the color map it should obey.

    Args:
        picture: (H, W, 3) uint8.
        domain: (H, W, 3) uint8.
        blur_px: the median's kernel, made odd.
    """
    blurred = cv2.medianBlur(picture, blur_px | 1)
    return float(ciede2000(to_lab(blurred), to_lab(domain)).mean())


def bootstrap_interval(
    values: Sequence[float] | np.ndarray, *, seed: int = 0, count: int = 2000
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean over ``count`` resamplings.

    For a paired comparison give the differences.
    """
    values = np.asarray(values, np.float64)
    drawn = np.random.default_rng(seed).integers(len(values), size=(count, len(values)))
    low, high = np.percentile(values[drawn].mean(1), [2.5, 97.5])
    return float(low), float(high)


def kid(first: np.ndarray, second: np.ndarray) -> float:
    """Kernel distance of two sets of features (N, D) and (M, D): unbiased MMD², near 0 for alike.

    Kernel (x · y / D + 1)³ as in Binkowski et al. 2018, over the whole sets, which may differ in
    size (torchmetrics asks for equal ones).
    """

    def inner(x: np.ndarray) -> float:
        values = _kernel(x, x)
        return (values.sum() - np.trace(values)) / (len(x) * (len(x) - 1))

    first, second = first.astype(np.float64), second.astype(np.float64)
    return float(inner(first) + inner(second) - 2 * _kernel(first, second).mean())


def kid_interval(
    first: np.ndarray, second: np.ndarray, *, seed: int = 0, count: int = 1000
) -> tuple[float, float]:
    """Return the 95 % percentile interval of :func:`kid` over resamplings of the first set.

    A picture that is drawn twice is not compared with itself. (N, D), (M, D), N and M at least 2.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    within, across, other = (
        _kernel(x, y) for x, y in ((first, first), (first, second), (second, second))
    )
    np.fill_diagonal(within, 0)
    fixed = (other.sum() - np.trace(other)) / (len(second) * (len(second) - 1))
    rng, size = np.random.default_rng(seed), len(first)
    drawn = rng.multinomial(size, np.full(size, 1 / size), size=count).astype(np.float64)
    pairs = size**2 - np.square(drawn).sum(1)
    inner = ((drawn @ within) * drawn).sum(1) / pairs
    values = inner + fixed - 2 * drawn @ across.mean(1) / size
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance of Gaussians fitted to features (N, D) and (M, D); it shrinks as N grows.

    The trace of the root of the covariances' product is the sum of the singular values of the
    N x M matrix of scaled inner products, so no D x D root is needed.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    gap = np.square(first.mean(0) - second.mean(0)).sum()
    one, other = (
        (features - features.mean(0)) / np.sqrt(len(features) - 1) for features in (first, second)
    )
    root = np.linalg.svd(one @ other.T, compute_uv=False).sum()
    return float(gap + np.square(one).sum() + np.square(other).sum() - 2 * root)


class Lpips:
    """Learned perceptual distance of pairs of pictures (Zhang et al. 2018, v0.1); 0 for equal ones.

    Args:
        net: ``"alex"``, what papers report, or ``"squeeze"``.
        weights_dir: holds ``alexnet_features.safetensors`` and ``lpips_alex_lin.safetensors``
            (``squeezenet1_1_...``, ``lpips_squeeze_...``); the second one may be missing, since
            the package lpips brings it.
        device: of torch.

    Raises:
        S2IError: the weights are neither in the folder nor in the cache nor to be downloaded.
    """

    BACKBONES = {  # noqa: RUF012
        "alex": ("alexnet", "AlexNet_Weights.IMAGENET1K_V1"),
        "squeeze": ("squeezenet1_1", "SqueezeNet1_1_Weights.IMAGENET1K_V1"),
    }

    def __init__(
        self,
        net: str = "alex",
        *,
        weights_dir: str | os.PathLike | None = None,
        device: str = "cpu",
    ) -> None:
        """Load the network; see the class."""
        import lpips

        architecture, entry = self.BACKBONES[net]
        features = _load_features(architecture, entry, weights_dir)
        heads = _find_file(f"lpips_{net}_lin.safetensors", weights_dir)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lpips calls torchvision in an outdated way
            network = lpips.LPIPS(pretrained=heads is None, net=net, pnet_rand=True, verbose=False)
        for piece in network.net.children():
            own = {name for name, _ in piece.named_children()}
            piece.load_state_dict({k: v for k, v in features.items() if k.split(".")[0] in own})
        if heads is not None:
            state = _read(heads)
            for index, head in enumerate(network.lins):
                head.load_state_dict({"model.1.weight": state[f"lin{index}.model.1.weight"]})
        self.network = network.eval().requires_grad_(False).to(device)
        self.device = device

    def __call__(self, first: Pictures, second: Pictures) -> np.ndarray:
        """Return the distance of each pair: (N,) for N and N pictures, all of one size."""
        distances = [
            self.network(one, other, normalize=True).flatten()
            for one, other in _pairs(first, second, self.device)
        ]
        return _join(distances)

    def embed(self, pictures: Pictures) -> np.ndarray:
        """Return vectors whose squared distances are those of the pictures: (N, D) float32.

        LPIPS is a weighted squared difference, so that a search among many pictures sees each of
        them once. D grows with the pictures: 32 thousand at 64 px, 148 thousand at 128 px.
        """
        import lpips
        import torch

        vectors = []
        for start in range(0, len(pictures), BATCH):
            batch = 2 * _to_batch(pictures[start : start + BATCH], self.device) - 1
            taps = self.network.net(self.network.scaling_layer(batch))
            parts = [
                lpips.normalize_tensor(tap) * (head.model[-1].weight / tap[0, 0].numel()).sqrt()
                for tap, head in zip(taps, self.network.lins, strict=True)
            ]
            vectors.append(torch.cat([part.flatten(1) for part in parts], 1))
        return _join(vectors)


class Features:
    """What MobileNetV2 sees in pictures: distances of pairs, and vectors that sets are compared by.

    Args:
        weights_dir: holds ``mobilenet_v2_features.safetensors``.
        device: of torch.

    Raises:
        S2IError: as :class:`Lpips`.
    """

    def __init__(
        self, *, weights_dir: str | os.PathLike | None = None, device: str = "cpu"
    ) -> None:
        """Load the network; see the class."""
        import torch
        import torchvision

        state = _load_features("mobilenet_v2", "MobileNet_V2_Weights.IMAGENET1K_V1", weights_dir)
        with torch.device("meta"):
            layers = torchvision.models.mobilenet_v2().features
        layers.load_state_dict(state, assign=True)
        self.layers = layers.eval().requires_grad_(False).to(device)
        self.device = device

    def distance(self, first: Pictures, second: Pictures) -> np.ndarray:
        """Return the distance of each pair: (N,) for N and N pictures, all of one size.

        Outputs of the blocks 1, 3, 6, 13 and 17, scaled to length 1 along the channels; squared
        differences summed over the channels, averaged over pixels and blocks.
        """
        from torch.nn.functional import normalize

        distances = []
        for pair in _pairs(first, second, self.device):
            one, other = ([normalize(tap) for tap in self._tapped(batch)] for batch in pair)
            taps = [(a - b).square().sum(1).mean((1, 2)) for a, b in zip(one, other, strict=True)]
            distances.append(sum(taps) / len(taps))
        return _join(distances)

    def pooled(self, pictures: Pictures) -> np.ndarray:
        """Return the last layer's mean over each picture, what :func:`kid` compares: (N, 1280)."""
        pooled = []
        for start in range(0, len(pictures), BATCH):
            batch = _to_batch(pictures[start : start + BATCH], self.device)
            pooled.append(self.layers(_normalize(batch)).mean((2, 3)))
        return _join(pooled)

    def _tapped(self, batch: torch.Tensor) -> list[torch.Tensor]:
        hidden = _normalize(batch)
        found = []
        for index, layer in enumerate(self.layers[: FEATURE_TAPS[-1] + 1]):
            hidden = layer(hidden)
            if index in FEATURE_TAPS:
                found.append(hidden)
        return found


def _find_file(name: str, weights_dir: str | os.PathLike | None) -> Path | None:
    folder = weights_dir or os.environ.get("S2I_PERCEPTUAL")
    path = Path(folder) / name if folder else None
    return path if path and path.is_file() else None


def _read(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file, floating ones as float32."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise S2IError(f"'{path.name}' could not be read ({error}): it may be damaged.") from None
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _load_features(
    architecture: str, entry: str, weights_dir: str | os.PathLike | None
) -> dict[str, torch.Tensor]:
    """Return the weights of torchvision's ``architecture().features``."""
    name = f"{architecture}_features.safetensors"
    path = _find_file(name, weights_dir)
    if path is not None:
        return _read(path)
    import torchvision

    try:
        state = torchvision.models.get_weight(entry).get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:
        raise S2IError(
            f"no '{name}' in the folder S2I_PERCEPTUAL, none in torchvision's cache, and none "
            f"could be downloaded ({error}): put the file there or connect once."
        ) from None
    prefix = "features."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _to_batch(pictures: Pictures, device: str) -> torch.Tensor:
    """Bring pictures of one size to float32 (N, 3, H, W) in [0, 1]."""
    import torch

    stacked = torch.from_numpy(np.stack(list(pictures)))
    return stacked.permute(0, 3, 1, 2).to(device).float() / 255


def _normalize(batch: torch.Tensor) -> torch.Tensor:
    """Apply ImageNet's mean and standard deviation to a batch in [0, 1]."""
    mean, std = (
        batch.new_tensor(values).view(3, 1, 1)
        for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    return (batch - mean) / std


def _pairs(
    first: Pictures, second: Pictures, device: str
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield pairs of batches of up to 16."""
    if len(first) != len(second):
        raise ValueError(f"expected as many pictures as others, got {len(first)}, {len(second)}")
    for start in range(0, len(first), BATCH):
        part = slice(start, start + BATCH)
        yield _to_batch(first[part], device), _to_batch(second[part], device)


def _join(parts: list[torch.Tensor]) -> np.ndarray:
    return np.concatenate([part.cpu().numpy() for part in parts])
