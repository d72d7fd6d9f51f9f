"""MaskNet: where a photo's object is.

Photos and true masks are the data's, squashed to 256 px, whatever their aspect. IoU of the mask,
set from 0.5 on, with the true one, and the boundary's F-score: harmonic mean of the shares of each
mask's inner rim that lies within 3 px (0.8 % of the diagonal) of the other's. Both are means over
pictures, per kind (what a file's name has before its last "_") and over those kinds whose masks
were drawn by hand: the rest were made from plain backdrops.

Trivial answers: *all* is object; the *mean mask* of 500 training pictures, evenly spread; *GrabCut*
from a box that leaves 6 % at each side, five rounds, the same on every run. *28 px* and *56 px* are
what a perfect network of versions 1 and 2 would get: the true mask, averaged to that size, enlarged
again.
"""

from __future__ import annotations

import cv2
import numpy as np
from tqdm import tqdm

from s2i import metrics
from s2i.errors import S2IError
from s2i.methods.base import Drawing
from train.data import Sample
from train.protocols.base import (
    SHEET_PICTURES,
    Headline,
    Report,
    Row,
    Task,
    collect_scores,
    column,
    mean_of,
    show_mean,
    summarize,
    tile,
    with_interval,
    write_table,
)

SIZE_PX = 256
IS_SQUASHED = True
TITLES = {
    "network": "MaskNet",
    "grabcut": "GrabCut",
    "mean": "mean mask",
    "all": "all",
    "bound_28": "28 px",
    "bound_56": "56 px",
}
HEADLINES = (
    Headline(
        score="network.iou",
        title="IoU ↑",
        beside={"grabcut.iou": "GrabCut from a box", "mean.iou": "mean mask"},
    ),
    Headline(
        score="network.iou.by_hand",
        title="IoU, masks by hand ↑",
        beside={"grabcut.iou.by_hand": "GrabCut from a box"},
    ),
    Headline(
        score="network.boundary",
        title="boundary F ↑",
        beside={"grabcut.boundary": "GrabCut from a box", "mean.boundary": "mean mask"},
    ),
)
BY_HAND = ("street", "cat", "wildlife")
TRAINING_MASKS = 500
BORDER = 0.06
TOLERANCE_PX = 3


def evaluate(task: Task) -> Report:
    """Score a MaskNet weight by the protocol above."""
    for sample in task.samples:
        if sample.mask is None:
            raise S2IError(f"'{sample.name}' has no mask: MaskNet is scored on data with masks.")
    mean = _average_masks(task.training)
    rows: list[Row] = []
    sheet: list[list[np.ndarray]] = []
    for sample in tqdm(task.samples, desc="scoring", unit="picture", disable=None):
        masks = _find_masks(task, sample, mean)
        rows.append(
            {
                name: score
                for condition, mask in masks.items()
                for name, score in _score(condition, mask, sample.mask >= 128).items()
            }
        )
        if len(sheet) < SHEET_PICTURES:
            shown = [masks["network"], sample.mask >= 128, masks["grabcut"]]
            sheet.append(
                [sample.photo, *(np.dstack([255 * one.astype(np.uint8)] * 3) for one in shown)]
            )
    means = {name: middle for name, (middle, _, _) in summarize(rows).items()}
    groups = _group([sample.name for sample in task.samples])
    parts = {
        f"{condition}.{measure}.{group.replace(' ', '_')}": float(
            column(few, f"{condition}.{measure}").mean()
        )
        for group, few in ((group, [rows[at] for at in chosen]) for group, chosen in groups.items())
        for condition in ("network", "grabcut")
        for measure in ("iou", "boundary")
        if group != "all"
    }
    if "by hand" in groups:
        by_hand = column([rows[at] for at in groups["by hand"]], "network.iou")
        parts |= with_interval("network.iou.by_hand", mean_of(by_hand))
    return Report(
        names=[sample.name for sample in task.samples],
        rows=rows,
        scores=collect_scores(means | parts, {}, pictures=len(rows)),
        tables=_write_tables(rows, groups),
        sheets={"sheet.png": tile(sheet)},
    )


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks (H, W) bool; 1 where both are empty.

    >>> iou(np.array([[True, True, False]]), np.array([[False, True, False]]))
    0.5
    """
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0


def boundary_score(first: np.ndarray, second: np.ndarray) -> float:
    """F-score of two masks' inner rims within 3 px; see the top. (H, W) bool each."""
    rims = []
    for mask in (first, second):
        inside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
        rims.append(np.where(mask & (inside == 0), np.uint8(0), np.uint8(255)))
    return metrics.edge_f1(rims[0], rims[1], tolerance_px=TOLERANCE_PX)


def grab_cut(photo: np.ndarray) -> np.ndarray:
    """Return the object that GrabCut finds in a box that leaves 6 % at each side: (H, W) bool."""
    height, width = photo.shape[:2]
    top, left = round(BORDER * height), round(BORDER * width)
    box = left, top, width - 2 * left, height - 2 * top
    labels = np.zeros((height, width), np.uint8)
    models = np.zeros((2, 1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(photo[..., ::-1].copy(), labels, box, *models, 5, cv2.GC_INIT_WITH_RECT)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def shrink_and_enlarge(mask: np.ndarray, side_px: int) -> np.ndarray:
    """Return what is left of a mask (H, W) bool that was averaged to ``side_px`` squared pixels."""
    small = cv2.resize(mask.astype(np.float32), (side_px, side_px), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) >= 0.5


def _average_masks(training: list[Sample]) -> np.ndarray | None:
    """Return where most training masks cover a pixel, None without any."""
    count = min(TRAINING_MASKS, len(training))
    chosen = (training[at * len(training) // count].mask for at in range(count))
    masks = [mask >= 128 for mask in chosen if mask is not None]
    return np.mean(masks, axis=0) >= 0.5 if masks else None


def _find_masks(task: Task, sample: Sample, mean: np.ndarray | None) -> dict[str, np.ndarray]:
    true = sample.mask >= 128
    masks = {
        "network": task.run(Drawing(photo=sample.photo)).pictures[0][..., 0] >= 128,
        "grabcut": grab_cut(sample.photo),
        "all": np.ones_like(true),
        "bound_28": shrink_and_enlarge(true, 28),
        "bound_56": shrink_and_enlarge(true, 56),
    }
    return masks if mean is None else masks | {"mean": mean}


def _score(condition: str, mask: np.ndarray, true: np.ndarray) -> Row:
    return {
        f"{condition}.iou": iou(mask, true),
        f"{condition}.boundary": boundary_score(mask, true),
    }


def _group(names: list[str]) -> dict[str, list[int]]:
    """Return which pictures are of each kind, by hand, and all."""
    groups: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        kind = name.rpartition("/")[2].rpartition("_")[0]
        groups.setdefault(kind, []).append(at)
    groups = dict(sorted(groups.items())) if len(groups) > 1 else {}
    by_hand = [at for kind in BY_HAND for at in groups.get(kind, [])]
    return groups | ({"by hand": by_hand} if by_hand else {}) | {"all": list(range(len(names)))}


def _write_tables(rows: list[Row], groups: dict[str, list[int]]) -> str:
    def show(group: list[int], name: str) -> str:
        return show_mean(mean_of(column([rows[at] for at in group], name)))

    conditions = [name for name in TITLES if f"{name}.iou" in rows[0]]
    head = ["kind", "pictures", *(f"{TITLES[name]}: IoU ↑" for name in conditions)]
    overlap = [
        [kind, str(len(group)), *(show(group, f"{name}.iou") for name in conditions)]
        for kind, group in groups.items()
    ]
    rim = [
        [kind, str(len(group)), *(show(group, f"{name}.boundary") for name in conditions)]
        for kind, group in groups.items()
    ]
    rim_head = ["kind", "pictures", *(f"{TITLES[name]}: boundary F ↑" for name in conditions)]
    return "\n\n".join(
        [
            f"{len(rows)} pictures at {SIZE_PX} px, threshold 0.5. 95 % bootstrap intervals of the "
            "means in brackets.",
            write_table(head, overlap),
            write_table(rim_head, rim),
        ]
    )
