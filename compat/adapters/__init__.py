"""Adapters: the few lines that make a library an implementation, one small file each."""
