"""pix2pix on random networks of width 4, and on stand-ins that show what they were given."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from s2i import image
from s2i.errors import S2IError
from s2i.methods.base import Drawing
from s2i.methods.pix2pix import Pix2pix


def build(**options):
    torch.manual_seed(0)
    return Pix2pix(**{"width": 4, **options}).eval()


class Shown(nn.Module):
    """Stands for a network: shows the ink that it was given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, x):
        self.seen.append(x)
        return (1 - 2 * x[:, :1]).expand(-1, 3, -1, -1)


def draw(height=300, width=700):
    lines = np.full((height, width), 255, np.uint8)
    cv2.circle(lines, (width // 2, height // 2), 100, 0, 4)
    return lines


def paint(method, lines, **values):
    (picture,) = method.run(Drawing(lines=lines), **values).pictures
    assert picture.shape == (*lines.shape, 3) and picture.dtype == np.uint8
    return picture


def test_presets_have_the_parameters_of_the_paper():
    def count(**kwargs):
        return sum(parameter.numel() for parameter in Pix2pix(**kwargs).parameters())

    paper = Pix2pix.presets["paper"]
    with torch.device("meta"):
        assert count(**paper) == 54_413_955
        assert count(**{**paper, "depth": 7, "size_px": 128}) == 41_828_995
        assert count(**{**paper, "depth": 6, "size_px": 64}) == 29_244_035
        assert count(**{**paper, "channels": 1}) == 54_413_955 - 2_048
        assert count(**Pix2pix.presets["small"]) < 2_100_000


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("generator", "depth"), [("folded", 8), ("unet", 6)])
def test_networks_are_given_ink_on_paper_padded_to_their_multiple(generator, depth, channels):
    method = build(generator=generator, channels=channels, depth=depth, size_px=64)
    seen = []
    method.generator.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    lines = draw(320, 320)
    assert np.array_equal(paint(method, lines), paint(method, lines))
    assert seen[0].shape == (1, channels, 64, 64)
    ink = image.to_tensor(image.resize_ink(lines, (64, 64)))
    assert all(torch.equal(plane, ink[0]) for plane in seen[0][0])
    paint(method, draw(320, 480))
    assert seen[2].shape[2] == 64 and seen[2].shape[3] == (96 if generator == "folded" else 128)
    assert not seen[2][..., 78:].any()


@pytest.mark.parametrize("size", [(300, 700), (700, 300)])
def test_a_circle_stays_a_circle(size):
    method = build()
    method.generator = Shown()
    picture = paint(method, draw(*size))
    ys, xs = np.nonzero(picture[..., 0] < 128)
    y, x = size[0] // 2, size[1] // 2
    found = [ys.min(), ys.max(), xs.min(), xs.max()]
    assert found == pytest.approx([y - 102, y + 102, x - 102, x + 102], abs=3)


def test_lines_are_laid_over_the_picture_at_full_size():
    method, lines = build(), draw()
    plain, laid = (paint(method, lines, overlay=overlay) for overlay in (False, True))
    assert np.array_equal(laid, image.lay_lines(plain, lines))
    assert not np.array_equal(laid, plain)


def test_colors_are_not_read():
    method, lines = build(), draw(60, 80)
    colors = np.full((60, 80, 4), 200, np.uint8)
    picture = method.run(Drawing(lines=lines, colors=colors)).pictures[0]
    assert np.array_equal(picture, paint(method, lines))
    with pytest.raises(S2IError, match="pix2pix reads lines"):
        method.run(Drawing(colors=colors))
