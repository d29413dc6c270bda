"""Keep napari alive when a layer is removed.

napari 0.9 frees the OpenGL objects of a removed layer at once, whichever OpenGL context is current.
Outside of a redraw that is mostly Qt's own, with which it composes the window. It shares its objects
with the canvas's: they are deleted there, while the canvas's context still has them bound, and the
next frame draws from freed memory, which ends the program (8 of 8 times under Mesa 22.3's software
OpenGL; napari's issues 6472 and 8471 have the same fault on Windows).
"""

from typing import Any


def free_layers_in_the_canvas_context(viewer: Any) -> None:
    """Make the context of a viewer's canvas current before any of its layers is removed."""
    # napari offers no public way to its canvas.
    canvas = viewer.window._qt_viewer.canvas._scene_canvas
    viewer.layers.events.removing.connect(lambda _: canvas.set_current())
