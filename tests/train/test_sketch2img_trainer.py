"""Sketch2Img's trainer, tiny: samples, each loss's value and gradient, and a run to the end."""

import csv
import io
import json
import signal
import zipfile

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from toy_features import Slopes

from s2i import image, methods, weights
from s2i.errors import S2IError
from s2i.methods.base import Drawing
from s2i.methods.sketch2img import Sketch2Img
from train import engine, hands, photos, publish, sketch2img
from train.critics import choose_features
from train.data import Pictures
from train.engine import Turn
from train.sketch2img import (
    Critic,
    Sketch2ImgConfig,
    Sketch2ImgTrainer,
    balance,
    clear_rim,
    diversity,
    dragan_penalty,
    draw_sketches,
    find_mask,
    frame_photo,
    softplus_critic,
    softplus_generator,
)

TINY = {
    "size_px": 32,
    "latent": 6,
    "width": 4,
    "critic_width": 4,
    "batch": 4,
    "workers": 0,
    "threads": 1,
    "cpu": True,
    "sample_images": 0,
    "guessing_images": 8,
    "painting_images": 16,
    "warm_up": 0.1,
}
SHAPES = {"ball": cv2.circle, "box": cv2.rectangle, "tee": cv2.rectangle}


def paint(kind, shade, *, lines=False):
    """Return a ball, a box or a T of 64 px, filled or its outline alone."""
    page = np.full((64, 64, 3), 255, np.uint8)
    color = (0, 0, 0) if lines else (shade, 90, 255 - shade)
    thick = 2 if lines else -1
    if kind == "ball":
        cv2.circle(page, (32, 32), 26, color, thick)
    else:
        corners = {"box": ((6, 14), (58, 50)), "tee": ((24, 6), (40, 58))}[kind]
        cv2.rectangle(page, *corners, color, thick)
    return page


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A zip of nine balls, three boxes and three Ts; one of sketches, Ts under another name."""
    folder = tmp_path_factory.mktemp("data")
    counts = {"ball": 9, "box": 3, "tee": 3}
    for name, is_lines in (("things.zip", False), ("sketches.zip", True)):
        rows = []
        with zipfile.ZipFile(folder / name, "w") as file:
            for kind, count in counts.items():
                for number in range(3 if is_lines else count):
                    path = f"{kind}/{number}.png"
                    file.writestr(path, image.encode_png(paint(kind, 20 * number, lines=is_lines)))
                    label = "jumper" if is_lines and kind == "tee" else kind
                    split = "val" if is_lines else "train"
                    rows.append({"path": path, "class": label, "split": split})
            text = io.StringIO()
            table = csv.DictWriter(text, ["path", "class", "split"])
            table.writeheader()
            table.writerows(rows)
            file.writestr("meta.csv", text.getvalue())
    return folder


def trainer(data, **settings):
    torch.manual_seed(0)
    options = {**TINY, "data": (str(data / "things.zip"),), **settings}
    return Sketch2ImgTrainer(Sketch2ImgConfig(**options))


def batch_of(trainer, count=4):
    draws = trainer.dataset("train")
    samples = [
        draws.draw(index * 7 % len(draws), np.random.default_rng(index)) for index in range(count)
    ]
    batch = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    for phase in trainer.phases:
        for turn in phase.turns:
            trainer.optimizer(turn)
    with torch.no_grad():
        return trainer.prepare_batch(batch)


def paint_turn(trainer):
    return trainer.phases[1].turns[0]


# -- samples ---------------------------------------------------------------------------------------


def test_classes_come_from_the_data_and_are_drawn_evenly(data):
    made = trainer(data)
    assert made.classes == made.method_kwargs["classes"] == ["ball", "box", "tee"]
    draws = made.dataset("train")
    assert len(draws) == 27
    labels = [draws.labels[index] for index in draws.order]
    assert [labels.count(number) for number in range(3)] == [9, 9, 9]
    assert set(draws.order) == set(range(15))
    seen = {int(draws.draw(index, np.random.default_rng(0))["label"]) for index in (0, 9, 18)}
    assert seen == {0, 1, 2}
    assert balance([]) == [] and len(made.dataset("test")) == 0


def test_a_picture_without_a_class_is_named(tmp_path):
    image.write(tmp_path / "one.png", paint("box", 9))
    with pytest.raises(S2IError, match=r"'one.png' has no class"):
        Sketch2ImgTrainer(Sketch2ImgConfig(**TINY, data=(str(tmp_path),)))


def test_the_normalisation_is_that_of_the_photos(data):
    kwargs = trainer(data).method_kwargs
    pictures = Pictures(data / "things.zip", "train", size_px=64)
    pixels = np.concatenate([sample.photo.reshape(-1, 3) for sample in pictures]) / 255
    assert kwargs["mean"] == pytest.approx(pixels.mean(axis=0), abs=0.01)
    assert kwargs["scale"] == pytest.approx(np.abs(pixels - pixels.mean(axis=0)).max(), abs=0.01)
    json.dumps(kwargs)


def test_a_sample_depends_on_its_numbers_alone_and_all_of_it_is_thin(data):
    sketches = {"sketches": str(data / "sketches.zip"), "alias": ("jumper=tee",)}
    draws = trainer(data, **sketches).dataset("train")
    differ = 0
    for index in range(0, 27, 3):
        sample, again = (draws.draw(index, np.random.default_rng(index)) for _ in range(2))
        assert all(torch.equal(sample[name], again[name]) for name in sample)
        assert sample["photo"].shape == (3, 32, 32) and sample["photo"].min() >= -1
        for name in ("clean", "crude", "human"):
            assert sample[name].shape == (1, 32, 32)
            assert sample[name].unique().tolist() == [0, 1]
            assert 0.02 < sample[name].mean() < 0.3
        assert 0 <= sample["chance"] <= 1 and sample["human_label"] == sample["label"]
        differ += not torch.equal(sample["clean"], sample["crude"])
    assert differ > 6


def test_sketches_of_other_names_are_found_by_alias(data):
    sketches = {"sketches": str(data / "sketches.zip")}
    draws = trainer(data, **sketches).dataset("train")
    assert sorted(draws.of_class) == [0, 1] and len(draws.sketches) == 6
    sample = draws.draw(20, np.random.default_rng(0))
    assert sample["label"] == 2 and sample["human_label"] == -1
    assert torch.equal(sample["human"], sample["crude"])
    draws = trainer(data, **sketches, alias=("jumper=tee",)).dataset("train")
    assert {number: len(known) for number, known in draws.of_class.items()} == {0: 3, 1: 3, 2: 3}
    with pytest.raises(S2IError, match=r"alias must be like jacket=outwear.*got 'jumper=horse'"):
        trainer(data, **sketches, alias=("jumper=horse",)).dataset("train")


@pytest.mark.parametrize("kind", ["ball", "box", "tee"])
def test_objects_stand_as_they_do_in_use(kind):
    photo = cv2.resize(paint(kind, 60), (128, 128))
    mask = find_mask(photo)
    wide = cv2.copyMakeBorder(photo, *[32] * 4, cv2.BORDER_REPLICATE)
    for seed in range(5):
        moved, found = frame_photo(wide, mask, np.random.default_rng(seed))
        assert moved.shape == (128, 128, 3)
        x, y, width, height = cv2.boundingRect(found)
        assert 0.75 < max(width, height) / 128 < 0.97
        assert abs(x + width / 2 - 64) < 6 and abs(y + height / 2 - 64) < 6
        assert (moved[0, 0] == 255).all()  # white stays white
        is_dark = moved.min(axis=2) < 200
        assert (is_dark == (found > 0)).mean() > 0.97


def test_rims_that_an_object_covers_are_cleared():
    photo = np.full((40, 40, 3), 250, np.uint8)
    photo[10:30, 20:] = 30
    mask = np.where(photo[..., 0] < 100, np.uint8(255), np.uint8(0))
    cleared = clear_rim(photo, mask)
    assert (cleared[:, -1] == 250).all() and (cleared[12:28, 22:39] == 30).all()
    assert clear_rim(photo, None) is photo


def test_an_object_on_a_pattern_is_found():
    random = np.random.default_rng(0)
    photo = random.integers(90, 150, (96, 96, 3)).astype(np.uint8)
    photo[12:84, 20:76] = (190, 30, 30)
    mask = photos.guess_object(photo)
    assert np.array_equal(mask, photos.guess_object(photo))
    wanted = np.zeros((96, 96), bool)
    wanted[12:84, 20:76] = True
    assert ((mask > 0) == wanted).mean() > 0.95
    assert photos.guess_object(np.full((96, 96, 3), 90, np.uint8)) is None


def test_crude_sketches_are_like_the_clean_ones_in_place_but_not_in_shape():
    photo = cv2.resize(paint("ball", 60), (128, 128))
    mask, away = find_mask(photo), []
    for seed in range(20):
        clean, crude = draw_sketches(photo, mask, np.random.default_rng(seed))
        one, other = (cv2.boundingRect((lines < 186).astype(np.uint8)) for lines in (clean, crude))
        assert abs(max(one[2:]) - max(other[2:])) < 16
        assert all(
            abs(one[at] + one[at + 2] / 2 - other[at] - other[at + 2] / 2) < 16 for at in range(2)
        )
        near = cv2.distanceTransform((clean >= 186).astype(np.uint8), cv2.DIST_L2, 3)
        away.append(near[crude < 128].mean())
    assert 1 < np.mean(away) < 8


def test_hands_misshape_what_they_draw_and_keep_its_place():
    lines = np.full((96, 128), 255, np.uint8)
    cv2.rectangle(lines, (30, 20), (90, 60), 0, 1)
    before = lines.copy()
    shapes = []
    for seed in range(6):
        drawn = hands.misshape(lines, np.random.default_rng(seed), amount=1.0, flips=True)
        x, y, width, height = cv2.boundingRect((drawn < 128).astype(np.uint8))
        assert abs(max(width, height) - 63) <= 3
        assert abs(x + width / 2 - 60.5) <= 2 and abs(y + height / 2 - 40.5) <= 2
        shapes.append(drawn)
    assert np.array_equal(lines, before) and not np.array_equal(*shapes[:2])
    blank = np.full((20, 20), 255, np.uint8)
    assert np.array_equal(hands.misshape(blank, np.random.default_rng(0)), blank)
    assert np.array_equal(hands.break_lines(blank, np.random.default_rng(0), gaps=3), blank)


def test_hands_outline_masks_and_break_lines():
    mask = np.zeros((128, 128), np.uint8)
    cv2.circle(mask, (64, 64), 40, 255, -1)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        lines = hands.outline(mask, rng)
        y, x = np.nonzero(lines == 0)
        assert np.abs(np.hypot(x - 64, y - 64) - 40).max() < 5
        assert cv2.connectedComponents((lines == 0).astype(np.uint8))[0] == 2  # one closed line
        broken = hands.break_lines(lines, rng, gaps=3)
        assert 0.6 * len(y) < (broken == 0).sum() < len(y)
    lines[2, 2:6] = 0
    kept = hands.break_lines(lines, rng, gaps=0, shortest_px=10)
    assert (kept[:6] == 255).all() and (kept == 0).sum() == (lines == 0).sum() - 4


def test_the_share_of_crude_sketches_grows(data):
    made = trainer(data, crude_from=0.2, crude_to=0.8)
    batch = batch_of(made)
    batch["chance"] = torch.tensor([0.1, 0.3, 0.7, 0.9])
    for progress, crude in ((0.0, 1), (0.5, 2), (1.0, 3)):
        made.losses(paint_turn(made), batch, progress)
        chosen = [
            torch.equal(batch["ink"][at], batch["crude" if at < crude else "clean"][at])
            for at in range(4)
        ]
        assert all(chosen)


# -- losses ----------------------------------------------------------------------------------------


def test_adversarial_losses_have_their_values_and_signs():
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5], requires_grad=True)
    wanted = torch.log1p(torch.exp(-real)).mean() + np.log1p(np.exp(0.5))
    torch.testing.assert_close(softplus_critic(real, fake), wanted)
    assert softplus_generator(fake).item() == pytest.approx(np.log1p(np.exp(-0.5)))
    assert torch.autograd.grad(softplus_critic(real, fake), fake)[0] > 0  # critics lower it
    assert torch.autograd.grad(softplus_generator(fake), fake)[0] < 0  # generators raise it


@pytest.mark.parametrize("length", [0.0, 0.4, 1.0, 3.0])
def test_the_dragan_penalty_of_a_linear_critic_is_known(length):
    torch.manual_seed(0)
    slope = torch.randn(3, 8, 8)
    slope = (length * slope / slope.norm()).requires_grad_()
    real = torch.randn(5, 3, 8, 8)
    penalty = dragan_penalty(lambda near: (near * slope).flatten(1).sum(1, keepdim=True), real)
    assert penalty.item() == pytest.approx((1 - length) ** 2, abs=1e-5)
    if length not in (0.0, 1.0):
        (gradient,) = torch.autograd.grad(penalty, slope)
        assert ((gradient * slope).sum() > 0) == (length > 1)  # towards length 1


def test_the_dragan_penalty_looks_around_real_photos():
    torch.manual_seed(0)
    real, seen = torch.randn(64, 3, 8, 8), []

    def critic(near):
        seen.append(near.detach())
        return near.flatten(1).sum(1, keepdim=True)

    dragan_penalty(critic, real)
    away = (seen[0] - real) / real.std()
    assert away.min() >= 0 and away.max() <= 0.5
    assert away.flatten(1).mean(1).std() > 0.03  # each photo has its own a
    assert away.mean().item() == pytest.approx(0.125, abs=0.02)


def test_diversity_is_a_ratio_with_a_limit():
    z, other = torch.zeros(2, 4), torch.full((2, 4), 2.0)
    first = torch.zeros(2, 3, 4, 4)
    second = torch.stack([torch.full((3, 4, 4), 0.2), torch.full((3, 4, 4), 4.0)]).requires_grad_()
    value = diversity(first, second, z, other, limit=0.5)
    assert value.item() == pytest.approx((0.1 + 0.5) / 2, abs=1e-4)
    (gradient,) = torch.autograd.grad(value, second)
    assert (gradient[0] > 0).all() and (gradient[1] == 0).all()  # enough is enough
    twice = diversity(first, second, z, 2 * other, limit=0.5)
    assert twice.item() == pytest.approx((0.05 + 0.5) / 2, abs=1e-4)


def trained_by(term, networks):
    """Return the names of those networks that a term has a gradient for."""
    found = set()
    for name, network in networks.items():
        values = list(network.parameters())
        gradients = torch.autograd.grad(term, values, retain_graph=True, allow_unused=True)
        gradients = [gradient for gradient in gradients if gradient is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
        if sum(gradient.abs().sum() for gradient in gradients) > 0:
            found.add(name)
    return found


def with_slopes(data, **settings):
    made = trainer(data, **settings)
    made.config = Sketch2ImgConfig(**{**vars(made.config), "perceptual": "stand-in"})
    made.perceptual = Slopes()
    return made


def test_random_numbers_get_no_photo_loss_and_every_term_trains_what_it_should(data):
    made = with_slopes(data, diversity_limit=9.0)
    turn, critic, _ = made.phases[1].turns
    assert turn.networks == ("generator", "posterior") and critic.network == "critic"
    batch = batch_of(made)
    batch["z"].requires_grad_()
    terms = made.losses(turn, batch, 0.9)
    networks = {name: made.networks[name] for name in turn.networks}
    both = {"generator", "posterior"}
    assert {name: trained_by(term, networks) for name, term in terms.items()} == {
        "kl": {"posterior"},
        "l1": both,
        "feature": both,
        "diversity": {"generator"},
        "latent": {"generator"},
        "adversarial": both,
        "label": both,
    }
    assert terms["diversity"] < 0 < terms["l1"]
    for name, term in terms.items():
        slope = torch.autograd.grad(term, batch["z"], retain_graph=True, allow_unused=True)[0]
        hears = slope is not None and bool(slope.abs().sum() > 0)
        assert hears == (name not in ("kl", "l1", "feature", "diversity")) or name == "diversity"
    made.networks["critic"].requires_grad_(True)
    terms = made.losses(critic, batch, 0.9)
    assert set(terms) == {"adversarial", "label"}
    assert all(trained_by(term, {"critic": made.networks["critic"]}) for term in terms.values())


def test_without_diversity_every_number_is_asked_for_the_photo(data):
    made = with_slopes(data, diversity=0.0)
    assert "posterior" not in made.networks and paint_turn(made).networks == ("generator",)
    batch = batch_of(made)
    terms = made.losses(paint_turn(made), batch, 0.9)
    assert set(terms) == {"l1", "feature", "adversarial", "label"}
    painted = made.networks["generator"](batch["ink"], batch["label"], batch["z"])
    wanted = made.config.l1 * (painted - batch["real"]).abs().mean()
    torch.testing.assert_close(terms["l1"], wanted, rtol=1e-3, atol=1e-3)
    assert batch["fake"].shape[0] == 4


def test_the_papers_six_losses_work_on_two_random_pictures(data):
    paper = {"generator": "paper", "latent": 32, "critic": "paper", "gan": "softplus"}
    made = with_slopes(data, **paper, encoded=False, dragan=10.0, warm_up=0.0)
    turn, critic, _ = made.phases[1].turns
    batch = batch_of(made)
    terms = made.losses(turn, batch, 0.0)
    assert set(terms) == {"l1", "feature", "diversity", "adversarial", "label"}
    assert all(
        trained_by(term, {"generator": made.networks["generator"]}) for term in terms.values()
    )
    terms = made.losses(critic, batch, 0.0)
    assert set(terms) == {"adversarial", "label", "dragan"} and terms["dragan"] > 0
    assert trained_by(terms["dragan"], {"critic": made.networks["critic"]})


def test_the_generators_class_loss_falls_when_only_that_is_on(data):
    made = trainer(data, diversity=0.0, l1=0.0, adversarial=0.0, warm_up=0.0, learning_rate=2e-3)
    batch, critic = batch_of(made, 9), made.networks["critic"].requires_grad_(False)
    costs = []
    for _ in range(25):
        made.optimizers["generator"].zero_grad()
        terms = made.losses(paint_turn(made), batch, 0.0)
        assert terms["l1"] == 0
        sum(terms.values()).backward()
        made.optimizers["generator"].step()
        costs.append(terms["label"].item())
    assert costs[-1] < costs[0] - 0.005 and min(costs) > 0
    assert all(value.grad is None for value in critic.parameters())


def test_the_critic_learns_classes_from_real_photos_alone(data):
    made = trainer(data)
    batch = batch_of(made)
    made.losses(paint_turn(made), batch, 0.5)
    critic = made.networks["critic"].eval()  # spectral norm stays as it is
    term = made.losses(Turn("critic"), batch, 0.5)["label"]
    logits = critic(batch["real"], batch["ink"])[1]
    torch.testing.assert_close(term, F.cross_entropy(logits, batch["label"]))


def test_the_critic_counts_after_the_warm_up(data):
    made = trainer(data, warm_up=0.1)
    assert [made._ramp(at) for at in (0.0, 0.1, 0.2, 0.3, 1.0)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert "adversarial" not in made.losses(paint_turn(made), batch_of(made), 0.05)


def test_a_critic_by_features_hears_photo_sketch_and_class(data, monkeypatch):
    monkeypatch.setattr(sketch2img, "Perceptual", lambda name, weights: Slopes())
    made = trainer(data, critic="features", perceptual="stand-in")
    turn, judged, _ = made.phases[1].turns
    batch, critic = batch_of(made), made.networks["critic"]
    assert [look.features.in_channels for look in critic.looks] == [6, 6]
    terms = made.losses(turn, batch, 0.9)
    for name in ("adversarial", "label"):
        assert "generator" in trained_by(terms[name], made.networks)
    critic.requires_grad_(True)
    terms = made.losses(judged, batch, 0.9)
    assert set(terms) == {"adversarial", "label"}
    assert all(trained_by(term, {"critic": critic}) for term in terms.values())

    critic.eval()
    real, ink, label = batch["real"], batch["ink"], batch["label"]
    seen = choose_features(batch["real_seen"], real.shape[-1])
    verdict, classes = critic(real, ink, seen, label)
    assert verdict.shape == (len(real), 3 * 16) and classes.shape == (len(real), len(made.classes))
    assert all(
        (verdict - critic(*changed)[0]).abs().max() > 1e-4
        for changed in (
            (real.flip(3), ink, seen, label),
            (real, 1 - ink, seen, label),
            (real, ink, seen, (label + 1) % 3),
            (real, ink, [each.flip(1) for each in seen], label),
        )
    )


def test_a_critic_by_features_needs_a_network(data):
    with pytest.raises(S2IError, match="perceptual network"):
        trainer(data, critic="features")


@pytest.mark.parametrize(
    ("kind", "channels", "classes", "wanted"),
    [
        ("paper", 6, 10, 6_270_041),
        ("paper", 6, 125, 10_038_476),
        ("paper", 3, 10, 6_200_432),
        ("pooled", 6, 10, 5_911_385),
        ("pooled", 6, 125, 5_970_380),
    ],
)
def test_critics_have_the_parameters_of_the_paper(kind, channels, classes, wanted):
    critic = Critic(classes=classes, kind=kind, channels=channels, width=64)
    assert sum(value.numel() for value in critic.parameters()) == wanted
    ink = torch.zeros(2, channels - 3, 64, 64)
    verdict, logits = critic(torch.zeros(2, 3, 64, 64), ink)
    assert verdict.shape == (2, 1 if kind == "paper" else 64) and logits.shape == (2, classes)


def test_the_guesser_learns_from_all_three_sketches(data):
    made = trainer(data, sketches=str(data / "sketches.zip"), learning_rate=1e-2)
    batch, (turn,) = batch_of(made, 12), made.phases[0].turns
    terms = made.losses(turn, batch, 0.0)
    assert set(terms) == {"clean", "crude", "human"}
    assert all(trained_by(term, {"guesser": made.networks["guesser"]}) for term in terms.values())
    first = sum(terms.values()).item()
    for _ in range(30):
        made.optimizers["guesser"].zero_grad()
        terms = made.losses(turn, batch, 0.0)
        sum(terms.values()).backward()
        made.optimizers["guesser"].step()
    assert sum(terms.values()).item() < 0.5 * first
    assert made.watch(batch)["right"] > 0.7
    batch["human_label"][:] = -1
    assert made.losses(turn, batch, 0.0)["human"] == 0


@pytest.mark.parametrize("settings", [{}, {"diversity": 0.0}], ids=str)
def test_the_grid_has_a_row_for_each_sample(data, settings):
    made = trainer(data, **settings)
    rows = made.sample(made.networks, batch_of(made, 3))
    assert rows.shape == (3, 3, 32, 11 * 32) and rows.abs().max() <= 1


# -- runs ------------------------------------------------------------------------------------------


def run(data, out, *, stop_after=0, **settings):
    made = trainer(data, out=out, log_steps=1, sketches=str(data / "sketches.zip"), **settings)
    prepare, taken = made.prepare_batch, []

    def prepare_batch(batch):
        taken.append(1)
        if len(taken) == stop_after:
            signal.raise_signal(signal.SIGTERM)
        return prepare(batch)

    made.prepare_batch = prepare_batch
    engine.train(made, made.config)
    return made


def test_a_stopped_and_resumed_run_is_the_run_that_never_stopped(data, tmp_path):
    run(data, tmp_path / "whole")
    with pytest.raises(S2IError, match="after 16 of 24 images"):
        run(data, tmp_path / "parts", stop_after=4)
    run(data, tmp_path / "parts", resume=True)
    for name in (engine.STATE, engine.EMA):
        left, right = (load_file(tmp_path / part / name) for part in ("whole", "parts"))
        assert left.keys() == right.keys()
        assert not [key for key in left if not torch.equal(left[key], right[key])]
    published = load_file(tmp_path / "whole" / engine.EMA)
    assert {key.partition(".")[0] for key in published} == {"generator", "guesser"}
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").open()]
    assert {"watch/right", "guesser/human"} <= log[0].keys()
    assert {"watch/apart", "generator/diversity", "critic/label"} <= log[-1].keys()


@pytest.mark.parametrize("recipe", ["", "paper"])
def test_the_command_trains_what_can_be_published_loaded_and_painted(
    data, zoo, monkeypatch, recipe
):
    monkeypatch.setattr(methods, "METHODS", (Sketch2Img,))
    arguments = ["--out", str(zoo / "run"), "--data", str(data / "things.zip")]
    latent = 32 if recipe else 6
    tiny = f"--guessing-images 4 --painting-images 4 --size-px 32 --width 4 --latent {latent} "
    tiny += "--critic-width 4 --batch 2 --workers 0 --threads 1 --cpu --perceptual none"
    arguments += tiny.split()
    if recipe:
        path = sketch2img.__file__.replace("sketch2img.py", f"recipes/sketch2img_{recipe}.toml")
        arguments += ["--recipe", path]
    assert engine.main(Sketch2ImgConfig, sketch2img.run, argv=arguments) == 0
    assert [path.name for path in (zoo / "run" / "samples").iterdir()] == ["000000008.png"]
    entry = publish.publish(zoo / "run", "sketch2img.demo", license="CC0-1.0", data="Shapes.")
    assert (entry.size_px, entry.images_seen, entry.method) == (32, 8, "sketch2img")
    loaded = weights.load("sketch2img.demo").method
    assert loaded.classes == ("ball", "box", "tee")
    lines = np.full((50, 70), 255, np.uint8)
    lines[10:40, 20] = 0
    result = loaded.run(Drawing(lines=lines), label="tee", count=3)
    assert [picture.shape for picture in result.pictures] == [(50, 70, 3)] * 3
    assert loaded.run(Drawing(lines=lines), count=1).facts.startswith("guessed ")


def test_without_data_it_learns_from_drawings(tmp_path):
    made = Sketch2ImgTrainer(Sketch2ImgConfig(**{**TINY, "out": tmp_path}))
    assert len(made.classes) > 2 and len(made.dataset("train")) >= 4096
    sample = made.dataset("train").draw(5, np.random.default_rng(0))
    assert 0 <= sample["label"] < len(made.classes)
