"""The bundled drawings: pairs of layers that open as they are on the pad."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from s2i import edges, image
from s2i.methods import find_method
from s2i.ui.start import FIRST_SIGHT, find_examples

EXAMPLES = Path(__file__).parents[1] / "examples"
DRAWINGS = EXAMPLES / "drawings"
FOLDERS = tuple(
    sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir() and path != DRAWINGS)
)
THINGS = (
    *("t-shirt", "longsleeve", "pants", "shoes", "shirt", "dress", "outwear", "shorts", "hat"),
    *("skirt", "apple", "banana", "cherry", "corn", "eggplant", "lemon", "orange", "pear"),
    *("pepper", "pineapple", "pomegranate", "strawberry", "tomato"),
)
UNDRAWN = (
    *("dress", "skirt", "shirt", "lemon", "orange", "cherry", "tomato", "corn", "eggplant"),
    *("pepper", "pomegranate"),
)  # of which the data of people's sketches has none
PIREC = ("pirec.faces", "pirec.fashion", "pirec.emoji")
PAIRS = [
    pytest.param(lines, lines.with_name(lines.name.replace(".lines.", ".colors.")), id=lines.stem)
    for folder in FOLDERS
    for lines in sorted((EXAMPLES / folder).glob("*.lines.png"))
]


READS = {folder: find_method(folder.partition(".")[0]).reads for folder in FOLDERS}
PHOTOS = tuple(folder for folder, reads in READS.items() if "photo" in reads)


@pytest.mark.parametrize("folder", PHOTOS)
def test_what_is_sketched_was_painted_by_this_project(folder):
    paths = sorted((EXAMPLES / folder).iterdir())
    assert len(paths) >= 3 and all(path.name.endswith(".photo.jpg") for path in paths)
    about = (EXAMPLES / "README.md").read_text()
    for path in paths:
        photo = image.read_photo(path)
        assert photo.shape == (512, 512, 3) and photo.std() > 20
        assert path.stat().st_size < 40_000
        assert re.search(rf"\b{path.name.partition('.')[0]}\b", about), "README says who made it"


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder not in PHOTOS])
def test_every_weights_name_has_some_pairs_and_nothing_else(folder):
    names = {path.name for path in (EXAMPLES / folder).iterdir()}
    drawings = {name.removesuffix(".lines.png") for name in names if name.endswith(".lines.png")}
    assert len(drawings) >= (6 if folder in PIREC else 3)
    assert names == {f"{name}.{layer}.png" for name in drawings for layer in ("lines", "colors")}


@pytest.mark.parametrize(("lines_path", "colors_path"), PAIRS)
def test_a_pair_is_ink_on_transparent_paper_and_paint(lines_path, colors_path):
    lines, colors = image.read_layer(lines_path), image.read_layer(colors_path)
    assert lines.shape == colors.shape == (512, 512, 4)
    inked = lines[..., 3] > 0
    assert 0.01 < inked.mean() < 0.25
    assert not lines[inked, :3].any()
    assert (lines[..., 3] == 255).any()
    painted = (colors[..., 3] >= 128).mean()
    if "colors" not in READS[lines_path.parent.name]:
        assert painted == 0, "what is not read is not painted"
        return
    assert painted > (0.05 if lines_path.parent.name in PIREC else 0.002)
    assert len(np.unique(colors[colors[..., 3] == 255][:, :3], axis=0)) >= 2


@pytest.mark.parametrize(
    "path", [path for pair in PAIRS for path in pair.values], ids=lambda p: p.name
)
def test_a_layer_is_a_small_file(path):
    assert path.stat().st_size < 40_000


def test_the_first_sight_is_the_first_example_of_its_weights():
    weights, name = FIRST_SIGHT
    found = find_examples(EXAMPLES, [(weights.partition(".")[0], weights)])
    assert found[0]["name"] == name and len(found) > 5


def test_twelve_drawings_and_more_wait_for_auto_painter():
    names = {path.name for path in EXAMPLES.glob("autopainter.*/*.lines.png")}
    assert len(names) >= 12


@pytest.mark.parametrize("folder", PIREC)
def test_both_ways_of_colouring_are_shown(folder):
    shares = [
        (image.read_layer(path)[..., 3] >= 128).mean()
        for path in (EXAMPLES / folder).glob("*.colors.png")
    ]
    assert min(shares) < 0.4, "one drawing that is dabbed"
    assert max(shares) > 0.9, "one drawing that is filled"


def test_there_are_drawings_of_every_thing_and_five_of_those_that_nobody_else_drew():
    counts = {folder.name: len(list(folder.iterdir())) for folder in DRAWINGS.iterdir()}
    assert counts == {thing: 5 if thing in UNDRAWN else 2 for thing in THINGS}
    paths = [path for path in DRAWINGS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in paths) < 250_000
    assert find_examples(EXAMPLES, [("sketch2img", "drawings")]) == [], "no weight's examples"


@pytest.mark.parametrize("path", sorted(DRAWINGS.rglob("*.png")), ids=lambda path: path.stem)
def test_a_drawing_of_a_thing_is_line_art(path):
    assert path.stem.rpartition("_")[0] == path.parent.name
    photo = image.read_photo(path)
    assert photo.shape == (256, 256, 3) and edges.is_line_art(photo)
    lines = edges.read_ink(photo)
    assert 0.01 < (lines < 128).mean() < 0.12
    rim = np.ones((256, 256), bool)
    rim[1:-1, 1:-1] = False
    assert (lines[rim] == 255).all(), "nothing runs off the page"
    y, x = np.nonzero(lines < 128)
    assert max(np.ptp(y), np.ptp(x)) > 0.4 * 256
    width = cv2.distanceTransform((lines < 128).astype(np.uint8), cv2.DIST_L2, 5)
    assert np.median(width[lines < 128]) < 2.5, "lines, no areas"
