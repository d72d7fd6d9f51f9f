"""What is told of a weight: a row in README's table of all weights, and a model card.

The numbers are the manifest's. What no number says stands in the weight's recipe, in two tables
behind the settings:

    [scored]                      # which pictures it is scored on: options of train/evaluate.py
    data = ["faces128.zip"]

    [card]
    purpose = "Portraits of ..."  # what it is for
    limits = "Eyes ..."           # what it does badly, and what it must not be used for

README.md and ``docs/cards`` lie beside the manifest in use.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from s2i import methods, weights
from s2i.errors import S2IError
from s2i.image import write_bytes
from s2i.weights import Entry
from train.protocols import PROTOCOLS
from train.protocols.base import Headline, write_table
from train.protocols.memory import show_share

RECIPES = Path(__file__).resolve().parent / "recipes"
LICENSES = {
    "CC0-1.0": "Public domain: do with it what you like.",
    "MIT": "Do with it what you like, also commercially; keep the copyright notice.",
    "Apache-2.0": "Do with it what you like, also commercially; keep licence and notices.",
    "CC-BY-4.0": "Also commercially, as long as you name the authors.",
    "CC-BY-SA-4.0": "Also commercially, as long as you name the authors and pass on what you make "
    "of it under the same licence.",
    "CC-BY-NC-4.0": "Not commercially; name the authors.",
    "CC-BY-NC-SA-4.0": "Not commercially; name the authors, and pass on what you make of it under "
    "the same licence.",
}
"""What may be done with a weight, and with its pictures as far as anybody has a right in them."""


def read_about(entry: Entry) -> dict[str, dict[str, Any]]:
    """Return the tables ``scored`` and ``card`` of the weight's recipe, empty where there are none.

    Raises:
        S2IError: the recipe can't be read.
    """
    path = RECIPES / Path(entry.recipe).name
    if not entry.recipe or not path.exists():
        return {"scored": {}, "card": {}}
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise S2IError(f"recipe '{path}' could not be read: {error}.") from None
    return {table: recipe.get(table, {}) for table in ("scored", "card")}


def write_overview(entries: Sequence[Entry]) -> str:
    """Return README's table of all weights as Markdown."""
    head = ["weight", "test score", "beside it", "copies", "parameters", "file"]
    head += ["pictures seen", "trained in", "on", "licence"]
    return write_table(head, [_write_row(entry) for entry in entries])


def _write_row(entry: Entry) -> list[str]:
    headlines = list(_find_headlines(entry))
    return [
        f"[`{entry.name}`](docs/cards/{entry.name}.md)",
        "<br>".join(f"{line.title} {_show_score(entry, line)}" for line in headlines) or "none yet",
        "<br>".join(_show_beside(entry, line) or "-" for line in headlines),
        _show_memory(entry),
        f"{entry.parameters / 1e6:.2f} M",
        f"{entry.bytes / (1 << 20):.1f} MiB",
        f"{entry.images_seen:,}",
        show_time(entry.seconds),
        entry.machine,
        entry.license,
    ]


def _find_headlines(entry: Entry) -> Iterator[Headline]:
    """Yield the headlines of the weight's protocol that were measured; see :class:`Headline`."""
    for headline in getattr(PROTOCOLS.get(entry.method), "HEADLINES", ()):
        is_compared = not headline.beside or headline.beside.keys() & entry.scores.keys()
        if headline.score in entry.scores and is_compared:
            yield headline


def _show_score(entry: Entry, headline: Headline) -> str:
    """Return a score with its interval, where there is one: 0.500 [0.250, 1.000]."""
    name = headline.score
    value, *ends = (entry.scores.get(key) for key in (name, f"{name}_low", f"{name}_high"))
    shown = f"{value:.{headline.digits}f}"
    if None in ends:
        return shown
    return f"{shown} [{', '.join(f'{end:.{headline.digits}f}' for end in ends)}]"


def _show_beside(entry: Entry, headline: Headline) -> str:
    return ", ".join(
        f"{title} {entry.scores[name]:.{headline.digits}f}"
        for name, title in headline.beside.items()
        if name in entry.scores
    )


def _show_memory(entry: Entry) -> str:
    """Return how many outputs are copies of training pictures, and how many only as near."""
    if "memorised.copies" not in entry.scores:
        return ""
    near, copies = (show_share(entry.scores, name) for name in ("near", "copies"))
    return f"{copies}, near {near.partition(' ')[0]}"


def show_time(seconds: float) -> str:
    """Return a time that a training took, in minutes or hours.

    >>> show_time(240), show_time(4297), show_time(36_000)
    ('4 min', '72 min', '10.0 h')
    """
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


# -- the model card --------------------------------------------------------------------------------


def write_card(entries: Sequence[Entry]) -> str:
    """Return the model card of one weight, or of all in a Hub repository: its README.md."""
    licenses = {entry.license for entry in entries}
    license = licenses.pop() if len(licenses) == 1 else "other"
    is_known = license in LICENSES
    reads = {part for entry in entries for part in entry.reads}
    parts = [
        "---",
        f"license: {license.lower() if is_known else 'other'}",
        *([] if is_known or license == "other" else [f"license_name: {license}"]),
        "library_name: s2i",
        f"pipeline_tag: {'image-to-image' if reads != {'photo'} else 'image-segmentation'}",
        "tags:",
        "- sketch-to-image",
        *(f"- {method}" for method in sorted({entry.method for entry in entries})),
        "---",
        "",
    ]
    if len(entries) > 1:
        parts += ["# Sketch-to-image weights", ""]
    level = "#" if len(entries) == 1 else "##"
    return "\n".join(parts) + "\n" + "\n".join(_write_part(entry, level) for entry in entries)


def _write_part(entry: Entry, level: str) -> str:
    """Return what the card says of one weight, under a title of that level."""
    method, card = methods.find_method(entry.method), read_about(entry)["card"]
    words = LICENSES.get(entry.license, "See the licence.")
    use = (
        "A safetensors file for s2i: put it into a folder that `S2I_WEIGHTS` names, or let the app "
        "download it."
    )
    if method in methods.METHODS:
        asked = "--lines drawing.png" if "lines" in entry.reads else "photo.jpg"
        command = f"python -m s2i {method.name} {asked} --weights {entry.name} -o out/"
        use += f" `{command}` runs it."
    recipe = f"`train/recipes/{entry.recipe}`" if entry.recipe else "a recipe that wasn't noted"
    commit = f" (commit `{entry.commit[:12]}`)" if entry.commit else ""
    parts = {
        entry.name: card.get("purpose")
        or f"{method.title}: reads {' and '.join(entry.reads)}, returns a {method.returns}.",
        "Use": use,
        "Licence": f"{entry.license or 'Not named.'}. {words}",
        "Data": f"{entry.data[:1].upper()}{entry.data[1:].rstrip('.')}.",
        "Training": f"{entry.images_seen:,} pictures seen in {show_time(entry.seconds)} on "
        f"{entry.machine or 'an unnamed machine'}, by {recipe}{commit}. {entry.parameters:,} "
        f"parameters, {entry.bytes:,} bytes, trained at {entry.size_px} px a side, sha256 "
        f"`{entry.sha256}`.",
        "Scores": _write_scores(entry),
        "Limits": card.get("limits")
        or "It knows only what its data shows: other subjects, sizes and ways of drawing come out "
        "worse, and people and things come out the way they are in the data. The pictures are "
        "inventions, not evidence.",
    }
    titles = [level, *[f"{level}#"] * (len(parts) - 1)]
    return "\n".join(
        f"{mark} {title}\n\n{' '.join(text.split()) if title != 'Scores' else text}\n"
        for mark, (title, text) in zip(titles, parts.items(), strict=True)
    )


def _write_scores(entry: Entry) -> str:
    if not entry.scores:
        return "Not scored yet."
    rows = [
        [line.title, _show_score(entry, line), _show_beside(entry, line)]
        for line in _find_headlines(entry)
    ]
    if rows and "memorised.copies" in entry.scores:
        title = "copies of training pictures, and pictures that are as near as these ↓"
        rows.append([title, _show_memory(entry), "see `train/protocols/memory.py`"])
    if not rows:
        return write_table(["score", "value"], [[key, f"{x}"] for key, x in entry.scores.items()])
    return (
        "On pictures that no training has seen; 95 % intervals in brackets. Beside them what needs "
        "no training, or what real pictures score.\n\n"
        + write_table(["score", "this weight", "beside it"], rows)
        + "\n\nAll scores are in the manifest; `python train/evaluate.py --help` says what each is."
    )


# -- files -----------------------------------------------------------------------------------------


def fill_section(page: Path, name: str, text: str) -> bool:
    """Write ``text`` between ``<!-- scores:NAME -->`` and ``<!-- end -->`` of a page.

    Returns whether there is such a page with such a place.
    """
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    place = re.compile(rf"(<!-- scores:{re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    after, count = place.subn(lambda found: f"{found[1]}{text}\n{found[2]}", before)
    if after != before:
        write_bytes(page, after.encode())
    return bool(count)


def write_page(entry: Entry) -> Path | None:
    """Write a weight's card into ``docs/cards`` and return where; None where that folder is not.

    Raises:
        S2IError: the weight's recipe can't be read, or the card can't be written.
    """
    folder = weights.manifest_path().parent / "docs" / "cards"
    if not folder.is_dir():
        return None
    return write_bytes(folder / f"{entry.name}.md", write_card([entry]).encode())


def write_pages() -> str:
    """Bring README's table and all cards up to the manifest, where they are; return the table.

    Raises:
        S2IError: the manifest or a recipe can't be read, or a page can't be written.
    """
    entries = weights.entries()
    overview = write_overview(entries)
    fill_section(weights.manifest_path().parent / "README.md", "all", overview)
    for entry in entries:
        write_page(entry)
    return overview
