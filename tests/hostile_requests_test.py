"""Requests that mean harm, or that nobody meant: each gets one clear line and the right status, and the server goes on.

usage: hostile_requests_test.py BUILD_DIR        (from the project's root)
"""
import gzip
import json
import socket
import sys
import tempfile
import unittest

from served import Server, chat_model

JSON = "Content-Type: application/json\r\n"


class HostileRequestsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.server = Server(chat_model(cls.folder.name))

    @classmethod
    def tearDownClass(cls):
        code = cls.server.end()
        cls.folder.cleanup()
        assert code == 0, code

    def tearDown(self):
        answer = self.server.post("/v1/completions", prompt="One day", max_tokens=2)
        self.assertEqual(answer["usage"]["completion_tokens"], 2)

    def send(self, *sent):
        """All that comes back for raw bytes, until the server closes."""
        got = b""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as s:
            try:
                for data in sent:
                    s.sendall(data if isinstance(data, bytes) else data.encode())
            except OSError:
                pass  # it has closed already
            try:
                while data := s.recv(1 << 16):
                    got += data
            except ConnectionError:
                pass
        return got.decode()

    def told(self, answer, status, *texts):
        """The one answer has this status and an error of one line that holds the texts."""
        head, body = answer.split("\r\n\r\n", 1)
        self.assertEqual(int(head.split()[1]), status, answer[:400])
        error = json.loads(body)["error"]
        self.assertEqual(error["message"].count("\n"), 0)
        for text in texts:
            self.assertIn(text, error["message"])
        return head

    def post(self, body, path="/v1/completions", headers=JSON):
        body = body if isinstance(body, bytes) else body.encode()
        return self.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}"
                         f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def test_bodies_that_are_no_requests(self):
        for body, text in [("", "JSON"), ("null", "no JSON object"), ('{"prompt": "x"', "JSON"),
                           ('{"prompt": ' * 1000, "deeper than 200"), ("[" * 100000, "deeper"),
                           ('{"prompt": "x", "temperature": NaN}', "JSON"),
                           ('{"prompt": "x", "temperature": Infinity}', "JSON"),
                           ('{"prompt": "x", "max_tokens": 1e999}', "out of range"),
                           ('{"prompt": "\\ud800"}', "JSON"), ('{"prompt": "\\udc00\\ud800"}', "JSON"),
                           (b'{"prompt": "\xff\xfe"}', "JSON"), (b'{"prompt": "\xed\xa0\x80"}', "JSON"),
                           (b"\x00" * 100, "JSON"), ('{"prompt": "a\nb"}', "JSON"),
                           ("{" + ",".join(f'"{i}":1' for i in range(30000)) + "}", "too many keys"),
                           ("{" + ",".join(f'"{i}":1' for i in range(30000)), "too many keys")]:
            self.told(self.post(body), 400, text)

    def test_bodies_of_another_kind(self):
        body = '{"prompt": "x", "max_tokens": 1}'
        for headers in ("", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n",
                        "Content-Type: application/jsonp\r\n", "Content-Type: multipart/form-data\r\n"):
            head = self.post(body, headers=headers).split("\r\n\r\n")[0]
            self.assertIn(head.split()[1], ("400", "415"), (headers, head))
        self.assertIn("200 OK", self.post(body, headers="Content-Type: application/json; charset=utf-8\r\n"))
        bomb = gzip.compress(b'{"prompt": "' + b"x" * (100 << 20) + b'"}', 1)
        self.told(self.post(bomb, headers=JSON + "Content-Encoding: gzip\r\n"), 415, "Content-Encoding")

    def test_sizes(self):
        head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\n" + JSON
        told = self.told(self.send(head + "Content-Length: 99999999999\r\n\r\n"), 413, "larger")
        self.assertIn("Connection: close", told)
        chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
        self.told(self.send(head + "Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 24), 413, "larger")
        self.told(self.send(f"GET /{'x' * 20000} HTTP/1.1\r\nHost: x\r\n\r\n"), 414, "path")
        self.told(self.send(f"GET /health HTTP/1.1\r\nX: {'x' * 20000}\r\n\r\n"), 400, "headers")
        self.told(self.send("GET /health HTTP/1.1\r\n", "X: y\r\n" * 100000, "\r\n"), 400, "headers")
        self.told(self.post(json.dumps({"prompt": "a" * (4 << 20)})), 400, "context")
        self.told(self.post(json.dumps({"prompt": ["x"] * 1000})), 400, "1000 texts")

    def test_http(self):
        body = '{"prompt": "One day", "max_tokens": 1}'
        head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\n" + JSON
        last = head + "Connection: close\r\n"
        whole = f"Content-Length: {len(body)}\r\n\r\n{body}"
        self.assertEqual(self.send(head + whole + head + whole + last + whole).count("HTTP/1.1 200"), 3)
        chunks = "".join(f"{len(c):x}\r\n{c}\r\n" for c in (body[:7], body[7:])) + "0\r\n\r\n"
        self.assertIn("HTTP/1.1 200", self.send(last + "Transfer-Encoding: chunked\r\n\r\n" + chunks))
        self.told(self.send(head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 400)
        # What could not be read is no next request, nor what was not read.
        for path in ("/health", "/v1/completions"):
            get = f"GET {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n   "
            self.assertEqual(self.send(get).count("HTTP/1.1"), 1, path)
        smuggled = self.send(head + "Content-Length: 99999999999\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(smuggled.count("HTTP/1.1"), 1)
        for line in ("GET", "GET /", "\x00\x01\x02", "GET / HTTP/9.9", "get / HTTP/1.1", "FOO / HTTP/1.1"):
            got = self.send(line + "\r\nHost: x\r\n\r\n")
            self.assertTrue(got.startswith("HTTP/1.1 4"), (line, got[:200]))

    def test_methods_and_browsers(self):
        for method in ("GET", "PUT", "DELETE", "PATCH", "TRACE"):
            status, answer, headers = self.server.ask(method, "/v1/completions")
            self.assertEqual((status, headers["Allow"]), (405, "POST, OPTIONS"), answer)
        self.assertEqual(self.server.ask("POST", "/v1/models", {})[0], 405)
        for method in ("QUERY", "TRACE", "PUT"):
            self.assertEqual(self.server.ask(method, "/health?a=1")[0], 405, method)
            self.assertEqual(self.server.ask(method, "/runs/a")[0], 405, method)
        status, text, headers = self.server.ask("HEAD", "/")
        self.assertEqual((status, text), (200, ""))
        self.assertGreater(int(headers["Content-Length"]), 1000)
        asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
        status, text, headers = self.server.ask("OPTIONS", "/v1/completions", headers=asked)
        self.assertEqual((status, text, headers["Allow"]), (204, "", "POST, OPTIONS"))
        self.assertFalse([h for h in headers if h.startswith("Access-Control")])
        size = int(self.server.ask("HEAD", "/")[2]["Content-Length"])
        many = "bytes=" + ",".join(["0-"] * 1000)
        status, text, _ = self.server.ask("GET", "/", headers={"Range": many})
        self.assertEqual((status, len(text.encode())), (200, size))
        open_to = Server("models/base", "--cors", "https://mine.example")
        headers = open_to.ask("OPTIONS", "/v1/completions", headers=asked)[2]
        self.assertEqual(headers["Access-Control-Allow-Origin"], "https://mine.example")
        self.assertIn("Authorization", headers["Access-Control-Allow-Headers"])
        headers = open_to.ask("POST", "/v1/completions", {"prompt": "x", "max_tokens": 1})[2]
        self.assertEqual(headers["Access-Control-Allow-Origin"], "https://mine.example")
        self.assertEqual(open_to.end(), 0)

    def test_values(self):
        hello = [{"role": "user", "content": "x"}]
        chat, completions, embeddings = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
        for path, body, text in [
                (completions, {"n": 2 ** 62}, "at most"), (completions, {"n": -2 ** 63}, "at most"),
                (completions, {"prompt": ["x", "y"], "n": 2 ** 63 - 1}, "at most"),
                (completions, {"n": 2 ** 64}, "'n'"), (completions, {"n": True}, "'n'"),
                (completions, {"max_tokens": -1}, "'max_tokens' is -1"), (completions, {"max_tokens": 1.5}, "'max_tokens'"),
                (completions, {"max_tokens": -2 ** 63}, "below 0"), (completions, {"temperature": 1e300}, "'temperature'"),
                (completions, {"temperature": "NaN"}, "'temperature'"), (completions, {"seed": 1e40}, "'seed'"),
                (completions, {"stop": [""]}, "stop string is empty"), (completions, {"stop": {"a": 1}}, "'stop'"),
                (completions, {"stop": ["x" * 5000]}, "stop string of 5000"),
                (completions, {"logit_bias": {"-1": 1}}, "logit_bias"), (completions, {"logit_bias": {"9999": 1}}, "logit_bias"),
                (completions, {"logit_bias": {"1": 1e30}}, "logit_bias"), (completions, {"logit_bias": {"1": "x"}}, "logit_bias"),
                (completions, {"logit_bias": {"": 1}}, "logit_bias"), (completions, {"frequency_penalty": 1e38}, "penalty"),
                (completions, {"repetition_penalty": 1e-38}, "penalty"), (completions, {"stream": "yes"}, "'stream'"),
                (completions, {"prompt": [-1]}, "outside the vocabulary"), (completions, {"prompt": [2 ** 40]}, "'prompt'"),
                (completions, {"prompt": [[]]}, "empty"), (completions, {"prompt": [1, [2]]}, "'prompt'"),
                (completions, {"prompt": None}, "'prompt'"), (completions, {"prompt": [None]}, "'prompt'"),
                (chat, {"messages": None}, "'messages'"), (chat, {"messages": {}}, "'messages'"),
                (chat, {"messages": [{"content": "x"}]}, "a message is"), (chat, {"messages": [{"role": 5}]}, "a message is"),
                (chat, {"messages": [{"role": "user", "content": 5}]}, "content"),
                (chat, {"messages": [{"role": "user", "content": [{"type": 5}]}]}, "'type'"),
                (chat, {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "only text"),
                (chat, {"messages": hello, "tools": {}}, "'tools'"), (chat, {"messages": hello, "tools": [5]}, "'tools'"),
                (chat, {"messages": hello, "chat_template_kwargs": 5}, "chat_template_kwargs"),
                (chat, {"messages": hello, "reasoning_effort": 5}, "reasoning_effort"),
                (chat, {"messages": hello, "logprobs": 5}, "'logprobs'"),
                (embeddings, {"input": [[2 ** 31]]}, "'input'"), (embeddings, {"input": ["x"] * 3000}, "3000 texts"),
                (embeddings, {"input": "x", "encoding_format": "int8"}, "encoding_format"),
                ("/detokenize", {"tokens": [-1]}, "token"), ("/detokenize", {"tokens": [2 ** 31 - 1]}, "token"),
                ("/tokenize", {}, "'content'")]:
            if path == completions:
                body = {"prompt": "x", "max_tokens": 1, **body}
            status, answer, _ = self.server.ask("POST", path, body)
            self.assertEqual(status, 400, (path, body, answer))
            self.assertEqual(answer["error"]["type"], "invalid_request_error")
            self.assertIn(text, answer["error"]["message"], (path, body))
            self.assertLess(len(answer["error"]["message"]), 400)

    def test_what_is_harmless(self):
        for message in ({"role": "assistant", "content": None, "tool_calls": []}, {"role": "user"},
                        {"role": "user", "content": None}, {"role": "user", "content": []},
                        {"role": "narrator", "content": "x"}, {"role": "user", "content": "\0\u202e\U0001f600"},
                        {"role": "tool", "tool_call_id": None, "content": "x"}):
            self.server.post("/v1/chat/completions", messages=[message], max_tokens=1)
        self.server.post("/v1/completions", prompt="x", max_tokens=0)
        self.server.post("/v1/completions", prompt="x", max_tokens=2, seed=-1, top_k=-1, stop=[], logit_bias={})
        self.server.post("/v1/completions", prompt="x", max_tokens=2, temperature=1e-38, stop=None, n=None)

    def test_anthropic_form(self):
        for body, status, kind in (({}, 400, "invalid_request_error"), ({"messages": [{"role": "user"}]}, 400, "invalid_request_error"),
                                   ({"messages": [{"role": "user", "content": [{"type": 5}]}]}, 400, "invalid_request_error"),
                                   ({"messages": [{"role": "user", "content": "x"}], "system": 5}, 400, "invalid_request_error"),
                                   ({"messages": [{"role": "user", "content": "x"}], "tools": [{"name": 5, "input_schema": {}}]},
                                    400, "invalid_request_error")):
            for path in ("/v1/messages", "/v1/messages/count_tokens"):
                got, answer, _ = self.server.ask("POST", path, dict(body, max_tokens=1))
                self.assertEqual((got, answer["type"], answer["error"]["type"]), (status, "error", kind), (body, answer))
                self.assertEqual(set(answer["error"]), {"type", "message"})


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
