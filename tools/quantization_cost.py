#!/usr/bin/env python3
"""What quantising costs: held-out loss, task accuracy and bytes of a model in each type, as a Markdown table.

usage: tools/quantization_cost.py MODEL [MODEL ...] [--build BUILD] [--tasks DIR] [--texts DIR] [--items N]
                                  [--text-tokens N]

Each MODEL is quantised by `jet quantize` into a temporary folder and scored by `jet eval` on all tasks and texts.
"""
import argparse
import json
import subprocess
import tempfile
from pathlib import Path

# Label, type of the matrices, further options of `jet eval`.
ROWS = [("bf16", "bf16", []), ("int8", "int8", []), ("int4", "int4", []), ("bf16, KV int8", "bf16", ["--kv", "i8"]),
        ("bf16, recurrent state bf16", "bf16", ["--state", "bf16"])]


def evaluate(o, model, options):
    texts = [a for t in sorted(o.texts.glob("*.txt")) for a in ("--text", t)]
    out = subprocess.run([o.build / "jet", "eval", model, "--json", "--tasks", o.tasks, "--limit", str(o.items),
                          "--text-tokens", str(o.text_tokens), "--length", "512", *texts, *options],
                         check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(out.stdout)


def cell(task):
    if "perplexity" in task:
        return f"{task['perplexity']:.3f}"
    return f"{100 * task['accuracy']:.1f} ± {100 * task['stderr']:.1f}"


def row(label, folder, report):
    size = (folder / "model.safetensors").stat().st_size
    losses = report["loss"].values()
    loss = f"{sum(losses) / len(losses):.4f}" if losses else "-"
    return f"| {label} | {size / 1e6:.2f} | {loss} | {' | '.join(cell(t) for t in report['tasks'].values())} |"


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--build", type=Path, default="build")
    parser.add_argument("--tasks", type=Path, default="data/eval", help="folder of tasks")
    parser.add_argument("--texts", type=Path, default="data/train", help="folder of *.txt, whose ends are held out")
    parser.add_argument("--items", type=int, default=0, help="of each task; 0: all")
    parser.add_argument("--text-tokens", type=int, default=8192, help="held-out tokens of each text")
    o = parser.parse_args()
    for model in o.models:
        with tempfile.TemporaryDirectory() as tmp:
            for number, (label, kind, options) in enumerate(ROWS):
                folder = Path(tmp) / kind
                if not folder.exists():
                    subprocess.run([o.build / "jet", "quantize", model, folder, "--type", kind], check=True,
                                   stdout=subprocess.DEVNULL)
                report = evaluate(o, folder, options)
                if number == 0:
                    print(f"\n{model}\n\n| weights | MB | loss | {' | '.join(report['tasks'])} |")
                    print("|---" * (3 + len(report["tasks"])) + "|")
                print(row(label, folder, report), flush=True)


if __name__ == "__main__":
    main()
