"""Simple coloured scenes of our own making: a picture, its lines and the mask of its main object.

Everything is drawn from outlines in a scene one unit wide and high. Paint gets a soft relief, lit
from one side, and gradients, so that there is something to learn beyond flat colour.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

from s2i import image

CLOUD = (  # outline of a cloud two units wide
    (-1, 0.12),
    (-1.05, -0.15),
    (-0.8, -0.35),
    (-0.55, -0.38),
    (-0.4, -0.65),
    (0, -0.8),
    (0.35, -0.62),
    (0.45, -0.45),
    (0.75, -0.45),
    (1, -0.2),
    (0.98, 0.1),
    (0, 0.2),
)

Points = np.ndarray  # (N, 2) of x, y in a scene one unit wide and high, y down
Color = tuple[float, float, float]  # RGB, 0 to 255
SUPERSAMPLING = 2


def draw_scene(
    kind: str, rng: np.random.Generator, *, size_px: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a scene of a ``kind`` in :data:`SCENES`: photo, lines and mask of the main object.

    All uint8: photo (size_px, size_px, 3); lines (size_px, size_px), ink 0; mask of the same size,
    255 on the object.
    """
    canvas = _Canvas(size_px, rng)
    SCENES[kind](canvas, rng)
    return canvas.finish()


class _Canvas:
    """Shapes laid over each other: their colours, their outlines and the main object."""

    def __init__(self, size_px: int, rng: np.random.Generator) -> None:
        self.size_px, self.side = size_px, size_px * SUPERSAMPLING
        self.photo = np.full((self.side, self.side, 3), 255, np.uint8)
        self.lines = np.full((self.side, self.side), 255, np.uint8)
        self.mask = np.zeros((self.side, self.side), np.uint8)
        angle = rng.uniform(-2.4, -0.7)  # the light comes from above
        self.light = np.array([np.cos(angle), np.sin(angle)])

    def fill(self, top: Color, bottom: Color) -> None:
        """Cover everything with a vertical gradient."""
        ramp = np.linspace(0, 1, self.side)[:, None]
        rows = np.array(top) * (1 - ramp) + np.array(bottom) * ramp
        self.photo[:] = np.clip(rows, 0, 255).round()[:, None]

    def shape(
        self,
        points: Points,
        color: Color,
        *,
        puff: float = 0.35,
        fade: float = 0.1,
        opacity: float = 1.0,
        blur: float = 0.0,
        has_outline: bool = True,
        is_main: bool = False,
    ) -> None:
        """Lay a filled outline on the canvas.

        Args:
            points: the outline.
            color: its flat colour.
            puff: how round it looks: lit on the side of the light, dark on the other.
            fade: how much darker its bottom is than its top.
            opacity: of the fill; 1 hides what lies below.
            blur: softness of the edge, in units of the scene.
            has_outline: draw it in ``lines``; without, it is only paint on what lies below.
            is_main: belongs to the main object.
        """
        corners = np.round(points * self.side * 16).astype(np.int32)
        reach = round(0.1 * np.ptp(points, axis=0).min() * self.side) + round(blur * self.side) * 3
        reach = max(2, reach)
        low = np.clip(np.floor(points.min(0) * self.side).astype(int) - reach, 0, self.side)
        high = np.clip(np.ceil(points.max(0) * self.side).astype(int) + reach, 0, self.side)
        if (low >= high).any():
            return
        window = slice(low[1], high[1]), slice(low[0], high[0])
        inside = np.zeros(tuple(high - low)[::-1], np.uint8)
        local = corners - (low * 16).astype(np.int32)
        cv2.fillPoly(inside, [local], 255, cv2.LINE_AA, 4)
        alpha = inside.astype(np.float32) / 255
        if blur:
            alpha = cv2.GaussianBlur(alpha, (0, 0), max(0.5, blur * self.side))
        height, width = alpha.shape
        value = np.repeat(np.linspace(fade, -fade, height, dtype=np.float32)[:, None], width, 1)
        if puff:
            value += puff * self._relief(alpha, reach)
        tones = cv2.applyColorMap(cv2.convertScaleAbs(value, alpha=127, beta=127), _tones(color))
        alpha *= opacity
        self.photo[window] = cv2.blendLinear(tones, self.photo[window], alpha, 1 - alpha)
        if has_outline:
            cv2.fillPoly(self.lines[window], [local], 255, cv2.LINE_8, 4)
            self.stroke(points, is_closed=True)
            self.mask[window][inside >= 128] = 255 if is_main else 0

    def _relief(self, alpha: np.ndarray, reach: int) -> np.ndarray:
        """Return -1 to 1: how far each place of a puffy shape faces the light."""
        size = 2 * reach + 1
        soft = cv2.blur(cv2.blur(alpha, (size, size)), (size, size))
        soft = cv2.copyMakeBorder(soft, *[reach] * 4, cv2.BORDER_REPLICATE)
        height, width = alpha.shape
        step = np.round(self.light * reach).astype(int)
        left, top = reach - step
        right, bottom = reach + step
        away = soft[top : top + height, left : left + width]
        toward = soft[bottom : bottom + height, right : right + width]
        return np.clip((away - toward) * 1.4, -1, 1)

    def stroke(
        self, points: Points, *, is_closed: bool = False, color: Color | None = None
    ) -> None:
        """Draw a line of the drawing, and paint it as well where ``color`` is given."""
        corners = [np.round(points * self.side * 16).astype(np.int32)]
        width = max(1, round(self.side / 110))
        cv2.polylines(self.lines, corners, is_closed, 0, width, cv2.LINE_AA, 4)
        if color is not None:
            cv2.polylines(self.photo, corners, is_closed, color, width, cv2.LINE_AA, 4)

    def shadow(self, x: float, y: float, width: float) -> None:
        """Darken the ground below something."""
        points = ellipse(x, y, width, width * 0.22)
        self.shape(
            points, (40, 30, 60), puff=0, fade=0, opacity=0.35, blur=0.012, has_outline=False
        )

    def glint(self, x: float, y: float, radius: float, strength: float = 0.7) -> None:
        """Put a soft highlight on something."""
        points = ellipse(x, y, radius, radius * 0.65, turn=0.7)
        self.shape(
            points,
            (255, 255, 255),
            puff=0,
            fade=0,
            opacity=strength,
            blur=radius / 3,
            has_outline=False,
        )

    def finish(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return photo, lines and mask at their final size."""
        size = (self.size_px, self.size_px)
        ink = 255 - image.resize(self.lines, size).astype(np.float32)
        lines = (255 - np.clip(ink * 1.3, 0, 255)).round().astype(np.uint8)
        mask = np.where(image.resize(self.mask, size) >= 128, 255, 0).astype(np.uint8)
        return image.resize(self.photo, size), lines, mask


def _tones(color: Color) -> np.ndarray:
    """Return 256 colours from black (-1) over ``color`` (0) to nearly white (1)."""
    value = np.linspace(-1, 1, 255)[:, None]
    tones = np.array(color) * (1 + np.minimum(value, 0))
    tones += (255 - tones) * np.maximum(value, 0) * 0.8
    return np.clip(tones, 0, 255).round().astype(np.uint8)[[*range(255), 254], None]


def paint(hue: float, saturation: float, value: float) -> Color:
    """Return the RGB colour of a hue (1 is once around), saturation and value in [0, 1]."""
    return tuple(255 * channel for channel in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def ellipse(x: float, y: float, rx: float, ry: float, *, turn: float = 0.0) -> Points:
    """Return an ellipse's outline, turned by ``turn`` radians."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    across, along = rx * np.cos(angles), ry * np.sin(angles)
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack([x + across * cos - along * sin, y + across * sin + along * cos], 1)


def smooth(points: Sequence[tuple[float, float]], *, is_closed: bool = True) -> Points:
    """Return a curve through ``points`` (Catmull-Rom, eight pieces from one to the next)."""
    known = np.asarray(points, float)
    ends = (
        known[[-1, *range(len(known)), 0, 1]] if is_closed else known[[0, *range(len(known)), -1]]
    )
    before, start, end, after = ends[:-3], ends[1:-2], ends[2:-1], ends[3:]
    t = np.linspace(0, 1, 8, endpoint=False)[None, :, None]
    before, start, end, after = (each[:, None] for each in (before, start, end, after))
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    ).reshape(-1, 2)
    return curve if is_closed else np.vstack([curve, known[-1:]])


def _at(
    points: ArrayLike,
    x: float,
    y: float,
    scale: float,
    *,
    turn: float = 0.0,
    flip: bool = False,
    start: tuple[float, float] = (0, 0),
) -> Points:
    """Return a shape drawn around the origin, moved by ``start``, placed into the scene."""
    placed = (np.asarray(points, float) + start) * (-scale if flip else scale, scale)
    cos, sin = np.cos(turn), np.sin(turn)
    return placed @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def _sky(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Cover the canvas with a sky: day, dusk or night, with sun or moon and clouds."""
    mood = rng.integers(3)
    top, bottom, disc = (
        (paint(rng.uniform(0.53, 0.6), 0.5, 0.95), paint(0.53, 0.15, 1), paint(0.13, 0.7, 1)),
        (paint(rng.uniform(0.7, 0.85), 0.45, 0.75), paint(0.08, 0.55, 1), paint(0.05, 0.7, 1)),
        (paint(0.66, 0.65, 0.35), paint(0.62, 0.5, 0.6), paint(0.14, 0.2, 1)),
    )[mood]
    canvas.fill(top, bottom)
    x, y, radius = rng.uniform(0.12, 0.88), rng.uniform(0.1, 0.25), rng.uniform(0.05, 0.1)
    canvas.shape(
        ellipse(x, y, radius * 1.9, radius * 1.9),
        disc,
        puff=0,
        fade=0,
        opacity=0.4,
        blur=radius / 3,
        has_outline=False,
    )
    canvas.shape(ellipse(x, y, radius, radius), disc, puff=0.2, fade=0)
    for _ in range(rng.integers(0, 3)):
        _cloud(canvas, rng)


def _cloud(canvas: _Canvas, rng: np.random.Generator) -> None:
    x, y, width = rng.uniform(0.1, 0.9), rng.uniform(0.08, 0.32), rng.uniform(0.1, 0.17)
    outline = np.array(CLOUD) + rng.uniform(-0.06, 0.06, (len(CLOUD), 2))
    cloud = _at(smooth(outline), x, y, width, flip=rng.random() < 0.5)
    canvas.shape(cloud, (246, 248, 255), puff=0.3, fade=0.06)


def _hill(canvas: _Canvas, rng: np.random.Generator, y: float, color: Color) -> None:
    xs = np.linspace(-0.1, 1.1, 6)
    ridge = np.stack([xs, y + rng.uniform(-0.06, 0.06, 6)], 1)
    curve = smooth(ridge, is_closed=False)
    canvas.shape(np.vstack([curve, [(1.1, 1.1), (-0.1, 1.1)]]), color, puff=0.15, fade=0.18)


def _tree(
    canvas: _Canvas,
    rng: np.random.Generator,
    x: float,
    y: float,
    size: float,
    *,
    is_main: bool = False,
) -> None:
    canvas.shadow(x, y, size * 0.4)
    trunk = [(-0.07, 0), (-0.04, -0.55), (0.04, -0.55), (0.08, 0)]
    canvas.shape(_at(trunk, x, y, size), paint(rng.uniform(0.05, 0.09), 0.55, 0.5), is_main=is_main)
    green = paint(rng.uniform(0.2, 0.42), rng.uniform(0.45, 0.75), rng.uniform(0.5, 0.8))
    if rng.random() < 0.35:
        for level in range(3):
            low, half = -0.3 - 0.27 * level, 0.36 - 0.08 * level
            canvas.shape(
                _at([(-half, low), (0, low - 0.45), (half, low)], x, y, size),
                green,
                is_main=is_main,
            )
        return
    angles = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    reach = rng.uniform(0.32, 0.42, 9)
    crown = np.stack([np.cos(angles) * reach, np.sin(angles) * reach - 0.8], 1)
    canvas.shape(_at(smooth(crown), x, y, size), green, puff=0.5, is_main=is_main)
    if rng.random() < 0.4:
        for _ in range(4):
            fruit = (x + rng.uniform(-0.22, 0.22) * size, y + rng.uniform(-1, -0.6) * size)
            cherry = ellipse(*fruit, 0.05 * size, 0.05 * size)
            canvas.shape(cherry, paint(0, 0.75, 0.9), is_main=is_main)


def _flower(
    canvas: _Canvas, rng: np.random.Generator, x: float, y: float, size: float, ground: float
) -> None:
    green = paint(rng.uniform(0.25, 0.38), 0.6, rng.uniform(0.45, 0.65))
    bend = rng.uniform(-0.3, 0.3) * size
    stem = smooth([(x, y), (x + bend, (y + ground) / 2), (x + bend / 2, ground)], is_closed=False)
    half = np.array([0.1 * size, 0])
    canvas.shape(np.vstack([stem - half, (stem + half)[::-1]]), green, is_main=True)
    leaf = smooth([(0, 0), (0.35, -0.3), (0.85, -0.25), (0.5, 0.02)])
    at = (x + bend, (y + ground) / 2)
    canvas.shape(_at(leaf, *at, size, flip=rng.random() < 0.5), green, is_main=True)
    hue = rng.choice([0.0, 0.03, 0.09, 0.14, 0.6, 0.75, 0.85, 0.93]) + rng.uniform(-0.02, 0.02)
    petals, color = rng.integers(5, 9), paint(hue, rng.uniform(0.35, 0.8), rng.uniform(0.85, 1))
    first = rng.uniform(0, 2 * np.pi)
    for angle in first + np.linspace(0, 2 * np.pi, petals, endpoint=False):
        center = x + np.cos(angle) * size * 0.55, y + np.sin(angle) * size * 0.55
        petal = ellipse(*center, size * 0.5, size * 1.6 / petals, turn=angle)
        canvas.shape(petal, color, puff=0.3, is_main=True)
    heart = ellipse(x, y, size * 0.33, size * 0.33)
    canvas.shape(heart, paint(rng.uniform(0.08, 0.15), 0.75, 0.95), puff=0.4, is_main=True)


def _table(canvas: _Canvas, rng: np.random.Generator) -> float:
    """Draw a wall and a table; return the height of a thing's foot on it."""
    hue = rng.uniform()
    wall = paint(hue, rng.uniform(0.1, 0.35), rng.uniform(0.75, 0.98))
    canvas.fill(wall, paint(hue + 0.04, rng.uniform(0.15, 0.4), rng.uniform(0.65, 0.9)))
    edge = rng.uniform(0.62, 0.72)
    wood = paint(rng.choice([0.06, 0.09, hue + 0.5]), rng.uniform(0.3, 0.6), rng.uniform(0.55, 0.9))
    tilt = rng.uniform(-0.015, 0.015)
    top = [(-0.1, edge - tilt), (1.1, edge + tilt), (1.1, 1.1), (-0.1, 1.1)]
    canvas.shape(np.array(top), wood, puff=0, fade=0.15)
    return edge + 0.16


def _house_scene(canvas: _Canvas, rng: np.random.Generator) -> None:
    _sky(canvas, rng)
    hue = rng.uniform(0.2, 0.4)
    _hill(canvas, rng, rng.uniform(0.45, 0.55), paint(hue + 0.08, 0.4, 0.65))
    _hill(canvas, rng, rng.uniform(0.6, 0.68), paint(hue, 0.55, rng.uniform(0.6, 0.85)))
    side = rng.choice([-1, 1])
    x, y, size = 0.5 - side * rng.uniform(0.05, 0.18), rng.uniform(0.8, 0.88), rng.uniform(0.3, 0.4)
    _tree(canvas, rng, x + side * 0.42, y - 0.05, rng.uniform(0.3, 0.45))
    canvas.shadow(x, y, size * 0.65)
    wall = paint(rng.uniform(), rng.uniform(0.1, 0.5), rng.uniform(0.8, 1))
    box = [(-0.5, 0), (-0.5, -0.75), (0.5, -0.75), (0.5, 0)]
    chimney = [(0.2, -0.9), (0.2, -1.3), (0.36, -1.3), (0.36, -0.8)]
    roof = [(-0.62, -0.7), (-0.05, -1.25), (0.05, -1.25), (0.62, -0.7)]
    door = [(-0.12, 0), (-0.12, -0.36), (0, -0.45), (0.12, -0.36), (0.12, 0)]
    brown = paint(rng.uniform(0, 0.1), rng.uniform(0.5, 0.8), rng.uniform(0.5, 0.85))
    for points, color in (
        (chimney, paint(0.03, 0.4, 0.6)),
        (box, wall),
        (roof, brown),
        (door, paint(rng.uniform(), 0.6, 0.6)),
    ):
        canvas.shape(_at(points, x, y, size), color, puff=0.2, is_main=True)
    glow = paint(rng.choice([0.13, 0.55]), rng.uniform(0.3, 0.6), 1)
    for offset in (-0.32, 0.32):
        pane, bar = [(-0.1, -0.1), (0.1, -0.1), (0.1, 0.1), (-0.1, 0.1)], [(0, -0.1), (0, 0.1)]
        placed = _at(pane, x, y, size, start=(offset, -0.42))
        canvas.shape(placed, glow, puff=0.2, is_main=True)
        canvas.stroke(_at(bar, x, y, size, start=(offset, -0.42)), color=wall)


def _tree_scene(canvas: _Canvas, rng: np.random.Generator) -> None:
    _sky(canvas, rng)
    hue = rng.uniform(0.15, 0.4)
    for step in range(3):
        _hill(
            canvas,
            rng,
            0.48 + 0.12 * step,
            paint(hue - 0.03 * step, 0.35 + 0.1 * step, 0.6 + 0.1 * step),
        )
    places = rng.uniform((0.08, 0.68, 0.3), (0.92, 0.92, 0.5), (3, 3))
    for x, y, size in places[places[:, 1].argsort()]:  # the farthest first
        _tree(canvas, rng, x, y, size, is_main=True)


def _fruit_scene(canvas: _Canvas, rng: np.random.Generator) -> None:
    y = _table(canvas, rng)
    count = rng.integers(1, 4)
    places = np.linspace(0.5 - 0.155 * (count - 1), 0.5 + 0.155 * (count - 1), count)
    for x in rng.permutation(places):
        size = rng.uniform(0.14, 0.17) + (0.08 if count == 1 else 0)
        _fruit(canvas, rng, x, y + rng.uniform(-0.03, 0.08), size)


def _fruit(canvas: _Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    canvas.shadow(x, y, size * 1.05)
    hues = {"apple": (0.0, 0.3), "pear": (0.14, 0.25), "orange": (0.07, 0.09), "plum": (0.75, 0.85)}
    kind = rng.choice(list(hues))
    color = paint(rng.uniform(*hues[kind]), rng.uniform(0.65, 0.9), rng.uniform(0.75, 0.95))
    outline = {
        "apple": [
            (0, -1.75),
            (0.55, -1.95),
            (1, -1.3),
            (0.8, -0.4),
            (0.3, 0),
            (0, -0.08),
            (-0.3, 0),
            (-0.8, -0.4),
            (-1, -1.3),
            (-0.55, -1.95),
        ],
        "pear": [
            (0, -2.4),
            (0.35, -2.1),
            (0.5, -1.4),
            (0.95, -0.7),
            (0.6, -0.05),
            (0, 0.02),
            (-0.6, -0.05),
            (-0.95, -0.7),
            (-0.5, -1.4),
            (-0.35, -2.1),
        ],
    }.get(kind)
    body = smooth(outline) if outline else ellipse(0, -0.95, 0.98, 0.95)
    turn = rng.uniform(-0.15, 0.15)
    canvas.shape(_at(body, x, y, size, turn=turn), color, puff=0.6, is_main=True)
    start = (0, body[:, 1].min() + (0.25 if kind == "apple" else 0.05))
    stem = [(-0.05, 0), (0.02, -0.4), (0.14, -0.42), (0.06, 0)]
    stem = _at(stem, x, y, size, turn=turn, start=start)
    canvas.shape(stem, paint(0.08, 0.6, 0.4), is_main=True)
    leaf = smooth([(0.05, -0.15), (0.35, -0.5), (0.85, -0.45), (0.5, -0.12)])
    leaf = _at(leaf, x, y, size, turn=turn, flip=rng.random() < 0.5, start=start)
    canvas.shape(leaf, paint(rng.uniform(0.25, 0.4), 0.7, 0.65), is_main=True)
    shine = canvas.light * 0.45 * size
    canvas.glint(x + shine[0], y - 0.95 * size + shine[1], size * 0.2)


def _fish_scene(canvas: _Canvas, rng: np.random.Generator) -> None:
    hue = rng.uniform(0.48, 0.62)
    canvas.fill(paint(hue, 0.35, 0.98), paint(hue + 0.05, 0.75, 0.55))
    _hill(canvas, rng, rng.uniform(0.84, 0.9), paint(rng.uniform(0.09, 0.14), 0.35, 0.9))
    for _ in range(rng.integers(2, 5)):
        x, height = rng.uniform(0.05, 0.95), rng.uniform(0.2, 0.4)
        sway = rng.uniform(0.02, 0.05) * rng.choice([-1, 1])
        spine = smooth(
            [(x, 0.97), (x + sway, 0.97 - height / 2), (x - sway, 0.97 - height)], is_closed=False
        )
        taper = np.linspace(0.03, 0.004, len(spine))[:, None] * (1, 0)
        plant = np.vstack([spine - taper, (spine + taper)[::-1]])
        canvas.shape(plant, paint(rng.uniform(0.25, 0.45), 0.6, rng.uniform(0.4, 0.7)))
    x, y, size = rng.uniform(0.42, 0.58), rng.uniform(0.38, 0.58), rng.uniform(0.22, 0.3)
    flip, turn = rng.random() < 0.5, rng.uniform(-0.2, 0.2)
    main = paint(rng.choice([0.03, 0.08, 0.14, 0.8, 0.93]), rng.uniform(0.6, 0.85), 0.97)
    second = paint(rng.uniform(), rng.uniform(0.3, 0.7), 0.95)

    def part(points: Sequence[tuple[float, float]], color: Color, *, puff: float = 0.35) -> None:
        placed = _at(np.asarray(points), x, y, size, turn=turn, flip=flip)
        canvas.shape(placed, color, puff=puff, is_main=True)

    high = rng.uniform(0.5, 0.75)
    part(smooth([(-0.8, 0), (-1.4, -0.5), (-1.25, 0), (-1.4, 0.5)]), second)
    part(smooth([(-0.5, -0.3), (-0.25, -high - 0.35), (0.35, -high - 0.2), (0.4, -0.35)]), second)
    part(
        smooth(
            [
                (1, 0.02),
                (0.6, -high * 0.75),
                (0, -high),
                (-0.6, -high * 0.5),
                (-0.95, 0),
                (-0.6, high * 0.5),
                (0, high),
                (0.6, high * 0.75),
            ]
        ),
        main,
        puff=0.6,
    )
    for at in (-0.35, 0.05)[: rng.integers(0, 3)]:
        half = high * (0.82 if at < 0 else 0.93)
        part(
            smooth(
                [
                    (at, -half),
                    (at + 0.16, -half),
                    (at + 0.2, 0),
                    (at + 0.16, half),
                    (at, half),
                    (at + 0.06, 0),
                ]
            ),
            second,
            puff=0.3,
        )
    part(smooth([(0.1, 0.1), (-0.25, 0.05), (-0.4, 0.35), (-0.1, 0.35)]), second)
    part(ellipse(0.6, -0.15, 0.15, 0.15), (250, 250, 250), puff=0.15)
    part(ellipse(0.63, -0.15, 0.08, 0.08), (25, 25, 40), puff=0)
    for _ in range(rng.integers(2, 6)):
        bubble = rng.uniform(0.08, 0.92), rng.uniform(0.08, 0.75)
        if np.hypot(bubble[0] - x, (bubble[1] - y) * 1.4) > size * 1.5:
            radius = rng.uniform(0.012, 0.03)
            canvas.shape(ellipse(*bubble, radius, radius), paint(hue, 0.15, 1), puff=0.4)


def _face_scene(canvas: _Canvas, rng: np.random.Generator) -> None:
    hue = rng.uniform()
    canvas.fill(
        paint(hue, rng.uniform(0.15, 0.5), 0.95), paint(hue + 0.08, rng.uniform(0.2, 0.5), 0.8)
    )
    x, y, size = rng.uniform(0.46, 0.54), rng.uniform(0.5, 0.55), rng.uniform(0.24, 0.28)
    tone = rng.uniform(0.35, 1)
    skin = paint(rng.uniform(0.04, 0.08), 0.65 - 0.4 * tone, 0.45 + 0.53 * tone)
    hair = paint(
        rng.choice([0.03, 0.07, 0.1, 0.13, rng.uniform()]),
        rng.uniform(0.3, 0.8),
        rng.uniform(0.2, 0.9),
    )
    shirt = paint(rng.uniform(), rng.uniform(0.4, 0.8), rng.uniform(0.6, 0.95))

    def part(points: Sequence[tuple[float, float]], color: Color, *, puff: float = 0.3) -> None:
        canvas.shape(_at(np.asarray(points), x, y, size), color, puff=puff, is_main=True)

    long = rng.choice([0.3, 0.9, 1.3])
    part(
        smooth(
            [
                (-1.12, -0.2),
                (-0.8, -1.15),
                (0, -1.42),
                (0.8, -1.15),
                (1.12, -0.2),
                (1.05, long),
                (0.6, long + 0.1),
                (-0.6, long + 0.1),
                (-1.05, long),
            ]
        ),
        hair,
        puff=0.4,
    )
    part(
        smooth([(-1.7, 2.4), (-1.35, 1.6), (-0.5, 1.3), (0.5, 1.3), (1.35, 1.6), (1.7, 2.4)]), shirt
    )
    part([(-0.3, 0.7), (0.3, 0.7), (0.36, 1.4), (0, 1.62), (-0.36, 1.4)], skin, puff=0.15)
    for side in (-1, 1):
        part(ellipse(side * 0.92, 0.05, 0.16, 0.24), skin)
    part(
        smooth(
            [
                (0, 1.12),
                (0.62, 0.75),
                (0.88, 0),
                (0.72, -0.8),
                (0, -1.12),
                (-0.72, -0.8),
                (-0.88, 0),
                (-0.62, 0.75),
            ]
        ),
        skin,
        puff=0.4,
    )
    parting = rng.uniform(-0.5, 0.5)
    part(
        smooth(
            [
                (-0.98, -0.05),
                (-0.85, -0.95),
                (0, -1.38),
                (0.85, -0.95),
                (0.98, -0.05),
                (0.7, -0.5),
                (parting, -0.72),
                (-0.7, -0.45),
            ]
        ),
        hair,
        puff=0.35,
    )
    open_ = rng.uniform(0.1, 0.17)
    iris = paint(rng.choice([0.07, 0.3, 0.58]), 0.6, rng.uniform(0.3, 0.7))
    for side in (-1, 1):
        at = side * 0.36
        cheek = _at(ellipse(side * 0.5, 0.38, 0.2, 0.13), x, y, size)
        canvas.shape(cheek, (240, 90, 100), puff=0, opacity=0.4, blur=0.02, has_outline=False)
        part(ellipse(at, -0.05, 0.19, open_), (252, 252, 252), puff=0.1)
        part(ellipse(at, -0.05, 0.105, min(open_, 0.12)), iris, puff=0)
        canvas.shape(
            _at(ellipse(at, -0.05, 0.05, 0.055), x, y, size),
            (15, 15, 20),
            puff=0,
            has_outline=False,
        )
        canvas.glint(x + (at - 0.04) * size, y - 0.09 * size, size * 0.035, 0.9)
        brow = [(at - 0.2, -0.3), (at, -0.38), (at + 0.2, -0.31)]
        canvas.stroke(_at(smooth(brow, is_closed=False), x, y, size), color=hair)
    nose = smooth([(0.03, 0.05), (0.13, 0.32), (-0.02, 0.36)], is_closed=False)
    canvas.stroke(_at(nose, x, y, size), color=tuple(0.7 * c for c in skin))
    smile = rng.uniform(0.02, 0.2)
    lips = [
        (-0.3, 0.62 - smile / 3),
        (0, 0.6 + smile / 2),
        (0.3, 0.62 - smile / 3),
        (0, 0.68 + smile),
    ]
    part(smooth(lips), paint(0.98, 0.55, rng.uniform(0.65, 0.9)), puff=0.2)


def _cup_scene(canvas: _Canvas, rng: np.random.Generator) -> None:
    y = _table(canvas, rng) + 0.04
    x, size = rng.uniform(0.45, 0.55), rng.uniform(0.2, 0.26)
    color = paint(rng.uniform(), rng.uniform(0.25, 0.75), rng.uniform(0.75, 1))
    band = paint(rng.uniform(), rng.uniform(0.4, 0.8), rng.uniform(0.6, 1))
    drink = paint(rng.choice([0.06, 0.09, 0.3]), 0.7, rng.uniform(0.35, 0.75))
    flip, foot, tall = rng.random() < 0.5, rng.uniform(0.5, 0.85), rng.uniform(1.3, 1.8)
    canvas.shadow(x, y, size * 1.6)

    def part(points: Sequence[tuple[float, float]], color: Color, *, puff: float = 0.4) -> None:
        canvas.shape(_at(np.asarray(points), x, y, size, flip=flip), color, puff=puff, is_main=True)

    if rng.random() < 0.6:
        part(ellipse(0, 0, 1.5, 0.3), band, puff=0.2)
    handle = ellipse(0.95, -tall * 0.55, 0.48, 0.46)
    part(handle, color)
    hole = _at(ellipse(0.95, -tall * 0.55, 0.27, 0.26), x, y, size, flip=flip)
    behind = canvas.photo[4, 4].astype(float)
    canvas.shape(hole, tuple(0.93 * behind), puff=0)
    angles = np.linspace(0, np.pi, 12)
    base = np.stack([foot * np.cos(angles), 0.16 * np.sin(angles)], 1)
    part(np.vstack([[(1, -tall)], base, [(-1, -tall)]]), color, puff=0.55)
    if rng.random() < 0.6:
        low, high = 0.4 * tall, 0.65 * tall
        widths = [foot + (1 - foot) * at / tall for at in (low, high)]
        curve = [
            np.stack([w * np.cos(angles), 0.17 * np.sin(angles) - at], 1)
            for w, at in zip(widths, (low, high), strict=True)
        ]
        part(np.vstack([curve[0], curve[1][::-1]]), band)
    part(ellipse(0, -tall, 1, 0.24), tuple(min(255, 1.08 * c) for c in color), puff=0.2)
    part(ellipse(0, -tall + 0.03, 0.86, 0.17), drink, puff=0.15)
    for offset in (-0.3, 0.25)[: rng.integers(0, 3)]:
        steam = [
            (offset, -tall - 0.3),
            (offset + 0.14, -tall - 0.6),
            (offset - 0.1, -tall - 0.9),
            (offset + 0.08, -tall - 1.2),
        ]
        canvas.stroke(_at(smooth(steam, is_closed=False), x, y, size), color=(250, 250, 250))


def _flower_scene(canvas: _Canvas, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        _sky(canvas, rng)
        _hill(canvas, rng, rng.uniform(0.6, 0.75), paint(rng.uniform(0.22, 0.38), 0.5, 0.75))
        places = np.linspace(0.2, 0.8, rng.integers(2, 5)) + rng.uniform(-0.04, 0.04)
        for x in places:
            _flower(
                canvas,
                rng,
                x,
                rng.uniform(0.3, 0.55),
                rng.uniform(0.11, 0.15),
                rng.uniform(0.88, 0.97),
            )
        return
    y = _table(canvas, rng)
    canvas.shadow(0.5, y, 0.22)
    for x in (0.3, 0.7, 0.5)[rng.integers(0, 2) :]:
        high = rng.uniform(0.2, 0.32)
        _flower(canvas, rng, x + rng.uniform(-0.04, 0.04), high, rng.uniform(0.12, 0.15), y - 0.28)
    vase = smooth(
        [
            (-0.55, -1.7),
            (0, -1.78),
            (0.55, -1.7),
            (0.4, -1.3),
            (0.8, -0.6),
            (0.5, 0),
            (-0.5, 0),
            (-0.8, -0.6),
            (-0.4, -1.3),
        ]
    )
    color = paint(rng.uniform(), rng.uniform(0.3, 0.7), rng.uniform(0.65, 0.95))
    canvas.shape(_at(vase, 0.5, y, 0.2), color, puff=0.6, is_main=True)
    canvas.glint(0.5 + canvas.light[0] * 0.07, y - 0.16, 0.03)


SCENES: dict[str, Callable[[_Canvas, np.random.Generator], None]] = {
    "house": _house_scene,
    "fruit": _fruit_scene,
    "fish": _fish_scene,
    "face": _face_scene,
    "trees": _tree_scene,
    "cup": _cup_scene,
    "flowers": _flower_scene,
}
