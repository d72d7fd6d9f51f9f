import errno
import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from s2i import image
from s2i.errors import S2IError


def encode(array, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def assert_one_sentence(error):
    text = str(error.value)
    assert "\n" not in text and text.endswith(".") and 20 < len(text) < 200


def test_read_photo_turns_by_exif():
    photo = noise(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate clockwise to show
    read = image.read_photo(encode(photo, exif=exif))
    assert np.array_equal(read, np.rot90(photo, -1))


def test_read_photo_lays_alpha_on_white():
    layer = np.uint8([[[200, 0, 0, 255], [200, 0, 0, 0], [0, 0, 0, 127]]])
    read = image.read_photo(encode(layer))
    assert read.tolist() == [[[200, 0, 0], [255, 255, 255], [128, 128, 128]]]


def test_read_layer_keeps_alpha():
    layer = noise(5, 7, 4)
    assert np.array_equal(image.read_layer(encode(layer)), layer)


def test_read_photo_scales_sixteen_bits():
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    assert np.array_equal(image.read_photo(encode(deep))[..., 0].ravel(), np.arange(256))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK"])
def test_read_photo_knows_every_mode(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    half = np.zeros((6, 8, 3), np.uint8)
    half[:, 4:] = 255
    read = image.read_photo(encode(np.array(half), "PNG"))
    buffer = io.BytesIO()
    Image.fromarray(half).convert(mode).save(buffer, kind)
    assert np.array_equal(image.read_photo(buffer.getvalue()), read)


def test_a_giant_header_is_refused_before_decoding():
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    giant = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    with pytest.raises(S2IError, match="20000 x 20000") as error:
        image.read_photo(giant)
    assert_one_sentence(error)


def test_a_text_file_is_no_picture(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("not a picture at all")
    with pytest.raises(S2IError, match=r"'notes\.png' is not a PNG") as error:
        image.read_photo(path)
    assert_one_sentence(error)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(S2IError, match=r"'gone\.png' was not found") as error:
        image.read_photo(tmp_path / "gone.png")
    assert_one_sentence(error)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_file_is_damaged(kind, share):
    whole = encode(noise(64, 64, 3), kind)
    with pytest.raises(S2IError, match=r"damaged|is not a") as error:
        image.read_photo(whole[: int(share * len(whole))])
    assert_one_sentence(error)


def test_find_pictures_goes_deep_and_ignores_case(tmp_path):
    for name in ("b.PNG", "a/c.jpeg", "a/notes.txt", "a/d.webp"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in image.find_pictures(tmp_path)]
    assert found == ["a/c.jpeg", "a/d.webp", "b.PNG"]


def test_write_then_read_is_exact(tmp_path):
    photo = noise(9, 5, 3)
    path = image.write(tmp_path / "new" / "folder" / "x.png", photo)
    assert np.array_equal(image.read_photo(path), photo)
    assert [entry.name for entry in path.parent.iterdir()] == ["x.png"]


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = image.write_bytes(tmp_path / "x.png", b"old")

    def fail(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(S2IError, match="No space left") as error:
        image.write_bytes(path, b"new")
    assert_one_sentence(error)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.png"]


def test_encode_gif_keeps_frames_size_and_time():
    frames = [np.full((6, 10, 3), value, np.uint8) for value in (0, 120, 255)]
    gif = Image.open(io.BytesIO(image.encode_gif(frames, frame_ms=50)))
    assert (gif.n_frames, gif.size, gif.info["loop"]) == (3, (10, 6), 0)
    for number, frame in enumerate(frames):
        gif.seek(number)
        assert np.array_equal(np.array(gif.convert("RGB")), frame)
        assert gif.info["duration"] == 50


def test_encode_gif_wants_a_frame():
    with pytest.raises(S2IError):
        image.encode_gif([])


def test_resize_averages_when_it_shrinks():
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:2, :2] = 200
    assert image.resize(picture, (2, 2))[..., 0].tolist() == [[200, 0], [0, 0]]
    assert image.resize(picture, (4, 4)) is picture
    assert image.resize(picture[..., 0], (3, 9)).shape == (3, 9)


@pytest.mark.parametrize("top", range(4))
@pytest.mark.parametrize("left", range(4))
def test_resize_colors_keeps_a_tiny_dab(top, left):
    colors = np.zeros((32, 32, 4), np.uint8)
    colors[8 + top : 10 + top, 8 + left : 10 + left] = (10, 200, 30, 255)
    small = image.resize_colors(colors, (8, 8))
    painted = small[..., 3] == 255
    assert painted.any()
    assert (small[painted][:, :3] == (10, 200, 30)).all()
    assert not small[~painted].any()


def test_resize_colors_does_not_bleed():
    colors = np.zeros((16, 16, 4), np.uint8)
    colors[:, :7] = (255, 255, 255, 255)
    for size in ((8, 8), (5, 5), (40, 24), (16, 16)):
        resized = image.resize_colors(colors, size)
        painted = resized[..., 3] > 0
        assert painted.any() and not painted.all()
        assert (resized[painted] == 255).all() and not resized[~painted].any()


def test_crop_square_takes_the_middle():
    photo = np.zeros((4, 8, 3), np.uint8)
    photo[:, 2:6] = 90
    assert (image.crop_square(photo, 2) == 90).all()


def test_lines_are_multiplied_over_a_picture():
    picture = np.uint8([[[200, 100, 0], [200, 100, 0], [200, 100, 0], [255, 255, 255]]])
    laid = image.lay_lines(picture, np.uint8([[255, 0, 128, 51]]))
    assert laid.tolist() == [[[200, 100, 0], [0, 0, 0], [100, 50, 0], [51, 51, 51]]]
    assert laid.dtype == np.uint8


@pytest.mark.parametrize("shrink", [1, 2, 3, 4])
@pytest.mark.parametrize("place", [20, 21])
def test_resize_ink_keeps_thin_lines_dark(shrink, place):
    lines = np.full((96, 96), 255, np.uint8)
    lines[:, place] = 0
    before = lines.copy()
    small = image.resize_ink(lines, (96 // shrink, 96 // shrink))
    assert small.shape == (96 // shrink, 96 // shrink) and small.dtype == np.uint8
    assert (small[:, place // shrink] <= 2).all()
    assert (np.delete(small, place // shrink, axis=1) == 255).all()
    assert np.array_equal(lines, before)


def test_resize_ink_keeps_greys_paper_and_what_grows():
    grey = np.full((8, 8), 155, np.uint8)
    assert (image.resize_ink(grey, (8, 8)) == 155).all()
    assert (image.resize_ink(grey, (16, 20)) == 155).all()
    blank = np.full((64, 64), 255, np.uint8)
    assert (image.resize_ink(blank, (5, 9)) == 255).all()


@pytest.mark.parametrize("size", [(300, 700), (1, 1), (1, 9000), (700, 300), (256, 256)])
def test_fit_size_keeps_area_and_aspect(size):
    height, width = image.fit_size(size, 256)
    assert height >= 1 and width >= 1
    if min(size) > 1:
        assert height * width == pytest.approx(256**2, rel=0.01)
        assert width / height == pytest.approx(size[1] / size[0], rel=0.01)


def test_tensor_and_back_is_exact():
    photo = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    tensor = image.to_tensor(photo)
    assert tensor.shape == (3, 16, 16) and tensor.dtype == torch.float32
    assert tensor.min() == -1 and tensor.max() == 1
    assert np.array_equal(image.to_picture(tensor), photo)


def test_to_tensor_marks_paint():
    colors = np.uint8([[[255, 0, 255, 255], [9, 9, 9, 0]]])
    assert image.to_tensor(colors)[:, 0].tolist() == [[1, 0], [-1, 0], [1, 0], [1, 0]]


def test_to_tensor_refuses_floats():
    with pytest.raises(ValueError, match="uint8"):
        image.to_tensor(np.zeros((4, 4), np.float32))


def test_to_picture_clips_and_rounds():
    tensor = torch.tensor([-3.0, 0.0, 3.0]).view(3, 1, 1)
    assert image.to_picture(tensor).tolist() == [[[0, 128, 255]]]
