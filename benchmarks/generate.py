"""The teacher client's rate beside the server's own, on one machine, in one run.

    python benchmarks/generate.py [--requests 400] [--concurrency 64]

A scripted server in another process answers each request after a fixed latency. First plain
sockets ask it as fast as it can answer: that is the limit. Then the same requests go through
Whittle's client (whole answers, then streams) and through the ``openai`` package as a peer. The
answers are compared, so that nobody is fast by losing some.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from curation.teachers.client import ChatRequest, Endpoint, TeacherClient, completions
from curation.teachers.pacing import Limits
from curation.teachers.sampling import Sampling

WORDS = 220  # of one answer: about the length of the demo teacher's
CHUNK = 8  # characters in one chunk of a stream
LATENCY = 0.1  # seconds until the server answers
Asker = Callable[[int], Awaitable[str]]


def text_of(number: int) -> str:
    return " ".join(f"w{number}.{i}" for i in range(WORDS))


def serve(port: Any, latency: float) -> None:
    """Run the scripted server until the parent ends this process."""
    from tests.fakes.openai_server import ScriptedServer, completion, stream

    whole = [completion({"model": "m"}, [text_of(i)]) for i in range(1000)]
    chunked = [stream({"model": "m"}, [text_of(i)], size=CHUNK) for i in range(1000)]
    for reply in chunked:  # one write for each answer: the server shall not be the bottleneck
        framed = b"".join(reply.parts)
        reply.parts = [framed[at : at + 4096] for at in range(0, len(framed), 4096)]

    def answer(body: dict[str, Any]) -> Any:
        return (chunked if body.get("stream") else whole)[body["seed"] % 1000]

    with ScriptedServer(fallback=answer, latency=latency) as server:
        server.keep_requests = False
        port.send(server.port)
        port.recv()


async def run(asker: Asker, count: int, concurrency: int) -> float:
    """Ask ``count`` things, ``concurrency`` at once; requests per second, answers checked."""
    numbers = iter(range(count))
    wrong = 0

    async def worker() -> None:
        nonlocal wrong
        for number in numbers:
            wrong += await asker(number) != text_of(number % 1000)

    start = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    seconds = time.perf_counter() - start
    if wrong:
        raise SystemExit(f"{wrong} of {count} answers were wrong")
    return count / seconds


async def plain_sockets(port: int, count: int, concurrency: int) -> float:
    """The limit: prepared bytes over kept connections, nothing parsed but the length and JSON."""
    free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    free = asyncio.LifoQueue()
    for _ in range(concurrency):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))

    async def ask(number: int) -> str:
        reader, writer = await free.get()
        body = json.dumps({"model": "m", "seed": number}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answered = await reader.readuntil(b"\r\n\r\n")
        length = int(answered.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        value = json.loads(await reader.readexactly(length))
        free.put_nowait((reader, writer))
        return str(value["choices"][0]["message"]["content"])

    return await run(ask, count, concurrency)


async def whittle(port: int, count: int, concurrency: int, stream: bool) -> float:
    endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", "m", private=True)
    sampling = Sampling(max_tokens=512)
    messages = [{"role": "user", "content": "Compute 12 + 30."}]
    async with TeacherClient(endpoint, Limits(concurrency=concurrency)) as client:

        async def ask(number: int) -> str:
            request = ChatRequest(messages, sampling, seed=number, stream=stream)
            return completions(await client.complete(request))[0].text

        return await run(ask, count, concurrency)


async def openai_package(port: int, count: int, concurrency: int, stream: bool) -> float:
    import openai

    url = f"http://127.0.0.1:{port}/v1"
    messages: Any = [{"role": "user", "content": "Compute 12 + 30."}]
    async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:

        async def ask(number: int) -> str:
            got: Any = await client.chat.completions.create(
                model="m", messages=messages, seed=number, max_tokens=512, stream=stream
            )
            if not stream:
                return str(got.choices[0].message.content)
            parts = [c.choices[0].delta.content async for c in got if c.choices]
            return "".join(part for part in parts if part)

        return await run(ask, count, concurrency)


def measure(port: int, count: int, concurrency: int) -> dict[str, float]:
    """Requests per second of each way, one after the other."""
    few = max(8, count // 8)  # the peer is slow at streams
    kinds: dict[str, Callable[[], Any]] = {
        "server, plain sockets": lambda: plain_sockets(port, count, concurrency),
        "whittle, whole answers": lambda: whittle(port, count, concurrency, stream=False),
        "whittle, streams": lambda: whittle(port, count, concurrency, stream=True),
        "openai package, whole answers": lambda: openai_package(port, count, concurrency, False),
        "openai package, streams": lambda: openai_package(port, few, concurrency, True),
    }
    rates = {}
    for name, make in kinds.items():
        asyncio.run(make())  # warm: imports, connections
        rates[name] = asyncio.run(make())
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=512)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=LATENCY)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, options.latency), daemon=True)
    process.start()
    try:
        rates = measure(ours.recv(), options.requests, options.concurrency)
    finally:
        ours.send("stop")
        process.join(timeout=5)
    report(rates, options)


def report(rates: dict[str, float], options: argparse.Namespace) -> None:
    limit = rates["server, plain sockets"]
    bound = options.concurrency / options.latency
    print(f"{options.requests} requests, {options.concurrency} at once, {options.latency} s each:")
    print(f"{'way':32} {'requests/s':>10} {'of limit':>9}")
    for name, rate in rates.items():
        print(f"{name:32} {rate:10.1f} {rate / limit:9.0%}")
    print(f"{'(latency alone would allow)':32} {bound:10.1f}")
    figures: dict[str, float] = {name: round(rate, 1) for name, rate in rates.items()}
    figures["whittle share of server rate"] = round(rates["whittle, whole answers"] / limit, 3)
    figures["peak MiB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    print(json.dumps({"name": "generate", "figures": figures}))


if __name__ == "__main__":
    main()
