"""The command line as a user types it: help and versions, numbers of every option, bytes that are no text.

usage: command_line_test.py BUILD_DIR        (from the project's root)

Numeric options are found in the help of every command, so a new one is tested when it is added.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BUILD = Path(sys.argv[1])
JET = str(BUILD / "jet")
HAS_TRAIN = (BUILD / "jet-train").exists()
BASE = "models/base"
REPLACED = "\N{REPLACEMENT CHARACTER}"


def run(*words, **options):
    return subprocess.run([JET, *words], capture_output=True, timeout=120, **options)


def commands(text, before=()):
    """The words of every command below a help text, commands of commands included."""
    listed = text.partition("Subcommands:")[2]
    names = re.findall(r"^  (\S+)", listed, re.M)
    if not names:
        return [before]
    return [c for name in names for c in commands(run(*before, name, "--help").stdout.decode(), (*before, name))]


def numeric_options(command):
    """{option: its kind}, INT, FLOAT or SIZE."""
    text = run(*command, "--help").stdout.decode()
    return {m[0].split(",")[-1]: m[1] for m in re.findall(r"^  (-\S+) (U?INT|FLOAT|SIZE)\b", text, re.M)}


class Help(unittest.TestCase):
    def test_nothing_and_help_list_the_commands(self):
        for words in ([], ["help"], ["--help"], ["-h"]):
            r = run(*words)
            self.assertEqual((r.returncode, r.stderr), (0, b""), words)
            for name in ("info", "generate", "postnas", "report"):
                self.assertRegex(r.stdout.decode(), rf"(?m)^  {name} ")

    def test_help_of_a_command(self):
        for name in ["generate", "data"] + ["postnas"] * HAS_TRAIN:
            self.assertEqual(run("help", name).stdout, run(name, "--help").stdout)
            self.assertIn(name.encode(), run("help", name).stdout)
        self.assertEqual(run("help", "fly").returncode, 2)
        self.assertIn(b"unknown command 'fly'", run("help", "fly").stderr)

    def test_versions(self):
        r = run("--version")
        self.assertEqual((r.returncode, r.stderr), (0, b""))
        self.assertRegex(r.stdout.decode(), r"^jet \d+\.\d+\.\d+\n$")
        if HAS_TRAIN:
            train = subprocess.run([BUILD / "jet-train", "--version"], capture_output=True, timeout=120)
            self.assertEqual(train.returncode, 0, train.stderr)
            self.assertRegex(train.stdout.decode(), r"^jet \d+\.\d+\.\d+, libtorch \d+")

    def test_what_cannot_be_printed_is_an_error(self):
        with open("/dev/full", "wb") as full:
            r = subprocess.run([JET, "--version"], stdout=full, stderr=subprocess.PIPE, timeout=120)
        self.assertEqual(r.returncode, 2)
        self.assertIn(b"stdout: cannot be written: No space left", r.stderr)


class Numbers(unittest.TestCase):
    """An option's number is decimal and of its range, or an error that names the option and the range."""

    def refuse(self, command, option, text):
        r = run(*command, f"{option}={text}", stdin=subprocess.DEVNULL)
        line = r.stderr.decode()
        self.assertEqual(r.returncode, 2, f"{command} {option}={text}: {line}")
        shown = "(1,,2|)" if text == "1,,2" else re.escape(text)  # of a list, the part that is none
        wanted = rf"'{shown}' is no (number|whole number|size)" if text else "('' is no|1 required)"
        self.assertRegex(line, rf"^jet: {option}: {wanted}", command)

    def test_every_option_of_every_command(self):
        bad = ["", "0x10", "1x", " 1", "1 ", "1e", "nan", "inf", "-inf", "--1", "99999999999999999999999", "1,,2"]
        found = 0
        for command in commands(run("--help").stdout.decode()):
            for option, kind in numeric_options(command).items():
                found += 1
                for text in bad[:4] if command[-1] == "train" else bad:  # libtorch takes its time to load
                    if (kind, text) not in (("FLOAT", "99999999999999999999999"), ("SIZE", "1 ")):
                        self.refuse(command, option, text)
                if kind == "INT":
                    self.refuse(command, option, "-1")
                    self.refuse(command, option, "1.5")
        self.assertGreater(found, 45)

    def test_nothing_but_numbers_are_numbers(self):
        """Every option that was not made for numbers is a text or a flag: the parser's own numbers are not used."""
        for command in commands(run("--help").stdout.decode()):
            self.assertNotIn("UINT", run(*command, "--help").stdout.decode(), command)

    def test_zeros_in_front_do_not_count(self):
        made = lambda *words: json.loads(run("generate", BASE, "-p", "One day", "--json", *words).stdout)
        self.assertEqual(made("-n", "010")["new_tokens"], 10)
        ids = lambda seed: made("-n", "4", "--temperature", "1", "--seed", seed)["ids"]
        self.assertEqual(ids("010"), ids("10"))
        self.assertNotEqual(ids("010"), ids("8"))
        self.assertEqual(len(ids("18446744073709551615")), 4)
        contexts = lambda *words: [c["context"] for c in json.loads(run("info", BASE, "--json", *words).stdout)["contexts"]]
        for words in (["010,0020"], ["10", "20"]):
            self.assertEqual(contexts("--context", *words), [10, 20])

    def test_sizes(self):
        with tempfile.TemporaryDirectory() as folder:
            export = lambda size: run("export", "tests/fixtures/jet", f"{folder}/{len(os.listdir(folder))}", "--format",
                                      "hf", "--shard-size", size)
            files = [export(size).stdout.split(b" in ")[1] for size in ("0100000", "100000", "100kb", "100 KB")]
            self.assertEqual(len(set(files)), 1, files)
            for size in ("-1GB", "0", "1.5GB", "GB", "99999999999GB", "0x10", "5 elephants"):
                self.refuse(["export", "a", "b", "--format", "hf"], "--shard-size", size)

    def test_the_environment(self):
        for text in ("08x", "0", "0x4", "-1", "99999999999"):
            r = run("info", "--cpu", env=os.environ | {"JET_THREADS": text})
            self.assertIn(f"JET_THREADS: '{text}' is no whole number from 1 to 4096", r.stderr.decode())


class Bytes(unittest.TestCase):
    """Names and prompts may hold any bytes: files are found by them, JSON has U+FFFD for what is no UTF-8."""

    def json_of(self, *words):
        r = run(*words)
        self.assertEqual(r.returncode, 0, r.stderr)
        return json.loads(r.stdout.decode("utf-8", "strict"))

    def test_a_prompt(self):
        made = self.json_of("generate", BASE, "-p", b"One \xff day", "-n", "2", "--json")
        self.assertEqual(made["prompt"], f"One {REPLACED} day")

    def test_names_of_files(self):
        with tempfile.TemporaryDirectory() as text_folder:
            folder = os.fsencode(text_folder)
            model = folder + b"/m\xf8del"
            os.symlink(Path(BASE).resolve(), model)
            task, text = folder + b"/t\xe9.jsonl", folder + b"/caf\xe9.txt"
            Path(os.fsdecode(task)).write_text('{"prompt":"1 + 1 =","answer":" 2"}\n')
            Path(os.fsdecode(text)).write_text("One day. " * 100)
            report = self.json_of("eval", model, "--tasks", task, "--text", text, "--text-tokens", "64", "--length", "32",
                                  "--json")
            self.assertTrue(report["model"].endswith(f"m{REPLACED}del"))
            self.assertEqual(list(report["tasks"]) + list(report["loss"]), [f"t{REPLACED}", f"caf{REPLACED}"])
            out = folder + b"/out\xff"
            build = ["data", "build", text, "--tokenizer", model, "--out", out, "--json"]
            manifest = self.json_of(*build)
            self.assertTrue(manifest["sources"][0]["path"].endswith(f"caf{REPLACED}.txt"))
            self.assertEqual(self.json_of(*build), manifest)
            self.assertTrue(self.json_of("data", "check", out, "--eval", task, "--tokenizer", model, "--json")["whole"])
            self.json_of("data", "info", out, "--json")
            self.json_of("bench", model, "--prefill", "8", "--batch", "0", "--repeats", "1", "--json", "-")
            bench = folder + b"/b\xff.json"
            self.assertEqual(run("bench", model, "--prefill", "8", "--batch", "0", "--repeats", "1", "--json",
                                 bench).returncode, 0)
            json.loads(Path(os.fsdecode(bench)).read_text("utf-8", "strict"))
            self.assertEqual(run("quantize", model, folder + b"/q\xff", "--type", "int8", "--calibrate", "none").returncode, 0)
            self.assertEqual(run("export", model, folder + b"/e\xff", "--format", "hf").returncode, 0)
            self.json_of("info", folder + b"/q\xff", "--json")


class Prompts(unittest.TestCase):
    """Prompts from everywhere: an option, a file, standard input, many at once, a conversation."""

    def text(self, *words, n="8", **options):
        r = run("generate", BASE, "-n", n, *words, **options)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def test_one_prompt(self):
        wanted = self.text("-p", "One day")
        self.assertEqual(self.text(input=b"One day\n"), wanted)
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_text("One day\n")
            self.assertEqual(self.text("--prompt-file", file.name), wanted)
            r = run("generate", BASE, "-p", "One day", "--prompt-file", file.name)
        self.assertEqual((r.returncode, b"give one of them" in r.stderr), (2, True), r.stderr)

    def test_many_prompts(self):
        lines = ['"One day"', "", '{"prompt": "Once", "temperature": 1, "seed": 7, "max_new_tokens": 5}', '{"prompt": "The"}']
        r = run("generate", BASE, "-n", "8", "--prompts", "-", input="\n".join(lines).encode())
        self.assertEqual(r.returncode, 0, r.stderr)
        made = [json.loads(line) for line in r.stdout.splitlines()]
        self.assertEqual([m["index"] for m in made], [0, 1, 2])
        self.assertEqual(made[0]["text"].encode() + b"\n", self.text("-p", "One day"))
        self.assertEqual(made[1]["text"].encode() + b"\n",
                         self.text("-p", "Once", "--temperature", "1", "--seed", "7", n="5"))
        for line, words in (("[", b"stdin:1: not valid JSON"), ("{}", b"stdin:1: expected a string"),
                            ('{"prompt": "x", "top_k": "many"}', b"stdin:1: key 'top_k'"),
                            ('{"prompt": "x", "temperature": -1}', b"stdin:1: temperature is -1"), ("", b"no prompts")):
            r = run("generate", BASE, "--prompts", "-", input=line.encode())
            self.assertEqual((r.returncode, words in r.stderr), (2, True), r.stderr)

    def test_threads_change_nothing(self):
        prompt = "Once upon a time there was a mill. " * 200  # keys of more than one stretch
        made = [self.text("-p", prompt, "--temperature", "1", "--seed", "3", "--threads", n) for n in "123"]
        self.assertEqual(made[0], made[1])
        self.assertEqual(made[0], made[2])

    def test_a_template(self):
        with tempfile.TemporaryDirectory() as folder:
            file, template = Path(folder) / "in.json", Path(folder) / "t.jinja"
            template.write_text("{% for m in messages %}{{ m.role }}:{{ m.content }}{{ mark }};{% endfor %}{{ add_generation_prompt }}")
            file.write_text('{"messages": [{"role": "user", "content": "\u00e9"}], "mark": "!"}')
            r = run("template", template, "--input", file)
            self.assertEqual((r.returncode, r.stdout.decode()), (0, "user:\u00e9!;False"), r.stderr)
            r = run("template", template, "--input", "-", "--add-generation-prompt", input=b"[]")
            self.assertEqual(r.stdout, b"True")
            template.write_text("\n{{ raise_exception('no\nway') }}")
            r = run("template", template, "--input", file)
            self.assertEqual((r.returncode, b"t.jinja:2: no way\n" in r.stderr), (2, True), r.stderr)
            file.write_text('{"message": []}')
            self.assertIn(b"in.json: expected a list of messages", run("template", template, "--input", file).stderr)
        self.assertIn(b"models/base: no chat template", run("template", BASE, "--input", "-", input=b"[]").stderr)


class Chat(unittest.TestCase):
    """Conversations with models/base and a template of plain text."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.model = Path(self.folder.name) / "model"
        self.model.mkdir()
        for file in Path(BASE).resolve().iterdir():
            os.symlink(file, self.model / file.name)
        (self.model / "chat_template.jinja").write_text(
            "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}a:{% endif %}")

    def tearDown(self):
        self.folder.cleanup()

    def test_one_answer(self):
        r = run("chat", self.model, "-p", "One day", "-n", "6", "--stats")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn(b"context", r.stderr)
        self.assertNotIn(b"\x1b", r.stdout + r.stderr)
        wanted = run("generate", BASE, "-p", "user: One day\na:", "-n", "6").stdout
        self.assertEqual(r.stdout, wanted)
        self.assertEqual(run("generate", self.model, "--chat", "-p", "One day", "-n", "6").stdout, wanted)
        r = run("chat", BASE, "-p", "x")
        self.assertEqual((r.returncode, b"no chat template" in r.stderr), (2, True), r.stderr)

    def test_commands(self):
        saved = Path(self.folder.name) / "saved.json"
        lines = ["One \\", "day", '"""two', 'lines"""', "/undo", "/regenerate", "/set temperature 0.5", "/set top-p 7", "/system Be kind.",
                 f"/save {saved}", "/new", "/load nowhere.json", "/fly", "/stats", "/quit", "never read"]
        r = run("chat", self.model, "-n", "4", input="\n".join(lines).encode())
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn(b"taken back: two\nlines", r.stdout)
        self.assertIn(b"temperature 0.5", r.stdout)
        self.assertIn(b"read 1 of", r.stdout)  # of the reply that was made again
        for words in (b"top-p", b"nowhere.json", b"unknown command /fly"):
            self.assertIn(words, r.stderr)
        messages = json.loads(saved.read_text())["messages"]
        self.assertEqual([m["role"] for m in messages], ["system", "user", "assistant"])
        self.assertEqual(messages[1]["content"], "One \nday")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
