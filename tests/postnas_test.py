"""All stages of `jet postnas` on the smoke recipe, watched and killed again and again: the same numbers.

usage: postnas_test.py BUILD_DIR [KILLS [SEED]]        (from the project's root; KILLS at random moments, 6)
"""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ledger_results import results
from watch import Watch

JET = Path(sys.argv[1]) / "jet"
Watch.jet = JET
TIMED = {"seconds", "decode_tps", "speedup", "prefill_tps", "train_tps", "speed", "predicted_speedup",
         "predicted_error", "worst_error"}
# Nothing else may differ.
KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 6
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1


def command(out):
    return [str(JET), "postnas", "models/base", "--recipe", "recipes/smoke.toml", "--out", str(out)]


def run_killed(out, seconds, wanted):
    """Starts the run KILLS times and kills it with -9 at random moments, spread over the `wanted` results that it should
    end with; then lets it end. Returns the kills that hit."""
    hits, draw = 0, random.Random(SEED)
    for left in range(KILLS, 0, -1):
        there = len(results(out, TIMED)) if (out / "ledger.json").exists() else 0
        p = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            p.wait(timeout=max(1.0, draw.uniform(0.3, 1.7) * seconds * (1 - there / wanted) / left))
            break
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
            hits += 1
    subprocess.run(command(out), check=True, stdout=subprocess.DEVNULL)
    return hits


def main():
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        start = time.time()
        with Watch(Path(folder)) as watch:
            subprocess.run(command(whole), check=True, env=dict(os.environ, JET_WATCH_SECONDS="0"))
        seconds = time.time() - start
        print(f"undisturbed: {seconds:.0f} s")
        watch.check(json.loads((whole / "report.json").read_text()))
        with ThreadPoolExecutor(1) as beside:
            others = beside.submit(other_commands, whole, Path(folder))
            hits = run_killed(killed, seconds, len(results(whole, TIMED)))
            others.result()
        assert hits >= KILLS / 3, f"only {hits} kills hit the run"
        assert json.loads((killed / "progress.json").read_text())["finished"] is True
        a, b = results(whole, TIMED), results(killed, TIMED)
        for key in sorted(a.keys() | b.keys()):
            assert a.get(key) == b.get(key), f"{key} differs after {hits} kills:\n{a.get(key)}\n{b.get(key)}"
        assert (whole / "model/model.safetensors").read_bytes() == (killed / "model/model.safetensors").read_bytes()
        leftovers = [p for p in killed.rglob("*.tmp-*")]
        print(f"killed {hits} times: the same {len(a)} results and the same model; {len(leftovers)} temporary files left by kills")

        page = (whole / "report.html").read_text()
        assert "/*REPORT_JSON*/null" not in page and "http://" not in page.replace("http://www.w3.org", "")
        text = subprocess.run([str(JET), "generate", str(whole / "model"), "-p", "The number of", "-n", "8"],
                              check=True, capture_output=True, text=True).stdout
        assert text.strip(), "the searched model generates nothing"
        other = subprocess.run(command(whole)[:4] + ["recipes/quick.toml", "--out", str(whole)], capture_output=True, text=True)
        assert other.returncode == 2 and "another recipe" in other.stderr, other.stderr
    print("1 passed, 0 failed")


def other_commands(run, folder):
    """What a user does beside the search, on its result."""

    def jet(*arguments):
        r = subprocess.run([str(JET), *map(str, arguments)], capture_output=True, text=True)
        assert r.returncode == 0, f"{arguments}: {r.stderr}"
        return r.stdout

    model = run / "model"
    chosen = json.loads((run / "report.json").read_text())["dimensions"]["chosen"]
    assert f"swa {chosen['window']}" in jet("info", model), chosen
    assert json.loads(jet("info", model, "--json"))
    jet("eval", model, "--limit", 4)
    jet("report", run)
    jet("distill", "models/base", "--student", model, "--recipe", "recipes/smoke.toml", "--out", folder / "distilled")
    standing, report = (json.loads((folder / f"distilled/{name}.json").read_text()) for name in ("progress", "report"))
    assert standing["run"] == "distill" and standing["finished"], standing
    assert [row["step"] for row in report["gains"]] == ["+ stage 1", "+ stage 2"], report["gains"]
    jet("pretrain", "models/base", "--recipe", "recipes/smoke.toml", "--out", folder / "base")
    assert json.loads((folder / "base/model/config.json").read_text())["model_type"] == "qwen2"
    jet("generate", folder / "base/model", "-p", "a", "-n", "2")
    jet("verify", "tests/fixtures/qwen2")


main()
