"""Clean pictures that restored ones are compared with: which belongs to which, and whether it can."""

from pathlib import Path

from jaxae.data import pair_names
from jaxae.data.pictures import files, listing
from jaxae.data.pictures.files import File
from jaxae.data.pictures.reading import Picture
from jaxae.data.pictures.scientific import Limits
from jaxae.errors import UserError


def find(reference: Path, places: dict[Path, Path], out: Path) -> tuple[dict[Path, Path], str]:
    """The clean picture of each input in `places`, and in words which inputs have none; empty where all have one.

    reference: the clean picture of a single input, or a folder in which they lie as the inputs do below `out`, called
        alike as `pair_names.match` has it.
    Raises UserError where there is none at all.
    """
    if reference.is_file():
        if len(places) != 1:
            raise UserError(f"--reference {reference} is one picture for {len(places):,} inputs: name a folder of them")
        return dict.fromkeys(places, reference), ""
    if not reference.is_dir():
        raise UserError(f"--reference {reference}: there is no such file or folder")
    clean = [file.relative_to(reference) for file in listing.list_pictures(reference).files]
    if not clean:
        raise UserError(f"--reference {reference} holds no picture that can be read")
    sources = {place.relative_to(out): source for source, place in places.items()}
    matched = pair_names.match(list(sources), clean)
    found = {sources[name]: reference / other for name, other in matched.pairs}
    lonely = [str(source) for source in places if source not in found]
    more = f" and {len(lonely) - pair_names.NAMED:,} more" if len(lonely) > pair_names.NAMED else ""
    return found, ", ".join(lonely[: pair_names.NAMED]) + more


def read(path: Path, file: File, limits: Limits | None) -> list[Picture]:
    """The pages of the clean picture `path`, of what `file` holds. Raises UserError where they are not of one shape."""
    pages = files.read(path, limits).pages
    shapes = [[page.values.shape for page in one] for one in (file.pages, pages)]
    if shapes[0] != shapes[1]:
        words = [", ".join("×".join(map(str, shape)) for shape in one) for one in shapes]
        raise UserError(f"{path}: the reference is {words[1]} (height, width, channels), and its picture {words[0]}")
    return pages
