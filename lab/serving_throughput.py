#!/usr/bin/env python3
"""Tokens a second of jet's server beside llama.cpp's, with many clients, by turns.

usage: lab/serving_throughput.py LLAMA_SERVER MODEL=FILE.gguf [MODEL=FILE.gguf ...] [--clients 8 32] [--turns 3]
                                 [--seconds 30] [--jet build/jet] [--threads 2]

Streams of tests/load_test.py, whose prompts were never there (--fresh): 12 to 900 tokens, replies of up to 256. Each
server has a slot for every client and a context of 1,536 tokens for each. Medians of the turns, with their range.
"""
import argparse
import json
import socket
import statistics
import subprocess
import sys
import time
import urllib.request


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def rate(command, port, clients, seconds):
    """Tokens a second, and seconds to the first token of the middle and the slowest hundredth."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                if urllib.request.urlopen(url + "/health", timeout=1).status == 200:
                    break
            except OSError:
                time.sleep(0.1)
        run = subprocess.run([sys.executable, "tests/load_test.py", url, "model", "--fresh", "--broken", "0", "--clients",
                              str(clients), "--seconds", str(seconds)], stdout=subprocess.PIPE, text=True)
        r = json.loads(run.stdout)
        if r["errors"]:
            sys.exit(f"{command[0]}: {r['errors']} errors")
        return r["tokens_per_second"], r["first_token_median_s"], r["first_token_p99_s"]
    finally:
        server.terminate()
        server.wait()


def main():
    p = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    p.add_argument("llama_server")
    p.add_argument("pairs", nargs="+")
    p.add_argument("--clients", type=int, nargs="+", default=[8, 32])
    p.add_argument("--turns", type=int, default=3)
    p.add_argument("--seconds", type=float, default=30)
    p.add_argument("--jet", default="build/jet")
    p.add_argument("--threads", type=int, default=2)
    o = p.parse_args()
    print("| model | clients | tokens/s, jet : llama.cpp | first token, median s | 99th percentile |\n|---|---|---|---|---|")
    for pair in o.pairs:
        model, file = pair.split("=")
        for clients in o.clients:
            turns = []
            for _ in range(o.turns):
                a, b, threads = free_port(), free_port(), str(o.threads)
                ours = rate([o.jet, "serve", model, "--port", str(a), "--threads", threads], a, clients, o.seconds)
                theirs = rate([o.llama_server, "-m", file, "--port", str(b), "-t", threads, "-np", str(clients), "-c",
                               str(1536 * clients), "--no-webui"], b, clients, o.seconds)
                turns.append((ours, theirs))
            ratios = [x[0] / y[0] for x, y in turns]
            middle = lambda i: " : ".join(f"{statistics.median(t[k][i] for t in turns):.3g}" for k in (0, 1))
            print(f"| {pair.split('/')[-1]} | {clients} | {middle(0)} = {statistics.median(ratios):.2f} "
                  f"({min(ratios):.2f} to {max(ratios):.2f}) | {middle(1)} | {middle(2)} |", flush=True)


if __name__ == "__main__":
    main()
