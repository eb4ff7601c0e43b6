"""Readers and adapters: files of any of the known shapes become neutral records. Pure."""
