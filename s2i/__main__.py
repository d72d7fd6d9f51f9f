"""The command line, made from what the methods declare.

    python -m s2i list
    python -m s2i METHOD PHOTO_OR_FOLDER -o OUT
    python -m s2i METHOD --lines L.png --colors C.png -o OUT.png

A photo is turned into a drawing first, where the method reads drawings. A folder in is a folder
out under the same names; files that can't be painted are reported and skipped. One of ``--lines``
and ``--colors`` may be a folder, the other one then goes with each of its files; of two folders,
files of the same name belong together. Where the method reads photos, a video becomes a video of
its first pictures; ``--start``, ``--end`` and ``--unit`` choose a part of it. Exit code 0, or 2 and
one sentence.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported

import numpy as np
from tqdm import tqdm

from s2i import image, methods, video, weights
from s2i.edges import read_ink
from s2i.errors import S2IError
from s2i.methods.base import (
    Action,
    Choice,
    Control,
    Drawing,
    Label,
    Method,
    Slider,
    Toggle,
    check_values,
    last_of,
)

LAYERS = ("lines", "colors")
KINDS = {".png": "PNG", ".gif": "GIF", ".svg": "SVG", ".npz": "NPZ"}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        raise S2IError(f"{message}; see '{self.prog} --help'.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        options = build_parser().parse_args(arguments)
        options.run(options)
    except S2IError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands: ``list`` and one a method."""
    parser = _Parser(
        prog="python -m s2i",
        description="Draw lines, dab colours, and a picture appears.",
        epilog="'python -m s2i METHOD --help' lists a method's settings. The page: python app.py.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="the weights there are, and where each one lies")
    listing.set_defaults(run=lambda options: print_list())
    for method in methods.METHODS:
        _add_method(commands, method)
    return parser


def print_list() -> None:
    """Print a table of the manifest's weights."""
    rows = [("NAME", "METHOD", "SIZE", "LICENSE", "WHERE", "DATA")]
    for entry in weights.entries():
        try:
            found = weights.find_local(entry)
            where = found[0] if found else "on the Hub" if entry.repo_id else "missing"
        except S2IError:
            where = "unusable"
        size = f"{entry.size_px} px, {entry.bytes / 1e6:.1f} MB"
        rows.append((entry.name, entry.method, size, entry.license, where, entry.data))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    if len(rows) == 1:
        print("no weights yet: a trainer below train/ makes some.")


def _add_method(commands: Any, method: type[Method]) -> None:
    layers = [layer for layer in LAYERS if layer in method.reads]
    by_hand = " ".join(f"--{layer} {layer[0].upper()}.png" for layer in layers)
    examples = [f"python -m s2i {method.name} PHOTO_OR_FOLDER -o OUT"]
    if by_hand:
        examples.append(f"python -m s2i {method.name} {by_hand} -o out.png")
    parser = commands.add_parser(
        method.name,
        help=f"{method.title}: {', '.join(method.reads)} in, {method.returns} out",
        description=f"{method.title}: reads {' and '.join(method.reads)}, makes a {method.returns} "
        "of the same size.",
        epilog="examples:\n  " + "\n  ".join(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=lambda options: _run(method, options))
    is_film = "photo" in method.reads
    what = (
        "a photo, a folder of photos, or a video" if is_film else "a photo, or a folder of photos"
    )
    suffixes = ", ".join(method.suffixes)
    parser.add_argument("input", nargs="?", metavar="INPUT", help=what)
    parser.add_argument(
        "-o", "--out", required=True, help=f"a folder, or a file to write ({suffixes})"
    )
    if is_film:
        parser.add_argument("-b", "--start", type=float, help="where a video's part begins")
        parser.add_argument("-e", "--end", type=float, help="where it ends")
        parser.add_argument(
            "--unit", choices=video.UNITS, help="of both: s seconds (default), f frames"
        )
    parser.add_argument("--weights", help="a name from 'list' or a file (default: the first)")
    parser.add_argument("--device", help="cpu, cuda, mps (default: the fastest there is)")
    parser.add_argument(
        "--save-inputs", action="store_true", help="also write NAME_lines.png, NAME_colors.png"
    )
    start = {control.name: control for control in method.start_controls}
    for layer in layers:
        text = f"a drawing's {layer}: a picture, or a folder of pictures"
        if layer in start:
            text += f"; with INPUT: {_describe(start[layer])}"
        parser.add_argument(_option(layer), metavar="FILE", help=_escape(text))
    for control in _find_controls(method):
        if control.name not in layers:
            _add_control(parser, control)
    for action in method.actions:
        given = {"nargs": "*", "metavar": "PHOTO"} if action.photos_high else {}
        parser.add_argument(
            _option(action.name),
            help=_escape(f"instead: {action.title}. {action.help}"),
            **given or {"action": "store_const", "const": []},
        )


def _find_controls(method: type[Method]) -> list[Control]:
    """Return all controls of a method, of its start and its actions, each name once."""
    groups = [method.controls, method.start_controls, *(each.controls for each in method.actions)]
    found: dict[str, Control] = {}
    for control in (control for group in groups for control in group):
        found.setdefault(control.name, control)
    return list(found.values())


def _add_control(parser: argparse.ArgumentParser, control: Control) -> None:
    settings: dict[str, Any] = {"help": _escape(_describe(control)), "dest": control.name}
    if isinstance(control, Toggle):
        settings["action"] = argparse.BooleanOptionalAction
    elif isinstance(control, Choice):
        settings["metavar"] = "{" + ",".join(str(option) for option in control.options) + "}"
    elif isinstance(control, Slider):
        settings["metavar"] = f"{control.low:g}..{control.high:g}"
    elif isinstance(control, Label):
        settings["metavar"] = "CLASS"
    parser.add_argument(_option(control.name), *control.flags, **settings)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _describe(control: Control) -> str:
    return f"{control.help or control.label} (default: {control.default})"


def _escape(text: str) -> str:
    return text.replace("%", "%%")


Photos = tuple[np.ndarray, ...]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One drawing to paint: its name below the output folder, its files, and how to read it."""

    name: str
    files: tuple[Path, ...] = ()
    read: Callable[[], tuple[Drawing, Photos]]


def _run(kind: type[Method], options: argparse.Namespace) -> None:
    """Do what one method's command says."""
    action = _find_action(kind, options)
    values, start = _read_settings(kind, options, action=action)
    given = getattr(options, action.name) if action else []
    photos = tuple(image.read_photo(path) for name in given for path in _list(name).values())
    is_film = _is_film(kind, options, action)
    loaded = _load(kind, options)
    method = loaded.method
    if is_film:
        _draw_film(loaded, options, values)
        return
    jobs, is_many = _list_jobs(method, options, action=action, photos=photos, start=start)
    out, suffix = _check_out(options.out, kind.suffixes, is_many=is_many)
    inputs = {path.resolve() for job in jobs for path in job.files}
    reasons = []
    for job in tqdm(jobs, unit="picture", disable=None if is_many else True):
        try:
            drawing, own_photos = job.read()
            with weights.inference(loaded.device):
                if action:
                    result = method.act(action.name, drawing, own_photos, **values)
                else:
                    result = last_of(method.run(drawing, **values))
        except S2IError as error:
            if not is_many:
                raise
            reasons.append(str(error))
            tqdm.write(f"skipped: {error}", file=sys.stderr)
            continue
        root, name = (out.parent, out.stem) if suffix else (out, job.name)
        files = method.files(drawing, result, name, suffix=suffix)
        if options.save_inputs:
            files |= _encode_inputs(name, drawing)
        files = {root / path: content for path, content in files.items()}
        for path in files:
            if path.resolve() in inputs:
                raise S2IError(f"'{path}' is an input and would be lost: choose another --out.")
        for path, content in files.items():
            image.write_bytes(path, content)
            if not is_many:
                print(path)
    if len(reasons) == len(jobs):
        raise S2IError(f"none of the {len(jobs)} could be painted; the first: {reasons[0]}")
    if is_many:
        print(f"{len(jobs) - len(reasons)} of {len(jobs)} done, {len(reasons)} skipped")


def _find_action(kind: type[Method], options: argparse.Namespace) -> Action | None:
    """Return the action that was asked for; the only photo of one that takes one becomes INPUT."""
    asked = [action for action in kind.actions if getattr(options, action.name) is not None]
    if len(asked) > 1:
        names = " and ".join(_option(action.name) for action in asked)
        raise S2IError(f"one thing at a time: {names} don't go together.")
    if not asked:
        return None
    given = getattr(options, asked[0].name)
    if asked[0].photos_high == 1 and len(given) == 1 and not options.input:
        options.input = given.pop()
    return asked[0]


def _is_start(kind: type[Method], options: argparse.Namespace, action: Action | None) -> bool:
    """Tell whether INPUT becomes a drawing, rather than what the method or the action reads."""
    is_own_photo = (
        action is not None and action.photos_high == 1 and not getattr(options, action.name)
    )
    return bool(options.input) and "photo" not in kind.reads and not is_own_photo


def _read_settings(
    kind: type[Method], options: argparse.Namespace, *, action: Action | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return checked values for painting (or the action) and for starting from a photo."""
    given = {control.name: getattr(options, control.name) for control in _find_controls(kind)}
    given |= {layer: getattr(options, layer, None) for layer in LAYERS if options.input}
    given = {name: value for name, value in given.items() if value is not None}
    if not options.input:
        given = {name: value for name, value in given.items() if name not in LAYERS}
    groups = (
        action.controls if action else kind.controls,
        kind.start_controls if _is_start(kind, options, action) else (),
    )
    useful = {control.name for controls in groups for control in controls}
    for name in given:
        if name not in useful:
            raise S2IError(f"{_option(name)} has no effect together with the other options.")
    values, start = (
        check_values(
            controls, {each.name: given[each.name] for each in controls if each.name in given}
        )
        for controls in groups
    )
    return values, start


def _load(kind: type[Method], options: argparse.Namespace) -> weights.Loaded:
    known = weights.entries(kind.name)
    if not options.weights and not known:
        raise S2IError(
            f"there are no weights for {kind.title} yet: train/{kind.name}.py makes some, or name "
            "a file with --weights."
        )
    loaded = weights.load(options.weights or known[0].name, device=options.device)
    if loaded.method.name != kind.name:
        raise S2IError(f"'{loaded.name}' is a weight of {loaded.method.title}, not {kind.title}.")
    return loaded


def _list(path: str) -> dict[str, Path]:
    """Return name to file: of one file, or of all pictures below a folder.

    A name is the path below the folder without its suffix; the second of two that would be the
    same keeps it.
    """
    root = Path(path)
    if not root.is_dir():
        return {root.stem: root}
    files = image.find_pictures(root)
    if not files:
        raise S2IError(f"there are no pictures in '{root}'.")
    names: dict[str, Path] = {}
    for file in files:
        name = file.relative_to(root).as_posix()
        short = name.removesuffix(file.suffix)
        names[name if short in names else short] = file
    return names


def _list_jobs(
    method: Method,
    options: argparse.Namespace,
    *,
    action: Action | None,
    photos: Photos,
    start: dict[str, Any],
) -> tuple[list[_Job], bool]:
    """Return what there is to paint, and whether it came from a folder."""
    layers = {layer: getattr(options, layer, None) for layer in LAYERS}
    layers = {layer: path for layer, path in layers.items() if path}

    def read_input(path: Path) -> tuple[Drawing, Photos]:
        photo = image.read_photo(path)
        if _is_start(method, options, action):
            return method.start_from(photo, **start), photos
        if "photo" in method.reads:
            return Drawing(photo=photo), photos
        return Drawing(), (photo,)

    if options.input:
        files = _list(options.input).items()
        jobs = [
            _Job(name=name, files=(path,), read=partial(read_input, path)) for name, path in files
        ]
        return jobs, Path(options.input).is_dir()
    if layers:
        return _pair_layers(layers, photos=photos)
    if photos:
        return [_Job(name=action.name, read=lambda: (Drawing(), photos))], False
    raise S2IError(f"there is nothing to paint; see 'python -m s2i {method.name} --help'.")


def _pair_layers(layers: dict[str, str], *, photos: Photos) -> tuple[list[_Job], bool]:
    """Return the drawings that the files and folders of ``layers`` make together."""
    folders = [layer for layer, path in layers.items() if Path(path).is_dir()]
    files = {layer: _list(path) for layer, path in layers.items()}

    def read(name: str, chosen: dict[str, Path | None]) -> tuple[Drawing, Photos]:
        for layer, path in chosen.items():
            if path is None:
                raise S2IError(f"'{name}' has no {layer} of the same name in '{layers[layer]}'.")
        lines, colors = None, None
        if "lines" in chosen:
            lines = read_ink(image.read_layer(chosen["lines"]))
        if "colors" in chosen:
            colors = image.read_layer(chosen["colors"])
            size = colors.shape[:2] if lines is None else lines.shape
            colors = image.resize_colors(colors, size)
        return Drawing(lines=lines, colors=colors), photos

    jobs = []
    for name in files[(folders or list(layers))[0]]:
        chosen = {
            layer: paths.get(name) if layer in folders else next(iter(paths.values()))
            for layer, paths in files.items()
        }
        present = tuple(path for path in chosen.values() if path)
        jobs.append(_Job(name=name, files=present, read=partial(read, name, chosen)))
    return jobs, bool(folders)


def _check_out(name: str, suffixes: Sequence[str], *, is_many: bool) -> tuple[Path, str]:
    """Return where to write, and the suffix if that is one file rather than a folder."""
    out = Path(name)
    suffix = "" if out.is_dir() else out.suffix.lower()
    if suffix in suffixes:
        if is_many:
            raise S2IError(f"many pictures need a folder to go to; got '{out.name}'.")
        return out, suffix
    if suffix in image.SUFFIXES | video.SUFFIXES | KINDS.keys():
        allowed = ", ".join(KINDS[one] for one in suffixes)
        raise S2IError(f"pictures are written as {allowed}; got '{out.name}'.")
    return out, ""


def _is_film(kind: type[Method], options: argparse.Namespace, action: Action | None) -> bool:
    """Tell whether INPUT is a video for this method; parts are chosen of nothing else."""
    path = Path(options.input or "")
    is_film = path.suffix.lower() in video.SUFFIXES and not path.is_dir()
    is_film = is_film and "photo" in kind.reads and action is None
    for name in ("start", "end", "unit"):
        if not is_film and getattr(options, name, None) is not None:
            raise S2IError(f"--{name} has no effect together with the other options.")
    return is_film


def _draw_film(loaded: weights.Loaded, options: argparse.Namespace, values: dict[str, Any]) -> None:
    """Write the video of what the method makes of each frame of another one."""
    method = loaded.method
    values = values | {
        name: value for name, value in method.film.items() if getattr(options, name) is None
    }
    clip = video.open_clip(
        options.input, start=options.start or 0, end=options.end, unit=options.unit or "s"
    )
    out = Path(options.out)
    if out.suffix.lower() != ".mp4" or out.is_dir():
        if out.suffix.lower() in image.SUFFIXES | video.SUFFIXES | KINDS.keys():
            raise S2IError(f"a video is written as MP4 or into a folder; got '{out.name}'.")
        out = out / f"{clip.path.stem}.mp4"
    if out.resolve() == clip.path.resolve():
        raise S2IError(f"'{out}' is an input and would be lost: choose another --out.")

    def draw() -> Iterator[np.ndarray]:
        for frame in tqdm(video.read_frames(clip), total=len(clip), unit="frame", disable=None):
            with weights.inference(loaded.device):
                result = last_of(method.run(Drawing(photo=frame), **values))
            yield result.pictures[0]

    print(video.write_video(out, draw(), rate=clip.rate))


def _encode_inputs(name: str, drawing: Drawing) -> dict[str, bytes]:
    """Return the files that hold the layers of ``drawing``: path to content."""
    layers = {layer: getattr(drawing, layer) for layer in LAYERS}
    return {
        f"{name}_{layer}.png": image.encode_png(array)
        for layer, array in layers.items()
        if array is not None
    }


if __name__ == "__main__":
    sys.exit(main())
