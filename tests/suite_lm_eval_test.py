"""Benchmarks of `jet eval --suite` beside lm-evaluation-harness with transformers: the same items, each request's
log-likelihood within 1e-3, the same accuracies and standard errors, the same texts.

    suite_lm_eval_test.py JET MODEL DATA [ITEMS [SUITE,...]]

The harness's own definitions are taken, with the data read from our files instead of a hub; worked examples are the
first of their file on both sides. Suites that DATA has not are asked on the items of tests/suite_items."""

import json
import math
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

try:
    import datasets
    import lm_eval
    import torch
    import transformers  # noqa: F401
    import yaml
    from lm_eval.tasks import TaskManager
except ImportError as error:
    print(f"skipped: {error.name} is missing")
    sys.exit()
datasets.disable_progress_bars()

ITEMS = Path(__file__).parent / "suite_items"
TASKS = Path(lm_eval.__file__).parent / "tasks"
TOLERANCE = 1e-3
LENGTH = 1536  # tokens of prompt and answer: texts come in windows
# A suite's part beside the harness's file, and how many worked examples are asked for.
CASES = {
    "arc_easy": ("arc/arc_easy.yaml", 0), "arc_challenge": ("arc/arc_easy.yaml", 2), "piqa": ("piqa/piqa.yaml", 1),
    "openbookqa": ("openbookqa/openbookqa.yaml", 0), "winogrande": ("winogrande/default.yaml", 1),
    "boolq": ("super_glue/boolq/default.yaml", 0), "copa": ("super_glue/copa/default.yaml", 0),
    "lambada_openai": ("lambada/lambada_openai.yaml", 0), "hellaswag": ("hellaswag/hellaswag.yaml", 0),
    "siqa": ("siqa/siqa.yaml", 1), "commonsense_qa": ("commonsense_qa/default.yaml", 0),
    "truthfulqa_mc1": ("truthfulqa/truthfulqa_mc1.yaml", 0), "blimp": ("blimp/_template_yaml", 0),
    "mmlu": ("mmlu/default/_default_template_yaml", 1), "wikitext": ("wikitext/wikitext.yaml", 0),
    "gsm8k": ("gsm8k/gsm8k.yaml", 1), "triviaqa": ("triviaqa/default.yaml", 0),
    "math": ("hendrycks_math/hendrycks_math_algebra.yaml", 0),
    "bbh": ("bbh/cot_fewshot/_cot_fewshot_template_yaml", 1),
}


def theirs_from(name, doc):
    """A document with the fields that the harness's set has, of one of ours."""
    if name in ("arc_easy", "arc_challenge", "openbookqa", "commonsense_qa"):
        labels = list("ABCDE"[:len(doc["texts"])])
        question = {"question_stem": doc["question_stem"]} if name == "openbookqa" else {"question": doc["question"]}
        answer = doc["answerKey"] if name == "commonsense_qa" else labels[doc["gold"]]
        return {**question, "choices": {"text": doc["texts"], "label": labels}, "answerKey": answer}
    if name == "piqa":
        return {k: doc[k] for k in ("goal", "sol1", "sol2", "label")}
    if name == "winogrande":
        if "sentence" in doc:
            return {k: doc[k] for k in ("sentence", "option1", "option2", "answer")}
        a, b = doc["context_options"]
        n = next(i for i in range(len(a)) if a[i] != b[i])
        n = a.rfind(" ", 0, n) + 1
        return {"sentence": a[:n] + "_ " + doc["continuation"], "option1": a[n:], "option2": b[n:],
                "answer": str(doc["gold"] + 1)}
    if name == "boolq":
        return {"passage": doc["passage"], "question": doc["question"], "label": doc["gold"]}
    if name == "copa":
        premise, word = doc["query"].rsplit(" ", 1)
        return {"premise": premise.removesuffix(",") + ".", "question": "cause" if word == "because" else "effect",
                "choice1": doc["choices"][0], "choice2": doc["choices"][1], "label": doc["gold"]}
    if name == "truthfulqa_mc1":
        return {"question": doc["question"], "mc1_targets": {"choices": doc["choices"], "labels": doc["labels"]}}
    if name == "lambada_openai":
        return {"text": doc["text"]}
    if name == "mmlu":
        return {"question": doc["question"], "choices": [doc["choice_" + c] for c in "abcd"], "answer": doc["answer"]}
    if name == "wikitext":
        return {"page": doc["page"]}
    if name == "triviaqa":
        return {"question": doc["question"], "answer": {"aliases": doc["aliases"]}}
    return {k: v for k, v in doc.items() if k != "part"}


def harness_task(folder, name, task, docs, pool, shots):
    """Writes the harness's definition of a suite with our documents; the worked examples' file is `pool`."""
    path = TASKS / CASES[name][0]
    place = Path(folder, task)  # names of functions' files repeat
    place.mkdir()
    for source in path.parent.glob("*.py"):
        Path(place, source.name).write_text(source.read_text("utf-8"))
    drop = ("task:", "dataset_path", "dataset_name", "training_split", "validation_split", "test_split",
            "fewshot_split", "fewshot_config", "  sampler", "num_fewshot", "include", '"', "should_decon",
            "doc_to_decon", "group")
    kept, skipping = [], False
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("tag:"):
            skipping = True
            continue
        if skipping and line.startswith("  - "):
            continue
        skipping = False
        if not line.startswith(drop):
            kept.append(line)
    files = {"test": str(Path(folder, task + ".jsonl"))}
    Path(files["test"]).write_text("".join(json.dumps(d) + "\n" for d in docs))
    head = [f"task: jet_{task}", "dataset_path: json", "test_split: test", f"num_fewshot: {shots}"]
    if shots and pool is None:
        head += ["fewshot_split: test", "fewshot_config: {sampler: first_n}"]
    elif shots:
        files["train"] = str(Path(folder, task + "_shots.jsonl"))
        Path(files["train"]).write_text("".join(json.dumps(d) + "\n" for d in pool))
        head += ["training_split: train", "fewshot_split: train", "fewshot_config: {sampler: first_n}"]
    head.append("dataset_kwargs: {data_files: " + json.dumps(files) + "}")
    body = "\n".join(kept)
    if "description" not in body and name in ("mmlu", "bbh"):
        head.append("description: " + json.dumps(DESCRIPTIONS[task]))
    if name == "bbh":
        head.append("doc_to_text: " + json.dumps("Q: {{input}}\nA: Let's think step by step.\n"))
    Path(place, f"{task}.yaml").write_text("\n".join(head) + "\n" + body + "\n")


DESCRIPTIONS = {}


def samples_of(folder, name):
    for path in sorted(Path(folder).glob("out.samples_*.jsonl")):
        task = path.name.removeprefix("out.samples_").removesuffix(".jsonl")
        if task == name or task.startswith(name + "_") and not any(
                task.startswith(o) and len(o) > len(name) for o in CASES):
            yield task, [json.loads(line) for line in path.open(encoding="utf-8")]


def compare(name, ours, theirs):
    """The largest difference of a log-likelihood between the samples of both; fails where texts or prompts differ."""
    worst = 0
    for a, b in zip(ours, theirs, strict=True):
        for mine, other in zip(a["arguments"].values(), b["arguments"], strict=True):
            for x, y in zip(mine.values(), other):
                assert not isinstance(x, str) or x == y, f"{name} {a['doc_id']}:\n{x!r}\n{y!r}"
        for mine, other in zip(a["resps"], b["resps"], strict=True):
            mine, other = mine[0], other[0]
            if isinstance(mine, str):
                assert mine == other, f"{name} {a['doc_id']}: {mine!r}, {other!r}"
            elif isinstance(mine, list):
                worst = max(worst, abs(mine[0] - float(other[0])))
                assert str(mine[1]) == str(other[1]), f"{name}: likeliest {mine} {other}"
            else:
                worst = max(worst, abs(mine - float(other)) / 1000)  # of a text of thousands of tokens
    return worst


def data_of(name, data, folder):
    """Where a suite's files are. Of those that DATA has as an archive or in dozens of parts, two go into `folder`."""
    if name in ("blimp", "bbh"):
        some = Path(folder, "data", name)
        some.mkdir(parents=True)
        if name == "blimp":
            archive = zipfile.ZipFile(Path(data, "blimp/BLiMP.zip"))
            files = {Path(f).name: archive.read(f) for f in archive.namelist() if f.endswith(".jsonl")}
        else:
            files = {f.name: f.read_bytes() for f in Path(data, "bbh/tasks").glob("*.json")}
        for file in sorted(files)[:2]:
            Path(some, file).write_bytes(files[file])
        return some.parent
    return ITEMS if Path(ITEMS, name.removesuffix("_mc1")).exists() else data


def main(jet, model, data, items, names):
    with tempfile.TemporaryDirectory() as folder:
        chosen = []
        for name in names:
            asked = subprocess.run([jet, "eval", model, "--suite", name, "--data", data_of(name, data, folder),
                                    "--limit", str(items), "--num-fewshot", str(CASES[name][1]), "--kv", "f32",
                                    "--exact", "--max-length", str(LENGTH), "--out", f"{folder}/out.json",
                                    "--log-samples"], capture_output=True, text=True)
            assert asked.returncode == 0, asked.stderr
            results = json.loads(Path(folder, "out.json").read_text())["results"]
            parts = list(samples_of(folder, name))[:2]
            for task, samples in parts:
                filters = {s["filter"] for s in samples}
                first = [s for s in samples if s["filter"] == samples[0]["filter"]]
                shots = CASES[name][1]
                docs = [s["doc"] for s in first]
                pool = None
                if shots and name in ("mmlu", "gsm8k", "bbh"):
                    pool = shots_of(name, task, data)
                if name in ("mmlu", "bbh"):
                    DESCRIPTIONS[task] = description_of(name, task)
                harness_task(folder, name, task, [theirs_from(name, d) for d in docs], pool, shots)
                chosen.append((name, task, first, results[task], len(filters)))
            for path in Path(folder).glob("out.samples_*"):
                path.unlink()
        report = lm_eval.simple_evaluate(
            model="hf", model_args={"pretrained": model, "dtype": "float32", "max_length": LENGTH}, device="cpu",
            tasks=["jet_" + task for _, task, *_ in chosen], task_manager=TaskManager(include_path=folder),
            batch_size=1, log_samples=True, bootstrap_iters=1000)
        for name, task, ours, figures, _ in chosen:
            theirs = report["samples"]["jet_" + task]
            theirs = [s for s in theirs if s["filter"] == theirs[0]["filter"]]
            theirs.sort(key=lambda s: s["doc_id"])
            worst = compare(name, ours, theirs)
            assert worst < TOLERANCE, f"{task}: log-likelihoods differ by {worst}"
            for key, value in report["results"]["jet_" + task].items():
                mine = figures.get(key)
                bootstrapped = "perplexity_stderr" in key
                if isinstance(value, float) and not bootstrapped and not math.isnan(value):
                    assert mine is not None and abs(mine / (value or 1) - value / (value or 1)) < 1e-4, \
                        f"{task} {key}: {mine}, {value}"
            print(f"{task}: {len(ours)} items, log-likelihoods within {worst:.1e}, "
                  + ", ".join(f"{k} {v:.4f}" for k, v in figures.items() if isinstance(v, float) and "stderr" not in k))


def suite_definitions():
    return json.loads(Path(__file__).parent.parent.joinpath("data/suites.json").read_text("utf-8"))


def shots_of(name, task, data):
    if name == "gsm8k":
        return [json.loads(line) for line in Path(data, "gsm8k/train.jsonl").open(encoding="utf-8")][:5]
    part = task.removeprefix(name + "_")
    if name == "bbh":
        return suite_definitions()["bbh"]["fewshot"]["samples"][part]
    import csv
    rows = csv.reader(Path(data, f"mmlu/dev/{part}_dev.csv").open(encoding="utf-8"))
    return [{"question": r[0], "choices": r[1:5], "answer": "ABCD".index(r[5])} for r in rows]


def description_of(name, task):
    part = task.removeprefix(name + "_")
    source = TASKS / ("bbh/cot_fewshot/" + part + ".yaml" if name == "bbh" else f"mmlu/default/mmlu_{part}.yaml")
    return yaml.safe_load(source.read_text("utf-8"))["description"]


if __name__ == "__main__":
    torch.set_num_threads(2)
    if not Path(sys.argv[3]).exists():
        print(f"skipped: {sys.argv[3]} is absent")
        sys.exit()
    chosen_names = sys.argv[5].split(",") if len(sys.argv) > 5 else list(CASES)
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else 3, chosen_names)
