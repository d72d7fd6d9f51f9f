"""The optimiser Muon for networks of convolutions, as Adam's is called.

Keller Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024,
https://kellerjordan.github.io/posts/muon/. ``torch.optim.Muon`` takes matrices alone, so that every
network would need two optimisers and views of its kernels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
SMALLEST = 8  # rows and columns of a matrix that is worth it
QUINTIC = (3.4445, -4.775, 2.0315)
ROUNDS = 5


class Muon(torch.optim.Adam):
    """Adam, except that weights of layers move by their momentum's nearest orthogonal matrix.

    A layer's weights (out, in, ...) count as a matrix of (out, in times the rest). Where that has
    fewer than ``SMALLEST`` rows or columns, and for gains and biases, it is Adam. The rate means
    the same for both: a matrix moves by a root mean square of ``lr`` at each step, which is what
    Adam moves at most.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Move all parameters that have a gradient; ``closure`` is not called."""
        moved: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            for weight in group["params"]:
                rows = len(weight)
                columns = weight.numel() // rows
                if weight.grad is None or min(rows, columns) < SMALLEST:
                    continue
                state = self.state[weight]
                if not state:  # Adam doesn't load a state without "step"
                    state |= {"step": torch.zeros(()), "momentum": torch.zeros_like(weight)}
                state["step"] += 1
                momentum = state["momentum"].mul_(MOMENTUM).add_(weight.grad)
                ahead = weight.grad + MOMENTUM * momentum
                move = orthogonalize(ahead.flatten(1)).view(weight.shape)
                weight.sub_(move, alpha=group["lr"] * max(rows, columns) ** 0.5)
                moved.append((weight, weight.grad))
                weight.grad = None
        super().step()
        for weight, gradient in moved:
            weight.grad = gradient


def orthogonalize(matrix: Tensor) -> Tensor:
    """Return about the orthogonal matrix nearest to a matrix (M, N): float32, (M, N).

    All singular values become 0.7 to 1.2, by a polynomial of fifth order (Newton and Schulz), in
    bfloat16.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if is_tall else matrix).bfloat16()
    x = x / x.norm().clamp(min=1e-7)
    linear, cubic, quintic = QUINTIC
    for _ in range(ROUNDS):
        square = x @ x.T
        x = linear * x + (cubic * square + quintic * square @ square) @ x
    return (x.T if is_tall else x).float()
