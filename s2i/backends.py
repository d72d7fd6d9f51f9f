"""Networks by OpenVINO instead of PyTorch: the same pictures, sooner, on a CPU.

``S2I_BACKEND=openvino`` asks for it (:func:`s2i.weights.load`); the package is optional. Methods
that need gradients, as Contextual GAN's search does, stay with PyTorch.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from s2i.errors import S2IError

MAX_SHAPES = 6  # compiled models that a network keeps
# OpenVINO 2026.4 gives the thread that it runs in a stack for signals, and takes it away too early:
# in the main thread the next Ctrl C would crash. So one thread runs everything.
_thread = ThreadPoolExecutor(1, thread_name_prefix="openvino")


class Compiled:
    """Stands for a network's ``forward``; compiles it for each shape and precision it meets.

    A network is traced for each shape, since it may do something else for another. bfloat16 where
    PyTorch's autocast would use it, else float32; answers are float32.
    """

    def __init__(self, network: nn.Module) -> None:
        """Stand for ``network``, whose ``forward`` takes and returns tensors on the CPU."""
        self.plain = partial(type(network).forward, network)
        self._models: OrderedDict[tuple, Any] = OrderedDict()

    def __call__(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return what the network returns."""
        if torch.is_grad_enabled():
            return self.plain(*inputs)
        answers = _thread.submit(self._answer, inputs, torch.is_autocast_enabled("cpu")).result()
        return answers[0] if len(answers) == 1 else answers

    def _answer(self, inputs: tuple[Tensor, ...], is_mixed: bool) -> tuple[Tensor, ...]:
        key = is_mixed, *((each.shape, each.dtype) for each in inputs)
        if key not in self._models:
            self._models[key] = self._compile(inputs, "bf16" if is_mixed else "f32")
            while len(self._models) > MAX_SHAPES:
                self._models.popitem(last=False)
        self._models.move_to_end(key)
        found = self._models[key]([each.numpy(force=True) for each in inputs])
        return tuple(torch.from_numpy(found[n].copy()) for n in range(len(found)))

    def _compile(self, inputs: tuple[Tensor, ...], precision: str) -> Any:
        openvino = import_openvino()
        with (
            warnings.catch_warnings(),
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast("cpu", enabled=False),
        ):
            warnings.simplefilter("ignore")  # the tracer's, on shapes that are constant here
            examples = tuple(each.clone() for each in inputs)
            traced = torch.jit.trace(_Plain(self.plain), examples, check_trace=False)
            model = openvino.convert_model(traced, example_input=examples)
        model.reshape(dict(zip(model.inputs, (list(each.shape) for each in inputs), strict=True)))
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        return openvino.compile_model(model, "CPU", options)


class _Plain(nn.Module):
    """A function as a module, so that it can be traced."""

    def __init__(self, run: Any) -> None:
        super().__init__()
        self.run = run

    def forward(self, *inputs: Tensor) -> Any:
        return self.run(*inputs)


def use_openvino(method: nn.Module) -> None:
    """Let OpenVINO answer for every network of ``method``, which lies on the CPU.

    Weights and their names stay as they are. The first picture of a size waits for its compiling.
    """
    for network in method.children():
        network.forward = Compiled(network)


def import_openvino() -> ModuleType:
    """Return the package, which nothing else needs.

    Raises:
        S2IError: it is not installed.
    """
    try:
        import openvino
    except ImportError:
        raise S2IError("S2I_BACKEND=openvino needs a package: pip install openvino.") from None
    return openvino
