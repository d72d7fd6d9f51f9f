"""What the protocols share: task and report, measures of colors, means, sets, tables, sheets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from s2i import image, metrics
from s2i.edges import xdog
from s2i.methods.base import Method, Result
from train import hands
from train.data import Sample

SHEET_PICTURES = 16
LINES = {
    "given": "the data's own, else XDoG",
    "xdog": "XDoG",
    "xdog2x": "XDoG at twice the size, shrunk",
}
BETTER = {
    "lpips": "LPIPS ↓",
    "figure_lpips": "figure LPIPS ↓",
    "features": "MobileNetV2 ↓",
    "psnr": "PSNR dB ↑",
    "ssim": "SSIM ↑",
    "edge_f1": "edge F1 ↑",
    "color_error": "color error ↓",
    "kid": "KID ↓",
    "frechet": "Fréchet ↓",
}
MEASURES = ("lpips", "figure_lpips", "ssim", "psnr")
SET_MEASURES = ("kid", "frechet")
Row = dict[str, float]
Mean = tuple[float, float, float]
Sets = dict[str, dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """What a person drew.

    Attributes:
        lines: (H, W) uint8, ink 0, paper 255.
        label: its class, where known.
        name: the source and the path within it.
    """

    lines: np.ndarray
    label: str | None
    name: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a protocol scores and with what.

    Attributes:
        run: the weight, ready: takes a drawing and the method's controls.
        samples: square test pictures of one size.
        reference: training photos of that size, at most as many; may be empty.
        lpips: judges pairs.
        features: judges pairs and sets.
        seed: of dabs and warps.
        lines: which lines the samples carry, a key of ``LINES``; only told.
        method: what ``run`` runs.
        act: its actions: name and photos, and the action's controls.
        training: all training samples of that size, read when asked for.
        beside: other weights to compare with, by name, each as ``run``.
        sketches: people's drawings.
    """

    run: Callable[..., Result]
    samples: Sequence[Sample]
    reference: Sequence[np.ndarray]
    lpips: metrics.Lpips
    features: metrics.Features
    seed: int = 0
    lines: str = "given"
    method: Method | None = None
    act: Callable[..., Result] | None = None
    training: Sequence[Sample] = ()
    beside: Mapping[str, Callable[..., Result]] = field(default_factory=dict)
    sketches: Sequence[Sketch] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came out.

    Attributes:
        names: of the pictures.
        rows: one a picture: ``condition.measure`` -> number, NaN where nothing could be measured.
        scores: the same names -> mean, and what belongs to the whole set.
        tables: Markdown.
        sheets: file name -> picture.
    """

    names: list[str]
    rows: list[Row]
    scores: dict[str, float]
    tables: str
    sheets: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A score that stands in README's table of all weights and in the weight's card.

    It is left out where it was not measured, or where it has trivial answers and none was.

    Attributes:
        score: its name.
        title: what the reader calls it, and whether more or less is better.
        beside: the trivial answers' scores of the same kind: name -> what the reader calls it.
        digits: behind the point.
    """

    score: str
    title: str
    beside: Mapping[str, str] = field(default_factory=dict)
    digits: int = 3


# -- pictures and lines ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One test picture, its lines, and its figure: the photo with the background made white."""

    photo: np.ndarray
    lines: np.ndarray
    background: np.ndarray
    figure: np.ndarray

    @property
    def scale(self) -> float:
        """The side over 128 px: what every length in pixels grows with."""
        return self.photo.shape[0] / 128


def open_case(sample: Sample) -> Case:
    """Return ``sample`` with its own lines or, where it has none, XDoG's (sigma 0.6 at 128 px)."""
    photo, lines = sample.photo, sample.lines
    if lines is None:
        lines = xdog(photo, sigma_px=0.6 * photo.shape[0] / 128)
    background = hands.find_background(photo, lines)
    return Case(photo, lines, background, hands.whiten(photo, background))


def show_lines(lines: np.ndarray) -> np.ndarray:
    """Return lines (H, W) as a picture (H, W, 3)."""
    return np.repeat(lines[..., None], 3, 2)


def tell_lines(task: Task) -> str:
    """Return one sentence on the pictures and lines that a weight was asked with."""
    own = sum(sample.lines is not None for sample in task.samples)
    count = f" ({own} of {len(task.samples)} have their own)" if task.lines == "given" else ""
    return f"{len(task.samples)} pictures; lines: {LINES[task.lines]}{count}."


def score_pairs(
    task: Task,
    rows: list[Row],
    condition: str,
    pictures: Sequence[np.ndarray],
    cases: Sequence[Case],
) -> None:
    """Add ``MEASURES`` of ``pictures`` against the photos to ``rows``, named by ``condition``.

    Figure LPIPS: the photo's background is painted white in both first, because nobody can guess
    from lines what is behind a figure. Without a background it is LPIPS.
    """
    figures = [
        hands.whiten(one, case.background) for one, case in zip(pictures, cases, strict=True)
    ]
    away = task.lpips(pictures, [case.photo for case in cases])
    figures_away = task.lpips(figures, [case.figure for case in cases])
    for index, (row, picture, case) in enumerate(zip(rows, pictures, cases, strict=True)):
        scores = {
            "lpips": float(away[index]),
            "figure_lpips": float(figures_away[index]),
            "ssim": metrics.ssim(picture, case.photo),
            "psnr": metrics.psnr(picture, case.photo),
        }
        row.update({f"{condition}.{measure}": score for measure, score in scores.items()})


# -- dabs ------------------------------------------------------------------------------------------


def paint_dabs(size: tuple[int, int], dabs: Sequence[hands.Dab]) -> np.ndarray:
    """Return the layer (height, width, 4) that :func:`train.hands.dab` paints for ``dabs``."""
    colors = np.zeros((*size, 4), np.uint8)
    for dab in dabs:
        cv2.circle(colors, (dab.x, dab.y), round(dab.radius_px), (*dab.color, 255), -1)
    return colors


def find_places(
    regions: np.ndarray, dabs: Sequence[hands.Dab], *, grow_px: float
) -> list[np.ndarray]:
    """Return for each dab the mask of its region, all dabs grown by ``grow_px`` left out."""
    y, x = np.ogrid[: regions.shape[0], : regions.shape[1]]
    is_free = np.ones(regions.shape, bool)
    for dab in dabs:
        is_free &= np.hypot(y - dab.y, x - dab.x) > dab.radius_px + grow_px
    labels = [regions[int(dab.y), int(dab.x)] for dab in dabs]
    places = {label: (regions == label) & is_free for label in set(labels)}
    return [places[label] for label in labels]


def hint_error(picture: np.ndarray, colors: np.ndarray, places: Sequence[np.ndarray]) -> float:
    """Mean CIEDE2000 between each dab's color and ``picture`` where that color should have spread.

    Args:
        picture: (H, W, 3) uint8.
        colors: (N, 3) uint8, one a dab.
        places: N masks (H, W); a dab with an empty one is left out.

    Returns:
        The mean over the dabs of the mean over each mask; NaN when all masks are empty.
    """
    lab, wanted = metrics.to_lab(picture), metrics.to_lab(colors)
    known: dict[tuple, float] = {}  # dabs of one color in one region ask the same
    errors = []
    for place, color in zip(places, wanted, strict=True):
        if not place.any():
            continue
        key = (id(place), *color)
        if key not in known:
            known[key] = metrics.ciede2000(lab[place], color).mean()
        errors.append(known[key])
    return float(np.mean(errors)) if errors else float("nan")


# -- numbers ---------------------------------------------------------------------------------------


def column(rows: list[Row], name: str) -> np.ndarray:
    """Return what was measured under ``name``, without NaN."""
    values = np.array([row.get(name, np.nan) for row in rows])
    return values[~np.isnan(values)]


def mean_of(values: np.ndarray) -> Mean:
    """Return mean and 95 % bootstrap interval; NaN of nothing."""
    if not len(values):
        return (float("nan"),) * 3
    with np.errstate(invalid="ignore"):  # the PSNR of equal pictures is infinite
        return (float(values.mean()), *metrics.bootstrap_interval(values))


def summarize(rows: list[Row]) -> dict[str, Mean]:
    """Return mean and 95 % interval of every column."""
    return {name: mean_of(column(rows, name)) for name in rows[0]}


def ratio_of(rows: list[Row], over: str, under: str, *, seed: int = 0, count: int = 2000) -> Mean:
    """Return the ratio of two columns' means and its 95 % interval, pictures drawn in pairs.

    Infinite over 0, NaN for 0 over 0 and for nothing.
    """
    pairs = np.array([[row.get(name, np.nan) for name in (over, under)] for row in rows])
    pairs = pairs[~np.isnan(pairs).any(axis=1)]
    if not len(pairs):
        return (float("nan"),) * 3
    drawn = np.random.default_rng(seed).integers(len(pairs), size=(count, len(pairs)))
    sums = np.vstack([pairs.sum(0), pairs[drawn].sum(1)])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, *drawn_ratios = sums[:, 0] / sums[:, 1]
    known = np.sort([value for value in drawn_ratios if not np.isnan(value)])
    if not len(known):
        return (float("nan"),) * 3
    low, high = (known[int(share * len(known))] for share in (0.025, 0.975))
    return float(ratio), float(low), float(high)


def score_sets(task: Task, vectors: dict[str, np.ndarray]) -> Sets:
    """Return KID, its interval and Fréchet distance of each set to the training photos.

    Nothing without any.
    """
    if min(len(task.reference), len(task.samples)) < 2:
        return {}
    reference = task.features.pooled(task.reference)
    return {
        condition: {
            **with_interval("kid", measure_kid(pooled, reference)),
            "frechet": metrics.frechet_distance(pooled, reference),
        }
        for condition, pooled in vectors.items()
    }


def measure_kid(vectors: np.ndarray, reference: np.ndarray) -> Mean:
    """Return KID of two sets of features and its interval, NaN where there are too few."""
    with np.errstate(invalid="ignore"):  # one picture drawn again and again has no pair
        return metrics.kid(vectors, reference), *metrics.kid_interval(vectors, reference)


def with_interval(name: str, mean: Mean) -> dict[str, float]:
    """Return a mean and the ends of its interval by their names among the scores.

    >>> with_interval("lpips", (0.2, 0.1, 0.3))
    {'lpips': 0.2, 'lpips_low': 0.1, 'lpips_high': 0.3}
    """
    return dict(zip((name, f"{name}_low", f"{name}_high"), mean, strict=True))


def add_intervals(report: Report, headlines: Sequence[Headline]) -> Report:
    """Return the report with the intervals of its headlines among the scores.

    Those that the protocol gave itself stay; a score that is no plain mean of the pictures'
    numbers gets none.
    """
    found: dict[str, float] = {}
    for name in {headline.score for headline in headlines} & report.scores.keys():
        mean = mean_of(column(report.rows, name))
        if round(mean[0], 4) == report.scores[name]:
            found |= {key: round(value, 4) for key, value in with_interval(name, mean).items()}
    return replace(report, scores=report.scores | found | report.scores)


def collect_scores(scores: dict[str, float], sets: Sets, *, pictures: int) -> dict[str, float]:
    """Return one flat number a name, for the manifest; what isn't finite is left out."""
    scores = dict(scores)
    for condition, measures in sets.items():
        scores |= {f"{condition}.{measure}": value for measure, value in measures.items()}
    scores["pictures"] = pictures
    return {name: round(value, 4) for name, value in scores.items() if np.isfinite(value)}


# -- tables and sheets -----------------------------------------------------------------------------


def show_mean(mean: Mean, *, digits: int = 3, signed: bool = False) -> str:
    """Return a mean with its interval: 0.500 [0.250, 1.000]."""
    sign = "+" if signed else ""
    middle, low, high = (f"{value:{sign}.{digits}f}" for value in mean)
    return f"{middle} [{low}, {high}]"


def show_sets(sets: Sets, condition: str) -> list[str]:
    """Return the cells for KID and Fréchet distance; dashes where none were measured."""
    measures = sets.get(condition)
    return [f"{measures[key]:.4g}" if measures else "-" for key in SET_MEASURES]


def write_table(head: list[str], body: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def overlay(lines: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Show a drawing as the pad does: colors on paper, ink on top."""
    return np.minimum(image.on_paper(colors), lines[..., None])


def tile(rows: list[list[np.ndarray]], *, gap_px: int = 2) -> np.ndarray:
    """Lay pictures of one size out in rows on white."""
    height, width = rows[0][0].shape[:2]
    columns = len(rows[0])
    sheet = np.full((len(rows) * (height + gap_px), columns * (width + gap_px), 3), 255, np.uint8)
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            y, x = down * (height + gap_px), across * (width + gap_px)
            sheet[y : y + height, x : x + width] = picture
    return sheet
