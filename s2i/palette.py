"""Colors: the flat color domain of a photo, palettes, regions, dabs that spread, hue.

Pure array in, array out. Pictures are (H, W, 3) uint8 RGB; a painted layer is (H, W, 4), its alpha
says where it is painted. Nothing here reads or changes a global random state.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

_REFERENCE_PX = 128  # kernels and distances are stated for pictures of this side
_STRAIGHT, _DIAGONAL = 5, 7  # lengths of the two kinds of steps to a neighboring pixel
_GAP_SHARE = 0.6  # share of that which crossing a small gap in a line costs
_GAP_PX = 4
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_NEARLY = 0.85


def color_domain(
    photo: np.ndarray, *, colors: int = 3, blur_px: int = 25, soften_px: int = 3, seed: int = 0
) -> np.ndarray:
    """Return ``photo`` as a few flat areas: median blur, k-means in RGB, median blur.

    Args:
        photo: (H, W, 3) uint8.
        colors: how many flat colors at most.
        blur_px: kernel of the first median, for a picture of 128 px: it is scaled by
            min(H, W) / 128 and made odd. A wide one is worked out on a smaller copy.
        soften_px: kernel of the last median, which rounds the areas' borders; scaled likewise.
        seed: of the pixels that are sampled and of the first centers.

    Returns:
        (H, W, 3) uint8.
    """
    scale = min(photo.shape[:2]) / _REFERENCE_PX
    pixels = _blur_widely(photo, round(blur_px * scale)).reshape(-1, 3).astype(np.float32)
    random = np.random.default_rng(seed)
    centers = _cluster(_sample(pixels, 500, random), colors, random)
    nearest = _score(pixels, centers).argmax(axis=0)
    flat = np.rint(centers).astype(np.uint8).take(nearest, axis=0).reshape(photo.shape)
    return _blur_median(flat, round(soften_px * scale))


def extract_palette(photo: np.ndarray, count: int = 8, *, seed: int = 0) -> np.ndarray:
    """Return the main colors of ``photo``, the most frequent first: (count, 3) uint8.

    Found by k-means in Lab, on a sample. Fewer rows when there are fewer distinct colors.

    >>> extract_palette(np.array([[[0, 0, 0], [9, 200, 9], [9, 200, 9]]], np.uint8)).tolist()
    [[9, 200, 9], [0, 0, 0]]
    """
    random = np.random.default_rng(seed)
    pixels = _to_lab(_sample(photo.reshape(-1, 3), 4000, random))
    centers = _cluster(pixels, count, random)
    shares = np.bincount(_score(pixels, centers).argmax(axis=0), minlength=len(centers))
    palette = _from_lab(centers[np.argsort(-shares, kind="stable")])
    _, first = np.unique(palette, axis=0, return_index=True)
    return palette[np.sort(first)]


def find_regions(domain: np.ndarray) -> np.ndarray:
    """Number the connected areas of equal color: (H, W) int32, 0 .. n - 1.

    Pixels touch by their sides, not by their corners. ``domain`` is (H, W, C) of any type.

    >>> find_regions(np.array([[[7], [7], [1]], [[1], [7], [1]]])).tolist()
    [[0, 0, 1], [2, 0, 1]]
    """
    height, width = domain.shape[:2]
    # Pixels and the links between equal neighbors, on a grid of twice the size, are one mask.
    grid = np.zeros((2 * height - 1, 2 * width - 1), np.uint8)
    grid[::2, ::2] = 1
    grid[1::2, ::2] = (domain[1:] == domain[:-1]).all(axis=2)
    grid[::2, 1::2] = (domain[:, 1:] == domain[:, :-1]).all(axis=2)
    _, labels = cv2.connectedComponents(grid, connectivity=4, ltype=cv2.CV_32S)
    return np.ascontiguousarray(labels[::2, ::2]) - 1


def find_areas(lines: np.ndarray, *, gap_px: float = 3) -> np.ndarray:
    """Number the areas that lines enclose, gaps closed: (H, W) int32, 0 .. n - 1, -1 on the ink.

    ``lines`` is (H, W), ink below 128; ``gap_px`` is that of a picture of 128 px and grows with it.

    >>> find_areas(np.array([[255, 0, 255]] * 3, np.uint8), gap_px=0)[0].tolist()
    [0, -1, 1]
    """
    ink = (lines < 128).astype(np.uint8)
    side = round(gap_px * math.sqrt(lines.size) / _REFERENCE_PX) | 1  # an even one moves the ink
    if side > 1:
        ink = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    _, areas = cv2.connectedComponents(1 - ink, connectivity=4, ltype=cv2.CV_32S)
    return areas - 1


def find_paper(lines: np.ndarray, colors: np.ndarray, *, gap_px: float = 6) -> np.ndarray:
    """Return the bare paper around a figure: (H, W) bool.

    What a disc of ``gap_px`` reaches from the upper corners and the upper halves of the sides
    without touching ink, grown into the nooks between the lines, and all of an area that is
    nearly all reached; nothing of it where there is paint in it.

    Args:
        lines: (H, W) uint8, ink below 128.
        colors: (H, W, 4) uint8, painted where alpha is at least 128.
        gap_px: of a picture of 128 px, grows with it: narrower gaps in the lines are no way in.
    """
    side = max(1, round(gap_px * math.sqrt(lines.size) / _REFERENCE_PX)) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    ink = (lines < 128).astype(np.uint8)
    near = cv2.dilate(ink, disc)
    _, ways = cv2.connectedComponents(1 - near, connectivity=4, ltype=cv2.CV_32S)
    upper = len(lines) // 2 + 1
    found = {int(ways[0, 0]), int(ways[0, -1]), *np.unique(ways[:upper, (0, -1)]).tolist()} - {0}
    painted = set(np.unique(ways[colors[..., 3] >= 128]).tolist())
    reached = np.isin(ways, list(found - painted)).astype(np.uint8)
    is_bare = (ink == 0) & (colors[..., 3] < 128)
    areas = find_areas(lines)
    way = (is_bare & (areas >= 0)).astype(np.uint8)
    for _ in range(2 * side):
        reached = cv2.dilate(reached, _CROSS) & way
    rim = cv2.dilate(reached, np.ones((side // 2 | 1,) * 2, np.uint8)) > 0  # closed gaps are walls
    reached = (reached > 0) | (rim & is_bare & (areas < 0))
    sizes = np.bincount(areas.ravel() + 1)
    paper = np.bincount(areas[reached] + 1, minlength=len(sizes))
    is_paper = paper > _NEARLY * sizes
    is_paper[0] = False  # the ink
    return reached | (is_paper[areas + 1] & is_bare)


def settle_dabs(colors: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Take back what of a small dab laps over a line: it is meant for where most of it lies.

    A dab is connected paint on at most a hundredth of the picture. (H, W, 4) and (H, W), ink below
    128 -> (H, W, 4); strokes and fills stay as they are.
    """
    count, dabs, stats, _ = cv2.connectedComponentsWithStats(
        (colors[..., 3] >= 128).astype(np.uint8), connectivity=8
    )
    areas = find_areas(lines, gap_px=1)
    settled = colors.copy()
    for number in range(1, count):
        x, y, width, height, size = stats[number]
        if size > 0.01 * lines.size:
            continue
        place = np.s_[y : y + height, x : x + width]
        is_dab = dabs[place] == number
        under = areas[place][is_dab]
        shares = np.bincount(under[under >= 0], minlength=1)
        if 2 * shares.sum() < size:
            settled[place][is_dab & (areas[place] >= 0)] = 0
        elif shares.max() >= 0.5 * shares.sum() > 0:
            settled[place][is_dab & (areas[place] >= 0) & (areas[place] != shares.argmax())] = 0
    return settled


def strengthen(colors: np.ndarray) -> np.ndarray:
    """Return ``colors`` (N, 3) uint8 with 1.7 times their chroma, 26 to 75 in Lab; greys stay."""
    lab = _to_lab(colors[None])[0]
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    wanted = np.where(chroma > 6, np.clip(1.7 * chroma, 26, 75), chroma)
    lab[:, 1:] *= (wanted / np.maximum(chroma, 1e-3))[:, None]
    return _from_lab(lab[None])[0]


def draw_palette(
    count: int, random: np.random.Generator, *, first: np.ndarray | None = None
) -> np.ndarray:
    """Return ``count`` colors that go together: (count, 3) uint8; ``first`` sets the first hue.

    Neighbors of one hue and of its opposite, light where that hue is light (yellow) and darker
    where it is dark (blue).
    """
    offsets = np.array([0, -35, 160, 30, 200, 75, 120, -80])
    start = random.uniform(0, 360)
    if first is not None:
        start = np.degrees(np.arctan2(*_to_lab(first[None, None])[0, 0, :0:-1]))
    hues = start + offsets[np.arange(count) % len(offsets)]
    hues = np.radians(hues + random.uniform(-12, 12, count))
    light = 64 + 16 * np.cos(hues - np.radians(100)) + random.uniform(-9, 9, count)
    chroma = random.uniform(34, 62, count)
    lab = np.stack([light, chroma * np.cos(hues), chroma * np.sin(hues)], axis=1)
    return _from_lab(lab[None].astype(np.float32))[0]


def spread_colors(
    colors: np.ndarray,
    lines: np.ndarray,
    *,
    crossing_px: float = 24,
    reach_px: float = 24,
    grid_px: int = 128,
) -> np.ndarray:
    """Carry every painted pixel's color over the bare paper, with lines as barriers.

    A pixel takes the color of the paint from which the way to it is shortest. Crossing a gap of up
    to 4 px in a line costs a little less than crossing a line. Lengths are those of a picture of
    128 px and grow with sqrt(H * W). Larger pictures are worked out on a grid of ``grid_px`` cells
    a side, so their color borders come in steps of a cell.

    Args:
        colors: (H, W, 4) uint8, painted where alpha is at least 128.
        lines: (H, W) uint8, ink below 128.
        crossing_px: what crossing a line costs, as a way over bare paper.
        reach_px: over this way the confidence in a color falls to 1/e.
        grid_px: the time grows with its square.

    Returns:
        (H, W, 4) uint8: the color, and as alpha the confidence in it, 255 on the paint and
        255 * exp(-way / reach_px), at least 1, elsewhere. All 0 when nothing is painted.
    """
    height, width = lines.shape
    is_painted = colors[..., 3] >= 128
    if not is_painted.any():
        return np.zeros_like(colors)
    side = math.sqrt(height * width)
    scale, shrink = min(side, grid_px) / _REFERENCE_PX, max(1, side / grid_px)
    rows = np.minimum(np.arange(height) / shrink, max(1, round(height / shrink)) - 1).astype(int)
    columns = np.minimum(np.arange(width) / shrink, max(1, round(width / shrink)) - 1).astype(int)
    grid = rows[-1] + 1, columns[-1] + 1
    cells = rows[:, None] * grid[1] + columns

    ink = np.zeros(grid, np.uint8)
    ink.ravel()[cells[lines < 128]] = 1
    painted = np.full(grid, -1)
    painted.ravel()[cells[is_painted]] = np.flatnonzero(is_painted)
    nearest, way = _find_ways(painted >= 0, _find_barriers(ink, scale, crossing_px))
    found = colors.reshape(-1, 4)[painted.ravel()[nearest]]
    way_px = way / (_STRAIGHT * scale)
    found[..., 3] = np.maximum(1, np.rint(255 * np.exp(way_px * (-1 / reach_px))))
    spread = found.reshape(-1, 4)[cells]
    spread[is_painted, :3] = colors[is_painted, :3]
    spread[is_painted, 3] = 255
    return spread


def turn_hue(array: np.ndarray, degrees: float) -> np.ndarray:
    """Turn the hue of ``array``, (H, W, 3) or (H, W, 4), by any number of degrees.

    The turn is made in Lab, so it wraps rightly and lightness and chroma stay; a color that would
    then lie outside of RGB is clipped into it, channel by channel. Alpha is kept.
    """
    turned = array.copy()
    if degrees % 360 == 0:
        return turned
    lab = _to_lab(array[..., :3])
    angle = math.radians(degrees % 360)
    cos, sin = math.cos(angle), math.sin(angle)
    a, b = lab[..., 1].copy(), lab[..., 2].copy()
    lab[..., 1], lab[..., 2] = cos * a - sin * b, sin * a + cos * b
    turned[..., :3] = _from_lab(lab)
    return turned


def lighten(picture: np.ndarray) -> np.ndarray:
    """Stretch the contrast about 125 by a tenth, as PI-REC's "lighten" does: 1.1 x - 12.5.

    >>> lighten(np.array([0, 50, 200, 255], np.uint8)).tolist()
    [0, 42, 208, 255]
    """
    table = np.clip(np.rint((11 * np.arange(256) - 125) / 10), 0, 255).astype(np.uint8)
    return table[picture]


def blend_colors(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """Return the linear blend of two color maps: ``first`` at share 0, ``second`` at 1.

    >>> blend_colors(np.uint8([[[0, 100, 7]]]), np.uint8([[[200, 0, 7]]]), 0.25).tolist()
    [[[50, 75, 7]]]
    """
    blended = (1 - share) * first.astype(np.float32) + share * second.astype(np.float32)
    return np.clip(np.rint(blended), 0, 255).astype(np.uint8)


def _blur_median(picture: np.ndarray, side_px: int) -> np.ndarray:
    return cv2.medianBlur(picture, min(side_px | 1, 255)) if side_px > 1 else picture


def _blur_widely(picture: np.ndarray, side_px: int) -> np.ndarray:
    """Return the median over ``side_px``, found where that is 10 px or so: 4 times as fast."""
    height, width = picture.shape[:2]
    shrink = max(1, round(side_px / 10))
    if shrink == 1:
        return _blur_median(picture, side_px)
    small_size = max(1, round(width / shrink)), max(1, round(height / shrink))
    small = cv2.resize(picture, small_size, interpolation=cv2.INTER_AREA)
    blurred = _blur_median(small, round(side_px / shrink))
    return cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)


def _sample(pixels: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    return pixels if len(pixels) <= count else pixels[random.integers(len(pixels), size=count)]


def _cluster(points: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Return at most ``count`` k-means centers of float ``points``, the better of two attempts."""
    best, highest = points[:1], -math.inf
    for _ in range(2):
        centers = _seed_centers(points, count, random)
        for _ in range(10):
            nearest = _score(points, centers).argmax(axis=0)
            members = (nearest == np.arange(len(centers))[:, None]).astype(np.float32)
            moved = members @ points / np.maximum(1, members.sum(axis=1, keepdims=True))
            has_settled = np.abs(moved - centers).max() < 1
            centers = moved
            if has_settled:
                break
        score = _score(points, centers).max(axis=0).sum()
        if score > highest:
            best, highest = centers, score
    return best


def _seed_centers(points: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Pick distinct points, farther ones more likely (k-means++)."""
    centers = [points[random.integers(len(points))]]
    distance = np.square(points - centers[0]) @ np.ones(3, np.float32)
    while len(centers) < count and distance.max() > 0.01:
        total = distance.cumsum(dtype=np.float64)
        pick = np.searchsorted(total, random.random() * total[-1], side="right")
        centers.append(points[min(pick, len(points) - 1)])
        distance = np.minimum(distance, np.square(points - centers[-1]) @ np.ones(3, np.float32))
    return np.stack(centers)


def _score(points: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return c.p - c.c / 2, (centers, points): the largest belongs to the nearest center."""
    return centers @ points.T - np.square(centers).sum(axis=1, keepdims=True) / 2


def _to_lab(colors: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(colors.reshape(1, -1, 3), np.float32) / 255
    return cv2.cvtColor(flat, cv2.COLOR_RGB2Lab).reshape(colors.shape)


def _from_lab(lab: np.ndarray) -> np.ndarray:
    flat = cv2.cvtColor(np.ascontiguousarray(lab.reshape(1, -1, 3)), cv2.COLOR_Lab2RGB)
    return np.rint(255 * np.clip(flat, 0, 1)).astype(np.uint8).reshape(lab.shape)


def _find_barriers(ink: np.ndarray, scale: float, crossing_px: float) -> np.ndarray:
    """Return how high each pixel stands as a barrier: (H, W) int64, in lengths of steps.

    Climbing costs a height and so does descending, so that a thick line costs what a thin one does.
    """
    height = round(crossing_px * scale * _STRAIGHT / 2)
    side = 2 * max(1, round(_GAP_PX * scale / 2)) + 1
    closed = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    heights = np.array([0, round(_GAP_SHARE * height), height], np.int64)
    return heights[ink + closed]


def _find_ways(is_source: np.ndarray, barriers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest source (flat index) and the length of the way to it, both (H, W).

    The shortest ways from all sources over a grid of eight neighbors. One sweep along a direction
    settles every straight way in it at once: with the costs of the steps summed up along the line,
    the length at j is the smallest of length[k] + sum[j] - sum[k], a running minimum. Sweeps in
    all eight directions are repeated until nothing changes: once per turn of the longest way. The
    source's index rides in the low bits of the length.
    """
    height, width = is_source.shape
    shift = (height * width).bit_length()
    wall = int((height + width) * (_DIAGONAL + 2 * barriers.max() + 1))  # longer than any way
    # Walls on the right: then a step in any direction is a step in the flat array. Two columns,
    # because a stride that is a power of two, common for pictures, is slow.
    stride = width + 2
    padded = np.full((height, stride), -1, np.int64)
    padded[:, :width] = barriers
    flat = padded.ravel()
    steps = (1, stride - 1, stride, stride + 1)
    room = max(-(-flat.size // step) * step for step in steps)
    length = np.full(room, 2 * wall << shift, np.int64)
    sources = np.flatnonzero(is_source)
    length[sources // width * stride + sources % width] = sources

    sweeps = []
    for step in steps:
        cost = np.full(room, wall, np.int64)
        cost[step : flat.size] = _cost_steps(flat, step, stride, wall)
        count = -(-flat.size // step) * step
        shape = (count,) if step == 1 else (-1, step)
        along = length[:count].reshape(shape)
        sums = np.cumsum(cost[:count].reshape(shape), axis=0) << shift
        sweeps.append((along, sums, np.empty_like(sums)))
    while True:
        before = length.copy()
        for along, sums, scratch in sweeps:
            np.subtract(along, sums, out=scratch)
            np.minimum.accumulate(scratch, axis=0, out=scratch)
            np.add(scratch, sums, out=along)
            np.add(along, sums, out=scratch)
            np.minimum.accumulate(scratch[::-1], axis=0, out=scratch[::-1])
            np.subtract(scratch, sums, out=along)
        if np.array_equal(length, before):
            break
    length = length[: flat.size].reshape(height, stride)[:, :width]
    return length & ((1 << shift) - 1), length >> shift


def _cost_steps(flat: np.ndarray, step: int, stride: int, wall: int) -> np.ndarray:
    """Return what the step from pixel i to pixel i + ``step`` costs, for every i."""
    start, end = flat[:-step], flat[step:]
    climb = np.abs(end - start)
    is_diagonal = step in (stride - 1, stride + 1)
    if is_diagonal:
        # By way of the lower of the two corners: a diagonal line of one pixel has no holes.
        beside = np.roll(flat, -1 if step == stride + 1 else 1)[: len(start)]
        below = np.roll(flat, -stride)[: len(start)]
        climb = np.minimum(
            np.abs(beside - start) + np.abs(end - beside),
            np.abs(below - start) + np.abs(end - below),
        )
    cost = climb + (_DIAGONAL if is_diagonal else _STRAIGHT)
    return np.where((start < 0) | (end < 0), wall, cost)
