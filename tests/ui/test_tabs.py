"""The tabs of the zoo's own methods, at tiny width: draw, dab, take a suggestion, search."""

from __future__ import annotations

import fakes
import pytest
import torch
from test_page import Person

from s2i import weights
from s2i.methods.autopainter import Autopainter
from s2i.methods.contextual import Contextual
from s2i.methods.pix2pix import Pix2pix
from s2i.ui import page, stream

pytestmark = pytest.mark.browser
METHODS = (Autopainter, Pix2pix, Contextual)


@pytest.fixture(scope="module")
def own_site(zoo, tmp_path_factory):
    """Serve the page with tiny methods; its address."""
    from train.publish import publish

    folder = tmp_path_factory.mktemp("own")
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2i.methods.METHODS", METHODS)
        patch.setattr(page, "METHODS", METHODS)
        patch.setenv("S2I_MANIFEST", str(folder / "weights_manifest.json"))
        (folder / "weights_manifest.json").write_text('{"version": 1, "weights": {}}')
        for build in METHODS:
            method = build(width=4, size_px=64)
            run = weights.save(folder / "ema.safetensors", method, metadata={})
            publish(run, f"{method.name}.tiny", license="CC0-1.0", data="nothing", size_px=64)
        with fakes.serve() as address:
            yield address


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


def test_contextual_gan_streams_stops_and_keeps_its_seed(person):
    page = person.page

    def choose(control, value):
        field = page.locator(f"#tab-contextual .control-{control} input[type=number]").first
        field.fill(str(value))
        field.press("Enter")

    def gallery():
        person.get("stop").wait_for(state="hidden")
        person.settle()
        pictures = person.get("strip").locator("img")
        return [pictures.nth(i).get_attribute("src") for i in range(pictures.count())]

    person.new()
    page.get_by_role("tab", name="Contextual GAN").click()
    assert person.get("ignored").inner_text() == "Contextual GAN reads lines only"
    person.stroke([(150, 100), (350, 100), (350, 400), (150, 400), (150, 100)])
    page.wait_for_function("/step \\d+ of 30/.test(document.body.innerText)")
    first = gallery()
    assert len(first) == 16  # eight candidates, each with its sketch
    assert person.get("facts").inner_text().startswith("seed 0 · step")
    assert person.get("curve").get_attribute("aria-label").startswith("loss: ")

    page.get_by_role("button", name="Another seed").click()
    page.wait_for_function("!/seed 0 /.test(document.body.innerText)")
    assert gallery() != first
    choose("seed", 0)
    page.wait_for_function("/seed 0 · step/.test(document.body.innerText)")
    assert gallery() == first

    page.locator("#tab-contextual .more").get_by_role("button").first.click()
    under_way = "/step [1-9]\\d* of 1000/.test(document.body.innerText)"
    choose("steps", 1000)
    page.wait_for_function(under_way)
    page.get_by_label("Search").last.click()
    page.get_by_role("option", name="seed").click()
    page.wait_for_function("/step 0 of 1000/.test(document.body.innerText)")  # it begins anew
    page.wait_for_function(under_way)
    person.click("stop")
    person.get("stop").wait_for(state="hidden")
    step = int(person.get("facts").inner_text().split("step ")[1].split()[0])
    assert 0 < step < 1000
    for _ in range(50):  # it ends between two steps
        if not stream._running:
            break
        page.wait_for_timeout(100)
    assert not stream._running
