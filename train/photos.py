"""What happens to photos: objects stand elsewhere, cameras are bad, light is low, lenses dirty.

For training and for scoring. Photos are (H, W, 3) uint8, masks (H, W) uint8, 255 on the object.
Lengths are those of a picture of 256 px and grow with its size; noise is one of pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

_NEAR = 14  # closer than this to the backdrop's color (0..255) is its noise and JPEG's

# -- objects ---------------------------------------------------------------------------------------


def find_object(photo: np.ndarray) -> np.ndarray | None:
    """Return the mask of what stands on a backdrop of one color; None where there is no such.

    Larger holes that show the backdrop's color are backdrop, unless that is white: then white
    inside the object belongs to it. Specks are left out.
    """
    rim = np.concatenate([photo[0], photo[-1], photo[:, 0], photo[:, -1]])
    color = np.median(rim, axis=0)
    is_far = np.abs(photo.astype(np.int16) - color.astype(np.int16)).max(axis=2) > _NEAR
    if (np.abs(rim - color).max(axis=1) > _NEAR).mean() > 0.35:
        return None
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        (~is_far).astype(np.uint8), connectivity=4
    )
    is_hole = stats[:, cv2.CC_STAT_AREA] > (1 if color.min() >= 240 else 0.005) * labels.size
    is_hole[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    is_hole[0] = False
    is_far = ~is_hole[labels]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(is_far.astype(np.uint8))
    is_kept = stats[:, cv2.CC_STAT_AREA] > 0.002 * labels.size
    is_kept[0] = False
    mask = is_kept[labels] if count > 1 else np.zeros(labels.shape, bool)
    return 255 * mask.astype(np.uint8) if 0.02 < mask.mean() < 0.9 else None


def guess_object(photo: np.ndarray, *, side_px: int = 64) -> np.ndarray | None:
    """Return the mask of what nearly fills a photo, on any backdrop; None where that seems wrong.

    GrabCut at ``side_px``, told that the outermost twentieth is backdrop; the large pieces, without
    holes. The same photo gives the same mask.
    """
    height, width = photo.shape[:2]
    small = cv2.resize(photo, (side_px, side_px), interpolation=cv2.INTER_AREA)
    margin = max(2, side_px // 20)
    cut = np.zeros((side_px, side_px), np.uint8)
    box = (margin, margin, side_px - 2 * margin, side_px - 2 * margin)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(small[..., ::-1]), cut, box, *models, 4, cv2.GC_INIT_WITH_RECT)
    contours, _ = cv2.findContours(cut & 1, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    largest = max(cv2.contourArea(contour) for contour in contours)
    kept = [contour for contour in contours if cv2.contourArea(contour) >= 0.25 * largest]
    mask = np.zeros_like(cut)
    cv2.drawContours(mask, kept, -1, 255, -1)
    if not 0.12 < (mask > 0).mean() < 0.8:
        return None
    mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(mask >= 128, np.uint8(255), np.uint8(0))


def find_backdrop(
    photo: np.ndarray, mask: np.ndarray, rng: np.random.Generator, *, size_px: int
) -> tuple[np.ndarray, float]:
    """Cut a square out of ``photo`` that shows little of its object.

    Returns:
        The cut (size_px, size_px, 3) and the share of it that the object covers.
    """
    height, width = mask.shape
    best, covered = np.s_[:, :], 1.0
    for _ in range(12):
        side = round(rng.uniform(0.25, 0.9) * min(height, width))
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        place = np.s_[top : top + side, left : left + side]
        share = cv2.countNonZero(mask[place]) / side**2
        if share < covered:
            best, covered = place, share
    cut = cv2.resize(photo[best], (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    return cut, covered


def paste(
    photo: np.ndarray,
    mask: np.ndarray,
    backdrop: np.ndarray,
    rng: np.random.Generator,
    *,
    centered: float = 0.4,
) -> tuple[np.ndarray, np.ndarray]:
    """Put the object of ``photo`` into ``backdrop``: of any size, upright or tilted, soft-edged.

    Its rim is left behind, its light comes nearer to the backdrop's, at times it casts a shadow.
    What its own picture cuts off stays at that side of the frame. A share ``centered`` stands in
    the middle.

    Args:
        photo: (H, W, 3) with the object.
        mask: (H, W), not empty.
        backdrop: (S, S, 3).
        rng: chooses everything.
        centered: the share.

    Returns:
        The composite (S, S, 3) and where the object is in it (S, S), 0 or 255.
    """
    size = backdrop.shape[0]
    x, y, width, height = cv2.boundingRect(mask)
    is_cut = np.array([x == 0, y == 0, x + width == mask.shape[1], y + height == mask.shape[0]])
    across = is_cut[:2] & is_cut[2:]
    if across.any():
        scale = (size / np.array([width, height]))[across].max()
    else:
        scale = rng.uniform(0.6 if is_cut.any() else 0.3, 1.0) * size / max(width, height)
    stretch = np.array([scale, scale]) * (rng.uniform(0.85, 1.15), 1)
    if rng.random() < 0.5:
        photo, mask = photo[:, ::-1], mask[:, ::-1]
        x, is_cut = mask.shape[1] - x - width, is_cut[[2, 1, 0, 3]]
    extent = stretch * (width, height)
    free = size - extent
    middle = rng.random() < centered
    corner = free * (0.5 if middle else rng.uniform(-0.05, 1.05, 2))
    corner = np.where(is_cut[2:], free, np.where(is_cut[:2], 0, corner))
    angle = 0.0 if is_cut.any() else rng.normal(0, 10)
    matrix = cv2.getRotationMatrix2D((0, 0), angle, 1.0)[:, :2] * stretch
    middle_of_box = np.array([x + (width - 1) / 2, y + (height - 1) / 2])
    shift = corner + (extent - 1) / 2 - matrix @ middle_of_box
    matrix = np.column_stack([matrix, shift])

    seen = cv2.erode(mask, np.ones((3, 3), np.uint8))
    seen = seen if cv2.countNonZero(seen) > 0.5 * cv2.countNonZero(mask) else mask
    photo, seen = np.ascontiguousarray(photo), np.ascontiguousarray(seen)
    if scale < 0.6:  # area averaging first: sampling every second pixel would glitter
        photo, seen = (cv2.GaussianBlur(layer, (0, 0), 0.4 / scale) for layer in (photo, seen))
    moved = cv2.warpAffine(
        photo, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float32)
    alpha = cv2.warpAffine(seen, matrix, (size, size), flags=cv2.INTER_LINEAR)
    found = np.where(alpha >= 128, 255, 0).astype(np.uint8)
    if not found.any():
        return backdrop.copy(), found
    alpha = alpha.astype(np.float32) / 255
    alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.4, 1.4) * size / 256)[..., None]

    behind = backdrop.astype(np.float32)
    if rng.random() < 0.3:
        behind *= 1 - rng.uniform(0.2, 0.6) * _shadow(alpha[..., 0], rng)[..., None]
    if rng.random() < 0.6:
        inside = moved[found > 0].mean(axis=0) + 1
        gain = np.clip((behind.mean(axis=(0, 1)) + 1) / inside, 0.5, 2) ** rng.uniform(0, 0.5)
        moved *= gain.astype(np.float32)
    if rng.random() < 0.3:
        moved = cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.3, 1.2) * size / 256)
    composed = alpha * moved + (1 - alpha) * behind
    return np.clip(composed, 0, 255).round().astype(np.uint8), found


def _shadow(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    reach = 0.06 * alpha.shape[0]
    move = np.float32([[1, 0, rng.uniform(-reach, reach)], [0, 1, rng.uniform(0, reach)]])
    shadow = cv2.warpAffine(alpha, move, alpha.shape[::-1])
    return cv2.GaussianBlur(shadow, (0, 0), rng.uniform(0.02, 0.06) * alpha.shape[0])


def crop(
    photo: np.ndarray, mask: np.ndarray, rng: np.random.Generator, *, smallest: float = 0.4
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror, turn a little, and take a part of photo and mask, at least half of the object in it.

    The part's sides are ``smallest`` to all of the picture's, of any aspect up to 4 to 3, often
    nearly all; it comes out at the picture's size.
    """
    height, width = mask.shape
    whole = cv2.countNonZero(mask)
    matrix = np.eye(2, 3)
    for _ in range(6):
        share = 1.0 if rng.random() < 0.25 else rng.uniform(smallest, 1.0)
        sides = share * rng.uniform(0.87, 1.15, 2)
        sides = np.minimum(sides, 1) * (width, height)
        corner = rng.uniform(0, 1, 2) * ((width, height) - sides)
        part = tuple(slice(int(a), int(np.ceil(a + b))) for a, b in zip(corner, sides, strict=True))
        if 2 * cv2.countNonZero(mask[part[::-1]]) >= whole:
            zoom = (width, height) / sides
            turn = cv2.getRotationMatrix2D((0, 0), rng.normal(0, 5), 1.0)[:, :2]
            matrix = np.column_stack([zoom[:, None] * turn, np.zeros(2)])
            middle = corner + sides / 2 - 0.5
            matrix[:, 2] = (np.array([width, height]) - 1) / 2 - matrix[:, :2] @ middle
            break
    if rng.random() < 0.5:
        matrix[0] *= -1
        matrix[0, 2] += width - 1
    photo, mask = (
        cv2.warpAffine(layer, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        for layer in (photo, mask)
    )
    return photo, np.where(mask >= 128, 255, 0).astype(np.uint8)


# -- cameras and light -----------------------------------------------------------------------------


def tint(photo: np.ndarray, rng: np.random.Generator, *, amount: float = 1.0) -> np.ndarray:
    """Change brightness, contrast, saturation and hue at random; one in twelve becomes grey."""
    picture = photo.astype(np.float32)
    grey = picture @ np.float32([0.299, 0.587, 0.114])
    saturation = 0.0 if rng.random() < amount / 12 else rng.uniform(0.5, 1.5) ** amount
    picture = grey[..., None] + saturation * (picture - grey[..., None])
    contrast = rng.uniform(0.7, 1.3) ** amount
    middle = picture.mean()
    picture = middle + contrast * (picture - middle)
    gain = (rng.uniform(0.75, 1.25) * rng.uniform(0.92, 1.08, 3)) ** amount
    picture = picture * gain.astype(np.float32) + amount * rng.uniform(-15, 15)
    return np.clip(picture, 0, 255).round().astype(np.uint8)


def add_noise(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add a sensor's noise: shot noise of 20 to 400 photons at white, read noise of 2 to 16."""
    photons = np.exp(rng.uniform(np.log(20), np.log(400)))
    return _expose(photo.astype(np.float32), rng, photons=photons, read=rng.uniform(2, 16))


def darken(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take away 60 to 92 % of the light; the camera brings part of it back, with its noise."""
    share = rng.uniform(0.08, 0.4)
    brought = rng.uniform(0, 0.7)
    dark = 255 * (photo.astype(np.float32) / 255) ** rng.uniform(1, 1.3) * share
    dark = _expose(dark, rng, photons=np.exp(rng.uniform(np.log(150), np.log(1500))), read=1.5)
    return np.clip(dark.astype(np.float32) * share**-brought, 0, 255).round().astype(np.uint8)


def soil(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lay clutter over a photo that is not of its subject: specks, hairs, a fine pattern."""
    height, width = photo.shape[:2]
    scale = min(height, width) / 256
    soiled = photo.copy()
    kinds = rng.random(3) < (0.8, 0.6, 0.5)
    if kinds[0] or not kinds.any():
        for _ in range(int(rng.integers(15, 120))):
            center = int(rng.integers(width * 8)), int(rng.integers(height * 8))
            radius = round(8 * rng.uniform(0.4, 1.6) * scale)
            cv2.circle(soiled, center, radius, _pick_tone(rng), -1, cv2.LINE_AA, 3)
    if kinds[1]:
        for _ in range(int(rng.integers(2, 12))):
            start = rng.uniform((0, 0), (width, height))
            turns = np.cumsum(rng.normal(0, 0.35, 12)) + rng.uniform(0, 2 * np.pi)
            steps = 8 * scale * np.stack([np.cos(turns), np.sin(turns)], 1)
            points = np.rint(8 * (start + np.cumsum(steps, axis=0))).astype(np.int32)
            cv2.polylines(soiled, [points], False, _pick_tone(rng), 1, cv2.LINE_AA, 3)
    if kinds[2]:
        y, x = np.mgrid[:height, :width].astype(np.float32)
        angle, period = rng.uniform(0, np.pi), rng.uniform(3, 12) * scale
        wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
        if rng.random() < 0.5:  # a weave instead of stripes
            wave *= np.sin(2 * np.pi * (y * np.cos(angle) - x * np.sin(angle)) / period)
        soiled = soiled + rng.uniform(4, 16) * wave[..., None]
    return np.clip(soiled, 0, 255).astype(np.uint8)


def defocus(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur by 0.6 to 2 px, or along a way of 3 to 9 px as a shaken camera does."""
    scale = min(photo.shape[:2]) / 256
    if rng.random() < 0.6:
        return cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.6, 2.0) * scale)
    length, angle = rng.uniform(3, 9) * scale, rng.uniform(0, np.pi)
    reach = int(np.ceil(length / 2))
    way = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for at in np.linspace(-length / 2, length / 2, 4 * reach + 1):
        way[round(reach + at * np.sin(angle)), round(reach + at * np.cos(angle))] = 1
    return cv2.filter2D(photo, -1, way / way.sum(), borderType=cv2.BORDER_REPLICATE)


def compress(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Save as a JPEG of quality 10 to 60 and open again."""
    quality = int(rng.integers(10, 61))
    _, content = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1])


DEGRADATIONS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "blur": defocus,
    "clutter": soil,
    "low light": darken,
    "noise": add_noise,
    "jpeg": compress,
}
"""What makes photos worse, in the order in which it happens to them; all keep the size."""


def degrade(photo: np.ndarray, rng: np.random.Generator, *, share: float = 1.0) -> np.ndarray:
    """Make a ``share`` of the photos worse in one to three of the :data:`DEGRADATIONS`."""
    if rng.random() >= share:
        return photo
    count = int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))
    chosen = rng.choice(len(DEGRADATIONS), count, replace=False)
    for number, spoil in enumerate(DEGRADATIONS.values()):
        if number in chosen:
            photo = spoil(photo, rng)
    return photo


def _expose(
    photo: np.ndarray, rng: np.random.Generator, *, photons: float, read: float
) -> np.ndarray:
    """Return float ``photo`` with the normal noise of ``photons`` at white and of reading out."""
    deviation = np.sqrt(np.clip(photo, 0, 255) * np.float32(255 / photons) + np.float32(read**2))
    noise = rng.standard_normal(photo.shape, dtype=np.float32)
    return np.clip(photo + deviation * noise, 0, 255).round().astype(np.uint8)


def _pick_tone(rng: np.random.Generator) -> tuple[int, int, int]:
    """Return a dark or a light grey."""
    tone = int(rng.integers(0, 60) if rng.random() < 0.5 else rng.integers(190, 256))
    return tone, tone, tone
