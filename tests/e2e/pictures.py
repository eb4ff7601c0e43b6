"""The pictures of the review screens in docs/, made anew from made data.

    python -m tests.e2e.pictures [--out docs]

Starts a copy of its own, makes a project with one trace that shows most of what the screen can do,
works on it by keys as a reviewer would, and takes each picture in light or dark. Palettes of 128
colours keep them small.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tests.e2e.reviewing import TAKE
from tests.e2e.site import CHROMIUM, Site, chromium, running_site

SLUG = "pictures"
READY = "#review[data-shown]"
TRACE = r"""<think>
The gardener plants rows of tulips: 1 in the first row, 2 in the second, and so on up to 24. I need
the number of tulips in all, so the sum $1 + 2 + \dots + 24$.

The sum of the first $n$ whole numbers is $\frac{n(n+1)}{2}$. With $n = 24$ this is
$\frac{24 \cdot 25}{2}$, and 24 × 25 = 600, so half of it is 300.

So the answer is 300.

Wait, let me check that with small numbers: 1 + 2 + 3 = 6, and $\frac{3 \cdot 4}{2} = 6$.
That fits.

Alternatively, I could pair the rows: the first with the last, 1 + 24 = 25, the second with the one
before the last, 2 + 23 = 25. There are 12 such pairs, and 12 × 25 = 290.

Hmm, 12 × 25 = 300, not 290. I added wrongly. So the answer is 300 again.

Let me also count it by a small program to be sure.

```python
total = 0
for row in range(1, 25):
    total += row
print(total)
```

| rows | tulips |
|---|---|
| 3 | **6** |
| 12 | 78 |
| 24 | 300 |

The sum of the first $n$ whole numbers is $\frac{n(n+1)}{2}$. With $n = 24$ this is
$\frac{24 \cdot 25}{2}$, and 24 × 25 = 600, so half of it is 300.

Wait, should I check again whether the last row counts? Yes, "up to 24" includes it. So it is 300.
</think>

The gardener needs $\sum_{k=1}^{24} k = \boxed{300}$ tulips.
"""
SHORT = r"""<think>
Pairs of rows: 1 + 24 = 25, and there are 12 pairs, so 12 × 25 = 300. The answer is 300.
</think>

\boxed{300}
"""
WRONG = r"""<think>
The sum of the first $n$ whole numbers is $\frac{n(n-1)}{2}$. With $n = 24$: 24 × 23 = 552, half of
it is 276. So the answer is 276.
</think>

\boxed{276}
"""
GUIDE = """# What to cut

Drop what repeats a result that has been **checked once**. Keep the first check.

1. Never cut inside of a formula.
2. A wrong turn that is taken back may stay when the reason is given.
"""


def build() -> None:
    """Inside of the copy: the project, three traces of one problem, two people, a queue."""
    from django.contrib.auth import get_user_model

    from curation.models import Difficulty, Membership, Problem, Project, Source, Trace, Verdict
    from curation.segments import store_segmentation
    from curation.traces import text_fields
    from reviews.models import Guideline, Queue, QueueItem

    settings = {"labels": [{"name": "clarity", "title": "Clarity", "type": "rating", "max": 5}],
                "spans": ["wrong", "unclear"], "token_limit": 400}  # fmt: skip
    project = Project.objects.create(slug=SLUG, name="Tulips", settings={"review": settings})
    owner = get_user_model().objects.get(username="owner")
    ben = get_user_model().objects.create_user("ben", password="correct horse 77")
    for person, role in ((owner, "owner"), (ben, "reviewer")):
        Membership.objects.create(project=project, user=person, role=role)
    source = Source.objects.create(project=project, name="made", licence="CC0-1.0")
    problem = Problem.objects.create(
        project=project, source=source, kind="math", reference_answer="300", text_sha256="t",
        norm_sha256="t", text="A gardener plants 1 tulip in the first row, 2 in the second and so"
        " on, up to 24 in the last. How many tulips is $1 + 2 + \\dots + 24$?",
    )  # fmt: skip
    Difficulty.objects.create(
        problem=problem, model="student-1", correct=5, incorrect=3, unverifiable=0, error=0
    )
    queue = Queue.objects.create(project=project, name="long and checked", overlap=2)
    Guideline.objects.create(project=project, version=3, text=GUIDE, author=owner)
    for i, (text, verdict) in enumerate(
        ((TRACE, "correct"), (SHORT, "correct"), (WRONG, "incorrect"))
    ):
        trace = Trace.objects.create(
            project=project, problem=problem, source=source, origin="imported", identity=str(i),
            model=f"teacher-{i + 1}", sample_no=i, **text_fields(text),
        )  # fmt: skip
        store_segmentation(trace, "300")
        Verdict.objects.create(
            trace=trace, verifier="math", version="1", reference_sha256="r", verdict=verdict,
            extracted="276" if verdict == "incorrect" else "300",
        )  # fmt: skip
        QueueItem.objects.create(queue=queue, trace=trace, position=i)
    score_and_export(project)
    ids = list(Trace.objects.filter(project=project).order_by("pk").values_list("pk", flat=True))
    print(json.dumps({"queue": queue.pk, "traces": ids}))


RECIPE = {"name": "sft-all", "per_problem": 4}
SCORES = (0.98, 0.97, 0.95, 0.93, 0.31, 0.42, 0.88, 0.9, 0.9, 0.86, 0.4, None)


def score_and_export(project: Any) -> None:
    """Step scores of a made process reward model, a selection, and a schedule that exports it."""
    from curation import jobs
    from curation.judges.steps import ranges_of
    from curation.judging.imported import import_steps
    from curation.models import Job, Schedule, Trace
    from curation.selection.run import run_select

    for i, trace in enumerate(Trace.objects.filter(project=project).order_by("pk")):
        pairs = zip(ranges_of(trace.text), SCORES[i * 3 :], strict=False)
        steps = [{"start": low, "end": high, "score": score} for (low, high), score in pairs]
        import_steps(project, [{"trace": trace.pk, "model": "made-prm", "steps": steps}])
    job = jobs.create_job(project=project, kind="select", params={"recipe": RECIPE})
    context = jobs.JobContext(Job.objects.get(pk=job.pk), jobs.claim(job.pk) or 0)
    run_select(context)
    jobs.finish(context, Job.State.DONE)
    Schedule.objects.create(
        project=project, name="nightly", cron="0 3 * * *", kind="export",
        params={"recipe": RECIPE},
    )  # fmt: skip


class Camera:
    """A browser that is logged in, and where its pictures go."""

    def __init__(self, browser: Any, site: Site, out: Path, name: str, password: str) -> None:
        self.page = browser.new_context(viewport={"width": 1360, "height": 850}).new_page()
        self.site, self.out = site, out
        self.page.goto(f"{site.url}/login/")
        self.page.fill("[name=username]", name)
        self.page.fill("[name=password]", password)
        self.page.click("main form button")
        self.page.wait_for_url(f"{site.url}/")

    def open(self, path: str, ready: str = "main") -> None:
        self.page.goto(f"{self.site.url}/p/{SLUG}/{path}")
        self.page.wait_for_selector(ready)

    def keys(self, words: str) -> None:
        for key in words.split():
            self.page.keyboard.press(key)

    def take(self, name: str, *schemes: str) -> None:
        """A picture for each of the schemes, docs/NAME-SCHEME.png."""
        from PIL import Image

        for scheme in schemes:
            self.page.emulate_media(color_scheme=scheme)
            self.page.wait_for_timeout(400)
            path = self.out / f"{name}-{scheme}.png"
            self.page.screenshot(path=str(path))
            Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)


def review(camera: Camera, queue: int) -> None:
    """The long trace, worked on: labels, a cut, a comment, its result checked."""
    page = camera.page
    camera.open(f"queues/{queue}/")
    page.click(TAKE)
    page.wait_for_selector(READY)
    page.locator(".chip.code").wait_for()
    page.locator(".seg > .prm").first.wait_for()
    camera.keys("j j 1 j 1 j j")
    camera.keys("3 e m")
    page.keyboard.type("@ben is this slip worth keeping?")
    camera.keys("Control+Enter n a j s")
    page.locator("#after.chip").wait_for()
    camera.keys("Home j j j j")
    camera.take("review", "light", "dark")
    camera.keys("D")
    page.locator("#effects .fx-plan").first.wait_for()
    camera.take("review-effects", "light")
    camera.keys("Escape d")
    page.locator("#diff .dr.cut").first.wait_for()
    camera.take("review-diff", "light")
    camera.keys("Escape ?")
    camera.take("review-keys", "light")
    camera.keys("Escape Control+Enter")
    page.wait_for_timeout(1500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--url", help="a running copy, whose home is WHITTLE_HOME")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    from benchmarks.reader import copy

    with copy(options.url) if options.url else running_site() as site, sync_playwright() as p:
        made = json.loads(
            site.manage(
                "shell", "-v", "0", "-c", "from tests.e2e.pictures import build; build()"
            ).splitlines()[-1]
        )
        browser = p.chromium.launch(executable_path=chromium(), args=list(CHROMIUM))
        owner = Camera(browser, site, options.out, **login(site))
        review(owner, made["queue"])
        ben = Camera(browser, site, options.out, "ben", "correct horse 77")
        ben.open(f"queues/{made['queue']}/")
        ben.page.click(TAKE)
        ben.page.wait_for_selector(READY)
        ben.keys("f Control+Enter")
        ben.page.wait_for_timeout(1500)
        owner.open(f"queues/{made['queue']}/")
        owner.take("review-queue", "light", "dark")
        owner.open(f"queues/{made['queue']}/quality/")
        owner.take("review-quality", "light")
        traces = "&".join(f"t={pk}" for pk in made["traces"])
        owner.open(f"compare/?{traces}", "#compare[data-ran]")
        owner.take("review-compare", "light", "dark")
        browser.close()


def login(site: Site) -> dict[str, str]:
    return {"name": site.login["username"], "password": site.login["password"]}


if __name__ == "__main__":
    main()
