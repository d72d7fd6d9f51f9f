import errno
import os
import resource
import runpy
import sys
import unicodedata
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from prepared import read_member, read_table, run

from s2i import edges, image
from s2i.errors import S2IError
from train import prepare
from train.data import SPLITS, Pictures

ROOT = Path(__file__).resolve().parents[2]


def paint(seed, height=40, width=30):
    """Return a dark disc on a lighter ground, both colored, and its outline."""
    random = np.random.default_rng(seed)
    ground, fill = random.integers(120, 180, 3).tolist(), random.integers(0, 40, 3).tolist()
    ground[seed % 3], fill[(seed + 1) % 3] = 255, 110
    color = np.full((height, width, 3), ground, np.uint8)
    sketch = np.full((height, width, 3), 255, np.uint8)
    center, radius = (width // 2, height // 2), min(height, width) // 3
    cv2.circle(color, center, radius, fill, -1)
    cv2.circle(sketch, center, radius, (0, 0, 0), 1)
    return color, sketch


def beside(seed, **size):
    return np.hstack(paint(seed, **size))


@pytest.fixture
def halves(tmp_path):
    """Twelve side-by-side pictures, the sketch on the right, three frames each of four clips."""
    root = tmp_path / "side by side"
    for seed in range(12):
        image.write(root / f"clip{'abcd'[seed // 3]}_{seed:03d}.png", beside(seed))
    return root


def test_halves_become_pairs_that_the_trainers_read(halves, tmp_path, capsys):
    out = tmp_path / "new" / "pairs.zip"
    assert run("pairs", halves, "--sketch-side", "right", "--out", out) == 0
    said, errors = capsys.readouterr()
    assert "12 pictures, 4 groups" in said and errors == ""
    rows = read_table(out)
    assert list(rows[0]) == ["name", "color", "lines", "group", "split", "source"]
    assert rows[4]["group"] == "clipb" and rows[4]["source"] == "clipb_004.png"
    for seed, row in enumerate(rows):
        color, sketch = paint(seed)
        assert np.array_equal(read_member(out, row["color"]), color)
        assert np.array_equal(read_member(out, row["lines"]), sketch)
    splits = {split: Pictures(out, split, size_px=20) for split in SPLITS}
    assert sum(map(len, splits.values())) == 12 and all(map(len, splits.values()))
    groups = [{Path(sample.name).stem[:5] for sample in splits[split]} for split in SPLITS]
    assert len(set.union(*groups)) == sum(map(len, groups)) == 4
    for sample in splits["train"]:
        assert sample.photo.shape == (20, 20, 3) and sample.lines.shape == (20, 20)
        assert (sample.lines < 128).any() and np.median(sample.lines) == 255
    with zipfile.ZipFile(out) as file:
        assert {member.compress_type for member in file.infolist()} == {zipfile.ZIP_STORED}


def test_the_same_pictures_make_the_same_zip(halves, tmp_path):
    contents = []
    for name in ("a.zip", "b.zip"):
        assert run("pairs", halves, "--sketch-side", "right", "--out", tmp_path / name) == 0
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def test_a_zip_does_where_a_folder_does(halves, tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(halves.iterdir()):
            file.write(path, path.name)
    for source, out in ((halves, "a.zip"), (tmp_path / "in.zip", "b.zip")):
        assert run("pairs", source, "--sketch-side", "right", "--out", tmp_path / out) == 0
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_the_side_must_be_given_and_is_checked(halves, tmp_path, capsys):
    out = tmp_path / "pairs.zip"
    assert run("pairs", halves, "--out", out) == 2
    assert "--sketch-side left or right" in capsys.readouterr().err
    assert run("pairs", halves, "--sketch-side", "left", "--out", out) == 2
    errors = capsys.readouterr().err
    assert "12 of 12 pictures look swapped" in errors and "give --sketch-side right" in errors
    assert errors.count("\n") == 1 and not out.exists()
    assert run("pairs", halves, "--sketch-side", "left", "--trust-side", "--out", out) == 0
    assert np.array_equal(read_member(out, "lines/clipa_000.png")[..., 0], grey(paint(0)[0]))


def grey(photo):
    return cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)


def test_halves_that_look_alike_need_trust(tmp_path, capsys):
    for seed in range(3):
        sketch = paint(seed)[1]
        image.write(tmp_path / "in" / f"{seed}.png", np.hstack([sketch, sketch[:, ::-1]]))
    chosen = ("pairs", tmp_path / "in", "--sketch-side", "left", "--out", tmp_path / "out.zip")
    assert run(*chosen) == 2
    errors = capsys.readouterr().err
    assert "0 of 3 pictures look as given, 0 swapped, 3 alike" in errors
    assert "--trust-side" in errors and errors.count("\n") == 1
    assert run(*chosen, "--trust-side") == 0


def test_half_swapped_is_undecided(halves, tmp_path, capsys):
    for seed in range(6):
        path = sorted(halves.iterdir())[seed]
        image.write(path, np.hstack(paint(seed)[::-1]))
    assert run("pairs", halves, "--sketch-side", "left", "--out", tmp_path / "out.zip") == 2
    assert "6 of 12 pictures look as given, 6 swapped, 0 alike" in capsys.readouterr().err


def test_a_single_swapped_one_is_left_out(halves, tmp_path, capsys):
    image.write(halves / "clipb_004.png", np.hstack(paint(4)[::-1]))
    out = tmp_path / "out.zip"
    assert run("pairs", halves, "--sketch-side", "right", "--out", out) == 0
    errors = capsys.readouterr().err
    assert "left out 1 of 12" in errors and "clipb_004.png: its color and its sketch" in errors
    assert len(read_table(out)) == 11


@pytest.mark.parametrize("tint", [0, 40])
def test_grey_pictures_and_tinted_paper_are_told_apart(tint):
    color, sketch = paint(3)
    shaded = np.repeat(grey(color)[..., None], 3, axis=2)
    paper = np.where(sketch == 255, np.array([255, 250, 240 - tint], np.uint8), sketch)
    assert (
        prepare.compare_sides(color, paper) > 0.025 > -0.025 > prepare.compare_sides(paper, color)
    )
    assert prepare.compare_sides(shaded, sketch) > 0.1


def test_folders_are_paired_by_name(tmp_path, capsys):
    colors, drawings = tmp_path / "Bilder ö", tmp_path / "lines"
    for seed in range(4):
        color, sketch = paint(seed)
        image.write(colors / "deep" / f"{seed}é.PNG", color)
        name = unicodedata.normalize("NFD", f"{seed}é")
        image.write(drawings / "deep" / f"{name}.bmp", sketch)
    for number in range(12):
        image.write(colors / f"alone{number:02d}.png", paint(number)[0])
    image.write(drawings / "deep" / "extra.png", paint(7)[1])
    out = tmp_path / "out ö.zip"
    assert run("pairs", colors, drawings, "--out", out) == 0
    errors = capsys.readouterr().err
    assert "12 of 16 have no partner" in errors and "1 of 5 have no partner" in errors
    assert "alone09.png" in errors and "alone10" not in errors and "... and 2 more" in errors
    assert "deep/extra.png" in errors
    rows = read_table(out)
    assert [row["name"] for row in rows] == [f"deep/{seed}é" for seed in range(4)]
    assert {row["class"] for row in rows} == {"deep"}
    for seed, row in enumerate(rows):
        assert np.array_equal(read_member(out, row["lines"]), paint(seed)[1])
    assert run("pairs", drawings, colors, "--out", tmp_path / "swapped.zip") == 2
    errors = capsys.readouterr().err
    assert "4 of 4 pictures look swapped" in errors and "color pictures first" in errors


def test_names_count_where_no_path_agrees_and_must_be_unique(tmp_path, capsys):
    for seed in range(3):
        image.write(tmp_path / "colors" / "all" / f"{seed}.png", paint(seed)[0])
        image.write(tmp_path / "lines" / f"{seed}.png", paint(seed)[1])
    image.write(tmp_path / "colors" / "more" / "2.png", paint(5)[0])
    chosen = ("pairs", tmp_path / "colors", tmp_path / "lines", "--out")
    assert run(*chosen, tmp_path / "out.zip") == 0
    assert [row["source"] for row in read_table(tmp_path / "out.zip")] == ["all/0.png", "all/1.png"]
    assert "all/2.png\n  more/2.png" in capsys.readouterr().err
    for path in (tmp_path / "lines").iterdir():
        path.rename(path.with_stem(f"x{path.stem}"))
    assert run(*chosen, tmp_path / "none.zip") == 2
    assert "'all/0.png', ...) is called as one in" in capsys.readouterr().err


def test_nothing_is_squashed_or_enlarged(tmp_path, capsys):
    root = tmp_path / "in"
    image.write(root / "wide.png", beside(1, height=60, width=150))
    image.write(root / "tall.png", beside(2, height=150, width=61))
    image.write(root / "small.png", beside(3, height=20, width=25))
    odd = np.insert(beside(4, height=60, width=150), 150, 99, axis=1)  # a line between the halves
    image.write(root / "odd.png", odd)
    out = tmp_path / "out.zip"
    assert run("pairs", root, "--sketch-side", "right", "--size-px", 30, "--out", out) == 0
    shapes = {}
    for row in read_table(out):
        color, lines = (read_member(out, row[part]) for part in ("color", "lines"))
        assert color.shape == lines.shape
        assert lines.min() < 100  # shrunk by two and more, thin lines stay dark
        shapes[row["name"]] = color.shape[:2]
    assert shapes == {"wide": (30, 75), "tall": (74, 30), "small": (20, 25), "odd": (30, 75)}
    assert read_member(out, "color/odd.png")[:, -1].std(axis=0).max() == 0

    color, sketch = paint(1, height=60, width=150)
    with pytest.raises(S2IError, match="150 x 60 px, its lines are 60 x 60"):
        prepare.fit_pair(color, sketch[:, :60], 30)
    parts = prepare.fit_pair(color, image.resize(sketch, (20, 50)), 30)
    assert parts["color"].shape == (20, 50, 3) and parts["lines"].shape == (20, 50)


def test_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    color = paint(1, height=40, width=60)[0]
    (tmp_path / "in").mkdir()
    Image.fromarray(color).save(tmp_path / "in" / "turned.png", exif=exif)
    assert run("pictures", tmp_path / "in", "--out", tmp_path / "out.zip") == 0
    turned = read_member(tmp_path / "out.zip", "color/turned.png")
    assert np.array_equal(turned, np.rot90(color, -1))


def test_pictures_get_xdog_lines(tmp_path):
    for seed in range(4):
        image.write(tmp_path / "in" / "disc" / f"{seed}.jpg", paint(seed, 80, 100)[0])
    outs = tmp_path / "a.zip", tmp_path / "b.zip"
    assert run("pictures", tmp_path / "in", "--out", outs[0], "--size-px", 64) == 0
    chosen = ("--sigma-px", "1.5", "--k", "2", "--gamma", "0.97", "--epsilon", "-0.02")
    assert run("pictures", tmp_path / "in", "--out", outs[1], *chosen, "--phi", "50") == 0
    first, second = map(read_table, outs)
    assert [row["class"] for row in first] == ["disc"] * 4
    for row in first:
        color, lines = (read_member(outs[0], row[part]) for part in ("color", "lines"))
        assert color.shape == (64, 80, 3)
        assert np.array_equal(lines[..., 0], edges.xdog(color))
    for row in second:
        color, lines = (read_member(outs[1], row[part]) for part in ("color", "lines"))
        wanted = edges.xdog(color, sigma_px=1.5, k=2, gamma=0.97, epsilon=-0.02, phi=50)
        assert np.array_equal(lines[..., 0], wanted)


def test_splits_and_groups_of_the_source_are_kept(tmp_path):
    table = "path,class,group,split\n"
    for seed in range(6):
        image.write(tmp_path / "in" / f"{seed}.png", paint(seed)[0])
        table += f"{seed}.png,disc,g{seed // 2},{'test' if seed < 2 else 'train'}\n"
    (tmp_path / "in" / "meta.csv").write_text(table)
    assert run("pictures", tmp_path / "in", "--out", tmp_path / "out.zip") == 0
    rows = read_table(tmp_path / "out.zip")
    assert [row["group"] for row in rows] == ["g0", "g0", "g1", "g1", "g2", "g2"]
    assert [row["split"] for row in rows] == ["test"] * 2 + ["train"] * 4
    assert len(Pictures(tmp_path / "out.zip", "test", size_px=16)) == 2


def test_what_is_no_pair_is_named_and_left_out(halves, tmp_path, capsys):
    color, sketch = paint(50)
    image.write_bytes(halves / "broken.jpg", b"no picture")
    whole = (halves / "clipa_000.png").read_bytes()
    image.write_bytes(halves / "cut.png", whole[: len(whole) // 2])
    image.write(halves / "blank.png", np.hstack([color, np.full_like(color, 255)]))
    dark = np.zeros_like(sketch)
    dark[:18] = 255
    image.write(halves / "dark.png", np.hstack([paint(51)[0], dark]))
    image.write(halves / "thin.png", color[:, :1])
    image.write_bytes(halves / "clipd_999.png", whole)  # a duplicate
    out = tmp_path / "out.zip"
    assert run("pairs", halves, "--sketch-side", "right", "--out", out) == 0
    said, errors = capsys.readouterr()
    assert "12 pictures" in said and "1 exact duplicates dropped" in said
    assert "left out 5 of 18" in errors
    for name, reason in {
        "broken.jpg": "is not a PNG",
        "cut.png": "could not be read",
        "blank.png": "its lines are blank",
        "dark.png": "more than half of its lines is ink",
        "thin.png": "1 px wide",
    }.items():
        assert any(f"{name}: " in line and reason in line for line in errors.splitlines())
    assert sorted(row["source"] for row in read_table(out))[-1] == "clipd_011.png"


def test_names_that_collide_are_told_apart(tmp_path):
    for seed, name in enumerate(("a.png", "A.png", "a.bmp", "a_.png")):
        image.write(tmp_path / "in" / name, paint(seed)[0])
    assert run("pictures", tmp_path / "in", "--out", tmp_path / "out.zip") == 0
    names = [row["name"].casefold() for row in read_table(tmp_path / "out.zip")]
    assert len(set(names)) == 4
    assert len(set(zipfile.ZipFile(tmp_path / "out.zip").namelist())) == 9


def test_members_stay_inside(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as file:
        file.writestr("../../up.png", image.encode_png(paint(0)[0]))
        file.writestr("/top.png", image.encode_png(paint(1)[0]))
    assert run("pictures", tmp_path / "in.zip", "--out", tmp_path / "out.zip") == 0
    assert [row["name"] for row in read_table(tmp_path / "out.zip")] == ["up", "top"]


def test_groups():
    def find(*sources, **options):
        items = [prepare.Item(source=source, read=dict) for source in sources]
        return prepare.find_groups(items, **options)

    assert find("a/clip_001.png", "a/clip-2.png", "b/clip_001.png") == [
        "a/clip",
        "a/clip",
        "b/clip",
    ]
    assert find("page3_2_1.jpg", "0001.png", "x/face.png") == ["page3_2", "0001", "x/face"]
    assert find("a/1.png", "b/c/1.png", group_by="^([^/]+)/") == ["a", "b"]
    assert find("cat7.png", "cat12.png", group_by=r"([a-z]+)\d") == ["cat", "cat"]
    for pattern, sentence in {
        "([a-z": "no regular expression",
        "[a-z]+": r"has no \(\.\.\.\) group",
        r"^(\d+)": r"finds nothing in 1 of 2 paths, as in 'a\.png'",
    }.items():
        with pytest.raises(S2IError, match=sentence):
            find("a.png", "1.png", group_by=pattern)


def test_splits_follow_from_seed_and_group_alone():
    groups = [f"clip{number}" for number in range(2000)]
    dealt = prepare.deal_out(groups, shares=(0.8, 0.05, 0.15))
    counts = [sum(split == wanted for split in dealt.values()) for wanted in SPLITS]
    assert np.allclose(counts, [1600, 100, 300], atol=60)
    fewer = prepare.deal_out(groups[::-2], shares=(0.8, 0.05, 0.15))
    assert all(dealt[group] == split for group, split in fewer.items())
    other = prepare.deal_out(groups, shares=(0.8, 0.05, 0.15), seed=1)
    assert 400 < sum(dealt[group] != other[group] for group in groups) < 900


@pytest.mark.parametrize("count", range(3, 12))
def test_no_split_is_empty(count):
    for seed in range(20):
        dealt = prepare.deal_out([f"g{number}" for number in range(count)], seed=seed)
        assert set(dealt.values()) == set(SPLITS) and len(dealt) == count
    assert set(
        prepare.deal_out([f"g{n}" for n in range(count)], shares=(0.5, 0, 0.5)).values()
    ) == {
        "train",
        "test",
    }


def test_one_or_two_groups():
    assert prepare.deal_out(["a"] * 5, seed=3) == {"a": "train"}
    assert sorted(prepare.deal_out(["a", "b"]).values()) == ["test", "train"]
    assert prepare.deal_out(["a", "b"], shares=(1, 0, 0)) == {"a": "train", "b": "train"}


@pytest.mark.parametrize("shares", [(0, 0.5, 0.5), (0.9, 0.2, 0.05), (1.1, -0.1, 0), (0.5, 0.2, 0)])
def test_shares_that_do_not_work(shares):
    with pytest.raises(S2IError, match="--shares are for train, val, test"):
        prepare.deal_out(["a", "b", "c"], shares=shares)


def test_too_few_groups_are_pointed_out(tmp_path, capsys):
    for seed in range(4):
        image.write(tmp_path / "in" / f"IMG_{seed:04d}.png", paint(seed)[0])
    assert run("pictures", tmp_path / "in", "--out", tmp_path / "a.zip") == 0
    assert "only 1 groups ('IMG', ...): --group-by" in capsys.readouterr().out
    chosen = ("pictures", tmp_path / "in", "--out", tmp_path / "b.zip", "--group-by", "(.+)")
    assert run(*chosen) == 0
    assert "only" not in capsys.readouterr().out
    assert {row["split"] for row in read_table(tmp_path / "b.zip")} == set(SPLITS)


def test_nothing_is_overwritten_unasked(halves, tmp_path, capsys):
    out = tmp_path / "out.zip"
    out.write_bytes(b"precious")
    chosen = ("pairs", halves, "--sketch-side", "right", "--out")
    assert run(*chosen, out) == 2
    assert "--force" in capsys.readouterr().err and out.read_bytes() == b"precious"
    assert run("pairs", halves, "--sketch-side", "left", "--out", out, "--force") == 2
    assert out.read_bytes() == b"precious"
    assert run(*chosen, out, "--force") == 0
    assert len(read_table(out)) == 12
    content = out.read_bytes()
    assert run("pictures", out, "--out", out, "--force") == 2
    assert "where the pictures come from" in capsys.readouterr().err
    assert out.read_bytes() == content
    assert run(*chosen, tmp_path, "--force") == 2
    assert "give a file's name" in capsys.readouterr().err


@pytest.mark.parametrize("limit", [2_000, 12_000])
def test_a_disk_that_fills_up_leaves_nothing_behind(halves, tmp_path, limit):
    for seed in range(12, 40):  # more than is written at once
        noise = np.random.default_rng(seed).integers(0, 99, (40, 30, 3), np.uint8)
        image.write(halves / f"noise_{seed}.png", np.hstack([noise, paint(seed)[1]]))
    (tmp_path / "disk").mkdir()
    items = prepare.find_halves(str(halves), "right", size_px=64)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(S2IError, match=r"could not be written \(File too large\); nothing was"):
            prepare.write_zip(items, tmp_path / "disk" / "out.zip")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "disk").iterdir()) == []


def test_a_write_that_fails_keeps_the_older_zip(halves, tmp_path, monkeypatch, capsys):
    out = tmp_path / "disk" / "out.zip"
    image.write_bytes(out, b"precious")

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert run("pairs", halves, "--sketch-side", "right", "--out", out, "--force") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert [path.name for path in out.parent.iterdir()] == ["out.zip"]
    assert out.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("pictures", "nowhere"), "'nowhere' was not found"),
        (("pairs", "nowhere", "--sketch-side", "left"), "'nowhere' was not found"),
        (("pairs", "EMPTY", "--sketch-side", "left"), "holds no pictures"),
        (("pictures", "EMPTY"), "holds no pictures"),
        (("pictures", "BROKEN"), "none of the 1 pictures could be used"),
        (("pairs", "BROKEN", "BROKEN", "--sketch-side", "left"), "one folder of side-by-side"),
        (("pictures", "BROKEN", "--size-px", "8"), "at least 16, got 8"),
        (("pictures", "BROKEN", "--k", "1"), "k above 1; got sigma_px 0.8, k 1,"),
        (("pictures", "BROKEN", "--sigma-px", "nan"), "got sigma_px nan"),
        (("pictures", "BROKEN", "--shares", "1", "1", "1"), "--shares are for"),
    ],
)
def test_what_does_not_work_is_said_in_a_sentence(tmp_path, capsys, arguments, sentence):
    image.write_bytes(tmp_path / "BROKEN" / "a.png", b"no picture")
    (tmp_path / "EMPTY").mkdir()
    arguments = [tmp_path / name if name.isupper() else name for name in arguments]
    assert run(*arguments, "--out", tmp_path / "out.zip") == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["BROKEN", "EMPTY"]


def test_blank_lines_are_not_written(tmp_path, capsys):
    image.write(tmp_path / "in" / "a.png", paint(0)[0])
    out = tmp_path / "out.zip"
    assert run("pictures", tmp_path / "in", "--out", out, "--epsilon", "-0.9") == 2
    assert "a.png: its lines are blank." in capsys.readouterr().err and not out.exists()


def test_as_a_command(halves, tmp_path, monkeypatch, capsys):
    out = tmp_path / "pairs.zip"
    arguments = ["pairs", str(halves), "--sketch-side", "right", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["prepare.py", *arguments])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / "train" / "prepare.py"), run_name="__main__")
    assert stopped.value.code == 0 and len(read_table(out)) == 12
    assert capsys.readouterr().out.startswith(f"{out}: 12 pictures")
