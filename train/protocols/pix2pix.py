"""pix2pix: pictures from lines alone.

Lines: the data's own, else XDoG, sigma 0.6 px; ``--lines xdog2x`` draws them as the trainer's
``--lines xdog`` does, at twice the size.

LPIPS-alex, SSIM and PSNR against the photo, and figure LPIPS, with the background painted white in
output and photo first, since no lines tell what is behind a figure. Where no background is found it
is LPIPS. Trivial answers: the *lines* as they are, and the *mean* of the training photos, as many
as there are test pictures. KID and Fréchet distance on pooled MobileNetV2 features compare the set
with these training photos; the floor is what the photos of the split score there.
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from s2i import metrics
from s2i.methods.base import Drawing
from train.data import Sample
from train.protocols.base import (
    BETTER,
    MEASURES,
    SET_MEASURES,
    SHEET_PICTURES,
    Headline,
    Report,
    Row,
    Task,
    collect_scores,
    open_case,
    score_pairs,
    score_sets,
    show_lines,
    show_mean,
    show_sets,
    summarize,
    tell_lines,
    tile,
    write_table,
)

HEADLINES = (
    Headline(
        score="painted.lpips",
        title=BETTER["lpips"],
        beside={"lines.lpips": "the lines", "mean.lpips": "mean training photo"},
    ),
    Headline(
        score="painted.figure_lpips",
        title=BETTER["figure_lpips"],
        beside={"lines.figure_lpips": "the lines", "mean.figure_lpips": "mean training photo"},
    ),
    Headline(score="painted.kid", title=BETTER["kid"], beside={"photo.kid": "real photos"}),
)
TITLES = {"lines": "lines", "mean": "mean training photo", "painted": "painted"}


def evaluate(task: Task) -> Report:
    """Score a pix2pix weight by the protocol above."""
    rows: list[Row] = []
    vectors: dict[str, list[np.ndarray]] = {}
    sheet: list[list[np.ndarray]] = []
    mean = np.rint(np.mean(task.reference, axis=0)).astype(np.uint8) if task.reference else None
    starts = range(0, len(task.samples), metrics.BATCH)
    for start in tqdm(starts, desc="scoring", unit="batch", disable=None):
        cases = [open_case(one) for one in task.samples[start : start + metrics.BATCH]]
        batch: list[Row] = [{} for _ in cases]
        painted = [task.run(Drawing(lines=case.lines)).pictures[0] for case in cases]
        shown = {"lines": [show_lines(case.lines) for case in cases]}
        shown |= {} if mean is None else {"mean": [mean] * len(cases)}
        shown |= {"painted": painted}
        for condition, pictures in shown.items():
            score_pairs(task, batch, condition, pictures, cases)
        for condition, pictures in (
            ("painted", painted),
            ("photo", [case.photo for case in cases]),
        ):
            vectors.setdefault(condition, []).append(task.features.pooled(pictures))
        for case, lines, picture in zip(cases, shown["lines"], painted, strict=True):
            if len(sheet) < SHEET_PICTURES:
                sheet.append([case.photo, lines, picture])
        rows += batch
    sets = score_sets(task, {key: np.concatenate(parts) for key, parts in vectors.items()})
    means = summarize(rows)
    table = [
        [title]
        + [show_mean(means[f"{condition}.{measure}"]) for measure in MEASURES]
        + show_sets(sets, condition)
        for condition, title in TITLES.items()
        if f"{condition}.lpips" in means
    ]
    if sets:
        table.append(["floor: photos", *[""] * len(MEASURES), *show_sets(sets, "photo")])
    return Report(
        names=[sample.name for sample in task.samples],
        rows=rows,
        scores=collect_scores(
            {name: middle for name, (middle, _, _) in means.items()}, sets, pictures=len(rows)
        ),
        tables=f"{tell_lines(task)} 95 % bootstrap intervals of the means in brackets.\n\n"
        + write_table(["", *(BETTER[key] for key in (*MEASURES, *SET_MEASURES))], table),
        sheets={"sheet.png": tile(sheet)},
    )


def answer(task: Task, sample: Sample, number: int) -> np.ndarray:
    """Return what the weight paints of a sample's lines; see :mod:`train.protocols.memory`."""
    return task.run(Drawing(lines=open_case(sample).lines)).pictures[0]
