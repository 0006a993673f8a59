"""The page on a real search, from its first stage to its last.

    build/jet report --serve runs --port 8080 &   build/jet postnas ... --out runs/NAME &
    JET_PAGE_URL=http://127.0.0.1:8080/ JET_RUN=NAME python3 web/test/live_test.py

JET_SHOTS names a folder for pictures of it, light and dark.
"""
import os
import sys
import time

import browser
from browser import expect

URL, RUN, SHOTS = os.environ.get("JET_PAGE_URL", ""), os.environ.get("JET_RUN", ""), os.environ.get("JET_SHOTS", "")
STAGES = ["base", "supernet", "heat map", "placement", "validation", "blocks", "dimensions", "distill", "final"]


class Live(browser.PageTest):
    def setUp(self):
        super().setUp()
        self.page.close()
        self.page = self.context.new_page()
        self.page.goto(URL)

    def note_request(self, url):
        if not url.startswith((URL, self.server.url, "data:", "blob:")):
            self.wrong.append("request: " + url)

    def shoot(self, name):
        for theme in ("light", "dark") if SHOTS else ():
            self.page.emulate_media(color_scheme=theme)
            self.page.wait_for_timeout(150)
            self.page.screenshot(path=f"{SHOTS}/{name}-{theme}.png")

    def test_a_search_is_watched(self):
        expect(self.page.get_by_role("heading", name="Searches")).to_be_visible()
        row = self.page.locator(".run-list li").filter(has=self.page.get_by_role("link", name=RUN, exact=True))
        expect(row).to_be_visible(timeout=60_000)
        self.page.get_by_role("link", name=RUN, exact=True).click()
        now, seen, filling, shot = self.page.locator(".now-at"), [], False, set()
        end = time.time() + 1200
        while time.time() < end and now.count():
            try:
                text = now.inner_text(timeout=500)
                half = self.page.locator("#heat td.empty").count() > 0 and self.page.locator("#heat td[title]").count() > 0
            except Exception:
                continue  # it was drawn again
            filling = filling or half
            stage = next((s for s in STAGES if text.startswith(s + ",") or text == s), "")
            if stage and stage not in seen:
                seen.append(stage)
            if stage not in shot or (half and "half" not in shot):
                self.shoot(f"{STAGES.index(stage) if stage else 'begin'}-{stage}{'-half' if half else ''}")
                shot |= {stage, "half"} if half else {stage}
            self.page.wait_for_timeout(100)
        expect(now).to_have_count(0)
        self.shoot("finished")
        self.assertEqual(seen, sorted(seen, key=STAGES.index), "stages come in order")
        self.assertGreaterEqual(len(seen), 6, seen)
        self.assertTrue(filling, "the heat map was never seen half filled")
        for section in ("gains", "speed", "heat", "placement", "validation", "blocks", "dimensions", "supernet", "distill", "ablations", "base", "run"):
            expect(self.page.locator("#" + section)).to_be_visible()
        expect(self.page.locator("#heat td.empty")).to_have_count(0)
        expect(self.page.locator(".so-far")).to_have_count(0)
        expect(self.page.get_by_text("data is not as expected")).to_have_count(0)


if __name__ == "__main__":
    if not (URL and RUN):
        print("skipped: JET_PAGE_URL and JET_RUN name no search")
        sys.exit(0)
    browser.main()
