"""PI-REC: lines and full, sparse or clumsy colors.

Lines: Canny, sigma 2.5. Color domain: median 25, K 3, median 3.

Table 1, lines and the full color domain: LPIPS-alex, distance of MobileNetV2 features, PSNR,
SSIM (both against the photo), F1 at 2 px between the output's Canny edges and the lines, color
error (median 25, mean CIEDE2000 to the domain), for showing the *domain* itself (what a network
must beat), *unrefined* and *refined* once. Refined minus unrefined is a paired difference. KID and
Fréchet distance on pooled MobileNetV2 features compare each set with as many training photos,
spread evenly; the floor is what the photos of the split themselves score there.

Tables 2 and 3 are made from the first 200 pictures of the split.

Table 2, sparse colors: 3, 8 and 20 dabs of the domain's colors, radius 2 to 5 px, the lines, no
refinement. Hint error: CIEDE2000 between a dab's color and the output, mean over the region (one
connected area of the domain) that the dab's center lies in, every dab grown by 4 px left out;
mean over the dabs that leave any of their region. *turned*: the hues of all dabs turned by 120
degrees, measured against the turned colors. *photo*: the photo's own error with the true colors,
which nobody who paints a real picture can be far below.

Table 3, hands: *dabbed*, colors over 30 % of the picture instead of all; *warped*, lines warped as
a hand's; *both*; no refinement; *dabs on grey*: the 30 % shown as they are. Run it on two weights
to see what an augmentation bought.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from s2i import edges, metrics, palette
from s2i.methods.base import Drawing
from train import hands
from train.data import Sample
from train.protocols.base import (
    BETTER,
    SET_MEASURES,
    SHEET_PICTURES,
    Headline,
    Mean,
    Report,
    Row,
    Sets,
    Task,
    collect_scores,
    column,
    find_places,
    hint_error,
    mean_of,
    overlay,
    score_sets,
    show_lines,
    show_mean,
    show_sets,
    summarize,
    tile,
    with_interval,
    write_table,
)

HEADLINES = tuple(
    Headline(
        score=f"refined.{measure}",
        title=BETTER[measure],
        beside={f"domain.{measure}": "colour domain"},
        digits=digits,
    )
    for measure, digits in (("lpips", 3), ("features", 3), ("psnr", 2))
)
DAB_COUNTS = (3, 8, 20)
HANDS_PICTURES = 200


@dataclass(frozen=True)
class _Case:
    """One test picture and what is drawn after it."""

    photo: np.ndarray
    lines: np.ndarray
    domain: np.ndarray
    random: np.random.Generator

    @property
    def scale(self) -> float:
        return self.photo.shape[0] / 128


def evaluate(task: Task) -> Report:
    """Score a PI-REC weight by the protocol above."""
    rows: list[Row] = []
    vectors: dict[str, list[np.ndarray]] = {}
    sheet: list[list[np.ndarray]] = []
    hands_sheet: list[list[np.ndarray]] = []
    starts = range(0, len(task.samples), metrics.BATCH)
    for start in tqdm(starts, desc="scoring", unit="batch", disable=None):
        samples = task.samples[start : start + metrics.BATCH]
        cases = [_draw_case(one.photo, task.seed, start + at) for at, one in enumerate(samples)]
        photos = [case.photo for case in cases]
        batch: list[Row] = [{} for _ in cases]
        full = [(case.lines, _fill(case.domain)) for case in cases]
        shown = {
            "domain": [case.domain for case in cases],
            "unrefined": [_paint(task, *drawing) for drawing in full],
            "refined": [_paint(task, *drawing, refine=1) for drawing in full],
        }
        for condition, pictures in shown.items():
            _score_all(task, batch, condition, pictures, cases)
        for condition, pictures in (shown | {"photo": photos}).items():
            vectors.setdefault(condition, []).append(task.features.pooled(pictures))
        few = cases[: max(0, HANDS_PICTURES - start)]
        dabbed = [_score_dabs(task, case, row) for case, row in zip(few, batch, strict=False)]
        by_hand = [_paint_as_hands(task, case) for case in few]
        for condition in by_hand[0] if few else ():
            pictures = [made[condition] for made in by_hand]
            distances = task.lpips(pictures, photos[: len(few)])
            for row, picture, photo, away in zip(batch, pictures, photos, distances, strict=False):
                row[f"{condition}.lpips"] = float(away)
                row[f"{condition}.psnr"] = metrics.psnr(picture, photo)
        for index, case in enumerate(cases[: SHEET_PICTURES - len(sheet)]):
            painted = [pictures[index] for pictures in shown.values()]
            sheet.append([case.photo, show_lines(case.lines), *painted])
            hands_sheet.append([case.photo, *dabbed[index], *by_hand[index].values()])
        rows += batch
    sets = score_sets(task, {key: np.concatenate(parts) for key, parts in vectors.items()})
    means = summarize(rows)
    return Report(
        names=[sample.name for sample in task.samples],
        rows=rows,
        scores=_collect_scores(rows, means, sets),
        tables=_write_tables(rows, means, sets),
        sheets={"sheet.png": tile(sheet), "sheet_hands.png": tile(hands_sheet)},
    )


def answer(task: Task, sample: Sample, number: int) -> np.ndarray:
    """Return what the weight paints of a sample's lines and eight dabs of its colors, refined.

    See :mod:`train.protocols.memory`.
    """
    case = _draw_case(sample.photo, task.seed, number)
    colors, _ = hands.dab(case.domain, case.random, count=8)
    return _paint(task, case.lines, colors, refine=1)


def _draw_case(photo: np.ndarray, seed: int, number: int) -> _Case:
    return _Case(
        photo,
        edges.find_lines(photo),
        palette.color_domain(photo, colors=3, blur_px=25, soften_px=3),
        np.random.default_rng([seed, number]),
    )


def _fill(domain: np.ndarray) -> np.ndarray:
    """Lay a color map on the color layer, painted everywhere."""
    return np.dstack([domain, np.full(domain.shape[:2], 255, np.uint8)])


def _paint(task: Task, lines: np.ndarray, colors: np.ndarray, *, refine: int = 0) -> np.ndarray:
    return task.run(Drawing(lines=lines, colors=colors), refine=refine).pictures[0]


def _score_all(
    task: Task, rows: list[Row], condition: str, pictures: list[np.ndarray], cases: list[_Case]
) -> None:
    """Add every measure of table 1 to ``rows``."""
    photos = [case.photo for case in cases]
    lpips, features = task.lpips(pictures, photos), task.features.distance(pictures, photos)
    for index, (row, picture, case) in enumerate(zip(rows, pictures, cases, strict=True)):
        drawn = edges.find_lines(picture)
        scores = {
            "lpips": float(lpips[index]),
            "features": float(features[index]),
            "psnr": metrics.psnr(picture, case.photo),
            "ssim": metrics.ssim(picture, case.photo),
            "edge_f1": metrics.edge_f1(drawn, case.lines, tolerance_px=2 * case.scale),
            "color_error": metrics.color_error(
                picture, case.domain, blur_px=round(25 * case.scale)
            ),
        }
        row.update({f"{condition}.{measure}": score for measure, score in scores.items()})


def _score_dabs(task: Task, case: _Case, row: Row) -> list[np.ndarray]:
    """Add table 2 to ``row``; return drawing and output with 8 dabs, true and turned."""
    regions = palette.find_regions(case.domain)
    shown: list[np.ndarray] = []
    for count in DAB_COUNTS:
        colors, dabs = hands.dab(case.domain, case.random, count=count)
        places = find_places(regions, dabs, grow_px=4 * case.scale)
        wanted = np.array([dab.color for dab in dabs], np.uint8).reshape(-1, 3)
        turned = palette.turn_hue(wanted[None], 120)[0]
        true_picture = _paint(task, case.lines, colors)
        turned_colors = palette.turn_hue(colors, 120)
        turned_picture = _paint(task, case.lines, turned_colors)
        row[f"dabs_{count}.hint_error"] = hint_error(true_picture, wanted, places)
        row[f"dabs_{count}.turned"] = hint_error(turned_picture, turned, places)
        row[f"dabs_{count}.photo"] = hint_error(case.photo, wanted, places)
        if count == 8:
            shown = [
                overlay(case.lines, colors),
                true_picture,
                overlay(case.lines, turned_colors),
                turned_picture,
            ]
    return shown


def _paint_as_hands(task: Task, case: _Case) -> dict[str, np.ndarray]:
    """Return the outputs of table 3 by condition."""
    covered = hands.cover(case.domain, case.random, share=0.3)
    warped = hands.warp_lines(case.lines, case.random)
    is_bare = covered[..., 3:] < 128
    return {
        "on_grey": np.where(is_bare, np.uint8(128), covered[..., :3]),
        "dabbed": _paint(task, case.lines, covered),
        "warped": _paint(task, warped, _fill(case.domain)),
        "both": _paint(task, warped, covered),
    }


def _difference(rows: list[Row], measure: str) -> Mean:
    """Return refined minus unrefined, paired."""
    pairs = [column(rows, f"{condition}.{measure}") for condition in ("refined", "unrefined")]
    return mean_of(pairs[0] - pairs[1])


def _collect_scores(rows: list[Row], means: dict[str, Mean], sets: Sets) -> dict[str, float]:
    """Return one flat number a name, for the manifest."""
    scores = {name: mean for name, (mean, _, _) in means.items()}
    for condition in ("unrefined", "refined"):
        for measure in ("lpips", "features"):
            trivial = means[f"domain.{measure}"][0]
            ratio = means[f"{condition}.{measure}"][0] / trivial if trivial else float("nan")
            scores[f"{condition}.{measure}_ratio"] = ratio
    scores |= with_interval("refined_minus_unrefined.lpips", _difference(rows, "lpips"))
    return collect_scores(scores, sets, pictures=len(rows))


def _write_tables(rows: list[Row], means: dict[str, Mean], sets: Sets) -> str:
    """Return the three tables as Markdown."""
    measures = ("lpips", "features", "psnr", "ssim", "edge_f1", "color_error")
    first = [
        [condition]
        + [show_mean(means[f"{condition}.{measure}"]) for measure in measures]
        + show_sets(sets, condition)
        for condition in ("domain", "unrefined", "refined")
    ]
    for condition in ("unrefined", "refined"):
        ratios = [
            f"{means[f'{condition}.{key}'][0] / (means[f'domain.{key}'][0] or np.nan):.3f}"
            for key in ("lpips", "features")
        ]
        gain = means[f"{condition}.psnr"][0] - means["domain.psnr"][0]
        first.append([f"{condition} to domain", *ratios, f"{gain:+.2f}", *[""] * 5])
    differences = [show_mean(_difference(rows, measure), signed=True) for measure in measures]
    first.append(["refined minus unrefined", *differences, "", ""])
    if sets:
        first.append(["floor: photos", *[""] * 6, *show_sets(sets, "photo")])
    second = [
        [str(count)]
        + [
            show_mean(means[f"dabs_{count}.{key}"], digits=1)
            for key in ("hint_error", "turned", "photo")
        ]
        for count in DAB_COUNTS
    ]
    third = [
        [label, *(show_mean(means[f"{condition}.{measure}"]) for measure in ("lpips", "psnr"))]
        for label, condition in (
            ("30 % dabbed, shown on grey", "on_grey"),
            ("30 % dabbed", "dabbed"),
            ("lines warped", "warped"),
            ("both", "both"),
        )
    ]
    return "\n\n".join(
        [
            f"{len(rows)} pictures; 95 % bootstrap intervals of the means in brackets.",
            write_table(
                ["full colors", *(BETTER[measure] for measure in (*measures, *SET_MEASURES))], first
            ),
            write_table(["dabs", "hint error ↓", "hues turned 120° ↓", "the photo itself"], second),
            write_table(["as hands draw", BETTER["lpips"], BETTER["psnr"]], third),
        ]
    )
