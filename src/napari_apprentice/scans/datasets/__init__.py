"""Folders and whole data sets: what is a case, who is its subject, where is its label map."""
