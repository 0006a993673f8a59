"""Searches, distils, evaluates and quantizes from Python with the real program, and runs the hybrid that comes out.

usage: PYTHONPATH=build/python python/tests/program_test.py        (from the project's root)
"""
import signal
import tempfile
import unittest
import warnings
from pathlib import Path

from jet_nemotron import JetNemotronModel, JetNemotronTokenizer, distill, evaluate, jet_program, postnas, quantize

BASE = "models/base"
RECIPE = f"""
include = "{Path('recipes/smoke.toml').resolve()}"
[placement]
selectors = []
[validation]
placements = 0
samplings = []
curve = []
[blocks]
kinds = ["jet"]
leaders = 1
seeds = 1
random_start = false
[dimensions]
candidates = []
conv = []
windows = []
"""


class SearchFromPython(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            jet_program(trains=True)
        except FileNotFoundError as e:
            raise unittest.SkipTest(f"skipped: {e}") from e
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.recipe = f"{cls.folder.name}/recipe.toml"
        Path(cls.recipe).write_text(RECIPE)
        cls.out = f"{cls.folder.name}/run"
        cls.lines = []
        cls.interrupted = cls.search_interrupted()
        cls.run_ = postnas(BASE, cls.recipe, cls.out, cls.lines.append)

    @classmethod
    def search_interrupted(cls):
        """The search until Ctrl-C, which a user presses at the first line about the supernet."""
        def press(line):
            if "supernet" in line:
                signal.raise_signal(signal.SIGINT)

        try:
            postnas(BASE, cls.recipe, cls.out, press)
        except KeyboardInterrupt:
            return True
        return False

    def test_ctrl_c_ends_a_search_and_the_same_call_goes_on(self):
        self.assertTrue(self.interrupted)
        self.assertTrue(any("supernet" in line for line in self.lines), self.lines)
        self.assertNotIn("base", [line.split(":")[0] for line in self.lines])  # measured before Ctrl-C, kept
        self.assertEqual(self.run_.model, f"{self.out}/model")
        self.assertIn("stage 2", self.run_.text)
        self.assertIn("notes", self.run_.report)

    def test_the_hybrid_runs_as_transformers_models_do(self):
        model = JetNemotronModel.from_pretrained(self.run_.model)
        tokenizer = JetNemotronTokenizer.from_pretrained(self.run_.model)
        inputs = tokenizer("The future of AI lies in efficient architectures that balance", return_tensors="np")
        outputs = model.generate(inputs.input_ids, max_length=60, num_beams=4, early_stopping=True)
        n = inputs.input_ids.shape[1]
        self.assertEqual(outputs[0, :n].tolist(), inputs.input_ids[0].tolist())
        self.assertGreater(len(tokenizer.decode(outputs[0], skip_special_tokens=True)), 60)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model = JetNemotronModel.from_pretrained(self.run_.model, context_length=65536, rnn_hidden_size=2048,
                                                     attention_sparse_ratio=0.3)
            model.generate(**inputs, max_new_tokens=8, do_sample=True, temperature=0.7, top_p=0.9, use_cache=True,
                           attention_implementation="flash_attention_2")
        self.assertEqual(len(said), 2, [str(w.message) for w in said])

    def test_evaluation_quantization_and_distillation(self):
        whole = evaluate(self.run_.model, "data/eval/recall.jsonl", limit=8)
        self.assertEqual(whole["tasks"]["recall"]["total"], 8)
        small = quantize(self.run_.model, f"{self.folder.name}/int4", "int4", calibrate="none")
        size = lambda path: (Path(path) / "model.safetensors").stat().st_size
        self.assertLess(size(small), 0.45 * size(self.run_.model))
        self.assertEqual(evaluate(small, "data/eval/recall.jsonl", limit=8)["tasks"]["recall"]["total"], 8)
        again = distill(BASE, self.run_.model, self.recipe, f"{self.folder.name}/distilled", lambda line: None)
        self.assertTrue(Path(again.model, "config.json").is_file())


if __name__ == "__main__":
    unittest.main()
