"""The one way in which a scan can be refused: a reason of the ledger, a detail for people, and the mend for that reason.

`prepare` writes `reason` and `detail` into the quarantine ledger; a command line prints the whole sentence. The detail
never names a file, a patient or a date; the thing may (it is what the caller gave), and `prepare` replaces it by a code.
"""

from __future__ import annotations

from rnfm.core.errors import DataError
from rnfm.core.ledger import Reason

MENDS = {
    Reason.MISSING_FILE: "Check that the disk is mounted and the path is right",
    Reason.UNREADABLE: "Convert it to one NIfTI file (.nii or .nii.gz)",
    Reason.CORRUPT: "Copy it again from its source and compare checksums",
    Reason.TOO_LARGE: "Give a plain 3-D scan at its scanner resolution",
    Reason.NOT_3D: "Give one 3-D volume: split time series, leave out localisers and single slices",
    Reason.BAD_DTYPE: "Convert it to an integer or floating-point image",
    Reason.NO_ORIENTATION: "Convert it again from DICOM, so that its header states the orientation",
    Reason.BAD_AFFINE: "Convert it again from DICOM, so that its header holds a valid orientation",
    Reason.NOT_FINITE: "Replace NaN and infinite values where they arise",
    Reason.CONSTANT: "Give a scan that holds an image",
    Reason.MASK_UNREADABLE: "Write the mask again as an integer image on the grid of its scan",
    Reason.MASK_GEOMETRY: "Resample the mask to the grid of its scan",
    Reason.MASK_EMPTY: "Leave the mask out, or draw the lesion",
    Reason.DUPLICATE: "Leave one of them out",
    Reason.BRAIN_FAILED: "Give a brain mask on the grid of its scan, or run the program on it by hand",
    Reason.BIAS_FAILED: "Give the scan as the scanner wrote it, or leave out --bias.rule",
}


class ScanFault(DataError):
    """A scan or its mask cannot be used: `reason` (word of the ledger), `detail` (without any name); exit code 3."""

    def __init__(self, reason: Reason, detail: str, thing: object = "the scan") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(thing, detail, MENDS[reason])

    def __reduce__(self) -> tuple[type[ScanFault], tuple[Reason, str, str]]:
        return type(self), (self.reason, self.detail, self.thing)

    def of(self, thing: object) -> ScanFault:
        """The same fault, said of `thing`."""
        return ScanFault(self.reason, self.detail, thing)

    def of_mask(self, thing: object) -> ScanFault:
        """The same fault said of a scan whose mask has it, under the reason for masks."""
        if self.reason in (Reason.NO_ORIENTATION, Reason.BAD_AFFINE):
            reason = Reason.MASK_GEOMETRY
        elif self.reason in (Reason.MISSING_FILE, Reason.MASK_EMPTY, Reason.MASK_GEOMETRY):
            reason = self.reason
        else:
            reason = Reason.MASK_UNREADABLE
        return ScanFault(reason, said_of("its mask", self.detail), thing)


def said_of(part: str, detail: str) -> str:
    """The detail with another subject.

    >>> said_of("its mask", "it ends within its header"), said_of("its mask", "no voxel is set")
    ('its mask ends within its header', 'its mask: no voxel is set')
    """
    return f"{part} {detail.removeprefix('it ')}" if detail.startswith("it ") else f"{part}: {detail}"
