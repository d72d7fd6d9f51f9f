"""The tabs of the zoo's own methods, at tiny width: draw, dab, take a suggestion."""

from __future__ import annotations

import socket

import pytest
import torch
from test_page import Person

from s2i import weights
from s2i.methods.autopainter import Autopainter
from s2i.methods.pix2pix import Pix2pix
from s2i.ui import page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def own_site(zoo, tmp_path_factory):
    """Serve the page with tiny Auto-Painter and pix2pix; its address."""
    from train.publish import publish

    folder = tmp_path_factory.mktemp("own")
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2i.methods.METHODS", (Autopainter, Pix2pix))
        patch.setattr(page, "METHODS", (Autopainter, Pix2pix))
        patch.setenv("S2I_MANIFEST", str(folder / "weights_manifest.json"))
        (folder / "weights_manifest.json").write_text('{"version": 1, "weights": {}}')
        for method in (Autopainter(width=4, size_px=64), Pix2pix(width=4, size_px=64)):
            run = weights.save(folder / "ema.safetensors", method, metadata={})
            publish(run, f"{method.name}.tiny", license="CC0-1.0", data="nothing", size_px=64)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        blocks = page.build()
        blocks.launch(
            server_name="127.0.0.1",
            server_port=port,
            quiet=True,
            prevent_thread_lock=True,
            **page.launch_options(),
        )
        yield f"http://127.0.0.1:{port}/"
        blocks.close()


@pytest.fixture
def person(browser, own_site):
    context = browser.new_context(viewport={"width": 1300, "height": 800})
    someone = Person(context, own_site)
    yield someone
    context.close()
    assert someone.errors == []


def test_auto_painter_paints_lines_takes_hints_and_suggests_colors(person):
    person.new()
    person.stroke([(100, 100), (400, 100), (400, 400), (100, 400), (100, 100)])
    person.settle()
    bare = person.picture()
    assert bare.shape == (512, 512, 3)
    person.click("layer-colors")
    person.tap(250, 250)
    person.settle()
    assert (person.picture() != bare).any()
    person.press("Control+z")
    person.page.locator("#tab-autopainter .more").get_by_role("button").first.click()
    person.page.get_by_role("button", name="Suggest colours").click()
    uses = person.page.get_by_text("Use these colours")
    uses.nth(5).wait_for()
    assert uses.count() == 6
    assert not person.layer("colors").any()
    uses.nth(2).click()
    person.settle()
    assert (person.layer("colors")[..., 3] > 0).sum() > 50
    person.press("Control+z")
    assert not person.layer("colors").any()


def test_pix2pix_reads_lines_only_and_says_so(person):
    person.new()
    person.page.get_by_role("tab", name="pix2pix").click()
    assert person.get("ignored").inner_text() == "pix2pix reads lines only"
    person.stroke([(100, 100), (400, 400)])
    person.settle()
    plain = person.picture()
    assert plain.shape == (512, 512, 3)
    person.page.get_by_label("Lines on top").last.check()
    person.page.wait_for_timeout(200)
    person.settle()
    laid = person.picture()
    assert (laid <= plain).all() and laid[250, 250].max() < 60
