"""An OpenAI-compatible endpoint for tests: a real HTTP server that answers as it is told."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = {
    "what": "a mug made of stoneware for hot drinks",
    "who": "people who drink tea at their desk",
    "when": "at breakfast and in the afternoon",
    "where": "in the kitchen or at the office",
    "why": "it keeps a drink warm for longer",
    "with_what": "a saucer, a spoon and a pot of tea",
}

SLOW_S = 3.0


class LanguageModel:
    """`mode` says how it answers: well, slow, nonsense, down, or an HTTP status as a number."""

    def __init__(self) -> None:
        self.mode = "well"
        self.num_asked = 0
        self.questions: list[dict[str, object]] = []
        self.headers: list[dict[str, str]] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers["Content-Length"]))
                model.num_asked += 1
                model.questions.append(json.loads(asked))
                model.headers.append(dict(self.headers))
                status, sent = model.answer()
                self.send_response(status)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def answer(self) -> tuple[int, bytes]:
        """Status and body of an answer in this mode."""
        if self.mode == "slow":
            time.sleep(SLOW_S)
        if self.mode == "down":
            return 500, b"out of memory"
        if self.mode.isdigit():
            return int(self.mode), f"your key was {self.headers[-1].get('Authorization')}".encode()
        if self.mode == "no completion":
            return 200, b'{"hello": "world"}'
        text = "moo" if self.mode == "nonsense" else json.dumps(ANSWER)
        body = {
            "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 50, "completion_tokens": 40},
        }
        return 200, json.dumps(body).encode()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
