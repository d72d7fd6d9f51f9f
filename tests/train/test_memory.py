"""Training pictures that come back are caught; new ones, and plain ones, are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_judge import Distance

from s2i import image
from s2i.methods import METHODS
from s2i.methods.base import Result
from train.data import Sample
from train.protocols import PROTOCOLS, base, memory

SIZE_PX = 32


def make_photo(number: int) -> np.ndarray:
    small = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    return image.resize(small, (SIZE_PX, SIZE_PX))


def make_samples(numbers: range) -> list[Sample]:
    return [
        Sample(photo=make_photo(number), lines=None, mask=None, label=None, name=f"{number}")
        for number in numbers
    ]


@pytest.fixture
def task():
    return base.Task(
        run=lambda drawing: Result(pictures=()),
        samples=make_samples(range(1000, 1100)),
        reference=[],
        lpips=Distance(),
        features=Distance(),
        training=make_samples(range(150)),
    )


REPORT = base.Report(names=["a"], rows=[{}], scores={"lpips": 0.5}, tables="| table |")
GREY = np.full((SIZE_PX, SIZE_PX, 3), 128, np.uint8)


def spoil(photo: np.ndarray, number: int) -> np.ndarray:
    noise = np.random.default_rng(number).normal(0, 6, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "answer, is_near, is_copied",
    [
        (lambda task, sample, number: spoil(make_photo(number % 150), number), True, True),
        (lambda task, sample, number: make_photo(number % 150)[:, ::-1], True, True),
        (lambda task, sample, number: make_photo(5000 + number), False, False),
        (lambda task, sample, number: spoil(GREY, number), True, False),
    ],
    ids=["training pictures, noisy", "mirrored", "new ones", "plain grey"],
)
def test_who_gives_training_pictures_back(task, answer, is_near, is_copied):
    report = memory.add_memory(REPORT, task, answer)
    scores = report.scores
    assert scores["lpips"] == 0.5 and scores["memorised.pictures"] == 64
    assert (scores["memorised.near"] > 0.9) if is_near else (scores["memorised.near"] < 0.1)
    assert (scores["memorised.copies"] > 0.9) if is_copied else (scores["memorised.copies"] < 0.1)
    assert report.tables.startswith("| table |\n\n| to the training pictures |")
    assert memory.show_share(scores, "copies") in report.tables
    assert report.sheets["memorised.png"].shape == (16 * (SIZE_PX + 2), 2 * (SIZE_PX + 2), 3)


def test_the_sheet_shows_the_picture_that_came_back(task):
    """The seventh test picture is answered by a mirrored training picture, the others are new."""

    def answer(task, sample, number):
        return make_photo(77)[:, ::-1] if sample.name == "1007" else make_photo(5000 + number)

    few = [sample for sample in task.samples if int(sample.name) < 1020]
    report = memory.add_memory(REPORT, replace(task, samples=few), answer)
    assert report.scores["memorised.pictures"] == 20
    assert report.scores["memorised.copies"] == pytest.approx(0.05)
    first = report.sheets["memorised.png"][:SIZE_PX]
    assert (first[:, :SIZE_PX] == make_photo(77)[:, ::-1]).all()
    assert (first[:, SIZE_PX + 2 : 2 * SIZE_PX + 2] == make_photo(77)[:, ::-1]).all()


def test_what_cannot_be_asked_is_left_out(task):
    nothing = replace(task, training=task.training[:1])
    assert memory.add_memory(REPORT, nothing, lambda *_: GREY) is REPORT
    half = memory.add_memory(
        REPORT, task, lambda task, sample, number: GREY if int(sample.name) % 2 else None
    )
    assert 0 < half.scores["memorised.pictures"] < 64


def test_every_painter_is_asked():
    painters = {method.name for method in METHODS if "lines" in method.reads}
    assert painters == {name for name, each in PROTOCOLS.items() if hasattr(each, "answer")}
    assert "pirec" in painters and "image2sketch" not in painters
