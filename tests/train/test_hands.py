"""Hands are crooked in ways that are known, and the same for the same dice."""

import cv2
import numpy as np
import pytest

from s2i import edges, palette
from s2i.palette import find_regions
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


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_kept_is_not_recolored_at_all(scene, seed, everywhere):
    photo, domain, _ = scene
    keep = np.zeros(photo.shape[:2], bool)
    keep[:, :40] = True
    before = photo.copy(), domain.copy()
    painted, flat = hands.recolor(photo, domain, dice(seed), everywhere=everywhere, keep=keep)
    assert np.array_equal(painted[keep], photo[keep]) and np.array_equal(flat[keep], domain[keep])
    assert not np.array_equal(painted, photo) and not np.array_equal(flat, domain)
    assert np.array_equal(photo, before[0]) and np.array_equal(domain, before[1])
    keep[:] = True
    answers = hands.recolor(photo, domain, dice(seed), everywhere=everywhere, keep=keep)
    assert np.array_equal(answers[0], photo) and np.array_equal(answers[1], domain)


def test_everywhere_means_all_areas_of_a_color():
    domain = stripes((60, 90))
    domain[:, 60:] = domain[0, 0]
    for seed in range(8):
        moved = hands.recolor(domain, domain, dice(seed), everywhere=True)[1] != domain
        assert (moved[:, :30] == moved[:, 60:]).all()
    alone = [(hands.recolor(domain, domain, dice(seed))[1] != domain).any(2) for seed in range(8)]
    assert any(moved[:, :30].any() != moved[:, 60:].any() for moved in alone)


# -- sketches, backgrounds, hints ------------------------------------------------------------------


def figure(size=96, start=(120, 170, 220), end=(200, 230, 250)):
    """A dark disc with an outline and a window in it, on a gradient: photo, lines, disc, window."""
    ramp = np.linspace(start, end, size)[:, None]
    photo = np.rint(np.broadcast_to(ramp, (size, size, 3))).astype(np.uint8)
    window = photo.copy()
    lines = np.full((size, size), 255, np.uint8)
    center, radius = (size // 2, size // 2), size // 3
    disc = cv2.circle(np.zeros((size, size), np.uint8), center, radius, 1, -1) > 0
    hole = cv2.circle(np.zeros((size, size), np.uint8), center, radius // 3, 1, -1) > 0
    photo[disc] = (90, 40, 30)
    photo[hole] = window[hole]
    cv2.circle(lines, center, radius, 0, 1)
    return photo, lines, disc, hole


@pytest.mark.parametrize("has_lines", [True, False])
def test_the_background_is_found_on_a_gradient(has_lines):
    photo, lines, disc, _ = figure()
    before = photo.copy()
    found = hands.find_background(photo, lines if has_lines else None)
    assert found.shape == photo.shape[:2] and found.dtype == bool
    assert np.array_equal(found, ~disc)  # and not the window in it
    assert np.array_equal(photo, before)


def test_lines_bound_a_background_where_colors_do_not():
    photo, lines, disc, _ = figure()
    flat = np.full_like(photo, 200)
    assert hands.find_background(flat, None).all()
    assert not hands.find_background(flat, lines)[disc].any()
    assert hands.find_background(flat, lines)[~disc].all()
    assert not hands.find_background(flat, np.zeros_like(lines)).any()


def test_a_whitened_background_is_white_and_the_figure_stays():
    photo, lines, disc, _ = figure()
    background = hands.find_background(photo, lines)
    white = hands.whiten(photo, background)
    assert (white[background] == 255).all() and white.dtype == np.uint8
    deep = cv2.erode(disc.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert np.array_equal(white[deep], photo[deep])
    nothing = np.zeros(photo.shape[:2], bool)
    assert np.array_equal(hands.whiten(photo, nothing), photo)


def test_sketches_come_in_many_styles_near_the_outline():
    photo, lines, *_ = figure()
    before = photo.copy(), lines.copy()
    drawn = [hands.sketch(photo, lines, dice(seed), given=0.5) for seed in range(24)]
    assert all(each.shape == lines.shape and each.dtype == np.uint8 for each in drawn)
    assert all(each[3, 3] > 200 for each in drawn)  # ink is dark on paper, never the reverse
    assert len({each.tobytes() for each in drawn}) > 15
    amounts = [(each < 128).mean() for each in drawn]
    assert min(amounts) > 0 and max(amounts) > 1.5 * np.median(amounts)
    near = cv2.dilate((lines == 0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    given = [hands.sketch(photo, lines, dice(seed), given=1.0) < 128 for seed in range(12)]
    assert np.mean([near[ink].mean() for ink in given]) > 0.95
    for seed in range(3):
        again = hands.sketch(photo, lines, dice(seed), given=0.5)
        assert np.array_equal(again, drawn[seed])
    assert np.array_equal(photo, before[0]) and np.array_equal(lines, before[1])


def test_the_share_of_given_lines_is_as_said():
    photo, _, *_ = figure()
    cross = np.full(photo.shape[:2], 255, np.uint8)
    cross[2:6] = 0  # where the picture has no edge
    used = [
        (hands.sketch(photo, cross, dice(seed), given=0.7)[2:6] < 128).any() for seed in range(200)
    ]
    assert np.mean(used) == pytest.approx(0.7, abs=0.1)
    alone = hands.sketch(photo, None, dice(), given=1.0)
    assert (alone < 128).any() and alone[3, 3] > 200


def blank(domain):
    return np.full(domain.shape[:2], 255, np.uint8)


def test_dabs_go_from_region_to_region_and_never_on_ink():
    domain = stripes((64, 64))
    colors, dabs = hands.dab_regions(domain, dice(0), count=8)
    regions = find_regions(domain)
    numbers = [int(regions[dab.y, dab.x]) for dab in dabs]
    count = len(np.unique(regions))
    assert sorted(numbers[:count]) == list(range(count)), "each has one before any has two"
    for dab in dabs:
        assert tuple(int(value) for value in domain[dab.y, dab.x]) == dab.color
        assert tuple(colors[dab.y, dab.x]) == (*dab.color, 255)
    again = hands.dab_regions(domain, dice(0), count=8)
    assert again[1] == dabs and np.array_equal(again[0], colors)
    ink = regions == numbers[0]
    _, kept_off = hands.dab_regions(domain, dice(0), count=8, ink=ink)
    assert not any(ink[dab.y, dab.x] for dab in kept_off)
    assert len(hands.dab_regions(domain, dice(0), count=3, ink=np.ones_like(ink))[1]) == 3


def test_two_fifths_have_no_hints_and_the_others_are_local_colors():
    domain = stripes((64, 64))
    before = domain.copy()
    layers = [hands.hint(domain, blank(domain), dice(seed)) for seed in range(400)]
    shares = np.array([(layer[..., 3] > 0).mean() for layer in layers])
    assert (shares == 0).mean() == pytest.approx(0.4, abs=0.08)
    assert 0 < (shares == 1).mean() < 0.05
    assert ((shares > 0) & (shares < 0.1)).mean() > 0.15 and (shares > 0.3).mean() > 0.05
    for layer in layers[:60]:
        assert layer.shape == (64, 64, 4) and layer.dtype == np.uint8
        painted = layer[..., 3] > 0
        assert (layer[painted][:, 3] == 255).all()
        assert list_colors(layer[painted]) <= list_colors(domain)
    assert all(
        np.array_equal(layers[seed], hands.hint(domain, blank(domain), dice(seed)))
        for seed in range(8)
    )
    assert np.array_equal(domain, before)


def test_no_hints_is_what_none_says():
    domain = stripes((48, 48))
    assert not any(
        hands.hint(domain, blank(domain), dice(seed), none=1.0).any() for seed in range(40)
    )
    assert all(hands.hint(domain, blank(domain), dice(seed), none=0.0).any() for seed in range(40))


def test_spoilt_lines():
    rng = np.random.default_rng(3)
    lines = np.full((64, 64), 255, np.uint8)
    lines[20, 5:60] = 0
    lines[40:60, 30] = 90
    bent = hands.bend(lines, rng, amount_px=2.5)
    assert 0.6 < (bent < 128).sum() / (lines < 128).sum() < 1.6
    assert not np.array_equal(bent, lines)
    assert np.array_equal(hands.bend(lines, rng, amount_px=0), lines)
    half = hands.erase_half(lines, rng)
    assert set(half[lines < 255].tolist()) <= {0, 90, 255} and (half >= lines).all()
    y, x = np.mgrid[:64, :64]
    page = hands.erase_half(np.zeros((64, 64), np.uint8), rng)
    assert (page == 255).mean() == pytest.approx(0.5, abs=0.02)
    moved = hands.jitter(lines, rng, amount_px=3)
    assert sorted(moved[moved < 255].tolist()) == sorted(lines[lines < 255].tolist())
    for before, after in ((lines == 0, moved == 0), (lines == 90, moved == 90)):
        gap = [axis[before].mean() - axis[after].mean() for axis in (y, x)]
        assert np.abs(gap).max() <= 3 and all(float(value).is_integer() for value in gap)
    assert np.array_equal(hands.jitter(lines, rng, amount_px=0), lines)


def test_drawings_come_in_styles_and_some_are_partly_erased(scene):
    photo, _, lines = scene
    own = edges.xdog(photo)
    before, kinds = photo.copy(), set()
    for seed in range(80):
        drawn = hands.draw(photo, lines, dice(seed))
        assert drawn.shape == (64, 64) and drawn.dtype == np.uint8
        assert np.array_equal(drawn, hands.draw(photo, lines, dice(seed)))
        differs = (drawn != own).any()
        is_part = np.array_equal(drawn, np.where(drawn == 255, 255, own))
        kinds.add("other" if not is_part else "erased" if differs else "whole")
    assert kinds == {"whole", "erased", "other"} and np.array_equal(photo, before)
    assert np.array_equal(lines, scene[2])


def test_a_drawing_leaves_the_data_s_own_lines_as_they_are(scene):
    photo, _, lines = scene
    before = lines.copy()
    for seed in range(40):
        hands.draw(photo, lines, dice(seed), given=1.0)
    assert np.array_equal(lines, before)
