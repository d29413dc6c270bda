"""DICOM series as scans, and privacy at the door."""
