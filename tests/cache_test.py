"""The server's prefix cache on disk: restarts, kills at any moment, damage, two servers, slots, thinking that goes.

usage: cache_test.py BUILD_DIR        (from the project's root)

On models/base, and on the hybrid of tests/fixtures/jet with base's tokenizer. Every answer is compared with that of a
server that has no cache at all.
"""
import http.client
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from served import Server, chat_model, jet

# Qwen3's way with thinking: replies that are over lose it.
THINKING_TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}> "
    "{{ m.content.split('</think>')[-1].lstrip('\\n') if m.role == 'assistant' else m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant> <think>\n{% endif %}")


def hybrid_model(folder):
    model = Path(folder) / "hybrid"
    shutil.copytree("tests/fixtures/jet", model)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(f"models/base/{name}", model)
    return model


def ids(seed, n):
    return [random.Random(f"{seed} {i}").randrange(2, 500) for i in range(n)]


def completion(server, prompt, tokens=8):
    answer = server.post("/v1/completions", prompt=prompt, max_tokens=tokens, temperature=0, ignore_eos=True)
    usage = answer["usage"]
    return answer["choices"][0]["text"], usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]


class CacheFolderTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.TemporaryDirectory()
        cls.models = {"base": chat_model(cls.root.name), "hybrid": hybrid_model(cls.root.name)}
        cls.alone = {}
        for name, model in cls.models.items():
            server = Server(model, "--exact", "--cache", "1")
            cls.alone[name] = server
            cls.addClassCleanup(server.end)
        cls.addClassCleanup(cls.root.cleanup)

    def folder(self):
        return tempfile.mkdtemp(dir=self.root.name)

    def test_a_restart_goes_on(self):
        for name, model in self.models.items():
            cache = self.folder()
            prompt = ids(name, 300)
            server = Server(model, "--exact", "--cache-stride", "64", "--cache-dir", cache)
            text, read = completion(server, prompt)
            self.assertEqual((text, read), (completion(self.alone[name], prompt)[0], 300))
            self.assertEqual(server.end(), 0)
            self.assertEqual([p.suffix for p in Path(cache).glob("*.path*")], [".path"])
            server = Server(model, "--exact", "--cache-stride", "64", "--cache-dir", cache)
            longer = prompt + ids("more", 20)
            self.assertEqual(completion(server, longer), (completion(self.alone[name], longer)[0], 21))
            self.assertEqual(completion(server, prompt), (text, 1))
            edited = prompt[:200] + ids("edit", 100)
            self.assertEqual(completion(server, edited), (completion(self.alone[name], edited)[0], 300 - 192))
            stats = server.stats()
            self.assertEqual(stats["cache_dir_files"], 1)
            self.assertGreater(stats["cache_dir_reads"], 0)
            self.assertEqual(server.end(), 0)

    def test_what_memory_loses_comes_from_disk(self):
        for name, model in self.models.items():
            cache = self.folder()
            server = Server(model, "--exact", "--cache", "2MB", "--cache-dir", cache)
            prompts = [ids(f"{name} {i}", 200 + i) for i in range(12)]
            texts = [completion(server, p)[0] for p in prompts]
            server.wait(lambda s: s["cache_dir_writes"] > 0 and s["cache_dir_waiting"] == 0)
            again = []
            for p in prompts[:6]:  # each brings others out of memory, and what still waits to be written is not found
                again.append(completion(server, p))
                server.wait(lambda s: s["cache_dir_waiting"] == 0)
            self.assertEqual([t for t, _ in again], texts[:6])
            self.assertEqual([r for _, r in again], [1] * 6)
            self.assertLess(server.stats()["cache_bytes"], 2e6)
            self.assertEqual(texts[0], completion(self.alone[name], prompts[0])[0])
            self.assertEqual(server.end(), 0)

    def test_killed_at_any_moment(self):
        name, model, cache = "hybrid", self.models["hybrid"], self.folder()
        prompts = [ids(f"kill {i % 9}", 90) + ids(f"kill {i}", 150 + 5 * i) for i in range(27)]
        texts = [completion(self.alone[name], p)[0] for p in prompts]
        rng, reused, told = random.Random(22), 0, ""
        for turn in range(15):
            server = Server(model, "--exact", "--cache", "1MB", "--cache-dir", cache, "--cache-dir-size", "3MB")
            made = {}

            def client(part):
                for i in rng.sample(part, len(part)):
                    try:
                        made[i] = completion(server, prompts[i])
                    except (OSError, http.client.HTTPException, AssertionError):
                        return  # the server was killed

            threads = [threading.Thread(target=client, args=(range(k, len(prompts), 2),)) for k in range(2)]
            for t in threads:
                t.start()
            enough, end = rng.randrange(1, 16), time.monotonic() + 30
            while len(made) < enough and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.02))
            server.process.kill()
            for t in threads:
                t.join()
            told += server.process.stderr.read()
            server.process.wait()
            server.process.stdout.close()
            server.process.stderr.close()
            for i, (text, read) in made.items():
                self.assertEqual(text, texts[i], (turn, i))
                reused += read < len(prompts[i])
        self.assertEqual(told, "")  # no file was ever found damaged
        server = Server(model, "--exact", "--cache-dir", cache, "--cache-dir-size", "3MB")
        self.assertGreater(server.stats()["cache_dir_files"], 0)
        self.assertLessEqual(sum(p.stat().st_size for p in Path(cache).glob("*")), 3e6)
        self.assertEqual(list(Path(cache).glob("*.tmp-*")), [])
        self.assertEqual([completion(server, p)[0] for p in prompts], texts)
        self.assertEqual(server.end(), 0)
        self.assertGreater(reused, 0)

    def test_damage_is_told_and_removed(self):
        model, cache = self.models["hybrid"], self.folder()
        prompt = ids("damage", 200)
        for damage in (lambda b: b[:len(b) // 2], lambda b: b[:1500] + bytes([b[1500] ^ 1]) + b[1501:], lambda b: b""):
            server = Server(model, "--exact", "--cache-dir", cache)
            text, _ = completion(server, prompt)
            server.end()
            (file,) = Path(cache).glob("*.path")
            file.write_bytes(damage(file.read_bytes()))
            server = Server(model, "--exact", "--cache-dir", cache)
            self.assertEqual(completion(server, prompt), (text, 200))
            server.process.terminate()
            told = server.process.stderr.read()
            self.assertEqual(server.end(), 0)
            self.assertEqual(len(told.splitlines()), 1, told)
            self.assertIn("it was removed", told)

    def test_other_models_and_a_second_server(self):
        cache = self.folder()
        server = Server(self.models["hybrid"], "--exact", "--cache-dir", cache)
        prompt = ids("two", 100)
        completion(server, prompt)
        r = subprocess.run([jet(), "serve", "models/base", "--port", "0", "--cache-dir", cache], capture_output=True,
                           text=True, timeout=60)
        self.assertEqual(r.returncode, 2)
        self.assertIn("another server uses this folder", r.stderr)
        self.assertEqual(server.end(), 0)
        for model, options, new in ((self.models["base"], ["--exact"], 100), (self.models["hybrid"], [], 100),
                                    (self.models["hybrid"], ["--exact", "--kv", "i8"], 100),
                                    (self.models["hybrid"], ["--exact"], 1)):
            server = Server(model, "--cache-dir", cache, *options)
            self.assertEqual(completion(server, prompt)[1], new, options)
            self.assertEqual(server.end(), 0)
        self.assertEqual(len(list(Path(cache).glob("*.path"))), 4)

    def test_slots(self):
        for name, model in self.models.items():
            cache = self.folder()
            server = Server(model, "--exact", "--cache-stride", "64", "--cache-dir", cache)
            prompt = ids("slots", 180)
            answer = server.post("/v1/completions", prompt=prompt, max_tokens=8, temperature=0, id_slot=3,
                                 ignore_eos=True)
            (slot,) = server.ask("GET", "/slots")[1]
            self.assertEqual((slot["id"], slot["n_prompt_tokens"], slot["n_cached_tokens"]), (3, 180, 187))
            saved = server.post("/slots/3?action=save", filename="story.bin")
            file = Path(cache) / "slots" / "story.bin"
            self.assertEqual((saved["n_saved"], saved["n_written"]), (187, file.stat().st_size))
            by_text = server.post("/slots/0?action=save", filename="by-prompt", prompt=prompt)
            self.assertEqual(by_text["n_saved"], 187)
            self.assertEqual(server.post("/slots/3?action=erase")["n_erased"], 187)
            self.assertEqual(completion(server, prompt), (answer["choices"][0]["text"], 180))
            server.post("/slots/0?action=erase", prompt=prompt)
            self.assertEqual(server.post("/slots/5?action=restore", filename="story.bin")["n_restored"], 187)
            self.assertEqual(completion(server, prompt), (answer["choices"][0]["text"], 1))
            self.assertEqual(completion(server, prompt[:140])[1], 140 - 128)  # from a checkpoint within
            server.process.kill()
            server.end()
            server = Server(model, "--exact", "--slot-save-path", str(Path(cache) / "slots"))
            self.assertEqual(server.post("/slots/0?action=restore", filename="story.bin")["n_read"],
                             file.stat().st_size)
            self.assertEqual(completion(server, prompt), (answer["choices"][0]["text"], 1))
            self.assertEqual(server.end(), 0)

    def test_slots_refuse(self):
        cache = self.folder()
        server = Server(self.models["base"], "--exact", "--cache-dir", cache, "--cache-dir-size", "1MB")
        completion(server, ids("x", 50))
        (Path(cache) / "secret").write_text("x")
        names = ["", ".", "..", ".hidden", "../secret", "a/b", "a\\b", "/etc/passwd", "x" * 200, "a\0b", "ä", 3, None]
        for action in ("save", "restore"):
            for name in names:
                status, answer, _ = server.ask("POST", f"/slots/0?action={action}", {"filename": name})
                self.assertEqual(status, 400, (action, name, answer))
        (Path(cache) / "slots").mkdir()
        (Path(cache) / "slots" / "link").symlink_to("../secret")
        (Path(cache) / "slots" / "text").write_text("no path at all, and more than the start of a file. " * 9)
        for path, body, wanted, text in [
                ("/slots/0?action=restore", {"filename": "nobody"}, 404, "no saved slot"),
                ("/slots/0?action=restore", {"filename": "link"}, 400, "link"),
                ("/slots/0?action=restore", {"filename": "text"}, 400, "text: is damaged"),
                ("/slots/0?action=save", {"filename": "a", "prompt": ids("y", 9)}, 400, "nothing of this text"),
                ("/slots/9?action=save", {"filename": "a"}, 400, "slot 9 is empty"),
                ("/slots/99?action=save", {"filename": "a"}, 400, "slot 99"),
                ("/slots/99999999999999999999?action=save", {"filename": "a"}, 400, "slot"),
                ("/slots/0?action=fly", {"filename": "a"}, 400, "'fly'"), ("/slots/0", {"filename": "a"}, 400, "''"),
                ("/v1/completions", {"prompt": "x", "id_slot": 64}, 400, "slot 64"),
                ("/v1/completions", {"prompt": "x", "id_slot": "a"}, 400, "id_slot")]:
            status, answer, _ = server.ask("POST", path, body)
            self.assertEqual(status, wanted, (path, body, answer))
            self.assertIn(text, answer["error"]["message"])
            self.assertNotIn(cache, answer["error"]["message"])
        completion(server, ids("large", 3000))
        for i in range(3):
            status, answer, _ = server.ask("POST", "/slots/0?action=save", {"filename": f"s{i}"})
        self.assertEqual(status, 400, answer)
        self.assertIn("--cache-dir-size", answer["error"]["message"])
        self.assertEqual(server.ask("POST", "/slots/0?action=erase", "", {"Content-Type": "text/plain"})[0], 415)
        self.assertEqual(server.end(), 0)
        server = Server(self.models["base"])
        self.assertEqual(server.ask("POST", "/slots/0?action=save", {"filename": "a"})[0], 400)
        self.assertEqual(server.end(), 0)

    def test_thinking_that_goes_costs_its_reply_alone(self):
        model = Path(self.folder()) / "thinks"
        shutil.copytree("models/base", model)
        (model / "chat_template.jinja").write_text(THINKING_TEMPLATE)
        server = Server(model, "--exact")
        messages, reply = [], "Yes, the river and the town were at peace."
        for turn in range(4):
            messages.append({"role": "user", "content": f"Question {turn}: " + "and what of the king? " * 30})
            answer = server.post("/v1/chat/completions", messages=messages, max_tokens=150, temperature=0,
                                 ignore_eos=True)
            usage = answer["usage"]
            read = usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]
            if turn > 0:  # the reply as history has it, the new message, and no thinking
                texts = [f"<assistant> {reply}\n", f"<user> {messages[-1]['content']}\n", "<assistant> <think>\n"]
                tokens = sum(len(server.post("/tokenize", content=t)["tokens"]) for t in texts)
                self.assertLessEqual(read, tokens + 4, (turn, usage))
            messages.append({"role": "assistant", "content": f"<think>\nThoughts of turn {turn}.\n</think>\n\n{reply}"})
        self.assertEqual(server.end(), 0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
