"""The page of a run in a browser: the system's Chromium, driven by Playwright."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from jaxae import report
from tests.made_run import EVIL, made

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    """The system's own browser. Nothing else in this process may use asyncio while it is open."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(PROGRAMS)} is on the PATH")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program, args=QUIET) as browser:
        yield browser


@pytest.fixture
def show(chromium):
    """Opens a page; what the browser complains of goes into its `complaints`, what it asks for into `requests`."""
    opened = []

    def one(path: Path, width=1280, dark=False, scripts=True):
        page = chromium.new_page(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            is_mobile=width < 500,
        )
        opened.append(page)
        page.complaints, page.requests = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(path.resolve().as_uri())
        return page

    yield one
    for page in opened:
        page.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A folder with the page of a run and one that compares three, each with a name that is HTML."""
    data = {"name": "digits", "test_size": 40, "reason": f"nothing in /{'a_long_name_' * 20}"}
    folder, run = tmp_path_factory.mktemp("pages"), made(EVIL, data=data)
    (folder / "run.html").write_bytes(report.run_page(run))
    (folder / "comparison.html").write_bytes(report.comparison_page(run, run, run))
    return folder


VISIBLE = """() => [...document.images].filter(i => i.checkVisibility()).map(i => {
    const box = i.getBoundingClientRect();
    return i.complete && i.naturalWidth > 0 && box.width >= i.naturalWidth && box.left >= 0 && box.right <= innerWidth;
})"""
COLOUR = "(e, name) => getComputedStyle(e)[name].match(/\\d+/g).map(Number)"


@pytest.mark.parametrize("name", ["run.html", "comparison.html"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (375, False)])
def test_a_browser_shows_it_without_complaint_or_network(show, pages, name, width, dark):
    page = show(pages / name, width, dark)
    visible = page.evaluate(VISIBLE)
    assert len(visible) >= 54
    assert all(visible)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("img").first.evaluate("e => getComputedStyle(e).imageRendering") == "pixelated"
    ground = page.locator("body").evaluate(COLOUR, "backgroundColor")
    text = page.locator("svg text").first.evaluate(COLOUR, "fill")
    assert (max(ground) < 60 and min(text) > 140) if dark else (min(ground) > 200 and max(text) < 120)
    dots = page.locator("svg use").all()
    assert all(dot.bounding_box()["width"] > 3 for dot in dots)
    assert len({str(dot.evaluate(COLOUR, "fill")) for dot in dots}) == 3
    assert [url for url in page.requests if not url.startswith("data:")] == [(pages / name).as_uri()]
    assert page.complaints == []


def test_the_policy_refuses_inline_styles_scripts_and_the_network(show, pages, tmp_path):
    path, content = tmp_path / "page.html", (pages / "run.html").read_bytes()
    injected = b'<p style="color: red"></p><img src="http://localhost/a.png"><script>alert(1)</script></main>'
    path.write_bytes(content.replace(b"</main>", injected))
    page = show(path)
    assert len(page.complaints) == 3
    assert all("Content Security Policy" in complaint for complaint in page.complaints)


SHOWN = "all => all.filter(e => e.checkVisibility()).map(e => e.dataset.level)"
PIXELS = "all => all.filter(e => e.checkVisibility()).map(e => e.src).join()"


def test_the_slider_changes_the_pictures(show, pages):
    page = show(pages / "run.html")
    slider, levels, images = (page.locator(each) for each in ("#strength", "[data-level]", "[data-level] img"))
    assert set(levels.evaluate_all(SHOWN)) == {"3"}
    seen = {3: images.evaluate_all(PIXELS)}
    for level in (4, 5, 6):
        slider.press("ArrowRight")
        assert set(levels.evaluate_all(SHOWN)) == {str(level)}
        seen[level] = images.evaluate_all(PIXELS)
    assert len(set(seen.values())) == 4
    assert "gaussian 1:" in slider.get_attribute("aria-valuetext")
    slider.press("ArrowLeft")
    assert images.evaluate_all(PIXELS) == seen[5]
    assert page.complaints == []


def test_without_scripts_the_middle_strength_is_shown(show, pages):
    page = show(pages / "run.html", scripts=False)
    assert page.locator("[data-level='3']").first.is_visible()
    assert not page.locator("[data-level]:not([data-level='3']):visible").count()
    assert not page.locator("#strength").is_visible()
