"""What a person types, what is written, and what is said when it can't be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2i import image
from s2i.__main__ import main

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def desk(publish_tiny, tmp_path, monkeypatch):
    """Return a working folder with pictures in it and the weight tiny.demo in the manifest."""
    publish_tiny()
    desk = tmp_path / "desk"
    desk.mkdir()
    monkeypatch.chdir(desk)
    random = np.random.default_rng(0)
    for name, size in {"a.png": (9, 7), "b.JPG": (5, 11), "deep/c.png": (6, 6)}.items():
        path = desk / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = "JPEG" if name.endswith("JPG") else "PNG"
        Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(path, kind)
    lines = np.full((8, 10), 255, np.uint8)
    lines[4] = 0
    image.write(desk / "lines.png", lines)
    for number, color in enumerate([(200, 0, 0, 255), (0, 200, 0, 255)]):
        colors = np.zeros((8, 10, 4), np.uint8)
        colors[:3] = color
        image.write(desk / "maps" / f"{number}.png", colors)
    return desk


def run(line):
    """Run one command line: its exit code."""
    return main(line.split())


def written(folder="."):
    """List the files below ``folder`` that are no inputs."""
    return sorted(
        path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()
    )


def test_a_drawing_is_painted(desk, capsys):
    assert run("tiny --lines lines.png --colors maps/0.png -o new/out.png") == 0
    picture = image.read_photo("new/out.png")
    assert picture.shape == (8, 10, 3)
    assert picture[0, 0].tolist() == [200, 0, 0]
    assert picture[4, 0].tolist() == [0, 0, 0]
    assert picture[7, 0].tolist() == [255, 255, 255]
    assert capsys.readouterr().out == f"{Path('new/out.png')}\n"


def test_controls_reach_the_method(desk):
    run("tiny --lines lines.png -o out.png --refine 2 --lighten --paper grey --weights tiny.demo")
    assert image.read_photo("out.png")[7, 0].tolist() == [118, 118, 118]


def test_white_on_black_lines_are_ink_too(desk):
    image.write("chalk.png", 255 - np.asarray(Image.open("lines.png")))
    run("tiny --lines chalk.png -o out.png")
    assert image.read_photo("out.png")[4, 0].tolist() == [0, 0, 0]
    assert image.read_photo("out.png")[0, 0].tolist() == [255, 255, 255]


def test_a_photo_is_started_from_and_its_layers_are_saved(desk):
    assert run("tiny photos/a.png -o out --colors 2 --save-inputs") == 0
    assert written("out") == ["a.png", "a_colors.png", "a_lines.png"]
    assert image.read_photo("out/a.png").shape == (9, 7, 3)
    colors = image.read_layer("out/a_colors.png")
    assert set(np.unique(colors[..., :3])) == {0, 128}
    assert np.asarray(Image.open("out/a_lines.png")).shape == (9, 7)


def test_what_was_saved_paints_the_same(desk):
    run("tiny photos/a.png -o out/a.png --save-inputs")
    run("tiny --lines out/a_lines.png --colors out/a_colors.png -o again.png")
    assert Path("again.png").read_bytes() == Path("out/a.png").read_bytes()


def test_a_folder_comes_out_under_the_same_names(desk, capsys):
    (desk / "photos" / "bad.png").write_text("no picture")
    assert run("tiny photos -o out") == 0
    assert written("out") == ["a.png", "b.png", "deep/c.png"]
    assert image.read_photo("out/b.png").shape == (5, 11, 3)
    output = capsys.readouterr()
    assert output.out == "3 of 4 done, 1 skipped\n"
    assert "skipped: 'bad.png' is not a" in output.err


def test_files_that_differ_in_suffix_only_both_come_out(desk):
    image.write("photos/b.png", np.zeros((4, 4, 3), np.uint8))
    run("tiny photos -o out")
    assert written("out") == ["a.png", "b.png", "b.png.png", "deep/c.png"]


def test_one_set_of_lines_goes_with_a_folder_of_colors(desk, capsys):
    assert run("tiny --lines lines.png --colors maps -o out") == 0
    assert [image.read_photo(f"out/{n}.png")[0, 0].tolist() for n in (0, 1)] == [
        [200, 0, 0],
        [0, 200, 0],
    ]
    assert capsys.readouterr().out == "2 of 2 done, 0 skipped\n"


def test_two_folders_are_joined_by_name(desk, capsys):
    for name in ("0.jpg", "2.jpg"):
        Path("drawn").mkdir(exist_ok=True)
        Image.open("lines.png").save(f"drawn/{name}")
    assert run("tiny --lines drawn --colors maps -o out") == 0
    assert written("out") == ["0.png"]
    assert "'2' has no colors of the same name in 'maps'" in capsys.readouterr().err


def test_colors_of_another_size_are_brought_to_the_lines(desk):
    colors = np.zeros((16, 20, 4), np.uint8)
    colors[:6] = (200, 0, 0, 255)
    image.write("large.png", colors)
    run("tiny --lines lines.png --colors large.png -o out.png")
    assert image.read_photo("out.png")[0, 0].tolist() == [200, 0, 0]


def test_an_action_takes_its_photos(desk):
    assert run("tiny --interpolate maps/0.png maps/1.png --steps 4 -o out") == 0
    assert written("out") == ["interpolate.gif", *(f"interpolate_{n}.png" for n in (1, 2, 3, 4))]
    assert run("tiny --interpolate maps -o folder.gif") == 0
    assert Path("folder.gif").exists() and Path("folder_3.png").exists()


def test_an_action_works_on_a_drawing(desk):
    assert run("tiny --lines lines.png --turn-hue -o turned.gif") == 0
    assert image.read_photo("turned.png").shape == (8, 30, 3)
    assert Image.open("turned.gif").n_frames == 2


def test_the_colors_that_an_action_suggests_lie_beside_the_pictures(desk):
    assert run("tiny --lines lines.png --suggest-colors -o out/new.png") == 0
    names = [f"new_{n}.{kind}" for n in (1, 2) for kind in ("colors.png", "png")]
    assert written("out") == names
    assert (image.read_layer("out/new_2.colors.png") == 255).all()
    assert (image.read_layer("out/new_1.colors.png") == 99).all()


@pytest.mark.parametrize("line", ["--refine-photo photos", "photos --refine-photo"])
def test_an_action_of_one_photo_takes_a_folder(desk, line):
    assert run(f"tiny {line} -o out") == 0
    assert written("out") == ["a.png", "b.png", "deep/c.png"]
    assert np.array_equal(image.read_photo("out/a.png"), 255 - image.read_photo("photos/a.png"))


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("tiny", "required: -o/--out"),
        ("tiny -o out", "nothing to paint"),
        ("tiny nowhere.png -o out", "'nowhere.png' was not found"),
        ("tiny empty -o out", "no pictures in 'empty'"),
        ("tiny photos -o out.png", "many pictures need a folder"),
        ("tiny photos/a.png -o out.jpg", "pictures are written as PNG"),
        ("tiny photos/a.png -o photos", "is an input and would be lost"),
        ("tiny photos/a.png -o out --refine 7", "refine must be a whole number from 0 to 3"),
        ("tiny photos/a.png -o out --refine much", "refine must be a number"),
        ("tiny photos/a.png -o out --paper red", "paper must be one of white, grey"),
        ("tiny photos/a.png -o out --colors many", "colors must be a number"),
        ("tiny photos/a.png -o out --lines lines.png", "--lines has no effect together"),
        ("tiny --lines lines.png -o out --sigma 2", "--sigma has no effect together"),
        ("tiny --lines lines.png -o out --steps 2", "--steps has no effect together"),
        ("tiny --interpolate maps/0.png -o out", "'Interpolate' takes 2 to 2 pictures, got 1"),
        ("tiny --interpolate maps --turn-hue -o out", "don't go together"),
        ("tiny --lines lines.png -o out --weights tiny.x", "no weight 'tiny.x'; there are"),
        ("tiny --lines lines.png -o out --device potato", "'potato' can't be used"),
        ("tiny --lines lines.png -o out --unknown", "unrecognized arguments: --unknown"),
        ("tiny --lines text.png -o out", "'text.png' is not a"),
        ("tiny texts -o out", "none of the 1 could be painted; the first: 'text.png' is not a"),
        ("other x -o out", "invalid choice: 'other'"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_writes_nothing(desk, capsys, line, sentence):
    Path("empty").mkdir()
    Path("texts").mkdir()
    for name in ("text.png", "texts/text.png"):
        Path(name).write_text("no picture")
    before = written()
    assert run(line) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert [line for line in error.splitlines() if not line.startswith("skipped: ")][1:] == []
    assert written() == before


def test_no_weights_is_one_sentence(zoo, capsys):
    assert run("tiny x.png -o out") == 2
    assert "no weights for Tiny yet" in capsys.readouterr().err


def test_the_list_shows_where_each_weight_lies(desk, zoo, publish_tiny, capsys):
    publish_tiny("tiny.gone")
    (zoo / "weights" / "tiny.gone.safetensors").unlink()
    assert run("list") == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["NAME", "METHOD", "SIZE", "LICENSE", "WHERE", "DATA"]
    assert first.split()[:2] == ["tiny.demo", "tiny"] and "bundled" in first
    assert "128 px, 0.0 MB" in first and "CC0-1.0" in first and "own making." in first
    assert "missing" in second


def test_an_interrupt_is_quiet(desk, capsys, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("s2i.weights.load", interrupt)
    assert run("tiny --lines lines.png -o out") == 130
    assert capsys.readouterr().err == "stopped.\n"


def test_the_help_of_a_method_names_everything(zoo, capsys):
    with pytest.raises(SystemExit) as caught:
        run("tiny --help")
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in (
        "--refine 0..3 darkens by 10 each (default: 0)",
        "--lighten, --no-lighten",
        "--paper {white,grey}",
        "with INPUT: number of colours (default: 3)",
        "--interpolate [PHOTO ...]",
        "--turn-hue",
        "python -m s2i tiny --lines L.png --colors C.png -o out.png",
    ):
        assert part in text


def test_help_needs_no_weights_and_no_home(tmp_path):
    environment = {
        **os.environ,
        "S2I_MANIFEST": str(tmp_path / "none.json"),
        "HOME": str(tmp_path / "none"),
        "CUDA_VISIBLE_DEVICES": "",
    }
    answer = subprocess.run(
        [sys.executable, "-m", "s2i", "--help"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert "usage: python -m s2i" in answer.stdout
    assert answer.stderr == ""
