"""Judging: models asked about traces, their votes kept, verdicts made from votes."""
