"""OpenVINO paints what PyTorch paints: run by test_backends.py, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from s2i import backends, image, weights
from s2i.methods.base import Drawing, last_of

EXAMPLES = Path(__file__).parents[1] / "examples"
LIMITS = {"float32": 1, "bfloat16": 3}  # levels of 255 that a pixel may be off
PAINTED = {
    "autopainter.cartoon": ("fish", {}),
    "pirec.emoji": ("sun", {"refine": 1}),
    "pix2pix.fashion": ("shirt", {}),
    "sketch2img.things": ("banana", {"count": 1, "label": "banana", "seed": 1}),
}


def paint(name: str) -> np.ndarray:
    """Return what a weight paints of one of its examples."""
    example, settings = PAINTED[name]
    lines, colors = (
        image.read_layer(EXAMPLES / name / f"{example}.{layer}.png")
        for layer in ("lines", "colors")
    )
    drawing = Drawing(lines=image.on_paper(lines)[..., 0], colors=colors)
    loaded = weights.load(name, device="cpu")
    with weights.inference(loaded.device):
        return last_of(loaded.method.run(drawing, **settings)).pictures[0].astype(int)


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("name", PAINTED)
def test_openvino_paints_the_same_picture(name, precision, monkeypatch):
    monkeypatch.setenv("S2I_PRECISION", "float32")
    wanted = paint(name)
    monkeypatch.setenv("S2I_PRECISION", precision)
    by_torch = np.abs(paint(name) - wanted).max()  # Sketch2Img's masks: more than 3 in bfloat16
    monkeypatch.setenv("S2I_BACKEND", "openvino")
    found = paint(name)
    networks = weights.load(name, device="cpu").method.children()
    assert any(isinstance(each.forward, backends.Compiled) for each in networks)
    assert np.abs(found - wanted).max() <= max(LIMITS[precision], by_torch)
    assert np.array_equal(paint(name), found)


def test_it_learns_no_shape_by_heart_for_ever():
    network = torch.nn.Conv2d(2, 3, 3).eval().requires_grad_(False)
    plain = network.forward
    network.forward = backends.Compiled(network)
    with torch.inference_mode():
        for side in range(5, 6 + backends.MAX_SHAPES):
            picture = torch.rand(1, 2, side, side)
            torch.testing.assert_close(network(picture), plain(picture), atol=1e-5, rtol=1e-4)
    assert len(network.forward._models) == backends.MAX_SHAPES
    picture = torch.rand(1, 2, 5, 5, requires_grad=True)
    assert network(picture).requires_grad, "PyTorch goes on where gradients are wanted"


def test_several_answers_and_whole_numbers_come_through():

    class Two(torch.nn.Module):
        def forward(self, x, label):
            return x + label[:, None], x.sum(1)

    network, x, label = Two(), torch.rand(2, 3), torch.tensor([1, 2])
    with torch.inference_mode():
        for one, other in zip(backends.Compiled(network)(x, label), network(x, label), strict=True):
            torch.testing.assert_close(one, other)


def test_a_method_that_needs_gradients_stays_with_pytorch(monkeypatch):
    monkeypatch.setenv("S2I_BACKEND", "openvino")
    method = weights.load("contextual.faces", device="cpu").method
    assert not any(isinstance(net.forward, backends.Compiled) for net in method.children())
