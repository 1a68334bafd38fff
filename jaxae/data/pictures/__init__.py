"""Picture files in and out, whatever Pillow and tifffile read, with what a picture editor would keep kept."""
