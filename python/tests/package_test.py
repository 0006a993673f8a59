"""The Python package on models/base and small models of tests/fixtures, against what transformers gave for them
(golden.json, made by make_golden.py)."""

import ast
import contextlib
import io
import json
import os
import random
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
import unittest
import warnings
from pathlib import Path
from unittest import mock

import numpy as np

import jet_nemotron
from jet_nemotron import JetError, JetNemotronModel, JetNemotronTokenizer, TextIteratorStreamer, TextStreamer, _jet
from jet_nemotron import distill, evaluate, jet_program, postnas, quantize

try:
    import torch
except ImportError:
    torch = None

BASE, QWEN, HYBRID = "models/base", "tests/fixtures/qwen2", "tests/fixtures/jet"
TEXT = "One day the old"

model = JetNemotronModel.from_pretrained(BASE)
exact = JetNemotronModel.from_pretrained(BASE, dtype="float32")
tokenizer = JetNemotronTokenizer.from_pretrained(BASE)
prompt = tokenizer(TEXT, return_tensors="np")


def safetensors(path):
    """Arrays by name."""
    data = Path(path).read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    types = {"F32": np.float32, "I64": np.int64}
    return {name: np.frombuffer(data[begin + t["data_offsets"][0]:begin + t["data_offsets"][1]],
                                types[t["dtype"]]).reshape(t["shape"])
            for name, t in json.loads(data[8:begin]).items() if name != "__metadata__" and t["dtype"] in types}


@contextlib.contextmanager
def caught():
    """The warnings of the block."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield found


class Golden(unittest.TestCase):
    def test_ids_are_those_of_transformers(self):
        for run in json.loads(Path("python/tests/golden.json").read_text())["runs"]:
            with self.subTest(model=run["model"], options=run["options"]):
                m = exact if run["model"] == BASE else JetNemotronModel.from_pretrained(run["model"], dtype="float32")
                made = m.generate(run["input_ids"], run["attention_mask"], **run["options"])
                self.assertEqual(made.tolist(), run["sequences"])

    def test_logits_are_those_of_the_golden_files(self):
        for folder, ids, logits in ((QWEN, "input_ids", "logits"), (HYBRID, "input_ids.65", "logits.65")):
            golden = safetensors(f"{folder}/golden.safetensors")
            m = JetNemotronModel.from_pretrained(folder, dtype="float32")
            np.testing.assert_allclose(m(golden[ids]).logits, golden[logits], atol=2e-4)


class Articles(unittest.TestCase):
    """What articles show, a path in place of the name."""

    def run_as_it_stands(self, code, path=BASE):
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            exec(code.replace("PATH", repr(path)), {})
        return shown.getvalue()

    @unittest.skipIf(torch is None, "torch is missing")
    def test_beams(self):
        with caught() as found:
            text = self.run_as_it_stands("""
from jet_nemotron import JetNemotronModel, JetNemotronTokenizer
model = JetNemotronModel.from_pretrained(PATH)
tokenizer = JetNemotronTokenizer.from_pretrained(PATH)
inputs = tokenizer("The future of AI lies in efficient architectures that balance", return_tensors="pt")
outputs = model.generate(inputs.input_ids, max_length=200, num_beams=4, early_stopping=True)
print(tokenizer.decode(outputs[0], skip_special_tokens=True))
""")
        self.assertTrue(text.startswith("The future of AI lies in efficient architectures that balance"))
        self.assertGreater(len(text), 80)
        self.assertEqual(found, [])

    def test_options_of_other_libraries(self):
        with caught() as found:
            text = self.run_as_it_stands("""
from jet_nemotron import JetNemotronModel, JetNemotronTokenizer
model = JetNemotronModel.from_pretrained(PATH, context_length=65536, rnn_hidden_size=2048, attention_sparse_ratio=0.3)
tokenizer = JetNemotronTokenizer.from_pretrained(PATH)
generation_config = {"max_new_tokens": 512, "do_sample": True, "temperature": 0.7, "top_p": 0.9, "use_cache": True, "attention_implementation": "flash_attention_2"}
inputs = tokenizer("One day", return_tensors="np")
outputs = model.generate(**inputs, **generation_config)
print(outputs.shape[0], tokenizer.decode(outputs[0]))
""")
        self.assertTrue(text.startswith("1 One day"))
        loading, generating = (str(w.message) for w in found)
        for part in ("context_length=65536 (the model has 4096 positions)", "rnn_hidden_size=2048 (sizes are",
                     "attention_sparse_ratio=0.3"):
            self.assertIn(part, loading)
        self.assertIn("attention_implementation='flash_attention_2' (the engine has kernels", generating)
        self.assertNotIn("use_cache", generating)
        self.assertEqual({w.filename for w in found}, {"<string>"})  # the user's line


class Generate(unittest.TestCase):
    def test_lengths_count_as_in_transformers(self):
        n = prompt.input_ids.shape[1]
        self.assertEqual(model.generate(**prompt, max_length=n + 7).shape, (1, n + 7))
        self.assertEqual(model.generate(**prompt, max_new_tokens=7).shape, (1, n + 7))
        with caught() as found:
            self.assertEqual(model.generate(**prompt).shape, (1, n + 20))
        self.assertIn("20 new tokens", str(found[0].message))
        with self.assertRaisesRegex(ValueError, "max_length=3 counts the prompt"):
            model.generate(**prompt, max_length=3)

    def test_a_batch_is_what_each_prompt_gives_alone(self):
        texts = [TEXT, "Once", "7 + 1 = 8\n8 + 4 ="]
        batch = tokenizer(texts, padding=True, return_tensors="np")
        made = exact.generate(**batch, max_new_tokens=12)
        ragged = exact.generate([tokenizer.encode(t) for t in texts], max_new_tokens=12)
        for text, row, other in zip(texts, made, ragged):
            alone = exact.generate(tokenizer.encode(text), max_new_tokens=12)[0]
            self.assertEqual(row[-len(alone):].tolist(), alone.tolist())
            self.assertEqual(other[-len(alone):].tolist(), alone.tolist())
        right = tokenizer(texts, padding=True, return_tensors="np", padding_side="right")
        self.assertEqual(exact.generate(**right, max_new_tokens=12)[:, -12:].tolist(), made[:, -12:].tolist())

    def test_drawing_is_seeded(self):
        def draw(**options):
            return exact.generate(**prompt, max_new_tokens=16, do_sample=True, **options).tolist()
        self.assertEqual(draw(seed=1), draw(seed=1))
        self.assertNotEqual(draw(seed=1), draw(seed=2))
        random.seed(3)
        first = draw()
        random.seed(3)
        self.assertEqual(draw(), first)
        several = draw(seed=1, num_return_sequences=3)
        self.assertEqual([several[0], several[2]], [draw(seed=1)[0], draw(seed=3)[0]])
        self.assertEqual(draw(temperature=1e-4, top_k=1), exact.generate(**prompt, max_new_tokens=16).tolist())

    def test_texts_end(self):
        whole = model.generate(**prompt, max_new_tokens=40)[0].tolist()
        new = whole[prompt.shape[1]:]
        out = model.generate(**prompt, max_new_tokens=40, eos_token_id=new[9], return_dict_in_generate=True)
        end = new.index(new[9]) + 1
        self.assertEqual(out.sequences[0].tolist(), whole[:prompt.shape[1] + end])
        self.assertEqual(out.finish_reasons, ["eos"])
        held = model.generate(**prompt, max_new_tokens=40, eos_token_id=new[9], min_new_tokens=20)
        self.assertGreaterEqual(held.shape[1], prompt.shape[1] + 20)
        text = tokenizer.decode(new)
        stop = text[20:24]
        out = model.generate(**prompt, max_new_tokens=40, stop_strings=stop, return_dict_in_generate=True)
        ended = tokenizer.decode(out.sequences[0][prompt.shape[1]:])
        self.assertIn(stop, ended)
        self.assertTrue(text.startswith(ended))
        self.assertEqual(out.finish_reasons, ["stop_string"])

    def test_drafts_change_nothing(self):
        text = tokenizer("7 + 1 = 8\n8 + 4 = 12\n7 + 1 =", return_tensors="np")
        self.assertEqual(exact.generate(**text, max_new_tokens=24, prompt_lookup_num_tokens=6).tolist(),
                         exact.generate(**text, max_new_tokens=24).tolist())

    def test_streamers_show_what_is_made(self):
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            made = model.generate(**prompt, max_new_tokens=16, streamer=TextStreamer(tokenizer))
        self.assertEqual(shown.getvalue(), tokenizer.decode(made[0]) + "\n")
        streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, timeout=60)
        thread = threading.Thread(target=model.generate, kwargs={**prompt, "max_new_tokens": 16, "streamer": streamer})
        thread.start()
        parts = list(streamer)
        thread.join()
        self.assertGreater(len(parts), 4)
        self.assertEqual("".join(parts), tokenizer.decode(made[0][prompt.shape[1]:]))

    def test_a_streamer_may_fail_and_may_not_run_the_model(self):
        class Streamer(TextStreamer):
            def put(self, value):
                if value.ndim == 1:
                    self.work()
        failing, calling = Streamer(tokenizer), Streamer(tokenizer)
        failing.work = lambda: 1 / 0
        calling.work = lambda: model(prompt)
        self.assertRaises(ZeroDivisionError, model.generate, **prompt, max_new_tokens=4, streamer=failing)
        with self.assertRaisesRegex(JetError, "cannot run the same model"):
            model.generate(**prompt, max_new_tokens=4, streamer=calling)
        self.assertEqual(model.generate(**prompt, max_new_tokens=4).shape[1], prompt.shape[1] + 4)

    @unittest.skipIf(torch is None, "torch is missing")
    def test_tensors_come_back_as_they_came(self):
        tensors = tokenizer(TEXT, return_tensors="pt").to("cpu")
        made = model.generate(**tensors, max_new_tokens=8)
        self.assertIsInstance(made, torch.Tensor)
        self.assertEqual(made.tolist(), model.generate(**prompt, max_new_tokens=8).tolist())
        out = model(tensors.input_ids, labels=tensors.input_ids)
        expected = torch.nn.functional.cross_entropy(out.logits[0, :-1].double(), tensors.input_ids[0, 1:])
        self.assertAlmostEqual(out.loss.item(), expected.item(), 5)
        self.assertEqual(tokenizer.batch_decode(made), [tokenizer.decode(made[0])])


class Interrupts(unittest.TestCase):
    def setUp(self):
        self.ids = np.random.default_rng(0).integers(5, 4000, 2000)

    def interrupted(self, work):
        timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
        start = time.monotonic()
        timer.start()
        with self.assertRaises(KeyboardInterrupt):
            work()
        self.assertLess(time.monotonic() - start, 30)

    def test_generation_ends_between_tokens(self):
        options = dict(max_new_tokens=2000, eos_token_id=[])
        self.interrupted(lambda: model.generate(self.ids, **options))
        self.interrupted(lambda: model.generate([self.ids[:9]] * 4, **options))
        self.interrupted(lambda: model.generate(self.ids[:9], num_beams=3, **options))
        state = model.state()
        before = model([5, 6, 7], state=state).logits
        self.interrupted(lambda: model.generate(self.ids, state=state, **options))
        self.assertEqual(len(state), 3)
        self.assertEqual(model([8], state=state).logits.shape, (1, 1, 4096))
        self.assertEqual(before.shape, (1, 3, 4096))

    def test_other_threads_run_meanwhile(self):
        counted, done = 0, threading.Event()
        thread = threading.Thread(target=lambda: (model.generate(self.ids, max_new_tokens=100), done.set()))
        thread.start()
        while not done.is_set():
            counted += 1
            time.sleep(0.001)
        thread.join()
        self.assertGreater(counted, 20)


class States(unittest.TestCase):
    def test_a_split_text_is_the_whole_text(self):
        m = JetNemotronModel.from_pretrained(HYBRID, dtype="float32")
        ids = np.random.default_rng(1).integers(3, 500, 40)
        whole = m(ids).logits
        state = m.state()
        first = m(ids[:25], state=state).logits
        self.assertEqual(len(state), 25)
        fork = state.fork()
        second = m(ids[25:], state=state).logits
        np.testing.assert_allclose(np.concatenate([first, second], 1), whole, atol=2e-4)
        with tempfile.TemporaryDirectory() as folder:
            fork.save(f"{folder}/state")
            loaded = m.state()
            loaded.load(f"{folder}/state")
        last = m(ids[25:], state=loaded, logits_to_keep=1).logits
        np.testing.assert_allclose(last, whole[:, -1:], atol=2e-4)
        self.assertEqual((len(fork), len(loaded)), (25, 40))
        shapes = {name: a.shape for name, a in state.tensors().items()}
        self.assertEqual(shapes["layers.1.keys"], (40, 2, 16))
        self.assertEqual(shapes["layers.0.recurrent"], (4, 24, 64))
        self.assertLessEqual(sum(a.nbytes for a in state.tensors().values()), 2 * state.bytes)

    def test_a_text_goes_on_from_a_state(self):
        whole = exact.generate(**prompt, max_new_tokens=20)[0].tolist()
        state = exact.state()
        part = exact.generate(**prompt, max_new_tokens=8, state=state)[0].tolist()
        self.assertEqual(part, whole[:len(part)])
        self.assertEqual(len(state), len(part))
        logits = exact([part]).logits[0, -1]
        self.assertEqual(int(logits.argmax()), whole[len(part)])
        rest = exact.generate([whole[len(part)]], max_new_tokens=11, state=state)[0].tolist()
        self.assertEqual(part + rest, whole)

    def test_padding_does_not_count(self):
        batch = tokenizer([TEXT, "Once"], padding=True, return_tensors="np")
        logits = exact(**batch).logits
        np.testing.assert_allclose(logits[0], exact(**prompt).logits[0], atol=1e-4)
        self.assertEqual(logits.shape, (2, prompt.shape[1], 4096))
        alone = exact(tokenizer.encode("Once")).logits[0]
        np.testing.assert_allclose(logits[1, -len(alone):], alone, atol=1e-4)
        self.assertFalse(logits[1, :-len(alone)].any())

    def test_scores_are_log_probabilities(self):
        ids = tokenizer.encode(TEXT + " man went to the river")
        logits = exact(ids).logits[0].astype(np.float64)
        logprob = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        pairs, expected = [], []
        for at in (1, 3, 3, len(ids) - 1):
            pairs.append((np.array(ids[:at], np.int32), np.array(ids[at:], np.int32)))
            expected.append(sum(logprob[t - 1, ids[t]] for t in range(at, len(ids))))
        scores = exact.engine.score(pairs)
        np.testing.assert_allclose([s for s, _ in scores], expected, atol=1e-3)
        likeliest = np.array([int(logits[2].argmax())], np.int32)
        self.assertTrue(exact.engine.score([(np.array(ids[:3], np.int32), likeliest)])[0][1])
        self.assertFalse(scores[0][1])


class Tokens(unittest.TestCase):
    def test_encodings(self):
        self.assertIsInstance(tokenizer(TEXT).input_ids, list)
        self.assertEqual(tokenizer(TEXT)["input_ids"], tokenizer.encode(TEXT))
        self.assertEqual(tokenizer.decode(tokenizer.encode("h\u00e9llo \u4f60 \U0001f600")), "h\u00e9llo \u4f60 \U0001f600")
        batch = tokenizer([TEXT, "Once"], padding=True)
        self.assertEqual(batch.attention_mask[1], [0] * (len(batch.input_ids[0]) - 1) + [1])
        self.assertEqual(batch.input_ids[1][0], tokenizer.pad_token_id)
        self.assertEqual(tokenizer([TEXT], truncation=True, max_length=2, return_tensors="np").shape, (1, 2))
        self.assertEqual(tokenizer("a", padding="max_length", max_length=5, return_tensors="np").shape, (1, 5))
        with self.assertRaisesRegex(ValueError, "padding=True"):
            tokenizer([TEXT, "Once"], return_tensors="np")
        self.assertEqual((len(tokenizer), tokenizer.eos_token, tokenizer.eos_token_id), (4096, "<|endoftext|>", 4095))
        self.assertEqual(tokenizer.decode([4095, *tokenizer.encode("a")], skip_special_tokens=True), "a")
        self.assertEqual(tokenizer.encode("a\udcffb"), tokenizer.encode("a\ufffd\ufffd\ufffdb"))
        with self.assertRaisesRegex(ValueError, "no token"):
            tokenizer.pad_token = "no such token"

    def test_chats(self):
        with self.assertRaisesRegex(ValueError, "no chat template"):
            tokenizer.apply_chat_template([{"role": "user", "content": "a"}])
        with tempfile.TemporaryDirectory() as folder:
            for name in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(f"{BASE}/{name}", folder)
            Path(folder, "chat_template.jinja").write_text(
                "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
                "{% if tools %}{{ tools | tojson }}{% endif %}"
                "{% if add_generation_prompt %}<assistant>{{ mood }}{% endif %}")
            t = JetNemotronTokenizer.from_pretrained(folder)
        chat = [{"role": "user", "content": "hi <|endoftext|>"}]
        text = t.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, mood="gay")
        self.assertEqual(text, "<user>hi <|endoftext|><|endoftext|><assistant>gay")
        inputs = t.apply_chat_template(chat, add_generation_prompt=True, return_tensors="np", mood="gay")
        self.assertEqual(inputs.input_ids[0].tolist().count(4095), 1)  # what a user writes is text
        self.assertEqual(model.generate(inputs, max_new_tokens=3).shape[1], inputs.shape[-1] + 3)
        batch = t.apply_chat_template([chat, chat * 2], padding=True, return_tensors="np")
        self.assertEqual(batch.shape[0], 2)
        self.assertIn('"f"', t.apply_chat_template(chat, tools=[{"name": "f"}], tokenize=False))
        with self.assertRaisesRegex(TypeError, "JSON schemas"):
            t.apply_chat_template(chat, tools=[print], tokenize=False)


class Refusals(unittest.TestCase):
    def test_misspelt_options_are_errors(self):
        for call, name, meant in ((model.generate, "max_new_token", "max_new_tokens"),
                                  (model.generate, "temprature", "temperature"),
                                  (JetNemotronModel.from_pretrained, "context_lenght", None),
                                  (JetNemotronModel.from_pretrained, "attn_implementaton", "attn_implementation"),
                                  (JetNemotronTokenizer.from_pretrained, "padding_sid", "padding_side"),
                                  (tokenizer, "add_special_token", "add_special_tokens")):
            with self.subTest(name), self.assertRaisesRegex(TypeError, f"'{name}'.*" + (f"'{meant}'" if meant else "")):
                call(BASE if "from" in getattr(call, "__name__", "") else "a" if call is tokenizer else [1], **{name: 1})

    def test_what_is_wrong_is_said(self):
        for error, what, call in (
                (FileNotFoundError, "not downloaded by name", lambda: JetNemotronModel.from_pretrained("jet-ai/2B")),
                (JetError, "config.json", lambda: JetNemotronModel.from_pretrained("python")),
                (JetError, "outside the vocabulary of 4096", lambda: model.generate([[5000]], max_new_tokens=1)),
                (ValueError, "outside of any vocabulary", lambda: model.generate([[2**40]], max_new_tokens=1)),
                (ValueError, "does not fit the context of 4096", lambda: model.generate([[1] * 5000])),
                (ValueError, "prompt 1 has no tokens", lambda: model.generate([[1], []], max_new_tokens=1)),
                (TypeError, "whole numbers", lambda: model.generate([[1.5]], max_new_tokens=1)),
                (ValueError, "attention_mask is", lambda: model.generate([[1, 2]], [[1]], max_new_tokens=1)),
                (JetError, "top_p is 2", lambda: model.generate([[1]], do_sample=True, top_p=2.0, max_new_tokens=1)),
                (ValueError, "num_return_sequences=2", lambda: model.generate([[1]], num_return_sequences=2)),
                (ValueError, "give one of them", lambda: model.generate([[1]], num_beams=2, do_sample=True)),
                (JetError, "early_stopping", lambda: model.generate([[1]], num_beams=2, early_stopping="often")),
                (TypeError, "quantize", lambda: JetNemotronModel.from_pretrained(BASE, dtype="int8"))):
            with self.subTest(what), self.assertRaisesRegex(error, what), caught():
                call()

    def test_a_smaller_context_is_kept(self):
        m = JetNemotronModel.from_pretrained(BASE, context_length=16)
        out = m.generate([[5] * 10], max_new_tokens=50, eos_token_id=[], return_dict_in_generate=True)
        self.assertEqual(out.sequences.shape, (1, 16))
        with self.assertRaisesRegex(ValueError, "context of 16"):
            m.generate([[5] * 17], max_new_tokens=1)

    def test_draws_want_do_sample(self):
        with caught() as found:
            made = model.generate(**prompt, max_new_tokens=5, temperature=0.9)
        self.assertIn("temperature=0.9 (for do_sample=True)", str(found[0].message))
        self.assertEqual(made.tolist(), model.generate(**prompt, max_new_tokens=5).tolist())


def jet_program_or_none(trains):
    try:
        return jet_program(trains)
    except FileNotFoundError:
        return None


class Programs(unittest.TestCase):
    def test_evaluate_and_quantize(self):
        lines = []
        report = evaluate(BASE, limit=4, texts=["data/calibration.txt"], callback=lines.append)
        self.assertEqual(report["tasks"]["recall"]["accuracy"], 1.0)
        self.assertGreater(report["loss"]["calibration"], 1)
        with tempfile.TemporaryDirectory() as folder:
            quantize(BASE, f"{folder}/int8", "int8", calibrate="none", callback=lines.append)
            small = JetNemotronModel.from_pretrained(f"{folder}/int8")
            self.assertLess(small.get_memory_footprint(), 0.7 * model.get_memory_footprint())
            self.assertEqual(small.num_parameters(), model.num_parameters())
            with self.assertRaisesRegex(JetError, f"{folder}/int8"):
                quantize(BASE, f"{folder}/int8", callback=lines.append)

    def fake(self, folder, script):
        """A program `jet` in the folder, with jet-train beside it."""
        for name in ("jet", "jet-train"):
            path = Path(folder, name)
            path.write_text("#!/bin/bash\n" + script)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        patch = mock.patch.dict(os.environ, JET_BINARY=str(path.with_name("jet")))
        patch.start()
        self.addCleanup(patch.stop)

    def test_runs_tell_how_far_they_are_and_can_be_ended(self):
        with tempfile.TemporaryDirectory() as folder:
            self.fake(folder, f'echo "stage 1 50%" >&2; mkdir -p {folder}/out/model; echo "$@"; '
                              f"echo '{{\"a\": 1}}' > {folder}/out/report.json")
            lines = []
            run = postnas(BASE, "r.toml", f"{folder}/out", lines.append, until="base")
            self.assertEqual(lines, ["stage 1 50%"])
            self.assertEqual(run.text, f"postnas {BASE} --recipe r.toml --out {folder}/out --until base\n")
            self.assertEqual((run.model, run.report), (f"{folder}/out/model", {"a": 1}))
            self.fake(folder, "echo 'jet: r.toml: is missing' >&2; exit 2")
            with self.assertRaisesRegex(JetError, "^r.toml: is missing$"):
                distill(BASE, HYBRID, "r.toml", f"{folder}/out", lines.append)
            self.fake(folder, f"trap 'touch {folder}/ended; exit 130' INT; echo begun >&2; sleep 60 >/dev/null 2>&1 & wait")

            def interrupt(line):
                signal.raise_signal(signal.SIGINT)
            with self.assertRaises(KeyboardInterrupt):
                postnas(BASE, "r.toml", f"{folder}/out", interrupt)
            self.assertTrue(Path(folder, "ended").exists())

    def test_a_program_that_is_missing_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            self.fake(folder, "")
            Path(folder, "jet-train").unlink()
            self.assertEqual(jet_program(), f"{folder}/jet")
            self.assertNotEqual(jet_program_or_none(trains=True), f"{folder}/jet")


class Stubs(unittest.TestCase):
    def test_the_stub_lists_what_there_is(self):
        stub = ast.parse(Path(jet_nemotron.__file__).with_name("_jet.pyi").read_text())
        for node in (n for n in stub.body if isinstance(n, ast.ClassDef)):
            listed = {n.name if isinstance(n, ast.FunctionDef) else n.target.id for n in node.body
                      if isinstance(n, (ast.FunctionDef, ast.AnnAssign))}
            found = {n for n in vars(getattr(_jet, node.name)) if not n.startswith("_")} if node.name != "JetError" else set()
            self.assertEqual({n for n in listed if not n.startswith("_")}, found, node.name)
        classes = {n.name for n in stub.body if isinstance(n, ast.ClassDef)}
        self.assertEqual(classes, {n for n, v in vars(_jet).items() if isinstance(v, type) and not n.startswith("__")})


if __name__ == "__main__":
    unittest.main()
