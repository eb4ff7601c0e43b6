"""Made traces that try tags, channels and what may not be split: maths, code, environments."""

from __future__ import annotations

from tests.curation.made_trace import CLOSE, OPEN, C, Made, Q, S, U, V

MARKED = [
    Made(
        "Sky-T1 tags with a solution part",
        [
            ("<|begin_of_thought|>\n\n", "tag", Q),
            ("So I've got this problem here: find 3 · 37.\n\n", "problem_setup", Q),
            ("3 · 30 = 90 and 3 · 7 = 21, which makes 111.\n\n", "computation", S),
            ("So, 3 · 37 = 111.\n\n", "computation", S),
            ("Let me verify: 111 / 3 = 37.\n\n", "self_checking", V),
            ("<|end_of_thought|>\n\n", "tag", C),
            ("<|begin_of_solution|>\n\n", "tag", C),
            ("The product is \\boxed{111}.\n\n", "final_answer", C),
            ("<|end_of_solution|>", "tag", C),
        ],
        reference="111",
        first=3,
        cut=(4, 5),
        style="begin_of_thought",
    ),
    Made(
        "Gemma's channel tags",
        [
            ("<|channel>thought\n", "tag", Q),
            ("The question is how much 9 - 4 is.\n\n", "problem_setup", Q),
            ("9 - 4 = 5.\n", "computation", S),
            ("<channel|>", "tag", C),
            ("The answer is 5.", "final_answer", C),
        ],
        reference="5",
        first=4,
        style="channel",
    ),
    Made(
        "gpt-oss channels",
        [
            ("<|channel|>analysis<|message|>", "tag", Q),
            ("The question is how much 6 · 6 is.\n\n", "problem_setup", Q),
            ("6 · 6 = 36.", "computation", S),
            ("<|end|>", "tag", C),
            ("<|start|>assistant<|channel|>final<|message|>", "tag", C),
            ("36", "computation", C),
            ("<|return|>", "tag", C),
        ],
        style="harmony",
    ),
    Made(
        "answer tags after the thoughts",
        [
            OPEN,
            ("I need to find the next even number after 7.\n\n", "problem_setup", Q),
            ("7 + 1 = 8 is even.\n", "computation", S),
            CLOSE,
            ("<answer>", "tag", C),
            ("The answer is 8", "final_answer", C),
            ("</answer>", "tag", C),
        ],
        reference="8",
        first=5,
    ),
    Made(
        "answer tags only",
        [
            ("To find the sum, I add 1 + 2 = 3.\n\n", "problem_setup", Q),
            ("<answer>", "tag", C),
            ("\\boxed{3}", "final_answer", C),
            ("</answer>", "tag", C),
        ],
        reference="3",
        first=2,
        style="answer",
    ),
    Made(
        "no tags at all",
        [
            ("We are given that a train covers 60 km in an hour.\n\n", "problem_setup", Q),
            ("In three hours it covers 3 · 60 = 180 km.\n\n", "computation", S),
            ("Therefore, the answer is \\(\\boxed{180}\\).", "final_answer", C),
        ],
        reference="180",
        first=2,
        style="none",
    ),
    Made(
        "talk about a tag between backticks is no tag",
        [
            ("The `<think>` tag opens the thoughts and `</think>` closes them.", "fact", U),
        ],
        style="none",
    ),
    Made(
        "nested opening tags",
        [
            OPEN,
            ("The template wants <think> tags around 1 + 1 = 2.\n", "computation", S),
            CLOSE,
            ("The answer is 2.", "final_answer", C),
        ],
        reference="2",
        first=3,
    ),
    Made(
        "display maths with a blank line inside is one leaf",
        [
            OPEN,
            ("I need to find x.\n\n", "problem_setup", Q),
            ("\\[\n2x = 10\n\n\\implies x = 5\n\\]\n\n", "computation", S),
            ("So x = 5.\n", "consolidation", S),
            CLOSE,
            ("$x = 5$", "computation", C),
        ],
    ),
    Made(
        "dollar display maths keeps its blank lines, prose between two pairs is split",
        [
            ("$$\n\na + b = 7\n\n$$\n\n", "computation", S),
            ("Then one more line of plain words follows here.\n\n", "fact", S),
            ("$$a = 3$$\n\n", "computation", S),
            ("The rest is easy.", "fact", S),
        ],
        style="none",
    ),
    Made(
        "a code fence with blank lines is one leaf",
        [
            ("Let me write a short program for it.\n\n", "plan", U),
            ("```python\nx = 1\n\nprint(x + 1)\n```\n\n", "computation", S),
            ("It prints 2.", "fact", S),
        ],
        style="none",
    ),
    Made(
        "an environment is one leaf",
        [
            ("We solve the system.\n\n", "fact", U),
            (
                "\\begin{align}\nx + y &= 3 \\\\[5pt]\n\nx - y &= 1\n\\end{align}\n\n",
                "computation",
                S,
            ),
            ("Adding both gives 2x = 4.", "computation", S),
        ],
        style="none",
    ),
]
