"""Public data sets as they come: faces from landmarks, COCO's objects, Sketchy's sketches.

What is found is a list of :class:`Item`, which ``train/prepare.py`` reads and writes.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from s2i import image
from s2i.errors import S2IError
from train.data import SPLITS, Folder, Zip, open_files

NAMED = 10  # files of one trouble that are named
MAX_FILE_BYTES = 1 << 30  # of annotations; COCO's largest have half, and take 2.5 GB of memory

POINTS = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
ALIGNED = ("eyes", "points")
EYE_DISTANCE, EYE_HEIGHT = 0.25, 60 / 128
MAX_ENLARGE, MAX_BORDER = 2.0, 0.1
_MIRRORED = [1, 0, 2, 4, 3]  # POINTS with left and right exchanged
_FACE = np.array([(-0.5, 0), (0.5, 0), (0, 0.615), (-0.435, 1.025), (0.435, 1.025)])
# of POINTS, in eye distances from between the eyes: means of 592 photos, left and right averaged

CLASSES = (
    *("person", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "fire hydrant"),
    *("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
    *("kite", "wine glass", "hot dog", "pizza", "tv", "laptop", "teddy bear"),
)
OBJECTS_PER_CLASS = 10
_MOST_OBJECTS = 2  # of one class in a picture
_MAIN_RATIO = 5  # so many times larger, the other one does not count
_WIDENING = (1.5, 2.0)
_MAX_ASPECT = 2.0
_MIN_SIDE_PX = 80
_SUBPIXEL_BITS = 4

VARIANT = "tx_000000000000"  # photo and sketch as they were shown and drawn
ERROR = "error"
FLAGS = {ERROR: "Error?", "pose": "WrongPose?", "context": "Context?", "ambiguous": "Ambiguous?"}
_KEYS = ("Category", "ImageNetID", "SketchID")
_ROUNDING_PX = 2  # two pictures of one shape, each rounded, differ by no more
_INK = 224  # lighter is paper

Parts = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One sample to be.

    Attributes:
        source: path of the picture within its folder or zip.
        read: returns its parts by column, as they are to be written; S2IError says why not.
        name: path that it is written under; after ``source`` where there is none.
        label: its class, where known.
        group: what it belongs to, where known.
        split: where it is known already.
    """

    source: str
    read: Callable[[], Parts]
    name: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None


def fit_short_side(size: tuple[int, int], size_px: int) -> tuple[int, int]:
    """Return ``size`` shrunk until its shorter side is ``size_px``; smaller ones stay.

    >>> fit_short_side((300, 700), 150), fit_short_side((30, 70), 150)
    ((150, 350), (30, 70))
    """
    scale = min(1.0, size_px / min(size))
    return round(size[0] * scale), round(size[1] * scale)


def fit_pair(color: np.ndarray, sketch: np.ndarray, size_px: int) -> Parts:
    """Return a picture and its lines in one size, with the aspect that they had.

    Args:
        color: (H, W, 3) uint8.
        sketch: (H', W', 3) uint8 of the same aspect.
        size_px: the short side, at most; nothing is enlarged.

    Returns:
        color (h, w, 3) and lines (h, w), ink 0, paper 255; thin lines stay dark.

    Raises:
        S2IError: the aspects differ by more than rounding.
    """
    short = min(size_px, *color.shape[:2], *sketch.shape[:2])
    size, other = fit_short_side(color.shape[:2], short), fit_short_side(sketch.shape[:2], short)
    if max(abs(size[0] - other[0]), abs(size[1] - other[1])) > _ROUNDING_PX:
        raise S2IError(
            f"the picture is {color.shape[1]} x {color.shape[0]} px, its lines are "
            f"{sketch.shape[1]} x {sketch.shape[0]}: one shape was expected."
        )
    lines = image.resize_ink(cv2.cvtColor(np.ascontiguousarray(sketch), cv2.COLOR_RGB2GRAY), size)
    return {"color": image.resize(color, size), "lines": check_lines(lines)}


def check_lines(lines: np.ndarray) -> np.ndarray:
    """Return ``lines`` as they are; S2IError where they are blank or mostly ink."""
    if not (lines < _INK).any():
        raise S2IError("its lines are blank.")
    if (lines < 128).mean() > 0.5:
        raise S2IError("more than half of its lines is ink: dark lines on light were expected.")
    return lines


def hash_text(text: str) -> int:
    """Return 48 bits that are the same everywhere."""
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).digest()
    return int.from_bytes(digest, "big")


def report(title: str, names: Sequence[str], *, most: int | None = None) -> None:
    """Name files on stderr, at most so many; silent where there are none."""
    if names:
        more = [f"... and {len(names) - most} more"] if most and len(names) > most else []
        print("\n  ".join([f"{title}:", *names[:most], *more]), file=sys.stderr)


def list_pictures(files: Folder | Zip) -> list[str]:
    """Return the names of the pictures; S2IError where there are none."""
    names = [name for name in files.names() if PurePosixPath(name).suffix.lower() in image.SUFFIXES]
    if not names:
        raise S2IError(f"'{files.path}' holds no pictures ({', '.join(sorted(image.SUFFIXES))}).")
    return names


def match_names(wanted: Iterable[str], found: Collection[str]) -> dict[str, str]:
    """Return the file that each name means, where there is exactly one.

    It has that path, or ends in it; extensions don't count then.

    >>> match_names(["1.jpg", "a/2.jpg", "3.jpg"], ["deep/1.png", "a/2.jpg", "b/3.jpg", "c/3.jpg"])
    {'1.jpg': 'deep/1.png', 'a/2.jpg': 'a/2.jpg'}
    """
    whole, endings = set(found), {}
    for name in found:
        parts = PurePosixPath(name).with_suffix("").parts
        for start in range(len(parts)):
            endings.setdefault(parts[start:], []).append(name)
    hits = {
        name: [name] if name in whole else endings.get(PurePosixPath(name).with_suffix("").parts)
        for name in wanted
    }
    return {name: files[0] for name, files in hits.items() if files and len(files) == 1}


# -- portraits -------------------------------------------------------------------------------------


def find_portraits(
    source: str,
    landmarks: str | os.PathLike,
    *,
    size_px: int,
    groups: str | os.PathLike | None = None,
    partition: str | os.PathLike | None = None,
    align: str = "eyes",
    eye_distance: float = EYE_DISTANCE,
    eye_height: float = EYE_HEIGHT,
    max_enlarge: float = MAX_ENLARGE,
    max_border: float = MAX_BORDER,
) -> list[Item]:
    """Return the faces of photos as upright square portraits, the eyes always in one place.

    Args:
        source: folder or zip of photos.
        landmarks: file as :func:`read_landmarks` takes; photos it does not name are left out.
        size_px: the side of a portrait.
        groups: file with a line ``name person`` for each photo.
        partition: file with a line ``name 0``, ``1`` or ``2`` (train, val, test) for each photo.
        align: "eyes" puts both eyes exactly where they belong, "points" eyes, nose and mouth as
            near as can be.
        eye_distance: between the eyes, share of the side.
        eye_height: from the upper border to the eyes, share of the side.
        max_enlarge: faces that would be enlarged more can't be used.
        max_border: neither can those of which a larger share lies outside of the photo.

    Raises:
        S2IError: a file that can't be read, an option out of its range, or no photo of a landmark.
    """
    if align not in ALIGNED:
        raise ValueError(f"align must be one of {ALIGNED}, got {align!r}")
    if not (0 < eye_distance < 1 and 0 < eye_height < 1):
        raise S2IError(
            "--eye-distance and --eye-height are shares of the side, between 0 and 1; got "
            f"{eye_distance:g} and {eye_height:g}."
        )
    if not (max_enlarge > 0 and 0 <= max_border <= 1):
        raise S2IError(
            f"--max-enlarge must be above 0 and --max-border from 0 to 1; got {max_enlarge:g} and "
            f"{max_border:g}."
        )
    files = open_files(source)
    faces = read_landmarks(landmarks)
    pictures = list_pictures(files)
    paths = match_names((name for name, _ in faces), pictures)
    used = set(paths.values())
    missing = [name for name, _ in faces if name not in paths]
    if not paths:
        raise S2IError(
            f"'{source}' holds none of the {len(faces)} photos that '{landmarks}' names "
            f"('{missing[0]}', ...): give the folder that they lie in."
        )
    report(f"{landmarks}: {len(missing)} of {len(faces)} photos are missing", missing, most=NAMED)
    alone = [name for name in pictures if name not in used]
    report(f"{source}: {len(alone)} of {len(pictures)} have no landmarks", alone, most=NAMED)
    faces = [(name, points) for name, points in faces if name in paths]
    persons = read_values(groups) if groups else None
    splits = read_values(partition, dict(zip("012", SPLITS, strict=True))) if partition else None
    for path, known in ((groups, persons), (partition, splits)):
        unknown = [name for name, _ in faces if known is not None and name not in known]
        report(f"{path}: left out {len(unknown)} that it does not name", unknown, most=NAMED)
        faces = [(name, points) for name, points in faces if known is None or name in known]
    if not faces:
        raise S2IError(f"'{groups or partition}' names none of the photos that have landmarks.")
    middle = np.array([0.5, eye_height])
    targets = size_px * (middle + eye_distance * _FACE)[: 2 if align == "eyes" else None]

    def read(name: str, points: np.ndarray) -> Parts:
        photo = image.read_photo(files.read(paths[name]))
        matrix = fit_similarity(points[: len(targets)], targets)
        return {
            "color": cut_portrait(
                photo, matrix, size_px=size_px, max_enlarge=max_enlarge, max_border=max_border
            )
        }

    return [
        Item(
            source=name,
            read=lambda name=name, points=points: read(name, points),
            group=persons[name] if persons else name if splits else None,
            split=splits[name] if splits else None,
        )
        for name, points in faces
    ]


def read_landmarks(path: str | os.PathLike) -> list[tuple[str, np.ndarray]]:
    """Return the name and the five points of every face in a file of landmarks.

    It is CelebA's (a count, the names of the columns, then ``name lefteye_x lefteye_y ...``) or a
    CSV (first column the name, then those columns in any order).

    Returns:
        Pairs of a name and (5, 2) float64: x, y in pixels of :data:`POINTS`, left as seen.

    Raises:
        S2IError: the file can't be read, or the line that is named is not as expected.
    """
    rows = _read_fields(path)
    count = None
    if len(rows) > 1 and len(rows[0][1]) == 1 and rows[0][1][0].isdecimal():
        count = int(rows[0][1][0])
        rows = [(rows[1][0], ["name", *rows[1][1]]), *rows[2:]]
    columns = [f"{point}_{axis}" for point in POINTS for axis in "xy"]
    number, header = rows[0] if rows else (1, [])
    missing = [column for column in columns if column not in header[1:]]
    if missing:
        raise S2IError(
            f"'{path}', line {number}: no columns {', '.join(missing)}; CelebA's list of landmarks "
            "or a CSV with its columns was expected."
        )
    if count not in (None, len(rows) - 1):
        raise S2IError(
            f"'{path}' says that it has {count} faces, {len(rows) - 1} follow: is it cut off? If "
            "not, correct its first line."
        )
    places = [header.index(column) for column in columns]
    values = []
    for number, fields in rows[1:]:
        where = f"'{path}', line {number}"
        if len(fields) != len(header):
            raise S2IError(
                f"{where}: a name and {len(header) - 1} numbers were expected, got "
                f"{len(fields)} fields."
            )
        _check_name(fields[0], where)
        try:
            values.append([float(fields[place]) for place in places])
        except ValueError as error:
            raise S2IError(f"{where}: numbers were expected after the name; {error}.") from None
        if not all(map(math.isfinite, values[-1])):
            raise S2IError(f"{where}: finite numbers were expected after the name.")
    if not values:
        raise S2IError(f"'{path}' names no faces.")
    points = _name_as_seen(np.array(values).reshape(-1, len(POINTS), 2))
    return [(fields[0], face) for (_, fields), face in zip(rows[1:], points, strict=True)]


def _name_as_seen(faces: np.ndarray) -> np.ndarray:
    """Return (N, 5, 2) with left and right as seen: some lists take the person's own sides."""
    across = faces[:, 1] - faces[:, 0]
    down = faces[:, 3:].mean(axis=1) - faces[:, :2].mean(axis=1)
    is_mirrored = across[:, 0] * down[:, 1] < across[:, 1] * down[:, 0]
    return np.where(is_mirrored[:, None, None], faces[:, _MIRRORED], faces)


def read_values(path: str | os.PathLike, meanings: Mapping[str, str] | None = None) -> dict:
    """Return what a file with a line ``name value`` says of each name.

    A file with commas is a CSV, whose first line has the names of the columns.

    Args:
        path: the file.
        meanings: values that may occur and what is returned for them; None returns them as is.

    Raises:
        S2IError: the file can't be read, or the line that is named is not as expected.
    """
    values: dict[str, str] = {}
    for number, fields in _read_fields(path, skip_header=True):
        where = f"'{path}', line {number}"
        if len(fields) != 2 or not all(fields):
            raise S2IError(f"{where}: a name and a value were expected, got {len(fields)} fields.")
        name, value = fields
        if meanings is not None and value not in meanings:
            raise S2IError(f"{where}: one of {', '.join(meanings)} was expected, got '{value}'.")
        value = meanings[value] if meanings is not None else value
        if values.setdefault(name, value) != value:
            raise S2IError(f"{where}: '{name}' had '{values[name]}' before, and '{value}' here.")
    return values


def fit_similarity(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the turn, scale and shift that bring ``points`` nearest to ``targets``.

    Least squares (Umeyama 1991, in the plane, never mirrored): with points as complex numbers it is
    one complex factor and a shift.

    Args:
        points: (N, 2), x and y.
        targets: (N, 2).

    Returns:
        (2, 3) float64, as OpenCV's warps take it.

    Raises:
        S2IError: all points lie on one place.

    >>> fit_similarity(np.array([[0, 0], [2, 0]]), np.array([[1, 1], [1, 5]])).round(6) + 0.0
    array([[ 0., -2.,  1.],
           [ 2.,  0.,  1.]])
    """
    source, wanted = (np.asarray(p, np.float64) @ np.array([1, 1j]) for p in (points, targets))
    around = source - source.mean()
    spread = float((np.abs(around) ** 2).sum())
    if spread < 1e-6:
        raise S2IError("its landmarks lie on one point.")
    factor = (around.conj() * wanted).sum() / spread
    shift = wanted.mean() - factor * source.mean()
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    )


def cut_portrait(
    photo: np.ndarray,
    matrix: np.ndarray,
    *,
    size_px: int,
    max_enlarge: float = MAX_ENLARGE,
    max_border: float = MAX_BORDER,
) -> np.ndarray:
    """Return what a similarity brings into a square; beyond the photo's borders it is mirrored.

    Args:
        photo: (H, W, 3) uint8.
        matrix: (2, 3), from pixels of the photo to pixels of the square.
        size_px: the side of the square.
        max_enlarge: largest scale.
        max_border: largest share of the square that lies outside of the photo.

    Returns:
        (size_px, size_px, 3) uint8, free of aliasing.

    Raises:
        S2IError: a limit is exceeded.
    """
    scale = float(np.hypot(*matrix[:, 0]))
    if scale > max_enlarge:
        raise S2IError(f"its face would be enlarged {scale:.2g} times, at most {max_enlarge:g} is.")
    size = tuple(max(1, round(side * min(1.0, scale))) for side in photo.shape[:2])
    ratio = np.array([photo.shape[1] / size[1], photo.shape[0] / size[0]])
    # Pixel x of the smaller photo has its middle at (x + 0.5) * ratio - 0.5.
    smaller = np.column_stack(
        [matrix[:, :2] * ratio, matrix[:, 2] + matrix[:, :2] @ (ratio / 2 - 0.5)]
    )
    inside = cv2.warpAffine(
        np.ones(size, np.uint8), smaller, (size_px, size_px), flags=cv2.INTER_NEAREST
    )
    border = 1 - float(inside.mean())
    if border > max_border:
        raise S2IError(
            f"{border:.0%} of its portrait lie outside of the photo, at most {max_border:.0%} may."
        )
    return cv2.warpAffine(
        image.resize(photo, size),
        smaller,
        (size_px, size_px),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )


# -- objects ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Instance:
    """One annotated object.

    Attributes:
        id: of its annotation.
        box: x, y, width, height in pixels.
        area: in square pixels.
        is_crowd: stands for many, not one.
        segmentation: as :func:`draw_mask` takes it.
    """

    id: object
    box: tuple[float, float, float, float]
    area: float
    is_crowd: bool
    segmentation: object


@dataclass(frozen=True)
class Annotations:
    """What a COCO file says of some classes.

    Attributes:
        photos: by id, each photo's name and its (height, width).
        instances: by class, then by photo's id.
    """

    photos: Mapping[object, tuple[str, tuple[int, int]]]
    instances: Mapping[str, Mapping[object, list[Instance]]]


def find_objects(
    source: str,
    annotations: str | os.PathLike,
    *,
    size_px: int,
    classes: Sequence[str] | None = None,
    count: int = OBJECTS_PER_CLASS,
    centered: bool = False,
    seed: int = 0,
) -> list[Item]:
    """Return objects of photos, each in a window of its own, with their masks.

    Photos with more than two objects of a class don't serve that class; of two that differ more
    than five times in area only the larger is taken; crowds are no objects. Windows are as
    :func:`place_window` says. Which ones are taken follows from the seed and the photo's id.

    Args:
        source: folder or zip of photos.
        annotations: file of instances as COCO has it.
        size_px: the short side of what is written, at most.
        classes: categories to take; None for those of :data:`CLASSES` that the file has.
        count: objects of each class, at most.
        centered: objects lie in the middle of their windows.
        seed: another one chooses and places otherwise.

    Raises:
        S2IError: a file that can't be read, or nothing in it that can be used.
    """
    if count < 1:
        raise S2IError(f"--num must be at least 1, got {count}.")
    files = open_files(source)
    known = read_annotations(annotations, classes)
    names = {name for name, _ in known.photos.values()}
    paths = match_names(names, list_pictures(files))
    missing = sorted(names - set(paths))
    if not paths:
        raise S2IError(
            f"'{source}' holds none of the {len(names)} photos that '{annotations}' names "
            f"('{missing[0]}', ...): give the folder that they lie in."
        )
    report(f"{annotations}: {len(missing)} of {len(names)} photos are missing", missing, most=NAMED)
    items: list[Item] = []
    passed: Counter[str] = Counter()
    few: list[str] = []
    for label, by_photo in known.instances.items():
        found: list[Item] = []
        for key in sorted(by_photo, key=lambda key: hash_text(f"{seed}/{label}/{key}")):
            name, size = known.photos[key]
            if name not in paths:
                continue
            chosen, reasons = choose_instances(by_photo[key])
            passed.update(reasons)
            for one in chosen:
                rng = np.random.default_rng(hash_text(f"{seed}/{label}/{key}/{one.id}"))
                window = place_window(one.box, size, rng, centered=centered)
                if window is None:
                    passed["window too small or too long"] += 1
                    continue
                stem = PurePosixPath(name).stem
                found.append(
                    Item(
                        source=paths[name],
                        read=_read_object(files, paths[name], size, one, window, size_px),
                        name=f"{label}/{stem}_{one.id}{PurePosixPath(name).suffix}",
                        label=label,
                        group=paths[name],
                    )
                )
            if len(found) >= count:
                break
        items += found[:count]
        few += [f"{label}: {len(found)}"] if len(found) < count else []
    said = [f"{number} {reason}" for reason, number in sorted(passed.items())]
    report("objects that were passed over", said)
    report(f"classes with fewer than {count}", few)
    if not items:
        raise S2IError(f"no object in '{annotations}' can be used.")
    return items


def _read_object(
    files: Folder | Zip,
    path: str,
    size: tuple[int, int],
    instance: Instance,
    window: tuple[slice, slice],
    size_px: int,
) -> Callable[[], Parts]:
    def read() -> Parts:
        photo = image.read_photo(files.read(path))
        if photo.shape[:2] != size:
            raise S2IError(
                f"it is {photo.shape[1]} x {photo.shape[0]} px, its annotations are for "
                f"{size[1]} x {size[0]}."
            )
        photo, mask = photo[window], draw_mask(instance.segmentation, size)[window]
        fitted = fit_short_side(mask.shape, size_px)
        mask = np.where(image.resize(mask, fitted) >= 128, 255, 0).astype(np.uint8)
        if not mask.any():
            raise S2IError(f"the mask of annotation {instance.id} is blank.")
        return {"color": image.resize(photo, fitted), "mask": mask}

    return read


def choose_instances(instances: Sequence[Instance]) -> tuple[list[Instance], Counter[str]]:
    """Return which objects of one class in one photo are taken, and why how many others are not."""
    passed: Counter[str] = Counter()
    passed["crowds"] = sum(one.is_crowd for one in instances)
    alone = [one for one in instances if not one.is_crowd]
    if len(alone) > _MOST_OBJECTS:
        passed["among three or more of their class"] = len(alone)
        return [], +passed
    alone.sort(key=lambda one: one.area, reverse=True)
    if len(alone) == 2 and alone[0].area > _MAIN_RATIO * alone[1].area:
        passed["beside a much larger one"] = 1
        del alone[1]
    return alone, +passed


def place_window(
    box: tuple[float, float, float, float],
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    centered: bool = False,
) -> tuple[slice, slice] | None:
    """Return a window 1.5 to 2 times as large as an object's box that holds all of it.

    Centred, the object lies in its middle. Else its left and upper borders lie
    ``0.5 + u * (e - 1)`` boxes before the box's center, e times the box being its size and u a
    random number in [0, 1] of each axis.

    Args:
        box: x, y, width, height in pixels.
        size: (height, width) of the photo, to which the window is clipped.
        rng: where e and u come from.
        centered: see above.

    Returns:
        (rows, columns); None where one side is less than 80 px or more than twice the other.
    """
    widening = rng.uniform(*_WIDENING)
    before = np.full(2, widening / 2) if centered else 0.5 + rng.random(2) * (widening - 1)
    extent = np.array([box[3], box[2]])
    first = np.array([box[1], box[0]]) + (0.5 - before) * extent
    start = np.clip(np.floor(first), 0, size).astype(int)
    stop = np.clip(np.ceil(first + widening * extent), 0, size).astype(int)
    sides = stop - start
    if min(sides) < _MIN_SIDE_PX or max(sides) > _MAX_ASPECT * min(sides):
        return None
    return slice(start[0], stop[0]), slice(start[1], stop[1])


def read_annotations(path: str | os.PathLike, classes: Sequence[str] | None = None) -> Annotations:
    """Return what a COCO file of instances says of some classes.

    Args:
        path: the JSON file.
        classes: names of categories; None for those of :data:`CLASSES` that the file has.

    Raises:
        S2IError: not such a file, an entry that is not as expected, or no such category.
    """
    content = _read_json(path)
    labels = dict(_read_entries(path, content, "categories", _read_category))
    photos = dict(_read_entries(path, content, "images", _read_image))
    known = set(labels.values())
    unknown = [label for label in classes or () if label not in known]
    wanted = [label for label in dict.fromkeys(classes or CLASSES) if label in known]
    if unknown or not wanted:
        raise S2IError(
            f"'{path}' has no class {', '.join(unknown) or 'of the default ones'}; its classes are "
            f"{', '.join(sorted(known)) or 'none'}: choose some with --classes."
        )
    instances: dict[str, dict[object, list[Instance]]] = {label: {} for label in wanted}
    strays = 0
    for category, photo, instance in _read_entries(path, content, "annotations", _read_instance):
        if photo not in photos:
            strays += 1
        elif labels.get(category) in instances:
            instances[labels[category]].setdefault(photo, []).append(instance)
    if strays:
        print(f"{path}: left out {strays} annotations of photos it does not list", file=sys.stderr)
    return Annotations(photos, instances)


def _read_entries(
    path: str | os.PathLike, content: object, part: str, read: Callable[[dict], tuple]
) -> Iterator[tuple]:
    """Yield what ``read`` returns of each entry of a list; S2IError names the one that is bad."""
    entries = content.get(part) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise S2IError(
            f"'{path}' has no list '{part}': a file of instances as COCO has it was expected."
        )
    for number, entry in enumerate(entries):
        try:
            yield read(entry)
        except KeyError as error:
            raise S2IError(f"'{path}': {part}[{number}] has no {error}.") from None
        except (TypeError, ValueError, ArithmeticError) as error:
            raise S2IError(f"'{path}': {part}[{number}] is not as COCO has it: {error}.") from None


def _read_category(entry: dict) -> tuple[object, str]:
    return _check_id(entry["id"]), str(entry["name"])


def _read_image(entry: dict) -> tuple[object, tuple[str, tuple[int, int]]]:
    name = _check_name(str(entry["file_name"]), f"image {entry['id']}")
    return _check_id(entry["id"]), (name, (int(entry["height"]), int(entry["width"])))


def _read_instance(entry: dict) -> tuple[object, object, Instance]:
    box = tuple(float(number) for number in entry["bbox"])
    area = float(entry.get("area", math.prod(box[2:])))
    if len(box) != 4 or not all(map(math.isfinite, (*box, area))):
        raise ValueError(f"a bbox of four numbers and a finite area were expected, got {box}")
    return (
        _check_id(entry["category_id"]),
        _check_id(entry["image_id"]),
        Instance(
            id=_check_id(entry.get("id", "")),
            box=box,
            area=area,
            is_crowd=bool(entry.get("iscrowd", 0)),
            segmentation=entry["segmentation"],
        ),
    )


def _check_id(value: object) -> object:
    if not isinstance(value, int | str):
        raise TypeError(f"a number or a text was expected as id, got {value!r}")
    return value


def draw_mask(segmentation: object, size: tuple[int, int]) -> np.ndarray:
    """Return the mask that a COCO segmentation describes.

    Args:
        segmentation: polygons ``[[x, y, x, y, ...], ...]``, of which the mask is the union, or
            ``{"size": [H, W], "counts": ...}``, run lengths down the columns as a list or as COCO's
            compressed string.
        size: (H, W) of the photo.

    Returns:
        (H, W) uint8, 255 on the object, else 0.

    Raises:
        S2IError: it is none of these, or of another size.

    >>> draw_mask({"size": [2, 3], "counts": [1, 2, 3]}, (2, 3)).tolist()
    [[0, 255, 0], [255, 0, 0]]
    """
    try:
        if isinstance(segmentation, dict):
            return _draw_runs(segmentation, size)
        mask = np.zeros(size, np.uint8)
        for polygon in segmentation:
            corners = np.array(polygon, np.float64).reshape(-1, 2)
            if len(corners) < 3 or not np.isfinite(corners).all():
                raise ValueError("a polygon has three corners and more, all finite")
            # COCO counts from a pixel's corner, OpenCV from its middle.
            corners = np.clip(corners, 0, size[::-1]) - 0.5
            corners = np.rint(corners * 2**_SUBPIXEL_BITS).astype(np.int32)
            cv2.fillPoly(mask, [corners], 255, cv2.LINE_8, _SUBPIXEL_BITS)
        return mask
    except KeyError as error:
        raise S2IError(f"its segmentation has no {error}.") from None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise S2IError(f"its segmentation is not as COCO has it: {error}.") from None


def _draw_runs(segmentation: dict, size: tuple[int, int]) -> np.ndarray:
    counts = segmentation["counts"]
    counts = decode_counts(counts) if isinstance(counts, str) else [int(run) for run in counts]
    if tuple(segmentation["size"]) != tuple(size):
        raise ValueError(f"it is of {segmentation['size']} pixels, the photo of {[*size]}")
    if min(counts, default=0) < 0 or sum(counts) != size[0] * size[1]:
        raise ValueError(f"its runs don't make {size[0]} x {size[1]} pixels")
    values = (np.arange(len(counts)) % 2 * 255).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(values, counts).reshape(size[::-1]).T)


def decode_counts(text: str) -> list[int]:
    """Return the run lengths of a compressed COCO mask.

    Each character has five bits of a number, lowest first, above 48; bit 5 says that more follow.
    The last one's bit 4 is the sign. From the fourth on, a number is the change from the one two
    before.

    Raises:
        ValueError: not such a text.

    >>> decode_counts("52203")
    [5, 2, 2, 2, 5]
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("its runs are no compressed text of COCO's")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("its runs are cut off")
    return counts


# -- the Sketchy database --------------------------------------------------------------------------


def find_sketches(
    source: str,
    info: str | os.PathLike | None = None,
    *,
    size_px: int,
    classes: Sequence[str] | None = None,
    drop: Collection[str] = (ERROR,),
    photo_variant: str = VARIANT,
    sketch_variant: str = VARIANT,
) -> list[Item]:
    """Return the sketches of the Sketchy database, each with the photo that it was drawn after.

    Photos lie in ``photo/VARIANT/CLASS/PHOTO.jpg``, sketches in
    ``sketch/VARIANT/CLASS/PHOTO-NUMBER.png``, at any depth below ``source``. A photo's sketches are
    one group, in the split "test" where testset.txt names the photo.

    Args:
        source: folder or zip.
        info: folder with stats.csv and perhaps testset.txt; None for ``source`` or its ``info``.
        size_px: the short side of what is written, at most.
        classes: folders to take; None for all.
        drop: keys of :data:`FLAGS`; sketches that stats.csv flags so are left out.
        photo_variant: folder of the photos.
        sketch_variant: folder of the sketches.

    Raises:
        S2IError: a file that can't be read, no such variant or class, or nothing that can be used.
    """
    files = open_files(source)
    known = list_pictures(files)
    photos = _find_variant(known, "photo", photo_variant, source)
    drawn = _find_variant(known, "sketch", sketch_variant, source)
    there = sorted({label for label, _ in drawn})
    unknown = [label for label in classes or () if label not in there]
    if unknown:
        raise S2IError(
            f"'{source}' has no class {', '.join(unknown)}; its classes are {', '.join(there)}."
        )
    wanted = set(classes or there)
    stats = _find_info(source, info, "stats.csv")
    if stats is None:
        raise S2IError(
            f"no stats.csv lies in '{info or source}': give the database's folder info by --info."
        )
    flags = read_flags(stats)
    test = _find_info(source, info, "testset.txt")
    tested = read_test_photos(test) if test else set()
    items: list[Item] = []
    passed: Counter[str] = Counter()
    for (label, name), path in sorted(drawn.items()):
        photo = name.rpartition("-")[0]
        if label not in wanted:
            continue
        if (label, name) not in flags:
            passed["not in stats.csv"] += 1
        elif (label, photo) not in photos:
            passed["without their photo"] += 1
        elif flagged := [flag for flag in drop if flag in flags[label, name]]:
            passed[f"flagged {FLAGS[flagged[0]]}"] += 1
        else:
            items.append(
                Item(
                    source=path,
                    read=_read_sketch(files, photos[label, photo], path, size_px),
                    name=f"{label}/{name}",
                    label=label,
                    group=photo,
                    split="test" if photo in tested else None,
                )
            )
    said = [f"{number} {reason}" for reason, number in sorted(passed.items())]
    report("sketches that were passed over", said)
    missing = sorted(f"{label}/{name}" for label, name in flags.keys() - drawn.keys())
    missing = [name for name in missing if name.partition("/")[0] in wanted]
    report(f"{stats}: {len(missing)} sketches are missing", missing, most=NAMED)
    if not items:
        raise S2IError(f"no sketch in '{source}' can be used.")
    return items


def _find_variant(
    names: Sequence[str], part: str, variant: str, source: str
) -> dict[tuple[str, str], str]:
    """Return the pictures of one variant by class and name without suffix."""
    found: dict[tuple[str, str], str] = {}
    others: set[str] = set()
    for name in names:
        folder, own, label, file = ("", "", "", *PurePosixPath(name).parts)[-4:]
        if folder != part:
            continue
        others.add(own)
        if own == variant:
            found[label, PurePosixPath(file).stem] = name
    if not others:
        raise S2IError(
            f"'{source}' has no pictures {part}/{variant}/CLASS/NAME: the Sketchy database's "
            "folders photo and sketch were expected."
        )
    if not found:
        raise S2IError(
            f"'{source}' has no {part}/{variant}; it has {', '.join(sorted(others))}: choose one "
            f"by --{part}-variant."
        )
    return found


def _find_info(source: str, info: str | os.PathLike | None, name: str) -> Path | None:
    folders = [Path(info)] if info else [Path(source), Path(source) / "info"]
    return next((path for folder in folders if (path := folder / name).is_file()), None)


def _read_sketch(files: Folder | Zip, photo: str, sketch: str, size_px: int) -> Callable[[], Parts]:
    def read() -> Parts:
        both = (image.read_photo(files.read(name)) for name in (photo, sketch))
        return fit_pair(*both, size_px)

    return read


def read_flags(path: str | os.PathLike) -> dict[tuple[str, str], set[str]]:
    """Return what stats.csv of the Sketchy database flags each sketch as.

    Returns:
        Keys of :data:`FLAGS` by (folder of the class, "PHOTO-NUMBER").

    Raises:
        S2IError: the file can't be read, or the line that is named is not as expected.
    """
    rows = _read_fields(path)
    number, header = rows[0] if rows else (1, [])
    missing = [column for column in (*_KEYS, *FLAGS.values()) if column not in header]
    if missing:
        raise S2IError(
            f"'{path}', line {number}: no columns {', '.join(missing)}; the Sketchy database's "
            "stats.csv was expected."
        )
    places = {column: header.index(column) for column in (*_KEYS, *FLAGS.values())}
    flags: dict[tuple[str, str], set[str]] = {}
    for number, fields in rows[1:]:
        if len(fields) != len(header):
            raise S2IError(
                f"'{path}', line {number}: {len(header)} fields were expected, got {len(fields)}."
            )
        values = {column: fields[place] for column, place in places.items()}
        unclear = [column for column in FLAGS.values() if values[column] not in ("0", "1")]
        if unclear:
            raise S2IError(
                f"'{path}', line {number}: 0 or 1 was expected as {unclear[0]}, got "
                f"'{values[unclear[0]]}'."
            )
        label, photo, sketch = (values[column] for column in _KEYS)
        key = label.replace(" ", "_"), f"{photo}-{sketch}"
        flags[key] = {flag for flag, column in FLAGS.items() if values[column] == "1"}
    return flags


def read_test_photos(path: str | os.PathLike) -> set[str]:
    """Return the photos, without class and suffix, that a file with a path a line names.

    Raises:
        S2IError: the file can't be read, or names none.
    """
    lines = [line.strip() for line in _read_text(path).splitlines()]
    names = {PurePosixPath(line).stem for line in lines if line}
    if not names:
        raise S2IError(f"'{path}' names no photos: a path a line was expected, as CLASS/PHOTO.jpg.")
    return names


# -- files of text ---------------------------------------------------------------------------------


def _read_text(path: str | os.PathLike) -> str:
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise S2IError(
                f"'{path}' has {path.stat().st_size / 1e9:.1f} GB, at most "
                f"{MAX_FILE_BYTES / 1e9:.1f} GB are read: split it."
            )
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise S2IError(f"'{path}' was not found: check the path.") from None
    except OSError as error:
        raise S2IError(f"'{path}' could not be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise S2IError(f"'{path}' is no text in UTF-8.") from None


def _read_json(path: str | os.PathLike) -> object:
    try:
        return json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise S2IError(
            f"'{path}', line {error.lineno}, column {error.colno}: no JSON ({error.msg})."
        ) from None
    except (RecursionError, ValueError) as error:
        raise S2IError(f"'{path}' could not be read as JSON ({error}).") from None
    except MemoryError:
        raise S2IError(f"'{path}' does not fit into memory: split it.") from None


def _read_fields(
    path: str | os.PathLike, *, skip_header: bool = False
) -> list[tuple[int, list[str]]]:
    """Return the lines that aren't blank as (number, fields), split at commas or at blanks.

    The first line decides; ``skip_header`` leaves out that of a file with commas.
    """
    lines = _read_text(path).splitlines()
    has_commas = bool(lines) and "," in lines[0]
    try:
        if has_commas:
            reader = csv.reader(lines, strict=True)
            rows = [(reader.line_num, [field.strip() for field in row]) for row in reader]
        else:
            rows = [(number, line.split()) for number, line in enumerate(lines, 1)]
    except csv.Error as error:
        raise S2IError(f"'{path}', line {reader.line_num}: no CSV ({error}).") from None
    return [row for row in rows[has_commas and skip_header :] if any(row[1])]


def _check_name(name: str, where: str) -> str:
    """Return a name as it is; S2IError where it leads out of its folder."""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or not parts[0] or re.match("[A-Za-z]:", name):
        raise S2IError(f"{where}: a path within the folder of photos was expected, got '{name}'.")
    return name
