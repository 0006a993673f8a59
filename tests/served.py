"""A server of the program in sys.argv[1], for the tests that talk to one."""
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

JET = str(Path(sys.argv[1]) / "jet")
TEMPLATE = ("{% for m in messages %}<{{ m.role }}> {{ m.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}<assistant>{% endif %}")


class Server:
    def __init__(self, folder, *options, **environment):
        self.process = subprocess.Popen([JET, "serve", str(folder), "--port", "0", *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=dict(os.environ, **environment))
        line = self.process.stdout.readline()
        assert "http://" in line, (line, self.process.stderr.read())
        self.port = int(line.split("http://")[1].split()[0].rsplit(":", 1)[1])

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = dict({"Content-Type": "application/json"} if body is not None else {}, **(headers or {}))
        connection.request(method, path, json.dumps(body) if isinstance(body, (dict, list)) else body, headers)
        r = connection.getresponse()
        text = r.read().decode()
        connection.close()
        return r.status, json.loads(text) if text.startswith(("{", "[")) else text, dict(r.getheaders())

    def post(self, path, **body):
        status, answer, _ = self.ask("POST", path, body)
        assert status == 200, (status, answer)
        return answer

    def events(self, path, **body):
        """The chunks of a streamed answer."""
        status, text, headers = self.ask("POST", path, dict(body, stream=True))
        assert status == 200 and headers["Content-Type"] == "text/event-stream", (status, text)
        sent = text.split("\n\n")
        assert sent[-2:] == ["data: [DONE]", ""], sent[-2:]
        return [json.loads(e.removeprefix("data: ")) for e in sent[:-2]]

    def stats(self):
        return self.ask("GET", "/stats")[1]

    def wait(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition(self.stats()):
            assert time.monotonic() < end, self.stats()
            time.sleep(0.02)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


def chat_model(folder, template=TEMPLATE):
    """models/base with a chat template."""
    model = Path(folder) / "base"
    shutil.copytree("models/base", model)
    (model / "chat_template.jinja").write_text(template)
    return model
