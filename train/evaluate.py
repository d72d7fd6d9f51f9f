"""Score a weight: tables, a file of numbers per picture, contact sheets, the manifest's scores.

    python train/evaluate.py pirec.faces --data faces128.zip --write-manifest
    python train/evaluate.py autopainter.cartoon --data avatars256.zip --write-manifest
    python train/evaluate.py runs/faces/ema.safetensors --data FOLDER --limit 200 --out out/trial

Every picture of the split is cut to its centered square and brought to the weight's size; what is
given in pixels below holds at 128 px and grows with the size. All randomness comes from the seed
and the picture's number, so that two weights are asked the same questions. Means stand with their
95 % bootstrap intervals over the pictures. What is measured depends on the method; ``--help``
shows all protocols, each the docstring of its file in ``train/protocols``.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from s2i import image, metrics, weights
from s2i.edges import xdog
from s2i.errors import S2IError
from s2i.methods.base import Drawing, Result, last_of
from train import publish
from train.data import SPLITS, Pictures, Sample
from train.protocols import autopainter, contextual, pirec, pix2pix
from train.protocols.base import LINES, Report, Task

PROTOCOLS: dict[str, ModuleType] = {
    "pirec": pirec,
    "autopainter": autopainter,
    "pix2pix": pix2pix,
    "contextual": contextual,
}
"""One module a method: ``evaluate`` scores a task, the docstring says what is measured and how."""


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
    columns: dict[str, str] | None = None,
    lines: str = "given",
    perceptual: str | None = None,
    seed: int = 0,
    beside: Sequence[str] = (),
) -> Report:
    """Load weight, pictures and judges, and run the method's protocol.

    Args:
        weight: a manifest's name or the path of a safetensors file.
        data: folder or zip of pictures.
        split: of the data set.
        limit: the first so many pictures only.
        size_px: of a side; what the weight was trained on, else 128.
        columns: which column of meta.csv holds "photo" or "lines"; see :class:`Pictures`.
        lines: a key of ``LINES``: the data's own where it has any, XDoG's, or XDoG's of the picture
            at twice the size, shrunk. PI-REC's protocol draws its own.
        perceptual: folder of LPIPS and MobileNetV2 weights; see :mod:`s2i.metrics`.
        seed: of dabs and warps.
        beside: other weights to compare with, where the protocol does.

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
    if lines not in LINES:
        raise S2IError(f"there are no lines '{lines}': choose one of {', '.join(LINES)}.")
    opened_px = 2 * size_px if lines == "xdog2x" else size_px
    pictures, training = (
        Pictures(data, part, size_px=opened_px, memory=False, columns=columns)
        for part in (split, "train")
    )
    samples = list(_Lined(pictures, lines)[:limit])
    if not samples:
        raise S2IError(f"'{data}' has no pictures in the split '{split}'.")
    count = min(len(training), len(samples))
    spread = np.arange(count) * len(training) // max(count, 1)
    reference = [
        image.resize(training[index].photo, (size_px, size_px)) for index in spread.tolist()
    ]

    def act(name: str, photos: tuple[np.ndarray, ...], **controls: Any) -> Result:
        with weights.inference(loaded.device):
            return loaded.method.act(name, Drawing(), photos, **controls)

    return PROTOCOLS[loaded.method.name].evaluate(
        Task(
            run=_make_runner(loaded),
            samples=samples,
            reference=reference,
            lpips=metrics.Lpips(weights_dir=perceptual, device=str(loaded.device)),
            features=metrics.Features(weights_dir=perceptual, device=str(loaded.device)),
            seed=seed,
            lines=lines,
            method=loaded.method,
            act=act,
            training=_Lined(training, lines),
            beside={name: _make_runner(weights.load(name)) for name in beside},
        )
    )


def _make_runner(loaded: weights.Loaded) -> Callable[..., Result]:
    def run(drawing: Drawing, **controls: Any) -> Result:
        with weights.inference(loaded.device):
            return last_of(loaded.method.run(drawing, **controls))

    return run


class _Lined(Sequence[Sample]):
    """Pictures with the lines that were asked for."""

    def __init__(self, pictures: Sequence[Sample], lines: str) -> None:
        self.pictures, self.lines = pictures, lines

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        return _take_lines(self.pictures[index], self.lines)


def _take_lines(sample: Sample, lines: str) -> Sample:
    """Return ``sample`` with the lines that were asked for; ``xdog2x`` halves its size."""
    if lines == "given":
        return sample
    if lines == "xdog":
        return dataclasses.replace(sample, lines=None)
    side_px = sample.photo.shape[0] // 2
    return dataclasses.replace(
        sample,
        photo=image.resize(sample.photo, (side_px, side_px)),
        lines=image.resize(xdog(sample.photo), (side_px, side_px)),
        mask=None,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python train/evaluate.py",
        description="\n\n".join([__doc__, *(str(one.__doc__) for one in PROTOCOLS.values())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("weight", help="a name in the manifest, or a .safetensors file")
    parser.add_argument("--data", required=True, help="folder or zip of pictures")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--limit", type=int, help="only the first so many pictures")
    parser.add_argument("--size-px", type=int, help="where the manifest does not say it")
    parser.add_argument("--photo-column", metavar="NAME", help="of meta.csv: holds the pictures")
    parser.add_argument("--lines-column", metavar="NAME", help="of meta.csv: holds the lines")
    parser.add_argument(
        "--lines",
        choices=LINES,
        default="given",
        help="; ".join(f"{name}: {meaning}" for name, meaning in LINES.items()),
    )
    parser.add_argument("--seed", type=int, default=0, help="of dabs and warps")
    parser.add_argument(
        "--beside", action="append", default=[], metavar="WEIGHT", help="also score this one"
    )
    parser.add_argument("--out", default="out/eval", help="folder for tables, numbers, sheets")
    parser.add_argument(
        "--perceptual", metavar="FOLDER", help="of the judges' weights (else S2I_PERCEPTUAL)"
    )
    parser.add_argument(
        "--write-manifest", action="store_true", help="put the scores into the manifest's entry"
    )
    options = parser.parse_args(arguments)
    columns = {"photo": options.photo_column, "lines": options.lines_column}
    try:
        if options.write_manifest:
            weights.find(options.weight)
        report = evaluate(
            options.weight,
            options.data,
            split=options.split,
            limit=options.limit,
            size_px=options.size_px,
            columns={part: column for part, column in columns.items() if column},
            lines=options.lines,
            perceptual=options.perceptual,
            seed=options.seed,
            beside=options.beside,
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
