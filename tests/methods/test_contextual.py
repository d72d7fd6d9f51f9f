"""Contextual GAN: the original's sizes, losses of one picture, and what a search promises."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from s2i import image, weights
from s2i.edges import xdog
from s2i.errors import S2IError
from s2i.methods import contextual
from s2i.methods.base import Drawing, last_of
from s2i.methods.contextual import (
    GENERATORS,
    Contextual,
    VectorEncoder,
    halves,
    join,
    kl_divergence,
    match_lines,
    match_photo,
    to_ink,
    walk,
)
from train.data import Drawings


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def build(generator="style", **options):
    torch.manual_seed(0)
    options = {"latent": 8, "width": 4, "size_px": 32} | options
    made = Contextual(generator=generator, **options).eval().requires_grad_(False)
    if generator == "paper":  # drawn with a deviation of 0.02, it paints grey until it is trained
        for parameter in (p for p in made.generator.parameters() if p.dim() > 1):
            parameter *= 8
    return made


@pytest.fixture(scope="module")
def method():
    return build()


def ring(size_px=32, radius=8):
    """A circle of ink: (1, 1, S, S)."""
    at = torch.arange(size_px) - size_px / 2
    distance = (at.square()[:, None] + at.square()).sqrt()
    return ((distance - radius).abs() < 1).float()[None, None]


def lines(size=(40, 50)):
    page = np.full(size, 255, np.uint8)
    page[10:30, 12:14] = page[10:12, 12:40] = 0
    return page


def finish(method, goal, **options):
    *_, found = method.search(goal, **options)
    return found


# -- networks --------------------------------------------------------------------------------------


def test_the_networks_have_the_paper_s_and_the_stated_sizes():
    with torch.device("meta"):
        paper, small = (Contextual(**Contextual.presets[name]) for name in ("paper", "small"))
    assert count(paper.generator) == 5_962_755
    assert count(paper.critic) == 4_324_737
    assert [count(each) for each in small.children()] == [1_076_964, 952_672, 432_993]
    assert isinstance(small.critic, VectorEncoder) and count(small) < 2_500_000
    assert Contextual().kwargs == Contextual.presets["small"]


@pytest.mark.parametrize(("generator", "shape"), [("style", (4, 32, 32)), ("paper", (3, 32, 64))])
def test_pairs_are_split_and_joined(generator, shape):
    made = build(generator)
    joint = made.generator(made.draw_prior(3))
    assert joint.shape == (3, *shape) and joint.abs().max() <= 1
    assert made.critic(joint).shape == (3, 1)
    sketch, photo = halves(joint)
    assert sketch.shape[2:] == photo.shape[2:] == (32, 32) and photo.shape[1] == 3
    assert torch.equal(join(sketch, photo, generator=generator), joint)
    ink = to_ink(torch.full_like(sketch, -1))
    assert ink.shape == (3, 1, 32, 32)
    torch.testing.assert_close(ink, torch.ones_like(ink))
    assert made.draw_prior(500).abs().max() <= 1 or generator == "style"


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_picture_alone_is_the_picture_in_a_batch(generator):
    made = build(generator)
    z, ink = made.draw_prior(4), torch.rand(4, 1, 32, 32)
    joint = made.generator(z)
    for network, inputs in ((made.generator, z), (made.critic, joint), (made.encoder, ink)):
        together = network(inputs)
        alone = torch.cat([network(one[None]) for one in inputs])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


# -- losses ----------------------------------------------------------------------------------------


def test_losses_of_a_picture_do_not_depend_on_the_others():
    torch.manual_seed(0)
    ink, photo = torch.rand(3, 1, 32, 32), torch.rand(3, 3, 32, 32)
    for measure, made, goal in (
        (kl_divergence, ink, ring()),
        (match_lines, ink, ring()),
        (match_photo, photo, photo[:1]),
    ):
        together = measure(made, goal)
        assert together.shape == (3,) and together.min() >= 0
        alone = torch.cat([measure(one[None], goal) for one in made])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(measure(goal, goal), torch.zeros(1), atol=2e-3, rtol=0)


def test_kl_is_that_of_distributions_and_finite_for_blank_pages():
    first, second = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 2.0])
    p, q = (x.view(1, 1, 1, 2) for x in (first, second))
    wanted = 0.25 * np.log(0.5) + 0.75 * np.log(1.5)
    assert kl_divergence(p, q, epsilon=0.0).item() == pytest.approx(wanted, rel=1e-5)
    for page in (torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)):
        made = torch.zeros(1, 1, 8, 8, requires_grad=True)
        for loss in (kl_divergence(made, page), kl_divergence(page, made), match_lines(made, page)):
            (gradient,) = torch.autograd.grad(loss.sum(), made)
            assert loss.isfinite().all() and gradient.isfinite().all()


def test_lines_match_by_place_not_by_strength_and_near_misses_cost_less():
    goal = ring()
    faint, near, far = 0.3 * goal, goal.roll(2, 3), goal.roll(6, 3)
    costs = [match_lines(ink, goal).item() for ink in (faint, near, far, torch.zeros_like(goal))]
    assert costs[0] < 0.02 < costs[1] < 0.8 * costs[2] and costs[3] == pytest.approx(1)
    far.requires_grad_()
    assert torch.autograd.grad(match_lines(far, goal).sum(), far)[0].abs().max() > 0


# -- the search ------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["fast", "seed"])
@pytest.mark.parametrize("generator", GENERATORS)
def test_a_search_lowers_the_loss_and_tells_how(generator, preset):
    made = build(generator)
    states = list(made.search(ring(), preset=preset, count=3, steps=30))
    last = states[-1]
    assert [state.is_last for state in states] == [False] * (len(states) - 1) + [True]
    assert last.losses.tolist() == sorted(last.losses.tolist()) and len(last.z) == 3
    assert last.curve[0] > last.curve[-1] == last.losses[0].item()
    assert list(last.curve) == sorted(last.curve, reverse=True)
    assert len(last.curve) == last.step + 1 and last.z.abs().max() <= made.generator.limit
    torch.testing.assert_close(last.joint, made.generator(last.z))
    for before, after in pairwise(states):
        assert (after.losses <= before.losses).all()


def test_a_candidate_is_searched_as_if_it_were_alone(method):
    """The seed's candidates are the best draws in order, so fewer of them are the first ones."""
    for preset in ("fast", "seed"):
        many = finish(method, ring(), preset=preset, count=4, steps=12)
        few = finish(method, ring(), preset=preset, count=2, steps=12)
        for z in few.z:
            assert (many.z - z).abs().amax(1).min() < 1e-3


def test_a_candidate_that_gains_nothing_stops_and_costs_nothing(method, monkeypatch):
    sizes = []
    monkeypatch.setattr(contextual, "LEAST_GAIN", 1.0)  # no gain is enough
    hook = method.generator.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    found = finish(method, ring(), count=4, steps=200)
    hook.remove()
    assert found.is_last and found.step == contextual.PATIENCE
    assert sum(sizes) <= contextual.DRAWS + 1 + 4 * (contextual.PATIENCE + 5)
    monkeypatch.setattr(contextual, "LEAST_GAIN", -1.0)  # any is
    assert finish(method, ring(), count=1, steps=40).step == 40


def test_the_fast_search_begins_with_the_encoder_s_mean(method):
    first = next(method.search(ring(), count=1, steps=0))
    mean = method.encoder(ring()).chunk(2, 1)[0]
    torch.testing.assert_close(first.z, mean.clamp(-3, 3))
    several = next(method.search(ring(), count=5, steps=0))
    assert several.is_last and (several.z - first.z).abs().amax(1).min() < 1e-6


def test_the_original_s_search_begins_with_the_best_of_thirty_by_kl(method):
    found = finish(method, ring(), preset="seed", count=2, steps=0, seed=5)
    draws = method.draw_prior(30, torch.Generator().manual_seed(5))
    ink = to_ink(halves(method.generator(draws))[0])
    best = kl_divergence(1 - ring(), 1 - ink).argsort()[:2]
    wanted = draws[best]
    assert all((wanted - z).abs().amax(1).min() < 1e-6 for z in found.z)
    joint = method.generator(found.z)
    weighted = 100 * kl_divergence(1 - to_ink(halves(joint)[0]), 1 - ring())
    weighted = weighted + torch.nn.functional.softplus(-method.critic(joint)).flatten()
    torch.testing.assert_close(found.losses, weighted)


def test_nesterov_is_the_original_s():
    z, gradients = torch.tensor([[0.5]]), (2.0, 3.0)
    optimizer, rows = contextual._Nesterov(z, 2), torch.tensor([0])
    velocity, wanted = 0.0, 0.5
    for step, gradient in enumerate(gradients, 1):
        z = optimizer.move(z, torch.tensor([[gradient]]), rows, step)
        after = 0.9 * velocity - 1e-3 * gradient
        wanted, velocity = wanted - 0.9 * velocity + 1.9 * after, after
    assert z.item() == pytest.approx(wanted)


def test_faithfulness_counts_lines_against_what_is_likely(method):
    def distance(faithfulness):
        found = finish(method, ring(), count=1, steps=40, faithfulness=faithfulness)
        return match_lines(to_ink(halves(found.joint)[0]), ring()).item()

    assert distance(4.0) < distance(0.0)


def test_the_other_way_round_looks_at_the_photo_alone(method):
    torch.manual_seed(3)
    with torch.no_grad():
        wanted = method.generator(method.draw_prior(1))
    goal = halves(wanted)[1]
    seen = []
    hook = method.encoder.register_forward_pre_hook(lambda *_: seen.append(1))
    states = list(method.search(goal, count=4, steps=40, faithfulness=50))
    assert not seen
    next(method.search(goal, read=to_ink(halves(wanted)[0]), count=4, steps=1))
    hook.remove()
    assert len(seen) == 1
    first, last = (
        match_photo(halves(state.joint)[1], goal).min().item() for state in (states[0], states[-1])
    )
    assert last < 0.9 * first
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    result = method.act("photo_to_sketch", Drawing(), (photo,), count=2, steps=3)
    assert [picture.shape for picture in result.pictures] == [(40, 40, 3)] * 4
    sketch = result.pictures[0]
    assert (sketch == sketch[..., :1]).all() and not (result.pictures[1] == sketch).all()
    assert result.captions[0].startswith("1: loss") and result.captions[1] == "1: its photo"


# -- the method ------------------------------------------------------------------------------------


def paint(method, **values):
    values = {"count": 3, "steps": 4} | values
    return last_of(method.run(Drawing(lines=lines()), **values))


def test_the_same_seed_gives_the_same_gallery_and_another_another(method):
    one, again, other = (paint(method, seed=seed) for seed in (7, 7, 8))
    assert [p.tobytes() for p in one.pictures] == [p.tobytes() for p in again.pictures]
    assert [p.tobytes() for p in one.pictures] != [p.tobytes() for p in other.pictures]
    assert one.facts == again.facts == "seed 7 · step 4 of 4"
    assert one.curve == again.curve and len(one.curve) == 5 and one.curve[0] >= one.curve[-1]


def test_a_gallery_grows_better_in_a_stream_even_without_gradients(method):
    with torch.inference_mode():
        stream = list(method.run(Drawing(lines=lines()), count=2, steps=20))
        assert torch.is_inference_mode_enabled() and not torch.is_grad_enabled()
    assert [result.progress for result in stream] == [0.0, 0.5, 1.0]
    for result in stream:
        assert [picture.shape for picture in result.pictures] == [(40, 50, 3)] * 4
        assert [caption.partition(":")[0] for caption in result.captions] == ["1", "1", "2", "2"]
    assert len(paint(method, sketches=False).pictures) == 3


def test_while_drawing_the_encoder_s_guess_is_all(method):
    seen = []
    hook = method.generator.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    (result,) = method.run(Drawing(lines=lines()), **method.preview)
    hook.remove()
    assert set(seen) == {1} and len(seen) <= 2
    assert len(result.pictures) == 2 and result.progress == 1.0


def test_a_drawing_is_never_squashed():
    wide = np.zeros((2, 6), np.uint8)
    page = contextual.square(wide)
    assert page.shape == (6, 6) and (page[2:4] == 0).all() and (page[[0, 1, 4, 5]] == 255).all()
    picture = np.random.default_rng(0).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    assert np.array_equal(contextual._fit(picture, (2, 6)), picture[2:4])


def test_lines_are_read_as_dark_as_the_network_learned_them(method):
    photo = Drawings(size_px=256)[0].photo
    learned = image.resize(xdog(image.resize(photo, (64, 64))), (32, 32))
    from_photo = Contextual.start_from(image.resize(photo, (64, 64))).lines
    thin = np.full((512, 512), 255, np.uint8)
    thin[100:102] = 0
    for given, wanted in (
        (learned, learned),
        (thin, None),
        (np.full((64, 64), 255, np.uint8),) * 2,
    ):
        ink = method.read_goal(given)[0, 0]
        if wanted is None:
            assert 0.4 < ink.max() <= 1 and ink[:5].max() == 0
        else:
            wanted = image.to_tensor(image.resize(wanted, (32, 32)))[0]
            torch.testing.assert_close(ink, wanted, atol=0.1, rtol=0)
    assert from_photo.shape == (64, 64) and 0.01 < (from_photo < 128).mean() < 0.5


@pytest.mark.parametrize("ends", ["guess and answer", "two answers"])
def test_a_walk_ends_where_it_is_told(method, ends):
    result = method.act("between", Drawing(lines=lines()), ends=ends, pictures=4)
    assert [picture.shape for picture in result.pictures] == [(40, 50, 3)] * 4
    assert len(result.frames) == 6 and result.captions == ("0%", "33%", "67%", "100%")
    assert not np.array_equal(result.pictures[0], result.pictures[-1])
    if ends == "guess and answer":
        preview = {**method.preview, "sketches": False}
        (guess,) = method.run(Drawing(lines=lines()), **preview)
        assert np.array_equal(result.pictures[0], guess.pictures[0])
    with pytest.raises(S2IError, match="draw some first"):
        method.act("between", Drawing())


def test_the_length_of_a_walk_s_points_goes_evenly():
    points = walk(torch.tensor([3.0, 0.0]), torch.tensor([0.0, 1.0]), 5)
    torch.testing.assert_close(points.norm(dim=1), torch.tensor([3.0, 2.5, 2.0, 1.5, 1.0]))
    torch.testing.assert_close(points[[0, -1]], torch.tensor([[3.0, 0.0], [0.0, 1.0]]))


def test_a_loaded_weight_searches(method, tmp_path, monkeypatch):
    monkeypatch.setattr("s2i.methods.METHODS", (Contextual,))
    path = weights.save(tmp_path / "contextual.tiny.safetensors", method, metadata={})
    loaded = weights.load(path, device="cpu")
    with torch.inference_mode():
        assert paint(loaded.method).pictures[0].shape == (40, 50, 3)
