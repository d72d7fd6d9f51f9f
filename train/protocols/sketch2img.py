"""Sketch2Img: pictures of a class from a sketch, one sketch giving many.

Test pictures, those of the classes that the weight knows; ``--limit`` spreads over them. Lines:
the data's own, else Canny's as PI-REC finds them; ``--lines xdog`` and ``xdog2x`` draw XDoG's. The
class is told. Picture i is asked for with the seed i and the page's other defaults; weights named
by ``--beside``, which read lines alone, answer the same lines.

- KID (kernel distance of pooled MobileNetV2 features, with its interval over resamplings of the
  answers) to the test photos; the floor is what as many training photos of the same classes score.
- *In class*: share of answers that a linear classifier names rightly. It is taught here, on the
  pooled MobileNetV2 features of all training photos, brought to the answers' size and then to
  128 px as the answers are; every class has the same weight, and it is always alike. Beside it the
  photos' own share, and the ratio of both, pictures drawn in pairs.
- LPIPS-alex to the photo.
- *Found*: share of answers that give their sketch away. The answer's Canny lines are compared with
  ten sketches of its class, its own among them, by the mean distance from each drawing's ink to
  the other's, both ways, none counted as more than a tenth of the side; its own must be nearest.
  Beside it the same of the true photos (with Canny's lines they are the sketch: 1), and chance.
- *Diversity*, first five pictures of each class: mean LPIPS-alex of all pairs among eight answers
  to one sketch (seeds i to i + 7), over that among eight random test photos of the class.
- Guess: share of sketches whose class the weight names first, or among its first three.
- Failures: answers that are black (99 % of all values below 16) or flat (no channel's values have a
  standard deviation of 6), and equal ones (two of the eight, or two of different sketches, differ
  by less than 0.5 of 255 on average); photos' beside them.

People's drawings, from ``--sketches``, are asked as they are, with the seeds 0 to 3. *In class* is
judged by the same classifier on the square around the drawing, whose longer side takes 85 % of it,
as mean over the four, for each class and as mean over the classes; guess as above. ``--alias`` says
what a class is called in the data (known: shoe, jacket, sweater).

Sheets: two test pictures of each class (sketch, photo, four seeds, weights beside), and five
people's drawings of each class with four seeds each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from s2i import edges, image, metrics
from s2i.errors import S2IError
from s2i.methods.base import Drawing
from train.data import Sample
from train.protocols.base import (
    BETTER,
    Headline,
    Mean,
    Report,
    Row,
    Sketch,
    Task,
    collect_scores,
    column,
    mean_of,
    open_case,
    ratio_of,
    show_lines,
    show_mean,
    summarize,
    tile,
    write_table,
)

SIZE_PX = 64
IS_SPREAD = True
ALIASES = {"shoe": "shoes", "jacket": "outwear", "sweater": "longsleeve"}
HEADLINES = (
    Headline(
        score="people.in_class",
        title="people's drawings in class ↑",
        beside={"photo.in_class": "real photos"},
    ),
    Headline(
        score="painted.in_class", title="in class ↑", beside={"photo.in_class": "real photos"}
    ),
    Headline(score="painted.kid", title=BETTER["kid"], beside={"floor.kid": "real photos"}),
)
SEEDS, SHOWN, CANDIDATES = 8, 4, 10
DIVERSE_PER_CLASS, TESTED_PER_CLASS, DRAWN_PER_CLASS = 5, 2, 5
FEWEST_FOR_KID = 5
JUDGED_PX = 128  # at 64 px MobileNetV2 names 5 in 100 photos fewer
PENALTY = 0.03  # of the classifier's squared weights
_DRAWN_TILE_PX = 96
_INK_SHARE = 0.85
_EQUAL = 0.5  # of 255: two pictures that differ by less on average are one
_FAR = 0.1  # of the side: no point of a line counts as further away
_OURS = "painted"
TITLES = {_OURS: "painted", "photo": "photos"}
Painter = Callable[[np.ndarray, str, int], np.ndarray]


@dataclass(frozen=True)
class Case:
    """One test picture, its lines and its class."""

    photo: np.ndarray
    lines: np.ndarray
    label: str
    name: str


def evaluate(task: Task) -> Report:
    """Score a Sketch2Img weight by the protocol above.

    Raises:
        S2IError: no test picture or no training photo has a class that the weight knows.
    """
    classes = tuple(task.method.kwargs["classes"])
    cases = [open_test(task, one) for one in task.samples if one.label in classes]
    training = [one for one in _watched(task.training, "reading photos") if one.label in classes]
    if not cases or not training:
        raise S2IError(
            f"no {'test picture' if training else 'training photo'} has a class that the weight "
            f"knows; these are {', '.join(classes)}."
        )
    judge = Judge(task, training)
    photos = [case.photo for case in cases]
    seeds = [task.seed + number for number in range(len(cases))]
    answers = {
        name: [
            paint(case.lines, case.label, seed)
            for case, seed in zip(_watched(cases, name), seeds, strict=True)
        ]
        for name, paint in _list_painters(task).items()
    }
    rows: list[Row] = [{} for _ in cases]
    rivals = [_choose_rivals(cases, number, seed=task.seed) for number in range(len(cases))]
    for name, pictures in (*answers.items(), ("photo", photos)):
        named = judge.name(pictures)
        away = task.lpips(pictures, photos)
        for number, (row, case) in enumerate(zip(rows, cases, strict=True)):
            row[f"{name}.in_class"] = float(named[number] == case.label)
            if name != "photo":
                row[f"{name}.lpips"] = float(away[number])
            found = _is_found(pictures[number], case, rivals[number])
            row[f"{name}.found"] = found
    for row, others in zip(rows, rivals, strict=True):
        row["chance.found"] = 1 / (len(others) + 1) if others else math.nan
    several = _score_diversity(task, cases, seeds, rows)
    for row, case in zip(rows, cases, strict=True):
        row |= _rank(task, case.lines, case.label, "guess")

    sketches = [one for one in task.sketches if one.label in classes]
    drawn = [_paint_sketch(task, one) for one in _watched(sketches, "people's drawings")]
    human = _score_sketches(task, judge, sketches, drawn)
    kids = _score_kids(task, cases, training, answers)
    means = summarize(rows)
    ratios = {
        "in_class": ratio_of(rows, f"{_OURS}.in_class", "photo.in_class"),
        "diversity": ratio_of(rows, "diversity.painted", "diversity.photo"),
    }
    counts = count_failures(answers[_OURS], several, photos)
    scores = {name: middle for name, (middle, _, _) in means.items()}
    scores |= {f"{name}.kid": middle for name, (middle, _, _) in kids.items()}
    scores |= {f"{name}.ratio": middle for name, (middle, _, _) in ratios.items()}
    scores |= {f"{_OURS}.{kind}": float(count) for kind, (count, _) in counts.items()}
    scores |= _score_people(sketches, human)
    rows = _fill([*rows, *human])
    return Report(
        names=[case.name for case in cases] + [one.name for one in sketches],
        rows=rows,
        scores=collect_scores(scores, {}, pictures=len(cases)),
        tables=_write_tables(task, cases, rows, means, ratios, kids, counts, sketches, human),
        sheets=_lay_out(task, cases, answers, seeds, sketches, drawn),
    )


def answer(task: Task, sample: Sample, number: int) -> np.ndarray | None:
    """Return what the weight paints of a sample's lines and class, None where it doesn't know it.

    See :mod:`train.protocols.memory`.
    """
    if sample.label not in task.method.kwargs["classes"]:
        return None
    case = open_test(task, sample)
    return _paint_several(task, case.lines, case.label, task.seed + number, count=1)[0]


def open_test(task: Task, sample: Sample) -> Case:
    """Return ``sample`` with its lines: see above."""
    lines = sample.lines
    if lines is None and task.lines == "given":
        lines = edges.find_lines(sample.photo)
    if lines is None:
        lines = open_case(sample).lines
    return Case(sample.photo, lines, str(sample.label), sample.name)


def _watched(items: Sequence, name: str) -> tqdm:
    return tqdm(items, desc=name, unit="picture", disable=None)


def _list_painters(task: Task) -> dict[str, Painter]:
    """Return how one picture comes from lines, a class and a seed, by the weight and each other."""

    def paint(lines: np.ndarray, label: str, seed: int) -> np.ndarray:
        return _paint_several(task, lines, label, seed, count=1)[0]

    others = {
        name: (lambda lines, label, seed, run=run: run(Drawing(lines=lines)).pictures[0])
        for name, run in task.beside.items()
    }
    return {_OURS: paint, **others}


def _paint_several(
    task: Task, lines: np.ndarray, label: str, seed: int, *, count: int
) -> tuple[np.ndarray, ...]:
    return task.run(Drawing(lines=lines), label=label, count=count, seed=seed).pictures


# -- measures --------------------------------------------------------------------------------------


class Judge:
    """A linear classifier of pooled features that has never seen what it judges.

    Multinomial logistic regression on standardised features, each class of the same weight, found
    by L-BFGS from zero: always the same for the same photos.
    """

    def __init__(self, task: Task, samples: Sequence[Sample]) -> None:
        """Learn from ``samples``, which all have a class."""
        self.features = task.features
        self.classes = sorted({str(one.label) for one in samples})
        vectors = self._look([one.photo for one in samples])
        self.mean, self.spread = vectors.mean(0), vectors.std(0) + 1e-6
        numbers = torch.tensor([self.classes.index(str(one.label)) for one in samples])
        counts = torch.bincount(numbers, minlength=len(self.classes)).double()
        self.layer = self._fit(self._standardize(vectors), numbers, 1 / counts)

    def _look(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        size = JUDGED_PX, JUDGED_PX
        batches = range(0, len(pictures), metrics.BATCH)
        return np.concatenate(
            [
                self.features.pooled(
                    [image.resize(one, size) for one in pictures[start : start + metrics.BATCH]]
                )
                for start in tqdm(batches, desc="classifier", unit="batch", disable=None)
            ]
        )

    def _standardize(self, vectors: np.ndarray) -> torch.Tensor:
        return torch.from_numpy((vectors - self.mean) / self.spread).double()

    @staticmethod
    def _fit(x: torch.Tensor, numbers: torch.Tensor, weights: torch.Tensor) -> torch.nn.Linear:
        size = x.shape[1], len(weights)
        layer = torch.nn.utils.skip_init(torch.nn.Linear, *size, dtype=torch.float64)
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        search = torch.optim.LBFGS(
            layer.parameters(), max_iter=200, line_search_fn="strong_wolfe", tolerance_change=1e-7
        )

        def closure() -> torch.Tensor:
            search.zero_grad()
            loss = F.cross_entropy(layer(x), numbers, weight=weights)
            loss = loss + PENALTY * layer.weight.square().sum()
            loss.backward()
            return loss

        with torch.enable_grad():
            search.step(closure)
        return layer.requires_grad_(False)

    def name(self, pictures: Sequence[np.ndarray]) -> list[str]:
        """Return the class that each picture shows."""
        chosen = self.layer(self._standardize(self._look(pictures))).argmax(1)
        return [self.classes[number] for number in chosen.tolist()]


def line_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return how far two drawings (H, W) lie apart, in shares of the side: 0 to 0.1.

    The mean distance of each one's ink to the other's, the mean of both ways, cut off at 0.1; a
    blank page is that far from every other.
    """
    most = _FAR * max(first.shape)
    is_ink = [lines < 128 for lines in (first, second)]
    if not is_ink[0].any() or not is_ink[1].any():
        return _FAR if is_ink[0].any() != is_ink[1].any() else 0.0
    means = []
    for here, there in (is_ink, is_ink[::-1]):
        away = cv2.distanceTransform((~there).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        means.append(np.minimum(away[here], most).mean())
    return float(np.mean(means)) / max(first.shape)


def _choose_rivals(cases: list[Case], number: int, *, seed: int) -> list[np.ndarray]:
    """Return the lines of up to nine others of the class of case ``number``."""
    others = [
        index
        for index, case in enumerate(cases)
        if case.label == cases[number].label and index != number
    ]
    rng = np.random.default_rng((seed, number))
    return [cases[index].lines for index in rng.permutation(others)[: CANDIDATES - 1]]


def _is_found(picture: np.ndarray, case: Case, rivals: list[np.ndarray]) -> float:
    """Return 1 where the picture's lines are nearer to its own sketch than to any other, else 0."""
    if not rivals:
        return math.nan
    lines = edges.find_lines(picture)
    own = line_distance(lines, case.lines)
    return float(all(own < line_distance(lines, other) for other in rivals))


def _score_diversity(
    task: Task, cases: list[Case], seeds: list[int], rows: list[Row]
) -> list[tuple[np.ndarray, ...]]:
    """Add the diversity of answers and of photos to ``rows``; return the answers."""
    chosen = _take_per_class([case.label for case in cases], DIVERSE_PER_CLASS)
    several = []
    for number in _watched(chosen, "diversity"):
        case = cases[number]
        pictures = _paint_several(task, case.lines, case.label, seeds[number], count=SEEDS)
        several.append(pictures)
        rows[number]["diversity.painted"] = _measure_diversity(task, pictures)
        alike = [other.photo for other in cases if other.label == case.label]
        order = np.random.default_rng((task.seed, number)).permutation(len(alike))[:SEEDS]
        if len(order) > 1:
            rows[number]["diversity.photo"] = _measure_diversity(task, [alike[i] for i in order])
    return several


def _measure_diversity(task: Task, pictures: Sequence[np.ndarray]) -> float:
    pairs = list(itertools.combinations(pictures, 2))
    return float(np.mean(task.lpips(*(list(side) for side in zip(*pairs, strict=True)))))


def _take_per_class(labels: Sequence[str], count: int) -> list[int]:
    """Return the numbers of the first ``count`` of each class, class by class."""
    known = {
        label: [i for i, own in enumerate(labels) if own == label] for label in sorted({*labels})
    }
    return [number for numbers in known.values() for number in numbers[:count]]


def _rank(task: Task, lines: np.ndarray, label: str, name: str) -> Row:
    """Return whether the weight guesses the class, at first and among its first three."""
    with torch.no_grad():
        ranked = [guessed for guessed, _ in task.method.guess(lines)]
    place = ranked.index(label)
    return {f"{name}.top1": float(place < 1), f"{name}.top3": float(place < 3)}


def _score_kids(
    task: Task, cases: list[Case], training: list[Sample], answers: dict[str, list[np.ndarray]]
) -> dict[str, Mean]:
    """Return KID and its interval of every answer to the test photos; nothing of a few pictures."""
    if len(cases) < FEWEST_FOR_KID:
        return {}
    photos = task.features.pooled([case.photo for case in cases])
    sets = {name: task.features.pooled(pictures) for name, pictures in answers.items()}
    alike = match_classes([str(one.label) for one in training], [case.label for case in cases])
    if len(alike) >= FEWEST_FOR_KID:
        sets["floor"] = task.features.pooled([training[index].photo for index in alike])
    return {
        name: (metrics.kid(vectors, photos), *metrics.kid_interval(vectors, photos))
        for name, vectors in sets.items()
    }


def match_classes(labels: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return the numbers of as many of each class in ``labels`` as in ``wanted``, spread evenly.

    >>> match_classes(["a", "a", "b", "a", "a", "b"], ["a", "b", "a"])
    [0, 3, 2]
    """
    chosen = []
    for label in dict.fromkeys(wanted):
        known = [number for number, own in enumerate(labels) if own == label]
        count = min(len(known), wanted.count(label))
        chosen += [known[index * len(known) // count] for index in range(count)]
    return chosen


def is_black(picture: np.ndarray) -> bool:
    """Say whether 99 % of all values of a picture are below 16."""
    return bool((picture < 16).mean() >= 0.99)


def is_flat(picture: np.ndarray) -> bool:
    """Say whether no channel's values have a standard deviation of 6 or more."""
    return bool((picture.std((0, 1)) < 6).all())


def has_equals(pictures: Sequence[np.ndarray]) -> bool:
    """Say whether two pictures differ by less than 0.5 of 255 on average."""
    flat = np.stack([picture.ravel() for picture in pictures]).astype(np.float32)
    return any(
        bool((np.abs(flat[number + 1 :] - one).mean(1) < _EQUAL).any())
        for number, one in enumerate(flat[:-1])
    )


def count_failures(
    pictures: Sequence[np.ndarray],
    several: Sequence[Sequence[np.ndarray]],
    photos: Sequence[np.ndarray],
) -> dict[str, tuple[int, int]]:
    """Return how many pictures are black, flat or equal, and how many photos are.

    Args:
        pictures: one a sketch.
        several: more than one to each of some sketches.
        photos: real ones.
    """
    everything = [*pictures, *itertools.chain.from_iterable(several)]
    return {
        "black": (sum(map(is_black, everything)), sum(map(is_black, photos))),
        "flat": (sum(map(is_flat, everything)), sum(map(is_flat, photos))),
        "equal_seeds": (sum(map(has_equals, several)), 0),
        "equal_sketches": (_count_copies(pictures), _count_copies(photos)),
    }


def _count_copies(pictures: Sequence[np.ndarray]) -> int:
    """Return how many pictures differ by less than 0.5 on average from one before."""
    flat = np.stack([picture.ravel() for picture in pictures]).astype(np.float32)
    return sum(
        bool((np.abs(flat[:number] - flat[number]).mean(1) < _EQUAL).any())
        for number in range(1, len(flat))
    )


# -- people's drawings -----------------------------------------------------------------------------


def _paint_sketch(task: Task, sketch: Sketch) -> tuple[np.ndarray, ...]:
    return _paint_several(task, sketch.lines, str(sketch.label), 0, count=SHOWN)


def _score_sketches(
    task: Task, judge: Judge, sketches: list[Sketch], drawn: list[tuple[np.ndarray, ...]]
) -> list[Row]:
    """Return a row a sketch: the share of its answers in class, and whether it is guessed."""
    if not sketches:
        return []
    size_px = task.samples[0].photo.shape[0]
    cut = [
        cut_drawing(picture, sketch.lines, size_px)
        for sketch, pictures in zip(sketches, drawn, strict=True)
        for picture in pictures
    ]
    named = np.array(judge.name(cut)).reshape(len(sketches), -1)
    return [
        {"people.in_class": float((own == sketch.label).mean())}
        | _rank(task, sketch.lines, str(sketch.label), "people")
        for own, sketch in zip(named, sketches, strict=True)
    ]


def cut_drawing(picture: np.ndarray, lines: np.ndarray, size_px: int) -> np.ndarray:
    """Return the square of a picture (H, W[, 3]) around the ink of ``lines``, at ``size_px``.

    The ink's longer side takes 85 % of it; beyond the page the picture's rim goes on. All of a
    blank page is taken.
    """
    ink = (lines < 128).astype(np.uint8)
    x, y, across, down = cv2.boundingRect(ink if ink.any() else np.ones_like(ink))
    side = math.ceil(max(across, down) / (_INK_SHARE if ink.any() else 1))
    top, left = y + (down - side) // 2, x + (across - side) // 2
    height, width = lines.shape
    before = max(0, -top), max(0, -left)
    after = max(0, top + side - height), max(0, left + side - width)
    wide = cv2.copyMakeBorder(
        picture, before[0], after[0], before[1], after[1], cv2.BORDER_REPLICATE
    )
    top, left = top + before[0], left + before[1]
    return image.resize(wide[top : top + side, left : left + side], (size_px, size_px))


def _score_people(sketches: list[Sketch], human: list[Row]) -> dict[str, float]:
    """Return the means over the classes, of all drawings and of each source."""
    sources = {"people": human}
    for sketch, row in zip(sketches, human, strict=True):
        sources.setdefault(f"people.{_name_source(sketch)}", []).append(row)
    kept = {id(row): sketch for sketch, row in zip(sketches, human, strict=True)}
    return {
        f"{source}.{measure}": macro
        for source, rows in sources.items()
        for measure in ("in_class", "top1", "top3")
        if rows
        for macro in [
            average_classes(
                [row[f"people.{measure}"] for row in rows],
                [str(kept[id(row)].label) for row in rows],
            )
        ]
    }


def average_classes(values: Sequence[float], labels: Sequence[str]) -> float:
    """Return the mean over the classes of their means.

    >>> average_classes([1, 1, 1, 0], ["a", "a", "a", "b"])
    0.5
    """
    known = {
        label: [value for value, own in zip(values, labels, strict=True) if own == label]
        for label in labels
    }
    return float(np.mean([np.mean(own) for own in known.values()]))


def _name_source(sketch: Sketch) -> str:
    return sketch.name.partition("/")[0]


# -- tables and sheets -----------------------------------------------------------------------------


def _fill(rows: list[Row]) -> list[Row]:
    """Return rows that all have the same columns, NaN where nothing was measured."""
    columns = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    return [{name: row.get(name, math.nan) for name in columns} for row in rows]


def _write_tables(
    task: Task,
    cases: list[Case],
    rows: list[Row],
    means: Mapping[str, Mean],
    ratios: Mapping[str, Mean],
    kids: Mapping[str, Mean],
    counts: Mapping[str, tuple[int, int]],
    sketches: list[Sketch],
    human: list[Row],
) -> str:
    def show(mean: Mean | None, digits: int = 3) -> str:
        return show_mean(mean, digits=digits) if mean else ""

    body = [
        [
            TITLES.get(name, name),
            show(kids.get("floor" if name == "photo" else name)),
            *(show(means.get(f"{name}.{measure}")) for measure in ("in_class", "lpips", "found")),
        ]
        for name in (_OURS, *task.beside, "photo")
    ]
    body.append(["chance", "", "", "", show(means.get("chance.found"))])
    diversity = [
        [title, show(mean)]
        for title, mean in (
            ("answers to one sketch", means.get("diversity.painted")),
            ("photos of the class", means.get("diversity.photo")),
            ("ratio", ratios["diversity"]),
            ("in class: ratio to the photos", ratios["in_class"]),
            ("guess right at first", means.get("guess.top1")),
            ("guess right among three", means.get("guess.top3")),
        )
        if mean
    ]
    failures = [
        [title, f"{counts[kind][0]}", f"{counts[kind][1]}"]
        for kind, title in (
            ("black", "black"),
            ("flat", "flat"),
            ("equal_seeds", "sketches with two equal seeds"),
            ("equal_sketches", "equal to another sketch's"),
        )
    ]
    left = len(task.samples) - len(cases)
    drawn = "the data's own, else Canny's" if task.lines == "given" else "XDoG's"
    parts = [
        f"{len(cases)} pictures of {len({case.label for case in cases})} classes"
        + (f" ({left} of others left out)" if left else "")
        + f"; lines: {drawn}. 95 % bootstrap intervals in brackets.",
        write_table(
            ["test pictures", BETTER["kid"], "in class ↑", BETTER["lpips"], "found ↑"], body
        ),
        write_table(["diversity, guess", "↑"], diversity),
        write_table(["failures", "answers", "photos"], failures),
        _write_classes(cases, rows[: len(cases)], sketches, human),
    ]
    return "\n\n".join(parts)


def _write_classes(
    cases: list[Case], rows: list[Row], sketches: list[Sketch], human: list[Row]
) -> str:
    """Return a table with a line a class, and their mean."""
    tested = ("photo.in_class", f"{_OURS}.in_class", f"{_OURS}.found")
    asked = ("people.in_class", "people.top1", "people.top3")
    labels = [case.label for case in cases], [str(one.label) for one in sketches]
    body = []
    for label in sorted({*labels[0], *labels[1]}):
        cells = [label]
        for names, table, own in ((tested, rows, labels[0]), (asked, human, labels[1])):
            of_class = [row for row, at in zip(table, own, strict=True) if at == label]
            cells.append(f"{len(of_class)}")
            means = [mean_of(column(of_class, name))[0] for name in names]
            cells += ["" if math.isnan(mean) else f"{mean:.2f}" for mean in means]
        body.append(cells)
    every = ["mean of the classes"]
    for place, (table, own) in enumerate(((rows, labels[0]), (human, labels[1]))):
        every.append(f"{len(table)}")
        for name in (tested, asked)[place]:
            known = [(row[name], at) for row, at in zip(table, own, strict=True)]
            known = [(value, at) for value, at in known if not math.isnan(value)]
            every.append(f"{average_classes(*zip(*known, strict=True)):.2f}" if known else "")
    head = ["class", "pictures", "photos in class", "painted in class", "found"]
    head += ["people's drawings", "painted in class", "guess", "among three"]
    return write_table(head, [*body, every])


def _lay_out(
    task: Task,
    cases: list[Case],
    answers: dict[str, list[np.ndarray]],
    seeds: list[int],
    sketches: list[Sketch],
    drawn: list[tuple[np.ndarray, ...]],
) -> dict[str, np.ndarray]:
    """Return the sheets, a line a class, its name in front."""
    side_px = cases[0].photo.shape[0]
    tested: dict[str, list[np.ndarray]] = {}
    for number in _take_per_class([case.label for case in cases], TESTED_PER_CLASS):
        case = cases[number]
        painted = _paint_several(task, case.lines, case.label, seeds[number], count=SHOWN)
        others = [answers[name][number] for name in task.beside]
        tested.setdefault(case.label, []).extend(
            [show_lines(case.lines), case.photo, *painted, *others]
        )
    sheets = {"sheet.png": _tile_classes(tested, side_px)}
    people: dict[str, list[np.ndarray]] = {}
    for number in _take_per_class([str(one.label) for one in sketches], DRAWN_PER_CLASS):
        sketch = sketches[number]
        shown = [show_lines(cut_drawing(sketch.lines, sketch.lines, _DRAWN_TILE_PX))]
        shown += [cut_drawing(one, sketch.lines, _DRAWN_TILE_PX) for one in drawn[number]]
        people.setdefault(str(sketch.label), []).extend(shown)
    if people:
        sheets["people.png"] = _tile_classes(people, _DRAWN_TILE_PX)
    return sheets


def _tile_classes(classes: Mapping[str, list[np.ndarray]], side_px: int) -> np.ndarray:
    most = max(len(pictures) for pictures in classes.values())
    blank = np.full((side_px, side_px, 3), 255, np.uint8)
    rows = []
    for label, pictures in classes.items():
        title = blank.copy()
        (across, _), _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, 1, 1)
        scale = min(0.9 * side_px / across, 0.4 * side_px / 64)
        at = side_px // 20, side_px // 2
        cv2.putText(title, label, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA)
        rows.append([title, *pictures, *[blank] * (most - len(pictures))])
    return tile(rows)
