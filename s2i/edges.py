"""Lines out of pictures and drawings: Canny, XDoG, any layer as ink, any ink one pixel wide.

Pure array in, array out. Lines are (H, W) uint8, ink 0, paper 255.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from s2i.errors import S2IError

_GREY = np.array([[0.299, 0.587, 0.114]], np.float32) / 255
_GRADIENT_SCALE = 7000  # a Sobel gradient of a [0, 1] picture is at most 4, int16 holds 32767
_FAINTEST_INK = 24  # closer than this to the paper's color (0..255) is noise of scans and JPEG
_INK_THRESHOLD = 69  # of 255: PI-REC's border between ink and paper
_BLOB_RADIUS = 4 / 128  # of the side: thicker ink is an area with an outline, not a line


def canny(
    photo: np.ndarray, *, sigma_px: float = 2.5, low: float = 0.1, high: float = 0.2
) -> np.ndarray:
    """Return the Canny edges of ``photo`` as binary lines, one pixel wide.

    The thresholds mean what they mean in scikit-image: they are compared with the length of the
    Sobel gradient of the grey picture in [0, 1].

    Args:
        photo: (H, W, 3) uint8.
        sigma_px: of the Gaussian that comes first; larger leaves fewer edges, 0 skips it.
        low: weaker gradients are never an edge.
        high: stronger gradients are always an edge; between the two, those connected to one.

    Returns:
        (H, W) uint8, edges 0, paper 255.
    """
    grey = _blur(_to_grey(photo), sigma_px)
    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=_GRADIENT_SCALE, borderType=cv2.BORDER_REFLECT)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=_GRADIENT_SCALE, borderType=cv2.BORDER_REFLECT)
    edges = cv2.Canny(
        np.rint(across).astype(np.int16),
        np.rint(down).astype(np.int16),
        low * _GRADIENT_SCALE,
        high * _GRADIENT_SCALE,
        L2gradient=True,
    )
    return 255 - edges


def find_lines(photo: np.ndarray, *, sigma: float = 2.5) -> np.ndarray:
    """Return the same Canny lines at any size: PI-REC's way from a photo to its lines.

    ``sigma`` is in pixels of a picture of 128 px. It grows with the side of ``photo``, and the
    thresholds fall as it grows, because wider gradients are weaker ones. (H, W, 3) -> (H, W).
    """
    scale = math.sqrt(photo.shape[0] * photo.shape[1]) / 128
    return canny(photo, sigma_px=sigma * scale, low=0.1 / scale, high=0.2 / scale)


def stretch_contrast(photo: np.ndarray) -> np.ndarray:
    """Return ``photo`` with its darkest and lightest hundredth moved to black and white.

    One map for all channels, so hues stay. (H, W, 3) uint8 -> (H, W, 3) uint8; flat ones stay.

    >>> stretch_contrast(np.array([[[100] * 3, [110] * 3]], np.uint8))[0, :, 0].tolist()
    [0, 255]
    """
    low, high = np.percentile(photo, (1, 99))
    if high <= low:
        return photo.copy()
    table = np.clip((np.arange(256) - low) * 255 / (high - low), 0, 255)
    return np.rint(table).astype(np.uint8)[photo]


def xdog(
    photo: np.ndarray,
    *,
    sigma_px: float = 0.8,
    k: float = 1.6,
    gamma: float = 0.98,
    epsilon: float = -0.01,
    phi: float = 200.0,
) -> np.ndarray:
    """Return ``photo`` as an ink drawing by the extended difference of Gaussians.

    With g the grey picture in [0, 1], D = blur(g, sigma) - gamma * blur(g, k * sigma); paper is 1
    where D >= epsilon and 1 + tanh(phi * (D - epsilon)), at least 0, elsewhere (Winnemoeller 2011).

    Args:
        photo: (H, W, 3) uint8.
        sigma_px: width of the finer Gaussian, about that of the lines.
        k: how much wider the coarser Gaussian is.
        gamma: below 1 darkens flat areas less than edges.
        epsilon: larger gives more ink.
        phi: steepness of the greys at the border of the ink.

    Returns:
        (H, W) uint8, ink 0, paper 255, greys between.
    """
    grey = _to_grey(photo)
    difference = _blur(grey, sigma_px) - gamma * _blur(grey, k * sigma_px)
    paper = np.where(difference >= epsilon, 1, 1 + np.tanh(phi * (difference - epsilon)))
    return np.rint(255 * np.clip(paper, 0, 1)).astype(np.uint8)


def pencil(photo: np.ndarray, *, sigma_px: float = 2.6, gamma: float = 2.0) -> np.ndarray:
    """Return ``photo`` as a pencil drawing: its greys, dodged by their own blurred negative.

    With g the greys and b the blur of 255 - g, min(255, 256 g / (255 - b)) rounded, 0 where b is
    255; then 255 (p / 255) ** gamma rounded down. The greys weigh red by 0.114 and blue by 0.299,
    as the drawings do that the original SketchNet was taught with.

    Args:
        photo: (H, W, 3) uint8.
        sigma_px: of the blur, about how wide lines get; its kernel is 15 px across for 2.6.
        gamma: above 1 darkens the lines.

    Returns:
        (H, W) uint8, ink 0, paper 255, greys between.

    >>> pencil(np.full((3, 3, 3), 90, np.uint8)).tolist()[0]
    [255, 255, 255]
    """
    grey = cv2.cvtColor(np.ascontiguousarray(photo), cv2.COLOR_BGR2GRAY)
    side = 2 * max(0, round((sigma_px - 0.8) / 0.3)) + 3
    negative = cv2.GaussianBlur(255 - grey, (side, side), sigma_px)
    below = 255.0 - negative
    dodged = np.rint(np.divide(256.0 * grey, below, out=np.zeros(grey.shape), where=below > 0))
    levels = np.arange(256)
    table = levels if gamma == 1 else np.floor(255 * (levels / 255) ** gamma)
    return table.astype(np.uint8)[np.minimum(dodged, 255).astype(np.uint8)]


def clean_lines(
    lines: np.ndarray,
    *,
    threshold: int = 200,
    speck_px: int | None = None,
    width_px: float | None = None,
) -> np.ndarray:
    """Return ``lines`` without specks, or drawn anew in one width.

    Args:
        lines: (H, W) uint8, ink 0.
        threshold: what is lighter is no ink.
        speck_px: connected ink of fewer pixels is taken off; None: 8 in a picture of 424 px, and
            more in a larger one, as lines get longer.
        width_px: of the lines drawn anew along the middle of the ink and around its areas, borders
            smooth; None leaves the greys of all that is no speck.

    Returns:
        (H, W) uint8, ink 0, paper 255.

    >>> page = np.full((5, 11), 255, np.uint8); page[1:4, 1:8] = 90; page[4, 10] = 0
    >>> clean_lines(page, speck_px=4)[:, [10, 4]].tolist()
    [[255, 255], [255, 90], [255, 90], [255, 90], [255, 255]]
    >>> clean_lines(page, speck_px=4, width_px=1)[:, 4].tolist()
    [255, 255, 0, 255, 255]
    """
    if speck_px is None:
        speck_px = round(8 * max(1.0, math.sqrt(lines.size) / 424))
    ink = (lines < threshold).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    is_speck = stats[:, cv2.CC_STAT_AREA] < speck_px
    is_speck[0] = False
    specks = is_speck[labels]
    if width_px is None:
        return np.where(specks, np.uint8(255), lines)
    middle = _thin(_hollow(np.where(specks, np.uint8(0), ink)))
    if not middle.any():
        return np.full_like(lines, 255)
    distance = cv2.distanceTransform(1 - middle, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    share = np.clip((width_px + 1) / 2 - distance, 0, 1)
    return np.rint(255 * (1 - share)).astype(np.uint8)


def sketchify(
    photo: np.ndarray, *, sigma: float = 1.0, ink: float = 0.5, softness: float = 0.2
) -> np.ndarray:
    """Return the lines of ``photo`` by XDoG, alike at any size; line art stays as it is.

    Args:
        photo: (H, W, 3) uint8.
        sigma: of the finer Gaussian in pixels of a picture of 256 px, about the width of the lines.
        ink: 0 to 1, how faint an edge may be and still be drawn.
        softness: 0 (black and white) to 1 (grey borders, as a pencil's).

    Returns:
        (H, W) uint8, ink 0, paper 255, greys between.
    """
    if is_line_art(photo):
        return read_ink(photo)
    side_px = math.sqrt(photo.shape[0] * photo.shape[1])
    return xdog(
        photo,
        sigma_px=max(0.3, sigma * side_px / 256),
        epsilon=0.03 * ink - 0.025,
        phi=10 ** (2.6 - 1.4 * softness),
    )


def is_line_art(photo: np.ndarray) -> bool:
    """Say whether ``photo`` (H, W, 3) is ink on paper already: hardly any color, mostly paper.

    >>> is_line_art(np.full((4, 4, 3), 255, np.uint8))
    False
    """
    chroma = photo.max(axis=2).astype(int) - photo.min(axis=2)
    if (chroma > 40).mean() > 0.02:
        return False
    try:
        drawn = read_ink(photo)
    except S2IError:
        return False
    share = (drawn < 128).mean()
    is_flat = (np.abs(photo.mean(axis=2) - np.median(photo)) < 12).mean() > 0.6
    return bool(is_flat and 0 < share < 0.3)


def read_ink(layer: np.ndarray) -> np.ndarray:
    """Return the drawing that ``layer`` holds, whatever its polarity, background or transparency.

    Transparent is paper. Without transparency the paper is the color that dominates the picture
    and its border, so light chalk on a dark or colored board comes out as ink on white as well;
    it may be lit unevenly. A blank layer stays blank.

    Args:
        layer: (H, W), (H, W, 3) or (H, W, 4) uint8.

    Returns:
        (H, W) uint8, the strongest ink near 0, paper 255, greys between.

    Raises:
        S2IError: more than half of the picture would be ink, as in a photo.
    """
    channels = np.atleast_3d(layer)
    color = np.ascontiguousarray(channels[..., :3])
    alpha = channels[..., 3] if channels.shape[2] == 4 else np.full(layer.shape[:2], 255, np.uint8)
    is_opaque = alpha >= 128
    if not is_opaque.any():
        return np.full_like(alpha, 255)
    distance = cv2.absdiff(color, _find_paper(color, is_opaque)).reshape(color.shape)
    ink = np.maximum.reduce(cv2.split(distance))
    if not is_opaque.all():
        ink = cv2.multiply(ink, np.ascontiguousarray(alpha), scale=1 / 255)
    levels = np.arange(256)
    counts = np.bincount(ink.ravel(), minlength=256)
    of_ink = np.where(levels >= _FAINTEST_INK, counts, 0)
    full = max(_FAINTEST_INK, np.searchsorted(of_ink.cumsum(), 0.9 * of_ink.sum()))
    if of_ink[full // 4 :].sum() > 0.5 * ink.size:
        raise S2IError(
            "this is no line drawing, more than half of it would be ink: "
            "open it as a photo, or use a drawing on plain paper."
        )
    strength = np.where(levels >= _FAINTEST_INK, np.minimum(levels / full, 1), 0)
    return cv2.LUT(ink, (255 - np.rint(255 * strength)).astype(np.uint8))


def thin_lines(lines: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return ``lines`` at ``size`` = (height, width), binary and one pixel wide like Canny's.

    Lines of any thickness keep their course, and thin ones survive any shrinking. A blob thicker
    than some 8 px in 128 becomes its outline, as Canny would see it.

    >>> thin_lines(np.array([[255, 0, 0, 0, 255]] * 5, np.uint8), (5, 5))[2].tolist()
    [255, 255, 0, 255, 255]
    """
    height, width = lines.shape
    ink = np.where(lines <= 255 - _INK_THRESHOLD, np.uint8(255), np.uint8(0))
    if (height, width) != tuple(size):
        # A line as wide as one new pixel covers half of a new pixel wherever it lies.
        grow = math.ceil(height / size[0]), math.ceil(width / size[1])
        ink = cv2.dilate(ink, np.ones(grow, np.uint8))
        is_shrinking = size[0] * size[1] < height * width
        method = cv2.INTER_AREA if is_shrinking else cv2.INTER_LINEAR
        ink = cv2.resize(ink, (size[1], size[0]), interpolation=method)
    ink = (ink >= 127).astype(np.uint8)
    return 255 * (1 - _thin(_hollow(ink)))


def _to_grey(photo: np.ndarray) -> np.ndarray:
    return cv2.transform(photo.astype(np.float32), _GREY)


def _blur(grey: np.ndarray, sigma_px: float) -> np.ndarray:
    if sigma_px <= 0:
        return grey
    return cv2.GaussianBlur(grey, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)


def _find_paper(color: np.ndarray, is_opaque: np.ndarray) -> np.ndarray:
    """Return the bare paper under the drawing, of the shape of ``color``: see :func:`read_ink`."""
    step = max(1, round(max(is_opaque.shape) / 128))
    inside = color[::step, ::step][is_opaque[::step, ::step]]
    if len(inside) == 0:
        inside = color[is_opaque]
    if not is_opaque.all():
        has_one_tone = (_measure(inside, np.median(inside, axis=0)) >= 64).mean() < 0.01
        if has_one_tone or _is_line_like(is_opaque):
            is_white = np.percentile(_measure(inside, 255), 95) < 64
            return np.full_like(color, 0 if is_white else 255)
    sides = (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1])
    rim = np.concatenate([color[side][is_opaque[side]] for side in sides])
    votes = _count_bins(inside) / len(inside) + _count_bins(rim) / max(1, len(rim))
    flat = np.median(inside[_to_bins(inside) == votes.argmax()], axis=0)
    return _light_paper(color, is_opaque, flat)


def _light_paper(color: np.ndarray, is_opaque: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Return paper of the color ``flat`` with the light that falls on it, a quadratic surface."""
    height, width, channels = color.shape
    rows = np.linspace(0, height - 1, min(height, 48)).astype(int)
    columns = np.linspace(0, width - 1, min(width, 48)).astype(int)
    grid = np.ix_(rows, columns)
    is_seen = is_opaque[grid]
    seen = np.where(is_seen[..., None], color[grid], np.rint(flat).astype(np.uint8))
    seen = cv2.medianBlur(seen, 7).reshape(seen.shape).astype(np.float32)  # no lines are left
    y, x = np.meshgrid(rows / height - 0.5, columns / width - 0.5, indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=2)
    paper = np.broadcast_to(flat, seen.shape)
    for reach in (40, 32, 24, 24):
        is_paper = is_seen & (_measure(seen, paper) < reach)
        if is_paper.sum() < 30:
            break
        factors, *_ = np.linalg.lstsq(terms[is_paper], seen[is_paper], rcond=None)
        bare = seen[is_paper]
        paper = np.clip(terms @ factors, bare.min(axis=0), bare.max(axis=0))
    paper = np.rint(paper).astype(np.uint8)
    full = cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR)
    return full.reshape(height, width, channels)


def _measure(color: np.ndarray, other: np.ndarray | int) -> np.ndarray:
    """Return the distance of two colors: the largest difference in a channel."""
    return np.abs(color - np.asarray(other, np.float32)).max(axis=-1)


def _to_bins(color: np.ndarray) -> np.ndarray:
    return (color >> 4) @ 16 ** np.arange(color.shape[1])


def _count_bins(color: np.ndarray) -> np.ndarray:
    return np.bincount(_to_bins(color), minlength=16 ** color.shape[1])


def _is_line_like(mask: np.ndarray) -> bool:
    """Say whether most of ``mask`` vanishes when a thin rim is taken off."""
    radius = max(2, round(max(mask.shape) / 64))
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    left = cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return int(left.sum()) < 0.2 * int(mask.sum())


def _hollow(ink: np.ndarray) -> np.ndarray:
    """Replace every blob in ``ink`` (0 or 1) that a disc of the blob radius fits into by a rim."""
    depth = cv2.distanceTransform(
        cv2.copyMakeBorder(ink, 1, 1, 1, 1, cv2.BORDER_REPLICATE), cv2.DIST_L2, 3
    )[1:-1, 1:-1]
    radius = max(3, round(_BLOB_RADIUS * math.sqrt(ink.size)))
    core = (depth > radius).astype(np.uint8)
    if not core.any():
        return ink
    side = 2 * radius - 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    is_inside = (cv2.dilate(core, disc) > 0) & (depth > 1.5)
    return np.where(is_inside, np.uint8(0), ink)


def _thin(ink: np.ndarray) -> np.ndarray:
    """Thin ``ink`` (0 or 1) to one pixel, connected as before (Guo and Hall 1989)."""
    while True:
        before = ink
        for table in _DELETED:
            code = cv2.filter2D(ink, -1, _NEIGHBORS, borderType=cv2.BORDER_CONSTANT)
            ink = ink & ~cv2.LUT(code, table) & 1
        if np.array_equal(ink, before):
            return ink


# Bit i of a pixel's code is its neighbor number i, clockwise from north.
_NEIGHBORS = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.float32)


def _tabulate_deletions() -> list[np.ndarray]:
    """Return, for both half steps, 1 for every neighborhood code whose center may go."""
    n, ne, e, se, s, sw, w, nw = np.arange(256)[None] >> np.arange(8)[:, None] & 1
    crossings = (
        ((1 - n) & (ne | e)) + ((1 - e) & (se | s)) + ((1 - s) & (sw | w)) + ((1 - w) & (nw | n))
    )
    clockwise = (nw | n) + (ne | e) + (se | s) + (sw | w)
    counter = (n | ne) + (e | se) + (s | sw) + (w | nw)
    fewest = np.minimum(clockwise, counter)
    is_free = (crossings == 1) & (fewest >= 2) & (fewest <= 3)
    first = is_free & (((n | ne | (1 - se)) & e) == 0)
    second = is_free & (((s | sw | (1 - nw)) & w) == 0)
    return [first.astype(np.uint8), second.astype(np.uint8)]


_DELETED = _tabulate_deletions()
