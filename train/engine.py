"""The training loop: one for every method, it knows none of them.

A trainer (see :class:`Trainer`) brings networks, phases, losses and augmented samples; the engine
owns device, processes, precision, backward, clipping, averaging (EMA), data order, logs, sample
grids, saving and stopping. The clock counts *images seen* by all processes together.

Everything random is derived: the order of the data from (seed, epoch), a sample's augmentation from
(seed, epoch, index), and torch's generators are seeded before each step from (seed, images seen,
process). So a run that was stopped and resumed is the run that was never stopped, bit by bit on
one CPU, and the number of workers changes nothing.

Networks are not wrapped for several processes: gradients are averaged here, after backward, so that
critics called twice a step, frozen networks and turns need no special care. ``batch`` is the
number of images of one step over all processes.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import platform
import signal
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, fields
from itertools import islice
from pathlib import Path
from types import UnionType
from typing import Any, Protocol, TypeVar, get_args, get_origin, get_type_hints

import cv2
import numpy as np
import safetensors
import safetensors.torch
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, default_collate
from tqdm import tqdm

from s2i import image
from s2i.errors import S2IError
from train.muon import Muon

STATE = "state.safetensors"
EMA = "ema.safetensors"
ABOUT = ("scored", "card")  # tables of a recipe about the weight; see train/cards.py
CORES = os.cpu_count() or 1
OPTIMIZERS = {"adam": torch.optim.Adam, "muon": Muon}


# -- what a trainer declares -----------------------------------------------------------------------


@dataclass(frozen=True)
class Turn:
    """One network's optimiser step, taken at every ``every``-th step of the loop.

    Networks in ``also`` learn in the same step, by the same losses and optimiser.
    """

    network: str
    every: int = 1
    also: tuple[str, ...] = ()

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of all networks that this turn trains."""
        return self.network, *self.also


@dataclass(frozen=True)
class Phase:
    """A stretch of ``images`` images in which ``turns`` are taken in order at each step."""

    name: str
    images: int
    turns: tuple[Turn, ...]


class Draws:
    """What :meth:`Trainer.dataset` returns: augmented samples of pictures; subclass it."""

    def __init__(self, pictures: Sequence[Any], config: Any) -> None:
        """Draw from ``pictures`` as ``config`` says."""
        self.pictures, self.config = pictures, config

    def __len__(self) -> int:
        """Return how many pictures make an epoch."""
        return len(self.pictures)

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return one augmented sample; every random choice comes from ``rng``."""
        raise NotImplementedError


class Trainer(Protocol):
    """The recipe of one method; subclass it, those methods that come last have defaults.

    Attributes:
        name: the method that the published networks belong to.
        method_kwargs: what builds that method again, JSON values only.
        networks: all that is saved for resuming; the engine moves them to the device.
        published: names of those networks whose averages become weights.
        phases: the schedule.
        config: the settings; the default optimiser wants ``learning_rate`` and ``critic_rate``.
        betas: of the default optimiser.
        optimizers: what :meth:`optimizer` returned, by the turn's network.
    """

    name: str
    method_kwargs: dict[str, Any]
    networks: dict[str, nn.Module]
    published: tuple[str, ...]
    phases: tuple[Phase, ...]
    config: RunConfig
    betas: tuple[float, float] = (0.5, 0.99)
    optimizers: dict[str, torch.optim.Optimizer]

    def dataset(self, split: str) -> Draws:
        """Return the pictures of ``split``: "train", "val" or "test"."""
        ...

    def optimizer(self, turn: Turn) -> torch.optim.Optimizer:
        """Return the optimiser of ``turn.networks``; asked for when a phase first trains them.

        The critic has a rate of its own, and always Adam.
        """
        config, is_critic = self.config, turn.network == "critic"
        build = torch.optim.Adam if is_critic else OPTIMIZERS[config.optimizer]
        rate = config.critic_rate if is_critic else config.learning_rate
        parameters = [value for name in turn.networks for value in self.networks[name].parameters()]
        self.optimizers[turn.network] = build(parameters, lr=rate, betas=self.betas)
        return self.optimizers[turn.network]

    def losses(self, turn: Turn, batch: dict[str, Any], progress: float) -> dict[str, Tensor]:
        """Return the weighted terms of ``turn``; the engine minimises their sum.

        ``progress`` is the fraction of the phase that is done. A generator's turn may leave
        detached outputs in ``batch`` for the critic's turn of the same step.
        """
        ...

    def sample(self, networks: dict[str, nn.Module], batch: dict[str, Any]) -> Tensor:
        """Return rows of a grid for a fixed batch: (N, 3, H, W) in [-1, 1], N rows of W px.

        ``networks`` holds the averages of the published networks and the others as they are.
        """
        ...

    def begin_phase(self, phase: Phase, ema: dict[str, nn.Module]) -> None:
        """Prepare for ``phase``: called when it starts, and before tensors load on a resume."""

    def prepare_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return ``batch`` with what is better computed on the device, without gradients."""
        return batch

    def watch(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return numbers to log beside a step's losses, which nothing minimises."""
        return {}


def fall_by_cosine(
    optimizer: torch.optim.Optimizer, rate: float | Sequence[float], progress: float
) -> None:
    """Set a learning rate that falls by a cosine from ``rate`` to a tenth at ``progress`` 1.

    ``rate`` is one for all or one for each group of parameters.
    """
    groups = optimizer.param_groups
    rates = rate if isinstance(rate, Sequence) else [rate] * len(groups)
    for group, first in zip(groups, rates, strict=True):
        group["lr"] = first * (0.55 + 0.45 * math.cos(math.pi * progress))


# -- settings --------------------------------------------------------------------------------------


def setting(default: Any, help: str, *, choices: tuple[Any, ...] = ()) -> Any:
    """Return a dataclass field that :func:`parse` turns into a command-line option."""
    return field(default=default, metadata={"help": help, "choices": choices})


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The settings that every training has; a method's trainer adds its own by subclassing."""

    data: str | None = setting(None, "folder or zip of pictures; without it, generated drawings")
    out: Path = setting(Path("runs/latest"), "folder of this run")  # noqa: RUF009
    seed: int = setting(0, "where all randomness starts")
    batch: int = setting(16, "images a step, over all processes")
    images: int | None = setting(None, "images of the whole run; phases keep their proportions")
    steps: int | None = setting(None, "the same, in steps of one batch")
    workers: int = setting(min(8, max(1, CORES - 1)), "processes that prepare data (0: none)")
    threads: int = setting(0, "CPU threads of the networks (0: torch decides)")
    precision: str = setting("fp32", "arithmetic of the networks", choices=("fp32", "bf16"))
    channels_last: bool = setting(False, "channels-last memory layout")
    cpu: bool = setting(False, "train on the CPU even if there is a GPU")
    optimizer: str = setting("adam", "of all but critics", choices=tuple(OPTIMIZERS))
    clip_norm: float = setting(0.0, "largest norm of a turn's gradient (0: no clipping)")
    ema_half_life_images: int = setting(10_000, "half-life of the averaged networks")
    save_seconds: float = setting(300.0, "time between two saves")
    sample_images: int = setting(5_000, "images between two sample grids (0: none)")
    log_steps: int = setting(10, "steps between two lines of the log")
    init: Path | None = setting(None, "begin with this .safetensors or run's folder")  # noqa: RUF009
    resume: bool = setting(False, "continue the run in --out")


Config = TypeVar("Config", bound=RunConfig)


def parse(
    config_class: type[Config], argv: list[str] | None = None, *, description: str = ""
) -> Config:
    """Return the settings that ``argv`` and its ``--recipe FILE`` (TOML, same names) give.

    The command line wins over the recipe, the recipe over the defaults.

    Raises:
        S2IError: the recipe can't be read, or has an unknown key or a value of the wrong type.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", type=Path, help="TOML file with any of the settings below")
    kinds = _kinds(config_class)
    for each in fields(config_class):
        default = "" if each.default in (None, ()) else f" (default: {each.default})"
        options: dict[str, Any] = {
            "help": each.metadata["help"].replace("%", "%%") + default,
            "default": argparse.SUPPRESS,
        }
        if kinds[each.name] is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif kinds[each.name] is tuple:
            options |= {"nargs": "+", "action": _StoreTuple, "metavar": each.name.upper()}
        else:
            options |= {"type": kinds[each.name], "choices": each.metadata["choices"] or None}
            options["metavar"] = None if options["choices"] else each.name.upper()
        parser.add_argument(f"--{each.name.replace('_', '-')}", **options)
    given = vars(parser.parse_args(argv))
    recipe = given.pop("recipe")
    return config_class(**{**(read_recipe(config_class, recipe) if recipe else {}), **given})


def read_recipe(config_class: type[RunConfig], path: Path) -> dict[str, Any]:
    """Return the settings in a TOML file; see :func:`parse`."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise S2IError(f"recipe '{path}' could not be read: {error}.") from None
    for table in ABOUT:
        values.pop(table, None)
    kinds = _kinds(config_class)
    choices = {each.name: each.metadata["choices"] for each in fields(config_class)}
    for key, value in values.items():
        if key not in kinds:
            raise S2IError(
                f"recipe '{path}' has an unknown key '{key}'; known are: {', '.join(kinds)}."
            )
        kind = kinds[key]
        accepted = {float: (int, float), Path: (str,), tuple: (list,)}.get(kind, (kind,))
        is_wrong = not isinstance(value, accepted) or isinstance(value, bool) != (kind is bool)
        is_wrong |= kind is tuple and not all(isinstance(each, str) for each in value)
        if is_wrong or (choices[key] and value not in choices[key]):
            wanted = "a list of strings" if kind is tuple else kind.__name__
            wanted = f"one of {', '.join(choices[key])}" if choices[key] else wanted
            raise S2IError(f"recipe '{path}': {key} must be {wanted}, got {value!r}.")
        values[key] = kind(value)
    return values


def _kinds(config_class: type[RunConfig]) -> dict[str, type]:
    """Return each setting's type; that of ``int | None`` is int, of ``tuple[str, ...]`` tuple."""
    kinds = {}
    for name, hint in get_type_hints(config_class).items():
        is_optional = get_origin(hint) is UnionType
        kinds[name] = next(kind for kind in get_args(hint) if kind) if is_optional else hint
        kinds[name] = get_origin(kinds[name]) or kinds[name]
    return kinds


class _StoreTuple(argparse.Action):
    """Keeps the values of an option that takes several as a tuple."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, tuple(values))


def main(
    config_class: type[Config],
    run: Callable[[Config], object],
    *,
    description: str = "",
    argv: list[str] | None = None,
) -> int:
    """Run a training script's ``run(config)``: return 0, or 2 after one sentence on stderr.

    torch is seeded with ``config.seed`` before, so that networks start alike.
    """
    try:
        config = parse(config_class, argv, description=description)
        torch.manual_seed(config.seed)
        run(config)
    except S2IError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return 2
    return 0


# -- derived randomness ----------------------------------------------------------------------------


class _Samples(Dataset):
    """Augmented samples by (epoch, index), each with the seconds that drawing it took."""

    def __init__(self, draws: Draws, seed: int) -> None:
        self.draws, self.seed = draws, seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[dict[str, Tensor], float]:
        start = time.perf_counter()
        sample = self.draws.draw(key[1], np.random.default_rng([self.seed, *key]))
        return sample, time.perf_counter() - start


def data_order(length: int, *, seed: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """Yield (epoch, index) for ever, from position ``start``: a new permutation each epoch.

    Batches are cut from this stream, so none is partial and a small data set just comes round.
    """
    epoch, position = divmod(start, length)
    while True:
        order = np.random.default_rng([seed, epoch]).permutation(length)
        for index in order[position:]:
            yield epoch, int(index)
        epoch, position = epoch + 1, 0


class _Batches:
    """One process's share of every batch, from ``start`` on, as keys of :class:`_Samples`."""

    def __init__(
        self, length: int, config: RunConfig, *, start: int, first: int, share: int
    ) -> None:
        self.order = data_order(length, seed=config.seed, start=start)
        self.size, self.mine = config.batch, slice(first, first + share)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        while True:
            yield list(islice(self.order, self.size))[self.mine]


def _seed_torch(*parts: int) -> None:
    """Seed torch's generators; augmentation and data order have their own."""
    torch.manual_seed(int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0]))


def _begin_worker(_: int) -> None:
    """Leave signals to the main process, which saves first, and use one thread a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(0)


# -- the run ---------------------------------------------------------------------------------------


def phase_ends(phases: tuple[Phase, ...], config: RunConfig) -> list[int]:
    """Return the count of images seen at which each phase ends, whole batches.

    ``steps`` or ``images`` stretch or shrink the whole schedule in proportion.

    Raises:
        S2IError: that leaves less than one batch.
    """
    planned = np.cumsum([phase.images for phase in phases])
    total = config.steps * config.batch if config.steps is not None else config.images
    scale = (planned[-1] if total is None else total) / planned[-1]
    ends = [round(end * scale / config.batch) * config.batch for end in planned]
    if not ends[-1]:
        raise S2IError(f"{total} images are less than one batch of {config.batch}: train longer.")
    return ends


def ema_decay(config: RunConfig, images_seen: int) -> float:
    """Return how much of the average stays in one step.

    Half of it is gone after ``ema_half_life_images``; early on after a tenth of the images seen,
    so that short runs are not dragged back to the random start.
    """
    half_life = min(config.ema_half_life_images, images_seen / 10)
    return 0.5 ** (config.batch / half_life) if half_life > 0 else 0.0


class _Run:
    """What changes while training: networks, averages, optimisers and the clock."""

    def __init__(self, trainer: Trainer, config: RunConfig, accelerator: Accelerator) -> None:
        self.trainer, self.config, self.accelerator = trainer, config, accelerator
        self.images_seen, self.seconds = 0, 0.0
        self.earlier = (0, 0.0)  # the same of the weights that the run began with
        self.phase: Phase | None = None
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.trained: set[str] = set()
        self.ends = phase_ends(trainer.phases, config)
        self.layout = torch.channels_last if config.channels_last else torch.contiguous_format
        self.terms: list[tuple[list[str], Tensor]] = []
        for network in trainer.networks.values():
            self._place(network)
            for tensor in (*network.parameters(), *network.buffers()):
                tensor.data.copy_(broadcast(tensor.data))
        self.ema = {
            name: copy.deepcopy(trainer.networks[name]).eval().requires_grad_(False)
            for name in trainer.published
        }

    def _place(self, network: nn.Module) -> None:
        network.to(self.accelerator.device, memory_format=self.layout)

    def begin(self, phase: Phase) -> None:
        """Start ``phase``: networks that go on training keep their optimisers and averages."""
        trained = {name for turn in phase.turns for name in turn.networks}
        self.trainer.begin_phase(phase, self.ema)
        for name, network in self.trainer.networks.items():
            self._place(network)
            network.requires_grad_(False).train(name in trained)
        for name in (trained - self.trained) & self.ema.keys():
            self.ema[name].load_state_dict(self.trainer.networks[name].state_dict())
        self.optimizers = {
            turn.network: self.optimizers.get(turn.network) or self.trainer.optimizer(turn)
            for turn in phase.turns
        }
        self.phase, self.trained = phase, trained

    def prepare(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return ``batch`` on the device, through the trainer's hook."""
        moved = {
            key: value.to(
                self.accelerator.device,
                non_blocking=True,
                memory_format=self.layout if value.dim() == 4 else torch.preserve_format,
            )
            if isinstance(value, Tensor)
            else value
            for key, value in batch.items()
        }
        with torch.no_grad(), self.accelerator.autocast():
            return self.trainer.prepare_batch(moved)

    def step(self, batch: dict[str, Any]) -> None:
        """Take every turn that is due on ``batch``."""
        _seed_torch(self.config.seed, self.images_seen)
        index = self.trainer.phases.index(self.phase)
        if self.images_seen >= self.ends[index]:
            index = next(i for i, end in enumerate(self.ends) if self.images_seen < end)
            self.begin(self.trainer.phases[index])
        start = self.ends[index - 1] if index else 0
        progress = max(0.0, (self.images_seen - start) / (self.ends[index] - start))
        _seed_torch(self.config.seed, self.images_seen, self.accelerator.process_index)
        batch = self.prepare(batch)
        for turn in self.phase.turns:
            if self.images_seen // self.config.batch % turn.every == 0:
                self._take(turn, batch, progress)
        with torch.no_grad():
            watched = self.trainer.watch(batch)
        if watched:
            values = torch.stack([value.float() for value in watched.values()])
            self.terms.append(([f"watch/{name}" for name in watched], values))
        self.images_seen += self.config.batch

    def _take(self, turn: Turn, batch: dict[str, Any], progress: float) -> None:
        optimizer = self.optimizers[turn.network]
        networks = [self.trainer.networks[name] for name in turn.networks]
        parameters = [value for network in networks for value in network.parameters()]
        for network in networks:
            network.requires_grad_(True)
        optimizer.zero_grad()
        with self.accelerator.autocast():
            terms = self.trainer.losses(turn, batch, progress)
            total = sum(terms.values())
        self.accelerator.backward(total)
        self._average_gradients(parameters)
        if self.config.clip_norm > 0:
            nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
        optimizer.step()
        for network in networks:
            network.requires_grad_(False)
        names = [f"{turn.network}/{name}" for name in terms]
        self.terms.append((names, torch.stack([term.detach().float() for term in terms.values()])))
        for name in turn.networks:
            if name in self.ema:
                self._average_weights(name, self.trainer.networks[name])

    def _average_gradients(self, parameters: list[nn.Parameter]) -> None:
        if self.accelerator.num_processes == 1:
            return
        grads = [value.grad for value in parameters if value.grad is not None]
        flat = self.accelerator.reduce(torch.cat([grad.flatten() for grad in grads]), "mean")
        for grad, mean in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(mean.view_as(grad))

    @torch.no_grad()
    def _average_weights(self, name: str, network: nn.Module) -> None:
        average = self.ema[name]
        decay = ema_decay(self.config, self.images_seen)
        averages, values = list(average.parameters()), list(network.parameters())
        get_ema_multi_avg_fn(decay)(averages, values, None)
        for mean, value in zip(average.buffers(), network.buffers(), strict=True):
            mean.copy_(value)

    def losses(self) -> dict[str, float]:
        """Return the mean of every term since the last call.

        Raises:
            S2IError: one was not finite; it is named.
        """
        names = [name for names, _ in self.terms for name in names]
        values = self.accelerator.reduce(torch.cat([values for _, values in self.terms]), "mean")
        self.terms.clear()
        collected: dict[str, list[float]] = {}
        for name, value in zip(names, values.tolist(), strict=True):
            if not math.isfinite(value):
                raise S2IError(
                    f"the loss '{name}' became {value} shortly before {self.images_seen} images: "
                    "lower the learning rate or set clip_norm, and resume from the last save."
                )
            collected.setdefault(name, []).append(value)
        return {name: sum(values) / len(values) for name, values in collected.items()}

    @torch.no_grad()
    def sample(self, batch: dict[str, Any]) -> np.ndarray:
        """Return the trainer's grid for ``batch`` as a picture, rows below each other."""
        networks = {**self.trainer.networks, **self.ema}
        was_training = [network for network in networks.values() if network.training]
        for network in was_training:
            network.eval()
        _seed_torch(self.config.seed)
        with self.accelerator.autocast():
            rows = self.trainer.sample(networks, self.prepare(batch))
        for network in was_training:
            network.train()
        return image.to_picture(torch.cat(list(rows), dim=1))

    def save(self) -> None:
        """Write the state for resuming and the averaged networks, each whole or not at all."""
        tensors, scalars = {}, {}
        for kind, networks in (("network", self.trainer.networks), ("ema", self.ema)):
            for name, network in networks.items():
                tensors |= _named(network.state_dict(), f"{kind}.{name}.")
        for name, optimizer in self.optimizers.items():
            state = optimizer.state_dict()
            scalars[name] = {"param_groups": state["param_groups"], "state": {}}
            for index, values in state["state"].items():
                of_tensors = {k: v for k, v in values.items() if isinstance(v, Tensor)}
                tensors |= _named(of_tensors, f"optimizer.{name}.{index}.")
                scalars[name]["state"][index] = {
                    k: v for k, v in values.items() if k not in of_tensors
                }
        header = {
            "images_seen": self.images_seen,
            "seconds": self.seconds,
            "phase": self.phase.name,
            "earlier": self.earlier,
            "optimizers": scalars,
        }
        _write_tensors(self.config.out / STATE, tensors, {"run": json.dumps(header)})
        averages = {}
        for name, network in self.ema.items():
            averages |= _named(network.float().state_dict(), f"{name}.")
        header = {
            "method": self.trainer.name,
            "kwargs": json.dumps(self.trainer.method_kwargs),
            "images_seen": str(self.earlier[0] + self.images_seen),
            "seconds": f"{self.earlier[1] + self.seconds:.1f}",
        }
        _write_tensors(self.config.out / EMA, averages, header)

    def load(self) -> None:
        """Continue where :meth:`save` was called last."""
        tensors, metadata = read_tensors(self.config.out / STATE)
        try:
            header = json.loads(metadata["run"])
            self.begin(next(p for p in self.trainer.phases if p.name == header["phase"]))
            for kind, networks in (("network", self.trainer.networks), ("ema", self.ema)):
                for name, network in networks.items():
                    network.load_state_dict(_below(tensors, f"{kind}.{name}."))
            for name, optimizer in self.optimizers.items():
                state = header["optimizers"][name]
                merged = {int(index): values for index, values in state["state"].items()}
                for key, tensor in _below(tensors, f"optimizer.{name}.").items():
                    index, _, term = key.partition(".")
                    merged[int(index)][term] = tensor
                optimizer.load_state_dict({**state, "state": merged})
        except (KeyError, ValueError, StopIteration, RuntimeError) as error:
            raise S2IError(
                f"the run in '{self.config.out}' was made with other settings and can't be "
                f"resumed ({str(error).splitlines()[0]})."
            ) from None
        self.images_seen, self.seconds = header["images_seen"], header["seconds"]
        self.earlier = tuple(header["earlier"])


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return detached contiguous copies on the CPU under ``prefix``."""
    return {
        prefix + name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    image.write_bytes(path, safetensors.torch.save(tensors, metadata))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return a safetensors file's tensors and metadata.

    Raises:
        S2IError: there is no such file, or it is damaged.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise S2IError(f"'{path}' could not be read as safetensors: {error}.") from None


def initialize(trainer: Trainer, path: Path) -> tuple[int, float]:
    """Load every network of ``trainer`` that the file at ``path`` holds under its name.

    ``path`` may be a run's folder: then its averages, and its critic and the like as they are.

    Returns:
        Images seen and seconds spent in making that file, 0 where it does not say.

    Raises:
        S2IError: the file can't be read, holds none of them, or one of another shape.
    """
    tensors, metadata = read_tensors(path / EMA if path.is_dir() else path)
    if path.is_dir():
        tensors = _below(read_tensors(path / STATE)[0], "network.") | tensors
    found = {name: _below(tensors, f"{name}.") for name in trainer.networks}
    if not any(found.values()):
        raise S2IError(f"'{path}' holds none of the networks {', '.join(found)}.")
    for name, values in found.items():
        if values:
            try:
                trainer.networks[name].load_state_dict(values)
            except RuntimeError:
                raise S2IError(
                    f"'{path}' holds a {name} of another shape: train with the same width and kind."
                ) from None
    return int(float(metadata.get("images_seen") or 0)), float(metadata.get("seconds") or 0)


class _Stop:
    """Notes the first SIGINT or SIGTERM within its ``with``; a second one acts as ever."""

    def __enter__(self) -> _Stop:
        self.is_asked = False
        self.before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _note(self, *_: object) -> None:
        self.is_asked = True
        self.__exit__()

    def is_asked_in(self, accelerator: Accelerator) -> bool:
        """Return whether any process was asked to stop."""
        if accelerator.num_processes == 1:
            return self.is_asked
        asked = torch.tensor(float(self.is_asked), device=accelerator.device)
        return accelerator.reduce(asked).item() > 0

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


class _Log:
    """What a person reads: log.jsonl, TensorBoard, sample grids and summary.json."""

    def __init__(self, trainer: Trainer, config: RunConfig, images_seen: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import

        self.config, self.out = config, config.out
        settings = json.dumps(asdict(config), default=str, indent=1)
        image.write_bytes(self.out / "config.json", settings.encode())
        path = self.out / "log.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines if json.loads(line)["images_seen"] <= images_seen]
        image.write_bytes(path, "".join(kept).encode())
        self.file = path.open("a", buffering=1)
        self.board = SummaryWriter(str(self.out / "board"), purge_step=images_seen)
        self.batch = _fixed_batch(trainer, config) if config.sample_images else None

    def write(
        self, run: _Run, losses: dict[str, float], *, speed: float, data_speed: float
    ) -> None:
        """Add a line, with what the training does and what data preparation alone could do."""
        values = {
            "seconds": run.seconds,
            "images_per_second": speed,
            "data_images_per_second": data_speed,
            **losses,
        }
        line = {"images_seen": run.images_seen, "phase": run.phase.name, **values}
        self.file.write(json.dumps(line) + "\n")
        for name, value in values.items():
            self.board.add_scalar(name, value, run.images_seen)

    def show(self, run: _Run) -> None:
        """Add the sample grid."""
        grid = run.sample(self.batch)
        image.write(self.out / "samples" / f"{run.images_seen:09d}.png", grid)
        self.board.add_image("samples", grid, run.images_seen, dataformats="HWC")

    def summarize(self, run: _Run, losses: dict[str, float], *, speed: float) -> None:
        """Write summary.json."""
        summary = {
            "images_seen": run.images_seen,
            "seconds": round(run.seconds, 1),
            "images_per_second": round(speed, 2),
            "machine": machine(run.accelerator.device),
            "processes": run.accelerator.num_processes,
            "phase": run.phase.name,
            "losses": losses,
        }
        image.write_bytes(self.out / "summary.json", json.dumps(summary, indent=1).encode())

    def close(self) -> None:
        """Close the files."""
        self.file.close()
        self.board.close()


def machine(device: torch.device) -> str:
    """Return what computes here: the GPU's or else the CPU's name, and the number of cores."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif info.exists():
        models = (line for line in info.read_text().splitlines() if line.startswith("model name"))
        name = next(models, name).rpartition(": ")[2]
    return f"{name}, {CORES} cores"


def train(trainer: Trainer, config: RunConfig) -> Path:
    """Train to the end of the schedule and return the file of averaged networks.

    The folder ``config.out`` gets config.json, log.jsonl, board/ (TensorBoard), samples/,
    state.safetensors (for --resume), ema.safetensors (what is published) and summary.json.

    Raises:
        S2IError: the settings don't fit the folder or each other, a loss is not finite, or a
            signal asked to stop (all is saved then).
    """
    precision = "bf16" if config.precision == "bf16" else "no"
    accelerator = Accelerator(mixed_precision=precision, cpu=config.cpu)
    processes, is_main = accelerator.num_processes, accelerator.is_main_process
    _check(config, processes)
    if config.threads:
        torch.set_num_threads(config.threads)
    earlier = initialize(trainer, config.init) if config.init and not config.resume else (0, 0.0)
    run = _Run(trainer, config, accelerator)
    run.earlier = earlier
    run.load() if config.resume else run.begin(trainer.phases[0])
    draws = trainer.dataset("train")
    if not len(draws):
        names = config.data if isinstance(config.data, str) else "', '".join(config.data or ())
        raise S2IError(f"'{names}' has no pictures to train on: its train split is empty.")
    loader = _loader(draws, config, accelerator, run.images_seen)

    total, first = run.ends[-1], run.images_seen
    steps_left = math.ceil(max(0, total - first) / config.batch)
    loaded = saved = time.monotonic()
    begun = loaded - run.seconds
    with ExitStack() as opened:
        log = opened.enter_context(closing(_Log(trainer, config, first))) if is_main else None
        bar = opened.enter_context(
            tqdm(total=total, initial=first, unit=" images", disable=not is_main)
        )
        stop = opened.enter_context(_Stop())
        for batch, draw_seconds in islice(loader, steps_left):
            run.step(batch)
            now = time.monotonic()
            run.seconds = now - begun
            bar.update(config.batch)
            is_stopped = stop.is_asked_in(accelerator)
            is_last = is_stopped or run.images_seen >= total
            if is_last or run.images_seen // config.batch % config.log_steps == 0:
                losses = run.losses()  # saving waits for this check that they are finite
                if is_main:
                    speed = (run.images_seen - first) / (now - loaded)
                    data_speed = processes * max(1, config.workers) / draw_seconds.mean().item()
                    bar.set_description(run.phase.name, refresh=False)
                    bar.set_postfix_str(f"data alone {data_speed:.0f} images/s", refresh=False)
                    log.write(run, losses, speed=speed, data_speed=data_speed)
                if is_main and (is_last or now - saved > config.save_seconds):
                    run.save()
                    log.summarize(run, losses, speed=speed)
                    saved = time.monotonic()
            if (
                is_main
                and config.sample_images
                and (is_last or run.images_seen % config.sample_images < config.batch)
            ):
                log.show(run)
            if is_stopped:
                break
    accelerator.wait_for_everyone()
    if run.images_seen < total:
        raise S2IError(
            f"stopped and saved after {run.images_seen} of {total} images: "
            "repeat the command with --resume to go on."
        )
    return config.out / EMA


def _check(config: RunConfig, processes: int) -> None:
    """Refuse settings that don't fit the folder or each other."""
    has_state = (config.out / STATE).exists()
    if has_state and not config.resume:
        raise S2IError(f"'{config.out}' already holds a run: add --resume or choose another --out.")
    if config.resume and not has_state:
        raise S2IError(f"'{config.out}' holds no run to resume: leave --resume out.")
    if config.batch < 1 or config.batch % processes:
        raise S2IError(f"a batch of {config.batch} can't be shared by {processes} process(es).")
    if config.log_steps < 1:
        raise S2IError(f"log_steps must be at least 1, got {config.log_steps}.")


def _loader(draws: Draws, config: RunConfig, accelerator: Accelerator, start: int) -> DataLoader:
    share = config.batch // accelerator.num_processes
    return DataLoader(
        _Samples(draws, config.seed),
        batch_sampler=_Batches(
            len(draws), config, start=start, first=accelerator.process_index * share, share=share
        ),
        num_workers=config.workers,
        worker_init_fn=_begin_worker,
        pin_memory=accelerator.device.type == "cuda",
        generator=torch.Generator(),
    )


def _fixed_batch(trainer: Trainer, config: RunConfig) -> dict[str, Any]:
    """Return eight samples that no step trains on, if there are any: val, else test pictures."""
    draws = next(
        draws for split in ("val", "test", "train") if len(draws := trainer.dataset(split))
    )
    samples = _Samples(draws, config.seed)
    return default_collate([samples[0, index % len(draws)][0] for index in range(8)])
