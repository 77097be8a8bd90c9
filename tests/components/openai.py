"""The client of language models alone: a bundle of kind llm is opened and asks a server; no training library here."""

import importlib.util
import json
import os
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from purport import Classifier, Task
from purport.bundle import commit, staging
from purport.kinds.llm.model import facts_of
from purport.kinds.llm.prompt import PROMPT_FILE, PromptFile
from purport.kinds.llm.recipe import BudgetSpec, PromptSpec, Service
from purport.manifest import Likeliest, Manifest, Provenance

HEAVY = ("torch", "transformers", "peft", "sklearn", "pandas", "fastapi")
present = [name for name in HEAVY if importlib.util.find_spec(name)]
assert not present, f"the environment of language models has {present}"


class Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        message = {"role": "assistant", "content": '{"label": "fare"}'}
        body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = HTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
with tempfile.TemporaryDirectory() as folder:
    os.environ["XDG_CACHE_HOME"] = folder
    service = Service(model="m", base_url=f"http://127.0.0.1:{server.server_address[1]}/v1", key="")
    manifest = Manifest(
        kind="llm",
        opener="llm",
        task=Task.MULTICLASS,
        labels=("flight", "fare"),
        model=facts_of(PromptSpec(), service, BudgetSpec(), "votes"),
        decision=Likeliest(),
        provenance=Provenance(dataset="none", fingerprint="0" * 64, rows={}),
    )
    with staging(Path(folder)) as stage:
        (stage / PROMPT_FILE).write_text(PromptFile(instructions="x", out_of_scope="none").model_dump_json(), "utf-8")
        bundle = commit(stage, Path(folder, "bundle"), manifest)
    (prediction,) = Classifier.open(bundle).predict(["what does it cost"])
    assert prediction.labels == ("fare",), prediction
