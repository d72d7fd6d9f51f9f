"""Turn the end of a training run into a weight that the app offers, and upload it to the Hub.

    python train/publish.py runs/faces pirec.faces --license CC0-1.0 --data "12,000 faces"
    python train/publish.py pirec.faces --push me/zoo

The first line reads ``runs/faces/ema.safetensors`` (float32, header: ``method``, ``kwargs``,
``images_seen``, ``seconds``, ``recipe``), ``config.json`` and ``summary.json`` beside it, writes
``weights/pirec.faces.safetensors`` in fp16, the manifest's entry and a model card in
``docs/cards`` (:mod:`train.cards`). The second uploads a weight that is in the manifest, with its
card, and records the commit that holds it. Both at once work too.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from s2i import weights
from s2i.errors import S2IError
from s2i.image import write_bytes
from s2i.methods.base import Method
from s2i.weights import Entry
from train import cards


def publish(
    run: str | os.PathLike,
    name: str,
    *,
    license: str,
    data: str,
    recipe: str = "",
    size_px: int = 0,
    machine: str = "",
    scores: dict[str, Any] | None = None,
    average: str | os.PathLike | None = None,
) -> Entry:
    """Write a run's averaged networks as the weight ``name`` and return its manifest entry.

    A weight of that name is replaced and keeps its place in the list. Both files are written in
    full beside the old ones before either takes its place, so a full disk changes nothing.

    Args:
        run: a run's folder, or the path of its ``ema.safetensors``.
        name: ``method.what_it_paints``.
        license: of the weight, as an SPDX name where there is one.
        data: one sentence on the pictures it was trained on.
        recipe: where the run does not say it.
        size_px: where the run does not say it.
        machine: where the run does not say it.
        scores: name to number.
        average: a run that this one began with: the mean of both is published (Wortsman et al.,
            "Robust fine-tuning of zero-shot models", CVPR 2022).

    Raises:
        S2IError: a run is not readable, both are not of one network, the name is not fit, or the
            files can't be written.
    """
    path, content, method = _read_run(run)
    if average is not None:
        other_path, _, other = _read_run(average)
        if (other.name, other.kwargs) != (method.name, method.kwargs):
            raise S2IError(f"'{path}' and '{other_path}' hold no networks of one kind.")
        theirs = other.state_dict()
        means = {key: (value + theirs[key]) / 2 for key, value in method.state_dict().items()}
        method.load_state_dict(means)
    if not weights.NAME_PATTERN.fullmatch(name) or not name.startswith(f"{method.name}."):
        raise S2IError(
            f"a weight of this run is called {method.name}.SOMETHING, in small letters, digits, "
            f"'_' and '-'; got '{name}'."
        )
    metadata = weights.read_metadata(content)
    config, summary = (
        _read_json(path.parent / "config.json"),
        _read_json(path.parent / "summary.json"),
    )
    recipe = recipe or metadata.get("recipe") or config.get("recipe") or ""
    file = f"{name}.safetensors"
    target = weights.place(weights.weights_folder(), file)
    manifest = weights.manifest_path()
    staged = target.with_name(f".{file}.staged")
    staged_manifest = manifest.with_name(f".{manifest.name}.staged")
    try:
        history = {key: metadata.get(key) or "0" for key in ("images_seen", "seconds")}
        about = {"recipe": recipe, "license": license, "data": data, **history}
        weights.save(staged, method, metadata=about)
        published = staged.read_bytes()
        entry = Entry(
            name=name,
            method=method.name,
            file=file,
            bytes=len(published),
            sha256=hashlib.sha256(published).hexdigest(),
            parameters=sum(parameter.numel() for parameter in method.parameters()),
            size_px=size_px or int(config.get("size_px") or 0),
            reads=tuple(method.reads),
            license=license,
            data=data,
            recipe=recipe,
            commit=_find_commit(),
            images_seen=int(float(history["images_seen"])),
            seconds=round(float(history["seconds"]), 1),
            machine=machine or str(summary.get("machine") or ""),
            scores=scores or {},
        )
        write_bytes(staged_manifest, _encode_manifest(_with(entry)))
        os.replace(staged, target)
        os.replace(staged_manifest, manifest)
    except OSError as error:
        raise S2IError(f"'{target}' could not be written ({error.strerror}).") from None
    finally:
        staged.unlink(missing_ok=True)
        staged_manifest.unlink(missing_ok=True)
    return entry


def _read_run(run: str | os.PathLike) -> tuple[Path, bytes, Method]:
    path = Path(run)
    path = path / "ema.safetensors" if path.is_dir() else path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise S2IError(f"the run's '{path}' could not be read ({error.strerror}).") from None
    return path, content, weights.rebuild(content, label=f"'{path}'")


def write_scores(name: str, scores: dict[str, Any]) -> Entry:
    """Add ``scores`` to the manifest's entry ``name``, in place of those of the same name.

    Raises:
        S2IError: there is no such entry, or the manifest can't be written.
    """
    known = weights.find(name)
    entry = dataclasses.replace(known, scores={**known.scores, **scores})
    write_bytes(weights.manifest_path(), _encode_manifest(_with(entry)))
    return entry


def push(name: str, repo_id: str) -> Entry:
    """Upload the weight ``name``, a model card and its manifest entry; return the new entry.

    One commit. The card and the manifest in the repository also cover the weights that were
    pushed there before.

    Raises:
        S2IError: no such weight, no local file of its hash, or the Hub refuses or can't be reached.
    """
    entry = weights.find(name)
    found = weights.find_local(entry)
    if found is None:
        raise S2IError(f"'{entry.file}' is not on this machine: there is nothing to push.")
    together = [
        dataclasses.replace(other, repo_id="", revision="")
        for other in weights.entries()
        if other.name == name or other.repo_id == repo_id
    ]
    from huggingface_hub import CommitOperationAdd, HfApi

    additions = {
        entry.file: weights.read_verified(entry, found[1]),
        "README.md": cards.write_card(together).encode(),
        "weights_manifest.json": _encode_manifest(together),
    }
    try:
        hub = HfApi()
        hub.create_repo(repo_id, exist_ok=True)
        commit = hub.create_commit(
            repo_id,
            [
                CommitOperationAdd(path_in_repo=path, path_or_fileobj=content)
                for path, content in additions.items()
            ],
            commit_message=f"Publish {name}",
        )
    except Exception as error:  # the transport's own exceptions come through unwrapped
        reason = str(error).split("\n")[0] or type(error).__name__
        raise S2IError(f"'{name}' could not be pushed to {repo_id} ({reason}).") from None
    entry = dataclasses.replace(entry, repo_id=repo_id, revision=commit.oid)
    write_bytes(weights.manifest_path(), _encode_manifest(_with(entry)))
    return entry


def _with(entry: Entry) -> list[Entry]:
    """Return the manifest's entries with ``entry`` in the place of its namesake, or at the end."""
    known = weights.entries() if weights.manifest_path().exists() else ()
    return list({**{other.name: other for other in known}, entry.name: entry}.values())


def _encode_manifest(entries: Sequence[Entry]) -> bytes:
    listed = {entry.name: dataclasses.asdict(entry) for entry in entries}
    for fields in listed.values():
        del fields["name"]
    content = {"version": 1, "weights": listed}
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object in a run's file, empty where there is no such file."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise S2IError(f"the run's '{path}' could not be read ({error}).") from None


def _find_commit() -> str:
    """Return the commit of the code that runs, empty outside of a git checkout."""
    root = Path(__file__).resolve().parent.parent
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True
        )
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python train/publish.py",
        description="Publish a training run as a weight of the app, or push one to the Hub.",
        epilog="python train/publish.py runs/faces pirec.faces --license CC0-1.0 --data '...'",
    )
    parser.add_argument("run", nargs="?", help="a run's folder, or its ema.safetensors")
    parser.add_argument("name", help="method.what_it_paints, as in pirec.faces")
    parser.add_argument("--license", help="of the weight, as in CC0-1.0")
    parser.add_argument("--data", help="one sentence on the pictures it was trained on")
    parser.add_argument("--recipe", default="", help="where the run does not say it")
    parser.add_argument("--size-px", type=int, default=0, help="where the run does not say it")
    parser.add_argument("--machine", default="", help="where the run does not say it")
    parser.add_argument(
        "--average", metavar="RUN", help="that this one began with: the mean of both is published"
    )
    parser.add_argument("--push", metavar="REPO", help="upload to this Hub repository")
    options = parser.parse_args(arguments)
    try:
        if options.run:
            if not options.license or not options.data:
                raise S2IError("a new weight needs --license and --data: nobody can guess them.")
            entry = publish(
                options.run,
                options.name,
                license=options.license,
                data=options.data,
                recipe=options.recipe,
                size_px=options.size_px,
                machine=options.machine,
                average=options.average,
            )
            print(f"{entry.name}: {entry.bytes:,} bytes, {entry.parameters:,} parameters")
            cards.write_page(entry)
        elif not options.push:
            raise S2IError("nothing to do: name a RUN to publish, or a REPO to --push to.")
        if options.push:
            entry = push(options.name, options.push)
            print(f"{entry.name}: {entry.repo_id} at {entry.revision}")
    except S2IError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
