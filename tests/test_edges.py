import cv2
import numpy as np
import pytest
from skimage import feature

from s2i import edges
from s2i.edges import clean_lines, pencil
from s2i.errors import S2IError


def paint_scene(seed, size=128):
    random = np.random.default_rng(seed)
    photo = np.full((size, size, 3), random.integers(0, 256, 3), np.uint8)
    for _ in range(7):
        color = [int(value) for value in random.choice([10, 90, 170, 250], 3)]
        center = [int(value) for value in random.integers(0, size, 2)]
        axes = [int(value) for value in random.integers(8, size // 3, 2)]
        cv2.ellipse(photo, center, axes, int(random.integers(180)), 0, 360, color, -1, cv2.LINE_AA)
    return np.clip(photo + random.normal(0, 3, photo.shape), 0, 255).astype(np.uint8)


def draw(size=256, width=3):
    lines = np.full((size, size), 255, np.uint8)
    unit = size / 256
    center = round(110 * unit), round(120 * unit)
    cv2.ellipse(lines, center, (round(80 * unit), round(60 * unit)), 20, 0, 360, 0, width)
    cv2.line(
        lines,
        (round(20 * unit), round(230 * unit)),
        (round(240 * unit), round(60 * unit)),
        0,
        width,
    )
    return lines


def near(mask, reach_px=1):
    side = 2 * reach_px + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def measure_f1(found, wanted, reach_px=1):
    precision = (found & near(wanted, reach_px)).sum() / found.sum()
    recall = (wanted & near(found, reach_px)).sum() / wanted.sum()
    return 2 * precision * recall / (precision + recall)


def count_squares(lines):
    """Count 2 x 2 squares of ink: a line of one pixel has none."""
    ink = lines == 0
    return int((ink[1:, 1:] & ink[:-1, 1:] & ink[1:, :-1] & ink[:-1, :-1]).sum())


def count_pieces(lines):
    return cv2.connectedComponents((lines == 0).astype(np.uint8), connectivity=8)[0] - 1


@pytest.mark.parametrize("sigma_px", [1, 2.5, 3.5, 5.4])
@pytest.mark.parametrize("seed", [2, 3, 7])
def test_canny_agrees_with_skimage(seed, sigma_px):
    photo = paint_scene(seed)
    found = edges.canny(photo, sigma_px=sigma_px) == 0
    grey = photo.astype(float) @ [0.299, 0.587, 0.114] / 255
    wanted = feature.canny(grey, sigma_px, 0.1, 0.2)
    assert measure_f1(found, wanted) >= 0.9
    assert found.mean() == pytest.approx(wanted.mean(), rel=0.15)


def test_canny_without_smoothing_finds_a_step():
    photo = np.zeros((8, 8, 3), np.uint8)
    photo[:, 4:] = 255
    ink = edges.canny(photo, sigma_px=0) == 0
    assert ink[1:-1].sum(axis=1).tolist() == [1] * 6
    assert ink[:, 3:5].sum() == ink.sum()


def test_canny_thresholds_are_in_skimage_units():
    photo = np.zeros((16, 16, 3), np.uint8)
    photo[:, 8:] = 13  # a Sobel gradient of 4 * 13 / 255 = 0.204
    assert (edges.canny(photo, sigma_px=0) == 0).any()
    photo[:, 8:] = 12  # 0.188
    assert (edges.canny(photo, sigma_px=0) == 255).all()


def test_canny_of_a_flat_photo_is_bare_paper():
    assert (edges.canny(np.full((20, 30, 3), 77, np.uint8)) == 255).all()


def test_canny_weighs_channels_as_rgb():
    photo = np.zeros((16, 16, 3), np.uint8)
    photo[:, 8:] = (30, 0, 0)
    assert (edges.canny(photo, sigma_px=0, low=0.13, high=0.13) == 0).any()  # 4 * 30 * .299 / 255
    assert (edges.canny(photo[..., ::-1], sigma_px=0, low=0.13, high=0.13) == 255).all()


def test_xdog_by_hand():
    photo = np.full((9, 9, 3), 255, np.uint8)
    assert (edges.xdog(photo) == 255).all()  # D = 1 - 0.98, over epsilon
    # Flat white with gamma 1.02: D = -0.02, so paper = 1 + tanh(50 * (-0.02 + 0.01)).
    lines = edges.xdog(photo, gamma=1.02, epsilon=-0.01, phi=50)
    assert np.ptp(lines) == 0 and lines[0, 0] == round(255 * (1 + np.tanh(-0.5)))


def test_xdog_inks_the_dark_side_of_an_edge():
    photo = np.full((32, 32, 3), 230, np.uint8)
    photo[:, 16:] = 60
    lines = edges.xdog(photo)
    assert (lines[:, 16] < 60).all() and (lines[:, :14] == 255).all()


def polarities():
    ink = 255 - draw()
    share = (ink / 255)[..., None]
    mixed = {
        "black on white": np.dstack([255 - ink] * 3),
        "grey levels": 255 - ink,
        "white on black": np.dstack([ink] * 3),
        "opaque": np.dstack([255 - ink] * 3 + [np.full_like(ink, 255)]),
        "yellow on blue": [20, 60, 150] + share * ([250, 240, 120] - np.array([20, 60, 150])),
        "dark on green": [60, 140, 80] + share * ([20, 60, 30] - np.array([60, 140, 80])),
        "faint pencil": 240 - 60 * share.repeat(3, 2),
    }
    for name, color in {"black": (0, 0, 0), "white": (255,) * 3, "red": (200, 30, 30)}.items():
        flat = np.broadcast_to(color, (*ink.shape, 3))
        mixed[f"{name} on nothing"] = np.dstack([flat, ink])
    return {name: np.asarray(layer).astype(np.uint8) for name, layer in mixed.items()}


@pytest.mark.parametrize("name", polarities())
def test_read_ink_of_any_polarity(name):
    layer = polarities()[name]
    before = layer.copy()
    lines = edges.read_ink(layer)
    assert lines.dtype == np.uint8
    assert np.abs(lines.astype(int) - draw()).mean() < 1
    assert np.array_equal(layer, before)


def test_read_ink_of_a_shaded_noisy_scan():
    light = np.linspace(230, 160, 256)[None, :, None]
    scan = light - 80 * ((255 - draw()) / 255)[..., None]
    scan = scan + np.random.default_rng(0).normal(0, 3, (256, 256, 3))
    lines = edges.read_ink(scan.astype(np.uint8))
    assert ((lines < 128) == (draw() < 128)).mean() > 0.995


def test_read_ink_of_a_cut_out_drawing():
    disc = cv2.circle(np.zeros((256, 256), np.uint8), (120, 128), 100, 255, -1)
    lines = edges.read_ink(np.dstack([draw()] * 3 + [disc]))
    assert ((lines < 128) == ((draw() < 128) & (disc > 0))).mean() > 0.999


def test_read_ink_weighs_by_alpha():
    layer = np.zeros((64, 64, 4), np.uint8)
    layer[20, :, 3] = 255
    layer[30, :, 3] = 128
    lines = edges.read_ink(layer)
    assert lines[20].tolist() == [0] * 64 and lines[30].tolist() == [127] * 64
    assert (np.delete(lines, [20, 30], axis=0) == 255).all()


@pytest.mark.parametrize(
    "blank",
    [
        np.zeros((40, 50, 4), np.uint8),
        np.full((40, 50, 3), 255, np.uint8),
        np.zeros((40, 50, 3), np.uint8),
        np.full((40, 50), 90, np.uint8),
        np.random.default_rng(0).integers(200, 212, (40, 50, 3), dtype=np.uint8),
        np.zeros((1, 1, 3), np.uint8),
    ],
)
def test_read_ink_of_a_blank_page_is_blank(blank):
    lines = edges.read_ink(blank)
    assert lines.shape == blank.shape[:2] and (lines == 255).all()


def test_read_ink_refuses_a_photo():
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    with pytest.raises(S2IError, match="no line drawing") as error:
        edges.read_ink(cv2.resize(photo, (128, 128), interpolation=cv2.INTER_CUBIC))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("width", [1, 2, 4, 9, 14])
@pytest.mark.parametrize("target", [64, 128, 256])
def test_thin_lines_of_any_thickness(width, target):
    thin = edges.thin_lines(draw(512, width), (target, target))
    assert set(np.unique(thin)) == {0, 255}
    assert count_squares(thin) == 0 and count_pieces(thin) == 1
    assert measure_f1(thin == 0, draw(target, 1) == 0) > 0.95


@pytest.mark.parametrize("offset", range(8))
def test_thin_lines_keeps_faint_thin_lines_unbroken(offset):
    lines = np.full((512, 512), 255, np.uint8)
    lines[200 + offset, 100:400] = 255 - 100
    lines[300:450, 60 + offset] = 255 - 100
    thin = edges.thin_lines(lines, (64, 64))
    assert count_pieces(thin) == 2
    assert (thin[24:27, 13:49] == 0).sum(axis=0).tolist() == [1] * 36


def test_thin_lines_outlines_a_blob():
    lines = np.full((512, 512), 255, np.uint8)
    cv2.circle(lines, (256, 256), 120, 0, -1)
    thin = edges.thin_lines(lines, (128, 128))
    rim = cv2.circle(np.zeros((128, 128), np.uint8), (64, 64), 30, 1, 1) > 0
    assert measure_f1(thin == 0, rim) > 0.95 and count_squares(thin) == 0
    assert (thin[46:82, 46:82] == 255).all()


def test_thin_lines_leaves_thin_lines_alone():
    thin = edges.thin_lines(draw(), (128, 128))
    assert np.array_equal(edges.thin_lines(thin, (128, 128)), thin)


def test_thin_lines_enlarges():
    thin = edges.thin_lines(edges.thin_lines(draw(), (128, 128)), (300, 300))
    assert count_squares(thin) == 0 and count_pieces(thin) == 1
    assert measure_f1(thin == 0, draw(300, 1) == 0, 3) > 0.95


def test_thin_lines_keeps_dots_and_blank_pages():
    dot = np.full((64, 64), 255, np.uint8)
    dot[30:34, 30:34] = 0
    assert (edges.thin_lines(dot, (32, 32)) == 0).sum() in (1, 2)
    assert (edges.thin_lines(np.full((64, 30), 255, np.uint8), (16, 7)) == 255).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 130), (127, 61)])
def test_any_size_works(size):
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    lines = edges.canny(photo)
    assert lines.shape == edges.xdog(photo).shape == edges.read_ink(lines).shape == size
    assert edges.thin_lines(lines, (5, 8)).shape == (5, 8)


def test_the_same_lines_are_found_at_any_size():
    y, x = np.mgrid[:512, :512]
    disc = np.where((x - 256) ** 2 + (y - 256) ** 2 < 150**2, 60, 200).astype(np.uint8)
    photo = np.dstack([disc] * 3)
    shares = {}
    for side in (64, 128, 256, 512):
        small = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)
        ink = edges.find_lines(small) == 0
        shares[side] = ink.sum() / side
    assert min(shares.values()) > 0.8 * max(shares.values()) > 0


# -- pencil and clean lines ------------------------------------------------------------------------


def test_pencil_is_the_formula():
    """Greys 100 beside 200, far from the border of both: no blur reaches there."""
    photo = np.full((40, 60, 3), 100, np.uint8)
    photo[:, 30:] = 200
    flat = pencil(photo, gamma=1)
    # 256 * 100 / (255 - 155) = 256 and 256 * 200 / (255 - 55) = 256, at most 255
    assert (flat[:, :20] == 255).all() and (flat[:, 40:] == 255).all()
    # at the border the blurred negative is 155 - 100 w, w the share of the kernel beyond it
    taps = cv2.getGaussianKernel(15, 2.6).ravel()
    for column in range(24, 36):
        grey = 100 if column < 30 else 200
        share = taps[max(0, 30 - (column - 7)) :].sum()
        below = 255 - (155 - 100 * share)
        assert abs(int(flat[20, column]) - min(255, 256 * grey / below)) <= 2
    assert flat[20, 29] < 190 and flat[20, 31] == 255, "ink lies on the darker side"


def test_pencil_is_opencv_s_division_bit_by_bit():
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    photo[:20, :20] = 0  # the negative is white: nothing to divide by
    grey = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    blurred = cv2.GaussianBlur(255 - grey, (15, 15), 0)
    wanted = cv2.divide(grey, 255 - blurred, scale=256)
    assert np.array_equal(pencil(photo, gamma=1), wanted)
    assert np.array_equal(pencil(photo), (wanted.astype(int) ** 2 // 255))
    assert (wanted[:8, :8] == 0).all()


def test_pencil_weighs_blue_more_than_red():
    colors = np.zeros((1, 3, 3), np.uint8)
    colors[0, range(3), range(3)] = 200
    grey = cv2.cvtColor(colors, cv2.COLOR_BGR2GRAY)[0]
    assert grey.tolist() == [23, 117, 60]


def test_specks_go_and_greys_stay():
    page = np.full((60, 80), 255, np.uint8)
    page[20:23, 5:70] = 120
    page[40, 40:43] = page[50:52, 60] = 0
    clean = clean_lines(page)
    assert np.array_equal(clean[:30], page[:30]) and (clean[30:] == 255).all()
    assert (clean_lines(page, speck_px=3)[40, 40:43] == 0).all()
    assert (clean_lines(np.full((5, 5), 255, np.uint8)) == 255).all()
    assert (clean_lines(np.full((5, 5), 255, np.uint8), width_px=2) == 255).all()
    large = clean_lines(np.kron(page, np.ones((20, 20), np.uint8)))
    assert large[40 * 20, 41 * 20] == 0, "a speck is small in the picture"


def test_lines_are_drawn_anew_in_one_width():
    page = np.full((60, 80), 255, np.uint8)
    page[10:13, 5:70], page[31:36, 5:70] = 150, 20
    clean = clean_lines(page, width_px=3)
    for middle in (11, 33):
        ink = 255 - clean[middle - 6 : middle + 7, 40].astype(int)
        assert ink.sum() == pytest.approx(3 * 255, rel=0.05) and ink.max() == 255
    page[:] = 255
    cv2.circle(page, (40, 30), 20, 0, -1)
    clean = clean_lines(page, width_px=2)
    assert (clean[24:37, 34:47] == 255).all() and clean[30, 18:24].min() == 0, "areas get a rim"


@pytest.mark.parametrize("side", [65, 76, 85, 100, 131, 160])
def test_thin_lines_survive_shrinking_by_any_factor(side):
    for at in range(20, 30):
        page = np.full((side, side), 255, np.uint8)
        page[at] = 0
        thin = edges.thin_lines(page, (64, 64))
        assert (thin == 0).any(axis=0)[1:-1].all(), "its ends may lose a pixel"
