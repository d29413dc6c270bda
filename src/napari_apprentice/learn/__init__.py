"""The only room that imports torch and monai; it runs in processes of its own."""
