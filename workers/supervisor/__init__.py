"""One process that starts, watches and ends all parts of Whittle on this machine.

``python -m workers.supervisor`` runs everything until Ctrl-C; ``... stop`` ends a copy that runs;
``... status`` lists its parts. Imports no Django.
"""
