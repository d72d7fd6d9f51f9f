import cv2
import numpy as np
import pytest

from s2i import palette


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def paint_quarters(size=64):
    photo = np.zeros((size, size, 3), np.uint8)
    half = size // 2
    photo[:half, :half] = (250, 20, 20)
    photo[:half, half:] = (20, 200, 40)
    photo[half:] = (30, 30, 220)
    return photo


def list_colors(picture):
    return {tuple(color) for color in picture.reshape(-1, 3).tolist()}


def measure_shares(picture, color):
    return (picture == color).all(axis=-1).mean()


def test_color_domain_finds_flat_colors():
    noisy = np.clip(paint_quarters() + np.random.default_rng(0).normal(0, 12, (64, 64, 3)), 0, 255)
    domain = palette.color_domain(noisy.astype(np.uint8), colors=3, blur_px=15, soften_px=1)
    assert domain.shape == (64, 64, 3) and len(list_colors(domain)) == 3
    assert np.abs(domain.astype(int) - paint_quarters()).mean() < 8


@pytest.mark.parametrize("colors", [1, 2, 5])
def test_color_domain_has_at_most_so_many_colors(colors):
    photo = cv2.GaussianBlur(noise(96, 80, 3), (0, 0), 8) * 3
    # A median of colors takes each channel apart, so only without the last one they are counted.
    domain = palette.color_domain(photo, colors=colors, soften_px=1)
    assert len(list_colors(domain)) == colors


def test_color_domain_is_the_same_whatever_else_is_random():
    photo = cv2.GaussianBlur(noise(128, 128, 3), (0, 0), 6) * 2
    np.random.seed(1)  # noqa: NPY002
    cv2.setRNGSeed(1)
    first = palette.color_domain(photo, seed=4)
    np.random.seed(2)  # noqa: NPY002
    cv2.setRNGSeed(2)
    assert np.array_equal(first, palette.color_domain(photo, seed=4))


def test_color_domain_kernels_grow_with_the_picture():
    small = cv2.GaussianBlur(noise(128, 128, 3), (0, 0), 10) * 3
    large = cv2.resize(small, (512, 512), interpolation=cv2.INTER_CUBIC)
    domain = palette.color_domain(large)
    shrunk = cv2.resize(domain, (128, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - palette.color_domain(small)).mean() < 6


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (5, 300)])
def test_color_domain_of_any_size(size):
    assert palette.color_domain(noise(*size, 3)).shape == (*size, 3)


def test_extract_palette_orders_by_share():
    photo = paint_quarters()
    photo[:32, :20] = (20, 200, 40)
    found = palette.extract_palette(photo, 8)
    assert found.dtype == np.uint8 and found.shape == (3, 3)
    assert np.abs(found.astype(int) - [[30, 30, 220], [20, 200, 40], [250, 20, 20]]).max() <= 1


def test_extract_palette_gives_count_distinct_colors():
    found = palette.extract_palette(noise(50, 60, 3), 6, seed=3)
    assert len({tuple(color) for color in found.tolist()}) == 6
    assert np.array_equal(found, palette.extract_palette(noise(50, 60, 3), 6, seed=3))


def test_find_regions_by_hand():
    a, b = (1, 2, 3), (1, 2, 4)
    domain = np.array([[a, a, b, a], [b, a, b, a], [a, b, b, a]], np.uint8)
    labels = palette.find_regions(domain)
    assert labels.dtype == np.int32
    assert sorted(np.unique(labels)) == [0, 1, 2, 3, 4]
    same = labels[..., None, None] == labels
    assert same[0, 0].tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert same[0, 2].tolist() == [[0, 0, 1, 0], [0, 0, 1, 0], [0, 1, 1, 0]]
    assert same[0, 3].tolist() == [[0, 0, 0, 1]] * 3
    assert same[1, 0].sum() == same[2, 0].sum() == 1


RED, BLUE = (230, 20, 10, 255), (5, 60, 240, 255)


def draw_circle(size=128):
    lines = np.full((size, size), 255, np.uint8)
    center, radius = (size // 2, size // 2), size * 3 // 10
    cv2.circle(lines, center, radius, 0, max(1, size // 128))
    inside = cv2.circle(np.zeros_like(lines), center, radius - max(2, size // 64), 1, -1) > 0
    outside = cv2.circle(np.ones_like(lines), center, radius + max(2, size // 64), 0, -1) > 0
    return lines, inside, outside


def dab(colors, top, left, color, radius=2):
    colors[top - radius : top + radius + 1, left - radius : left + radius + 1] = color


def test_spread_colors_of_nothing_is_nothing():
    spread = palette.spread_colors(noise(20, 30, 4) & (255, 255, 255, 127), noise(20, 30))
    assert spread.shape == (20, 30, 4) and not spread.any()


def test_spread_colors_by_hand():
    colors = np.zeros((128, 128, 4), np.uint8)
    colors[64, 64] = RED
    spread = palette.spread_colors(colors, np.full((128, 128), 255, np.uint8))
    assert (spread[..., :3] == RED[:3]).all()
    assert spread[64, 64, 3] == 255
    assert spread[64, 76, 3] == round(255 * np.exp(-12 / 24))
    assert spread[76, 76, 3] == round(255 * np.exp(-12 * 1.4 / 24))
    assert spread[0, 64, 3] == round(255 * np.exp(-64 / 24))
    assert spread[..., 3].min() >= 1


@pytest.mark.parametrize("size", [128, 256, 512])
def test_spread_colors_stays_inside_a_contour(size):
    lines, inside, outside = draw_circle(size)
    colors = np.zeros((size, size, 4), np.uint8)
    dab(colors, size // 2, size // 2, RED)
    alone = palette.spread_colors(colors, lines)
    assert alone[inside][:, 3].min() > 40 and np.median(alone[inside][:, 3]) > 70
    assert alone[outside][:, 3].max() < 40
    dab(colors, size // 16, size // 16, BLUE)
    both = palette.spread_colors(colors, lines)
    assert (both[inside][:, :3] == RED[:3]).all(axis=1).mean() > 0.99
    quarter = outside[: size // 2, : size // 2]
    assert (both[: size // 2, : size // 2][quarter][:, :3] == BLUE[:3]).all()
    assert np.array_equal(both[colors[..., 3] > 0], colors[colors[..., 3] > 0])


def test_spread_colors_crosses_a_line_for_24_px():
    lines = np.full((128, 128), 255, np.uint8)
    thick = lines.copy()
    lines[:, 64] = 0
    thick[:, 63:66] = 0
    colors = np.zeros((128, 128, 4), np.uint8)
    colors[:, 60] = RED
    for barrier in (lines, thick):
        spread = palette.spread_colors(colors, barrier)
        assert spread[64, 70, 3] == round(255 * np.exp(-(10 + 24) / 24))


def test_spread_colors_does_not_slip_through_a_diagonal_line():
    for turn in range(2):
        lines = np.full((128, 128), 255, np.uint8)
        np.fill_diagonal(lines if turn else lines[:, ::-1], 0)
        colors = np.zeros((128, 128, 4), np.uint8)
        row, column = (70, 60) if turn else (60, 60)
        colors[row, column] = RED
        spread = palette.spread_colors(colors, lines)
        mirror = (column, row) if turn else (127 - column, 127 - row)
        assert spread[mirror][3] <= 255 * np.exp(-(24 + 7) / 24)


@pytest.mark.parametrize("gap_px", [1, 2, 3, 4])
def test_spread_colors_respects_small_gaps(gap_px):
    lines = np.full((128, 128), 255, np.uint8)
    lines[:, 64] = 0
    lines[60 : 60 + gap_px, 64] = 255
    colors = np.zeros((128, 128, 4), np.uint8)
    colors[60, 60] = RED
    closed = palette.spread_colors(colors, lines)[60, 68, 3]
    lines[40:90, 64] = 255
    assert closed < 0.6 * palette.spread_colors(colors, lines)[60, 68, 3]


def test_spread_colors_goes_around():
    lines = np.full((128, 128), 255, np.uint8)
    lines[:100, 64] = 0
    lines[20, 64:] = 0
    colors = np.zeros((128, 128, 4), np.uint8)
    colors[96, 60] = RED
    # Around the end of the line and up again is some 12 px, through it would be 8 + 24.
    assert palette.spread_colors(colors, lines)[96, 68, 3] > 255 * np.exp(-18 / 24)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (61, 126), (300, 500)])
def test_spread_colors_of_any_size(size):
    colors = np.zeros((*size, 4), np.uint8)
    colors[-1, 0] = BLUE
    lines = np.where(noise(*size) < 30, 0, 255).astype(np.uint8)
    before = colors.copy(), lines.copy()
    spread = palette.spread_colors(colors, lines)
    assert (spread[..., :3] == BLUE[:3]).all() and spread[..., 3].min() >= 1
    assert np.array_equal(spread, palette.spread_colors(colors, lines))
    assert np.array_equal(colors, before[0]) and np.array_equal(lines, before[1])


def test_spread_colors_finds_the_shortest_ways():
    """Compare with plain relaxation until nothing changes."""
    random = np.random.default_rng(3)
    is_source = random.random((24, 17)) < 0.01
    is_source[5, 5] = True
    barriers = np.where(random.random((24, 17)) < 0.3, 60, 0).astype(np.int64)
    _, way = palette._find_ways(is_source, barriers)

    def cost(first, second):
        climb = abs(barriers[first] - barriers[second])
        if first[0] == second[0] or first[1] == second[1]:
            return 5 + climb
        corners = (first[0], second[1]), (second[0], first[1])
        return 7 + min(
            abs(barriers[first] - barriers[corner]) + abs(barriers[corner] - barriers[second])
            for corner in corners
        )

    wanted = np.where(is_source, 0, 10**6)
    cells = list(np.ndindex(wanted.shape))
    has_changed = True
    while has_changed:
        has_changed = False
        for row, column in cells:
            for other in cells_around(row, column, wanted.shape):
                shorter = wanted[other] + cost(other, (row, column))
                if shorter < wanted[row, column]:
                    wanted[row, column], has_changed = shorter, True
    assert np.array_equal(way, wanted)


def cells_around(row, column, shape):
    for other in np.ndindex(3, 3):
        cell = row + other[0] - 1, column + other[1] - 1
        if cell != (row, column) and 0 <= cell[0] < shape[0] and 0 <= cell[1] < shape[1]:
            yield cell


@pytest.mark.parametrize("size", [60, 85, 128, 170, 256, 301])
def test_areas_are_what_lines_enclose(size):
    lines = np.full((size, size), 255, np.uint8)
    lines[:, size // 2] = lines[size // 3, : size // 2] = 0
    areas = palette.find_areas(lines)
    assert areas.shape == lines.shape and areas.dtype == np.int32
    assert np.array_equal(areas == -1, lines == 0)
    assert len(np.unique(areas[lines > 0])) == areas.max() + 1 == 3
    assert len({areas[0, 0], areas[-1, 0], areas[0, -1]}) == 3


@pytest.mark.parametrize("size", [128, 256, 512])
def test_areas_stay_apart_over_small_gaps_alone(size):
    lines, inside, _ = draw_circle(size)
    gap = 2 * size // 128
    lines[size // 2 : size // 2 + gap, : size // 2] = 255
    areas = palette.find_areas(lines)
    assert len(np.unique(areas[inside & (areas >= 0)])) == 1
    assert areas[size // 2, size // 2] != areas[0, 0] >= 0
    assert (areas[lines == 0] == -1).all()
    leaking = palette.find_areas(lines, gap_px=0)
    assert leaking[size // 2, size // 2] == leaking[0, 0]
    lines[size // 2 : size // 2 + size // 8, : size // 2] = 255
    assert palette.find_areas(lines)[size // 2, size // 2] == palette.find_areas(lines)[0, 0]


@pytest.mark.parametrize(("value", "wanted"), [(255, 0), (128, 0), (127, -1)])
def test_areas_of_a_page_of_one_tone(value, wanted):
    assert (palette.find_areas(np.full((20, 30), value, np.uint8)) == wanted).all()


def hues(colors):
    lab = palette._to_lab(colors[None])[0]
    return np.hypot(lab[:, 1], lab[:, 2]), np.arctan2(lab[:, 2], lab[:, 1]), lab[:, 0]


SOFT = np.uint8([[150, 110, 110], [150, 112, 108], [110, 140, 115], [110, 115, 150]])


def test_stronger_greys_stay_greys():
    greys = np.repeat(np.uint8([[20], [90], [160], [240]]), 3, axis=1)
    stronger = palette.strengthen(greys)
    assert stronger.dtype == np.uint8 and np.abs(stronger.astype(int) - greys).max() <= 2


def test_stronger_colors_keep_hue_and_lightness():
    before = SOFT.copy()
    chroma, hue, light = hues(SOFT)
    strong, kept, same_light = hues(palette.strengthen(SOFT))
    assert (strong > 1.3 * chroma).all() and strong.min() > 24 and strong.max() < 77
    assert np.abs(np.angle(np.exp(1j * (kept - hue)))).max() < 0.06
    assert np.abs(same_light - light).max() < 1
    assert np.array_equal(SOFT, before)


def test_a_palette_is_drawn_by_the_dice_alone():
    drawn = [palette.draw_palette(9, np.random.default_rng(seed)) for seed in range(12)]
    assert all(each.shape == (9, 3) and each.dtype == np.uint8 for each in drawn)
    assert np.array_equal(drawn[3], palette.draw_palette(9, np.random.default_rng(3)))
    assert len({each.tobytes() for each in drawn}) == 12
    for each in drawn:
        assert len({tuple(color) for color in each.tolist()}) == 9
        chroma, _, light = hues(each)
        assert chroma.min() > 12 and light.min() > 30 and light.max() < 95
    assert palette.draw_palette(1, np.random.default_rng(0)).shape == (1, 3)


@pytest.mark.parametrize("size", [128, 256, 512])
def test_paper_is_what_lies_around_a_figure(size):
    lines, inside, outside = draw_circle(size)
    bare = np.zeros((size, size, 4), np.uint8)
    paper = palette.find_paper(lines, bare)
    assert paper.shape == lines.shape and paper.dtype == bool
    assert paper[outside].all() and not paper[inside].any() and not paper[lines == 0].any()
    lines[size // 2 : size // 2 + 3 * size // 128, : size // 2] = 255
    assert not palette.find_paper(lines, bare)[inside].mean() > 0.05  # no way in
    lines[size // 2 - size // 8 : size // 2 + size // 8, : size // 2] = 255
    assert palette.find_paper(lines, bare)[inside].mean() > 0.5


def test_painted_paper_is_no_bare_paper():
    lines, inside, outside = draw_circle(128)
    colors = np.zeros((128, 128, 4), np.uint8)
    dab(colors, 64, 64, RED)
    assert palette.find_paper(lines, colors)[outside].all()
    dab(colors, 8, 8, (255, 255, 255, 255))
    assert not palette.find_paper(lines, colors).any()
    colors[..., 3] = np.minimum(colors[..., 3], 127)
    assert palette.find_paper(lines, colors)[outside].all()
    assert not palette.find_paper(lines, colors)[inside].any()


def test_turn_hue_keeps_greys_alpha_and_lightness():
    layer = noise(8, 8, 4) // 2 + 64
    turned = palette.turn_hue(layer, 75)
    assert np.array_equal(turned[..., 3], layer[..., 3])
    grey = np.full((2, 2, 3), 120, np.uint8)
    assert np.abs(palette.turn_hue(grey, 133).astype(int) - 120).max() <= 1
    soft = noise(8, 8, 3) // 4 + 96
    lightness = [
        palette._to_lab(picture)[..., 0] for picture in (soft, palette.turn_hue(soft, 200))
    ]
    assert np.abs(lightness[0] - lightness[1]).max() < 1


def test_turn_hue_wraps():
    soft = noise(8, 8, 3) // 4 + 96
    assert np.array_equal(palette.turn_hue(soft, 0), soft)
    assert np.array_equal(palette.turn_hue(soft, -720), soft)
    assert np.array_equal(palette.turn_hue(soft, 350), palette.turn_hue(soft, -10))
    back = palette.turn_hue(palette.turn_hue(soft, 236), 124)
    assert np.abs(back.astype(int) - soft).max() <= 4


def test_turn_hue_changes_the_hue():
    red, green, blue = palette.turn_hue(np.uint8([[[200, 90, 90]]]), 120)[0, 0].astype(int)
    assert green > red and green > blue


def test_lighten_is_a_contrast_stretch():
    stretched = palette.lighten(np.arange(256, dtype=np.uint8))
    wanted = np.clip(np.rint(1.1 * np.arange(256) - 12.5), 0, 255)
    assert np.abs(stretched - wanted).max() <= 1 and stretched[125] == 125
    assert (np.diff(stretched.astype(int)) >= 0).all()


def test_blend_colors_ends_are_exact():
    first, second = noise(6, 7, 3), noise(6, 7, 3, seed=1)
    assert np.array_equal(palette.blend_colors(first, second, 0), first)
    assert np.array_equal(palette.blend_colors(first, second, 1), second)
    half = palette.blend_colors(first, second, 0.5).astype(int)
    assert np.abs(2 * half - first.astype(int) - second).max() <= 1
