"""PI-REC on random networks of width 4: shapes, sizes, actions, and what its inputs mean."""

import numpy as np
import pytest
import torch

from s2i import image, palette
from s2i.edges import thin_lines
from s2i.errors import S2IError
from s2i.methods.base import Drawing
from s2i.methods.pirec import (
    CHANNELS,
    GENERATORS,
    PaperGenerator,
    Pirec,
    SkipGenerator,
    add_detail,
    to_inputs,
    with_picture,
)
from train.data import Drawings

RED, GREEN = (220, 30, 40, 255), (30, 180, 60, 255)


def build(generator="skip", **options):
    torch.manual_seed(0)
    return Pirec(generator=generator, width=4, **options).eval()


@pytest.fixture(scope="module", params=GENERATORS)
def method(request):
    return build(request.param)


@pytest.fixture(scope="module")
def skip():
    return build()


def draw(height=60, width=80):
    """A box with a red dab in it and a green one outside."""
    lines = np.full((height, width), 255, np.uint8)
    top, bottom, left, right = height // 4, height * 3 // 4, width // 4, width * 3 // 4
    lines[top : bottom + 1, [left, right]] = 0
    lines[[top, bottom], left : right + 1] = 0
    colors = np.zeros((height, width, 4), np.uint8)
    colors[height // 2 - 4 : height // 2 + 4, width // 2 - 4 : width // 2 + 4] = RED
    colors[2:8, 2:8] = GREEN
    return Drawing(lines=lines, colors=colors)


def photo(height=48, width=64, seed=0):
    """Two flat halves with a little noise."""
    picture = np.full((height, width, 3), (200, 120, 60), float)
    picture[:, width // 2 :] = (40, 90, 170)
    picture += np.random.default_rng(seed).normal(0, 4, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def paint(method, drawing, **values):
    (picture,) = method.run(drawing, **values).pictures
    assert picture.shape == (*drawing.size, 3) and picture.dtype == np.uint8
    return picture


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("width", "parameters"), [(64, 10_545_219), (48, 5_936_691), (32, 2_642_979)]
)
def test_paper_generator_has_the_parameters_of_the_paper(width, parameters):
    with torch.device("meta"):
        assert count(PaperGenerator(width=width)) == parameters


def test_skip_generator_has_the_parameters_it_states():
    with torch.device("meta"):
        parameters = count(SkipGenerator(width=24))
    assert f"{parameters:,} parameters at width 24" in SkipGenerator.__doc__


@pytest.mark.parametrize("preset", Pirec.presets)
def test_presets_build_two_networks_of_one_class(preset):
    with torch.device("meta"):
        method = Pirec(**Pirec.presets[preset])
    assert type(method.generator) is type(method.refiner)
    assert method.kwargs.items() >= Pirec.presets[preset].items()
    prefixes = {name.partition(".")[0] for name in method.state_dict()}
    assert prefixes == {"generator", "refiner"}


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize("size", [(12, 12), (16, 40)])
def test_networks_answer_with_pictures_of_the_size_of_their_inputs(kind, size):
    network = GENERATORS[kind](channels=CHANNELS[kind], width=4)
    with torch.no_grad():
        answer = network(torch.randn(2, CHANNELS[kind], *size) * 3)
    assert answer.shape == (2, 3, *size) and answer.abs().max() <= 1


# -- inputs ----------------------------------------------------------------------------------------


def test_inputs_of_the_paper_are_colors_on_white_paper_and_ink():
    drawing = draw(16, 16)
    inputs = to_inputs(drawing.lines, drawing.colors, generator="paper")
    assert inputs.shape == (4, 16, 16) and inputs.dtype == torch.float32
    assert torch.equal(inputs[3], torch.from_numpy((drawing.lines == 0).astype(np.float32)))
    is_bare = torch.from_numpy(drawing.colors[..., 3] == 0)
    assert (inputs[:3, is_bare] == 1).all()
    assert inputs[:3, 3, 3].tolist() == pytest.approx([c / 127.5 - 1 for c in GREEN[:3]])


def test_inputs_of_skip_are_colors_mask_ink_spread_colors_and_confidence():
    drawing = draw(16, 16)
    inputs = to_inputs(drawing.lines, drawing.colors, generator="skip")
    assert inputs.shape == (9, 16, 16)
    is_painted = torch.from_numpy(drawing.colors[..., 3] > 0)
    green = torch.tensor([c / 127.5 - 1 for c in GREEN[:3]])
    torch.testing.assert_close(inputs[:3, 3, 3], green)
    assert not inputs[:3, ~is_painted].any()
    assert torch.equal(inputs[3] == 1, is_painted) and set(inputs[3].unique().tolist()) == {0, 1}
    assert torch.equal(inputs[4] == 1, torch.from_numpy(drawing.lines == 0))
    confidence = inputs[8]
    assert (confidence[is_painted] == 1).all() and 0 < confidence.min() < 0.5
    torch.testing.assert_close(inputs[5:8, 0, 0], green * confidence[0, 0])
    spread = image.to_tensor(palette.spread_colors(drawing.colors, drawing.lines))
    assert torch.equal(inputs[5:], spread)


def test_white_paint_is_not_bare_paper():
    lines = np.full((16, 16), 255, np.uint8)
    bare = np.zeros((16, 16, 4), np.uint8)
    white = np.full((16, 16, 4), 255, np.uint8)
    of_bare, of_white = (to_inputs(lines, layer, generator="skip") for layer in (bare, white))
    assert not of_bare.any() and (of_white[:4] == 1).all()


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_picture_takes_the_place_of_the_colors_only(kind):
    drawing = draw(16, 16)
    inputs = to_inputs(drawing.lines, drawing.colors, generator=kind)[None]
    before, picture = inputs.clone(), torch.rand(1, 3, 16, 16) * 2 - 1
    refined = with_picture(inputs, picture)
    assert refined.shape == inputs.shape
    assert torch.equal(refined[:, :3], picture)
    if kind == "paper":
        assert torch.equal(refined[:, 3], inputs[:, 3])
    else:
        assert (refined[:, 3] == 1).all()
        assert torch.equal(refined[:, 4:], inputs[:, 4:])
    assert torch.equal(inputs, before)


# -- painting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (127, 130), (33, 200)])
def test_odd_sizes_come_back_as_they_were(method, size):
    paint(method, draw(*size) if min(size) > 20 else Drawing(lines=np.zeros(size, np.uint8)))


def test_each_refinement_changes_the_picture(method):
    pictures = [paint(method, draw(), refine=times).tobytes() for times in range(4)]
    assert len(set(pictures)) == 4


def test_repeated_refinement_stays_finite(method):
    inputs = to_inputs(
        draw(32, 32).lines, draw(32, 32).colors, generator=method.kwargs["generator"]
    )
    picture = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        for _ in range(30):
            picture = method.refiner(with_picture(inputs[None], picture))
    assert picture.isfinite().all() and picture.abs().max() <= 1


def test_lighten_is_the_contrast_stretch_of_the_picture(skip):
    plain, stretched = paint(skip, draw()), paint(skip, draw(), lighten=True)
    assert np.array_equal(stretched, palette.lighten(plain))
    assert not np.array_equal(stretched, plain)


def test_detail_is_the_side_that_the_network_works_at(skip):
    seen = []
    with_hook = skip.generator.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[2:]))
    pictures = [paint(skip, draw(100, 400), detail=detail) for detail in (128, 192, 256)]
    with_hook.remove()
    assert [tuple(size) for size in seen] == [(64, 256), (96, 384), (128, 512)]
    assert not np.array_equal(pictures[0], pictures[2])


def test_every_layer_counts(method):
    full = draw()
    whole = paint(method, full)
    without_lines = paint(method, Drawing(colors=full.colors))
    without_colors = paint(method, Drawing(lines=full.lines))
    assert not np.array_equal(whole, without_lines)
    assert not np.array_equal(whole, without_colors)


def test_a_missing_layer_is_a_blank_one(method):
    full = draw()
    blank = Drawing(lines=np.full_like(full.lines, 255), colors=np.zeros_like(full.colors))
    pairs = [
        (Drawing(lines=full.lines), Drawing(lines=full.lines, colors=blank.colors)),
        (Drawing(colors=full.colors), Drawing(lines=blank.lines, colors=full.colors)),
    ]
    for missing, given in pairs:
        assert np.array_equal(paint(method, missing), paint(method, given))


def test_a_single_dab_on_a_large_page_is_seen(method):
    page = Drawing(
        lines=np.full((600, 600), 255, np.uint8), colors=np.zeros((600, 600, 4), np.uint8)
    )
    dabbed = page.colors.copy()
    dabbed[300:306, 300:306] = RED
    blank = paint(method, page)
    assert not np.array_equal(blank, paint(method, Drawing(lines=page.lines, colors=dabbed)))


def test_an_empty_drawing_is_one_sentence(skip):
    with pytest.raises(S2IError, match="PI-REC reads lines and colors"):
        skip.run(Drawing(photo=photo()))


# -- from a photo ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (51, 33), (128, 128), (300, 700)])
def test_start_from_gives_layers_of_the_photo_s_size(size):
    drawing = Pirec.start_from(photo(*size))
    assert drawing.lines.shape == size and drawing.colors.shape == (*size, 4)
    assert set(np.unique(drawing.lines)) <= {0, 255} and (drawing.colors[..., 3] == 255).all()
    assert drawing.photo is None


def test_start_from_finds_edge_and_colors():
    drawing = Pirec.start_from(photo(128, 128), colors=2)
    ys, xs = np.nonzero(drawing.lines == 0)
    assert len(set(ys)) > 100 and np.abs(xs - 63.5).max() <= 2
    assert len(np.unique(drawing.colors.reshape(-1, 4), axis=0)) == 2
    left, right = drawing.colors[64, 20, :3].astype(int), drawing.colors[64, 100, :3].astype(int)
    assert np.abs(left - (200, 120, 60)).max() < 6 and np.abs(right - (40, 90, 170)).max() < 6


def test_lines_of_a_large_photo_are_as_wide_as_a_pen():
    large = Pirec.start_from(photo(512, 512)).lines == 0
    assert 3 <= large[100:400].sum(axis=1).mean() <= 6


@pytest.mark.parametrize("side", [64, 256, 512])
def test_a_photo_has_the_same_lines_at_any_size(side):
    scene = Drawings(size_px=512)[3].photo
    lengths = [
        (thin_lines(Pirec.start_from(image.resize(scene, (px, px))).lines, (128, 128)) == 0).sum()
        for px in (128, side)
    ]
    assert lengths[1] == pytest.approx(lengths[0], rel=0.1)


def test_start_from_does_what_its_controls_say():
    rough = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    picture = image.resize(rough, (128, 128))
    few, many = (Pirec.start_from(picture, sigma=sigma).lines == 0 for sigma in (5.0, 1.0))
    assert 0 < few.sum() < many.sum()
    counts = [
        len(np.unique(Pirec.start_from(picture, colors=colors).colors.reshape(-1, 4), axis=0))
        for colors in (1, 6)
    ]
    assert counts[0] == 1 and counts[1] >= 5
    broad = Pirec.start_from(picture, blur=45).colors
    assert not np.array_equal(broad, Pirec.start_from(picture, blur=5).colors)
    with pytest.raises(S2IError, match="colors must be a whole number from 1 to 12"):
        Pirec.start_from(picture, colors=13)


def test_what_start_from_finds_can_be_painted(skip):
    drawing = Pirec.start_from(photo(50, 70))
    assert paint(skip, drawing).std() > 0


# -- actions ---------------------------------------------------------------------------------------


def test_refine_photo_is_the_refiner_alone(method):
    picture = photo(61, 90)
    before = picture.copy()
    called = []
    hook = method.generator.register_forward_pre_hook(lambda *_: called.append(1))
    results = [
        method.act("refine_photo", Drawing(), (picture,), refine=times).pictures for times in (1, 3)
    ]
    hook.remove()
    assert not called and np.array_equal(picture, before)
    assert [found.shape for (found,) in results] == [picture.shape] * 2
    assert not np.array_equal(results[0][0], results[1][0])
    with pytest.raises(S2IError, match="at least 1"):
        method.act("refine_photo", Drawing(), (picture,), refine=0)
    other = method.act("refine_photo", Drawing(), (255 - picture,), refine=1).pictures[0]
    assert not np.array_equal(other, results[0][0])


def test_style_strip_paints_the_same_lines_with_each_picture_s_colors(method):
    drawing, maps = draw(), (photo(30, 30), photo(40, 90)[:, ::-1], photo(30, 30))
    pictures = method.act("style_strip", drawing, maps).pictures
    assert [picture.shape for picture in pictures] == [(*drawing.size, 3)] * 3
    assert np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[0], pictures[1])
    domain = image.resize(maps[0], drawing.size)
    full = np.dstack([domain, np.full(drawing.size, 255, np.uint8)])
    assert np.array_equal(pictures[0], paint(method, Drawing(lines=drawing.lines, colors=full)))


def test_interpolate_walks_from_one_map_to_the_other_and_back(skip):
    drawing, first, second = draw(), photo(30, 40), photo(50, 20)[::-1, ::-1]
    result = skip.act("interpolate", drawing, (first, second), steps=5)
    assert len(result.pictures) == len(result.captions) == 5
    assert result.captions[0] == "0%" and result.captions[-1] == "100%"
    ends = skip.act("style_strip", drawing, (first, image.resize(second, (30, 40)))).pictures
    assert np.array_equal(result.pictures[0], ends[0])
    assert np.array_equal(result.pictures[-1], ends[1])
    assert len({picture.tobytes() for picture in result.pictures}) == 5
    assert len(result.frames) == 8  # the way back leaves both ends out
    assert np.array_equal(result.frames[5], result.pictures[3])
    assert np.array_equal(result.frames[-1], result.pictures[1])


def test_turn_hue_turns_once_round(skip):
    result = skip.act("turn_hue", draw(), steps=4)
    assert result.captions == ("0°", "90°", "180°", "270°")
    assert np.array_equal(result.pictures[0], paint(skip, draw()))
    assert len({picture.tobytes() for picture in result.pictures}) == 4
    assert all(a is b for a, b in zip(result.frames, result.pictures, strict=True))


@pytest.mark.parametrize("colors", [None, np.zeros((60, 80, 4), np.uint8)])
def test_there_is_no_hue_without_colors(skip, colors):
    with pytest.raises(S2IError, match="no colours to turn"):
        skip.act("turn_hue", Drawing(lines=draw().lines, colors=colors))


def test_actions_paint_at_the_size_that_was_trained():
    method = build(size_px=64)
    seen = []
    method.generator.register_forward_pre_hook(lambda _, x: seen.append(tuple(x[0].shape[2:])))
    method.act("style_strip", draw(200, 200), (photo(),))
    assert seen == [(64, 64)]


def test_strips_need_a_drawing(skip):
    for name, maps in (("style_strip", (photo(),)), ("interpolate", (photo(), photo()))):
        with pytest.raises(S2IError, match="the drawing is empty"):
            skip.act(name, Drawing(), maps)


def test_a_dim_photo_starts_with_lines_too():
    y, x = np.mgrid[:128, :128]
    disc = np.where((x - 64) ** 2 + (y - 64) ** 2 < 40**2, 24, 34).astype(np.uint8)
    drawing = Pirec.start_from(np.dstack([disc] * 3))
    assert (drawing.lines == 0).sum() > 150


def test_refining_adds_detail_and_leaves_colors():
    torch.manual_seed(0)
    picture = torch.full((1, 3, 32, 32), 0.2)
    darker = picture - 0.5
    torch.testing.assert_close(add_detail(picture, darker), picture)
    detail = picture + 0.1 * (torch.arange(32) % 2 * 2 - 1)
    changed = (add_detail(picture, detail) - picture)[..., 8:-8]
    torch.testing.assert_close(changed, (detail - picture)[..., 8:-8], atol=0.01, rtol=0.1)
