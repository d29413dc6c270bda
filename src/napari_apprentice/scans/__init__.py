"""The only room that reads and writes scan files: nibabel and SimpleITK live here."""
