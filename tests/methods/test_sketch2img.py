"""Sketch2Img: the parameters of the paper, what the network sees of a page, grids of pictures."""

import numpy as np
import pytest
import torch

from s2i import weights
from s2i.errors import S2IError
from s2i.methods.base import Drawing
from s2i.methods.sketch2img import (
    ConditionalNorm,
    Frame,
    Generator,
    MaskedUnit,
    PlainUnit,
    Sketch2Img,
    continue_rim,
    find_frame,
    place,
    read_sketch,
    shrink,
)

CLASSES = ("apple", "Cup", "key")


def count(network):
    return sum(value.numel() for value in network.parameters())


@pytest.fixture(scope="module")
def method():
    torch.manual_seed(0)
    made = Sketch2Img(classes=CLASSES, width=8, size_px=32, latent=6).eval()
    torch.nn.init.normal_(made.generator.out.weight, std=0.3)  # so that pictures have contrast
    return made


def page(height=200, width=300, *, box=(50, 60, 100, 120), thick=1):
    """Return a page with a rectangle of ink from top, left to bottom, right."""
    lines = np.full((height, width), 255, np.uint8)
    top, left, bottom, right = box
    for row in (top, bottom - thick):
        lines[row : row + thick, left:right] = 0
    for column in (left, right - thick):
        lines[top:bottom, column : column + thick] = 0
    return lines


# -- networks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "classes", "wanted"),
    [
        ("paper", 10, 38_014_376),
        ("paper", 125, 38_485_416),
        ("paper_conditional", 10, 38_083_496),
        ("paper_conditional", 125, 39_437_736),
        ("paper_sketch", 10, 38_055_619),
        ("paper_sketch", 125, 38_938_819),
        ("paper_sketch_small_noise", 10, 25_398_723),
        ("paper_sketch_small_noise", 125, 26_281_923),
        ("small", 23, 4_357_302),
    ],
)
def test_generators_have_the_parameters_of_the_paper(preset, classes, wanted):
    with torch.device("meta"):
        method = Sketch2Img(classes=[str(n) for n in range(classes)], **Sketch2Img.presets[preset])
    assert count(method.generator) == wanted
    if preset == "small":
        assert count(method.guesser) == 288_791 and count(method) < 5_000_000


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [(1, 64, 5_669), (64, 128, 267_648), (256, 512, 4_167_168), (128, 64, 376_128)],
)
def test_masked_units_have_the_parameters_of_the_paper(before, after, wanted):
    assert count(MaskedUnit(before, after, picture=3)) == wanted


@pytest.mark.parametrize("projects", [False, True])
def test_a_masked_unit_is_its_equations(projects):
    torch.manual_seed(0)
    unit = MaskedUnit(3, 5, picture=2, norm="none", slope=0.1, projects=projects)
    x, picture = torch.randn(2, 3, 6, 7), torch.randn(2, 2, 6, 7)
    both = torch.cat([x, picture], 1)
    m, n = torch.sigmoid(unit.mask(both)), torch.sigmoid(unit.gate(both))
    z = torch.nn.functional.leaky_relu(unit.update(torch.cat([m * x, picture], 1)), 0.1)
    p = unit.project(x)
    p = torch.nn.functional.leaky_relu(p, 0.1) if projects else p
    torch.testing.assert_close(unit(x, picture), (1 - n) * p + n * z)
    weights = torch.cat([w.flatten() for name, w in unit.named_parameters() if "weight" in name])
    assert weights.std().item() == pytest.approx(0.02, rel=0.15)


def test_norms_of_masks_are_an_option():
    unit = MaskedUnit(3, 5, picture=2, mask_norm=True)
    assert count(unit) - count(MaskedUnit(3, 5, picture=2)) == 2 * (3 + 5)
    assert unit(torch.randn(2, 3, 4, 4), torch.randn(2, 2, 4, 4)).shape == (2, 5, 4, 4)


def test_plain_units_have_about_as_many_parameters():
    for before, after in ((24, 48), (240, 192), (96, 48)):
        options = {"picture": 1, "norm": "group"}
        masked, plain = (kind(before, after, **options) for kind in (MaskedUnit, PlainUnit))
        assert count(plain) == pytest.approx(count(masked), rel=0.03)


@pytest.mark.parametrize("kind", ["group", "batch"])
def test_class_and_noise_decide_a_norms_scale_and_shift(kind):
    norm = ConditionalNorm(4, kind=kind, classes=3, latent=2).eval()
    assert norm.of_class.weight[:, 4:].abs().max() == 0
    assert norm.of_class.weight[:, :4].mean().item() == pytest.approx(1, abs=0.03)
    x, label, z = torch.randn(3, 4, 5, 5), torch.tensor([0, 1, 2]), torch.randn(3, 2)
    scale, shift = (norm.of_class(label) + norm.of_noise(z))[:, :, None, None].chunk(2, 1)
    torch.testing.assert_close(norm(x, label, z), norm.norm(x) * scale + shift)
    plain = ConditionalNorm(4, kind=kind, latent=2).eval()
    torch.testing.assert_close(plain(x, label, 0 * z), plain.norm(x))


def test_a_sketch_is_averaged():
    full, half, quarter = shrink(torch.eye(4)[None, None], 3)
    assert full.shape[-1] == 4 and half[0, 0].tolist() == [[0.5, 0], [0, 0.5]]
    assert quarter.item() == 0.25


@pytest.mark.parametrize(
    "options",
    [{}, {"begin": "sketch"}, {"conditional": False}, {"masked": False}, {"is_paper": True}],
    ids=str,
)
def test_every_generator_listens_to_sketch_class_and_noise(options):
    torch.manual_seed(0)
    latent = 32 if options.get("is_paper") else 6
    network = Generator(classes=3, width=4, size_px=32, latent=latent, **options).eval()
    ink, other = (torch.rand(1, 1, 32, 32) < share for share in (0.1, 0.2))
    z, label = torch.randn(2, latent), torch.tensor([0])
    with torch.no_grad():
        both = network(ink.float(), label, z)
        assert both.shape == (2, 3, 32, 32) and both.abs().max() <= 1
        torch.testing.assert_close(both[1:], network(ink.float(), label, z[1:]), atol=1e-5, rtol=0)
        for changed in (
            network(other.float(), label, z),
            network(ink.float(), label + 1, z),
            network(ink.float(), label, -z),
        ):
            assert (changed[:1] - both[:1]).abs().max() > (1e-6 if network.is_paper else 1e-3)


# -- pages -----------------------------------------------------------------------------------------


def test_the_ink_fills_its_frame_wherever_it_is_and_however_thick():
    wanted, _ = read_sketch(page(400, 400, box=(30, 30, 370, 370), thick=3), 64)
    for size, box in (
        ((300, 500), (20, 300, 120, 400)),
        ((900, 1300), (700, 10, 880, 190)),
        ((64, 64), (10, 20, 44, 54)),
    ):
        for thick in (1, 3, 6) if size[0] > 64 else (1, 2):
            sketch, frame = read_sketch(page(*size, box=box, thick=thick), 64)
            ys, xs = np.nonzero(sketch == 0)
            sides = np.ptp(ys) + 1, np.ptp(xs) + 1
            assert all(abs(side / 64 - 0.85) < 0.07 for side in sides)
            assert abs(ys.min() + ys.max() - 63) <= 5 and abs(xs.min() + xs.max() - 63) <= 5
            assert np.unique(sketch).tolist() == [0, 255]
            assert abs((sketch == 0).sum() - (wanted == 0).sum()) < 30  # one pixel wide
            assert frame.side == pytest.approx((box[2] - box[0]) / 0.85, rel=0.12)


def test_a_drawing_that_fills_its_page_has_the_pages_own_square():
    assert find_frame(page(300, 300, box=(20, 15, 280, 285))) == Frame(0, 0, 300)
    assert find_frame(page(200, 300, box=(5, 20, 195, 280))) == Frame(-50, 0, 300)
    assert find_frame(np.full((200, 300), 255, np.uint8)) == Frame(-50, 0, 300)
    small = find_frame(page(200, 300, box=(50, 60, 100, 120)))
    assert small.side == pytest.approx(60 / 0.85)


def test_a_picture_comes_back_to_its_place_and_its_rim_goes_on():
    picture = np.full((32, 32, 3), (200, 220, 250), np.uint8)
    picture[8:24, 8:24] = (180, 20, 40)
    shown = place(picture, Frame(20, 50, 64), (120, 200))
    assert shown.shape == (120, 200, 3)
    red = np.abs(shown.astype(int) - (180, 20, 40)).max(axis=2) < 60
    ys, xs = np.nonzero(red)
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (36, 67, 66, 97)
    assert np.abs(shown[[0, -1]].astype(int) - (200, 220, 250)).max() <= 1
    cut = place(picture, Frame(-32, 0, 64), (32, 64))  # the lower half
    assert np.abs(cut[:12, 20:40].astype(int) - (180, 20, 40)).max() <= 12
    assert np.abs(cut[-8:].astype(int) - (200, 220, 250)).max() <= 12


def test_no_seam_shows_where_a_rim_goes_on():
    random = np.random.default_rng(0)
    picture = np.full((40, 40, 3), 180, np.uint8)
    picture[:, :20] = 90
    picture[10:30, 10:30] = random.integers(0, 255, (20, 20, 3))
    wide = continue_rim(picture, (20, 20, 20, 20)).astype(int)
    assert (wide[20:60, 20:60] == picture).all()
    steps = np.abs(np.diff(wide[:20], axis=0)).max()
    assert steps < 30 and np.abs(wide[19, 20:60] - picture[0]).max() < 25
    assert np.ptp(wide[0]) < np.ptp(picture[0])  # far away it is nearly of one color


# -- the method ------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_seed_gives_the_same_picture_in_any_grid(method, monkeypatch, precision):
    monkeypatch.setenv("S2I_PRECISION", precision)
    drawing = Drawing(lines=page())
    with weights.inference(torch.device("cpu")):
        grid = method.run(drawing, label="key", count=9, seed=3)
        alone = {
            seed: method.run(drawing, label="key", count=1, seed=seed).pictures[0]
            for seed in (3, 7, 11)
        }
    assert grid.seeds == tuple(range(3, 12)) and grid.captions[0] == "seed 3"
    assert grid.facts == "key" and len(grid.pictures) == 9
    for seed, picture in alone.items():
        assert np.array_equal(picture, grid.pictures[seed - 3])
    apart = [np.abs(grid.pictures[0].astype(int) - other).mean() for other in grid.pictures[1:]]
    assert min(apart) > 1


def test_truncation_makes_pictures_alike(method):
    def spread(truncation):
        result = method.run(Drawing(lines=page()), label="Cup", truncation=truncation)
        return np.stack(result.pictures).astype(float).std(axis=0).mean()

    assert spread(0) == 0 < spread(0.4) < spread(1.0)


def test_a_locked_picture_comes_first_and_the_others_are_near_it(method):
    drawing = Drawing(lines=page())
    (own,) = method.run(drawing, label="key", count=1, seed=5).pictures

    def away(spread):
        result = method.run(drawing, label="key", count=9, locked=5, spread=spread)
        assert result.seeds == (5, 0, 1, 2, 3, 4, 6, 7, 8)
        assert np.abs(result.pictures[0].astype(int) - own).max() <= 1
        return np.mean([np.abs(own.astype(int) - other).mean() for other in result.pictures[1:]])

    assert 0 < away(0.1) < away(0.4) < away(1.0)
    far = method.run(drawing, label="key", count=3, locked=200, spread=1.0)
    plain = method.run(drawing, label="key", count=2)
    assert far.seeds == (200, 0, 1)
    assert np.abs(far.pictures[1].astype(int) - plain.pictures[0]).max() <= 1


def test_a_guess_is_told_with_its_confidence(method):
    lines = page()
    ranked = method.guess(lines)
    assert {name for name, _ in ranked} == set(CLASSES) and len(ranked) == 3
    shares = [share for _, share in ranked]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1)
    guessed = method.run(Drawing(lines=lines), count=2)
    best = ranked[0][0]
    assert guessed.facts.startswith(f"guessed {best} {100 * shares[0]:.0f} %, ")
    chosen = method.run(Drawing(lines=lines), count=2, label=best)
    assert np.array_equal(guessed.pictures[1], chosen.pictures[1])


def test_classes_are_found_by_name_and_others_named(method):
    drawing = Drawing(lines=page())
    assert method.run(drawing, label=" cup", count=1).facts == "Cup"
    with pytest.raises(S2IError, match="no class 'horse' here; the classes are: apple, Cup, key"):
        method.run(drawing, label="horse")
    with pytest.raises(S2IError):
        method.run(drawing, label=3)


def test_a_blank_page_gives_pictures_of_the_class(method):
    blank = np.full((60, 90), 255, np.uint8)
    assert method.run(Drawing(lines=blank), label="key", count=2).pictures[1].shape == (60, 90, 3)
    assert method.run(Drawing(lines=blank), count=1).facts.startswith("nothing is drawn")


def test_photos_come_back_from_their_normalisation():
    method = Sketch2Img(classes=["a"], width=4, size_px=32, mean=(0.47, 0.45, 0.4), scale=0.604)
    photo = torch.rand(2, 3, 8, 8) * 2 - 1
    normal = method.normalize(photo)
    assert normal.abs().max() <= 1
    torch.testing.assert_close(method.denormalize(normal), photo, atol=1e-6, rtol=0)
    black = method.denormalize(torch.full((1, 3, 1, 1), -1.0))
    assert (
        black.min() == -1 and method.denormalize(-torch.ones(3, 1, 1), is_clipped=False).min() < -1
    )
    assert Sketch2Img(**method.kwargs).kwargs == method.kwargs
