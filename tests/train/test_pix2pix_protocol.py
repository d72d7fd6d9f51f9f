"""pix2pix's protocol on a painter that knows the photos."""

import json

import numpy as np
import pytest
from toy_judge import Distance

from s2i.methods.base import Result
from train.data import Sample
from train.protocols import base, pix2pix

SIZE_PX = 48


def make_sample(number: int) -> Sample:
    photo = np.full((SIZE_PX, SIZE_PX, 3), 200 - number, np.uint8)
    photo[12:36, 12:36] = (180, 60, 20 + 10 * number)
    lines = np.full((SIZE_PX, SIZE_PX), 255, np.uint8)
    lines[11:37, 11:37] = 0
    lines[12:36, 12:36] = 255
    lines[-1, number] = 0
    return Sample(photo=photo, lines=lines, mask=None, label=None, name=f"{number}")


def make_task(move: int = 0, *, reference: int = 3) -> base.Task:
    samples = [make_sample(number) for number in range(3)]
    known = {sample.lines.tobytes(): sample.photo for sample in samples}
    return base.Task(
        run=lambda drawing: Result(pictures=(known[drawing.lines.tobytes()] - np.uint8(move),)),
        samples=samples,
        reference=[make_sample(5 + number).photo for number in range(reference)],
        lpips=Distance(),
        features=Distance(),
    )


def test_the_perfect_painter_is_the_photo():
    scores = pix2pix.evaluate(make_task()).scores
    assert scores["painted.lpips"] == scores["painted.figure_lpips"] == 0
    assert scores["painted.ssim"] == pytest.approx(1, abs=1e-3)
    assert "painted.psnr" not in scores  # infinite
    assert scores["painted.kid"] == scores["photo.kid"]
    assert scores["lines.lpips"] > 0.1 and scores["mean.lpips"] > 0
    assert scores["pictures"] == 3
    json.dumps(scores, allow_nan=False)


def test_the_trivial_answers():
    task = make_task(10)
    report = pix2pix.evaluate(task)
    mean = np.rint(np.mean(task.reference, axis=0)).astype(int)
    away = [np.abs(mean - sample.photo).mean() / 255 for sample in task.samples]
    assert np.allclose([row["mean.lpips"] for row in report.rows], away)
    assert np.allclose([row["painted.lpips"] for row in report.rows], [10 / 255] * 3)
    for row in report.rows:  # the white background differs from itself no more
        assert row["painted.figure_lpips"] < row["painted.lpips"]
    assert report.tables.count("\n| ") == 6  # two of the head, three conditions, the floor
    sheet = report.sheets["sheet.png"]
    assert sheet.shape == (3 * (SIZE_PX + 2), 3 * (SIZE_PX + 2), 3)
    assert (sheet[:SIZE_PX, :SIZE_PX] == task.samples[0].photo).all()


def test_no_training_photos_means_no_mean_and_no_distance_of_sets():
    report = pix2pix.evaluate(make_task(reference=0))
    assert not any(name.startswith("mean") or name.endswith("kid") for name in report.scores)
    assert "floor" not in report.tables and "mean training" not in report.tables
