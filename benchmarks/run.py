"""How fast everything is, and how far from what this machine could do at most.

    python benchmarks/run.py                  # all four parts, a few minutes
    python benchmarks/run.py network page     # some of them
    python benchmarks/run.py --method pix2pix # random numbers where it has no weights yet
    python benchmarks/run.py data train --data faces128.zip --recipe train/recipes/pirec_faces.toml
    python benchmarks/run.py --quick          # proves that it runs; the numbers mean little

Four parts. *network*: the networks of a picture and of a preview, and all of it from uint8 to
uint8, at the least and most ``detail``; of a method without it, with drawings of 256 and 512 px.
*data*: augmented training samples from one process. *train*: the engine's steps, data included, by
the trainer's defaults or ``--recipe``. *page*: from pen-up to the last picture on the screen, with
real strokes in headless Chromium, and how often the picture is renewed while the pen is down.

A fifth when asked for, ``search``, for Contextual GAN: seconds that the fast search takes to the
loss at which the original search ends, one candidate each and the original's own loss, and seconds
of the page's default search. A sixth, ``sketch``, for image to sketch: seconds from a photo to
sketch and strokes at each resolution, of which mask, network and tracing, and the memory on top.

Each figure stands beside a plain float32 PyTorch loop of the same networks in the same run, and
beside the floor: 2 x MACs / ceiling, where the ceiling is what a 2048 x 2048 matrix product reaches
here, measured just before. What networks do for a picture is recorded, forward passes alone, and
replayed. Times are wall medians: run it on an idle machine.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Both are read when the libraries are imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch.utils.data import default_collate
from torch.utils.flop_counter import FlopCounterMode

from s2i import image, weights
from s2i.errors import S2IError
from s2i.methods import METHODS, find_method
from s2i.methods.base import Drawing, last_of
from s2i.methods.contextual import square
from train import engine
from train.publish import publish

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PARTS = ("network", "data", "train", "page")
EXTRA_PARTS = ("search", "sketch")
SIZES_PX = (256, 512)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Bench:
    """One run: the device, the weight, how often to repeat, and the ceilings measured first."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Measure the ceilings and load the weight that ``options`` choose."""
        self.options = options
        if options.device:
            os.environ["S2I_DEVICE"] = options.device
        self.device = weights.pick_device()
        self.repeats = 2 if options.quick else 20
        self.precision = weights.pick_dtype(self.device)
        # A machine that is not fast at bfloat16 would take a minute for one product.
        kinds = {torch.float32, self.precision}
        self.ceilings = {kind: self.measure_gemm(kind) for kind in kinds}
        known = weights.entries(options.method)
        self.name = options.weights or (known[0].name if known else self.publish_random())
        self.method = weights.load(self.name).method
        choices = next((one for one in self.method.controls if one.name == "detail"), None)
        sizes = [size for size in getattr(choices, "options", ()) if isinstance(size, int)]
        self.details = sorted({min(sizes), max(sizes)}) if sizes else []

    def publish_random(self) -> str:
        """Add random numbers to a manifest for this run alone; return their name."""
        method_class = find_method(self.options.method or METHODS[0].name)
        self.folder = tempfile.TemporaryDirectory()
        manifest = Path(self.folder.name) / "weights_manifest.json"
        shutil.copy(weights.manifest_path(), manifest)
        os.environ.setdefault("S2I_WEIGHTS", str(weights.weights_folder()))
        os.environ["S2I_MANIFEST"] = str(manifest)
        torch.manual_seed(0)
        method = method_class(**method_class.presets["small"])
        file = weights.save(manifest.with_name("ema.safetensors"), method, metadata={})
        return publish(file, f"{method.name}.random", license="-", data="random numbers").name

    def now(self) -> float:
        """Return the time in seconds at which the device has done all that it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def seconds(self, run: Callable[[], object], *, repeats: int | None = None) -> float:
        """Return the median wall time of ``run`` after a warm-up."""
        times = []
        for _ in range((repeats or self.repeats) + 1):
            start = self.now()
            run()
            times.append(self.now() - start)
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
            f"Weight: {self.name}; runs in {self.precision} by {weights.pick_backend(self.device)}."
        )


@contextmanager
def watch(bench: Bench) -> Iterator[SimpleNamespace]:
    """Yield what the networks do for the newest picture: their ``calls`` and ``seconds``.

    The networks are the method's own submodules; calls are kept in float32, to be replayed;
    ``plain`` are the same calls by PyTorch, whatever backend answers.
    """
    seen, run = SimpleNamespace(calls=[], plain=[], seconds=0.0), bench.method.run

    def begin(*args: Any, **kwargs: Any) -> object:
        seen.calls, seen.plain, seen.seconds = [], [], 0.0
        return run(*args, **kwargs)

    def enter(network: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        kept = {key: keep(value) for key, value in kwargs.items()}
        # Not the network itself: a replay shall not be watched.
        plain = getattr(network.forward, "plain", network.forward)
        for calls, forward in ((seen.calls, network.forward), (seen.plain, plain)):
            calls.append(partial(forward, *map(keep, args), **kept))
        seen.start = bench.now()

    def keep(value: Any) -> Any:
        is_real = isinstance(value, torch.Tensor) and value.is_floating_point()
        return value.detach().float() if is_real else value

    def leave(*_: object) -> None:
        seen.seconds += bench.now() - seen.start

    networks = list(bench.method.children())
    hooks = [one.register_forward_pre_hook(enter, with_kwargs=True) for one in networks]
    hooks += [one.register_forward_hook(leave) for one in networks]
    bench.method.run = begin
    try:
        yield seen
    finally:
        del bench.method.run
        for hook in hooks:
            hook.remove()


def replay(calls: list[Callable[[], object]]) -> None:
    """Make all calls."""
    for call in calls:
        call()


@torch.no_grad()
def time_plain(bench: Bench, calls: list[Callable[[], object]]) -> float:
    """Return the milliseconds that ``calls`` take in a plain float32 loop."""
    return 1e3 * bench.seconds(lambda: replay(calls))


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


def read_lines(path: Path) -> np.ndarray:
    """Return an example's lines: (H, W) uint8, ink 0."""
    return image.on_paper(image.read_layer(path)).mean(2).round().astype(np.uint8)


def draw_example(bench: Bench, size_px: int) -> Drawing:
    """Return the first example of the weight, or one of faces, ``size_px`` a side."""
    other = EXAMPLES / "pirec.faces" / "beanie.lines.png"
    path = min((EXAMPLES / bench.name).glob("*.lines.png"), default=other)
    size = size_px, size_px
    lines = read_lines(path)
    colors = image.read_layer(path.with_name(path.name.replace(".lines.", ".colors.")))
    colors = image.resize_colors(colors, size)
    return Drawing(lines=image.resize(lines, size), colors=colors, photo=image.on_paper(colors))


# -- network ---------------------------------------------------------------------------------------


def run_network(bench: Bench) -> None:
    """Time the networks and the whole way from drawing to picture and to preview."""
    kinds = {"picture": {}} | ({"preview": bench.method.preview} if bench.method.preview else {})
    write_table(
        "drawing to | px | GMAC | plain networks ms | networks ms | all ms | all/plain | "
        "floor ms | all/floor",
        [
            (kind, size_px, *measure_drawing(bench, size_px, values))
            for size_px in bench.details or SIZES_PX
            for kind, values in kinds.items()
        ],
    )


def measure_drawing(bench: Bench, size_px: int, values: Mapping[str, Any]) -> tuple[float, ...]:
    """Return a row of the table of :func:`run_network` from the third column on."""
    settings = {**({"detail": size_px} if bench.details else {}), **values}
    drawing = draw_example(bench, size_px)

    def run() -> object:
        return last_of(bench.method.run(drawing, **settings))

    with watch(bench) as seen:
        run()
    plain = time_plain(bench, seen.plain)
    with weights.inference(bench.device):
        flops = count_flops(lambda: replay(seen.plain))
        networks = 1e3 * bench.seconds(lambda: replay(seen.calls))
        whole = 1e3 * bench.seconds(run)
    floor = 1e3 * flops / bench.ceilings[bench.precision]
    return flops / 2e9, plain, networks, whole, whole / plain, floor, whole / floor


# -- search ----------------------------------------------------------------------------------------


def run_search(bench: Bench) -> None:
    """Time both searches of Contextual GAN for the weight's own examples."""
    if not hasattr(bench.method, "search"):
        raise S2IError(f"{bench.method.title} does not search: name a weight of Contextual GAN.")
    rows = []
    paths = sorted((EXAMPLES / bench.name).glob("*.lines.png"))
    for path in paths[: 2 if bench.options.quick else None]:
        lines = read_lines(path)
        goal = bench.method.read_goal(square(lines))
        slow, slow_seconds = time_search(bench, goal, preset="seed", count=1)
        fast, fast_seconds = time_search(bench, goal, loss="kl", count=1, until=slow)
        drawing = Drawing(lines=lines)
        with weights.inference(bench.device):
            default = bench.seconds(lambda one=drawing: last_of(bench.method.run(one)), repeats=2)
        name = path.name.partition(".")[0]
        rows.append((name, slow, slow_seconds, fast, fast_seconds, fast_seconds / slow_seconds,
                     default))  # fmt: skip
    numbers = np.array([row[1:] for row in rows])
    write_table(
        "drawing | original: loss | s | fast: loss | s to the original's loss | fast/original | "
        "8 candidates by default s",
        [*rows, ("median", *np.median(numbers, axis=0).tolist())],
    )


def time_search(
    bench: Bench, goal: torch.Tensor, *, until: float = -np.inf, **settings: Any
) -> tuple[float, float]:
    """Return loss and seconds of a search that may stop at a loss of ``until``.

    Infinite seconds where it ends above it.
    """
    start = bench.now()
    for found in bench.method.search(goal, **settings):
        loss, seconds = found.curve[-1], bench.now() - start
        if loss <= until:
            return loss, seconds
    return loss, seconds if until == -np.inf else np.inf


def run_sketch(bench: Bench) -> None:
    """Time image to sketch on the weight's own examples, enlarged to the resolution."""
    control = next((one for one in bench.method.controls if one.name == "resolution"), None)
    if control is None:
        raise S2IError(f"{bench.method.title} does not sketch: name a weight of image to sketch.")
    paths = sorted((EXAMPLES / bench.name).glob("*.photo.*"))
    photos = [image.read_photo(path) for path in paths[: 1 if bench.options.quick else None]]
    rows = []
    for side_px in control.options:
        parts = []
        before = forget_peak()
        for photo in photos:
            drawing = Drawing(photo=image.resize(photo, image.fit_side(photo.shape[:2], side_px)))
            with weights.inference(bench.device):
                parts.append(time_sketch(bench, drawing, resolution=side_px))
        medians = np.median(np.array(parts), axis=0)
        worst = max(part[0] for part in parts)
        rows.append((side_px, *medians.tolist(), worst, (read_peak() - before) / 1e6))
    write_table(
        "resolution | photo to sketch and strokes s | of which mask s | network s | tracing s | "
        "slowest s | memory on top, MB",
        rows,
    )


def time_sketch(bench: Bench, drawing: Drawing, *, resolution: int) -> tuple[float, ...]:
    """Return seconds of all, of the mask, of the network, and of what only strokes need."""
    method, options = bench.method, {"resolution": resolution}

    def run(**more: Any) -> float:
        return bench.seconds(lambda: method.run(drawing, **options, **more), repeats=3)

    whole, bare = run(), run(vec_switch=False)
    mask = method.load_part("masknet.v2")
    masking = bench.seconds(lambda: mask.find_mask(drawing.photo), repeats=3)
    drawn = bench.seconds(lambda: method.draw(drawing.photo, is_dark=True), repeats=3)
    return whole, masking, drawn, whole - bare


def forget_peak() -> float:
    """Let the peak of this process's memory begin anew (Linux); return it in bytes."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return read_peak()


def read_peak() -> float:
    """Return the most memory in bytes that this process had; NaN where nothing tells."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
    return 1024.0 * int(line.split()[1])


# -- data and training -----------------------------------------------------------------------------


def build_trainer(bench: Bench, **settings: Any) -> tuple[engine.Trainer, engine.RunConfig]:
    """Return the trainer of the method, in that phase which has the most turns, and its config."""
    module = importlib.import_module(f"train.{bench.method.name}")
    own = [one for one in vars(module).values() if isinstance(one, type)]
    config_class, trainer_class = (
        next(one for one in own if base in one.__mro__[1:])
        for base in (engine.RunConfig, engine.Trainer)
    )
    is_mixed = bench.precision is torch.bfloat16
    chosen = {"precision": "bf16" if is_mixed else "fp32", "channels_last": is_mixed}
    if bench.options.recipe:
        chosen |= engine.read_recipe(config_class, bench.options.recipe)
    if bench.options.perceptual_weights:
        chosen["perceptual_weights"] = bench.options.perceptual_weights
    if bench.options.quick:
        chosen["batch"] = 1
    chosen |= {"sample_images": 0, "save_seconds": 1e9, "log_steps": 1, **settings}
    config = config_class(data=bench.options.data, cpu=bench.device.type == "cpu", **chosen)
    torch.manual_seed(0)
    trainer = trainer_class(config)
    trainer.phases = (max(trainer.phases, key=lambda phase: len(phase.turns)),)
    return trainer, config


def time_plain_step(bench: Bench) -> tuple[float, int, int]:
    """Return seconds, operations and images of a step in float32, one ready batch for all."""
    trainer, config = build_trainer(bench)
    (phase,) = trainer.phases
    draws = trainer.dataset("train")
    samples = [draws.draw(i % len(draws), np.random.default_rng(i)) for i in range(config.batch)]
    ready = {key: value.to(bench.device) for key, value in default_collate(samples).items()}
    for network in trainer.networks.values():
        network.to(bench.device)
    trainer.begin_phase(phase, trainer.networks)
    optimizers = {turn.network: trainer.optimizer(turn) for turn in phase.turns}

    def step() -> None:
        with torch.no_grad():
            batch = trainer.prepare_batch(dict(ready))
        for turn in phase.turns:
            optimizer = optimizers[turn.network]
            for network in trainer.networks.values():
                network.requires_grad_(False)
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.requires_grad_(True)
            optimizer.zero_grad()
            sum(trainer.losses(turn, batch, 0.9).values()).backward()
            optimizer.step()

    flops = count_flops(step)
    return bench.seconds(step), flops, config.batch


def run_data(bench: Bench) -> None:
    """Time the preparation of training samples in one process."""
    draws = build_trainer(bench)[0].dataset("train")
    indices = itertools.cycle(range(len(draws)))
    rng = np.random.default_rng(0)
    seconds = bench.seconds(lambda: draws.draw(next(indices), rng), repeats=10 * bench.repeats)
    step, _, batch = time_plain_step(bench)
    row = ("data preparation", seconds * 1e3, 1 / seconds, batch / step, step / batch / seconds)
    head = "one process | ms an image | images/s | plain training images/s | data/training"
    write_table(head, [row])


def run_train(bench: Bench) -> None:
    """Time the engine's steps."""
    step, flops, batch = time_plain_step(bench)
    steps = 4 if bench.options.quick else 60
    with tempfile.TemporaryDirectory() as folder:
        trainer, config = build_trainer(bench, out=Path(folder) / "run", steps=steps)
        engine.train(trainer, config)
        lines = (config.out / "log.jsonl").read_text().splitlines()
    ends = [json.loads(line)["seconds"] for line in lines]
    ours = statistics.median(np.diff(ends))
    floor = flops / bench.ceilings[bench.precision]
    cells = (batch / step, batch / ours, step / ours, batch / floor, ours / floor)
    turns = " and ".join(turn.network for turn in trainer.phases[0].turns)
    head = "step of | plain images/s | engine images/s | engine/plain | ceiling images/s | to floor"
    write_table(head, [(f"{turns}, batch {batch}", *cells)])


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
def open_page(bench: Bench) -> Iterator[Any]:
    """Yield the page in a browser, with the tab of the method and its weight chosen."""
    from playwright.sync_api import sync_playwright

    from s2i.ui import page

    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise S2IError(f"no browser found: install one of {', '.join(BROWSERS)}.")
    with sync_playwright() as playwright:
        blocks = page.build()
        options = {"quiet": True, "prevent_thread_lock": True, **page.launch_options()}
        _, url, _ = blocks.launch(server_name="127.0.0.1", **options)
        chromium = playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            tab = chromium.new_page(viewport={"width": 1300, "height": 800})
            tab.goto(url)
            tab.set_default_timeout(300_000)
            tab.wait_for_selector("#stage .has-picture, #stage .has-error")
            tab.get_by_role("tab", name=bench.method.title, exact=True).click()
            choose(bench, tab, "weights", bench.name.partition(".")[2])
            tab.get_by_test_id("layer-lines").click()
            tab.evaluate(WATCH)
            yield tab
        finally:
            chromium.close()
            blocks.close()


def choose(bench: Bench, tab: Any, control: str, option: object) -> None:
    """Choose an option of a dropdown on the method's tab."""
    tab.locator(f"#tab-{bench.method.name} .control-{control} input").click()
    tab.get_by_role("option", name=str(option), exact=True).click()


def run_page(bench: Bench) -> None:
    """Drive the real page with strokes of the mouse."""
    measured, rows = [], []
    with watch(bench) as seen, open_page(bench) as tab:
        for detail in bench.details or ["learned"]:
            if bench.details:
                choose(bench, tab, "detail", detail)
            measured.append((detail, *measure_strokes(bench, tab, seen), seen.plain))
    for detail, total, networks, renewals, calls in measured:
        plain = time_plain(bench, calls)
        rows.append((detail, total, networks, plain, networks / plain, renewals))
    write_table(
        "detail px | pen-up to picture ms | of which networks ms | plain networks ms | "
        "networks/plain | renewals/s, pen down",
        rows,
    )


def measure_strokes(bench: Bench, tab: Any, seen: SimpleNamespace) -> tuple[float, float, float]:
    """Return medians: ms from pen-up to the last picture, ms of its networks, renewals a second."""
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
        stroke = tab.evaluate("bench")
        last = max(stroke["pictures"], default=stroke["up"])
        totals.append(max(0.0, last - stroke["up"]))
        networks.append(1e3 * seen.seconds)
        while_down = [at for at in stroke["pictures"] if stroke["down"] < at <= stroke["up"]]
        renewals.append(1e3 * len(while_down) / (stroke["up"] - stroke["down"]))
    return tuple(statistics.median(values) for values in (totals, networks, renewals))


def main() -> int:
    """Run the chosen parts and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS + EXTRA_PARTS)}"
    )
    parser.add_argument("--quick", action="store_true", help="few repeats: does it run?")
    parser.add_argument("--weights", help="a name in the manifest (default: the first)")
    parser.add_argument("--method", help="its first weight; random numbers where it has none")
    parser.add_argument("--data", help="pictures for data and train (default: own drawings)")
    parser.add_argument("--recipe", type=Path, help="settings for data and train")
    parser.add_argument("--perceptual-weights", help="the file, where the recipe names a network")
    parser.add_argument("--device", help="cpu, cuda, mps (default: the fastest there is)")
    options = parser.parse_args()
    if unknown := set(options.parts) - {*PARTS, *EXTRA_PARTS}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    runs = {"network": run_network, "data": run_data, "train": run_train, "page": run_page}
    runs |= {"search": run_search, "sketch": run_sketch}
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
