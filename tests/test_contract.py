"""What every method of the zoo promises, on networks of width 4 with random weights."""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from s2i.errors import S2IError
from s2i.methods import METHODS, PARTS, find_method
from s2i.methods.base import Drawing, Method, check_values, last_of


@pytest.fixture(scope="module", params=METHODS, ids=lambda method: method.name)
def method(request):
    torch.manual_seed(0)
    own = {
        "contextual": {"size_px": 32},  # it paints many times
        "sketch2img": {"size_px": 32, "classes": ("cup", "hat", "key")},
    }
    method = request.param(width=4, **own.get(request.param.name, {})).eval()
    everything = SimpleNamespace(find_mask=lambda photo: np.ones(photo.shape[:2], np.float32))
    method.load_part = lambda name: everything
    return method


def scribble(height, width, seed=0):
    """All layers, at random, of any size."""
    random = np.random.default_rng(seed)
    lines = np.where(random.random((height, width)) < 0.1, 0, 255).astype(np.uint8)
    colors = random.integers(0, 256, (height, width, 4)).astype(np.uint8)
    colors[..., 3] = np.where(random.random((height, width)) < 0.3, 255, 0)
    photo = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    marks = random.choice(np.array([0, 128, 255], np.uint8), (height, width), p=(0.01, 0.98, 0.01))
    return Drawing(lines=lines, colors=colors, photo=photo, marks=marks)


def layers(drawing):
    return {name: getattr(drawing, name) for name in ("lines", "colors", "photo", "marks")}


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 40), (40, 1), (37, 51), (64, 64), (300, 700)], ids=str
)
def test_the_picture_has_the_size_of_the_drawing(method, size):
    picture = last_of(method.run(scribble(*size))).pictures[0]
    assert picture.shape == (*size, 3) and picture.dtype == np.uint8


def test_the_same_arguments_give_the_same_bytes(method):
    def paint(**values):
        return [
            picture.tobytes()
            for picture in last_of(method.run(scribble(40, 50), **values)).pictures
        ]

    torch.manual_seed(1)
    first = paint()
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    assert paint() == first
    assert paint(**{control.name: control.default for control in method.controls}) == first


def test_networks_answer_alone_as_in_a_batch(method):
    """What they are given for three drawings is given to them again, together."""
    networks = dict(method.named_children())
    seen = {name: [] for name in networks}
    hooks = [
        network.register_forward_pre_hook(lambda _, given, name=name: seen[name].append(given))
        for name, network in networks.items()
    ]
    counts = []
    for seed in range(3):
        last_of(method.run(scribble(40, 50, seed)))
        counts.append({name: len(calls) for name, calls in seen.items()})
    for hook in hooks:
        hook.remove()
    for name, network in networks.items():
        assert counts[0][name], f"{name} is not used"
        firsts = [seen[name][0], *(seen[name][count[name]] for count in counts[:-1])]
        batch = [torch.cat(parts).clone() for parts in zip(*firsts, strict=True)]
        with torch.no_grad():
            together = network(*batch)
            alone = torch.cat([network(*(part.clone() for part in parts)) for parts in firsts])
        assert not torch.allclose(alone[0], alone[1], atol=1e-3), "three different drawings"
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_a_blank_page_and_a_single_dab_work(method):
    size = (90, 120)
    white, bare = np.full(size, 255, np.uint8), np.zeros((*size, 4), np.uint8)
    photo = np.full((*size, 3), 255, np.uint8)
    dab = bare.copy()
    dab[40:46, 60:66] = (200, 20, 90, 255)
    for colors in (bare, dab):
        picture = last_of(method.run(Drawing(lines=white, colors=colors, photo=photo))).pictures[0]
        assert picture.shape == (*size, 3)


def test_the_drawing_is_not_changed(method):
    drawing, photos = scribble(40, 50), (scribble(30, 30).photo, scribble(30, 30, 1).photo)
    before = [layer.copy() for layer in (*layers(drawing).values(), *photos)]
    last_of(method.run(drawing))
    for action in method.actions:
        method.act(action.name, drawing, photos[: action.photos_high])
    if method.start_controls:
        method.start_from(drawing.photo)
    after = [*layers(drawing).values(), *photos]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_only_the_layers_it_reads_count(method):
    drawing = scribble(40, 50)
    read = {name: layer for name, layer in layers(drawing).items() if name in method.reads}
    assert read and set(method.reads) <= {"lines", "colors", "photo", "marks"}
    only = last_of(method.run(Drawing(**read))).pictures[0]
    assert np.array_equal(last_of(method.run(drawing)).pictures[0], only)
    with pytest.raises(S2IError):
        method.run(Drawing())


def keywords(function):
    """Return the keyword-only names of a function with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


def declared(controls):
    return {control.name: control.default for control in controls}


def test_controls_are_the_keywords_of_predict(method):
    assert keywords(method.predict) == declared(method.controls)


def test_controls_are_the_keywords_of_each_action(method):
    for action in method.actions:
        assert keywords(getattr(method, action.name)) == declared(action.controls), action.name


def test_controls_of_the_start_have_their_effect_by_name(method):
    photo = scribble(40, 50).photo
    if method.start_from.__func__ is Method.start_from.__func__:
        with pytest.raises(S2IError, match="does not start from a photo"):
            method.start_from(photo)
        return
    plain, given = (
        method.start_from(photo),
        method.start_from(photo, **declared(method.start_controls)),
    )
    for name, layer in layers(plain).items():
        assert np.array_equal(layer, getattr(given, name)), name
        assert layer is None or name in method.reads
        assert layer is None or layer.shape[:2] == photo.shape[:2]
    assert plain.size == photo.shape[:2]
    with pytest.raises(S2IError, match="there is no setting 'nonsense'"):
        method.start_from(photo, nonsense=1)


def test_defaults_pass_their_own_checks_and_have_words(method):
    everywhere = (method.controls, method.start_controls, *(a.controls for a in method.actions))
    for controls in everywhere:
        checked = check_values(controls, {})
        assert checked == declared(controls)
        assert all(type(checked[control.name]) is type(control.default) for control in controls)
        assert len({control.name for control in controls}) == len(controls)
        assert all(control.label and control.help.endswith(".") for control in controls)
    assert all(action.title and action.help.endswith(".") for action in method.actions)


def test_the_method_is_rebuilt_from_its_own_words(method):
    again = type(method)(**method.kwargs)
    again.load_state_dict(method.state_dict())
    again.load_part = method.load_part
    drawing = scribble(40, 50)
    one, other = (last_of(each.eval().run(drawing)).pictures[0] for each in (method, again))
    assert np.array_equal(one, other)


def test_names_are_unique_and_found():
    every = [*METHODS, *PARTS]
    names = [method.name for method in every]
    assert len(set(names)) == len(names)
    assert [find_method(name) for name in names] == every
    with pytest.raises(S2IError, match=r"no method 'nothing'; there are: pirec"):
        find_method("nothing")


def test_previews_set_controls_that_are_there(method):
    check_values(method.controls, dict(method.preview))
