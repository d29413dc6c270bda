"""The only room that imports napari and Qt."""
