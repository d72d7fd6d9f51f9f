r"""Score a weight: tables, a file of numbers per picture, contact sheets, the manifest's scores.

    python train/evaluate.py pirec.faces --data faces128.zip --write-manifest
    python train/evaluate.py autopainter.cartoon --data avatars256.zip --write-manifest
    python train/evaluate.py sketch2img.things --data fashion256.zip fruits100.zip \
        --sketches sketches.zip examples/drawings --beside pix2pix.things
    python train/evaluate.py runs/faces/ema.safetensors --data FOLDER --limit 200 --out out/trial
    python train/evaluate.py --all --data FOLDER_OF_ZIPS
    python train/evaluate.py --all

``--all`` makes README's table of all weights and the model cards from what the manifest holds.
With ``--data``, the folder where the data sets lie, all weights are scored again first, or those
that are named before it, each as its recipe's table ``scored`` says, with ``--memorised``; manifest
and README's sections are renewed one by one. A ``--limit`` makes that a trial: nothing but
``--out`` is written.

Every picture of the split is cut to its centered square and brought to the weight's size, unless
the protocol says else; what is given in pixels below holds at 128 px and grows with the size. All
randomness comes from the seed and the picture's number, so that two weights are asked the same
questions. Means stand with their 95 % bootstrap intervals over the pictures. What is measured
depends on the method; ``--help`` shows all protocols, each the docstring of its file in
``train/protocols``.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from s2i import image, metrics, weights
from s2i.edges import read_ink, xdog
from s2i.errors import S2IError
from s2i.methods.base import Drawing, Result, last_of
from train import cards, publish
from train.data import SPLITS, Sample, open_files, open_several, read_rows
from train.protocols import PROTOCOLS, memory
from train.protocols.base import LINES, Report, Sketch, Task, add_intervals


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
    data: str | Sequence[str],
    *,
    split: str = "test",
    limit: int | None = None,
    size_px: int | None = None,
    columns: dict[str, str] | None = None,
    lines: str = "given",
    perceptual: str | None = None,
    seed: int = 0,
    beside: Sequence[str] = (),
    sketches: Sequence[str] = (),
    aliases: Mapping[str, str] | None = None,
    is_memory_checked: bool = False,
) -> Report:
    """Load weight, pictures and judges, and run the method's protocol.

    Args:
        weight: a manifest's name or the path of a safetensors file.
        data: folder or zip of pictures, or several.
        split: of the data sets.
        limit: so many pictures only, the first ones; spread evenly where the protocol says so.
        size_px: of a side; what the weight was trained on, else the protocol's ``SIZE_PX``, 128.
        columns: which column of meta.csv holds "photo" or "lines"; see :class:`Pictures`.
        lines: a key of ``LINES``: the data's own where it has any, XDoG's, or XDoG's of the picture
            at twice the size, shrunk. PI-REC's protocol draws its own.
        perceptual: folder of LPIPS and MobileNetV2 weights; see :mod:`s2i.metrics`.
        seed: of dabs and warps.
        beside: other weights to compare with, where the protocol does.
        sketches: folders or zips of people's drawings, where the protocol asks for them.
        aliases: what their classes are called in ``data``; else the protocol's ``ALIASES``.
        is_memory_checked: whether training pictures come back, where the protocol can tell; see
            :mod:`train.protocols.memory`.

    Raises:
        S2IError: something of that is missing, or the method has no protocol.
    """
    loaded = weights.load(weight)
    if loaded.method.name not in PROTOCOLS:
        raise S2IError(
            f"there is no protocol for {loaded.method.title} yet; there is one for "
            f"{', '.join(PROTOCOLS)}."
        )
    protocol = PROTOCOLS[loaded.method.name]
    own_px = getattr(protocol, "SIZE_PX", 128)
    size_px = size_px or loaded.method.kwargs.get("size_px", own_px)
    if lines not in LINES:
        raise S2IError(f"there are no lines '{lines}': choose one of {', '.join(LINES)}.")
    opened_px = 2 * size_px if lines == "xdog2x" else size_px
    opened = [data] if isinstance(data, str) else data
    pictures, training = (
        open_several(
            opened,
            part,
            size_px=opened_px,
            memory=False,
            columns=[columns or {}],
            squash=getattr(protocol, "IS_SQUASHED", False),
        )
        for part in (split, "train")
    )
    asked = range(len(pictures))[:limit]
    if getattr(protocol, "IS_SPREAD", False):
        asked = [index * len(pictures) // max(len(asked), 1) for index in asked]
    samples = [_Lined(pictures, lines)[index] for index in asked]
    if not samples:
        raise S2IError(f"'{', '.join(opened)}' has no pictures in the split '{split}'.")
    count = min(len(training), len(samples))
    spread = np.arange(count) * len(training) // max(count, 1)
    reference = [
        image.resize(training[index].photo, (size_px, size_px)) for index in spread.tolist()
    ]

    def act(name: str, photos: tuple[np.ndarray, ...], **controls: Any) -> Result:
        with weights.inference(loaded.device):
            return loaded.method.act(name, Drawing(), photos, **controls)

    task = Task(
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
        sketches=read_sketches(
            sketches,
            split,
            aliases={**getattr(protocol, "ALIASES", {}), **(aliases or {})},
            classes=loaded.method.kwargs.get("classes"),
        ),
    )
    report = protocol.evaluate(task)
    if is_memory_checked and hasattr(protocol, "answer"):
        report = memory.add_memory(report, task, protocol.answer)
    return add_intervals(report, getattr(protocol, "HEADLINES", ()))


def read_sketches(
    sources: Sequence[str],
    split: str,
    *,
    aliases: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
) -> list[Sketch]:
    """Return people's drawings with their classes, at the size and in the place they were drawn.

    Args:
        sources: folders or zips; a drawing's class is its folder or meta.csv's.
        split: which drawings are taken where a source has splits; else all.
        aliases: other names for classes.
        classes: those to read, by these names; None for all.

    Raises:
        S2IError: no pictures there, or one that is no drawing.
    """
    found: list[Sketch] = []
    for source in sources:
        files = open_files(source)
        rows = read_rows(files)
        has_splits = any(row.split for row in rows)
        for row in rows:
            label = (aliases or {}).get(row.label, row.label)
            is_asked = classes is None or label in classes
            if not is_asked or (has_splits and row.split != split):
                continue
            try:
                lines = read_ink(image.read_layer(files.read(row.photo)))
            except S2IError as error:
                raise S2IError(f"'{row.photo}' in '{source}': {error}") from None
            found.append(Sketch(lines=lines, label=label, name=f"{Path(source).stem}/{row.photo}"))
    return found


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


def _read_alias(text: str) -> tuple[str, str]:
    theirs, equals, ours = text.partition("=")
    if not (theirs and equals and ours):
        raise S2IError(f"--alias takes THEIRS=OURS, as shoe=shoes; got '{text}'.")
    return theirs, ours


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python train/evaluate.py",
        description="\n\n".join(
            [__doc__, *(str(one.__doc__) for one in (*PROTOCOLS.values(), memory))]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "weights",
        nargs="*",
        metavar="weight",
        help="a manifest's name, or a .safetensors file",
    )
    parser.add_argument("--data", nargs="+", default=[], help="folders or zips of pictures")
    parser.add_argument(
        "--all", action="store_true", help="README's table of all weights; see above"
    )
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--limit", type=int, help="only so many pictures")
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
    parser.add_argument(
        "--sketches",
        nargs="+",
        default=[],
        metavar="SOURCE",
        help="folders or zips of people's drawings, one folder a class, for sketch2img",
    )
    parser.add_argument(
        "--alias",
        action="append",
        default=[],
        metavar="THEIRS=OURS",
        help="what a class of --sketches is called in --data",
    )
    parser.add_argument(
        "--memorised", action="store_true", help="also ask whether training pictures come back"
    )
    parser.add_argument("--out", default="out/eval", help="folder for tables, numbers, sheets")
    parser.add_argument(
        "--perceptual", metavar="FOLDER", help="of the judges' weights (else S2I_PERCEPTUAL)"
    )
    parser.add_argument(
        "--write-manifest", action="store_true", help="put the scores into the manifest's entry"
    )
    return parser


def _score(options: argparse.Namespace, *, is_written: bool) -> Report:
    """Score the one weight of ``options`` and write the report; ``is_written``: manifest as well.

    Raises:
        S2IError: as :func:`evaluate`.
    """
    (name,) = options.weights
    if is_written:
        weights.find(name)
    columns = {"photo": options.photo_column, "lines": options.lines_column}
    report = evaluate(
        name,
        options.data,
        split=options.split,
        limit=options.limit,
        size_px=options.size_px,
        columns={part: column for part, column in columns.items() if column},
        lines=options.lines,
        perceptual=options.perceptual,
        seed=options.seed,
        beside=options.beside,
        sketches=options.sketches,
        aliases=dict(_read_alias(text) for text in options.alias),
        is_memory_checked=options.memorised,
    )
    write_report(report, Path(options.out))
    if is_written:
        publish.write_scores(name, report.scores)
        cards.fill_section(weights.manifest_path().parent / "README.md", name, report.tables)
    return report


def read_scored(entry: weights.Entry, folder: Path) -> list[str] | None:
    """Return the command line that scores a weight as its recipe says; None where it doesn't say.

    Data sets are looked for in ``folder``, then in the project.

    Raises:
        S2IError: one of them is in neither.
    """
    scored = cards.read_about(entry)["scored"]
    if not scored:
        return None
    words = [entry.name]
    for key, value in scored.items():
        values = [str(each) for each in (value if isinstance(value, list) else [value])]
        if key in ("data", "sketches"):
            values = [_find_source(source, folder) for source in values]
        words += [f"--{key.replace('_', '-')}", *values]
    return words


def _find_source(name: str, folder: Path) -> str:
    for home in (folder, weights.manifest_path().parent):
        if (home / name).exists():
            return str(home / name)
    raise S2IError(f"'{name}' is not in '{folder}': --all wants the folder of all data sets.")


def _score_all(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Score the weights that were named, or all, as their recipes say; write it down as it comes.

    Raises:
        S2IError: a data set is missing (nothing was scored then), or as :func:`evaluate`.
    """
    entries = [weights.find(name) for name in options.weights] or weights.entries()
    commands = {entry.name: read_scored(entry, Path(options.data[0])) for entry in entries}
    for name, command in commands.items():
        if command is None:
            print(f"{name}: its recipe does not say what it is scored on.", file=sys.stderr)
            continue
        own = parser.parse_args(command)
        own.out, own.perceptual = str(Path(options.out) / name), options.perceptual
        own.limit, own.memorised = options.limit or own.limit, True
        print(f"{name}: {' '.join(own.data)}", file=sys.stderr)
        _score(own, is_written=options.limit is None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = _make_parser()
    options = parser.parse_args(arguments)
    try:
        if options.all:
            if options.data and len(options.data) > 1:
                raise S2IError("--all wants one folder behind --data; names of weights go before.")
            if options.data:
                _score_all(parser, options)
            is_trial = options.limit is not None
            print(cards.write_overview(weights.entries()) if is_trial else cards.write_pages())
            return 0
        if len(options.weights) != 1 or not options.data:
            raise S2IError("name one weight and its --data, or ask for --all.")
        print(_score(options, is_written=options.write_manifest).tables)
    except S2IError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
