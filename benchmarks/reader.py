"""The review screen beside a plain page with the same text, in one browser and one run.

    python benchmarks/reader.py [--repeat 5] [--url http://127.0.0.1:8000]

A copy of Whittle is started in a temporary home (``--url`` and ``WHITTLE_HOME`` use a running
one). Two traces are read: a made one of 120,000 characters with 400 formulas, and, with
``WHITTLE_REAL_DATA``, the longest real one found there. The plain page is the same text, escaped,
one ``<p>`` a paragraph, from a static server of this process. Plain page and screen are loaded in
turn. Figures are medians; paint is counted from the first byte; "first visit" has an empty cache,
"next" has what the trace before left there. "key" is from a key's event to behind the next paint,
keys following each other without a pause.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.e2e.review_world import long_text
from tests.e2e.site import CHROMIUM, Site, chromium, running_site

KEYS = 40
START = "/healthz"  # a page of the same server, as for a reviewer who goes from item to item
KEY = """async ([key, n]) => {
  const times = [];
  for (let i = 0; i < n; i++) {
    const start = performance.now();
    document.body.dispatchEvent(
      new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
    await new Promise(done => requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = done;
      channel.port2.postMessage(0);
    }));
    times.push(performance.now() - start);
  }
  return times;
}"""
TIMES = """() => {
  const page = performance.getEntriesByType('navigation')[0];
  const paint = performance.getEntriesByName('first-contentful-paint')[0];
  return {server_ms: page.responseStart, first_paint_ms: paint ? paint.startTime : null,
          usable_ms: window.__usable || page.domContentLoadedEventEnd,
          longest_task_ms: Math.max(0, ...(window.__long || []))};
}"""
WATCH = """window.__long = [];
new PerformanceObserver(l => { for (const e of l.getEntries()) window.__long.push(e.duration); })
  .observe({type: 'longtask', buffered: true});
new MutationObserver((_, me) => {
  const root = document.getElementById('review');
  if (root && root.dataset.ready) { window.__usable = performance.now(); me.disconnect(); }
}).observe(document, {subtree: true, childList: true, attributes: true});"""
MATHS = """() => {
  const all = [...document.querySelectorAll('.maths')];
  const seen = all.filter(e => {
    const box = e.getBoundingClientRect();
    return box.bottom > 90 && box.top < innerHeight - 30;
  });
  const drawn = list => list.filter(e => e.querySelector('.katex')).length;
  return {formulas: all.length, drawn: drawn(all), on_screen: seen.length,
          on_screen_drawn: drawn(seen)};
}"""
MAKE = """
import json, sys
from pathlib import Path
from django.contrib.auth import get_user_model
from curation.models import Problem, Project, Source, Trace
from curation.segments import store_segmentation
from curation.traces import text_fields
from reviews.models import Queue, QueueItem
texts = json.loads(Path({path!r}).read_text())
project, _ = Project.objects.get_or_create(slug="reader-bench", name="Reader benchmark")
owner = get_user_model().objects.get(username="owner")
project.memberships.get_or_create(user=owner, role="owner")
source, _ = Source.objects.get_or_create(project=project, name="bench")
problem, _ = Problem.objects.get_or_create(project=project, source=source, text="Read.",
    text_sha256="r", norm_sha256="r", reference_answer="12")
found = {{}}
for name, text in texts.items():
    trace, made = Trace.objects.get_or_create(project=project, problem=problem, source=source,
        origin="imported", identity=name, defaults=text_fields(text))
    if made:
        store_segmentation(trace, "12")
    queue, _ = Queue.objects.get_or_create(project=project, name=name)
    QueueItem.objects.get_or_create(queue=queue, trace=trace, position=0)
    found[name] = queue.pk
print(json.dumps(found))
"""


def longest_real() -> str | None:
    """The longest trace of the real data, or None."""
    folder = os.environ.get("WHITTLE_REAL_DATA")
    best = ""
    for file in sorted(Path(folder or "/nonexistent").glob("skythought/*.jsonl")):
        for line in file.read_text().splitlines():
            row = json.loads(line)
            best = max([best, *row["code"]], key=len)
    return best or None


def plain_page(text: str) -> str:
    paragraphs = "".join(f"<p>{html.escape(p)}</p>" for p in text.split("\n\n"))
    return (
        '<!doctype html><meta charset="utf-8"><title>plain</title>'
        "<style>body{max-width:76ch;white-space:pre-wrap;font:15px/1.55 system-ui}</style>"
        f"<body>{paragraphs}</body>"
    )


@contextmanager
def serving(pages: dict[str, str]) -> Iterator[str]:
    """A static server of ``pages`` by their names; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = pages.get(self.path.strip("/"), "").encode("utf-8", "surrogatepass")
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the table is the output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def median(rows: list[dict[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows if row.get(name) is not None]
    return round(statistics.median(values), 1) if values else None


def load(page: Any, address: str, cold: bool = False) -> dict[str, Any]:
    """The times of one load, once the page has come to rest."""
    page.goto(urljoin(address, START))
    if cold:
        page.context.new_cdp_session(page).send("Network.clearBrowserCache")
    page.goto(address)
    if "/review/" in address:
        page.wait_for_selector("#review[data-shown][data-laid]")
    page.wait_for_timeout(1500)
    found: dict[str, Any] = page.evaluate(TIMES)
    found["paint_ms"] = round((found["first_paint_ms"] or 0) - (found["server_ms"] or 0), 1)
    return found


def medians(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: median(rows, name) for name in rows[0]}


def memory_of(page: Any) -> dict[str, Any]:
    client = page.context.new_cdp_session(page)
    client.send("HeapProfiler.collectGarbage")
    client.send("Performance.enable")
    metrics = {m["name"]: m["value"] for m in client.send("Performance.getMetrics")["metrics"]}
    return {"heap_mb": round(metrics["JSHeapUsedSize"] / 1e6, 1), "nodes": metrics["Nodes"]}


def keys_of(page: Any, key: str) -> dict[str, float]:
    times = sorted(page.evaluate(KEY, [key, KEYS]))
    return {
        f"key_{key}_p50_ms": round(times[len(times) // 2], 1),
        f"key_{key}_p95_ms": round(times[int(len(times) * 0.95)], 1),
    }


def measure(page: Any, site: Site, queue: int, plain: str, repeat: int) -> dict[str, Any]:
    """The plain page and the screen in turn, then the keys of the screen."""
    page.goto(f"{site.url}/p/reader-bench/queues/{queue}/")
    page.click(".head form .btn.go")
    page.wait_for_selector("#review[data-ready]")
    address = page.url.split("#")[0]
    plain_rows, rows, cold_plain, cold = [], [], [], []
    for _ in range(repeat):
        plain_rows.append(load(page, plain))
        rows.append(load(page, address))
    for _ in range(max(1, repeat // 2)):
        cold_plain.append(load(page, plain, cold=True))
        cold.append(load(page, address, cold=True))
    load(page, plain)
    found = {"plain": medians(plain_rows) | memory_of(page)}
    load(page, address)
    screen = medians(rows) | memory_of(page)
    for key in ("j", "1", "c", "k"):
        screen |= keys_of(page, key)
    page.wait_for_timeout(600)
    screen |= page.evaluate(MATHS) | {
        "longest_task_keys_ms": page.evaluate(TIMES)["longest_task_ms"]
    }
    screen["shown"] = int(page.get_attribute("#review", "data-shown"))
    first = {"plain": median(cold_plain, "paint_ms"), "screen": median(cold, "paint_ms")}
    return found | {
        "screen": screen,
        "first_visit_paint_ms": first,
        "paint_ratio": ratio(screen["paint_ms"], found["plain"]["paint_ms"]),
        "paint_ratio_first_visit": ratio(first["screen"], first["plain"]),
        "load_average": round(os.getloadavg()[0], 1),
    }


def ratio(one: float | None, other: float | None) -> float:
    return round((one or 0) / max(1.0, other or 0), 2)


@contextmanager
def copy(url: str | None) -> Iterator[Site]:
    """A running copy, or the one at ``url`` whose home is WHITTLE_HOME."""
    if url is None:
        with running_site() as site:
            yield site
        return
    home = Path(os.environ["WHITTLE_HOME"])
    yield Site(url, home, json.loads((home / "run" / "login.json").read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--url")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    texts = {"made-400-formulas": long_text()}
    if (real := longest_real()) is not None:
        texts["longest-real"] = real
    pages = {name: plain_page(text) for name, text in texts.items()} | {START.strip("/"): "ok"}
    with copy(options.url) as site, serving(pages) as plain, sync_playwright() as playwright:
        queues = make_queues(site, texts)
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM))
        page = entered(browser, site)
        found = {
            name: {"characters": len(text)}
            | measure(page, site, queues[name], f"{plain}/{name}", options.repeat)
            for name, text in texts.items()
        }
        browser.close()
    report(found)


def make_queues(site: Site, texts: dict[str, str]) -> dict[str, int]:
    """A queue of one item for each text, in the copy."""
    path = site.home / "reader-bench.json"
    path.write_text(json.dumps(texts))
    said = site.manage("shell", "-v", "0", "-c", MAKE.format(path=str(path)))
    path.unlink()
    return dict(json.loads(said.splitlines()[-1]))


def entered(browser: Any, site: Site) -> Any:
    """A page that is logged in."""
    page = browser.new_context(viewport={"width": 1360, "height": 850}).new_page()
    page.add_init_script(WATCH)
    page.goto(f"{site.url}/login/")
    page.fill("[name=username]", site.login["username"])
    page.fill("[name=password]", site.login["password"])
    page.click("main form button")
    page.wait_for_url(f"{site.url}/")
    return page


def report(found: dict[str, Any]) -> None:
    for name, row in found.items():
        print(
            f"\n{name}: {row['characters']:,} characters; paint {row['paint_ratio']}x of the plain"
            f" page, {row['paint_ratio_first_visit']}x on a first visit; load {row['load_average']}"
        )
        print(f"{'figure':<22}{'plain':>12}{'screen':>12}")
        for key in row["screen"]:
            print(f"{key:<22}{row['plain'].get(key, '')!s:>12}{row['screen'][key]!s:>12}")
    print(json.dumps({"name": "reader", "figures": found}))


if __name__ == "__main__":
    main()
