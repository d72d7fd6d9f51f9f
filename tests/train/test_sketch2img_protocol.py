"""The protocol of Sketch2Img, on answers that are known before."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from toy_judge import Distance

from s2i import edges, image, metrics, weights
from s2i.errors import S2IError
from s2i.methods.base import Drawing, Result
from s2i.methods.sketch2img import Sketch2Img
from train import evaluate
from train.data import Sample
from train.protocols import base, sketch2img

SIZE_PX, EACH = 48, 12
COLORS = {
    "bar": (60, 90, 220),
    "disc": (220, 60, 60),
    "square": (60, 190, 80),
    "tall": (90, 80, 90),
}
SIDES = {"bar": (1.9, 0.8), "disc": (1.6, 1.6), "square": (1.6, 1.6), "tall": (0.8, 1.9)}


def draw_shape(label: str, number: int, *, size_px=SIZE_PX, radius=SIZE_PX / 5, at=None):
    """Return where the thing is: (size_px, size_px) bool."""
    rng = np.random.default_rng((sorted(COLORS).index(label), number))
    half = np.array(SIDES[label]) * radius * rng.uniform(0.7, 1) * rng.uniform(0.9, 1.1, 2)
    center = np.array(at or (size_px / 2 + rng.uniform(-3, 3, 2)))
    y, x = np.mgrid[:size_px, :size_px]
    away = np.stack([np.abs(x - center[0]), np.abs(y - center[1])]) / half[:, None, None]
    return np.hypot(*away) < 1 if label == "disc" else away.max(0) < 1


def make_sample(label: str, number: int) -> Sample:
    inside = draw_shape(label, number)
    shade = np.random.default_rng(number).integers(-25, 26, 3)
    photo = np.where(inside[..., None], np.clip(COLORS[label] + shade, 0, 255), 250)
    return Sample(
        photo=photo.astype(np.uint8), lines=None, mask=None, label=label, name=f"{label}/{number}"
    )


def make_sketch(label: str, number: int, *, source: str = "people", size_px: int = 80):
    """Return an outline in the upper left quarter of a page."""
    small = draw_shape(label, number, size_px=size_px, radius=9, at=(24, 26)).astype(np.uint8)
    lines = 255 - 255 * cv2.morphologyEx(small, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    return base.Sketch(lines=lines, label=label, name=f"{source}/{label}_{number}.png")


class Painter:
    """Fills what the lines enclose with the color of the class, a little else for each seed."""

    def __init__(self, **swaps: str) -> None:
        self.swaps, self.asked = swaps, []

    def __call__(self, drawing: Drawing, *, label="disc", count=1, seed=0) -> Result:
        self.asked.append((drawing.lines, label, count, seed))
        color = COLORS[self.swaps.get(label, label)]
        return Result(
            pictures=tuple(self.fill(drawing.lines, color, seed + i) for i in range(count))
        )

    def fill(self, lines: np.ndarray, color: tuple, seed: int) -> np.ndarray:
        filled = np.pad((lines < 128).astype(np.uint8), 1)
        cv2.floodFill(filled, None, (0, 0), 2)
        inside = filled[1:-1, 1:-1] != 2
        shade = np.array([11, 17, 23]) * seed % 51 - 25
        return np.where(inside[..., None], np.clip(color + shade, 0, 255), 250).astype(np.uint8)


class Stubborn(Painter):
    def fill(self, lines: np.ndarray, color: tuple, seed: int) -> np.ndarray:
        return super().fill(lines, color, 0)


class Collapsed(Painter):
    def fill(self, lines: np.ndarray, color: tuple, seed: int) -> np.ndarray:
        return np.full((*lines.shape, 3), 3, np.uint8)


def guess(lines: np.ndarray) -> list[tuple[str, float]]:
    return [(label, 0.25) for label in COLORS]


def make_task(painter: Painter, **options) -> base.Task:
    return base.Task(
        **{
            "run": painter,
            "method": SimpleNamespace(kwargs={"classes": list(COLORS)}, guess=guess),
            "samples": [make_sample(label, n) for label in COLORS for n in range(EACH)],
            "reference": [],
            "training": [make_sample(label, 50 + n) for label in COLORS for n in range(EACH)],
            "lpips": Distance(),
            "features": Distance(),
            "sketches": [make_sketch(label, n) for label in COLORS for n in range(3)],
            **options,
        }
    )


@pytest.fixture(scope="module")
def filled() -> tuple[Painter, base.Task, base.Report]:
    painter = Painter()
    other = Painter(bar="disc", disc="bar", square="tall", tall="square")
    task = make_task(painter, beside={"other": lambda drawing: other(drawing, label="square")})
    return painter, task, sketch2img.evaluate(task)


def test_the_right_color_in_the_right_place_has_the_best_scores(filled):
    scores = filled[2].scores
    assert scores["pictures"] == 4 * EACH
    assert scores["photo.in_class"] == scores["painted.in_class"] == 1
    assert scores["in_class.ratio"] == 1
    assert scores["photo.found"] == 1 and scores["painted.found"] > 0.9
    assert scores["chance.found"] == pytest.approx(0.1)
    assert scores["painted.lpips"] < scores["other.lpips"]
    assert scores["other.in_class"] == 0.25, "it makes everything tall"
    assert abs(scores["floor.kid"]) < scores["other.kid"] and (
        scores["painted.kid"] < scores["other.kid"]
    )
    assert 0.2 < scores["diversity.ratio"] < 2
    assert scores["people.in_class"] == 1
    failures = [scores[f"painted.{kind}"] for kind in ("black", "flat", "equal_seeds")]
    assert failures == [0, 0, 0]
    json.dumps(scores, allow_nan=False)


def test_the_class_is_told_and_every_sketch_has_its_own_seed(filled):
    painter, task, _ = filled
    single = [(label, seed) for _, label, count, seed in painter.asked if count == 1]
    assert single == [(one.label, number) for number, one in enumerate(task.samples)]
    several = [seed for _, _, count, seed in painter.asked if count == sketch2img.SEEDS]
    assert several == [EACH * kind + n for kind in range(4) for n in range(5)]
    lines = painter.asked[0][0]
    assert np.array_equal(lines, edges.find_lines(task.samples[0].photo))


def test_guesses_are_counted_at_first_and_among_three(filled):
    scores = filled[2].scores
    for who in ("guess", "people"):
        assert scores[f"{who}.top1"] == 0.25 and scores[f"{who}.top3"] == 0.75


def test_one_answer_to_every_seed_has_no_diversity():
    scores = sketch2img.evaluate(make_task(Stubborn())).scores
    assert scores["diversity.painted"] == scores["diversity.ratio"] == 0
    assert scores["diversity.photo"] > 0.01
    assert scores["painted.equal_seeds"] == 4 * 5
    assert scores["painted.in_class"] == 1 and scores["painted.found"] > 0.9


def test_black_pages_are_counted_and_found_nowhere():
    report = sketch2img.evaluate(make_task(Collapsed()))
    scores, everything = report.scores, 4 * EACH + 4 * 5 * sketch2img.SEEDS
    assert scores["painted.black"] == scores["painted.flat"] == everything
    assert scores["painted.equal_sketches"] == 4 * EACH - 1
    assert scores["painted.found"] == 0 and scores["painted.in_class"] <= 0.25
    assert f"| black | {everything} | 0 |" in report.tables


def test_people_are_averaged_over_the_classes_and_sources():
    sketches = [make_sketch("disc", n, source="a") for n in range(6)]
    sketches += [make_sketch("tall", n, source="b") for n in range(2)]
    task = make_task(Painter(tall="bar"), sketches=[*sketches, make_sketch("bar", 1, source="b")])
    report = sketch2img.evaluate(task)
    scores = report.scores
    assert scores["people.in_class"] == pytest.approx(2 / 3, abs=1e-4)
    assert scores["people.a.in_class"] == 1 and scores["people.b.in_class"] == 0.5
    assert report.names[-1] == "b/bar_1.png" and report.rows[-3]["people.in_class"] == 0
    assert np.isnan(report.rows[0]["people.in_class"]) and "people.in_class" in report.rows[0]
    (row,) = (line for line in report.tables.splitlines() if line.startswith("| tall |"))
    assert row == "| tall | 12 | 1.00 | 0.00 | 1.00 | 2 | 0.00 | 0.00 | 0.00 |"
    without = sketch2img.evaluate(make_task(Painter(), sketches=[]))
    assert not any(name.startswith("people.") for name in without.scores)
    assert list(without.sheets) == ["sheet.png"]


def test_other_classes_are_left_out():
    strange = Sample(
        photo=make_sample("disc", 0).photo, lines=None, mask=None, label="cow", name=""
    )
    few = [make_sample("disc", n) for n in range(3)]
    report = sketch2img.evaluate(make_task(Painter(), samples=[strange, *few], sketches=[]))
    assert report.names == ["disc/0", "disc/1", "disc/2"]
    assert "3 pictures of 1 classes (1 of others left out)" in report.tables
    assert "kid" not in " ".join(report.scores)
    assert report.scores["chance.found"] == pytest.approx(1 / 3, abs=1e-4)
    with pytest.raises(S2IError, match=r"no test picture has a class .* bar, disc, square, tall"):
        sketch2img.evaluate(make_task(Painter(), samples=[strange]))
    with pytest.raises(S2IError, match="no training photo has a class"):
        sketch2img.evaluate(make_task(Painter(), training=[strange]))


def test_sheets_have_a_line_a_class(filled):
    _, task, report = filled
    step = SIZE_PX + 2
    assert report.sheets["sheet.png"].shape == (4 * step, (1 + 2 * (2 + 4 + 1)) * step, 3)
    photo = report.sheets["sheet.png"][:SIZE_PX, 2 * step : 2 * step + SIZE_PX]
    assert np.array_equal(photo, task.samples[0].photo)
    step = 96 + 2
    people = report.sheets["people.png"]
    assert people.shape == (4 * step, (1 + 3 * 5) * step, 3)
    painted = people[:96, 2 * step : 2 * step + 96]
    assert np.abs(painted[48, 48] - np.array(COLORS["bar"])).max() < 30
    assert (people[:96, :96] < 128).any(), "the name"


# -- measures --------------------------------------------------------------------------------------


def test_the_judge_is_the_same_each_time_and_weighs_classes_alike():
    samples = [make_sample("disc", n) for n in range(30)] + [
        make_sample("tall", n) for n in range(3)
    ]
    task = make_task(Painter())
    first, second = (sketch2img.Judge(task, samples) for _ in range(2))
    assert torch.equal(first.layer.weight, second.layer.weight)
    fresh = [make_sample(label, 90 + n).photo for label in ("disc", "tall") for n in range(4)]
    assert first.name(fresh) == ["disc"] * 4 + ["tall"] * 4
    state = torch.random.get_rng_state()
    sketch2img.Judge(task, samples)
    assert torch.equal(state, torch.random.get_rng_state())


def test_line_distance_by_hand():
    def line(column: int) -> np.ndarray:
        page = np.full((100, 100), 255, np.uint8)
        page[:, column] = 0
        return page

    assert sketch2img.line_distance(line(20), line(20)) == 0
    assert sketch2img.line_distance(line(20), line(24)) == pytest.approx(0.04)
    assert sketch2img.line_distance(line(20), line(70)) == pytest.approx(0.1)
    both = np.minimum(line(20), line(70))
    assert sketch2img.line_distance(line(20), both) == pytest.approx((0 + 0.05) / 2)
    assert sketch2img.line_distance(both, line(20)) == sketch2img.line_distance(line(20), both)
    blank = np.full((100, 100), 255, np.uint8)
    assert sketch2img.line_distance(blank, both) == 0.1 and not sketch2img.line_distance(
        blank, blank
    )


def test_the_square_around_a_drawing_may_reach_beyond_the_page():
    lines = np.full((60, 100), 255, np.uint8)
    lines[0:8, 92:96] = 0  # 4 x 8 px: the square has 10, from row -1 and column 89
    picture = np.full((60, 100, 3), 255, np.uint8)
    picture[0:8, 92:96] = (200, 0, 0)
    cut = sketch2img.cut_drawing(picture, lines, 10)
    assert (cut[..., 1] == 0).sum() == 9 * 4  # the rim goes on one row above
    assert (cut[:9, 3:7] == (200, 0, 0)).all() and (cut[9] == 255).all()
    whole = sketch2img.cut_drawing(picture[:, :60], np.full((60, 60), 255, np.uint8), 60)
    assert np.array_equal(whole, picture[:, :60])


def test_failures_are_what_they_are_called():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (8, 8, 3), np.uint8)
    dark = rng.integers(0, 15, (8, 8, 3), np.uint8)
    grey = np.full((8, 8, 3), 120, np.uint8)
    assert [sketch2img.is_black(one) for one in (noise, dark, grey)] == [False, True, False]
    assert [sketch2img.is_flat(one) for one in (noise, dark, grey)] == [False, True, True]
    assert sketch2img.has_equals([noise, grey, grey]) and not sketch2img.has_equals([noise, grey])


# -- a network, from the command line --------------------------------------------------------------


def test_a_network_is_scored_from_several_folders(tmp_path, monkeypatch, capsys):
    """Two folders of pictures and two of drawings, one class with another name."""
    monkeypatch.setattr(metrics, "Lpips", Distance)
    monkeypatch.setattr(metrics, "Features", Distance)
    monkeypatch.setenv("S2I_DEVICE", "cpu")
    torch.manual_seed(0)
    method = Sketch2Img(classes=list(COLORS), width=8, size_px=32)
    path = weights.save(tmp_path / "run.safetensors", method, metadata={})
    for folder, labels in (("one", ("bar", "disc")), ("two", ("square", "tall"))):
        rows = ["path,class,split"]
        for label in labels:
            for number in range(6):
                name = f"{label}_{number}.png"
                image.write(tmp_path / folder / name, make_sample(label, number).photo)
                rows.append(f"{name},{label},{'train' if number < 3 else 'test'}")
        (tmp_path / folder / "meta.csv").write_text("\n".join(rows))
    for label, number in (("disc", 0), ("ball", 1), ("cow", 2)):
        sketch = make_sketch("disc", number)
        image.write(tmp_path / "own" / label / f"{number}.png", sketch.lines)
    image.write(tmp_path / "more" / "1.png", make_sketch("tall", 0).lines)
    image.write(tmp_path / "more" / "2.png", make_sketch("tall", 1).lines)
    (tmp_path / "more" / "meta.csv").write_text("path,class,split\n1.png,tall,val\n2.png,tall,test")
    arguments = [str(path), "--data", *(str(tmp_path / name) for name in ("one", "two"))]
    arguments += ["--sketches", str(tmp_path / "own"), str(tmp_path / "more"), "--limit", "8"]
    out = tmp_path / "out"
    assert evaluate.main([*arguments, "--alias", "ball=disc", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("8 pictures of 4 classes; lines: the data's own, else Canny's.")
    with (out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows[8:]] == ["own/ball/1.png", "own/disc/0.png", "more/2.png"]
    assert len({row["name"].rpartition("_")[0] for row in rows[:8]}) == 4, "the limit is spread"
    assert all(0 <= float(row["people.in_class"]) <= 1 for row in rows[8:])
    assert image.read_photo(out / "people.png").shape[0] == 2 * 98
    assert evaluate.main([*arguments, "--alias", "ball", "--out", str(out)]) == 2
    assert "--alias takes THEIRS=OURS" in capsys.readouterr().err


def test_the_known_aliases_are_those_of_the_drawings(tmp_path):
    for label in ("shoe", "jacket", "sweater", "hat"):
        image.write(tmp_path / label / "1.png", make_sketch("disc", 1).lines)
    found = evaluate.read_sketches([str(tmp_path)], "test", aliases=sketch2img.ALIASES)
    assert [one.label for one in found] == ["hat", "outwear", "shoes", "longsleeve"]
    (one,) = evaluate.read_sketches(
        [str(tmp_path)], "test", aliases=sketch2img.ALIASES, classes=["shoes", "cow"]
    )
    assert one.label == "shoes" and one.name == f"{tmp_path.name}/shoe/1.png"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    image.write(tmp_path / "hat" / "photo.png", noise)
    with pytest.raises(S2IError, match=r"'hat/photo.png' in .* line drawing"):
        evaluate.read_sketches([str(tmp_path)], "test")
