"""Run in a copy of the project that has the toy's files: what CONTRIBUTING's steps promise."""

import base64
import contextlib
import csv
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, "tests/train")
sys.path.insert(0, ".")

from toy_judge import Distance

from s2i import image, metrics, weights
from s2i.__main__ import main
from s2i.ui import page
from train import evaluate, publish

PAPER, INK = (250, 240, 200), (40, 30, 120)
metrics.Lpips = metrics.Features = Distance


def draw_pictures(folder: Path) -> None:
    """Write twelve pictures of blue bars on yellow, four of them to test on."""
    rng, rows = np.random.default_rng(0), [["color", "split"]]
    for number in range(12):
        picture = np.full((32, 32, 3), PAPER, np.uint8)
        x = int(rng.integers(4, 24))
        picture[4:28, x : x + 3] = INK
        image.write(folder / "color" / f"{number}.png", picture)
        rows.append([f"color/{number}.png", "test" if number < 4 else "train"])
    with (folder / "meta.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def draw_examples(folder: Path) -> None:
    for number in range(3):
        lines = np.zeros((512, 512, 4), np.uint8)
        lines[100:400, 100 + 80 * number : 112 + 80 * number, 3] = 255
        image.write(folder / f"bar{number}.lines.png", lines)
        image.write(folder / f"bar{number}.colors.png", np.zeros((512, 512, 4), np.uint8))


def run(script: str, *arguments: str) -> int:
    sys.argv = [script, *arguments]
    with pytest.raises(SystemExit) as stop, contextlib.redirect_stdout(sys.stderr):
        runpy.run_path(script, run_name="__main__")
    return stop.value.code


found = {}
draw_pictures(Path("pictures"))
draw_examples(Path("examples/toy.demo"))
recipe = ["--recipe", "train/recipes/toy_demo.toml", "--data", "pictures"]
found["train"] = run(
    "train/toy.py", *recipe, "--out", "runs/toy", "--workers", "0", "--threads", "1"
)
told = ["--license", "CC0-1.0", "--data", "bars", "--recipe", "toy_demo.toml", "--size-px", "32"]
found["publish"] = publish.main(["runs/toy", "toy.demo", *told])
with contextlib.redirect_stdout(sys.stderr):
    found["evaluate"] = evaluate.main(["--all", "--data", "."])
    found["command"] = main(["toy", "--lines", "examples/toy.demo/bar0.lines.png", "-o", "out.png"])
    found["photo"] = main(["toy", "pictures/color/5.png", "-o", "photo.png", "--blur", "1"])
found["picture"] = [image.read_photo("out.png")[y, x].tolist() for y, x in ((250, 106), (9, 9))]
found["scores"] = weights.find("toy.demo").scores
found["loaded"] = weights.load("toy.demo").is_verified

blocks = page.build()
found["tabs"] = [one.label for one in blocks.blocks.values() if type(one).__name__ == "Tab"]
endpoint = next(one.fn for one in blocks.fns.values() if one.api_name == "paint_toy")
layer = base64.b64encode(Path("examples/toy.demo/bar0.lines.png").read_bytes()).decode()
answer = endpoint(lines=f"data:image/png;base64,{layer}", settings={"blur": 3})
found["endpoint"] = answer["picture"][:22]
found["examples"] = len(page.find_examples(page.EXAMPLES, [("toy", "toy.demo")]))

names = ("contract", "architecture", "readme", "examples", "manifest")
files = [*(f"tests/test_{name}.py" for name in names), "tests/train/test_recipes.py"]
chosen = "toy or table_of_all or its_licence or rows_above or every_script or card or has_a_recipe"
chosen = f"({chosen} or that_is_named) and not has_the_options"  # these start a process a script
with contextlib.redirect_stdout(sys.stderr):
    found["tests"] = pytest.main(["-q", "-p", "no:cacheprovider", "-k", chosen, *files])
print(json.dumps(found))
