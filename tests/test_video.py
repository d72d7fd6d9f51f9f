"""Videos: what was written is read again, parts, and what is said when it can't be."""

from fractions import Fraction

import av
import numpy as np
import pytest

from s2i import video
from s2i.errors import S2IError

RATE = Fraction(24)


def draw(count=72, size=(48, 64)):
    """A bright square that walks over a dark ground, a step a frame."""
    for number in range(count):
        frame = np.full((*size, 3), 40, np.uint8)
        frame[10:20, number % (size[1] - 10) :][:, :10] = (230, 200, 40)
        yield frame


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Three seconds."""
    return video.write_video(tmp_path_factory.mktemp("clips") / "clip.mp4", draw(), rate=RATE)


def find_left(frame):
    """Where the square begins."""
    return int(np.nonzero(frame[15, :, 0] > 135)[0][0])


def test_a_video_comes_back_with_rate_count_and_size(clip):
    opened = video.open_clip(clip)
    assert (opened.rate, len(opened), opened.first) == (RATE, 72, 0)
    frames = list(video.read_frames(opened))
    assert len(frames) == 72
    for number in (0, 30, 53):
        assert frames[number].shape == (48, 64, 3) and find_left(frames[number]) == number
    wanted = np.stack(list(draw(6)))
    assert np.abs(np.stack(frames[:6]).astype(int) - wanted).mean() < 4


def test_it_plays_from_its_first_bytes_in_what_browsers_know(clip):
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name in ("h264", "vp9", "libvpx-vp9")
        assert stream.codec_context.pix_fmt == "yuv420p"
    content = clip.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(
    "part, numbers",
    [
        ({"start": 1, "end": 2}, range(24, 48)),
        ({"start": 2.5}, range(60, 72)),
        ({"start": 10, "end": 13, "unit": "f"}, range(10, 13)),
        ({"end": 99}, range(72)),
    ],
)
def test_a_part_is_chosen_in_seconds_or_frames(clip, part, numbers):
    opened = video.open_clip(clip, **part)
    frames = list(video.read_frames(opened))
    assert len(frames) == len(opened) == len(numbers)
    assert find_left(frames[0]) == numbers[0] % 54 and find_left(frames[-1]) == numbers[-1] % 54


def test_odd_sides_get_one_pixel_more(tmp_path):
    path = video.write_video(tmp_path / "odd.mp4", draw(3, (31, 45)), rate=RATE)
    (first, *_) = video.read_frames(video.open_clip(path))
    assert first.shape == (32, 46, 3) and find_left(first) == 0


def test_where_h264_is_missing_it_is_vp9(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "CODECS", video.CODECS[1:])
    path = video.write_video(tmp_path / "clip.mp4", draw(5), rate=RATE)
    with av.open(str(path)) as container:
        assert "vp9" in container.streams.video[0].codec_context.name
    assert len(list(video.read_frames(video.open_clip(path)))) == 5


def test_a_video_that_was_held_upright_is_read_upright(clip, monkeypatch):
    monkeypatch.setattr(video, "_turns", lambda frame: 1)
    (frame, *_) = video.read_frames(video.open_clip(clip))
    assert frame.shape == (64, 48, 3) and frame.flags.c_contiguous


@pytest.mark.parametrize(
    "part, sentence",
    [
        ({"start": 3}, "nothing from 3 to its end: 'clip.mp4' goes from 0 to 3.00 seconds"),
        ({"start": 2, "end": 1}, "nothing from 2 to 1"),
        ({"start": -1}, "nothing from -1"),
        ({"start": 72, "unit": "f"}, "goes from 0 to 72 frames"),
        ({"unit": "m"}, "unit must be one of s, f"),
    ],
)
def test_a_part_outside_is_one_sentence(clip, part, sentence):
    with pytest.raises(S2IError, match=sentence):
        video.open_clip(clip, **part)


def test_what_is_no_whole_video_is_one_sentence(clip, tmp_path):
    content = clip.read_bytes()
    for name, given in {
        "text.mp4": b"no video",
        "empty.mp4": b"",
        "cut.mp4": content[: len(content) // 2],
    }.items():
        (tmp_path / name).write_bytes(given)
        with pytest.raises(S2IError, match=rf"^'{name}' .*damaged\.$"):
            video.open_clip(tmp_path / name)
    with pytest.raises(S2IError, match=r"'none\.mp4' was not found"):
        video.open_clip(tmp_path / "none.mp4")


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(S2IError, match=r"'sound.mp4' holds no video"):
        video.open_clip(path)


def test_what_fails_leaves_the_old_file(clip, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"precious")

    def fail():
        yield from draw(3)
        raise S2IError("the fourth frame can't be drawn.")

    for frames in (fail(), iter(())):
        with pytest.raises(S2IError):
            video.write_video(path, frames, rate=RATE)
    assert path.read_bytes() == b"precious" and list(tmp_path.iterdir()) == [path]


def test_one_frame_is_in_memory_at_a_time(clip):
    frames = video.read_frames(video.open_clip(clip))
    assert find_left(next(frames)) == 0
    assert find_left(next(frames)) == 1
    frames.close()
