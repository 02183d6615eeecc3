"""What the workers and the requesters of the examples share: as much of A2A 1.0 over JSON-RPC as they need, with
nothing but Python's standard library. No SDK: for real agents there are better ones."""

import json
import sys
import threading
import time
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = "42"

# The longest that anybody here waits for a byte. Nothing in the examples takes as long.
PATIENCE = 30

TOKEN_HEADER = "X-A2A-Notification-Token"


# ---- worker -------------------------------------------------------------------------------------------------------


def job():
    """The work itself: yields what there is to say on the way."""
    for step in ("reading", "computing"):
        time.sleep(0.7)
        yield step
    time.sleep(0.7)


class Task:
    """A task, and its changes as events of a stream."""

    def __init__(self, message):
        self.id = str(uuid.uuid4())
        self.context = str(uuid.uuid4())
        self.status = {"state": "TASK_STATE_SUBMITTED"}
        self.history = [message]
        self.artifacts = []

    def json(self):
        return {
            "id": self.id,
            "contextId": self.context,
            "status": self.status,
            "history": list(self.history),
            "artifacts": list(self.artifacts),
        }

    def says(self, text):
        """The worker says something while it works."""
        if "message" in self.status:
            self.history.append(self.status["message"])
        message = {
            "messageId": str(uuid.uuid4()),
            "taskId": self.id,
            "contextId": self.context,
            "role": "ROLE_AGENT",
            "parts": [{"text": text}],
        }
        self.status = {"state": "TASK_STATE_WORKING", "message": message}
        return self._event("statusUpdate", status=self.status)

    def produces(self, text):
        """The worker has a result."""
        self.artifacts = [{"artifactId": "answer", "parts": [{"text": text}]}]
        return self._event("artifactUpdate", artifact=self.artifacts[0])

    def completes(self):
        """The worker is done."""
        if "message" in self.status:
            self.history.append(self.status["message"])
        self.status = {"state": "TASK_STATE_COMPLETED"}
        return self._event("statusUpdate", status=self.status)

    def _event(self, kind, **what):
        return {kind: {"taskId": self.id, "contextId": self.context, **what}}


def work(task):
    """Does the job on the task; yields the events."""
    for step in job():
        yield task.says(step)
    yield task.produces(ANSWER)
    yield task.completes()


class Refused(Exception):
    """An error for the requester: a JSON-RPC code and a text."""


def serve_worker(name, methods, streaming=False, push=False):
    """Serves a worker until it is stopped, on the port that the command line names (9999 unless it does). A method
    returns its result, or is a generator of events, which makes it a stream."""

    class Handler(_Quiet):
        def do_GET(self):
            if self.path != "/.well-known/agent-card.json":
                return self.send_error(404)
            host, port = self.server.server_address
            address = f"http://{host}:{port}/"
            interface = {"url": address, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
            skill = {"id": "answer", "name": "Answer", "description": "Answers.", "tags": ["example"]}
            self.answer({
                "name": name,
                "description": "Answers every question, after a while.",
                "version": "1.0.0",
                "supportedInterfaces": [interface],
                "capabilities": {"streaming": streaming, "pushNotifications": push},
                "defaultInputModes": ["text/plain"],
                "defaultOutputModes": ["text/plain"],
                "skills": [skill],
            })

        def do_POST(self):
            call = self.body()
            reply = {"jsonrpc": "2.0", "id": call.get("id")}
            try:
                method = methods.get(call.get("method"))
                if method is None:
                    raise Refused(-32601, f"{name} has no {call.get('method')}")
                result = method(call.get("params") or {})
            except Refused as refused:
                code, text = refused.args
                return self.answer({**reply, "error": {"code": code, "message": text}})
            if isinstance(result, dict):
                return self.answer({**reply, "result": result})
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for event in result:
                self.wfile.write(f"data: {json.dumps({**reply, 'result': event})}\n\n".encode())
                self.wfile.flush()

    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9999
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


# ---- requester ----------------------------------------------------------------------------------------------------


def address():
    """Where the sidecar is: what the command line says, or where it listens by default."""
    return sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"


def question(**configuration):
    """The parameters of a send."""
    message = {
        "messageId": str(uuid.uuid4()),
        "role": "ROLE_USER",
        "parts": [{"text": "What is six times seven?"}],
    }
    return {"message": message, "configuration": configuration}


def call(url, method, params, headers=()):
    """One call; gives its result."""
    with _open(url, method, params, headers) as response:
        return _result(response.read())


def stream(url, method, params):
    """One call that is answered by a stream; yields its events."""
    with _open(url, method, params) as response:
        for line in response:
            # Comments keep the connection alive, and each event is one line of data here.
            if line.startswith(b"data:"):
                yield _result(line[len(b"data:") :])


def post(url, payload, headers=()):
    """Posts JSON; gives the open response."""
    headers = {"Content-Type": "application/json", **dict(headers)}
    request = urllib.request.Request(url, json.dumps(payload).encode(), headers)
    # No proxy: everything here is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=PATIENCE)


def receive(token, events):
    """Serves a receiver of webhooks in the background; puts each into the queue and gives the receiver's address."""

    class Handler(_Quiet):
        def do_POST(self):
            event = self.body()
            if self.headers.get(TOKEN_HEADER) != token:
                return self.send_error(401)
            # Acknowledged first and looked at later, as receivers should.
            self.send_response(204)
            self.end_headers()
            events.put(event)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/"


_started = time.monotonic()


def show(event):
    """Prints what there is to be heard in an event, or in a task; says whether that was the end."""
    since = f"{time.monotonic() - _started:4.1f}s"
    update = event.get("task") or event.get("statusUpdate") or event.get("artifactUpdate") or event
    artifacts = update.get("artifacts") or ([update["artifact"]] if "artifact" in update else [])
    for artifact in artifacts:
        print(f"{since}  artifact {_text(artifact)!r}", flush=True)
    status = update.get("status")
    if status is None:
        return False
    state = status["state"].removeprefix("TASK_STATE_").lower()
    said = f" {_text(status['message'])!r}" if "message" in status else ""
    print(f"{since}  {state}{said}", flush=True)
    return state in ("completed", "failed", "canceled", "rejected")


# ---- both ---------------------------------------------------------------------------------------------------------


class _Quiet(BaseHTTPRequestHandler):
    timeout = PATIENCE

    def log_message(self, *_):
        pass

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _open(url, method, params, headers=()):
    payload = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return post(url, payload, {"A2A-Version": "1.0", **dict(headers)})


def _result(body):
    answer = json.loads(body)
    if "error" in answer:
        sys.exit(f"refused: {answer['error']['message']}")
    return answer["result"]


def _text(of):
    return "".join(part.get("text", "") for part in of["parts"])
