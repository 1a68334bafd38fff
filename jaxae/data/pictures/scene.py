"""The metadata of the scene, which is copied to another file: dates, place, camera, resolution, color profile.

Metadata of the storage (size, compression, palette, offsets) is not copied: the new file has its own.
"""

from pathlib import Path
from typing import Any

_EXIF_BLOCK, _GPS_BLOCK, _DESCRIPTION, _RESOLUTION = 0x8769, 0x8825, 270, (282, 283, 296)
# TIFF 6.0, EXIF 2.32 and GeoTIFF 1.1: name, description, make, model, page, resolution, software, date, artist, host,
# rating, copyright, Windows' texts, coordinates and what they are measured in
_PLAIN = 269, 270, 271, 272, 285, *_RESOLUTION, 297, 305, 306, 315, 316, 18246, 33432, *range(40091, 40096)
_SCENE = *_PLAIN, 33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113
_OF_STORAGE = {0xA002, 0xA003, 0xA005}  # in the EXIF block: width, height, and a block of its own
_JPEG_ROOM = 65_533 - 2  # bytes of EXIF that a JPEG has room for


def metadata(image: Any, path: Path, notes: list[str]) -> dict[str, Any]:
    """The metadata of the scene, as arguments of Pillow's `save`.

    Args:
        image: The picture as opened by Pillow; None for a TIFF that Pillow does not open.
        path: Its file.
        notes: Receives a line for each value that is left out, because it cannot be written.
    """
    from PIL import Image

    kept: dict[str, Any] = {}
    try:
        exif = Image.Exif() if image is None else image.getexif()
        if image is None:
            exif.load(path.read_bytes())
        exif = _clean(exif, notes)
    except Exception:  # whatever Pillow makes of broken EXIF, which is no reason to refuse the pixels
        notes.append("broken EXIF is left out")
    else:
        if len(exif):
            kept["exif"] = exif.tobytes()
    if image is None:
        return kept
    if profile := image.info.get("icc_profile"):
        kept["icc_profile"] = profile
    if image.format != "TIFF" and _is_resolution(image.info.get("dpi")):
        kept["dpi"] = tuple(float(value) for value in image.info["dpi"])
    if image.format in ("JPEG", "MPO") and len(kept.get("exif", b"")) > _JPEG_ROOM:
        del kept["exif"]
        notes.append("more EXIF than a JPEG has room for is left out")
    return kept


def _is_resolution(dpi: Any) -> bool:
    try:
        return len(dpi) == 2 and all(0 < float(value) < 65_536 for value in dpi)
    except (TypeError, ValueError, ArithmeticError):
        return False


def _clean(exif: Any, notes: list[str]) -> Any:
    """A new EXIF with the sound values of the scene."""
    from PIL import ExifTags, Image

    def made_of(values: dict[int, Any]) -> Any:
        made = Image.Exif()
        for tag, value in values.items():
            made[tag] = value
        return made

    def sound(values: dict[int, Any], names: dict[int, str], block: int | None) -> dict[int, Any]:
        kept = {}
        for tag, value in values.items():
            try:
                Image.Exif().load(made_of({tag: value} if block is None else {block: {tag: value}}).tobytes())
                kept[tag] = value
            except Exception:  # as above
                notes.append(f"an odd EXIF value, {names.get(tag, f'tag {tag}')}, is left out")
        return kept

    clean = sound({tag: exif[tag] for tag in _SCENE if tag in exif}, ExifTags.TAGS, None)
    if str(clean.get(_DESCRIPTION)).startswith('{"shape":'):  # tifffile's own note on the storage
        del clean[_DESCRIPTION]
    if not {282, 283} <= set(clean):  # one number of a resolution alone says nothing
        clean = {tag: value for tag, value in clean.items() if tag not in _RESOLUTION}
    for block, names in ((_EXIF_BLOCK, ExifTags.TAGS), (_GPS_BLOCK, ExifTags.GPSTAGS)):
        values = {tag: value for tag, value in exif.get_ifd(block).items() if tag not in _OF_STORAGE}
        if values := sound(values, names, block):
            clean[block] = values
    return made_of(clean)


def simple_tags(metadata: dict[str, Any]) -> tuple[dict[int, Any], bool]:
    """The texts and the resolution among the EXIF of `metadata`, and whether it has nothing else."""
    from PIL import Image

    exif = Image.Exif()
    exif.load(metadata.get("exif", b""))
    simple = {tag: value for tag, value in exif.items() if isinstance(value, str) or tag in _RESOLUTION}
    return simple, len(simple) == len(exif)
