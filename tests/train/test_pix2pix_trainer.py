"""pix2pix's trainer, tiny: samples, gradients, a critic that learns, and runs to the end."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_features import Slopes

from s2i import image, methods, weights
from s2i.edges import xdog
from s2i.errors import S2IError
from s2i.methods.base import Drawing
from s2i.methods.pix2pix import Pix2pix
from train import critics, engine, pix2pix, publish
from train.data import Drawings, Sample
from train.engine import Turn
from train.pix2pix import Draws, Pix2pixConfig, Pix2pixTrainer

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "size_px": 64,
    "width": 8,
    "critic_width": 4,
    "batch": 2,
    "workers": 0,
    "threads": 1,
    "cpu": True,
}


def config(**settings):
    return Pix2pixConfig(**{**TINY, **settings})


def trainer(**settings):
    torch.manual_seed(0)
    return Pix2pixTrainer(config(**settings))


def batch_of(trainer, count=2, *, seed=0):
    rng = np.random.default_rng(seed)
    draws = trainer.dataset("train")
    samples = [draws.draw(index, rng) for index in range(count)]
    for turn in trainer.phases[0].turns:
        trainer.optimizer(turn)
    return trainer.prepare_batch(
        {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    )


@pytest.mark.parametrize("lines", ["styles", "xdog", "hand"])
def test_a_sample_is_target_and_ink_by_the_dice_alone(lines):
    draws = trainer(lines=lines).dataset("train")
    assert draws.pictures.size_px == (64 if lines == "styles" else 128)
    for index in range(4):
        sample, again = (draws.draw(index, np.random.default_rng(index)) for _ in range(2))
        assert sample["target"].shape == (3, 64, 64) and sample["inputs"].shape == (1, 64, 64)
        assert all(torch.equal(sample[name], again[name]) for name in sample)
        assert sample["target"].abs().max() <= 1
        assert sample["inputs"].min() >= 0 and 0 < sample["inputs"].mean() < 0.6


def test_xdog_s_own_lines_are_drawn_at_twice_the_size(monkeypatch):
    seen = []

    def watched(photo, **options):
        seen.append((photo, options))
        return xdog(photo, **options)

    monkeypatch.setattr(pix2pix, "xdog", watched)
    sample = trainer(lines="xdog").dataset("train").draw(2, np.random.default_rng(0))
    ((photo, options),) = seen
    assert photo.shape == (128, 128, 3) and not options
    lines = image.to_tensor(image.resize(xdog(photo), (64, 64)))
    assert torch.equal(sample["inputs"], lines) and 0 < lines.mean() < 0.5
    assert torch.equal(sample["target"], image.to_tensor(image.resize(photo, (64, 64))))


def test_a_plain_background_is_white_and_a_scene_s_stays():
    class Disc(Drawings):
        def __getitem__(self, index):
            y, x = np.mgrid[:64, :64]
            photo = np.full((64, 64, 3), (90, 160, 200), np.uint8)
            photo[(y - 32) ** 2 + (x - 32) ** 2 < 400] = (60, 30, 20)
            return Sample(photo, None, None, None, "")

    for background in ("plain", "scene"):
        draws = Draws(Disc(size_px=64), config(background=background))
        corner = draws.draw(0, np.random.default_rng(0))["target"][:, 2:6, 2:6]
        assert (corner == 1).all() == (background == "plain")


@pytest.mark.parametrize(
    ("generator", "depth", "gan"),
    [("folded", 8, "bce"), ("folded", 8, "hinge"), ("unet", 6, "bce")],
)
@pytest.mark.parametrize("critic", ["patch", "features"])
def test_every_term_trains_its_network(generator, depth, gan, critic, monkeypatch):
    options, painting = {}, {"l1", "adversarial"}
    if critic == "features":
        monkeypatch.setattr(critics, "Perceptual", lambda *args, **options: Slopes())
        options, painting = {"perceptual": "stand-in", "feature": 1.0}, {*painting, "feature"}
    made = trainer(generator=generator, depth=depth, gan=gan, critic=critic, **options)
    batch = batch_of(made)
    for network, names in (("generator", painting), ("critic", {"adversarial"})):
        terms = made.losses(Turn(network), batch, 0.0)
        assert set(terms) == names
        parameters = list(made.networks[network].parameters())
        for name, term in terms.items():
            gradients = torch.autograd.grad(term, parameters, retain_graph=True)
            assert term.isfinite() and all(each.isfinite().all() for each in gradients)
            assert sum(each.abs().sum() for each in gradients) > 0, name
    assert not batch["fake"].requires_grad


def test_losses_weigh_as_in_the_paper():
    made = trainer()
    batch = batch_of(made)
    terms = made.losses(Turn("generator"), batch, 0.0)
    with torch.no_grad():
        l1 = (made.networks["generator"](batch["inputs"]) - batch["target"]).abs().mean()
    torch.testing.assert_close(terms["l1"].detach(), 100 * l1)
    assert 0.5 < terms["adversarial"].item() < 1.0  # log 2 for a critic that knows nothing
    alone = trainer(adversarial=0.0)
    assert set(alone.losses(Turn("generator"), batch_of(alone), 0.0)) == {"l1"}


def learn(trainer, batch, network, *, steps):
    turn, costs = Turn(network), []
    for _ in range(steps):
        terms = trainer.losses(turn, batch, 0.0)
        trainer.optimizers[network].zero_grad()
        sum(terms.values()).backward()
        trainer.optimizers[network].step()
        costs.append(sum(terms.values()).item())
    return costs


def test_the_critic_learns_to_tell_real_from_fake():
    made = trainer(critic_width=8, critic_rate=2e-3)
    batch = batch_of(made, 4)
    made.losses(Turn("generator"), batch, 0.0)
    learn(made, batch, "critic", steps=40)
    critic, inputs = made.networks["critic"].eval(), batch["inputs"]
    with torch.no_grad():
        real = critic(torch.cat([batch["target"], inputs], 1))
        fake = critic(torch.cat([batch["fake"], inputs], 1))
    assert real.mean() > fake.mean() + 0.3


def test_two_pictures_can_be_learned_by_heart():
    made = trainer(learning_rate=4e-3, adversarial=0.0)
    costs = learn(made, batch_of(made, seed=1), "generator", steps=40)
    assert np.mean(costs[-5:]) < 0.5 * np.mean(costs[:3])


def test_the_grid_has_a_row_for_each_drawing():
    made = trainer()
    rows = made.sample(made.networks, batch_of(made, 3))
    assert rows.shape == (3, 3, 64, 3 * 64) and rows.abs().max() <= 1


@pytest.mark.parametrize(
    ("generator", "size_px", "multiple"), [("folded", 48, 32), ("unet", 128, 256)]
)
def test_a_size_that_does_not_fit_is_one_sentence(generator, size_px, multiple):
    with pytest.raises(S2IError, match=f"multiple of {multiple} for '{generator}', got {size_px}"):
        trainer(generator=generator, size_px=size_px)


def train(*options):
    given = [
        part
        for name, value in TINY.items()
        if name != "cpu"
        for part in (f"--{name.replace('_', '-')}", value)
    ]
    argv = [str(each) for each in ("--cpu", "--steps", 2, "--log-steps", 1, *given, *options)]
    return engine.main(Pix2pixConfig, pix2pix.run, argv=argv)


@pytest.mark.parametrize(
    "options", [(), ("--generator", "unet", "--depth", 6)], ids=["folded", "unet"]
)
def test_what_was_trained_is_published_loaded_and_run(zoo, tmp_path, monkeypatch, options):
    monkeypatch.setattr(methods, "METHODS", (Pix2pix,))
    assert train("--out", tmp_path / "run", *options) == 0
    entry = publish.publish(
        tmp_path / "run", "pix2pix.demo", license="CC0-1.0", data="Own drawings."
    )
    assert (entry.size_px, entry.images_seen, entry.method) == (64, 4, "pix2pix")
    loaded = weights.load("pix2pix.demo")
    lines = np.full((50, 70), 255, np.uint8)
    assert loaded.method.run(Drawing(lines=lines)).pictures[0].shape == (50, 70, 3)


@pytest.mark.parametrize("lines", ["styles", "xdog", "hand"])
def test_a_folder_of_pictures_is_enough(tmp_path, lines):
    for number, sample in zip(range(3), Drawings(size_px=80), strict=False):
        image.write(tmp_path / "mine" / f"{number}.png", sample.photo)
    out = tmp_path / "run"
    assert train("--data", tmp_path / "mine", "--lines", lines, "--out", out) == 0
    assert (out / engine.EMA).exists() and (out / engine.STATE).exists()


def test_help_shows_commands(tmp_path):
    answer = subprocess.run(
        [sys.executable, str(ROOT / "train" / "pix2pix.py"), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert "python train/pix2pix.py --data my_pictures/" in answer.stdout
