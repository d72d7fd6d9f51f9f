"""What README and CONTRIBUTING say is so: commands run, files are there, no setting is left out."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from s2i import image, video, weights
from s2i.__main__ import main
from s2i.methods import METHODS
from s2i.methods.autopainter import Autopainter
from s2i.methods.base import GUESS, Choice, Control, Label, Method, Slider
from s2i.methods.contextual import Contextual
from s2i.methods.image2sketch import Image2Sketch, MaskNet
from s2i.methods.pirec import Pirec
from s2i.methods.pix2pix import Pix2pix
from s2i.methods.sketch2img import Sketch2Img
from train import cards, evaluate

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "CONTRIBUTING.md", "train/README.md")
}
README = PAGES["README.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIRST = (
    "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python app.py"
)
SECOND = ".venv/bin/pip install -r requirements-dev.txt && .venv/bin/python -m pytest"


def find_commands(start: str) -> list[str]:
    """Return the commands in all pages that begin with ``start``, each once."""
    blocks = [block for page in PAGES.values() for kind, block in BLOCK.findall(page)]
    lines = [line for block in blocks for line in block.splitlines() if line.startswith(start)]
    return list(dict.fromkeys(lines))


def read_front_matter() -> dict[str, str]:
    lines = README.split("---\n")[1].splitlines()
    return {key: value.strip('"') for key, value in (line.split(": ", 1) for line in lines)}


# -- the Space and the first two commands ----------------------------------------------------------


def test_the_front_matter_is_a_spaces():
    front = read_front_matter()
    pins = dict(
        line.split("==")
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if "==" in line
    )
    assert (front["title"], front["sdk"], front["license"]) == ("s2i", "gradio", "mit")
    assert front["sdk_version"] == pins["gradio"]
    assert front["python_version"] in ("3.11", "3.12")
    assert (ROOT / front["app_file"]).is_file()
    assert {"emoji", "colorFrom", "colorTo", "suggested_hardware"} <= front.keys()


@pytest.mark.parametrize("marker, command", [("first command", FIRST), ("second command", SECOND)])
def test_ci_reads_the_two_commands_from_the_readme(marker, command):
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    function = re.search(r"^readme_command\(\) \{.*?^\}$", script, re.MULTILINE | re.DOTALL)[0]
    answer = subprocess.run(
        ["bash", "-euc", f"{function}\nreadme_command '{marker}'"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == f"{command}\n"
    assert f'readme_command "{marker}"' in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


# -- commands --------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """Return a folder with the files that the commands name, and tiny networks as weights."""
    from train.publish import publish

    desk = tmp_path / "desk"
    desk.mkdir()
    monkeypatch.chdir(desk)
    monkeypatch.setenv("S2I_DEVICE", "cpu")
    monkeypatch.setenv("S2I_MANIFEST", str(tmp_path / "weights_manifest.json"))
    (tmp_path / "weights_manifest.json").write_text('{"version": 1, "weights": {}}')
    for name, method in {
        "pirec.faces": Pirec(width=8, size_px=128),
        "autopainter.cartoon": Autopainter(width=4, size_px=64),
        "pix2pix.fashion": Pix2pix(width=4, size_px=64),
        "contextual.faces": Contextual(width=4, latent=8, size_px=32),
        "image2sketch.pencil": Image2Sketch(width=4),
        "image2sketch.ink": Image2Sketch(width=4, style="ink"),
        "masknet.v1": MaskNet(version=1),
        "masknet.v2": MaskNet(version=2),
        "sketch2img.things": Sketch2Img(width=4, classes=["banana", "hat"]),
    }.items():
        run = weights.save(tmp_path / "ema.safetensors", method, metadata={})
        publish(run, name, license="CC0-1.0", data="nothing at all", size_px=128)
    rng = np.random.default_rng(0)
    frames = (rng.integers(0, 256, (24, 32, 3), np.uint8) for _ in range(8))
    video.write_video(desk / "clip.mp4", frames, rate=Fraction(8))
    for name in (
        "photo.jpg",
        "a.png",
        "b.png",
        "photos/a.png",
        "photos/b.jpg",
        "maps/1.png",
        "lineart/1.png",
        "sketches/1.png",
    ):
        image.write(desk / name, rng.integers(0, 256, (24, 32, 3), np.uint8))
    image.write(desk / "C.png", rng.integers(0, 256, (24, 32, 4), np.uint8))
    lines = np.full((24, 32), 255, np.uint8)
    lines[9] = 0
    image.write(desk / "L.png", lines)
    image.write(desk / "lines" / "1.png", lines)
    yield desk
    weights._loaded.clear()


@pytest.mark.parametrize("command", find_commands("python -m s2i "))
def test_a_command_of_the_command_line_runs(desk, command, capsys):
    arguments = shlex.split(command)[3:]
    assert main(arguments) == 0, capsys.readouterr().err
    if "-o" in arguments:
        out = Path(arguments[arguments.index("-o") + 1])
        assert out.is_file() or any(out.iterdir())


def find_scripts() -> dict[str, set[str]]:
    """Return every script that the pages run, with the options that they show."""
    scripts: dict[str, set[str]] = {}
    for line in find_commands("python ") + find_commands("accelerate launch "):
        words = shlex.split(line)
        script = next((word for word in words if word.endswith(".py")), None)
        if script:
            own = words[words.index(script) + 1 :]
            options = {word for word in own if word.startswith("--")}
            scripts[script] = scripts.get(script, set()) | options
    return scripts


@pytest.mark.parametrize("script, options", find_scripts().items())
def test_a_script_has_the_options_that_are_shown(script, options):
    def read_help(*words: str) -> str:
        answer = subprocess.run(
            [sys.executable, script, *words, "--help"], cwd=ROOT, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    text = read_help()
    parts = re.search(r"\{([a-z,]+)\} \.\.\.", text)
    for part in parts[1].split(",") if parts and not options <= set(find_options(text)) else ():
        text += read_help(part)
    assert options <= set(find_options(text))


def find_options(text: str) -> list[str]:
    return re.findall(r"--[a-z0-9-]+", text)


def test_the_pages_show_every_script():
    trainers = {f"train/{method.name}.py" for method in METHODS}
    assert find_scripts().keys() >= trainers | {"train/publish.py", "train/evaluate.py", "app.py"}


def test_the_app_starts_and_the_example_program_paints(desk):
    """The page answers, and README's program gets a picture of the drawing's size from it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "app.py"), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 90
        while not answers(url):
            assert server.poll() is None, server.stdout.read()
            assert time.monotonic() < deadline, "the page did not answer within 90 seconds"
            time.sleep(0.3)
        (program,) = (block for kind, block in BLOCK.findall(README) if kind == "python")
        program = program.replace("http://127.0.0.1:7860", url)
        (desk / "examples").symlink_to(ROOT / "examples")
        exec(compile(program, "README.md", "exec"), {})
        assert image.read_photo("picture.png").shape == (512, 512, 3)
    finally:
        server.terminate()
        server.wait(10)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


# -- nothing is left out, nothing is made up -------------------------------------------------------


def write_settings(method: type[Method]) -> list[str]:
    """Return the rows of the settings table that ``method`` declares."""
    rows = [write_row("painting", control) for control in method.controls]
    rows += [write_row("start from a photo", control) for control in method.start_controls]
    for action in method.actions:
        takes = str(action.photos_low)
        if action.photos_high != action.photos_low:
            takes += f" to {action.photos_high}"
        takes = {"0": "-", "1": "1 picture"}.get(takes, f"{takes} pictures")
        rows.append(f"| {action.title} | `{option(action)}` | | {takes} | | {action.help} |")
        rows += [write_row(action.title, control) for control in action.controls]
    return rows


def write_row(where: str, control: Control) -> str:
    match control:
        case Slider():
            values = f"{control.low:g} to {control.high:g}"
        case Choice():
            values = ", ".join(str(value) for value in control.options)
        case Label():
            values = f"{GUESS}, a class"
        case _:
            values = "on, off"
    default = (
        {True: "on", False: "off"}[control.default] if values == "on, off" else control.default
    )
    options = ", ".join(f"`{each}`" for each in (option(control), *control.flags))
    cells = (where, options, control.label, values, default, control.help)
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def option(declared) -> str:
    return f"--{declared.name.replace('_', '-')}"


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_setting_stands_in_the_readme_as_declared(method):
    rows = write_settings(method)
    table = "\n".join(rows)
    assert f"\n{table}\n" in README, f"README's table for {method.title} must be:\n{table}"


def test_every_weight_stands_in_the_readme_with_its_licence(monkeypatch):
    monkeypatch.delenv("S2I_MANIFEST", raising=False)
    for entry in weights.entries():
        rows = [line for line in README.splitlines() if line.startswith(f"| `{entry.name}` |")]
        assert len(rows) == 1, f"one row for {entry.name}"
        assert f" {entry.license} " in rows[0]


def test_the_table_of_all_weights_is_the_manifests(monkeypatch):
    monkeypatch.delenv("S2I_MANIFEST", raising=False)
    (table,) = re.findall(r"<!-- scores:all -->\n(.*?)\n<!-- end -->", README, re.DOTALL)
    assert table == cards.write_overview(weights.entries()), "python train/evaluate.py --all"


def test_every_score_is_measured_as_the_recipe_says(monkeypatch):
    """README's own commands and those of ``--all`` ask the same."""
    monkeypatch.delenv("S2I_MANIFEST", raising=False)
    parser, shown = evaluate._make_parser(), {}
    for line in find_commands("python train/evaluate.py "):
        options = parser.parse_args(shlex.split(line)[2:])
        if options.write_manifest and README.count(line):
            shown[options.weights[0]] = options
    assert shown.keys() >= {e.name for e in weights.entries()} - {"masknet.v1"}
    monkeypatch.setattr(evaluate, "_find_source", lambda name, folder: name)
    for name, options in shown.items():
        told = parser.parse_args(evaluate.read_scored(weights.find(name), Path()))
        told.out, told.write_manifest = options.out, True
        assert told == options, name


def test_every_environment_variable_stands_in_the_readme():
    files = [
        ROOT / "app.py",
        *(f for d in ("s2i", "train", "tests") for f in ROOT.glob(f"{d}/**/*.py")),
    ]
    used = {name for f in files for name in re.findall(r"\bS2I_[A-Z_]+\b", f.read_text("utf-8"))}
    shown = set(re.findall(r"^\| `(S2I_[A-Z_]+)` \|", README, re.MULTILINE))
    assert used == shown


@pytest.mark.parametrize("name", PAGES)
def test_every_file_that_is_named_is_there(name):
    text = re.sub(r"<!--.*?-->", "", PAGES[name], flags=re.DOTALL)
    links = [(ROOT / name).parent / link for link in re.findall(r"\]\(((?!http)[^)#]+)\)", text)]
    quoted = re.findall(r"`([\w./-]+)`", BLOCK.sub("", text))
    tops = ("s2i/", "train/", "tests/", "benchmarks/", "examples/", ".ci/")
    paths = [ROOT / path for path in quoted if path.startswith(tops) and path == path.lower()]
    scripts = [ROOT / path for path in find_scripts()] if name == "README.md" else []
    missing = [str(path) for path in (*links, *paths, *scripts) if not path.exists()]
    assert missing == []
