"""The weights that ship: `NAME.safetensors` for each name that `jaxae.load` takes, with a model card, `NAME.md`.

`python -m jaxae.weights RUN_DIR FILE.safetensors` writes such a file.
"""
