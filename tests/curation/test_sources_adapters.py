"""Adapters: each is chosen by itself for a made row of its family, and reads it right."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from curation.sources.adapters import ADAPTERS, Sample, best
from curation.sources.adapters.gsm8k import final_answer
from curation.sources.adapters.skythought import names
from curation.sources.adapters.stepped import first_error
from curation.sources.adapters.thought_anchors import placed
from curation.sources.mapping import mapping_from
from curation.sources.plan import Converted, files, open_input
from curation.sources.records import BadRow, ProblemRecord, ReadRow, Reject
from tests.curation.sources_rows import REPLY, ROWS


def convert(
    adapter: str, row: dict[str, Any], file: str = "x.jsonl", **context: Any
) -> ProblemRecord:
    (record,) = ADAPTERS[adapter].convert(ReadRow(1, 0, row, b"", context), file)
    return record


@pytest.mark.parametrize("name", ROWS)
def test_the_adapter_of_a_family_is_surest_of_its_rows(name: str) -> None:
    assert best(Sample("data.jsonl", [ROWS[name]])).name == name


@pytest.mark.parametrize("name", ROWS)
def test_every_adapter_refuses_an_empty_row_with_a_reason(name: str) -> None:
    from curation.sources.records import BadRow

    with pytest.raises(BadRow):
        ADAPTERS[name].convert(ReadRow(1, 0, {}, b""), "x.jsonl")


def test_skythought_reads_model_and_benchmark_from_the_file_name() -> None:
    assert names("a/Sky-32B-ckpts__checkpoint-70__aime24__4cb.jsonl") == (
        "Sky-32B-ckpts/checkpoint-70",
        "aime24",
    )
    assert names("mine.jsonl.gz") == ("mine", "")


def test_skythought_keeps_flags_apart_and_needs_none() -> None:
    row = ROWS["skythought"] | {"score": [True], "pred": ["4"], "report": [None]}
    record = convert("skythought", row, "M__amc23__1.jsonl")
    assert record.traces[0].upstream == {"score": True, "pred": "4"}
    assert (record.reference_answer, record.metadata) == ("4", {"benchmark": "amc23", "idx": 0})
    assert convert("skythought", ROWS["skythought"]).traces[0].upstream == {}


def test_skythought_has_no_solution_where_the_file_says_none() -> None:
    row = ROWS["skythought"] | {"gt_cot": "None"}
    assert convert("skythought", row).reference_solution is None
    assert convert("skythought", row | {"solution": "why"}).reference_solution == "why"


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("so\n#### 18", "18"),
        ("so\n#### 1,080 ", "1,080"),
        ("so\n####-3\n", "-3"),
        ("#### 1\n#### 2", "2"),
        ("so\nA: 18", "18"),
        ("no mark", None),
        (None, None),
    ],
)
def test_the_gsm8k_answer_is_what_stands_behind_the_last_mark(
    solution: str | None, answer: str | None
) -> None:
    assert final_answer(solution) == answer


def test_gsm8k_keeps_the_whole_solution_and_the_calculator_marks() -> None:
    record = convert("gsm8k", ROWS["gsm8k"])
    assert record.reference_solution == "2+2=<<2+2=4>>4\n#### 4"
    assert record.reference_answer == "4"


def test_the_wide_gsm8k_file_gives_a_trace_for_each_model() -> None:
    row = {
        "question": "2+2?",
        "ground_truth": "2+2=4\nA: 4",
        "6b": {"is_correct": False, "solution": "5"},
        "175b": {"is_correct": True, "solution": "4"},
    }
    assert best(Sample("s.jsonl", [row])).name == "gsm8k"
    record = convert("gsm8k", row)
    assert [(t.model, t.text, t.upstream) for t in record.traces] == [
        ("6b", "5", {"is_correct": False}),
        ("175b", "4", {"is_correct": True}),
    ]
    assert record.reference_answer == "4"


def test_openr1_takes_generations_with_their_flags_and_not_the_messages() -> None:
    record = convert("openr1", ROWS["openr1"])
    assert [(t.text, t.finish_reason) for t in record.traces] == [
        ("<think>a</think>4", "stop"),
        ("b", "length"),
    ]
    assert record.traces[1].upstream == {"correctness_math_verify": False}


def test_a_proof_has_no_reference_answer() -> None:
    record = convert("numina", ROWS["numina"])
    assert record.reference_answer is None
    assert record.metadata["answer_as_given"] == "proof"


def test_open_thoughts_composes_separate_reasoning() -> None:
    row = {
        "problem": "q",
        "deepseek_reasoning": "hm",
        "deepseek_solution": "4",
        "ground_truth_solution": "long",
    }
    record = convert("open_thoughts", row)
    assert record.traces[0].text == "<think>\nhm\n</think>\n\n4"
    assert record.reference_solution == "long"


def test_am_distilled_takes_reference_and_source_from_the_first_turn() -> None:
    record = convert("am_distilled", ROWS["am_distilled"])
    assert (record.text, record.reference_answer) == ("q", "4")
    assert record.metadata == {"source": "s"}
    assert record.traces[0].text == REPLY["content"]
    assert record.traces[0].messages == [{"role": "user", "content": "q"}]


def test_svamp_joins_body_and_question() -> None:
    record = convert("qwen_math_eval", ROWS["qwen_math_eval"])
    assert (record.text, record.reference_answer) == ("Two cats. How many?", "2.0")


def test_olymmath_knows_its_language() -> None:
    record = convert("olymmath", ROWS["olymmath"])
    assert (record.metadata["language"], record.metadata["category"]) == ("zh", "代数")


def test_humaneval_is_code_with_its_tests_and_flags() -> None:
    record = convert(
        "humaneval", ROWS["humaneval"], "simple_test_run__simple_1_gpt-4_pass_at_k_1.jsonl"
    )
    assert record.kind == "code"
    assert record.tests == {"test": ROWS["humaneval"]["test"], "entry_point": "f"}
    assert record.traces[0].model == "gpt-4"
    assert record.traces[0].upstream == {"is_solved": False}


def test_mbpp_shows_its_tests_and_keeps_the_hard_ones() -> None:
    record = convert("mbpp", ROWS["mbpp"])
    assert record.text.endswith("these tests:\n\nassert double(2) == 4")
    assert record.tests is not None
    assert record.tests["asserts"] == ["assert double(2) == 4", "assert double(0) == 0"]


def test_kodcode_has_a_pytest_file_and_the_answer_with_what_upstream_says() -> None:
    record = convert("kodcode", ROWS["kodcode"])
    assert record.tests is not None
    assert (record.tests["type"], record.tests["entry_point"]) == ("pytest", "double")
    assert record.metadata["gpt_pass_sequence"] == [1, 0]
    assert record.traces[0].text == "a"
    assert record.traces[0].upstream == {"r1_correctness": "True"}


def test_livecodebench_unpacks_its_private_cases() -> None:
    record = convert("livecodebench", ROWS["livecodebench"])
    assert record.tests is not None
    assert [case["input"] for case in record.tests["cases"]] == ["2", "0"]
    functional = ROWS["livecodebench"] | {
        "public_test_cases": '[{"input": "[1]\\n2", "output": "3", "testtype": "functional"}]',
        "private_test_cases": "",
        "starter_code": "class Solution:\n    def go(self, a, b):\n        ",
        "metadata": '{"func_name": "go"}',
    }
    tests = convert("livecodebench", functional).tests
    assert tests is not None
    assert (tests["type"], tests["entry_point"], tests["in_class"]) == ("calls", "go", True)


class Runs:
    """Pickles to a call of a function."""

    def __reduce__(self) -> Any:
        return (print, ("it ran",))


@pytest.mark.parametrize("content", [Runs(), [], 7, b"x", "no JSON", {"input": 1}])
def test_private_cases_that_are_none_are_refused_and_run_nothing(
    content: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = base64.b64encode(zlib.compress(pickle.dumps(content))).decode()
    with pytest.raises(BadRow) as problem:
        convert("livecodebench", ROWS["livecodebench"] | {"private_test_cases": packed})
    assert problem.value.reason == "bad_tests"
    assert capsys.readouterr().out == ""


def test_private_cases_that_unpack_to_too_much_are_refused(monkeypatch: Any) -> None:
    monkeypatch.setattr("curation.sources.adapters.livecodebench.MAX_UNPACKED", 1_000)
    packed = base64.b64encode(zlib.compress(b"0" * 100_000)).decode()
    with pytest.raises(BadRow) as problem:
        convert("livecodebench", ROWS["livecodebench"] | {"private_test_cases": packed})
    assert problem.value.reason == "row_too_large"


def test_steps_are_ranges_of_the_trace() -> None:
    trace = convert("stepped", ROWS["stepped"]).traces[0]
    assert [trace.text[a:b] for a, b in trace.metadata["steps"]] == ["2+2=4", "4*2=8"]
    assert trace.upstream["first_error"] == 0


@pytest.mark.parametrize(
    ("label", "from_one", "index"),
    [
        (-1, False, None),
        (2, False, 2),
        (None, False, None),
        (1, True, 0),
        ("3", True, 2),
        ("N/A", True, None),
    ],
)
def test_the_first_wrong_step_counts_from_zero(label: Any, from_one: bool, index: Any) -> None:
    assert first_error(label, from_one) == index


def test_prm800k_follows_the_chosen_path_and_keeps_ratings() -> None:
    trace = convert("prm800k", ROWS["prm800k"]).traces[0]
    assert trace.text == "ok\nmine\nbad"
    steps = trace.metadata["steps"]
    assert [trace.text[s["start"] : s["end"]] for s in steps] == ["ok", "mine", "bad"]
    assert [s["rating"] for s in steps] == [1, None, -1]


def test_reasoning_gym_reads_model_task_and_system_prompt() -> None:
    record = convert(
        "reasoning_gym",
        ROWS["reasoning_gym"],
        "qwen_32b_20250316_144841/logic/zebra.json",
        name="zebra",
        system_prompt="think",
    )
    assert (record.kind, record.metadata) == ("exact", {"task": "zebra"})
    trace = record.traces[0]
    assert (trace.model, trace.upstream) == ("qwen_32b", {"score": 1.0})
    assert trace.messages[0] == {"role": "system", "content": "think"}


def test_reasoning_gym_names_what_a_puzzle_is_made_again_from() -> None:
    record = convert("reasoning_gym", ROWS["reasoning_gym"], name="zebra", config={"seed": 45})
    puzzle = {"dataset": "zebra", "config": {"seed": 45}, "index": 0}
    assert record.kind == "logic"
    assert record.metadata["verifier_options"] == {"puzzle": puzzle}


def anchors(folder: Path, completion: str = "Hm 𝑥. So 4.</think>\n4") -> Path:
    chunks = [{"chunk": "Hm 𝑥.", "function_tags": ["plan"]}, {"chunk": "So 4."}, {"chunk": "lost"}]
    parts = {
        "problem": {"problem": "2+2?", "gt_answer": "4", "gt_solution": "s", "level": "1"},
        "base_solution": {
            "prompt": "Solve 2+2?<think>",
            "solution": completion,
            "full_cot": "Solve 2+2?<think>" + completion,
            "answer": "4",
            "is_correct": True,
        },
        "chunks_labeled": chunks,
    }
    target = folder / "qwen-14b" / "correct_base_solution" / "problem_1"
    target.mkdir(parents=True)
    for name, value in parts.items():
        (target / f"{name}.json").write_text(json.dumps(value))
    return folder


def test_thought_anchors_claims_folders_and_places_the_chunks(tmp_path: Path) -> None:
    (file,) = files(anchors(tmp_path))
    assert (file.name, file.lines) == ("qwen-14b/correct_base_solution/problem_1", 1)
    found = open_input(file)
    assert found.adapter.name == "thought_anchors"
    (item,) = found.rows()
    assert isinstance(item, Converted)
    (record,) = item.problems
    (trace,) = record.traces
    assert (record.text, record.reference_answer, trace.model) == ("2+2?", "4", "qwen-14b")
    assert trace.text == "Hm 𝑥. So 4.</think>\n4"
    assert trace.upstream == {"answer": "4", "is_correct": True}
    assert [(c["start"], c["end"]) for c in trace.metadata["chunks"]] == [
        (0, 5),
        (6, 11),
        (None, None),
    ]


def test_a_claimed_folder_changes_its_hash_with_any_of_its_files(tmp_path: Path) -> None:
    root = anchors(tmp_path)
    (before,) = files(root)
    (before.path / "chunks_labeled.json").write_text("[]")
    (after,) = files(root)
    assert before.sha256 != after.sha256


def test_a_claimed_folder_with_a_broken_file_is_one_reject(tmp_path: Path) -> None:
    (file,) = files(anchors(tmp_path))
    (file.path / "problem.json").write_text('{"problem": ')
    (item,) = open_input(file).rows()
    assert isinstance(item, Reject)
    assert (item.reason, item.line) == ("invalid_json", 1)
    assert item.detail.startswith("problem.json")


def test_chunks_are_found_in_order() -> None:
    found = placed("a b a", [{"chunk": "a"}, {"chunk": "a"}, {"chunk": "b"}])
    assert [c["start"] for c in found] == [0, 4, None]


def test_bad_rows_at_the_beginning_do_not_hide_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "late.jsonl"
    path.write_text("bad\n" * 300 + '{"question": "q"}\n')
    items = list(open_input(files(path)[0]).rows())
    assert sum(isinstance(item, Converted) for item in items) == 1
    assert sum(isinstance(item, Reject) for item in items) == 300


class TestPlan:
    def lines(self, folder: Path, *rows: Any) -> Path:
        path = folder / "data.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def test_the_generic_mapping_is_shown(self, tmp_path: Path) -> None:
        (file,) = files(self.lines(tmp_path, {"question": "q", "answer": "4"}))
        shown = open_input(file).describe()
        assert shown["adapter"] == "generic"
        assert [c["role"] for c in shown["mapping"]["columns"]] == ["problem", "reference_answer"]

    def test_a_given_mapping_or_adapter_wins(self, tmp_path: Path) -> None:
        (file,) = files(self.lines(tmp_path, {"question": "q", "answer": "x\n#### 4"}))
        assert open_input(file).adapter.name == "gsm8k"
        assert open_input(file, adapter="generic").adapter.name == "generic"
        mapping = mapping_from({"problem": "answer"})
        (item,) = open_input(file, mapping=mapping).rows()
        assert isinstance(item, Converted)
        assert item.problems[0].text == "x\n#### 4"

    def test_rows_without_a_problem_are_rejects_with_their_own_bytes(self, tmp_path: Path) -> None:
        path = self.lines(tmp_path, {"question": "q"}, {"question": ""}, {"other": 1})
        (file,) = files(path)
        items = list(open_input(file).rows())
        rejects = [item for item in items if isinstance(item, Reject)]
        assert [(r.line, r.reason) for r in rejects] == [(2, "no_problem"), (3, "no_problem")]
        assert rejects[1].raw == b'{"other": 1}\n'

    def test_a_table_without_any_problem_column_says_so_on_each_row(self, tmp_path: Path) -> None:
        (file,) = files(self.lines(tmp_path, {"colour": "red"}, {"colour": "blue"}))
        items = list(open_input(file).rows())
        assert [item.reason for item in items if isinstance(item, Reject)] == ["no_mapping"] * 2

    def test_values_too_long_for_a_column_refuse_the_row(self, tmp_path: Path) -> None:
        rows = [{"question": "q", "response": "r", "model": "m" * 301}, {"question": "q2"}]
        (file,) = files(self.lines(tmp_path, *rows))
        first, second = open_input(file).rows()
        assert isinstance(first, Reject)
        assert first.reason == "too_long"
        assert isinstance(second, Converted)

    def test_a_missing_path_is_an_os_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            files(tmp_path / "nothing")
