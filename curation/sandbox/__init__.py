"""The sandbox for code that models wrote, its self-test, and the client of the verifier service."""
