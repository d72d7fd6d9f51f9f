"""A method that reads photos: a photo on the pad, marks on the photo, strokes out of it."""

from __future__ import annotations

import base64
import io
from xml.etree import ElementTree

import cv2
import fakes
import numpy as np
import pytest
from PIL import Image
from test_page import Person, ink, png_file

from s2i.vectorize import from_npz

pytestmark = pytest.mark.browser

GIVE = """([kind, base64, name]) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)), data = new DataTransfer();
  data.items.add(new File([bytes], name, { type: 'image/png' }));
  const options = { bubbles: true, cancelable: true };
  if (kind === 'paste') {
    document.body.dispatchEvent(new ClipboardEvent(kind, { ...options, clipboardData: data }));
  } else {
    document.querySelector('[data-testid=view]')
      .dispatchEvent(new DragEvent(kind, { ...options, dataTransfer: data }));
  }
}"""


class Photographer(Person):
    """Someone before the tab of a method that reads photos."""

    def open_tab(self, title="Trace"):
        self.page.get_by_role("tab", name=title).click()
        self.page.wait_for_function(
            "title => window.s2i.pad.method.title === title && window.s2i.pad.settled", arg=title
        )

    def open(self, photo, name="photo.png"):
        self.get("photo-file").set_input_files(png_file(photo, name))
        self.wait_photo(photo.shape[1], photo.shape[0])
        self.settle()

    def wait_photo(self, width, height):
        """Wait until a photo of this size lies on the pad and its result on the stage."""
        self.page.wait_for_function(
            """([width, height]) => ['pad-photo', 'picture'].every((name) => {
              const picture = document.querySelector(`[data-testid=${name}]`);
              return picture.naturalWidth === width && picture.naturalHeight === height;
            })""",
            arg=[width, height],
        )
        self.page.wait_for_function("window.s2i.pad.settled")

    def mark(self, points, **options):
        """As stroke, in shares of the photo's sides."""
        box = self.get("canvas-marks").bounding_box()
        first, *rest = [
            (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points
        ]
        self.page.mouse.move(*first)
        self.page.mouse.down(**options)
        for point in rest:
            self.page.mouse.move(*point, steps=6)
        self.page.mouse.up(**options)

    def paint(self):
        self.click("paint")
        self.page.wait_for_timeout(100)
        self.settle()

    def pictures(self):
        """Return the strip's pictures."""
        sources = self.get("strip").locator("img").evaluate_all("all => all.map(one => one.src)")
        contents = [base64.b64decode(source.split(",")[1]) for source in sources]
        return [np.array(Image.open(io.BytesIO(content))) for content in contents]

    def save(self, testid):
        self.click("save-more")
        with self.page.expect_download() as event:
            self.click(testid)
        return event.value.suggested_filename, event.value.path().read_bytes()


@pytest.fixture
def meet(browser, site):
    """Open the page in a browser of its own each time it is called."""
    people = []

    def open_page(**options):
        options = {"viewport": {"width": 1300, "height": 800}, "accept_downloads": True} | options
        people.append(Photographer(browser.new_context(**options), site))
        people[-1].open_tab()
        people[-1].wait_photo(400, 300)
        return people[-1]

    yield open_page
    for someone in people:
        someone.context.close()
        assert someone.errors == []


@pytest.fixture
def person(home, site):
    """Someone who was never here before."""
    someone = Photographer(home, site)
    someone.open_tab()
    someone.wait_photo(400, 300)
    yield someone
    someone.leave(site)


def test_the_tab_opens_with_an_example_that_takes_nobodys_place(person):
    assert not person.get("blank").is_visible() and len(person.pictures()) == 3
    assert person.get("undo").is_disabled()
    person.open_tab("Outline")
    assert ink(person.layer("lines")) > 100
    person.click("paint-all")  # it is nobody's photo: none of what is drawn here
    person.page.wait_for_function("s2i.all.isOpen && !s2i.all.isRunning")
    cell = person.page.locator("[data-testid=all-cell][data-method=trace]")
    assert "there is none on the pad" in cell.inner_text()
    person.open_tab("Trace")
    person.click("new")
    assert person.get("blank").is_visible()
    person.open_tab("Outline")
    person.open_tab("Trace")
    person.page.wait_for_timeout(300)
    assert person.get("blank").is_visible(), "who took the photo away does not want another one"
    person.open(fakes.sun(600, 900))
    person.open_tab("Outline")
    person.open_tab("Trace")
    person.wait_photo(900, 600)


def test_a_photo_lies_on_the_pad_and_three_pictures_come(person):
    person.click("new")
    assert "A photo goes here" in person.get("blank").inner_text()
    assert person.get("ignored").inner_text() == "reads photos"
    person.click("paint")
    assert "There is no photo yet" in person.get("notice").inner_text()
    for hidden in ("layer-lines", "canvas-lines", "canvas-colors", "swatches"):
        assert not person.get(hidden).is_visible()
    person.open(fakes.sun(600, 900))
    assert not person.get("blank").is_visible()
    assert person.page.evaluate("window.s2i.pad.size") == {"width": 512, "height": 341}
    box = person.get("pad-photo").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(512 / 341, rel=0.01)
    sketch, cut, marks = person.pictures()
    assert np.array_equal(cut, fakes.sun(600, 900)) and (marks == 128).all()
    assert np.array_equal(person.picture(), sketch) and sketch[300, 450].max() == 0
    titles = person.get("strip").locator(".look").evaluate_all("all => all.map(one => one.title)")
    assert titles == ["sketch", "cut-out", "mask"]
    person.open_tab("Outline")
    assert not person.get("pad-photo").is_visible() and person.get("canvas-lines").is_visible()
    assert person.get("layer-lines").is_visible() and not person.get("camera").is_visible()
    assert ink(person.layer("lines")) > 100


def test_a_large_photo_is_made_smaller_and_stands_upright(person):
    lying = np.full((1500, 3000, 3), 40, np.uint8)
    lying[:, :600] = (220, 40, 40)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    content = io.BytesIO()
    Image.fromarray(lying).save(content, "JPEG", exif=exif)
    person.get("photo-file").set_input_files(
        {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": content.getvalue()}
    )
    person.wait_photo(1024, 2048)
    cut = person.pictures()[1]
    assert cut.shape == (2048, 1024, 3)
    assert cut[100, 512, 0] > 180 and cut[1900, 512, 0] < 80


def test_marks_reach_the_method(person):
    person.open(fakes.sun(600, 900))
    lines = person.page.evaluate("window.s2i.pad.urlOf('lines')")
    assert person.get("mark-object").get_attribute("aria-checked") == "true"
    person.mark([(0.4, 0.5), (0.6, 0.5)])
    person.press("x")
    assert person.get("mark-background").get_attribute("aria-checked") == "true"
    person.mark([(0.1, 0.1), (0.9, 0.1)])
    person.paint()
    _, cut, marks = person.pictures()
    assert marks.shape == (600, 900, 3) and set(np.unique(marks)) == {0, 128, 255}
    assert marks[300, 450, 0] == 255 and marks[60, 450, 0] == 0 and marks[500, 450, 0] == 128
    assert cut[60, 450].min() == 255
    both = person.layer("marks")
    assert {tuple(pixel) for pixel in both[both[..., 3] > 0]} == {
        (61, 220, 132, 255),
        (214, 40, 88, 255),
    }
    person.mark([(0.1, 0.1), (0.9, 0.1)], button="right")
    less = person.layer("marks")
    assert ink(less) < ink(both)
    person.press("Control+z")
    assert np.array_equal(person.layer("marks"), both)
    person.press("Control+Shift+z")
    assert np.array_equal(person.layer("marks"), less)
    person.press("Delete")
    assert ink(person.layer("marks")) == 0
    person.press("Control+z")
    assert np.array_equal(person.layer("marks"), less)
    assert person.get("tool-fill").is_disabled() and person.get("tool-pick").is_disabled()
    assert person.page.evaluate("window.s2i.pad.urlOf('lines')") == lines


def test_reload_brings_photo_and_marks_back(person):
    person.open(fakes.sun(600, 900))
    person.mark([(0.4, 0.5), (0.6, 0.5)])
    marks = person.layer("marks")
    person.page.reload()
    person.wait_ready()
    person.wait_photo(900, 600)
    assert np.array_equal(person.layer("marks"), marks)
    sketch, cut, seen = person.pictures()
    assert np.array_equal(cut, fakes.sun(600, 900)) and seen[300, 450, 0] == 255
    assert person.get("canvas-marks").is_visible() and sketch.shape == (600, 900, 3)


def test_another_photo_or_none_can_be_undone_with_the_marks(person):
    person.open(fakes.sun(600, 900))
    person.mark([(0.4, 0.5), (0.6, 0.5)])
    marks = person.layer("marks")
    person.open(fakes.sun(400, 400))
    assert ink(person.layer("marks")) == 0
    person.click("new")
    assert person.get("blank").is_visible()
    assert person.get("tool-brush").is_disabled()
    for _ in range(2):
        person.click("undo")
    person.wait_photo(900, 600)
    assert np.array_equal(person.layer("marks"), marks)
    person.click("redo")
    person.wait_photo(400, 400)
    # The drawing has a past of its own.
    person.open_tab("Outline")
    assert person.get("undo").is_disabled()


def test_a_photo_is_pasted_dropped_or_taken_from_the_examples(person):
    for kind, size in (("paste", (300, 450)), ("drop", (450, 300))):
        content = base64.b64encode(png_file(fakes.sun(*size))["buffer"]).decode()
        person.page.evaluate(GIVE, [kind, content, "image.png"])
        person.wait_photo(size[1], size[0])
    person.click("example")
    person.wait_photo(400, 300)
    text = base64.b64encode(b"eggs, milk").decode()
    person.page.evaluate(GIVE, ["paste", text, "list.png"])
    person.page.wait_for_selector("[data-testid=notice].is-error")
    assert "'list.png' is not a picture" in person.get("notice").inner_text()
    person.wait_photo(400, 300)


def test_the_camera_takes_a_photo_or_says_why_not(meet):
    person = meet(permissions=["camera"])
    person.click("camera")
    person.page.wait_for_function(
        "document.querySelector('[data-testid=camera-view]').videoWidth > 0"
    )
    width, height = person.page.evaluate(
        "(({ videoWidth, videoHeight }) => [videoWidth, videoHeight])"
        "(document.querySelector('[data-testid=camera-view]'))"
    )
    person.click("shoot")
    assert not person.get("booth").is_visible()
    person.wait_photo(width, height)
    assert person.pictures()[1].std() > 10
    assert person.page.evaluate("document.querySelector('video').srcObject") is None
    for name, sentence in (
        ("NotFoundError", "No camera was found"),
        ("NotAllowedError", "The camera may not be used"),
        ("OddError", "The camera did not start"),
    ):
        person.page.evaluate(
            "name => { navigator.mediaDevices.getUserMedia = async () => {"
            " throw new DOMException('', name); } }",
            name,
        )
        person.click("camera")
        person.page.wait_for_function(
            "part => document.querySelector('[data-testid=notice]').innerText.includes(part)",
            arg=sentence,
        )
        assert not person.get("booth").is_visible()


def test_a_sketch_goes_to_the_pad_with_the_colors_of_the_photo(person):
    before = person.page.evaluate("window.s2i.pad.urlOf('lines')")
    person.open(fakes.sun(600, 900))
    person.click("send")
    notice = person.get("notice")
    notice.get_by_role("button", name="open Blot").wait_for()
    assert "The sketch is on the pad's Lines" in notice.inner_text()
    assert person.get("pad-photo").is_visible()
    notice.get_by_role("button", name="open Blot").click()
    person.page.wait_for_function("window.s2i.pad.method.name === 'blot'")
    person.page.wait_for_timeout(200)
    person.settle()
    drawn, colors = person.layer("lines"), person.layer("colors")
    assert drawn.shape == (341, 512, 4)
    sketch = cv2.resize(fakes.rasterize(fakes.ring_and_bar(600, 900)), (512, 341))
    assert ((drawn[..., 3] > 127) != (sketch < 128)).mean() < 0.01
    assert (colors[..., 3] == 255).all()
    assert tuple(colors[170, 256, :3]) == (192, 192, 0) and tuple(colors[5, 5, :3]) == (64, 64, 128)
    assert person.picture().shape == (341, 512, 3)
    person.stroke([(40, 40), (120, 60)])
    person.settle()
    assert person.picture()[45:60, 60:100].min() < 60
    person.press("Control+z")
    person.press("Control+z")
    assert person.page.evaluate("window.s2i.pad.urlOf('lines')") == before


def test_strokes_are_saved_as_svg_npz_and_gif(person):
    person.open(fakes.sun(300, 400))
    name, content = person.save("save-svg")
    root = ElementTree.fromstring(content)
    assert name.endswith(".svg") and root.tag.endswith("}svg")
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) == 2
    name, content = person.save("save-npz")
    strokes = from_npz(content)
    assert name.endswith(".npz") and content[:4] == b"PK\x03\x04" and strokes.size == (300, 400)
    for found, made in zip(strokes.strokes, fakes.ring_and_bar(300, 400).strokes, strict=True):
        assert np.abs(found.points - made.points).max() < 0.02
    name, content = person.save("save-gif")
    film = Image.open(io.BytesIO(content))
    assert name.endswith(".gif") and content[:6] == b"GIF89a" and film.n_frames > 20
    person.open_tab("Slow")
    person.paint()
    person.click("save-more")
    assert not person.get("save-svg").is_visible() and person.get("save-lines").is_visible()
    assert not person.get("replay").is_visible()


def test_a_sketch_is_drawn_again_stroke_by_stroke(person):
    person.open(fakes.sun(300, 400))
    seen = "[...document.querySelectorAll('.replay path')].map((one) => one.style.visibility)"
    far = "+document.querySelector('[data-testid=replay-far]').value"
    assert not person.get("replay-view").is_visible()
    person.click("replay")
    person.page.wait_for_function(f"{far} > 0.05")
    assert person.page.evaluate(seen) == ["", "hidden"]
    assert not person.get("strip").is_visible()
    person.click("replay")
    assert person.get("replay").inner_text() == "go on"
    at = person.page.evaluate(far)
    person.page.wait_for_timeout(300)
    assert 0 < person.page.evaluate(far) == at < 1
    person.click("replay")
    person.page.wait_for_function(f"{far} === 1", timeout=15_000)
    assert person.page.evaluate(seen) == ["", ""]
    assert person.get("replay").inner_text() == "replay"
    person.get("strip").locator(".look").nth(1).click()
    assert not person.get("replay-view").is_visible()


def test_nothing_moves_for_those_who_want_that(meet):
    person = meet(reduced_motion="reduce")
    person.open(fakes.sun(300, 400))
    person.click("replay")
    assert person.page.evaluate("+document.querySelector('[data-testid=replay-far]').value") == 1
    person.get("replay-far").fill("0.5")
    offset = "document.querySelector('.replay path').style.strokeDashoffset"
    at = person.page.evaluate(offset)
    assert float(at) > 0
    person.page.wait_for_timeout(300)
    assert person.page.evaluate(offset) == at


def test_a_kept_picture_brings_its_photo_and_marks_back(person):
    person.open(fakes.sun(600, 900))
    person.mark([(0.4, 0.5), (0.6, 0.5)])
    person.paint()
    marks = person.layer("marks")
    person.click("keep")
    person.open(fakes.sun(400, 400))
    person.open_tab("Outline")
    person.page.reload()
    person.wait_ready()
    person.click("kept-open")
    person.wait_photo(900, 600)
    assert np.array_equal(person.layer("marks"), marks)
    assert person.page.get_by_role("tab", name="Trace").get_attribute("aria-selected") == "true"
    with person.page.expect_download() as event:
        person.click("save-all")
    assert event.value.path().read_bytes().count(b"001.photo.png") == 2


def test_a_hostile_photo_gets_a_sentence_and_the_page_goes_on(person):
    person.open(fakes.sun(300, 400))
    for change, sentence in (
        ({"photo": "data:text/html,hello"}, "must be a PNG or JPEG"),
        ({"photo": "data:image/jpeg;base64,AAAA"}, "is not a PNG, JPEG"),
        ({"photo": None, "marks": None}, "none of these came"),
        ({"marks": "data:image/png;base64,AAAA"}, "is not a PNG"),
    ):
        person.page.evaluate(
            "change => window.s2i.pad.send({...window.s2i.pad.payload(), ...change})", change
        )
        person.page.wait_for_function(
            "part => document.querySelector('[data-testid=sentence]').innerText.includes(part)",
            arg=sentence,
        )
    person.paint()
    assert person.get("sentence").inner_text() == ""


@pytest.mark.parametrize("size", [(1300, 800), (390, 844), (820, 1180)])
def test_everything_has_a_name_and_nothing_sticks_out(meet, size):
    person = meet(viewport={"width": size[0], "height": size[1]})
    person.open(fakes.sun(600, 900))
    person.get("replay").click()
    nameless = person.page.evaluate(
        """[...document.querySelectorAll('#desk :is(button, input), :is(#session, #header) button')]
        .filter(e => e.checkVisibility() && !(e.ariaLabel || e.innerText.trim() || e.title
          || e.labels?.length || e.closest('label')))
        .map(e => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    assert person.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    edge = person.get("view").bounding_box()
    for name in ("mark-background", "undo", "onion", "keys-button"):
        box = person.get(name).bounding_box()
        if box is not None:
            assert box["x"] + box["width"] <= edge["x"] + edge["width"] + 1
