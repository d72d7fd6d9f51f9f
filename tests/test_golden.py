"""Golden pictures: what came out once and looked right still comes out.

``pytest tests/test_golden.py --update-golden`` rewrites those that changed and names the sheets to
look at before they are committed.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from s2i import edges, image, palette
from s2i.methods.autopainter import Autopainter
from s2i.methods.base import Drawing
from s2i.methods.pirec import GENERATORS, Pirec
from s2i.methods.pix2pix import Pix2pix

FOLDER = Path(__file__).parent / "golden"
EXAMPLE = Path(__file__).parents[1] / "examples" / "pirec.faces"
LIMIT = 2  # of 255, mean absolute difference


def drawing():
    """One of the bundled drawings at a quarter of its size, (128, 128)."""
    lines = edges.read_ink(image.read_layer(EXAMPLE / "long_hair.lines.png"))
    colors = image.resize_colors(image.read_layer(EXAMPLE / "long_hair.colors.png"), (128, 128))
    return Drawing(lines=edges.thin_lines(lines, (128, 128)), colors=colors)


def photo():
    """The same drawing as a shaded picture, (128, 128, 3)."""
    flat = image.on_paper(drawing().colors).astype(float)
    shade = np.linspace(1.0, 0.6, 128)[:, None, None]
    return (flat * shade).round().astype(np.uint8)


def dabs():
    """The drawing with a few spots of its colors only."""
    full = drawing()
    spots = np.zeros_like(full.colors)
    for y in range(10, 128, 36):
        for x in range(10, 128, 36):
            spots[y : y + 4, x : x + 4] = full.colors[y : y + 4, x : x + 4]
    return Drawing(lines=full.lines, colors=spots)


def spread():
    layer = palette.spread_colors(dabs().colors, dabs().lines)
    return image.on_paper(layer)


def paint(kind, **kwargs):
    """The middle of what a random network paints, its contrast stretched so that changes show."""
    torch.manual_seed(0)
    method = kind(**kwargs, width=4).eval()
    drawn = Drawing(**{name: getattr(drawing(), name) for name in kind.reads})
    picture = method.run(drawn).pictures[0][32:96, 32:96].astype(float)
    low, high = np.percentile(picture, (1, 99), axis=(0, 1))
    return np.clip(255 * (picture - low) / (high - low), 0, 255).round().astype(np.uint8)


MADE = {
    "canny": lambda: edges.canny(photo(), sigma_px=1.5),
    "xdog": lambda: edges.xdog(photo()),
    "thin_lines": lambda: drawing().lines,
    "color_domain": lambda: palette.color_domain(photo(), colors=4),
    "spread_colors": spread,
    "turn_hue": lambda: palette.turn_hue(photo(), 120),
    "start_lines": lambda: Pirec.start_from(photo()).lines,
    "sketchify": lambda: edges.sketchify(photo(), softness=0.6),
    **{f"pirec_{kind}": lambda kind=kind: paint(Pirec, generator=kind) for kind in GENERATORS},
    "autopainter": lambda: paint(Autopainter, size_px=128),
    "pix2pix": lambda: paint(Pix2pix, size_px=128),
}


def read(name):
    """Return the golden picture ``name``, lines as (H, W)."""
    picture = image.read_photo(FOLDER / f"{name}.png")
    return picture if MADE[name]().ndim == 3 else picture[..., 0]


def differ(picture, other):
    """Return the mean absolute difference of two pictures, infinite where sizes differ."""
    if picture.shape != other.shape:
        return float("inf")
    return np.abs(picture.astype(float) - other).mean()


def update(name, picture, folder):
    """Rewrite a golden picture and return the sheet of before, after and difference, if any."""
    path = FOLDER / f"{name}.png"
    before = read(name) if path.exists() else np.full_like(picture, 255)
    if path.exists() and differ(picture, before) == 0:
        return None
    image.write(path, picture)
    if before.shape != picture.shape:
        before = image.resize(before, picture.shape[:2])
    change = np.abs(picture.astype(int) - before)
    change = np.clip(8 * change, 0, 255).astype(np.uint8)
    return image.write(folder / f"{name}.png", np.hstack([before, picture, change]))


@pytest.mark.parametrize("name", MADE)
def test_golden_picture(name, sheets, tmp_path):
    picture = MADE[name]()
    if sheets is not None:
        sheets += filter(None, [update(name, picture, tmp_path)])
    assert differ(picture, read(name)) <= LIMIT


@pytest.mark.parametrize("name", MADE)
def test_a_wrong_picture_would_be_noticed(name):
    golden = read(name)
    assert differ(golden[:, ::-1], golden) > LIMIT
    assert differ(golden[::-1], golden) > LIMIT
    if golden.ndim == 3:
        assert differ(golden[..., ::-1], golden) > LIMIT
    assert differ(golden[1:], golden) > LIMIT


def test_golden_pictures_are_small_and_all_in_use():
    files = {path.stem: path.stat().st_size for path in FOLDER.iterdir()}
    assert set(files) == set(MADE)
    assert max(files.values()) < 40_000


def test_updating_shows_before_and_after(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "FOLDER", tmp_path / "golden")
    first = photo()
    sheet = image.read_photo(update("turn_hue", first, tmp_path / "sheets"))
    assert sheet.shape == (128, 3 * 128, 3) and (sheet[:, :128] == 255).all()
    assert np.array_equal(read("turn_hue"), first)
    assert update("turn_hue", first, tmp_path / "sheets") is None
    sheet = image.read_photo(update("turn_hue", 255 - first, tmp_path / "sheets"))
    assert np.array_equal(sheet[:, :256], np.hstack([first, 255 - first]))
    assert np.array_equal(read("turn_hue"), 255 - first)
