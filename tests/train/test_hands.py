"""Hands are crooked in ways that are known, and the same for the same dice."""

import cv2
import numpy as np
import pytest

from s2i import edges, palette
from train import hands
from train.data import Drawings

SIZES = [(64, 64), (60, 97)]


@pytest.fixture(scope="module")
def scene():
    """A generated scene with its color domain and lines, (64, 64)."""
    photo = Drawings(size_px=64)[3].photo
    domain = palette.color_domain(photo, colors=4)
    return photo, domain, edges.canny(photo, sigma_px=1.25)


def dice(seed=0):
    return np.random.default_rng(seed)


def stripes(size):
    """A domain of three upright stripes."""
    domain = np.zeros((*size, 3), np.uint8)
    third = size[1] // 3
    domain[:, :third], domain[:, third : 2 * third] = (200, 30, 30), (20, 160, 60)
    domain[:, 2 * third :] = (40, 60, 190)
    return domain


def list_colors(pixels):
    return {tuple(color) for color in pixels.reshape(-1, pixels.shape[-1])[:, :3].tolist()}


PAINTERS = {
    "dab": lambda domain, rng: hands.dab(domain, rng, count=5)[0],
    "cover": lambda domain, rng: hands.cover(domain, rng, share=0.4),
    "leave_bare": hands.leave_bare,
    "shift": lambda domain, rng: hands.shift(
        np.dstack([domain, np.full(domain.shape[:2], 255, np.uint8)]), rng
    ),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAINTERS)
def test_painted_layers_follow_the_dice_alone(name, size):
    paint, domain = PAINTERS[name], stripes(size)
    before = domain.copy()
    first, again, other = paint(domain, dice()), paint(domain, dice()), paint(domain, dice(1))
    assert first.shape == (*size, 4) and first.dtype == np.uint8
    assert set(np.unique(first[..., 3])) == {0, 255}
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(domain, before)


@pytest.mark.parametrize("count", [1, 3, 12])
def test_dabs_are_discs_of_local_color(scene, count):
    _, domain, _ = scene
    colors, dabs = hands.dab(domain, dice(), count=count, radius_px=(2, 5))
    assert len(dabs) == count
    painted = colors[..., 3] > 0
    assert list_colors(colors[painted]) <= list_colors(domain)
    for each in dabs:
        assert each.color == tuple(domain[each.y, each.x].tolist())
        assert 1 <= each.radius_px <= 2.5  # stated for 128 px, the scene has 64
    last = dabs[-1]
    assert tuple(colors[last.y, last.x]) == (*last.color, 255)
    if count == 1:
        ys, xs = np.nonzero(painted)
        distance = np.hypot(ys - last.y, xs - last.x)
        assert distance.max() <= round(last.radius_px) + 0.5


def test_dabs_keep_to_their_area_where_there_is_room():
    domain = stripes((128, 128))
    inside = sum(
        (colors[colors[..., 3] > 0][:, :3] == domain[colors[..., 3] > 0]).all()
        for colors, _ in (hands.dab(domain, dice(seed), count=1) for seed in range(50))
    )
    assert inside >= 49


def test_dabs_on_a_single_color():
    colors, _ = hands.dab(np.full((32, 32, 3), 90, np.uint8), dice(), count=4)
    assert list_colors(colors[colors[..., 3] > 0]) == {(90, 90, 90)}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cover_reaches_its_share(scene, share):
    _, domain, _ = scene
    layers = [hands.cover(domain, dice(seed), share=share) for seed in range(8)]
    shares = [(layer[..., 3] > 0).mean() for layer in layers]
    assert min(shares) >= share and np.mean(shares) < share + 0.2
    for layer in layers:
        painted = layer[..., 3] > 0
        assert list_colors(layer[painted]) <= list_colors(domain)
        assert (layer[painted][:, :3] == domain[painted]).all(axis=1).mean() > 0.7


def test_cover_does_not_run_for_ever():
    fine = np.indices((32, 32)).sum(axis=0) % 2 * 255
    layer = hands.cover(np.dstack([fine] * 3).astype(np.uint8), dice(), share=1.0)
    assert 0 < (layer[..., 3] > 0).mean() <= 1


def test_shift_moves_and_leaves_bare():
    full = np.full((128, 128, 4), 255, np.uint8)
    bare = [1 - (hands.shift(full, dice(seed))[..., 3] > 0).mean() for seed in range(20)]
    assert np.mean(bare) > 0 and max(bare) < 1 - (122 / 128) ** 2
    spot = np.zeros((128, 128, 4), np.uint8)
    spot[60:68, 60:68] = (9, 8, 7, 255)
    moved = hands.shift(spot, dice(3), up_to_px=20)
    ys, xs = np.nonzero(moved[..., 3])
    assert len(ys) == 64 and (moved[ys, xs] == (9, 8, 7, 255)).all()
    assert 0 < max(abs(ys.mean() - 63.5), abs(xs.mean() - 63.5)) <= 20.5


@pytest.mark.parametrize("up_to", [0.3, 0.7])
def test_leave_bare_keeps_to_its_limit(scene, up_to):
    photo, *_ = scene
    layers = [hands.leave_bare(photo, dice(seed), up_to=up_to) for seed in range(30)]
    bare = [(layer[..., 3] == 0).mean() for layer in layers]
    assert min(bare) >= 0.1 and max(bare) < up_to + 0.25 and np.median(bare) < up_to
    assert all(np.array_equal(layer[..., :3], photo) for layer in layers)


def test_warped_lines_are_thin_bent_and_near(scene):
    _, _, lines = scene
    before = lines.copy()
    warped = hands.warp_lines(lines, dice())
    assert warped.shape == lines.shape and set(np.unique(warped)) == {0, 255}
    assert np.array_equal(warped, hands.warp_lines(lines, dice()))
    assert np.array_equal(edges.thin_lines(warped, warped.shape), warped)
    near = cv2.dilate((lines == 0).astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    shares = []
    for seed in range(10):
        ink = hands.warp_lines(lines, dice(seed)) == 0
        assert not np.array_equal(ink, lines == 0) and near[ink].mean() > 0.95
        shares.append(ink.sum() / (lines == 0).sum())
    assert 0.3 < np.mean(shares) < 1.1
    assert np.array_equal(lines, before)


def test_warping_blank_paper_leaves_it_blank():
    blank = np.full((40, 50), 255, np.uint8)
    assert np.array_equal(hands.warp_lines(blank, dice()), blank)


def test_drop_ink_leaves_out_its_share():
    solid = np.zeros((200, 200), np.uint8)
    dropped = hands.drop_ink(solid, dice())
    assert set(np.unique(dropped)) == {0, 255}
    assert (dropped == 255).mean() == pytest.approx(0.08, abs=0.005)
    assert (hands.drop_ink(solid, dice(), share=0.5) == 255).mean() == pytest.approx(0.5, abs=0.01)
    assert np.array_equal(dropped, hands.drop_ink(solid, dice()))
    blank = np.full((20, 20), 255, np.uint8)
    assert np.array_equal(hands.drop_ink(blank, dice()), blank)


@pytest.mark.parametrize("seed", range(6))
def test_recolor_changes_one_area_in_photo_and_domain_alike(scene, seed):
    photo, domain, _ = scene
    painted, flat = hands.recolor(photo, domain, dice(seed))
    assert painted.shape == flat.shape == photo.shape
    moved = np.abs(flat.astype(int) - domain).max(axis=2) > 1  # Lab and back: 1 is rounding
    regions = palette.find_regions(domain)
    (region,) = np.unique(regions[moved])
    assert np.array_equal(moved, regions == region)
    assert len(list_colors(flat[moved])) == 1

    far = cv2.dilate(moved.astype(np.uint8), np.ones((11, 11), np.uint8)) == 0
    assert np.abs(painted.astype(int) - photo)[far].max(initial=0) <= 1
    assert (np.abs(painted.astype(int) - photo).max(axis=2) > 1)[moved].mean() > 0.9


def test_recolor_moves_the_photo_as_far_as_the_domain():
    grey = np.full((64, 64, 3), 128, np.uint8)
    photo = np.clip(grey + dice(9).integers(-6, 7, grey.shape), 0, 255).astype(np.uint8)
    painted, flat = hands.recolor(photo, grey, dice(1))
    assert np.abs(flat.astype(int) - grey).max() > 10
    assert painted.mean(axis=(0, 1)) == pytest.approx(flat.mean(axis=(0, 1)), abs=1.5)
    assert painted.std(axis=(0, 1)) == pytest.approx(photo.std(axis=(0, 1)), rel=0.5)


def test_recolor_of_a_domain_of_specks():
    specks = np.indices((32, 32)).sum(axis=0) % 2 * 100 + 80
    domain = np.dstack([specks] * 3).astype(np.uint8)
    _, flat = hands.recolor(domain, domain, dice())
    assert (np.abs(flat.astype(int) - domain).max(axis=2) > 1).sum() == 1
