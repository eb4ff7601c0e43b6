"""Short traces written for the tests, each with its expected leaves.

A trace is a list of (leaf, kind, first part of its path); joined, the leaves are the text.
``first`` is the number of the leaf that first states the reference answer, ``cut`` the leaves that
``after-first-correct`` proposes to drop (from, to; exclusive).
"""

from __future__ import annotations

from dataclasses import dataclass

Q, U, S, V, C = (
    "Question_Repeat",
    "Problem_Understand",
    "Solution_Explore",
    "Verify",
    "Conclusion",
)


@dataclass(frozen=True)
class Made:
    name: str
    leaves: list[tuple[str, str, str]]
    reference: str | None = None
    first: int | None = None
    cut: tuple[int, int] | None = None
    style: str = "think"
    closed: bool = True

    @property
    def text(self) -> str:
        return "".join(leaf for leaf, _, _ in self.leaves)


OPEN = ("<think>\n", "tag", Q)
CLOSE = ("</think>\n\n", "tag", C)

MADE = [
    Made(
        "a plain trace that checks its answer",
        [
            OPEN,
            ("I need to find how many apples Ann has.\n\n", "problem_setup", Q),
            ("She starts with 12 and buys 30 more, so 12 + 30 = 42.\n\n", "computation", S),
            ("So the answer is 42.\n\n", "final_answer", V),
            ("Wait, let me check the addition again: 30 + 12 = 42.\n\n", "self_checking", V),
            ("Yes, that matches.\n", "self_checking", V),
            CLOSE,
            ("Ann has \\boxed{42} apples.", "final_answer", C),
        ],
        reference="42",
        first=2,
        cut=(4, 6),
    ),
    Made(
        "a wrong answer first, the right one later",
        [
            OPEN,
            ("Okay, so I have to find 7 · 8.\n\n", "problem_setup", Q),
            ("7 · 8 = 54.\n\n", "computation", S),
            ("So the answer is 54.\n\n", "final_answer", S),
            ("Wait, that's wrong. 7 · 7 = 49, and 49 + 7 = 56.\n\n", "backtrack", S),
            ("Therefore, the answer is 56.\n\n", "final_answer", S),
            ("Alternatively, 8 · 7 is 80 - 24 = 56.\n", "transition", V),
            CLOSE,
            ("**56**", "computation", C),
        ],
        reference="56",
        first=5,
        cut=(6, 7),
    ),
    Made(
        "the reasoning is cut off, so nothing is proposed",
        [
            OPEN,
            ("So I need to figure out what 2 + 2 is.\n\n", "problem_setup", Q),
            ("2 + 2 = 4.\n\n", "computation", S),
            ("The answer is 4.\n\n", "final_answer", S),
            ("Hmm, but maybe I should che", "uncertainty", V),
        ],
        reference="4",
        first=3,
        closed=False,
    ),
    Made(
        "the closing tag alone, as after a prefilled prompt",
        [
            ("We are given a square of side 5.\n\n", "problem_setup", Q),
            ("Its area is 5 · 5 = 25.\n\n", "computation", S),
            ("So the answer is 25.\n", "final_answer", S),
            CLOSE,
            ("The area is 25.", "computation", C),
        ],
        reference="25",
        first=2,
    ),
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
    Made(
        "a turn inside a short paragraph starts a leaf",
        [
            OPEN,
            ("I need to find the cube of 3.\n\n", "problem_setup", Q),
            ("3 · 3 = 9. ", "computation", S),
            ("Wait, I need the cube, not the square. ", "uncertainty", S),
            ("Hmm, so once more: 9 · 3 = 27.\n\n", "uncertainty", S),
            ("So the final answer is 27.\n", "final_answer", C),
            CLOSE,
            ("27", "computation", C),
        ],
        reference="27",
        first=4,
    ),
    Made(
        "a hedged answer is not the first correct one",
        [
            OPEN,
            ("I need to find the missing number.\n\n", "problem_setup", Q),
            ("Maybe the answer is 77?\n\n", "uncertainty", U),
            ("The pattern adds 11, and 66 + 11 = 77.\n\n", "computation", S),
            ("So the answer is 77.\n\n", "final_answer", S),
            ("Let me double-check with another pair: 55 + 11 = 66.\n", "self_checking", V),
            CLOSE,
            ("\\boxed{77}", "final_answer", C),
        ],
        reference="77",
        first=4,
        cut=(5, 6),
    ),
    Made(
        "an equal number on the way is not the answer",
        [
            OPEN,
            ("I need to find how many legs three dogs have beyond ten.\n\n", "problem_setup", Q),
            ("So there are 2 front legs per dog.\n\n", "consolidation", S),
            ("Three dogs have 3 · 4 = 12 legs.\n\n", "computation", S),
            ("12 - 10 = 2.\n\n", "computation", S),
            ("Therefore, the answer is 2.\n", "final_answer", S),
            CLOSE,
            ("\\boxed{2}", "final_answer", C),
        ],
        reference="2",
        first=5,
    ),
    Made(
        "a concluded value in the words of the question counts when a check follows",
        [
            OPEN,
            ("I need to find how many red marbles remain in the jar.\n\n", "problem_setup", Q),
            (
                "There were 20 marbles, 6 of them red, and one red one was taken.\n\n",
                "computation",
                S,
            ),
            ("So 5 red marbles remain in the jar.\n\n", "consolidation", S),
            ("Let me double-check the story.\n\n", "self_checking", V),
            ("One of six is gone.\n", "fact", V),
            CLOSE,
            ("\\boxed{5}", "final_answer", C),
        ],
        reference="5",
        first=3,
        cut=(4, 6),
    ),
    Made(
        "an answer that is a fraction, stated in other words",
        [
            OPEN,
            ("We are asked to find a probability.\n\n", "problem_setup", Q),
            ("There are 2 good cases of 8, so 2/8.\n\n", "computation", S),
            ("So the probability is \\(\\frac{1}{4}\\).\n\n", "computation", V),
            ("Let me verify by counting again.\n", "self_checking", V),
            CLOSE,
            ("The answer is $\\frac{2}{8}$.", "final_answer", C),
        ],
        reference="1/4",
        first=2,
        cut=(4, 5),
    ),
    Made(
        "a thousands separator is the same number",
        [
            OPEN,
            ("I need to find the yearly sum.\n\n", "problem_setup", Q),
            ("12 · 200 = 2400.\n\n", "computation", S),
            ("So in total it is 2,400 dollars.\n\n", "consolidation", V),
            ("Let me confirm with 6 · 400.\n", "self_checking", V),
            CLOSE,
            ("\\boxed{2400}", "final_answer", C),
        ],
        reference="2400",
        first=2,
        cut=(4, 5),
    ),
    Made(
        "an option letter",
        [
            OPEN,
            ("The question asks which of A, B and C is prime.\n\n", "problem_setup", Q),
            ("A is 4, B is 7, C is 9.\n\n", "computation", S),
            ("So the answer is (B).\n\n", "final_answer", S),
            ("Let me check C again: 9 = 3 · 3.\n", "self_checking", V),
            CLOSE,
            ("Answer: B", "final_answer", C),
        ],
        reference="B",
        first=3,
        cut=(4, 5),
    ),
    Made(
        "the trace ends with another answer, so nothing is proposed",
        [
            OPEN,
            ("I need to find the smallest prime over 10.\n\n", "problem_setup", Q),
            ("So the answer is 11.\n\n", "final_answer", S),
            ("Hmm, is 13 not smaller?\n\n", "uncertainty", V),
            ("So the answer is 13.\n", "final_answer", C),
            CLOSE,
            ("\\boxed{13}", "final_answer", C),
        ],
        reference="11",
        first=2,
    ),
    Made(
        "closing words that state the answer belong to the conclusion",
        [
            OPEN,
            ("I need to find 15 · 4.\n\n", "problem_setup", Q),
            ("15 · 4 = 60.\n\n", "computation", S),
            ("So the answer is 60.\n\n", "final_answer", S),
            ("Let me check: 60 / 4 = 15.\n\n", "self_checking", V),
            ("Therefore, the answer is 60.\n", "final_answer", C),
            CLOSE,
            ("\\boxed{60}", "final_answer", C),
        ],
        reference="60",
        first=3,
        cut=(4, 5),
    ),
    Made(
        "a long paragraph is split into sentences, abbreviations and factorials are not",
        [
            (
                "This paragraph is long enough to be split, because it goes on and on about a "
                "count of arrangements in which nobody is really interested. ",
                "fact",
                U,
            ),
            (
                "There are e.g. Five people, i.e. Ann, Bob, Cid, Dan and Eve, who stand in a row. ",
                "fact",
                U,
            ),
            ("Dr. Smith counts 5! = 120 rows, and cf. Table 3 for the list. ", "computation", S),
            (
                "Each row is a permutation, and each permutation is a row, so nothing is counted "
                "twice and nothing is left out of the count.",
                "fact",
                S,
            ),
        ],
        style="none",
    ),
    Made(
        "list items of a long paragraph are leaves",
        [
            (
                "Here are the cases that have to be looked at, one after the other, and it does "
                "not matter in which order they are taken:\n",
                "fact",
                U,
            ),
            (
                "1. The number is even, and then it is twice another number, which was done.\n",
                "fact",
                U,
            ),
            (
                "2. The number is odd, and then it is one more than an even number, as above.\n",
                "fact",
                U,
            ),
            (
                "- A number that is neither does not exist, so that the list of cases is complete "
                "and each number was looked at exactly one single time.",
                "fact",
                U,
            ),
        ],
        style="none",
    ),
    Made(
        "Windows line ends",
        [
            ("<think>\r\n", "tag", Q),
            ("I need to find 1 + 5.\r\n\r\n", "problem_setup", Q),
            ("1 + 5 = 6.\r\n\r\n", "computation", S),
            ("So the answer is 6.\r\n", "final_answer", S),
            ("</think>\r\n\r\n", "tag", C),
            ("\\boxed{6}", "final_answer", C),
        ],
        reference="6",
        first=3,
    ),
    Made(
        "characters beyond the first plane and combining marks count as they are stored",
        [
            OPEN,
            ("I need to find 𝑥 🎉 in 2𝑥 = 8.\n\n", "problem_setup", Q),
            ("Cafe\u0301 first: 8 / 2 = 4 👩‍👩‍👧.\n\n", "computation", S),
            ("So the answer is 4.\n", "final_answer", S),
            CLOSE,
            ("𝑥 = \\boxed{4}", "final_answer", C),
        ],
        reference="4",
        first=3,
    ),
    Made(
        "Chinese",
        [
            OPEN,
            ("题目要求三加四的和。\n\n", "problem_setup", Q),
            ("三加四等于 3 + 4 = 7。\n\n", "computation", S),
            ("所以答案是7。", "final_answer", S),
            ("等等，让我再算一遍。\n", "uncertainty", V),
            CLOSE,
            ("答案是 \\boxed{7}。", "final_answer", C),
        ],
        reference="7",
        first=3,
        cut=(4, 5),
    ),
    Made(
        "two attempts, the second by another method",
        [
            OPEN,
            ("I need to find the sum of the first ten numbers.\n\n", "problem_setup", Q),
            ("1 + 2 + 3 + 4 = 10 is a start.\n\n", "computation", S),
            ("5 + 6 = 11.\n\n", "computation", S),
            ("Alternatively, use the formula n(n+1)/2 with n = 10.\n\n", "transition", S),
            ("10 · 11 / 2 = 55.\n\n", "computation", S),
            ("So the answer is 55.\n", "final_answer", S),
            CLOSE,
            ("\\boxed{55}", "final_answer", C),
        ],
        reference="55",
        first=6,
    ),
    Made(
        "several blocks of thoughts are one reasoning",
        [
            OPEN,
            ("I need to find 4 + 4.\n", "problem_setup", Q),
            ("</think>\n", "tag", S),
            ("One moment.\n", "fact", S),
            ("<think>\n", "tag", S),
            ("4 + 4 = 8.\n", "computation", S),
            CLOSE,
            ("The answer is 8.", "final_answer", C),
        ],
        reference="8",
        first=7,
    ),
    Made(
        "the question stands before the tag",
        [
            ("Problem: what is 3 + 3?\n", "problem_setup", Q),
            ("<think>\n", "tag", Q),
            ("3 + 3 = 6.\n", "computation", S),
            CLOSE,
            ("The answer is 6.", "final_answer", C),
        ],
        reference="6",
        first=4,
    ),
    Made(
        "no reference: exploring ends where the trace's own answer is first stated",
        [
            OPEN,
            ("I need to find 20 + 22.\n\n", "problem_setup", Q),
            ("20 + 22 = 42.\n\n", "computation", S),
            ("So the answer is 42.\n\n", "final_answer", S),
            ("Let me check that: 42 - 22 = 20.\n", "self_checking", V),
            CLOSE,
            ("\\boxed{42}", "final_answer", C),
        ],
    ),
    Made(
        "only white space before a tag",
        [
            ("\n\n", "fact", Q),
            ("<think>\n\n", "tag", Q),
            ("</think>\n\n", "tag", C),
            ("The answer is 1.", "final_answer", C),
        ],
        reference="1",
        first=3,
    ),
    Made("empty", [], style="none"),
]
