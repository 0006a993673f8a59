#!/usr/bin/env python3
"""Many clients at one server: streams of mixed lengths, some of them cut off or broken.

usage: load_test.py JET MODEL [--clients 64] [--seconds 600] [--broken 0.1] [--longest 256] [-- OPTIONS OF jet serve]
       load_test.py URL MODEL ...        a server that runs already (any with /v1/completions); MODEL: its name there
       load_test.py ... --fresh          prompts that were never there, so that no cache helps; texts are not compared

Of each prompt the greedy text is asked for alone first; every later answer must be the same. A share of the requests
goes away in the middle, is broken (and must get its 4xx), or reads slowly. What counts as an error is all that was not
provoked. Printed as one line of JSON: requests, errors, tokens a second, time to first token (median, 99th percentile),
and the mean of the server's resident memory in MB over each minute (single readings move with the clients' own texts).
Exit status 1 where there was an error, or the last whole minute's mean is more than 2 per cent above the second one's.
"""
import argparse
import asyncio
import json
import random
import re
import sys
import time
from pathlib import Path

from served import Server

TEXT = Path("data/calibration.txt")
BROKEN = [(b'{"prompt": "a", "max_tokens"', 400), (b"[]", 400), (b'{"prompt": 7.5}', 400), (b'{"max_tokens": 4}', 400),
          (b'{"prompt": "a", "temperature": "hot"}', 400), (b"\xff\xfe", 400), (b'{"prompt": "a", "n": 100000}', 400)]


class Client:
    """One connection after another, each for one request."""

    def __init__(self, host, port, model):
        self.host, self.port, self.model = host, port, model

    async def send(self, body):
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
        head = (f"POST /v1/completions HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n")
        writer.write(head.encode() + body)
        await writer.drain()
        status = int((await reader.readline()).split()[1])
        while (await reader.readline()).strip():
            pass
        return status, reader, writer

    async def text(self, prompt, tokens, stop_after=None, pause=0.0):
        """The streamed text, its chunks, and the seconds to the first; cut off after `stop_after` chunks."""
        begin = time.monotonic()
        body = json.dumps({"model": self.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "top_k": 1,
                           "stream": True, "ignore_eos": True}).encode()
        status, reader, writer = await self.send(body)
        out, chunks, first = "", 0, None
        try:
            if status != 200:
                raise RuntimeError(f"status {status}: {(await reader.read(300)).decode(errors='replace')}")
            while True:
                line = await reader.readline()
                if not line:
                    raise RuntimeError("the stream ended before [DONE]")
                if not line.startswith(b"data: "):
                    continue
                if line.startswith(b"data: [DONE]"):
                    return out, chunks, first
                event = json.loads(line[6:])
                if "error" in event:
                    raise RuntimeError(event["error"])
                out += "".join(c["text"] for c in event["choices"])
                chunks += 1
                first = first or time.monotonic() - begin
                if chunks == stop_after:
                    return out, chunks, first
                if pause:
                    await asyncio.sleep(pause)
        finally:
            writer.close()

    async def broken(self, body, wanted):
        status, _, writer = await self.send(body)
        writer.close()
        if status != wanted:
            raise RuntimeError(f"{body!r}: status {status}, not {wanted}")


class Load:
    def __init__(self, o, client, memory):
        self.o, self.client, self.memory = o, client, memory
        self.done = self.provoked = self.tokens = 0
        self.errors, self.firsts, self.resident = [], [], []

    async def alone(self, rng):
        """Prompts with the length and the text that each has when it is the only one."""
        text, self.asked = TEXT.read_text(), []
        for i in range(self.o.prompts):
            begin = rng.randrange(len(text) - 8000)
            prompt = f"{i}. " + text[begin:begin + int(20 * 1.6 ** rng.randrange(1, 12))]
            tokens = max(1, int(self.o.longest * rng.random() ** 2))
            out = None if self.o.fresh else (await self.client.text(prompt, tokens))[0]
            self.asked.append((prompt, tokens, out))

    async def run_client(self, seed):
        rng = random.Random(seed)
        while time.monotonic() < self.end:
            try:
                if rng.random() < self.o.broken:
                    await self.provoke(rng)
                    self.provoked += 1
                else:
                    await self.ask(rng)
            except Exception as e:
                self.errors.append(f"{type(e).__name__}: {e}"[:300])
                await asyncio.sleep(0.2)

    async def ask(self, rng):
        prompt, tokens, wanted = rng.choice(self.asked)
        if self.o.fresh:
            prompt = f"{rng.random()} {prompt}"
        out, _, first = await self.client.text(prompt, tokens)
        if wanted not in (out, None):
            self.errors.append(f"{prompt[:24]!r}: another text than alone: {wanted!r} {out!r}"[:600])
        self.done += 1
        self.tokens += tokens
        self.firsts.append(first)

    async def provoke(self, rng):
        prompt, tokens, wanted = rng.choice(self.asked)
        kind = rng.randrange(3)
        if kind == 0:
            await self.client.text(prompt, self.o.longest, stop_after=rng.randrange(1, 20))
        elif kind == 1:
            await self.client.broken(*rng.choice(BROKEN))
        else:
            out, _, _ = await self.client.text(prompt, tokens, pause=0.1)
            if wanted not in (out, None):
                raise RuntimeError("a slow reader has another text")

    async def watch(self):
        while time.monotonic() < self.end:
            self.resident.append((time.monotonic() - self.begin, self.memory()))
            await asyncio.sleep(1)

    async def run(self):
        await self.alone(random.Random(self.o.seed))
        self.begin = time.monotonic()
        self.end = self.begin + self.o.seconds
        await asyncio.gather(self.watch(), *(self.run_client(self.o.seed + i) for i in range(self.o.clients)))
        seconds = time.monotonic() - self.begin
        minutes = [[m for t, m in self.resident if t // 60 == i] for i in range(max(1, int(self.o.seconds // 60)))]
        means = [round(sum(m) / len(m), 1) for m in minutes]
        self.grew = len(means) > 2 and means[-1] > 1.02 * means[1]
        firsts = sorted(self.firsts) or [float("nan")]
        at = lambda share: round(firsts[min(len(firsts) - 1, int(share * len(firsts)))], 3)
        return {"clients": self.o.clients, "seconds": round(seconds, 1), "answers": self.done,
                "provoked": self.provoked, "errors": len(self.errors),
                "tokens_per_second": round(self.tokens / seconds, 1),
                "first_token_median_s": at(0.5), "first_token_p99_s": at(0.99),
                "resident_mb_by_minute": means}


def resident_mb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1000


def main():
    p = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    p.add_argument("server")
    p.add_argument("model")
    p.add_argument("--clients", type=int, default=64)
    p.add_argument("--seconds", type=float, default=600)
    p.add_argument("--broken", type=float, default=0.1)
    p.add_argument("--longest", type=int, default=256)
    p.add_argument("--prompts", type=int, default=40)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--fresh", action="store_true")
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    o, options = p.parse_args(words[:cut]), words[cut + 1:]
    server = None
    if o.server.startswith("http://"):
        host, _, port = o.server.removeprefix("http://").strip("/").partition(":")
        load = Load(o, Client(host, int(port or 80), o.model), lambda: 0.0)
    else:
        server = Server(o.model, *options, program=o.server, stderr=None)
        load = Load(o, Client("127.0.0.1", server.port, "model"), lambda: resident_mb(server.process.pid))
    result = asyncio.run(load.run())
    if server:
        result["exit"] = server.end(60)
    print(json.dumps(result))
    for e in load.errors[:10]:
        print(f"error: {e}", file=sys.stderr)
    if load.grew:
        print("error: memory grew", file=sys.stderr)
    return 1 if load.errors or load.grew or result.get("exit") else 0


if __name__ == "__main__":
    sys.exit(main())
