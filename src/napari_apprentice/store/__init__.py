"""The only room that imports zarr: everything that survives a restart."""
