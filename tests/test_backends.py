"""OpenVINO paints what PyTorch paints; where it is not installed one sentence says so."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from s2i import weights
from s2i.errors import S2IError

CASES = Path(__file__).with_name("openvino_cases.py")


def test_openvino_paints_the_same_pictures():
    """In a process of its own: beside what trainers import OpenVINO crashes."""
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed: see requirements-dev.txt")
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES)],
        cwd=CASES.parents[1],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout[-3000:]
    assert "11 passed" in answer.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("backend", "sentence"),
    [
        ("tensorflow", "S2I_BACKEND must be torch or openvino; got 'tensorflow'."),
        ("openvino", "S2I_BACKEND=openvino needs a package: pip install openvino."),
    ],
)
def test_a_backend_that_is_not_there_is_one_sentence(backend, sentence, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setenv("S2I_BACKEND", backend)
    with pytest.raises(S2IError) as error:
        weights.load("pix2pix.fashion", device="cpu")
    assert str(error.value) == sentence
