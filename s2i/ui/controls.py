"""A method's control, which is data, becomes a component of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from s2i.methods.base import GUESS, Choice, Control, Label, Slider, Toggle


class ClassList(gr.Dropdown):
    """A list to choose from by typing, whose entries change; the method checks what is chosen."""

    is_template = True  # the browser shows a dropdown

    def preprocess(self, payload: Any) -> Any:
        """Return what was chosen as it came: a sentence of the method says it if that can't be."""
        return payload


def list_classes(classes: Sequence[str]) -> list[tuple[str, str]]:
    """Return the entries of a :class:`ClassList`: the guess first, then ``classes``."""
    return [(name, name) for name in dict.fromkeys((GUESS, *classes))]


def make_component(control: Control, classes: Sequence[str] = ()) -> Component:
    """Return the component of one control; its name is in the class ``control-NAME``.

    ``classes`` are those of the weights that are shown first.
    """
    shared = {"label": control.label, "elem_classes": ["control", f"control-{control.name}"]}
    match control:
        case Slider():
            return gr.Slider(
                control.low, control.high, value=control.default, step=control.step,
                info=control.help, min_width=120, buttons=[], **shared,
            )  # fmt: skip
        case Choice():
            return gr.Dropdown(
                list(control.options), value=control.default, filterable=False,
                info=control.help, min_width=100, **shared,
            )  # fmt: skip
        case Label():
            return ClassList(
                list_classes(classes), value=control.default, info=control.help,
                min_width=110, **shared,
            )  # fmt: skip
        case Toggle():
            return gr.Checkbox(control.default, info=control.help, min_width=90, **shared)
    raise TypeError(f"no component for {type(control).__name__}")


def make_components(
    controls: tuple[Control, ...], classes: Sequence[str] = ()
) -> dict[str, Component]:
    """Return a component for every control, by the control's name."""
    return {control.name: make_component(control, classes) for control in controls}
