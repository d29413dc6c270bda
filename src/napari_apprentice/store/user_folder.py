"""The user's own data folder on this computer."""

import os
from pathlib import Path

import platformdirs


def user_folder() -> Path:
    """$APPRENTICE_HOME, or the platform's user data folder; it need not be there yet."""
    home = os.environ.get("APPRENTICE_HOME")
    return Path(home or platformdirs.user_data_dir("napari-apprentice"))
