"""Streams of results: the newest one now and then, the last one always, stopped within a step."""

from __future__ import annotations

import threading
import time
from itertools import count

import numpy as np
import pytest

from s2i.errors import S2IError
from s2i.methods.base import Result, last_of
from s2i.ui.stream import _running, follow, stop_stream


def result(number):
    return Result(pictures=(np.zeros((4, 4, 3), np.uint8),), facts=str(number))


def steps(numbers, seconds=0.0, *, closed=None):
    try:
        for number in numbers:
            time.sleep(seconds)
            yield result(number)
    finally:
        if closed:
            closed.set()


def test_all_of_a_slow_stream_are_seen_and_the_last_is_marked():
    seen = [(one.facts, is_last) for one, is_last in follow(lambda: steps(range(4), 0.2), key="a")]
    assert seen[:3] == [("0", False), ("1", False), ("2", False)]
    assert seen[-1] == ("3", True) and len(seen) <= 5
    assert not _running


def test_of_a_fast_stream_the_last_one_arrives():
    start = time.perf_counter()
    seen = [(one.facts, is_last) for one, is_last in follow(lambda: steps(range(500)), key="a")]
    assert seen[-1] == ("499", True)
    assert len(seen) <= 2 + 8 * (time.perf_counter() - start)


def test_a_stream_is_stopped_by_its_key_within_a_step():
    closed = threading.Event()
    results = follow(lambda: steps(count(), 0.02, closed=closed), key="mine")
    next(results)
    for wrong in ("other", None, 3, ["mine"]):
        stop_stream(wrong)
    assert not next(results)[1]
    stop_stream("mine")
    *_, (last, is_last) = results
    assert is_last and closed.wait(1) and int(last.facts) < 100


def test_a_stream_that_nobody_follows_any_more_ends():
    closed = threading.Event()
    results = follow(lambda: steps(count(), 0.01, closed=closed), key="a")
    next(results)
    results.close()
    assert closed.wait(2)


def test_what_a_stream_raises_comes_after_its_results():
    def fails():
        yield result(1)
        raise S2IError("no more.")

    results = follow(fails, key="a")
    assert next(results)[0].facts == "1"
    with pytest.raises(S2IError, match=r"no more\."):
        next(results)


def test_a_stream_of_nothing_gets_a_sentence():
    with pytest.raises(S2IError, match="nothing came"):
        next(follow(lambda: steps([]), key="a"))
    with pytest.raises(S2IError, match="nothing came"):
        last_of(steps([]))


def test_the_last_of_a_stream_or_the_only_one():
    assert last_of(steps(range(3))).facts == "2"
    assert last_of(result(7)).facts == "7"
