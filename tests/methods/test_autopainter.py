"""Auto-Painter on random networks of width 4, and on stand-ins that show what they were given."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from s2i import image, palette
from s2i.errors import S2IError
from s2i.methods.autopainter import (
    CHANNELS,
    MULTIPLES,
    Autopainter,
    obey_hints,
    suggest_colors,
    to_inputs,
)
from s2i.methods.base import Drawing

RED, GREEN = (220, 30, 40, 255), (30, 180, 60, 255)


class Shown(nn.Module):
    """Stands for a network: shows some of its inputs, as ``show`` says."""

    def __init__(self, show):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.show, self.seen = show, []

    def forward(self, x):
        self.seen.append(x)
        return self.show(x)


def show_ink(x):
    return (1 - 2 * x[:, 4:5]).expand(-1, 3, -1, -1)


def show_hints(x):
    """Hints where there are some, else colours that change from left to right."""
    ramp = torch.linspace(-0.8, 0.8, x.shape[-1]).expand(len(x), x.shape[-2], -1)
    base = torch.stack([ramp, -ramp, 0.3 * ramp], 1)
    return x[:, :3] + (1 - x[:, 3:4]) * base


def build(show=None, *, hints="spread", **options):
    torch.manual_seed(0)
    generator = options.pop("generator", "gated" if hints == "spread" else "folded")
    method = Autopainter(generator=generator, hints=hints, width=4, **options)
    if show is not None:
        method.generator = Shown(show)
    return method.eval()


@pytest.fixture(scope="module")
def method():
    return build()


def paint(method, drawing, **values):
    (picture,) = method.run(drawing, **values).pictures
    assert picture.shape == (*drawing.size, 3) and picture.dtype == np.uint8
    return picture


def draw_rooms(height=120, width=160):
    """A box away from the page's border, parted into a left and a right room."""
    lines = np.full((height, width), 255, np.uint8)
    cv2.rectangle(lines, (20, 20), (width - 20, height - 20), 0, 2)
    cv2.line(lines, (width // 2, 20), (width // 2, height - 20), 0, 2)
    return lines


def dab(colors, x, y, color=RED, radius=4):
    colors[y - radius : y + radius, x - radius : x + radius] = color
    return colors


def bare(height=120, width=160):
    return np.zeros((height, width, 4), np.uint8)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


# -- networks --------------------------------------------------------------------------------------


def test_presets_have_the_parameters_of_their_sources():
    with torch.device("meta"):
        counts = {
            name: count(Autopainter(**kwargs)) for name, kwargs in Autopainter.presets.items()
        }
    assert counts == {"paper": 54_413_955, "seed": 61_234_691, "small": 2_042_084}


@pytest.mark.parametrize("hints", CHANNELS)
@pytest.mark.parametrize("generator", MULTIPLES)
def test_any_network_takes_any_kind_of_hints(generator, hints):
    if generator == "gated" and hints != "spread":
        with pytest.raises(S2IError, match=f"needs hints 'spread', got '{hints}'"):
            build(generator=generator, hints=hints)
        return
    made = build(generator=generator, hints=hints, size_px=64)
    seen = []
    made.generator.register_forward_pre_hook(lambda _, x: seen.append(tuple(x[0].shape)))
    drawing = Drawing(lines=draw_rooms(), colors=dab(bare(), 50, 60))
    assert np.array_equal(paint(made, drawing), paint(made, drawing))
    is_small = MULTIPLES[generator] == 32
    side = 64 if is_small else 256
    assert seen == [(1, CHANNELS[hints], side, 96 if is_small else 256)] * 2


# -- inputs ----------------------------------------------------------------------------------------


def small_drawing():
    lines = np.full((16, 16), 255, np.uint8)
    lines[:, 8], lines[:, 9] = 0, 155
    colors = bare(16, 16)
    colors[2:8, 2:10] = GREEN
    return lines, colors


def test_pasted_hints_lie_over_lines_on_a_white_page():
    lines, colors = small_drawing()
    inputs = to_inputs(lines, colors, hints="pasted")
    assert inputs.shape == (3, 16, 16) and inputs.dtype == torch.float32
    green = torch.tensor([c / 127.5 - 1 for c in GREEN[:3]])
    painted = torch.from_numpy(colors[..., 3] > 0)
    torch.testing.assert_close(inputs[:, painted], green[:, None].expand(-1, 48))
    of_lines = torch.from_numpy(lines / 127.5 - 1).float().expand(3, -1, -1)
    torch.testing.assert_close(inputs[:, ~painted], of_lines[:, ~painted])


@pytest.mark.parametrize("hints", ["mask", "spread"])
def test_inputs_are_hints_mask_ink_and_spread_hints(hints):
    lines, colors = small_drawing()
    inputs = to_inputs(lines, colors, hints=hints)
    assert inputs.shape == (CHANNELS[hints], 16, 16) and inputs.dtype == torch.float32
    painted = torch.from_numpy(colors[..., 3] > 0)
    green = torch.tensor([c / 127.5 - 1 for c in GREEN[:3]])
    torch.testing.assert_close(inputs[:3, painted], green[:, None].expand(-1, 48))
    assert not inputs[:3, ~painted].any()
    assert torch.equal(inputs[3], painted.float())
    torch.testing.assert_close(inputs[4], torch.from_numpy(1 - lines / 255).float())
    if hints == "spread":
        confidence = inputs[8]
        assert (confidence[painted] == 1).all() and confidence.min() > 0
        torch.testing.assert_close(inputs[5:8], green[:, None, None].expand(-1, 16, 16))
        assert not to_inputs(lines, bare(16, 16), hints=hints)[5:].any()


def test_bare_paper_around_the_figure_is_a_white_hint_of_middle_confidence():
    lines, colors = draw_rooms(), dab(bare(), 50, 60)
    found = palette.find_paper(lines, colors)
    inputs, paper = to_inputs(lines, colors, hints="spread", paper=found), torch.from_numpy(found)
    assert paper.any() and (inputs[5:8, paper] == 1).all()
    assert torch.allclose(inputs[8, paper], torch.tensor(128 / 255))
    other = to_inputs(lines, colors, hints="spread")
    assert torch.equal(inputs[:, ~paper], other[:, ~paper]) and (other[5, paper] < 1).all()


def test_a_gate_takes_hints_as_they_are_and_paints_where_there_are_none():
    network = build().generator
    lines, colors = draw_rooms(128, 160), dab(bare(128, 160), 50, 60)
    paper = palette.find_paper(lines, colors)
    inputs = to_inputs(lines, colors, hints="spread", paper=paper)[None]
    bias = network.out[-2].bias
    with torch.no_grad():
        bias[3] = 50.0  # the share is 1
        torch.testing.assert_close(network(inputs), inputs[:, 5:8])
        nothing = torch.cat([inputs[:, :5], torch.zeros_like(inputs[:, 5:])], 1)
        own = network(nothing)
        bias[3] = -50.0
        torch.testing.assert_close(network(nothing), own)
        assert own.std() > 0 and (network(inputs) - inputs[:, 5:8]).abs().mean() > 0.1


@pytest.mark.parametrize("hints", CHANNELS)
def test_colors_outside_the_mask_are_ignored(hints):
    made = build(hints=hints)
    lines = draw_rooms()
    colors = dab(bare(), 50, 60)
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3))
    hidden = colors.copy()
    hidden[..., :3] = np.where(colors[..., 3:] > 0, colors[..., :3], noise)
    assert not np.array_equal(hidden, colors)
    plain, other = (to_inputs(lines, layer, hints=hints) for layer in (colors, hidden))
    assert torch.equal(plain, other)
    for detail in ("learned", 384):
        pictures = [
            paint(made, Drawing(lines=lines, colors=layer), detail=detail)
            for layer in (colors, hidden)
        ]
        assert np.array_equal(*pictures)


@pytest.mark.parametrize("hints", CHANNELS)
def test_white_paint_differs_from_bare_paper(hints):
    lines = draw_rooms()
    white = dab(bare(), 50, 60, (255,) * 4)
    of_bare, of_white = (to_inputs(lines, layer, hints=hints) for layer in (bare(), white))
    is_told = hints != "pasted"  # where white is the page's colour
    assert torch.equal(of_bare, of_white) != is_told
    made = build(hints=hints)
    pictures = [
        paint(made, Drawing(lines=lines, colors=layer), vivid=False) for layer in (bare(), white)
    ]
    assert np.array_equal(*pictures) != is_told


@pytest.mark.parametrize("hints", CHANNELS)
def test_what_is_padded_is_bare_paper(hints):
    made = build(lambda x: x[:, :3], hints=hints, size_px=64)
    lines = np.zeros((70, 50), np.uint8)
    paint(made, Drawing(lines=lines, colors=np.full((70, 50, 4), RED, np.uint8)))
    ((padded,),) = (made.generator.seen,)
    height, width = image.fit_size((70, 50), 64)
    assert padded.shape == (1, CHANNELS[hints], 96, 64)
    blank = to_inputs(np.full((1, 1), 255, np.uint8), bare(1, 1), hints=hints)
    assert (padded[0, :, height:] == blank).all() and (padded[0, :, :, width:] == blank).all()
    assert (padded[0, :3, :height, :width] != blank[:3]).any(0).all()


# -- painting --------------------------------------------------------------------------------------


def test_red_and_blue_on_one_drawing_differ_where_they_are_dabbed(method):
    lines = draw_rooms()
    pictures = [
        paint(method, Drawing(lines=lines, colors=dab(bare(), 50, 60, color))).astype(int)
        for color in (RED, (30, 40, 220, 255))
    ]
    change = np.abs(pictures[0] - pictures[1]).max(axis=2)
    assert change[56:64, 46:54].mean() > change.mean() > 0


@pytest.mark.parametrize("size", [(300, 700), (700, 300)])
def test_a_circle_stays_a_circle(size):
    lines = np.full(size, 255, np.uint8)
    y, x = size[0] // 2 + 20, size[1] // 2 - 30
    cv2.circle(lines, (x, y), 100, 0, 4)
    picture = paint(build(show_ink), Drawing(lines=lines))
    ys, xs = np.nonzero(picture[..., 0] < 128)
    found = [ys.min(), ys.max(), xs.min(), xs.max()]
    assert found == pytest.approx([y - 102, y + 102, x - 102, x + 102], abs=3)


def test_hints_land_where_they_were_dabbed():
    lines, colors = np.full((300, 700), 255, np.uint8), bare(300, 700)
    cv2.rectangle(lines, (394, 94), (525, 185), 0, 3)  # without it the page is all one area
    colors[100:180, 400:520] = RED
    picture = paint(build(show_hints), Drawing(lines=lines, colors=colors))
    assert np.abs(picture[105:175, 405:515].astype(int) - RED[:3]).max() <= 3
    is_red = np.abs(picture.astype(int) - RED[:3]).max(axis=2) < 40
    ys, xs = np.nonzero(is_red)
    assert [ys.min(), ys.max(), xs.min(), xs.max()] == pytest.approx([100, 179, 400, 519], abs=3)


def test_detail_is_the_side_that_the_network_works_at():
    made = build(show_ink, size_px=64)
    drawing = Drawing(lines=draw_rooms(100, 400))
    for detail in ("learned", 256, 512):
        paint(made, drawing, detail=detail, vivid=False)
    assert [tuple(x.shape[2:]) for x in made.generator.seen] == [(32, 128), (128, 512), (256, 1024)]


def test_lines_are_laid_over_the_picture_at_full_size(method):
    drawing = Drawing(lines=draw_rooms(330, 450), colors=dab(bare(330, 450), 90, 80))
    plain, laid = (paint(method, drawing, overlay=overlay) for overlay in (False, True))
    assert np.array_equal(laid, image.lay_lines(plain, drawing.lines))
    assert (laid[drawing.lines == 0] == 0).all()
    white = build(lambda x: torch.ones_like(x[:, :3]))
    lines = np.random.default_rng(0).integers(0, 256, (330, 450)).astype(np.uint8)
    laid = paint(white, Drawing(lines=lines), overlay=True)
    assert np.abs(laid.astype(int) - lines[..., None]).max() <= 1  # white resized may be 254


def test_a_vivid_picture_is_the_first_suggestion_until_something_is_dabbed():
    made, lines = build(show_hints), draw_rooms()
    plain, vivid = (paint(made, Drawing(lines=lines), vivid=value) for value in (False, True))
    assert not np.array_equal(plain, vivid)
    assert np.array_equal(vivid, suggest(made, Drawing(lines=lines)).pictures[0])
    dabbed = Drawing(lines=lines, colors=dab(bare(), 50, 60))
    assert np.array_equal(*(paint(made, dabbed, vivid=value) for value in (False, True)))


@pytest.mark.parametrize("overlay", [False, True])
def test_a_missing_layer_is_a_blank_one(method, overlay):
    lines, colors = draw_rooms(), dab(bare(), 50, 60)
    pairs = [
        (Drawing(lines=lines), Drawing(lines=lines, colors=bare())),
        (Drawing(colors=colors), Drawing(lines=np.full_like(lines, 255), colors=colors)),
    ]
    for missing, given in pairs:
        pictures = [paint(method, drawing, overlay=overlay) for drawing in (missing, given)]
        assert np.array_equal(*pictures)
    whole = paint(method, Drawing(lines=lines, colors=colors), overlay=overlay)
    assert not any(np.array_equal(whole, paint(method, missing)) for missing, _ in pairs)


def test_an_empty_drawing_is_one_sentence(method):
    with pytest.raises(S2IError, match="Auto-Painter reads lines and colors"):
        method.run(Drawing(photo=np.zeros((9, 9, 3), np.uint8)))


# -- suggested colours -----------------------------------------------------------------------------


def suggest(method, drawing, **values):
    result = method.act("suggest_colors", drawing, **values)
    assert len(result.pictures) == len(result.colors) == len(result.captions)
    assert all(picture.shape == (*drawing.size, 3) for picture in result.pictures)
    assert all(layer.shape == (*drawing.size, 4) for layer in result.colors)
    assert all(set(np.unique(layer[..., 3])) <= {0, 255} for layer in result.colors)
    return result


@pytest.mark.parametrize("count", [2, 6])
def test_suggestions_are_pictures_and_their_colors_all_different(count):
    made, drawing = build(show_hints), Drawing(lines=draw_rooms())
    result = suggest(made, drawing, count=count)
    assert len(result.pictures) == count
    assert len({picture.tobytes() for picture in result.pictures}) == count
    assert len({layer.tobytes() for layer in result.colors}) == count
    for picture, layer in zip(result.pictures, result.colors, strict=True):
        again = paint(made, Drawing(lines=drawing.lines, colors=layer)).astype(int)
        assert np.abs(again - picture).mean() < 2  # but for the dabs' rims at another size


def test_each_room_gets_one_dab_and_the_background_none():
    lines = draw_rooms()
    areas = palette.find_areas(lines)
    for layer in suggest(build(show_hints), Drawing(lines=lines)).colors:
        painted = layer[..., 3] > 0
        assert set(np.unique(areas[painted])) == {areas[60, 50], areas[60, 110]}
        assert len(np.unique(layer[painted], axis=0)) <= 2  # rooms of one size share a colour
        labels, *_ = cv2.connectedComponents(painted.astype(np.uint8))
        assert labels - 1 == 2 and painted.mean() < 0.05


def test_the_first_suggestion_is_the_picture_s_own_colors_made_stronger():
    made, lines = build(show_hints), draw_rooms()
    plain = paint(made, Drawing(lines=lines), vivid=False)
    layer = suggest(made, Drawing(lines=lines)).colors[0]
    for place in (np.s_[26:94, 26:76], np.s_[26:94, 86:136]):
        (color,) = np.unique(layer[place][layer[place][..., 3] > 0], axis=0)
        own = np.median(plain[place].reshape(-1, 3), axis=0)
        assert np.ptp(color[:3].astype(int)) > np.ptp(own)
        assert np.argmax(color[:3]) == np.argmax(own)


def test_the_seed_decides():
    made, drawing = build(show_hints), Drawing(lines=draw_rooms())

    def bytes_of(**values):
        result = suggest(made, drawing, count=3, **values)
        return [array.tobytes() for array in (*result.pictures, *result.colors)]

    first = bytes_of(seed=5)
    np.random.seed(1)  # noqa: NPY002
    assert bytes_of(seed=5) == first
    other = bytes_of(seed=6)
    assert other[0] == first[0] and other[3] == first[3]  # its own colours need no dice
    assert not set(other[4:]) & set(first[4:])


def test_paint_that_is_there_stays_and_its_area_gets_no_dab():
    colors = dab(bare(), 50, 60, GREEN)
    dab(colors, 6, 6, RED)
    for layer in suggest(build(show_hints), Drawing(lines=draw_rooms(), colors=colors)).colors:
        is_old = (colors[..., 3] > 0).astype(np.uint8)
        inside, around = (change(is_old, np.ones((5, 5))) > 0 for change in (cv2.erode, cv2.dilate))
        assert inside.any() and np.array_equal(layer[inside], colors[inside])
        added = (layer[..., 3] > 0) & ~around
        xs = np.nonzero(added)[1]
        assert len(xs) and xs.min() > 80  # in the right room alone


def test_small_specks_get_no_dab_and_many_areas_no_more_than_forty():
    lines = np.full((200, 200), 255, np.uint8)
    lines[::4] = lines[:, ::4] = 0  # cells of 3 x 3 px, and gaps that are closed
    layer = suggest_colors(lines, bare(200, 200), np.full((200, 200, 3), 90, np.uint8))
    assert not layer.any()
    lines = np.full((400, 400), 255, np.uint8)
    lines[::40] = lines[:, ::40] = 0
    layer = suggest_colors(lines, bare(400, 400), np.full((400, 400, 3), 90, np.uint8))
    found, _ = cv2.connectedComponents((layer[..., 3] > 0).astype(np.uint8))
    assert 38 <= found - 1 <= 40


@pytest.mark.parametrize("value", [255, 0])
def test_a_page_without_areas_is_suggested_nothing(method, value):
    drawing = Drawing(lines=np.full((60, 80), value, np.uint8))
    result = suggest(method, drawing, count=3)
    assert not any(layer.any() for layer in result.colors)
    assert len({picture.tobytes() for picture in result.pictures}) == 1


def test_suggestions_need_lines(method):
    for drawing in (Drawing(), Drawing(colors=dab(bare(), 50, 60))):
        with pytest.raises(S2IError, match="no lines to colour"):
            method.act("suggest_colors", drawing)


# -- hints are obeyed ------------------------------------------------------------------------------


def shaded(height=120, width=160):
    """What a network may paint: all of one dull colour, lighter to the right."""
    ramp = np.linspace(-20, 20, width)[None, :, None]
    return (np.full((height, width, 3), (190, 60, 70)) + ramp).round().astype(np.uint8)


def obey(picture, lines, colors):
    return obey_hints(picture, lines, to_inputs(lines, colors, hints="spread")[5:]).astype(int)


def test_an_area_s_mean_becomes_its_hint_s_colour_and_its_shade_stays():
    lines, before = draw_rooms(), shaded()
    after = obey(before, lines, dab(bare(), 50, 60, RED))
    room = np.s_[30:90, 30:70]
    np.testing.assert_allclose(after[room].mean((0, 1)), RED[:3], atol=4)
    for channel in range(3):  # no clipping at these: the ramp is as steep as before
        rise = after[40:60, 70, channel].mean() - after[40:60, 30, channel].mean()
        steps = before[50, 70, channel].astype(int) - before[50, 30, channel]
        assert abs(rise - steps) <= 3


def test_rooms_without_a_hint_and_ink_stay_as_they_were_painted():
    lines, before = draw_rooms(), shaded()
    after = obey(before, lines, dab(bare(), 50, 60, RED))
    assert np.abs(after[20:80, 92:148] - before[20:80, 92:148]).max() <= 3
    assert np.array_equal(after[lines == 0], before[lines == 0])
    assert np.array_equal(obey(before, lines, bare()), before)


def test_two_hints_in_one_room_pass_softly_into_each_other():
    blank = np.full((120, 160), 255, np.uint8)
    warm, cold = (225, 90, 60, 255), (160, 40, 100, 255)
    row = obey(shaded(), blank, dab(dab(bare(), 30, 60, warm), 130, 60, cold))[40]
    means = row[:60].mean(0) - row[100:].mean(0)
    assert means[0] > 10 and means[1] > 30 and means[2] < -20  # before: -30, -30, -30
    assert np.abs(np.diff(row, axis=0)).max() < 20  # a step at once would be 65


def test_a_dab_that_slipped_onto_paper_colours_no_background():
    """The network left the paper white; red is too far from it to be meant."""
    lines, before = draw_rooms(), np.full((120, 160, 3), 250, np.uint8)
    before[20:100, 20:140] = (200, 60, 60)
    after = obey(before, lines, dab(dab(bare(), 50, 60, RED), 8, 8, RED))
    assert np.abs(after[2:118, 146:] - 250).max() <= 3
    np.testing.assert_allclose(after[30:90, 30:70].mean((0, 1)), RED[:3], atol=4)


def test_equal_hints_in_two_rooms_shift_each_by_its_own_need():
    lines, before = draw_rooms(), shaded()
    before[:, 80:] -= 30
    after = obey(before, lines, dab(dab(bare(), 50, 60, RED), 110, 60, RED))
    for room in (np.s_[30:90, 30:70], np.s_[30:90, 92:132]):
        np.testing.assert_allclose(after[room].mean((0, 1)), RED[:3], atol=6)


# -- from a photo ----------------------------------------------------------------------------------


def photo(height=128, width=128):
    """Discs, one of them faint, on a light ground."""
    picture = np.full((height, width, 3), (235, 230, 220), np.uint8)
    side = min(height, width)
    cv2.circle(picture, (width // 3, height // 2), side // 4, (40, 60, 120), -1)
    cv2.circle(picture, (width * 3 // 4, height // 2), side // 6, (225, 216, 205), -1)
    return picture


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (51, 33), (300, 700)])
def test_sketchify_gives_lines_alone_of_the_photo_s_size(size):
    drawing = Autopainter.start_from(photo(*size))
    assert drawing.lines.shape == size and drawing.lines.dtype == np.uint8
    assert drawing.colors is None and drawing.photo is None


def ink(picture, **values):
    return (255.0 - Autopainter.start_from(picture, **values).lines).mean()


def test_sketchify_does_what_its_controls_say():
    amounts = [ink(photo(), ink=share) for share in (0.0, 0.3, 0.6, 1.0)]
    assert 0 < amounts[0] < amounts[1] <= amounts[2] < amounts[3]
    assert ink(photo(), sigma=2.5) > 1.3 * ink(photo(), sigma=0.8)
    hard, soft = (Autopainter.start_from(photo(), softness=value).lines for value in (0, 1))
    greys = [((lines > 40) & (lines < 215)).mean() for lines in (hard, soft)]
    assert greys[1] > 2 * greys[0]
    with pytest.raises(S2IError, match="ink must be a number from 0 to 1"):
        Autopainter.start_from(photo(), ink=2)


def test_sketchify_draws_a_photo_alike_at_any_size():
    small, large = (ink(photo(side, side)) for side in (256, 512))
    assert large == pytest.approx(small, rel=0.1)


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("value", [255, 128])
def test_a_blank_photo_has_no_lines(share, value):
    blank = np.full((64, 80, 3), value, np.uint8)
    assert (Autopainter.start_from(blank, ink=share).lines == 255).all()


def test_what_was_sketchified_can_be_painted(method):
    assert paint(method, Autopainter.start_from(photo())).std() > 0
