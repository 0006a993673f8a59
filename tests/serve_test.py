"""The server as clients meet it: OpenAI's API, streams, errors, the cache, clients that go away, the end.

usage: serve_test.py BUILD_DIR        (from the project's root)

models/base has no chat template: the tests give it one. The official openai and anthropic clients are tried where they
are installed.
"""
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from served import Server, chat_model, jet


def generated(folder, prompt, tokens):
    out = subprocess.run([jet(), "generate", str(folder), "-p", prompt, "-n", str(tokens), "--json", "--exact"],
                         check=True,
                         capture_output=True, text=True, timeout=60)
    return json.loads(out.stdout)


class ServeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.model = chat_model(cls.folder.name)
        cls.server = Server(cls.model, "--exact", "--most-running", "8", "--most-waiting", "64")

    @classmethod
    def tearDownClass(cls):
        code = cls.server.end()
        cls.folder.cleanup()
        assert code == 0, code

    def test_completion_is_what_generate_makes(self):
        wanted = generated(self.model, "One day", 24)
        answer = self.server.post("/v1/completions", prompt="One day", max_tokens=24, temperature=0)
        self.assertEqual(answer["choices"][0]["text"], wanted["text"])
        self.assertEqual(answer["choices"][0]["finish_reason"], "length")
        self.assertEqual(answer["usage"]["completion_tokens"], 24)
        self.assertEqual(answer["object"], "text_completion")
        echo = self.server.post("/v1/completions", prompt="One day", max_tokens=24, temperature=0, echo=True)
        self.assertEqual(echo["choices"][0]["text"], "One day" + wanted["text"])

    def test_streams_are_the_whole(self):
        for path, body in (("/v1/completions", {"prompt": "One day"}),
                           ("/v1/chat/completions", {"messages": [{"role": "user", "content": "One day"}]})):
            body.update(max_tokens=32, temperature=0.8, seed=5)
            whole = self.server.post(path, **body)
            chunks = self.server.events(path, stream_options={"include_usage": True}, **body)
            chat = "chat" in path
            text = "".join(c["delta"].get("content", "") if chat else c["text"] for e in chunks for c in e["choices"])
            self.assertEqual(text, whole["choices"][0]["message"]["content"] if chat else whole["choices"][0]["text"])
            self.assertEqual(chunks[-1]["usage"]["completion_tokens"], whole["usage"]["completion_tokens"])
            self.assertEqual([c["finish_reason"] for e in chunks for c in e["choices"]][-1], "length")
            self.assertEqual({e["id"] for e in chunks}, {chunks[0]["id"]})
            if chat:
                self.assertEqual(chunks[0]["choices"][0]["delta"]["role"], "assistant")

    def test_choices_and_prompts(self):
        answer = self.server.post("/v1/completions", prompt=["One day", "Two men"], n=2, max_tokens=8, temperature=1,
                                  seed=1)
        texts = [c["text"] for c in answer["choices"]]
        self.assertEqual([c["index"] for c in answer["choices"]], [0, 1, 2, 3])
        self.assertNotEqual(texts[0], texts[1])
        alone = self.server.post("/v1/completions", prompt="Two men", max_tokens=8, temperature=1, seed=1)
        self.assertEqual(alone["choices"][0]["text"], texts[2])

    def test_logprobs(self):
        answer = self.server.post("/v1/completions", prompt="One day", max_tokens=4, temperature=0, logprobs=3)
        l = answer["choices"][0]["logprobs"]
        self.assertEqual("".join(l["tokens"]), answer["choices"][0]["text"])
        self.assertEqual([len(t) for t in l["top_logprobs"]], [3] * 4)
        for token, logprob, top in zip(l["tokens"], l["token_logprobs"], l["top_logprobs"]):
            self.assertEqual(max(top.values()), logprob)
            self.assertEqual(top[token], logprob)
        chat = self.server.post("/v1/chat/completions", messages=[{"role": "user", "content": "x"}], max_tokens=2,
                                logprobs=True, top_logprobs=2)
        content = chat["choices"][0]["logprobs"]["content"]
        self.assertEqual([len(c["top_logprobs"]) for c in content], [2, 2])

    def test_stop_strings(self):
        text = generated(self.model, "One day", 40)["text"]
        stop = text[20:24]
        answer = self.server.post("/v1/completions", prompt="One day", max_tokens=40, temperature=0, stop=stop)
        self.assertEqual(answer["choices"][0]["text"], text[:text.index(stop)])
        self.assertEqual(answer["choices"][0]["finish_reason"], "stop")

    def test_a_second_turn_reads_what_is_new(self):
        messages = [{"role": "user", "content": "Tell me of the river and the town. " * 40}]
        first = self.server.post("/v1/chat/completions", messages=messages, max_tokens=20, temperature=0)
        self.assertLess(first["usage"]["prompt_tokens_details"]["cached_tokens"], 10)
        reply = first["choices"][0]["message"]["content"]
        messages += [{"role": "assistant", "content": reply}, {"role": "user", "content": "And then?"}]
        second = self.server.post("/v1/chat/completions", messages=messages, max_tokens=4, temperature=0)
        usage = second["usage"]
        new = usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]
        self.assertLess(new, 40, usage)
        edited = messages[:-1] + [{"role": "user", "content": "Something else: who are you?"}]
        third = self.server.post("/v1/chat/completions", messages=edited, max_tokens=4, temperature=0)
        self.assertLess(third["usage"]["prompt_tokens"] - third["usage"]["prompt_tokens_details"]["cached_tokens"], 40)
        again = self.server.post("/v1/chat/completions", messages=edited, max_tokens=4, temperature=0)
        self.assertEqual(again["timings"]["prompt_n"], 1)
        for answer in first, second, third, again:  # a prompt that one pass reads was not waiting meanwhile
            self.assertGreater(answer["timings"]["prompt_ms"], 0)
        self.assertEqual(again["choices"], third["choices"])

    def test_many_at_once_are_each_as_alone(self):
        prompts = [f"On day {i} the king" for i in range(20)]
        alone = [generated(self.model, p, 16)["text"] for p in prompts[:4]]
        made = [None] * len(prompts)

        def client(i):
            made[i] = self.server.post("/v1/completions", prompt=prompts[i], max_tokens=16, temperature=0)

        threads = [threading.Thread(target=client, args=(i,)) for i in range(len(prompts))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual([m["choices"][0]["text"] for m in made[:4]], alone)

    def test_clients_that_go_are_freed(self):
        for stream in (True, False):
            body = json.dumps({"prompt": "One day", "max_tokens": 3900, "ignore_eos": True, "stream": stream})
            s = socket.create_connection(("127.0.0.1", self.server.port))
            s.sendall((f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
            self.server.wait(lambda st: st["running"] > 0)
            s.close()
            self.server.wait(lambda st: st["running"] == 0 and st["sequence_bytes"] == 0)

    def test_wrong_requests_are_told(self):
        chat, completions = "/v1/chat/completions", "/v1/completions"
        hello = [{"role": "user", "content": "x"}]
        cases = [
            (completions, {}, "'prompt' is missing"),
            (completions, {"prompt": ""}, "prompt is empty"),
            (completions, {"prompt": {"a": 1}}, "neither text nor a list"),
            (completions, {"prompt": [1, "x"]}, "list of whole numbers"),
            (completions, {"prompt": [10 ** 9]}, "outside the vocabulary"),
            (completions, {"prompt": "x", "temperature": "hot"}, "'temperature'"),
            (completions, {"prompt": "x", "temperature": -1}, "temperature"),
            (completions, {"prompt": "x", "top_p": 2}, "top_p"),
            (completions, {"prompt": "x", "max_tokens": -1}, "'max_tokens' is -1"),
            (completions, {"prompt": "x", "n": 1000}, "at most"),
            (completions, {"prompt": "x", "stop": ["a"] * 100}, "stop strings"),
            (completions, {"prompt": "x", "stop": ""}, "stop string"),
            (completions, {"prompt": "x", "logprobs": 100}, "'logprobs'"),
            (completions, {"prompt": "x", "logit_bias": {"a": 1}}, "'logit_bias'"),
            (completions, {"prompt": "x", "logit_bias": {"1000000000": 1}}, "logit_bias"),
            (completions, {"prompt": "word " * 9000}, "context is"),
            (chat, {}, "'messages'"),
            (chat, {"messages": [1]}, "a message is"),
            (chat, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "image_url"),
            (chat, {"messages": hello, "tools": [{}], "tool_choice": "required"}, "a tool is"),
            ("/tokenize", {"content": 1}, "'content'"),
            ("/detokenize", {"tokens": ["x"]}, "'tokens'"),
            ("/v1/embeddings", {"input": []}, "'input'"),
        ]
        for path, body, text in cases:
            status, answer, _ = self.server.ask("POST", path, body)
            self.assertEqual(status, 400, (path, body, answer))
            self.assertIn(text, answer["error"]["message"], (path, body))
            self.assertEqual(answer["error"]["type"], "invalid_request_error")
        for method, path, body, headers, wanted in [
                ("GET", "/nothing", None, {}, 404), ("POST", completions, "{", {}, 400),
                ("POST", completions, "[" * 1000, {}, 400), ("POST", completions, "[1]", {}, 400),
                ("POST", completions, '{"prompt": "x"}', {"Content-Type": "text/plain"}, 415)]:
            status, answer, _ = self.server.ask(method, path, body, headers)
            self.assertEqual(status, wanted, (method, path, answer))
            self.assertIn("message", answer["error"])
        self.assertEqual(self.server.ask("GET", "/health")[1], {"status": "ok"})

    def test_what_else_there_is(self):
        self.assertEqual(self.server.ask("GET", "/v1/models")[1]["data"][0]["id"], "base")
        tokens = self.server.post("/tokenize", content="One day")["tokens"]
        self.assertEqual(self.server.post("/detokenize", tokens=tokens)["content"], "One day")
        prompt = self.server.post("/apply-template", messages=[{"role": "user", "content": "x"}])["prompt"]
        self.assertEqual(prompt, "<user> x\n<assistant>")
        vectors = self.server.post("/v1/embeddings", input=["One day", "One day", "Two men"])["data"]
        self.assertEqual(vectors[0]["embedding"], vectors[1]["embedding"])
        self.assertNotEqual(vectors[0]["embedding"], vectors[2]["embedding"])
        props = self.server.ask("GET", "/props")[1]
        self.assertEqual(len(props["layers"]), 8)
        self.assertEqual(props["cache"]["bytes_per_token"], props["cache"]["full_bytes_per_token"])
        self.assertFalse(props["thinks"])
        self.assertEqual(props["sampling"]["temperature"], 0)
        page = self.server.ask("GET", "/")
        self.assertEqual(page[1], Path("web/app/dist/index.html").read_text())
        self.assertIn("frame-ancestors", page[2]["Content-Security-Policy"])
        self.assertIn("jet_requests_total", self.server.ask("GET", "/metrics")[1])

    def test_messages_of_anthropic(self):
        body = {"max_tokens": 12, "temperature": 0, "messages": [{"role": "user", "content": "One day"}],
                "system": [{"type": "text", "text": "x-anthropic-billing-header: 1234"}, {"type": "text", "text": "Be."}]}
        whole = self.server.post("/v1/messages", **body)
        chat = self.server.post("/v1/chat/completions", max_tokens=12, temperature=0, messages=[
            {"role": "system", "content": "Be."}, {"role": "user", "content": "One day"}])
        self.assertEqual(whole["content"], [{"type": "text", "text": chat["choices"][0]["message"]["content"]}])
        self.assertEqual(whole["stop_reason"], "max_tokens")
        usage = whole["usage"]
        count = self.server.post("/v1/messages/count_tokens", **body)["input_tokens"]
        self.assertEqual(count, usage["input_tokens"] + usage["cache_read_input_tokens"])
        status, text, _ = self.server.ask("POST", "/v1/messages", dict(body, stream=True))
        events = [e.split("\n", 1) for e in text.strip().split("\n\n")]
        names = [name.removeprefix("event: ") for name, _ in events]
        self.assertEqual(names[:2] + names[-3:], ["message_start", "content_block_start", "content_block_stop",
                                                  "message_delta", "message_stop"])
        made = "".join(json.loads(data.removeprefix("data: "))["delta"]["text"] for name, data in events
                       if name.endswith("content_block_delta"))
        self.assertEqual(made, whole["content"][0]["text"])
        result = [{"role": "user", "content": "x"},
                  {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]},
                  {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "seven"}]}]
        self.server.post("/v1/messages", max_tokens=1, messages=result)
        for wrong in ({}, {"messages": [{"role": "user", "content": [{"type": "image"}]}]}):
            self.assertEqual(self.server.ask("POST", "/v1/messages", wrong)[0], 400)

    def test_the_anthropic_client(self):
        try:
            import anthropic
        except ImportError:
            self.skipTest("skipped: the anthropic package is not installed")
        client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{self.server.port}", api_key="none")
        ask = dict(model="base", max_tokens=12, messages=[{"role": "user", "content": "One day"}])
        whole = client.messages.create(**ask)
        with client.messages.stream(**ask) as stream:
            text = "".join(stream.text_stream)
            self.assertEqual(stream.get_final_message().usage.output_tokens, 12)
        self.assertEqual(text, whole.content[0].text)
        self.assertEqual(client.messages.count_tokens(model="base", messages=ask["messages"]).input_tokens,
                         whole.usage.input_tokens + whole.usage.cache_read_input_tokens)

    def test_the_openai_client(self):
        try:
            import openai
        except ImportError:
            self.skipTest("skipped: the openai package is not installed")
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{self.server.port}/v1", api_key="none")
        self.assertEqual([m.id for m in client.models.list()], ["base"])
        messages = [{"role": "user", "content": "One day"}]
        whole = client.chat.completions.create(model="base", messages=messages, max_tokens=12, temperature=0)
        streamed = client.chat.completions.create(model="base", messages=messages, max_tokens=12, temperature=0,
                                                  stream=True, stream_options={"include_usage": True})
        text = usage = ""
        for chunk in streamed:
            usage = chunk.usage or usage
            for c in chunk.choices:
                text += c.delta.content or ""
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(usage.completion_tokens, 12)
        self.assertEqual(len(client.embeddings.create(model="base", input="x", encoding_format="float").data), 1)
        with self.assertRaises(openai.BadRequestError):
            client.chat.completions.create(model="base", messages=messages, temperature=-1)


class OtherServersTest(unittest.TestCase):
    def test_api_key(self):
        server = Server("models/base", JET_API_KEY="secret")
        for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 401),
                                ({"Authorization": "Bearer secret"}, 200)):
            self.assertEqual(server.ask("GET", "/v1/models", headers=headers)[0], status)
        self.assertEqual(server.ask("GET", "/health")[0], 200)
        self.assertEqual(server.end(), 0)

    def test_full_and_too_long(self):
        server = Server("models/base", "--most-running", "1", "--most-waiting", "15", "--timeout", "2")
        body = dict(prompt="One day", max_tokens=3900, ignore_eos=True, n=16)  # longer than that on any machine
        answers = []
        t = threading.Thread(target=lambda: answers.append(server.ask("POST", "/v1/completions", body)))
        t.start()
        server.wait(lambda s: s["running"] == 1)
        status, answer, headers = server.ask("POST", "/v1/completions", body)
        self.assertEqual((status, headers["Retry-After"]), (429, "1"), answer)
        t.join()
        self.assertEqual(answers[0][0], 500)
        self.assertIn("longer than the server allows", answers[0][1]["error"]["message"])
        self.assertEqual(server.post("/v1/completions", prompt="One day", max_tokens=2)["usage"]["completion_tokens"], 2)
        self.assertEqual(server.end(), 0)

    def test_one_client_does_not_hold_up_another(self):
        server = Server("models/base", "--most-running", "2", "--most-waiting", "40")
        body, order = dict(prompt="One day", max_tokens=60, ignore_eos=True), []

        def ask(key):
            status, answer, headers = server.ask("POST", "/v1/completions", body, {"Authorization": f"Bearer {key}"})
            order.append((key, status, headers.get("Retry-After")))

        many = [threading.Thread(target=ask, args=("a",)) for _ in range(60)]
        for t in many:
            t.start()
        server.wait(lambda s: s["waiting"] >= 38)
        ask("b")
        place = order.index(("b", 200, None))
        for t in many:
            t.join()
        self.assertEqual({o[1:] for o in order}, {(200, None), (429, "1")})
        self.assertGreater(len([o for o in order[place:] if o[1] == 200]), 15)
        self.assertEqual(server.end(), 0)

    def test_the_end_lets_streams_finish(self):
        server = Server("models/base")
        body = dict(prompt="One day", max_tokens=2000, ignore_eos=True, stream=True)
        answers = []
        t = threading.Thread(target=lambda: answers.append(server.ask("POST", "/v1/completions", body)))
        t.start()
        server.wait(lambda s: s["running"] == 1)
        self.assertEqual(server.end(), 0)
        t.join()
        self.assertEqual(answers[0][0], 200)
        self.assertTrue(answers[0][1].endswith("data: [DONE]\n\n"))
        self.assertIn('"finish_reason":"length"', answers[0][1])

    def test_a_port_that_is_taken(self):
        server = Server("models/base")
        r = subprocess.run([jet(), "serve", "models/base", "--port", str(server.port)], capture_output=True, text=True,
                           timeout=60)
        self.assertEqual(r.returncode, 2)
        self.assertIn("choose another with --port", r.stderr)
        self.assertEqual(server.end(), 0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
