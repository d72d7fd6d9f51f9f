"""Every recipe is one that its trainer takes, and every shipped weight has one."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from s2i import weights
from s2i.methods import METHODS, PARTS
from train import engine

RECIPES = sorted((Path(__file__).resolve().parents[2] / "train" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_holds_settings_of_its_trainer(path):
    name = path.stem.partition("_")[0]
    trainer = importlib.import_module(f"train.{name}")
    (config,) = (
        found
        for found in vars(trainer).values()
        if isinstance(found, type)
        and issubclass(found, engine.RunConfig)
        and found.__module__ == trainer.__name__
    )
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
