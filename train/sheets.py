"""Contact sheets: what each weight makes of drawings by hand, for README and for whoever grades it.

    python train/sheets.py                          every weight in the manifest with examples
    python train/sheets.py runs/mine/ema.safetensors --examples pirec.faces --out out/sheets

A sheet shows sixteen of ``examples/``: those of the weight, then those in :data:`BORROWED`, with
the page's settings, and the class where there are classes; drawing and picture side by side (of
several pictures the first two), four drawings to a row.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np

from s2i import edges, image, weights
from s2i.errors import S2IError
from s2i.methods.base import Drawing, Method, last_of
from train.protocols.base import overlay, tile

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
FACES, CLOTHES, EMOJI = "pirec.faces", "pirec.fashion", "pirec.emoji"
CARTOON, COMICS, EMOJI_3D = "autopainter.cartoon", "autopainter.comics", "autopainter.emoji3d"
BORROWED = {
    FACES: ("contextual.faces",),
    CLOTHES: ("pix2pix.fashion", "drawings"),
    EMOJI: (EMOJI_3D, CARTOON),
    CARTOON: (EMOJI, EMOJI_3D),
    EMOJI_3D: (EMOJI, CARTOON),
    COMICS: (CARTOON, EMOJI),
    "pix2pix.faces64": (FACES, "contextual.faces"),
    "pix2pix.fashion": (CLOTHES, "drawings"),
    "contextual.faces": (FACES,),
    "sketch2img.things": ("drawings",),
    "image2sketch.ink": ("image2sketch.pencil",),
    "image2sketch.pencil": ("image2sketch.ink",),
}
"""Weights whose examples another weight's sheet shows too; ``drawings``: the small ones."""
GARMENTS = ("longsleeve", "outwear", "shorts", "skirt", "hat", "shirt", "dress", "pants", "t-shirt")
FRUIT = ("strawberry", "pineapple", "corn", "eggplant", "lemon", "tomato", "cherry", "pepper")
KINDS = {"sketch2img.things": FRUIT, CLOTHES: GARMENTS, "pix2pix.fashion": GARMENTS}
COUNT, ACROSS, CELL_PX, QUALITY = 16, 4, 144, 85
BLANK = np.full((CELL_PX, CELL_PX, 3), 255, np.uint8)


def list_painters() -> list[str]:
    """Return the weights in the manifest that have examples of their own."""
    return [entry.name for entry in weights.entries() if (EXAMPLES / entry.name).is_dir()]


def find_drawings(name: str, method: Method | type[Method]) -> Iterator[tuple[str, Drawing]]:
    """Yield the first :data:`COUNT` of the examples for the weight ``name``, and what they show."""
    pattern = "*.photo.*" if "photo" in method.reads else "*.lines.png"
    paths: list[Path] = []
    for folder in (name, *BORROWED.get(name, ())):
        paths += sorted((EXAMPLES / folder).glob(pattern))
        if folder == "drawings":
            paths += [EXAMPLES / folder / kind / f"{kind}_1.png" for kind in KINDS[name]]
    for path in paths[:COUNT]:
        yield re.split(r"[._]", path.name)[0], read_drawing(path, method)


def read_drawing(path: Path, method: Method | type[Method]) -> Drawing:
    """Return the example whose lines or photo is ``path``: the layers that ``method`` reads."""
    layers = {}
    if "photo" in method.reads:
        layers["photo"] = image.read_photo(path)
    if "lines" in method.reads:
        layers["lines"] = edges.read_ink(image.read_layer(path))
    if "colors" in method.reads:
        colors = path.with_name(path.name.replace(".lines.", ".colors."))
        if colors != path and colors.exists():
            layers["colors"] = image.read_layer(colors)
    return Drawing(**layers)


def draw_sheet(weight: str, name: str) -> np.ndarray:
    """Return the sheet of a weight, (H, W, 3), by the examples of the weight ``name``.

    Raises:
        S2IError: no such weight, or no drawings for it.
    """
    loaded = weights.load(weight)
    cells = []
    for shown, drawing in find_drawings(name, loaded.method):
        is_class = shown in loaded.method.kwargs.get("classes", ())
        with weights.inference(loaded.device):
            result = last_of(loaded.method.run(drawing, **({"label": shown} if is_class else {})))
        page = drawing.photo
        if page is None:
            bare = np.zeros((*drawing.lines.shape, 4), np.uint8)
            page = overlay(drawing.lines, bare if drawing.colors is None else drawing.colors)
        cells.append([fit(each) for each in (page, *result.pictures[:2])])
    if not cells:
        raise S2IError(f"there are no drawings for '{name}' in '{EXAMPLES}'.")
    cells += [[BLANK] * len(cells[0])] * (-len(cells) % ACROSS)
    return tile(
        [list(itertools.chain(*cells[at : at + ACROSS])) for at in range(0, len(cells), ACROSS)]
    )


def fit(picture: np.ndarray) -> np.ndarray:
    """Return a picture (H, W[, 3 or 4]) in the middle of a white cell."""
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    if picture.shape[2] == 4:
        picture = image.on_paper(picture)
    scale = CELL_PX / max(picture.shape[:2])
    height, width = (max(1, round(scale * side)) for side in picture.shape[:2])
    cell = BLANK.copy()
    top, left = (CELL_PX - height) // 2, (CELL_PX - width) // 2
    cell[top : top + height, left : left + width] = image.resize(picture, (height, width))
    return cell


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the sheets that ``argv`` asks for."""
    parser = argparse.ArgumentParser(
        prog="python train/sheets.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("weights", nargs="*", metavar="WEIGHT", help="names or safetensors files")
    parser.add_argument("--examples", metavar="NAME", help="whose examples; needed for a file")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "sheets", help="folder")
    options = parser.parse_args(argv)
    try:
        for weight in options.weights or list_painters():
            name = options.examples or weight
            sheet = draw_sheet(weight, name)
            path = options.out / f"{name}.jpg"
            _, content = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            image.write_bytes(path, content.tobytes())
            print(path)
    except S2IError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
