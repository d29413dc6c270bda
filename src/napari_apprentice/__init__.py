"""Apprentice: a segmentation model that learns from the person who corrects it."""

__version__ = "0.1.0"
