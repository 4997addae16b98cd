import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from standardwebhooks import Webhook


class Receiver:
    """The company's system: keeps what it gets, verifies it with the standard's own library, and answers."""

    def __init__(self):
        self.got, self.secret, self.answers = [], "", []
        self.seen = []

        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((dict(self.headers), body))
                status, headers = outer.answers.pop(0) if outer.answers else (204, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self):
                outer.seen.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def events(self):
        return [json.loads(body) for _, body in self.got]

    def types(self):
        return [event["type"] for event in self.events()]

    def verify(self, secret, number=-1):
        """Raises standardwebhooks' error where the signature does not fit."""
        headers, body = self.got[number]
        return Webhook(secret).verify(body, headers)


@pytest.fixture
def receiver(settings):
    settings.WEBHOOK_PRIVATE_TARGETS = True
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()
