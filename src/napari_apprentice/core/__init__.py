"""Numpy only: the nouns of the loop and the arithmetic on them. No files, no windows, no torch."""
