#!/usr/bin/env python3
"""What each form of training is worth: one hybrid of SmolLM2-135M trained on equal tokens in many ways.

usage: lab/distillation_options.py JET OUT [--options NAME ...] [--seeds 1]

Before it: tools/fetch_model.sh smollm2-135m, and jet data sample as recipes/smollm2.toml says. Every option is
recipes/smollm2_options.toml with some keys changed, a run in OUT/NAME-SEEDS that can be killed and started again, all
its seeds anew. Prints held-out loss (mean of the texts of the plain recipe), the loss on gsm8k alone, tasks in per cent, and
tokens a second of training, mean and standard deviation over the seeds.
"""
import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models/smollm2-135m"


def budget(align=24576, distill=8192, distill_keys="", keys="", of="validation"):
    """The recipe's table OF.budget, its tokens in two parts."""
    rows = "batch = 4, accumulate = 2, length = 256"
    rate = "" if of == "validation" else ", lr = 1e-3"  # validation.lr is the alignment's
    return {f"{of}.budget": f"{{{keys}align = {{tokens = {align}, {rows}{rate}}}, "
                            f"distill = {{{distill_keys}train = {{tokens = {distill}, {rows}, lr = 5e-4}}}}}}"}


TEXTS = {"own": 3, "stories": 1, "novels": 1, "gsm8k": 0.5, "code": 0.5}


def texts(drawn, **keys):
    """The recipe's sources, all held out and measured, of which only some are drawn; keys are for these."""
    tables = []
    for name, weight in TEXTS.items():
        path = "runs/smollm2-own" if name == "own" else f"data/train/{name}.txt"
        table = {"name": name, "path": path, "weight": weight if name in drawn else 0, **(keys if name in drawn else {})}
        tables.append("{" + ", ".join(f"{k} = {json.dumps(v)}" for k, v in table.items()) + "}")
    return {"data": "[" + ", ".join(tables) + "]"}


OPTIONS = {
    "plain": {},
    "look_back": budget(keys="look_back = true, "),
    "kept_batches = 8": budget(keys="kept_batches = 8, "),
    "from the supernet": {**budget(of="supernet"), "supernet.starts_students": "true"},
    "layer by layer alone": budget(align=32768, distill=0),
    "end to end alone": budget(align=0, distill=32768),
    "half and half": budget(align=16384, distill=16384),
    "no KL, last hidden": budget(distill_keys="kl_weight = 0, hidden_weight = 1, "),
    "KL alone": budget(distill_keys="feature_weight = 0, "),
    "its own text alone": texts(["own"]),
    "real text alone": texts(["stories", "novels", "gsm8k", "code"]),
    "gsm8k alone": texts(["gsm8k"]),
    "gsm8k, answers alone": texts(["gsm8k"], answers="(?s)Answer: (.*)", text_weight=0),
}


def recipe_of(changes, seeds):
    """The recipe with dotted keys set; the include adds the rest."""
    lines = [f"include = {json.dumps(str(ROOT / 'recipes/smollm2_options.toml'))}", f"validation.seeds = {seeds}"]
    return "\n".join(lines + [f"{k} = {v}" for k, v in changes.items()]) + "\n"


def run(jet, out, name, seeds):
    folder = out / name.replace(" = ", "-").replace(", ", "-").replace(" ", "-")
    folder = folder.with_name(f"{folder.name}-{seeds}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    recipe = folder.with_suffix(".toml")
    recipe.write_text(recipe_of(OPTIONS[name], seeds))
    supernet = ["supernet"] if "supernet.budget" in OPTIONS[name] else []
    for stage in [*supernet, "placement", "validation"]:
        subprocess.run([jet, "postnas", MODEL, "--recipe", recipe, "--out", folder, "--only", stage], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)
    found = json.loads((folder / "ledger.json").read_text())["results"]
    return [r for key, r in found.items() if key.startswith("candidate/validation-7-8-14-")]


def row(results):
    def cell(values, digits):
        mean = statistics.mean(values)
        spread = f" +- {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
        return f"{mean:.{digits}f}{spread}"
    tasks = sorted(results[0]["tasks"])
    align = [r["align"]["train_tps"] for r in results if r["align"]["tokens"]]
    distill = [r["distill"]["train_tps"] for r in results if r["distill"]["tokens"]]
    return ([cell([r["loss"] for r in results], 3), cell([r["losses"]["gsm8k"] for r in results], 3)]
            + [cell([100 * r["tasks"][t]["accuracy"] for r in results], 0) for t in tasks]
            + [cell(align, 0) if align else "-", cell(distill, 0) if distill else "-",
               cell([r["align"]["seconds"] + r["distill"]["seconds"] for r in results], 0)]), tasks


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("jet"), parser.add_argument("out", type=Path)
    parser.add_argument("--options", nargs="+", default=list(OPTIONS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    jet, out = Path(args.jet).resolve(), args.out.resolve()  # jet runs in the project's folder
    unknown = [o for o in args.options if o not in OPTIONS]
    if unknown:
        sys.exit(f"no option '{unknown[0]}'; there are: {', '.join(OPTIONS)}")
    for i, name in enumerate(args.options):
        cells, tasks = row(run(jet, out, name, args.seeds))
        if i == 0:
            heads = ["", "loss", "gsm8k", *tasks, "align tok/s", "distill tok/s", "seconds"]
            print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        print("| " + " | ".join([name, *cells]) + " |", flush=True)


main()
