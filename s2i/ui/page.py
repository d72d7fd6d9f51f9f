"""The page: one pad for all methods on the left, one tab a method on the right.

Everything on a tab is generated from the method's declaration. A drawing reaches Python only as a
snapshot (see pad.py); nothing about a person is kept on the server.
"""

from __future__ import annotations

import contextlib
import html
import inspect
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component

from s2i import image, weights
from s2i.edges import read_ink
from s2i.errors import S2IError
from s2i.methods import METHODS
from s2i.methods.base import GUESS, Action, Drawing, Label, Method, Result, last_of
from s2i.ui.controls import list_classes, make_components
from s2i.ui.pad import HERE, SketchPad, read_asset, read_drawing, read_photo, write_layer
from s2i.ui.results import Session, Stage, Tour, describe, show_result
from s2i.ui.start import FIRST_SIGHT, StartRow, find_examples
from s2i.ui.stream import follow, stop_stream

EXAMPLES = HERE.parents[1] / "examples"
QUEUE_SIZE = 64
MAX_KEY_CHARS = 64
PAD_PX = 512  # the long side of a page
SORRY = "Something went wrong here; your drawing is safe. Try again, or reload the page."
COMMERCIAL = {
    "CC0-1.0": "yes",
    "CC-BY-4.0": "yes, naming the authors",
    "MIT": "yes",
    "Apache-2.0": "yes",
    "CC-BY-SA-4.0": "yes, naming the authors and under the same licence",
    "CC-BY-NC-4.0": "no, only for yourself",
    "CC-BY-NC-SA-4.0": "no, only for yourself",
}

log = logging.getLogger(__name__)
_loading: dict[str, tuple[int, int]] = {}  # weights on their way: bytes done, bytes in all
_numbers = itertools.count(1)  # watched values have to differ from the one before


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One tab: the method and its components, in the order in which events receive them."""

    method: type[Method]
    weights: gr.Dropdown
    card: gr.HTML
    controls: dict[str, Component]
    start: dict[str, Component]

    @property
    def inputs(self) -> list[Component]:
        """What painting needs from this tab."""
        return [self.weights, *self.controls.values()]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the pad asks for, checked as far as that goes without the weights."""

    method: type[Method]
    weights: str | None
    drawing: Drawing
    values: dict[str, Any]
    is_preview: bool = False
    is_single: bool = False  # one picture, beside those of other methods

    def show(self, result: Result, name: str, *, is_passing: bool = False) -> dict[str, Any]:
        """Return the stage's ``shown`` for what the weights ``name`` made."""
        controls = {control.name: control for control in self.method.controls}
        hidden = self.method.single if self.is_single else ()
        values = {name: value for name, value in self.values.items() if name not in hidden}
        words: dict[str, Any] = {"about": describe(self.method, name, values)}
        words |= {"is_part": True} if hidden else {}
        if result.seeds and "seed" in controls:
            seeds = [values | {"seed": seed} for seed in result.seeds]
            words["abouts"] = [describe(self.method, name, values) for values in seeds]
        unlocked = controls["locked"].default if "locked" in controls else None
        locked = self.values.get("locked", unlocked)
        words |= {"locked": locked} if locked != unlocked else {}
        return show_result(
            result,
            is_preview=self.is_preview and not is_passing,
            is_passing=is_passing,
            name=name,
            method=self.method.name,
            weights=name,
            **words,
        )


def on_gpu(function: Callable) -> Callable:
    """Return ``function`` as a ZeroGPU Space wants it; elsewhere it stays what it is."""
    if os.environ.get("SPACE_ID"):
        with contextlib.suppress(ImportError):
            import spaces

            return spaces.GPU(function)
    return function


def build() -> gr.Blocks:
    """Return the whole page; launch it with :func:`launch_options`.

    A method gets its tab when it has weights; where there are none at all, every method has one.
    """
    names = {method: [entry.name for entry in weights.entries(method.name)] for method in METHODS}
    names = {method: listed for method, listed in names.items() if listed} or names
    first = {
        method: next((name for name in listed if name == FIRST_SIGHT[0]), (listed or [None])[0])
        for method, listed in names.items()
    }
    pairs = [(method.name, name) for method, listed in names.items() for name in listed]
    about = [
        {
            "name": one.name,
            "title": one.title,
            "reads": list(one.reads),
            "live": one.live,
            "is_slow": not one.live or inspect.isgeneratorfunction(one.predict),
            "label": next((each.name for each in one.controls if isinstance(each, Label)), None),
            "unlocked": next(
                (each.default for each in one.controls if each.name == "locked"), None
            ),
        }
        for one in names
    ]
    gr.set_static_paths([EXAMPLES])
    with gr.Blocks(title="s2i", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(read_asset("header.html"), elem_id="header", apply_default_css=False)
        Tour(elem_id="tour")
        with gr.Row(elem_id="desk", equal_height=False):
            with gr.Column(elem_id="left", min_width=0):
                pad = SketchPad(
                    methods=about, server_functions=[loading_of, stop_stream], elem_id="pad"
                )
                start_controls = gr.Row(elem_id="start-controls")
                start = StartRow(
                    folder=str(EXAMPLES),
                    examples=find_examples(EXAMPLES, pairs),
                    chosen={method.name: name for method, name in first.items()},
                    elem_id="start",
                )
            with gr.Column(elem_id="right", min_width=0):
                stage = Stage(elem_id="stage")
                with gr.Tabs(elem_id="tabs") as tabs:
                    panels = [
                        _build_panel(method, listed, first[method], stage, pad, start_controls)
                        for method, listed in names.items()
                    ]
        Session(elem_id="session")
        _connect(panels, tabs, pad, start, stage)
        for panel in panels:
            gr.api(
                _make_endpoint(panel.method, names[panel.method]),
                api_name=f"paint_{panel.method.name}",
                concurrency_limit=1,
                concurrency_id="paint",
            )
    return page.queue(max_size=QUEUE_SIZE, default_concurrency_limit=4)


def launch_options() -> dict[str, Any]:
    """Return what ``Blocks.launch`` needs so that the page looks right and asks no other host."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    return {
        "theme": gr.themes.Base(
            primary_hue="blue", neutral_hue="neutral", font=fonts, font_mono=["monospace"]
        ),
        # As a style of the head: Gradio rewrites the selectors of its own css option.
        "head": f"<style>{read_asset('page.css')}</style>",
        "footer_links": [],
        "run_history": False,
        "ssr_mode": False,
        "pwa": False,
        "max_file_size": "20mb",
        "show_error": True,
    }


def _build_panel(
    method: type[Method],
    names: list[str],
    first: str | None,
    stage: Stage,
    pad: SketchPad,
    start_controls: gr.Row,
) -> Panel:
    """Lay out one tab: weights, at most four controls, the rest under *more*."""
    known = _find_classes(first)
    with gr.Tab(method.title, id=method.name, elem_id=f"tab-{method.name}") as tab:
        with gr.Row(elem_classes="controls"):
            choice = gr.Dropdown(
                [(name.partition(".")[2] or name, name) for name in names],
                value=first,
                label="Weights",
                filterable=False,
                min_width=110,
                elem_classes=["control", "control-weights"],
            )
            shown = make_components(
                tuple(one for one in method.controls if not one.advanced), known
            )
            if "seed" in shown:  # it stays as it is until somebody asks for another
                another = gr.Button(
                    "Another seed", size="sm", scale=0, min_width=62, elem_classes=["act", "dice"]
                )
                another.click(None, None, shown["seed"], js="() => Math.floor(Math.random() * 1e4)")
        with gr.Accordion("more · about the weights", open=False, elem_classes="more"):
            with gr.Row(elem_classes="controls"):
                hidden = make_components(
                    tuple(one for one in method.controls if one.advanced), known
                )
            card = gr.HTML(_describe_weights(first), elem_classes="card")
            panel_controls = {one.name: (shown | hidden)[one.name] for one in method.controls}
            for action in method.actions:
                _build_action(method, action, choice, stage, pad)
    with start_controls, gr.Row(elem_classes=["controls", "start-of", f"start-of-{method.name}"]):
        start = make_components(getattr(method, "start_controls", ()))
    tab.select(None, js=f"() => {{ window.s2i.pad?.setMethod('{method.name}') }}")
    tell = f"(name) => {{ window.s2i.start?.setWeights('{method.name}', name); return [name] }}"
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    label = next((one.name for one in method.controls if isinstance(one, Label)), None)
    if label:  # what is painted waits for the classes, so that none is asked for that is not there
        classes = panel_controls[label]
        choice.change(
            _show_weights, [choice, classes], [card, classes], **quiet,
            js=f"(name, own) => [name, s2i.start?.valueOf('{method.name}', '{label}') ?? own]",
        ).then(None, choice, js=tell)  # fmt: skip
        if not all(map(_find_classes, names)):  # they are known once the weights were downloaded
            classes.focus(_show_classes, [choice, classes], classes, **quiet)
    else:
        choice.change(_describe_weights, choice, card, js=tell, **quiet)
    for name, component in panel_controls.items():
        component.change(
            None, component,
            js=f"(value) => {{ window.s2i.start?.setValue('{method.name}', '{name}', value) }}",
        )  # fmt: skip
    return Panel(method=method, weights=choice, card=card, controls=panel_controls, start=start)


def _build_action(
    method: type[Method], action: Action, choice: gr.Dropdown, stage: Stage, pad: SketchPad
) -> None:
    """Lay out one action: a button, which asks for pictures where it needs some, and settings."""
    with gr.Row(elem_classes=["action", "controls"]):
        if action.photos_high:
            button = gr.UploadButton(
                f"{action.title}…",
                file_count="multiple" if action.photos_high > 1 else "single",
                file_types=["image"],
                size="sm",
                min_width=150,
                elem_classes="act",
            )
        else:
            button = gr.Button(action.title, size="sm", min_width=150, elem_classes="act")
        gr.HTML(f"<p>{html.escape(action.help)}</p>", elem_classes="help", min_width=150)
        controls = make_components(action.controls)
    listen = button.upload if action.photos_high else button.click
    listen(
        on_gpu(_make_action(method, action, [*controls])),
        [pad, choice, button, *controls.values()],
        stage,
        show_progress="hidden",
        concurrency_limit=1,
        concurrency_id="paint",
        api_visibility="private",
        js="(...inputs) => [window.s2i.pad.payloadForAction(), ...inputs.slice(1)]",
    )


def _connect(
    panels: list[Panel], tabs: gr.Tabs, pad: SketchPad, start: StartRow, stage: Stage
) -> None:
    """Wire the events that all tabs share: painting, photos, the choice of settings."""
    shared = {"show_progress": "hidden", "api_visibility": "private"}
    settings = list(itertools.chain.from_iterable(panel.inputs for panel in panels))
    # A stream that goes on for minutes must not hold up the others' painting: its own queue.
    for listen, make, queue in (
        (pad.paint, _make_painter, "paint"),
        (pad.paint_steps, _make_stepper, "steps"),
    ):
        listen(
            on_gpu(make(_make_reader(panels))),
            [pad, *settings],
            stage,
            trigger_mode="always_last",
            concurrency_limit=1,
            concurrency_id=queue,
            **shared,
        )
    sliders = list(itertools.chain.from_iterable(panel.start.values() for panel in panels))
    start.photo(
        _make_starter(panels), [start, *[panel.weights for panel in panels], *sliders], pad,
        trigger_mode="always_last", concurrency_limit=2, **shared,
    )  # fmt: skip
    for slider in sliders:
        slider.change(None, js="() => { window.s2i.start?.resend() }")
    if panels:
        start.choose(
            _make_chooser(panels),
            start,
            [start, tabs, *settings],
            trigger_mode="always_last",
            **shared,
        ).then(None, js="() => { window.s2i.start.restored() }")


def _make_reader(panels: list[Panel]) -> Callable[[Any, tuple], Order]:
    spans, at = {}, 0
    for panel in panels:
        spans[panel.method.name] = (panel, slice(at, at + len(panel.inputs)))
        at += len(panel.inputs)

    def read(payload: Any, settings: tuple) -> Order:
        """Return what the visible tab's method shall do; settings are those of all tabs."""
        name = _pick(payload, "method")
        if not isinstance(name, str) or name not in spans:
            raise S2IError("no such method: choose a tab.")
        panel, span = spans[name]
        chosen, *values = settings[span]
        values = dict(zip(panel.controls, values, strict=True))
        values = _refine_again(panel.method, values, payload.get("again", 0))
        is_preview = payload.get("is_preview") is True
        is_single = payload.get("is_single") is True
        values |= panel.method.preview if is_preview else {}
        values |= panel.method.single if is_single else {}
        return Order(
            method=panel.method,
            weights=chosen,
            drawing=read_drawing(payload),
            values=values,
            is_preview=is_preview,
            is_single=is_single,
        )

    return read


def _make_painter(read: Callable[[Any, tuple], Order]) -> Callable[..., Stage]:
    def paint(payload: Any, *settings: Any) -> Stage:
        """Return the stage's update; never raise, or the newest drawing would be dropped.

        Of a stream only that it is one is said: the pad then asks for it by ``paint_steps``.
        """
        try:
            order = read(payload, settings)
            loaded = _load(order.method, order.weights)
            began = time.perf_counter()
            with weights.inference(loaded.device):
                result = loaded.method.run(order.drawing, **order.values)
            if isinstance(result, Result):
                shown = {"ms": _since(began), **order.show(result, loaded.name)}
            else:
                shown = {"method": order.method.name, "is_stream": True}
        except Exception as error:
            shown = _excuse(error)
        return Stage(shown={"seq": _seq_of(payload), "number": next(_numbers), **shown})

    return paint


def _make_stepper(read: Callable[[Any, tuple], Order]) -> Callable[..., Iterator[Stage]]:
    def paint_steps(payload: Any, *settings: Any) -> Iterator[Stage]:
        """Yield the stage's updates while a stream goes on; never raise, as painting."""
        key = _pick(payload, "stream")
        key = key if isinstance(key, str) and len(key) <= MAX_KEY_CHARS else ""
        head = {"seq": _seq_of(payload), "stream": key}
        try:
            order = read(payload, settings)
            loaded = _load(order.method, order.weights)
            began = time.perf_counter()
            with closing(follow(lambda: _run_steps(loaded, order), key=key)) as results:
                for result, is_last in results:
                    is_passing = order.is_preview or not is_last
                    shown = order.show(result, loaded.name, is_passing=is_passing)
                    head |= {"number": next(_numbers), "ms": _since(began)}
                    yield Stage(shown={**head, "more": not is_last, **shown})
        except Exception as error:
            yield Stage(shown={**head, "number": next(_numbers), **_excuse(error)})

    return paint_steps


def _run_steps(loaded: weights.Loaded, order: Order) -> Iterator[Result]:
    with weights.inference(loaded.device):
        result = loaded.method.run(order.drawing, **order.values)
        if isinstance(result, Result):
            yield result
        else:
            yield from result


def _paint(order: Order) -> dict[str, Any]:
    loaded = _load(order.method, order.weights)
    with weights.inference(loaded.device):
        result = last_of(loaded.method.run(order.drawing, **order.values))
    return order.show(result, loaded.name)


def _since(began: float) -> int:
    """Return the milliseconds since ``began``; loading the weights does not count as painting."""
    return round(1000 * (time.perf_counter() - began))


def _seq_of(payload: Any) -> int:
    seq = _pick(payload, "seq")
    return seq if isinstance(seq, int) else 0


def _refine_again(method: type[Method], values: dict[str, Any], again: Any) -> dict[str, Any]:
    """Return ``values`` with ``refine`` raised by the number of times that Enter was pressed."""
    control = next((one for one in method.controls if one.name == "refine"), None)
    if control is None or not isinstance(again, int):
        return values
    refine = control.check(values["refine"]) + max(0, again)
    return values | {"refine": min(control.high, refine)}


def _load(method: type[Method], chosen: str | None) -> weights.Loaded:
    if not chosen:
        raise S2IError(
            f"there are no weights for {method.title} yet: train some with "
            f"'python train/{method.name}.py'."
        )
    if not isinstance(chosen, str) or not chosen.startswith(f"{method.name}."):
        raise S2IError(f"'{chosen}' are no weights of {method.title}: choose others.")
    weights.find(chosen)
    try:
        return weights.load(
            chosen, on_progress=lambda done, whole: _loading.update({chosen: (done, whole)})
        )
    finally:
        _loading.pop(chosen, None)


def loading_of(name: Any) -> str | None:
    """Answer the pad's question how far the weights ``name`` are; None when nothing is loading."""
    done, whole = _loading.get(name, (0, 0)) if isinstance(name, str) else (0, 0)
    return f"loading weights {done / 1e6:.1f} of {whole / 1e6:.1f} MB" if whole else None


def _make_starter(panels: list[Panel]) -> Callable[..., SketchPad]:
    def start_from(payload: Any, *settings: Any) -> SketchPad:
        """Return the pad's update with the lines and colours of a photo; never raise.

        Where there is a ``sketch`` of the photo too, its lines are taken.
        """
        try:
            photo = _fit_pad(read_photo(_pick(payload, "photo")), image.resize)
            sketch = _pick(payload, "sketch")
            lines = None if sketch is None else _read_sketch(sketch)
            index = next(
                (i for i, one in enumerate(panels) if one.method.name == payload.get("method")), 0
            )
            panel, at = panels[index], len(panels) + sum(len(one.start) for one in panels[:index])
            values = dict(zip(panel.start, settings[at : at + len(panel.start)], strict=True))
            try:
                drawing = _load(panel.method, settings[index]).method.start_from(photo, **values)
            except S2IError:
                if lines is None:
                    raise
                drawing = Drawing()  # the sketch comes without colours
            lines = drawing.lines if lines is None else _fit_pad(lines, image.resize_ink)
            layers = {"lines": _ink(lines), "colors": drawing.colors}
            cmd = {name: write_layer(layer) for name, layer in layers.items() if layer is not None}
        except Exception as error:
            cmd = _excuse(error)
        return SketchPad(cmd={"seq": next(_numbers), **cmd})

    return start_from


def _read_sketch(url: Any) -> np.ndarray:
    """Return the lines (H, W) of a picture, dark ones as ink even where they are most of it."""
    sketch = read_photo(url, name="the sketch")
    try:
        return read_ink(sketch)
    except S2IError:
        return sketch.min(2)


def _fit_pad(
    picture: np.ndarray, resize: Callable[[np.ndarray, tuple[int, int]], np.ndarray]
) -> np.ndarray:
    """Return ``picture`` with a long side of at most a page's."""
    size = picture.shape[:2]
    return resize(picture, image.fit_side(size, min(PAD_PX, max(size))))


def _ink(lines: np.ndarray | None) -> np.ndarray | None:
    """Return lines (H, W) as black ink with alpha (H, W, 4), as the pad keeps them."""
    if lines is None:
        return None
    layer = np.zeros((*lines.shape, 4), np.uint8)
    layer[..., 3] = 255 - lines
    return layer


def _make_chooser(panels: list[Panel]) -> Callable[[Any], list[Any]]:
    def choose(payload: Any) -> list[Any]:
        """Return the updates of start row, tabs and all settings; what is not sound stays."""
        wanted = payload if isinstance(payload, dict) else {}
        tab, chosen, updates = wanted.get("tab"), {}, []
        for panel in panels:
            method = panel.method.name
            names = [name for _, name in panel.weights.choices]
            name = _pick(wanted, "weights", method)
            updates.append(gr.update(value=name) if name in names else gr.skip())
            chosen |= {method: name} if name in names else {}
            for control in panel.method.controls:
                try:
                    value = control.check(_pick(wanted, "values", method, control.name))
                    known = name if name in names else panel.weights.value
                    is_label = isinstance(control, Label)
                    updates.append(
                        _show_classes(known, value) if is_label else gr.update(value=value)
                    )
                except S2IError:
                    updates.append(gr.skip())
        is_tab = tab in [panel.method.name for panel in panels]
        return [
            StartRow(chosen=chosen) if chosen else gr.skip(),
            gr.Tabs(selected=tab) if is_tab else gr.skip(),
            *updates,
        ]

    return choose


def _pick(nested: Any, *path: str) -> Any:
    """Return what lies at ``path`` in dictionaries that may have any shape, else None."""
    for key in path:
        nested = nested.get(key) if isinstance(nested, dict) else None
    return nested


def _make_action(method: type[Method], action: Action, controls: list[str]) -> Callable[..., Stage]:
    def act(payload: Any, chosen: str, files: Any, *values: Any) -> Stage:
        """Return the stage's update with what the action made; never raise."""
        try:
            paths = files if isinstance(files, list) else [files] if action.photos_high else []
            photos = tuple(image.read_photo(path) for path in paths)
            loaded, settings = _load(method, chosen), dict(zip(controls, values, strict=True))
            with weights.inference(loaded.device):
                result = loaded.method.act(action.name, read_drawing(payload), photos, **settings)
            shown = show_result(
                result,
                about=f"{describe(method, loaded.name, {})} · {action.title.lower()}",
                name=f"{loaded.name}-{action.name}",
                method=method.name,
                weights=loaded.name,
            )
        except Exception as error:
            shown = _excuse(error)
        return Stage(shown={"number": next(_numbers), **shown})

    return act


def _make_endpoint(method: type[Method], names: list[str]) -> Callable[..., dict]:
    first = names[0] if names else ""

    def answer(payload: dict, chosen: str, settings: dict) -> dict:
        try:
            order = Order(
                method=method,
                weights=chosen or first,
                drawing=read_drawing({name: url or None for name, url in payload.items()}),
                values=settings or {},
            )
            return _paint(order)
        except S2IError as error:
            raise gr.Error(_as_sentence(error), print_exception=False) from None

    def paint(lines: str = "", colors: str = "", weights: str = first, settings: dict = {}) -> dict:  # noqa: B006
        """Paint a drawing: PNG data URLs in, {picture: PNG data URL, about: caption} out."""
        return answer({"lines": lines, "colors": colors}, weights, settings)

    def read(photo: str = "", marks: str = "", weights: str = first, settings: dict = {}) -> dict:  # noqa: B006
        """Read a photo: PNG or JPEG data URLs in, {picture: PNG data URL, about: caption} out."""
        return answer({"photo": photo, "marks": marks}, weights, settings)

    return on_gpu(read if "photo" in method.reads else paint)


def _excuse(error: Exception) -> dict[str, str]:
    if isinstance(error, S2IError):
        return {"sentence": _as_sentence(error)}
    log.error("a bug", exc_info=error)
    return {"sentence": SORRY}


def _as_sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]


def _find_classes(name: Any) -> tuple[str, ...]:
    """Return the classes of the weight ``name``; none where there is no such weight."""
    try:
        return weights.find_classes(name) if isinstance(name, str) else ()
    except S2IError:
        return ()


def _show_classes(name: Any, chosen: Any) -> dict[str, Any]:
    """Return a class list's update: the classes of the weight ``name``, ``chosen`` if it is one."""
    choices = list_classes(_find_classes(name))
    is_known = any(chosen == value for _, value in choices)
    return gr.update(choices=choices, value=chosen if is_known else GUESS)


def _show_weights(name: Any, label: Any) -> tuple[str, dict[str, Any]]:
    """Return a weight's card and its class list's update, where ``label`` was chosen so far."""
    return _describe_weights(name), _show_classes(name, label)


def _describe_weights(name: str | None) -> str:
    """Return the card of a weight as HTML: data, licence, size, score, origin, hash."""
    if not name:
        return ""
    try:
        entry = weights.find(name)
        found = weights.find_local(entry)
    except S2IError as error:
        return f"<p>{html.escape(_as_sentence(error))}</p>"
    origin = {"bundled": "came with the code", "folder": "your folder of weights"}
    facts = {
        "Made from": entry.data,
        "May I use the pictures commercially?": COMMERCIAL.get(entry.license, "see the licence"),
        "Licence": entry.license,
        "Size": f"{entry.bytes / 1e6:.1f} MB, trained at {entry.size_px} px",
        "Scores": ", ".join(_list_scores(entry.scores)),
        "Loaded from": origin.get(found[0], "the Hub's cache") if found else "the Hub, when needed",
        "Hash": f"checked on every load (sha256 {entry.sha256[:12]}…)",
    }
    rows = "".join(
        f"<dt>{key}</dt><dd>{html.escape(str(value))}</dd>" for key, value in facts.items() if value
    )
    return f'<dl data-testid="weights-card">{rows}</dl>'


def _list_scores(scores: dict[str, Any]) -> Iterator[str]:
    """Yield the scores that have an interval, as the most telling ones do; without such all."""
    numbers = {key: value for key, value in scores.items() if _is_number(value)}
    telling = [key for key in numbers if {f"{key}_low", f"{key}_high"} <= numbers.keys()]
    for key in telling:
        low, high = numbers[f"{key}_low"], numbers[f"{key}_high"]
        yield f"{key} {numbers[key]:.3g} [{low:.3g}, {high:.3g}]"
    if not telling:
        yield from (f"{key} {value:.3g}" for key, value in numbers.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
