"""Names to files to hashes to methods; every way that can fail is one sentence."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import hub_server
import huggingface_hub.constants
import pytest
import safetensors.torch
import tiny
import torch

from s2i import weights
from s2i.errors import S2IError
from train.publish import _encode_manifest

ROOT = Path(__file__).resolve().parent.parent


def rewrite(zoo, entry, **changes):
    """Put ``entry`` with ``changes`` alone into the manifest and return it."""
    content = json.loads(_encode_manifest([entry]))
    content["weights"][entry.name] |= changes
    (zoo / "weights_manifest.json").write_text(json.dumps(content))
    return content


def test_a_published_weight_loads_verified_from_the_bundled_folder(zoo, publish_tiny):
    entry = publish_tiny(width=6, bias=0.25)
    loaded = weights.load("tiny.demo")
    assert (loaded.origin, loaded.is_verified, loaded.entry) == ("bundled", True, entry)
    assert loaded.path == zoo / "weights" / "tiny.demo.safetensors"
    assert loaded.method.kwargs == {"width": 6}
    assert loaded.method.generator.bias.item() == 0.25
    assert loaded.method.generator.weight.dtype == torch.float32
    assert not loaded.method.training
    assert not any(p.requires_grad for p in loaded.method.parameters())


def test_the_same_weight_is_loaded_once(publish_tiny):
    publish_tiny()
    assert weights.load("tiny.demo") is weights.load("tiny.demo")


def test_a_weight_published_anew_is_loaded_anew(publish_tiny):
    publish_tiny()
    first = weights.load("tiny.demo")
    publish_tiny(bias=1)
    assert weights.load("tiny.demo").method.generator.bias.item() == 1
    assert first.method.generator.bias.item() == 0


def test_threads_that_want_one_weight_load_it_once(publish_tiny, monkeypatch):
    publish_tiny()
    rebuild, calls, gate = weights.rebuild, [], threading.Event()

    def slow(content, **options):
        calls.append(1)
        gate.wait(5)
        return rebuild(content, **options)

    monkeypatch.setattr(weights, "rebuild", slow)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(weights.load("tiny.demo"))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert len(calls) == 1 and len(found) == 6 and len({id(one) for one in found}) == 1


def test_a_failed_load_is_not_remembered(zoo, publish_tiny):
    publish_tiny()
    path = zoo / "weights" / "tiny.demo.safetensors"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(S2IError, match="missing"):
        weights.load("tiny.demo")
    path.write_bytes(content)
    assert weights.load("tiny.demo").is_verified


def test_only_the_last_few_are_kept(publish_tiny, monkeypatch):
    monkeypatch.setattr(weights, "MAX_LOADED", 2)
    for name in "abc":
        publish_tiny(f"tiny.{name}")
    first = weights.load("tiny.a")
    weights.load("tiny.b")
    assert weights.load("tiny.a") is first
    weights.load("tiny.c")
    assert weights.load("tiny.a") is first
    assert len(weights._loaded) == 2


def test_the_folder_of_the_user_wins_and_is_checked_too(zoo, publish_tiny, monkeypatch, tmp_path):
    publish_tiny()
    source = zoo / "weights" / "tiny.demo.safetensors"
    own = tmp_path / "own"
    own.mkdir()
    (own / source.name).write_bytes(source.read_bytes())
    monkeypatch.setenv("S2I_WEIGHTS", str(own))
    loaded = weights.load("tiny.demo")
    assert (loaded.origin, loaded.path) == ("folder", own / source.name)
    weights._loaded.clear()
    (own / source.name).write_bytes(source.read_bytes()[:-1] + b"\1")
    with pytest.raises(S2IError, match="is not the file that was published"):
        weights.load("tiny.demo")


def test_a_bare_file_loads_unverified(zoo, publish_tiny):
    publish_tiny()
    path = zoo / "weights" / "tiny.demo.safetensors"
    loaded = weights.load(path)
    assert (loaded.name, loaded.origin, loaded.is_verified) == ("tiny.demo", "file", False)
    assert loaded.entry is None


def test_unknown_names_name_the_known_ones(publish_tiny):
    publish_tiny()
    with pytest.raises(S2IError, match=r"no weight 'tiny\.x'; there are: tiny\.demo\."):
        weights.load("tiny.x")
    with pytest.raises(S2IError, match=r"'.*nowhere\.safetensors' could not be read"):
        weights.load("nowhere.safetensors")


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"sha256": "0" * 64}, "is not the file that was published"),
        ({"bytes": 7}, "was published with 7: delete it"),
        ({"file": "../tiny.demo.safetensors"}, "not a plain .safetensors name"),
        ({"file": "/etc/tiny.demo.safetensors"}, "not a plain .safetensors name"),
        ({"file": "..\\tiny.demo.safetensors"}, "not a plain .safetensors name"),
        ({"file": "C:tiny.demo.safetensors"}, "not a plain .safetensors name"),
        ({"file": "a/../../tiny.safetensors"}, "not a plain .safetensors name"),
        ({"file": "tiny.pth"}, "not a plain .safetensors name"),
        ({"file": "link/tiny.safetensors"}, "not a plain .safetensors name"),
        ({"file": "elsewhere.safetensors"}, "is missing: put it into"),
        ({"method": "other"}, "holds tiny, the manifest says other"),
        ({"sha256": "abc"}, "unusable sha256"),
        ({"bytes": "many"}, "unusable bytes"),
        ({"repo_id": "me/zoo"}, "unusable revision"),
        ({"colour": 1}, "could not be read"),
    ],
)
def test_a_bad_entry_is_one_sentence(zoo, publish_tiny, tmp_path, change, sentence):
    entry = publish_tiny()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "tiny.safetensors").write_bytes(b"secret")
    (zoo / "weights" / "link").symlink_to(outside)
    rewrite(zoo, entry, **change)
    with pytest.raises(S2IError, match=sentence) as caught:
        weights.load("tiny.demo")
    assert "\n" not in str(caught.value)
    assert not weights._loaded


@pytest.mark.parametrize("text", ["", "{", "[]", '{"weights": 3}', '{"weights": {"a.b": 3}}'])
def test_a_bad_manifest_is_one_sentence(zoo, text):
    (zoo / "weights_manifest.json").write_text(text)
    with pytest.raises(S2IError, match="could not be read"):
        weights.entries()


def test_a_missing_manifest_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("S2I_MANIFEST", str(tmp_path / "none.json"))
    with pytest.raises(S2IError, match="check S2I_MANIFEST"):
        weights.entries()


def test_entries_keep_their_order_and_are_chosen_by_method(publish_tiny):
    for name in ("tiny.z", "tiny.a"):
        publish_tiny(name)
    assert [entry.name for entry in weights.entries()] == ["tiny.z", "tiny.a"]
    assert weights.entries("tiny") == weights.entries()
    assert weights.entries("other") == ()


def broken_files():
    tensors = {"generator.weight": torch.ones(1, 4), "generator.bias": torch.ones(1)}
    header = {"method": "tiny", "kwargs": '{"width": 4}'}
    whole = safetensors.torch.save(tensors, metadata=header)

    def with_header(**changes):
        return safetensors.torch.save(tensors, metadata={**header, **changes})

    return {
        "empty": (b"", "not a whole safetensors file"),
        "text": (b"hello, this is no weight", "not a whole safetensors file"),
        "cut": (whole[:-3], "not a whole safetensors file"),
        "cut in the header": (whole[:40], "not a whole safetensors file"),
        "huge header": (b"\xff" * 8 + whole[8:], "not a whole safetensors file"),
        "no metadata": (safetensors.torch.save(tensors), "does not say which method"),
        "kwargs no JSON": (with_header(kwargs="{"), "does not say which method"),
        "kwargs no object": (with_header(kwargs="[4]"), "does not say which method"),
        "other method": (with_header(method="other"), "no method 'other'; there are: tiny"),
        "other kwargs": (with_header(kwargs='{"height": 4}'), "does not fit Tiny"),
        "silly kwargs": (with_header(kwargs='{"width": -4}'), "does not fit Tiny"),
        "other shape": (
            with_header(kwargs='{"width": 5}'),
            "1 of its 2 tensors .* 'generator.weight' is",
        ),
        "too little": (
            safetensors.torch.save({"generator.bias": torch.ones(1)}, metadata=header),
            "does not fit Tiny",
        ),
        "too much": (
            safetensors.torch.save({**tensors, "critic.bias": torch.ones(1)}, metadata=header),
            "does not fit Tiny",
        ),
    }


@pytest.mark.parametrize("kind", broken_files())
def test_a_broken_file_is_one_sentence(zoo, kind):
    content, sentence = broken_files()[kind]
    path = zoo / "some.safetensors"
    path.write_bytes(content)
    with pytest.raises(S2IError, match=sentence) as caught:
        weights.load(path)
    assert "\n" not in str(caught.value)


def test_saving_rounds_to_half_and_keeps_what_rebuilds(zoo):
    method = tiny.Tiny(width=5)
    method.generator.weight.data.fill_(1 / 3)
    path = weights.save(zoo / "x.safetensors", method, metadata={"recipe": "r.toml"})
    content = path.read_bytes()
    tensors = safetensors.torch.load(content)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    header = weights.read_metadata(content)
    assert header == {
        "format": "pt",
        "recipe": "r.toml",
        "method": "tiny",
        "kwargs": '{"width": 5}',
    }
    again = weights.rebuild(content)
    assert torch.equal(again.generator.weight, torch.full((1, 5), 1 / 3).half().float())


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_saving_refuses_what_half_precision_cannot_hold(zoo, value):
    method = tiny.Tiny()
    method.generator.bias.data.fill_(value)
    with pytest.raises(S2IError, match=r"'generator\.bias' holds values"):
        weights.save(zoo / "x.safetensors", method, metadata={})
    assert not (zoo / "x.safetensors").exists()


def test_the_device_is_the_asked_one_or_a_sentence(monkeypatch):
    monkeypatch.setenv("S2I_DEVICE", "cpu")
    assert weights.pick_device() == torch.device("cpu")
    for name in ("potato", "cuda:99"):
        with pytest.raises(S2IError, match=f"'{name}' can't be used here"):
            weights.pick_device(name)


@pytest.mark.parametrize("is_fast", [True, False])
def test_the_precision_follows_the_machine(monkeypatch, is_fast):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: is_fast, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    kind = torch.bfloat16 if is_fast else torch.float32
    assert weights.pick_dtype(torch.device("cpu")) is kind


def test_the_precision_follows_the_setting(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setenv("S2I_PRECISION", "bfloat16")
    assert weights.pick_dtype(cpu) is torch.bfloat16
    with weights.inference(cpu):
        assert torch.is_inference_mode_enabled()
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype is torch.bfloat16
    monkeypatch.setenv("S2I_PRECISION", "half")
    with pytest.raises(S2IError, match="S2I_PRECISION must be one of"):
        weights.pick_dtype(cpu)


@pytest.fixture
def hub(zoo, publish_tiny, monkeypatch, tmp_path):
    """Return a running Hub that holds tiny.demo, which lies nowhere else."""
    with hub_server.serve() as server:
        hub_server.use(server.url, tmp_path / "home", monkeypatch)
        entry = publish_tiny()
        path = zoo / "weights" / entry.file
        server.file = path.read_bytes()
        revision = server.commit("me/zoo", {entry.file: server.file})
        path.unlink()
        rewrite(zoo, entry, repo_id="me/zoo", revision=revision)
        server.entry = weights.find("tiny.demo")
        yield server


def test_the_first_load_downloads_and_the_second_asks_nobody(hub):
    progress = []
    assert weights.find_local(hub.entry) is None
    loaded = weights.load("tiny.demo", on_progress=lambda *done: progress.append(done))
    assert (loaded.origin, loaded.is_verified) == ("hub", True)
    assert loaded.path.read_bytes() == hub.file
    assert progress[-1] == (len(hub.file), len(hub.file))
    weights._loaded.clear()
    hub.asked.clear()
    again = weights.load("tiny.demo")
    assert (again.origin, again.path) == ("cache", loaded.path)
    assert hub.asked == []
    assert weights.find_local(hub.entry) == ("cache", loaded.path)


def test_a_bundled_copy_asks_nobody(hub, zoo):
    (zoo / "weights" / hub.entry.file).write_bytes(hub.file)
    assert weights.load("tiny.demo").origin == "bundled"
    assert hub.asked == []


def test_offline_is_one_sentence_and_the_cache_still_works(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(S2IError, match="switched off or out of reach"):
        weights.load("tiny.demo")
    assert hub.asked == []
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    weights.load("tiny.demo")
    weights._loaded.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert weights.load("tiny.demo").origin == "cache"


def test_a_hub_out_of_reach_is_one_quick_sentence(hub, monkeypatch, tmp_path):
    hub_server.use("http://127.0.0.1:9", tmp_path / "home", monkeypatch)
    with pytest.raises(S2IError, match=r"could not be downloaded .*: try again"):
        weights.load("tiny.demo")


@pytest.mark.parametrize("missing", ["repository", "revision", "file"])
def test_what_the_hub_does_not_hold_is_one_sentence(hub, zoo, missing):
    other = {
        "repository": {"repo_id": "me/other"},
        "revision": {"revision": "0" * 40},
        "file": {"file": "other.safetensors"},
    }
    rewrite(zoo, hub.entry, **other[missing])
    with pytest.raises(S2IError, match="does not exist at revision"):
        weights.load("tiny.demo")


def test_other_bytes_of_the_right_length_are_refused(hub):
    hub.corrupts = True
    with pytest.raises(S2IError, match="is not the file that was published"):
        weights.load("tiny.demo")
    assert not weights._loaded


def test_a_file_of_another_size_is_not_even_downloaded(hub, zoo):
    rewrite(zoo, hub.entry, bytes=5)
    with pytest.raises(S2IError, match="the manifest says 5"):
        weights.load("tiny.demo")
    assert not [line for line in hub.asked if line.startswith("GET")]


def test_a_dropped_connection_leaves_nothing_that_would_be_used(hub, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.breaks_after = 100
    with pytest.raises(S2IError, match="could not be downloaded"):
        weights.load("tiny.demo")
    assert weights.find_local(hub.entry) is None
    hub.breaks_after = None
    assert weights.load("tiny.demo").origin == "hub"


def test_a_cache_that_cannot_be_written_is_one_sentence(hub, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(S2IError, match="set HF_HOME to a folder that can be written"):
        weights.load("tiny.demo")


def test_the_hub_of_the_environment_is_asked(hub, zoo, tmp_path):
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "import tiny; from s2i import methods, weights\n"
        "methods.METHODS = (tiny.Tiny,)\n"
        "print(weights.load('tiny.demo').origin)"
    )
    home = tmp_path / "fresh"
    environment = {**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": hub.url}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert answer.stdout == "hub\n", answer.stderr
    assert {line.split(" ", 1)[1] for line in hub.asked} == {
        f"/me/zoo/resolve/{hub.entry.revision}/tiny.demo.safetensors"
    }
    assert list(home.rglob("tiny.demo.safetensors"))


def test_an_entry_cannot_be_changed(publish_tiny):
    with pytest.raises(dataclasses.FrozenInstanceError):
        publish_tiny().name = "other"


def test_the_classes_of_a_weight_are_read_from_its_header(zoo, monkeypatch):
    from s2i.methods.base import Method

    class Sorter(Method):
        name, title, reads = "sorter", "Sorter", ("lines",)

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.scale = torch.nn.Parameter(torch.ones(2))

    file = zoo / "weights" / "sorter.demo.safetensors"
    fields = {"method": "sorter", "file": file.name, "bytes": 9, "sha256": 64 * "0"}
    manifest = {"version": 1, "weights": {"sorter.demo": fields}}
    (zoo / "weights_manifest.json").write_text(json.dumps(manifest))
    assert weights.find_classes("sorter.demo") == ()  # it is not here
    for kwargs, wanted in (
        ({"classes": ["pear", "bell pepper"]}, ("pear", "bell pepper")),
        ({}, ()),
        ({"classes": None}, ()),
        ({"classes": 3}, ()),
        ({"classes": ["pear", 3, None]}, ("pear",)),
    ):
        weights.save(file, Sorter(**kwargs), metadata={})
        assert weights.find_classes("sorter.demo") == wanted
    for content in (b"", b"abc", 8 * b"\xff", (9).to_bytes(8, "little") + b'{"a": [1}'):
        file.write_bytes(content)
        assert weights.find_classes("sorter.demo") == ()
    with pytest.raises(S2IError, match=r"no weight 'sorter\.none'"):
        weights.find_classes("sorter.none")
