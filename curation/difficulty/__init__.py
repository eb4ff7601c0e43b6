"""Difficulty: how often a named model, with named sampling, solves a problem."""
