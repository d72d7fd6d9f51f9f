import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from s2i import image
from s2i.errors import S2IError
from train.data import Drawings, Joined, Pictures, open_pictures, open_several, shrink_lines
from train.scenes import SCENES


def picture(value, height=20, width=20):
    return np.full((height, width, 3), value, np.uint8)


def png(array):
    return image.encode_png(array)


def make_zip(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


@pytest.fixture
def folder(tmp_path):
    """Four pictures at several depths, one broken, and a file that is none."""
    root = tmp_path / "photos"
    image.write(root / "a.PNG", picture(10))
    image.write(root / "deep" / "er" / "b.png", picture(20))
    image.write_bytes(root / "broken.jpg", b"not a picture")
    image.write_bytes(root / "notes.txt", b"not a picture either")
    wide = np.hstack([picture(0, 20, 10), picture(99), picture(0, 20, 10)])
    image.write(root / "wide.png", wide)
    return root


@pytest.mark.parametrize("memory", [True, False])
def test_folder(folder, capsys, memory):
    pictures = Pictures(folder, "train", size_px=8, memory=memory)
    reports = capsys.readouterr().err
    assert reports.count("broken.jpg") == 1 and "left out 1 of 4" in reports
    assert [sample.name for sample in pictures] == ["a.PNG", "deep/er/b.png", "wide.png"]
    assert [sample.label for sample in pictures] == [None, "er", None]
    for sample, value in zip(pictures, (10, 20, 99), strict=True):
        assert sample.photo.dtype == np.uint8 and sample.photo.shape == (8, 8, 3)
        assert (sample.photo == value).all()  # of the wide one the middle is left
        assert sample.lines is None and sample.mask is None
    assert "broken" not in capsys.readouterr().err


def test_few_pictures_are_in_train_and_test(folder):
    counts = [len(Pictures(folder, split, size_px=8)) for split in ("train", "val", "test")]
    assert counts == [3, 0, 3]


def test_split_of_many_pictures(tmp_path):
    path = make_zip(
        tmp_path / "many.zip", {f"{i:03d}.png": png(picture(i, 4, 4)) for i in range(65)}
    )
    splits = {split: Pictures(path, split, size_px=4) for split in ("train", "val", "test")}
    assert {split: len(pictures) for split, pictures in splits.items()} == {
        "train": 61,
        "val": 2,
        "test": 2,
    }
    names = {split: {sample.name for sample in pictures} for split, pictures in splits.items()}
    assert names["val"] == {"028.png", "058.png"} and names["test"] == {"029.png", "059.png"}
    assert len(set.union(*names.values())) == 65


def test_zip_with_paths_masks_and_classes(tmp_path):
    mask = np.zeros((20, 20), np.uint8)
    mask[:, 10:] = 255
    table = "path,mask,class,split\nx/1.png,x/m.png,dog,train\nx/2.png,,cat,test\n"
    path = make_zip(
        tmp_path / "set.zip",
        {
            "meta.csv": table,
            "x/1.png": png(picture(1)),
            "x/2.png": png(picture(2)),
            "x/m.png": png(mask),
        },
    )
    (first,) = Pictures(path, "train", size_px=10)
    assert (first.label, first.name, first.photo.max()) == ("dog", "x/1.png", 1)
    assert (first.mask[:, :5] == 0).all() and (first.mask[:, 5:] == 255).all()
    (second,) = Pictures(path, "test", size_px=10)
    assert second.label == "cat" and second.mask is None
    assert len(Pictures(path, "val", size_px=10)) == 0


@pytest.fixture
def emoji(tmp_path):
    """Two emoji in columns image, flat, line; the second has no image."""
    lines = np.full((16, 16), 255, np.uint8)
    lines[:, 4] = 0
    table = (
        "name,image,flat,line,split\na,i/a.png,f/a.png,l/a.png,train\nb,,f/b.png,l/b.png,train\n"
    )
    members = {f"l/{name}.png": png(lines) for name in "ab"}
    members |= {f"f/{name}.png": png(picture(7)) for name in "ab"}
    return make_zip(
        tmp_path / "emoji.zip", {"meta.csv": table, "i/a.png": png(picture(3)), **members}
    )


def test_zip_with_several_picture_columns(emoji):
    (sample,) = Pictures(emoji, "train", size_px=8)
    assert sample.name == "i/a.png" and sample.photo.max() == 3
    assert sample.lines.shape == (8, 8) and sample.lines[:, 2].max() < 5  # as dark as it was
    assert sample.lines[:, 5].min() == 255
    flats = Pictures(emoji, "train", size_px=8, columns={"photo": "flat"})
    assert [flat.name for flat in flats] == ["f/a.png", "f/b.png"]
    assert all(flat.photo.max() == 7 for flat in flats)
    with pytest.raises(S2IError, match="'photo' = 'shiny' doesn't fit"):
        Pictures(emoji, "train", size_px=8, columns={"photo": "shiny"})


def test_unpacked_zip_is_the_same_data(emoji, tmp_path):
    with zipfile.ZipFile(emoji) as file:
        file.extractall(tmp_path / "unpacked")
    (sample,) = Pictures(tmp_path / "unpacked", "train", size_px=8)
    assert sample.name == "i/a.png" and sample.lines is not None


def test_broken_members_are_left_out(tmp_path, capsys):
    table = "path,split\n1.png,train\ngone.png,train\ncut.png,train\n"
    whole = png(np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8))
    path = make_zip(
        tmp_path / "set.zip", {"meta.csv": table, "1.png": whole, "cut.png": whole[:300]}
    )
    assert [sample.name for sample in Pictures(path, "train", size_px=8)] == ["1.png"]
    report = capsys.readouterr().err
    assert "left out 2 of 3" in report and "gone.png" in report and "cut.png" in report


def test_a_damaged_member_of_a_deflated_zip_is_left_out(tmp_path, capsys):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.bmp", b"BM" + bytes(range(256)) * 40)
        file.writestr("b.png", png(picture(1)))
    content = bytearray(path.read_bytes())
    content[30 + len("a.bmp")] = 0xFF  # the first byte of its data: no such kind of block
    path.write_bytes(content)
    assert [sample.name for sample in Pictures(path, "train", size_px=8)] == ["b.png"]
    assert "a.bmp: it could not be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "was not found: give a folder or a zip"),
        (b"PK\3\4 no zip", "neither a folder nor a readable zip"),
        ({"readme.txt": b"hello"}, "holds no pictures"),
        ({"meta.csv": b"where,split\n1.png,train\n"}, "none of the columns path, image, color"),
        ({"meta.csv": b"\xff\xfe\xfa"}, r"meta\.csv in .* could not be read"),
        ({"a.png": b"no picture"}, "none of the 1 pictures"),
    ],
)
def test_sources_that_do_not_work(tmp_path, content, sentence):
    path = tmp_path / "set.zip"
    if isinstance(content, dict):
        make_zip(path, content)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(S2IError, match=sentence):
        Pictures(path, "train", size_px=8)


def test_thin_lines_survive_shrinking():
    page = picture(255, 64, 64)
    page[:, 10] = 0
    page[:, 40:48] = 0
    small = shrink_lines(page, 16)
    assert small.shape == (16, 16) and small.dtype == np.uint8
    assert small[:, 2].max() <= 3  # 1 px of 4 left a quarter of the ink
    assert small[:, 10:12].max() == 0 and small[:, 5:9].min() == 255
    assert np.array_equal(shrink_lines(page, 64), page[..., 0])


def test_a_whole_picture_is_squashed(tmp_path):
    wide = np.hstack([picture(0, 20, 30), picture(200, 20, 30)])
    image.write(tmp_path / "wide.png", wide)
    image.write(tmp_path / "mask.png", wide)
    (tmp_path / "meta.csv").write_text("path,mask\nwide.png,mask.png\n")
    (sample,) = Pictures(tmp_path, "train", size_px=16, squash=True)
    assert (sample.photo[:, :7] < 9).all() and (sample.photo[:, 9:] > 190).all()
    assert (sample.mask[:, :8] == 0).all() and (sample.mask[:, 8:] == 255).all()
    (alone,) = Pictures(tmp_path, "train", size_px=16, squash=True, parts=())
    assert alone.mask is None and (alone.photo == sample.photo).all()


def test_several_sources_come_one_after_the_other(tmp_path):
    for name, count in (("one", 2), ("two", 3)):
        for number in range(count):
            image.write(tmp_path / name / f"{number}.png", picture(10 * count + number))
    sources = [str(tmp_path / "one"), str(tmp_path / "two")]
    joined = open_several(sources, "train", size_px=8)
    assert joined.names == ["0.png", "1.png", "0.png", "1.png", "2.png"]
    assert [int(sample.photo[0, 0, 0]) for sample in joined] == [20, 21, 30, 31, 32]
    assert len(open_several(sources, "val", size_px=8)) == 0
    with pytest.raises(IndexError):
        joined[5]
    with pytest.raises(S2IError, match="3 columns were named for 2 folders or zips"):
        open_several(sources, "train", size_px=8, columns=[{}] * 3)
    drawn = open_several((), "train", size_px=8)
    assert len(drawn) == 4096 and drawn.names[0] == ""
    assert len(Joined([[], joined, []])) == 5 and Joined([[], joined])[4].photo[0, 0, 0] == 32


def test_drawings_depend_on_seed_split_and_index_alone():
    drawings = Drawings("train", size_px=32)
    again = open_pictures(None, "train", size_px=32)
    for index in (5, 4096 + 7):
        for part in ("photo", "lines", "mask"):
            one = getattr(drawings[index], part)
            assert np.array_equal(one, getattr(again[index], part))
        for other in (Drawings("test", size_px=32), Drawings("train", size_px=32, seed=1)):
            assert not np.array_equal(drawings[index].photo, other[index].photo)
    assert len(drawings) == 4096
    assert not np.array_equal(drawings[7].photo, drawings[4096 + 7].photo)


@pytest.mark.parametrize("kind", list(SCENES))
def test_drawings_have_colours_lines_and_an_object(kind):
    drawings = Drawings(size_px=64)
    start = list(SCENES).index(kind)
    for index in range(start, start + 5 * len(SCENES), len(SCENES)):
        sample = drawings[index]
        assert sample.label == kind
        assert sample.photo.shape == (64, 64, 3) and sample.photo.dtype == np.uint8
        assert sample.lines.shape == sample.mask.shape == (64, 64)
        assert 0.02 < (sample.lines < 128).mean() < 0.35
        assert set(np.unique(sample.mask)) == {0, 255}
        assert 0.02 < (sample.mask == 255).mean() < 0.8
        assert sample.photo.std() > 15
        # colours change at lines: the picture's edges are far stronger below ink than elsewhere
        grey = sample.photo.mean(2)
        slope = np.hypot(*np.gradient(grey))
        assert slope[sample.lines < 128].mean() > 3 * slope[sample.lines == 255].mean()


@pytest.mark.skipif("S2I_TEST_DATA" not in os.environ, reason="S2I_TEST_DATA names no data folder")
@pytest.mark.parametrize(
    ("name", "split", "count", "has_lines", "has_mask"),
    [
        ("emoji256", "test", 80, True, False),
        ("masks256", "test", 205, False, True),
        ("comics256", "test", 61, True, False),
        ("fashion256", "val", 0, False, False),
    ],
)
def test_real_data(name, split, count, has_lines, has_mask):
    path = Path(os.environ["S2I_TEST_DATA"]) / f"{name}.zip"
    if not path.exists():
        pytest.skip(f"{name}.zip is not in S2I_TEST_DATA")
    pictures = Pictures(path, split, size_px=64)
    assert len(pictures) == count
    for sample in pictures:
        assert (sample.lines is not None, sample.mask is not None) == (has_lines, has_mask)
