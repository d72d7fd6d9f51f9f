"""Who may import whom: a module imports only from rows above its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROWS = (
    ("s2i.errors",),
    ("s2i.image",),
    (
        "s2i.backends",
        "s2i.edges",
        "s2i.palette",
        "s2i.vectorize",
        "s2i.layers",
        "s2i.metrics",
        "s2i.video",
    ),
    ("s2i.methods.base",),
    ("s2i.methods.*",),
    ("s2i.methods",),
    ("s2i.weights",),
    (
        "s2i.ui",
        "s2i.ui.*",
        "s2i.__main__",
        "train.hands",
        "train.photos",
        "train.scenes",
    ),
    ("train.data", "train.losses", "train.muon", "train.posterior"),
    ("train.critics", "train.engine", "train.protocols.base"),
    ("train.protocols.*",),
    ("train.protocols",),
    ("train.cards",),
    ("train.publish",),
    ("train.*",),
    ("train.prepare", "train.evaluate"),
    ("app",),
)
HOMES = {
    "gradio": ("s2i.ui", "app"),
    "accelerate": ("train",),
    "huggingface_hub": ("s2i.weights", "train.publish"),
}
LATE = {"torchvision", "timm", "lpips", "torchmetrics", "openvino"}


def find_row(module: str) -> int:
    """Return the number of a module's row; a plain name counts before a pattern."""
    rows = {name: row for row, names in enumerate(ROWS) for name in names}
    assert module in rows or f"{module.rpartition('.')[0]}.*" in rows, f"{module} has no row"
    return rows.get(module, rows.get(f"{module.rpartition('.')[0]}.*"))


def find_imports(tree: ast.AST, module: str, modules: dict[str, Path]) -> set[str]:
    """Return the modules that ``tree`` imports, relative ones by their full names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            is_package = modules[module].name == "__init__.py"
            parts = module.split(".")
            base = parts[: len(parts) - node.level + is_package] if node.level else []
            base = ".".join([*base, *filter(None, [node.module])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else base for name in names}
    return found


def find_breaches(root: Path) -> list[str]:
    """Return every import below ``root`` that breaks a rule, as a line of text."""
    files = [*root.glob("app.py"), *root.glob("s2i/**/*.py"), *root.glob("train/**/*.py")]
    modules = {}
    for file in files:
        name = ".".join(file.relative_to(root).with_suffix("").parts)
        modules[name.removesuffix(".__init__")] = file
    breaches = []
    for module, file in modules.items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for name in find_imports(tree, module, modules) - {module}:
            top = name.partition(".")[0]
            if top in ("s2i", "train", "app"):
                is_inside_ui = name.startswith("s2i.ui") and module.startswith("s2i.ui")
                is_fine = name in modules and (is_inside_ui or find_row(name) < find_row(module))
                is_fine &= not (top == "train" and module.startswith("s2i"))
                is_fine &= not (
                    module.startswith("train") and name.startswith(("s2i.ui", "s2i.__main__"))
                )
            else:
                homes = HOMES.get(top, (module,))
                is_fine = any(module == home or module.startswith(f"{home}.") for home in homes)
            if not is_fine:
                breaches.append(f"{module} imports {name}")
        if module.startswith("s2i"):
            body = ast.Module([n for n in tree.body if "import" in type(n).__name__.lower()], [])
            early = {name.partition(".")[0] for name in find_imports(body, module, modules)} & LATE
            breaches += [f"{module} imports {name} early" for name in early]
    return sorted(breaches)


def test_every_module_imports_only_from_rows_above_its_own():
    assert find_breaches(ROOT) == []


SOUND = {
    "s2i/__init__.py": "",
    "s2i/errors.py": "import os",
    "s2i/image.py": "from s2i.errors import S2IError",
    "s2i/edges.py": "from s2i import image\nfrom .errors import S2IError",
    "s2i/metrics.py": "def late():\n    import lpips",
    "s2i/methods/__init__.py": "from s2i.methods.one import One\nfrom . import base",
    "s2i/methods/base.py": "from ..errors import S2IError",
    "s2i/methods/one.py": "from s2i.methods.base import Method",
    "s2i/methods/two.py": "",
    "s2i/weights.py": "import huggingface_hub\nfrom s2i.methods import METHODS",
    "s2i/ui/__init__.py": "",
    "s2i/ui/page.py": "import gradio as gr\nfrom s2i.ui.pad import Pad\nfrom . import pad",
    "s2i/ui/pad.py": "from s2i import weights",
    "s2i/__main__.py": "from s2i import weights",
    "train/__init__.py": "",
    "train/publish.py": "import s2i.weights\nfrom huggingface_hub import HfApi",
    "train/engine.py": "import accelerate",
    "train/one.py": "from train import engine\nfrom train.publish import publish",
    "train/evaluate.py": "from train.one import main",
    "app.py": "from s2i.ui.page import build",
}


@pytest.mark.parametrize(
    "file, line, breach",
    [
        ("s2i/image.py", "import s2i.edges", "s2i.image imports s2i.edges"),
        ("s2i/errors.py", "from . import image", "s2i.errors imports s2i.image"),
        ("s2i/edges.py", "from .metrics import x", "s2i.edges imports s2i.metrics"),
        ("s2i/methods/one.py", "from .two import Two", "s2i.methods.one imports s2i.methods.two"),
        ("s2i/methods/one.py", "from .. import weights", "s2i.methods.one imports s2i.weights"),
        ("s2i/methods/one.py", "from . import METHODS", "s2i.methods.one imports s2i.methods"),
        ("s2i/methods/base.py", "import gradio.events", "s2i.methods.base imports gradio.events"),
        ("s2i/weights.py", "def f():\n    import train.engine", "s2i.weights imports train.engine"),
        ("s2i/weights.py", "from accelerate import A", "s2i.weights imports accelerate"),
        ("s2i/__main__.py", "from .ui import pad", "s2i.__main__ imports s2i.ui.pad"),
        ("s2i/__main__.py", "import train.publish", "s2i.__main__ imports train.publish"),
        ("s2i/ui/pad.py", "import huggingface_hub", "s2i.ui.pad imports huggingface_hub"),
        ("s2i/metrics.py", "import lpips", "s2i.metrics imports lpips early"),
        ("train/engine.py", "from .one import x", "train.engine imports train.one"),
        ("train/one.py", "from s2i.ui import page", "train.one imports s2i.ui.page"),
        ("train/one.py", "from train import evaluate", "train.one imports train.evaluate"),
        ("app.py", "import s2i.missing", "app imports s2i.missing"),
    ],
)
def test_a_planted_breach_is_caught(tmp_path, file, line, breach):
    for name, text in SOUND.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert find_breaches(tmp_path) == []
    (tmp_path / file).write_text(f"{SOUND[file]}\n{line}")
    assert find_breaches(tmp_path) == [breach]
