"""The search as it goes on, and runs compared."""
import time

import browser
import mock
import runs
from browser import expect


class Runs(browser.PageTest):
    options = {"with_runs": True}

    def test_a_run_fills(self):
        self.page.get_by_role("link", name="Searches").click()
        expect(self.page.locator(".run-list li")).to_have_count(4)
        expect(self.page.locator(".run-list li").first).to_contain_text("% of the run")
        self.page.get_by_role("link", name="demo").click()
        self.server.started = time.time() - 2.5 * runs.STAGE_SECONDS
        expect(self.page.locator(".now-at")).to_contain_text("heat map", timeout=6000)
        expect(self.page.locator("#heat td.empty").first).to_be_visible(timeout=8000)
        expect(self.page.locator("#heat h2")).to_contain_text("so far")
        expect(self.page.locator(".run-head")).to_contain_text("5,204 tokens/s")
        expect(self.page).to_have_title("demo · jet")
        expect(self.page.locator("#placement")).to_have_count(0)
        self.server.started = time.time() - 100 * runs.STAGE_SECONDS
        expect(self.page.locator("#placement")).to_be_visible(timeout=8000)
        expect(self.page.locator(".now-at")).to_have_count(0)
        expect(self.page.locator("#heat td.empty")).to_have_count(0)
        for section in ("gains", "speed", "validation", "blocks", "dimensions", "supernet", "distill", "ablations", "base", "run"):
            expect(self.page.locator("#" + section)).to_be_visible()
        expect(self.page.get_by_text("data is not as expected")).to_have_count(0)
        self.assertGreater(self.page.locator(".chart polyline").count(), 8)

    def test_compare(self):
        self.page.goto(self.server.url + "#/runs")
        self.page.get_by_label("Compare standard").check()
        self.page.get_by_label("Compare even").check()
        self.page.get_by_role("button", name="Compare").click()
        expect(self.page.get_by_role("heading", name="Runs compared")).to_be_visible()
        expect(self.page.get_by_role("row", name="placement.selector")).to_contain_text("uniform")
        expect(self.page.locator(".line.tone1").first).to_be_visible()
        expect(self.page.get_by_role("row", name="+ JetBlock").first.locator(".best")).to_have_count(1)
        expect(self.page.get_by_role("row", name="gated delta net")).to_be_visible()
        self.page.reload()
        expect(self.page.get_by_role("row", name="placement.selector")).to_be_visible()

    def test_a_run_that_stopped(self):
        self.page.goto(self.server.url + "#/runs/broken")
        expect(self.page.locator(".now-at")).to_have_text("stopped at blocks, 3 of 12 trainings")
        expect(self.page.get_by_role("alert")).to_contain_text("every candidate diverged")
        expect(self.page.locator(".run-head")).not_to_contain_text("left")
        expect(self.page.locator("#blocks h2")).to_contain_text("so far")

    def test_a_run_that_is_not_there(self):
        self.page.goto(self.server.url + "#/runs/nowhere")
        expect(self.page.get_by_text("There is no run of this name here.")).to_be_visible()

    def test_odd_reports(self):
        """Reports of other versions, or cut short, leave out what they lack and break nothing else."""
        whole = mock.runs.report
        try:
            mock.runs.report = lambda name, _: {"title": "<img src=x onerror=window.hacked=1>", "gains": [{"step": "base"}], "heat_map": {"tasks": ["a"]},
                                                "placement": {"beam": [{}], "selectors": [{"name": "x"}]}, "blocks": {"candidates": [{"kind": "x"}]}, "supernet": {},
                                                "validation": {"curve": [{"k": 1}], "rows": [{}]}, "distill": {"stage1": {"curve": [[1, None]]}}, "base": {}, "final": {}}
            self.page.goto(self.server.url + "#/runs/standard")
            expect(self.page.locator("#supernet")).to_be_visible()
            expect(self.page.locator("#base")).to_be_visible()
            self.assertIsNone(self.page.evaluate("window.hacked ?? null"))
        finally:
            mock.runs.report = whole


class RunsAlone(browser.PageTest):
    options = {"with_runs": True, "model": False}

    def test_without_a_model_there_is_no_chat(self):
        expect(self.page.get_by_role("heading", name="Searches")).to_be_visible()
        expect(self.page.locator(".run-list li")).to_have_count(4)
        expect(self.page.get_by_role("textbox", name="Message")).to_have_count(0)
        expect(self.page.get_by_role("link", name="New chat")).to_have_count(0)
        self.page.get_by_role("link", name="standard", exact=True).click()
        expect(self.page.locator("#gains")).to_be_visible()
        expect(self.page.get_by_role("alert")).to_have_count(0)


class NoRuns(browser.PageTest):
    def test_nothing_of_runs(self):
        self.send("hello")
        expect(self.page.get_by_role("link", name="Searches")).to_have_count(0)


if __name__ == "__main__":
    browser.main()
