"""The review screen beside a plain page with the same text, in one browser and one run.

    python benchmarks/reader.py [--repeat 3] [--url http://127.0.0.1:8000]

A copy of Whittle is started in a temporary home (``--url`` and ``WHITTLE_HOME`` use a running
one). Two traces are read: a made one of 120,000 characters with 400 formulas, and, with
``WHITTLE_REAL_DATA``, the longest real one found there. The plain page is the same text, escaped,
one ``<p>`` a paragraph, served by the same server with the same headers. Figures are medians;
"key" is from a key's event to behind the next paint.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.e2e.review_world import long_text
from tests.e2e.site import CHROMIUM, Site, chromium, running_site

KEYS = 40
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


def median(rows: list[dict[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows if row.get(name) is not None]
    return round(statistics.median(values), 1) if values else None


def figures_of(page: Any, load: Any, repeat: int) -> dict[str, Any]:
    """Medians over ``repeat`` cold loads of a page, and heap and nodes after the last."""
    rows = []
    for _ in range(repeat):
        page.goto("about:blank")
        load()
        page.wait_for_timeout(1500)
        rows.append(page.evaluate(TIMES))
    client = page.context.new_cdp_session(page)
    client.send("HeapProfiler.collectGarbage")
    client.send("Performance.enable")
    metrics = {m["name"]: m["value"] for m in client.send("Performance.getMetrics")["metrics"]}
    found = {name: median(rows, name) for name in rows[0]}
    found["after_server_ms"] = round((found["first_paint_ms"] or 0) - (found["server_ms"] or 0), 1)
    return found | {"heap_mb": round(metrics["JSHeapUsedSize"] / 1e6, 1), "nodes": metrics["Nodes"]}


def keys_of(page: Any, key: str) -> dict[str, float]:
    times = sorted(page.evaluate(KEY, [key, KEYS]))
    return {
        f"key_{key}_p50_ms": round(times[len(times) // 2], 1),
        f"key_{key}_p95_ms": round(times[int(len(times) * 0.95)], 1),
    }


def measure(page: Any, site: Site, queue: int, text: str, repeat: int) -> dict[str, Any]:
    """The plain page and the screen, one after the other."""
    page.route("**/plain-page", lambda route: route.fulfill(
        body=plain_page(text), content_type="text/html"))  # fmt: skip
    plain = figures_of(page, lambda: page.goto(f"{site.url}/plain-page"), repeat)

    page.goto(f"{site.url}/p/reader-bench/queues/{queue}/next/")
    page.wait_for_selector("#review[data-ready]")
    address = page.url.split("#")[0]

    def load() -> None:
        page.goto(address)
        page.wait_for_selector("#review[data-ready]")

    screen = figures_of(page, load, repeat)
    page.wait_for_selector("#review[data-shown]")
    drawn = "['.maths .katex', '.maths'].map(s => document.querySelectorAll(s).length)"
    screen |= {
        "shown": int(page.get_attribute("#review", "data-shown")),
        "drawn": page.evaluate(drawn),
    }
    for key in ("j", "1", "c"):
        screen |= keys_of(page, key)
    ratio = screen["after_server_ms"] / max(1.0, plain["after_server_ms"])
    return {
        "characters": len(text),
        "plain": plain,
        "screen": screen,
        "paint_ratio": round(ratio, 2),
    }


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
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--url")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    texts = {"made-400-formulas": long_text()}
    if (real := longest_real()) is not None:
        texts["longest-real"] = real
    with copy(options.url) as site, sync_playwright() as playwright:
        path = site.home / "reader-bench.json"
        path.write_text(json.dumps(texts))
        queues = json.loads(
            site.manage("shell", "-v", "0", "-c", MAKE.format(path=str(path))).splitlines()[-1]
        )
        path.unlink()
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM))
        page = browser.new_context(viewport={"width": 1360, "height": 850}).new_page()
        page.add_init_script(WATCH)
        page.goto(f"{site.url}/login/")
        page.fill("[name=username]", site.login["username"])
        page.fill("[name=password]", site.login["password"])
        page.click("main form button")
        page.wait_for_url(f"{site.url}/")
        found = {n: measure(page, site, queues[n], t, options.repeat) for n, t in texts.items()}
        browser.close()
    report(found)


def report(found: dict[str, Any]) -> None:
    for name, row in found.items():
        print(f"\n{name}: {row['characters']:,} characters, paint ratio {row['paint_ratio']}")
        print(f"{'figure':<20}{'plain':>12}{'screen':>12}")
        for key in row["screen"]:
            print(f"{key:<20}{row['plain'].get(key, '')!s:>12}{row['screen'][key]!s:>12}")
    print(json.dumps({"name": "reader", "figures": found}))


if __name__ == "__main__":
    main()
