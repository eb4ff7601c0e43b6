"""docker-compose.yml says what the design says; parsed here, not run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from workers.supervisor import parts

ROOT = Path(__file__).resolve().parents[2]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "whittle"}


def words(service: dict[str, Any]) -> str:
    command = service.get("command", "")
    return command if isinstance(command, str) else " ".join(command)


def test_every_part_has_a_service_and_ours_come_from_one_image() -> None:
    assert set(OURS) == {
        *("prepare", "web", "worker", "worker-llm", "beat", "verifier", "trainer"),
    }
    assert set(SERVICES) - set(OURS) == {"db", "redis", "vllm"}
    assert SERVICES["db"]["image"].startswith("pgvector/pgvector:pg17")
    dockerfile = ROOT / OURS["web"]["build"]["dockerfile"]
    assert dockerfile.is_file()


def test_the_verifier_has_no_network_no_password_and_no_data() -> None:
    verifier = SERVICES["verifier"]
    assert verifier["network_mode"] == "none"
    assert "networks" not in verifier
    assert set(verifier["environment"]) == {"WHITTLE_HOME", "WHITTLE_VERIFIER_SOCKET"}
    assert verifier["volumes"] == ["sockets:/sockets"]
    for name in ("web", "worker", "worker-llm"):
        assert "sockets:/sockets" in SERVICES[name]["volumes"]
        told = SERVICES[name]["environment"]["WHITTLE_VERIFIER_SOCKET"]
        assert told == verifier["environment"]["WHITTLE_VERIFIER_SOCKET"]


def test_redis_keeps_its_messages_and_asks_for_a_password() -> None:
    command = words(SERVICES["redis"])
    for setting in ("--appendonly yes", "--maxmemory-policy noeviction", "--requirepass"):
        assert setting in command
    assert "redis:/data" in SERVICES["redis"]["volumes"]


def test_only_the_pages_are_published_and_only_to_this_machine() -> None:
    published = {name for name, service in SERVICES.items() if service.get("ports")}
    assert published == {"web"}
    assert SERVICES["web"]["ports"] == ["127.0.0.1:${PORT:-8000}:8000"]


def test_vllm_starts_only_with_the_gpu_profile() -> None:
    with_profile = {name: s["profiles"] for name, s in SERVICES.items() if "profiles" in s}
    assert with_profile == {"vllm": ["gpu"]}


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_module_a_service_starts_exists(name: str) -> None:
    found = re.findall(r"(?:-m|-A) (workers[.\w]*)", words(OURS[name]))
    for module in found:
        assert importlib.util.find_spec(module), module
    assert found or name == "web"


def test_the_containers_serve_the_same_queues_as_the_supervisor() -> None:
    def queues(commands: list[str]) -> set[str]:
        return {q for text in commands for q in re.findall(r"--queues (\w+)", text)}

    alone = queues([" ".join(part.command) for part in parts.all_parts()])
    assert queues([words(service) for service in OURS.values()]) == alone


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"prepare", "beat", "trainer"}))
def test_what_others_wait_for_says_whether_it_is_well(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "SECRET_KEY"):
        assert set(re.findall(rf"\$\{{{name}(.)", text)) == {":"}
        assert not re.findall(rf"\$\{{{name}:-", text)
