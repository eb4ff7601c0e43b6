"""Training itself, with TRL and a model of a few thousand parameters. Loads torch."""

from __future__ import annotations

import json
import random
import shutil
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.extras import NEEDS_DEMO
from tests.workers.test_trainer import Files, made_export
from workers.demo_teacher.tokenizer import train_tokenizer
from workers.demo_teacher.training import Plan, build_model, make_pair, save
from workers.demo_teacher.working import Habits
from workers.trainer.client import Taken
from workers.trainer.config import TrainConfig, parse_config
from workers.trainer.evaluate import HeldBack, endpoint_sampler, evaluate
from workers.trainer.runner import Reporter, TrainingJob
from workers.trainer.sampling import Sampling, load, sample
from workers.trainer.train import Cancelled, NotFinite, newest_checkpoint, train_dpo, train_sft

QUICK: dict[str, Any] = {
    "max_steps": 5, "save_steps": 2, "logging_steps": 1, "batch_size": 4, "warmup_steps": 0,
}  # fmt: skip
pytestmark = [NEEDS_DEMO, pytest.mark.slow, pytest.mark.timeout(300)]
PROBLEMS = [{"id": "1", "text": "What is 2 + 3?", "reference_answer": "5"}]


def made_rows(n: int) -> list[dict[str, Any]]:
    rng = random.Random(4)
    pairs = [make_pair(rng, Habits(check=0, alternative=0), max_terms=2) for _ in range(n)]
    return [
        {
            "messages": [
                {"role": "user", "content": problem.text},
                {"role": "assistant", "content": response},
            ]
        }
        for problem, response in pairs
    ]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that knows nothing: one layer of width 32."""
    rows = made_rows(100)
    tokenizer = train_tokenizer(m["content"] for row in rows for m in row["messages"])
    plan = Plan(hidden=32, layers=1, heads=2, intermediate=32)
    out = tmp_path_factory.mktemp("base")
    save(build_model(plan, tokenizer), tokenizer, out)
    return str(out)


class Metrics:
    """Keeps what a training reports and stops it at a given step."""

    def __init__(self, stop_at: int = 0) -> None:
        self.points: list[tuple[int, str, float]] = []
        self.steps, self.stop_at = 0, stop_at

    def add(self, step: int, name: str, value: float) -> None:
        self.points.append((step, name, value))

    def stop(self) -> bool:
        self.steps += 1
        return self.steps == self.stop_at

    def of(self, name: str) -> list[float]:
        return [value for _, found, value in self.points if found == name]


def test_a_cancelled_training_goes_on_from_its_checkpoint(base: str, tmp_path: Path) -> None:
    first, second = Metrics(stop_at=3), Metrics()
    config = parse_config(QUICK)
    with pytest.raises(Cancelled):
        train_sft(
            made_rows(20), base, tmp_path, config, on_metric=first.add, should_stop=first.stop
        )
    assert not (tmp_path / "model").exists()
    outcome = train_sft(made_rows(20), base, tmp_path, config, on_metric=second.add)
    assert (outcome.resumed_from, outcome.steps) == (2, 5)
    assert [step for step, name, _ in second.points if name == "loss"] == [3, 4, 5]
    assert second.of("steps_total") == [5.0]


def test_resuming_ends_where_an_unbroken_training_ends(base: str, tmp_path: Path) -> None:
    import torch

    config = parse_config(QUICK)
    stopped = Metrics(stop_at=3)
    with pytest.raises(Cancelled):
        train_sft(
            made_rows(20), base, tmp_path / "a", config,
            on_metric=stopped.add, should_stop=stopped.stop,
        )  # fmt: skip
    broken = train_sft(made_rows(20), base, tmp_path / "a", config, on_metric=Metrics().add)
    whole = train_sft(made_rows(20), base, tmp_path / "b", config, on_metric=Metrics().add)
    one, other = (load(str(outcome.model))[0].state_dict() for outcome in (broken, whole))
    start = load(base)[0].state_dict()
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)
    assert any(not torch.equal(one[name], start[name]) for name in one)


def test_a_checkpoint_that_was_cut_off_is_not_resumed_from(base: str, tmp_path: Path) -> None:
    train_sft(made_rows(20), base, tmp_path, parse_config(QUICK), on_metric=Metrics().add)
    newest = newest_checkpoint(tmp_path / "checkpoints")
    assert newest is not None and newest.name == "checkpoint-5"
    (newest / "trainer_state.json").unlink()
    again = newest_checkpoint(tmp_path / "checkpoints")
    assert again is not None and again.name == "checkpoint-4"
    shutil.rmtree(again)
    assert newest_checkpoint(tmp_path / "checkpoints") is None


def test_training_lowers_the_loss_and_saves_a_model_that_answers(base: str, tmp_path: Path) -> None:
    metrics = Metrics()
    config = parse_config({**QUICK, "max_steps": 20, "save_steps": 100, "learning_rate": 0.01})
    outcome = train_sft(made_rows(40), base, tmp_path, config, on_metric=metrics.add)
    losses = metrics.of("loss")
    assert losses[-1] < losses[0] - 0.5
    model, tokenizer = load(str(outcome.model))
    answers = sample(model, tokenizer, ["What is 2 + 3?"], Sampling(n=2, max_tokens=5))
    assert [len(row) for row in answers] == [2]
    assert tokenizer.chat_template


def test_rows_that_are_too_long_are_left_out_and_counted(base: str, tmp_path: Path) -> None:
    rows = made_rows(8)
    rows[3]["messages"][1]["content"] *= 20
    outcome = train_sft(
        rows, base, tmp_path, parse_config({**QUICK, "max_steps": 1}), on_metric=Metrics().add
    )
    assert (outcome.rows, outcome.rows_too_long) == (7, 1)
    with pytest.raises(ValueError, match="short enough"):
        config = parse_config({**QUICK, "max_length": 3})
        train_sft(rows, base, tmp_path / "b", config, on_metric=Metrics().add)


def test_a_training_that_diverges_ends(base: str, tmp_path: Path) -> None:
    config = parse_config({**QUICK, "learning_rate": 1e30})
    with pytest.raises(NotFinite):
        train_sft(made_rows(20), base, tmp_path, config, on_metric=Metrics().add)


def test_preference_training_with_an_adapter_gives_a_plain_model(base: str, tmp_path: Path) -> None:
    rows = [row["messages"] for row in made_rows(13)]
    pairs = [{"prompt": a[:1], "chosen": a[1:], "rejected": b[1:]} for a, b in pairwise(rows)]
    metrics = Metrics()
    config = parse_config({**QUICK, "method": "dpo", "max_steps": 2, "lora_rank": 2})
    outcome = train_dpo(pairs, base, tmp_path, config, on_metric=metrics.add)
    assert len(metrics.of("rewards/margins")) == 2
    assert not (outcome.model / "adapter_config.json").exists()
    assert load(str(outcome.model))[0].num_parameters() == load(base)[0].num_parameters()


class FakeServer(Files):
    """The server's side of the contract in memory."""

    def __init__(self, config: dict[str, Any], cancel_after: int = 10**9) -> None:
        self.export, files = made_export(made_rows(20))
        super().__init__(files)
        self.config, self.cancel_after, self.posts = config, cancel_after, 0
        self.points: list[dict[str, Any]] = []
        self.evaluations: list[dict[str, Any]] = []
        self.report: dict[str, Any] = {}

    def run(self, run_id: str) -> dict[str, Any]:
        return {"id": run_id, "state": "running", "export": self.export, "config": self.config}

    def start(self, run_id: str, worker: str, versions: dict[str, str]) -> dict[str, Any]:
        return self.run(run_id)

    def metrics(self, run_id: str, points: list[dict[str, Any]]) -> str:
        self.points += points
        self.posts += 1
        return "cancelled" if self.posts > self.cancel_after else "running"

    def evaluation(self, run_id: str, result: dict[str, Any]) -> str:
        self.evaluations.append(json.loads(json.dumps(result, allow_nan=False)))
        return "running"

    def finish(self, run_id: str, report: dict[str, Any]) -> dict[str, Any]:
        self.report = json.loads(json.dumps(report, allow_nan=False))
        return {}

    def held_back(self, run_id: str) -> list[dict[str, Any]]:
        return PROBLEMS


@pytest.fixture
def job(base: str, tmp_path: Path) -> Callable[..., tuple[FakeServer, str]]:
    def execute(cancel_after: int = 10**9, **config: Any) -> tuple[FakeServer, str]:
        settings = {**QUICK, "sampling": {"max_tokens": 5}, **config}
        server = FakeServer({"base_model": base, **settings}, cancel_after)
        return server, TrainingJob(server, "7", tmp_path).execute()

    return execute


def test_a_run_trains_measures_and_hands_its_student_over(
    base: str, job: Callable[..., tuple[FakeServer, str]]
) -> None:
    server, state = job(teacher={"path": base})
    assert state == "done"
    assert [e["role"] for e in server.evaluations] == ["start", "student", "teacher"]
    assert all(e["results"][0]["problem"] == "1" for e in server.evaluations)
    assert {p["step"] for p in server.points if p["name"] == "loss"} == {1, 2, 3, 4, 5}
    model = server.report["model"]
    assert (Path(model["path"]) / "model.safetensors").is_file()
    assert {f["path"] for f in model["files"]} >= {"model.safetensors", "tokenizer.json"}
    assert server.report["steps"] == 5 and server.report["rows"] == 20


def test_a_cancelled_run_says_so_and_registers_nothing(
    monkeypatch: pytest.MonkeyPatch, job: Callable[..., tuple[FakeServer, str]]
) -> None:
    monkeypatch.setattr("workers.trainer.runner.BEAT_SECONDS", 0.05)
    server, state = job(cancel_after=2, max_steps=2000)
    assert (state, server.report["model"]) == ("cancelled", None)


def test_a_failed_run_says_why(job: Callable[..., tuple[FakeServer, str]]) -> None:
    server, state = job(epochz=3)
    assert state == "failed"
    assert "unknown key 'epochz'" in server.report["error"]


def test_a_refused_heartbeat_stops_the_training() -> None:
    class Refusing(FakeServer):
        def metrics(self, run_id: str, points: list[dict[str, Any]]) -> str:
            raise Taken(409, "another trainer has this run")

    reporter = Reporter(Refusing({}), "7")
    with reporter:
        pass
    assert reporter.stop()
    with pytest.raises(Taken):
        reporter.check()


def test_a_teacher_behind_an_endpoint_is_asked_once_per_sample() -> None:
    bodies: list[dict[str, Any]] = []

    class Teacher(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            message = {"content": "\\boxed{5}", "reasoning_content": "2 + 3"}
            choice = {"message": message, "finish_reason": "stop"}
            answer = json.dumps({"choices": [choice], "usage": {"completion_tokens": 9}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Teacher)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sampler = endpoint_sampler(f"http://127.0.0.1:{server.server_port}/v1", "demo-teacher")
    result = evaluate(sampler, [HeldBack("1", "What is 2 + 3?", "5")], Sampling(n=3))
    server.shutdown()
    assert (result["correct"], len(bodies)) == (3, 3)
    assert "n" not in bodies[0] and bodies[0]["model"] == "demo-teacher"
    assert result["results"][0]["response"].startswith("<think>\n2 + 3\n</think>")


def test_the_default_settings_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    missing = [name for name in TrainConfig.__dataclass_fields__ if f"`{name}`" not in page]
    assert not missing
