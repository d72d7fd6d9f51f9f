"""Lines to strokes: what a plotter, a drawing program or a film of a growing drawing needs.

Pure array in, strokes out; the same lines give the same bytes on every run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Stroke:
    """One movement of the pen: cubic Bézier curves, joined.

    Attributes:
        points: (3 n + 1, 2) float32, x and y in pixels: start, then two controls and an end for
            each of the n curves. (1, 2) is a dot.
        width_px: of the pen.
    """

    points: np.ndarray
    width_px: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Strokes:
    """A drawing as a person would make it.

    Attributes:
        size: height and width in pixels of the page.
        strokes: in the order in which they are drawn.
    """

    size: tuple[int, int]
    strokes: tuple[Stroke, ...]
