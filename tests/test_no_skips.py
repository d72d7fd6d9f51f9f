"""Where S2I_NO_SKIPS asks for it, a skip is a failure that names its reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest_plugins = "pytester"

SKIPS = """
import pytest

@pytest.fixture
def missing():
    pytest.skip("nothing to fix")

def test_fixture(missing): pass

def test_body(): pytest.skip("no day for it")

@pytest.mark.skipif("True", reason="never")
def test_mark(): pass

@pytest.mark.xfail
def test_known(): assert False

@pytest.mark.gpu
@pytest.mark.skipif("True", reason="no GPU")
def test_gpu(): pass
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """Return a folder of tests that skip, under this project's conftest."""
    shutil.copy(Path(__file__).with_name("conftest.py"), pytester.path)
    pytester.makeini("[pytest]\nmarkers = gpu: needs CUDA")
    monkeypatch.setenv("S2I_NO_SKIPS", "1")
    return pytester


def test_only_tests_for_a_gpu_may_skip(suite):
    suite.makepyfile(SKIPS)
    result = suite.runpytest_inprocess("-ra")
    result.assert_outcomes(failed=1, errors=2, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["*lets nothing skip: Skipped: no day for it*"])


def test_a_module_may_not_skip(suite):
    suite.makepyfile("import pytest\npytest.importorskip('no_such_module')")
    suite.runpytest_inprocess().assert_outcomes(errors=1)


def test_a_skip_is_a_skip_where_nobody_asks(suite, monkeypatch):
    monkeypatch.delenv("S2I_NO_SKIPS")
    suite.makepyfile(SKIPS)
    suite.runpytest_inprocess().assert_outcomes(skipped=4, xfailed=1)
