"""OpenVINO paints what PyTorch paints; where it is not installed one sentence says so."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from s2i import backends, image, weights
from s2i.errors import S2IError
from s2i.methods.base import Drawing, last_of

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None,
    reason="openvino is not installed: see requirements-dev.txt",
)
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
@needs_openvino
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


@needs_openvino
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


@needs_openvino
def test_several_answers_and_whole_numbers_come_through():

    class Two(torch.nn.Module):
        def forward(self, x, label):
            return x + label[:, None], x.sum(1)

    network, x, label = Two(), torch.rand(2, 3), torch.tensor([1, 2])
    with torch.inference_mode():
        for one, other in zip(backends.Compiled(network)(x, label), network(x, label), strict=True):
            torch.testing.assert_close(one, other)


@needs_openvino
def test_a_method_that_needs_gradients_stays_with_pytorch(monkeypatch):
    monkeypatch.setenv("S2I_BACKEND", "openvino")
    method = weights.load("contextual.faces", device="cpu").method
    assert not any(isinstance(net.forward, backends.Compiled) for net in method.children())


@needs_openvino
@pytest.mark.skipif(sys.platform != "linux", reason="sigaltstack is read as Linux has it")
def test_the_calling_thread_keeps_its_stack_for_signals():
    """OpenVINO changes that of the thread it runs in, and takes it away: Ctrl C would crash."""

    class Stack(ctypes.Structure):
        _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))

    def read_stack():
        stack = Stack()
        assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
        return stack.start, stack.size

    before = read_stack()
    compiled = backends.Compiled(torch.nn.Conv2d(2, 3, 3).eval().requires_grad_(False))
    with torch.inference_mode():
        compiled(torch.rand(1, 2, 5, 5))
    assert read_stack() == before


@pytest.mark.parametrize(
    ("backend", "sentence"),
    [
        ("tensorflow", "S2I_BACKEND must be torch or openvino; got 'tensorflow'."),
        ("openvino", "S2I_BACKEND=openvino needs a package: pip install openvino."),
    ],
)
def test_a_backend_that_is_not_there_is_one_sentence(backend, sentence, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setenv("S2I_BACKEND", backend)
    with pytest.raises(S2IError) as error:
        weights.load("pix2pix.fashion", device="cpu")
    assert str(error.value) == sentence
