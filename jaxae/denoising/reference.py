"""The clean pictures that restored ones are compared with."""

from pathlib import Path

from jaxae.data import pair_names
from jaxae.data.pictures import files, listing
from jaxae.data.pictures.files import PictureFile
from jaxae.data.pictures.picture import Picture, ValueRange
from jaxae.errors import UserError


def find_references(reference: Path, places: dict[Path, Path], out: Path) -> dict[Path, Path]:
    """Return the clean picture of each input that has one.

    Args:
        reference: the clean picture of a single input, or a folder with the same names as `out`, matched as by
            `pair_names.match`.
        places: the output of each input, below `out`.
        out: the output folder.

    Raises:
        UserError: if no input has one.
    """
    if reference.is_file():
        if len(places) != 1:
            raise UserError(f"`reference` {reference} is one picture for {len(places):,} inputs: name a folder of them")
        return dict.fromkeys(places, reference)
    clean = [file.relative_to(reference) for file in listing.list_pictures(reference)[0]]
    sources = {place.relative_to(out): source for source, place in places.items()}
    return {sources[name]: reference / other for name, other in pair_names.match(list(sources), clean).pairs}


def read_reference(path: Path, file: PictureFile, value_range: ValueRange | None) -> list[Picture]:
    """Return the pages of the clean picture `path`, with black and white as in `file` if both have values of one type.

    Raises:
        UserError: if they do not have the shapes of those of `file`.
    """
    pages = files.read_picture(path, value_range).pages
    if pages[0].values.dtype == file.pages[0].values.dtype:
        pages = [page._replace(value_range=file.pages[0].value_range) for page in pages]
    shapes = [", ".join("×".join(map(str, page.values.shape)) for page in each) for each in (file.pages, pages)]
    if shapes[0] != shapes[1]:
        raise UserError(f"{path}: the reference is {shapes[1]} (height, width, channels), and its picture {shapes[0]}")
    return pages
