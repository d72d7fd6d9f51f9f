"""Image to sketch: the original's sizes, what every option does, marks, tiles, files, videos."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from s2i import image, methods, vectorize, video, weights
from s2i.__main__ import main
from s2i.errors import S2IError
from s2i.methods import METHODS, image2sketch
from s2i.methods.base import Drawing
from s2i.methods.image2sketch import (
    DARKER,
    FoldedSketchNet,
    Image2Sketch,
    MaskNet,
    SketchNet,
    correct_mask,
    cut_by_marks,
    follow_edges,
    run_tiles,
    settle_mask,
)
from s2i.vectorize import Stroke, Strokes

SIZE = (120, 160)
CENTER = (60, 80)  # of the object, a bright disc of 40 px


def measure(size=SIZE):
    """Distance of every pixel from the middle of the object."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.hypot(y - CENTER[0], x - CENTER[1])


def draw_photo():
    """A yellow disc with a dark bar, before green checks."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    photo = np.where(((y // 10 + x // 10) % 2)[..., None] == 1, (40, 120, 60), (30, 90, 50))
    photo[measure() < 40] = (230, 200, 60)
    photo[55:65, 60:100] = (90, 40, 30)
    return photo.astype(np.uint8)


def find_disc(photo):
    """A mask that falls from 1 within 30 px to 0 at 50 px: 0.5 at the disc's edge."""
    return np.clip((50 - measure(photo.shape[:2])) / 20, 0, 1).astype(np.float32)


class Edges(nn.Module):
    """A generator that is a fixed filter: ink where the greys change."""

    def __init__(self):
        super().__init__()
        kernel = torch.tensor([[[[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]]])
        self.kernel = nn.Parameter(kernel, requires_grad=False)
        self.seen = []

    def forward(self, x):
        self.seen.append(image.to_picture(x[0]))
        padded = nn.functional.pad(x.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        return nn.functional.conv2d(padded, self.kernel).abs().clamp(0, 1)


@pytest.fixture(autouse=True)
def trace(monkeypatch):
    """Tracing is tested elsewhere: here a sketch is one stroke across it."""

    def trace(lines, *, tolerance_px=1.0):
        trace.seen.append((lines, tolerance_px))
        height, width = lines.shape
        points = np.array([(0, 0), (1, 1), (2, 2), (width, height)], np.float32)
        return Strokes(size=(height, width), strokes=(Stroke(points=points, width_px=2.0),))

    trace.seen = []
    fakes = {
        "trace": trace,
        "to_svg": lambda strokes: b"<svg/>",
        "to_npz": lambda strokes: b"npz",
        "draw_frames": lambda strokes, **options: (np.zeros((4, 6, 3), np.uint8),) * 2,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(vectorize, name, fake, raising=False)
    return trace


@pytest.fixture
def method():
    """Return the method with a filter for a network and a disc for a mask."""
    method = Image2Sketch(width=4).eval().requires_grad_(False)
    method.generator = Edges()
    method.parts = []

    def load_part(name):
        method.parts.append(name)
        return SimpleNamespace(find_mask=find_disc)

    method.load_part = load_part
    return method


def run(method, marks=None, photo=None, **values):
    values = {"resolution": 304, "clean": "off"} | values
    photo = draw_photo() if photo is None else photo
    return method.run(Drawing(photo=photo, marks=marks), **values)


def count_ink(picture):
    return int((picture[..., 0] < 128).sum())


# -- networks --------------------------------------------------------------------------------------


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_networks_have_the_original_s_and_the_stated_sizes():
    with torch.device("meta"):
        sizes = {name: count(Image2Sketch(**kw)) for name, kw in Image2Sketch.presets.items()}
        masks = {name: count(MaskNet(**kw)) for name, kw in MaskNet.presets.items()}
    assert sizes == {
        "paper": 10_184_301,
        "seed": 10_184_301,
        "shallow": 464_221,
        "small": 1_146_737,
    }
    assert masks == {
        "v1": 625_025,
        "v2": 1_990_465,
        "paper_v1": 15_312_385,
        "paper_v2": 15_182_337,
    }


@pytest.mark.parametrize("generator", image2sketch.GENERATORS)
def test_a_sketch_net_answers_ink_of_the_picture_s_size(generator):
    torch.manual_seed(0)
    made = Image2Sketch(generator=generator, width=6).eval()
    with torch.inference_mode():
        ink = made.generator(2 * torch.rand(2, 3, 64, 96) - 1)
    assert ink.shape == (2, 1, 64, 96) and 0 <= ink.min() < ink.max() <= 1


def test_the_seed_s_norms_have_its_epsilon():
    norms = [
        layer
        for layer in Image2Sketch(generator="paper", width=6, eps=0.8).modules()
        if isinstance(layer, nn.BatchNorm2d)
    ]
    assert len(norms) == 21 and {layer.eps for layer in norms} == {0.8}
    assert SketchNet(width=6).stages[1].eps == 1e-5


@pytest.mark.parametrize("backbone", image2sketch.BACKBONES)
@pytest.mark.parametrize(("version", "side"), [(1, 28), (2, 56)])
def test_a_mask_net_answers_alone_as_in_a_batch(backbone, version, side):
    torch.manual_seed(0)
    network = MaskNet(version=version, backbone=backbone).eval().network
    photos = 2 * torch.rand(2, 3, 224, 224) - 1
    with torch.inference_mode():
        together = network(photos)
        alone = torch.cat([network(photo[None]) for photo in photos])
    assert together.shape == (2, 1, side, side)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("version", [1, 2])
def test_a_trunk_takes_learned_features_and_keeps_their_norms(tmp_path, version):
    from torchvision.models import mobilenet_v2

    features = mobilenet_v2().features
    path = tmp_path / "features.safetensors"
    tensors = {name: tensor.half() for name, tensor in features.state_dict().items()}
    safetensors.torch.save_file(tensors, path)
    network = MaskNet(version=version).network
    network.init_backbone(path)
    for name, tensor in network.trunk.state_dict().items():
        torch.testing.assert_close(tensor, features.state_dict()[name].half().to(tensor))
    before = network.trunk[0][1].running_mean.clone()
    network.train()
    network(torch.rand(2, 3, 224, 224))
    assert torch.equal(network.trunk[0][1].running_mean, before)
    assert network.smooths.training and not network.trunk.training
    safetensors.torch.save_file({"0.0.weight": torch.zeros(1)}, path)
    with pytest.raises(S2IError, match=r"does not hold MobileNetV2's features"):
        network.init_backbone(path)


def test_a_mask_net_reads_any_size_and_gives_it_back():
    torch.manual_seed(0)
    net = MaskNet(version=1).eval()
    for size in ((1, 1), (37, 51), (300, 200)):
        photo = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
        mask = net.find_mask(photo)
        assert mask.shape == size and mask.dtype == np.float32
        assert 0 <= mask.min() <= mask.max() <= 1
        (picture,) = net.run(Drawing(photo=photo)).pictures
        assert np.abs(picture[..., 0] / 255 - mask).max() < 0.003


def test_a_coarse_mask_s_edge_moves_to_the_photo_s():
    y, x = np.mgrid[:448, :448]
    true = np.hypot(x - 230, y - 210) < 150
    photo = np.where(true[..., None], (200, 60, 40), (90, 140, 180)).astype(np.uint8)
    small = image.resize(photo, (224, 224))
    coarse = cv2.resize(true.astype(np.float32), (20, 20), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(coarse, (224, 224))
    found = follow_edges(coarse, small, photo)
    assert found.shape == true.shape and found.dtype == np.float32
    enlarged = cv2.resize(coarse, (448, 448)) >= 0.5
    assert ((found >= 0.5) != true).sum() < 0.2 * (enlarged != true).sum()
    flat = follow_edges(coarse, np.full_like(small, 77), np.full_like(photo, 77))
    blurred = cv2.blur(cv2.blur(coarse, (7, 7)), (7, 7))
    assert np.abs(flat - cv2.resize(blurred, (448, 448)))[20:-20, 20:-20].max() < 0.01


# -- options ---------------------------------------------------------------------------------------


def test_sketch_cut_out_and_mask_are_of_the_photo_s_size(method):
    for size in (SIZE, (77, 33), (5, 300)):
        photo = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
        result = run(method, photo=photo)
        assert [picture.shape for picture in result.pictures] == [(*size, 3)] * 3
        assert result.captions == ("sketch", "cut-out", "mask")
        assert result.strokes.size == size
        assert result.strokes.strokes[0].points[-1].tolist() == pytest.approx(size[::-1], abs=0.01)


def test_without_a_photo_there_is_nothing_to_draw(method):
    with pytest.raises(S2IError, match="there is no photo"):
        method.run(Drawing(marks=np.zeros(SIZE, np.uint8)))


def test_the_mask_is_of_the_version_that_is_asked_for(method):
    for mask in ("v1", "v2"):
        _, cut_out, shown = run(method, mask=mask).pictures
        assert (cut_out[measure() > 52] == 255).all() and (shown[measure() > 52] == 0).all()
        assert np.array_equal(cut_out[measure() < 28], draw_photo()[measure() < 28])
    _, cut_out, shown = run(method, mask="off").pictures
    assert np.array_equal(cut_out, draw_photo()) and (shown == 255).all()
    assert method.parts == ["masknet.v1", "masknet.v2"]


def test_a_smaller_threshold_makes_a_bigger_object(method):
    for maskmode in ("soft", "hard"):
        areas = [
            run(method, softctr=value, maskmode=maskmode).pictures[2].astype(float).sum()
            for value in (0.8, 0.5, 0.3, 0.05)
        ]
        assert all(one < 0.97 * other for one, other in pairwise(areas))


def test_hard_masks_cut_and_soft_ones_fade(method):
    soft, hard = (run(method, maskmode=mode).pictures for mode in ("soft", "hard"))
    assert set(np.unique(hard[2])) == {0, 255} and len(np.unique(soft[2])) > 20
    assert ((hard[2] == 255) == (find_disc(draw_photo()) >= 0.5)[..., None]).all()
    assert ((hard[1] == 255) | (hard[1] == draw_photo())).all()
    assert (soft[1] >= draw_photo()).all(), "a soft edge fades to white, it never darkens"


def test_a_higher_resolution_gives_thinner_lines(method, trace):
    photo = np.kron(draw_photo(), np.ones((8, 8, 1), np.uint8))
    shares = [
        (255 - run(method, photo=photo, mask="off", resolution=side).pictures[0]).mean()
        for side in (304, 600, 1272)
    ]
    assert shares[0] > 1.5 * shares[1] > 2 * shares[2] > 0
    sides = [max(seen.shape) for seen in method.generator.seen]
    assert sides == [320, 608, 1280], "multiples of the network's, by padding"
    assert method.generator.seen[0].shape[:2] == (256, 320)
    assert [max(lines.shape) for lines, _ in trace.seen] == [304, 600, 1272]


def test_the_photo_is_resized_once_from_the_original(method):
    photo = draw_photo()
    run(method, mask="off", gamma=False, resolution=424)
    wanted = image.resize(photo, (318, 424))
    assert np.array_equal(method.generator.seen[-1][:318, :424], wanted)


def test_gamma_touches_only_what_is_drawn_from(method):
    dark, plain = (run(method, gamma=value) for value in (True, False))
    for one, other in zip(dark.pictures[1:], plain.pictures[1:], strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(dark.pictures[0], plain.pictures[0])
    seen = method.generator.seen
    assert np.array_equal(seen[0], DARKER[seen[1]])
    assert seen[0].max() == seen[1].max() == 255 and DARKER[[0, 128, 255]].tolist() == [0, 64, 255]


def test_positive_and_negative_only_add_ink(method):
    for clean in ("off", "specks"):
        one, both = (run(method, merge=merge, clean=clean).pictures[0] for merge in (False, True))
        assert (both[one < 128] < 128).all() and (both < one).any()
        assert clean != "off" or (both <= one).all()
    seen = method.generator.seen
    assert len(seen) == 6
    assert (seen[2][0, 0] == 255).all(), "around the object both are white"


def test_lines_are_cleaned(method):
    method.generator.forward = lambda x: dots(x)

    def dots(x):
        ink = torch.zeros_like(x[:, :1])
        ink[..., 20, 20], ink[..., 60:64, 10:200] = 1, 0.15
        return ink

    plain, clean, anew = (
        run(method, clean=mode).pictures[0] for mode in ("off", "specks", "redraw")
    )
    dot = np.s_[8:14, 8:14]
    assert plain[dot].min() < 200 and clean[dot].min() == anew[dot].min() == 255
    line = np.s_[30:36, 40:80]
    assert np.array_equal(plain[line], clean[line])
    assert anew[line].min() < plain[line].min() and count_ink(anew) < (plain < 250).sum() / 3


def test_pencil_s_grey_becomes_black_and_ink_stays(method):
    method.generator.forward = lambda x: torch.full_like(x[:, :1], 0.25)
    photo = np.full((32, 32, 3), 90, np.uint8)

    def draw():
        return method.draw(photo, is_dark=False)

    assert (draw() == 107).all()  # 255 (191 / 255) ** 3
    method.kwargs["style"] = "ink"
    assert (draw() == 191).all()


def test_strokes_are_traced_at_the_tolerance_or_not_at_all(method, trace):
    assert run(method, tolerance=2.5).facts.endswith("1 strokes") and trace.seen[-1][1] == 2.5
    result = run(method, vec_switch=False)
    assert result.strokes is None and len(trace.seen) == 1 and "strokes" not in result.facts


def test_a_photo_that_lies_on_its_side_is_set_upright(method, tmp_path):
    photo = draw_photo()
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    Image.fromarray(np.rot90(photo).copy()).save(path, exif=exif)
    read = image.read_photo(path)
    assert np.array_equal(read, photo)
    assert run(method, photo=read).pictures[0].shape == photo.shape


def test_an_unloaded_mask_is_one_sentence():
    method = Image2Sketch(width=4).eval()
    with pytest.raises(S2IError, match=r"^the mask v2 .*'masknet\.v2'.*: set mask to off\.$"):
        method.run(Drawing(photo=draw_photo()))


# -- tiles -----------------------------------------------------------------------------------------


def test_tiles_give_what_the_whole_gives(monkeypatch):
    torch.manual_seed(0)
    network = FoldedSketchNet(width=8).eval()
    for layer in network.modules():  # statistics that are not those of this picture
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.2, 0.2)
            layer.running_var.uniform_(0.1, 0.5)
    with torch.no_grad():
        network.out[2].weight *= 20
    photo = image.resize(draw_photo(), (512, 800))
    whole = run_tiles(network, photo, multiple=32)
    assert whole.std() > 0.05
    monkeypatch.setattr(image2sketch, "TILE_PX", 448)
    parts = [part for part, _ in image2sketch._plan_tiles(800, 32)]
    assert len(parts) > 2 and all(part.stop - part.start <= 480 for part in parts)
    tiled = run_tiles(network, photo, multiple=32)
    assert np.abs(tiled - whole).max() * 255 < 2


def test_shares_of_tiles_are_whole():
    for length in (32, 1312, 1344, 1696, 1728, 5000 // 32 * 32):
        total = np.zeros(length)
        for part, share in image2sketch._plan_tiles(length, 32):
            assert part.start % 32 == 0 and part.stop - part.start <= image2sketch.TILE_PX + 32
            total[part] += share
        np.testing.assert_allclose(total, 1, atol=1e-5)


# -- marks -----------------------------------------------------------------------------------------


def mark(*strokes):
    """Paint (value, from, to) strokes of 5 px: points are (x, y)."""
    marks = np.full(SIZE, 128, np.uint8)
    for value, start, end in strokes:
        cv2.line(marks, start, end, value, 5)
    return marks


def overlap(mask, wanted):
    mask = mask >= 0.5
    return (mask & wanted).sum() / (mask | wanted).sum()


DISC = measure() < 40


@pytest.mark.parametrize(
    "strokes",
    [
        [(255, (60, 45), (100, 75))],
        [(0, (5, 5), (155, 5)), (0, (5, 115), (155, 115))],
        [(255, (60, 45), (100, 75)), (0, (10, 10), (30, 110))],
    ],
    ids=["object", "not", "both"],
)
def test_what_is_marked_is_cut_out_by_its_colors(strokes):
    marks = mark(*strokes)
    found = cut_by_marks(draw_photo(), marks)
    assert overlap(found, DISC) > 0.9
    assert (found[marks == 255] == 1).all() and (found[marks == 0] == 0).all()
    assert np.array_equal(found, cut_by_marks(draw_photo(), marks)), "the same on every run"


def test_marks_cut_out_without_a_network(method):
    marks = mark((255, (60, 45), (100, 75)))
    _, cut_out, shown = run(method, marks, mask="off").pictures
    assert not method.parts
    assert overlap(shown[..., 0] / 255, DISC) > 0.85 and (cut_out[:10] == 255).all()
    nothing = run(method, np.full(SIZE, 128, np.uint8), mask="off").pictures[2]
    assert (nothing == 255).all()


def test_a_mark_gives_the_mask_back_what_belongs_to_it():
    photo = draw_photo()
    mask = find_disc(photo)
    mask[:, 90:] = 0  # the network saw no right part
    marks = mark((255, (100, 45), (105, 70)))
    found = correct_mask(mask, photo, marks)
    assert overlap(mask, DISC) < 0.7 and overlap(found, DISC) > 0.93
    assert (found[marks == 255] == 1).all()
    settled = settle_mask(found, threshold=0.5, is_hard=False)
    assert settled[70:80, 84:96].min() == 255, "no seam"


def test_a_mark_takes_away_what_does_not_belong_to_the_object():
    photo = draw_photo()
    mask = np.maximum(find_disc(photo), (np.arange(SIZE[1]) > 118).astype(np.float32))
    marks = mark((0, (140, 20), (140, 100)))
    found = correct_mask(mask, photo, marks)
    assert overlap(mask, DISC) < 0.6 and overlap(found, DISC) > 0.9
    assert (found[marks == 0] == 0).all()


def test_a_mark_changes_nothing_far_away():
    photo, mask = draw_photo(), find_disc(draw_photo())
    marks = mark((255, (100, 60), (104, 60)))
    far = measure() > 75
    found = correct_mask(mask, photo, marks)
    assert np.array_equal(found[far], mask[far]) and overlap(found, mask >= 0.5) > 0.97


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2), (20, 1000)])
def test_marks_on_the_smallest_photos_count_too(size):
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    for value in (0, 255):
        marks = np.full(size, 128, np.uint8)
        marks[0, 0] = value
        for found in (
            cut_by_marks(photo, marks),
            correct_mask(np.full(size, 0.5, np.float32), photo, marks),
        ):
            assert found.shape == size and found[0, 0] == value / 255


# -- weights ---------------------------------------------------------------------------------------


@pytest.fixture
def shop(zoo, tmp_path, monkeypatch):
    """Return a folder to work in; the manifest has a pencil that is a filter, and no mask."""
    from train.publish import publish

    monkeypatch.setattr(methods, "METHODS", METHODS)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    made = weights.save("ema.safetensors", Image2Sketch(width=4), metadata={})
    publish(made, "image2sketch.pencil", license="CC0-1.0", data="nothing", size_px=64)
    return tmp_path


def publish_mask(version):
    from train.publish import publish

    torch.manual_seed(0)
    made = weights.save("ema.safetensors", MaskNet(version=version), metadata={})
    publish(made, f"masknet.v{version}", license="CC0-1.0", data="nothing", size_px=224)


def test_a_loaded_method_loads_its_parts_when_they_are_asked_for(shop, monkeypatch):
    publish_mask(1)
    method = weights.load("image2sketch.pencil", device="cpu").method
    assert len(weights._loaded) == 1
    part = method.load_part("masknet.v1")
    assert isinstance(part, MaskNet) and part.kwargs["version"] == 1
    assert part is weights.load("masknet.v1", device="cpu").method
    assert [entry.name for entry in weights.entries("image2sketch")] == ["image2sketch.pencil"]
    assert run(method, mask="v1").pictures[0].shape == (*SIZE, 3)
    with pytest.raises(S2IError, match=r"the mask v2 .*no weight 'masknet\.v2'.*set mask to off\."):
        run(method)


# -- the command -----------------------------------------------------------------------------------


def command(line):
    return main(["image2sketch", "--resolution", "304", *line.split()])


def written(folder="out"):
    from pathlib import Path

    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file())


def test_a_folder_gets_the_original_s_folders(shop, capsys):
    image.write("photos/a.png", draw_photo())
    image.write("photos/deep/b.png", draw_photo()[:77, :33])
    image.write_bytes("photos/bad.png", b"no picture")
    assert command("photos --mask off -o out") == 0
    output = capsys.readouterr()
    assert output.out == "2 of 3 done, 1 skipped\n" and "skipped: 'bad.png'" in output.err
    forms = {"gallery": "png", "sketch": "png", "seq_data": "npz", "gif": "gif", "vector": "svg"}
    assert written() == sorted(
        f"{folder}/{name}.{suffix}" for folder, suffix in forms.items() for name in ("a", "deep/b")
    )
    gallery, sketch = (image.read_photo(f"out/{name}/deep/b.png") for name in ("gallery", "sketch"))
    assert sketch.shape == (77, 33, 3) and gallery.shape == (77, 99, 3)
    assert np.array_equal(gallery[:, :33], draw_photo()[:77, :33])
    assert np.array_equal(gallery[:, 66:], sketch)
    assert command("photos/a.png --mask off --no-vec-switch -o plain") == 0
    assert written("plain") == ["gallery/a.png", "sketch/a.png"]


@pytest.mark.parametrize("suffix", Image2Sketch.suffixes)
def test_one_file_gets_the_form_that_it_is_named_after(shop, suffix):
    image.write("a.png", draw_photo())
    assert command(f"a.png --mask off -o new/sketch{suffix}") == 0
    assert written("new") == [f"sketch{suffix}"]
    if suffix in (".png", ".gif"):
        content = (shop / "new" / f"sketch{suffix}").read_bytes()
        shown = Image.open(io.BytesIO(content))
        assert shown.size == ((160, 120) if suffix == ".png" else (6, 4))


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("a.png -o out", "the mask v2 can't be had (there is no weight 'masknet.v2'"),
        ("a.png --mask off --no-vec-switch -o s.svg", "without strokes there is no .svg file"),
        ("a.png --mask off -o s.jpg", "pictures are written as PNG, SVG, NPZ, GIF; got 's.jpg'"),
        ("a.png --mask off --start 1 -o out", "--start has no effect together"),
        ("clip.mp4 --mask off -o out", "'clip.mp4' could not be read as a video"),
        ("none.mp4 --mask off -o out", "'none.mp4' was not found"),
        ("a.png --mask off --unit m -o out", "invalid choice: 'm'"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_writes_nothing(shop, capsys, line, sentence):
    image.write("a.png", draw_photo())
    image.write_bytes("clip.mp4", b"no video")
    before = written(".")
    assert command(line) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1 and written(".") == before


@pytest.fixture
def clip(shop):
    """Return three seconds of the disc, moving."""
    frames = (np.roll(draw_photo(), number, 1) for number in range(36))
    return video.write_video(shop / "clip.mp4", frames, rate=Fraction(12))


def test_a_video_comes_back_as_a_video_of_sketches(shop, clip, capsys, trace):
    assert command("clip.mp4 --mask off -o out") == 0
    assert written() == ["clip.mp4"] and "clip.mp4" in capsys.readouterr().out
    made = video.open_clip("out/clip.mp4")
    frames = list(video.read_frames(made))
    assert (made.rate, len(frames), frames[0].shape) == (Fraction(12), 36, (*SIZE, 3))
    assert not trace.seen, "what is not seen in a video is not made"
    method = weights.load("image2sketch.pencil", device="cpu").method
    (first, *_) = video.read_frames(video.open_clip(clip))
    wanted = run(method, photo=first, mask="off", clean="specks").pictures[0]
    assert np.abs(frames[0].astype(int) - wanted).mean() < 4


def test_a_part_of_a_video_into_a_file_of_its_own(shop, clip, capsys):
    assert command("clip.mp4 --mask off -b 1 -e 2 -o part.mp4") == 0
    assert len(video.open_clip("part.mp4")) == 12
    assert command("clip.mp4 --mask off --start 3 --end 5 --unit f -o part.mp4") == 0
    assert len(video.open_clip("part.mp4")) == 2
    before = clip.read_bytes()
    for line, sentence in {
        "clip.mp4 --mask off -o clip.mp4": "is an input and would be lost",
        "clip.mp4 --mask off -o .": "is an input and would be lost",
        "clip.mp4 --mask off -o clip.gif": "written as MP4",
        "clip.mp4 --mask off -b 7 -o part.mp4": "nothing from 7 to its end",
        "clip.mp4 -o part.mp4": "set mask to off",
    }.items():
        capsys.readouterr()
        assert command(line) == 2
        assert sentence in capsys.readouterr().err
    assert clip.read_bytes() == before and len(video.open_clip("part.mp4")) == 2
