"""Keeps short notes, with nothing but Python's standard library."""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# What is kept under the home directory outlives releases, restarts and suspension.
NOTES = Path.home() / "notes.json"
NOTES_MAX = 100
NOTE_BYTES_MAX = 4096
lock = threading.Lock()


def read_notes():
    try:
        return json.loads(NOTES.read_text())
    except FileNotFoundError:
        return []


def add_note(text):
    with lock:
        notes = (read_notes() + [text])[-NOTES_MAX:]
        # Written aside and renamed: a crash leaves the old notes or the new ones, never half of them.
        draft = NOTES.with_suffix(".new")
        draft.write_text(json.dumps(notes))
        draft.replace(NOTES)
        return notes


class Notes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/health":
            self.answer(200, {"status": "ok"})
        elif self.path == "/":
            self.answer(200, {"notes": read_notes(), "python": sys.version.split()[0]})
        else:
            self.answer(404, {"error": "There is nothing here."})

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > NOTE_BYTES_MAX:
            self.close_connection = True
            self.answer(413, {"error": f"A note has a content-length of at most {NOTE_BYTES_MAX} bytes."})
            return
        text = self.rfile.read(int(length)).decode("utf-8", "replace").strip()
        if not text:
            self.answer(400, {"error": "A note needs some text."})
            return
        self.answer(201, {"notes": add_note(text)})

    def answer(self, status, document):
        body = (json.dumps(document) + "\n").encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, template, *values):
        print(f"{self.command} {self.path} {values[1] if len(values) > 1 else ''}", flush=True)


server = ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Notes)
server.daemon_threads = True
# shutdown() waits for the loop below, so it must not run inside of it.
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print(f"Listening on port {server.server_port}", flush=True)
server.serve_forever()
