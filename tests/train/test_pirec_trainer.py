"""PI-REC's trainer, tiny: gradients, phases, resuming, learning, and the commands to the end."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toy_features import Slopes

from s2i import methods, weights
from s2i.errors import S2IError
from s2i.methods.base import Drawing
from s2i.methods.pirec import CHANNELS, Pirec
from train import critics, engine, evaluate, publish
from train.data import Drawings, Sample, augment
from train.engine import Turn
from train.muon import Muon
from train.pirec import Draws, PirecConfig, PirecTrainer, soften

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "size_px": 32,
    "width": 4,
    "critic_width": 4,
    "batch": 4,
    "workers": 0,
    "threads": 1,
    "cpu": True,
    "sample_images": 0,
}


def config(**settings):
    return PirecConfig(**{**TINY, **settings})


def trainer(**settings):
    torch.manual_seed(0)
    return PirecTrainer(config(**settings))


def batch_of(trainer, count=4, *, phase="generating", seed=0):
    """Return what the trainer computes losses from, in ``phase``."""
    rng = np.random.default_rng(seed)
    draws = Draws(Drawings(size_px=trainer.config.size_px), trainer.config)
    samples = [draws.draw(index, rng) for index in range(count)]
    batch = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    (chosen,) = (each for each in trainer.phases if each.name == phase)
    trainer.begin_phase(chosen, {"generator": trainer.networks["generator"]})
    for turn in chosen.turns:
        trainer.optimizer(turn)
    with torch.no_grad():
        return trainer.prepare_batch(batch)


# -- samples ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CHANNELS)
def test_a_sample_is_target_inputs_and_imitation(kind):
    made = config(generator=kind)
    draws = Draws(Drawings(size_px=32), made)
    for index in range(12):
        sample = draws.draw(index, np.random.default_rng(index))
        again = draws.draw(index, np.random.default_rng(index))
        assert sample["target"].shape == (3, 32, 32)
        assert sample["inputs"].shape == sample["imitation"].shape == (CHANNELS[kind], 32, 32)
        assert sample["is_rough"].dtype == torch.bool
        assert all(torch.equal(sample[name], again[name]) for name in sample)
        values = torch.cat([sample["target"], sample["inputs"], sample["imitation"]])
        assert values.abs().max() <= 1


def test_without_a_first_phase_nothing_is_drawn_for_it():
    draws = Draws(Drawings(size_px=32), config(imitation_images=0))
    with_it = Draws(Drawings(size_px=32), config())
    sample, longer = (each.draw(3, np.random.default_rng(0)) for each in (draws, with_it))
    assert sample.keys() == longer.keys() - {"imitation"}
    assert all(torch.equal(sample[name], longer[name]) for name in sample)


def test_imitation_shows_the_picture_under_strokes_of_bare_paper():
    sample = Draws(Drawings(size_px=32), config()).draw(3, np.random.default_rng(0))
    is_painted = sample["imitation"][3] == 1
    assert 0.1 < is_painted.float().mean() < 0.95
    torch.testing.assert_close(sample["imitation"][:3, is_painted], sample["target"][:, is_painted])
    assert torch.equal(sample["imitation"][4], sample["inputs"][4])


def test_hands_paint_in_many_ways_and_without_them_full_colors_alone():
    def shares(by_hand):
        draws = Draws(Drawings(size_px=32), config(by_hand=by_hand))
        samples = (draws.draw(index, np.random.default_rng(index)) for index in range(40))
        return [sample["inputs"][3].mean().item() for sample in samples]

    assert set(shares(False)) == {1.0}
    by_hand = np.array(shares(True))
    assert (by_hand == 1).any() and (by_hand == 0).any() and ((by_hand > 0) & (by_hand < 0.3)).any()


def test_augmentation_moves_the_lines_with_the_picture():
    photo = np.full((64, 64, 3), 250, np.uint8)
    photo[20:30, 30:50] = 10
    moved_by = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        painted, lines = augment(Sample(photo, photo[..., 0], None, None, ""), rng)
        assert painted.shape == photo.shape and lines.shape == (64, 64)
        dark = painted.mean(axis=2) < 128
        assert ((lines < 128) != dark).mean() < 0.02
        moved_by.append(np.nonzero(dark)[1].mean() - 39.5)
    assert min(moved_by) < -5 < np.max(moved_by)  # flipped and not
    assert augment(Sample(photo, None, None, None, ""), rng)[1] is None


def test_the_data_s_own_lines_are_used_as_often_as_said():
    class Framed(Drawings):
        """A picture without edges, whose own lines are a bar."""

        def __getitem__(self, index):
            lines = np.full((32, 32), 255, np.uint8)
            lines[:, 14:17] = 0
            return Sample(np.full((32, 32, 3), 90, np.uint8), lines, None, None, "")

    def share(given):
        draws = Draws(Framed(size_px=32), config(given_lines=given))
        samples = (draws.draw(0, np.random.default_rng(seed)) for seed in range(40))
        return np.mean([sample["inputs"][4].any().item() for sample in samples])

    assert share(0.0) == 0 and 0.2 < share(0.5) < 0.8 and share(1.0) > 0.8


def test_rough_pictures_to_refine_are_blurred_and_noisy():
    torch.manual_seed(0)
    target = torch.rand(2, 3, 32, 32) * 2 - 1
    rough = soften(target)
    assert rough.shape == target.shape
    assert rough.std() < 0.7 * target.std() and not torch.equal(rough, soften(target))


# -- losses ----------------------------------------------------------------------------------------


WANTED = {
    ("imitation", "generator"): {"l1", "feature"},
    ("generating", "generator"): {"l1", "feature", "adversarial"},
    ("refining", "refiner"): {"l1", "feature", "adversarial"},
    ("generating", "critic"): {"adversarial"},
    ("refining", "critic"): {"adversarial"},
}


@pytest.mark.parametrize(
    ("perceptual", "critic", "gan"),
    [("none", "patch", "lsgan"), ("stand-in", "patch", "hinge"), ("stand-in", "features", "hinge")],
)
@pytest.mark.parametrize(("phase", "network"), WANTED, ids=["-".join(key) for key in WANTED])
def test_every_term_trains_its_network(phase, network, gan, critic, perceptual, monkeypatch):
    wanted, style = set(WANTED[phase, network]), 0.0
    if perceptual != "none":
        monkeypatch.setattr(critics, "Perceptual", lambda name, weights: Slopes())
        wanted, style = wanted | ({"style"} if network != "critic" else set()), 10.0
    made = trainer(gan=gan, critic=critic, perceptual=perceptual, style=style)
    batch = batch_of(made, phase=phase)
    if network == "critic":
        made.losses(Turn("refiner" if phase == "refining" else "generator"), batch, 0.9)
    terms = made.losses(Turn(network), batch, 0.9)
    assert set(terms) == wanted
    parameters = list(made.networks[network].parameters())
    for name, term in terms.items():
        assert term.isfinite()
        gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
        assert sum(gradient.abs().sum() for gradient in gradients) > 0, name


def test_the_generator_s_turn_leaves_what_the_critic_judges():
    made = trainer()
    batch = batch_of(made)
    made.losses(Turn("generator"), batch, 0.0)
    assert not batch["fake"].requires_grad
    torch.testing.assert_close(batch["fake"], made.networks["generator"](batch["inputs"]))
    assert made.losses(Turn("generator"), batch, 0.0)["adversarial"] == 0  # it is ramped in
    weights = [made.losses(Turn("generator"), batch, p)["adversarial"] for p in (0.5, 0.7, 1.0)]
    ratios = [(weight / weights[2]).item() for weight in weights]
    assert ratios == pytest.approx([0.5, 1, 1], rel=0.05)  # the critic's norm is an estimate


def test_the_refiner_hears_the_critic_from_its_first_step():
    made = trainer()
    batch = batch_of(made, phase="refining")
    weights = []
    for progress in (0.0, 1.0):
        torch.manual_seed(0)  # a tenth is refined again
        weights.append(made.losses(Turn("refiner"), batch, progress)["adversarial"].item())
    assert weights[0] == pytest.approx(weights[1], rel=0.05) and weights[0] != 0


def test_a_good_picture_costs_less_and_terms_weigh_as_they_are_told():
    made, twice = trainer(adversarial=0.0), trainer(adversarial=0.0, l1=16.0, feature=16.0)
    terms = made.losses(Turn("generator"), batch_of(made), 0.5)
    doubled = twice.losses(Turn("generator"), batch_of(twice), 0.5)
    assert set(terms) == {"l1", "feature"}
    for name, value in terms.items():
        torch.testing.assert_close(doubled[name], 2 * value)


def test_a_perfect_picture_costs_nothing_but_what_the_critic_says():
    made = trainer()
    batch = batch_of(made)
    made.networks["generator"] = torch.nn.Flatten(0, 0)
    batch["inputs"] = batch["target"]
    made.config = config(adversarial=0.0)
    assert all(term == 0 for term in made.losses(Turn("generator"), batch, 0.5).values())


def test_rate_falls_by_a_cosine_to_a_tenth():
    made = trainer(learning_rate=1e-3)
    batch = batch_of(made)
    rates = []
    for progress in (0.0, 0.5, 1.0):
        made.losses(Turn("generator"), batch, progress)
        rates.append(made.optimizers["generator"].param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 5.5e-4, 1e-4])
    assert made.optimizers["critic"].param_groups[0]["lr"] == made.config.critic_rate


def test_pictures_to_refine_are_the_generator_s_own_but_for_some_rough_ones():
    made = trainer(rough=0.5)
    batch = batch_of(made, 16, phase="refining")
    painted = made.networks["generator"](batch["inputs"])
    is_own = [torch.allclose(a, b, atol=1e-5) for a, b in zip(batch["start"], painted, strict=True)]
    assert is_own == (~batch["is_rough"]).tolist()
    assert True in is_own and False in is_own


def test_style_without_a_network_is_one_sentence():
    with pytest.raises(S2IError, match="style needs a perceptual network"):
        trainer(style=1.0)


def test_a_tenth_of_the_refinements_are_repeated(monkeypatch):
    made = trainer()
    batch = batch_of(made, phase="refining")
    passes = []
    made.networks["refiner"].register_forward_pre_hook(lambda *_: passes.append(1))
    for dice, wanted in ((0.05, 2), (0.5, 1)):
        monkeypatch.setattr(torch, "rand", lambda *_, dice=dice: torch.tensor(dice))
        passes.clear()
        made.losses(Turn("refiner"), batch, 0.5)
        assert len(passes) == wanted


@pytest.mark.parametrize("kind", CHANNELS)
def test_the_grid_has_a_row_for_each_drawing(kind):
    made = trainer(generator=kind)
    rows = made.sample(made.networks, batch_of(made, 3))
    columns = 4 if kind == "paper" else 5
    assert rows.shape == (3, 3, 32, columns * 32) and rows.abs().max() <= 1


# -- runs ------------------------------------------------------------------------------------------


class Watching(PirecTrainer):
    """Notes what holds when the refining begins; stops itself within a step, if told."""

    stop_after, taken = 0, 0

    def begin_phase(self, phase, ema):
        super().begin_phase(phase, ema)
        self.ema = ema
        if phase.name == "refining":
            self.average_then = {k: v.clone() for k, v in ema["generator"].state_dict().items()}
            self.refiner_then = {
                k: v.clone() for k, v in self.networks["refiner"].state_dict().items()
            }

    def prepare_batch(self, batch):
        self.taken += 1
        if self.taken == self.stop_after:
            signal.raise_signal(signal.SIGTERM)
        return super().prepare_batch(batch)


def run(out, *, stop_after=0, **settings):
    made = config(out=out, steps=6, log_steps=1, **settings)
    torch.manual_seed(0)
    trainer = Watching(made)
    trainer.stop_after = stop_after
    engine.train(trainer, made)
    return trainer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder and its trainer after six steps: one imitates, three generate, two refine."""
    out = tmp_path_factory.mktemp("pirec")
    return out, run(out)


def test_the_refiner_starts_as_the_averaged_generator_which_then_stays(whole):
    out, trainer = whole
    assert trainer.average_then.keys() == trainer.refiner_then.keys()
    for name, value in trainer.average_then.items():
        assert torch.equal(value, trainer.refiner_then[name])
        assert torch.equal(value, trainer.ema["generator"].state_dict()[name])
    published = load_file(out / engine.EMA)
    name = "trunk.0.branch.0.weight"
    assert torch.equal(published[f"generator.{name}"], trainer.average_then[name])
    assert not torch.equal(published[f"refiner.{name}"], trainer.average_then[name])
    assert not torch.equal(
        trainer.networks["generator"].state_dict()[name], trainer.average_then[name]
    )


@pytest.mark.parametrize("steps", [1, 3, 4, 5])
def test_a_stopped_and_resumed_run_is_the_run_that_never_stopped(whole, tmp_path, steps):
    """Stopped at the end of a phase, in the midst of generating, and of refining."""
    with pytest.raises(S2IError, match=f"after {4 * steps} of 24 images"):
        run(tmp_path, stop_after=steps)
    run(tmp_path, resume=True)
    for name in (engine.STATE, engine.EMA):
        left, right = load_file(whole[0] / name), load_file(tmp_path / name)
        assert left.keys() == right.keys()
        assert not [key for key in left if not torch.equal(left[key], right[key])]


def test_the_chosen_optimizer_moves_all_but_the_critic():
    made = trainer(optimizer="muon")
    batch_of(made)
    kinds = {name: type(each) for name, each in made.optimizers.items()}
    assert kinds == {"generator": Muon, "critic": torch.optim.Adam}


@pytest.mark.parametrize("network", ["generator", "refiner"])
def test_two_pictures_can_be_learned_by_heart(network):
    made = trainer(learning_rate=4e-3, adversarial=0.02)
    phase = "generating" if network == "generator" else "refining"
    batch = batch_of(made, 2, phase=phase, seed=1)
    turn, costs = Turn(network), []
    optimizer = made.optimizers[network]
    for _ in range(60):
        optimizer.zero_grad()
        terms = made.losses(turn, batch, 0.0)
        sum(terms.values()).backward()
        optimizer.step()
        costs.append(terms["l1"].item())
    assert np.mean(costs[-5:]) < 0.5 * np.mean(costs[:3])


def command(script, *options, folder=ROOT):
    return subprocess.run(
        [sys.executable, str(ROOT / "train" / script), *map(str, options)],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_the_command_trains_what_can_be_published_loaded_and_run(zoo, monkeypatch):
    monkeypatch.setattr(methods, "METHODS", (Pirec,))
    options = "--steps 6 --size-px 32 --width 4 --critic-width 4 --batch 4 --workers 0 --cpu"
    out = zoo / "run"
    answer = command("pirec.py", *options.split(), "--threads", 1, "--out", out, folder=zoo)
    assert answer.returncode == 0, answer.stderr
    assert [path.name for path in (out / "samples").iterdir()] == ["000000024.png"]
    entry = publish.publish(out, "pirec.demo", license="CC0-1.0", data="Generated drawings.")
    assert (entry.size_px, entry.images_seen, entry.method) == (32, 24, "pirec")
    loaded = weights.load("pirec.demo")
    assert loaded.is_verified and loaded.method.kwargs["width"] == 4
    drawing = Drawing(lines=np.full((50, 70), 255, np.uint8))
    assert loaded.method.run(drawing).pictures[0].shape == (50, 70, 3)

    again = command("pirec.py", *options.split(), "--out", out, folder=zoo)
    assert again.returncode == 2 and "already holds a run" in again.stderr
    assert "Traceback" not in again.stderr


def has_commands(text, script):
    lines = [line for line in text.splitlines() if f"python train/{script}" in line]
    return any(not line.startswith("usage:") for line in lines)


def test_help_shows_commands(tmp_path, capsys):
    answer = command("pirec.py", "--help", folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert has_commands(answer.stdout, "pirec.py") and "--no-by-hand" in answer.stdout
    for script in (publish, evaluate):
        with pytest.raises(SystemExit, match="0"):
            script.main(["--help"])
        assert has_commands(capsys.readouterr().out, Path(script.__file__).name)
