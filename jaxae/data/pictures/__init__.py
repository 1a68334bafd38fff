"""Picture files read and written, in any format that Pillow or tifffile reads. Metadata is kept."""
