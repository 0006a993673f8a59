"""Replies that are kept to schemas, expressions, rules and tools, whatever the model and the temperature.

usage: structured_test.py BUILD_DIR        (from the project's root)

A model of 7 M parameters at a temperature of 2 writes noise: what is valid then is so by the grammar alone.
"""
import json
import re
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from served import TEMPLATE, Server, chat_model

HELLO = [{"role": "user", "content": "Tell me of a person."}]
SCHEMAS = [
    {"type": "object", "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "address": {"type": "object", "properties": {"street": {"type": "string", "maxLength": 9},
                                                     "zip": {"type": "string", "pattern": "^[0-9]{5}$"}},
                    "required": ["zip"]}}, "required": ["name", "age", "address"]},
    {"type": "object", "properties": {"kind": {"enum": ["a", "\u00e9\u2026\"\n", 7, None]},
                                      "parts": {"type": "array", "minItems": 1, "maxItems": 3,
                                                "items": {"type": "number", "minimum": -5, "maximum": 5}}},
     "required": ["kind", "parts"]},
    {"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {
        "leaf": {"type": "boolean"}, "left": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/tree"}]}},
        "required": ["leaf", "left"]}}},
]
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {
    "type": "object", "properties": {key: schema}, "required": [key]}}} for name, key, schema in [
        ("get_weather", "city", {"type": "string", "maxLength": 20}), ("add", "n", {"type": "integer", "minimum": 1, "maximum": 99})]]


def fits(value, schema, root):
    """Whether a value fits a schema of the keywords above."""
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].split("/")[1:]:
            target = target[part]
        return fits(value, target, root)
    if "enum" in schema:
        return value in schema["enum"]
    if "anyOf" in schema:
        return any(fits(value, s, root) for s in schema["anyOf"])
    kind = schema["type"]
    if kind in ("integer", "number"):
        return (isinstance(value, int if kind == "integer" else (int, float)) and not isinstance(value, bool)
                and schema.get("minimum", value) <= value <= schema.get("maximum", value))
    if kind == "string":
        return (isinstance(value, str) and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10 ** 9)
                and bool(re.search(schema.get("pattern", ""), value)))
    if kind == "array":
        return (isinstance(value, list) and schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10 ** 9)
                and all(fits(v, schema["items"], root) for v in value))
    if kind == "object":
        return (isinstance(value, dict) and set(schema["required"]) <= set(value) <= set(schema["properties"])
                and all(fits(v, schema["properties"][k], root) for k, v in value.items()))
    return {"boolean": isinstance(value, bool), "null": value is None}[kind]


class Shared:
    """Tests of one server; the model is the subclass's."""
    chat, completions = "/v1/chat/completions", "/v1/completions"
    tokens, temperatures = 300, (0, 1, 2)

    def ask(self, path=chat, **body):
        body.setdefault("temperature", 1)
        body.setdefault("max_tokens", self.tokens)
        if path == self.chat:
            body.setdefault("messages", HELLO)
        return self.server.post(path, **body)["choices"]

    def test_replies_fit_their_schemas(self):
        for schema in SCHEMAS:
            for temperature in self.temperatures:
                choices = self.ask(temperature=temperature, n=2, seed=1, response_format={
                    "type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}})
                for c in choices:
                    if c["finish_reason"] == "length":  # a tree that grows on
                        continue
                    self.assertTrue(fits(json.loads(c["message"]["content"]), schema, schema), c)

    def test_expressions_rules_and_choices(self):
        for body, pattern in [({"guided_regex": "[a-f]{3}-[0-9]{2}"}, r"[a-f]{3}-\d\d"),
                              ({"structured_outputs": {"regex": "(ja|nein), [A-Z]{2}"}}, "(ja|nein), [A-Z]{2}"),
                              ({"guided_choice": ["up", "down"]}, "up|down"),
                              ({"grammar": 'root ::= n ("+" n){1,3}\nn ::= [1-9] [0-9]?'}, r"\d+(\+\d+){1,3}"),
                              ({"guided_grammar": 'root ::= "x"{3}'}, "xxx")]:
            for temperature in self.temperatures[-1:]:
                for c in self.ask(n=3, temperature=temperature, **body):
                    self.assertTrue(re.fullmatch(pattern, c["message"]["content"]), (body, c))
                    self.assertEqual(c["finish_reason"], "stop")
        text = self.ask(self.completions, prompt="One day", guided_regex="[0-9]{4}", ignore_eos=True, logprobs=1)[0]
        self.assertTrue(re.fullmatch(r"\d{4}", text["text"]), text)
        self.assertEqual("".join(text["logprobs"]["tokens"]), text["text"])

    def test_objects_and_streams(self):
        for body in ({"response_format": {"type": "json_object"}}, {"json_schema": SCHEMAS[0]},
                     {"guided_json": json.dumps(SCHEMAS[0])}):
            whole = self.ask(seed=3, **body)[0]
            chunks = self.server.events(self.chat, messages=HELLO, temperature=1, max_tokens=self.tokens, seed=3, **body)
            text = "".join(c["delta"].get("content", "") for e in chunks for c in e["choices"])
            self.assertEqual(text, whole["message"]["content"])
            if whole["finish_reason"] == "stop":
                self.assertIsInstance(json.loads(text), dict)
        stopped = self.ask(guided_regex="[0-9]{9}x", stop="x", temperature=0)[0]["message"]["content"]
        self.assertTrue(re.fullmatch(r"\d{9}", stopped), stopped)

    def test_forced_calls(self):
        for temperature in self.temperatures:
            for choice, names in (("required", {"get_weather", "add"}),
                                  ({"type": "function", "function": {"name": "add"}}, {"add"})):
                c = self.ask(tools=TOOLS, tool_choice=choice, temperature=temperature, parallel_tool_calls=False)[0]
                if c["finish_reason"] == "length":
                    continue
                self.assertEqual(c["finish_reason"], "tool_calls", c)
                self.check_call(c["message"]["tool_calls"], names)
        answer = self.server.post("/v1/messages", messages=HELLO, max_tokens=self.tokens, temperature=0, tools=[
            {"name": t["function"]["name"], "input_schema": t["function"]["parameters"]} for t in TOOLS],
            tool_choice={"type": "tool", "name": "add"})
        if answer["stop_reason"] != "max_tokens":
            self.assertEqual(answer["stop_reason"], "tool_use", answer)
            self.assertGreaterEqual(answer["content"][-1]["input"]["n"], 1)

    def check_call(self, calls, names):
        self.assertEqual(len(calls), 1)
        self.assertIn(calls[0]["function"]["name"], names)
        tool = next(t["function"] for t in TOOLS if t["function"]["name"] == calls[0]["function"]["name"])
        arguments = json.loads(calls[0]["function"]["arguments"])
        self.assertTrue(fits(arguments, tool["parameters"], None), arguments)


class BaseTest(Shared, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.model = chat_model(cls.folder.name)
        cls.server = Server(cls.model)

    @classmethod
    def tearDownClass(cls):
        assert cls.server.end() == 0
        cls.folder.cleanup()

    def test_the_official_clients_stream_calls(self):
        for client in (self.openai_call, self.anthropic_call):
            with self.subTest(client=client.__name__):
                name, arguments, finish = client()
                self.assertEqual(name, "add")
                if finish in ("tool_calls", "tool_use"):
                    self.assertTrue(fits(arguments, TOOLS[1]["function"]["parameters"], None), arguments)

    def openai_call(self):
        try:
            import openai
        except ImportError:
            self.skipTest("skipped: the openai package is not installed")
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{self.server.port}/v1", api_key="none")
        name, arguments, finish = "", "", None
        for event in client.chat.completions.create(
                model="base", messages=HELLO, tools=TOOLS, stream=True, temperature=2, max_tokens=self.tokens,
                tool_choice={"type": "function", "function": {"name": "add"}}):
            choice = event.choices[0]
            for call in choice.delta.tool_calls or []:
                name += call.function.name or ""
                arguments += call.function.arguments or ""
            finish = choice.finish_reason or finish
        return name, json.loads(arguments) if finish == "tool_calls" else None, finish

    def anthropic_call(self):
        try:
            import anthropic
        except ImportError:
            self.skipTest("skipped: the anthropic package is not installed")
        client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{self.server.port}", api_key="none")
        tools = [{"name": t["function"]["name"], "input_schema": t["function"]["parameters"]} for t in TOOLS]
        with client.messages.stream(model="base", messages=HELLO, max_tokens=self.tokens, tools=tools,
                                    tool_choice={"type": "tool", "name": "add"}) as stream:
            message = stream.get_final_message()
        call = next(block for block in message.content if block.type == "tool_use")
        return call.name, call.input, message.stop_reason

    def test_wrong_forms_are_told(self):
        chat = dict(messages=HELLO, max_tokens=4)
        for body, text in [
                ({"response_format": {"type": "yaml"}}, "response_format"),
                ({"response_format": {"type": "json_schema"}}, "json_schema"),
                ({"response_format": {"type": "json_schema", "json_schema": {"schema": 3}}}, "no JSON schema"),
                ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "x"}}}}, "cannot be used"),
                ({"json_schema": {"type": "object", "if": {}}}, "if is not supported"),
                ({"guided_json": "{"}, "guided_json"), ({"guided_regex": "(("}, "cannot be used"),
                ({"guided_regex": 3}, "guided_regex"), ({"grammar": "hello"}, "has no rules"),
                ({"grammar": "root ::= x"}, "cannot be used"), ({"guided_choice": []}, "guided_choice"),
                ({"structured_outputs": {}}, "structured_outputs"),
                ({"guided_regex": "a", "guided_choice": ["a"]}, "more than one way"),
                ({"tool_choice": "required"}, "no 'tools'"),
                ({"tools": TOOLS, "tool_choice": "maybe"}, "tool_choice"),
                ({"tools": [{}], "tool_choice": "required"}, "a tool is"),
                ({"tools": TOOLS, "tool_choice": {"function": {"name": "sub"}}}, "sub")]:
            status, answer, _ = self.server.ask("POST", self.chat, dict(chat, **body))
            self.assertEqual(status, 400, (body, answer))
            self.assertIn(text, answer["error"]["message"])
            self.assertNotIn("\n", answer["error"]["message"])

    def test_hostile_forms_stall_nobody(self):
        deep = {"type": "string"}
        for _ in range(90):
            deep = {"type": "array", "items": deep}
        forms = [{"guided_regex": "((((a{99}){99}){99}){99})"}, {"guided_regex": "(" * 100000 + ")" * 100000},
                 {"guided_regex": "(a|aa)*" * 300}, {"json_schema": deep},
                 {"json_schema": {"type": "array", "minItems": 10 ** 9, "items": deep}},
                 {"json_schema": {"type": "string", "pattern": "x" * 2 ** 20}},
                 {"json_schema": {"enum": [str(i) * 40 for i in range(5000)]}},
                 {"grammar": "root ::= root root root | \"a\" | \"aa\""}]
        statuses = [None] * len(forms)

        def client(i):
            statuses[i] = self.server.ask("POST", self.chat, dict(messages=HELLO, max_tokens=40, **forms[i]))[0]

        threads = [threading.Thread(target=client, args=(i,)) for i in range(len(forms))]
        for t in threads:
            t.start()
        slowest = 0
        while any(t.is_alive() for t in threads):  # others are served meanwhile
            begin = time.monotonic()
            self.assertEqual(len(self.ask(max_tokens=2)), 1)
            slowest = max(slowest, time.monotonic() - begin)
        self.assertTrue(set(statuses) <= {200, 400, 429, 500}, statuses)
        self.assertLess(slowest, 20)
        self.assertEqual(self.ask(guided_regex="ab")[0]["message"]["content"], "ab")


class SmolTest(Shared, unittest.TestCase):
    tokens, temperatures = 60, (1,)
    test_objects_and_streams = None  # the base's will do

    @classmethod
    def setUpClass(cls):
        if not Path("models/smollm2-135m").exists():
            raise unittest.SkipTest("models/smollm2-135m is not there")
        cls.server = Server("models/smollm2-135m")

    @classmethod
    def tearDownClass(cls):
        assert cls.server.end() == 0


class FamiliesTest(unittest.TestCase):
    """Templates that write calls as families do."""

    def served(self, template, **body):
        with tempfile.TemporaryDirectory() as folder:
            model = chat_model(folder)
            (model / "chat_template.jinja").write_text(template)
            server = Server(model)
            answer = server.post("/v1/chat/completions", messages=HELLO, temperature=1, seed=2, max_tokens=400, **body)
            self.assertEqual(server.end(), 0)
        return answer["choices"][0]

    def test_calls(self):
        for call in ("<tool_call><function={{ f.name }}></function></tool_call>",
                     '{"name": "{{ f.name }}", "parameters": {{ f.arguments | tojson }}}',
                     '[TOOL_CALLS][{"name": "{{ f.name }}"}]',
                     '<tool_call>{"name": "{{ f.name }}"}</tool_call>'):
            template = TEMPLATE + "{% for m in messages %}{% for c in m.tool_calls or [] %}{% set f = c.function %}" + call
            c = self.served(template + "{% endfor %}{% endfor %}", tools=TOOLS, tool_choice="required")
            self.assertIn(c["finish_reason"], ("tool_calls", "length"), (call, c))
            if c["finish_reason"] == "tool_calls":
                for f in c["message"]["tool_calls"]:
                    Shared.check_call(self, [f], {"get_weather", "add"})

    def test_thinking_comes_first(self):
        c = self.served(TEMPLATE.replace("<assistant>", "<assistant><think>"), guided_regex="[0-9]{3}",
                        thinking_budget=20)
        self.assertTrue(re.fullmatch(r"\d{3}", c["message"]["content"]), c)
        self.assertTrue(c["message"]["reasoning_content"], c)


def built_in():
    with tempfile.TemporaryDirectory() as folder:
        server = Server(chat_model(folder))
        status = server.ask("POST", "/v1/completions", {"prompt": "x", "guided_regex": "a", "max_tokens": 1})[0]
        assert server.end() == 0
    return status != 501


if __name__ == "__main__":
    if built_in():
        unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
    print("skipped: built without xgrammar")
