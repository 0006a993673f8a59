#!/usr/bin/env python3
"""What quantising costs: held-out loss, task accuracy and bytes of a model in each type, as a Markdown table.

usage: tools/quantization_cost.py MODEL [MODEL ...] [--build BUILD] [--items N] [--text-tokens N]

Each MODEL is quantised by `jet quantize` into a temporary folder and scored by `jet eval`.
"""
import argparse
import json
import subprocess
import tempfile
from pathlib import Path

# Label, type of the matrices, further options of `jet eval`.
ROWS = [("bf16", "bf16", []), ("int8", "int8", []), ("int4", "int4", []), ("bf16, KV int8", "bf16", ["--kv", "i8"]),
        ("bf16, recurrent state bf16", "bf16", ["--state", "bf16"])]
TEXTS = ["stories", "novels", "code", "gsm8k", "skills"]
TASKS = ["recall", "mcq", "math"]


def evaluate(jet, model, items, text_tokens, options):
    texts = [a for t in TEXTS for a in ("--text", f"data/train/{t}.txt")]
    out = subprocess.run([jet, "eval", model, "--json", "--limit", str(items), "--text-tokens", str(text_tokens),
                          "--length", "512", *texts, *options], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(out.stdout)


def row(label, folder, report):
    size = (folder / "model.safetensors").stat().st_size
    loss = sum(report["loss"][t] for t in TEXTS) / len(TEXTS)
    tasks = [report["tasks"][t] for t in TASKS]
    cells = [f"{100 * t['accuracy']:.1f} ± {100 * t['stderr']:.1f}" for t in tasks]
    return f"| {label} | {size / 1e6:.2f} | {loss:.4f} | {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--build", default="build")
    parser.add_argument("--items", type=int, default=0, help="of each task; 0: all")
    parser.add_argument("--text-tokens", type=int, default=8192, help="held-out tokens of each text")
    o = parser.parse_args()
    jet = str(Path(o.build) / "jet")
    for model in o.models:
        print(f"\n{model}\n\n| weights | MB | loss | {' | '.join(TASKS)} |")
        print("|---" * (3 + len(TASKS)) + "|", flush=True)
        with tempfile.TemporaryDirectory() as tmp:
            for label, kind, options in ROWS:
                folder = Path(tmp) / kind
                if not folder.exists():
                    subprocess.run([jet, "quantize", model, folder, "--type", kind], check=True,
                                   stdout=subprocess.DEVNULL)
                print(row(label, folder, evaluate(jet, folder, o.items, o.text_tokens, options)), flush=True)


if __name__ == "__main__":
    main()
