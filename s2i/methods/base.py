"""What a method is: a drawing goes in, a result comes out, and its controls are data.

The page, the command line and the README's tables are generated from these declarations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from torch import nn

from s2i import image
from s2i.errors import S2IError
from s2i.vectorize import Strokes

GUESS = "guess"  # in place of a class: the method finds out itself
MAX_LABEL_CHARS = 64


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What a person made, all uint8 and of one size; ``None`` where nothing of the kind is there.

    Attributes:
        lines: (H, W), ink 0, paper 255.
        colors: (H, W, 4), alpha 255 where painted.
        photo: (H, W, 3).
        marks: (H, W), where the person said what belongs to the object: 255 yes, 0 no, 128 nothing.
    """

    lines: np.ndarray | None = None
    colors: np.ndarray | None = None
    photo: np.ndarray | None = None
    marks: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check shapes and types: a wrong one is a bug of the caller.

        Raises:
            ValueError: a layer has another shape or type, or two layers differ in size.
        """
        wanted = {"lines": (2, None), "colors": (3, 4), "photo": (3, 3), "marks": (2, None)}
        sizes = set()
        for name, (ndim, channels) in wanted.items():
            layer = getattr(self, name)
            if layer is None:
                continue
            if (
                layer.dtype != np.uint8
                or layer.ndim != ndim
                or (channels or 0)
                not in (
                    0,
                    layer.shape[-1],
                )
            ):
                raise ValueError(f"{name}: unexpected {layer.shape} {layer.dtype}")
            sizes.add(layer.shape[:2])
        if len(sizes) > 1:
            raise ValueError(f"layers differ in size: {sorted(sizes)}")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of whichever layer is there."""
        for layer in (self.lines, self.colors, self.photo, self.marks):
            if layer is not None:
                return layer.shape[0], layer.shape[1]
        raise S2IError("the drawing is empty: draw some lines or open a picture first.")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a method made of a drawing.

    Attributes:
        pictures: (H, W, 3) uint8 each; the first one is the answer.
        captions: one a picture, or none at all.
        frames: pictures of one size that make an animation, or none.
        colors: (H, W, 4) uint8 layers, one a picture: the colours that gave it; or none at all.
        strokes: the answer as strokes, where it is a drawing that was traced.
        progress: how much of a stream is done, 0 to 1, where that is known.
        facts: one line about the pictures, like "seed 7 · step 3 of 50".
        curve: the loss after each step of a search, the start first; or none.
        seeds: one a picture, where each has its own: with it the method makes that picture again.
        guesses: classes and how sure the method is, 0 to 1, best first, where it chose one itself.
    """

    pictures: tuple[np.ndarray, ...]
    captions: tuple[str, ...] = ()
    frames: tuple[np.ndarray, ...] = ()
    colors: tuple[np.ndarray, ...] = ()
    strokes: Strokes | None = None
    progress: float | None = None
    facts: str = ""
    curve: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    guesses: tuple[tuple[str, float], ...] = ()


def last_of(result: Result | Iterator[Result]) -> Result:
    """Return the last result of a stream, or the only one.

    Raises:
        S2IError: the stream ends before its first result.
    """
    if isinstance(result, Result):
        return result
    newest = None
    for newest in result:  # noqa: B007 - one is kept, not all of them
        pass
    if newest is None:
        raise S2IError("nothing came of this drawing: draw some more, or change a setting.")
    return newest


@dataclass(frozen=True, kw_only=True)
class Control:
    """One setting of a method: the page makes a component of it, the command line an option.

    ``flags`` are further names of that option: ``--class`` besides ``--label``, ``-n``.
    """

    name: str
    default: Any
    label: str
    help: str
    advanced: bool = False
    flags: tuple[str, ...] = ()

    def check(self, value: Any) -> Any:
        """Return ``value`` in the control's own type.

        Raises:
            S2IError: it lies outside of what the control allows.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Slider(Control):
    """A number between two bounds; whole when default and step are."""

    low: float
    high: float
    step: float = 1

    def check(self, value: Any) -> float | int:
        """Return the number; see :meth:`Control.check`."""
        is_whole = isinstance(self.default, int) and float(self.step).is_integer()
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise S2IError(f"{self.name} must be a number, got {value!r}.") from None
        if not self.low <= number <= self.high or (is_whole and not number.is_integer()):
            kind = "a whole number" if is_whole else "a number"
            raise S2IError(
                f"{self.name} must be {kind} from {self.low:g} to {self.high:g}, got {value!r}."
            )
        return int(number) if is_whole else number


@dataclass(frozen=True, kw_only=True)
class Choice(Control):
    """One of a few values."""

    options: tuple[Any, ...]

    def check(self, value: Any) -> Any:
        """Return the option that ``value`` names; see :meth:`Control.check`."""
        for option in self.options:
            if value == option or str(value) == str(option):
                return option
        allowed = ", ".join(str(option) for option in self.options)
        raise S2IError(f"{self.name} must be one of {allowed}; got {value!r}.")


@dataclass(frozen=True, kw_only=True)
class Toggle(Control):
    """On or off."""

    def check(self, value: Any) -> bool:
        """Return the switch's state; see :meth:`Control.check`."""
        if not isinstance(value, bool):
            raise S2IError(f"{self.name} must be on or off, got {value!r}.")
        return value


# Controls that several methods have.
OVERLAY = Toggle(
    name="overlay",
    default=False,
    label="Lines on top",
    help="Lay your lines over the picture, crisp at any size.",
)
LINE_WIDTH = Slider(
    name="sigma",
    default=1.0,
    low=0.3,
    high=3,
    step=0.1,
    label="Line width",
    help="Gaussian sigma of the sketch in pixels at 256 px: about the width of its lines.",
)
INK_AMOUNT = Slider(
    name="ink",
    default=0.5,
    low=0,
    high=1,
    step=0.05,
    label="Amount of ink",
    help="How faint an edge may be and still be drawn.",
)


@dataclass(frozen=True, kw_only=True)
class Label(Control):
    """One of the classes that the weights know (``method.kwargs["classes"]``), or :data:`GUESS`.

    Only the method can tell whether it knows a class: :meth:`Method.predict` refuses the others.
    """

    default: Any = GUESS

    def check(self, value: Any) -> str:
        """Return the class's name, stripped; see :meth:`Control.check`."""
        name = value.strip() if isinstance(value, str) else ""
        if not 0 < len(name) <= MAX_LABEL_CHARS:
            raise S2IError(
                f"{self.name} must be the name of a class, at most {MAX_LABEL_CHARS} characters, "
                f"or '{GUESS}'; got {value!r:.80}."
            )
        return name


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something else that a method can do with a drawing: a button on its tab, a command-line flag.

    ``getattr(method, name)(drawing, photos, **controls)`` returns a :class:`Result`; ``photos`` is
    a tuple of uploaded (H, W, 3) pictures, at least ``photos_low`` and at most ``photos_high``.
    """

    name: str
    title: str
    help: str
    photos_low: int = 0
    photos_high: int = 0
    controls: tuple[Control, ...] = ()


class Method(nn.Module):
    """A way from a drawing to pictures; its networks are its submodules.

    So ``state_dict()`` carries every network under its own prefix (``generator.``, ``refiner.``),
    and ``Class(**kwargs)`` plus that dictionary rebuilds the method from its file alone.
    A subclass keeps the arguments it was built with in ``self.kwargs`` (JSON values only).
    ``preview`` holds the controls' values while the pen is down, where they differ: what is fast.
    ``film`` holds those for the frames of a video: what is seen in one.
    ``single`` holds those for one picture where there would be several, beside other methods'.
    ``needs_gradients`` says that it asks its networks for gradients, which PyTorch alone has.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]
    returns: ClassVar[str] = "picture"
    live: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False
    size_multiple: ClassVar[int] = 1
    controls: ClassVar[tuple[Control, ...]] = ()
    preview: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    film: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    single: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    suffixes: ClassVar[tuple[str, ...]] = (".png", ".gif")
    actions: ClassVar[tuple[Action, ...]] = ()
    start_controls: ClassVar[tuple[Control, ...]] = ()

    def __init__(self, **kwargs: Any) -> None:
        """Remember what the method was built with."""
        super().__init__()
        self.kwargs = kwargs

    @classmethod
    def start_from(cls, photo: np.ndarray, **values: Any) -> Drawing:
        """Return the drawing that an (H, W, 3) photo suggests: the layers read, of its size.

        Raises:
            S2IError: this method has no such start, or a value out of :attr:`start_controls`.
        """
        raise S2IError(f"{cls.title} does not start from a photo: draw {' and '.join(cls.reads)}.")

    def load_part(self, name: str) -> Method:
        """Return the method of the weight ``name``, which this one works with, on the same device.

        :func:`s2i.weights.load` sets it on what it returns; a part is loaded when it is asked for.

        Raises:
            S2IError: this method was not loaded, or the part can't be.
        """
        raise S2IError(f"{self.title} needs the weight '{name}': load it with s2i.weights.load.")

    def predict(self, drawing: Drawing, **controls: Any) -> Result | Iterator[Result]:
        """Return what the method makes of ``drawing``; the same seed gives the same bytes.

        A stream of results is shown as it comes. It is stopped between two of them, so a step
        should take well below a second; it runs in one thread from its first step to its last.
        """
        raise NotImplementedError

    def run(self, drawing: Drawing, **values: Any) -> Result | Iterator[Result]:
        """Check ``drawing`` and ``values`` against the declarations, then :meth:`predict`.

        Raises:
            S2IError: an unknown control, a value out of bounds, or no layer the method reads.
        """
        return self.predict(self._read(drawing), **check_values(self.controls, values))

    def act(
        self, name: str, drawing: Drawing, photos: tuple[np.ndarray, ...] = (), **values: Any
    ) -> Result:
        """Run the action ``name`` after the same checks as :meth:`run`.

        Raises:
            S2IError: no such action, too few or too many photos, or as :meth:`run`.
        """
        action = next((action for action in self.actions if action.name == name), None)
        if action is None:
            raise S2IError(f"{self.title} has no action '{name}'.")
        if not action.photos_low <= len(photos) <= action.photos_high:
            raise S2IError(
                f"'{action.title}' takes {action.photos_low} to {action.photos_high} pictures, "
                f"got {len(photos)}."
            )
        run = getattr(self, action.name)
        return run(drawing, photos, **check_values(action.controls, values))

    def files(
        self, drawing: Drawing, result: Result, name: str, *, suffix: str = ""
    ) -> dict[str, bytes]:
        """Return the files that hold ``result``: paths below the output folder to contents.

        Pictures are numbered where there is more than one; layers of colours lie beside them.

        Args:
            drawing: what ``result`` was made of.
            result: what it was made into.
            name: of the drawing, without a suffix; may hold folders.
            suffix: of the one file that was asked for, one of ``suffixes``; empty for a folder.
        """
        is_one = len(result.pictures) == 1
        names = [name if is_one else f"{name}_{n}" for n in range(1, len(result.pictures) + 1)]
        files = {
            f"{own}.png": image.encode_png(picture)
            for own, picture in zip(names, result.pictures, strict=True)
        }
        for own, layer in zip(names, result.colors, strict=False):
            files[f"{own}.colors.png"] = image.encode_png(layer)
        if result.frames:
            files[f"{name}.gif"] = image.encode_gif(result.frames)
        return files

    def _read(self, drawing: Drawing) -> Drawing:
        """Return ``drawing`` with only the layers that this method reads."""
        kept = {
            field.name: getattr(drawing, field.name) if field.name in self.reads else None
            for field in fields(drawing)
        }
        if all(value is None for value in kept.values()):
            raise S2IError(f"{self.title} reads {' and '.join(self.reads)}: none of these came.")
        return Drawing(**kept)


def check_values(controls: tuple[Control, ...], values: dict[str, Any]) -> dict[str, Any]:
    """Return a value for every control: the given one, checked, or its default.

    Raises:
        S2IError: a value for a control that is not there, or out of bounds.
    """
    known = {control.name: control for control in controls}
    for name in values:
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise S2IError(f"there is no setting '{name}'; the settings here are: {allowed}.")
    return {
        name: control.check(values.get(name, control.default)) for name, control in known.items()
    }
