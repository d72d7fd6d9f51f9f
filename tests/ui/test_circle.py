"""The circle, with the weights that ship: photo, sketch, to the pad, one more stroke, PI-REC."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import cairosvg
import cv2
import fakes
import numpy as np
import pytest
from PIL import Image
from test_photo import Photographer

import s2i.methods
from s2i import image
from s2i.methods.image2sketch import Image2Sketch
from s2i.methods.pirec import Pirec
from s2i.ui import page

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
SNEAKER = ROOT / "examples" / "image2sketch.pencil" / "sneaker.photo.jpg"


@pytest.fixture
def person(browser, zoo, monkeypatch):
    """Someone before the page as it ships, with two of its methods."""
    for module in (s2i.methods, page):
        monkeypatch.setattr(module, "METHODS", (Pirec, Image2Sketch))
    monkeypatch.setattr(page, "EXAMPLES", ROOT / "examples")
    monkeypatch.setenv("S2I_MANIFEST", str(ROOT / "weights_manifest.json"))
    with fakes.serve() as address:
        context = browser.new_context(
            viewport={"width": 1300, "height": 800}, accept_downloads=True
        )
        someone = Photographer(context, address)
        yield someone
        context.close()
    assert someone.errors == []


def test_a_photo_is_sketched_taken_to_the_pad_drawn_on_and_painted(person):
    photo = image.read_photo(SNEAKER)
    person.open_tab("Image to sketch")
    person.open(photo)
    sketch, cut_out, mask = person.pictures()
    assert sketch.shape == photo.shape
    ink, inside = sketch[..., 0] < 128, mask[..., 0] >= 128
    assert 0.2 < inside.mean() < 0.7 and inside[300, 250] and not inside[:60].any()
    assert (cut_out[~inside & (mask[..., 0] == 0)] == 255).all()
    assert 0.01 < ink.mean() < 0.3 and ink[inside].mean() > 10 * ink[~inside].mean()

    name, svg = person.save("save-svg")
    paths = list(ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path"))
    assert name.endswith(".svg") and len(paths) > 10
    page = cairosvg.svg2png(svg, output_width=512, output_height=512, background_color="white")
    drawn = np.asarray(Image.open(io.BytesIO(page)).convert("L")) < 128
    assert (drawn & ink).sum() > 0.6 * ink.sum()

    person.click("send")
    notice = person.get("notice")
    notice.get_by_role("button", name="open PI-REC").click()
    person.page.wait_for_function("window.s2i.pad.method.name === 'pirec'")
    person.page.wait_for_timeout(200)
    person.settle()
    lines, colors = person.layer("lines")[..., 3] > 127, person.layer("colors")
    assert (lines & ink).sum() > 0.8 * ink.sum() and (colors[..., 3] == 255).all()
    before = person.picture().astype(int)
    assert before.shape == photo.shape
    assert np.abs(before - photo).mean() < 25  # the circle closes: it is the shoe again

    person.click("layer-lines")
    person.stroke([(60, 60), (180, 60), (180, 140)])
    person.settle()
    added = (person.layer("lines")[..., 3] > 127) & ~lines
    assert added.sum() > 200
    after = person.picture().astype(int)
    change = np.abs(after - before).mean(2)
    stroke = cv2.dilate(added.astype(np.uint8), np.ones((9, 9))) > 0
    far = cv2.dilate(added.astype(np.uint8), np.ones((201, 201))) == 0
    assert change[stroke].mean() > 5 * change[far].mean()
    with person.page.expect_download() as event:
        person.click("save")
    assert event.value.suggested_filename.endswith(".png")
    saved = np.asarray(Image.open(event.value.path()).convert("RGB")).astype(int)
    assert np.abs(saved - after).mean() < 3
