"""Score a weight: tables, a file of numbers per picture, contact sheets, the manifest's scores.

    python train/evaluate.py pirec.faces --data faces128.zip --write-manifest
    python train/evaluate.py runs/faces/ema.safetensors --data FOLDER --limit 200 --out out/trial

The protocol for PI-REC. Every picture of the split is cut to its centered square and brought to
the weight's size; what is given in pixels below holds at 128 px and grows with the size. Lines:
Canny, sigma 2.5. Color domain: median 25, K 3, median 3. All randomness comes from the seed and
the picture's number, so that two weights are asked the same questions.

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

Means stand with their 95 % bootstrap intervals over the pictures.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from s2i import edges, image, metrics, palette, weights
from s2i.errors import S2IError
from s2i.methods.base import Drawing, Result
from train import hands, publish
from train.data import SPLITS, Pictures, Sample

SHEET_PICTURES = 16
DAB_COUNTS = (3, 8, 20)
HANDS_PICTURES = 200
BETTER = {
    "lpips": "LPIPS ↓",
    "features": "MobileNetV2 ↓",
    "psnr": "PSNR dB ↑",
    "ssim": "SSIM ↑",
    "edge_f1": "edge F1 ↑",
    "color_error": "color error ↓",
    "kid": "KID ↓",
    "frechet": "Fréchet ↓",
}
Row = dict[str, float]
Mean = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a protocol scores and with what.

    Attributes:
        run: the weight, ready: takes a drawing and the method's controls.
        samples: square test pictures of one size.
        reference: training photos of that size, at most as many; may be empty.
        lpips: judges pairs.
        features: judges pairs and sets.
        seed: of dabs and warps.
    """

    run: Callable[..., Result]
    samples: Sequence[Sample]
    reference: Sequence[np.ndarray]
    lpips: metrics.Lpips
    features: metrics.Features
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came out.

    Attributes:
        names: of the pictures.
        rows: one a picture: ``condition.measure`` -> number, NaN where nothing could be measured.
        scores: the same names -> mean, and what belongs to the whole set.
        tables: Markdown.
        sheets: file name -> picture.
    """

    names: list[str]
    rows: list[Row]
    scores: dict[str, float]
    tables: str
    sheets: dict[str, np.ndarray] = field(default_factory=dict)


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


def evaluate_pirec(task: Task) -> Report:
    """Score a PI-REC weight by the protocol in the module's docstring."""
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
            lines = np.repeat(case.lines[..., None], 3, 2)
            sheet.append([case.photo, lines, *(pictures[index] for pictures in shown.values())])
            hands_sheet.append([case.photo, *dabbed[index], *by_hand[index].values()])
        rows += batch
    sets = _score_sets(task, {key: np.concatenate(parts) for key, parts in vectors.items()})
    means = _summarize(rows)
    return Report(
        names=[sample.name for sample in task.samples],
        rows=rows,
        scores=_collect_scores(rows, means, sets),
        tables=_write_pirec_tables(rows, means, sets),
        sheets={"sheet.png": _tile(sheet), "sheet_hands.png": _tile(hands_sheet)},
    )


PROTOCOLS: dict[str, Callable[[Task], Report]] = {"pirec": evaluate_pirec}
"""One function a method; its docstring, or the module's, says what is measured and how."""


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
        places = _find_places(regions, dabs, grow_px=4 * case.scale)
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
                _overlay(case.lines, colors),
                true_picture,
                _overlay(case.lines, turned_colors),
                turned_picture,
            ]
    return shown


def _find_places(
    regions: np.ndarray, dabs: Sequence[hands.Dab], *, grow_px: float
) -> list[np.ndarray]:
    """Return for each dab the mask of its region, all dabs grown by ``grow_px`` left out."""
    y, x = np.ogrid[: regions.shape[0], : regions.shape[1]]
    is_free = np.ones(regions.shape, bool)
    for dab in dabs:
        is_free &= np.hypot(y - dab.y, x - dab.x) > dab.radius_px + grow_px
    labels = [regions[int(dab.y), int(dab.x)] for dab in dabs]
    places = {label: (regions == label) & is_free for label in set(labels)}
    return [places[label] for label in labels]


def hint_error(picture: np.ndarray, colors: np.ndarray, places: Sequence[np.ndarray]) -> float:
    """Mean CIEDE2000 between each dab's color and ``picture`` where that color should have spread.

    Args:
        picture: (H, W, 3) uint8.
        colors: (N, 3) uint8, one a dab.
        places: N masks (H, W); a dab with an empty one is left out.

    Returns:
        The mean over the dabs of the mean over each mask; NaN when all masks are empty.
    """
    lab, wanted = metrics.to_lab(picture), metrics.to_lab(colors)
    known: dict[tuple, float] = {}  # dabs of one color in one region ask the same
    errors = []
    for place, color in zip(places, wanted, strict=True):
        if not place.any():
            continue
        key = (id(place), *color)
        if key not in known:
            known[key] = metrics.ciede2000(lab[place], color).mean()
        errors.append(known[key])
    return float(np.mean(errors)) if errors else float("nan")


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


def _score_sets(task: Task, vectors: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Return KID and Fréchet distance of each set to the training photos; nothing without any."""
    if min(len(task.reference), len(task.samples)) < 2:
        return {}
    reference = task.features.pooled(task.reference)
    return {
        condition: {
            "kid": metrics.kid(pooled, reference),
            "frechet": metrics.frechet_distance(pooled, reference),
        }
        for condition, pooled in vectors.items()
    }


def _column(rows: list[Row], name: str) -> np.ndarray:
    """Return what was measured under ``name``, without NaN."""
    values = np.array([row.get(name, np.nan) for row in rows])
    return values[~np.isnan(values)]


def _mean(values: np.ndarray) -> Mean:
    if not len(values):
        return (float("nan"),) * 3
    return (float(values.mean()), *metrics.bootstrap_interval(values))


def _summarize(rows: list[Row]) -> dict[str, Mean]:
    """Return mean and 95 % interval of every column."""
    return {name: _mean(_column(rows, name)) for name in rows[0]}


def _difference(rows: list[Row], measure: str) -> Mean:
    """Return refined minus unrefined, paired."""
    pairs = [_column(rows, f"{condition}.{measure}") for condition in ("refined", "unrefined")]
    return _mean(pairs[0] - pairs[1])


def _collect_scores(
    rows: list[Row], means: dict[str, Mean], sets: dict[str, dict[str, float]]
) -> dict[str, float]:
    """Return one flat number a name, for the manifest."""
    scores = {name: mean for name, (mean, _, _) in means.items()}
    for condition in ("unrefined", "refined"):
        for measure in ("lpips", "features"):
            trivial = means[f"domain.{measure}"][0]
            ratio = means[f"{condition}.{measure}"][0] / trivial if trivial else float("nan")
            scores[f"{condition}.{measure}_ratio"] = ratio
    low, high = _difference(rows, "lpips")[1:]
    scores |= {"refined_minus_unrefined.lpips_low": low, "refined_minus_unrefined.lpips_high": high}
    for condition, measures in sets.items():
        scores |= {f"{condition}.{measure}": value for measure, value in measures.items()}
    scores["pictures"] = len(rows)
    return {name: round(value, 4) for name, value in scores.items() if np.isfinite(value)}


def _write_pirec_tables(
    rows: list[Row], means: dict[str, Mean], sets: dict[str, dict[str, float]]
) -> str:
    """Return the three tables as Markdown."""
    measures = ("lpips", "features", "psnr", "ssim", "edge_f1", "color_error")
    first = [
        [condition]
        + [_show(means[f"{condition}.{measure}"]) for measure in measures]
        + [f"{sets[condition][key]:.4g}" if sets else "-" for key in ("kid", "frechet")]
        for condition in ("domain", "unrefined", "refined")
    ]
    for condition in ("unrefined", "refined"):
        ratios = [
            f"{means[f'{condition}.{key}'][0] / (means[f'domain.{key}'][0] or np.nan):.3f}"
            for key in ("lpips", "features")
        ]
        gain = means[f"{condition}.psnr"][0] - means["domain.psnr"][0]
        first.append([f"{condition} to domain", *ratios, f"{gain:+.2f}", *[""] * 5])
    differences = [_show(_difference(rows, measure), signed=True) for measure in measures]
    first.append(["refined minus unrefined", *differences, "", ""])
    if sets:
        floor = [f"{sets['photo'][key]:.4g}" for key in ("kid", "frechet")]
        first.append(["floor: photos", *[""] * 6, *floor])
    second = [
        [str(count)]
        + [
            _show(means[f"dabs_{count}.{key}"], digits=1)
            for key in ("hint_error", "turned", "photo")
        ]
        for count in DAB_COUNTS
    ]
    third = [
        [label, *(_show(means[f"{condition}.{measure}"]) for measure in ("lpips", "psnr"))]
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
            _write_table(["full colors", *BETTER.values()], first),
            _write_table(
                ["dabs", "hint error ↓", "hues turned 120° ↓", "the photo itself"], second
            ),
            _write_table(["as hands draw", BETTER["lpips"], BETTER["psnr"]], third),
        ]
    )


def _show(mean: Mean, *, digits: int = 3, signed: bool = False) -> str:
    sign = "+" if signed else ""
    middle, low, high = (f"{value:{sign}.{digits}f}" for value in mean)
    return f"{middle} [{low}, {high}]"


def _write_table(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _overlay(lines: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Show a drawing as the pad does: colors on paper, ink on top."""
    return np.minimum(image.on_paper(colors), lines[..., None])


def _tile(rows: list[list[np.ndarray]], *, gap_px: int = 2) -> np.ndarray:
    """Lay pictures of one size out in rows on white."""
    height, width = rows[0][0].shape[:2]
    columns = len(rows[0])
    sheet = np.full((len(rows) * (height + gap_px), columns * (width + gap_px), 3), 255, np.uint8)
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            y, x = down * (height + gap_px), across * (width + gap_px)
            sheet[y : y + height, x : x + width] = picture
    return sheet


def write_report(report: Report, folder: Path) -> None:
    """Write ``scores.csv`` (a row a picture), ``scores.md`` and the sheets into ``folder``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = list(report.rows[0])
    writer.writerow(["name", *columns])
    for name, row in zip(report.names, report.rows, strict=True):
        values = [row.get(column, np.nan) for column in columns]
        writer.writerow([name, *("" if np.isnan(value) else f"{value:.6g}" for value in values)])
    image.write_bytes(folder / "scores.csv", text.getvalue().encode())
    image.write_bytes(folder / "scores.md", f"{report.tables}\n".encode())
    for name, sheet in report.sheets.items():
        image.write(folder / name, sheet)


def evaluate(
    weight: str,
    data: str,
    *,
    split: str = "test",
    limit: int | None = None,
    size_px: int | None = None,
    perceptual: str | None = None,
    seed: int = 0,
) -> Report:
    """Load weight, pictures and judges, and run the method's protocol.

    Args:
        weight: a manifest's name or the path of a safetensors file.
        data: folder or zip of pictures.
        split: of the data set.
        limit: the first so many pictures only.
        size_px: of a side; what the weight was trained on, else 128.
        perceptual: folder of LPIPS and MobileNetV2 weights; see :mod:`s2i.metrics`.
        seed: of dabs and warps.

    Raises:
        S2IError: something of that is missing, or the method has no protocol.
    """
    loaded = weights.load(weight)
    if loaded.method.name not in PROTOCOLS:
        raise S2IError(
            f"there is no protocol for {loaded.method.title} yet; there is one for "
            f"{', '.join(PROTOCOLS)}."
        )
    size_px = size_px or loaded.method.kwargs.get("size_px", 128)
    pictures = Pictures(data, split, size_px=size_px)
    samples = [pictures[index] for index in range(min(len(pictures), limit or len(pictures)))]
    if not samples:
        raise S2IError(f"'{data}' has no pictures in the split '{split}'.")
    training = Pictures(data, "train", size_px=size_px)
    count = min(len(training), len(samples))
    spread = np.arange(count) * len(training) // max(count, 1)

    def run(drawing: Drawing, **controls: Any) -> Result:
        with weights.inference(loaded.device):
            return loaded.method.run(drawing, **controls)

    return PROTOCOLS[loaded.method.name](
        Task(
            run=run,
            samples=samples,
            reference=[training[index].photo for index in spread.tolist()],
            lpips=metrics.Lpips(weights_dir=perceptual, device=str(loaded.device)),
            features=metrics.Features(weights_dir=perceptual, device=str(loaded.device)),
            seed=seed,
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python train/evaluate.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("weight", help="a name in the manifest, or a .safetensors file")
    parser.add_argument("--data", required=True, help="folder or zip of pictures")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--limit", type=int, help="only the first so many pictures")
    parser.add_argument("--size-px", type=int, help="where the manifest does not say it")
    parser.add_argument("--seed", type=int, default=0, help="of dabs and warps")
    parser.add_argument("--out", default="out/eval", help="folder for tables, numbers, sheets")
    parser.add_argument(
        "--perceptual", metavar="FOLDER", help="of the judges' weights (else S2I_PERCEPTUAL)"
    )
    parser.add_argument(
        "--write-manifest", action="store_true", help="put the scores into the manifest's entry"
    )
    options = parser.parse_args(arguments)
    try:
        if options.write_manifest:
            weights.find(options.weight)
        report = evaluate(
            options.weight,
            options.data,
            split=options.split,
            limit=options.limit,
            size_px=options.size_px,
            perceptual=options.perceptual,
            seed=options.seed,
        )
        write_report(report, Path(options.out))
        if options.write_manifest:
            publish.write_scores(options.weight, report.scores)
    except S2IError as error:
        print(error, file=sys.stderr)
        return 2
    print(report.tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
