"""CONTRIBUTING's "a new method in five steps", followed to the letter in a copy of the project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOY = ROOT / "tests" / "toy_method"
PAGES = ("README.md", "CONTRIBUTING.md", "LICENSE", "app.py", "pyproject.toml")
ROWS = (
    "| painting | `--blur` | Blur | 1 to 9 | 2 | Sigma in pixels. |",
    "| `toy.demo` | bars | bars of the test's own | CC0-1.0 | yes |",
)
IMPORT = "from s2i.methods.toy import Toy\n"
COMMAND = "python train/toy.py --data my_pictures/ --out runs/toy\n"


def insert(path: Path, after: str, text: str) -> None:
    """Write ``text`` behind the one place where ``after`` stands."""
    page = path.read_text(encoding="utf-8")
    assert page.count(after) == 1, f"'{after}' in {path.name}"
    path.write_text(page.replace(after, f"{after}{text}"), encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a copy of the project without weights, in which the toy's files were added."""
    home = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("s2i", "train", "tests", "examples", "docs", "benchmarks", ".ci"):
        shutil.copytree(ROOT / folder, home / folder, ignore=ignored)
    for name in (*PAGES, "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, home)
    for card in (home / "docs" / "cards").iterdir():
        card.unlink()
    (home / "weights").mkdir()
    (home / "weights_manifest.json").write_text('{"version": 1, "weights": {}}\n')
    shutil.copytree(TOY, home, dirs_exist_ok=True, ignore=ignored)

    methods = home / "s2i" / "methods" / "__init__.py"
    insert(methods, "from s2i.methods.sketch2img import Sketch2Img\n", IMPORT)
    insert(methods, "    Image2Sketch,\n", "    Toy,\n")
    protocols = home / "train" / "protocols" / "__init__.py"
    insert(protocols, "    sketch2img,\n", "    toy,\n")
    insert(protocols, '    "masknet": masknet,\n', '    "toy": toy,\n')
    readme = home / "README.md"
    insert(readme, "\nEnvironment variables:\n", f"\n{ROWS[0]}\n")
    insert(readme, "python train/pix2pix.py --data my_pictures/ --out runs/yardstick\n", COMMAND)
    page = readme.read_text(encoding="utf-8")
    last = next(line for line in page.splitlines() if line.startswith("| `pirec.demo` "))
    insert(readme, f"{last}\n", f"{ROWS[1]}\n")
    return home


@pytest.mark.slow
def test_a_toy_becomes_a_method_in_five_steps(project):
    """It trains, is published, loads and is scored; it has a command, a tab, an endpoint."""
    ours = ("S2I_", "PYTEST_", "COV_")
    settings = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    answer = subprocess.run(
        [sys.executable, "follow.py"],
        cwd=project,
        env=settings | {"S2I_DEVICE": "cpu", "S2I_PRECISION": "float32"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout.splitlines()[-1])
    for step in ("train", "publish", "evaluate", "command", "photo", "tests"):
        assert found[step] == 0, f"{step}:\n{answer.stderr}"
    assert found["tabs"] == ["Toy"] and found["examples"] == 3
    assert found["endpoint"] == "data:image/png;base64," and found["loaded"]
    ink, paper = found["picture"]
    assert paper[0] > ink[0] + 30, "it learned that paper is light"
    scores = found["scores"]
    assert scores["pictures"] == 4 and scores["painted.lpips"] < scores["lines.lpips"]
    assert {"painted.lpips_low", "memorised.copies"} <= scores.keys()
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert f"| LPIPS ↓ {scores['painted.lpips']:.3f} [" in readme
    assert "CONTRIBUTING's steps" in (project / "docs" / "cards" / "toy.demo.md").read_text("utf-8")
    assert (project / "photo.png").stat().st_size > 0
