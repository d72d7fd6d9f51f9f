"""A tiny zoo for tests of the page: real weights files, painted by a blur."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import torch

from s2i import image
from s2i.errors import S2IError
from s2i.methods.base import Action, Choice, Drawing, Label, Method, Result, Slider, Toggle
from s2i.vectorize import Stroke, Strokes, rasterize


class Blot(Method):
    """Colours, blurred, below the lines."""

    name, title = "blot", "Blot"
    reads = ("lines", "colors")
    live = True
    controls = (
        Slider(name="refine", label="Refine", default=0, low=0, high=3, help="sharper"),
        Toggle(name="lighten", label="Lighten", default=False, help="lighter"),
        Choice(name="detail", label="Detail", default=128, options=(128, 256), help="side"),
        Slider(name="seed", label="Seed", default=0, low=0, high=9, help="dice", advanced=True),
    )
    start_controls = (
        Slider(name="sigma", label="Line detail", default=2.0, low=0.5, high=4, step=0.5, help="s"),
        Slider(name="count", label="Colours", default=3, low=2, high=12, help="k"),
    )
    actions = (
        Action(
            name="blend",
            title="Blend",
            help="from one colour map to another",
            photos_low=1,
            photos_high=1,
            controls=(Slider(name="steps", label="Steps", default=3, low=2, high=8, help="n"),),
        ),
        Action(name="recolor", title="Recolor", help="the drawing in other colours"),
    )

    def __init__(self, tint: int = 0, wait_ms: int = 0):
        super().__init__(tint=tint, wait_ms=wait_ms)
        self.scale = torch.nn.Parameter(torch.ones(4))

    def predict(self, drawing, *, refine, lighten, detail, seed):
        time.sleep(self.kwargs["wait_ms"] / 1000)
        height, width = drawing.size
        picture = np.full((height, width, 3), 255, np.uint8)
        if drawing.colors is not None:
            picture = image.on_paper(drawing.colors)
        picture = cv2.GaussianBlur(picture, (0, 0), 9 - 2.5 * refine)
        picture[..., 0] = np.minimum(255, picture[..., 0].astype(int) + self.kwargs["tint"])
        if lighten:
            picture = (picture // 2 + 127).astype(np.uint8)
        if drawing.lines is not None:
            picture = np.minimum(picture, drawing.lines[..., None])
        return Result(pictures=(picture,))

    def start_from(self, photo, *, sigma, count):
        grey = photo.mean(2).astype(np.uint8)
        edge = np.abs(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), sigma), cv2.CV_32F)) > 0.5
        colors = np.dstack([photo // 64 * 64, np.full(grey.shape, 255, np.uint8)])
        return Drawing(lines=np.where(edge, 0, 255).astype(np.uint8), colors=colors)

    def blend(self, drawing, photos, *, steps):
        first = image.on_paper(drawing.colors).astype(np.float32)
        second = image.resize(photos[0], drawing.size).astype(np.float32)
        pictures = tuple(
            (first + (second - first) * i / (steps - 1)).astype(np.uint8) for i in range(steps)
        )
        return Result(pictures=pictures, frames=pictures)

    def recolor(self, drawing, photos):
        stripes = np.zeros((2, *drawing.size, 4), np.uint8)
        stripes[0, 100:] = (200, 30, 60, 255)
        stripes[0, 400:] = (20, 120, 220, 255)
        stripes[1, :50] = (20, 200, 40, 255)
        pictures = tuple(
            self.predict(Drawing(lines=drawing.lines, colors=colors), **RECOLOR).pictures[0]
            for colors in stripes
        )
        return Result(pictures=pictures, captions=("sunset", "meadow"), colors=(*stripes,))


RECOLOR = {"refine": 0, "lighten": False, "detail": 128, "seed": 0}


class Outline(Method):
    """Lines alone, in blue."""

    name, title = "outline", "Outline"
    reads = ("lines",)
    live = True
    controls = (Slider(name="seed", label="Seed", default=0, low=0, high=9, help="dice"),)

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(2))

    def predict(self, drawing, *, seed):
        picture = np.repeat(drawing.lines[..., None], 3, axis=2)
        picture[..., 2] = 255
        return Result(pictures=(picture,))


class Slow(Outline):
    """As outline, but on demand."""

    name, title = "slow", "Slow"
    live = False


STEP_SECONDS = 0.06


class Grow(Method):
    """Ink that gets darker step by step, and its negative."""

    name, title = "grow", "Grow"
    reads = ("lines",)
    live = True
    controls = (
        Slider(name="steps", label="Steps", default=20, low=1, high=400, help="n"),
        Toggle(name="fail", label="Fail", default=False, help="at the third step"),
    )
    preview = MappingProxyType({"steps": 1})

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(2))

    def predict(self, drawing, *, steps, fail):
        for step in range(1, steps + 1):
            time.sleep(STEP_SECONDS)
            if fail and step == 3:
                raise S2IError("the ink ran out: draw less.")
            picture = np.repeat(drawing.lines[..., None], 3, axis=2)
            yield Result(
                pictures=(picture, 255 - picture),
                captions=("ink", "paper"),
                progress=step / steps,
                facts=f"step {step}",
                curve=tuple(4 * 0.5**n for n in range(step + 1)),
            )


class Trace(Method):
    """Two strokes around whatever is on the photo, the photo without background, the marks."""

    name, title = "trace", "Trace"
    reads = ("photo", "marks")
    controls = (Slider(name="seed", label="Seed", default=0, low=0, high=9, help="dice"),)

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(2))

    def predict(self, drawing, *, seed):
        marks = drawing.marks
        if marks is None:
            marks = np.full(drawing.size, 128, np.uint8)
        strokes = ring_and_bar(*drawing.size)
        cut = np.where(marks[..., None] == 0, np.uint8(255), drawing.photo)
        pictures = [np.repeat(plane[..., None], 3, 2) for plane in (rasterize(strokes), marks)]
        return Result(
            pictures=(pictures[0], cut, pictures[1]),
            captions=("sketch", "cut-out", "mask"),
            strokes=strokes,
        )


class Breed(Method):
    """Lines on plain colours: a class gives the red, a seed the green, what it varies around blue.

    The class that it guesses is its first one.
    """

    name, title = "breed", "Breed"
    reads = ("lines",)
    returns = "gallery"
    live = True
    controls = (
        Label(name="label", label="Class", help="what", flags=("--class",)),
        Slider(name="count", label="Pictures", default=9, low=1, high=16, help="n", flags=("-n",)),
        Slider(name="seed", label="Seed", default=0, low=0, high=9999, help="dice"),
        Slider(
            name="locked", label="Vary around", default=-1, low=-1, high=9999, help="a seed",
            advanced=True,
        ),
    )  # fmt: skip
    preview = single = MappingProxyType({"count": 1})

    def __init__(self, classes=("apple", "pear")):
        super().__init__(classes=list(classes))
        self.scale = torch.nn.Parameter(torch.ones(2))

    def predict(self, drawing, *, label, count, seed, locked):
        classes = self.kwargs["classes"]
        is_guess = label == "guess"
        chosen = classes[0] if is_guess else label
        if chosen not in classes:
            raise S2IError(f"there is no class '{chosen}'; there are: {', '.join(classes)}.")
        red = 40 * (1 + classes.index(chosen))
        seeds = tuple(range(seed, seed + count))
        pictures = []
        for own in seeds:
            picture = np.full(
                (*drawing.size, 3), (red, 5 * own % 256, (10 + 10 * locked) % 256), np.uint8
            )
            picture[drawing.lines < 128] = 0
            pictures.append(picture)
        return Result(
            pictures=tuple(pictures),
            captions=tuple(f"seed {own}" for own in seeds),
            facts=f"guessed {chosen} 83 %" if is_guess else chosen,
            seeds=seeds,
            guesses=((chosen, 0.83), (classes[1], 0.17)) if is_guess else (),
        )


def ring_and_bar(height, width):
    """Return a ring of four curves around the middle and a bar through it."""
    at = np.array([width, height]) / 2
    radius, pull = 0.35 * min(height, width), 0.5523
    quarter = np.array([(1, 0), (1, pull), (pull, 1), (0, 1)])
    curve, points = quarter, [quarter[:1]]
    for _ in range(4):
        points.append(curve[1:])
        curve = curve @ np.array([[0, 1], [-1, 0]])
    bar = np.linspace((-0.8, 0), (0.8, 0), 4)
    return Strokes(
        size=(height, width),
        strokes=tuple(
            Stroke(points=(at + radius * path).astype(np.float32), width_px=5.0)
            for path in (np.concatenate(points), bar)
        ),
    )


METHODS = (Blot, Outline, Slow, Grow, Trace)
KWARGS = {"blot.soft": (Blot, {"wait_ms": 20}), "blot.warm": (Blot, {"tint": 60}),
          "outline.blue": (Outline, {}), "slow.blue": (Slow, {}),
          "grow.dark": (Grow, {}), "trace.ring": (Trace, {})}  # fmt: skip
BREEDS = {"breed.fruit": (Breed, {"classes": ["apple", "pear", "plum"]}),
          "breed.tools": (Breed, {"classes": ["hammer", "pear"]}),
          "outline.blue": (Outline, {})}  # fmt: skip


def write_zoo(folder: Path, save, kinds=KWARGS) -> Path:
    """Write a weight of every fake and the manifest; return the manifest's path."""
    entries = {}
    for name, (method, kwargs) in kinds.items():
        path = save(folder / "weights" / f"{name}.safetensors", method(**kwargs), metadata={})
        content = path.read_bytes()
        entries[name] = {
            "method": method.name,
            "file": path.name,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_px": 128,
            "reads": list(method.reads),
            "license": "CC0-1.0",
            "data": "nothing at all: a fake for tests",
            "scores": {"lpips": 0.21},
        }
    manifest = folder / "weights_manifest.json"
    manifest.write_text(json.dumps({"weights": entries}))
    return manifest


def sun(height, width):
    """Return a photo of a yellow disc before blue."""
    photo = np.full((height, width, 3), (70, 120, 190), np.uint8)
    cv2.circle(photo, (width // 2, height // 2), round(0.3 * height), (240, 200, 60), -1)
    return photo


def write_examples(folder: Path) -> Path:
    """Write two small examples for every weight; return their folder."""
    for name in KWARGS:
        if name.startswith("trace"):
            image.write(folder / name / "sun.photo.png", sun(300, 400))
            continue
        for number, color in enumerate([(220, 60, 40, 255), (40, 90, 200, 255)]):
            lines = np.full((256, 256), 255, np.uint8)
            cv2.circle(lines, (128, 128), 90 - 20 * number, 0, 2, cv2.LINE_AA)
            colors = np.zeros((256, 256, 4), np.uint8)
            cv2.circle(colors, (128, 128), 88 - 20 * number, color, -1)
            image.write(folder / name / f"ball-{number}.lines.png", lines)
            image.write(folder / name / f"ball-{number}.colors.png", colors)
    return folder


@contextmanager
def serve() -> Iterator[str]:
    """Serve the page with the methods and weights that are set now; its address."""
    from s2i.ui import page

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    blocks = page.build()
    options = page.launch_options() | {"show_error": False}
    blocks.launch(
        server_name="127.0.0.1", server_port=port, quiet=True, prevent_thread_lock=True, **options
    )
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        blocks.close()
