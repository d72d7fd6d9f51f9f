"""Image to sketch's protocol on networks that are filters."""

import json

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from toy_judge import Distance

from s2i import edges, image
from s2i.errors import S2IError
from s2i.methods.image2sketch import Image2Sketch
from train.data import Sample
from train.protocols import base, image2sketch

SIZE_PX = 64


def make_sample(number):
    photo = np.full((SIZE_PX, SIZE_PX, 3), 180 - 5 * number, np.uint8)
    cv2.circle(photo, (30 + number, 34), 18, (200, 90, 40), -1, cv2.LINE_AA)
    lines = np.full((SIZE_PX, SIZE_PX), 255, np.uint8)
    cv2.circle(lines, (30 + number, 34), 18, 0, 2, cv2.LINE_AA)
    return Sample(photo, lines, None, None, f"{number}.png")


class Filter(nn.Module):
    """Draws by a function of the photo."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.weight = answer, nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return image.to_tensor(self.answer(image.to_picture(x[0])))[None] + self.weight


def make_task(answer, *, style="pencil", count=3):
    method = Image2Sketch(style=style, width=4)
    method.generator = Filter(answer)
    return base.Task(
        run=method.run,
        samples=[make_sample(number) for number in range(count)],
        reference=[],
        lpips=Distance(),
        features=Distance(),
        method=method,
    )


def test_the_filter_in_place_of_the_network_scores_as_the_filter():
    report = image2sketch.evaluate(make_task(edges.pencil))
    scores = report.scores
    assert scores["clean.network.l1"] == scores["clean.filter.l1"] == 0
    assert scores["clean.filter.ssim"] == pytest.approx(1, abs=1e-3)
    for condition in ("noise", "low_light", "clutter", "mixed"):
        for measure in ("l1", "ssim", "lpips"):
            network, alone = (scores[f"{condition}.{x}.{measure}"] for x in ("network", "filter"))
            assert network == alone
        assert scores[f"{condition}.filter.l1"] > 0
        assert scores[f"{condition}.network_to_filter"] == 1
    assert scores["noise.denoised.l1"] < scores["noise.filter.l1"]
    json.dumps(scores, allow_nan=False)


def test_a_network_that_knows_the_clean_photo_beats_the_filter():
    samples = [make_sample(number) for number in range(3)]

    def remember(photo):
        nearest = min(samples, key=lambda one: np.abs(one.photo.astype(int) - photo).mean())
        return edges.pencil(nearest.photo)

    scores = image2sketch.evaluate(make_task(remember)).scores
    assert scores["noise.network.lpips"] == scores["noise.network_to_filter"] == 0
    assert scores["noise.filter.lpips"] > 0


def test_the_same_questions_whatever_the_batches(monkeypatch):
    first = image2sketch.evaluate(make_task(edges.pencil))
    monkeypatch.setattr(image2sketch.metrics, "BATCH", 2)
    second = image2sketch.evaluate(make_task(edges.pencil))
    assert first.rows == second.rows
    assert set(first.sheets) == {
        f"sheet_{name}.png" for name in ("clean", "noise", "low_light", "clutter", "mixed")
    }
    for name, sheet in first.sheets.items():
        assert (sheet == second.sheets[name]).all()
        assert sheet.shape == (3 * (SIZE_PX + 2), 5 * (SIZE_PX + 2), 3)


def test_ink_stands_beside_edges_of_the_same_picture():
    report = image2sketch.evaluate(make_task(edges.find_lines, style="ink"))
    scores = report.scores
    assert scores["clean.network.lpips"] == scores["clean.canny.lpips"] > 0
    assert scores["clean.network_to_canny"] == 1
    assert {"clean.xdog.lpips", "clean.sketchify.ssim", "clean.page.l1"} <= set(scores)
    assert not any(name.startswith(("noise", "clean.filter")) for name in scores)
    assert "| clean | Canny |" in report.tables and "noise" not in report.tables
    bare = make_task(edges.find_lines, style="ink")
    bare.samples[0] = Sample(bare.samples[0].photo, None, None, None, "a.png")
    with pytest.raises(S2IError, match=r"'a.png' has no lines: ink is scored on pairs"):
        image2sketch.evaluate(bare)


def test_strokes_are_measured():
    lines = make_sample(0).lines
    row = image2sketch.measure_strokes(lines)
    assert row["covered"] > 0.95 and row["true"] > 0.95
    assert 1 <= row["count"] <= 3 and row["bytes"] > 100 and row["seconds"] > 0
    report = image2sketch.evaluate(make_task(lambda _: lines, style="ink"))
    assert report.scores["strokes.covered"] == pytest.approx(row["covered"], abs=1e-3)
    assert "| 3 | " in report.tables  # sketches traced
    blank = image2sketch.measure_strokes(np.full((40, 40), 255, np.uint8))
    assert np.isnan(blank["covered"]) and blank["count"] == 0


def test_ink_near_ink_by_hand():
    page = np.full((20, 20), 255, np.uint8)
    first, second = page.copy(), page.copy()
    first[5] = 0
    second[6, :10] = 0
    assert image2sketch.share_near(first, second) == pytest.approx(11 / 20)  # diagonals are 1.41
    assert image2sketch.share_near(second, first) == 1
    assert image2sketch.share_near(first, page) == 0


def test_noise_is_taken_away_and_a_clean_photo_stays():
    photo = make_sample(0).photo
    noisy = photo + np.random.default_rng(0).normal(0, 15, photo.shape)
    noisy = np.clip(noisy, 0, 255).astype(np.uint8)
    cleaned = image2sketch.denoise(noisy)
    away = [np.abs(one.astype(int) - photo).mean() for one in (noisy, cleaned)]
    assert away[1] < 0.7 * away[0]
    assert np.abs(image2sketch.denoise(photo).astype(int) - photo).mean() < 1.5
