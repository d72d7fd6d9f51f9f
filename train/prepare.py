"""Turn pictures that people have into one zip to train on: color, lines or masks, groups, splits.

    python train/prepare.py pairs AB_FOLDER --sketch-side right --out pairs.zip
    python train/prepare.py pairs COLOR_FOLDER LINES_FOLDER --out pairs.zip
    python train/prepare.py pictures COLOR_FOLDER --out pairs.zip
    python train/prepare.py faces PHOTOS --landmarks LIST.txt --size-px 128 --out faces.zip
    python train/prepare.py masks PHOTOS --annotations instances_val2014.json --out masks.zip
    python train/prepare.py sketchy FOLDER --out sketchy.zip

The first takes side-by-side pictures [color | sketch], the second two folders whose files are
paired by name, the third color pictures alone and draws their lines by XDoG. ``faces`` makes
upright square portraits, the eyes always in one place (at 128 px at (48, 60) and (80, 60));
``masks`` cuts objects out of photos, each in a window of its own, with masks. Both have no lines,
which the trainers draw themselves; ``pictures`` adds some. ``sketchy`` takes the Sketchy database:
each sketch with the photo that it was drawn after, those flagged as errors left out. A zip does
wherever a folder does.

The zip holds ``color/NAME.png``, ``lines/NAME.png`` or ``mask/NAME.png``, and a ``meta.csv`` with
the columns name, color, lines or mask, class (the folder that a picture lies in, or what its object
is), group, split and source, as :class:`train.data.Pictures` reads it. Pictures keep their aspect;
none but a small face is enlarged. Exact duplicates are dropped; what can't be read or used is named
on stderr and left out.

Pictures of one group are all in one split. A group is what a file's path has before a last "_" or
"-" and digits, so ``clip_001.png`` and ``clip_002.png`` are together. Where that is not so:

    python train/prepare.py pictures PHOTOS --group-by "(.+)" --out each-alone.zip
    python train/prepare.py pictures CLIPS --group-by "^([^/]+)/" --out by-folder.zip

The split follows from the seed and the group's name alone: more pictures later leave the earlier
ones where they are (but where a split would be empty, the group that is nearest moves there).
Objects of one photo are one group; so are the sketches of one photo and, by ``--groups``, the faces
of one person. ``sketchy`` takes the test photos of testset.txt where there is one.
``pictures`` keeps the splits and groups that a meta.csv of its source names.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import functools
import hashlib
import io
import math
import os
import re
import sys
import tempfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import cv2
import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from s2i import edges, image
from s2i.errors import S2IError
from train import sources
from train.data import SPLITS, open_files, read_rows
from train.sources import (
    NAMED,
    Item,
    Parts,
    check_lines,
    fit_pair,
    fit_short_side,
    hash_text,
    list_pictures,
    report,
)

GROUP_BY = r"^(.+)[_-]\d+\.[^.]+$"
SHARES = (0.9, 0.05, 0.05)
SIDES = {"left": "right", "right": "left"}  # side -> the other one
_JUDGED = 64  # pictures that decide whether the sides are as given
_VOTE = 0.025  # of compare_sides(): less says nothing
_CLEAR = 0.1  # of compare_sides(): as much is no accident
_NEAR_WHITE = 230
_BATCH = 64  # pictures that are decoded ahead
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every member, so that equal pictures make equal zips


# -- pairs -----------------------------------------------------------------------------------------


def find_halves(
    source: str, sketch_side: str, *, size_px: int, trust_side: bool = False
) -> list[Item]:
    """Return the pictures of a folder or zip cut in two: color and sketch.

    An odd width loses its middle column.

    Args:
        source: folder or zip of side-by-side pictures.
        sketch_side: "left" or "right".
        size_px: the short side of what is written, at most.
        trust_side: don't look whether the halves are as given.

    Raises:
        S2IError: the halves look swapped, or alike.
    """
    files = open_files(source)

    def read(name: str) -> tuple[np.ndarray, np.ndarray]:
        both = image.read_photo(files.read(name))
        half = both.shape[1] // 2
        if half == 0:
            raise S2IError("it is 1 px wide: two pictures side by side were expected.")
        left, right = both[:, :half], both[:, -half:]
        return (left, right) if sketch_side == "right" else (right, left)

    return _pair(
        {name: (lambda name=name: read(name)) for name in list_pictures(files)},
        size_px=size_px,
        trust_side=trust_side,
        question=f"which half in '{source}' is the sketch",
        remedy=f"--sketch-side {SIDES[sketch_side]}",
    )


def find_pairs(
    color_source: str, lines_source: str, *, size_px: int, trust_side: bool = False
) -> list[Item]:
    """Return the pictures of two folders or zips, paired by path, or by name where no path agrees.

    Extensions don't count. What has no partner, or several, is named on stderr.

    Args:
        color_source: folder or zip of color pictures.
        lines_source: folder or zip of their lines.
        size_px: the short side of what is written, at most.
        trust_side: don't look whether the folders are as given.

    Raises:
        S2IError: no two names agree, or the folders look swapped, or alike.
    """
    colors, drawings = open_files(color_source), open_files(lines_source)
    color_names, lines_names = list_pictures(colors), list_pictures(drawings)
    for key in (_key_path, _key_name):
        by_key = [_index(names, key) for names in (color_names, lines_names)]
        matched = [
            (by_key[0][one][0], by_key[1][one][0])
            for one in by_key[0]
            if len(by_key[0][one]) == 1 and len(by_key[1].get(one, ())) == 1
        ]
        if matched:
            break
    else:
        raise S2IError(
            f"no picture in '{color_source}' ('{color_names[0]}', ...) is called as one in "
            f"'{lines_source}' ('{lines_names[0]}', ...): give the files of a pair one name."
        )
    for source, names, used in zip(
        (color_source, lines_source),
        (color_names, lines_names),
        map(set, zip(*matched, strict=True)),
        strict=True,
    ):
        alone = [name for name in names if name not in used]
        report(f"{source}: {len(alone)} of {len(names)} have no partner", alone, most=NAMED)

    def read(color: str, lines: str) -> tuple[np.ndarray, np.ndarray]:
        return image.read_photo(colors.read(color)), image.read_photo(drawings.read(lines))

    return _pair(
        {color: (lambda pair=(color, lines): read(*pair)) for color, lines in matched},
        size_px=size_px,
        trust_side=trust_side,
        question=f"which of '{color_source}' and '{lines_source}' holds the sketches",
        remedy="the folder of color pictures first",
    )


def _pair(
    readers: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]],
    *,
    size_px: int,
    trust_side: bool,
    question: str,
    remedy: str,
) -> list[Item]:
    """Return items from functions that return color and sketch; refuse swapped ones."""
    if not trust_side:
        _judge_sides(list(readers.values()), question=question, remedy=remedy)

    def read(name: str) -> Parts:
        color, sketch = readers[name]()
        if not trust_side and compare_sides(color, sketch) <= -_CLEAR:
            raise S2IError("its color and its sketch look swapped.")
        return fit_pair(color, sketch, size_px)

    return [
        Item(source=name, read=lambda name=name: read(name), label=_find_label(name))
        for name in readers
    ]


def compare_sides(color: np.ndarray, sketch: np.ndarray) -> float:
    """Return how much more ``sketch`` looks like a sketch than ``color`` does: -1 to 1.

    A sketch has less saturation (here: distance of the channels) and more near-white. The mean of
    both differences, 0 where they contradict each other.

    >>> paint, paper = np.full((2, 2, 3), (255, 0, 0), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    >>> compare_sides(paint, paper), compare_sides(paper, paint), compare_sides(paint, paint)
    (1.0, -1.0, 0.0)
    """
    (chroma, white), (sketch_chroma, sketch_white) = map(_measure, (color, sketch))
    differences = chroma - sketch_chroma, sketch_white - white
    if min(differences) < -_VOTE and max(differences) > _VOTE:
        return 0.0
    return sum(differences) / 2


def _measure(photo: np.ndarray) -> tuple[float, float]:
    """Return the mean distance of the channels and the share of near-white, both 0 to 1."""
    red, green, blue = cv2.split(photo)
    low, high = cv2.min(cv2.min(red, green), blue), cv2.max(cv2.max(red, green), blue)
    return float((high - low).mean()) / 255, float((low >= _NEAR_WHITE).mean())


def _judge_sides(
    readers: Sequence[Callable[[], tuple[np.ndarray, np.ndarray]]], *, question: str, remedy: str
) -> None:
    """Refuse where most of a sample, spread evenly, contradicts or doesn't confirm the sides."""
    votes = Counter()
    count = min(len(readers), _JUDGED)
    for index in np.linspace(0, len(readers) - 1, count).round().astype(int):
        with contextlib.suppress(S2IError):  # named when its turn comes
            evidence = compare_sides(*readers[index]())
            votes[int(evidence >= _VOTE) - int(evidence <= -_VOTE)] += 1
    total = votes.total()
    if 2 * votes[-1] > total:
        raise S2IError(
            f"{votes[-1]} of {total} pictures look swapped, the sketch has more color or less "
            f"white than the picture: give {remedy}."
        )
    if total and 2 * votes[1] <= total:
        raise S2IError(
            f"it can't be told {question} ({votes[1]} of {total} pictures look as given, "
            f"{votes[-1]} swapped, {votes[0]} alike): look at some, then give --trust-side to go "
            "on as given."
        )


def _key_path(name: str) -> str:
    """Return a path without extension; accents count the same however they are stored."""
    return unicodedata.normalize("NFC", str(PurePosixPath(name).with_suffix("")))


def _key_name(name: str) -> str:
    return PurePosixPath(_key_path(name)).name


def _index(names: list[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(key(name), []).append(name)
    return found


def _find_label(name: str) -> str | None:
    folder = PurePosixPath(name).parent.name
    return None if folder in SPLITS else folder or None


# -- color pictures alone --------------------------------------------------------------------------


def find_photos(
    source: str, draw: Callable[[np.ndarray], np.ndarray], *, size_px: int
) -> list[Item]:
    """Return the pictures of a folder or zip with lines that ``draw`` makes of them.

    Args:
        source: folder or zip; classes, groups and splits of its meta.csv are kept.
        draw: from (H, W, 3) as written to lines (H, W).
        size_px: the short side of what is written, at most.

    Raises:
        S2IError: no pictures there, or a meta.csv that can't be read.
    """
    files = open_files(source)

    def read(name: str) -> Parts:
        photo = image.read_photo(files.read(name))
        photo = image.resize(photo, fit_short_side(photo.shape[:2], size_px))
        return {"color": photo, "lines": check_lines(draw(photo))}

    return [
        Item(
            source=row.photo,
            read=lambda name=row.photo: read(name),
            label=row.label,
            group=row.group or (row.photo if row.split in SPLITS else None),
            split=row.split if row.split in SPLITS else None,
        )
        for row in read_rows(files)
    ]


# -- groups and splits -----------------------------------------------------------------------------


def find_groups(items: Sequence[Item], group_by: str = GROUP_BY) -> list[str]:
    """Return the group of each item: its own, else what the pattern's first group finds.

    By default a file that the pattern does not fit is a group of its own.

    Raises:
        S2IError: not a regular expression, one without a group, or one that does not fit a path.
    """
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise S2IError(f"--group-by '{group_by}' is no regular expression: {error}.") from None
    if pattern.groups == 0:
        raise S2IError(f"--group-by '{group_by}' has no (...) group around what names the group.")
    found = [pattern.search(item.source) for item in items]
    missed = [
        item.source
        for item, match in zip(items, found, strict=True)
        if not item.group and (match is None or not match[1])
    ]
    if missed and group_by != GROUP_BY:
        raise S2IError(
            f"--group-by '{group_by}' finds nothing in {len(missed)} of {len(items)} paths, as in "
            f"'{missed[0]}'."
        )
    return [
        item.group or (match[1] if match else str(PurePosixPath(item.source).with_suffix("")))
        for item, match in zip(items, found, strict=True)
    ]


def deal_out(
    groups: Sequence[str], *, shares: Sequence[float] = SHARES, seed: int = 0
) -> dict[str, str]:
    """Return the split of each group, from the hash of seed and name.

    No split with a share stays empty while there are as many groups. One group alone is in train,
    two are in train and test.

    Args:
        groups: names; repeated ones count once.
        shares: of train, val and test; 1 together.
        seed: another one deals otherwise.

    Raises:
        S2IError: the shares are not that.

    >>> deal_out(["a"]), sorted(deal_out("abc").values())
    ({'a': 'train'}, ['test', 'train', 'val'])
    """
    if min(shares) < 0 or shares[0] == 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise S2IError(
            f"--shares are for {', '.join(SPLITS)}, none negative, the first not 0, and 1 "
            f"together; got {' '.join(f'{share:g}' for share in shares)}."
        )
    places = {group: hash_text(f"{seed}/{group}") / 2**48 for group in groups}
    order = sorted(places, key=places.get)
    wanted = [split for split in ("train", "test", "val") if shares[SPLITS.index(split)] > 0]
    if len(order) < len(wanted):
        return dict(zip(order, wanted, strict=False))
    ends = np.cumsum(shares) / sum(shares)
    dealt = {group: SPLITS[int((places[group] >= ends[:-1]).sum())] for group in order}
    for split in wanted:
        counts = Counter(dealt.values())
        if counts[split] == 0:
            middle = ends[SPLITS.index(split)] - shares[SPLITS.index(split)] / 2
            movable = [group for group in order if counts[dealt[group]] > 1]
            dealt[min(movable, key=lambda group: abs(places[group] - middle))] = split
    return dealt


# -- writing ---------------------------------------------------------------------------------------


def write_zip(
    items: Sequence[Item],
    out: str | os.PathLike,
    *,
    group_by: str = GROUP_BY,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
) -> str:
    """Read all items, write them with their splits into a zip and return a line that says what.

    The zip appears whole or not at all. Items that can't be read are named on stderr.

    Raises:
        S2IError: nothing could be read, or the zip can't be written.
    """
    groups = find_groups(items, group_by)
    deal_out(groups, shares=shares, seed=seed)
    rows: list[dict[str, str]] = []
    seen: set[bytes] = set()
    members: dict[tuple[str, bytes], str] = {}
    taken: set[str] = set()
    left_out: list[str] = []
    with _write_whole(Path(out)) as file, zipfile.ZipFile(file, "w") as archive:
        for item, group, result in zip(items, groups, _read_ahead(items), strict=True):
            if isinstance(result, S2IError):
                left_out.append(f"{item.source}: {result}")
                continue
            digest, encoded = result
            if digest in seen:
                continue
            seen.add(digest)
            name = _name_member(item.name or item.source, taken)
            row = {"name": name}
            for part, content in encoded.items():
                path = f"{part}/{name}.png"
                row[part] = members.setdefault((part, _digest(content)), path)
                if row[part] == path:
                    archive.writestr(zipfile.ZipInfo(path, _EPOCH), content)
            row |= {"class": item.label or "", "group": group}
            rows.append(row | {"split": item.split or "", "source": item.source})
        report(f"left out {len(left_out)} of {len(items)}", left_out)
        if not rows:
            raise S2IError(f"none of the {len(items)} pictures could be used; nothing was written.")
        # What was left out must not leave a split empty.
        dealt = deal_out([row["group"] for row in rows], shares=shares, seed=seed)
        dealt |= {row["group"]: row["split"] for row in rows if row["split"]}
        for row in rows:
            row["split"] = row["split"] or dealt[row["group"]]
        archive.writestr(zipfile.ZipInfo("meta.csv", _EPOCH), _encode_table(rows))
    return _describe(out, rows, dropped=len(items) - len(left_out) - len(rows))


def _read_ahead(items: Sequence[Item]) -> Iterator[tuple[bytes, dict[str, bytes]] | S2IError]:
    """Yield a fingerprint and PNG files for each item in order, or why there are none."""

    def attempt(item: Item) -> tuple[bytes, dict[str, bytes]] | S2IError:
        try:
            parts = item.read()
        except S2IError as error:
            return error
        whole = b"".join(
            repr(part.shape).encode() + np.ascontiguousarray(part).tobytes()
            for part in parts.values()
        )
        return _digest(whole), {name: image.encode_png(part) for name, part in parts.items()}

    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(items), desc="preparing", unit="picture", disable=None) as progress,
    ):
        for start in range(0, len(items), _BATCH):
            for result in pool.map(attempt, items[start : start + _BATCH]):
                yield result
                progress.update()


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _name_member(source: str, taken: set[str]) -> str:
    """Return a member's name after ``source``, not yet ``taken`` on any file system; take it."""
    parts = PurePosixPath(source).with_suffix("").parts
    name = "/".join(part for part in parts if part not in ("/", ".."))
    name = name.encode("utf-8", "replace").decode()
    while unicodedata.normalize("NFC", name).casefold() in taken:
        name += "_"
    taken.add(unicodedata.normalize("NFC", name).casefold())
    return name


@contextlib.contextmanager
def _write_whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a file beside ``path`` that takes its place in the end; it goes when anything fails."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        reason = error.strerror or error
        raise S2IError(f"'{path}' could not be written ({reason}); nothing was changed.") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _encode_table(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    columns = [name for name in rows[0] if name != "class" or any(row["class"] for row in rows)]
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _describe(out: str | os.PathLike, rows: list[dict[str, str]], *, dropped: int) -> str:
    """Return what was written, in lines for a person."""
    counts = Counter(row["split"] for row in rows)
    groups = Counter(row["group"] for row in rows)
    lines = [
        f"{out}: {len(rows):,} pictures, {len(groups):,} groups, "
        + ", ".join(f"{split} {counts[split]:,}" for split in SPLITS)
        + f"; {Path(out).stat().st_size / 1e6:.1f} MB; {dropped:,} exact duplicates dropped"
    ]
    if len(rows) >= 3 > len(groups):
        lines.append(
            f"there are only {len(groups)} groups ('{next(iter(groups))}', ...): --group-by says "
            'what belongs together, --group-by "(.+)" that nothing does.'
        )
    return "\n".join(lines)


# -- command line ----------------------------------------------------------------------------------


def _read_pairs(options: argparse.Namespace) -> list[Item]:
    chosen = {"size_px": options.size_px, "trust_side": options.trust_side}
    if options.lines is None:
        if options.sketch_side is None:
            raise S2IError(
                f"which half of the pictures in '{options.source}' is the sketch? Give "
                "--sketch-side left or right, or a second folder with the lines."
            )
        return find_halves(options.source, options.sketch_side, **chosen)
    if options.sketch_side is not None:
        raise S2IError("--sketch-side is for one folder of side-by-side pictures, got two.")
    return find_pairs(options.source, options.lines, **chosen)


def _read_pictures(options: argparse.Namespace) -> list[Item]:
    names = ("sigma_px", "k", "gamma", "epsilon", "phi")
    chosen = {name: getattr(options, name) for name in names}
    is_fit = chosen["sigma_px"] > 0 and chosen["k"] > 1 and chosen["phi"] > 0
    if not is_fit or not all(map(math.isfinite, chosen.values())):
        said = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
        raise S2IError(f"XDoG takes sigma_px and phi above 0 and k above 1; got {said}.")
    draw = functools.partial(edges.xdog, **chosen)
    return find_photos(options.source, draw, size_px=options.size_px)


def _read_faces(options: argparse.Namespace) -> list[Item]:
    names = ("size_px", "groups", "partition", "align")
    names += ("eye_distance", "eye_height", "max_enlarge", "max_border")
    chosen = {name: getattr(options, name) for name in names}
    return sources.find_portraits(options.source, options.landmarks, **chosen)


def _read_masks(options: argparse.Namespace) -> list[Item]:
    return sources.find_objects(
        options.source,
        options.annotations,
        size_px=options.size_px,
        classes=options.classes,
        count=options.num,
        centered=options.centered,
        seed=options.seed,
    )


def _read_sketchy(options: argparse.Namespace) -> list[Item]:
    items = sources.find_sketches(
        options.source,
        options.info,
        size_px=options.size_px,
        classes=options.classes,
        drop=options.drop,
        photo_variant=options.photo_variant,
        sketch_variant=options.sketch_variant,
    )
    free = [item.group for item in items if item.split is None]
    if len(free) == len(items):
        return items
    train, val, test = options.shares
    dealt = deal_out(free, shares=(train + test, val, 0), seed=options.seed)
    return [dataclasses.replace(item, split=item.split or dealt[item.group]) for item in items]


def _build_parser() -> argparse.ArgumentParser:
    style = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = argparse.ArgumentParser(prog="python train/prepare.py", description=__doc__, **style)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--out", required=True, metavar="ZIP", help="the zip to write")
    shared.add_argument("--force", action="store_true", help="overwrite it")
    shared.add_argument(
        "--size-px",
        type=int,
        default=256,
        help="short side, at most; of portraits the side (default: %(default)s)",
    )
    shared.add_argument(
        "--group-by",
        metavar="REGEX",
        default=GROUP_BY,
        help="its first (...) names a file's group, searched in the path within the folder "
        "(default: %(default)s)",
    )
    shared.add_argument(
        "--shares",
        type=float,
        nargs=3,
        metavar=tuple(split.upper() for split in SPLITS),
        default=SHARES,
        help="of the groups (default: 0.9 0.05 0.05)",
    )
    shared.add_argument(
        "--seed", type=int, default=0, help="of the splits and of all that is chosen (default: 0)"
    )
    commands = parser.add_subparsers(dest="command", required=True)

    pairs = commands.add_parser(
        "pairs", parents=[shared], help="color pictures and their sketches", allow_abbrev=False
    )
    pairs.add_argument("source", help="side-by-side pictures, or the color pictures")
    pairs.add_argument("lines", nargs="?", help="their lines, where they lie in a second folder")
    pairs.add_argument("--sketch-side", choices=tuple(SIDES), help="half that is the sketch")
    pairs.add_argument(
        "--trust-side", action="store_true", help="don't check which of the two is the sketch"
    )
    pairs.set_defaults(read=_read_pairs)

    pictures = commands.add_parser(
        "pictures", parents=[shared], help="color pictures alone, lines by XDoG", allow_abbrev=False
    )
    pictures.add_argument("source", help="color pictures")
    defaults = edges.xdog.__kwdefaults__
    for name, meaning in {
        "sigma_px": "width of the finer Gaussian in pixels of a picture as written: for the same "
        "lines give twice as much with twice the --size-px",
        "k": "how much wider the coarser Gaussian is",
        "gamma": "below 1 darkens flat areas less than edges",
        "epsilon": "larger gives more ink",
        "phi": "steepness of the greys at the border of the ink",
    }.items():
        pictures.add_argument(
            f"--{name.replace('_', '-')}",
            type=float,
            default=defaults[name],
            help=f"XDoG: {meaning} (default: %(default)s)",
        )
    pictures.set_defaults(read=_read_pictures)

    faces = commands.add_parser(
        "faces", parents=[shared], help="photos and landmarks: portraits", allow_abbrev=False
    )
    faces.add_argument("source", help="photos of faces")
    faces.add_argument(
        "--landmarks",
        required=True,
        metavar="FILE",
        help="CelebA's list_landmarks_*.txt, or a CSV: a name, then the columns "
        f"{', '.join(f'{point}_x' for point in sources.POINTS)} and those in y",
    )
    known = faces.add_mutually_exclusive_group()
    known.add_argument(
        "--groups",
        metavar="FILE",
        help="lines 'name person', as in CelebA's identity_CelebA.txt: no person is in two splits",
    )
    known.add_argument(
        "--partition",
        metavar="FILE",
        help="lines 'name 0', 1 or 2 for train, val, test, as in CelebA's list_eval_partition.txt",
    )
    faces.add_argument(
        "--align",
        choices=sources.ALIGNED,
        default=sources.ALIGNED[0],
        help="what is brought to its place: exactly the eyes, or eyes, nose and mouth as near as "
        "can be (default: %(default)s)",
    )
    for name, default, meaning in (
        ("eye-distance", sources.EYE_DISTANCE, "between the eyes, share of the side"),
        ("eye-height", sources.EYE_HEIGHT, "from the upper border to the eyes, share of the side"),
        ("max-enlarge", sources.MAX_ENLARGE, "faces that would be enlarged more are left out"),
        ("max-border", sources.MAX_BORDER, "so are those with a larger share outside of the photo"),
    ):
        faces.add_argument(
            f"--{name}", type=float, default=default, help=f"{meaning} (default: %(default)s)"
        )
    faces.set_defaults(read=_read_faces)

    masks = commands.add_parser(
        "masks", parents=[shared], help="photos and COCO's annotations: objects", allow_abbrev=False
    )
    masks.add_argument("source", help="photos")
    masks.add_argument(
        "--annotations", required=True, metavar="FILE", help="as COCO's instances_*.json"
    )
    masks.add_argument(
        "--classes",
        nargs="+",
        metavar="NAME",
        help=f"categories of the file (default: {', '.join(sources.CLASSES)})",
    )
    masks.add_argument(
        "--num",
        type=int,
        default=sources.OBJECTS_PER_CLASS,
        help="objects of each class, at most (default: %(default)s)",
    )
    masks.add_argument(
        "--centered", action="store_true", help="objects lie in the middle of their windows"
    )
    masks.set_defaults(read=_read_masks)

    sketchy = commands.add_parser(
        "sketchy",
        parents=[shared],
        help="the Sketchy database: photos and sketches of them",
        allow_abbrev=False,
    )
    sketchy.add_argument("source", help="the folder with photo/ and sketch/, or one above it")
    sketchy.add_argument(
        "--info",
        metavar="FOLDER",
        help="holds stats.csv and, where the test photos are known, testset.txt "
        "(default: the source, or info/ in it)",
    )
    sketchy.add_argument(
        "--classes", nargs="+", metavar="NAME", help="folders to take (default: all)"
    )
    sketchy.add_argument(
        "--drop",
        nargs="+",
        choices=tuple(sources.FLAGS),
        default=[sources.ERROR],
        help="sketches flagged so are left out (default: error)",
    )
    for part, another, meaning in (
        ("photo", "tx_000100000000", "the object's box scaled to all of the picture"),
        ("sketch", "tx_000000000010", "moved to the middle of the object's box"),
    ):
        sketchy.add_argument(
            f"--{part}-variant",
            metavar="NAME",
            default=sources.VARIANT,
            help=f"folder in {part}/ to take (default: %(default)s, as drawn; the SketchyGAN "
            f"report took {another}: {meaning})",
        )
    sketchy.set_defaults(read=_read_sketchy)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _build_parser().parse_args(arguments)
    out = Path(options.out)
    try:
        if options.size_px < 16:
            raise S2IError(f"--size-px must be at least 16, got {options.size_px}.")
        if out.exists() and not (options.force and out.is_file()):
            remedy = "give --force to overwrite it" if out.is_file() else "give a file's name"
            raise S2IError(f"'{out}' is there already: {remedy}.")
        names = ("source", "lines", "landmarks", "groups", "partition", "annotations", "info")
        read = filter(None, (getattr(options, name, None) for name in names))
        if out.resolve() in [Path(path).resolve() for path in read]:
            raise S2IError(f"'{out}' is where the pictures come from: give another --out.")
        said = write_zip(
            options.read(options),
            out,
            group_by=options.group_by,
            shares=options.shares,
            seed=options.seed,
        )
    except S2IError as error:
        print(error, file=sys.stderr)
        return 2
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
