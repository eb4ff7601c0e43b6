"""Serves the demo teacher (or any tiny local model) as an OpenAI-compatible endpoint on the CPU.

This is the server of ``transformers serve`` with continuous batching, put together here from its
own parts for three reasons: its continuous batching takes temperature and top_p from the first
request and silently keeps them for all later ones; it silently ignores fields it cannot honour
(``n``, ``logprobs``, ``response_format``, ``stop``); and on a CPU it would take 60 % of the memory
for its cache. Here temperature and top_p count per request, what cannot be honoured is refused with
422, and the cache is small. Nothing is ever fetched: the model is a local folder.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import threading
import urllib.request
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from workers.demo_teacher.gate import Gate

MODEL_NAME = "demo-teacher"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
# Tokens the cache holds: pages of 64 tokens, enough for 64 answers of 512 tokens at once.
PAGE_SIZE, PAGES = 64, 512
MAX_BATCH_TOKENS, MAX_BATCH_REQUESTS = 1024, 64
# Greedy decoding cannot be chosen per request; at this temperature no second choice is ever drawn.
COLDEST = 1e-3
GRACE_SECONDS = 3

_sampling: ContextVar[dict[str, float]] = ContextVar("sampling")


def request_sampling(temperature: float | None, top_p: float | None) -> dict[str, float]:
    """What the batch's processors take per request; missing values mean 1.0, as with OpenAI."""
    heat = 1.0 if temperature is None else float(temperature)
    share = 1.0 if top_p is None else float(top_p)
    return {"temperature": max(heat, COLDEST), "top_p": min(max(share, 0.0), 1.0)}


def _generation_state() -> Any:
    """transformers' generation state with a batching manager that samples per request."""
    from transformers import ContinuousBatchingConfig
    from transformers.cli.serving.utils import CBGenerateManager, GenerationState

    config = ContinuousBatchingConfig(
        page_size=PAGE_SIZE,
        num_blocks=PAGES,
        max_batch_tokens=MAX_BATCH_TOKENS,
        max_requests_per_batch=MAX_BATCH_REQUESTS,
        per_request_processors=True,
        allow_block_sharing=False,
    )

    class PerRequestManager(CBGenerateManager):
        def init_cb(self, model: Any, gen_config: Any) -> None:
            _sampling.set(request_sampling(gen_config.temperature, gen_config.top_p))
            if self._cb is None:
                # Values other than 1.0, or the batch would be built without these processors.
                gen_config.update(do_sample=True, temperature=0.8, top_p=0.99, top_k=None)
                super().init_cb(model, gen_config)
                batching: Any = self._cb
                self._add = batching.add_request
                batching.add_request = self._add_request

        def _add_request(self, input_ids: list[int], **given: Any) -> Any:
            return self._add(input_ids, **given, **_sampling.get())

    class State(GenerationState):
        def get_manager(self, model_id: str, use_cb: bool = False) -> Any:
            if use_cb and self._cb_manager is None:
                self._cb_manager = PerRequestManager(cb_config=config)
                self._cb_model_id = model_id
            return super().get_manager(model_id, use_cb)

    return State(continuous_batching=True, cb_config=config)


def build_app(name: str) -> tuple[Any, Any]:
    """(ASGI app, generation state) of the model in the folder ``name`` of the current one."""
    from transformers.cli.serving.chat_completion import ChatCompletionHandler
    from transformers.cli.serving.completion import CompletionHandler
    from transformers.cli.serving.model_manager import ModelManager
    from transformers.cli.serving.response import ResponseHandler
    from transformers.cli.serving.server import build_server
    from transformers.cli.serving.systemone import SystemOneHandler
    from transformers.cli.serving.transcription import TranscriptionHandler

    manager = ModelManager(
        device="cpu", dtype="float32", continuous_batching=True, force_model=name
    )
    state = _generation_state()
    parts = {"model_manager": manager, "generation_state": state}
    app = build_server(
        manager,
        ChatCompletionHandler(**parts),
        completion_handler=CompletionHandler(**parts),
        response_handler=ResponseHandler(**parts),
        transcription_handler=TranscriptionHandler(manager, state),
        systemone_handler=SystemOneHandler(**parts),
        generation_state=state,
    )
    return app, state


def serve(model: Path, port: int, *, host: str, name: str, port_file: Path | None) -> None:
    """Serve ``model`` under ``name`` until SIGTERM or SIGINT; prints a line when it is ready.

    Port 0 takes a free port. ``port_file`` gets the port as text once the model answers.
    Raises FileNotFoundError when the folder holds no model.
    """
    if not (model / "config.json").is_file():
        raise FileNotFoundError(f"no model in {model}")
    os.environ.update(OFFLINE)
    import torch
    import uvicorn

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    listener = socket.create_server((host, port))
    address = f"http://{host}:{listener.getsockname()[1]}"
    with tempfile.TemporaryDirectory(prefix="whittle-model-") as folder:
        # The server calls a model by the path it was given: a link makes that path the plain name.
        (Path(folder) / name).symlink_to(model.resolve())
        os.chdir(folder)
        app, state = build_app(name)
        threading.Thread(target=_announce, args=(address, name, port_file), daemon=True).start()
        config = uvicorn.Config(
            Gate(app, name), log_level="warning", timeout_graceful_shutdown=GRACE_SECONDS
        )
        # uvicorn raises the signal that ended it again: by default that would kill this process.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        uvicorn.Server(config).run(sockets=[listener])
        os.chdir("/")
        state.shutdown()
    sys.stdout.flush()
    os._exit(0)  # a batching thread in the middle of a step would keep the process alive


def _announce(address: str, name: str, port_file: Path | None) -> None:
    """Ask for one token, which starts the batching; then say that the server is ready."""
    body = {"model": name, "messages": [{"role": "user", "content": "What is 2 + 2?"}]}
    request = urllib.request.Request(  # noqa: S310 our own address
        f"{address}/v1/chat/completions",
        data=json.dumps({**body, "max_tokens": 1}).encode(),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=300) as answer:
        answer.read()
    if port_file is not None:
        port_file.write_text(address.rsplit(":", 1)[1])
    print(f"{name} ready on {address}/v1", flush=True)
