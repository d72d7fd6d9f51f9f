"""Contact sheets show sixteen of our own drawings, each beside what a weight makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from s2i import image, weights
from s2i.methods import find_method
from train import sheets


@pytest.mark.parametrize("name", sheets.BORROWED)
def test_every_weight_has_sixteen_drawings_with_the_layers_it_reads(name):
    method = find_method(name.partition(".")[0])
    shown, drawings = zip(*sheets.find_drawings(name, method), strict=True)
    assert len(drawings) == sheets.COUNT and all(shown)
    if name == "sketch2img.things":
        classes = weights.load(name, device="cpu").method.kwargs["classes"]
        assert set(shown) <= set(classes)
    for drawing in drawings:
        given = [layer for layer in method.reads if getattr(drawing, layer) is not None]
        assert given and ("colors" in given) <= ("lines" in given)
        ink = drawing.photo if "photo" in given else drawing.lines
        assert ink.std() > 5, "it is not blank"
    assert len({drawing_bytes(drawing) for drawing in drawings}) == sheets.COUNT


def drawing_bytes(drawing):
    first = drawing.photo if drawing.photo is not None else drawing.lines
    return first.tobytes() + (b"" if drawing.colors is None else drawing.colors.tobytes())


def test_a_sheet_shows_drawing_and_picture_side_by_side(tmp_path, capsys):
    assert sheets.main(["pix2pix.fashion", "--out", str(tmp_path)]) == 0
    path = tmp_path / "pix2pix.fashion.jpg"
    assert capsys.readouterr().out.strip() == str(path)
    sheet = image.read_photo(path)
    step = sheets.CELL_PX + 2
    assert sheet.shape == (4 * step, 8 * step, 3)
    for row in range(4):
        for column in range(8):
            cell = sheet[row * step : (row + 1) * step, column * step : (column + 1) * step]
            assert cell.std() > 10
            if column % 2 == 0:  # pix2pix reads lines alone
                assert np.ptp(cell.astype(int), axis=2).max() < 20, "a drawing has no colors"


def test_pictures_of_any_shape_lie_in_the_middle_of_their_cell():
    cell = sheets.fit(np.zeros((40, 20), np.uint8))
    side = sheets.CELL_PX
    assert cell.shape == (side, side, 3)
    dark = np.nonzero(cell[..., 0] < 128)
    assert (dark[0].min(), dark[0].max()) == (0, side - 1)
    assert dark[1].min() + dark[1].max() == side - 1


def test_a_weight_that_is_not_there_is_one_sentence(capsys):
    assert sheets.main(["pix2pix.nothing"]) == 1
    error = capsys.readouterr().err
    assert "pix2pix.nothing" in error and error.count("\n") == 1
