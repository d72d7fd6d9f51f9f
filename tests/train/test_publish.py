"""A run becomes a weight whole or not at all, and what is pushed comes back the same."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import hub_server
import pytest

from s2i import weights
from s2i.errors import S2IError
from train import cards
from train import publish as publishing

ROOT = Path(__file__).resolve().parent.parent.parent


def snapshot(folder):
    """Return every file below ``folder`` with its content."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_entry_says_what_the_run_knows(zoo, publish_tiny):
    entry = publish_tiny(width=6)
    content = (zoo / "weights" / "tiny.demo.safetensors").read_bytes()
    assert entry.bytes == len(content)
    assert entry.sha256 == hashlib.sha256(content).hexdigest()
    assert (entry.parameters, entry.size_px, entry.reads) == (7, 128, ("lines", "colors"))
    assert (entry.images_seen, entry.seconds) == (4800, 61)
    assert entry.machine == "an abacus, 2 cores"
    assert (entry.repo_id, entry.revision, entry.scores) == ("", "", {})
    assert len(entry.commit) in (0, 40)
    assert weights.entries() == (entry,)
    assert not list(zoo.rglob("*.staged"))


def test_publishing_again_keeps_the_place_in_the_list(publish_tiny):
    for name in ("tiny.b", "tiny.a"):
        publish_tiny(name)
    entry = publish_tiny("tiny.b", bias=1)
    assert weights.entries()[0] == entry
    assert len(weights.entries()) == 2


def test_the_first_weight_of_a_new_manifest_makes_it(zoo, publish_tiny):
    (zoo / "weights_manifest.json").unlink()
    entry = publish_tiny()
    assert weights.entries() == (entry,)
    assert weights.load("tiny.demo").is_verified


def test_the_mean_of_a_run_and_of_what_it_began_with(zoo, publish_tiny):
    publish_tiny(bias=3)
    (zoo / "run").rename(zoo / "earlier")
    publish_tiny(bias=1)
    about = {"license": "CC0-1.0", "data": "Drawings of our own making."}
    entry = publishing.publish(zoo / "run", "tiny.mean", **about, average=zoo / "earlier")
    assert weights.load("tiny.mean").method.generator.bias.item() == 2
    assert entry.images_seen == 4800

    publish_tiny(width=6)
    with pytest.raises(S2IError, match="no networks of one kind"):
        publishing.publish(zoo / "run", "tiny.mean", **about, average=zoo / "earlier")


@pytest.mark.parametrize(
    "name", ["demo", "tiny.", "Tiny.demo", "other.demo", "tiny.a/b", "tiny.a.b"]
)
def test_an_unfit_name_is_one_sentence(zoo, publish_tiny, name):
    with pytest.raises(S2IError, match=r"a weight of this run is called tiny\.SOMETHING"):
        publish_tiny(name)
    assert weights.entries() == ()


@pytest.mark.parametrize("spoil", ["missing", "cut", "config"])
def test_a_run_that_cannot_be_read_is_one_sentence(zoo, publish_tiny, spoil):
    publish_tiny()
    before = snapshot(zoo / "weights"), (zoo / "weights_manifest.json").read_bytes()
    ema = zoo / "run" / "ema.safetensors"
    if spoil == "missing":
        ema.unlink()
    elif spoil == "cut":
        ema.write_bytes(ema.read_bytes()[:-1])
    else:
        (zoo / "run" / "config.json").write_text("{")
    with pytest.raises(S2IError, match=r"could not be read|not a whole safetensors"):
        publishing.publish(zoo / "run", "tiny.demo", license="x", data="x")
    assert (snapshot(zoo / "weights"), (zoo / "weights_manifest.json").read_bytes()) == before


def small_disk(folder):
    """Mount 64 KiB at ``folder`` or skip."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no mount: {error}")
    if answer.returncode:
        pytest.skip(f"can't mount a small disk: {answer.stderr.strip()}")


@pytest.mark.parametrize("unwritten", ["tiny.demo.safetensors", "weights_manifest.json"])
def test_a_full_disk_changes_nothing(zoo, publish_tiny, monkeypatch, unwritten, tmp_path):
    disk = tmp_path / "disk"
    small_disk(disk)
    try:
        monkeypatch.setenv("S2I_MANIFEST", str(disk / "weights_manifest.json"))
        first = publish_tiny()
        is_small = unwritten == "weights_manifest.json"
        if is_small:
            free = os.statvfs(disk)
            (disk / "filler").write_bytes(bytes(free.f_bavail * free.f_bsize - 4096))
        before = snapshot(disk)
        with pytest.raises(S2IError, match=rf"{unwritten}\..* \(No space left on device\)"):
            publish_tiny(width=32 if is_small else 40_000, bias=1)
        assert snapshot(disk) == before
        assert weights.load("tiny.demo").entry == first
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("failing", [1, 2])
def test_a_write_that_fails_changes_nothing(zoo, publish_tiny, monkeypatch, failing):
    publish_tiny()
    monkeypatch.setattr(publishing, "_find_commit", lambda: "")
    before = snapshot(zoo / "weights"), (zoo / "weights_manifest.json").read_bytes()
    fsync, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(S2IError, match="No space left on device"):
        publish_tiny(bias=1)
    assert len(calls) == failing
    assert (snapshot(zoo / "weights"), (zoo / "weights_manifest.json").read_bytes()) == before


def test_scores_are_added_and_replaced(publish_tiny):
    publish_tiny()
    publishing.write_scores("tiny.demo", {"lpips": 0.2, "psnr_db": 20.0})
    entry = publishing.write_scores("tiny.demo", {"lpips": 0.1})
    assert entry.scores == {"lpips": 0.1, "psnr_db": 20.0}
    assert weights.find("tiny.demo") == entry
    with pytest.raises(S2IError, match="no weight"):
        publishing.write_scores("tiny.other", {})


def test_the_card_says_what_a_stranger_asks(publish_tiny):
    publish_tiny()
    entry = publishing.write_scores("tiny.demo", {"lpips": 0.125})
    card = cards.write_card([entry])
    assert card.startswith("---\nlicense: cc0-1.0\nlibrary_name: s2i\n")
    assert "\n---\n\n# tiny.demo\n\nTiny: reads lines and colors" in card
    for text in ("Drawings of our own making.\n", "| lpips | 0.125 |", "do with it what you like"):
        assert text in card
    assert "## Limits\n" in card and entry.sha256 in card and "4,800 pictures" in card
    other = dataclasses.replace(entry, license="mine")
    assert "\nlicense: other\nlicense_name: mine\n" in cards.write_card([other])
    both = cards.write_card([entry, other])
    assert "\nlicense: other\nlibrary" in both and both.count("\n## tiny.demo\n") == 2


def test_a_published_weight_gets_its_card(zoo, publish_tiny, monkeypatch):
    publish_tiny()
    arguments = [str(zoo / "run"), "tiny.two", "--license", "MIT", "--data", "Few"]
    assert publishing.main(arguments) == 0
    folder = zoo / "docs" / "cards"
    assert not folder.exists()
    folder.mkdir(parents=True)
    recipe = zoo / "tiny_two.toml"
    recipe.write_text("width = 1\n[card]\npurpose = 'Dots.'\nlimits = '''No\n lines.'''\n")
    monkeypatch.setattr(cards, "RECIPES", zoo)
    assert publishing.main([*arguments, "--recipe", "tiny_two.toml"]) == 0
    card = (folder / "tiny.two.md").read_text()
    assert "# tiny.two\n\nDots.\n" in card and card.endswith("## Limits\n\nNo lines.\n")
    assert "## Data\n\nFew.\n" in card and "`train/recipes/tiny_two.toml`" in card


@pytest.fixture
def hub(zoo, monkeypatch, tmp_path):
    with hub_server.serve() as server:
        hub_server.use(server.url, tmp_path / "home", monkeypatch)
        monkeypatch.setenv("HF_TOKEN", "hf_not_a_real_one")
        yield server


def test_what_is_pushed_loads_from_the_hub(hub, zoo, publish_tiny):
    publish_tiny()
    bundled = zoo / "weights" / "tiny.demo.safetensors"
    content = bundled.read_bytes()
    entry = publishing.push("tiny.demo", "me/zoo")
    files = hub.repos["me/zoo"][entry.revision]
    assert files["tiny.demo.safetensors"] == content
    assert files["README.md"].decode() == cards.write_card([weights.find("tiny.demo")])
    assert list(json.loads(files["weights_manifest.json"])["weights"]) == ["tiny.demo"]
    assert weights.find("tiny.demo") == entry and entry.repo_id == "me/zoo"
    steps = ["/api/repos/create", "/preupload/main", "/objects/batch", "PUT /store/", "/verify"]
    asked = "\n".join(hub.asked)
    assert all(step in asked for step in steps) and "/commit/main" in hub.asked[-1]
    assert weights.load("tiny.demo").origin == "bundled"
    weights._loaded.clear()
    bundled.unlink()
    loaded = weights.load("tiny.demo")
    assert (loaded.origin, loaded.path.read_bytes()) == ("hub", content)


def test_a_second_weight_joins_the_first_in_card_and_manifest(hub, publish_tiny):
    for name in ("tiny.a", "tiny.b"):
        publish_tiny(name)
        entry = publishing.push(name, "me/zoo")
    files = hub.repos["me/zoo"][entry.revision]
    assert {"tiny.a.safetensors", "tiny.b.safetensors"} < set(files)
    assert list(json.loads(files["weights_manifest.json"])["weights"]) == ["tiny.a", "tiny.b"]
    assert b"## tiny.a" in files["README.md"] and b"## tiny.b" in files["README.md"]


def test_a_push_that_fails_leaves_the_manifest(hub, zoo, publish_tiny, monkeypatch):
    entry = publish_tiny()
    hub_server.use("http://127.0.0.1:9", zoo / "home", monkeypatch)
    with pytest.raises(S2IError, match=r"'tiny\.demo' could not be pushed to me/zoo"):
        publishing.push("tiny.demo", "me/zoo")
    (zoo / "weights" / entry.file).unlink()
    with pytest.raises(S2IError, match="nothing to push"):
        publishing.push("tiny.demo", "me/zoo")
    assert weights.entries() == (entry,)


def test_the_command_publishes(zoo, publish_tiny, capsys):
    publish_tiny()
    run = str(zoo / "run")
    assert publishing.main([run, "tiny.two", "--license", "MIT", "--data", "Few."]) == 0
    assert "tiny.two" in capsys.readouterr().out
    assert weights.find("tiny.two").license == "MIT"


@pytest.mark.parametrize(
    "arguments",
    [["run", "tiny.x"], ["tiny.demo"], ["nowhere", "tiny.x", "--license", "x", "--data", "x"]],
)
def test_the_command_fails_with_one_sentence(zoo, arguments, capsys):
    assert publishing.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_script_runs_from_anywhere(tmp_path):
    script = ROOT / "train" / "publish.py"
    answer = subprocess.run(
        [sys.executable, str(script), "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert answer.returncode == 0 and "--push REPO" in answer.stdout, answer.stderr
