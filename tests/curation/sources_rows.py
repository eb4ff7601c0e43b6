"""A made row of each dataset family: adapter -> row."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any

TURN = {"role": "user", "content": "q", "info": {"reference_answer": "4", "source": "s"}}
REPLY = {
    "role": "assistant",
    "content": "<think>hm</think><answer>4</answer>",
    "info": {"think_content": "hm", "answer_content": "4"},
}
ROWS: dict[str, dict[str, Any]] = {
    "skythought": {"idx": 0, "question": "2+2?", "gt": "4", "code": ["It is 4."]},
    "gsm8k": {"question": "2+2?", "answer": "2+2=<<2+2=4>>4\n#### 4"},
    "openr1": {
        "problem": "2+2?",
        "solution": "s",
        "answer": "4",
        "generations": ["<think>a</think>4", "b"],
        "correctness_math_verify": [True, False],
        "correctness_llama": None,
        "finish_reasons": ["stop", "length"],
        "messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "b"}],
    },
    "open_thoughts": {
        "system": "s",
        "conversations": [{"from": "user", "value": "q"}, {"from": "assistant", "value": "a"}],
    },
    "am_distilled": {"messages": [TURN, REPLY]},
    "numina": {
        "problem": "Prove it.",
        "solution": "s",
        "answer": "proof",
        "question_type": "proof",
        "problem_is_valid": "Yes",
    },
    "qwen_math_eval": {"Body": "Two cats.", "Question": "How many?", "Answer": 2.0, "ID": "c1"},
    "olymmath": {
        "problem": "题",
        "answer": "4",
        "subject": "代数",
        "unique_id": "OlymMATH-EASY-0-ZH",
    },
    "humaneval": {
        "task_id": "H/0",
        "prompt": "def f():",
        "entry_point": "f",
        "canonical_solution": "  return 1",
        "test": "def check(c): assert c() == 1",
        "solution": "  return 2",
        "is_solved": False,
    },
    "mbpp": {
        "task_id": 2,
        "text": "Write a function to double a number.",
        "code": "def double(n):\n    return 2 * n",
        "test_list": ["assert double(2) == 4"],
        "test_setup_code": "",
        "challenge_test_list": ["assert double(0) == 0"],
    },
    "kodcode": {
        "question_id": "Filter_1_I",
        "style": "instruct",
        "subset": "Filter",
        "question": "Double a number.",
        "solution": "def double(n):\n    return 2 * n",
        "test": "from solution import double\ndef test_two():\n    assert double(2) == 4",
        "test_info": [{"function_name": "double"}],
        "gpt_pass_sequence": [1, 0],
        "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}],
        "r1_correctness": "True",
    },
    "livecodebench": {
        "question_content": "Double the number that is given.",
        "question_id": "x_1",
        "difficulty": "easy",
        "starter_code": "",
        "public_test_cases": '[{"input": "2", "output": "4", "testtype": "stdin"}]',
        "private_test_cases": base64.b64encode(
            zlib.compress(pickle.dumps('[{"input": "0", "output": "0", "testtype": "stdin"}]'))
        ).decode(),
        "metadata": "{}",
    },
    "stepped": {"input": "2+2*2", "steps": ["2+2=4", "4*2=8"], "target": "6", "mistake_index": 0},
    "prm800k": {
        "labeler": "x",
        "question": {"problem": "2+2?", "ground_truth_answer": "4"},
        "label": {
            "steps": [
                {"completions": [{"text": "ok", "rating": 1}], "chosen_completion": 0},
                {"completions": [], "human_completion": {"text": "mine"}},
                {"completions": [{"text": "bad", "rating": -1}], "chosen_completion": None},
            ],
            "finish_reason": "found_error",
        },
    },
    "reasoning_gym": {
        "question": "who?",
        "expected_answer": "bob",
        "completions": [{"full_model_response": "<answer>Bob</answer>", "score": 1.0}],
    },
    "synlogic": {
        "data_source": "val/next_letter",
        "prompt": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "A, C, E: what is next? Answer in [[ ]]."},
        ],
        "ability": "logic",
        "reward_model": {"answer": "", "solution": ""},
        "extra_info": {
            "index": 7,
            "game_data_str": json.dumps(
                {
                    "question": "A, C, E",
                    "answer": "G",
                    "difficulty": 2,
                    "metadata": {"step": 2},
                    "gpt_response": "",
                }
            ),
        },
    },
    "generic": {"question": "q", "answer": "a"},
}
