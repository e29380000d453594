"""The page in a browser: what it shows of a session while that reads, answers and is taken up again."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from PIL import Image

import farspan
from tests.server.conftest import Running, wait_for
from tests.server.texts import ANSWER, FACT, QUESTION, with_fact

sync_api = pytest.importorskip("playwright.sync_api")
Browser, Page, Locator, Route = sync_api.Browser, sync_api.Page, sync_api.Locator, sync_api.Route
expect = sync_api.expect

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_LONG_MS = 30_000
WEB = Path(farspan.__file__).parent / "server" / "web"
LONG, SHORT = with_fact(10_000), with_fact(300)
RAMBLING = "Write a long story."


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium that is installed on this machine."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("there is no Chromium")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that has nothing to complain of in the end; breaches of the content policy come as such complaints."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(_LONG_MS)
    opened, complaints = context.new_page(), []
    opened.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert [text for text in complaints if "Failed to load resource" not in text] == []


def test_its_files_are_short_and_put_data_in_as_text() -> None:
    for path in WEB.iterdir():
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 300
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|alert\(", text)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|https?://(?!www\.w3\.org/2000/svg)", text)


def opens(page: Page, server: Running) -> None:
    """Open the page where a session is begun."""
    page.goto(server.url)
    expect(page.get_by_role("button", name="Upload files")).to_be_visible()


def reads(page: Page, name: str, text: str) -> None:
    """Give the page a file, and wait until it has been read."""
    page.locator("#file").set_input_files({"name": name, "mimeType": "text/plain", "buffer": text.encode()})
    expect(page.locator("#texts")).to_contain_text(name, timeout=_LONG_MS)


def sent(server: Running) -> list[str]:
    """The names of the files that the server has from the page."""
    files = httpx.get(f"{server.url}/v1/files").json()["data"]
    return [file["filename"] for file in files if file["purpose"].startswith("session:")]


def asks(page: Page, question: str = QUESTION) -> Locator:
    """Ask, and wait for the answer: the part of the page that holds it."""
    page.get_by_label("Question", exact=True).fill(question)
    page.keyboard.press("Enter")
    answer = page.locator("article.answer").last
    expect(answer).to_have_attribute("aria-busy", "false", timeout=_LONG_MS)
    return answer


def meter(page: Page) -> dict[str, int]:
    """The numbers of the meter, all of one moment."""
    names = ["seen", "kept", "stored", "dropped", "fetched"]
    texts = page.evaluate("names => names.map(name => document.getElementById(name).textContent)", names)
    return {name: int(text.replace(",", "")) for name, text in zip(names, texts, strict=True)}


def number(page: Page, name: str) -> int:
    """A number of the meter."""
    return meter(page)[name]


def check_meter(page: Page) -> None:
    """Its numbers add up."""
    shown = meter(page)
    assert shown["seen"] > 0
    assert shown["kept"] + shown["stored"] + shown["dropped"] == shown["seen"]


def test_a_file_is_read_asked_about_and_found_again(page: Page, server: Running) -> None:
    opens(page, server)
    page.locator("#file").set_input_files({"name": "log.txt", "mimeType": "text/plain", "buffer": LONG.encode()})
    expect(page.get_by_label("Reading log.txt")).to_have_js_property("max", 1)
    expect(page.locator("#reading-count")).to_have_text(re.compile(r"[1-9]\d % .* tokens .* left"), timeout=_LONG_MS)
    check_meter(page)
    expect(page.locator("#texts")).to_contain_text("log.txt", timeout=_LONG_MS)
    expect(page).to_have_url(f"{server.url}/#log")
    read = number(page, "seen")
    assert read > 10_000
    assert number(page, "stored") > 0
    expect(page.locator("#exact")).to_have_text("not exact")
    expect(page.locator("#window")).to_have_text("1,024")

    answer = asks(page)
    expect(answer).to_contain_text(ANSWER)
    check_meter(page)
    assert number(page, "seen") > read
    assert number(page, "fetched") > 0

    answer.get_by_role("button", name=FACT).click()
    panel = page.get_by_role("complementary", name="log.txt")
    expect(panel.locator("mark")).to_have_text(FACT)
    expect(panel.locator("mark")).to_be_in_viewport()
    around = panel.locator("#panel-text").inner_text()
    assert around in LONG and len(around) > 2000
    panel.get_by_role("button", name="Earlier text").click()
    expect(panel.locator("#panel-text")).not_to_have_text(around, use_inner_text=True)
    assert around in panel.locator("#panel-text").inner_text()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(answer.get_by_role("button", name=FACT)).to_be_focused()

    seen = number(page, "seen")
    page.reload()
    expect(page.locator("article.question")).to_contain_text(QUESTION)
    expect(page.locator("article.answer")).to_contain_text(ANSWER)
    assert number(page, "seen") == seen
    page.locator("article.answer").get_by_role("button", name=FACT).click()
    expect(page.locator("mark")).to_have_text(FACT)
    expect(asks(page)).to_contain_text(ANSWER)
    assert page.locator("article").count() == 4
    expect(page.locator("article.question").last).to_be_in_viewport(ratio=1)


def test_everything_is_reached_by_keyboard(page: Page, server: Running) -> None:
    opens(page, server)
    page.get_by_label("Name").focus()
    page.keyboard.type("keys")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Question", exact=True)).to_be_focused()
    tabs_to(page, page.get_by_role("button", name="Paste"))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Paste text")
    expect(dialog.get_by_label("Text")).to_be_focused()
    page.keyboard.insert_text(SHORT)
    tabs_to(page, dialog.get_by_role("button", name="Read it"))
    page.keyboard.press("Enter")
    expect(page.locator("#texts")).to_contain_text("Pasted text")
    tabs_to(page, page.get_by_label("Question", exact=True))
    page.keyboard.type("What is the number of")
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_label("Question", exact=True)).to_have_value("What is the number of\n")
    page.keyboard.press("Backspace")
    page.keyboard.type(" the copper lantern?")
    page.keyboard.press("Enter")
    source = page.get_by_role("button", name=FACT)
    expect(source).to_be_visible()
    tabs_to(page, source)
    page.keyboard.press("Enter")
    expect(page.locator("mark")).to_be_in_viewport()
    expect(page.get_by_role("heading", name="Pasted text")).to_be_focused()
    page.keyboard.press("Escape")
    expect(source).to_be_focused()


def tabs_to(page: Page, wanted: Locator) -> None:
    """Press Tab until this has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if wanted.evaluate("node => node === document.activeElement"):
            return
    pytest.fail(f"{wanted} is not reached")


def test_reading_is_stopped_and_goes_on_after_a_reload(page: Page, server: Running) -> None:
    opens(page, server)
    page.locator("#file").set_input_files(
        {"name": "book.txt", "mimeType": "text/plain", "buffer": with_fact(5_000).encode()}
    )
    expect(page.locator("#reading-count")).to_contain_text("%", timeout=_LONG_MS)
    page.get_by_role("button", name="Stop reading").click()
    expect(page.locator("#texts")).to_contain_text("partly read")
    assert sent(server) == ["book.txt"]
    stood = number(page, "seen")
    assert 0 < stood < 7_000
    page.reload()
    expect(page.locator("#texts")).to_contain_text("partly read")
    page.get_by_role("button", name="Read on").click()
    expect(page.locator("#reading-count")).to_contain_text("%", timeout=_LONG_MS)
    assert number(page, "seen") >= stood
    expect(page.locator("#texts")).not_to_contain_text("partly", timeout=_LONG_MS)
    assert sent(server) == []
    expect(asks(page)).to_contain_text(ANSWER)


def test_files_go_with_what_was_read_of_them(page: Page, server: Running) -> None:
    """Files of others stay, also where they are the same."""
    other = httpx.post(f"{server.url}/v1/files", files={"file": ("tome.txt", LONG.encode())}).json()["id"]
    opens(page, server)
    reads(page, "leaf.txt", SHORT)
    expect(page.locator("#reading")).to_be_hidden()
    assert sent(server) == []
    page.locator("#file").set_input_files({"name": "tome.txt", "mimeType": "text/plain", "buffer": LONG.encode()})
    expect(page.locator("#reading-count")).to_contain_text("%", timeout=_LONG_MS)
    page.get_by_role("button", name="Stop reading").click()
    expect(page.locator("#texts")).to_contain_text("partly read")
    assert sent(server) == ["tome.txt"]
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="New session")).to_be_visible()
    wait_for(lambda: sent(server) == [])
    assert httpx.delete(f"{server.url}/v1/files/{other}").is_success


def test_an_answer_is_stopped_and_stays_as_far_as_it_came(page: Page, server: Running) -> None:
    opens(page, server)
    reads(page, "story.txt", SHORT)
    page.get_by_label("Question", exact=True).fill(RAMBLING)
    page.get_by_role("button", name="Ask", exact=True).click()
    answer = page.locator("article.answer")
    expect(answer).to_contain_text("writing")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(answer).to_contain_text("cut short")
    said = answer.locator(".said").inner_text()
    page.reload()
    expect(answer.locator(".said")).to_have_text(said, use_inner_text=True)
    expect(answer).to_contain_text("cut short")


def test_a_question_is_asked_without_keeping_it(page: Page, server: Running) -> None:
    opens(page, server)
    reads(page, "apart.txt", SHORT)
    seen = number(page, "seen")
    page.get_by_label("Ask without keeping").check()
    expect(asks(page)).to_contain_text(ANSWER)
    expect(page.locator("article.question")).to_contain_text("not kept")
    assert number(page, "seen") == seen
    expect(page.locator("#exact")).to_have_text("exact")
    page.reload()
    expect(page.locator("#log")).to_contain_text("Ask about what was read")


def test_sessions_are_forked_opened_and_deleted(page: Page, server: Running) -> None:
    opens(page, server)
    page.get_by_label("Method").select_option("streaming")
    page.get_by_label("Memory budget").fill("16MiB")
    expect(page.locator("#room")).to_contain_text("2,048 tokens")
    page.get_by_label("Name").fill("first")
    page.get_by_role("button", name="Begin empty").click()
    reads(page, "tale.txt", with_fact(2_000))
    expect(page.locator("#setup")).to_have_text("streaming, 16MiB")
    assert number(page, "dropped") > 0
    check_meter(page)
    page.get_by_role("button", name="Fork").click()
    page.get_by_role("dialog").get_by_role("button", name="Fork").click()
    expect(page.get_by_role("heading", name="first-fork")).to_be_visible()
    expect(page.locator("#texts")).to_contain_text("tale.txt")
    sessions = page.get_by_role("navigation", name="Sessions")
    sessions.get_by_role("link", name="first", exact=True).click()
    expect(page.get_by_role("heading", name="first", exact=True)).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="New session")).to_be_visible()
    expect(sessions.get_by_role("link", name="first", exact=True)).to_have_count(0)
    expect(sessions.get_by_role("link", name="first-fork")).to_be_visible()


def test_errors_are_shown_in_the_servers_words(page: Page, server: Running) -> None:
    opens(page, server)
    page.get_by_label("Memory budget").fill("a lot")
    page.get_by_role("button", name="Begin empty").click()
    expect(page.get_by_role("alert")).to_contain_text("'a lot' is not a size")
    page.get_by_role("alert").get_by_role("button", name="Close").click()
    page.goto(f"{server.url}/#nowhere")
    expect(page.get_by_role("alert")).to_contain_text("there is no session 'nowhere'")
    expect(page.get_by_role("heading", name="New session")).to_be_visible()


def test_files_are_dropped_and_one_that_cannot_be_read_is_told_of(page: Page, server: Running) -> None:
    opens(page, server)
    dropped = page.evaluate_handle(
        """([good, bad]) => {
            const dropped = new DataTransfer();
            dropped.items.add(new File([good], "good.txt"));
            dropped.items.add(new File([bad], "bad.pdf"));
            return dropped;
        }""",
        [SHORT, "%PDF-1.4 nonsense"],
    )
    page.dispatch_event("main", "dragover", {"dataTransfer": dropped})
    expect(page.get_by_text("Drop to have it read")).to_be_visible()
    page.dispatch_event("main", "drop", {"dataTransfer": dropped})
    expect(page.get_by_role("alert")).to_contain_text("bad.pdf is a damaged PDF")
    expect(page.get_by_text("Drop to have it read")).to_be_hidden()
    expect(page.locator("#texts")).to_have_text("good.txt")
    assert sent(server) == []
    expect(page).to_have_url(f"{server.url}/#good")
    expect(asks(page)).to_contain_text(ANSWER)


def test_it_waits_for_a_model_that_loads(page: Page, server: Running) -> None:
    said = json.dumps({"error": {"message": "loading model"}})
    for path in ("/v1/models", "/health"):
        page.route(f"**{path}", lambda route: route.fulfill(status=503, body=said), times=1)
    page.goto(server.url)
    expect(page.get_by_role("alert")).to_contain_text("loading model")
    expect(page.get_by_role("button", name="Upload files")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_it_asks_for_a_key_and_keeps_it_for_the_tab(page: Page, server: Running) -> None:
    def locked(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer secret":
            route.continue_()
        else:
            route.fulfill(status=401, body=json.dumps({"error": {"message": "this server wants an API key"}}))

    page.route("**/v1/**", locked)
    page.goto(server.url)
    dialog = page.get_by_role("dialog", name="API key")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("alert")).to_have_text(re.compile("this server wants an API key"))
    page.reload()
    for key in ("wrong", "secret"):
        expect(dialog.get_by_label("Key", exact=True)).to_have_value("")
        dialog.get_by_label("Key", exact=True).fill(key)
        page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Upload files")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Upload files")).to_be_visible()
    expect(dialog).to_be_hidden()


def test_it_is_dark_where_that_is_wanted_and_fits_a_phone(browser: Browser, server: Running) -> None:
    for scheme, dark in (("light", False), ("dark", True)):
        context = browser.new_context(viewport={"width": 400, "height": 800}, color_scheme=scheme)
        page = context.new_page()
        opens(page, server)
        reads(page, "note.txt", SHORT)
        asks(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        shown = Image.open(io.BytesIO(page.screenshot())).convert("L")
        assert (shown.getpixel((2, 400)) < 64) is dark
        assert len(shown.getcolors()) > 50
        page.get_by_role("button", name="Sessions").click()
        expect(page.get_by_role("link", name="note", exact=True)).to_be_in_viewport()
        context.close()
