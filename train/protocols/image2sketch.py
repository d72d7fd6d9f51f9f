"""Image to sketch: what SketchNet draws, against filters, and its strokes.

The network alone, without mask, gamma or cleaning, at the pictures' own size (256 px).

Style *pencil*: the target is :func:`s2i.edges.pencil` of the clean photo. Asked for it are the
network, the filter itself, and the filter after non-local means have taken noise away, each of the
clean photo and of the same photo made worse (:mod:`train.photos`): by noise, in low light, under
clutter, and by one to three of all that there is (*mixed*). On clean photos the filter is the
target: there the network can only lose.

Style *ink*: the target is the artist's lines. Beside the network stand Canny (sigma 2.5, at any
size), XDoG with its defaults, XDoG as the page draws it (*sketchify*), all of the same picture.

L1 (0 to 1), SSIM, LPIPS-alex, means over pictures; the ratio of the LPIPS of the network to each
other answer is paired. A blank *page* is the trivial answer.

Strokes: the first 50 sketches, as the method draws them, are traced (tolerance 1 px) and drawn
again. Covered: the share of the sketch's ink that lies within 1.5 px of the strokes'; true: the
share of the strokes' ink that lies within 1.5 px of the sketch's. A sketch's ink is what tracing
takes for ink, by Otsu's threshold between 128 and 224. Strokes, bytes of SVG and seconds are means.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
from tqdm import tqdm

from s2i import edges, metrics, vectorize
from s2i.errors import S2IError
from s2i.methods.image2sketch import run_tiles
from train import photos
from train.data import Sample
from train.protocols.base import (
    BETTER,
    SHEET_PICTURES,
    Headline,
    Mean,
    Report,
    Row,
    Task,
    collect_scores,
    ratio_of,
    show_lines,
    show_mean,
    summarize,
    tile,
    write_table,
)

SIZE_PX = 256
SPOILED: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "clean": lambda photo, _: photo,
    "noise": photos.DEGRADATIONS["noise"],
    "low light": photos.DEGRADATIONS["low light"],
    "clutter": photos.DEGRADATIONS["clutter"],
    "mixed": photos.degrade,
}
PENCILS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "filter": edges.pencil,
    "denoised": lambda photo: edges.pencil(denoise(photo)),
}
INKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "canny": edges.find_lines,
    "xdog": edges.xdog,
    "sketchify": edges.sketchify,
}
TITLES = {
    "network": "SketchNet",
    "filter": "the filter",
    "denoised": "denoised, then the filter",
    "canny": "Canny",
    "xdog": "XDoG",
    "sketchify": "sketchify",
    "page": "blank page",
}
HEADLINES = (
    Headline(
        score="mixed.network.lpips",
        title="LPIPS, bad photos ↓",
        beside={
            "mixed.filter.lpips": "the pencil filter",
            "mixed.denoised.lpips": "denoised, then the filter",
        },
    ),
    Headline(
        score="noise.network.lpips",
        title="LPIPS, noise ↓",
        beside={
            "noise.filter.lpips": "the pencil filter",
            "noise.denoised.lpips": "denoised, then the filter",
        },
    ),
    Headline(
        score="clean.network.lpips",
        title="LPIPS to the artist's lines ↓",
        beside={"clean.canny.lpips": "Canny", "clean.xdog.lpips": "XDoG"},
    ),
    Headline(score="strokes.covered", title="ink covered by strokes ↑"),
)
MEASURES = {"l1": "L1 ↓", "ssim": BETTER["ssim"], "lpips": BETTER["lpips"]}
TRACED = 50
REACH_PX = 1.5


def evaluate(task: Task) -> Report:
    """Score a weight of image to sketch by the protocol above."""
    is_ink = task.method.kwargs["style"] == "ink"
    spoiled = {"clean": SPOILED["clean"]} if is_ink else SPOILED
    others = (INKS if is_ink else PENCILS) | {
        "page": lambda photo: np.full(photo.shape[:2], 255, np.uint8)
    }
    rows: list[Row] = []
    sketches: list[np.ndarray] = []
    sheets: dict[str, list[list[np.ndarray]]] = {condition: [] for condition in spoiled}
    starts = range(0, len(task.samples), metrics.BATCH)
    for start in tqdm(starts, desc="scoring", unit="batch", disable=None):
        samples = task.samples[start : start + metrics.BATCH]
        targets = [_find_target(sample, is_ink=is_ink) for sample in samples]
        batch: list[Row] = [{} for _ in samples]
        for number, (condition, spoil) in enumerate(spoiled.items()):
            seen = [
                spoil(sample.photo, np.random.default_rng([task.seed, start + at, number]))
                for at, sample in enumerate(samples)
            ]
            drawn = {"network": [draw(task, photo) for photo in seen]}
            drawn |= {name: [answer(photo) for photo in seen] for name, answer in others.items()}
            for name, pages in drawn.items():
                _score(task, batch, f"{condition}.{name}", pages, targets)
            if condition == "clean":
                sketches += [
                    task.method.draw(photo, is_dark=False)
                    for photo in seen[: TRACED - len(sketches)]
                ]
            for at in range(len(samples)):
                if len(sheets[condition]) < SHEET_PICTURES:
                    pages = [targets[at], *(page[at] for page in drawn.values())][:-1]
                    sheets[condition].append([seen[at], *map(show_lines, pages)])
        rows += batch
    means = summarize(rows)
    ratios = {
        f"{condition}.network_to_{name}": ratio_of(
            rows, f"{condition}.network.lpips", f"{condition}.{name}.lpips"
        )
        for condition in spoiled
        for name in others
    }
    traced = [measure_strokes(sketch) for sketch in sketches]
    strokes = summarize(traced)
    scores = {name: mean for name, (mean, _, _) in (means | ratios).items()}
    scores |= {f"strokes.{name}": mean for name, (mean, _, _) in strokes.items()}
    return Report(
        names=[sample.name for sample in task.samples],
        rows=rows,
        scores=collect_scores(
            {name.replace(" ", "_"): score for name, score in scores.items()},
            {},
            pictures=len(rows),
        ),
        tables=_write_tables(
            rows, means, ratios, strokes, len(traced), list(spoiled), list(others)
        ),
        sheets={
            f"sheet_{name.replace(' ', '_')}.png": tile(sheet) for name, sheet in sheets.items()
        },
    )


def draw(task: Task, photo: np.ndarray) -> np.ndarray:
    """Return what the network alone draws of a photo (H, W, 3): lines (H, W)."""
    height, width = photo.shape[:2]
    multiple = task.method.size_multiple
    padding = 0, -height % multiple, 0, -width % multiple
    padded = cv2.copyMakeBorder(photo, *padding, cv2.BORDER_REPLICATE)
    ink = run_tiles(task.method.generator, padded, multiple=multiple)[:height, :width]
    return np.rint(255 * (1 - ink)).astype(np.uint8)


def denoise(photo: np.ndarray) -> np.ndarray:
    """Return a photo (H, W, 3) with as much noise taken away as is estimated to be in it.

    Deviation by Immerkaer's Laplacian (1996), then non-local means of that strength.
    """
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    kernel = np.float32([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    deviation = np.sqrt(np.pi / 2) / 6 * np.abs(cv2.filter2D(grey, -1, kernel)).mean()
    strength = float(min(30, deviation))
    return cv2.fastNlMeansDenoisingColored(photo, None, strength, strength, 5, 15)


def measure_strokes(lines: np.ndarray) -> Row:
    """Trace a sketch (H, W) and return how true its strokes are; see the top."""
    begun = time.perf_counter()
    strokes = vectorize.trace(lines)
    seconds = time.perf_counter() - begun
    svg = vectorize.to_svg(strokes)
    drawn = vectorize.rasterize(strokes)
    ink = np.where(lines <= vectorize.find_threshold(lines), 0, 255)
    return {
        "covered": share_near(ink, drawn),
        "true": share_near(drawn, ink),
        "count": len(strokes.strokes),
        "bytes": len(svg),
        "seconds": seconds,
    }


def share_near(first: np.ndarray, second: np.ndarray) -> float:
    """Return the share of ink of ``first`` within 1.5 px of ink of ``second``; NaN without ink.

    >>> share_near(np.array([[0, 255, 255, 0]]), np.array([[0, 255, 255, 255]]))
    0.5
    """
    here, there = first < 128, second < 128
    if not here.any():
        return float("nan")
    if not there.any():
        return 0.0
    away = cv2.distanceTransform((~there).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float((away[here] <= REACH_PX).mean())


def _find_target(sample: Sample, *, is_ink: bool) -> np.ndarray:
    if not is_ink:
        return edges.pencil(sample.photo)
    if sample.lines is None:
        raise S2IError(f"'{sample.name}' has no lines: ink is scored on pairs; see --lines-column.")
    return sample.lines


def _score(
    task: Task, rows: list[Row], answer: str, pages: list[np.ndarray], targets: list[np.ndarray]
) -> None:
    """Add the measures of ``pages`` against ``targets`` to ``rows``, named by ``answer``."""
    drawn, wanted = ([show_lines(page) for page in each] for each in (pages, targets))
    away = task.lpips(drawn, wanted)
    for at, row in enumerate(rows):
        difference = np.abs(pages[at].astype(np.float32) - targets[at])
        row[f"{answer}.l1"] = float(difference.mean() / 255)
        row[f"{answer}.ssim"] = metrics.ssim(drawn[at], wanted[at])
        row[f"{answer}.lpips"] = float(away[at])


def _write_tables(
    rows: list[Row],
    means: dict[str, Mean],
    ratios: dict[str, Mean],
    strokes: dict[str, Mean],
    traced: int,
    conditions: list[str],
    others: list[str],
) -> str:
    answers = [
        [condition, TITLES[name]]
        + [show_mean(means[f"{condition}.{name}.{measure}"]) for measure in MEASURES]
        + [
            show_mean(ratios[key], digits=2)
            if (key := f"{condition}.network_to_{name}") in ratios
            else ""
        ]
        for condition in conditions
        for name in ("network", *others)
    ]
    digits = {"covered": 4, "true": 4, "count": 0, "bytes": 0, "seconds": 2}
    stroke_row = [str(traced), *(show_mean(strokes[name], digits=n) for name, n in digits.items())]
    return "\n\n".join(
        [
            f"{len(rows)} pictures. 95 % bootstrap intervals of the means in brackets.",
            write_table(
                ["photo", "answer", *MEASURES.values(), "SketchNet's LPIPS to it ↓"], answers
            ),
            write_table(
                ["sketches traced", "covered ↑", "true ↑", "strokes", "bytes of SVG", "seconds"],
                [stroke_row],
            ),
        ]
    )
