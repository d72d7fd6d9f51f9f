"""Toy: LPIPS-alex to the photo, beside that of the lines as they are."""

from __future__ import annotations

import numpy as np

from s2i.methods.base import Drawing
from train.data import Sample
from train.protocols.base import (
    BETTER,
    Headline,
    Report,
    Task,
    collect_scores,
    open_case,
    show_lines,
    show_mean,
    summarize,
    tile,
    write_table,
)

HEADLINES = (
    Headline(score="painted.lpips", title=BETTER["lpips"], beside={"lines.lpips": "the lines"}),
)


def evaluate(task: Task) -> Report:
    """Score a weight of Toy by the protocol above."""
    cases = [open_case(sample) for sample in task.samples]
    photos = [case.photo for case in cases]
    shown = {
        "lines": [show_lines(case.lines) for case in cases],
        "painted": [answer(task, sample, 0) for sample in task.samples],
    }
    away = {name: task.lpips(pictures, photos) for name, pictures in shown.items()}
    rows = [
        {f"{name}.lpips": float(own[index]) for name, own in away.items()}
        for index in range(len(cases))
    ]
    means = summarize(rows)
    return Report(
        names=[sample.name for sample in task.samples],
        rows=rows,
        scores=collect_scores(
            {name: mean[0] for name, mean in means.items()}, {}, pictures=len(rows)
        ),
        tables=write_table(
            ["", BETTER["lpips"]], [[name, show_mean(means[f"{name}.lpips"])] for name in shown]
        ),
        sheets={"sheet.png": tile([photos, *shown.values()])},
    )


def answer(task: Task, sample: Sample, number: int) -> np.ndarray:
    """Return what the weight paints of a sample's lines; see :mod:`train.protocols.memory`."""
    return task.run(Drawing(lines=open_case(sample).lines)).pictures[0]
