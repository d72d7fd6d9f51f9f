"""How hands draw: crooked, broken, thick lines; dabs, strokes and fills instead of full colours.

Everything is made from a picture's own lines and colour domain, for training and for scoring.
Lengths are those of a picture of 128 px and grow with its size.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from s2i.edges import find_lines, thin_lines, xdog
from s2i.palette import find_regions


@dataclass(frozen=True)
class Dab:
    """One disc of paint: its center and radius in pixels, and its RGB color."""

    y: int
    x: int
    radius_px: float
    color: tuple[int, int, int]


def dab(
    domain: np.ndarray,
    rng: np.random.Generator,
    *,
    count: int,
    radius_px: tuple[float, float] = (2, 5),
) -> tuple[np.ndarray, list[Dab]]:
    """Dab ``count`` discs of the local color, mostly well inside an area of one color.

    Args:
        domain: (H, W, 3), the color domain.
        rng: chooses places and radii.
        count: how many.
        radius_px: smallest and largest radius.

    Returns:
        The painted layer (H, W, 4) and the dabs, in the order painted.
    """
    height, width = domain.shape[:2]
    scale = min(height, width) / 128
    depth = cv2.distanceTransform(_inside(domain), cv2.DIST_L2, 3)
    colors = np.zeros((height, width, 4), np.uint8)
    dabs = []
    for _ in range(count):
        radius = rng.uniform(*radius_px) * scale
        ys, xs = rng.integers(height, size=8), rng.integers(width, size=8)
        fits = np.flatnonzero(depth[ys, xs] > radius)
        best = int(fits[0]) if len(fits) else int(depth[ys, xs].argmax())
        y, x = int(ys[best]), int(xs[best])
        color = tuple(int(value) for value in domain[y, x])
        cv2.circle(colors, (x, y), round(radius), (*color, 255), -1)
        dabs.append(Dab(y, x, radius, color))
    return colors, dabs


def dab_regions(
    domain: np.ndarray,
    rng: np.random.Generator,
    *,
    count: int,
    radius_px: tuple[float, float] = (2, 5),
    ink: np.ndarray | None = None,
) -> tuple[np.ndarray, list[Dab]]:
    """Dab one region after the other, as who colors a drawing does: see :func:`dab`.

    Regions of one color, larger ones more likely to come early (by the root of their size), each
    once until all have a dab. Dabs lie inside and are smaller where the region is. Where there is
    ``ink`` (H, W) bool, there is no dab.
    """
    scale = min(domain.shape[:2]) / 128
    regions = find_regions(domain)
    sizes = np.bincount(regions.ravel()).astype(float)
    inside = _inside(domain)
    if ink is not None:
        inside[ink] = 0
        is_ink = 2 * np.bincount(regions[ink], minlength=len(sizes)) > sizes
        if not is_ink.all():
            sizes[is_ink] = 0
    known = np.flatnonzero(sizes >= min(0.001 * regions.size, sizes.max()))
    chance = np.sqrt(sizes[known]) / np.sqrt(sizes[known]).sum()
    order = rng.choice(known, len(known), replace=False, p=chance)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    colors = np.zeros((*domain.shape[:2], 4), np.uint8)
    dabs = []
    for number in range(count):
        ys, xs = np.nonzero(regions == order[number % len(order)])
        deep = depth[ys, xs]
        radius = min(rng.uniform(*radius_px) * scale, max(1.0, 0.7 * float(deep.max())))
        fits = np.flatnonzero(deep >= min(radius, deep.max()))
        at = int(fits[rng.integers(len(fits))])
        y, x = int(ys[at]), int(xs[at])
        color = tuple(int(value) for value in domain[y, x])
        cv2.circle(colors, (x, y), round(radius), (*color, 255), -1)
        dabs.append(Dab(y, x, radius, color))
    return colors, dabs


def cover(domain: np.ndarray, rng: np.random.Generator, *, share: float) -> np.ndarray:
    """Paint strokes, discs and fills of the local color over about ``share`` of the picture.

    Strokes mostly keep to the area that they start in. (H, W, 3) -> painted layer (H, W, 4).
    """
    height, width = domain.shape[:2]
    scale = min(height, width) / 128
    regions = find_regions(domain)
    painted = np.zeros((height, width), bool)
    flat = domain.copy()
    for _ in range(60):
        if painted.mean() >= share:
            break
        y, x = int(rng.integers(height)), int(rng.integers(width))
        region = regions == regions[y, x]
        kind = rng.random()
        if kind < 0.2 and region.mean() < 1.3 * share:
            shape = region
        else:
            canvas = np.zeros((height, width), np.uint8)
            if kind < 0.5:
                cv2.circle(canvas, (x, y), round(rng.uniform(3, 14) * scale), 1, -1)
            else:
                steps = rng.normal(0, 14 * scale, (int(rng.integers(2, 7)), 2))
                points = np.cumsum(np.vstack([[x, y], steps]), axis=0).astype(np.int32)
                cv2.polylines(canvas, [points], False, 1, max(1, round(rng.uniform(3, 12) * scale)))
            shape = canvas.astype(bool)
            if rng.random() < 0.8:
                shape &= region
            else:
                flat[shape] = domain[y, x]
        painted |= shape
    return np.dstack([flat, np.where(painted, 255, 0).astype(np.uint8)])


def shift(colors: np.ndarray, rng: np.random.Generator, *, up_to_px: float = 6) -> np.ndarray:
    """Move a painted layer (H, W, 4) off its lines; what is left free stays bare."""
    reach = up_to_px * min(colors.shape[:2]) / 128
    move = np.float32([[1, 0, rng.uniform(-reach, reach)], [0, 1, rng.uniform(-reach, reach)]])
    return cv2.warpAffine(colors, move, colors.shape[1::-1], flags=cv2.INTER_NEAREST)


def leave_bare(picture: np.ndarray, rng: np.random.Generator, *, up_to: float = 0.7) -> np.ndarray:
    """Paint free-form strokes of bare paper over a picture: PI-REC's imitation phase.

    (H, W, 3) -> (H, W, 4), at most about ``up_to`` of it bare.
    """
    height, width = picture.shape[:2]
    scale = min(height, width) / 128
    target = rng.uniform(0.1, up_to)
    bare = np.zeros((height, width), np.uint8)
    for _ in range(40):
        if bare.mean() >= target:
            break
        start = rng.uniform((0, 0), (width, height))
        steps = rng.normal(0, 20 * scale, (int(rng.integers(2, 8)), 2))
        points = np.cumsum(np.vstack([start, steps]), axis=0).astype(np.int32)
        cv2.polylines(bare, [points], False, 1, max(1, round(rng.uniform(6, 24) * scale)))
    return np.dstack([picture, np.where(bare, 0, 255).astype(np.uint8)])


def warp_lines(lines: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Redraw lines as a hand would: bent, broken, thicker, short ones left out.

    (H, W), ink 0 -> (H, W), ink 0, thinned again to one pixel as every drawing is.
    """
    height, width = lines.shape
    scale = min(height, width) / 128
    ink = (lines < 128).astype(np.uint8)
    shortest = rng.uniform(0, 14) * scale
    count, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    is_kept = stats[:, cv2.CC_STAT_AREA] >= shortest
    is_kept[0] = False
    ink = is_kept[labels].astype(np.uint8) if count > 1 else ink

    side = 2 * round(rng.uniform(0, 1.5) * scale) + 1
    ink = cv2.dilate(ink, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side + 2, side + 2)))
    bend = _bend((height, width), rng, amount_px=rng.uniform(0.5, 3) * scale, scale=scale)
    grey = cv2.remap(255 * ink, *bend, cv2.INTER_LINEAR)
    for _ in range(int(rng.integers(0, 7))):
        center = int(rng.integers(width)), int(rng.integers(height))
        cv2.circle(grey, center, round(rng.uniform(2, 7) * scale), 0, -1)
    return thin_lines(255 - grey, (height, width))


def bend(lines: np.ndarray, rng: np.random.Generator, *, amount_px: float) -> np.ndarray:
    """Move every point of lines (H, W) smoothly, by ``amount_px`` on average: same shape."""
    maps = _bend(lines.shape, rng, amount_px=amount_px, scale=min(lines.shape) / 128)
    return cv2.remap(
        lines, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=255
    )


def misshape(
    lines: np.ndarray, rng: np.random.Generator, *, amount: float = 1.0, flips: bool = False
) -> np.ndarray:
    """Give a drawing wrong proportions: stretched, tilted, smoothly bent, its ink where it was.

    The box around the ink keeps its middle and its longer side. (H, W), ink 0 -> (H, W), lines of
    some 3 px that are to be thinned. ``amount`` 1 stretches by a seventh, tilts by 5 degrees and
    moves points by 4 % of the side, each on average; ``flips`` mirrors half of the drawings.
    """
    height, width = lines.shape
    ink = cv2.dilate((lines < 128).astype(np.uint8), np.ones((3, 3), np.uint8)) * 255
    box = cv2.boundingRect(ink)
    if not box[2]:
        return lines.copy()
    middle = np.array([box[0] + (box[2] - 1) / 2, box[1] + (box[3] - 1) / 2])
    stretch, angle = np.exp(amount * rng.normal(0, 0.07) * np.array([1, -1])), rng.normal(0, 5)
    turn = cv2.getRotationMatrix2D((0, 0), amount * angle, 1.0)[:, :2]
    matrix = turn @ np.array([[1, amount * rng.normal(0, 0.06)], [0, 1]]) * stretch
    if flips and rng.random() < 0.5:
        matrix[:, 0] *= -1
    reach = 0.05 * amount * max(box[2:])
    knots = int(rng.integers(3, 6))
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    maps = []
    for row, center in zip(matrix, middle, strict=True):
        field = rng.normal(center, reach, (knots, knots)).astype(np.float32)
        field = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
        across, down = (float(factor) for factor in row)
        field += across * (xs - float(middle[0])) + down * (ys - float(middle[1]))
        maps.append(field)
    bent = cv2.remap(ink, *maps, cv2.INTER_LINEAR)
    return 255 - fit_ink(bent, box)


def fit_ink(ink: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Move and scale ink (H, W), 255 on paper 0, to the middle and longer side of a box.

    The box is (x, y, width, height), as cv2.boundingRect returns it; aspects stay.
    """
    x, y, width, height = cv2.boundingRect((ink >= 128).astype(np.uint8))
    if not width:
        return ink
    zoom = max(box[2:]) / max(width, height)
    shift = [
        box[at] + (box[at + 2] - 1) / 2 - zoom * (start + (length - 1) / 2)
        for at, (start, length) in enumerate(((x, width), (y, height)))
    ]
    matrix = np.float64([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    return cv2.warpAffine(ink, matrix, ink.shape[::-1])


def outline(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the outline of a mask (H, W), 255 inside, from few points: (H, W), ink 0, 1 px.

    Every few pixels there is a point, beside the true place by up to 1.5 px, with a smooth line or
    with straight ones between them.
    """
    height, width = mask.shape
    scale = min(height, width) / 128
    lines = np.full((height, width), 255, np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    longest = max((len(each) for each in contours), default=0)
    step, off = max(1, round(rng.uniform(2, 9) * scale)), rng.uniform(0, 1.5) * scale
    is_smooth = rng.random() < 0.75
    for contour in contours:
        if len(contour) < max(4 * step, 0.15 * longest):
            continue
        points = contour[int(rng.integers(step)) :: step, 0].astype(np.float64)
        points += rng.uniform(-off, off, points.shape)
        for _ in range(2 * is_smooth):  # corners are cut, Chaikin 1974
            after = np.roll(points, -1, axis=0)
            points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], 1)
            points = points.reshape(-1, 2)
        cv2.polylines(lines, [np.rint(16 * points).astype(np.int32)], True, 0, 1, cv2.LINE_8, 4)
    return lines


def break_lines(
    lines: np.ndarray, rng: np.random.Generator, *, gaps: int, shortest_px: float = 0.0
) -> np.ndarray:
    """Leave gaps in a drawing's lines, and its short pieces out: (H, W), ink 0 -> (H, W)."""
    scale = min(lines.shape) / 128
    broken = lines.copy()
    if shortest_px:
        ink = (lines < 128).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
        is_short = stats[:, cv2.CC_STAT_AREA] < shortest_px * scale
        is_short[0] = False
        broken[is_short[labels]] = 255
    y, x = np.nonzero(broken < 128)
    for at in rng.integers(len(y), size=gaps) if len(y) else ():
        radius = round(rng.uniform(1, 4) * scale)
        cv2.circle(broken, (int(x[at]), int(y[at])), radius, 255, -1)
    return broken


def jitter(lines: np.ndarray, rng: np.random.Generator, *, amount_px: float) -> np.ndarray:
    """Move every connected piece of ink in lines (H, W) on its own, up to ``amount_px`` each way.

    What leaves the page is lost, where pieces meet the darker wins.
    """
    count, labels = cv2.connectedComponents((lines < 192).astype(np.uint8), connectivity=8)
    height, width = lines.shape
    moved = np.full_like(lines, 255)
    for piece in range(1, count):
        y, x = np.nonzero(labels == piece)
        down, across = np.rint(rng.uniform(-amount_px, amount_px, 2)).astype(int)
        to = np.stack([y + down, x + across])
        is_inside = ((to >= 0) & (to < [[height], [width]])).all(axis=0)
        place = tuple(to[:, is_inside])
        moved[place] = np.minimum(moved[place], lines[y[is_inside], x[is_inside]])
    return moved


def erase_half(lines: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Leave only what lies on one side of a random line through the middle of lines (H, W)."""
    height, width = lines.shape
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width]
    side = (x - (width - 1) / 2) * np.cos(angle) + (y - (height - 1) / 2) * np.sin(angle)
    return np.where(side > 0, np.uint8(255), lines)


def drop_ink(lines: np.ndarray, rng: np.random.Generator, *, share: float = 0.08) -> np.ndarray:
    """Leave out each ink pixel with probability ``share``: the paper's edge dropout."""
    dropped = rng.random(lines.shape) < share
    return np.where(dropped, 255, lines).astype(np.uint8)


def sketch(
    photo: np.ndarray, own_lines: np.ndarray | None, rng: np.random.Generator, *, given: float
) -> np.ndarray:
    """Return a drawing of ``photo`` in ink of a random style: (H, W), greys between.

    The data's own lines for a share ``given`` of the samples, else XDoG of random width and
    amount; then, at times each, made thicker or thinner, bent, broken.
    """
    scale = min(photo.shape[:2]) / 128
    if own_lines is not None and rng.random() < given:
        lines = own_lines
    else:
        lines = xdog(
            photo,
            sigma_px=max(0.4, rng.uniform(0.4, 0.8) * scale),
            gamma=rng.uniform(0.97, 0.99),
            epsilon=rng.uniform(-0.012, 0.001),
            phi=rng.uniform(20, 300),
        )
    style = rng.random()
    if style < 0.3:
        side = 1 + round(rng.uniform(0.5, 1.5) * scale)
        lines = cv2.erode(lines, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    elif style < 0.45:
        thinner = cv2.dilate(lines, np.ones((2, 2), np.uint8))
        lines = np.minimum(thinner, np.maximum(lines, 100))  # a line of one pixel is not lost
    if rng.random() < 0.4:
        bend = _bend(lines.shape, rng, amount_px=rng.uniform(0.2, 0.9) * scale, scale=scale)
        lines = cv2.remap(lines, *bend, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.3:
        lines = lines.copy()
        for _ in range(int(rng.integers(1, 8))):
            center = int(rng.integers(lines.shape[1])), int(rng.integers(lines.shape[0]))
            cv2.circle(lines, center, round(rng.uniform(1, 3) * scale), 255, -1)
    return lines


def draw(
    photo: np.ndarray, own_lines: np.ndarray | None, rng: np.random.Generator, *, given: float = 0.3
) -> np.ndarray:
    """Return a drawing of ``photo`` (H, W, 3) as people may bring it: (H, W), greys between.

    XDoG's defaults; :func:`sketch`, the data's own lines for a share ``given`` of them; a pen's
    even lines, crooked as a hand's. Of one in six a part is erased.
    """
    style = rng.random()
    if style < 0.35:
        lines = xdog(photo)
    elif style < 0.7:
        lines = sketch(photo, own_lines, rng, given=given).copy()
    else:
        lines = warp_lines(find_lines(photo, sigma=rng.uniform(1.5, 4.0)), rng)
    if rng.random() < 1 / 6:
        start, share = rng.uniform(0, 0.7), rng.uniform(0.2, 0.6)
        rows = slice(*(round(x * len(lines)) for x in (start, start + share)))
        (lines if rng.random() < 0.5 else lines.T)[rows] = 255
    return lines


def find_background(photo: np.ndarray, lines: np.ndarray | None) -> np.ndarray:
    """Return where the paper behind a figure shows: (H, W) bool.

    What is reached from the upper corners and upper sides over steps of nearly equal color,
    gradients too, without crossing a line.
    """
    height, width = photo.shape[:2]
    wall = np.zeros((height + 2, width + 2), np.uint8)
    if lines is not None:
        wall[1:-1, 1:-1] = lines < 128
    flooded = photo.copy()
    step = (3, 3, 3)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | (255 << 8)
    for x, y in ((0, 0), (width - 1, 0), (0, height // 3), (width - 1, height // 3)):
        if wall[y + 1, x + 1] == 0:
            cv2.floodFill(flooded, wall, (x, y), 0, step, step, flags)
    return wall[1:-1, 1:-1] == 255


def whiten(photo: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Replace the background (H, W) bool of a photo by white paper, its soft rim too."""
    grown = cv2.dilate(background.astype(np.uint8), np.ones((3, 3), np.uint8))
    weight = cv2.GaussianBlur(grown.astype(np.float32), (0, 0), 0.7)[..., None]
    weight = np.where(background[..., None], 1, np.minimum(weight, grown[..., None]))
    return np.rint(photo * (1 - weight) + 255 * weight).astype(np.uint8)


def hint(
    domain: np.ndarray, lines: np.ndarray, rng: np.random.Generator, *, none: float = 0.4
) -> np.ndarray:
    """Paint hints as people do: color domain (H, W, 3), lines (H, W) -> painted layer (H, W, 4).

    Nothing for a share ``none``; else 2 to 50 dots, mostly few (geometric), or strokes, discs and
    partial fills over 5 to 90 %; one in a hundred is painted all over.
    """
    kind = rng.random()
    if kind < none:
        return np.zeros((*domain.shape[:2], 4), np.uint8)
    if kind > 0.99:
        return np.dstack([domain, np.full(domain.shape[:2], 255, np.uint8)])
    if rng.random() < 0.7:
        count = min(50, 1 + int(rng.geometric(1 / 8)))
        if rng.random() < 0.4:
            return dab(domain, rng, count=count, radius_px=(1, 5))[0]
        return dab_regions(domain, rng, count=count, radius_px=(1, 5), ink=lines < 128)[0]
    return shift(cover(domain, rng, share=rng.uniform(0.05, 0.9)), rng, up_to_px=3)


def recolor(
    photo: np.ndarray,
    domain: np.ndarray,
    rng: np.random.Generator,
    *,
    everywhere: bool = False,
    keep: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Give one area of the color domain another color, in photo and domain alike.

    The area's chroma is moved in Lab and its lightness a little, so shading stays. Areas are
    chosen by size, small ones too; ``everywhere`` takes all that have the chosen one's color, and
    what is True in ``keep`` (H, W) stays. Both (H, W, 3), both returned.
    """
    regions = find_regions(domain)
    is_free = np.ones(regions.shape, bool) if keep is None else ~keep
    if not is_free.any():
        return photo, domain
    sizes = np.bincount(regions[is_free], minlength=int(regions.max()) + 1).astype(float)
    sizes[sizes < min(0.003 * regions.size, sizes.max())] = 0
    chance = np.sqrt(sizes)
    chosen = regions == rng.choice(len(sizes), p=chance / chance.sum())
    if everywhere:
        chosen = (domain == domain[chosen][0]).all(axis=2)
    chosen &= is_free
    weight = cv2.GaussianBlur(chosen.astype(np.float32), (0, 0), 1.0) * is_free
    angle, chroma = rng.uniform(0, 2 * np.pi), rng.uniform(20, 70)
    move = [rng.uniform(-20, 20), chroma * np.cos(angle), chroma * np.sin(angle)]
    move = np.array(move, np.float32)

    def moved(picture: np.ndarray, share: np.ndarray) -> np.ndarray:
        lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
        rgb = cv2.cvtColor(lab + share[..., None] * move, cv2.COLOR_Lab2RGB)
        rgb = np.rint(255 * np.clip(rgb, 0, 1)).astype(np.uint8)
        return np.where(share[..., None] > 0, rgb, picture)

    return moved(photo, weight.astype(np.float32)), moved(domain, chosen.astype(np.float32))


def _inside(domain: np.ndarray) -> np.ndarray:
    """Return 1 for every pixel whose right and lower neighbors have its color, else 0: (H, W)."""
    inside = np.ones(domain.shape[:2], np.uint8)
    inside[:, :-1] &= (domain[:, 1:] == domain[:, :-1]).all(axis=2)
    inside[:-1] &= (domain[1:] == domain[:-1]).all(axis=2)
    return inside


def _bend(
    size: tuple[int, int], rng: np.random.Generator, *, amount_px: float, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return maps for ``cv2.remap`` that move points smoothly by ``amount_px`` on average."""
    height, width = size
    knots = max(3, round(height / (18 * scale))), max(3, round(width / (18 * scale)))
    fields = [
        cv2.resize(
            rng.normal(0, amount_px, knots).astype(np.float32),
            (width, height),
            interpolation=cv2.INTER_CUBIC,
        )
        for _ in range(2)
    ]
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    return xs + fields[0], ys + fields[1]
