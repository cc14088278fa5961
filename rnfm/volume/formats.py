"""What a file is that is not NIfTI, told by its first bytes, so that a refusal can name it. Nothing of it is decoded.

We read one format, single-file NIfTI (1 and 2, plain or gzip), because its grid is stated in one way and its readers agree.
The others are refused plainly: a `.hdr/.img` pair can be parted or swapped (ANALYZE pairs also lose the orientation), and
`.mgz`, NRRD, MetaImage and MINC each carry conventions of their own that would have to be tested as NIfTI's were here.
"""

from __future__ import annotations

SIGNATURES: tuple[tuple[int, bytes, str], ...] = (  # offset, bytes there, what it is
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"PK\x05\x06", "a zip archive"),
    (0, b"\x1f\x8b", "gzip inside gzip"),  # of a compressed file, the content is looked at
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ\x00", "an xz file"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (257, b"ustar", "a tar archive"),
    (128, b"DICM", "a DICOM file"),
    (0, b"NRRD", "an NRRD file"),
    (0, b"ObjectType", "a MetaImage header"),
    (0, b"NDims", "a MetaImage header"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 or MINC file"),
    (0, b"\x00\x00\x00\x01\x00\x00", "a FreeSurfer .mgh or .mgz file"),
    (0, b"\x93NUMPY", "a NumPy file"),
    (0, b"version https://git-lfs", "a Git LFS pointer instead of the file itself"),
    (0, b"/annex/objects/", "a git-annex pointer instead of the file itself"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"<?xml", "an XML file"),
)
PAIRS = {b"ni1\0": "one half of a .hdr/.img pair", b"ni2\0": "one half of a .hdr/.img pair"}


def name_of(start: bytes) -> str | None:
    """What a file with these first bytes is, as words that follow "it is"; None where nobody knows.

    >>> name_of(b"NRRD0004")
    'an NRRD file'
    """
    return next((name for at, mark, name in SIGNATURES if start[at : at + len(mark)] == mark), None)


def name_of_magic(magic: bytes) -> str | None:
    """What a file with a header of NIfTI's size and this magic number is: half a pair, or ANALYZE with none."""
    return PAIRS.get(magic, "an ANALYZE 7.5 header, which states no orientation" if magic == b"\0\0\0\0" else None)
