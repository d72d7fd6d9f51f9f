"""Auto-Painter: finished pictures from lines, and whether hints are obeyed.

Lines: the data's own, else XDoG, sigma 0.6 px; ``--lines`` chooses. Color domain: median 2, K 8,
median 2. Hints: 20 dabs of the domain's colors, radius 2 to 5 px, one region after the other
(:func:`train.hands.dab_regions`), never on ink; the first 5 of them; none.

Table 1: LPIPS-alex, SSIM and PSNR against the photo, and figure LPIPS, with the background painted
white in output and photo first, since no lines tell what is behind a figure. Where no background
is found it is LPIPS. Trivial answers: the *lines* as they are; *hints spread*, the 20 hints carried
through their regions under the lines, as a filter does it without a network. The ratios of 20 hints
to none are paired. KID and Fréchet distance on pooled MobileNetV2 features compare 0 and 20 hints
with as many training photos, spread evenly; the floor is what the photos of the split score there.

Table 2, are hints obeyed? Hint error: CIEDE2000 between a dab's color and the output, mean over the
region (one connected area of the domain) that the dab's center lies in, every dab grown by 4 px
left out; mean over the dabs that leave any of their region. *turned*: the hues of all dabs turned
by 120 degrees, measured against the turned colors. *photo*: the photo's own error with the true
colors.

Table 3, do they stay inside? Of 20 hints those in the largest region below 60 % of the picture get
another color: hue turned by 180 degrees in Lab, chroma at least 40, lightness kept. Change:
CIEDE2000 between the outputs before and after, mean over that region, all dabs grown by 4 px left
out, and over everything outside of it. The ratio of the two means over the pictures, and the median
of each picture's own ratio; pictures that don't change at all have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from tqdm import tqdm

from s2i import image, metrics, palette
from s2i.methods.autopainter import CROSSING_PX, GRID_PX, REACH_PX
from s2i.methods.base import Drawing
from train import hands
from train.data import Sample
from train.protocols.base import (
    BETTER,
    MEASURES,
    SET_MEASURES,
    SHEET_PICTURES,
    Case,
    Headline,
    Mean,
    Report,
    Row,
    Sets,
    Task,
    collect_scores,
    find_places,
    hint_error,
    open_case,
    overlay,
    paint_dabs,
    ratio_of,
    score_pairs,
    score_sets,
    show_lines,
    show_mean,
    show_sets,
    summarize,
    tell_lines,
    tile,
    with_interval,
    write_table,
)

HINT_COUNTS = (0, 5, 20)
MOST = HINT_COUNTS[-1]
HEADLINES = (
    Headline(
        score=f"hints_{MOST}.lpips",
        title=f"LPIPS, {MOST} hints ↓",
        beside={"spread.lpips": "the hints spread by a filter", "lines.lpips": "the lines"},
    ),
    Headline(
        score="hints_0.figure_lpips",
        title="figure LPIPS, no hints ↓",
        beside={"lines.figure_lpips": "the lines"},
    ),
    Headline(
        score=f"hints_{MOST}.hint_error",
        title="hint error ↓",
        beside={f"photo_{MOST}.hint_error": "the true picture"},
        digits=1,
    ),
)
LARGEST_SHARE = 0.6  # of the picture: a larger region leaves too little to spill into
LOWEST_CHROMA = 40


@dataclass(frozen=True)
class _Case(Case):
    """One test picture, its regions of one color, and the hints given for it."""

    regions: np.ndarray
    dabs: list[hands.Dab]


def evaluate(task: Task) -> Report:
    """Score an Auto-Painter weight by the protocol above."""
    rows: list[Row] = []
    vectors: dict[str, list[np.ndarray]] = {}
    sheet: list[list[np.ndarray]] = []
    starts = range(0, len(task.samples), metrics.BATCH)
    for start in tqdm(starts, desc="scoring", unit="batch", disable=None):
        samples = task.samples[start : start + metrics.BATCH]
        cases = [_draw_case(one, task.seed, start + at) for at, one in enumerate(samples)]
        batch: list[Row] = [{} for _ in cases]
        painted = {
            f"hints_{count}": [_paint(task, case, case.dabs[:count]) for case in cases]
            for count in HINT_COUNTS
        }
        trivial = {
            "lines": [show_lines(case.lines) for case in cases],
            "spread": [_spread(case) for case in cases],
        }
        for condition, pictures in (trivial | painted).items():
            score_pairs(task, batch, condition, pictures, cases)
        ends = {key: painted[key] for key in ("hints_0", f"hints_{MOST}")}
        for condition, pictures in (ends | {"photo": [case.photo for case in cases]}).items():
            vectors.setdefault(condition, []).append(task.features.pooled(pictures))
        for index, (case, row) in enumerate(zip(cases, batch, strict=True)):
            pictures = {key: made[index] for key, made in painted.items()}
            turned = _score_hints(task, case, row, pictures)
            _score_spill(task, case, row, pictures[f"hints_{MOST}"])
            if len(sheet) < SHEET_PICTURES:
                drawn = overlay(case.lines, paint_dabs(case.lines.shape, case.dabs))
                sheet.append([case.photo, drawn, *pictures.values(), turned])
        rows += batch
    sets = score_sets(task, {key: np.concatenate(parts) for key, parts in vectors.items()})
    means = summarize(rows)
    ratios = {
        f"hints_{MOST}.{measure}_ratio": ratio_of(
            rows, f"hints_{MOST}.{measure}", f"hints_0.{measure}"
        )
        for measure in ("lpips", "figure_lpips")
    }
    ratios["spill.ratio"] = ratio_of(rows, "spill.inside", "spill.outside")
    median = _find_median_ratio(rows)
    return Report(
        names=[sample.name for sample in task.samples],
        rows=rows,
        scores=_collect_scores(rows, means, ratios, median, sets),
        tables=_write_tables(task, means, ratios, median, sets),
        sheets={"sheet.png": tile(sheet)},
    )


def answer(task: Task, sample: Sample, number: int) -> np.ndarray:
    """Return what the weight paints of a sample's lines and five hints.

    See :mod:`train.protocols.memory`.
    """
    case = _draw_case(sample, task.seed, number)
    return _paint(task, case, case.dabs[: HINT_COUNTS[1]])


def _draw_case(sample: Sample, seed: int, number: int) -> _Case:
    case = open_case(sample)
    domain = palette.color_domain(case.photo, colors=8, blur_px=2, soften_px=2)
    random = np.random.default_rng([seed, number])
    _, dabs = hands.dab_regions(domain, random, count=MOST, ink=case.lines < 128)
    return _Case(**vars(case), regions=palette.find_regions(domain), dabs=dabs)


def _paint(task: Task, case: Case, dabs: Sequence[hands.Dab]) -> np.ndarray:
    colors = paint_dabs(case.lines.shape, dabs)
    return task.run(Drawing(lines=case.lines, colors=colors)).pictures[0]


def _spread(case: _Case) -> np.ndarray:
    """Return what a filter makes of the hints: each carried through its region, lines on top."""
    colors = paint_dabs(case.lines.shape, case.dabs)
    spread = palette.spread_colors(
        colors, case.lines, crossing_px=CROSSING_PX, reach_px=REACH_PX, grid_px=GRID_PX
    )[..., :3]
    return image.lay_lines(spread, case.lines)


def _score_hints(task: Task, case: _Case, row: Row, pictures: dict[str, np.ndarray]) -> np.ndarray:
    """Add table 2 to ``row``; return the output for all hints with their hues turned."""
    turned_picture = case.photo
    for count in HINT_COUNTS[1:]:
        dabs = case.dabs[:count]
        places = find_places(case.regions, dabs, grow_px=4 * case.scale)
        wanted = np.array([dab.color for dab in dabs], np.uint8)
        turned = palette.turn_hue(wanted[None], 120)[0]
        turned_picture = _paint(task, case, _recolor(dabs, turned))
        row[f"hints_{count}.hint_error"] = hint_error(pictures[f"hints_{count}"], wanted, places)
        row[f"turned_{count}.hint_error"] = hint_error(turned_picture, turned, places)
        row[f"photo_{count}.hint_error"] = hint_error(case.photo, wanted, places)
    return turned_picture


def _score_spill(task: Task, case: _Case, row: Row, before: np.ndarray) -> None:
    """Add table 3 to ``row``, NaN where no region qualifies."""
    row |= {"spill.inside": float("nan"), "spill.outside": float("nan")}
    label, place = _choose_region(case)
    if place is None:
        return
    is_inside = [case.regions[dab.y, dab.x] == label for dab in case.dabs]
    changed = [
        replace(dab, color=oppose_color(dab.color)) if inside else dab
        for dab, inside in zip(case.dabs, is_inside, strict=True)
    ]
    after = _paint(task, case, changed)
    change = metrics.ciede2000(metrics.to_lab(before), metrics.to_lab(after))
    row["spill.inside"] = float(change[place].mean())
    row["spill.outside"] = float(change[case.regions != label].mean())


def _choose_region(case: _Case) -> tuple[int, np.ndarray | None]:
    """Return number and place of the largest hinted region below 60 %; None where there is none."""
    places = find_places(case.regions, case.dabs, grow_px=4 * case.scale)
    sizes = np.bincount(case.regions.ravel())
    best, chosen = -1, None
    for dab, place in zip(case.dabs, places, strict=True):
        label = int(case.regions[dab.y, dab.x])
        is_free = sizes[label] < LARGEST_SHARE * case.regions.size and place.any()
        if is_free and (chosen is None or sizes[label] > sizes[best]):
            best, chosen = label, place
    return best, chosen


def oppose_color(color: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the opposite hue of an RGB color: Lab, chroma at least 40, lightness kept.

    What lies outside of RGB is clipped into it, channel by channel.
    """
    pixel = np.array([[color]], np.float32) / 255
    light, a, b = (float(value) for value in cv2.cvtColor(pixel, cv2.COLOR_RGB2Lab)[0, 0])
    hue, chroma = np.arctan2(b, a) + np.pi, max(LOWEST_CHROMA, np.hypot(a, b))
    opposite = np.array([[[light, chroma * np.cos(hue), chroma * np.sin(hue)]]], np.float32)
    rgb = np.clip(cv2.cvtColor(opposite, cv2.COLOR_Lab2RGB)[0, 0], 0, 1)
    red, green, blue = np.rint(255 * rgb).astype(int).tolist()
    return red, green, blue


def _recolor(dabs: Sequence[hands.Dab], colors: np.ndarray) -> list[hands.Dab]:
    """Return ``dabs`` with other colors, (N, 3)."""
    pairs = zip(dabs, colors.tolist(), strict=True)
    return [replace(dab, color=tuple(color)) for dab, color in pairs]


def _find_median_ratio(rows: list[Row]) -> float:
    """Return the median over the pictures of the change inside to the change outside."""
    pairs = np.array([[row["spill.inside"], row["spill.outside"]] for row in rows])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = pairs[:, 0] / pairs[:, 1]
    ratios = ratios[~np.isnan(ratios)]
    return float(np.median(ratios)) if len(ratios) else float("nan")


def _collect_scores(
    rows: list[Row],
    means: dict[str, Mean],
    ratios: dict[str, Mean],
    median: float,
    sets: Sets,
) -> dict[str, float]:
    """Return one flat number a name, for the manifest."""
    scores = {name: mean for name, (mean, _, _) in means.items()}
    for name, ratio in ratios.items():
        scores |= with_interval(name, ratio)
    scores["spill.median_ratio"] = median
    return collect_scores(scores, sets, pictures=len(rows))


def _write_tables(
    task: Task, means: dict[str, Mean], ratios: dict[str, Mean], median: float, sets: Sets
) -> str:
    """Return the three tables as Markdown."""
    titles = {"lines": "lines", "spread": f"{MOST} hints spread"}
    titles |= {f"hints_{count}": f"{count} hints" for count in HINT_COUNTS}
    first = [
        [title]
        + [show_mean(means[f"{condition}.{measure}"]) for measure in MEASURES]
        + show_sets(sets, condition)
        for condition, title in titles.items()
    ]
    to_none = [show_mean(ratios[f"hints_{MOST}.{key}_ratio"]) for key in ("lpips", "figure_lpips")]
    first.append([f"{MOST} hints to none", *to_none, *[""] * 4])
    if sets:
        first.append(["floor: photos", *[""] * len(MEASURES), *show_sets(sets, "photo")])
    second = [
        [str(count)]
        + [
            show_mean(means[f"{condition}_{count}.hint_error"], digits=1)
            for condition in ("hints", "turned", "photo")
        ]
        for count in HINT_COUNTS[1:]
    ]
    third = [
        show_mean(means["spill.inside"], digits=2),
        show_mean(means["spill.outside"], digits=2),
        show_mean(ratios["spill.ratio"], digits=2),
        f"{median:.2f}",
    ]
    return "\n\n".join(
        [
            f"{tell_lines(task)} 95 % bootstrap intervals of the means in brackets.",
            write_table(["", *(BETTER[key] for key in (*MEASURES, *SET_MEASURES))], first),
            write_table(
                ["hints", "hint error ↓", "hues turned 120° ↓", "the photo itself"], second
            ),
            write_table(
                ["change inside ↑", "outside ↓", "ratio of the means ↑", "median ratio ↑"], [third]
            ),
        ]
    )
