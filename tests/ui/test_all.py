"""Paint with all: one drawing by every method, a cell each, one click from its tab."""

from __future__ import annotations

import io
import zipfile

import fakes
import numpy as np
import pytest
from PIL import Image
from test_page import Person

from s2i import weights
from s2i.ui import page, stream

pytestmark = pytest.mark.browser
METHODS = (fakes.Grow, fakes.Blot, fakes.Outline, fakes.Breed, fakes.Trace)
WEIGHTS = fakes.KWARGS | fakes.BREEDS
DRAWN = ["grow", "blot", "outline", "breed"]
WATCH_CELLS = """() => {
  window.filled = [];
  new MutationObserver(() => {
    for (const cell of document.querySelectorAll('[data-method].has-picture:not(.is-busy)')) {
      if (!filled.includes(cell.dataset.method)) filled.push(cell.dataset.method);
    }
  }).observe(document.querySelector('#stage'), { subtree: true, attributes: true });
}"""


@pytest.fixture(scope="module")
def all_site(zoo, tmp_path_factory):
    """Serve the page with methods of every kind, a stream first; its address."""
    folder = tmp_path_factory.mktemp("all")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2i.methods.METHODS", METHODS)
        patch.setattr(page, "METHODS", METHODS)
        patch.setattr(page, "EXAMPLES", fakes.write_examples(folder / "examples"))
        patch.setenv("S2I_MANIFEST", str(fakes.write_zoo(folder, weights.save, WEIGHTS)))
        with fakes.serve() as address:
            yield address


class Comparer(Person):
    """Someone who looks at one drawing by all methods."""

    def __init__(self, *args):
        super().__init__(*args)
        self.open_tab("Blot")

    def open_tab(self, title):
        self.page.get_by_role("tab", name=title).click()
        self.page.wait_for_timeout(200)
        self.settle()

    def tab(self):
        return self.page.get_by_role("tab", selected=True).inner_text()

    def cell(self, method):
        return self.page.locator(f"[data-testid=all-cell][data-method={method}]")

    def paint_all(self):
        self.click("paint-all")
        self.wait_all()

    def wait_all(self):
        self.page.wait_for_function("s2i.all.isOpen && !s2i.all.isRunning", timeout=30_000)
        self.settle()

    def cell_picture(self, method):
        source = self.cell(method).locator("img").get_attribute("src")
        return self.read(source)

    def read(self, source):
        content = self.page.evaluate(
            "async (url) => [...new Uint8Array(await (await fetch(url)).arrayBuffer())]", source
        )
        return np.array(Image.open(io.BytesIO(bytes(content))).convert("RGB"))

    def count_paintings(self):
        return self.page.evaluate("s2i.pad.seq")

    def fill(self, method, control, value):
        field = self.page.locator(f"#tab-{method} .control-{control} input[type=number]").first
        field.fill(str(value))
        field.press("Enter")
        self.page.wait_for_timeout(150)
        self.settle()


@pytest.fixture
def person(home, all_site):
    someone = Comparer(home, all_site)
    yield someone
    someone.leave(all_site)


def test_every_method_paints_the_drawing_and_says_how_long_it_took(person):
    lines = person.layer("lines")
    person.press("a")
    person.wait_all()
    assert person.get("all-cell").count() == 5
    for method in DRAWN:
        text = person.cell(method).inner_text()
        assert next(one.title for one in METHODS if one.name == method) in text
        assert int(text.split(" ms")[0].split()[-1]) >= 0, text
        assert person.cell_picture(method).shape == (512, 512, 3), method
    assert "soft" in person.cell("blot").inner_text()
    assert "guessed apple" in person.cell("breed").inner_text()
    assert int(person.cell("grow").inner_text().split(" ms")[0].split()[-1]) > 1000
    assert "reads a photo, and there is none" in person.cell("trace").inner_text()
    assert person.cell("trace").locator("img").is_hidden()
    painted = {method: person.cell_picture(method) for method in DRAWN}
    assert np.array_equal(person.layer("lines"), lines)
    person.press("Escape")
    assert person.get("all").is_hidden() and person.tab() == "Blot"
    for method, title in (("blot", "Blot"), ("outline", "Outline"), ("grow", "Grow")):
        person.open_tab(title)
        assert np.array_equal(person.picture(), painted[method]), method


def test_pictures_appear_one_by_one_cheap_ones_first(person):
    person.page.evaluate(WATCH_CELLS)
    person.paint_all()
    filled = person.page.evaluate("filled")
    assert sorted(filled) == sorted(DRAWN) and filled[-1] == "grow"


def test_each_is_painted_with_the_settings_of_its_tab(person):
    person.page.locator("#tab-blot .control-weights input").click()
    person.page.get_by_role("option", name="warm").click()
    person.settle()
    person.page.get_by_label("Lighten").first.check()
    person.page.wait_for_timeout(150)
    person.settle()
    person.open_tab("Grow")
    person.fill("grow", "steps", 3)
    person.paint_all()
    alt = person.cell("blot").locator("img").get_attribute("alt")
    assert alt == "Blot · warm · lighten on · seed 0"
    assert "warm" in person.cell("blot").inner_text()
    assert person.cell("grow").locator("img").get_attribute("alt") == "Grow · dark · steps 3"
    assert person.cell("breed").locator("img").get_attribute("alt") == "Breed · fruit · seed 0"


def test_escape_stops_it_for_good(person):
    before = person.get("picture").get_attribute("src")
    person.press("a")
    person.page.wait_for_selector("[data-method=grow].is-busy.has-picture")
    assert stream._running
    person.press("Escape")
    assert person.get("all").is_hidden()
    sent = person.count_paintings()
    person.settle()
    for _ in range(30):
        if not stream._running:
            break
        person.page.wait_for_timeout(100)
    assert not stream._running, "the search goes on behind the person's back"
    person.page.wait_for_timeout(1200)
    assert person.count_paintings() == sent
    assert person.get("picture").get_attribute("src") == before
    assert person.get("state").get_attribute("data-kind") == "live"
    assert person.get("stop").is_hidden() and person.get("sentence").inner_text() == ""


def test_drawing_on_stops_it_and_paints_what_is_drawn(person):
    person.press("a")
    person.page.wait_for_selector("[data-method=grow].is-busy")
    person.stroke([(20, 20), (300, 30)])
    assert person.get("all").is_hidden()
    person.page.wait_for_timeout(300)
    person.settle()
    person.page.wait_for_timeout(800)
    assert person.tab() == "Blot"
    assert person.picture()[25:30, 150:170].min() < 60, "the stroke is not in the picture"
    assert not stream._running
    person.paint_all()
    assert person.cell_picture("outline")[25:30, 150:170].min() < 60


def test_an_error_stays_in_its_cell(person):
    person.open_tab("Grow")
    person.page.get_by_label("Fail").first.check()
    person.page.wait_for_timeout(700)
    person.settle()
    person.open_tab("Blot")
    person.paint_all()
    assert "The ink ran out: draw less." in person.cell("grow").inner_text()
    assert person.cell("grow").locator("img").is_hidden()
    for method in ("blot", "outline", "breed"):
        assert person.cell_picture(method).shape == (512, 512, 3)
    assert person.get("sentence").inner_text() == ""


def test_a_click_opens_the_picture_in_its_tab_and_paints_nothing_again(person):
    lines = person.layer("lines")
    person.paint_all()
    painted, sent = person.cell_picture("outline"), person.count_paintings()
    person.page.get_by_role("button", name="Open Outline").click()
    person.page.wait_for_timeout(50)
    assert np.array_equal(person.picture(), painted), "the picture is not there at once"
    person.page.wait_for_function(
        "document.querySelector('[role=tab][aria-selected=true]').textContent.includes('Outline')"
    )
    person.page.wait_for_timeout(400)
    assert np.array_equal(person.picture(), painted) and person.get("all").is_hidden()
    assert person.count_paintings() == sent
    assert np.array_equal(person.layer("lines"), lines)
    assert person.get("ignored").inner_text() == "Outline reads lines only"
    person.paint_all()  # the same drawing: all pictures are still there
    assert person.count_paintings() == sent and person.get("told").inner_text()
    person.press("Escape")
    person.stroke([(20, 20), (300, 30)])
    person.settle()
    assert not np.array_equal(person.picture(), painted)


def test_one_of_many_pictures_stays_in_view_while_the_others_come(person):
    person.paint_all()
    painted = person.cell_picture("breed")
    person.page.get_by_role("button", name="Open Breed").click()
    person.get("grid").wait_for()
    person.settle()
    assert person.get("strip").locator("figure").count() == 9
    assert np.array_equal(person.picture(), painted) and person.tab() == "Breed"
    person.press("Escape")
    assert person.page.locator(".is-grid").count() == 1
    person.stroke([(20, 20), (300, 30)])
    person.settle()
    assert person.page.locator(".is-grid").count() == 1


def test_a_cell_is_kept_with_its_drawing_and_all_are_saved(person):
    lines = person.layer("lines")
    person.paint_all()
    person.page.get_by_role("button", name="Keep the picture of Outline").click()
    kept = person.get("kept-item")
    assert kept.locator("figcaption").inner_text() == "Outline · blue · seed 0"
    source = kept.locator("img").get_attribute("src")
    assert np.array_equal(person.read(source), person.cell_picture("outline"))
    with person.page.expect_download() as saved:
        person.click("save-all-methods")
    with zipfile.ZipFile(saved.value.path()) as archive:
        assert len(archive.namelist()) == 5 and archive.testzip() is None
        captions = archive.read("captions.txt").decode()
        assert "Blot · soft · seed 0" in captions and captions.count(" ms") == 4
    person.new()
    assert person.get("all").is_hidden()
    person.click("kept-open")
    person.settle()
    assert np.array_equal(person.layer("lines"), lines)


def test_a_method_says_what_it_misses(person):
    person.new()
    person.press("a")
    person.wait_all()
    assert "Blot reads lines and colours" in person.cell("blot").inner_text()
    assert "Outline reads lines, and there are none" in person.cell("outline").inner_text()
    assert person.get("told").inner_text() == "nothing could be painted"
    person.press("Escape")
    person.press("c")
    person.stroke([(100, 100), (300, 300)])
    person.settle()
    person.paint_all()
    assert person.cell_picture("blot").min() < 250
    assert "there are none" in person.cell("outline").inner_text()


def test_a_photo_on_the_pad_is_read_too(person):
    person.open_tab("Trace")
    person.click("example")
    person.page.wait_for_timeout(300)
    person.settle()
    person.paint_all()
    assert person.cell_picture("trace").shape == (300, 400, 3)
    assert person.cell_picture("outline").shape == (512, 512, 3)
    person.page.get_by_role("button", name="Open Trace").click()
    person.settle()
    assert person.get("strip").locator("figure").count() == 3
    assert person.get("replay").is_visible()


def test_the_key_is_listed_and_no_key_of_a_text_field(person):
    person.press("?")
    assert "paint with all methods" in person.get("keys").inner_text()
    person.press("a")
    assert person.get("all").is_hidden()
    person.click("keys-close")
    person.get("hex").focus()
    person.press("a")
    assert person.get("all").is_hidden()
