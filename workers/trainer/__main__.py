"""``python -m workers.trainer``: trains the runs of a Whittle server."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

EXIT = {"done": 0, "failed": 1, "cancelled": 3}
TAKEN = 4
# Nothing is fetched unless --allow-hub says so: a missing file must fail at once, not hang.
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m workers.trainer", description=__doc__)
    made.add_argument("--url", required=True, help="where Whittle answers, http://host:port")
    made.add_argument("--token", default=os.environ.get("WHITTLE_TOKEN", ""))
    made.add_argument("--work", type=Path, default=None, help="folder for exports and students")
    made.add_argument("--allow-hub", action="store_true", help="base models may come from a hub")
    which = made.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", help="id of the run to train")
    which.add_argument("--poll", type=float, metavar="SECONDS", help="train whatever is queued")
    return made


def work_folder(given: Path | None) -> Path:
    """The folder given, or ``trainer`` in the state folder."""
    home = Path(os.environ.get("WHITTLE_HOME") or ".whittle")
    return (given or home / "trainer").resolve()


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code of docs/training.md."""
    args = parser().parse_args(argv)
    if not args.token:
        print("a token is needed: --token or WHITTLE_TOKEN", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if not args.allow_hub:
        os.environ.update(OFFLINE)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _poll(args) if args.run is None else _train(args, args.run)
    except KeyboardInterrupt:
        return 130


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _train(args: argparse.Namespace, run_id: str) -> int:
    from workers.trainer.client import Taken, TrainingClient
    from workers.trainer.runner import TrainingJob

    client = TrainingClient(args.url, args.token)
    try:
        job = TrainingJob(client, run_id, work_folder(args.work), allow_hub=args.allow_hub)
        return EXIT[job.execute()]
    except Taken as error:
        print(f"not ours: {error}", file=sys.stderr)
        return TAKEN
    finally:
        client.close()


def _poll(args: argparse.Namespace) -> int:
    """Take runs until interrupted; a server that is down is asked again.

    A running run is taken too if its trainer fell silent: the server says so by not refusing.
    """
    from workers.trainer.client import TrainingClient

    while True:
        client = TrainingClient(args.url, args.token)
        try:
            runs = client.open_runs()
        except Exception as error:
            print(f"cannot ask for runs: {error}", file=sys.stderr)
            runs = []
        finally:
            client.close()
        for run in runs:
            _train(args, str(run["id"]))
        time.sleep(args.poll)


if __name__ == "__main__":
    sys.exit(main())
