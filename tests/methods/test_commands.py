"""Methods that paint lines at once, by their command: folders, hints, lines on any background."""

import cv2
import numpy as np
import pytest
import torch

from s2i import image, methods, weights
from s2i.__main__ import main
from s2i.methods import METHODS, find_method
from s2i.methods.base import Drawing

PAINTERS = [find_method(name) for name in ("pirec", "autopainter", "pix2pix")]


@pytest.fixture(params=PAINTERS, ids=lambda method: method.name)
def painter(request, zoo, tmp_path, monkeypatch):
    """Return a method of width 4, its weight as w.safetensors, in a folder with some drawings."""
    monkeypatch.setattr(methods, "METHODS", METHODS)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    kind = request.param
    weights.save("w.safetensors", kind(width=4), metadata={})
    for number, size in enumerate([(48, 64), (70, 33)]):
        lines = np.full(size, 255, np.uint8)
        cv2.circle(lines, (size[1] // 2, size[0] // 2), 14, 0, 2)
        image.write(f"lines/{number}.png", lines)
        colors = np.zeros((*size, 4), np.uint8)
        colors[20:28, 12:20] = (220, 30, 40, 255)
        image.write(f"colors/{number}.png", colors)
        image.write(f"photos/deep/{number}.png", np.dstack([255 - lines // 2] * 3))
    return kind


def run(kind, line):
    return main([kind.name, "--weights", "w.safetensors", *line.split()])


def test_a_folder_of_drawings_is_painted(painter, capsys):
    assert run(painter, "--lines lines -o out") == 0
    assert capsys.readouterr().out == "2 of 2 done, 0 skipped\n"
    loaded = weights.load("w.safetensors")
    for number in (0, 1):
        drawing = Drawing(lines=image.read_photo(f"lines/{number}.png")[..., 0])
        with weights.inference(loaded.device):
            wanted = loaded.method.run(drawing).pictures[0]
        found = image.read_photo(f"out/{number}.png")
        assert np.abs(found.astype(int) - wanted).max() <= 1


def test_a_folder_of_hints_goes_with_a_folder_of_drawings(painter, capsys):
    if "colors" not in painter.reads:
        assert run(painter, "--lines lines --colors colors -o out") == 2
        assert "unrecognized arguments: --colors" in capsys.readouterr().err
        return
    run(painter, "--lines lines -o bare")
    assert run(painter, "--lines lines --colors colors -o out") == 0
    for number in (0, 1):
        plain, hinted = (image.read_photo(f"{folder}/{number}.png") for folder in ("bare", "out"))
        assert plain.shape == hinted.shape and not np.array_equal(plain, hinted)


def test_a_folder_of_photos_is_painted(painter):
    assert run(painter, "photos -o out --save-inputs") == 0
    assert image.read_photo("out/deep/1.png").shape == (70, 33, 3)
    assert image.read_layer("out/deep/1_lines.png").shape == (70, 33, 4)


def backgrounds(lines):
    """The same drawing in other inks on other papers."""
    share = 1 - lines[..., None] / 255
    mixed = {
        "inverted": 255 - lines,
        "chalk": [20, 60, 150] + share * ([250, 240, 120] - np.array([20, 60, 150])),
        "faint": 240 - 60 * share.repeat(3, 2),
    }
    for name, color in {"black": (0,) * 3, "white": (255,) * 3, "red": (200, 30, 30)}.items():
        flat = np.broadcast_to(color, (*lines.shape, 3))
        mixed[f"clear_{name}"] = np.dstack([flat, 255 - lines])
    return {name: np.asarray(layer).astype(np.uint8) for name, layer in mixed.items()}


def test_lines_on_any_background_give_the_same_picture(painter):
    lines = image.read_photo("lines/0.png")[..., 0]
    image.write("plain.png", lines)
    assert run(painter, "--lines plain.png -o plain_out.png") == 0
    wanted = image.read_photo("plain_out.png").astype(int)
    for name, layer in backgrounds(lines).items():
        image.write(f"drawn/{name}.png", layer)
    assert run(painter, "--lines drawn -o out") == 0
    for name in backgrounds(lines):
        assert np.abs(image.read_photo(f"out/{name}.png") - wanted).mean() < 1, name


def test_a_photo_for_lines_is_one_sentence(painter, capsys):
    image.write("noise.png", np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    assert run(painter, "--lines noise.png -o out.png") == 2
    answer = capsys.readouterr().err
    assert answer.startswith("this is no line drawing") and answer.count("\n") == 1


@pytest.fixture
def breeder(zoo, tmp_path, monkeypatch):
    """Return a command line for Sketch2Img of width 4, in a folder with two drawings."""
    monkeypatch.setattr(methods, "METHODS", METHODS)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    kind = find_method("sketch2img")
    network = kind(width=4, size_px=32, classes=["banana", "bell pepper"])
    weights.save("w.safetensors", network, metadata={})
    for name, radius in (("one", 14), ("deep/two", 9)):
        lines = np.full((48, 64), 255, np.uint8)
        cv2.circle(lines, (32, 24), radius, 0, 2)
        image.write(f"drawings/{name}.png", lines)
    return lambda line: run(kind, line)


def test_every_drawing_of_a_folder_becomes_numbered_pictures_of_a_class(breeder, capsys, tmp_path):
    assert breeder("drawings --class banana -n 8 -o out") == 0, capsys.readouterr().err
    assert capsys.readouterr().out == "2 of 2 done, 0 skipped\n"
    names = {path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.glob("out/**/*g")}
    assert names == {f"{name}_{n}.png" for name in ("one", "deep/two") for n in range(1, 9)}
    pictures = [image.read_photo(f"out/one_{n}.png") for n in range(1, 9)]
    assert {picture.shape for picture in pictures} == {(48, 64, 3)}
    assert len({picture.tobytes() for picture in pictures}) == 8
    assert breeder("--lines drawings/one.png --label banana --count 1 --seed 5 -o six.png") == 0
    assert np.abs(image.read_photo("six.png").astype(int) - pictures[5]).max() <= 1


def test_a_class_of_two_words_and_one_that_is_not_there(breeder, capsys):
    command = ["sketch2img", "--weights", "w.safetensors", "drawings/one.png", "-n", "1"]
    assert main([*command, "--class", "bell pepper", "-o", "out.png"]) == 0
    capsys.readouterr()
    assert main([*command, "--class", "unicorn", "-o", "out.png"]) == 2
    error = capsys.readouterr().err
    assert "unicorn" in error and "banana, bell pepper" in error and error.count("\n") == 1
    assert main([*command, "--class", " ", "-o", "out.png"]) == 2
    assert "label must be the name of a class" in capsys.readouterr().err


def test_the_help_names_every_flag_of_a_setting(capsys):
    with pytest.raises(SystemExit):
        main(["sketch2img", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--label CLASS, --class CLASS" in text or "--label, --class CLASS" in text
    assert "-n 1..16" in text and "(default: guess)" in text
