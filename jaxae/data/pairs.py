"""Pairs of noisy and clean pictures as a data set: pieces of both from the same places, as they are."""

from pathlib import Path

from jaxae import files
from jaxae.data import pair_names
from jaxae.data.dataset import Options, source
from jaxae.data.folder import PictureDataset
from jaxae.data.pictures.listing import list_pictures
from jaxae.errors import UserError


@source("pairs")
class PairsDataset(PictureDataset):
    """Noisy pictures and clean ones of the same names, `pairs:NOISY,CLEAN`.

    Pictures are read as those of a folder, but never resized: each pair gives pieces that fill it. The paths of the
    noisy files split and label them. A warning names what is left out: files without a partner, and pairs that differ
    in size.

    Attributes:
        folder: The folder of the noisy pictures.
    """

    has_pairs = True

    def __init__(self, path: str, options: Options):
        super().__init__(path, options)
        folders = [Path(part) for part in _parts(path)]
        noisy, clean = ([file.relative_to(each) for file in list_pictures(each)[0]] for each in folders)
        if folders[0].resolve() == folders[1].resolve():
            raise UserError(f"{self.name} names one folder twice: the noisy pictures and the clean ones need one each")
        matched = pair_names.match(noisy, clean)
        self.folder = folders[0]
        self.inputs = {str(one): [folders[1] / other, folders[0] / one] for one, other in matched.pairs}
        self._how = matched.how
        if matched.alone:
            self.left_out = f"left out, without a partner of the same name: {files.name_some(matched.alone)}"

    @classmethod
    def absolute(cls, path: str) -> str:
        """The two paths, both absolute."""
        return ",".join(super(PairsDataset, cls).absolute(part) for part in _parts(path))

    @property
    def description(self) -> str:
        """How the files are matched and split."""
        return f"{len(self.inputs):,} pairs matched by name{self._how}; {super().description}"


def _parts(path: str) -> list[str]:
    parts = path.split(",")
    if len(parts) != 2 or not all(parts):
        raise UserError(f"pairs:{path} names no two folders: give pairs:NOISY,CLEAN, with no comma in either name")
    return parts
