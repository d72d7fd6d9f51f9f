"""Every recipe is one that its trainer takes, and every shipped weight has one."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import get_type_hints

import pytest

import train
from s2i import weights
from s2i.methods import METHODS, PARTS
from train import engine

RECIPES = sorted((Path(__file__).resolve().parents[2] / "train" / "recipes").glob("*.toml"))


def find_configs() -> dict[str, type[engine.RunConfig]]:
    """Return the settings of every trainer by the name of its method."""
    configs = {}
    for module in pkgutil.iter_modules(train.__path__, "train."):
        for found in vars(importlib.import_module(module.name)).values():
            if isinstance(found, type) and engine.Trainer in found.__bases__:
                configs[found.name] = get_type_hints(found.__init__)["config"]
    return configs


CONFIGS = find_configs()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_holds_settings_of_its_trainer(path):
    config = CONFIGS[path.stem.partition("_")[0]]
    settings = engine.read_recipe(config, path)
    assert engine.parse(config, ["--recipe", str(path)]) == config(**settings)
    assert "data" not in settings


def test_every_shipped_weight_has_a_recipe():
    names = {path.name for path in RECIPES}
    for entry in weights.entries():
        assert entry.recipe == f"{entry.name.replace('.', '_', 1)}.toml"
        assert entry.recipe in names
    assert {name.partition("_")[0] for name in names} <= {
        method.name for method in (*METHODS, *PARTS)
    }
