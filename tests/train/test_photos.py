"""Composites and bad photos: masks are where the object is, and worse is worse."""

import numpy as np
import pytest

from train import photos

RED, GREEN = (230, 20, 30), (20, 150, 40)


def make_object(*, center=(60, 40), radius=(25, 15), size=(100, 80)):
    """A red ellipse on grey, and its mask."""
    y, x = np.mgrid[: size[0], : size[1]]
    is_inside = ((y - center[0]) / radius[0]) ** 2 + ((x - center[1]) / radius[1]) ** 2 < 1
    photo = np.full((*size, 3), 120, np.uint8)
    photo[is_inside] = RED
    return photo, np.where(is_inside, 255, 0).astype(np.uint8)


def find_red(photo):
    red, green, blue = photo.astype(int).transpose(2, 0, 1)
    return red - np.maximum(green, blue) > 30


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


@pytest.mark.parametrize("centered", [0.0, 1.0])
def test_a_composite_s_mask_is_where_the_object_was_pasted(centered):
    photo, mask = make_object()
    backdrop = np.full((160, 160, 3), GREEN, np.uint8)
    sizes, middles = [], []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        composed, found = photos.paste(photo, mask, backdrop, rng, centered=centered)
        assert composed.shape == (160, 160, 3) and found.shape == (160, 160)
        assert set(np.unique(found)) == {0, 255}
        assert iou(find_red(composed), found == 255) > 0.9
        is_far = ~find_red(composed) & (found == 0)
        assert (composed[is_far].argmax(axis=1) == 1).mean() > 0.99  # green, if in shadow
        ys, xs = np.nonzero(found)
        sizes.append(np.ptp(ys) + 1)
        middles.append((np.ptp(ys) / 2 + ys.min(), np.ptp(xs) / 2 + xs.min()))
    off = np.abs(np.array(middles) - 79.5).max(axis=1)
    assert (off < 4).all() if centered else (off > 10).mean() > 0.5
    assert min(sizes) < 80 and max(sizes) > 115
    assert (photo == make_object()[0]).all() and (backdrop == GREEN).all()


def test_a_seam_is_soft():
    photo, mask = make_object(radius=(30, 30))
    backdrop = np.full((256, 256, 3), GREEN, np.uint8)
    composed, _ = photos.paste(photo, mask, backdrop, np.random.default_rng(3), centered=1.0)
    row = composed[128].astype(int)[:, 0]
    steps = np.abs(np.diff(row))
    assert (steps > 0).sum() >= 6 and steps.max() < 0.75 * np.ptp(row)


@pytest.mark.parametrize(("side", "center"), [("bottom", (99, 40)), ("left", (50, 0))])
def test_what_its_own_picture_cuts_off_stays_at_that_side(side, center):
    photo, mask = make_object(center=center)
    backdrop = np.full((160, 160, 3), GREEN, np.uint8)
    for seed in range(8):
        _, found = photos.paste(photo, mask, backdrop, np.random.default_rng(seed))
        if side == "bottom":
            assert found[-1].any() and not found[0].all()
        else:
            assert found[:, 0].any() != found[:, -1].any()  # mirrored or not


def test_a_backdrop_shows_little_of_its_object():
    photo, mask = make_object(center=(25, 20), radius=(20, 15), size=(120, 120))
    photo[mask == 0] = GREEN
    shares = []
    for seed in range(10):
        cut, covered = photos.find_backdrop(photo, mask, np.random.default_rng(seed), size_px=64)
        assert cut.shape == (64, 64, 3)
        assert find_red(cut).mean() == pytest.approx(covered, abs=0.05)
        shares.append(covered)
    assert np.mean(shares) < 0.02


def test_a_part_keeps_half_of_the_object_and_its_mask():
    photo, mask = make_object(size=(96, 96), center=(48, 48))
    covered = []
    for seed in range(20):
        part, moved = photos.crop(photo, mask, np.random.default_rng(seed))
        assert part.shape == photo.shape and set(np.unique(moved)) <= {0, 255}
        assert iou(find_red(part), moved == 255) > 0.93
        covered.append((moved == 255).mean())
    whole = (mask == 255).mean()
    assert max(covered) > 2 * whole and min(covered) > 0.4 * whole


def test_objects_on_one_color_are_found():
    photo, mask = make_object()
    assert iou(photos.find_object(photo) == 255, mask == 255) == 1
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 3, photo.shape), 0, 255)
    assert iou(photos.find_object(noisy.astype(np.uint8)) == 255, mask == 255) > 0.98
    y, x = np.mgrid[:100, :80]
    is_hole = (y - 60) ** 2 + (x - 40) ** 2 < 64
    for color, is_backdrop in ((120, True), (255, False)):
        ring = np.where((mask == 255)[..., None], photo, np.uint8(color))
        ring[is_hole] = color
        found = photos.find_object(ring) == 255
        assert found[60, 40] != is_backdrop  # white inside the object is its own
        assert iou(found, (mask == 255) & ~(is_hole & is_backdrop)) == 1


@pytest.mark.parametrize("name", ["scene", "blank", "two halves"])
def test_where_there_is_no_backdrop_there_is_no_object(name):
    rng = np.random.default_rng(0)
    photo = {
        "scene": rng.integers(0, 256, (60, 60, 3)).astype(np.uint8),
        "blank": np.full((60, 60, 3), 255, np.uint8),
        "two halves": np.repeat(np.uint8([[[0] * 3] * 30 + [[200] * 3] * 30]), 60, 0),
    }[name]
    assert photos.find_object(photo) is None


@pytest.mark.parametrize("name", photos.DEGRADATIONS)
def test_a_degradation_makes_worse_and_keeps_size_and_input(name):
    photo, _ = make_object(size=(128, 128))
    photo[::7, :, 1] += 60
    before = photo.copy()
    differences = []
    for seed in range(6):
        worse = photos.DEGRADATIONS[name](photo, np.random.default_rng(seed))
        again = photos.DEGRADATIONS[name](photo, np.random.default_rng(seed))
        assert worse.shape == photo.shape and worse.dtype == np.uint8
        assert (worse == again).all() and (photo == before).all()
        differences.append(np.abs(worse.astype(int) - photo).mean())
    assert min(differences) > 0.2 and np.mean(differences) > 1 and len(set(differences)) == 6


def test_noise_is_noise_and_low_light_is_dark():
    flat = np.full((96, 96, 3), 150, np.uint8)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        noisy = photos.add_noise(flat, rng)
        assert abs(noisy.mean() - 150) < 6 and noisy.std() > 4
        assert photos.darken(flat, rng).mean() < 120


def test_a_share_stays_clean():
    photo, _ = make_object()
    worse = [
        (photos.degrade(photo, np.random.default_rng(seed), share=0.6) != photo).any()
        for seed in range(60)
    ]
    assert 0.4 < np.mean(worse) < 0.8
    assert (photos.degrade(photo, np.random.default_rng(0), share=0.0) == photo).all()


def test_tints_keep_the_shape_and_some_are_grey():
    photo, _ = make_object()
    tinted = [photos.tint(photo, np.random.default_rng(seed)) for seed in range(60)]
    chroma = [np.ptp(one.astype(int) - one.mean((0, 1)), axis=2).max() for one in tinted]
    assert all(one.shape == photo.shape and one.dtype == np.uint8 for one in tinted)
    assert 1 <= np.sum(np.array(chroma) < 30) < 20
    assert (photos.tint(photo, np.random.default_rng(0), amount=0.0) == photo).all()
