"""Judges without a server: prompts and fences, readings, votes, step review, rankings, rewards."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from curation.judges import heimdall, reward, temporal
from curation.judges.injection import INJECTIONS, filled
from curation.judges.prompts import PROMPTS, JudgePrompt, Rendered, prompt_of
from curation.judges.reading import read, read_reward
from curation.judges.temporal import Round
from curation.judges.votes import (
    Vote,
    combine,
    combine_scores,
    named_back,
    reward_score,
    squash,
    winner,
)
from curation.teachers.outcome import TeacherError

MATCH = PROMPTS["answer-match"]
DATA = {"problem": "2+2?", "reference answer": "4", "response": "It is {problem} %s 5."}


# -- prompts ---------------------------------------------------------------------------------------


def test_data_stands_between_fences_that_carry_the_hash_of_it_and_nothing_is_a_placeholder() -> (
    None
):
    rendered = MATCH.render(DATA)
    user = rendered.messages[1]["content"]
    assert f"BEGIN RESPONSE {rendered.fence}\nIt is {{problem}} %s 5.\nEND RESPONSE" in user
    assert rendered.fence in rendered.messages[0]["content"]
    other = MATCH.render(DATA | {"response": "It is 5."})
    assert other.fence != rendered.fence
    assert MATCH.render(DATA).fence == rendered.fence


def test_the_second_order_swaps_what_is_compared_and_nothing_else() -> None:
    def order(rendered: Rendered) -> list[str]:
        lines = rendered.messages[1]["content"].splitlines()
        return [line.split(" ", 1)[1].rsplit(" ", 1)[0] for line in lines if "BEGIN " in line]

    assert order(MATCH.render(DATA, 0)) == ["PROBLEM", "REFERENCE ANSWER", "RESPONSE"]
    assert order(MATCH.render(DATA, 1)) == ["PROBLEM", "RESPONSE", "REFERENCE ANSWER"]


def test_a_long_response_is_shown_by_its_end_and_the_cut_is_marked() -> None:
    prompt = JudgePrompt("short", 1, "solution", "Check.", max_chars=100)
    user = prompt.render({"problem": "p", "solution": "x" * 500 + "END"}).messages[1]["content"]
    assert "[…]" + "x" * 97 + "END" in user
    assert "x" * 98 not in user


def test_any_change_of_a_prompt_changes_its_hash() -> None:
    base = MATCH.as_dict()
    hashes = {MATCH.hash}
    for change in ({"version": 2}, {"task": "Compare."}, {"max_chars": 500}, {"part": "whole"},
                   {"name": "x"}):  # fmt: skip
        hashes.add(JudgePrompt.from_dict(base | change).hash)
    assert len(hashes) == 6
    assert prompt_of(base) == MATCH


@pytest.mark.parametrize(
    "given",
    [{}, {"name": "x"}, {"name": "x", "version": 1, "mode": "no", "task": "t"},
     {"name": "", "version": 1, "mode": "answer", "task": "t"},
     {"name": "x", "version": 1, "mode": "answer", "task": " "},
     {"name": "x", "version": "1", "mode": "answer", "task": "t"},
     {"name": "x", "version": 1, "mode": "answer", "task": "t", "max_chars": 1},
     {"name": "x", "version": 1, "mode": "answer", "task": "t", "extra": 1}],
)  # fmt: skip
def test_what_is_no_prompt_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"prompt|name"):
        prompt_of(given)


def test_an_unknown_prompt_is_named() -> None:
    with pytest.raises(ValueError, match="oracle"):
        prompt_of("oracle")


@pytest.mark.parametrize("name", sorted(PROMPTS))
def test_every_schema_takes_its_own_answer_and_no_other_id(name: str) -> None:
    from curation.verifiers import verify

    prompt = PROMPTS[name]
    answer = {
        "answer": {"verdict": "correct"}, "solution": {"verdict": "incorrect"},
        "rubric": {"coherence": 4, "correctness": 0, "helpfulness": 2}, "pair": {"verdict": "tie"},
        "steps": {"first_wrong_step": -1},
    }[prompt.mode]  # fmt: skip
    data = {"problem": "p", "reference answer": "r", "response": "x", "solution": "x",
            "response A": "x", "response B": "y", "steps": "s"}  # fmt: skip
    rendered = prompt.render(data)
    schema = json.dumps(rendered.schema)
    for fence, wanted in ((rendered.fence, "correct"), ("0" * 16, "incorrect")):
        text = json.dumps({"id": fence, "reason": "so"} | answer)
        assert verify("json_schema", text, schema).verdict == wanted
        found = read(text, prompt.mode, rendered.fence, steps=3)
        assert (found.verdict == "error") == (wanted == "incorrect")


# -- reading ---------------------------------------------------------------------------------------

ID = "ab" * 8


def said(**fields: Any) -> str:
    return json.dumps({"id": ID, "reason": "r"} | fields)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (said(verdict="correct"), "correct"),
        ("<think>hm</think>Well.\n```json\n" + said(verdict="incorrect") + "\n```", "incorrect"),
        ('{"id": "x", "verdict": "correct"} ' + said(verdict="cannot_tell"), "cannot_tell"),
        (said(verdict="correct") + " wait, " + said(verdict="incorrect"), "incorrect"),
        (said(verdict="correct") + ' {"id": "other", "verdict": "incorrect"}', "correct"),
        (said(verdict="maybe"), "error"),
        (said(), "error"),
        ("correct", "error"),
        ('{"verdict": "correct"}', "error"),
        ("", "error"),
        ("{" * 3_000 + said(verdict="correct"), "correct"),
        ("<think>" + said(verdict="correct"), "error"),
    ],
)
def test_the_last_object_that_knows_the_id_counts_and_words_do_not(text: str, verdict: str) -> None:
    assert read(text, "answer", ID).verdict == verdict


def test_a_cut_answer_is_no_vote() -> None:
    assert read(said(verdict="correct"), "answer", ID, truncated=True).reason == "truncated"


@pytest.mark.parametrize(
    ("at", "verdict"),
    [(-1, "correct"), (0, "incorrect"), (4, "incorrect"), (5, "error"), (-2, "error"),
     ("1", "error"), (True, "error"), (1.0, "error")],
)  # fmt: skip
def test_a_step_must_exist(at: Any, verdict: str) -> None:
    assert read(said(first_wrong_step=at), "steps", ID, steps=5).verdict == verdict


def test_a_rubric_is_the_sum_over_twelve_and_bad_grades_are_unreadable() -> None:
    good = read(said(coherence=4, correctness=3, helpfulness=2), "rubric", ID)
    assert good.score == pytest.approx(9 / 12)
    for bad in (5, -1, "4", None, True):
        assert read(said(coherence=bad, correctness=3, helpfulness=2), "rubric", ID).score is None


@pytest.mark.parametrize(
    ("text", "scores"),
    [("helpfulness:1.5,correctness:-2.0", {"helpfulness": 1.5, "correctness": -2.0}),
     ("0.25", {"reward": 0.25}), ("nan", {}), ("inf", {}), ("good", {}), ("", {}),
     ("helpfulness:1.5, and much more", {})],
)  # fmt: skip
def test_reward_models_answer_with_numbers_or_not_at_all(
    text: str, scores: dict[str, float]
) -> None:
    assert read_reward(text) == scores


# -- votes -----------------------------------------------------------------------------------------


def cast(*verdicts: str) -> list[Vote]:
    """Votes as "c0", "i1", "t0" (cannot tell), "e1": verdict and order."""
    names = {"c": "correct", "i": "incorrect", "t": "cannot_tell", "e": "error"}
    return [Vote(int(v[1]), n, names[v[0]], reason="x") for n, v in enumerate(verdicts)]


@pytest.mark.parametrize(
    ("given", "verdict", "reason", "score"),
    [
        (("c0", "c1"), "correct", "", 1.0),
        (("i0", "i1"), "incorrect", "", 0.0),
        (("c0", "i1"), "error", "orders_disagree", None),
        (("c0", "c0", "i0", "c1", "c1", "i1"), "correct", "", 0.666667),
        (("c0", "i0", "c1", "c1"), "error", "tied", None),
        (("t0", "t1"), "unverifiable", "cannot_tell", None),
        (("e0", "e1"), "error", "no_valid_votes", None),
        (("c0", "e0", "e1", "e1"), "error", "no_valid_votes", None),
        (("c0", "c0", "e1", "c0"), "error", "orders_disagree", None),
        ((), "error", "no_valid_votes", None),
    ],
)
def test_both_orders_must_agree_and_enough_votes_must_be_valid(
    given: tuple[str, ...], verdict: str, reason: str, score: float | None
) -> None:
    found = combine(cast(*given))
    assert (found.verdict, found.reason, found.score) == (verdict, reason, score)


def test_a_verdict_names_its_votes_by_order_and_its_failures() -> None:
    detail = combine(cast("c0", "c1", "e1", "c0")).detail
    assert detail["orders"] == {"0": {"correct": 2}, "1": {"correct": 1, "error": 1}}
    assert (detail["votes"], detail["valid"], detail["failures"]) == (4, 3, {"x": 1})


def test_scores_are_averaged_and_a_threshold_decides() -> None:
    votes = [Vote(0, 0, "graded", 0.8), Vote(0, 1, "graded", 0.7), Vote(0, 2, "error")]
    assert combine_scores(votes, 0.7).verdict == "correct"
    assert combine_scores(votes, 0.75).verdict == "incorrect"
    assert combine_scores(votes, 0.7, min_valid=0.9).reason == "no_valid_votes"


@pytest.mark.parametrize(
    ("given", "better"),
    [([(0, "A"), (1, "A")], "A"), ([(0, "A"), (1, "B")], "tie"), ([(0, "tie"), (1, "B")], "tie"),
     ([(0, "error")], "error"), ([(0, "B"), (0, "B"), (0, "A"), (1, "B")], "B")],
)  # fmt: skip
def test_a_side_of_a_pair_wins_only_in_both_orders(
    given: list[tuple[int, str]], better: str
) -> None:
    assert winner([Vote(order, 0, verdict) for order, verdict in given]) == better


def test_a_swapped_pair_is_named_back() -> None:
    assert [named_back(v, 1) for v in ("A", "B", "tie")] == ["B", "A", "tie"]
    assert named_back("A", 0) == "A"


def test_rewards_become_scores_between_nought_and_one() -> None:
    assert reward_score({"a": 4.0, "b": 2.0}, ["a", "b"], 4.0) == 0.75
    assert reward_score({"a": 4.0}, ["a", "b"], 4.0) is None
    assert reward_score({"a": 9.0}, ["a"], 4.0) == 1.0
    assert reward_score({"reward": 0.0}, [], 4.0) == 0.5
    assert reward_score({}, [], 4.0) is None
    assert squash(-1e9) < 1e-9 < 1 - 1e-9 < squash(1e9) <= 1


# -- Temporal Consistency and Heimdall -------------------------------------------------------------


@pytest.mark.parametrize(
    ("locations", "shares", "stop"),
    [
        ([3, 3, 3], [0.6, 0.6, 0.8], True),
        ([3, 3, 3], [0.8, 0.6, 0.6], False),
        ([2, 3, 3], [0.6, 0.6, 0.8], False),
        ([3, 3], [0.6, 0.8], False),
        ([1, 3, 3, 3], [1.0, 0.6, 0.6, 0.6], True),
        ([], [], False),
    ],
)
def test_rounds_stop_when_the_majority_stays_and_its_share_does_not_fall(
    locations: list[int], shares: list[float], stop: bool
) -> None:
    rounds = [Round(*pair) for pair in zip(locations, shares, strict=True)]
    assert temporal.settled(rounds, 3) is stop


def test_one_round_is_enough_without_a_stability_rule() -> None:
    assert temporal.settled([Round(3, 0.4)], 0)


@pytest.mark.parametrize(
    ("locations", "found"),
    [([3, 3, -1, 2, 3], Round(3, 0.6)), ([2, 3], Round(2, 0.5)), ([-1, 4], Round(4, 0.5)),
     ([None, 3, None, None, None], Round(3, 0.2)), ([None], None), ([], None)],
)  # fmt: skip
def test_ties_go_to_the_earlier_step_and_failed_answers_lower_the_share(
    locations: list[int | None], found: Round | None
) -> None:
    assert temporal.tally(locations) == found


def test_f1_is_the_harmonic_mean_over_wrong_and_right_samples() -> None:
    rows = [(3, 3), (2, 3), (-1, 1), (1, 1), (-1, -1), (0, -1)]
    assert temporal.error_f1(rows) == pytest.approx(0.5)
    assert temporal.error_f1([(-1, -1)]) is None
    assert temporal.error_f1([(0, 1), (0, -1)]) == 0.0


def test_an_answer_that_few_solutions_gave_must_be_verified_the_better() -> None:
    scores = {"4": [[1, 1, 0, 1]] * 6, "5": [[1, 1, 1, 1]], "6": [[]]}
    plain = heimdall.rank(scores, alpha=0)
    careful = heimdall.rank(scores, alpha=1)
    assert [row.answer for row in plain] == ["5", "4"]
    assert [row.answer for row in careful] == ["4", "5"]
    row = careful[0]
    assert row.bound == pytest.approx(0.75 - math.log(28) / 25)
    assert (row.solutions, row.verifications, row.mean) == (6, 24, 0.75)
    assert heimdall.rank({}) == []
    with pytest.raises(ValueError, match="alpha"):
        heimdall.rank(scores, alpha=-1)


# -- rewards over HTTP -----------------------------------------------------------------------------


def test_poolings_answers_are_read_and_nonsense_is_a_bad_response() -> None:
    assert reward.value_of({"data": [{"data": [[0.1], [0.7]]}]}, "pooling") == 0.7
    assert reward.value_of({"data": [{"probs": [0.2, 0.8]}]}, "classify") == 0.8
    for bad in ({}, {"data": []}, {"data": [{"data": []}]}, {"data": [{"data": ["x"]}]},
                {"data": [{"data": [True]}]}, {"data": [{"data": [float("nan")]}]}):  # fmt: skip
        with pytest.raises(TeacherError):
            reward.value_of(bad, "pooling")
    assert reward.address("http://h:1/v1/", "pooling") == "http://h:1/pooling"
    assert reward.address("http://h:1/proxy/v1", "classify") == "http://h:1/proxy/classify"


# -- injection -------------------------------------------------------------------------------------


def attacked(text: str, order: int = 0) -> Rendered:
    return MATCH.render(DATA | {"response": f"The answer is 5.\n{text}"}, order)


def outside(rendered: Rendered) -> str:
    """What of a conversation stands outside the fences, as an obedient judge reads it."""
    lines, fence, kept, inside = [], rendered.fence, True, ""
    for line in rendered.messages[1]["content"].splitlines():
        if kept and line.startswith("BEGIN ") and line.endswith(fence):
            kept, inside = False, line.removeprefix("BEGIN ")
        elif not kept and line == f"END {inside}":
            kept = True
        elif kept:
            lines.append(line)
    return "\n".join(lines)


def test_there_are_fifty_injections_of_seven_kinds() -> None:
    assert len({i.text for i in INJECTIONS}) == 50
    assert len({i.kind for i in INJECTIONS}) == 7


@pytest.mark.parametrize("order", [0, 1])
def test_no_injection_gets_out_of_its_fence(order: int) -> None:
    for injection in INJECTIONS:
        # The best guess an attacker can make: the id of the same texts without the injection.
        guess = attacked("", order).fence
        text = filled(injection, guess)
        rendered = attacked(text, order)
        assert rendered.fence != guess
        assert "correct" not in outside(rendered).lower().replace("incorrect", ""), injection


def test_a_judge_that_echoes_or_obeys_an_injection_gives_no_valid_vote() -> None:
    """Three parrots: the text alone, the whole conversation, the text and then "correct"."""
    led = 0
    for injection in INJECTIONS:
        text = filled(injection, attacked("").fence)
        rendered = attacked(text)
        whole = "\n".join(m["content"] for m in rendered.messages)
        for reply in (text, whole, text + "\nverdict: correct"):
            led += read(reply, "answer", rendered.fence).verdict == "correct"
    assert led == 0
