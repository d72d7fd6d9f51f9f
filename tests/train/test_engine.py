import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from torch import nn
from toy_trainer import Toy, ToyConfig

from s2i import image
from s2i.errors import S2IError
from train import engine
from train.engine import Phase, RunConfig, Turn, data_order, ema_decay, parse, phase_ends, train

SCRIPT = Path(__file__).with_name("toy_trainer.py")


def run(out, trainer=None, **settings):
    config = ToyConfig(out=out, **settings)
    return train(trainer or Toy(config), config)


def stopping_after(steps):
    """Return a toy trainer that gets SIGTERM within its step number ``steps``."""

    class Stopping(Toy):
        taken = 0

        def prepare_batch(self, batch):
            self.taken += 1
            if self.taken == steps:
                signal.raise_signal(signal.SIGTERM)
            return batch

    return Stopping()


def assert_same_state(one, other):
    for name in (engine.STATE, engine.EMA):
        left, right = load_file(one / name), load_file(other / name)
        assert left.keys() == right.keys()
        different = [key for key in left if not torch.equal(left[key], right[key])]
        assert not different


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of six steps, two in each phase, that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole")
    run(out)
    return out


@pytest.mark.parametrize("steps", [3, 4])
def test_three_steps_and_resume_are_six_steps(whole, tmp_path, steps):
    with pytest.raises(S2IError, match=f"after {4 * steps} of 24 images.*--resume"):
        run(tmp_path, stopping_after(steps))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    run(tmp_path, resume=True)
    assert_same_state(whole, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in lines] == [4, 8, 12, 16, 20, 24]


def test_state_holds_everything(whole):
    state = load_file(whole / engine.STATE)
    for prefix in ("network.critic.", "network.frozen.", "ema.generator.", "optimizer.refiner."):
        assert any(key.startswith(prefix) for key in state)
    for buffer in ("1.running_mean", "1.num_batches_tracked"):  # copied, not averaged
        assert torch.equal(state[f"ema.refiner.{buffer}"], state[f"network.refiner.{buffer}"])
    assert not torch.equal(state["ema.refiner.0.weight"], state["network.refiner.0.weight"])
    tensors, metadata = engine.read_tensors(whole / engine.EMA)
    assert {key.partition(".")[0] for key in tensors} == {"generator", "refiner"}
    assert metadata["method"] == "toy" and json.loads(metadata["kwargs"]) == {"dropout": 0.3}
    assert metadata["images_seen"] == "24" and float(metadata["seconds"]) >= 0


def test_folder_of_a_run(whole):
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    phases = ["imitate"] * 2 + ["generate"] * 2 + ["refine"] * 2
    assert [line["phase"] for line in lines] == phases
    assert "critic/hinge" in lines[2] and "critic/hinge" not in lines[3]  # every second step
    assert all(line["data_images_per_second"] > 0 for line in lines)
    assert json.loads((whole / "config.json").read_text())["batch"] == 4
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["images_seen"] == 24 and "cores" in summary["machine"]
    assert summary["losses"].keys() == {"refiner/l1", "refiner/adversarial"}
    grids = sorted((whole / "samples").iterdir())
    assert [grid.name for grid in grids] == ["000000012.png", "000000024.png"]
    assert image.read_photo(grids[0]).shape == (8 * 16, 2 * 16, 3)
    assert list((whole / "board").iterdir())


def test_workers_change_nothing(whole, tmp_path):
    run(tmp_path, workers=2)
    assert_same_state(whole, tmp_path)


def test_seed_changes_the_run(whole, tmp_path):
    run(tmp_path, seed=1)
    one, other = load_file(whole / engine.EMA), load_file(tmp_path / engine.EMA)
    assert not torch.equal(one["generator.0.weight"], other["generator.0.weight"])


def test_refiner_starts_from_the_average(whole, tmp_path):
    """Its own average does too, not at the random networks of step 0."""

    class Watching(Toy):
        def begin_phase(self, phase, ema):
            super().begin_phase(phase, ema)
            self.ema = ema

        def losses(self, turn, batch, progress):
            if turn.network == "refiner" and progress == 0:
                for name, value in self.ema["generator"].state_dict().items():
                    assert torch.equal(self.ema["refiner"].state_dict()[name], value)
                    assert torch.equal(self.networks["refiner"].state_dict()[name], value)
            return super().losses(turn, batch, progress)

    run(tmp_path, Watching())
    assert_same_state(whole, tmp_path)


def test_only_the_network_of_the_turn_gets_gradients(tmp_path):
    class Watching(Toy):
        def optimizer(self, turn):
            optimizer = super().optimizer(turn)
            optimizer.register_step_pre_hook(lambda *_: self.check(turn.network))
            return optimizer

        def check(self, mine):
            for name, network in self.networks.items():
                for value in network.parameters():
                    assert value.requires_grad == (name == mine)
            gradients = [value.grad for value in self.networks["critic"].parameters()]
            checked.append(mine)
            if mine == "generator" and "critic" not in checked:
                assert gradients == [None] * len(gradients)

    checked = []
    run(tmp_path, Watching())
    assert checked == ["generator"] * 3 + ["critic", "generator", "refiner", "refiner"]


def test_nan_stops_the_run_and_names_the_term(tmp_path):
    class Breaking(Toy):
        def losses(self, turn, batch, progress):
            terms = super().losses(turn, batch, progress)
            if turn.network == "critic":
                terms["penalty"] = terms["hinge"] * float("nan")
            return terms

    with pytest.raises(S2IError, match="'critic/penalty' became nan"):
        run(tmp_path, Breaking(), log_steps=2)
    assert not (tmp_path / engine.STATE).exists()


class Counting(Toy):
    """One number that grows by one each step."""

    published = ("generator",)
    phases = (Phase("count", 80, (Turn("generator"),)),)

    def __init__(self):
        super().__init__()
        self.networks = {"generator": nn.Linear(1, 1, bias=False)}
        nn.init.zeros_(self.networks["generator"].weight)

    def optimizer(self, turn):
        return torch.optim.SGD(self.networks["generator"].parameters(), lr=1.0)

    def losses(self, turn, batch, progress):
        return {"count": -self.networks["generator"].weight.sum() * self.slope}

    slope = 1.0


def test_average_halves_after_its_half_life(tmp_path):
    config = ToyConfig(batch=4, ema_half_life_images=100)
    assert ema_decay(config, 5000) ** (100 / 4) == pytest.approx(0.5)
    assert ema_decay(config, 400) ** (40 / 4) == pytest.approx(0.5)  # short runs: a tenth
    assert ema_decay(config, 0) == 0
    path = run(tmp_path, Counting(), ema_half_life_images=4, sample_images=0)
    average = 0.0
    for step in range(20):
        decay = 0.5 ** (4 / min(4, 0.4 * step)) if step else 0
        average = decay * average + (1 - decay) * (step + 1)
    assert load_file(path)["generator.weight"].item() == pytest.approx(average, rel=1e-6)


class Together(Counting):
    """Two numbers that learn in one turn, then the second alone; their sum is watched."""

    published = ("generator", "second")
    phases = (
        Phase("both", 40, (Turn("generator", also=("second",)),)),
        Phase("second", 8, (Turn("second"),)),
    )

    def __init__(self):
        super().__init__()
        self.networks["second"] = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.networks["second"].weight)

    def optimizer(self, turn):
        parameters = [p for name in turn.networks for p in self.networks[name].parameters()]
        return torch.optim.SGD(parameters, lr=1.0)

    def losses(self, turn, batch, progress):
        learning = [name for name, network in self.networks.items() if network.weight.requires_grad]
        assert learning == list(turn.networks)
        return {"count": -sum(self.networks[name].weight.sum() for name in turn.networks)}

    def watch(self, batch):
        assert not torch.is_grad_enabled()
        return {"sum": sum(network.weight.sum() for network in self.networks.values())}


def test_networks_learn_together_and_numbers_are_watched(tmp_path):
    path = run(tmp_path, Together(), ema_half_life_images=4, sample_images=0)
    first, second = (load_file(path)[f"{name}.weight"].item() for name in Together.published)
    average = 0.0
    for step in range(12):
        decay = 0.5 ** (4 / min(4, 0.4 * step)) if step else 0
        average = decay * average + (1 - decay) * (step + 1)
        assert step != 9 or first == pytest.approx(average, rel=1e-6)
    assert second == pytest.approx(average, rel=1e-6)  # a new phase does not begin it anew
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["watch/sum"] for line in log] == [*range(2, 21, 2), 21, 22]
    assert [line.get("generator/count") for line in log][:2] == [0, -2]


def test_clipping(tmp_path):
    trainer = Counting()
    trainer.slope = 50.0
    run(tmp_path, trainer, clip_norm=0.25, sample_images=0)
    assert trainer.networks["generator"].weight.item() == pytest.approx(20 * 0.25, rel=1e-4)


def test_half_precision_keeps_float32_weights(tmp_path):
    AcceleratorState._reset_state(True)
    try:
        path = run(tmp_path, precision="bf16", channels_last=True, steps=3)
    finally:
        AcceleratorState._reset_state(True)
    floats = [value for value in load_file(path).values() if value.is_floating_point()]
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in floats)


def test_init_starts_from_published_networks(whole, tmp_path):
    class Watching(Toy):
        def begin_phase(self, phase, ema):
            published = load_file(whole / engine.EMA)["generator.0.weight"]
            assert torch.equal(self.networks["generator"][0].weight, published)
            assert torch.equal(ema["generator"][0].weight, published)
            checked.append(phase)

    checked = []
    run(tmp_path / "tuned", Watching(), init=whole / engine.EMA, steps=1)
    assert checked
    before, after = (
        engine.read_tensors(folder / engine.EMA)[1] for folder in (whole, tmp_path / "tuned")
    )
    assert int(after["images_seen"]) == int(before["images_seen"]) + 4
    made = Toy()
    engine.initialize(made, whole)
    state, _ = engine.read_tensors(whole / engine.STATE)
    averages, _ = engine.read_tensors(whole / engine.EMA)
    critic, generator = made.networks["critic"][0].weight, made.networks["generator"][0].weight
    assert torch.equal(critic, state["network.critic.0.weight"])
    assert torch.equal(generator, averages["generator.0.weight"])
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes((whole / engine.EMA).read_bytes()[:500])
    with pytest.raises(S2IError, match=r"broken\.safetensors' could not be read"):
        run(tmp_path / "other", init=broken)
    smaller = Toy()
    smaller.networks["generator"] = nn.Conv2d(3, 3, 1)
    with pytest.raises(S2IError, match="a generator of another shape"):
        run(tmp_path / "other", smaller, init=whole / engine.EMA)


def test_settings_that_do_not_fit(whole, tmp_path):
    with pytest.raises(S2IError, match="already holds a run: add --resume"):
        run(whole)
    with pytest.raises(S2IError, match="holds no run to resume"):
        run(tmp_path, resume=True)
    with pytest.raises(S2IError, match="batch of 0"):
        run(tmp_path, batch=0)
    other = Toy()
    other.networks["generator"] = nn.Conv2d(3, 3, 1)
    with pytest.raises(S2IError, match="made with other settings and can't be resumed"):
        run(whole, other, resume=True)


def test_order_of_the_data():
    stream = list(islice(data_order(10, seed=3), 40))
    assert [epoch for epoch, _ in stream] == [epoch for epoch in range(4) for _ in range(10)]
    for epoch in range(4):
        assert sorted(index for e, index in stream if e == epoch) == list(range(10))
    assert stream[:10] != [(0, index) for _, index in stream[10:20]]
    assert list(islice(data_order(10, seed=3, start=17), 23)) == stream[17:]
    assert len(list(islice(data_order(3, seed=0), 8))) == 8  # a batch larger than the data set


def test_phases_keep_their_proportions():
    phases = (Phase("a", 1000, ()), Phase("b", 6000, ()), Phase("c", 3000, ()))
    assert phase_ends(phases, RunConfig(batch=10)) == [1000, 7000, 10000]
    assert phase_ends(phases, RunConfig(batch=10, images=1000)) == [100, 700, 1000]
    assert phase_ends(phases, RunConfig(batch=4, steps=20)) == [8, 56, 80]
    with pytest.raises(S2IError, match="5 images are less than one batch of 16"):
        phase_ends(phases, RunConfig(batch=16, images=5))


def test_command_line_wins_over_recipe_over_defaults(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('batch = 8\nclip_norm = 1\nout = "here"\nresume = true\n')
    config = parse(ToyConfig, ["--recipe", str(recipe), "--batch", "2", "--data", "folder"])
    assert (config.batch, config.clip_norm, config.out) == (2, 1.0, Path("here"))
    assert config.resume and config.data == "folder" and config.dropout == 0.3
    assert isinstance(config.clip_norm, float)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("bach = 8", "unknown key 'bach'"),
        ('batch = "8"', "batch must be int, got '8'"),
        ("batch = true", "batch must be int"),
        ("resume = 1", "resume must be bool"),
        ('precision = "fp8"', "precision must be one of fp32, bf16"),
        ("batch = ", "could not be read"),
    ],
)
def test_wrong_recipes(tmp_path, text, sentence, capsys):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text)
    with pytest.raises(S2IError, match=sentence):
        parse(RunConfig, ["--recipe", str(recipe)])
    argv = ["--recipe", str(recipe)]
    assert engine.main(RunConfig, lambda config: None, argv=argv) == 2
    assert sentence in capsys.readouterr().err


@dataclass(frozen=True, kw_only=True)
class SeveralConfig(RunConfig):
    data: tuple[str, ...] = engine.setting((), "folders")


def test_a_setting_may_take_several_values(tmp_path, capsys):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('data = ["a", "b"]')
    assert parse(SeveralConfig, []).data == ()
    assert parse(SeveralConfig, ["--recipe", str(recipe)]).data == ("a", "b")
    argv = ["--recipe", str(recipe), "--data", "c.zip", "", "d", "--batch", "3"]
    assert parse(SeveralConfig, argv).data == ("c.zip", "", "d")
    for text in ('data = "a"', "data = [1]"):
        recipe.write_text(text)
        with pytest.raises(S2IError, match="data must be a list of strings"):
            parse(SeveralConfig, ["--recipe", str(recipe)])
    with pytest.raises(SystemExit):
        parse(SeveralConfig, ["--help"])
    assert "--data DATA [DATA ...]" in capsys.readouterr().out


def test_groups_of_parameters_fall_from_rates_of_their_own():
    parameters = [{"params": [nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    for progress, share in ((0.0, 1.0), (0.5, 0.55), (1.0, 0.1)):
        engine.fall_by_cosine(optimizer, [2.0, 4.0], progress)
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([2 * share, 4 * share])
        engine.fall_by_cosine(optimizer, 2.0, progress)
        assert {group["lr"] for group in optimizer.param_groups} == {rates[0]}


def test_help_names_every_setting(capsys):
    with pytest.raises(SystemExit):
        parse(ToyConfig, ["--help"], description="Example: python toy.py")
    text = capsys.readouterr().out
    assert "Example: python toy.py" in text and "--dropout" in text and "--no-cpu" in text


def start(*options, **environment):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, options)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_sigterm_saves(whole, tmp_path):
    """A process with a worker is stopped from outside; what it saved is continued bit by bit."""
    process = start("--out", tmp_path, "--workers", 1, "--sample-images", 0, "--draw-seconds", 0.1)
    log = tmp_path / "log.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2 and "--resume" in error and "Traceback" not in error
    run(tmp_path, resume=True)
    assert_same_state(whole, tmp_path)


def test_two_processes_are_one_with_the_joint_batch(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        start(
            *("--out", tmp_path / "two", "--dropout", 0),
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE="2",
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(port),
        )
        for rank in range(2)
    ]
    run(tmp_path / "one", dropout=0.0)
    for process in processes:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    one, two = (
        load_file(tmp_path / "one" / engine.STATE),
        load_file(tmp_path / "two" / engine.STATE),
    )
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-4, atol=1e-6, err_msg=name)
