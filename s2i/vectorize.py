"""Lines to strokes: what a plotter, a drawing program or a film of a growing drawing needs.

Pure array in, strokes out; the same lines give the same bytes on every run. The way: threshold,
skeleton, its graph, strokes through the junctions, cubic curves (Schneider 1990). Coordinates are
those of SVG: pixel (row 0, column 0) covers the square from (0, 0) to (1, 1).
"""

from __future__ import annotations

import io
import itertools
import math
import zipfile
import zlib
from dataclasses import dataclass, replace
from xml.etree import ElementTree

import cv2
import numpy as np

from s2i.errors import S2IError
from s2i.image import MAX_SIDE_PX, fit_side

NPZ_VERSION = 1
_MAX_NPZ_BYTES = 1 << 28
_DARKEST_PAPER, _FAINTEST_INK = 128, 224  # the threshold between ink and paper lies between
_SPECK_PX = 8  # area: smaller ones are dust
_HOLE_PX = 4  # area: smaller ones in the ink are dust, too
_SHORTEST_SPUR_PX = 4
_SPUR_BEYOND_PX = 3
_SHARPEST_TURN = math.radians(45)  # of a stroke through a junction
_CORNER = math.radians(60)  # a sharper turn ends a curve
_SPREAD = 0.4  # of the tolerance: how far points may lie from their curve in the mean (RMS)
_WIDTH_STEP_PX = 2.5  # a stroke whose width spans more becomes two
_SHADING = 4  # rank of the strokes that fill areas: they come last


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


@dataclass(frozen=True, eq=False)
class _Path:
    """A course through the ink: (n, 3) float64, x, y and the width of the ink there.

    ``nodes`` are the junctions at its start and end, -1 where it ends freely.
    """

    points: np.ndarray
    nodes: tuple[int, int] = (-1, -1)

    def measure(self) -> float:
        """Return the length in pixels."""
        return float(_measure_steps(self.points).sum())

    def is_closed(self) -> bool:
        """Say whether the last point is the first one."""
        return len(self.points) > 3 and np.array_equal(self.points[0, :2], self.points[-1, :2])


def trace(lines: np.ndarray, *, tolerance_px: float = 1.0) -> Strokes:
    """Return ``lines`` as strokes, in the order in which a person would draw them.

    Lines become strokes along their middle that go straight on through junctions; areas become an
    outline and hatching. The outline of the drawing comes first, then long strokes before short
    ones, near ones before far ones, and hatching at last.

    Args:
        lines: (H, W) uint8, ink 0, paper 255, greys welcome.
        tolerance_px: how far a curve may lie from the middle of its line; more gives fewer curves.

    Raises:
        S2IError: other arrays, or a tolerance that is not positive.
    """
    if lines.dtype != np.uint8 or lines.ndim != 2 or lines.size == 0:
        raise S2IError(f"lines are (H, W) uint8, got {lines.shape} {lines.dtype}.")
    if not (math.isfinite(tolerance_px) and tolerance_px > 0):
        raise S2IError(f"the tolerance is a number of pixels above 0, got {tolerance_px}.")
    ink = _find_ink(lines)
    if not ink.any():
        return Strokes(size=lines.shape, strokes=())
    from skimage.morphology import skeletonize  # takes a second, and only tracing needs it

    width = _measure_width(ink)
    skeleton = skeletonize(ink.astype(bool))
    area, pen_px = _find_areas(ink, width, skeleton)
    width = cv2.dilate(width, np.ones((3, 3)))  # a skeleton may lie beside the middle
    paths = _join(_prune(_follow(skeleton & (area == 0), width, _measure_depth(ink))))
    paths = [_extend(path, ink) for path in paths]
    paths += _outline(area, pen_px)
    strokes = _fit_paths(paths, tolerance_px)
    shading = _hatch(area, pen_px)
    return Strokes(size=lines.shape, strokes=_order(strokes, shading, ink))


def find_threshold(lines: np.ndarray) -> float:
    """Return the lightest grey of (H, W) uint8 that is traced as ink: Otsu's, from 128 to 224."""
    threshold, _ = cv2.threshold(lines, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return min(max(threshold, _DARKEST_PAPER), _FAINTEST_INK)


def _find_ink(lines: np.ndarray) -> np.ndarray:
    """Return 1 where there is ink: small gaps and holes closed, no dust."""
    ink = (lines <= find_threshold(lines)).astype(np.uint8)
    ink = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    is_kept = stats[:, cv2.CC_STAT_AREA] >= _SPECK_PX
    is_kept[0] = False
    ink = is_kept[labels].astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - ink, connectivity=4)
    is_hole = stats[:, cv2.CC_STAT_AREA] < _HOLE_PX
    is_hole[0] = False
    return ink | is_hole[labels].astype(np.uint8)


def _measure_depth(ink: np.ndarray) -> np.ndarray:
    """Return the distance to the paper, also that beyond the page, in pixels: 0.5 at the rim."""
    padded = cv2.copyMakeBorder(ink, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.maximum(depth[1:-1, 1:-1] - 0.5, 0)


def _measure_width(ink: np.ndarray) -> np.ndarray:
    """Return the width of the line whose middle a pixel is, exact for 1, 2, 3 ... px."""
    height, width = ink.shape
    depth = _measure_depth(np.repeat(np.repeat(ink, 2, 0), 2, 1)) + 0.5  # in half pixels
    return depth.reshape(height, 2, width, 2).max(axis=(1, 3)).astype(np.float64)


def _find_areas(
    ink: np.ndarray, width: np.ndarray, skeleton: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return 1 where ink is an area and not a line, and the width of the pen that fills it.

    An area is much wider than this drawing's lines are, or than a pen could be on this page.
    """
    usual = float(np.median(width[skeleton]))
    limit = min(max(2 * usual, 6), max(max(ink.shape) / 16, 6))
    core = (width > limit).astype(np.uint8)
    if not core.any():
        return core, usual
    reach = cv2.distanceTransform(1 - core, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    area = ((reach <= limit / 2 + 0.5) & (ink > 0)).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(area, connectivity=8)
    is_kept = stats[:, cv2.CC_STAT_AREA] >= 1.5 * limit**2  # smaller ones are dots or junctions
    is_kept[0] = False
    return is_kept[labels].astype(np.uint8), min(max(usual, 2), limit / 2)


def _follow(skeleton: np.ndarray, width: np.ndarray, depth: np.ndarray) -> list[_Path]:
    """Return the edges of the skeleton's graph, from junction to junction or free end.

    Diagonal neighbors that share a neighbor are not linked, so that a staircase is no junction.
    """
    rows, columns = np.nonzero(skeleton)
    ids = np.full((skeleton.shape[0] + 2, skeleton.shape[1] + 2), -1)
    ids[rows + 1, columns + 1] = np.arange(len(rows))

    def look(down: int, right: int) -> np.ndarray:
        return ids[rows + 1 + down, columns + 1 + right]

    links = [look(-1, 0), look(0, 1), look(1, 0), look(0, -1)]
    for down, right in ((-1, -1), (-1, 1), (1, 1), (1, -1)):
        is_alone = (look(down, 0) < 0) & (look(0, right) < 0)
        links.append(np.where(is_alone, look(down, right), -1))
    links = np.stack(links, axis=1)
    is_node = (links >= 0).sum(axis=1) >= 3
    spots = np.zeros(skeleton.shape, np.uint8)
    spots[rows[is_node], columns[is_node]] = 1
    node = (cv2.connectedComponents(spots, connectivity=8)[1][rows, columns] - 1).tolist()
    points = np.column_stack([_find_middle(rows, columns, depth), width[rows, columns]])
    neighbors = [[other for other in row if other >= 0] for row in links.tolist()]
    is_used = bytearray(len(rows))

    def walk(before: int, first: int) -> _Path:
        chain = [first] if before < 0 else [before, first]
        last = first
        while True:
            is_used[last] = 1
            after = [other for other in neighbors[last] if other != before]
            if not after:
                break
            chain.append(after[0])
            if node[after[0]] >= 0 or is_used[after[0]]:
                break
            before, last = last, after[0]
        return _Path(points[chain], (node[chain[0]], node[chain[-1]]))

    paths = []
    for start in np.flatnonzero(is_node).tolist():
        for first in neighbors[start]:
            if node[first] < 0 and not is_used[first]:
                paths.append(walk(start, first))
    by_degree = np.argsort((links >= 0).sum(axis=1), kind="stable").tolist()  # loops come last
    paths += [walk(-1, first) for first in by_degree if node[first] < 0 and not is_used[first]]
    return _merge_nodes(paths)


def _find_middle(rows: np.ndarray, columns: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Return the middle of the ink (n, 2) at pixels of its skeleton: half a pixel off at most.

    Across a line the depth is a roof of slope 1, so it tells how far away its ridge is.
    """
    padded = np.pad(depth, 1)
    slope = np.stack(
        [
            padded[rows + 1, columns + 2] - padded[rows + 1, columns],
            padded[rows + 2, columns + 1] - padded[rows, columns + 1],
        ],
        axis=1,
    )
    steepness = np.maximum(1e-9, np.hypot(*slope.T))[:, None]
    shift = slope / steepness * np.minimum(0.5, np.abs(slope).max(axis=1, keepdims=True) / 2)
    return np.column_stack([columns, rows]) + 0.5 + shift


def _merge_nodes(paths: list[_Path]) -> list[_Path]:
    """Return the paths without those that only cross the ink of a junction.

    Where thick lines cross, the skeleton has two junctions and a bridge: they become one.
    """
    parent = list(range(1 + max((max(path.nodes) for path in paths), default=-1)))

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    kept = []
    for path in paths:
        first, last = path.nodes
        reach = (path.points[0, 2] + path.points[-1, 2]) / 2
        if min(first, last) >= 0 and path.measure() <= max(2, reach):
            parent[find(first)] = find(last)
        else:
            kept.append(path)
    return [
        replace(path, nodes=tuple(find(node) if node >= 0 else -1 for node in path.nodes))
        for path in kept
    ]


def _gather_ends(paths: list[_Path]) -> dict[int, list[tuple[int, int]]]:
    """Return the ends at every junction: number of the path, and 0 for its start, 1 for its end."""
    ends: dict[int, list[tuple[int, int]]] = {}
    for number, path in enumerate(paths):
        for side in (0, 1):
            if path.nodes[side] >= 0:
                ends.setdefault(path.nodes[side], []).append((number, side))
    return ends


def _prune(paths: list[_Path]) -> list[_Path]:
    """Return the paths without spurs: short ones from a junction to a free end.

    A junction of nothing but spurs is a blot: its two longest stay.
    """
    while True:
        ends = _gather_ends(paths)
        dropped = set()
        for joined in ends.values():
            if len(joined) < 3:
                continue
            width = max(paths[number].points[-side, 2] for number, side in joined)
            spurs = []
            for number, side in joined:
                path = paths[number]
                other = path.nodes[1 - side]
                is_free = other < 0 or len(ends[other]) == 1
                length = path.measure()
                beyond = length + (path.points[side - 1, 2] - width) / 2  # the junction's ink
                is_short = length < _SHORTEST_SPUR_PX or beyond < _SPUR_BEYOND_PX
                if is_free and length < max(_SHORTEST_SPUR_PX, width) and is_short:
                    spurs.append((-length, number))
            if len(spurs) == len(joined):
                spurs = sorted(spurs)[2:]
            dropped.update(number for _, number in spurs)
        if not dropped:
            return paths
        paths = [path for number, path in enumerate(paths) if number not in dropped]


def _join(paths: list[_Path]) -> list[_Path]:
    """Return long paths: at a junction those go on in each other that turn least."""
    mates: dict[tuple[int, int], tuple[int, int]] = {}
    straight: set[tuple[int, int]] = set()
    for joined in _gather_ends(paths).values():
        headings = [_head(paths[number], side) for number, side in joined]
        turns = []
        for i, first in enumerate(headings):
            for j in range(i + 1, len(joined)):
                turn = _measure_turn(first, headings[j])
                if turn < _SHARPEST_TURN or len(joined) == 2:
                    turns.append((round(turn, 6), i, j))
        for _, i, j in sorted(turns):
            if joined[i] not in mates and joined[j] not in mates:
                mates[joined[i]], mates[joined[j]] = joined[j], joined[i]
                if -float(headings[i][1] @ headings[j][1]) > math.cos(_SHARPEST_TURN):
                    straight |= {joined[i], joined[j]}
    is_used = [False] * len(paths)

    def chain(number: int, side: int) -> _Path:
        """Go from end ``side`` of a path to its other end, and on."""
        parts, nodes = [], [paths[number].nodes[side]]
        while not is_used[number]:
            is_used[number] = True
            points = _cut_ends(paths[number], (number, 0) in straight, (number, 1) in straight)
            parts.append(points[::-1] if side else points)
            last = (number, 1 - side)
            if last not in mates:
                break
            number, side = mates[last]
        nodes.append(paths[last[0]].nodes[last[1]])
        if last in mates:  # came back to where it began
            parts.append(parts[0][:1])
        return _Path(_space_evenly(np.concatenate(parts)), tuple(nodes))

    starts = [(n, s) for n in range(len(paths)) for s in (0, 1) if (n, s) not in mates]
    joined = [chain(number, side) for number, side in starts if not is_used[number]]
    joined += [chain(number, 0) for number in range(len(paths)) if not is_used[number]]
    counts = {node: len(ends) for node, ends in _gather_ends(paths).items()}
    return [
        replace(path, nodes=tuple(node if counts.get(node, 0) > 1 else -1 for node in path.nodes))
        for path in joined
    ]


def _measure_steps(points: np.ndarray) -> np.ndarray:
    return np.hypot(*np.diff(points[:, :2], axis=0).T)


def _measure_turn(first: np.ndarray, second: np.ndarray) -> float:
    """Return the angle by which a pen turns at most that comes out of one end, into another."""
    come, cross, go = -first[1], second[0] - first[0], second[1]
    cross = cross / max(1e-9, float(np.hypot(*cross)))
    cosine = min(float(come @ cross), float(cross @ go), float(come @ go))
    return math.acos(max(-1.0, min(1.0, cosine)))


def _head(path: _Path, side: int) -> np.ndarray:
    """Return where an end of a path leaves the ink of its junction, and the unit vector onwards."""
    points = path.points[::-1] if side else path.points
    away = np.hypot(*(points[:, :2] - points[0, :2]).T)
    near = min(int(np.argmax(away >= points[0, 2] / 2)), len(points) - 2)
    far = np.flatnonzero(away >= away[near] + max(5, points[0, 2]))
    vector = points[far[0] if len(far) else -1, :2] - points[near, :2]
    return np.stack([points[near, :2], vector / max(1e-9, float(np.hypot(*vector)))])


def _cut_ends(path: _Path, is_start: bool, is_end: bool) -> np.ndarray:
    """Return the points of a path as a pen would go.

    Inside a junction a skeleton is bent: its points there go where the stroke goes straight on.
    And the ink is wider there, which is not this path's width.
    """
    length = np.concatenate([[0], np.cumsum(_measure_steps(path.points))])
    reach = np.minimum(0.4 * length[-1], 0.5 * path.points[[0, -1], 2])
    is_outside = (length >= reach[0] * is_start) & (length <= length[-1] - reach[1] * is_end)
    points = path.points.copy()
    reach = np.minimum(0.4 * length[-1], 1 + 0.75 * path.points[[0, -1], 2])
    reach = np.where(np.array(path.nodes) >= 0, reach, 0)
    is_calm = (length >= reach[0]) & (length <= length[-1] - reach[1])
    if is_calm.any():
        points[:, 2] = np.interp(length, length[is_calm], points[is_calm, 2])
    return points[is_outside] if is_outside.any() else points[len(length) // 2][None]


def _space_evenly(points: np.ndarray) -> np.ndarray:
    """Return points about one pixel apart on the same course, first and last as they are."""
    length = np.concatenate([[0], np.cumsum(_measure_steps(points))])
    if length[-1] == 0:
        return points[:1]
    at = np.linspace(0, length[-1], max(2, round(length[-1]) + 1))
    return np.stack([np.interp(at, length, column) for column in points.T], axis=1)


def _extend(path: _Path, ink: np.ndarray) -> _Path:
    """Return ``path`` with free ends where the pen's round tip just reaches the ink's end."""
    points = path.points
    if len(points) < 2 or path.is_closed():
        return path
    half_px = float(np.median(points[:, 2])) / 2
    most_cut = (len(points) - 2) // 2  # so that two points stay
    for side in (0, 1):
        if path.nodes[side] >= 0:
            continue
        ordered = points[::-1] if side else points
        cut = min(most_cut, 1 + round(half_px))  # a skeleton's tip is bent
        ordered = ordered[cut:]
        inner = ordered[min(len(ordered) - 1, round(max(4, 3 * half_px)))]
        heading = ordered[0, :2] - inner[:2]
        heading /= max(1e-9, np.hypot(*heading))
        steps = np.arange(0, 4 * half_px + 2, 0.5)
        x, y = np.floor(ordered[0, :2, None] + heading[:, None] * steps).astype(int)
        is_ink = (x >= 0) & (y >= 0) & (x < ink.shape[1]) & (y < ink.shape[0])
        is_ink[is_ink] = ink[y[is_ink], x[is_ink]] > 0
        free_px = steps[-1] if is_ink.all() else steps[np.argmin(is_ink)] - 0.25
        further_px = free_px - half_px
        if further_px > 0.25:
            end = np.array([*(ordered[0, :2] + heading * further_px), ordered[0, 2]])
            added = np.linspace(end, ordered[0], 1 + math.ceil(further_px))[:-1]
            ordered = np.concatenate([added, ordered])
        elif further_px < -1:  # a blot whose ends are narrower than its middle
            ordered = ordered[min(most_cut - cut, round(-further_px)) :]
        points = ordered[::-1] if side else ordered
    return replace(path, points=points)


def _outline(area: np.ndarray, pen_px: float) -> list[_Path]:
    """Return closed paths just inside the rim of the areas."""
    inner = (_measure_depth(area) >= pen_px / 2 - 0.25).astype(np.uint8)
    contours, _ = cv2.findContours(inner, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    paths = []
    for contour in contours:
        points = np.concatenate([contour[:, 0], contour[:1, 0]]) + 0.5
        points = np.column_stack([points, np.full(len(points), pen_px)])
        paths.append(_Path(_space_evenly(points)))
    return paths


def _hatch(area: np.ndarray, pen_px: float) -> list[Stroke]:
    """Return zigzags, slanted as a right hand shades, that cover the areas inside their outline."""
    inner = (_measure_depth(area) >= 0.8 * pen_px + 0.5).astype(np.uint8)
    if not inner.any():
        return []
    height, width = area.shape
    side = math.ceil(math.hypot(height, width)) + 2
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -45, 1)
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    turned = cv2.warpAffine(inner, turn, (side, side), flags=cv2.INTER_NEAREST)
    rows = np.arange(0, side, pen_px).astype(int)
    padded = np.pad(turned[rows], ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(padded, axis=1)
    numbers, starts = np.nonzero(change > 0)
    stops = np.nonzero(change < 0)[1] - 1
    chains: list[list[tuple[int, int, int]]] = []
    tips: list[int] = []  # chains that reach the row before, or the one that is being read
    row_before = -1
    fresh: list[int] = []
    for number, start, stop in zip(*map(np.ndarray.tolist, (numbers, starts, stops)), strict=True):
        if number != row_before:
            tips = fresh if number == row_before + 1 else []
            fresh, row_before = [], number
        for tip in tips:
            _, before_start, before_stop = chains[tip][-1]
            is_left = len(chains[tip]) % 2 == 0  # where the pen is
            gap = abs(start - before_start) if is_left else abs(stop - before_stop)
            if start <= before_stop and stop >= before_start and gap <= 4 * pen_px:
                chains[tip].append((number, start, stop))
                tips.remove(tip)
                fresh.append(tip)
                break
        else:
            fresh.append(len(chains))
            chains.append([(number, start, stop)])
    back = cv2.invertAffineTransform(turn)
    strokes = []
    for chain in chains:
        corners = []
        for number, start, stop in chain:
            ends = [(start, rows[number]), (stop, rows[number])]
            corners += ends[::-1] if len(corners) % 4 else ends
        at = np.array(corners) @ back[:, :2].T + back[:, 2] + 0.5
        if len(chain) > 1 or corners[1][0] - corners[0][0] >= 1:
            strokes.append(_draw_polygon(at, 1.6 * pen_px))
    return strokes


def _draw_polygon(corners: np.ndarray, width_px: float) -> Stroke:
    """Return straight lines from corner to corner."""
    step = np.diff(corners, axis=0)[:, None] * np.array([[1 / 3], [2 / 3], [1]])
    points = np.concatenate([corners[:1], (corners[:-1, None] + step).reshape(-1, 2)])
    return Stroke(points=points.astype(np.float32), width_px=_round_width(width_px))


def _round_width(width_px: float) -> float:
    return max(0.5, round(float(width_px), 2))


def _fit_paths(paths: list[_Path], tolerance_px: float) -> list[Stroke]:
    """Return every path as one stroke, or as several where the width of the ink changes."""
    strokes = []
    runs = []  # courses without a corner inside
    counts = []  # of runs a stroke
    widths = []
    for path in paths:
        for points in _split_width(path.points):
            width = points[:, 2]
            is_blot = len(points) < width.max()  # its middle is what is seen
            width_px = _round_width(width.max() if is_blot else np.median(width))
            if len(points) == 1:
                dot = points[:, :2].astype(np.float32)
                strokes.append(Stroke(points=dot, width_px=width_px))
                continue
            found = _split_corners(points)
            runs += found
            counts.append(len(found))
            widths.append(width_px)
    if not runs:
        return strokes
    curves, counts_of_curves = _fit(runs, tolerance_px)
    bounds = np.cumsum([0, *counts_of_curves])[np.cumsum([0, *counts])]
    for (first, last), width_px in zip(itertools.pairwise(bounds), widths, strict=True):
        own = curves[first:last]
        points = np.concatenate([own[:1, 0], own[:, 1:].reshape(-1, 2)])
        strokes.append(Stroke(points=points.astype(np.float32), width_px=width_px))
    return strokes


def _split_width(points: np.ndarray) -> list[np.ndarray]:
    """Return the parts of a path in which the ink has about one width; they share end points."""
    width = points[:, 2]
    shortest = max(6, round(float(np.median(width))))
    low, high = np.percentile(width, (5, 95))
    if high - low <= _WIDTH_STEP_PX or len(width) < 2 * shortest:
        return [points]
    # The cut after which both parts deviate least from their means.
    counts = np.arange(1, len(width))
    sums, squares = np.cumsum(width), np.cumsum(width**2)
    before = squares[:-1] - sums[:-1] ** 2 / counts
    after = squares[-1] - squares[:-1] - (sums[-1] - sums[:-1]) ** 2 / counts[::-1]
    cut = shortest + int(np.argmin((before + after)[shortest - 1 : len(width) - shortest]))
    return _split_width(points[: cut + 1]) + _split_width(points[cut:])


def _split_corners(points: np.ndarray) -> list[np.ndarray]:
    """Return the runs (n, 2) between the corners of a path; a smooth loop ends where it began."""
    at = points[:, :2]
    is_loop = len(at) > 3 and np.array_equal(at[0], at[-1])
    reach = min(max(4, round(float(np.median(points[:, 2])))), (len(at) - 1) // 2)
    if reach < 2:
        return [at]
    ring = at[:-1] if is_loop else at
    here = np.arange(len(ring)) if is_loop else np.arange(reach, len(ring) - reach)
    into = ring[here] - ring[(here - reach) % len(ring)]
    out = ring[(here + reach) % len(ring)] - ring[here]
    turn = np.abs(np.arctan2(_cross(into, out), (into * out).sum(axis=1)))
    corners: list[int] = []
    for index in np.argsort(-turn, kind="stable").tolist():
        if turn[index] < _CORNER:
            break
        corner = int(here[index])
        gaps = [abs(corner - other) for other in corners]
        if is_loop:
            gaps = [min(gap, len(ring) - gap) for gap in gaps]
        if all(gap >= reach for gap in gaps):
            corners.append(corner)
    if is_loop and corners:
        first = min(corners)
        ring = np.concatenate([ring[first:], ring[: first + 1]])
        bounds = [0, *sorted(corner - first for corner in corners)[1:], len(ring) - 1]
    else:
        ring, bounds = at, [0, *sorted(corners), len(at) - 1]
    ring = ring.copy()
    closed = [0] if is_loop and corners else []
    for corner in [*bounds[1:-1], *closed]:
        _sharpen(ring, corner, reach)
    return [ring[first : last + 1] for first, last in itertools.pairwise(bounds)]


def _sharpen(points: np.ndarray, corner: int, reach: int) -> None:
    """Move the points around a corner out to where its two legs meet: a skeleton cuts corners."""
    count = len(points) - 1  # of a loop, whose last point is its first
    half = reach // 2
    if corner == 0:
        before, after = points[[count - reach, count - half]], points[[reach, half]]
    else:
        far = np.clip([corner - reach, corner + reach], 0, count)
        before, after = points[[far[0], corner - half]], points[[far[1], corner + half]]
    legs = np.stack([before[1] - before[0], after[0] - after[1]], axis=1)
    if abs(np.linalg.det(legs)) < 0.1 * np.prod(np.hypot(*legs)):
        return
    along, _ = np.linalg.solve(legs, after[0] - before[0])
    tip = before[0] + along * legs[:, 0]
    if along < 1 or np.hypot(*(tip - points[corner])) > 0.4 * reach:
        return
    share = np.linspace(0, 1, half + 1)[:, None]
    for step in range(half + 1):
        points[corner + step] = tip + share[step] * (after[1] - tip)
        points[(corner or count) - step] = tip + share[step] * (before[1] - tip)


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


def _fit(runs: list[np.ndarray], tolerance_px: float) -> tuple[np.ndarray, list[int]]:
    """Fit cubic curves to runs of points (Schneider 1990), to all of them at once.

    Returns:
        (n, 4, 2) curves in the order of the runs, and how many there are of each run.
    """
    sizes = np.array([len(run) for run in runs])
    firsts = np.cumsum(sizes) - sizes
    points, tangents = _smooth(np.concatenate(runs), firsts, sizes)
    length = np.concatenate([[0], np.cumsum(_measure_steps(points))])
    starts, stops = firsts, firsts + sizes - 1
    done_starts, done_curves = [], []
    while len(starts):
        curves, worst, error, spread = _fit_once(points, tangents, length, starts, stops)
        is_done = (error <= tolerance_px) & (spread <= _SPREAD * tolerance_px)
        is_done |= stops - starts < 3
        done_starts.append(starts[is_done])
        done_curves.append(curves[is_done])
        cut = np.clip(worst, starts + 1, stops - 1)[~is_done]
        starts, stops = starts[~is_done], stops[~is_done]
        starts, stops = np.concatenate([starts, cut]), np.concatenate([cut, stops])
        order = np.argsort(starts, kind="stable")
        starts, stops = starts[order], stops[order]
    starts, curves = np.concatenate(done_starts), np.concatenate(done_curves)
    order = np.argsort(starts, kind="stable")
    counts = np.diff(np.searchsorted(starts[order], [*firsts, len(points)]))
    return curves[order], counts.tolist()


def _smooth(
    points: np.ndarray, firsts: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points without the staircase of the pixels, and the unit tangent at each.

    The ends of a run stay; loops are smoothed across their seam.
    """
    here = np.arange(len(points))
    first, size = np.repeat(firsts, sizes), np.repeat(sizes, sizes)
    is_loop = (points[first] == points[first + size - 1]).all(axis=1) & (size > 8)
    place = here - first
    room = np.minimum(place, size - 1 - place)

    def look(distance: int, is_even: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices so far before and after; evenly, or as far as the run goes."""
        before = place - np.minimum(distance, room if is_even else place)
        after = place + np.minimum(distance, room if is_even else size - 1 - place)
        before = np.where(is_loop, (place - distance) % (size - 1), before)
        after = np.where(is_loop, (place + distance) % (size - 1), after)
        return first + before, first + after

    weights = np.exp(-0.5 * (np.arange(4) / 1.5) ** 2)
    total = weights[0] * points
    for distance in (1, 2, 3):
        before, after = look(distance, True)
        total = total + weights[distance] * (points[before] + points[after])
    smooth = total / (weights[0] + 2 * weights[1:].sum())
    before, after = look(4, False)
    tangents = smooth[after] - smooth[before]
    return smooth, tangents / np.maximum(1e-9, np.hypot(*tangents.T))[:, None]


def _fit_once(
    points: np.ndarray,
    tangents: np.ndarray,
    length: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fit one cubic curve to each stretch of points, ``starts`` to ``stops`` inclusive.

    Returns:
        (n, 4, 2) curves; of each the index of the farthest point, its distance, and that of all
        points in the mean (RMS).
    """
    sizes = stops - starts + 1
    offsets = np.cumsum(sizes) - sizes
    owner = np.repeat(np.arange(len(starts)), sizes)
    index = np.arange(sizes.sum()) - offsets[owner] + starts[owner]
    wanted = points[index]
    start, stop = points[starts], points[stops]
    into, out = tangents[starts], -tangents[stops]
    chord = np.hypot(*(stop - start).T)
    span = np.maximum(1e-9, length[stops] - length[starts])
    t = (length[index] - length[starts][owner]) / span[owner]
    best = None
    for _ in range(4):
        powers = _bernstein(t)
        lever_in, lever_out = into[owner] * powers[:, 1:2], out[owner] * powers[:, 2:3]
        fixed = start[owner] * powers[:, :2].sum(1, keepdims=True)
        rest = wanted - fixed - stop[owner] * powers[:, 2:].sum(1, keepdims=True)
        pairs = ((lever_in, lever_in), (lever_in, lever_out), (lever_out, lever_out))
        sums = [np.add.reduceat((a * b).sum(1), offsets) for a, b in pairs]
        x_in, x_out = (np.add.reduceat((a * rest).sum(1), offsets) for a in (lever_in, lever_out))
        determinant = sums[0] * sums[2] - sums[1] ** 2
        safe = np.where(np.abs(determinant) > 1e-9, determinant, 1)
        arm_in = (x_in * sums[2] - x_out * sums[1]) / safe
        arm_out = (x_out * sums[0] - x_in * sums[1]) / safe
        is_sound = np.abs(determinant) > 1e-9
        for arm in (arm_in, arm_out):
            is_sound &= (arm > 0.01 * span) & (arm < 1.5 * span)
        arm_in, arm_out = (np.where(is_sound, arm, chord / 3) for arm in (arm_in, arm_out))
        controls = start + into * arm_in[:, None], stop + out * arm_out[:, None]
        curves = np.stack([start, *controls, stop], axis=1)
        away = np.einsum("nk,nkd->nd", powers, curves[owner]) - wanted
        distance = np.hypot(*away.T)
        error = np.maximum.reduceat(distance, offsets)
        if best is None:
            best = curves, error, distance
        else:
            is_better = error < best[1]
            best = (
                np.where(is_better[:, None, None], curves, best[0]),
                np.where(is_better, error, best[1]),
                np.where(is_better[owner], distance, best[2]),
            )
        t = _reparametrize(t, curves[owner], away, powers)
    curves, error, distance = best
    is_worst = distance == error[owner]
    worst = np.minimum.reduceat(np.where(is_worst, index, len(points)), offsets)
    return curves, worst, error, np.sqrt(np.add.reduceat(distance**2, offsets) / sizes)


def _bernstein(t: np.ndarray) -> np.ndarray:
    """Return the weights (n, 4) of a cubic curve's points at ``t``."""
    s = 1 - t
    return np.stack([s**3, 3 * s * s * t, 3 * s * t * t, t**3], axis=1)


def _reparametrize(
    t: np.ndarray, curves: np.ndarray, away: np.ndarray, powers: np.ndarray
) -> np.ndarray:
    """Return ``t`` after a step of Newton's method towards the nearest points on the curves."""
    s = (1 - t)[:, None]
    t_ = t[:, None]
    step = 3 * np.diff(curves, axis=1)
    speed = step[:, 0] * s * s + 2 * step[:, 1] * s * t_ + step[:, 2] * t_ * t_
    bend = 2 * ((step[:, 1] - step[:, 0]) * s + (step[:, 2] - step[:, 1]) * t_)
    slope = (speed * speed).sum(1) + (away * bend).sum(1)
    change = (away * speed).sum(1) / np.where(np.abs(slope) > 1e-9, slope, 1)
    return np.clip(t - np.where(np.abs(slope) > 1e-9, change, 0), 0, 1)


def _order(strokes: list[Stroke], shading: list[Stroke], ink: np.ndarray) -> tuple[Stroke, ...]:
    """Return the strokes as a person draws them, each begun at the end that is nearer."""
    flat = [_flatten(stroke, step_px=2) for stroke in strokes]
    length = np.array([_measure_steps(points).sum() for points in flat])
    side = math.sqrt(ink.size)
    rank = np.select([length >= side / 4, length >= side / 16], [1, 2], 3)
    outside = _find_outside(ink)
    for number, points in enumerate(flat):
        columns, rows = np.minimum(points.astype(int), np.array(ink.shape[::-1]) - 1).clip(0).T
        if rank[number] < 3 and outside[rows, columns].mean() > 0.5:
            rank[number] = 0
    strokes = strokes + shading
    rank = np.append(rank, np.full(len(shading), _SHADING))
    length = np.append(length, np.zeros(len(shading)))
    ends = np.array([stroke.points[[0, -1]] for stroke in strokes], np.float64)
    ordered: list[Stroke] = []
    pen = None
    for level in range(_SHADING + 1):
        left = np.flatnonzero(rank == level)
        open_ends = ends[left].copy()
        for _ in range(len(left)):
            if pen is None:
                near, is_turned = int(np.argmax(length[left])), False
            else:
                travel = np.hypot(*np.moveaxis(open_ends - pen, 2, 0))
                near, is_turned = divmod(int(np.argmin(travel)), 2)
            stroke = strokes[left[near]]
            points = stroke.points[::-1] if is_turned else stroke.points
            ordered.append(replace(stroke, points=np.ascontiguousarray(points)))
            pen = ends[left[near]][0 if is_turned else 1]
            open_ends[near] = np.inf
    return tuple(ordered)


def _find_outside(ink: np.ndarray) -> np.ndarray:
    """Return where the ink borders on the paper around the drawing, small gaps in it bridged."""
    gap_px = max(2, round(math.sqrt(ink.size) / 100))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * gap_px + 1,) * 2)
    wide = cv2.dilate(cv2.copyMakeBorder(ink, *[gap_px + 1] * 4, cv2.BORDER_CONSTANT), disc)
    labels = cv2.connectedComponents(1 - wide, connectivity=4)[1]
    around = (labels == labels[0, 0]).astype(np.uint8)
    near = cv2.dilate(cv2.dilate(around, disc), np.ones((9, 9), np.uint8))
    inside = np.s_[gap_px + 1 : -gap_px - 1]
    return near[inside, inside] > 0


def _flatten(stroke: Stroke, *, step_px: float = 1.0) -> np.ndarray:
    """Return the stroke as a polygon (n, 2) with corners about ``step_px`` apart or nearer."""
    points = stroke.points.astype(np.float64)
    if len(points) == 1:
        return points
    curves = np.stack([points[i : len(points) - 3 + i : 3] for i in range(4)], axis=1)
    reach = np.hypot(*np.moveaxis(np.diff(curves, axis=1), 2, 0)).sum(axis=1).max()
    t = np.linspace(0, 1, 1 + min(max(math.ceil(reach / step_px), 1), 1000))[1:]
    at = np.einsum("tk,nkd->ntd", _bernstein(t), curves).reshape(-1, 2)
    return np.concatenate([points[:1], at])


def to_svg(strokes: Strokes) -> bytes:
    """Return the drawing as an SVG file: one path a stroke, black on a white page, UTF-8.

    A viewer's unit is a pixel; paths come in the order of drawing, so a page can animate them.
    """
    height, width = strokes.size
    root = ElementTree.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        width=str(width),
        height=str(height),
        viewBox=f"0 0 {width} {height}",
    )
    ElementTree.SubElement(root, "rect", width="100%", height="100%", fill="white")
    style = {"fill": "none", "stroke": "black"}
    style |= {"stroke-linecap": "round", "stroke-linejoin": "round"}
    group = ElementTree.SubElement(root, "g", style)
    for stroke in strokes.strokes:
        width_px = f"{stroke.width_px:.2f}".rstrip("0").rstrip(".")
        ElementTree.SubElement(group, "path", {"d": _write_path(stroke), "stroke-width": width_px})
    ElementTree.indent(root, "")
    return ElementTree.tostring(root, encoding="utf-8") + b"\n"


def _write_path(stroke: Stroke) -> str:
    """Return the stroke in SVG's path language: relative, without rounding errors that add up."""
    cents = np.rint(stroke.points.astype(np.float64) * 100).astype(np.int64)
    x, y = cents[0].tolist()
    if len(cents) == 1:
        return f"M{x / 100:.9g} {y / 100:.9g}h0"
    steps = (cents[1:].reshape(-1, 3, 2) - cents[:-1:3, None]).reshape(-1)
    numbers = [f"{step / 100:.9g}" for step in steps.tolist()]
    return f"M{x / 100:.9g} {y / 100:.9g}c{' '.join(numbers)}"


def rasterize(strokes: Strokes, *, count: int | None = None) -> np.ndarray:
    """Return the drawing, or its first ``count`` strokes, as lines (H, W) uint8, borders smooth."""
    chosen = strokes.strokes[:count]
    fine = _fine_factor(strokes.size)
    page = np.full([side * fine for side in strokes.size], 255, np.uint8)
    for stroke in chosen:
        _paint(page, _flatten(stroke), stroke.width_px, fine)
    return _reduce(page, fine)


def _fine_factor(size: tuple[int, int]) -> int:
    """Return how many times finer than its pixels a page is painted."""
    return next((fine for fine in (4, 2) if size[0] * size[1] * fine**2 <= 1 << 26), 1)


def _paint(page: np.ndarray, polygon: np.ndarray, width_px: float, scale: float) -> None:
    """Paint a polygon with the round pen on a page that is ``scale`` times as large."""
    # OpenCV's lines are 2 k + 1 px wide for a thickness of 2 k.
    thickness = max(1, 2 * round((width_px * scale - 1) / 2))
    at = np.rint((polygon * scale - 0.5) * 256).clip(-(2**30), 2**30).astype(np.int32)
    if len(at) == 1:
        at = np.repeat(at, 2, axis=0)
    cv2.polylines(page, [at[:, None]], False, 0, thickness, cv2.LINE_8, 8)


def _reduce(page: np.ndarray, fine: int) -> np.ndarray:
    size = page.shape[1] // fine, page.shape[0] // fine
    return cv2.resize(page, size, interpolation=cv2.INTER_AREA) if fine > 1 else page


def draw_frames(
    strokes: Strokes,
    *,
    seconds: float = 4.0,
    frames_per_second: int = 20,
    side_px: int = 480,
) -> tuple[np.ndarray, ...]:
    """Return the pictures of a film in which the drawing grows, (h, w, 3) uint8.

    The pen is equally fast everywhere and its ways through the air take no time. The last sixth of
    the film shows the finished drawing.

    Args:
        strokes: any drawing; a page without strokes stays white.
        seconds: of the whole film.
        frames_per_second: rounded to at least 2 pictures in all.
        side_px: the longer side of the pictures.
    """
    if not (seconds > 0 and frames_per_second > 0 and 1 <= side_px <= MAX_SIDE_PX):
        raise S2IError(
            f"a film has seconds, frames a second and a side above 0, got {seconds} s, "
            f"{frames_per_second} frames a second, {side_px} px."
        )
    total = max(2, round(seconds * frames_per_second))
    growing = max(1, round(total * 5 / 6))
    scale = side_px / max(strokes.size)
    size = fit_side(strokes.size, side_px)
    fine = _fine_factor(size)
    page = np.full([side * fine for side in size], 255, np.uint8)
    polygons = [_flatten(stroke) for stroke in strokes.strokes]
    lengths = [
        np.cumsum([stroke.width_px if len(polygon) == 1 else 0, *_measure_steps(polygon)])
        for stroke, polygon in zip(strokes.strokes, polygons, strict=True)
    ]
    begins = np.cumsum([0, *(length[-1] for length in lengths)])
    frames = []
    number = 0  # of the stroke that is being drawn
    for frame in range(1, growing + 1):
        reached = begins[-1] * frame / growing
        while number < len(polygons):
            is_whole = frame == growing or begins[number + 1] <= reached
            polygon, length = polygons[number], lengths[number] + begins[number]
            if not is_whole:
                if reached <= begins[number]:
                    break
                polygon = polygon[: max(1, int(np.searchsorted(length, reached, side="right")))]
            _paint(page, polygon, strokes.strokes[number].width_px, scale * fine)
            if not is_whole:
                break
            number += 1
        frames.append(cv2.cvtColor(_reduce(page, fine), cv2.COLOR_GRAY2RGB))
    return (*frames, *[frames[-1]] * (total - growing))


def to_npz(strokes: Strokes) -> bytes:
    """Return the drawing as an npz file, the same bytes for the same drawing.

    Our own keys hold it exactly: ``version``, ``size`` (height, width), ``points`` (n, 2) float32
    of all strokes, ``offsets`` where each one begins and the last one ends, ``widths`` float32.

    Besides there are those of Mo et al. 2021 (General Virtual Sketching), for programs that read
    them: ``strokes_data`` (N, 7), ``init_cursors`` (R, 2), ``image_size``, ``round_length`` (R),
    ``init_width``. There the page is padded to a square, curves are quadratic, the pen is at least
    1 px wide, and a round has some 500 commands; that format says 10 rounds at most, here are as
    many as the drawing needs.
    """
    sizes = [len(stroke.points) for stroke in strokes.strokes]
    points = [stroke.points for stroke in strokes.strokes]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        version=np.int64(NPZ_VERSION),
        size=np.array(strokes.size, np.int64),
        points=np.concatenate(points or [np.zeros((0, 2))]).astype(np.float32),
        offsets=np.cumsum([0, *sizes]).astype(np.int64),
        widths=np.array([stroke.width_px for stroke in strokes.strokes], np.float32),
        **_to_commands(strokes),
    )
    return buffer.getvalue()


_FIRST_WINDOW_PX, _SMALLEST_WINDOW_PX, _COMMANDS_A_ROUND = 128, 32, 500


def _to_commands(strokes: Strokes) -> dict[str, np.ndarray]:
    """Return the drawing as Mo et al. 2021 encode one: steps in a window around the cursor."""
    side = max(*strokes.size, _SMALLEST_WINDOW_PX)
    rows: list[list[float]] = []
    cursors: list[np.ndarray] = []
    lengths: list[int] = []
    cursor = np.zeros(2)
    window = 0.0

    def step(target: np.ndarray, control: np.ndarray, is_move: bool, width_px: float) -> None:
        """Go to ``target`` in as many steps as the window demands; drawn ones fit into one."""
        nonlocal cursor, window
        while True:
            way = np.clip((target - cursor) / (window / 2), -1, 1)
            bow = np.full(2, 0.5)
            has_way = np.abs(target - cursor) > 1e-6
            bow[has_way] = ((control - cursor)[has_way] / (target - cursor)[has_way]).clip(0, 1)
            ratio = min(max(2 * (width_px / window - 0.008), 1e-4), 1 - 1e-4)
            rows.append([float(is_move), bow[1], bow[0], way[1], way[0], ratio, 1.0])
            cursor = np.clip(cursor + way * window / 2, 0, side - 1)
            window = min(max(window, _SMALLEST_WINDOW_PX), side)
            if np.abs(cursor - target).max() < 1e-6:
                return

    for stroke in strokes.strokes:
        curves = _to_quadratics(stroke, min(_FIRST_WINDOW_PX, side) / 2)
        curves = np.clip(curves - 0.5, 0, side - 1)  # there whole numbers are centers of pixels
        if not lengths or len(rows) - sum(lengths[:-1]) > _COMMANDS_A_ROUND:
            if lengths:
                lengths[-1] = len(rows) - sum(lengths[:-1])
            lengths.append(0)
            cursors.append((curves[0, 0] / side).astype(np.float32))
            cursor = cursors[-1].astype(np.float64) * side
            window = float(_FIRST_WINDOW_PX)
        step(curves[0, 0], cursor, True, 0)
        for _, control, end in curves:
            step(end, control, False, stroke.width_px)
        step(cursor, cursor, True, 0)  # a curve that no move ends is lost by some readers
    if lengths:
        lengths[-1] = len(rows) - sum(lengths[:-1])
    return {
        "strokes_data": np.array(rows, np.float64).reshape(-1, 7),
        "init_cursors": np.array(cursors, np.float32).reshape(-1, 2),
        "image_size": np.int64(side),
        "round_length": np.array(lengths, np.int64),
        "init_width": np.float64(0.01),
    }


def _to_quadratics(stroke: Stroke, reach_px: float) -> np.ndarray:
    """Return the stroke as quadratic curves (n, 3, 2), each within ``reach_px`` along x and y.

    None of them turns back along x or y: their controls must lie in the box of their ends.
    """
    points = stroke.points.astype(np.float64)
    if len(points) == 1:
        return np.repeat(points[None], 3, axis=1)
    found = []
    for first in range(0, len(points) - 1, 3):
        curve = points[first : first + 4]
        third = np.abs(curve[3] - 3 * curve[2] + 3 * curve[1] - curve[0]).max()
        parts = max(
            (third / 20 / 0.1) ** (1 / 3),
            np.abs(np.diff(curve, axis=0)).sum(0).max() * 2 / reach_px,
        )
        t = np.linspace(0, 1, 1 + math.ceil(max(1, parts)))
        step = 3 * np.diff(curve, axis=0)
        for a, b, c in zip(
            step[2] - 2 * step[1] + step[0], 2 * (step[1] - step[0]), step[0], strict=True
        ):
            turns = np.roots([a, b, c])
            turns = turns[np.isreal(turns)].real
            t = np.append(t, turns[(turns > 0.001) & (turns < 0.999)])
        t = np.unique(t)
        at = _bernstein(t) @ curve
        middle = _bernstein((t[:-1] + t[1:]) / 2) @ curve
        control = 2 * middle - (at[:-1] + at[1:]) / 2
        low, high = np.minimum(at[:-1], at[1:]), np.maximum(at[:-1], at[1:])
        found.append(np.stack([at[:-1], np.clip(control, low, high), at[1:]], axis=1))
    return np.concatenate(found)


def from_npz(content: bytes) -> Strokes:
    """Return the drawing that :func:`to_npz` wrote; only our own keys are read, nothing unpickled.

    Raises:
        S2IError: something else, damaged, of another version, or larger than a page may be.
    """
    wanted = ("version", "size", "points", "offsets", "widths")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = [archive.getinfo(f"{name}.npy") for name in wanted]
            if sum(part.file_size for part in parts) > _MAX_NPZ_BYTES:
                raise S2IError(f"a drawing has at most {_MAX_NPZ_BYTES >> 20} MiB, this has more.")
            version, size, points, offsets, widths = (
                np.lib.format.read_array(io.BytesIO(archive.read(part)), allow_pickle=False)
                for part in parts
            )
    except (
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        ValueError,
        TypeError,
        OSError,
        EOFError,
        MemoryError,
        OverflowError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise S2IError(
            f"this is no drawing of strokes ({error}): choose an npz file written here."
        ) from None
    _check_npz(version, size, points, offsets, widths)
    strokes = [
        Stroke(points=points[first:last].astype(np.float32), width_px=round(float(width), 2))
        for first, last, width in zip(offsets[:-1], offsets[1:], widths, strict=True)
    ]
    return Strokes(size=tuple(size.tolist()), strokes=tuple(strokes))


def _check_npz(
    version: np.ndarray,
    size: np.ndarray,
    points: np.ndarray,
    offsets: np.ndarray,
    widths: np.ndarray,
) -> None:
    """Raise an S2IError that says what is wrong with the arrays of a drawing."""
    if version.shape != () or version.dtype.kind != "i" or version != NPZ_VERSION:
        raise S2IError(f"the drawing has version {version}, version {NPZ_VERSION} is read.")
    if (
        size.shape != (2,)
        or size.dtype.kind != "i"
        or not ((size > 0) & (size <= MAX_SIDE_PX)).all()
    ):
        raise S2IError(f"a page has 1 to {MAX_SIDE_PX} px a side, this one's size is {size}.")
    is_sound = (
        points.ndim == 2
        and points.shape[1] == 2
        and points.dtype.kind == "f"
        and widths.ndim == 1
        and widths.dtype.kind == "f"
        and offsets.shape == (len(widths) + 1,)
        and offsets.dtype.kind == "i"
        and offsets[0] == 0
        and offsets[-1] == len(points)
        and bool((np.diff(offsets) > 0).all() and (np.diff(offsets) % 3 == 1).all())
    )
    if not is_sound:
        raise S2IError(
            f"the strokes don't fit together (points {points.shape}, offsets {offsets.shape}, "
            f"widths {widths.shape}): the file may be damaged."
        )
    reach = 2 * MAX_SIDE_PX
    if not ((np.abs(points) <= reach).all() and ((widths > 0) & (widths <= reach)).all()):
        raise S2IError("points or widths of the strokes lie far off the page or are no numbers.")
