"""The trainer without torch: settings, rows, downloads, REST client, judging, the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from curation.exports.manifest import FileEntry, build_manifest, export_id
from workers.trainer import client as client_module
from workers.trainer.client import Refused, Taken, TrainingClient, checked_path
from workers.trainer.config import parse_config
from workers.trainer.data import dpo_triple, read_rows, sft_pair
from workers.trainer.download import BadExport, fetch_export
from workers.trainer.evaluate import (
    HeldBack,
    evaluate,
    held_back_problems,
    judge_integer,
    judge_locally,
    problems_sha256,
    wilson,
)
from workers.trainer.models import resolve_model
from workers.trainer.runner import run_config
from workers.trainer.sampling import Sample, Sampling

ROWS = [
    {"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": str(n)}]}
    for n in range(3)
]


def made_export(rows: list[dict[str, Any]] = ROWS) -> tuple[str, dict[str, bytes]]:
    """(id, files) of a small export as the application writes it."""
    import hashlib

    files = {
        "data/train.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode(),
        "README.md": b"# A card\n",
    }
    entries = [
        FileEntry(
            path, hashlib.sha256(raw).hexdigest(), len(raw), len(rows) if "data" in path else None
        )
        for path, raw in files.items()
    ]
    facts: dict[str, Any] = {
        "recipe": {}, "format": "trl_sft", "selection_sha256": "0" * 64,
        "counts": {"rows": len(rows)},
        "exclusions": {}, "verifiers": [], "licences": {},
    }  # fmt: skip
    manifest = build_manifest(facts, entries)
    return export_id(manifest), {**files, "manifest.json": manifest}


class Files:
    """A source of an export's files that counts what is asked of it."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.asked = files, []

    def download(self, export_id: str, path: str, to: Path) -> None:
        self.asked.append(path)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(self.files[path])


def test_a_whole_export_is_fetched_once_and_its_rows_read(tmp_path: Path) -> None:
    wanted, files = made_export()
    source = Files(files)
    folder = fetch_export(source, wanted, tmp_path)
    assert list(read_rows(folder)) == ROWS
    asked = len(source.asked)
    assert fetch_export(source, wanted, tmp_path) == folder
    assert len(source.asked) == asked


@pytest.mark.parametrize("path", ["data/train.jsonl", "README.md", "manifest.json"])
def test_a_changed_byte_in_any_file_is_refused(tmp_path: Path, path: str) -> None:
    wanted, files = made_export()
    raw = bytearray(files[path])
    raw[len(raw) // 2] ^= 1
    with pytest.raises((BadExport, ValueError)):
        fetch_export(Files({**files, path: bytes(raw)}), wanted, tmp_path)
    assert not (tmp_path / wanted).exists()


def test_a_byte_changed_on_disk_makes_the_export_be_fetched_again(tmp_path: Path) -> None:
    wanted, files = made_export()
    folder = fetch_export(Files(files), wanted, tmp_path)
    (folder / "README.md").write_bytes(b"# B card\n")
    fetch_export(Files(files), wanted, tmp_path)
    assert (folder / "README.md").read_bytes() == b"# A card\n"


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "data/../../x", "", "a\\b", "a\0b"])
def test_a_path_that_leaves_the_export_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        checked_path(path)


def test_json_lines_are_read_and_their_parquet_twin_is_not(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = tmp_path / "data"
    data.mkdir()
    (data / "train.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    pq.write_table(pa.Table.from_pylist(ROWS), data / "train.parquet")
    assert list(read_rows(tmp_path)) == ROWS[:1]
    (data / "train.jsonl").unlink()
    assert list(read_rows(tmp_path)) == ROWS


@pytest.mark.parametrize("line", ["{", "[1]"])
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=r"a\.jsonl line 2"):
        list(read_rows(tmp_path))


def test_an_export_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rows"):
        list(read_rows(tmp_path))


def test_the_three_shapes_of_an_sft_row_give_the_same_pair() -> None:
    user, reply = {"role": "user", "content": "2?"}, "<think>\nhm\n</think>\n\n2"
    wanted = ([user], [{"role": "assistant", "content": reply}])
    parted = {"role": "assistant", "content": "2", "reasoning_content": "hm"}
    assert sft_pair({"messages": [user, {"role": "assistant", "content": reply}]}) == wanted
    assert sft_pair({"prompt": "2?", "completion": reply}) == wanted
    assert sft_pair({"prompt": [user], "completion": [parted]}) == wanted


@pytest.mark.parametrize(
    "row", [{"messages": []}, {"messages": [{"role": "user", "content": "a"}]}, {"text": "a"}]
)
def test_a_row_that_no_answer_can_be_learnt_from_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="row"):
        sft_pair(row)


def test_a_preference_row_may_carry_its_prompt_inside() -> None:
    user, good, bad = ROWS[0]["messages"][0], ROWS[0]["messages"][1], ROWS[1]["messages"][1]
    inside = {"chosen": [user, good], "rejected": [user, bad]}
    outside = {"prompt": [user], "chosen": [good], "rejected": [bad]}
    assert dpo_triple(inside) == dpo_triple(outside) == ([user], [good], [bad])
    with pytest.raises(ValueError, match="share"):
        dpo_triple({"chosen": [user, good], "rejected": [ROWS[1]["messages"][0], bad]})


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"epochz": 1}, "unknown key 'epochz'"),
        ({"epochs": 0}, "epochs must be above 0"),
        ({"epochs": "3"}, "epochs must be a number"),
        ({"batch_size": 1.5}, "batch_size must be a number"),
        ({"batch_size": True}, "batch_size must be a number"),
        ({"method": "grpo"}, "method must be sft or dpo"),
        ({"sampling": {"heat": 1}}, "unknown key 'heat'"),
        ({"save_steps": 0}, "save_steps is too small"),
    ],
)
def test_a_bad_setting_is_named(raw: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_config(raw)


def test_settings_have_defaults_and_a_rate_by_method() -> None:
    assert parse_config({}).rate == 1e-3
    assert parse_config({"method": "dpo"}).rate == 1e-4
    assert parse_config({"learning_rate": 0.5, "sampling": {"n": 4}}).sampling.n == 4


def test_method_and_base_model_may_stand_beside_the_config() -> None:
    run = {"method": "dpo", "base_model": "demo-teacher", "config": {"seed": 4}}
    config = run_config(run)
    assert (config.method, config.base_model, config.seed) == ("dpo", "demo-teacher", 4)


def test_an_unknown_base_model_is_not_looked_for_on_a_hub(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no model"):
        resolve_model("someone/some-model")
    assert resolve_model("someone/some-model", allow_hub=True) == "someone/some-model"
    (tmp_path / "config.json").write_text("{}")
    assert resolve_model(str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_wilson_agrees_with_published_intervals(
    correct: int, total: int, low: float, high: float
) -> None:
    assert wilson(correct, total) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("<think>\na\n</think>\n\n\\boxed{7}", "correct"),
        ("\\boxed{ 7 }", "correct"),
        ("\\boxed{8}", "incorrect"),
        ("<think>\n\\boxed{7}\n</think>\n\n8", "incorrect"),
        ("<think>\n\\boxed{7}", "correct"),
        ("7", "incorrect"),
    ],
)
def test_whole_number_answers_are_judged_by_their_box(text: str, verdict: str) -> None:
    judged = judge_integer(HeldBack("1", "3 + 4?", "7"), Sample(text, "stop", 5))
    assert judged is not None
    assert judged.verdict == verdict


def test_what_has_no_local_rule_is_unverifiable_not_wrong() -> None:
    answer = Sample("\\boxed{x^2}", "stop", 5)
    assert judge_locally(HeldBack("1", "?", "x**2"), answer).verdict == "unverifiable"
    assert judge_locally(HeldBack("1", "?", "7"), answer).verdict == "unverifiable"


def test_an_evaluation_counts_verdicts_and_keeps_every_response() -> None:
    problems = [HeldBack(str(n), f"{n}?", str(n)) for n in range(4)]

    def sampler(prompts: Any, sampling: Sampling) -> list[list[Sample]]:
        texts = ["\\boxed{0}", "\\boxed{1}", "\\boxed{9}", "\\boxed{a}"]
        return [[Sample(text, "stop", 3)] for text in texts]

    result = evaluate(sampler, problems, Sampling())
    assert [result[v] for v in ("correct", "incorrect", "unverifiable", "error")] == [2, 1, 1, 0]
    assert result["pass_rate"] == pytest.approx(2 / 3)
    assert result["interval"] == list(wilson(2, 3))
    assert [r["problem"] for r in result["results"]] == ["0", "1", "2", "3"]
    assert result["problems_sha256"] == problems_sha256(problems)
    json.dumps(result, allow_nan=False)


def test_held_back_problems_come_from_config_server_or_generator() -> None:
    served = [{"id": n, "text": f"{n}?", "reference_answer": str(n)} for n in range(300)]
    assert len(held_back_problems(None, served, 0)) == 200
    assert held_back_problems(None, served, 0) == held_back_problems(None, served, 0)
    assert held_back_problems(None, [{"id": 1, "text": "?", "reference_answer": None}], 0) == []
    made = held_back_problems({"generator": "demo", "n": 5, "seed": 2}, served, 0)
    assert len(made) == 5
    given = held_back_problems({"problems": [{"text": "1?", "reference_answer": 1}]}, served, 0)
    assert given == [HeldBack("", "1?", "1")]


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_json", "_stream"):
        monkeypatch.setattr(getattr(TrainingClient, name).retry, "sleep", lambda seconds: None)


def client(handler: Any) -> TrainingClient:
    return TrainingClient("http://server:1", "tok", transport=httpx.MockTransport(handler))


def test_a_busy_server_is_asked_again_with_the_token(no_waits: None) -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(503 if len(seen) < 3 else 200, json={"state": "cancelled"})

    assert client(handler).metrics("7", []) == "cancelled"
    assert seen == ["Token tok"] * 3


def test_a_server_that_stays_down_is_given_up(no_waits: None) -> None:
    calls = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        raise httpx.ConnectError("down")

    with pytest.raises(httpx.ConnectError):
        client(handler).run("7")
    assert len(calls) == client_module.ATTEMPTS


def test_a_conflict_means_taken_and_is_not_asked_again() -> None:
    calls = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        return httpx.Response(409, text="another trainer has this run")

    with pytest.raises(Taken, match="another trainer"):
        client(handler).start("7", "me", {})
    assert calls == ["/api/v1/training-runs/7/start/"]


def test_what_is_posted_names_the_taking_of_the_run_it_speaks_for() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(200, json={"state": "running", "epoch": 4})

    mine = client(handler)
    mine.start("7", "me", {})
    assert mine.metrics("7", []) == "running"
    assert asked == [
        "/api/v1/training-runs/7/start/",
        "/api/v1/training-runs/7/metrics/?epoch=4",
    ]


def test_pages_are_followed_on_our_server_only() -> None:
    asked = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        following = None if "cursor" in str(request.url) else "http://elsewhere/api/v1/x/?cursor=2"
        return httpx.Response(200, json={"results": [{"id": len(asked)}], "next": following})

    assert [row["id"] for row in client(handler).held_back("7")] == [1, 2]
    assert all(url.startswith("http://server:1/") for url in asked)


def test_no_held_back_page_means_no_problems_but_other_refusals_are_told() -> None:
    assert client(lambda request: httpx.Response(404)).held_back("7") == []
    with pytest.raises(Refused, match="403"):
        client(lambda request: httpx.Response(403)).held_back("7")


def test_a_download_that_breaks_off_is_begun_again(tmp_path: Path, no_waits: None) -> None:
    calls = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        if len(calls) == 1:
            raise httpx.ReadError("cut")
        return httpx.Response(200, content=b"abc")

    client(handler).download("e1", "data/a b.jsonl", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"abc"
    assert calls[-1] == "/api/v1/exports/e1/files/data/a b.jsonl"


def test_the_command_wants_a_token_and_one_way_to_choose_runs() -> None:
    def call(*args: str) -> int:
        command = [sys.executable, "-m", "workers.trainer", *args]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert call("--url", "http://127.0.0.1:1", "--run", "1") == 2
    assert call("--url", "http://127.0.0.1:1", "--token", "x") == 2


def test_importing_the_trainer_loads_no_heavy_library() -> None:
    code = (
        "import sys, workers.trainer.__main__, workers.trainer.runner, workers.trainer.client;"
        "heavy = ('torch', 'transformers', 'trl', 'django', 'celery');"
        "print([m for m in heavy if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
