"""What one decision would do to the project's next export, before it is submitted.

The rules are selection's own: ``select_problem`` is run twice on this problem's candidates, once as
things stand and once with the supposed outcome (``reviews.supposing``), and the two are compared.
Only this problem's rows are read; the mixes are those of the last build (``reviews.builds``).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db.models import Count

from curation.decontamination import standing
from curation.models import BenchmarkHit, DuplicateMember, Trace
from curation.selection.candidates import Candidate, Outcome
from curation.selection.core import select_problem
from curation.selection.queries import Supposed, candidates_of
from curation.selection.recipe import Recipe
from reviews import tokens
from reviews.builds import Build, band_of, bins_of, last_build, length_chart, share_after
from reviews.models import Assignment
from reviews.plans import Plan, plans_of
from reviews.schema import schema_of
from reviews.submission import Submission
from reviews.supposing import NEW, Supposition, suppose

TELLING = frozenset({"verdict", "teacher", "others"})  # hidden things that the preview would tell
MARKS = {"tokens": "counted", "chars": "chars"}  # the length that is comparable with a build's
QUIET = ("untouched", "no change")
MOST = 20  # other traces, copies and hits that are listed
Json = dict[str, Any]


def withheld(assignment: Assignment) -> list[str]:
    """What the queue hides until the first judgement and the preview would give away."""
    if assignment.committed is not None:
        return []
    return sorted(TELLING & set(assignment.item.queue.hide))


def consequences(assignment: Assignment, trace: Trace, submission: Submission | None) -> Json:
    """Everything that the panel and REST tell; without a submission only how things stand.

    While something is hidden, that alone is told. BadReview for ranges that cannot be.
    """
    if hidden := withheld(assignment):
        return {"withheld": hidden}
    found = suppose(assignment, trace, submission) if submission else None
    plans, total = plans_of(trace.project)
    length = lengths(assignment, trace, found)
    seen = Seen(trace, found.supposed if found else None, length)
    return {
        "withheld": [],
        "decision": submission.decision if submission else "",
        "outcome": outcome_json(found),
        "conditions": conditions(found, submission),
        "length": length,
        "plans": [plan_json(plan, seen, found) for plan in plans],
        "plans_total": total,
        "copies": copies_of(trace.problem_id),
        "overlap": overlap_of(trace.problem_id),
    }


def line_of(found: Json) -> str:
    """The most of it in a few words, for the button: "1 row fewer"."""
    if found["withheld"]:
        return "hidden until you decide"
    if found["outcome"] is None:
        return "what it does"
    said = [effect(plan) for plan in found["plans"]]
    told = next((words for words in said if words not in QUIET), said[0] if said else "no change")
    more = f", {len(said)} exports" if len(said) > 1 else ""
    later = " later" if found["conditions"] and told not in QUIET else ""
    return told + later + more


def with_charts(found: Json) -> Json:
    """The same, each plan with the lengths of its last build drawn, and this trace among them."""
    for plan in found.get("plans", []):
        build = plan.get("build")
        marks = found["length"][MARKS[build["unit"]]] if build else None
        if build and marks:
            plan["chart"] = length_chart(build["lengths"], build["unit"], *marks)
    return found


def effect(plan: Json) -> str:
    if plan["why"]:
        return "untouched"
    change = plan["rows"]["change"]
    if change:
        return (
            f"{abs(change)} row{'s' if abs(change) > 1 else ''} {'more' if change > 0 else 'fewer'}"
        )
    new = sum(t["after"]["in"] and not t["before"]["in"] for t in plan["traces"])
    return f"{new} row{'s' if new > 1 else ''} replaced" if new else "no change"


class Seen:
    """The problem's candidates as they are and as they would be, read once for equal recipes."""

    def __init__(self, trace: Trace, supposed: Supposed | None, length: Json) -> None:
        self.trace = trace
        self.length = length
        self.supposed = supposed
        self._known: dict[tuple[str, str, bool], list[Candidate]] = {}

    def candidates(self, recipe: Recipe, after: bool) -> list[Candidate]:
        key = (recipe.policy, recipe.pass_rate_model, after)  # all that reading them depends on
        if key not in self._known:
            supposed = self.supposed if after else None
            self._known[key] = candidates_of([self.trace.problem_id], recipe, supposed)
        return self._known[key]

    def outcome(self, recipe: Recipe, after: bool) -> Outcome:
        return select_problem(self.candidates(recipe, after), recipe)


def outcome_json(found: Supposition | None) -> Json | None:
    if found is None:
        return None
    return {
        "decision": found.outcome.decision,
        "policy": found.outcome.policy,
        "cuts": len(found.outcome.cuts),
        "verdict": found.verdict,
        "reason": found.reason,
        "waits": found.reach.waits,
        "assumed": found.reach.assumed,
    }


def conditions(found: Supposition | None, submission: Submission | None) -> list[str]:
    """What must hold for the effect to come; empty when submitting alone brings it."""
    if found is None or submission is None:
        return []
    said = []
    if found.refused:
        said.append(f"It would not be taken as it is: {found.refused}.")
    waits = found.reach.waits
    if waits:
        more = "one more review" if waits == 1 else f"{waits} more reviews"
        said.append(f"Nothing changes yet: the outcome waits for {more}.")
    if found.reach.assumed:
        said.append("Shown as if the other reviewers say the same; what they say is not told here.")
    if found.shorter is not None:
        said.append("The trace without your cuts counts once the job has verified it.")
    if found.verdict == "error":
        said.append(f"The verifier could not be asked now ({found.reason.replace('_', ' ')}).")
    if submission.dispute:
        said.append("What you say of the reference changes nothing until a curator decides on it.")
    return said


def plan_json(plan: Plan, seen: Seen, found: Supposition | None) -> Json:
    """One export to come: before, after, rows and shares."""
    told: Json = {
        "name": plan.name,
        "by": plan.by,
        "format": plan.format,
        "next": plan.next_at.isoformat(timespec="minutes") if plan.next_at else None,
        "recipe": f"{plan.recipe.name} v{plan.recipe.version}" if plan.recipe else "",
        "kind": plan.recipe.kind if plan.recipe else "",
        "why": plan.why or not_looked_at(plan, seen.trace),
    }
    if plan.recipe is None or told["why"]:
        return told
    before, after = seen.outcome(plan.recipe, False), seen.outcome(plan.recipe, found is not None)
    told["traces"] = changes(before, after, seen.trace, found)
    change = len(after.rows) - len(before.rows)
    told["rows"] = {"before": len(before.rows), "after": len(after.rows), "change": change}
    build = last_build(seen.trace.project, plan.recipe)
    told["build"] = build_json(build, plan.recipe, seen, (before, after)) if build else None
    return told


def not_looked_at(plan: Plan, trace: Trace) -> str:
    if plan.source and plan.source != trace.problem.source.name:
        return f"looks at problems of the source {plan.source} only; this one is of another"
    return ""


def changes(before: Outcome, after: Outcome, trace: Trace, found: Supposition | None) -> list[Json]:
    """This trace first, then it without its cuts, then others whose place changes."""
    mine = [trace.pk]
    if found is not None and found.shorter is not None:
        mine.append(found.shorter.pk)
    ids = {c.trace_id for o in (before, after) for row in o.rows for c in (row.chosen, row.rejected)
           if c is not None}  # fmt: skip
    ids |= {e.trace_id for o in (before, after) for e in o.exclusions}
    others = [pk for pk in sorted(ids - set(mine)) if place(before, pk) != place(after, pk)]
    names = {trace.pk: "this trace"} | ({mine[1]: "without your cuts"} if len(mine) > 1 else {})
    return [
        {"trace": None if pk == NEW else pk, "name": names.get(pk, f"trace {pk}"),
         "before": place(before, pk), "after": place(after, pk)}
        for pk in [*mine, *others[:MOST]]
    ]  # fmt: skip


def place(outcome: Outcome, trace: int) -> Json:
    """Where a trace stands: in a row, and as what, or out, and by which reason of selection's."""
    for row in outcome.rows:
        partner = row.rejected
        if row.chosen.trace_id == trace:
            if partner is None:
                return entry(True, "SFT row")
            return entry(True, "chosen of a pair", partner=partner.trace_id)
        if partner is not None and partner.trace_id == trace:
            return entry(True, "rejected of a pair", partner=row.chosen.trace_id)
    for out in outcome.exclusions:
        if out.trace_id == trace:
            return entry(False, reason=out.reason, detail=out.detail.replace(str(NEW), "its cut"))
    return entry(False, reason="not_there")


def entry(
    inside: bool, form: str = "", reason: str = "", detail: str = "", partner: int | None = None
) -> Json:
    return {"in": inside, "form": form, "reason": reason, "detail": detail,
            "partner": "without your cuts" if partner == NEW else partner}  # fmt: skip


@dataclass(frozen=True)
class Counted:
    """Rows of this problem in the last build and in the next one, by source and band."""

    change: int
    sources: Counter[str]
    bands: Counter[str]


def build_json(build: Build, recipe: Recipe, seen: Seen, outcomes: tuple[Outcome, Outcome]) -> Json:
    """The last build beside what it would be if only this problem were built anew."""
    now, then = (counted(outcome) for outcome in outcomes)
    diff = Counted(
        then.change - now.change, subtracted(then.sources, now.sources),
        subtracted(then.bands, now.bands),
    )  # fmt: skip
    return {
        "selection": build.selection,
        "export": build.export,
        "made": build.made,
        "rows": build.rows,
        "rows_after": build.rows + diff.change,
        "read": build.read,
        "unit": build.unit,
        "lengths": bins_of(build, max(seen.length[MARKS[build.unit]] or [0])),
        "sources": shares(dict(build.sources), build.rows, diff.sources, diff.change, build.rows),
        "difficulty": shares(build.bands, build.read, diff.bands, diff.change, build.rows),
        "difficulty_of": recipe.pass_rate_model or "the model that wrote each trace",
    }


def counted(outcome: Outcome) -> Counted:
    chosen = [row.chosen for row in outcome.rows]
    sources, bands = (c.source for c in chosen), (band_of(c.pass_rate) for c in chosen)
    return Counted(len(chosen), Counter(sources), Counter(bands))


def subtracted(then: Counter[str], now: Counter[str]) -> Counter[str]:
    """then - now, with what became fewer below zero."""
    found = Counter(then)
    found.subtract(now)
    return found


def shares(
    parts: dict[str, int], of: int, changes: Counter[str], change: int, rows: int
) -> list[Json]:
    """Each part's share of the build, and after the change; a sample's share stands for all."""
    names = sorted(set(parts) | set(changes), key=lambda name: (-parts.get(name, 0), name))
    found = []
    for name in names[:MOST]:
        share = parts.get(name, 0) / of if of else 0.0
        after = share_after(share * rows, rows, changes[name], change)
        found.append({"name": name, "before": share, "after": after, "rows": changes[name]})
    return found


def lengths(assignment: Assignment, trace: Trace, found: Supposition | None) -> Json:
    """[before, after] the cuts, in characters and in tokens: ``tokens`` in the student's tokenizer
    where there is one (``exact``), ``counted`` as stored with the trace, as a build holds them."""
    shorter = found.shorter if found else None
    after = trace.char_count if shorter is None else shorter.char_count
    known = trace.completion_tokens if trace.token_count is None else trace.token_count
    share = after / max(1, trace.char_count)
    counted = None if known is None else [known, round(known * share)]
    told = {"chars": [trace.char_count, after], "counted": counted}
    tokenizer = tokens.tokenizer_of(schema_of(assignment.item.queue.project))
    if tokenizer is None:
        return told | {"exact": False, "tokens": counted}
    texts = [trace.text, trace.text if shorter is None else shorter.text]
    return told | {"exact": True, "tokens": [len(tokens.offsets(tokenizer, t)) for t in texts]}


def copies_of(problem_id: int) -> list[Json]:
    """Clusters of near-duplicates that the problem is in, and whether it is the one to use."""
    rows = (
        DuplicateMember.objects.filter(problem=problem_id)
        .select_related("cluster")
        .annotate(size=Count("cluster__members"))
    )
    return [
        {"cluster": row.cluster_id, "method": row.cluster.method,
         "size": row.size, "kept": row.cluster.kept_id == problem_id,
         "uses": row.cluster.kept_id, "score": row.score}
        for row in rows.order_by("cluster")[:MOST]
    ]  # fmt: skip


def overlap_of(problem_id: int) -> list[Json]:
    """Benchmark items that the problem overlaps and that nobody called another question."""
    hits = standing(BenchmarkHit.objects.filter(problem=problem_id))
    return [
        {"benchmark": hit.item.benchmark.name, "item": hit.item_id, "method": hit.method,
         "score": hit.score, "decision": hit.decision}
        for hit in hits.select_related("item__benchmark").order_by("-score")[:MOST]
    ]  # fmt: skip
