"""The tour: five steps beside what they speak of; nothing waits for it, nothing is under it."""

from __future__ import annotations

import pytest
from test_page import Person, ink

pytestmark = pytest.mark.browser
TARGETS = (
    "[data-testid=pad] .layers",
    "[data-testid=swatches]",
    "#tabs [role=tablist]",
    "[data-testid=paint-all]",
    "[data-testid=keep]",
)


class Newcomer(Person):
    """Someone who was never here before."""

    def wait_tour(self):
        self.get("tour").wait_for()

    def is_over(self, selector):
        """Whether the bubble lies over the first visible element of this kind."""
        return self.page.evaluate(
            """(selector) => {
              const one = [...document.querySelectorAll(selector)].find((e) => e.checkVisibility());
              const a = one.getBoundingClientRect();
              const b = document.querySelector('[data-testid=tour]').getBoundingClientRect();
              return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
            }""",
            selector,
        )

    def covered(self):
        """Return the names of the visible buttons that the bubble lies over."""
        return self.page.evaluate(
            """() => {
              const bubble = document.querySelector('[data-testid=tour]');
              const b = bubble.getBoundingClientRect();
              const isUnder = (a) =>
                a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
              return [...document.querySelectorAll('button')]
                .filter((one) => one.checkVisibility({ visibilityProperty: true }))
                .filter((one) => !bubble.contains(one) && isUnder(one.getBoundingClientRect()))
                .map((one) => one.title || one.innerText);
            }"""
        )

    def focus(self):
        return self.page.evaluate("document.activeElement?.dataset.testid")


@pytest.fixture
def meet(browser, site):
    """Open the page in a browser of its own each time it is called."""
    people = []

    def open_page(width=1300, height=800):
        context = browser.new_context(viewport={"width": width, "height": height})
        people.append(Newcomer(context, site))
        people[-1].wait_tour()
        return people[-1]

    yield open_page
    for someone in people:
        someone.context.close()
        assert someone.errors == []


@pytest.mark.parametrize("size", [(1300, 800), (1600, 1000), (390, 800)])
def test_each_step_is_beside_what_it_speaks_of_and_over_no_page(meet, size):
    person = meet(*size)
    texts = set()
    for step, target in enumerate(TARGETS, 1):
        assert person.get("tour-count").inner_text() == f"{step} of 5"
        assert not person.is_over(target) and not person.is_over("[data-testid=view]"), target
        if size[0] > 700:
            assert not person.is_over("[data-testid=stage-view]"), target
        else:
            assert person.covered() == [], target
        box = person.get("tour").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= size[0], target
        assert box["y"] >= 0 and box["y"] + box["height"] <= size[1], target
        texts.add(person.get("tour-text").inner_text())
        person.click("tour-next")
    assert len(texts) == 5 and person.get("tour").is_hidden()


def test_it_breaks_no_first_sight_and_steals_no_stroke_and_no_key(meet):
    person = meet()
    assert person.picture().shape == (512, 512, 3) and ink(person.layer("lines")) > 100
    assert person.focus() is None, "the focus is not taken from anybody"
    person.new()
    person.stroke([(5, 5), (500, 20), (10, 500), (500, 500)])
    person.settle()
    assert ink(person.layer("lines")) > 1500 and person.picture()[200:400].min() < 60
    person.press("c")
    assert person.get("layer-colors").get_attribute("aria-checked") == "true"
    person.get("hex").focus()
    person.press("ArrowRight")
    assert person.get("tour-count").inner_text() == "1 of 5"
    person.get("canvas-lines").focus()
    person.press("ArrowRight")
    assert person.get("tour-count").inner_text() == "2 of 5"


@pytest.mark.parametrize("how", ["skip", "escape", "done"])
def test_it_never_comes_again_unless_it_is_asked_for(meet, how):
    person = meet()
    if how == "done":
        for _ in range(5):
            person.click("tour-next")
    elif how == "skip":
        person.click("tour-skip")
    else:
        person.press("Escape")
    assert person.get("tour").is_hidden()
    person.page.wait_for_timeout(100)
    person.page.reload()
    person.wait_ready()
    person.page.wait_for_timeout(500)
    assert person.get("tour").is_hidden()
    person.click("keys-button")
    person.click("tour-start")
    person.get("tour").wait_for()
    assert not person.get("keys").is_visible()
    assert person.focus() == "tour-next"
    person.press("Enter")
    person.press("ArrowRight")
    assert person.get("tour-count").inner_text() == "3 of 5"
    person.press("ArrowLeft")
    person.press("ArrowLeft")
    assert person.get("tour-count").inner_text() == "1 of 5" and person.get("tour-back").is_hidden()
    person.press("Escape")
    assert person.get("tour").is_hidden() and person.focus() == "keys-button"


def test_who_was_shown_it_but_did_not_dismiss_it_sees_it_again(meet):
    person = meet()
    person.page.reload()
    person.wait_ready()
    person.wait_tour()


def test_escape_belongs_to_what_is_open(meet):
    person = meet()
    person.press("a")
    person.page.wait_for_function("s2i.all.isOpen && !s2i.all.isRunning", timeout=30_000)
    person.press("Escape")
    assert person.get("all").is_hidden() and person.get("tour").is_visible()
