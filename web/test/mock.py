#!/usr/bin/env python3
"""A server that answers as jet serve does, from scripts instead of a model: for the page's tests, and to look at it.

    web/test/mock.py [--port 8090] [--key KEY] [--runs [--no-model]]

What the last user message says decides what comes: "table", "code", "maths", "hostile", "think", "long N", "slow N",
"fail busy|server|broken|middle|empty". Other messages are echoed word by word.
"""
import argparse
import json
import pathlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import answers
import runs

PAGE = pathlib.Path(__file__).parent.parent / "app/dist/index.html"
PROPS = {
    "model": {"name": "jet-demo", "parameters": 7608384, "context": 4096, "vocabulary": 4096, "weight_bytes": 30433536},
    "has_chat_template": True,
    "thinks": True,
    "layers": [{"mixer": m, "window": w} for m, w in
               [("gated_delta_net", 0), ("attention", 0), ("gated_delta_net", 0), ("attention", 512),
                ("gated_delta_net", 0), ("attention", 0), ("gated_delta_net", 0), ("gated_delta_net", 0)]],
    "cache": {"kv_type": "bf16", "fixed_bytes": 417792, "bytes_per_token": 1024, "full_bytes_per_token": 4096},
    "sampling": {"temperature": 0.7, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "typical_p": 1.0, "repetition_penalty": 1.1},
    "version": "0.1.0",
}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port=0, key="", with_runs=False, template=True, model=True):
        super().__init__(("127.0.0.1", port), Handler)
        self.key, self.with_runs, self.template, self.model = key, with_runs, template, model
        self.lock = threading.Lock()
        self.asked, self.broken_off, self.paths = [], 0, []
        self.busy_once, self.started, self.generated, self.prompt, self.cached, self.running = 0, time.time(), 0, 0, 0, 0
        self.rate = 200.0  # tokens/s

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def handle_error(self, request, address):
        pass  # a client that goes away is no error


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_):
        pass

    def send_json(self, value, status=200, headers=()):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def error(self, status, message, headers=()):
        self.send_json({"error": {"message": message, "type": "error", "code": status}}, status, headers)

    def refused(self):
        if not self.server.key or self.headers.get("Authorization") == "Bearer " + self.server.key:
            return False
        self.error(401, "wrong key")
        return True

    def do_GET(self):
        path = self.path.split("?")[0]
        with self.server.lock:
            self.server.paths.append(path)
        if path == "/":
            body = PAGE.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        elif path == "/health":
            self.send_json({"status": "ok"})
        elif self.refused():
            pass
        elif path == "/props":
            self.send_json({**PROPS, "has_chat_template": self.server.template} if self.server.model else {"model": None, "version": PROPS["version"]})
        elif path == "/stats":
            self.send_json(self.stats())
        elif path == "/v1/models":
            self.send_json({"object": "list", "data": [{"id": "jet-demo", "object": "model", "created": 0, "owned_by": "jet"}]})
        elif path == "/runs" and self.server.with_runs:
            self.send_json(runs.rows(time.time() - self.server.started))
        elif path.startswith("/runs/") and self.server.with_runs:
            report = runs.report(path[6:], time.time() - self.server.started)
            self.send_json(report) if report else self.error(404, "no such run")
        else:
            self.error(404, "not found")

    def stats(self):
        s = self.server
        return {"uptime_s": time.time() - s.started, "running": s.running, "waiting": 0, "sequence_bytes": 4194304 * s.running,
                "sequence_budget": 1 << 30, "cache_bytes": 1024 * s.prompt, "cache_budget": 1 << 28, "checkpoints": len(s.asked),
                "prompt_tokens": s.prompt, "cached_tokens": s.cached, "generated_tokens": s.generated, "requests": len(s.asked),
                "decode_tps": s.rate if s.running else 0, "prefill_tps": 1800.0 if s.running else 0}

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        if self.refused():
            return
        if self.path == "/tokenize":
            self.send_json({"tokens": list(range(len(body["content"].split())))})
        elif self.path == "/v1/chat/completions" and self.server.template:
            self.complete(body)
        elif self.path == "/v1/completions":
            self.go_on(body)
        else:
            self.error(404, "not found")

    def complete(self, body):
        s = self.server
        with s.lock:
            s.asked.append(body)
        text = body["messages"][-1]["content"]
        if text == "fail busy" or (text == "fail busy once" and s.busy_once == 0):
            s.busy_once += 1
            return self.error(429, "The server is full.", [("Retry-After", "3")])
        if text == "fail server":
            return self.error(500, "The model ran out of memory.")
        if text == "fail empty":
            return self.close_connection_now()
        with s.lock:
            s.running += 1
        try:
            self.stream(body, text)
        except OSError:
            with s.lock:
                s.broken_off += 1
        finally:
            with s.lock:
                s.running -= 1

    def go_on(self, body):
        self.server.asked.append(body)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for text, finish in ((" upon", None), (" a time", None), ("", "stop")):
            self.event({"object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": finish}]})
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def close_connection_now(self):
        self.close_connection = True
        self.connection.close()

    def event(self, value):
        data = value if isinstance(value, str) else json.dumps(value)
        chunk = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        self.wfile.flush()

    def stream(self, body, text):
        s, begun = self.server, time.time()
        thinking, pieces = answers.answer(text, body)
        if body.get("chat_template_kwargs", {}).get("enable_thinking") is False:
            thinking = []
        prompt = sum(len(m["content"].split()) + 4 for m in body["messages"])
        cached = prompt - len(text.split()) - 4 if len(body["messages"]) > 1 else 0
        with s.lock:
            s.prompt += prompt
            s.cached += cached
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        delta = lambda d, finish=None: {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": d, "finish_reason": finish}]}
        self.event(delta({"role": "assistant"}))
        n = 0
        limit = body.get("max_tokens", 1 << 30)
        rate = 20.0 if text.startswith("slow") else 0 if text.startswith("long") else s.rate
        for kind, piece in [("reasoning_content", p) for p in thinking] + [("content", p) for p in pieces]:
            if n >= limit:
                break
            n += 1
            self.event(delta({kind: piece}))
            s.generated += 1
            if text == "fail broken" and n == 3:
                return self.close_connection_now()
            if text == "fail middle" and n == 3:
                self.event({"error": {"message": "The model gave no number.", "type": "server_error", "code": 500}})
                return self.event("[DONE]")
            if rate:
                time.sleep(1 / rate)
        self.event(delta({}, "length" if n >= limit else "stop"))
        seconds = max(1e-3, time.time() - begun)
        self.event({"object": "chat.completion.chunk", "choices": [],
                    "usage": {"prompt_tokens": prompt, "completion_tokens": n, "total_tokens": prompt + n,
                              "prompt_tokens_details": {"cached_tokens": cached}},
                    "timings": {"prompt_n": prompt - cached, "prompt_ms": (prompt - cached) / 1.8, "predicted_n": n,
                                "predicted_ms": 1000 * seconds, "predicted_per_second": n / seconds, "queue_ms": 0.2}})
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--key", default="")
    parser.add_argument("--runs", action="store_true")
    parser.add_argument("--no-model", action="store_true")
    args = parser.parse_args()
    server = Server(args.port, args.key, args.runs, model=not args.no_model)
    print(server.url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
