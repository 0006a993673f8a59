#!/usr/bin/env python3
"""What each way to quantize costs on a text, as a Markdown table of bits a weight and loss.

usage: lab/quantization_loss.py MODEL TEXT [--jet build/jet] [--bits 4.6 6.27] [--tokens 16384] [--length 1024]

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
    o = p.parse_args()

    def run(*args):
        return subprocess.run([o.jet, *map(str, args)], check=True, stdout=subprocess.PIPE, text=True).stdout

    def loss(model):
        out = run("eval", model, "--json", "--tasks", "data/eval/mcq.jsonl", "--limit", 1, "--text", o.text,
                  "--text-tokens", o.tokens, "--length", o.length)
        return json.loads(out)["loss"][Path(o.text).stem]

    base = loss(o.model)
    print(f"{o.model}\n\n| weights | bits a weight | loss | more |\n|---|---|---|---|\n| as they are | 16 | {base:.4f} | |")
    ways = [(f"{t}, plain", ["--type", t, "--calibrate", "none"]) for t in ("int8", "int4")]
    ways += [(t, ["--type", t]) for t in ("int8", "int4")]
    ways += [(f"--bits {b}", ["--type", "int4", "--bits", b]) for b in o.bits]
    with tempfile.TemporaryDirectory() as folder:
        for i, (label, options) in enumerate(ways):
            out = run("quantize", o.model, f"{folder}/{i}", *options)
            bits = re.search(r"([0-9.]+) bits a weight", out).group(1)
            x = loss(f"{folder}/{i}")
            print(f"| {label} | {bits} | {x:.4f} | {x - base:+.4f} |", flush=True)


if __name__ == "__main__":
    main()
