"""MaskNet's protocol on finders that know the masks."""

import json

import numpy as np
import pytest
from toy_judge import Distance

from s2i.errors import S2IError
from s2i.methods.base import Result
from train.data import Sample
from train.protocols import base, masknet

SIZE_PX = 64
KINDS = ("cat", "cat", "thing", "street", "thing")


def make_sample(number, kind="thing"):
    rng = np.random.default_rng(number)
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    mask[12 + number : 40, 16 : 44 + number] = 255
    photo = np.where(mask[..., None] == 255, (200, 40, 40), (30, 90, 160))
    photo = np.clip(photo + rng.normal(0, 6, photo.shape), 0, 255).astype(np.uint8)
    return Sample(photo, None, mask, None, f"things/{kind}_{number:04d}.jpg")


def make_task(move=0, *, kinds=KINDS, training=4):
    samples = [make_sample(number, kind) for number, kind in enumerate(kinds)]
    known = {sample.photo.tobytes(): sample.mask for sample in samples}

    def run(drawing):
        mask = np.roll(known[drawing.photo.tobytes()], move, axis=1)
        return Result(pictures=(np.dstack([mask] * 3),))

    return base.Task(
        run=run,
        samples=samples,
        reference=[],
        lpips=Distance(),
        features=Distance(),
        training=[make_sample(number) for number in range(training)],
    )


def test_the_perfect_finder_has_all_and_trivial_answers_less():
    report = masknet.evaluate(make_task())
    scores = report.scores
    assert scores["network.iou"] == scores["network.boundary"] == 1
    areas = [(sample.mask == 255).mean() for sample in make_task().samples]
    assert scores["all.iou"] == pytest.approx(np.mean(areas), abs=1e-4)
    assert scores["all.iou"] < scores["mean.iou"] < 1
    assert scores["grabcut.iou"] > 0.95  # two colors
    assert 0.8 < scores["bound_28.iou"] < scores["bound_56.iou"] <= 1
    assert scores["network.iou.by_hand"] == scores["network.iou.cat"] == 1
    assert scores["pictures"] == 5
    json.dumps(scores, allow_nan=False)
    assert report.sheets["sheet.png"].shape == (5 * (SIZE_PX + 2), 4 * (SIZE_PX + 2), 3)


def test_a_moved_mask_loses_what_it_should():
    report = masknet.evaluate(make_task(4))
    for number, row in enumerate(report.rows):
        width = 28 + number
        assert row["network.iou"] == pytest.approx((width - 4) / (width + 4))
        assert 0.3 < row["network.boundary"] < 0.9  # two sides of four
    by_hand = [report.rows[at]["network.iou"] for at in (0, 1, 3)]
    assert report.scores["network.iou.by_hand"] == pytest.approx(np.mean(by_hand), abs=1e-4)


def test_tables_have_a_row_a_kind():
    tables = masknet.evaluate(make_task()).tables
    assert tables.startswith("5 pictures at 256 px")
    for start in (
        "| cat | 2 |",
        "| thing | 2 |",
        "| street | 1 |",
        "| by hand | 3 |",
        "| all | 5 |",
    ):
        assert tables.count(start) == 2
    alone = masknet.evaluate(make_task(kinds=("thing", "thing"), training=0))
    assert "by hand" not in alone.tables and "mean mask" not in alone.tables
    assert alone.tables.count("| all | 2 |") == 2 and "| thing |" not in alone.tables


def test_masks_by_hand():
    first = np.zeros((8, 8), bool)
    first[2:6, 2:6] = True
    assert masknet.iou(first, first) == masknet.boundary_score(first, first) == 1
    assert masknet.iou(first, ~first) == 0
    empty = np.zeros((8, 8), bool)
    assert masknet.iou(empty, empty) == masknet.boundary_score(empty, empty) == 1
    assert masknet.iou(first, empty) == masknet.boundary_score(first, empty) == 0
    assert (masknet.shrink_and_enlarge(first, 8) == first).all()


def test_grab_cut_is_the_same_on_every_run():
    photo = make_sample(1).photo
    assert (masknet.grab_cut(photo) == masknet.grab_cut(photo)).all()


def test_data_without_masks_is_one_sentence():
    task = make_task()
    sample = task.samples[0]
    task.samples[0] = Sample(sample.photo, None, None, None, "a.jpg")
    with pytest.raises(S2IError, match=r"'a.jpg' has no mask: MaskNet is scored"):
        masknet.evaluate(task)
