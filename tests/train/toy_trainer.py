"""A trainer with networks of four channels; as a script it trains in a process of its own."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from torch import nn

from train.engine import Phase, RunConfig, Trainer, Turn, main, setting, train

PHASES = (
    Phase("imitate", 8, (Turn("generator"),)),
    Phase("generate", 8, (Turn("generator"), Turn("critic", every=2))),
    Phase("refine", 8, (Turn("refiner"),)),
)


@dataclass(frozen=True, kw_only=True)
class ToyConfig(RunConfig):
    batch: int = setting(4, "images a step")
    cpu: bool = setting(True, "train on the CPU")
    workers: int = setting(0, "processes that prepare data")
    threads: int = setting(1, "CPU threads of the networks")
    log_steps: int = setting(1, "steps between two lines of the log")
    sample_images: int = setting(12, "images between two sample grids")
    dropout: float = setting(0.3, "share of features dropped in training")
    draw_seconds: float = setting(0.0, "how long a sample takes")


class Noise:
    """Ten constant pictures, augmented with noise."""

    def __init__(self, draw_seconds):
        self.draw_seconds = draw_seconds

    def __len__(self):
        return 10

    def draw(self, index, rng):
        time.sleep(self.draw_seconds)
        noise = torch.from_numpy(rng.normal(size=(3, 16, 16)).astype(np.float32))
        return {"photo": noise * 0.1 + index / 10}


def network(dropout):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4, momentum=0.2) if dropout else nn.GroupNorm(2, 4),
        nn.Dropout2d(dropout),
        nn.ReLU(),
        nn.Conv2d(4, 3, 3, padding=1),
    )


class Toy(Trainer):
    name = "toy"
    published = ("generator", "refiner")
    phases = PHASES

    def __init__(self, config=None):
        config = config or ToyConfig()
        torch.manual_seed(1)
        self.draws = Noise(config.draw_seconds)
        self.method_kwargs = {"dropout": config.dropout}
        self.networks = {
            name: network(config.dropout) for name in ("generator", "critic", "refiner", "frozen")
        }

    def dataset(self, split):
        return self.draws

    def optimizer(self, turn):
        parameters = self.networks[turn.network].parameters()
        return torch.optim.Adam(parameters, lr=1e-2, betas=(0.5, 0.9))

    def losses(self, turn, batch, progress):
        network, photo = self.networks[turn.network], batch["photo"]
        if turn.network == "critic":
            return {"hinge": (network(batch["fake"]) - network(photo)).mean().tanh()}
        if turn.network == "refiner":
            photo = self.networks["frozen"](photo)
        output = network(photo)
        batch["fake"] = output.detach()
        return {
            "l1": (output - batch["photo"]).abs().mean(),
            "adversarial": -0.1 * self.networks["critic"](output).mean(),
        }

    def begin_phase(self, phase, ema):
        if phase.name == "refine":
            for name in ("refiner", "frozen"):
                self.networks[name].load_state_dict(ema["generator"].state_dict())

    def sample(self, networks, batch):
        return torch.cat([batch["photo"], networks["generator"](batch["photo"])], 3).tanh()


if __name__ == "__main__":
    sys.exit(main(ToyConfig, lambda config: train(Toy(config), config)))
