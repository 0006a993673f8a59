#!/usr/bin/env python3
"""Time to the first token of a conversation's next turns, beside llama.cpp's server.

usage: lab/second_turn.py MODEL[=FILE.gguf] ... [--tokens 4000] [--new 40] [--turns 5]

Clients stream; a time is from the request's first byte to the first text. Each turn of the measurement is a new
conversation of --tokens tokens, whose requests go to jet's server and to llama.cpp's (llama-cpp-python's, same texts,
same threads) one after the other:

  first         the whole of it is read
  second turn   its reply and a message of --new tokens follow
  edited        that message is another one
  again         another reply to the same
  restart       after the server was stopped and started again: a third message in its place
  alone         as many tokens as the second turn's new ones, with nothing before them

MODEL is a folder; it is given a plain chat template where it has none. Without FILE.gguf llama.cpp is left out; with it
this needs llama-cpp-python[server], built for this machine.
"""
import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TEMPLATE = ("{% for m in messages %}<{{ m.role }}> {{ m.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}<assistant>{% endif %}")
STEPS = ["first", "second turn", "edited", "again", "restart", "alone"]


class Server:
    def __init__(self, command, port, log):
        self.command, self.port, self.log = command, port, log
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
        while True:
            try:
                self.ask("GET", "/v1/models")
                return
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"{' '.join(self.command)}: has ended; see {self.log.name}")
                time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    new = 0  # tokens of the last prompt that were read

    def timed(self, path, body, text_of):
        """Seconds to the first text, and the whole text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        data = json.dumps(dict(body, stream=True, temperature=0, stream_options={"include_usage": True}))
        begin, first, text = time.perf_counter(), None, ""
        connection.request("POST", path, data, {"Content-Type": "application/json"})
        for line in connection.getresponse():
            if not line.startswith(b"data: {"):
                continue
            part = json.loads(line[6:])
            if usage := part.get("usage"):
                self.new = usage["prompt_tokens"] - usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
            if not part["choices"]:
                continue
            new = text_of(part["choices"][0])
            if new and first is None:
                first = time.perf_counter() - begin
            text += new
        connection.close()
        if first is None:
            sys.exit(f"{path}: no text came")
        return first, text


class Jet(Server):
    name = "jet"

    def reply(self, messages, tokens=4, ignore_eos=True):
        body = dict(messages=messages, max_tokens=tokens, ignore_eos=ignore_eos)
        return self.timed("/v1/chat/completions", body, lambda c: c["delta"].get("content") or "")

    def complete(self, text):
        return self.timed("/v1/completions", dict(prompt=text, max_tokens=4, ignore_eos=True), lambda c: c["text"])


class Llama(Server):
    name = "llama.cpp"

    def __init__(self, jet, *arguments):
        self.jet = jet
        super().__init__(*arguments)

    def stop(self):
        self.process.kill()  # it would wait for its own streams
        self.process.wait()

    def reply(self, messages, tokens=4, ignore_eos=False):  # its server always stops there
        prompt = self.jet.ask("POST", "/apply-template", dict(messages=messages))["prompt"]
        return self.complete(prompt, tokens)

    def complete(self, text, tokens=4):
        return self.timed("/v1/completions", dict(prompt=text, max_tokens=tokens), lambda c: c["text"])


def servers(o, pair, folder, log, made):
    model, _, gguf = pair.partition("=")
    copy = Path(folder) / Path(model).name
    shutil.copytree(model, copy)
    config = copy / "tokenizer_config.json"
    has_own = config.exists() and "chat_template" in json.loads(config.read_text())
    if not has_own and not (copy / "chat_template.jinja").exists():
        (copy / "chat_template.jinja").write_text(TEMPLATE)
    made.append(Jet([o.jet, "serve", str(copy), "--port", str(o.port), "--threads", str(o.threads), "--cache-dir",
                 str(Path(folder) / "cache")], o.port, log))
    if gguf:
        made.append(Llama(made[0], [sys.executable, "-m", "llama_cpp.server", "--model", gguf, "--n_ctx", "8192",
                                    "--port", str(o.port + 1), "--n_threads", str(o.threads), "--n_threads_batch",
                                    str(o.threads)], o.port + 1, log))


def words(server, text, tokens, begin):
    """About so many tokens of the text."""
    part = text[begin:begin + 8 * tokens]
    ids = server.ask("POST", "/tokenize", dict(content=part))["tokens"][:tokens]
    return server.ask("POST", "/detokenize", dict(tokens=ids))["content"]


def conversation(o, jet, text, turn):
    at = 60_000 * (turn + 1)
    # A question, as a reply that begins with blanks is read again: with what is before them they are other tokens.
    first = [{"role": "user", "content": words(jet, text, o.tokens, at) + "\n\nWhat happens in this text?"}]
    news = [[{"role": "user", "content": words(jet, text, o.new, at + 40_000 + 5_000 * i)}] for i in range(4)]
    return first, news


def measure(o, made, text, turn, times):
    first, news = conversation(o, made[0], text, turn)
    replies, new = {}, 0
    for step in STEPS:
        for s in made:
            if step == "first":
                # What follows an end is no part of a conversation.
                seconds, replies[s.name] = s.reply(first, 32, ignore_eos=False)
            elif step == "alone":
                seconds, _ = s.complete(words(made[0], text, new, 60_000 * (turn + 1) + 55_000))
            else:
                if step == "restart":
                    if s.name == "jet" or turn == 0:  # llama.cpp's reads everything: once is enough
                        s.stop()
                        s.start()
                        s.reply([{"role": "user", "content": "x"}])
                    else:
                        continue
                past = first + [{"role": "assistant", "content": replies[s.name]}]
                seconds, _ = s.reply(past + news[{"second turn": 0, "restart": 3}.get(step, 1)])
            if step == "second turn" and s.name == "jet":
                new = s.new
            times.setdefault((step, s.name), []).append(seconds)
            print(f"{step}, {s.name}: {1000 * seconds:.0f} ms, {s.new} new tokens", file=sys.stderr, flush=True)


def run(o, pair, text, log):
    with tempfile.TemporaryDirectory(dir=o.folder) as folder:
        made, times = [], {}
        try:
            servers(o, pair, folder, log, made)
            for s in made:
                s.reply([{"role": "user", "content": "x"}])
            for turn in range(o.turns):
                measure(o, made, text, turn, times)
        finally:
            for s in made:
                s.stop()
    print(f"\n{pair}: {o.tokens} tokens, then {o.new}; milliseconds to the first text, median (least to most)")
    print("| | " + " | ".join(s.name for s in made) + " |\n|" + "---|" * (len(made) + 1))
    for step in STEPS:
        cells = []
        for s in made:
            ms = [1000 * t for t in times[step, s.name]]
            over = statistics.median(a / b for a, b in zip(times[step, s.name], times["alone", s.name]))
            cells.append(f"{statistics.median(ms):.0f} ({min(ms):.0f} to {max(ms):.0f}), {over:.2f} times alone")
        print(f"| {step} | " + " | ".join(cells) + " |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pairs", nargs="+")
    p.add_argument("--jet", default="build/jet")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--tokens", type=int, default=4000)
    p.add_argument("--new", type=int, default=40)
    p.add_argument("--turns", type=int, default=5)
    p.add_argument("--text", default="data/train/stories.txt")
    p.add_argument("--port", type=int, default=18080)
    p.add_argument("--folder", help="for copies and the cache (default: the system's for such)")
    o = p.parse_args()
    text = Path(o.text).read_text(errors="replace")
    with tempfile.NamedTemporaryFile("w", prefix="second-turn-", suffix=".log", delete=False) as log:
        for pair in o.pairs:
            run(o, pair, text, log)
    os.unlink(log.name)


if __name__ == "__main__":
    main()
