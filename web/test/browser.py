"""A headless Chromium against the mock server, for the page's tests.

    python3 web/test/chat_test.py            # or safety_test.py, runs_test.py; JET_CHROMIUM names another browser

Every page is watched: a request to another origin, a broken script or a refused policy fails the test.
"""
import os
import shutil
import sys
import unittest

import mock

try:
    from playwright.sync_api import expect, sync_playwright
except ImportError:
    sync_playwright = expect = None

CHROMIUM = os.environ.get("JET_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def main():
    missing = "playwright for Python is not installed" if not sync_playwright else "no Chromium is installed" if not CHROMIUM else ""
    if missing:
        print("skipped: " + missing)
        sys.exit(0)
    unittest.main()


class PageTest(unittest.TestCase):
    options = {}        # of the mock server
    allowed = ()        # parts of console errors that a test expects

    @classmethod
    def setUpClass(cls):
        cls.playwright = sync_playwright().start()
        cls.browser = cls.playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        expect.set_options(timeout=30_000)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.playwright.stop()

    def setUp(self):
        self.server = mock.Server(**self.options).start()
        self.context = self.browser.new_context(viewport={"width": 1280, "height": 800})
        self.wrong = []
        self.context.on("request", lambda r: self.note_request(r.url))
        self.context.on("weberror", lambda e: self.wrong.append(f"error: {e.error}"))
        self.context.on("console", lambda m: self.note_console(m))
        self.page = self.open()

    def tearDown(self):
        self.context.close()
        self.server.shutdown()
        self.server.server_close()
        self.assertEqual(self.wrong, [])

    def note_request(self, url):
        if not url.startswith((self.server.url, "data:", "blob:")):
            self.wrong.append("request: " + url)

    def note_console(self, m):
        # A status that is no success is printed by the browser itself.
        if m.type == "error" and "Failed to load resource" not in m.text and not any(a in m.text for a in self.allowed):
            self.wrong.append("console: " + m.text)

    def open(self, place=""):
        page = self.context.new_page()
        page.goto(self.server.url + place)
        return page

    # ---- what a user does ----
    def send(self, text, page=None, wait=True):
        page = page or self.page
        before = page.locator(".message.assistant").count()
        expect(page.get_by_role("dialog")).to_have_count(0)  # one that closes gives the focus back to where it was
        box = page.get_by_role("textbox", name="Message")
        box.fill(text)
        box.press("Enter")
        expect(page.locator(".message.assistant")).to_have_count(before + 1)
        if wait:
            self.settled(page)

    def settled(self, page=None):
        page = page or self.page
        page.wait_for_timeout(50)
        expect(page.locator("[aria-busy=true], .ending.alive")).to_have_count(0, timeout=60_000)
        expect(page.get_by_role("button", name="Stop")).to_have_count(0)

    def answers(self, page=None):
        return (page or self.page).locator(".message.assistant .markdown")

    def stored(self, page=None):
        return (page or self.page).evaluate("""() => new Promise((resolve) => {
            const open = indexedDB.open("jet");
            open.onsuccess = () => {
                const t = open.result.transaction(["conversations", "messages"]), out = {};
                for (const s of ["conversations", "messages"]) t.objectStore(s).getAll().onsuccess = (e) => (out[s] = e.target.result);
                t.oncomplete = () => { open.result.close(); resolve(out); };
            };
        })""")
