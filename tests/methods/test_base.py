"""Controls take what they declare and refuse the rest in one sentence."""

from __future__ import annotations

import pytest

from s2i.errors import S2IError
from s2i.methods.base import GUESS, MAX_LABEL_CHARS, Label

LABEL = Label(name="label", label="Class", help="What it shall be.", flags=("--class",))


def test_a_label_is_guessed_unless_one_is_named():
    assert LABEL.default == GUESS and LABEL.check(LABEL.default) == GUESS
    assert LABEL.check("  bell pepper\n") == "bell pepper"
    assert LABEL.check("x" * MAX_LABEL_CHARS) == "x" * MAX_LABEL_CHARS


@pytest.mark.parametrize("value", [None, 3, True, ["banana"], "", "  ", "x" * 65, "x" * 10**6])
def test_what_is_no_label_gets_a_short_sentence(value):
    with pytest.raises(S2IError, match="label must be the name of a class") as caught:
        LABEL.check(value)
    assert len(str(caught.value)) < 250 and "\n" not in str(caught.value)
