"""The page on a real server: what holds whatever the model says.

    build/jet serve MODEL --port 8080 &   JET_PAGE_URL=http://127.0.0.1:8080/ python3 web/test/serve_test.py
"""
import os
import sys

import browser
from browser import expect

URL = os.environ.get("JET_PAGE_URL", "")


class Serve(browser.PageTest):
    def setUp(self):
        super().setUp()
        self.page.close()
        self.page = self.context.new_page()
        self.page.goto(URL)

    def note_request(self, url):
        if not url.startswith((URL, self.server.url, "data:", "blob:")):
            self.wrong.append("request: " + url)

    def test_chat(self):
        self.page.get_by_role("button", name="System prompt and sampling").click()
        self.page.get_by_label("Longest answer").fill("40")
        self.page.keyboard.press("Escape")
        self.send("One day the old")
        expect(self.page.locator(".figures-line")).to_contain_text("tokens")
        expect(self.page.get_by_role("alert")).to_have_count(0)
        said = self.page.locator(".message.assistant").inner_text()
        self.page.reload()
        expect(self.page.locator(".message.assistant")).to_have_text(said, use_inner_text=True)
        self.send("And then?")
        panel = self.page.get_by_role("complementary", name="Machine")
        expect(panel.get_by_role("img", name="layers:")).to_be_visible()
        expect(panel).to_contain_text("tokens now")
        expect(panel).to_contain_text("prompt from cache")
        expect(self.page.get_by_role("alert")).to_have_count(0)

    def test_stop(self):
        self.send("Tell a very long tale, as long as you can.", wait=False)
        self.page.get_by_role("button", name="Stop").click()
        self.settled()
        self.send("Enough.")
        expect(self.page.locator(".message")).to_have_count(4)


if __name__ == "__main__":
    if not URL:
        print("skipped: JET_PAGE_URL names no server")
        sys.exit(0)
    browser.main()
