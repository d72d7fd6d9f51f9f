"""Auto-Painter's trainer, tiny: samples, gradients, a critic that learns, and runs to the end."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_features import Slopes

from s2i import image, methods, palette, weights
from s2i.__main__ import main
from s2i.errors import S2IError
from s2i.methods.autopainter import CHANNELS, Autopainter
from s2i.methods.base import Drawing
from train import autopainter, critics, engine, publish
from train.autopainter import AutopainterConfig, AutopainterTrainer, Draws, dab_background
from train.data import Drawings, Sample
from train.engine import Turn

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


def config(*, hints="spread", **settings):
    generator = "gated" if hints == "spread" else "folded"
    return AutopainterConfig(**{**TINY, "generator": generator, "hints": hints, **settings})


def trainer(**settings):
    torch.manual_seed(0)
    return AutopainterTrainer(config(**settings))


def batch_of(trainer, count=2, *, seed=0):
    rng = np.random.default_rng(seed)
    draws = Draws(Drawings(size_px=trainer.config.size_px), trainer.config)
    samples = [draws.draw(index, rng) for index in range(count)]
    for turn in trainer.phases[0].turns:
        trainer.optimizer(turn)
    return trainer.prepare_batch(
        {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    )


# -- samples ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("hints", CHANNELS)
def test_a_sample_is_target_and_inputs_by_the_dice_alone(hints):
    draws = Draws(Drawings(size_px=64), config(hints=hints))
    for index in range(4):
        sample, again = (draws.draw(index, np.random.default_rng(index)) for _ in range(2))
        assert sample["target"].shape == (3, 64, 64)
        assert sample["inputs"].shape == (CHANNELS[hints], 64, 64)
        assert all(torch.equal(sample[name], again[name]) for name in sample)
        assert all(value.abs().max() <= 1 and value.isfinite().all() for value in sample.values())


class House(Drawings):
    """One grey house with a door on green ground, with its lines."""

    def __getitem__(self, index):
        photo = np.full((64, 64, 3), (120, 190, 90), np.uint8)
        lines = np.full((64, 64), 255, np.uint8)
        for box, color in (
            (np.s_[16:50, 14:50], (150, 140, 160)),
            (np.s_[30:50, 26:38], (80, 50, 40)),
        ):
            photo[box], lines[box] = color, 0
            inner = np.s_[box[0].start + 2 : box[0].stop - 2, box[1].start + 2 : box[1].stop - 2]
            lines[inner] = 255
        return Sample(photo, lines, None, None, "")


def house_samples(count=30, **settings):
    draws = Draws(House(size_px=64), config(**{"hints": "mask", **settings}))
    return [draws.draw(0, np.random.default_rng(seed)) for seed in range(count)]


def test_hints_are_as_many_as_said_and_tell_the_target_s_colors():
    assert not any(sample["inputs"][:4].any() for sample in house_samples(no_hints=1.0))
    shares = [sample["inputs"][3].mean().item() for sample in house_samples(no_hints=0.4)]
    assert 0.2 < np.mean(np.array(shares) == 0) < 0.6
    for sample in house_samples(12, no_hints=0.0):
        painted = sample["inputs"][3] == 1
        assert painted.any()
        apart = (sample["inputs"][:3] - sample["target"])[:, painted].abs().amax(0)
        assert apart.median() < 0.12  # areas' borders are soft, and paint is moved off its lines


def test_without_hints_a_background_is_white_and_a_scene_s_stays():
    def corners(**settings):
        samples = house_samples(no_hints=1.0, **settings)
        return torch.stack([sample["target"][:, 2:6, 2:6].mean((1, 2)) for sample in samples])

    assert (corners(background="plain") == 1).all()
    assert (corners(background="scene")[:, 0] < 0.5).all()


def test_a_background_that_stays_is_hinted():
    for sample in house_samples(no_hints=0.0, recolored=0.0):
        colors, target = sample["inputs"][:4], sample["target"]
        if target[:, 3, 3].min() < 0.9:
            apart = (colors[:3] - target[:, 3, 3][:, None, None]).abs().amax(0)
            assert ((colors[3] == 1) & (apart < 0.1)).any()


def test_only_colored_backgrounds_are_dabbed():
    background = np.zeros((64, 64), bool)
    background[:20] = True
    for color, is_dabbed in (((90, 120, 200), True), ((250, 250, 250), False)):
        colors = np.zeros((64, 64, 4), np.uint8)
        domain = np.full((64, 64, 3), color, np.uint8)
        dab_background(colors, domain, background, np.random.default_rng(0))
        painted = colors[..., 3] > 0
        assert painted.any() == is_dabbed and not painted[20:].any()
        assert (colors[painted] == (*color, 255)).all()


def test_recolored_areas_take_hues_that_the_data_has_not():
    def spread(share):
        samples = house_samples(no_hints=0.0, recolored=share)
        colors = [
            image.to_picture(sample["target"])[28:32, 18:22].reshape(-1, 3) for sample in samples
        ]
        lab = palette._to_lab(
            np.stack([np.median(each, axis=0) for each in colors])[None].astype(np.uint8)
        )
        return lab[0, :, 1:].std()

    assert spread(1.0) > 2 * spread(0.0)


# -- losses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hints", "gan", "critic"),
    [
        ("spread", "lsgan", "patch"),
        ("mask", "hinge", "patch"),
        ("pasted", "bce", "patch"),
        ("spread", "hinge", "features"),
    ],
)
def test_every_term_trains_its_network(hints, gan, critic, monkeypatch):
    monkeypatch.setattr(critics, "Perceptual", lambda name, weights: Slopes())
    made = trainer(hints=hints, gan=gan, critic=critic, total_variation=1.0, perceptual="stand-in")
    batch = batch_of(made)
    for network, names in (
        ("generator", {"l1", "feature", "total_variation", "adversarial"}),
        ("critic", {"adversarial"}),
    ):
        terms = made.losses(Turn(network), batch, 0.9)
        assert set(terms) == names
        parameters = list(made.networks[network].parameters())
        for name, term in terms.items():
            gradients = torch.autograd.grad(term, parameters, retain_graph=True)
            assert term.isfinite() and all(each.isfinite().all() for each in gradients)
            if network == "generator":
                assert all(each.abs().sum() > 0 for each in gradients[-3:]), name
            assert sum(each.abs().sum() for each in gradients) > 0, name


def test_the_generator_s_turn_leaves_what_the_critic_judges():
    made = trainer()
    batch = batch_of(made)
    made.losses(Turn("generator"), batch, 0.0)
    assert not batch["fake"].requires_grad
    torch.testing.assert_close(batch["fake"], made.networks["generator"](batch["inputs"]))


def test_terms_weigh_as_they_are_told_and_the_adversarial_is_ramped_in():
    made, twice = trainer(total_variation=1.0), trainer(total_variation=2.0, l1=16.0)
    terms, doubled = (each.losses(Turn("generator"), batch_of(each), 0.0) for each in (made, twice))
    assert terms["adversarial"] == 0
    for name in ("l1", "total_variation"):
        torch.testing.assert_close(doubled[name], 2 * terms[name])
    without = trainer(adversarial=0.0)
    assert set(without.losses(Turn("generator"), batch_of(without), 0.5)) == {"l1"}
    batch = batch_of(made)
    made.networks["critic"].eval()
    late = [
        made.losses(Turn("generator"), batch, at)["adversarial"].item() for at in (0.1, 0.2, 1.0)
    ]
    assert late == pytest.approx([late[2] / 2, late[2], late[2]], rel=1e-4)


def test_rate_falls_by_a_cosine_to_a_tenth_and_the_critic_s_stays():
    made = trainer(learning_rate=1e-3)
    batch, rates = batch_of(made), []
    for progress in (0.0, 0.5, 1.0):
        made.losses(Turn("generator"), batch, progress)
        rates.append(made.optimizers["generator"].param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 5.5e-4, 1e-4])
    assert made.optimizers["critic"].param_groups[0]["lr"] == made.config.critic_rate


def learn(trainer, batch, network, *, steps):
    """Take steps of one network on one batch: the sums of its terms."""
    turn, costs = Turn(network), []
    for _ in range(steps):
        terms = trainer.losses(turn, batch, 0.5)
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


@pytest.mark.parametrize("hints", CHANNELS)
def test_the_grid_has_a_row_for_each_drawing(hints):
    made = trainer(hints=hints)
    rows = made.sample(made.networks, batch_of(made, 3))
    assert rows.shape == (3, 3, 64, (3 if hints == "pasted" else 4) * 64) and rows.abs().max() <= 1


@pytest.mark.parametrize(
    ("generator", "size_px", "multiple"),
    [("gated", 48, 32), ("folded", 48, 32), ("unet", 128, 256)],
)
def test_a_size_that_does_not_fit_is_one_sentence(generator, size_px, multiple):
    with pytest.raises(S2IError, match=f"multiple of {multiple} for '{generator}', got {size_px}"):
        trainer(generator=generator, size_px=size_px)


# -- runs ------------------------------------------------------------------------------------------


def train(*options):
    given = [
        part
        for name, value in TINY.items()
        if name != "cpu"
        for part in (f"--{name.replace('_', '-')}", value)
    ]
    argv = [str(each) for each in ("--cpu", "--steps", 2, "--log-steps", 1, *given, *options)]
    return engine.main(AutopainterConfig, autopainter.run, argv=argv)


def make_zip(path, count=4):
    """Pairs: coloured pictures and their lines, named by meta.csv."""
    rows = ["color,lines,split"]
    with zipfile.ZipFile(path, "w") as file:
        for number, sample in zip(range(count), Drawings(size_px=72), strict=False):
            file.writestr(f"{number}.png", image.encode_png(sample.photo))
            file.writestr(f"{number}_lines.png", image.encode_png(sample.lines))
            rows.append(f"{number}.png,{number}_lines.png,{'test' if number == 3 else 'train'}")
        file.writestr("meta.csv", "\n".join(rows))
    return path


def test_what_was_trained_is_published_loaded_and_run(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr(methods, "METHODS", (Autopainter,))
    monkeypatch.chdir(tmp_path)
    assert train("--out", "run") == 0
    assert [path.name for path in Path("run/samples").iterdir()] == ["000000004.png"]
    entry = publish.publish(
        Path("run"), "autopainter.demo", license="CC0-1.0", data="Own drawings."
    )
    assert (entry.size_px, entry.images_seen, entry.method) == (64, 4, "autopainter")
    loaded = weights.load("autopainter.demo")
    assert loaded.is_verified and loaded.method.kwargs["width"] == 8
    lines = np.full((50, 70), 255, np.uint8)
    lines[20:23, 10:60] = 0
    assert loaded.method.run(Drawing(lines=lines)).pictures[0].shape == (50, 70, 3)
    image.write("drawn/a.png", lines)
    assert main(["autopainter", "--lines", "drawn", "-o", "out"]) == 0
    assert image.read_photo("out/a.png").shape == (50, 70, 3)


@pytest.mark.parametrize("hints", ["spread", "pasted"])
def test_a_folder_of_pictures_is_enough(tmp_path, hints):
    for number, sample in zip(range(3), Drawings(size_px=80), strict=False):
        image.write(tmp_path / "mine" / f"{number}.png", sample.photo)
    out = tmp_path / "run"
    network = ["--hints", hints, "--generator", "gated" if hints == "spread" else "folded"]
    assert train("--data", tmp_path / "mine", *network, "--out", out) == 0
    assert (out / engine.EMA).exists() and (out / engine.STATE).exists()


def test_a_zip_of_pairs_gives_its_own_lines(tmp_path, capsys):
    pairs = make_zip(tmp_path / "pairs.zip")
    chosen = ["--photo-column", "color", "--lines-column", "lines"]
    assert train("--data", pairs, *chosen, "--out", tmp_path / "run") == 0
    made = trainer(data=str(pairs), given_lines=1.0)
    assert len(made.dataset("train")) == 3 and len(made.dataset("test")) == 1
    assert made.dataset("train").pictures[0].lines.shape == (64, 64)
    assert train("--data", pairs, "--lines-column", "inks", "--out", tmp_path / "other") == 2
    assert "'lines' = 'inks' doesn't fit" in capsys.readouterr().err


def test_help_shows_commands(tmp_path):
    answer = subprocess.run(
        [sys.executable, str(ROOT / "train" / "autopainter.py"), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert "python train/autopainter.py --data my_cartoons/" in answer.stdout
    assert "--no-hints" in answer.stdout
