"""An HTTP/1.1 proxy on loopback in front of one server: late, refusing, cutting and hanging by a seeded plan, or faithful.
It never changes a byte of what it passes on but the `Connection` header."""

import asyncio
import random
import threading
from urllib.parse import urlsplit

# Heads of requests and responses are small; a larger one is not S3.
HEAD_LIMIT_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024
SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)


class Faults:
    """What goes wrong, in shares of all requests; the seed decides which."""

    def __init__(self, seed=0, latency_s=0.0, slow_down=0.0, cut=0.0, hang=0.0):
        self.random = random.Random(seed)
        self.latency_s = latency_s
        self.shares = {"slow_down": slow_down, "cut": cut, "hang": hang}
        self.struck = dict.fromkeys(["passed", "slow_down", "cut before", "cut after", "hang"], 0)

    def decide(self):
        drawn = self.random.random()
        for what, share in self.shares.items():
            if drawn < share:
                break
            drawn -= share
        else:
            what = "passed"
        if what == "cut":
            what = self.random.choice(["cut before", "cut after"])
        self.struck[what] += 1
        return what


class Proxy:
    """A running proxy. `held` may be set to a function of method and target: requests it chooses are never answered."""

    def __init__(self, upstream, faults=None):
        self.upstream = urlsplit(upstream)
        self.faults = faults or Faults()
        self.held = None
        self.held_one = threading.Event()
        self.requests = 0

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self.thread.start()
        started.wait()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _serve(self, started):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(
            asyncio.start_server(self._connection, "127.0.0.1", 0, limit=HEAD_LIMIT_BYTES)
        )
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()
        server.close()
        # Cancelling may let a last connection in, whose task is as new.
        while tasks := asyncio.all_tasks(self.loop):
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    async def _connection(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await self._request(head, reader, writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError, OSError):
            pass  # the client went away, or the server or this proxy does: the client sees a cut
        finally:
            writer.close()

    async def _request(self, head, reader, writer):
        line, *headers = head.decode("latin-1").split("\r\n")
        method, target, version = line.split(" ")
        self.requests += 1
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await self._tunnel(reader, writer)
            return
        target = target if target.startswith("/") else "/" + target.split("/", 3)[3]
        length = next((int(h.split(":")[1]) for h in headers if h.lower().startswith("content-length:")), 0)
        if self.held is not None and self.held(method, target):
            self.held_one.set()
            await reader.read()  # until the client goes away
            return
        what = self.faults.decide()
        await asyncio.sleep(self.faults.latency_s)
        if what == "hang":
            while await reader.read(CHUNK_BYTES):
                pass
        elif what == "cut before":
            await reader.readexactly(length // 2)
            writer.transport.abort()
        elif what == "slow_down":
            await reader.readexactly(length)
            answer = b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
            body = b"" if method == "HEAD" else SLOW_DOWN
            writer.write(answer + b"Content-Length: %d\r\n\r\n" % len(SLOW_DOWN) + body)
            await writer.drain()
        else:
            kept = [h for h in headers if h and not h.lower().startswith(("connection:", "proxy-"))]
            head = "\r\n".join([f"{method} {target} {version}", *kept, "Connection: close", "", ""])
            await self._forward(head.encode("latin-1"), length, reader, writer, what == "cut after")

    async def _forward(self, head, length, reader, writer, cut):
        there, out = await asyncio.open_connection(self.upstream.hostname, self.upstream.port)
        try:
            out.write(head)
            # Whoever waits for leave to send the body gets it: the server's own 100 is passed on below.
            while length > 0:
                chunk = await reader.read(min(length, CHUNK_BYTES))
                if not chunk:
                    return
                length -= len(chunk)
                out.write(chunk)
                await out.drain()
            while chunk := await there.read(CHUNK_BYTES):
                if not cut:
                    writer.write(chunk)
                    await writer.drain()
            if cut:
                writer.transport.abort()
        finally:
            out.close()

    async def _tunnel(self, reader, writer):
        there, out = await asyncio.open_connection(self.upstream.hostname, self.upstream.port)

        async def pipe(source, sink):
            while chunk := await source.read(CHUNK_BYTES):
                sink.write(chunk)
                await sink.drain()
            sink.close()

        await asyncio.gather(pipe(reader, out), pipe(there, writer))
