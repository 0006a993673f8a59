"""GGUF files as a user has them: imported, named where a model folder is wanted, cut off, broken.

usage: gguf_test.py BUILD_DIR        (from the project's root)
"""
import csv
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

JET = str(Path(sys.argv[1]) / "jet")
SMALL = Path("tests/fuzz/corpus/gguf/llama_q8_0")
BROKEN = Path("../shared/golden/gguf/broken")


def run(*words, cache=None):
    environment = dict(os.environ, **({"XDG_CACHE_HOME": str(cache)} if cache else {}))
    return subprocess.run([JET, *map(str, words)], capture_output=True, text=True, timeout=120, env=environment)


def string(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def write_model(path, rows, hidden=256, more={}):
    """A llama of one layer with an F32 embedding of `rows` tokens; `more`: keys of text, numbers and floats."""
    u32 = lambda name, value: string(name) + struct.pack("<II", 4, value)
    f32 = lambda name, value: string(name) + struct.pack("<If", 6, value)
    text = lambda name, value: string(name) + struct.pack("<I", 8) + string(value)
    kinds = {str: text, int: u32, float: f32}
    texts = lambda name, values: (string(name) + struct.pack("<IIQ", 9, 8, len(values)) + b"".join(map(string, values)))
    sizes = {"block_count": 1, "context_length": 64, "embedding_length": hidden, "feed_forward_length": 32,
             "attention.head_count": 1, "attention.key_length": 32, "attention.value_length": 32}
    keys = [text("general.architecture", "llama"), *(u32("llama." + k, v) for k, v in sizes.items()),
            f32("llama.attention.layer_norm_rms_epsilon", 1e-5),
            *(kinds[type(value)]("llama." + name, value) for name, value in more.items()),
            text("tokenizer.ggml.model", "gpt2"), text("tokenizer.ggml.pre", "gpt-2"),
            texts("tokenizer.ggml.tokens", ["a", "b", "ab", *(f"t{i}" for i in range(rows - 3))]),
            texts("tokenizer.ggml.merges", ["a b"]), u32("tokenizer.ggml.eos_token_id", 2)]
    shapes = {"token_embd": (rows, hidden), "output_norm": (hidden,), "blk.0.attn_norm": (hidden,),
              "blk.0.ffn_norm": (hidden,), "blk.0.attn_q": (32, hidden), "blk.0.attn_k": (32, hidden),
              "blk.0.attn_v": (32, hidden), "blk.0.attn_output": (hidden, 32), "blk.0.ffn_gate": (32, hidden),
              "blk.0.ffn_up": (32, hidden), "blk.0.ffn_down": (hidden, 32)}
    infos, data = b"", 0
    for name, shape in shapes.items():
        infos += string(name + ".weight") + struct.pack("<I", len(shape))
        infos += b"".join(struct.pack("<Q", n) for n in reversed(shape)) + struct.pack("<IQ", 0, data)
        data += 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(keys)) + b"".join(keys) + infos
    path.write_bytes(head + bytes(-len(head) % 32) + struct.pack("<f", 0.01) * (data // 4))


class Gguf(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tmp = Path(tempfile.mkdtemp())
        cls.small = cls.tmp / "small.gguf"
        shutil.copy(SMALL, cls.small)
        cls.large = cls.tmp / "large.gguf"  # 61 MB: its import takes long enough to be killed
        write_model(cls.large, rows=60000)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.tmp)

    def cache(self):
        return self.tmp / self.id().split(".")[-1]

    def imports(self):
        folder = self.cache() / "jet/gguf"
        return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.exists() else []

    def test_import(self):
        folder = self.tmp / "folder"
        r = run("import", self.small, folder)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("of Q8_0 as int8, exact", r.stdout)
        files = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"}
        self.assertEqual({p.name for p in folder.iterdir()}, files)
        by_folder = run("generate", folder, "-p", "abba", "-n", "3", "--ignore-eos")
        self.assertEqual(by_folder.returncode, 0, by_folder.stderr)
        by_file = run("generate", self.small, "-p", "abba", "-n", "3", "--ignore-eos", cache=self.cache())
        self.assertEqual(by_file.stdout, by_folder.stdout)
        again = run("import", self.small, folder)
        self.assertEqual((again.returncode, again.stderr.count("\n")), (2, 1))
        self.assertIn("exists", again.stderr)

    def test_commands_take_files(self):
        for words in (["info", self.small], ["generate", self.small, "-p", "ab", "-n", "1"],
                      ["quantize", self.small, self.tmp / "int8", "--type", "int8"]):
            first, second = run(*words, cache=self.cache()), run(*words[:2], "--help", cache=self.cache())
            self.assertEqual(first.returncode, 0, first.stderr)
            self.assertEqual(second.returncode, 0, second.stderr)
        self.assertEqual([name.split("-")[1] for name in self.imports()], ["as", "bf16"])
        self.assertEqual(run("info", self.tmp / "none.gguf").returncode, 2)

    def test_cache(self):
        self.assertIn("is imported into", run("info", self.small, cache=self.cache()).stderr)
        self.assertEqual(run("info", self.small, cache=self.cache()).stderr, "")
        listed = run("cache", cache=self.cache())
        self.assertIn(str(self.small), listed.stdout)
        self.assertIn("1 import kept", listed.stdout)
        moved = self.tmp / "moved.gguf"
        shutil.copy(self.small, moved)
        self.assertEqual(run("info", moved, cache=self.cache()).stderr, "")  # the same content
        moved.write_bytes(moved.read_bytes()[:-4] + b"\0\0\0\0")
        self.assertIn("is imported into", run("info", moved, cache=self.cache()).stderr)
        self.assertEqual(len(self.imports()), 2)
        name = self.imports()[0]
        self.assertIn("1 import removed", run("cache", "--clear", name, cache=self.cache()).stdout)
        self.assertEqual(run("cache", "--clear", name, cache=self.cache()).returncode, 2)
        self.assertIn("1 import removed", run("cache", "--clear", cache=self.cache()).stdout)
        self.assertEqual(self.imports(), [])

    def test_many_at_once(self):
        environment = dict(os.environ, XDG_CACHE_HOME=str(self.cache()))
        start = lambda: subprocess.Popen([JET, "info", str(self.large)], env=environment, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, text=True)
        processes = [start() for _ in range(4)]
        told = [p.communicate(timeout=120)[1] for p in processes]
        self.assertEqual([p.returncode for p in processes], [0] * 4, told)
        self.assertEqual(sum("is imported into" in t for t in told), 1, told)
        self.assertEqual(len(self.imports()), 1)

    def test_killed(self):
        environment = dict(os.environ, XDG_CACHE_HOME=str(self.cache()))
        cut = 0
        for i in range(12):
            p = subprocess.Popen([JET, "info", str(self.large)], env=environment, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
            time.sleep(0.01 + 0.03 * i)
            p.kill()
            p.wait()
            whole = [n for n in self.imports() if ".tmp-" not in n]
            cut += not whole
            for name in whole:
                self.assertTrue((self.cache() / "jet/gguf" / name / "config.json").exists())
                shutil.rmtree(self.cache() / "jet/gguf" / name)
        self.assertGreater(cut, 0)
        r = run("info", self.large, cache=self.cache())
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(len(self.imports()), 1, "a killed import left something behind")

    def test_rope_scaling(self):
        file = self.tmp / "scaled.gguf"

        def scaling(**keys):
            write_model(file, rows=8, hidden=32, more={"rope." + k.replace("__", "."): v for k, v in keys.items()})
            folder = self.tmp / "scaled"
            shutil.rmtree(folder, ignore_errors=True)
            r = run("import", file, folder)
            if r.returncode != 0:
                self.assertEqual((r.returncode, r.stderr.count("\n")), (2, 1), r.stderr)
                return r.stderr
            return json.loads((folder / "config.json").read_text()).get("rope_scaling")

        self.assertIsNone(scaling())
        self.assertIsNone(scaling(scaling__type="none", scaling__factor=4.0))
        self.assertEqual(scaling(scaling__factor=4.0), {"rope_type": "linear", "factor": 4})
        self.assertEqual(scaling(scale_linear=2.0), {"rope_type": "linear", "factor": 2})
        self.assertEqual(scaling(scaling__type="yarn", scaling__factor=4.0, scaling__original_context_length=16),
                         {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 16})
        self.assertEqual(scaling(scaling__type="yarn", scaling__factor=4.0, scaling__yarn_beta_fast=16.0),
                         {"rope_type": "yarn", "factor": 4, "beta_fast": 16})
        self.assertIn("'llama.rope.scaling.type' is 'longrope'", scaling(scaling__type="longrope", scaling__factor=4.0))
        self.assertIn("rope.scaling.attn_factor", scaling(scaling__type="yarn", scaling__factor=4.0,
                                                          scaling__attn_factor=0.5))

    def test_broken_files(self):
        if not BROKEN.exists():
            print(f"skipped: {BROKEN} is absent")
            return
        lines = (BROKEN / "cases.tsv").read_text().splitlines()
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["verdict"] != "refuse":
                continue
            r = run("import", BROKEN / row["file"], self.tmp / "out")
            self.assertEqual((r.returncode, r.stderr.count("\n")), (2, 1), row["file"] + ": " + r.stderr)
            self.assertIn(row["file"], r.stderr)
        self.assertEqual(list(self.tmp.glob("out*")), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
