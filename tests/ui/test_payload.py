"""What a browser sends is checked before it is believed; the named API."""

from __future__ import annotations

import base64
import copy
import io
import struct
import sys
import types
import zlib

import fakes
import numpy as np
import pytest
from PIL import Image

from s2i import image, weights
from s2i.errors import S2IError
from s2i.methods.base import Choice, Control, Drawing, Label, Result, Slider, Toggle
from s2i.ui import page
from s2i.ui.controls import make_component
from s2i.ui.pad import (
    PREFIX,
    ink_of,
    palette_of,
    read_drawing,
    read_layer,
    read_photo,
    write_layer,
)
from s2i.ui.results import NPZ_PREFIX, describe, gif_of, show_result
from s2i.ui.start import find_examples
from s2i.vectorize import to_npz


def png(width, height):
    """Return a PNG that claims a size and holds nothing."""

    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


def url(content):
    return PREFIX + base64.b64encode(content).decode()


def layer(height=20, width=30, rgba=(0, 0, 0, 0)):
    return np.full((height, width, 4), rgba, np.uint8)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "must be a PNG"),
        (7, "must be a PNG"),
        (["data:image/png;base64,"], "must be a PNG"),
        ("data:image/svg+xml;base64,AAAA", "must be a PNG"),
        ("/etc/passwd", "must be a PNG"),
        (PREFIX + "!!!", "not valid base64"),
        (PREFIX + "äöü", "not valid base64"),
        (PREFIX + "A" * 2_000_001, "at most 2 MB"),
        (url(b"GIF89a" + bytes(40)), "not a PNG"),
        (url(b"eggs, milk"), "not a PNG"),
        (url(b""), "not a PNG"),
        (url(png(20_000, 20_000)), "20000 x 20000"),
        (url(png(0, 5)), "0 x 5"),
        (url(png(64, 64)), "damaged"),
        (url(image.encode_png(layer())[:60]), "damaged"),
    ],
)
def test_a_bad_layer_gets_a_sentence(value, sentence):
    with pytest.raises(S2IError, match=sentence):
        read_layer(value)


def test_a_layer_comes_back_as_it_was_sent():
    content = np.random.default_rng(0).integers(0, 255, (40, 30, 4), np.uint8)
    assert np.array_equal(read_layer(write_layer(content)), content)


def test_lines_are_ink_with_alpha_or_ink_on_paper():
    ink = layer()
    ink[5, :, 3] = 255
    ink[6, :, 3] = 100
    lines = read_drawing({"lines": write_layer(ink)}).lines
    assert (lines[5] == 0).all() and (lines[6] == 155).all() and (lines[7] == 255).all()
    paper = np.full((20, 30), 255, np.uint8)
    paper[5] = 0
    assert np.array_equal(read_drawing({"lines": write_layer(paper)}).lines, paper)


def test_lines_on_anything_plain_are_ink_and_a_photo_is_refused():
    paper = np.full((20, 30), 255, np.uint8)
    paper[5] = 0
    share = 1 - paper[..., None] / 255
    chalk = [20, 60, 150] + share * ([250, 240, 120] - np.array([20, 60, 150]))
    white = np.dstack([np.full((20, 30, 3), 255, np.uint8), 255 - paper])
    for drawn in (255 - paper, chalk.astype(np.uint8), white):
        lines = read_drawing({"lines": write_layer(drawn)}).lines
        assert np.abs(lines.astype(int) - paper).max() <= 2
    photo = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    with pytest.raises(S2IError, match="this is no line drawing"):
        read_drawing({"lines": write_layer(photo)})


def test_colors_are_painted_or_bare():
    colors = layer(rgba=(10, 20, 30, 127))
    colors[3] = (200, 100, 50, 128)
    found = read_drawing({"colors": write_layer(colors)}).colors
    assert (found[3] == (200, 100, 50, 255)).all()
    assert not found[4:].any()


@pytest.mark.parametrize("payload", [None, [], "x", 3])
def test_no_drawing_gets_a_sentence(payload):
    with pytest.raises(S2IError, match="no drawing came"):
        read_drawing(payload)


def test_layers_of_two_sizes_get_a_sentence():
    with pytest.raises(S2IError, match="different sizes"):
        read_drawing({"lines": write_layer(layer()), "colors": write_layer(layer(width=31))})


def jpeg(height, width, **options):
    content = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 60)).save(content, "JPEG", **options)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "must be a PNG or JPEG"),
        ({"url": PREFIX}, "must be a PNG or JPEG"),
        ("data:image/webp;base64,AAAA", "must be a PNG or JPEG"),
        ("file:///etc/passwd", "must be a PNG or JPEG"),
        (PREFIX + "A" * 12_000_001, "at most 12 MB"),
        (PREFIX + "*", "not valid base64"),
        (url(b"eggs, milk"), "is not a PNG, JPEG"),
        (url(b"GIF89a" + bytes(40)), "is not a PNG, JPEG"),
        (url(png(60_000, 60_000)), "60000 x 60000"),
        (jpeg(1, 2049), "2049 x 1"),
        (jpeg(40, 2400), "2400 x 40"),
        (jpeg(2049, 2048), "at most 4 million"),
        (url(png(64, 64)), "damaged"),
        (jpeg(64, 64)[: 23 + 800], "damaged"),
    ],
)
def test_a_bad_photo_gets_a_sentence(value, sentence):
    with pytest.raises(S2IError, match=sentence):
        read_photo(value)
    with pytest.raises(S2IError, match=sentence):
        read_drawing({"photo": value or 0})


def test_a_photo_is_rgb_on_white_and_upright():
    assert (read_photo(write_layer(layer(rgba=(9, 9, 9, 0)))) == 255).all()
    turned = Image.Exif()
    turned[0x0112] = 6
    assert read_photo(jpeg(20, 30, exif=turned)).shape == (30, 20, 3)
    drawing = read_drawing({"photo": jpeg(20, 30)})
    assert drawing.photo.shape == (20, 30, 3) and drawing.marks is None


def test_marks_get_the_size_of_their_photo():
    painted = layer(20, 30)
    painted[:10, :15] = (61, 220, 132, 255)
    painted[:10, 15:] = (214, 40, 88, 200)
    painted[10:, :15] = (0, 255, 0, 90)
    marks = read_drawing({"photo": jpeg(200, 300), "marks": write_layer(painted)}).marks
    assert marks.shape == (200, 300) and marks.dtype == np.uint8
    assert (marks[:100, :150] == 255).all() and (marks[:100, 150:] == 0).all()
    assert (marks[100:] == 128).all()
    for height, width in ((200, 300), (400, 601), (21, 31)):
        found = read_drawing({"photo": jpeg(height, width), "marks": write_layer(painted)}).marks
        assert found.shape == (height, width)
    assert read_drawing({"photo": jpeg(20, 30), "marks": write_layer(layer())}).marks is None


def test_marks_without_their_photo_get_a_sentence():
    for photo, sentence in ((None, "no photo"), (jpeg(30, 20), "30 x 20 px and the photo is 20")):
        with pytest.raises(S2IError, match=sentence):
            read_drawing({"photo": photo, "marks": write_layer(layer())})
    with pytest.raises(S2IError, match="'marks' is not a PNG"):
        read_drawing({"photo": jpeg(20, 30), "marks": url(b"eggs, milk")})
    with pytest.raises(S2IError, match="different sizes"):
        read_drawing({"photo": jpeg(20, 30), "lines": write_layer(layer(20, 31))})


def test_a_result_carries_its_strokes_and_a_film_of_them():
    strokes = fakes.ring_and_bar(60, 80)
    picture = np.full((60, 80, 3), 255, np.uint8)
    shown = show_result(Result(pictures=(picture,), strokes=strokes))
    assert shown["svg"].count("<path") == 2
    gif = base64.b64decode(gif_of(shown["npz"])["gif"].split(",")[1])
    assert gif[:6] == b"GIF89a" and Image.open(io.BytesIO(gif)).n_frames > 20
    assert "svg" not in show_result(Result(pictures=(picture,)), is_preview=True)
    npz = to_npz(strokes)
    for value, sentence in (
        (None, "must be a NPZ"),
        (write_layer(picture), "must be a NPZ"),
        (NPZ_PREFIX + "A" * 8_000_001, "at most 8 MB"),
        (NPZ_PREFIX + base64.b64encode(npz[:-30]).decode(), "npz"),
        (NPZ_PREFIX + base64.b64encode(b"eggs, milk").decode(), "npz"),
    ):
        assert sentence in gif_of(value)["sentence"]


def test_ink_of_any_paper_or_a_sentence():
    bare = np.zeros((64, 64), np.uint8)
    bare[30:32, 10:54] = 255
    papers = {
        "transparent": np.dstack([np.full((64, 64, 3), 255, np.uint8), bare]),
        "board": np.where(bare[..., None] > 0, np.uint8(250), np.uint8([[[20, 70, 40]]])),
        "white": np.repeat(255 - bare[..., None], 3, axis=2),
    }
    for name, picture in papers.items():
        ink = read_layer(ink_of(write_layer(picture))["lines"])
        assert not ink[..., :3].any(), name
        assert np.array_equal(ink[..., 3] > 127, bare > 0), name
    photo = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    assert "more than half" in ink_of(write_layer(photo))["sentence"]
    assert "sentence" in ink_of(None)


def test_palette_of_a_picture_or_a_sentence():
    photo = np.zeros((32, 32, 3), np.uint8)
    photo[16:] = (220, 40, 60)
    answer = palette_of(write_layer(photo))["palette"]
    assert all(len(color) == 7 and int(color[1:], 16) >= 0 for color in answer)
    assert "sentence" in palette_of("nothing")


def test_every_kind_of_control_has_a_component():
    shared = {"label": "X", "help": "x"}
    slider = make_component(Slider(name="a", default=2, low=0, high=5, **shared))
    assert (slider.minimum, slider.maximum, slider.value, slider.step) == (0, 5, 2, 1)
    choice = make_component(Choice(name="b", default=2, options=(1, 2), **shared))
    assert [value for _, value in choice.choices] == [1, 2] and choice.value == 2
    assert make_component(Toggle(name="c", default=True, **shared)).value is True
    classes = make_component(Label(name="e", **shared), ["pear", "bell pepper", "guess"])
    assert [value for _, value in classes.choices] == ["guess", "pear", "bell pepper"]
    assert (
        classes.value == "guess" and classes.filterable and classes.get_block_name() == "dropdown"
    )
    assert classes.preprocess("unicorn") == "unicorn"  # the method says a sentence, Gradio none
    with pytest.raises(TypeError):
        make_component(Control(name="d", default=0, **shared))


def test_a_caption_names_what_differs_and_the_seed(zoo):
    blot = page.METHODS[0]
    values = {"refine": 2, "lighten": True, "detail": 128, "seed": 4}
    assert describe(blot, "blot.soft", values) == "Blot · soft · refine 2 · lighten on · seed 4"


def test_a_preview_is_a_jpeg_and_a_result_a_png():
    picture = np.full((20, 30, 3), 99, np.uint8)
    result = Result(pictures=(picture, picture), captions=("a", "b"), frames=(picture, picture))
    preview = show_result(result, is_preview=True)
    assert preview["picture"].startswith("data:image/jpeg") and "pictures" not in preview
    full = show_result(result, about="x")
    assert np.array_equal(read_layer(full["picture"])[..., :3], picture)
    assert full["captions"] == ["a", "b"] and full["gif"].startswith("data:image/gif")


def test_a_result_carries_the_colors_that_gave_it():
    picture, colors = np.full((20, 30, 3), 99, np.uint8), layer(rgba=(10, 20, 30, 255))
    shown = show_result(Result(pictures=(picture,), captions=("a",), colors=(colors,)))
    assert len(shown["pictures"]) == 1 and shown["captions"] == ["a"]
    assert np.array_equal(read_layer(shown["colors"][0]), colors)
    assert "colors" not in show_result(Result(pictures=(picture, picture)))


def test_a_result_on_its_way_is_small():
    picture = np.full((20, 30, 3), 99, np.uint8)
    result = Result(
        pictures=(picture,) * 2, captions=("a", "b"), frames=(picture,) * 2, colors=(layer(),) * 2,
        progress=0.25, facts="step 1", curve=(2.0, 0.123456),
    )  # fmt: skip
    shown = show_result(result, is_passing=True)
    assert all(one.startswith("data:image/jpeg") for one in shown["pictures"])
    assert (shown["progress"], shown["facts"], shown["captions"]) == (0.25, "step 1", ["a", "b"])
    assert shown["curve"] == [2.0, 0.1235]
    assert not {"gif", "colors"} & set(shown)


def test_pictures_with_seeds_say_how_each_is_made_again():
    values = {"label": "guess", "count": 3, "seed": 7, "locked": -1}
    order = page.Order(method=fakes.Breed, weights="breed.fruit", drawing=Drawing(), values=values)
    result = Result(pictures=(np.full((4, 4, 3), 9, np.uint8),) * 3, seeds=(7, 8, 9))
    shown = order.show(result, "breed.fruit")
    assert shown["seeds"] == [7, 8, 9] and "locked" not in shown and "guesses" not in shown
    assert shown["about"] == "Breed · fruit · pictures 3 · seed 7"
    assert shown["abouts"][2] == "Breed · fruit · pictures 3 · seed 9"
    values |= {"locked": 8}
    result = Result(pictures=result.pictures, guesses=(("pear", 0.5), ("plum", 0.25)))
    shown = order.show(result, "breed.fruit")
    assert shown["locked"] == 8 and shown["about"].endswith("vary around 8")
    assert shown["guesses"] == [["pear", 0.5], ["plum", 0.25]]
    assert "seeds" not in shown and "abouts" not in shown


@pytest.fixture
def breeds(zoo, tmp_path, monkeypatch):
    """Point weights and methods at those with classes."""
    monkeypatch.setattr("s2i.methods.METHODS", (fakes.Breed,))
    monkeypatch.setenv("S2I_MANIFEST", str(fakes.write_zoo(tmp_path, weights.save, fakes.BREEDS)))


def test_the_class_list_is_that_of_the_weights(breeds):
    update = page._show_classes("breed.tools", "pear")
    assert [value for _, value in update["choices"]] == ["guess", "hammer", "pear"]
    assert update["value"] == "pear"
    assert page._show_classes("breed.tools", "apple")["value"] == "guess"
    for wrong in ("breed.none", "../x", None, 3, ["breed.tools"]):
        update = page._show_classes(wrong, ["pear"])
        assert update["value"] == "guess" and len(update["choices"]) == 1
    card, update = page._show_weights("breed.fruit", "plum")
    assert "weights-card" in card and update["value"] == "plum"


@pytest.mark.parametrize(
    "label, sentence",
    [
        ("unicorn", "There is no class 'unicorn'; there are: apple, pear, plum."),
        (None, "Label must be the name of a class"),
        (["pear"], "Label must be the name of a class"),
        ("x" * 10**6, "Label must be the name of a class"),
    ],
)
def test_a_class_that_cannot_be_is_one_short_sentence(breeds, label, sentence):
    panel = types.SimpleNamespace(
        method=fakes.Breed,
        controls=dict.fromkeys(("label", "count", "seed", "locked")),
        inputs=[None] * 5,
    )
    paint = page._make_painter(page._make_reader([panel]))
    payload = {"seq": 1, "method": "breed", "lines": write_layer(layer(8, 8))}
    shown = paint(payload, "breed.fruit", label, 2, 0, -1).props["shown"]
    assert shown["sentence"].startswith(sentence) and len(shown["sentence"]) < 250
    shown = paint(payload, "breed.fruit", "pear", 2, 0, -1).props["shown"]
    assert shown["facts"] == "pear" and shown["seeds"] == [0, 1]


def test_one_picture_where_there_would_be_several(breeds):
    panel = types.SimpleNamespace(
        method=fakes.Breed,
        controls=dict.fromkeys(("label", "count", "seed", "locked")),
        inputs=[None] * 5,
    )
    paint = page._make_painter(page._make_reader([panel]))
    payload = {"seq": 1, "method": "breed", "lines": write_layer(layer(8, 8)), "is_single": True}
    shown = paint(payload, "breed.fruit", "pear", 5, 3, -1).props["shown"]
    assert shown["seeds"] == [3] and "pictures" not in shown and shown["is_part"]
    assert shown["about"] == "Breed · fruit · class pear · seed 3"
    assert shown["ms"] >= 0
    for other in (False, 1, "yes", None, {"count": 99}):
        shown = paint(payload | {"is_single": other}, "breed.fruit", "pear", 5, 3, -1).props[
            "shown"
        ]
        assert len(shown["seeds"]) == 5 and "is_part" not in shown


def test_gradio_can_copy_the_page(zoo):
    """It does so for every visitor; what it can't copy it takes apart, and leaves half a loop."""
    blocks = page.build()
    assert copy.deepcopy(blocks.config["components"]) == blocks.config["components"]


def test_only_pairs_are_examples(tmp_path):
    for name in ("one.lines.png", "one.colors.png", "two.lines.png"):
        image.write(tmp_path / "blot.soft" / name, layer())
    image.write(tmp_path / "trace.ring" / "sun.photo.png", layer())
    names = [("blot", "blot.soft"), ("blot", "blot.none"), ("trace", "trace.ring")]
    assert find_examples(tmp_path, names) == [
        {"method": "blot", "weights": "blot.soft", "name": "one"},
        {"method": "trace", "weights": "trace.ring", "name": "sun", "photo": "sun.photo.png"},
    ]


def test_painting_never_raises():
    paint = page._make_painter(page._make_reader([]))
    for payload in (None, {}, {"seq": "x", "method": []}, {"method": "blot"}):
        assert "no such method" in paint(payload).props["shown"]["sentence"].lower()
        (only,) = page._make_stepper(page._make_reader([]))(payload)
        assert "no such method" in only.props["shown"]["sentence"].lower()


def test_weights_of_another_method_are_refused(zoo):
    with pytest.raises(S2IError, match="no weights of Blot"):
        page._load(page.METHODS[0], "outline.blue")
    with pytest.raises(S2IError, match="no weights for Blot"):
        page._load(page.METHODS[0], None)
    with pytest.raises(S2IError, match="there is no weight"):
        page._load(page.METHODS[0], "blot.../../etc")


def test_the_card_says_whether_pictures_may_be_sold(zoo):
    card = page._describe_weights("blot.soft")
    assert "commercially" in card and "<dd>yes</dd>" in card and "came with the code" in card


def test_the_card_shows_the_scores_that_tell_most():
    scores = {"lpips": 0.2041, "lpips_low": 0.2, "lpips_high": 0.208, "psnr": 18.4, "note": "x"}
    assert list(page._list_scores(scores)) == ["lpips 0.204 [0.2, 0.208]"]
    assert list(page._list_scores({"psnr": 18.4, "note": "x", "is": True})) == ["psnr 18.4"]


def test_zero_gpu_is_used_on_a_space_only(monkeypatch):
    fake = types.SimpleNamespace(GPU=lambda function: ("on gpu", function))
    monkeypatch.setitem(sys.modules, "spaces", fake)
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert page.on_gpu(len) is len
    monkeypatch.setenv("SPACE_ID", "somebody/s2i")
    assert page.on_gpu(len) == ("on gpu", len)


def test_the_named_api_paints_a_picture(site):
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    client = Client(site, verbose=False)
    ink, paint = layer(40, 60), layer(40, 60, (200, 30, 30, 255))
    ink[20, :, 3] = 255
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {f"/paint_{name}" for name in ("blot", "outline", "slow", "grow", "trace")}
    answer = client.predict(
        write_layer(ink), write_layer(paint), "blot.warm", {"refine": 2}, api_name="/paint_blot"
    )
    picture = read_layer(answer["picture"])
    assert picture.shape == (40, 60, 4)
    assert tuple(picture[20, 30, :3]) == (0, 0, 0) and picture[2, 2, 0] == 255
    assert answer["about"] == "Blot · warm · refine 2 · seed 0"
    photo = client.predict(write_layer(paint), write_layer(ink), api_name="/paint_trace")
    assert len(photo["pictures"]) == 3 and photo["svg"].startswith("<svg")
    with pytest.raises(AppError, match="must be a PNG"):
        client.predict("junk", api_name="/paint_blot")
    with pytest.raises(AppError, match="settings here are"):
        client.predict(write_layer(ink), "", "", {"colour": 1}, api_name="/paint_outline")
