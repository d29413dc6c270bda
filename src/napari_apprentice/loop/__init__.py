"""The verbs of the loop, each composed from scans, store and learn; nothing here knows a window."""
