"""Does a weight give its training pictures back?

A protocol with an ``answer`` paints 64 test pictures, spread evenly, from what it reads of them. Of
each, LPIPS-alex to the nearest of all training pictures is sought, at 128 px where they are larger,
mirrored or not, since training mirrors them. The yardstick is the same distance of 200 test photos,
which no training has seen, spread evenly.

- *Near*: share of outputs that are nearer to a training picture than 99 % of the test photos are
  (their 1st percentile). Soft and plain pictures are near to many, without being copies.
- *Alone*: the distance to the nearest over that to the twentieth nearest; a copy has one neighbor,
  a plain picture has many. *Copies*: share of outputs that are near, and more alone than 99 % of
  the test photos.

Where test and training show the same things (one garment twice, a fruit from two sides), photos are
near and alone themselves. The sheet shows the outputs that are most alone, and the training picture
beside each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from s2i import image, metrics
from train.data import Sample
from train.protocols.base import (
    SHEET_PICTURES,
    Report,
    Task,
    mean_of,
    show_mean,
    tile,
    write_table,
)

OUTPUTS, PHOTOS = 64, 200
JUDGED_PX = 128
NEIGHBORS = 20
PERCENTILE = 1
Answer = Callable[[Task, Sample, int], np.ndarray | None]


def add_memory(report: Report, task: Task, answer: Answer) -> Report:
    """Return the report with ``memorised.*`` scores, a table and a sheet; see the top.

    Args:
        report: of the protocol.
        task: what was scored; with less than two training pictures nothing is added.
        answer: the picture that the weight paints from what it reads of a sample, or None; with a
            number to draw from.
    """
    if len(task.training) < 2:
        return report
    answers = [
        answer(task, task.samples[index], index)
        for index in tqdm(_spread(len(task.samples), OUTPUTS), desc="memory", disable=None)
    ]
    pictures = [one for one in answers if one is not None]
    photos = [task.samples[index].photo for index in _spread(len(task.samples), PHOTOS)]
    away = measure_distances(task, [*pictures, *photos])
    ranked = np.sort(away, 1)
    nearest = ranked[:, 0]
    alone = nearest / np.maximum(ranked[:, :NEIGHBORS][:, -1], 1e-9)
    own, theirs = slice(len(pictures)), slice(len(pictures), None)
    floors = [float(np.percentile(each[theirs], PERCENTILE)) for each in (nearest, alone)]
    is_near, is_alone = nearest[own] < floors[0], alone[own] < floors[1]
    numbers = {
        "lpips": nearest[own].mean(),
        "photo_lpips": nearest[theirs].mean(),
        "least": nearest[own].min(),
        "floor": floors[0],
        "near": is_near.mean(),
        "alone": alone[own].mean(),
        "photo_alone": alone[theirs].mean(),
        "copies": (is_near & is_alone).mean(),
        "pictures": len(pictures),
    }
    scores = {f"memorised.{name}": round(float(value), 4) for name, value in numbers.items()}
    cells = [
        [show_mean(mean_of(values[part])) for values in (nearest, alone)] for part in (own, theirs)
    ]
    counts = [show_share(scores, name) for name in ("near", "copies")]
    head = ["to the training pictures", "nearest, LPIPS ↑", "over the twentieth ↑"]
    table = write_table(
        [*head, f"near, below {floors[0]:.3f} ↓", f"and alone, below {floors[1]:.2f} ↓"],
        [["painted", *cells[0], *counts], ["test photos", *cells[1], "1 %", "at most 1 %"]],
    )
    rows = [
        [pictures[index], _find(task, pictures[index], int(away[index].argmin()))]
        for index in np.argsort(alone[own], kind="stable")[:SHEET_PICTURES].tolist()
    ]
    return replace(
        report,
        scores=report.scores | scores,
        tables=f"{report.tables}\n\n{table}",
        sheets=report.sheets | {"memorised.png": tile(rows)},
    )


def show_share(scores: dict[str, float], name: str) -> str:
    """Return how many outputs are ``near`` or ``copies``: 3 of 64."""
    count = round(scores["memorised.pictures"])
    return f"{round(scores[f'memorised.{name}'] * count)} of {count}"


def measure_distances(task: Task, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Return LPIPS of each picture to each training picture, the less of it and its mirror image.

    (N, M) float64, at 128 px where pictures are larger.
    """
    vectors = [task.lpips.embed(view) for view in (_shrink(pictures), _mirror(_shrink(pictures)))]
    lengths = [np.square(own).sum(1)[:, None] for own in vectors]
    columns = []
    starts = range(0, len(task.training), metrics.BATCH)
    for start in tqdm(starts, desc="training pictures", unit="batch", disable=None):
        part = range(start, min(start + metrics.BATCH, len(task.training)))
        seen = task.lpips.embed(_shrink([task.training[index].photo for index in part]))
        squares = np.square(seen).sum(1)
        both = [
            length + squares - 2 * own @ seen.T
            for own, length in zip(vectors, lengths, strict=True)
        ]
        columns.append(np.minimum(*both))
    return np.maximum(np.concatenate(columns, 1), 0).astype(np.float64)


def _find(task: Task, picture: np.ndarray, index: int) -> np.ndarray:
    """Return a training photo, mirrored where that is more like ``picture``."""
    photo = task.training[index].photo
    views = [photo, photo[:, ::-1]]
    return views[int(task.lpips([picture] * 2, views).argmin())]


def _shrink(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [
        image.resize(one, (JUDGED_PX, JUDGED_PX)) if one.shape[0] > JUDGED_PX else one
        for one in pictures
    ]


def _mirror(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [picture[:, ::-1] for picture in pictures]


def _spread(size: int, count: int) -> list[int]:
    """Return up to ``count`` numbers below ``size``, spread evenly.

    >>> _spread(10, 4)
    [0, 2, 5, 7]
    """
    count = min(size, count)
    return [index * size // count for index in range(count)]
