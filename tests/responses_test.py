"""/v1/responses as clients meet it: items in and out, whole and streamed, what is refused; with the openai client.

usage: responses_test.py BUILD_DIR        (from the project's root)

models/base writes neither thoughts nor calls: jet/serve/responses_answer_test.cc makes those up.
"""
import json
import sys
import tempfile
import unittest

from served import Server, chat_model

# What a template sees of messages is compared with the messages of a chat.
TEMPLATE = ("{% for t in tools or [] %}[{{ t.function.name }}: {{ t.function.parameters }}]{% endfor %}"
            "{% for m in messages %}<{{ m.role }}>{% if m.reasoning_content %}({{ m.reasoning_content }}){% endif %}"
            " {{ m.content }}{% for c in m.tool_calls or [] %} {{ c.id }}={{ c.function.name }}{{ c.function.arguments }}"
            "{% endfor %}{{ m.tool_call_id }}\n{% endfor %}"
            "{% if reasoning_effort %}effort {{ reasoning_effort }}{{ enable_thinking }}{% endif %}"
            "{% if add_generation_prompt %}<assistant>{% endif %}")
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}


class ResponsesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.server = Server(chat_model(cls.folder.name, TEMPLATE), "--exact")

    @classmethod
    def tearDownClass(cls):
        code = cls.server.end()
        cls.folder.cleanup()
        assert code == 0, code

    def events(self, **body):
        status, text, headers = self.server.ask("POST", "/v1/responses", dict(body, stream=True))
        assert status == 200 and headers["Content-Type"] == "text/event-stream", (status, text)
        events = []
        for sent in text.removesuffix("\n\n").split("\n\n"):
            name, data = sent.split("\n")
            event = json.loads(data.removeprefix("data: "))
            assert name == "event: " + event["type"], sent
            events.append(event)
        return events

    def test_items_become_messages(self):
        call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Oslo"}'}
        asked = {"role": "user", "content": "And Oslo?"}
        called = [{"id": "c1", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}]
        tool = {"name": "weather", "description": "tells it", "parameters": PARAMETERS}
        cases = [
            ({"input": "One day"}, [{"role": "user", "content": "One day"}]),
            ({"input": [dict(asked, content=[{"type": "input_text", "text": "And "},
                                             {"type": "input_text", "text": "Oslo?"}])]}, [asked]),
            ({"instructions": "Be.", "input": [{"role": "developer", "content": "Short."}, asked]},
             [{"role": "system", "content": "Be.\n\nShort."}, asked]),
            ({"input": [asked, {"type": "reasoning", "id": "rs_1", "summary": [],
                                "content": [{"type": "reasoning_text", "text": "Hm."}]}, call,
                        dict(call, call_id="c2"), {"type": "function_call_output", "call_id": "c1", "output": "rain"}]},
             [asked, {"role": "assistant", "content": "", "reasoning_content": "Hm.",
                      "tool_calls": [called[0], dict(called[0], id="c2")]},
              {"role": "tool", "tool_call_id": "c1", "content": "rain"}]),
            ({"input": [asked, {"type": "reasoning", "summary": [{"type": "summary_text", "text": "So."}]},
                        {"type": "message", "role": "assistant", "id": "m", "status": "completed",
                         "content": [{"type": "output_text", "text": "Wait.", "annotations": []}]}, call, asked]},
             [asked, {"role": "assistant", "content": "Wait.", "reasoning_content": "So.", "tool_calls": called}, asked]),
            ({"input": "x", "tools": [dict(tool, type="function", strict=True)], "reasoning": {"effort": "low"}},
             ([{"role": "user", "content": "x"}],
              {"tools": [{"type": "function", "function": dict(tool, strict=True)}], "reasoning_effort": "low"})),
        ]
        for body, wanted in cases:
            messages, more = wanted if isinstance(wanted, tuple) else (wanted, {})
            chat = self.server.post("/v1/chat/completions", messages=messages, max_tokens=6, temperature=0, **more)
            got = self.server.post("/v1/responses", max_output_tokens=6, temperature=0, **body)
            self.assertEqual(got["usage"]["input_tokens"], chat["usage"]["prompt_tokens"], body)
            self.assertEqual(got["output"][0]["content"][0]["text"], chat["choices"][0]["message"]["content"], body)
            # The same tokens: all of the prompt but its last are found in the cache.
            self.assertEqual(got["usage"]["input_tokens_details"]["cached_tokens"],
                             got["usage"]["input_tokens"] - 1, body)

    def test_whole(self):
        got = self.server.post("/v1/responses", input="One day", max_output_tokens=8, temperature=0, store=True,
                               metadata={"a": "b"}, instructions="Be.")
        self.assertEqual([got[k] for k in ("object", "status", "store", "error", "metadata", "instructions")],
                         ["response", "incomplete", False, None, {"a": "b"}, "Be."])
        self.assertEqual(got["incomplete_details"], {"reason": "max_output_tokens"})
        self.assertEqual([(i["type"], i["status"]) for i in got["output"]], [("message", "incomplete")])
        self.assertEqual(got["usage"]["output_tokens"], 8)
        text = got["output"][0]["content"][0]["text"]
        stopped = self.server.post("/v1/responses", input="One day", max_output_tokens=8, temperature=0,
                                   instructions="Be.", stop=text[6:9], top_logprobs=2)
        self.assertEqual((stopped["status"], stopped["incomplete_details"]), ("completed", None))
        part = stopped["output"][0]["content"][0]
        self.assertEqual(part["text"], text[:text.index(text[6:9])])
        self.assertEqual({len(l["top_logprobs"]) for l in part["logprobs"]}, {2})

    def test_streamed(self):
        ask = dict(input="One day", max_output_tokens=24, temperature=0)
        whole, events = self.server.post("/v1/responses", **ask), self.events(**ask)
        self.assertEqual([e["sequence_number"] for e in events], list(range(len(events))))
        names = [e["type"].removeprefix("response.") for e in events]
        self.assertEqual([n for n in names if n != "output_text.delta"],
                         ["created", "in_progress", "output_item.added", "content_part.added", "output_text.done",
                          "content_part.done", "output_item.done", "incomplete"])
        text = whole["output"][0]["content"][0]["text"]
        self.assertEqual("".join(e["delta"] for e in events if "delta" in e), text)
        self.assertEqual(events[-4]["text"], text)
        last = events[-1]["response"]
        self.assertEqual(last["output"], [events[-2]["item"]])
        self.assertEqual(last["output"][0]["content"], whole["output"][0]["content"])
        self.assertEqual(last["usage"]["output_tokens"], 24)
        self.assertEqual({e["item_id"] for e in events if "item_id" in e}, {last["output"][0]["id"]})

    def test_refused(self):
        cases = [({}, "'input'"), ({"input": 1}, "'input'"), ({"input": []}, "messages"), ({"input": [1]}, "object"),
                 ({"input": [{"type": "item_reference", "id": "x"}]}, "'item_reference'"),
                 ({"input": [{"role": 1, "content": "x"}]}, "'role'"),
                 ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input_image"),
                 ({"input": "x", "previous_response_id": "resp_1"}, "stores nothing"),
                 ({"input": "x", "conversation": "c"}, "stores nothing"),
                 ({"input": "x", "background": True}, "stores nothing"),
                 ({"input": "x", "tools": [{"type": "web_search"}]}, "'web_search'"),
                 ({"input": "x", "text": {"format": 1}}, "'text.format'"),
                 ({"input": "x", "max_output_tokens": -1}, "'max_output_tokens' is -1"),
                 ({"input": "x", "top_logprobs": 50}, "'top_logprobs'")]
        for body, text in cases:
            status, answer, _ = self.server.ask("POST", "/v1/responses", body)
            self.assertEqual((status, answer["error"]["type"]), (400, "invalid_request_error"), (body, answer))
            self.assertIn(text, answer["error"]["message"], body)

    def test_the_openai_client(self):
        try:
            import openai
        except ImportError:
            self.skipTest("skipped: the openai package is not installed")
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{self.server.port}/v1", api_key="none", max_retries=0)
        whole = client.responses.create(model="base", input="One day", max_output_tokens=12, temperature=0)
        self.assertEqual((whole.status, whole.usage.output_tokens), ("incomplete", 12))
        self.assertEqual(whole.incomplete_details.reason, "max_output_tokens")
        # What was said goes into the next request, as clients send it that keep their own history.
        history = [{"role": "user", "content": "One day"}, *[o.model_dump() for o in whole.output],
                   {"role": "user", "content": "And then?"}]
        again = client.responses.create(model="base", input=history, max_output_tokens=4, store=False)
        self.assertGreater(again.usage.input_tokens, whole.usage.input_tokens + 10)
        stop = whole.output_text[8:11]
        ask = dict(model="base", input="One day", max_output_tokens=12, temperature=0, extra_body={"stop": stop})
        with client.responses.stream(**ask) as stream:
            text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
            final = stream.get_final_response()
        self.assertEqual(text, whole.output_text[:whole.output_text.index(stop)])
        self.assertEqual((final.output_text, final.status), (text, "completed"))
        kinds = [e.type for e in client.responses.create(stream=True, **ask)]
        self.assertEqual((kinds[0], kinds[-1]), ("response.created", "response.completed"))
        with self.assertRaisesRegex(openai.BadRequestError, "stores nothing"):
            client.responses.create(model="base", input="x", previous_response_id="resp_1")
        with self.assertRaises(openai.NotFoundError):
            client.responses.retrieve("resp_1")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
