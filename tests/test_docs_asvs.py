"""docs/asvs.md and docs/security.md name what is there and count right; and two of their rows."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.test import Client, override_settings

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PASS, FAIL, NONE = "pass", "fail", "not applicable"
ROW = re.compile(
    r"^\| (\d+\.\d+\.\d+) \| ([12]) \| (.+?) \| (pass|fail|not applicable) \| (.+) \|$"
)
SUM = re.compile(r"^\| (.+?) \| (\d+) \| (\d+) \| (\d+) \| (.+?) \|$")
Rows = list[tuple[str, str, str, str]]  # id, level, result, evidence


def table() -> dict[str, Rows]:
    """The rows under each chapter's heading."""
    found: dict[str, Rows] = {}
    for line in (DOCS / "asvs.md").read_text().splitlines():
        if line.startswith("## V"):
            rows = found.setdefault(line.removeprefix("## "), [])
        elif match := ROW.match(line):
            rows.append((match[1], match[2], match[4], match[5]))
        elif re.match(r"\| \d", line):
            pytest.fail(f"a row that is none: {line}")
    return found


def counted(rows: Rows) -> tuple[int, int, int, str]:
    applicable = sum(result != NONE for _, _, result, _ in rows)
    passed = sum(result == PASS for _, _, result, _ in rows)
    share = f"{100 * passed / applicable:.0f} %" if applicable else "–"
    return len(rows), applicable, passed, share


def test_the_summary_counts_the_rows() -> None:
    chapters = table()
    every = [row for rows in chapters.values() for row in rows]
    expected = {name: counted(rows) for name, rows in chapters.items()}
    expected["**level 1**"] = counted([row for row in every if row[1] == "1"])
    expected["**all**"] = counted(every)
    lines = (DOCS / "asvs.md").read_text().splitlines()
    told = {
        match[1]: (int(match[2]), int(match[3]), int(match[4]), match[5])
        for line in lines
        if (match := SUM.match(line))
    }
    assert told == expected


def test_each_requirement_of_levels_1_and_2_has_one_row() -> None:
    ids = [row[0] for rows in table().values() for row in rows]
    assert len(ids) == len(set(ids)) == 253
    for chapter, rows in table().items():
        number = chapter.split()[0].removeprefix("V")
        assert all(row[0].split(".")[0] == number for row in rows), chapter


def defines(path: Path, name: str) -> bool:
    """Whether a function, class or value of this name is made in the file."""
    made = rf"^\s*(?:(?:async )?def {name}\(|class {name}\b|{name}(?:: [^=]+)? = )"
    return re.search(made, path.read_text(), re.M) is not None


def missing(evidence: str) -> list[str]:
    """What a text names in backticks as ``file`` or ``file::name`` and is not there."""
    wrong = []
    for named in re.findall(r"`([^`]+)`", evidence):
        file, _, name = named.partition("::")
        if not name and not (re.fullmatch(r"[\w./-]+\.(py|js|html|md|toml|lock|yml)", named)):
            continue
        path = ROOT / file
        if not path.is_file() or (name and not defines(path, name)):
            wrong.append(named)
    return wrong


def test_what_shows_a_requirement_exists() -> None:
    rows = [row for rows in table().values() for row in rows]
    assert {row[0]: missing(row[3]) for row in rows if missing(row[3])} == {}


def test_a_name_that_is_not_there_is_found() -> None:
    assert missing("`curation/access.py::require` and `curation/nothing.py`") == [
        "curation/nothing.py"
    ]
    assert missing("`curation/access.py::nothing_of_the_kind`") != []


def test_each_link_leads_to_a_heading() -> None:
    heads = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in (DOCS / "security.md").read_text().splitlines()
        if line.startswith("#")
    }
    for name in ("asvs.md", "security.md"):
        text = (DOCS / name).read_text()
        links = re.findall(r"\]\((?:security\.md)?#([^)]+)\)", text)
        assert links and set(links) <= heads, set(links) - heads


def test_security_md_names_tests_and_settings_that_exist() -> None:
    text = (DOCS / "security.md").read_text()
    tests = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    for pattern in re.findall(r"`(test_[\w*]+\.py)`", text):
        assert fnmatch.filter(tests, pattern), pattern
    functions = "\n".join(tests.values())
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in functions, name
    code = "".join(p.read_text() for f in ("curation", "workers") for p in (ROOT / f).rglob("*.py"))
    for name in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=\w+)?`", text):
        # A worker's variable is put together from its queue's name.
        parts = ["WHITTLE_WORKERS_"] if name.startswith("WHITTLE_WORKERS_") else [name]
        assert parts[0] in code, name


@pytest.mark.django_db
def test_a_new_signing_key_ends_every_session() -> None:
    client = Client()
    client.force_login(get_user_model().objects.create_user("someone"))
    assert client.get("/").status_code == 200
    with override_settings(SECRET_KEY="another" * 8):
        assert client.get("/").status_code == 302


def test_the_image_holds_no_history_and_no_secrets() -> None:
    patterns = [
        line.removeprefix("**/")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert not any(line.startswith("!") for line in patterns)  # nothing is taken back in

    def left_out(name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    assert all(map(left_out, [".git", ".env", ".env.local", ".whittle", ".venv", "tests"]))
    needed = ["curation", "reviews", "workers", "templates", "static", "manage.py"]
    assert not any(map(left_out, [*needed, "pyproject.toml", "requirements.lock"]))
    assert "COPY . ." in (ROOT / "workers/docker/Dockerfile").read_text()
