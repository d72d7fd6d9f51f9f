"""Many pictures of one drawing: a class to choose, a grid with seeds, vary around one, take all."""

from __future__ import annotations

import io
import zipfile

import fakes
import numpy as np
import pytest
from PIL import Image
from test_page import Person

from s2i import weights
from s2i.methods.sketch2img import Sketch2Img
from s2i.ui import page

pytestmark = pytest.mark.browser
METHODS = (fakes.Breed, fakes.Outline, Sketch2Img)
TINY = {"classes": ["banana", "hat", "bell pepper"], "width": 4, "size_px": 32}
WEIGHTS = fakes.BREEDS | {"sketch2img.tiny": (Sketch2Img, TINY)}


@pytest.fixture(scope="module")
def breed_site(zoo, tmp_path_factory):
    """Serve the page with methods whose pictures have seeds; its address."""
    folder = tmp_path_factory.mktemp("breeds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2i.methods.METHODS", METHODS)
        patch.setattr(page, "METHODS", METHODS)
        patch.setattr(page, "EXAMPLES", folder / "none")
        patch.setenv("S2I_MANIFEST", str(fakes.write_zoo(folder, weights.save, WEIGHTS)))
        with fakes.serve() as address:
            yield address


class Breeder(Person):
    """Someone before a grid of pictures."""

    def grid(self):
        """Return the pictures of the grid by seed, as colours of a corner."""
        figures, found = self.get("strip").locator("figure"), {}
        for i in range(figures.count()):
            source = figures.nth(i).locator("img").get_attribute("src")
            seed = int(figures.nth(i).locator("figcaption").inner_text().split()[1])
            found[seed] = tuple(int(each) for each in self.read(source)[0, 0])
        return found

    def read(self, source):
        content = self.page.evaluate(
            "async (url) => [...new Uint8Array(await (await fetch(url)).arrayBuffer())]", source
        )
        return np.array(Image.open(io.BytesIO(bytes(content))).convert("RGB"))

    def is_grid(self):
        return self.page.locator(".stage.is-grid, .is-grid .stage").count() == 1

    def draw(self, y=200):
        self.stroke([(100, y), (400, y + 20)])
        self.settle()

    def choose_class(self, text, method="breed"):
        field = self.page.locator(f"#tab-{method} .control-label input")
        field.click()
        field.fill(text)
        field.press("Enter")
        self.page.wait_for_timeout(150)
        self.settle()

    def choose_weights(self, name):
        self.page.locator("#tab-breed .control-weights input").click()
        self.page.get_by_role("option", name=name, exact=True).click()
        self.page.wait_for_timeout(400)
        self.settle()

    def list_classes(self):
        field = self.page.locator("#tab-breed .control-label input")
        field.click()
        options = self.page.get_by_role("option")
        options.first.wait_for()
        listed = [options.nth(i).inner_text().strip() for i in range(options.count())]
        field.press("Escape")
        return [one.removeprefix("✓").strip() for one in listed]

    def class_now(self):
        return self.page.locator("#tab-breed .control-label input").input_value()


@pytest.fixture
def person(home, breed_site):
    someone = Breeder(home, breed_site)
    yield someone
    someone.leave(breed_site)


def test_one_picture_while_the_pen_is_down_a_grid_when_it_is_lifted(person):
    person.draw()
    grid = person.grid()
    assert list(grid) == list(range(9)) and len(set(grid.values())) == 9
    assert person.is_grid() and person.get("grid").is_hidden()
    person.page.mouse.move(*person.at(100, 300))
    person.page.mouse.down()
    person.page.mouse.move(*person.at(300, 320), steps=10)
    person.page.wait_for_timeout(400)
    assert person.get("strip").is_hidden() and person.get("picture").is_visible()
    assert not person.is_grid()
    person.page.mouse.up()
    person.settle()
    assert person.grid() == grid and person.is_grid()


def test_a_picture_is_enlarged_kept_and_saved_under_its_own_seed(person):
    person.draw()
    look = person.get("strip").get_by_role("button", name="seed 4", exact=True)
    look.focus()
    person.press("Enter")
    person.get("grid").wait_for()
    assert not person.is_grid() and look.get_attribute("aria-pressed") == "true"
    assert tuple(person.picture()[0, 0]) == person.grid()[4]
    assert person.get("picture").get_attribute("alt").endswith("Breed · fruit · seed 4")
    person.click("keep")
    assert person.page.locator("[data-testid=kept-item] figcaption").inner_text().endswith("seed 4")
    with person.page.expect_download() as saved:
        person.click("save")
    assert saved.value.suggested_filename.endswith("-seed-4.png")
    person.press("Escape")
    assert person.is_grid()
    assert person.page.evaluate("document.activeElement.title") == "seed 4"


def test_all_pictures_are_saved_as_one_zip(person):
    person.draw()
    with person.page.expect_download() as saved:
        person.click("save-each")
    with zipfile.ZipFile(saved.value.path()) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        captions = archive.read("captions.txt").decode().splitlines()
        for seed, color in person.grid().items():
            assert names[seed].endswith(f"-seed-{seed}.png")
            assert captions[seed] == f"{names[seed]}\tBreed · fruit · seed {seed}"
            picture = np.array(Image.open(io.BytesIO(archive.read(names[seed]))))
            assert picture.shape == (512, 512, 3) and tuple(picture[0, 0]) == color


def test_vary_locks_a_seed_until_it_is_stopped(person):
    person.draw()
    before = person.grid()
    assert person.get("varying").is_hidden()
    person.page.get_by_role("button", name="Vary seed 7: more like this one").click()
    person.page.wait_for_function("/varying seed 7/.test(document.body.innerText)")
    person.settle()
    varied = person.grid()
    assert varied.keys() == before.keys()
    assert all(varied[seed][2] == 80 != before[seed][2] for seed in varied)
    assert person.page.get_by_role("button", name="Seed 7 is varied").is_disabled()
    person.page.get_by_role("button", name="Vary seed 1: vary seed 1 itself, instead of 7").click()
    person.page.wait_for_function("/varying seed 1/.test(document.body.innerText)")
    person.settle()
    assert all(color[2] == 20 for color in person.grid().values())
    person.page.get_by_role("button", name="Vary seed 7: vary seed 7 itself, instead of 1").click()
    person.page.wait_for_function("/varying seed 7/.test(document.body.innerText)")
    person.settle()
    locked = person.page.locator("#tab-breed .control-locked input[type=number]")
    person.page.locator("#tab-breed .more").get_by_role("button").first.click()
    assert locked.input_value() == "7"
    person.page.get_by_role("button", name="Another seed").click()
    person.page.wait_for_timeout(300)
    person.settle()
    assert all(color[2] == 80 for color in person.grid().values())
    person.page.get_by_role("button", name="Stop varying: different pictures again").click()
    person.get("varying").wait_for(state="hidden")
    person.settle()
    assert all(color[2] == 0 for color in person.grid().values())
    assert locked.input_value() == "-1"


def test_a_class_is_chosen_by_typing_and_a_guess_by_a_click(person):
    person.draw()
    assert person.list_classes() == ["guess", "apple", "pear", "plum"]
    assert person.get("guesses").inner_text() == "guessed apple 83 % pear 17 %"
    person.choose_class("plu")
    assert person.class_now() == "plum"
    assert person.get("guesses").is_hidden() and person.get("facts").inner_text() == "plum"
    assert person.grid()[0][0] == 120
    person.choose_class("gu")
    person.get("guesses").get_by_role("button", name="pear 17 %").click()
    person.page.wait_for_function(
        "document.querySelector('[data-testid=facts]').textContent === 'pear'"
    )
    person.settle()
    assert person.class_now() == "pear" and person.grid()[0][0] == 80


def test_other_weights_know_other_classes(person):
    person.draw()
    person.choose_class("pear")
    person.choose_weights("tools")
    assert person.class_now() == "pear" and person.get("facts").inner_text() == "pear"
    assert person.list_classes() == ["guess", "hammer", "pear"]
    person.choose_class("hammer")
    person.choose_weights("fruit")
    assert person.class_now() == "guess"
    assert person.get("sentence").inner_text() == ""
    assert person.get("guesses").inner_text().startswith("guessed apple")
    assert person.list_classes() == ["guess", "apple", "pear", "plum"]


def test_a_reload_keeps_class_weights_and_lock(person):
    person.draw()
    person.choose_weights("tools")
    person.choose_class("hammer")
    person.page.get_by_role("button", name="Vary seed 3: more like this one").click()
    person.page.wait_for_function("/varying seed 3/.test(document.body.innerText)")
    person.settle()
    before = person.grid()
    person.page.wait_for_timeout(900)
    person.page.reload()
    person.wait_ready()
    person.page.wait_for_function("/varying seed 3/.test(document.body.innerText)")
    person.settle()
    assert person.class_now() == "hammer" and person.grid() == before
    assert person.list_classes() == ["guess", "hammer", "pear"]


def test_a_class_that_is_not_there_is_one_sentence(person):
    """The page is not asked: what it would never send comes to the server all the same."""
    person.draw()
    before = person.grid()
    person.page.evaluate(
        """() => { const send = window.fetch; window.fetch = (url, options) => send(url, {
          ...options, body: typeof options?.body === 'string'
            ? options.body.replace('"guess"', '"unicorn"') : options?.body }); }"""
    )
    person.draw(300)
    text = person.get("sentence").inner_text()
    assert text == "There is no class 'unicorn'; there are: apple, pear, plum."
    assert person.grid() == before  # the older pictures stay, dimmed


def test_other_methods_have_no_grid(person):
    person.draw()
    person.page.get_by_role("tab", name="Outline").click()
    person.page.wait_for_timeout(300)
    person.settle()
    assert person.get("strip").is_hidden() and not person.is_grid()
    for testid in ("save-each", "vary-this", "grid", "varying", "guesses"):
        assert person.get(testid).is_hidden(), testid


def test_sketch2img_guesses_takes_a_class_and_varies(person):
    person.page.get_by_role("tab", name="Sketch2Img").click()
    first = person.page.locator("#tab-sketch2img .control-weights").bounding_box()
    last = person.page.locator("#tab-sketch2img .dice").bounding_box()
    assert abs(first["y"] + first["height"] - last["y"] - last["height"]) < 6, "it is a second row"
    person.page.wait_for_function("/nothing is drawn/.test(document.body.innerText)")
    person.draw()
    assert list(person.grid()) == list(range(9))
    guesses = person.get("guesses").inner_text()
    assert all(name in guesses for name in TINY["classes"]) and guesses.count(" %") == 3
    sources = person.get("strip").locator("img")
    assert len({sources.nth(i).get_attribute("src") for i in range(9)}) == 9
    person.choose_class("bell", "sketch2img")
    assert person.get("facts").inner_text() == "bell pepper"
    person.page.get_by_role("button", name="Vary seed 2: more like this one").click()
    person.page.wait_for_function("/varying seed 2/.test(document.body.innerText)")
    person.settle()
    assert list(person.grid())[:3] == [2, 0, 1]
    assert person.get("facts").inner_text() == "bell pepper"
