"""Auto-Painter's protocol on painters whose scores are known."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
from toy_judge import Distance

from s2i import metrics, palette
from s2i.methods.base import Result
from train import hands
from train.data import Sample
from train.protocols import autopainter, base

SIZE_PX = 96
RADIUS_PX = 30


def make_sample(number: int) -> Sample:
    """A disc of two colors before a flat background that covers 69 % of the picture."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX] - SIZE_PX // 2
    areas = np.where(np.hypot(y, x) > RADIUS_PX, 0, np.where(x < 0, 1, 2))
    colors = random.permutation([[40, 90, 200], [200, 60, 50], [90, 170, 60]])
    photo = (colors + random.integers(-15, 16, (3, 3)))[areas].astype(np.uint8)
    lines = np.where(cv2.Laplacian(areas.astype(np.uint8), cv2.CV_16S) != 0, 0, 255)
    lines[-1, number] = 0  # tells samples apart
    return Sample(
        photo=photo, lines=lines.astype(np.uint8), mask=None, label=None, name=f"{number}"
    )


class Painter:
    """Knows every photo by its lines; floods each area with the color most dabbed there."""

    def __init__(self, samples):
        self.known = {sample.lines.tobytes(): sample.photo for sample in samples}

    def __call__(self, drawing):
        return Result(pictures=(self.paint(self.known[drawing.lines.tobytes()], drawing.colors),))

    def paint(self, photo, colors):
        regions = palette.find_regions(photo)
        picture = photo.copy()
        for label in range(regions.max() + 1):
            dabbed = colors[(regions == label) & (colors[..., 3] > 0)][:, :3]
            if len(dabbed):
                found, counts = np.unique(dabbed, axis=0, return_counts=True)
                picture[regions == label] = found[counts.argmax()]
        return picture


class Memory(Painter):
    """Paints the photo, whatever the hints."""

    def paint(self, photo, colors):
        return photo.copy()


class Stamp(Painter):
    """Grey, and the dabs as they are."""

    def paint(self, photo, colors):
        return np.where(colors[..., 3:] > 0, colors[..., :3], np.uint8(128))


class Grey(Painter):
    def paint(self, photo, colors):
        return np.full_like(photo, 128)


class Leak(Painter):
    """Floods, and lets a quarter of the mean color into the whole picture."""

    def paint(self, photo, colors):
        picture = super().paint(photo, colors)
        return np.rint(0.75 * picture + 0.25 * picture.mean((0, 1))).astype(np.uint8)


class Elsewhere(Painter):
    """The figure before another background."""

    def paint(self, photo, colors):
        y, x = np.mgrid[:SIZE_PX, :SIZE_PX] - SIZE_PX // 2
        return np.where((np.hypot(y, x) > RADIUS_PX)[..., None], np.uint8(7), photo)


def make_task(painter=Painter, *, count: int = 3, reference: int = 3) -> base.Task:
    samples = [make_sample(number) for number in range(count)]
    return base.Task(
        run=painter(samples),
        samples=samples,
        reference=[make_sample(50 + number).photo for number in range(reference)],
        lpips=Distance(),
        features=Distance(),
    )


def score(painter=Painter, **options) -> dict[str, float]:
    return autopainter.evaluate(make_task(painter, **options)).scores


def test_the_perfect_painter_is_the_photo():
    report = autopainter.evaluate(make_task(Memory))
    for count in (0, 5, 20):
        for measure, best in (("lpips", 0), ("figure_lpips", 0), ("ssim", 1)):
            assert report.scores[f"hints_{count}.{measure}"] == pytest.approx(best, abs=1e-3)
    assert "hints_0.psnr" not in report.scores  # infinite
    assert report.scores["lines.lpips"] > 0.1 and report.scores["spread.lpips"] > 0
    assert report.scores["hints_20.kid"] == report.scores["photo.kid"]
    assert report.scores["pictures"] == 3
    json.dumps(report.scores, allow_nan=False)


def test_flooding_obeys_every_hint_and_spills_nothing():
    scores = score()
    for count in (5, 20):
        for condition in ("hints", "turned", "photo"):
            assert scores[f"{condition}_{count}.hint_error"] < 1
    assert scores["spill.inside"] > 20
    assert scores["spill.outside"] < 0.1  # the domain's corners are rounder than the photo's
    assert scores["spill.ratio"] > 1000 and scores["spill.median_ratio"] > 1000
    spill = [{"spill.inside": 20.0, "spill.outside": 0.0}, {"spill.inside": 0, "spill.outside": 0}]
    assert autopainter._find_median_ratio(spill) == np.inf


def test_a_painter_that_ignores_hints_errs_when_they_are_turned():
    scores = score(Memory)
    assert scores["hints_20.hint_error"] < 1 and scores["turned_20.hint_error"] > 30
    assert scores["spill.inside"] == scores["spill.outside"] == 0
    assert not any(name.startswith("spill") and "ratio" in name for name in scores)


def test_stamping_the_dabs_earns_nothing():
    stamped, grey = score(Stamp), score(Grey)
    for name in ("hints_5", "hints_20", "turned_5", "turned_20"):
        assert stamped[f"{name}.hint_error"] == grey[f"{name}.hint_error"] > 20
    assert stamped["spill.inside"] == 0


def test_a_leak_is_measured():
    rows = autopainter.evaluate(make_task(Leak)).rows
    scores = score(Leak)
    inside, outside = (
        np.array([row[f"spill.{where}"] for row in rows]) for where in ("inside", "outside")
    )
    assert (outside > 0.3).all() and (inside > 3 * outside).all()
    assert scores["spill.ratio"] == pytest.approx(inside.sum() / outside.sum(), abs=1e-4)
    assert scores["spill.median_ratio"] == pytest.approx(np.median(inside / outside), abs=1e-4)
    assert scores["spill.ratio_low"] <= scores["spill.ratio"] <= scores["spill.ratio_high"]


def test_figure_lpips_does_not_see_the_background():
    scores = score(Elsewhere)
    assert scores["hints_20.lpips"] > 0.2
    assert scores["hints_20.figure_lpips"] < 0.03
    assert scores["hints_20.lpips_ratio"] == 1


def test_the_ratio_of_hints_to_none_is_that_of_the_means():
    class Halfway(Painter):
        def paint(self, photo, colors):
            step = 2 if colors[..., 3].any() else 8
            return photo ^ np.uint8(step)

    scores = score(Halfway)
    assert scores["hints_20.lpips_ratio"] == pytest.approx(0.25, abs=1e-3)
    assert scores["hints_20.lpips_ratio_low"] <= 0.25 <= scores["hints_20.lpips_ratio_high"] + 1e-3
    assert scores["hints_20.figure_lpips_ratio"] == pytest.approx(0.25, abs=0.01)


def test_the_largest_region_below_three_fifths_is_changed():
    case = autopainter._draw_case(make_sample(0), seed=0, number=0)
    label, place = autopainter._choose_region(case)
    share = (case.regions == label).mean()
    assert 0.1 < share < 0.2 and place.any()  # half of the disc, not the background
    assert (case.regions[place] == label).all()
    everywhere = dataclasses.replace(case, regions=np.zeros_like(case.regions))
    assert autopainter._choose_region(everywhere) == (-1, None)
    row = {}
    autopainter._score_spill(make_task(count=1), everywhere, row, case.photo)
    assert np.isnan(row["spill.inside"]) and np.isnan(row["spill.outside"])


def test_five_hints_are_the_first_of_twenty():
    case = autopainter._draw_case(make_sample(1), seed=3, number=1)
    domain = palette.color_domain(case.photo, colors=8, blur_px=2, soften_px=2)
    is_ink = case.lines < 128
    for count in (5, 20):
        random = np.random.default_rng([3, 1])
        layer, dabs = hands.dab_regions(domain, random, count=count, ink=is_ink)
        assert dabs == case.dabs[:count]
        assert not any(is_ink[dab.y, dab.x] for dab in dabs)
        assert (base.paint_dabs(case.lines.shape, dabs) == layer).all()


@pytest.mark.parametrize("color", [(70, 80, 120), (128, 128, 128), (90, 120, 100)])
def test_the_opposite_color_keeps_its_lightness(color):
    before, after = metrics.to_lab(np.array([color, autopainter.oppose_color(color)], np.uint8))
    assert np.hypot(*after[1:]) > 30
    assert abs(after[0] - before[0]) < 6
    assert before[1:] @ after[1:] <= 0.1


def test_the_same_questions_whatever_the_batches(monkeypatch):
    first = autopainter.evaluate(make_task(Leak))
    monkeypatch.setattr(metrics, "BATCH", 2)
    second = autopainter.evaluate(make_task(Leak))
    assert first.rows == second.rows and first.scores == second.scores
    assert first.tables == second.tables
    other = autopainter.evaluate(dataclasses.replace(make_task(Leak), seed=1))
    assert other.rows != first.rows


def test_the_sheet_shows_what_was_compared():
    task = make_task(count=2)
    sheet = autopainter.evaluate(task).sheets["sheet.png"]
    step = SIZE_PX + 2
    assert sheet.shape == (2 * step, 6 * step, 3)
    photo = task.samples[1].photo
    for across in (0, 2):  # without hints this painter shows the photo
        assert (
            sheet[step : step + SIZE_PX, across * step : across * step + SIZE_PX] == photo
        ).all()
    turned = sheet[step : step + SIZE_PX, 5 * step : 5 * step + SIZE_PX]
    assert metrics.ciede2000(metrics.to_lab(turned), metrics.to_lab(photo)).mean() > 20


def test_without_lines_xdog_draws_and_the_header_says_so():
    task = make_task(Grey)
    bare = dataclasses.replace(task.samples[0], lines=None)
    case = base.open_case(bare)
    assert 0.005 < (case.lines < 128).mean() < 0.3
    task = dataclasses.replace(
        task, samples=[bare, task.samples[1]], run=lambda _: Result(pictures=(bare.photo,))
    )
    tables = autopainter.evaluate(task).tables
    assert tables.startswith(
        "2 pictures; lines: the data's own, else XDoG (1 of 2 have their own)."
    )
    assert "floor" in tables
    tables = autopainter.evaluate(dataclasses.replace(task, lines="xdog", reference=[])).tables
    assert tables.startswith("2 pictures; lines: XDoG.") and "floor" not in tables


def test_ratios_of_nothing_and_of_zeros():
    def ratio(*pairs):
        return base.ratio_of([{"a": a, "b": b} for a, b in pairs], "a", "b")

    nan = float("nan")
    assert np.isnan(ratio((nan, 1), (1, nan))).all() and np.isnan(ratio((0, 0))).all()
    assert ratio((1, 0)) == (float("inf"),) * 3
    assert ratio((1, 2), (3, 2), (nan, 9))[0] == 1
    middle, low, high = ratio((1, 1), (2, 4), (3, 3), (2, 1))
    assert middle == pytest.approx(8 / 9) and low < middle < high
