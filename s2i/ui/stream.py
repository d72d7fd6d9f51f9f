"""A stream of results as a person sees it: the newest one some times a second, and the last one.

The steps run in a thread of their own: torch keeps its modes by thread, and whoever asks for the
results (Gradio does) may come from another thread each time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from s2i.errors import S2IError
from s2i.methods.base import Result

EVERY_SECONDS = 0.125

_running: dict[str, _Steps] = {}


def follow(start: Callable[[], Iterator[Result]], *, key: str) -> Iterator[tuple[Result, bool]]:
    """Yield (result, is it the last) of the stream that ``start`` begins, at most 8 a second.

    What comes in between is left out, the last one never. :func:`stop_stream` ends it after the
    step that runs, with that step's result; so does closing this iterator.

    Raises:
        S2IError: the stream ends before its first result; and what the stream itself raises, after
            the results before it.
    """
    steps = _running[key] = _Steps(start)
    try:
        yield from steps.watch()
    finally:
        steps.is_stopped.set()
        if _running.get(key) is steps:
            del _running[key]


def stop_stream(key: Any) -> None:
    """Stop the stream ``key`` after the step that runs, if there is such a stream."""
    steps = _running.get(key) if isinstance(key, str) else None
    if steps is not None:
        steps.is_stopped.set()


class _Steps:
    """The thread that makes results, and what it made last."""

    def __init__(self, start: Callable[[], Iterator[Result]]) -> None:
        self.start = start
        self.newest: Result | None = None
        self.error: Exception | None = None
        self.is_stopped, self.is_done, self.has_news = (threading.Event() for _ in range(3))

    def watch(self) -> Iterator[tuple[Result, bool]]:
        """Run the steps; yield as :func:`follow` says."""
        threading.Thread(target=self._run, daemon=True).start()
        seen = None
        while True:
            self.has_news.wait()
            self.has_news.clear()
            is_done = self.is_done.is_set()
            if is_done and self.error is None:
                break
            if self.newest is not None and self.newest is not seen:
                seen = self.newest
                yield seen, False
            if is_done:
                raise self.error
            self.is_done.wait(EVERY_SECONDS)
        if self.newest is None:
            raise S2IError("nothing came of this drawing: draw some more, or change a setting.")
        yield self.newest, True

    def _run(self) -> None:
        try:
            with closing(self.start()) as results:
                for self.newest in results:
                    self.has_news.set()
                    if self.is_stopped.is_set():
                        break
        except Exception as error:
            self.error = error
        finally:
            self.is_done.set()
            self.has_news.set()
