"""The page with a tiny zoo, served on a free port, and a headless browser before it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fakes

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def zoo(tmp_path_factory):
    """Point weights, methods and examples at the fakes."""
    import s2i.methods
    from s2i import weights
    from s2i.ui import page

    folder = tmp_path_factory.mktemp("zoo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s2i.methods, "METHODS", fakes.METHODS)
        patch.setattr(page, "METHODS", fakes.METHODS)
        patch.setattr(page, "EXAMPLES", fakes.write_examples(folder / "examples"))
        patch.setenv("S2I_MANIFEST", str(fakes.write_zoo(folder, weights.save)))
        patch.setenv("S2I_DEVICE", "cpu")
        patch.delenv("S2I_WEIGHTS", raising=False)
        yield folder


@pytest.fixture(autouse=True)
def no_settings(zoo):
    """Keep the zoo's settings: the served page needs them through all tests."""


@pytest.fixture(scope="session")
def site(zoo):
    """Serve the page; its address."""
    with fakes.serve() as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    """Start the Chromium of this machine."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser found: install one of {', '.join(BROWSERS)}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def home(browser):
    """A browser profile that keeps the page's files, so that opening it again is quick."""
    context = browser.new_context(viewport={"width": 1300, "height": 800}, accept_downloads=True)
    yield context
    context.close()
