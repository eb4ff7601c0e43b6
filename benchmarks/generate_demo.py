"""The whole ``generate`` job beside the demo teacher's own rate, in one run.

    python -m benchmarks.generate_demo [--problems 96] [--rounds 3] [--concurrency 16]

The server's own rate is that of plain sockets: prepared bytes over kept connections, nothing read
but the length and the JSON. Beside it the job as a worker runs it, with its own PostgreSQL: pages
of problems, the client, one stored trace for each answer. Both ask the same problems with
the same messages at temperature 0, so the same tokens are made; they take turns. A third way is the
job with streams in place of whole answers. Rates are of completion tokens, medians over rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

MAX_TOKENS = 400
START_SECONDS = 180.0


@contextmanager
def demo_server(folder: Path) -> Iterator[int]:
    """Port of a demo teacher of our own."""
    file = folder / "port"
    command = [sys.executable, "-m", "workers.demo_teacher", "serve", "--port", "0"]
    with (folder / "teacher.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--port-file", str(file)], cwd=ROOT, stdout=log, stderr=log
        )
        try:
            end = time.monotonic() + START_SECONDS
            while not (file.exists() and file.read_text()):
                if server.poll() is not None or time.monotonic() > end:
                    raise SystemExit((folder / "teacher.log").read_text()[-2000:])
                time.sleep(0.2)
            yield int(file.read_text())
        finally:
            server.terminate()
            server.wait(timeout=30)


@contextmanager
def database(folder: Path) -> Iterator[None]:
    """Django with an embedded PostgreSQL in ``folder``, migrated."""
    os.environ |= {"WHITTLE_HOME": str(folder), "DJANGO_SETTINGS_MODULE": "curation.settings"}
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    import django
    from django.core.management import call_command

    from workers.services.ensure import stop_services
    from workers.services.postgres import EmbeddedPostgres

    EmbeddedPostgres().start()
    try:
        django.setup()
        call_command("migrate", verbosity=0)
        yield
    finally:
        stop_services()


def make_project(name: str, port: int, texts: list[str], concurrency: int, stream: bool) -> Any:
    """A project with these problems and the teacher, of which all is known that a probe finds."""
    from curation import grants
    from curation.models import ModelEndpoint, Problem, Project, Source

    project = Project.objects.create(slug=name, name=name)
    source = Source.objects.create(project=project, name="sums")
    Problem.objects.bulk_create(
        Problem(
            project=project,
            source=source,
            text=text,
            text_sha256=str(number),
            norm_sha256=str(number),
        )
        for number, text in enumerate(texts)
    )
    grants.grant(project, f"http://127.0.0.1:{port}/v1", "", None)
    ModelEndpoint.objects.create(
        project=project,
        name="demo",
        base_url=f"http://127.0.0.1:{port}/v1",
        model="demo-teacher",
        sampling={"temperature": 0.0, "max_tokens": MAX_TOKENS},
        limits={"concurrency": concurrency, "stream_above": 1 if stream else 2048},
    )
    probe(project)
    return project


def probe(project: Any) -> None:
    from curation.endpoints import run_probe

    run_job(project, run_probe, "probe", {"teacher": "demo"})


def run_job(project: Any, handler: Any, kind: str, params: dict[str, Any]) -> Any:
    """Run a handler as a job in this process; the job."""
    from curation import jobs
    from curation.models import Job

    job = jobs.create_job(project=project, kind=kind, params=params)
    epoch = jobs.claim(job.pk)
    assert epoch is not None
    handler(jobs.JobContext(Job.objects.get(pk=job.pk), epoch))
    job.refresh_from_db()
    return job


def job_rate(name: str, port: int, texts: list[str], concurrency: int, stream: bool) -> float:
    """Completion tokens a second of one generate job over all problems."""
    from curation.generation import run_generate

    project = make_project(name, port, texts, concurrency, stream)
    started = time.perf_counter()
    job = run_job(project, run_generate, "generate", {"teacher": "demo", "n": 1})
    seconds = time.perf_counter() - started
    if job.counts["generated"] != len(texts):
        raise SystemExit(f"the job made {job.counts} of {len(texts)} traces")
    return int(job.counts["completion_tokens"]) / seconds


async def _ask_all(port: int, bodies: list[bytes], concurrency: int) -> int:
    """Completion tokens of all answers, over ``concurrency`` kept connections."""
    waiting, tokens = iter(bodies), 0

    async def connection() -> None:
        nonlocal tokens
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in waiting:
            head = (
                "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answered = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(answered.split(b"content-length: ")[1].split(b"\r\n")[0])
            value = json.loads(await reader.readexactly(length))
            tokens += value["usage"]["completion_tokens"]
        writer.close()

    await asyncio.gather(*(connection() for _ in range(concurrency)))
    return tokens


def server_rate(port: int, texts: list[str], concurrency: int) -> float:
    """Completion tokens a second of the same requests over plain sockets."""
    from curation.generation import template_of

    template = template_of(None)
    bodies = [
        json.dumps(
            {
                "model": "demo-teacher",
                "messages": template.render(text),
                "temperature": 0.0,
                "max_tokens": MAX_TOKENS,
            }
        ).encode()
        for text in texts
    ]
    started = time.perf_counter()
    tokens = asyncio.run(_ask_all(port, bodies, concurrency))
    return tokens / (time.perf_counter() - started)


def measure(port: int, options: argparse.Namespace) -> dict[str, list[float]]:
    """Tokens a second of each way in each round; the first round, which warms up, is left out."""
    from workers.demo_teacher.problems import make_problems

    texts = [problem.text for problem in make_problems(options.problems, 7)]
    given = port, texts, options.concurrency
    rates: dict[str, list[float]] = {"server": [], "job": [], "job, streamed": []}
    for number in range(options.rounds + 1):
        found = {
            "server": server_rate(*given),
            "job": job_rate(f"whole-{number}", *given, False),
            "job, streamed": job_rate(f"streamed-{number}", *given, True),
        }
        if number:
            for name, rate in found.items():
                rates[name].append(rate)
    return rates


def report(rates: dict[str, list[float]]) -> None:
    limit = statistics.median(rates["server"])
    print(f"{'way':24} {'tokens/s':>10} {'lowest':>8} {'highest':>8} {'of server':>10}")
    for name, found in rates.items():
        middle = statistics.median(found)
        print(
            f"{name:24} {middle:10.0f} {min(found):8.0f} {max(found):8.0f} {middle / limit:10.2f}"
        )
    figures = {name: round(statistics.median(found)) for name, found in rates.items()}
    shares = {
        f"{name} to server": round(statistics.median(found) / limit, 3)
        for name, found in rates.items()
        if name != "server"
    }
    print(json.dumps({"name": "generate_demo", "figures": {**figures, **shares}}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=16)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="whittle-bench-"))
    try:
        with database(folder), demo_server(folder) as port:
            report(measure(port, options))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
