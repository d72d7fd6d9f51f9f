"""How fast everything is, and how far from what this machine could do at most.

    python benchmarks/run.py                  # all four parts, a few minutes
    python benchmarks/run.py network page     # some of them
    python benchmarks/run.py data train --data faces128.zip
    python benchmarks/run.py --quick          # proves that it runs; the numbers mean little

Four parts. *network*: the generator, the generator and one refinement, and a whole drawing from
uint8 to uint8, at 128 and 256 px. *data*: augmented training samples from one process. *train*: the
engine's steps, data included, by the trainer's defaults. *page*: from pen-up to the last picture
on the screen, with real strokes in headless Chromium, and how often the picture is renewed while
the pen is down.

Each figure stands beside a plain float32 PyTorch loop of the same networks in the same run, and
beside the floor: 2 x MACs / ceiling, where the ceiling is what a 2048 x 2048 matrix product reaches
here, measured just before. Times are wall medians: run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Both are read when the libraries are imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from s2i import image, weights
from s2i.errors import S2IError
from s2i.methods.base import Drawing
from s2i.methods.pirec import CHANNELS, Pirec, with_picture
from train import engine
from train.engine import Turn
from train.pirec import PirecConfig, PirecTrainer

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("network", "data", "train", "page")
SIZES_PX = (128, 256)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Bench:
    """One run: the device, the weight, how often to repeat, and the ceilings measured first."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Measure the ceilings and load the weight that ``options`` choose."""
        self.options = options
        self.device = weights.pick_device(options.device)
        self.repeats = 2 if options.quick else 20
        own = weights.pick_dtype(self.device)
        # A machine that is not fast at bfloat16 would take a minute for one product.
        self.ceilings = {kind: self.measure_gemm(kind) for kind in {torch.float32, own}}
        self.precision = own
        known = weights.entries("pirec")
        if options.weights or known:
            self.name = options.weights or known[0].name
            self.method = weights.load(self.name, device=str(self.device)).method
        else:
            self.name = ""
            self.method = Pirec(**Pirec.presets["small"]).eval().requires_grad_(False)
            self.method.to(self.device)

    def seconds(self, run: Callable[[], object], *, repeats: int | None = None) -> float:
        """Return the median wall time of ``run`` after a warm-up."""
        times = []
        for _ in range((repeats or self.repeats) + 1):
            start = time.perf_counter()
            run()
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:])

    def measure_gemm(self, dtype: torch.dtype) -> float:
        """Return the FLOP/s of a 2048 x 2048 matrix product."""
        a = torch.randn(2048, 2048, device=self.device).to(dtype)
        return 2 * 2048**3 / self.seconds(lambda: a @ a)

    def describe(self) -> str:
        """Return machine, ceilings and weight in two lines."""
        ceilings = ", ".join(f"{rate / 1e9:.0f} in {kind}" for kind, rate in self.ceilings.items())
        return (
            f"{engine.machine(self.device)}; torch {torch.__version__}, "
            f"{torch.get_num_threads()} threads; GFLOP/s of a 2048 gemm: {ceilings}.\n"
            f"Weight: {self.name or 'small preset, random numbers'}; runs in {self.precision}."
        )


def count_flops(run: Callable[[], object]) -> int:
    """Return the floating point operations of matrix products and convolutions in ``run``."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def write_table(head: str, rows: list[tuple[object, ...]]) -> None:
    """Print a Markdown table; numbers with three digits."""
    names = [name.strip() for name in head.split("|")]
    print("| " + " | ".join(names) + " |")
    print("|" + "---|" * len(names))
    for row in rows:
        cells = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row]
        print("| " + " | ".join(cells) + " |", flush=True)
    print()


def draw_example(size_px: int) -> Drawing:
    """Return one of the example drawings, ``size_px`` a side."""
    folder = ROOT / "examples" / "pirec.faces"
    lines = image.on_paper(image.read_layer(folder / "beanie.lines.png")).mean(2)
    colors = image.read_layer(folder / "beanie.colors.png")
    return Drawing(
        lines=image.resize(lines.round().astype(np.uint8), (size_px, size_px)),
        colors=image.resize_colors(colors, (size_px, size_px)),
    )


# -- network ---------------------------------------------------------------------------------------


def run_network(bench: Bench) -> None:
    """Time generator, refiner and the whole way from drawing to picture."""
    method, rows = bench.method, []
    for size_px in SIZES_PX:
        channels = CHANNELS[method.kwargs["generator"]]
        inputs = torch.randn(1, channels, size_px, size_px, device=bench.device)
        drawing = draw_example(size_px)

        def generate(inputs=inputs) -> torch.Tensor:
            return method.generator(inputs)

        def refine(inputs=inputs) -> torch.Tensor:
            return method.refiner(with_picture(inputs, method.generator(inputs)))

        def run(drawing=drawing, size_px=size_px) -> object:
            return method.run(drawing, refine=1, detail=size_px)

        for name, network, ours in (
            ("generator", generate, generate),
            ("generator and refiner", refine, refine),
            ("drawing to picture", refine, run),
        ):
            with torch.no_grad():
                flops, plain = count_flops(network), bench.seconds(network)
            with weights.inference(bench.device):
                shipped = bench.seconds(ours)
            floor = flops / bench.ceilings[bench.precision]
            cells = (flops / 2e9, plain * 1e3, shipped * 1e3, shipped / plain)
            rows.append((name, size_px, *cells, floor * 1e3, shipped / floor))
    write_table(
        "network | px | GMAC | plain ms | ours ms | ours/plain | floor ms | ours/floor", rows
    )


# -- data and training -----------------------------------------------------------------------------


def make_config(bench: Bench, **settings: object) -> PirecConfig:
    settings = {"batch": 4, "sample_images": 0, "save_seconds": 1e9, "log_steps": 1} | settings
    return PirecConfig(
        data=bench.options.data,
        cpu=bench.device.type == "cpu",
        precision="bf16" if bench.precision is torch.bfloat16 else "fp32",
        **settings,
    )


class PlainLoop:
    """The trainer's networks and losses in float32, one ready batch again and again."""

    def __init__(self, bench: Bench) -> None:
        """Build networks, optimisers and one batch."""
        torch.manual_seed(0)
        self.config = make_config(bench)
        trainer = self.trainer = PirecTrainer(self.config)
        draws = trainer.dataset("train")
        samples = [draws.draw(i, np.random.default_rng(i)) for i in range(self.config.batch)]
        self.batch = {
            key: torch.stack([sample[key] for sample in samples]).to(bench.device)
            for key in samples[0]
        }
        for network in trainer.networks.values():
            network.to(bench.device)
        self.turns = (Turn("generator"), Turn("critic"))
        self.optimizers = [trainer.optimizer(turn) for turn in self.turns]
        trainer.begin_phase(trainer.phases[1], trainer.networks)

    def step(self) -> None:
        """Take both turns of the generating phase."""
        batch = self.trainer.prepare_batch(self.batch)
        for turn, optimizer in zip(self.turns, self.optimizers, strict=True):
            for name, network in self.trainer.networks.items():
                network.requires_grad_(name == turn.network)
            optimizer.zero_grad()
            sum(self.trainer.losses(turn, batch, 0.9).values()).backward()
            optimizer.step()


def time_plain_step(bench: Bench) -> tuple[float, int, int]:
    """Return seconds, operations and images of one step of the plain loop."""
    loop = PlainLoop(bench)
    flops = count_flops(loop.step)
    return bench.seconds(loop.step), flops, loop.config.batch


def run_data(bench: Bench) -> None:
    """Time the preparation of training samples in one process."""
    draws = PirecTrainer(make_config(bench)).dataset("train")
    numbers = iter(range(10**9))

    def draw() -> object:
        number = next(numbers)
        return draws.draw(number % len(draws), np.random.default_rng(number))

    seconds, (step, _, batch) = (
        bench.seconds(draw, repeats=10 * bench.repeats),
        time_plain_step(bench),
    )
    row = ("data preparation", seconds * 1e3, 1 / seconds, batch / step, step / batch / seconds)
    head = "one process | ms an image | images/s | plain training images/s | data/training"
    write_table(head, [row])


def run_train(bench: Bench) -> None:
    """Time the engine's steps of the generating phase."""
    step, flops, batch = time_plain_step(bench)
    steps = 4 if bench.options.quick else 60
    with tempfile.TemporaryDirectory() as folder:
        config = make_config(
            bench, out=Path(folder) / "run", steps=steps, imitation_images=0, refining_images=0
        )
        torch.manual_seed(0)
        engine.train(PirecTrainer(config), config)
        lines = (config.out / "log.jsonl").read_text().splitlines()
    ends = [json.loads(line)["seconds"] for line in lines]
    ours = statistics.median(np.diff(ends))
    floor = flops / bench.ceilings[bench.precision]
    cells = (batch / step, batch / ours, step / ours, batch / floor, ours / floor)
    head = "step of | plain images/s | engine images/s | engine/plain | ceiling images/s | to floor"
    write_table(head, [(f"generator and critic, batch {batch}", *cells)])


# -- page ------------------------------------------------------------------------------------------

WATCH = """() => {
  window.bench = {pictures: [], up: 0, down: 0};
  document.addEventListener('pointerdown', () => bench.down = performance.now(), true);
  document.addEventListener('pointerup', () => bench.up = performance.now(), true);
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes)
      if (node.dataset?.testid === 'picture') bench.pictures.push(performance.now());
  }).observe(document.querySelector('[data-testid=stage-view]'), {childList: true, subtree: true});
}"""
STROKE_SECONDS = 1.5


@contextmanager
def published(bench: Bench) -> Iterator[str]:
    """Yield the name of a weight that the page can load; random numbers where none is shipped."""
    if bench.name:
        yield bench.name
        return
    from train.publish import publish

    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "weights_manifest.json"
        manifest.write_text('{"version": 1, "weights": {}}', encoding="utf-8")
        os.environ["S2I_MANIFEST"] = str(manifest)
        try:
            file = weights.save(Path(folder) / "ema.safetensors", bench.method, metadata={})
            yield publish(file, "pirec.random", license="-", data="random", size_px=128).name
        finally:
            del os.environ["S2I_MANIFEST"]


def run_page(bench: Bench) -> None:
    """Drive the real page with strokes of the mouse."""
    from playwright.sync_api import sync_playwright

    from s2i.ui import page

    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise S2IError(f"no browser found: install one of {', '.join(BROWSERS)}.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with published(bench) as name, sync_playwright() as playwright:
        method = weights.load(name).method
        times = time_networks(method)
        blocks = page.build()
        blocks.launch(
            server_name="127.0.0.1",
            server_port=port,
            quiet=True,
            prevent_thread_lock=True,
            **page.launch_options(),
        )
        chromium = playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            tab = chromium.new_page(viewport={"width": 1300, "height": 800})
            tab.goto(f"http://127.0.0.1:{port}/")
            tab.wait_for_selector("#stage .has-picture", timeout=60_000)
            tab.evaluate(WATCH)
            rows = [(size_px, *measure_strokes(bench, tab, times, size_px)) for size_px in SIZES_PX]
        finally:
            chromium.close()
            blocks.close()
    head = (
        "detail px | pen-up to picture ms | of which networks ms | plain networks ms | "
        "networks/plain | renewals/s, pen down"
    )
    plain = {size_px: time_plain_networks(bench, method, size_px) for size_px in SIZES_PX}
    write_table(
        head,
        [
            (size_px, total, networks, plain[size_px], networks / plain[size_px], renewals)
            for size_px, total, networks, renewals in rows
        ],
    )


def time_networks(method: Pirec) -> list[float]:
    """Return a list that gets the seconds inside networks of each picture that is painted."""
    pictures: list[float] = []
    started: list[float] = []

    def begin(network: torch.nn.Module, _: object) -> None:
        if network is method.generator:
            pictures.append(0.0)
        started.append(time.perf_counter())

    def end(*_: object) -> None:
        pictures[-1] += time.perf_counter() - started.pop()

    for network in (method.generator, method.refiner):
        network.register_forward_pre_hook(begin)
        network.register_forward_hook(end)
    return pictures


def time_plain_networks(bench: Bench, method: Pirec, size_px: int) -> float:
    """Return the milliseconds of generator and refiner in a plain float32 loop."""
    channels = CHANNELS[method.kwargs["generator"]]
    inputs = torch.randn(1, channels, size_px, size_px, device=next(method.parameters()).device)
    with torch.no_grad():
        return 1e3 * bench.seconds(
            lambda: method.refiner(with_picture(inputs, method.generator(inputs)))
        )


def measure_strokes(
    bench: Bench, tab: Any, times: list[float], size_px: int
) -> tuple[float, float, float]:
    """Return medians: ms from pen-up to the last picture, ms of its networks, renewals a second."""
    tab.locator(".control-detail input").first.click()
    tab.get_by_role("option", name=str(size_px)).first.click()
    tab.get_by_test_id("layer-lines").click()
    rng = np.random.default_rng(0)
    totals, networks, renewals = [], [], []
    for _ in range(2 if bench.options.quick else 20):
        tab.wait_for_function("window.s2i.pad.settled")
        tab.evaluate("bench.pictures.length = 0")
        box = tab.get_by_test_id("canvas-lines").bounding_box()
        knots = rng.uniform(0.1, 0.9, (4, 2)) * (box["width"], box["height"])
        knots += (box["x"], box["y"])
        tab.mouse.move(*knots[0])
        tab.mouse.down()
        start = time.perf_counter()
        while (done := (time.perf_counter() - start) / STROKE_SECONDS) < 1:
            at = [np.interp(3 * done, range(4), knots[:, axis]) for axis in (0, 1)]
            tab.mouse.move(*at)
            time.sleep(0.012)
        tab.mouse.move(*knots[-1])
        tab.mouse.up()
        tab.wait_for_function("window.s2i.pad.settled")
        seen = tab.evaluate("bench")
        last = max(seen["pictures"], default=seen["up"])
        totals.append(max(0.0, last - seen["up"]))
        networks.append(1e3 * times[-1])
        while_down = [at for at in seen["pictures"] if seen["down"] < at <= seen["up"]]
        renewals.append(1e3 * len(while_down) / (seen["up"] - seen["down"]))
    return tuple(statistics.median(values) for values in (totals, networks, renewals))


def main() -> int:
    """Run the chosen parts and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="few repeats: does it run?")
    parser.add_argument("--weights", help="a name in the manifest (default: the first)")
    parser.add_argument("--data", help="pictures for data and train (default: own drawings)")
    parser.add_argument("--device", help="cpu, cuda, mps (default: the fastest there is)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    runs = {"network": run_network, "data": run_data, "train": run_train, "page": run_page}
    try:
        bench = Bench(options)
        print(bench.describe(), end="\n\n")
        for part in options.parts or PARTS:
            runs[part](bench)
    except S2IError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
