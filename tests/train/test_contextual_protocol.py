"""The protocol of Contextual GAN, on answers that are known before."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from toy_judge import Distance

from s2i import image
from s2i.methods.base import Drawing, Result
from s2i.methods.contextual import Contextual
from train.data import Sample
from train.protocols import base, contextual

SIZE_PX, COUNT = 32, 18


def make_sample(number: int) -> Sample:
    """Return a disc on a colored ground: its outline is the drawing."""
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    away = np.hypot(y - 12 - number % 5, x - 12 - number % 7)
    photo = np.where((away < 9)[..., None], (220, 180, 150), (20 + 9 * number, 90, 160))
    lines = np.where(np.abs(away - 9) < 1, 0, 255).astype(np.uint8)
    return Sample(
        photo=photo.astype(np.uint8), lines=lines, mask=None, label=None, name=f"{number}"
    )


class Painter:
    """Answers with the photo, the darker the less effort; notes what it was asked."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples, self.asked = samples, []

    def _answer(self, lines: np.ndarray) -> np.ndarray:
        away = [np.abs(lines.astype(int) - one.lines).mean() for one in self.samples]
        return self.samples[int(np.argmin(away))].photo

    def __call__(self, drawing: Drawing, **controls: object) -> Result:
        self.asked.append((drawing.lines, controls))
        error = {(1, 0): 30, (1, None): 20, (None, None): 10, (1, 1000): 24}
        move = error[controls.get("count"), controls.get("steps")]
        photo = self._answer(drawing.lines)
        return Result(pictures=(np.maximum(photo, move) - np.uint8(move),))

    def act(self, name: str, photos: tuple[np.ndarray, ...], **controls: object) -> Result:
        assert name == "photo_to_sketch"
        lines = next(one.lines for one in self.samples if np.array_equal(one.photo, photos[0]))
        return Result(pictures=(base.show_lines(lines), photos[0]))


@pytest.fixture(scope="module")
def scored() -> tuple[Painter, base.Report]:
    samples = [make_sample(number) for number in range(COUNT)]
    painter = Painter(samples)
    torch.manual_seed(0)
    task = base.Task(
        run=painter,
        act=painter.act,
        method=Contextual(width=4, latent=8, size_px=SIZE_PX).eval(),
        samples=samples,
        reference=[make_sample(30 + number).photo for number in range(8)],
        training=[make_sample(30 + number) for number in range(8)],
        lpips=Distance(),
        features=Distance(),
        beside={"other": lambda drawing: Result(pictures=(base.show_lines(drawing.lines),))},
    )
    return painter, contextual.evaluate(task)


def test_every_answer_is_scored_and_ranked_by_its_error(scored):
    scores = scored[1].scores
    answers = ("default", "fast", "seed", "guess")
    errors = [scores[f"clean.{name}.psnr"] for name in answers]
    assert errors == sorted(errors, reverse=True)
    assert scores["clean.inversion.psnr"] < scores["clean.default.psnr"]  # an untrained network's
    assert scores["clean.photo.kid"] < scores["clean.other.kid"]
    assert scores["distorted.other.lpips"] > 0 and scores["pictures"] == COUNT
    json.dumps(scores, allow_nan=False)


def test_the_way_back_is_compared_with_random_and_nearest(scored):
    scores = scored[1].scores
    assert scores["sketch.found.lpips"] == 0
    assert scores["sketch.random.lpips"] > scores["sketch.neighbor.lpips"] > 0


def test_the_distorted_lines_are_those_that_were_searched(scored):
    painter, _ = scored
    seen = {lines.tobytes() for lines, _ in painter.asked}
    for number, sample in enumerate(painter.samples):
        case = contextual.distort(base.open_case(sample), seed=0, number=number)
        assert case.lines.tobytes() in seen and sample.lines.tobytes() in seen
    assert len(seen) > 1.5 * COUNT  # a disc in one piece may move by nothing


def test_tables_and_sheets(scored):
    report = scored[1]
    clean, distorted, back = (part.splitlines() for part in report.tables.split("\n\n")[1:])
    assert len(clean) == 2 + 9 and len(distorted) == 2 + 3 and len(back) == 2 + 3
    assert "mean training photo" in clean[2] and "floor" in clean[-1]
    assert clean[-2].startswith("| random pairs | 18 |") and "nan" not in clean[-2]
    assert report.sheets["clean.png"].shape[1] == 8 * (SIZE_PX + 2)
    assert report.sheets["distorted.png"].shape[1] == 5 * (SIZE_PX + 2)
    assert all(image.encode_png(sheet) for sheet in report.sheets.values())
