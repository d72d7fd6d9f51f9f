"""Pictures to learn from: anybody's folder or zip, or endless drawings of our own making."""

from __future__ import annotations

import csv
import functools
import io
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from s2i import image
from s2i.errors import S2IError
from train.scenes import SCENES, draw_scene

SPLITS = ("train", "val", "test")
COLUMNS = {"photo": ("path", "image", "color"), "lines": ("line", "lines"), "mask": ("mask",)}
LABELS = ("class", "kind")


@dataclass(frozen=True)
class Sample:
    """One square picture and what is known about it.

    Attributes:
        photo: (S, S, 3) uint8.
        lines: (S, S) uint8, ink 0, paper 255, greys between; None where the data has no lines.
        mask: (S, S) uint8, 255 on the main object, else 0; None where the data has no masks.
        label: its class, where the data names one.
        name: the picture's path within its folder or zip.
    """

    photo: np.ndarray
    lines: np.ndarray | None
    mask: np.ndarray | None
    label: str | None
    name: str


def open_pictures(
    data: str | os.PathLike | None, split: str, *, size_px: int, **options: object
) -> Pictures | Drawings:
    """Return :class:`Pictures` of the folder or zip ``data``, or :class:`Drawings` for None."""
    if data is None:
        return Drawings(split, size_px=size_px)
    return Pictures(data, split, size_px=size_px, **options)


def open_several(
    sources: Sequence[str],
    split: str,
    *,
    size_px: int,
    columns: Sequence[Mapping[str, str]] = (),
    **options: object,
) -> Joined:
    """Return the pictures of all ``sources``, or :class:`Drawings` where there are none.

    ``columns`` are those of each source, in order, or of all.

    Raises:
        S2IError: as :class:`Pictures`, or there are more or fewer columns than sources.
    """
    if len(columns) not in (0, 1, len(sources)) and sources:
        raise S2IError(
            f"{len(columns)} columns were named for {len(sources)} folders or zips: name one for "
            "all, or one for each."
        )
    each = list(columns) if len(columns) == len(sources) else [*columns, {}][:1] * len(sources)
    return Joined(
        [
            Pictures(source, split, size_px=size_px, columns=chosen, **options)
            for source, chosen in zip(sources, each, strict=True)
        ]
        or [Drawings(split, size_px=size_px)]
    )


def augment(
    sample: Sample, rng: np.random.Generator, *, amount: float = 1.0
) -> tuple[np.ndarray, np.ndarray | None]:
    """Flip, move, turn, scale and tint a picture, and its lines with it.

    Far enough that the network paints what the lines say, not what mostly lies in that place;
    ``amount`` below 1 makes all but the flip smaller, 0 leaves the picture as it is.
    """
    photo, lines = sample.photo, sample.lines
    if not amount:
        return photo, lines
    side = photo.shape[0]
    turn, zoom = amount * rng.uniform(-6, 6), rng.uniform(0.85, 1.18) ** amount
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), turn, zoom)
    matrix[:, 2] += amount * rng.uniform(-0.06, 0.06, 2) * side
    if rng.random() < 0.5:
        matrix = matrix @ np.array([[-1, 0, side - 1], [0, 1, 0], [0, 0, 1.0]])

    def move(layer: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(
            layer, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )

    photo = move(photo).astype(np.float32)
    gain = (rng.uniform(0.9, 1.1) * rng.uniform(0.95, 1.05, 3)) ** amount
    photo = np.clip(photo * gain + amount * rng.uniform(-10, 10), 0, 255).round().astype(np.uint8)
    return photo, None if lines is None else move(lines)


# -- folders and zips ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """Where the parts of one sample lie, and what the data says about it."""

    photo: str
    lines: str | None = None
    mask: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None


class Folder:
    """The pictures below a folder and its meta.csv, by their path relative to it."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self.path = path

    def names(self) -> list[str]:
        """Return meta.csv, where there is one, and the sorted pictures."""
        found = image.find_pictures(self.path)
        table = [self.path / "meta.csv"] if (self.path / "meta.csv").is_file() else []
        return [path.relative_to(self.path).as_posix() for path in (*table, *found)]

    def read(self, name: str) -> bytes:
        """Return the content of a file; S2IError where it can't be read."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise S2IError(f"it could not be read ({error.strerror}).") from None


class Zip:
    """The members of a zip; nothing is ever extracted to disk."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self.path = path

    def names(self) -> list[str]:
        """Return all members, sorted; S2IError where it is no zip."""
        try:
            members = _opened_zip(self.path, os.getpid()).namelist()
        except (OSError, zipfile.BadZipFile):
            raise S2IError(
                f"'{self.path}' is neither a folder nor a readable zip: give one with pictures."
            ) from None
        return sorted(name for name in members if not name.startswith("__MACOSX/"))

    def read(self, name: str) -> bytes:
        """Return the content of a member; S2IError where it can't be read."""
        try:
            return _opened_zip(self.path, os.getpid()).read(name)
        except (OSError, KeyError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise S2IError(f"it could not be read ({error}).") from None


def open_files(source: str | os.PathLike) -> Folder | Zip:
    """Return the files of a folder or zip; S2IError where there is neither."""
    path = Path(source)
    if not path.exists():
        raise S2IError(f"'{path}' was not found: give a folder or a zip of pictures.")
    return Folder(path) if path.is_dir() else Zip(path)


@functools.lru_cache(maxsize=8)
def _opened_zip(path: Path, process: int) -> zipfile.ZipFile:
    """Return ``path`` opened once a process: forked ones must not share a file's position."""
    return zipfile.ZipFile(path)


class Pictures(Sequence[Sample]):
    """The pictures of one split of a folder or zip, cropped square, in memory as uint8.

    A meta.csv at the top names the parts (columns ``path`` or ``image`` or ``color``; ``line`` or
    ``lines``; ``mask``; ``class`` or ``kind``) and the ``split`` of each sample. Without a split
    column the sorted pictures are dealt out 28 to train, 1 to val, 1 to test, and so on; fewer than
    30 are all in both train and test.
    """

    def __init__(
        self,
        source: str | os.PathLike,
        split: str,
        *,
        size_px: int,
        memory: bool = True,
        columns: Mapping[str, str] | None = None,
        parts: Sequence[str] = tuple(COLUMNS),
        squash: bool = False,
    ) -> None:
        """Decode every picture once; broken ones are named on stderr and left out.

        Args:
            source: a folder (any depth) or a zip.
            split: "train", "val" or "test"; may turn out empty.
            size_px: the side of every sample.
            memory: keep the decoded pictures; else each is decoded again when it is asked for.
            columns: which column of meta.csv holds "photo", "lines" or "mask", e.g.
                ``{"photo": "flat"}``; an empty name leaves the choice to the defaults. Rows with an
                empty photo cell are left out.
            parts: which of "lines" and "mask" are read beside the photo, where there are any.
            squash: bring the whole picture to a square instead of cutting one out.

        Raises:
            S2IError: no such path, not a zip, no pictures in it, or no such column.
        """
        if split not in SPLITS:
            raise ValueError(f"split must be one of {SPLITS}, got {split!r}")
        self.size_px, self.parts, self.squash = size_px, parts, squash
        self._files = open_files(source)
        self._rows = _of_split(read_rows(self._files, columns), split)
        self._samples: list[Sample] | None = None
        self._decode_all(self._files.path, memory)

    def _decode_all(self, path: Path, memory: bool) -> None:
        """Fill the memory, drop the rows that can't be decoded and report them."""

        def attempt(row: Row) -> Sample | str | None:
            try:
                sample = self._decode(row)
            except S2IError as error:
                return f"{row.photo}: {error}"
            return sample if memory else None

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(attempt, self._rows))
        broken = [result for result in results if isinstance(result, str)]
        if broken:
            report = "".join(f"\n  {reason}" for reason in broken)
            print(f"{path}: left out {len(broken)} of {len(results)}:{report}", file=sys.stderr)
        if results and len(broken) == len(results):
            raise S2IError(f"none of the {len(results)} pictures in '{path}' could be read.")
        self._rows = [
            row
            for row, result in zip(self._rows, results, strict=True)
            if not isinstance(result, str)
        ]
        if memory:
            self._samples = [result for result in results if isinstance(result, Sample)]

    def __len__(self) -> int:
        """Return the number of readable pictures."""
        return len(self._rows)

    @property
    def names(self) -> list[str]:
        """The path of each picture within its folder or zip."""
        return [row.photo for row in self._rows]

    def __getitem__(self, index: int) -> Sample:
        """Return one sample."""
        return (
            self._samples[index] if self._samples is not None else self._decode(self._rows[index])
        )

    def _decode(self, row: Row) -> Sample:
        size = self.size_px, self.size_px
        lines, mask = (
            getattr(row, part) if part in self.parts else None for part in ("lines", "mask")
        )

        def read(name: str) -> np.ndarray:
            photo = image.read_photo(self._files.read(name))
            return photo if self.squash else image.crop_square(photo, min(photo.shape[:2]))

        return Sample(
            photo=image.resize(read(row.photo), size),
            lines=shrink_lines(read(lines), self.size_px) if lines else None,
            mask=_shrink_mask(read(mask), size) if mask else None,
            label=row.label,
            name=row.photo,
        )


def shrink_lines(photo: np.ndarray, size_px: int) -> np.ndarray:
    """Return a picture of lines as (size_px, size_px) greys in which thin lines stay dark."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    return image.resize_ink(grey, (size_px, size_px))


def _shrink_mask(photo: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    grey = image.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), size)
    return np.where(grey >= 128, 255, 0).astype(np.uint8)


def read_rows(files: Folder | Zip, columns: Mapping[str, str] | None = None) -> list[Row]:
    """Return every sample that the files hold, in the order of meta.csv or sorted by name.

    ``columns`` and S2IError as in :class:`Pictures`.
    """
    path, names = files.path, files.names()
    chosen = {part: column for part, column in (columns or {}).items() if column}
    if "meta.csv" not in names:
        pictures = [
            PurePosixPath(n) for n in names if PurePosixPath(n).suffix.lower() in image.SUFFIXES
        ]
        rows = [Row(photo=str(name), label=name.parent.name or None) for name in pictures]
        return _expect_some(rows, path)
    try:
        table = list(csv.DictReader(io.StringIO(files.read("meta.csv").decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise S2IError(f"meta.csv in '{path}' could not be read ({error}).") from None
    header = list(table[0]) if table else []
    found = {part: next((c for c in known if c in header), None) for part, known in COLUMNS.items()}
    for part, column in chosen.items():
        if part not in COLUMNS or column not in header:
            raise S2IError(
                f"columns: '{part}' = '{column}' doesn't fit '{path}'; parts are "
                f"{', '.join(COLUMNS)}, columns are {', '.join(header)}."
            )
    found |= chosen
    if found["photo"] is None:
        raise S2IError(
            f"meta.csv in '{path}' has none of the columns {', '.join(COLUMNS['photo'])}."
        )
    label = next((column for column in LABELS if column in header), None)
    rows = [
        Row(
            **{part: (row[column] or None) if column else None for part, column in found.items()},
            label=(row[label] or None) if label else None,
            group=row.get("group") or None,
            split=row.get("split") or None,
        )
        for row in table
        if row[found["photo"]]
    ]
    return _expect_some(rows, path)


def _expect_some(rows: list[Row], path: Path) -> list[Row]:
    if not rows:
        raise S2IError(f"'{path}' holds no pictures ({', '.join(sorted(image.SUFFIXES))}).")
    return rows


def _of_split(rows: list[Row], split: str) -> list[Row]:
    """Return the rows of ``split``, dealt out where the data doesn't say; see :class:`Pictures`."""
    if any(row.split for row in rows):
        return [row for row in rows if row.split == split]
    if len(rows) < 30:
        return [] if split == "val" else rows
    wanted = {"train": range(28), "val": (28,), "test": (29,)}[split]
    return [row for index, row in enumerate(rows) if index % 30 in wanted]


class Joined(Sequence[Sample]):
    """Several sets of pictures, one after the other."""

    def __init__(self, parts: Sequence[Sequence[Sample]]) -> None:
        """Join ``parts``; empty ones do no harm."""
        self.parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        """Return the number of all pictures."""
        return int(self._ends[-1])

    @property
    def names(self) -> list[str]:
        """Names of all pictures that have one in their folder or zip; "" for drawings."""
        return [
            name
            for part in self.parts
            for name in (part.names if isinstance(part, Pictures) else [""] * len(part))
        ]

    def __getitem__(self, index: int) -> Sample:
        """Return one sample."""
        part = int(np.searchsorted(self._ends, index, side="right"))
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.parts[part][index - int(self._ends[part]) + len(self.parts[part])]


class Drawings(Sequence[Sample]):
    """Endless simple coloured scenes with their own lines and the main object's mask.

    Scene ``index`` depends on (seed, split, index) alone. An epoch is nominally 4096 long; larger
    indices give further scenes.
    """

    def __init__(self, split: str = "train", *, size_px: int, seed: int = 0) -> None:
        """Prepare nothing: every scene is drawn when it is asked for (some milliseconds)."""
        self.size_px, self.seed, self.stream = size_px, seed, SPLITS.index(split)

    def __len__(self) -> int:
        """Return the nominal length of an epoch."""
        return 4096

    def __getitem__(self, index: int) -> Sample:
        """Return scene ``index``; any index that is not negative is drawn."""
        if index < 0:
            index += len(self)
        rng = np.random.default_rng([self.seed, self.stream, index])
        kind = tuple(SCENES)[index % len(SCENES)]
        photo, lines, mask = draw_scene(kind, rng, size_px=self.size_px)
        return Sample(photo, lines, mask, label=kind, name=f"{kind}_{index:06d}")

    def __iter__(self) -> Iterator[Sample]:
        """Return an iterator over one nominal epoch."""
        return (self[index] for index in range(len(self)))
