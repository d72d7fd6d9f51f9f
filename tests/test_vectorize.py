import io
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from time import process_time
from xml.etree import ElementTree

import cairosvg
import cv2
import numpy as np
import pytest
from PIL import Image

from s2i import vectorize
from s2i.errors import S2IError
from s2i.vectorize import Stroke, Strokes


def draw_page(height=200, width=200):
    return np.full((height, width), 255, np.uint8)


def draw_sketch(height=256, width=256):
    """Return a face: a big outline, crossing lines, a filled area, dots."""
    lines = draw_page(height, width)
    unit = min(height, width) / 256
    center = round(128 * unit), round(128 * unit)

    def at(x, y):
        return round(x * unit), round(y * unit)

    cv2.ellipse(lines, center, at(90, 110), 0, 0, 360, 0, 3, cv2.LINE_AA)
    cv2.ellipse(lines, at(90, 100), at(22, 14), 10, 0, 360, 0, 2, cv2.LINE_AA)
    cv2.circle(lines, at(90, 100), round(9 * unit), 0, -1, cv2.LINE_AA)
    cv2.ellipse(lines, at(128, 170), at(40, 24), 0, 10, 170, 0, 3, cv2.LINE_AA)
    cv2.line(lines, at(150, 80), at(190, 110), 0, 3, cv2.LINE_AA)
    cv2.line(lines, at(150, 110), at(190, 80), 0, 3, cv2.LINE_AA)
    cv2.ellipse(lines, at(128, 40), at(50, 20), 0, 180, 360, 0, -1, cv2.LINE_AA)
    cv2.circle(lines, at(128, 130), 2, 0, -1)
    return lines


def measure_share(ink, other, reach_px):
    """Return the share of ``ink`` that has ``other`` within reach."""
    away = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return (away[ink] <= reach_px).mean()


def render_svg(content):
    return np.array(Image.open(io.BytesIO(cairosvg.svg2png(content))).convert("L"))


def measure_iou(first, second, reach_px=2):
    """Return the IoU of two drawings' ink; ink within reach of the other's ink counts as shared."""
    first, second = first < 128, second < 128
    shared = first & second
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach_px + 1,) * 2)
    near = [cv2.dilate(ink.astype(np.uint8), disc) > 0 for ink in (first, second)]
    shared = (first & near[1]) | (second & near[0])
    return shared.sum() / (first | second).sum()


def measure_length(stroke):
    return np.hypot(*np.diff(vectorize._flatten(stroke), axis=0).T).sum()


def is_same(first, second):
    return (
        first.size == second.size
        and len(first.strokes) == len(second.strokes)
        and all(
            one.width_px == other.width_px and np.array_equal(one.points, other.points)
            for one, other in zip(first.strokes, second.strokes, strict=True)
        )
    )


@pytest.mark.parametrize("width_px", [1, 2, 3, 6, 9])
def test_a_circle_is_one_closed_stroke(width_px):
    lines = draw_page()
    y, x = np.mgrid[:200, :200] + 0.5
    lines[np.abs(np.hypot(x - 100, y - 96) - 70) <= width_px / 2] = 0
    (stroke,) = vectorize.trace(lines).strokes
    assert np.array_equal(stroke.points[0], stroke.points[-1])
    radii = np.hypot(*(vectorize._flatten(stroke) - (100, 96)).T)
    assert abs(radii.mean() - 70) < 0.3 and np.abs(radii - 70).max() < 1
    assert abs(stroke.width_px - width_px) <= 0.6
    assert len(stroke.points) < 3 * 17


@pytest.mark.parametrize("width_px", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("is_upright", [False, True])
def test_a_straight_line_keeps_its_ends_middle_and_width(width_px, is_upright):
    lines = draw_page()
    lines[50 : 50 + width_px, 20:180] = 0
    (stroke,) = vectorize.trace(lines.T if is_upright else lines).strokes
    points = stroke.points[:, ::-1] if is_upright else stroke.points
    assert stroke.width_px == width_px
    np.testing.assert_allclose(points[:, 1], 50 + width_px / 2, atol=0.3)
    ends = np.sort(points[[0, -1], 0])
    np.testing.assert_allclose(ends, [20 + width_px / 2, 180 - width_px / 2], atol=0.8)
    assert len(points) == 4


@pytest.mark.parametrize("width_px", [1, 3, 7])
@pytest.mark.parametrize("slope", [0, 0.4, 1])
def test_a_cross_is_two_strokes_through_the_junction(width_px, slope):
    lines = draw_page()
    ends = np.array([[-80, -80 * slope], [80, 80 * slope]])
    for turned in (ends, ends[:, ::-1] * (-1, 1)):
        first, last = np.rint(turned + 100).astype(int).tolist()
        cv2.line(lines, first, last, 0, width_px)
    strokes = vectorize.trace(lines).strokes
    assert len(strokes) == 2
    for stroke in strokes:
        middle = np.hypot(*(vectorize._flatten(stroke) - 100.5).T)
        assert middle.min() < 1.5
        way = np.hypot(*(stroke.points[-1] - stroke.points[0]))
        assert way > 155 and measure_length(stroke) < 1.01 * way


@pytest.mark.parametrize("width_px", [1, 3, 7])
def test_a_t_is_a_beam_and_a_stem(width_px):
    lines = draw_page()
    cv2.line(lines, (20, 60), (180, 60), 0, width_px)
    cv2.line(lines, (100, 60), (100, 160), 0, width_px)
    beam, stem = vectorize.trace(lines).strokes
    np.testing.assert_allclose(vectorize._flatten(beam)[:, 1], 60.5, atol=1)
    assert measure_length(beam) > 150
    np.testing.assert_allclose(vectorize._flatten(stem)[:, 0], 100.5, atol=1)
    assert np.abs(stem.points[0] - (100.5, 60.5)).max() < 2  # begun where the beam is


def test_corners_stay_sharp():
    lines = draw_page()
    cv2.rectangle(lines, (40, 50), (160, 150), 0, 3)
    (stroke,) = vectorize.trace(lines).strokes
    flat = vectorize._flatten(stroke)
    for corner in ((40.5, 50.5), (160.5, 50.5), (160.5, 150.5), (40.5, 150.5)):
        assert np.hypot(*(flat - corner).T).min() < 1
    assert len(stroke.points) == 13


def test_dots_stay_and_dust_goes():
    lines = draw_page()
    cv2.circle(lines, (50, 60), 3, 0, -1)
    lines[100:102, 100:102] = 0
    (stroke,) = vectorize.trace(lines).strokes
    assert np.abs(stroke.points - 0.5 - (50, 60)).max() <= 1
    assert 5 <= stroke.width_px <= 8
    assert b"<path" in vectorize.to_svg(vectorize.trace(lines))


@pytest.mark.parametrize("paper", [255, 250, 200])
def test_a_blank_page_has_no_strokes(paper):
    strokes = vectorize.trace(np.full((60, 80), paper, np.uint8))
    assert strokes.size == (60, 80) and strokes.strokes == ()
    assert (vectorize.rasterize(strokes) == 255).all()
    assert is_same(vectorize.from_npz(vectorize.to_npz(strokes)), strokes)
    assert (render_svg(vectorize.to_svg(strokes)) == 255).all()
    assert all((frame == 255).all() for frame in vectorize.draw_frames(strokes))


@pytest.mark.parametrize("size", [(64, 64), (300, 200)])
def test_a_page_of_ink_is_outlined_and_hatched(size):
    strokes = vectorize.trace(np.zeros(size, np.uint8))
    assert 2 <= len(strokes.strokes) <= 6
    assert (vectorize.rasterize(strokes) < 128).mean() > 0.97


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 2), (1, 40), (40, 1), (2, 40), (3, 3), (7, 300), (301, 5)]
)
@pytest.mark.parametrize("fill", ["ink", "paper", "noise"])
def test_odd_sizes_go_through_everything(size, fill):
    noise = np.random.default_rng(5).integers(0, 256, size, dtype=np.uint8)
    lines = {"ink": np.zeros_like(noise), "paper": np.full_like(noise, 255), "noise": noise}[fill]
    strokes = vectorize.trace(lines)
    assert strokes.size == size
    assert vectorize.rasterize(strokes).shape == size
    assert render_svg(vectorize.to_svg(strokes)).shape == size
    assert is_same(vectorize.from_npz(vectorize.to_npz(strokes)), strokes)
    assert max(vectorize.draw_frames(strokes, seconds=0.2)[0].shape) == 480
    if fill == "ink" and min(size) * max(size) >= 40:
        assert (vectorize.rasterize(strokes) < 128).mean() > 0.9


@pytest.mark.parametrize("tolerance_px", [0.5, 1, 3])
def test_tolerance_bounds_the_distance(tolerance_px):
    lines = draw_page(240, 320)
    x = np.arange(20, 300)
    y = 120 + 60 * np.sin(x / 25) + 10 * np.sin(x / 7)
    course = np.column_stack([x, y])
    cv2.polylines(lines, [np.rint(course).astype(int)[:, None]], False, 0, 3)
    strokes = vectorize.trace(lines, tolerance_px=tolerance_px).strokes
    flat = np.concatenate([vectorize._flatten(stroke) for stroke in strokes])
    dense = np.column_stack(
        [np.interp(np.linspace(0, 279, 3000), np.arange(280), c) for c in course.T]
    )
    away = np.hypot(*np.moveaxis(dense[:, None] + 0.5 - flat, 2, 0)).min(axis=1)
    assert away.max() < tolerance_px + 1  # the pixels and the corners of the raster add some
    assert sum(len(stroke.points) for stroke in strokes) < 3 * (45 if tolerance_px < 1 else 32)


def test_more_tolerance_gives_fewer_curves():
    lines = draw_sketch()
    counts = [
        sum(len(stroke.points) for stroke in vectorize.trace(lines, tolerance_px=t).strokes)
        for t in (0.5, 1, 3)
    ]
    assert counts[0] > counts[1] > counts[2]


@pytest.mark.parametrize("size", [(256, 256), (300, 420)])
def test_svg_covers_the_ink_and_nothing_else(size):
    lines = draw_sketch(*size)
    drawn = render_svg(vectorize.to_svg(vectorize.trace(lines)))
    assert measure_share(lines < 128, drawn < 128, 1.5) > 0.98
    assert measure_share(drawn < 128, lines < 128, 1.5) > 0.98


def test_svg_looks_like_the_raster():
    strokes = vectorize.trace(draw_sketch())
    drawn, painted = render_svg(vectorize.to_svg(strokes)), vectorize.rasterize(strokes)
    assert measure_iou(drawn, painted) > 0.99
    assert np.abs(drawn.astype(int) - painted).mean() < 2


def test_svg_has_one_path_a_stroke_in_order():
    strokes = vectorize.trace(draw_sketch())
    root = ElementTree.fromstring(vectorize.to_svg(strokes))
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("viewBox") == "0 0 256 256"
    assert root[0].tag == f"{space}rect" and root[0].get("fill") == "white"
    assert root[1].get("stroke-linecap") == root[1].get("stroke-linejoin") == "round"
    paths = list(root.iter(f"{space}path"))
    assert len(paths) == len(strokes.strokes)
    for path, stroke in zip(paths, strokes.strokes, strict=True):
        start = [float(number) for number in re.match(r"M([\d. ]+)", path.get("d"))[1].split()]
        np.testing.assert_allclose(start, stroke.points[0], atol=0.006)
        assert float(path.get("stroke-width")) == pytest.approx(stroke.width_px)
        numbers = re.split("[Mch ]", path.get("d"))
        assert all(len(number.partition(".")[2]) <= 2 for number in numbers)


def test_a_dot_is_drawn_by_svg():
    dot = Stroke(points=np.array([[20, 30]], np.float32), width_px=8)
    strokes = Strokes(size=(50, 60), strokes=(dot,))
    drawn, painted = render_svg(vectorize.to_svg(strokes)), vectorize.rasterize(strokes)
    assert abs((255 - drawn.astype(float)).sum() / 255 - np.pi * 16) < 3
    assert abs((255 - painted.astype(float)).sum() / 255 - np.pi * 16) < 6
    assert drawn[30, 20] == painted[30, 20] == 0


SCRIPT = """
import sys
import numpy as np
from s2i import vectorize
strokes = vectorize.trace(np.load(sys.argv[1]))
sys.stdout.buffer.write(vectorize.to_svg(strokes) + vectorize.to_npz(strokes))
"""


def test_the_same_lines_give_the_same_bytes(tmp_path):
    lines = draw_sketch()
    np.save(tmp_path / "lines.npy", lines)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "lines.npy"],
        cwd=Path(__file__).resolve().parent.parent,
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
        check=True,
    )
    for _ in range(2):
        strokes = vectorize.trace(lines.copy())
        assert vectorize.to_svg(strokes) + vectorize.to_npz(strokes) == done.stdout


def test_the_outline_comes_first_and_hatching_last():
    lines = draw_page(300, 300)
    cv2.line(lines, (60, 150), (240, 150), 0, 3)
    cv2.line(lines, (140, 100), (160, 100), 0, 3)
    cv2.circle(lines, (150, 220), 25, 0, -1)
    cv2.circle(lines, (150, 150), 120, 0, 3)
    strokes = vectorize.trace(lines).strokes
    boxes = [np.ptp(stroke.points, axis=0) for stroke in strokes]
    assert boxes[0].min() > 230
    lengths = [measure_length(stroke) for stroke in strokes[:4]]
    assert lengths[1] > 140 > lengths[3]
    hatching = strokes[-1]
    assert len(hatching.points) > 10 and hatching.width_px > strokes[0].width_px
    assert np.abs(hatching.points - (150.5, 220.5)).max() < 25


def test_the_pen_travels_little():
    lines = draw_page(200, 200)
    order = np.random.default_rng(3).permutation(12)
    for number in order:
        cv2.line(lines, (20, 10 + 15 * int(number)), (45, 10 + 15 * int(number)), 0, 1)
    strokes = vectorize.trace(lines).strokes
    ends = np.array([stroke.points[[0, -1]] for stroke in strokes])
    travel = np.hypot(*(ends[1:, 0] - ends[:-1, 1]).T)
    assert len(strokes) == 12
    assert np.sort(travel)[-2] < 16  # there and back, but for one way to the other side


def test_rasterize_draws_as_many_strokes_as_asked():
    strokes = vectorize.trace(draw_sketch())
    ink = [
        (vectorize.rasterize(strokes, count=count) < 128).sum()
        for count in range(len(strokes.strokes) + 1)
    ]
    assert ink[0] == 0 and all(np.diff(ink) >= 0)
    assert ink[1] > 0.2 * ink[-1]
    assert np.array_equal(
        vectorize.rasterize(strokes), vectorize.rasterize(strokes, count=len(strokes.strokes))
    )


@pytest.mark.parametrize("width_px", [1, 1.5, 2.25, 3, 7.75])
def test_rasterize_is_right_to_a_quarter_pixel(width_px):
    points = np.array([[10.3, 20.4], [20, 20.4], [40, 20.4], [60.3, 20.4]], np.float32)
    page = vectorize.rasterize(
        Strokes(size=(40, 80), strokes=(Stroke(points=points, width_px=width_px),))
    )
    ink = (255.0 - page[:, 40]) / 255
    assert ink.sum() == pytest.approx(width_px, abs=0.26)
    assert (ink * (np.arange(40) + 0.5)).sum() / ink.sum() == pytest.approx(20.4, abs=0.15)


def test_frames_grow_evenly_and_hold_the_drawing():
    lines = draw_page(120, 240)
    for row in (20, 60, 100):
        cv2.line(lines, (10, row), (230, row), 0, 3)
    strokes = vectorize.trace(lines)
    frames = vectorize.draw_frames(strokes, seconds=3, frames_per_second=20, side_px=480)
    assert len(frames) == 60
    assert all(frame.shape == (240, 480, 3) and frame.dtype == np.uint8 for frame in frames)
    ink = np.array([(frame[..., 0] < 128).sum() for frame in frames])
    growth = np.diff(ink[:50])
    assert (growth >= 0).all() and growth.max() < 2 * growth.mean()
    assert (ink[49:] == ink[-1]).all() and ink[48] < ink[49]
    whole = cv2.resize(vectorize.rasterize(strokes), (480, 240), interpolation=cv2.INTER_LINEAR)
    assert measure_iou(frames[-1][..., 0], whole) > 0.99


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"frames_per_second": -1}, {"side_px": 0}])
def test_a_film_of_nothing_is_refused(wrong):
    with pytest.raises(S2IError, match="film"):
        vectorize.draw_frames(vectorize.trace(draw_sketch()), **wrong)


@pytest.mark.parametrize(
    "lines",
    [
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((4, 4), np.float32),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_other_arrays_are_refused(lines):
    with pytest.raises(S2IError, match="lines are"):
        vectorize.trace(lines)


@pytest.mark.parametrize("tolerance_px", [0, -1, float("nan")])
def test_a_tolerance_is_positive(tolerance_px):
    with pytest.raises(S2IError, match="tolerance"):
        vectorize.trace(draw_sketch(), tolerance_px=tolerance_px)


def test_npz_round_trip():
    strokes = vectorize.trace(draw_sketch(300, 200))
    content = vectorize.to_npz(strokes)
    assert is_same(vectorize.from_npz(content), strokes)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def decode_commands(content):
    """Return lines as the decoder of Mo et al. 2021 draws them: windows around a cursor."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        data, cursors = file["strokes_data"], file["init_cursors"]
        size, rounds = int(file["image_size"]), file["round_length"]
        assert float(file["init_width"]) == 0.01
    assert data.shape == (rounds.sum(), 7) and cursors.shape == (len(rounds), 2)
    assert cursors.dtype == np.float32 and ((cursors >= 0) & (cursors < 1)).all()
    assert np.isin(data[:, 0], (0, 1)).all()
    assert ((data[:, 1:3] >= 0) & (data[:, 1:3] <= 1)).all() and (np.abs(data[:, 3:5]) <= 1).all()
    assert ((data[:, 5] > 0) & (data[:, 5] < 1) & (data[:, 6] > 0) & (data[:, 6] < 2)).all()
    page = np.full((size * 4, size * 4), 255, np.uint8)
    row = 0
    for count, start in zip(rounds, cursors.astype(np.float64), strict=True):
        cursor, window = start * size, 128.0
        assert data[row + count - 1, 0] == 1  # a curve that no move ends is lost
        for pen, cy, cx, dy, dx, ratio, scale in data[row : row + count]:
            end = cursor + np.array([dx, dy]) * window / 2
            control = cursor + (end - cursor) * (cx, cy)
            if pen == 0:
                t = np.linspace(0, 1, 30)[:, None]
                at = (1 - t) ** 2 * cursor + 2 * t * (1 - t) * control + t**2 * end
                width = window * (0.5 * ratio + 0.008)
                fine = np.rint((at + 0.5) * 4 - 0.5).astype(int)
                cv2.polylines(page, [fine[:, None]], False, 0, max(1, round(width * 4)))
            window = np.clip(scale * window, 32, size)
            cursor = np.clip(end, 0, size - 1)
        row += count
    return cv2.resize(page, (size, size), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("size", [(256, 256), (500, 500), (100, 100), (300, 200)])
def test_the_decoder_of_the_other_format_draws_the_same(size):
    strokes = vectorize.trace(draw_sketch(*size))
    decoded = decode_commands(vectorize.to_npz(strokes))
    assert decoded.shape == (max(size), max(size))
    assert (decoded[size[0] :] == 255).all() and (decoded[:, size[1] :] == 255).all()
    decoded, painted = decoded[: size[0], : size[1]], vectorize.rasterize(strokes)
    assert measure_iou(decoded, painted) > 0.99
    assert measure_share(decoded < 128, painted < 128, 1) > 0.97
    assert measure_share(painted < 128, decoded < 128, 1) > 0.97


def test_many_strokes_go_into_rounds():
    noise = np.random.default_rng(2).random((300, 300)).astype(np.float32)
    lines = np.where(cv2.GaussianBlur(noise, (0, 0), 2) < 0.48, 0, 255).astype(np.uint8)
    strokes = vectorize.trace(lines)
    content = vectorize.to_npz(strokes)
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        rounds = file["round_length"]
    assert len(rounds) > 1 and rounds.min() > 0
    assert measure_iou(decode_commands(content), vectorize.rasterize(strokes)) > 0.99


def repack(content, **changes):
    with np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file.files}
    arrays |= changes
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array for name, array in arrays.items() if array is not None})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "changes",
    [
        {"version": np.int64(2)},
        {"version": np.array(["1"])},
        {"points": None},
        {"points": np.zeros((3, 3), np.float32)},
        {"points": np.full((4, 2), np.nan, np.float32), "offsets": np.array([0, 4])},
        {"points": np.array([["a", "b"]])},
        {"points": np.array([{}, []], dtype=object)},
        {"offsets": np.array([0, 2])},
        {"offsets": np.array([0, 1])},
        {"offsets": np.array([4, 0])},
        {"offsets": np.array(4)},
        {"offsets": np.array([], np.int64)},
        {"widths": np.array([0], np.float32)},
        {"widths": np.array([np.inf], np.float32)},
        {"widths": np.array([1, 2], np.float32)},
        {"size": np.array([0, 5])},
        {"size": np.array([5, 10**9])},
        {"size": np.array([5.0, 5.0])},
        {"size": np.array([5, 5, 5])},
    ],
)
def test_a_malformed_npz_is_refused(changes):
    points = np.array([[1, 1], [2, 2], [3, 3], [4, 4]], np.float32)
    whole = vectorize.to_npz(Strokes(size=(9, 9), strokes=(Stroke(points=points, width_px=2.0),)))
    assert len(vectorize.from_npz(repack(whole)).strokes) == 1
    with pytest.raises(S2IError):
        vectorize.from_npz(repack(whole, **changes))


def test_a_damaged_npz_is_refused():
    content = vectorize.to_npz(vectorize.trace(draw_sketch()))
    for broken in (b"", b"PK", content[: len(content) // 2], content[:-30], b"x" * 500):
        with pytest.raises(S2IError):
            vectorize.from_npz(broken)
    random = np.random.default_rng(0)
    for _ in range(60):
        bent = bytearray(content)
        for place in random.integers(0, 400, 3):
            bent[place] = random.integers(256)
        try:
            vectorize.from_npz(bytes(bent))
        except S2IError:
            continue


def test_an_npz_that_claims_to_be_huge_is_refused(monkeypatch):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**13, 2)}
    )
    content = vectorize.to_npz(vectorize.trace(draw_sketch()))
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, header.getvalue() if name == "points.npy" else old.read(name))
    with pytest.raises(S2IError):
        vectorize.from_npz(buffer.getvalue())
    monkeypatch.setattr(vectorize, "_MAX_NPZ_BYTES", len(content) // 2)
    with pytest.raises(S2IError, match="at most"):
        vectorize.from_npz(content)


def test_a_sketch_of_600_px_is_quick():
    lines = draw_sketch(600, 600)
    vectorize.trace(lines)  # imports what it needs
    before = process_time()
    vectorize.to_svg(vectorize.trace(lines))
    assert process_time() - before < 2
