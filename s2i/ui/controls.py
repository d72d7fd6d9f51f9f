"""A method's control, which is data, becomes a component of the page."""

from __future__ import annotations

import gradio as gr
from gradio.components import Component

from s2i.methods.base import Choice, Control, Slider, Toggle


def make_component(control: Control) -> Component:
    """Return the component of one control; its name is in the class ``control-NAME``."""
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
        case Toggle():
            return gr.Checkbox(control.default, info=control.help, min_width=90, **shared)
    raise TypeError(f"no component for {type(control).__name__}")


def make_components(controls: tuple[Control, ...]) -> dict[str, Component]:
    """Return a component for every control, by the control's name."""
    return {control.name: make_component(control) for control in controls}
