"""Judges: prompts as versioned objects, fenced data, votes, step review, rankings. Pure."""
