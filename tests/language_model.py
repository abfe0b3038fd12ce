"""An OpenAI-compatible endpoint for tests: a real HTTP server that answers as it is told."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = {
    "what": "a mug made of stoneware for hot drinks",
    "who": "people who drink tea at their desk",
    "when": "at breakfast and in the afternoon",
    "where": "in the kitchen or at the office",
    "why": "it keeps a drink warm for longer",
    "with_what": "a saucer, a spoon and a pot of tea",
}


class LanguageModel:
    """`mode` says how it answers: well, slow, nonsense, down, or an HTTP status as a number.

    While it is slow it answers nobody; who still waits when that is over is told so.
    """

    def __init__(self) -> None:
        self._mode = "well"
        self._changed = threading.Condition()
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
                with suppress(ConnectionError):  # who asked may have given up
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

    @property
    def mode(self) -> str:
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        with self._changed:
            self._mode = mode
            self._changed.notify_all()

    def answer(self) -> tuple[int, bytes]:
        """Status and body of an answer in this mode."""
        if self.mode == "slow":
            with self._changed:
                self._changed.wait_for(lambda: self._mode != "slow")
            return 504, b"too late"
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
        self.mode = "down"
        self._server.shutdown()
        self._server.server_close()
