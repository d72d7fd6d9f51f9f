"""The manifest says the truth about the files that are shipped."""

from __future__ import annotations

import json

import pytest

from s2i import weights
from s2i.methods import METHODS, PARTS
from train import cards

MEBIBYTE = 1 << 20


def list_shipped():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("S2I_MANIFEST", raising=False)
        return weights.entries(), weights.manifest_path()


SHIPPED, MANIFEST = list_shipped()


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: entry.name)
def test_an_entry_is_what_its_file_is(entry):
    content = weights.read_verified(entry, MANIFEST.parent / "weights" / entry.file)
    method, header = weights.rebuild(content), weights.read_metadata(content)
    assert entry.file == f"{entry.name}.safetensors"
    assert entry.name.startswith(f"{entry.method}.")
    assert method.name == entry.method == header["method"]
    assert method.kwargs == json.loads(header["kwargs"])
    assert tuple(method.reads) == entry.reads
    assert sum(parameter.numel() for parameter in method.parameters()) == entry.parameters
    assert entry.license and entry.data and entry.machine and entry.size_px > 0
    assert entry.images_seen > 0 and entry.seconds > 0
    assert entry.bytes <= 16 * MEBIBYTE


def test_all_weights_together_stay_small():
    assert sum(entry.bytes for entry in SHIPPED) <= 60 * MEBIBYTE


def test_every_weight_belongs_to_a_method_and_every_file_to_an_entry():
    assert {entry.method for entry in SHIPPED} <= {method.name for method in (*METHODS, *PARTS)}
    files = {path.name for path in (MANIFEST.parent / "weights").glob("*.safetensors")}
    assert files == {entry.file for entry in SHIPPED}


def test_the_manifest_names_its_version():
    assert json.loads(MANIFEST.read_text(encoding="utf-8"))["version"] == 1


def test_every_weight_has_a_card_that_says_what_the_manifest_says():
    """The cards are made of manifest and recipes: python train/evaluate.py --all."""
    folder = MANIFEST.parent / "docs" / "cards"
    assert {path.name for path in folder.iterdir()} == {f"{entry.name}.md" for entry in SHIPPED}
    for entry in SHIPPED:
        card = cards.write_card([entry])
        assert (folder / f"{entry.name}.md").read_text(encoding="utf-8") == card, entry.name
        about = cards.read_about(entry)["card"]
        for part in ("purpose", "limits"):
            assert " ".join(about[part].split()) in card
        assert cards.LICENSES[entry.license] in card and entry.data[1:].rstrip(".") in card
        header, _, text = card.removeprefix("---\n").partition("---\n")
        told = dict(line.split(": ", 1) for line in header.splitlines() if ": " in line)
        assert told["license"] == entry.license.lower()
        assert text.count("\n## ") == 6
        assert len(about["limits"]) > 50
