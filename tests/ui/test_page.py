"""The page as a person meets it: real strokes with the mouse in a headless browser."""

from __future__ import annotations

import base64
import io
import math
import zipfile

import cv2
import fakes
import numpy as np
import pytest
from PIL import Image

from s2i import image
from s2i.ui import stream

pytestmark = pytest.mark.browser

PIXELS = """name => {
  const c = document.querySelector(`[data-testid=canvas-${name}]`);
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  let s = '';
  for (let i = 0; i < d.length; i += 9999) s += String.fromCharCode(...d.subarray(i, i + 9999));
  return [c.height, c.width, btoa(s)];
}"""

WATCH_FACTS = """() => {
  window.seen = [];
  new MutationObserver(() => {
    const text = document.querySelector('[data-testid=facts]').textContent;
    if (text && seen.at(-1) !== text) seen.push(text);
  }).observe(document.querySelector('#stage'), { childList: true, subtree: true });
}"""

FORGET = """Promise.all(['s2i', 's2i.photos'].map((name) => new Promise((done) => {
  const request = indexedDB.deleteDatabase(name);
  request.onsuccess = request.onerror = done;
})))"""


class Person:
    """Someone in front of the page."""

    def __init__(self, context, site):
        self.context = context
        self.page = context.new_page()
        self.errors, self.requests = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(site)
        self.wait_ready()

    def wait_ready(self):
        self.page.wait_for_function("window.s2i?.pad && window.s2i.stage && window.s2i.start")
        self.page.wait_for_selector("#stage .has-picture, #stage .has-error")
        self.settle()

    def settle(self):
        self.page.wait_for_timeout(60)
        self.page.wait_for_function("window.s2i.pad.settled", timeout=30_000)

    def get(self, testid):
        return self.page.get_by_test_id(testid)

    def click(self, testid, nth=0):
        self.get(testid).nth(nth).click()

    def at(self, x, y):
        """Page pixel -> window."""
        box = self.get("canvas-lines").bounding_box()
        width, height = self.page.evaluate(
            "[window.s2i.pad.size.width, window.s2i.pad.size.height]"
        )
        return box["x"] + x * box["width"] / width, box["y"] + y * box["height"] / height

    def stroke(self, points, *, steps=6, button="left"):
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down(button=button)
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=steps)
        self.page.mouse.up(button=button)

    def tap(self, x, y):
        self.page.mouse.click(*self.at(x, y))

    def layer(self, name):
        height, width, content = self.page.evaluate(PIXELS, name)
        return np.frombuffer(base64.b64decode(content), np.uint8).reshape(height, width, 4)

    def picture(self):
        source = self.get("picture").get_attribute("src")
        return np.array(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))

    def steps(self):
        """Return the numbers of a stream's steps that were seen."""
        return [int(text.split()[1]) for text in self.page.evaluate("seen")]

    def stream(self, steps):
        """Begin a stream of so many steps."""
        self.page.get_by_role("tab", name="Grow").click()
        self.page.evaluate(WATCH_FACTS)
        number = self.page.get_by_label("number input for Steps").last
        number.fill(str(steps))
        number.press("Enter")
        self.page.wait_for_function("seen.length > 2")

    def new(self):
        self.click("new")
        self.settle()

    def press(self, key):
        self.page.keyboard.press(key)

    def leave(self, site):
        """Go away without a trace, and without an error until now."""
        self.page.goto(f"{site}theme.css")
        self.page.evaluate(FORGET)
        self.page.close()
        assert self.errors == []


@pytest.fixture
def person(home, site):
    """Someone who was never here before."""
    someone = Person(home, site)
    yield someone
    someone.leave(site)


@pytest.fixture
def meet(browser, site):
    """Open the page in a browser of its own each time it is called."""
    contexts = []

    def open_page(**options):
        options = {"viewport": {"width": 1300, "height": 800}} | options
        contexts.append(browser.new_context(**options))
        return Person(contexts[-1], site)

    yield open_page
    for context in contexts:
        context.close()


def png_file(array, name="photo.png"):
    return {"name": name, "mimeType": "image/png", "buffer": image.encode_png(array)}


def ink(layer):
    return int((layer[..., 3] > 127).sum())


def test_first_visit_shows_an_example_already_painted(person):
    assert ink(person.layer("lines")) > 100
    assert ink(person.layer("colors")) > 1000
    assert person.picture().shape == (512, 512, 3)
    assert "live" in person.get("state").inner_text()
    assert person.get("example").count() == 2


def test_strokes_on_both_layers_change_the_picture_while_the_pen_is_down(person):
    person.new()
    blank = person.picture()
    assert blank.min() > 200
    person.page.mouse.move(*person.at(100, 100))
    person.page.mouse.down()
    person.page.mouse.move(*person.at(300, 120), steps=10)
    person.page.wait_for_timeout(300)
    during = person.picture()
    assert (during < 100).any(), "no renewal before the pen was lifted"
    person.page.mouse.up()
    person.click("layer-colors")
    person.get("swatches").locator("button").nth(6).click()
    person.stroke([(100, 300), (400, 300)])
    person.settle()
    colors = person.layer("colors")
    assert {tuple(pixel) for pixel in colors[colors[..., 3] > 0]} == {(0xC2, 0x27, 0x4B, 255)}
    after = person.picture()
    assert after[300, 250, 0] > after[300, 250, 1] + 60
    assert np.array_equal(person.layer("lines")[300:], np.zeros((212, 512, 4), np.uint8))


def test_a_fast_mouse_leaves_no_gaps(person):
    person.new()
    person.stroke([(30, 40), (480, 470), (40, 460), (470, 60)], steps=1)
    person.settle()
    count, _ = cv2.connectedComponents((person.layer("lines")[..., 3] > 127).astype(np.uint8))
    assert count == 2
    box = np.argwhere(person.layer("lines")[..., 3] > 127)
    assert box.max() > 450 and box.min() < 60


def test_nothing_is_lost_by_changing_tool_color_layer_weights_or_tab(person):
    person.new()
    person.stroke([(60, 60), (300, 90)])
    person.click("layer-colors")
    person.stroke([(200, 300), (350, 350)])
    person.settle()
    lines, colors = person.layer("lines"), person.layer("colors")
    for tool in ("fill", "erase", "pick", "pan", "brush"):
        person.click(f"tool-{tool}")
    person.get("swatches").locator("button").nth(4).click()
    person.click("layer-lines")
    person.page.get_by_label("Weights").first.click()
    person.page.get_by_role("option", name="warm").click()
    person.settle()
    for title in ("Outline", "Slow", "Blot"):
        person.page.get_by_role("tab", name=title).click()
        person.page.wait_for_timeout(100)
    person.settle()
    assert np.array_equal(person.layer("lines"), lines)
    assert np.array_equal(person.layer("colors"), colors)


def test_a_tab_says_what_it_reads_and_paints_at_once(person):
    before = person.picture()
    person.page.get_by_role("tab", name="Outline").click()
    person.page.wait_for_timeout(150)
    person.settle()
    after = person.picture()
    assert not np.array_equal(before, after)
    assert after[..., 2].min() == 255
    assert person.get("ignored").inner_text() == "Outline reads lines only"
    # One that is not live waits for its button.
    person.page.get_by_role("tab", name="Slow").click()
    person.page.wait_for_timeout(300)
    before = person.get("picture").get_attribute("src")
    person.stroke([(20, 20), (200, 30)])
    person.page.wait_for_timeout(300)
    assert person.get("picture").get_attribute("src") == before
    person.click("paint")
    person.page.wait_for_timeout(100)
    person.settle()
    assert person.picture()[..., 2].min() == 255


def test_undo_and_redo_go_stroke_by_stroke_over_both_layers(person):
    example = person.layer("lines")
    person.new()
    assert ink(person.layer("lines")) == 0
    person.click("undo")
    assert np.array_equal(person.layer("lines"), example)
    person.click("redo")
    person.stroke([(60, 60), (300, 60)])
    one = person.layer("lines")
    person.stroke([(60, 160), (300, 160)])
    two = person.layer("lines")
    person.press("c")
    person.stroke([(60, 260), (300, 260)])
    dab = person.layer("colors")
    person.press("Control+z")
    assert ink(person.layer("colors")) == 0
    person.press("Control+z")
    assert np.array_equal(person.layer("lines"), one)
    person.click("undo")
    assert ink(person.layer("lines")) == 0
    for _ in range(3):
        person.press("Control+Shift+z")
    assert np.array_equal(person.layer("lines"), two)
    assert np.array_equal(person.layer("colors"), dab)
    person.press("Delete")
    assert ink(person.layer("colors")) == 0
    person.press("Control+z")
    assert np.array_equal(person.layer("colors"), dab)


def test_eraser_by_key_and_by_the_right_button(person):
    person.new()
    person.stroke([(60, 100), (400, 100)])
    full = ink(person.layer("lines"))
    person.stroke([(100, 100), (150, 100)], button="right")
    less = ink(person.layer("lines"))
    assert 0 < less < full
    person.press("e")
    person.stroke([(200, 100), (300, 100)])
    assert 0 < ink(person.layer("lines")) < less
    person.press("b")
    assert person.get("tool-brush").get_attribute("aria-checked") == "true"


def test_fill_stops_at_lines_with_small_gaps(person):
    person.click("layer-colors")
    for gap, is_held in ((6, True), (14, False)):
        lines = np.full((512, 512), 255, np.uint8)
        cv2.rectangle(lines, (100, 100), (400, 400), 0, 2)
        lines[240 : 240 + gap, 390:410] = 255
        person.get("layers-file").set_input_files(png_file(lines, "box.lines.png"))
        person.page.wait_for_timeout(600)
        person.press("Delete")
        person.press("g")
        person.tap(250, 250)
        painted = person.layer("colors")[..., 3] > 0
        assert painted[102:398, 102:398].all()
        assert painted[20, 20] != is_held
        if is_held:
            assert painted.sum() <= 303 * 303


def test_shift_fill_takes_everything_of_that_color_and_pick_reads_both(person):
    person.new()
    person.press("c")
    person.stroke([(60, 60), (100, 60)])
    person.stroke([(300, 300), (340, 300)])
    person.get("hex").fill("#00ff00")
    person.press("Enter")
    person.get("canvas-lines").focus()
    person.press("g")
    person.page.keyboard.down("Shift")
    person.tap(80, 60)
    person.page.keyboard.up("Shift")
    colors = person.layer("colors")
    assert {tuple(pixel) for pixel in colors[colors[..., 3] > 0]} == {(0, 255, 0, 255)}
    person.get("hex").fill("#123456")
    person.get("canvas-lines").focus()
    person.press("i")
    person.tap(80, 60)
    assert person.get("hex").input_value() == "#00ff00"
    person.settle()
    person.tap(500, 10)
    assert person.get("hex").input_value() == "#ffffff"


def test_keys(person):
    person.get("hex").click()
    person.page.keyboard.type("12g")
    assert person.get("tool-brush").get_attribute("aria-checked") == "true"
    lines = person.layer("lines")
    person.press("Delete")
    assert np.array_equal(person.layer("lines"), lines)
    person.get("canvas-lines").focus()
    person.press("?")
    assert person.get("keys").is_visible()
    person.press("Escape")
    assert not person.get("keys").is_visible()
    before = person.picture()
    person.press("1")
    assert not person.get("canvas-lines").is_visible()
    person.settle()
    assert np.array_equal(person.picture(), before), "a hidden layer is still part of the drawing"
    person.press("1")
    assert person.get("canvas-lines").is_visible()


def test_zoom_to_the_cursor_draws_where_the_pen_is(person):
    person.new()
    person.page.mouse.move(*person.at(128, 128))
    person.page.mouse.wheel(0, -700)
    person.page.wait_for_timeout(100)
    person.stroke([(120, 128), (136, 128)])
    rows, columns = np.nonzero(person.layer("lines")[..., 3] > 127)
    assert abs(rows.mean() - 127.5) < 2 and abs(columns.mean() - 127.5) < 2
    person.press("0")
    box, view = person.get("canvas-lines").bounding_box(), person.get("view").bounding_box()
    assert abs(box["height"] - view["height"]) < 2


def test_reload_brings_the_drawing_back(person):
    person.new()
    person.press("]")
    person.stroke([(60, 60), (300, 200)])
    person.settle()
    lines = person.layer("lines")
    person.page.reload()
    person.wait_ready()
    assert np.array_equal(person.layer("lines"), lines)
    assert "is back" in person.get("notice").inner_text()
    person.get("notice").get_by_text("start new").click()
    assert ink(person.layer("lines")) == 0


def test_reload_brings_tab_weights_and_controls_back(person):
    person.page.get_by_role("tab", name="Outline").click()
    person.page.get_by_role("tab", name="Blot").click()
    person.page.get_by_label("Weights").first.click()
    person.page.get_by_role("option", name="warm").click()
    person.page.get_by_label("Lighten").check()
    person.page.wait_for_timeout(200)
    person.settle()
    before = person.picture()
    person.click("keep")
    about = person.get("kept-item").first.inner_text()
    assert "warm" in about and "lighten on" in about
    person.page.reload()
    person.wait_ready()
    assert person.page.get_by_label("Weights").first.input_value() == "warm"
    assert person.page.get_by_label("Lighten").is_checked()
    assert np.array_equal(person.picture(), before)
    person.page.get_by_role("tab", name="Outline").click()
    person.page.reload()
    person.wait_ready()
    assert person.page.get_by_role("tab", name="Outline").get_attribute("aria-selected") == "true"
    assert person.get("ignored").inner_text() == "Outline reads lines only"
    assert person.picture()[..., 2].min() == 255
    person.page.get_by_role("tab", name="Blot").click()
    person.page.wait_for_timeout(200)
    person.settle()
    assert np.array_equal(person.picture(), before)
    shown = person.get("examples").get_attribute("data-weights")
    assert shown == "blot.warm"


def test_what_was_done_just_before_a_reload_is_kept(person):
    person.new()
    person.stroke([(60, 60), (300, 200)])
    person.click("undo")
    person.press("]")
    size = person.get("size").input_value()
    person.page.reload()
    person.wait_ready()
    assert ink(person.layer("lines")) == 0
    assert person.get("size").input_value() == size != "2"


def test_a_photo_becomes_lines_and_colors_in_its_own_shape(person):
    photo = np.full((300, 700, 3), (90, 160, 220), np.uint8)
    cv2.circle(photo, (350, 150), 100, (230, 90, 40), -1)
    person.get("photo-file").set_input_files(png_file(photo))
    person.page.wait_for_function(
        "window.s2i.pad.size.width === 512 && window.s2i.pad.size.height === 219"
    )
    person.page.wait_for_timeout(200)
    person.settle()
    assert ink(person.layer("lines")) > 100
    assert (person.layer("colors")[..., 3] == 255).all()
    assert person.picture().shape == (219, 512, 3)
    coarse = person.layer("colors")
    slider = person.page.get_by_label("number input for Line detail")
    assert slider.is_visible()
    fine = ink(person.layer("lines"))
    slider.fill("0.5")
    slider.press("Enter")
    person.page.wait_for_timeout(400)
    assert ink(person.layer("lines")) != fine
    person.click("undo")
    assert ink(person.layer("lines")) == fine
    assert np.array_equal(person.layer("colors"), coarse)


def test_a_bad_upload_gets_a_sentence(person):
    person.get("photo-file").set_input_files(
        {"name": "list.png", "mimeType": "image/png", "buffer": b"eggs, milk"}
    )
    person.page.wait_for_selector("[data-testid=notice].is-error")
    assert "'list.png' is not a picture" in person.get("notice").inner_text()


def test_palette_from_a_picture(person):
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[:32], photo[32:] = (200, 30, 60), (20, 120, 220)
    before = person.get("swatches").get_attribute("data-colors")
    person.get("palette-file").set_input_files(png_file(photo))
    person.page.wait_for_function(
        "old => document.querySelector('[data-testid=swatches]').dataset.colors !== old",
        arg=before,
    )
    colors = person.get("swatches").get_attribute("data-colors").split(",")
    near = [bytes.fromhex(color[1:]) for color in colors]
    for wanted in ((200, 30, 60), (20, 120, 220)):
        assert min(math.dist(wanted, color) for color in near) < 12


def test_downloads(person, tmp_path):
    def save(press):
        with person.page.expect_download() as event:
            press()
        path = tmp_path / event.value.suggested_filename
        event.value.save_as(path)
        return path

    person.settle()
    picture = save(lambda: person.click("save"))
    assert np.array_equal(np.array(Image.open(picture)), person.picture())
    person.click("save-more")
    lines = save(lambda: person.click("save-lines"))
    assert lines.name.endswith(".lines.png")
    person.click("save-more")
    colors = save(lambda: person.click("save-colors"))
    drawn = person.layer("lines"), person.layer("colors")
    assert np.array(Image.open(lines).convert("L"))[0, 0] == 255
    person.new()
    person.get("layers-file").set_input_files([lines, colors])
    person.page.wait_for_function("!window.s2i.pad.isEmpty('lines')")
    person.page.wait_for_timeout(300)
    assert np.abs(person.layer("lines").astype(int) - drawn[0]).max() <= 2
    assert np.array_equal(person.layer("colors"), drawn[1])
    with person.page.expect_download():
        person.get("canvas-lines").focus()
        person.press("Control+s")


def test_opened_lines_are_understood_on_any_paper_or_refused(person):
    chalk = np.full((512, 512, 3), (20, 70, 40), np.uint8)
    cv2.circle(chalk, (256, 256), 150, (250, 250, 245), 5)
    person.get("layers-file").set_input_files(png_file(chalk, "board.lines.png"))
    person.page.wait_for_function("!window.s2i.pad.isEmpty('lines')")
    person.page.wait_for_timeout(300)
    drawn = person.layer("lines")[..., 3]
    assert drawn[256, 106] > 200 and drawn[256, 256] == 0 and drawn[20, 20] == 0
    photo = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    person.get("layers-file").set_input_files(png_file(photo, "photo.lines.png"))
    person.page.wait_for_selector("[data-testid=notice]:not([hidden])")
    assert "more than half" in person.get("notice").inner_text()
    assert np.array_equal(person.layer("lines")[..., 3], drawn)


def test_session_keeps_pictures_with_their_drawings(person, tmp_path):
    lines = person.layer("lines")
    person.click("keep")
    person.new()
    person.click("keep")
    assert person.get("kept-item").count() == 2
    assert "Blot · soft · seed 0" in person.get("kept-item").first.inner_text()
    person.page.reload()
    person.wait_ready()
    assert person.get("kept-item").count() == 2
    person.click("kept-open", 1)
    person.page.wait_for_timeout(300)
    assert np.array_equal(person.layer("lines"), lines)
    with person.page.expect_download() as event:
        person.click("save-all")
    event.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert {"001.png", "001.lines.png", "002.colors.png", "captions.txt"} <= set(names)
        assert Image.open(archive.open("001.png")).size == (512, 512)


def test_an_example_brings_its_weights(person):
    person.page.get_by_label("Weights").first.click()
    person.page.get_by_role("option", name="warm").click()
    person.page.wait_for_timeout(300)
    person.page.wait_for_function(
        "document.querySelector('[data-testid=examples]').dataset.weights === 'blot.warm'"
    )
    person.click("example", 1)
    person.page.wait_for_timeout(300)
    person.settle()
    assert tuple(person.layer("colors")[256, 256]) == (40, 90, 200, 255)
    assert tuple(person.picture()[256, 256]) == (100, 90, 200)


def test_enter_refines_once_more_and_controls_repaint(person):
    before = person.picture()
    person.get("canvas-lines").focus()
    person.press("Enter")
    person.page.wait_for_timeout(100)
    person.settle()
    assert not np.array_equal(person.picture(), before)
    person.click("keep")
    assert "refine 1" in person.get("kept-item").first.inner_text()
    before = person.picture()
    person.page.get_by_label("Lighten").check()
    person.page.wait_for_timeout(200)
    person.settle()
    assert person.picture().mean() > before.mean() + 5


def test_an_action_shows_a_strip_with_a_gif(person):
    person.page.get_by_role("button", name="more").first.click()
    photo = np.zeros((512, 512, 3), np.uint8)
    with person.page.expect_file_chooser() as chooser:
        person.page.get_by_role("button", name="Blend").click()
    chooser.value.set_files(png_file(photo))
    person.get("strip").locator("figure").nth(3).wait_for()
    assert person.get("strip").locator("img[src^='data:image/gif']").count() == 1


def test_the_colors_of_a_suggestion_go_to_the_pad(person):
    lines, colors = person.layer("lines"), person.layer("colors")
    person.page.get_by_role("button", name="more").first.click()
    person.page.get_by_role("button", name="Recolor").click()
    person.get("strip").locator("figure").nth(1).wait_for()
    person.page.get_by_label("Use these colours: sunset").click()
    person.page.wait_for_timeout(200)
    person.settle()
    assert np.array_equal(person.layer("lines"), lines)
    laid = person.layer("colors")
    assert not laid[:100].any()
    assert (laid[100:400] == (200, 30, 60, 255)).all() and (laid[400:] == (20, 120, 220, 255)).all()
    assert person.get("swatches").get_attribute("data-colors") == "#c81e3c,#1478dc"
    assert tuple(person.picture()[480, 10]) == (20, 120, 220)
    person.page.get_by_label("Use these colours: meadow").click()
    person.page.wait_for_timeout(200)
    person.settle()
    assert person.get("swatches").get_attribute("data-colors") == "#14c828"
    person.press("Control+z")
    assert np.array_equal(person.layer("colors"), laid)
    person.press("Control+z")
    assert np.array_equal(person.layer("colors"), colors)


def test_a_stream_is_seen_as_it_goes_and_arrives(person):
    person.new()
    person.stroke([(60, 60), (300, 60)])
    person.stream(90)
    person.get("strip").locator("button.look").nth(1).click()
    assert person.get("state").inner_text() == "painting…"
    assert person.get("stop").is_visible() and person.get("progress").is_visible()
    on_its_way = person.get("curve").locator("polyline").get_attribute("points")
    assert 2 <= len(on_its_way.split()) < 91
    person.page.wait_for_function("seen.at(-1) === 'step 90'")
    person.settle()
    curve = person.get("curve")
    assert curve.get_attribute("aria-label") == "loss: 4.000 to 0.000 over 90 steps"
    assert " ".join(curve.inner_text().split()) == "loss 4.000 0.000"
    spots = curve.locator("polyline").get_attribute("points").split()
    assert len(spots) == 91 and spots[0] == "0,0" and spots[-1] == "100,20"
    steps = person.steps()
    start = max(i for i, step in enumerate(steps) if i == 0 or step < steps[i - 1])
    assert len(steps[start:]) >= 4
    assert not person.get("stop").is_visible() and not person.get("progress").is_visible()
    picture = person.picture()
    assert picture[400, 400].max() == 0, "the chosen picture of the strip went away"
    assert picture[60, 200].min() > 200
    assert person.get("picture").get_attribute("src").startswith("data:image/png")
    person.page.get_by_label("Fail").check()
    person.page.wait_for_selector("#stage .has-error")
    assert person.get("sentence").inner_text() == "The ink ran out: draw less."
    assert person.get("facts").inner_text() == "step 2"
    assert not person.get("stop").is_visible()


def test_a_stream_stops_when_asked_and_when_something_newer_comes(person):
    person.new()
    person.stroke([(60, 60), (300, 60)])
    person.stream(400)
    person.click("stop")
    person.settle()
    steps = person.steps()[-1]
    assert steps < 200 and not stream._running
    person.page.wait_for_timeout(300)
    assert person.steps()[-1] == steps
    assert person.picture()[60, 200].max() < 50
    person.stream(300)
    person.stroke([(60, 160), (300, 160)])
    person.page.wait_for_timeout(200)
    assert len(stream._running) <= 1
    person.page.wait_for_function("seen.slice(-5).filter((text) => text === 'step 1').length")
    person.page.wait_for_timeout(500)
    picture = person.picture()
    assert picture[60, 200].max() < 50 and picture[160, 200].max() < 50
    assert person.get("stop").is_visible() and len(stream._running) == 1
    person.page.get_by_role("tab", name="Outline").click()
    person.page.wait_for_timeout(300)
    person.settle()
    assert not person.get("stop").is_visible() and not stream._running
    assert person.picture()[..., 2].min() == 255
    assert max(person.steps()) < 200
    person.page.get_by_role("tab", name="Grow").click()
    person.get("stop").wait_for()
    person.page.goto("about:blank")
    person.page.wait_for_timeout(2500)
    assert not stream._running, "it goes on although nobody looks"


def test_a_stream_that_ends_after_something_newer_is_known_to_have_ended(person, monkeypatch):
    person.new()
    person.stroke([(60, 60), (300, 60)])
    person.stream(400)
    monkeypatch.setattr(fakes, "STEP_SECONDS", 1.5)
    person.page.wait_for_timeout(200)
    person.page.get_by_role("tab", name="Outline").click()
    person.page.wait_for_function("window.s2i.pad.method.name === 'outline'")
    person.settle()
    assert not person.get("stop").is_visible() and not stream._running
    assert person.picture()[..., 2].min() == 255
    assert person.get("state").inner_text().startswith("live")


def test_paused_means_no_painting(person):
    person.click("state")
    assert person.get("state").inner_text() == "paused"
    before = person.get("picture").get_attribute("src")
    person.stroke([(20, 20), (300, 30)])
    person.page.wait_for_timeout(300)
    assert person.get("picture").get_attribute("src") == before
    person.click("state")
    person.page.wait_for_timeout(200)
    person.settle()
    assert person.get("picture").get_attribute("src") != before


def test_a_lost_connection_loses_nothing(person):
    person.new()
    person.context.set_offline(True)
    person.stroke([(20, 20), (300, 30)])
    person.page.wait_for_timeout(300)
    assert person.get("state").inner_text() == "no connection: your drawing is safe"
    person.context.set_offline(False)
    person.page.wait_for_function("window.s2i.pad.settled", timeout=15_000)
    assert person.picture()[15:35, 20:300].min() < 100
    assert "live" in person.get("state").inner_text()


def test_two_people_draw_at_once_and_get_their_own_last_picture(meet):
    people = [meet(), meet()]
    for one in people:
        one.new()
        one.page.mouse.move(*one.at(50, 50))
        one.page.mouse.down()
    for step in range(12):
        for number, one in enumerate(people):
            one.page.mouse.move(*one.at(50 + 30 * step, 60 + 300 * number))
    for number, one in enumerate(people):
        one.page.mouse.up()
        one.settle()
        picture = one.picture()
        assert (picture[40 + 300 * number : 80 + 300 * number, 200:350].min()) < 100
        other = 60 + 300 * (1 - number)
        assert picture[other - 5 : other + 5, 200:350].min() > 200
        assert not one.errors


def test_no_other_host_is_asked(person):
    person.stroke([(20, 20), (300, 30)])
    person.page.get_by_role("tab", name="Outline").click()
    person.click("theme")
    person.settle()
    hosts = {url.split("/")[2] for url in person.requests if url.startswith("http")}
    assert {host.split(":")[0] for host in hosts} == {"127.0.0.1"}


def test_hostile_payloads_get_a_sentence_and_the_page_goes_on(person):
    for change, sentence in (
        ({"lines": "data:text/html,hello"}, "must be a PNG"),
        ({"lines": "data:image/png;base64,AAAA"}, "is not a PNG"),
        ({"method": "../etc"}, "No such method"),
    ):
        person.page.evaluate(
            "change => window.s2i.pad.send({...window.s2i.pad.payload(), ...change})", change
        )
        person.page.wait_for_function(
            "part => document.querySelector('[data-testid=sentence]').innerText.includes(part)",
            arg=sentence,
        )
        assert person.page.locator("#stage .has-error").count() == 1
    person.stroke([(20, 20), (300, 30)])
    person.page.wait_for_timeout(100)
    person.settle()
    assert person.page.locator("#stage .has-error").count() == 0
    assert person.get("sentence").inner_text() == ""


def test_one_finger_draws_two_zoom_and_taps_undo(meet):
    person = meet(has_touch=True)
    person.new()
    tools = person.context.new_cdp_session(person.page)

    def touch(kind, *points):
        spots = [dict(zip(("x", "y"), person.at(*point), strict=True)) for point in points]
        tools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

    touch("touchStart", (100, 100))
    for x in range(120, 320, 20):
        touch("touchMove", (x, 110))
    touch("touchEnd")
    assert ink(person.layer("lines")) > 100
    touch("touchStart", (200, 200))
    touch("touchStart", (200, 200), (300, 200))
    touch("touchEnd")
    person.page.wait_for_timeout(100)
    assert ink(person.layer("lines")) == 0
    before = person.get("canvas-lines").bounding_box()["width"]
    touch("touchStart", (200, 200))
    touch("touchStart", (200, 200), (300, 200))
    touch("touchMove", (150, 200), (350, 200))
    touch("touchEnd")
    assert person.get("canvas-lines").bounding_box()["width"] > 1.3 * before
    assert ink(person.layer("lines")) == 0


@pytest.mark.parametrize("size", [(1300, 800), (390, 844), (820, 1180)])
def test_everything_has_a_name_and_nothing_sticks_out(meet, size):
    person = meet(viewport={"width": size[0], "height": size[1]})
    nameless = person.page.evaluate(
        """[...document.querySelectorAll('#desk :is(button, input), :is(#session, #header) button')]
        .filter(e => e.checkVisibility() && !(e.ariaLabel || e.innerText.trim() || e.title
          || e.labels?.length || e.closest('label')))
        .map(e => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    assert person.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    for name in ("view", "stage-view"):
        box = person.get(name).bounding_box()
        assert box["y"] + box["height"] <= size[1]
