"""Contextual GAN's trainer, tiny: samples, gradients of every term, and a run to the end."""

import json
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.distributions import MultivariateNormal, kl_divergence
from toy_features import Slopes

from s2i import image, methods, weights
from s2i.errors import S2IError
from s2i.methods.base import Drawing, last_of
from s2i.methods.contextual import Contextual, halves
from train import contextual, engine, publish
from train.contextual import (
    ContextualConfig,
    ContextualTrainer,
    Draws,
    disturb,
)
from train.data import Drawings
from train.engine import Turn
from train.posterior import Posterior

TINY = {
    "size_px": 32,
    "latent": 6,
    "width": 4,
    "batch": 4,
    "workers": 0,
    "threads": 1,
    "cpu": True,
    "sample_images": 0,
}
PAPER = {"generator": "paper", "posterior": False, "r1": 0.0, "disturbed": 0.0}


def trainer(**settings):
    torch.manual_seed(0)
    return ContextualTrainer(ContextualConfig(**{**TINY, **settings}))


def batch_of(trainer, count=4):
    draws = Draws(Drawings(size_px=2 * trainer.config.size_px), trainer.config)
    samples = [draws.draw(index, np.random.default_rng(index)) for index in range(count)]
    batch = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    for turn in trainer.phases[0].turns:
        trainer.optimizer(turn)
    with torch.no_grad():
        return trainer.prepare_batch(batch)


# -- the posterior ---------------------------------------------------------------------------------


def test_what_the_posterior_reads_lies_where_random_numbers_lie():
    torch.manual_seed(0)
    posterior = Posterior(channels=4, latent=5, width=4, size_px=32)
    pairs = torch.rand(64, 4, 32, 32) * torch.rand(64, 4, 1, 1) * 2 - 1

    def draw():
        mean, spread, _ = posterior(pairs)
        return mean + torch.einsum("ni,nij->nj", torch.randn_like(mean), spread)

    with torch.no_grad():
        before = torch.cov(torch.cat([draw() for _ in range(20)]).T)
        for _ in range(1500):
            posterior(pairs)
        posterior.eval()
        z = torch.cat([draw() for _ in range(40)])
    assert (before - torch.eye(5)).abs().max() > 0.3
    torch.testing.assert_close(z.mean(0), torch.zeros(5), atol=0.2, rtol=0)
    torch.testing.assert_close(torch.cov(z.T), torch.eye(5), atol=0.2, rtol=0)
    frozen = posterior.covariance.clone()
    posterior(pairs)
    assert torch.equal(posterior.covariance, frozen)  # evaluation observes nothing


def test_the_divergence_is_that_of_normal_distributions():
    torch.manual_seed(1)
    posterior = Posterior(channels=4, latent=3, width=4, size_px=32).eval()
    root = torch.randn(3, 3)
    posterior.covariance.copy_(root @ root.T + 0.1 * torch.eye(3))
    posterior.mean.copy_(torch.randn(1, 3))
    mean, spread, divergence = posterior(torch.rand(4, 4, 32, 32) * 2 - 1)
    own = MultivariateNormal(mean, spread.transpose(1, 2) @ spread)
    prior = MultivariateNormal(torch.zeros(3), torch.eye(3))
    torch.testing.assert_close(divergence, kl_divergence(own, prior) / 3, atol=1e-4, rtol=1e-4)


# -- samples ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", ["styles", "xdog"])
def test_a_sample_is_photo_sketch_and_drawing(lines):
    draws = Draws(Drawings(size_px=64), ContextualConfig(**TINY, lines=lines))
    differ = 0
    for index in range(8):
        sample, again = (draws.draw(index, np.random.default_rng(index)) for _ in range(2))
        assert sample["photo"].shape == (3, 32, 32) and sample["photo"].min() < 0
        assert sample["ink"].shape == sample["drawn"].shape == (1, 32, 32)
        assert sample["ink"].min() >= 0 and 0.005 < sample["ink"].mean() < 0.5
        assert all(torch.equal(sample[name], again[name]) for name in sample)
        differ += not torch.equal(sample["ink"], sample["drawn"])
    assert differ > 2 if lines == "styles" else differ == 0


def test_pictures_are_moved_as_far_as_told():
    def photos(moved):
        draws = Draws(Drawings(size_px=64), ContextualConfig(**TINY, moved=moved))
        return [draws.draw(0, np.random.default_rng(seed))["photo"] for seed in range(2)]

    one, other = photos(0.0)
    still = image.to_tensor(image.resize(Drawings(size_px=64)[0].photo, (32, 32)))
    assert torch.equal(one, still) and torch.equal(other, still)
    assert not torch.equal(*photos(0.4))


def test_an_encoder_reads_drawings_of_many_styles_or_xdog_s_alone():
    def layers(lines):
        draws = Draws(Drawings(size_px=64), ContextualConfig(**TINY, lines=lines))
        return [draws.draw(0, np.random.default_rng(seed)) for seed in range(8)]

    assert all(torch.equal(each["ink"], each["drawn"]) for each in layers("xdog"))
    drawn = layers("styles")
    assert not all(torch.equal(each["ink"], each["drawn"]) for each in drawn)
    assert all(each["drawn"].shape == (1, 32, 32) for each in drawn)


@pytest.mark.parametrize("generator", ["style", "paper"])
def test_both_halves_are_disturbed_alike_and_only_photos_tinted(generator):
    torch.manual_seed(0)
    shape = (16, 4, 32, 32) if generator == "style" else (16, 3, 32, 64)
    joint = torch.zeros(shape)
    sketch, photo = halves(joint)
    sketch[..., 10:20, 12:22] = photo[..., 10:20, 12:22] = 1.0
    assert torch.equal(disturb(joint, share=0.0, generator=generator), joint)
    joint.requires_grad_()
    moved = disturb(joint, share=0.9, generator=generator)
    assert moved.shape == shape and not torch.equal(moved, joint)
    sketch, photo = halves(moved.detach())
    values = sketch[:, :1].flatten(1)
    assert values.min() >= 0 and values.max() <= 1 + 1e-5  # the sketch has no tint
    tints = [photo[i, 0][sketch[i, 0] > 0.999] for i in range(16)]
    tints = [tint for tint in tints if len(tint)]
    assert all(tint.std(correction=0) < 1e-3 for tint in tints)  # moved to the same place
    assert torch.stack([tint.mean() for tint in tints]).std() > 0.05
    assert torch.autograd.grad(moved.sum(), joint)[0].abs().sum() > 0


# -- losses ----------------------------------------------------------------------------------------


def judge(made, batch, monkeypatch):
    """The critic's terms in a step with its penalty."""
    monkeypatch.setattr(contextual, "R1_EVERY", 1)
    return made.losses(Turn("critic"), batch, 0.5)


WANTED = {
    "photo": {"generator", "posterior"},
    "sketch": {"generator", "posterior"},
    "kl": {"posterior"},
    "encoder": {"encoder"},
    "guess": {"generator", "encoder"},
    "feature": {"generator", "posterior"},
    "adversarial": {"generator", "posterior", "encoder"},
    "photo_adversarial": {"generator", "posterior", "encoder"},
}


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


@pytest.fixture
def with_photo_critic(monkeypatch):
    """Settings with a critic of photos, whose features a stand-in finds."""
    monkeypatch.setattr(contextual, "Perceptual", lambda name, weights: Slopes())
    return {"perceptual": "stand-in", "photo_adversarial": 0.5}


@pytest.mark.parametrize("searched", [0, 2])
def test_every_term_trains_the_networks_that_it_should(with_photo_critic, searched):
    made = trainer(**with_photo_critic, searched=searched)
    turn, _ = made.phases[0].turns
    assert turn.networks == ("generator", "posterior", "encoder")
    terms = made.losses(turn, batch_of(made), 0.9)
    networks = {name: made.networks[name] for name in turn.networks}
    assert {name: trained_by(term, networks) for name, term in terms.items()} == WANTED


def test_half_of_the_guesses_are_means_the_others_draws_beside_them():
    torch.manual_seed(0)
    mean, deviation = torch.randn(9, 500), torch.full((9, 500), 0.5)
    points = contextual.draw_half(mean, deviation)
    assert torch.equal(points[:5], mean[:5])
    spread = ((points - mean)[5:] / deviation[5:]).std(dim=1)
    assert (spread > 0.01).all() and (spread < 1.1).all() and spread.std() > 0.1


def test_what_is_no_mean_is_moved_towards_the_drawing_s_lines():
    made = trainer(searched=3)
    drawn = batch_of(made, 8)["drawn"]
    begins = torch.randn(8, 6, requires_grad=True)

    def missed(z):
        sketch, _ = halves(made.networks["generator"](z))
        return contextual.match_lines(contextual.to_ink(sketch), drawn)

    moved = made._search(begins, drawn)
    assert torch.equal(moved[:4], begins[:4])
    away = (moved - begins)[4:].abs()
    assert away.max() <= 3 * contextual.SEARCH_RATE + 1e-6 and (away.amax(1) > 0).all()
    assert (missed(moved) < missed(begins))[4:].float().mean() >= 0.75
    (gradient,) = torch.autograd.grad(moved.sum(), begins)
    assert torch.equal(gradient, torch.ones(8, 6))  # the encoder learns as from the draws


@pytest.mark.parametrize("gan", ["bce", "hinge"])
def test_every_term_trains_the_critic(gan, monkeypatch):
    made = trainer(gan=gan)
    batch = batch_of(made)
    made.losses(made.phases[0].turns[0], batch, 0.5)
    assert batch["fake"].shape[0] == 12 and not batch["fake"].requires_grad
    terms = judge(made, batch, monkeypatch)
    assert set(terms) == {"adversarial", "r1"}
    for term in terms.values():
        assert trained_by(term, {"critic": made.networks["critic"]})


def test_the_critic_of_photos_learns_and_is_not_published(with_photo_critic, monkeypatch):
    made = trainer(**with_photo_critic)
    batch = batch_of(made)
    made.losses(made.phases[0].turns[0], batch, 0.5)
    terms = judge(made, batch, monkeypatch)
    assert made.phases[0].turns[1].networks == ("critic", "photo_critic")
    critics = {name: made.networks[name] for name in ("critic", "photo_critic")}
    found = {name: trained_by(term, critics) for name, term in terms.items()}
    assert found == {
        "adversarial": {"critic"},
        "r1": {"critic"},
        "photo_adversarial": {"photo_critic"},
    }
    assert "photo_critic" not in made.published


def test_a_critic_of_photos_without_a_network_is_one_sentence():
    with pytest.raises(S2IError, match="needs a perceptual network"):
        trainer(photo_adversarial=0.5)


def test_the_original_trains_the_critic_then_the_generator_twice_on_the_same_numbers():
    made = trainer(**PAPER)
    turns = made.phases[0].turns
    assert [turn.network for turn in turns] == ["critic", "generator", "generator", "encoder"]
    batch = batch_of(made)
    for turn in turns:
        terms = made.losses(turn, batch, 0.5)
        name = turn.network
        assert set(terms) == {"encoder" if name == "encoder" else "adversarial"}
        (term,) = terms.values()
        assert trained_by(term, {name: made.networks[name]}) == {name}
    made.networks["generator"].eval()
    assert "posterior" not in made.networks
    assert made.optimizers["generator"].param_groups[0]["lr"] == made.config.learning_rate


def test_collapse_is_told_from_variety():
    made = trainer()
    batch = {"photo": torch.rand(6, 3, 8, 8), "random": torch.rand(6, 3, 8, 8)}
    assert made.watch(batch)["collapsed"] == 0
    assert made.watch(batch)["difference"].item() == pytest.approx(1, abs=0.2)
    batch["random"] = batch["random"][:1].repeat(6, 1, 1, 1)
    assert {name: value.item() for name, value in made.watch(batch).items()} == {
        "difference": pytest.approx(0, abs=1e-4),
        "collapsed": 1.0,
    }


@pytest.mark.parametrize(("settings", "columns"), [({}, 9), (PAPER, 7)])
def test_the_grid_has_a_row_for_each_drawing(settings, columns):
    made = trainer(**settings)
    rows = made.sample(made.networks, batch_of(made, 3))
    assert rows.shape == (3, 3, 32, columns * 32) and rows.abs().max() <= 1


def test_two_pairs_can_be_learned_by_heart():
    made = trainer(latent=8, width=8, learning_rate=4e-3, adversarial=0.0, kl=0.001)
    batch = batch_of(made, 2)
    turn, costs = made.phases[0].turns[0], []
    for _ in range(50):
        made.optimizers["generator"].zero_grad()
        terms = made.losses(turn, batch, 0.0)
        sum(terms.values()).backward()
        made.optimizers["generator"].step()
        costs.append(terms["photo"].item())
    assert np.mean(costs[-5:]) < 0.6 * np.mean(costs[:3])


# -- runs ------------------------------------------------------------------------------------------


def run(out, *, stop_after=0, **settings):
    made = ContextualConfig(**{**TINY, "out": out, "steps": 4, "log_steps": 1, **settings})
    torch.manual_seed(0)
    trainer = ContextualTrainer(made)
    prepare, taken = trainer.prepare_batch, []

    def prepare_batch(batch):
        taken.append(1)
        if len(taken) == stop_after:
            signal.raise_signal(signal.SIGTERM)
        return prepare(batch)

    trainer.prepare_batch = prepare_batch
    engine.train(trainer, made)
    return trainer


def test_a_stopped_and_resumed_run_is_the_run_that_never_stopped(tmp_path):
    trained = run(tmp_path / "whole")
    with pytest.raises(S2IError, match="after 8 of 16 images"):
        run(tmp_path / "parts", stop_after=2)
    run(tmp_path / "parts", resume=True)
    for name in (engine.STATE, engine.EMA):
        left, right = (load_file(tmp_path / part / name) for part in ("whole", "parts"))
        assert left.keys() == right.keys()
        assert not [key for key in left if not torch.equal(left[key], right[key])]
    published = load_file(tmp_path / "whole" / engine.EMA)
    assert {key.partition(".")[0] for key in published} == {"generator", "encoder", "critic"}
    key = "encoder.stages.1.weight"
    start = ContextualTrainer(trained.config).networks["encoder"].state_dict()["stages.1.weight"]
    assert not torch.equal(published[key], start)
    assert not torch.equal(published[key], trained.networks["encoder"].stages[1].weight)
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").open()]
    assert {"watch/collapsed", "watch/difference", "generator/encoder"} <= log[0].keys()


@pytest.mark.parametrize("settings", [(), ("--recipe", "paper")], ids=["shipping", "paper"])
def test_the_command_trains_what_can_be_published_loaded_and_searched(zoo, monkeypatch, settings):
    monkeypatch.setattr(methods, "METHODS", (Contextual,))
    recipe = contextual.__file__.replace("contextual.py", "recipes/contextual_paper.toml")
    tiny = "--steps 2 --size-px 32 --width 4 --latent 6 --batch 2 --workers 0 --threads 1 --cpu"
    arguments = [*tiny.split(), "--out", str(zoo / "run")]
    arguments += ["--recipe", recipe] if settings else []
    assert engine.main(ContextualConfig, contextual.run, argv=arguments) == 0
    assert [path.name for path in (zoo / "run" / "samples").iterdir()] == ["000000004.png"]
    entry = publish.publish(zoo / "run", "contextual.demo", license="CC0-1.0", data="Scenes.")
    assert (entry.size_px, entry.images_seen, entry.method) == (32, 4, "contextual")
    loaded = weights.load("contextual.demo")
    drawing = Drawing(lines=np.full((50, 70), 255, np.uint8))
    result = last_of(loaded.method.run(drawing, count=2, steps=2))
    assert result.pictures[0].shape == (50, 70, 3)
