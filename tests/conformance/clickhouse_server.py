"""ClickHouse's HTTP interface in front of chdb, which is ClickHouse's engine without a server: parameters, credentials,
status codes and headers as the server has them. Answers on loopback only."""

import base64
import http.server
import json
import re
import threading
import urllib.parse

import chdb

CHUNK_BYTES = 64 << 10
TAG = "conformanceabcde"
# What the interface takes itself; every other parameter is a setting.
RESERVED = {"database", "query_id", "wait_end_of_query", "default_format"}
# Exceptions that the server answers with another status than 500.
STATUS = {62: 400, 47: 404, 60: 404, 81: 404, 115: 404, 164: 500, 497: 403, 516: 403}
# Users and their passwords. The second may change nothing.
WRITER = ("exporter", "p\u00e4ss: &=%\"'\\ \U0001f980")
READER = ("reader", " blanks ")


class Failed(Exception):
    """An exception of the engine: its text, and what the query had answered before it."""

    def __init__(self, text, begun):
        super().__init__(text)
        self.begun = begun


class Engine:
    """The engine: one for a process."""

    def __init__(self):
        self.connection = chdb.connect(":memory:")
        self.lock = threading.Lock()

    def ask(self, sql, answer_format="TabSeparated"):
        """The bytes of an answer."""
        with self.lock:
            try:
                return self.connection.query(sql, answer_format).bytes()
            except Exception as error:  # chdb's own class is not part of its interface
                # What the query had answered before is in front of the next answer.
                begun = self.connection.query("SELECT 1", "TabSeparated").bytes().removesuffix(b"1\n")
                raise Failed(str(error), begun) from None

    def rows(self, sql):
        """Rows of texts, null as None."""
        text = self.ask(f"{sql} FORMAT JSONCompactEachRow").decode()
        return [json.loads(line) for line in text.split("\n")[:-1]]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def credentials(self):
        encoded = self.headers.get("Authorization")
        if encoded:
            user, _, password = base64.b64decode(encoded.removeprefix("Basic ")).decode().partition(":")
            return user, password
        return self.headers.get("X-ClickHouse-User", "default"), self.headers.get("X-ClickHouse-Key", "")

    def do_POST(self):
        sql = self.rfile.read(int(self.headers["Content-Length"])).decode()
        address = urllib.parse.urlsplit(self.path)
        parameters = dict(urllib.parse.parse_qsl(address.query, keep_blank_values=True))
        settings = {name: value for name, value in parameters.items() if name not in RESERVED}
        self.server.seen.append((sql, parameters))
        if self.credentials() not in [WRITER, READER]:
            return self.refuse("Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)")
        if self.credentials() == READER:
            if settings:
                name = next(iter(settings))
                return self.refuse(f"Code: 164. DB::Exception: Cannot modify '{name}' in readonly mode. (READONLY)")
            settings = {"readonly": "1"}
        if sql.startswith("KILL QUERY"):
            return self.answer(b"")
        if settings:
            sql += " SETTINGS " + ", ".join(f"{name} = {quoted(value)}" for name, value in settings.items())
        try:
            body = self.server.engine.ask(sql)
        except Failed as error:
            # With this parameter nothing is said before it is known how the query ended.
            if error.begun and "wait_end_of_query" not in parameters:
                return self.broken(error)
            return self.refuse(str(error))
        self.answer(body)

    def head(self, status, *headers):
        self.send_response(status)
        self.send_header("X-ClickHouse-Server-Display-Name", "chdb")
        self.send_header("X-ClickHouse-Exception-Tag", TAG)
        for name, value in headers:
            self.send_header(name, value)

    def chunks(self, body):
        self.head(200, ("Transfer-Encoding", "chunked"))
        self.end_headers()
        for start in range(0, len(body), CHUNK_BYTES):
            chunk = body[start : start + CHUNK_BYTES]
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")

    def answer(self, body):
        self.chunks(body)
        self.wfile.write(b"0\r\n\r\n")

    def broken(self, error):
        """An answer that had begun: the exception stands in its middle, and the last chunk is missing."""
        text = str(error).encode()
        mark = f"\r\n__exception__\r\n{TAG}\r\n".encode()
        self.chunks(error.begun + mark + text + f"\r\n{len(text)} {TAG}\r\n__exception__\r\n".encode())
        self.close_connection = True

    def refuse(self, text):
        code = int(re.search(r"Code: (\d+)", text).group(1))
        body = f"{text} (version 26.9.2.1 (official build))\n".encode()
        self.head(STATUS.get(code, 500), ("X-ClickHouse-Exception-Code", str(code)), ("Content-Length", str(len(body))))
        self.end_headers()
        self.wfile.write(body)


def quoted(value):
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Server:
    """The interface on a free port. Use it as a context."""

    def __init__(self, engine):
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.engine = engine
        self.http.seen = []
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    @property
    def seen(self):
        """Statements with their parameters, in order."""
        return self.http.seen
