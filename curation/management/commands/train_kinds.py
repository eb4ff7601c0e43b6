"""Train a classifier of kinds on labelled leaves: ``train_kinds LABELS --name N``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from curation.segmentation import training
from curation.segmentation.kinds import classify
from curation.segmentation.learned import ENCODERS, NAME, UnknownModel, encoder_of
from curation.segments import kinds_folder


class Command(BaseCommand):
    """Needs no database and no project: a classifier is a pair of files under WHITTLE_HOME."""

    help = "Train a classifier of kinds of leaf, and measure it on problems it has not seen."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("labels", type=Path, help="JSON lines, or a folder of thought-anchors")
        parser.add_argument("--name", required=True)
        parser.add_argument("--encoder", choices=ENCODERS, default="minilm")
        parser.add_argument("--test-problems", type=float, default=0.5, metavar="SHARE")
        parser.add_argument("--seed", type=int, default=0, help="which problems are for the test")
        parser.add_argument("--json", action="store_true")

    def handle(self, *_: Any, **given: Any) -> None:
        if not NAME.fullmatch(given["name"]):
            raise CommandError("a name is small letters, digits, dots and dashes", returncode=2)
        try:
            rows = training.read_labels(given["labels"])
            encode = encoder_of(given["encoder"])
            scores = self._train(rows, encode, given)
        except (training.BadLabels, UnknownModel, OSError) as error:
            raise CommandError(str(error)) from error
        if given["json"]:
            self.stdout.write(json.dumps({"name": given["name"], "scores": scores}))

    def _train(
        self, rows: list[training.Labelled], encode: Any, given: dict[str, Any]
    ) -> dict[str, Any]:
        tested = training.held_back(rows, given["test_problems"], given["seed"])
        features = training.features_of(rows, encode)
        learn = [i for i, row in enumerate(rows) if row.problem not in tested]
        test = [i for i, row in enumerate(rows) if row.problem in tested]
        model = training.train(
            [rows[i] for i in learn], given["name"], given["encoder"], encode, features[learn]
        )
        path = model.save(kinds_folder())
        self.stderr.write(f"{len(learn)} leaves learned, {len(test)} for the test; {path}")
        if not test:
            return {}
        wanted = [rows[i] for i in test]
        said = training.classify_rows(model, features[test])
        trained = training.measure(said, wanted)
        rules = training.measure([classify(row.text) for row in wanted], wanted)
        self.stderr.write(training.table(trained, rules))
        self.stderr.write(training.confusion_table(said, wanted))
        return {
            kind: {"f1": round(score.f1, 4), "rules": round(rules[kind].f1, 4), "n": score.support}
            for kind, score in trained.items()
        }
