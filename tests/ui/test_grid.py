"""Many pictures of one drawing: a class to choose, a grid with seeds, vary around one, take all."""

from __future__ import annotations

import io
import socket
import zipfile

import fakes
import numpy as np
import pytest
from PIL import Image
from test_page import Person

from s2i import weights
from s2i.ui import page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def breed_site(zoo, tmp_path_factory):
    """Serve the page with methods whose pictures have seeds; its address."""
    folder = tmp_path_factory.mktemp("breeds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2i.methods.METHODS", (fakes.Breed, fakes.Outline))
        patch.setattr(page, "METHODS", (fakes.Breed, fakes.Outline))
        patch.setattr(page, "EXAMPLES", folder / "none")
        patch.setenv("S2I_MANIFEST", str(fakes.write_zoo(folder, weights.save, fakes.BREEDS)))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        blocks = page.build()
        options = page.launch_options() | {"show_error": False}
        blocks.launch(
            server_name="127.0.0.1",
            server_port=port,
            quiet=True,
            prevent_thread_lock=True,
            **options,
        )
        yield f"http://127.0.0.1:{port}/"
        blocks.close()


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

    def choose_class(self, text):
        field = self.page.locator("#tab-breed .control-label input")
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
def person(browser, breed_site):
    context = browser.new_context(viewport={"width": 1300, "height": 800}, accept_downloads=True)
    someone = Breeder(context, breed_site)
    yield someone
    context.close()
    assert someone.errors == []


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
