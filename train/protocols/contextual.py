"""Contextual GAN: faces from lines, from spoilt lines, and the way back.

Lines: XDoG's; with ``--lines xdog2x``, as the trainer draws them, at twice the size and shrunk.

LPIPS-alex, SSIM and PSNR against the photo, KID (kernel distance of pooled MobileNetV2 features,
with its interval over resamplings of the answers) against as many training photos; of *random*
pairs' photos as well, which no lines ask for. Answers: the *mean* of these training photos, the
encoder's *guess*, the fast search from it with one candidate, and every weight named by
``--beside`` on the same lines. On the first hundred pictures: the page's defaults (eight
candidates, the best one). On the first twenty: the original search of a thousand steps, which takes
20 s a picture on two cores. On the first forty: *inversion*, the photo half of the pair that a
search with the photo itself as its goal finds in five hundred steps; no search from lines can be
nearer than what the network can say.

Distorted lines: every third picture's are bent (points move by 5 px), half erased, or cut into
their pieces, each moved by up to 8 px.

Photo to sketch, first hundred pictures: LPIPS of the found sketch to XDoG's of the photo, beside a
random pair's and that of XDoG's sketch of the nearest training photo (mean absolute difference).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from tqdm import tqdm

from s2i import image
from s2i.methods.base import Drawing
from s2i.methods.contextual import halves
from train import hands
from train.data import Sample
from train.protocols.base import (
    BETTER,
    Case,
    Headline,
    Mean,
    Report,
    Row,
    Task,
    collect_scores,
    measure_kid,
    open_case,
    score_pairs,
    show_lines,
    show_mean,
    summarize,
    tell_lines,
    tile,
    with_interval,
    write_table,
)

HEADLINES = (
    Headline(
        score="clean.fast.lpips",
        title=BETTER["lpips"],
        beside={
            "clean.mean.lpips": "mean training photo",
            "clean.pix2pix.faces64.lpips": "pix2pix",
        },
    ),
    Headline(
        score="clean.fast.kid",
        title=BETTER["kid"],
        beside={"clean.pix2pix.faces64.kid": "pix2pix", "clean.photo.kid": "real photos"},
    ),
    Headline(
        score="clean.random.kid",
        title="KID, random pairs ↓",
        beside={"clean.photo.kid": "real photos"},
    ),
    Headline(
        score="distorted.fast.kid",
        title="KID, distorted lines ↓",
        beside={"distorted.pix2pix.faces64.kid": "pix2pix"},
    ),
)
SLOW_PICTURES, ORIGINAL_PICTURES, INVERTED_PICTURES, SHEET_PICTURES = 100, 20, 40, 12
FEWEST_FOR_KID = 5
INVERSION_STEPS = 500
DISTORTIONS: dict[str, Callable[[np.ndarray, np.random.Generator, float], np.ndarray]] = {
    "bent": lambda lines, rng, scale: hands.bend(lines, rng, amount_px=5 * scale),
    "half erased": lambda lines, rng, _: hands.erase_half(lines, rng),
    "in pieces": lambda lines, rng, scale: hands.jitter(lines, rng, amount_px=8 * scale),
}
TITLES = {
    "mean": "mean training photo",
    "guess": "first guess",
    "fast": "fast search",
    "default": "fast search, best of 8",
    "seed": "original search",
    "random": "random pairs",
    "inversion": "inversion of the photo",
    "photo": "floor: photos",
}
MEASURES = ("lpips", "ssim", "psnr")
Painter = Callable[[np.ndarray], np.ndarray]


def evaluate(task: Task) -> Report:
    """Score a Contextual GAN weight by the protocol above."""
    rows: list[Row] = [{} for _ in task.samples]
    cases = [open_case(sample) for sample in task.samples]
    distorted = [distort(case, seed=task.seed, number=i) for i, case in enumerate(cases)]
    painters = _list_painters(task)
    answers = {
        f"clean.{name}": _paint(paint, cases[:count], name)
        for name, (paint, count) in painters.items()
    }
    answers |= {
        f"distorted.{name}": _paint(paint, distorted, name)
        for name, (paint, _) in painters.items()
        if name in ("guess", "fast", *task.beside)
    }
    if task.reference:
        mean = np.rint(np.mean(task.reference, axis=0)).astype(np.uint8)
        answers["clean.mean"] = [mean] * len(cases)
    answers["clean.inversion"] = [
        _invert(task, case.photo) for case in _watched(cases[:INVERTED_PICTURES], "inversion")
    ]
    for condition, pictures in answers.items():
        score_pairs(task, rows[: len(pictures)], condition, pictures, cases[: len(pictures)])
    _score_sketches(task, cases[:SLOW_PICTURES], rows)

    vectors = {
        condition: task.features.pooled(pictures)
        for condition, pictures in answers.items()
        if not condition.endswith("mean")
    }
    vectors["clean.random"] = task.features.pooled(_paint_random(task, len(cases))[1])
    vectors["clean.photo"] = task.features.pooled([case.photo for case in cases])
    kids = _score_kids(task, vectors)
    means = summarize(rows)
    scores = {name: middle for name, (middle, _, _) in means.items()}
    for condition, kid in kids.items():
        scores |= with_interval(f"{condition}.kid", kid)
    return Report(
        names=[sample.name for sample in task.samples],
        rows=rows,
        scores=collect_scores(scores, {}, pictures=len(rows)),
        tables=_write_tables(task, means, kids),
        sheets={
            "clean.png": _lay_out(cases, answers, "clean"),
            "distorted.png": _lay_out(distorted, answers, "distorted"),
        },
    )


def answer(task: Task, sample: Sample, number: int) -> np.ndarray:
    """Return what the fast search finds for a sample's lines, one candidate.

    See :mod:`train.protocols.memory`.
    """
    return task.run(Drawing(lines=open_case(sample).lines), count=1).pictures[0]


def distort(case: Case, *, seed: int, number: int) -> Case:
    """Return the case with lines spoilt in the way that its ``number`` in the set says."""
    spoil = list(DISTORTIONS.values())[number % len(DISTORTIONS)]
    lines = spoil(case.lines, np.random.default_rng((seed, number)), case.scale)
    return Case(case.photo, lines, case.background, case.figure)


def _list_painters(task: Task) -> dict[str, tuple[Painter, int]]:
    """Return how each answer comes from lines, and of how many pictures it is asked for."""

    def search(**settings: object) -> Painter:
        return lambda lines: task.run(Drawing(lines=lines), **settings).pictures[0]

    everything = len(task.samples)
    painters = {
        "guess": (search(count=1, steps=0), everything),
        "fast": (search(count=1), everything),
        "default": (search(), SLOW_PICTURES),
        "seed": (search(count=1, steps=1000, preset="seed"), ORIGINAL_PICTURES),
    }
    for name, run in task.beside.items():
        painters[name] = (lambda lines, run=run: run(Drawing(lines=lines)).pictures[0], everything)
    return painters


def _paint(paint: Painter, cases: list[Case], name: str) -> list[np.ndarray]:
    return [paint(case.lines) for case in _watched(cases, name)]


def _watched(cases: list[Case], name: str) -> tqdm:
    return tqdm(cases, desc=name, unit="picture", disable=None)


def _invert(task: Task, photo: np.ndarray) -> np.ndarray:
    """Return the photo that the network can say that is most like ``photo``, whatever is likely."""
    goal = task.method.read_goal(photo)
    *_, found = task.method.search(goal, count=1, steps=INVERSION_STEPS, faithfulness=50)
    return image.to_picture(halves(found.joint)[1][0])


def _paint_random(task: Task, count: int) -> list[list[np.ndarray]]:
    """Return the sketches and the photos of ``count`` pairs from random numbers."""
    numbers = task.method.draw_prior(count, torch.Generator().manual_seed(task.seed))
    with torch.no_grad():
        device = next(task.method.parameters()).device
        parts = halves(task.method.generator(numbers.to(device)).float().cpu())
    return [[image.to_picture(picture.expand(3, -1, -1)) for picture in part] for part in parts]


def _score_sketches(task: Task, cases: list[Case], rows: list[Row]) -> None:
    """Add the LPIPS of sketches that photos gave, of random ones, and of neighbors' to ``rows``."""
    goals = [show_lines(case.lines) for case in cases]
    found = [
        task.act("photo_to_sketch", (case.photo,)).pictures[0]
        for case in _watched(cases, "photo to sketch")
    ]
    random, _ = _paint_random(task, len(cases))
    training = [sample.photo for sample in task.training]
    neighbors = [
        show_lines(open_case(task.training[_find_nearest(case.photo, training)]).lines)
        for case in cases
    ]
    for name, pictures in (("found", found), ("random", random), ("neighbor", neighbors)):
        for row, away in zip(rows, task.lpips(pictures, goals), strict=False):
            row[f"sketch.{name}.lpips"] = float(away)


def _find_nearest(photo: np.ndarray, others: list[np.ndarray]) -> int:
    away = [np.abs(photo.astype(np.int16) - other).mean() for other in others]
    return int(np.argmin(away))


def _score_kids(task: Task, vectors: dict[str, np.ndarray]) -> dict[str, Mean]:
    """Return KID and its interval of each set, and of each distortion; nothing without training."""
    if len(task.reference) < FEWEST_FOR_KID:
        return {}
    reference = task.features.pooled(task.reference)
    sets = dict(vectors)
    for condition, pooled in vectors.items():
        if condition.startswith("distorted."):
            for index, kind in enumerate(DISTORTIONS):
                sets[f"{condition}.{kind}"] = pooled[index :: len(DISTORTIONS)]
    return {
        condition: measure_kid(pooled, reference)
        for condition, pooled in sets.items()
        if len(pooled) >= FEWEST_FOR_KID
    }


def _write_tables(task: Task, means: dict[str, Mean], kids: dict[str, Mean]) -> str:
    def cells(condition: str) -> list[str]:
        shown = [means.get(f"{condition}.{measure}") for measure in MEASURES]
        return [show_mean(mean) if mean else "" for mean in (*shown, kids.get(condition))]

    conditions = ("mean", "guess", "fast", *task.beside, "default", "seed", "inversion")
    conditions += ("random", "photo")
    counts = {
        "default": SLOW_PICTURES,
        "seed": ORIGINAL_PICTURES,
        "inversion": INVERTED_PICTURES,
    }
    clean = [
        [
            TITLES.get(name, name),
            f"{min(counts.get(name, len(task.samples)), len(task.samples))}",
            *cells(f"clean.{name}"),
        ]
        for name in conditions
        if f"clean.{name}.lpips" in means or f"clean.{name}" in kids
    ]
    names = ("guess", "fast", *task.beside)
    spoilt = [
        [TITLES.get(name, name), *cells(f"distorted.{name}")]
        + [show_mean(kids[f"distorted.{name}.{kind}"]) if kids else "" for kind in DISTORTIONS]
        for name in names
    ]
    sketches = [
        [title, show_mean(means[f"sketch.{name}.lpips"])]
        for name, title in (
            ("found", "found"),
            ("random", "of a random pair"),
            ("neighbor", "XDoG of the nearest training photo"),
        )
    ]
    head = [BETTER[key] for key in (*MEASURES, "kid")]
    return "\n\n".join(
        (
            f"{tell_lines(task)} 95 % bootstrap intervals in brackets.",
            write_table(["clean lines", "pictures", *head], clean),
            write_table(
                ["distorted lines", *head, *(f"KID, {kind}" for kind in DISTORTIONS)], spoilt
            ),
            write_table(["photo to sketch", "LPIPS to XDoG ↓"], sketches),
        )
    )


def _lay_out(cases: list[Case], answers: dict[str, list[np.ndarray]], group: str) -> np.ndarray:
    """Return a sheet: photo, lines, and every answer of the group, a row a picture."""
    columns = [
        pictures
        for condition, pictures in answers.items()
        if condition.startswith(f"{group}.") and not condition.endswith("mean")
    ]
    count = min(SHEET_PICTURES, *(len(pictures) for pictures in columns), len(cases))
    return tile(
        [
            [case.photo, show_lines(case.lines), *(pictures[index] for pictures in columns)]
            for index, case in enumerate(cases[:count])
        ]
    )
