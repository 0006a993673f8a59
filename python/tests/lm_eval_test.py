"""Scores of lm-evaluation-harness with the model "jet" and with its own "hf", on tasks made of ../shared/data/eval:
questions with choices (log-likelihoods), texts (rolling) and sums (generated)."""

import json
import sys
import tempfile
import unittest
from pathlib import Path

MODEL, DATA = Path("models/smollm2-135m"), Path("../shared/data/eval")

try:
    import datasets  # noqa: F401
    import lm_eval
    import torch  # noqa: F401
    import transformers  # noqa: F401
    from lm_eval.tasks import TaskManager
except ImportError as error:
    print(f"skipped: {error.name} is missing")
    sys.exit()
for folder in (MODEL, DATA):
    if not folder.exists():
        print(f"skipped: {folder} is absent")
        sys.exit()

import jet_nemotron.lm_eval  # noqa: E402, F401

TASK = """task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
{rest}
metadata: {{version: 1}}
"""
CHOICES = """output_type: multiple_choice
doc_to_text: "{{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: acc}, {metric: acc_norm}]"""
SUMS = """output_type: generate_until
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["Question:", "\\n\\n"], max_gen_toks: 48}
metric_list: [{metric: exact_match}]"""
TEXTS = """output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: word_perplexity}, {metric: bits_per_byte}]"""


def write_tasks(folder, items):
    """MMLU's questions, GSM8K's sums, WikiText's articles; `items` of each."""
    import csv
    rows = {"choices": [], "sums": [], "texts": []}
    for file in sorted((DATA / "mmlu/test").glob("*.csv"))[:4]:
        for row in list(csv.reader(file.open(encoding="utf-8")))[:items // 4]:
            rows["choices"].append({"question": row[0], "choices": row[1:5], "answer": "ABCD".index(row[5])})
    rows["sums"] = [json.loads(line) for line in (DATA / "gsm8k/test.jsonl").open(encoding="utf-8")][:items]
    text = (DATA / "ppl/wikitext2_test.txt").read_text("utf-8")
    rows["texts"] = [{"text": text[i * 12000:(i + 1) * 12000]} for i in range(2)]
    for name, rest in (("choices", CHOICES), ("sums", SUMS), ("texts", TEXTS)):
        file = Path(folder, f"{name}.jsonl")
        file.write_text("".join(json.dumps(r) + "\n" for r in rows[name]))
        Path(folder, f"{name}.yaml").write_text(TASK.format(name=f"jet_{name}", file=file, rest=rest))


def evaluate(model, folder, **arguments):
    results = lm_eval.simple_evaluate(
        model=model, model_args={"pretrained": str(MODEL), "dtype": "float32", **arguments},
        tasks=["jet_choices", "jet_sums", "jet_texts"], task_manager=TaskManager(include_path=folder),
        log_samples=True, bootstrap_iters=0)
    return results["results"], results["samples"]


class BesideHuggingFace(unittest.TestCase):
    def test_scores_are_equal(self):
        with tempfile.TemporaryDirectory() as folder:
            write_tasks(folder, 8)
            # A text of three windows and more; contexts of the choices and sums stay whole.
            ours, our_samples = evaluate("jet", folder, context_length=1024)
            theirs, their_samples = evaluate("hf", folder, max_length=1024, device="cpu", batch_size=4)
        for task, metrics in theirs.items():
            for name, value in metrics.items():
                if isinstance(value, float) and "stderr" not in name:
                    self.assertAlmostEqual(ours[task][name] / (value or 1), value / (value or 1), 4, f"{task} {name}")
        for a, b in zip(our_samples["jet_choices"], their_samples["jet_choices"], strict=True):
            for (p, greedy), (q, likeliest) in zip(a["filtered_resps"], b["filtered_resps"], strict=True):
                self.assertAlmostEqual(float(p), float(q), 2)
                self.assertEqual(greedy, likeliest)
        self.assertEqual([s["filtered_resps"] for s in our_samples["jet_sums"]],
                         [s["filtered_resps"] for s in their_samples["jet_sums"]])


if __name__ == "__main__":
    unittest.main()
