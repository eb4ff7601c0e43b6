"""Made traces that no rule was tuned on: written down with their trees before the rules saw them.

``benchmarks/boundaries.py`` measures on them; where the rules miss, the traces stay as they are and
the rules are not bent to them. (leaf, part of the tree) pairs; joined, the leaves are the text. A
new attempt is marked by its name behind the part.
"""

from __future__ import annotations

from tests.curation.made_trace import C, Q, S, U, V

Unseen = tuple[str, str, list[tuple[str, str]]]
S1, S2, V1, V2 = f"{S}/Solution 1", f"{S}/Solution 2", f"{V}/Check 1", f"{V}/Check 2"

UNSEEN: list[Unseen] = [
    (
        "a long multiplication done twice",
        "1428",
        [
            ("<think>\n", Q),
            ("Alright, the task is to multiply 34 by 42.\n\n", Q),
            ("I can break 42 into 40 and 2.\n\n", U),
            ("34 * 40 = 1360.\n\n", S1),
            ("34 * 2 = 68.\n\n", S1),
            ("Adding, 1360 + 68 = 1428.\n\n", S1),
            ("Let me see whether that is plausible: 30 * 40 is 1200 and 35 * 42 is 1470.\n\n", V1),
            ("1428 lies between, good.\n\n", V1),
            ("So the product is 1428.\n", C),
            ("</think>\n\n", C),
            ("34 times 42 is \\boxed{1428}.", C),
        ],
    ),
    (
        "a false start by guessing, then algebra",
        "6",
        [
            ("<think>\n", Q),
            ("The problem asks for the positive number whose square is twice its triple.\n\n", Q),
            ("Let x be that number.\n\n", U),
            ("Guess x = 3: 9 against 18, no.\n\n", S1),
            ("Guess x = 5: 25 against 30, no.\n\n", S1),
            ("Alternatively, write x^2 = 6x.\n\n", S2),
            ("Divide by x, which is not zero: x = 6.\n\n", S2),
            ("Check: 36 = 6 * 6. ", V1),
            ("Good.\n\n", V1),
            ("The answer is 6.\n", C),
            ("</think>\n\n", C),
            ("\\boxed{6}", C),
        ],
    ),
    (
        "a list of cases without tags",
        "3",
        [
            (
                "We want the number of ways to write 4 as an ordered sum of two numbers.\n\n",
                Q,
            ),
            (
                "The first part can be:\n- 1, then the other is 3\n- 2, then the other is 2\n"
                "- 3, then the other is 1\n\n",
                S1,
            ),
            ("That makes three ways.\n\n", S1),
            ("**Answer: 3**", C),
        ],
    ),
    (
        "code in the middle",
        "55",
        [
            ("<think>\n", Q),
            ("I have to add the numbers from 1 to 10.\n\n", Q),
            ("A loop would do it:\n\n", S1),
            ("```python\ntotal = 0\n\nfor n in range(1, 11):\n    total += n\n```\n\n", S1),
            ("It prints 55.\n\n", S1),
            ("By the formula, 10 * 11 / 2 = 55.\n\n", V1),
            ("Both agree.\n", V1),
            ("</think>\n\n", C),
            ("The sum is \\boxed{55}.", C),
        ],
    ),
    (
        "display maths over blank lines",
        "4",
        [
            ("<think>\n", Q),
            ("Find the larger root of x^2 - 5x + 4.\n\n", Q),
            (
                "By the quadratic formula\n\\[\nx = \\frac{5 \\pm \\sqrt{25 - 16}}{2}\n\n"
                "= \\frac{5 \\pm 3}{2}.\n\\]\n",
                S1,
            ),
            ("So the roots are 4 and 1.\n\n", S1),
            ("The larger one is 4.\n\n", S1),
            ("Hmm, does 4 really work? 16 - 20 + 4 = 0. Yes.\n", V1),
            ("</think>\n\n", C),
            ("\\boxed{4}", C),
        ],
    ),
    (
        "a Chinese trace that thinks again",
        "12",
        [
            ("<think>\n", Q),
            ("题目要求计算三个四相加。\n\n", Q),
            ("4 + 4 + 4 = 12。\n\n", S1),
            ("所以答案是12。\n\n", S1),
            ("等等，我再检查一遍：3 × 4 = 12。\n\n", V1),
            ("没有问题。\n", V1),
            ("</think>\n\n", C),
            ("答案是 \\boxed{12}。", C),
        ],
    ),
    (
        "two checks of an early answer",
        "7/12",
        [
            ("<|begin_of_thought|>\n\n", Q),
            ("What is 1/3 plus 1/4?\n\n", Q),
            ("The common denominator is 12, so 4/12 + 3/12 = 7/12.\n\n", S1),
            ("Wait, let me make sure the denominators are right. ", V1),
            ("12 is the least common multiple of 3 and 4.\n\n", V1),
            ("Alternatively, use decimals: 0.3333 + 0.25 = 0.5833, and 7/12 is 0.5833.\n\n", V2),
            ("Therefore the sum is 7/12.\n\n", C),
            ("<|end_of_thought|>\n\n<|begin_of_solution|>\n\n", C),
            ("\\boxed{\\frac{7}{12}}\n\n", C),
            ("<|end_of_solution|>", C),
        ],
    ),
    (
        "a paragraph that turns twice",
        "9",
        [
            ("<think>\n", Q),
            ("How many digits has 2 to the 27th?\n\n", Q),
            ("log10(2) is about 0.301. ", S1),
            ("Hmm, 27 * 0.301 = 8.127. ", S1),
            ("So there are 8 + 1 = 9 digits.\n\n", S1),
            ("Hold on, is it floor plus one? ", V1),
            ("Yes: 10 has log 1 and two digits.\n", V1),
            ("</think>\n\n", C),
            ("It has \\boxed{9} digits.", C),
        ],
    ),
]
