"""A run as `jet report --serve` shows it while it goes on: asked as the page asks, and with JET_WATCH_PAGE set by the
page itself in a browser."""
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request

STAGES = ["base", "supernet", "heat_map", "placement", "validation", "blocks", "dimensions", "distill", "final"]


class Watch:
    jet = None  # the program

    def __init__(self, folder, run="whole"):
        self.folder, self.run, self.rows, self.reports, self.ended = folder, run, [], [], threading.Event()

    def __enter__(self):
        self.server = subprocess.Popen([self.jet, "report", "--serve", self.folder, "--port", "0"],
                                       stdout=subprocess.PIPE, text=True)
        self.url = self.server.stdout.readline().split(": ", 1)[1].strip() + "/"
        self.thread = threading.Thread(target=self.follow)
        self.thread.start()
        # In a browser on request only: one that starts late on a busy machine misses stages.
        self.page = subprocess.Popen([sys.executable, "web/test/live_test.py"],
                                     env=dict(os.environ, JET_PAGE_URL=self.url, JET_RUN=self.run)
                                     ) if os.environ.get("JET_WATCH_PAGE") else None
        return self

    def __exit__(self, kind, *_):
        if kind is not None and self.page:
            self.page.kill()
        page = self.page.wait() if self.page else 0
        self.ended.set()
        self.thread.join()
        self.server.terminate()
        code = self.server.wait(30)
        self.server.stdout.close()
        if kind is None:
            assert page == 0, "the page, see above"
            assert code == 0, f"the server ended with {code}"

    def ask(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as e:
            assert e.code == 404, f"{path}: {e.code}"
            return None

    def follow(self):
        last = False
        while True:
            row = next((r for r in self.ask("runs") if r["name"] == self.run), None)
            if row and (not self.rows or self.rows[-1] != row):
                self.rows.append(row)
                report = self.ask("runs/" + self.run)
                if report and (not self.reports or self.reports[-1] != report):
                    self.reports.append(report)
            if last:
                return
            last = self.ended.wait(0.3)  # once more at the end

    def check(self, final):
        """What was seen on the way agrees with the report that came out."""
        going, end = [r for r in self.rows if r["state"] == "running" and "stage" in r], self.rows[-1]
        assert end["state"] == "finished" and end["finished"] and end["share"] > 0.9, end
        stages = list(dict.fromkeys(r["stage"] for r in going))
        assert stages == sorted(stages, key=STAGES.index) and len(stages) >= 6, stages
        for r in going:
            assert 0 <= r["done"] <= r["total"] and 0 <= r.get("share", 0) <= 1 and r.get("eta_s", 0) >= 0, r
            assert r.get("stage_eta_s", 0) <= r.get("eta_s", 0) + 1e-6, r
        assert any(r.get("tokens_per_second", 0) > 0 for r in going) and any(r.get("eta_s", 0) > 0 for r in going)
        for report in self.reports:
            part = report.get("unfinished")
            for stage in STAGES:
                assert stage not in report or stage == part or report[stage] == final[stage], stage
        parts = {r["unfinished"] for r in self.reports if "unfinished" in r}
        assert {"heat_map", "placement", "blocks"} <= parts, parts
        assert self.reports[-1] == final
        self.check_heat_map(final["heat_map"])
        print(f"watched: {len(self.rows)} rows, {len(self.reports)} reports, in the middle of {', '.join(sorted(parts))}")

    def check_heat_map(self, final):
        halves = 0
        for report in self.reports:
            if report.get("unfinished") != "heat_map":
                continue
            measured = 0
            for key in ("value", "loss"):
                for now, then in zip(report["heat_map"][key], final[key], strict=True):
                    assert all(a is None or a == b for a, b in zip(now, then, strict=True)), (now, then)
                    measured += sum(a is not None for a in now)
            halves += 0 < measured < 2 * len(final["tasks"]) * final["layers"]
        assert halves, "the heat map was never seen half filled"
