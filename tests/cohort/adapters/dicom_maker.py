"""Real DICOM files, written with pydicom attribute by attribute as PS3.3 names them. Knows nothing of the adapters."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian


class DicomMaker:
    """Writes DICOM files with pydicom, attribute by attribute as PS3.3 names them. Knows nothing of the adapters.

    A series lies in patient space (LPS mm) by `origin_mm`, `across` (direction of growing column), `down` (of growing row),
    `pixel_mm` (between columns, between rows) and `gap_mm` along their cross product. Voxels are [column, row, slice].
    """

    IDENTITY: ClassVar[dict[str, str]] = {
        "PatientName": "HANSEN^GRETE",
        "PatientBirthDate": "19290417",
        "AccessionNumber": "ACC7741903",
        "InstitutionName": "Rosenhill Clinic",
        "ReferringPhysicianName": "DR^OKONKWO",
        "StationName": "ROSENHILL2",
        "DeviceSerialNumber": "SER55512",
        "ImageComments": "call HANSEN",
    }

    def series(self, folder: Path, voxels: np.ndarray, **given: Any) -> dict[str, Any]:
        """One classic MR file a slice, names in no order of position. Returns what was given and the UIDs."""
        facts = self._facts(folder, voxels, given)
        order = np.random.default_rng(5).permutation(voxels.shape[2])
        skipped = set(facts.get("skip", ()))
        for name, k in enumerate(order):
            if int(k) in skipped:
                continue
            data = self._head(facts, "1.2.840.10008.5.1.4.1.1.4", f"{facts['series']}.{k + 1}")
            data.ImagePositionPatient = [float(x) for x in self.lps(facts, (0, 0, int(k)))]
            data.ImageOrientationPatient = [float(x) for x in (*facts["across"], *facts["down"])]
            data.PixelSpacing = [facts["pixel_mm"][1], facts["pixel_mm"][0]]
            data.SliceThickness = facts["gap_mm"]
            data.InstanceNumber = int(k) + 1
            self._pixels(data, voxels[:, :, k].T)
            self._save(data, folder / f"IM{name:04d}{facts['ending']}")
        return facts

    def enhanced(self, file: Path, voxels: np.ndarray, **given: Any) -> dict[str, Any]:
        """One Enhanced MR file with a frame a slice: geometry in functional groups (PS3.3 A.36.2)."""
        facts = self._facts(file.parent, voxels, given)
        data = self._head(facts, "1.2.840.10008.5.1.4.1.1.4.1", f"{facts['series']}.1")
        shared, turn, pixel = Dataset(), Dataset(), Dataset()
        turn.ImageOrientationPatient = [float(x) for x in (*facts["across"], *facts["down"])]
        pixel.PixelSpacing, pixel.SliceThickness = [facts["pixel_mm"][1], facts["pixel_mm"][0]], facts["gap_mm"]
        shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [turn], [pixel]
        data.SharedFunctionalGroupsSequence, frames = [shared], []
        for k in range(voxels.shape[2]):
            frame, place, content = Dataset(), Dataset(), Dataset()
            place.ImagePositionPatient = [float(x) for x in self.lps(facts, (0, 0, k))]
            content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", k + 1, [1, k + 1]
            frame.PlanePositionSequence, frame.FrameContentSequence = [place], [content]
            frames.append(frame)
        data.PerFrameFunctionalGroupsSequence, data.NumberOfFrames = frames, len(frames)
        self._pixels(data, np.moveaxis(voxels, 2, 0).transpose(0, 2, 1))
        self._save(data, file)
        return facts

    def structure(self, file: Path, series: dict[str, Any], regions: dict[str, list[np.ndarray]], **given: Any) -> Path:
        """An RTSTRUCT: each region's contours are (points, 3) in LPS mm."""
        facts = {**series, **given, "modality": "RTSTRUCT"}
        data = self._head(facts, "1.2.840.10008.5.1.4.1.1.481.3", f"{facts['series']}.9{facts.get('number', 1)}")
        data.SeriesInstanceUID = f"{facts['series']}.8"
        data.StructureSetLabel, data.StructureSetDate, data.StructureSetTime = "HANSEN plan", facts["stamp"], "101112"
        referenced, study, frame = Dataset(), Dataset(), Dataset()
        referenced.SeriesInstanceUID = given.get("refers_to", series["series"])
        study.RTReferencedSeriesSequence = [referenced]
        frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = facts["frame"], [study]
        data.ReferencedFrameOfReferenceSequence = [frame]
        data.StructureSetROISequence, data.ROIContourSequence, data.RTROIObservationsSequence = [], [], []
        for number, (name, contours) in enumerate(regions.items(), 1):
            roi, drawn, seen = Dataset(), Dataset(), Dataset()
            roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, facts["frame"]
            drawn.ReferencedROINumber, drawn.ContourSequence = number, []
            for points in contours:
                contour = Dataset()
                contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
                contour.ContourData = [f"{value:.4f}" for value in points.ravel()]
                drawn.ContourSequence.append(contour)
            seen.ObservationNumber, seen.ReferencedROINumber, seen.RTROIInterpretedType = number, number, ""
            data.StructureSetROISequence.append(roi)
            data.ROIContourSequence.append(drawn)
            data.RTROIObservationsSequence.append(seen)
        self._save(data, file)
        return file

    def lps(self, facts: dict[str, Any], vox: Any) -> np.ndarray:
        """Patient position [mm] of voxel (column, row, slice): equation C.7.6.2.1-1 of PS3.3."""
        across, down = np.array(facts["across"]), np.array(facts["down"])
        i, j, k = vox
        step = np.cross(across, down) * facts["gap_mm"]
        return (
            np.array(facts["origin_mm"])
            + i * facts["pixel_mm"][0] * across
            + j * facts["pixel_mm"][1] * down
            + k * step
        )

    def ball(self, facts: dict[str, Any], centre_vox: Any, radius_mm: float) -> list[np.ndarray]:
        """Outlines (200 points each) of a ball around a voxel, in every slice that cuts it."""
        contours, turns = [], np.linspace(0, 2 * np.pi, 200, endpoint=False)
        for k in range(facts["shape"][2]):
            height_mm = (k - centre_vox[2]) * facts["gap_mm"]
            if abs(height_mm) < radius_mm:
                r = np.sqrt(radius_mm**2 - height_mm**2)
                centre = self.lps(facts, (centre_vox[0], centre_vox[1], k))
                ring = np.outer(np.cos(turns), facts["across"]) + np.outer(np.sin(turns), facts["down"])
                contours.append(centre + r * ring)
        return contours

    def _facts(self, folder: Path, voxels: np.ndarray, given: dict[str, Any]) -> dict[str, Any]:
        folder.mkdir(parents=True, exist_ok=True)
        patient, number = given.get("patient", "MRN10482230"), given.get("number", 1)
        date_, seed = (
            given.get("date", "20210304"),
            f"{given.get('patient', 'MRN10482230')}{given.get('date', '20210304')}",
        )
        study = f"1.2.826.0.1.3680043.8.498.{zlib.crc32(seed.encode())}"
        return {
            "patient": patient, "date": date_, "stamp": date_, "study": study, "series": f"{study}.{number}",
            "frame": f"{study}.77", "origin_mm": (-40.0, -30.0, -20.0), "across": (1.0, 0.0, 0.0), "down": (0.0, 1.0, 0.0),
            "pixel_mm": (4.0, 4.0), "gap_mm": 5.0, "description": "T1 MPRAGE +C", "agent": "Gadovist", "modality": "MR",
            "type": ["ORIGINAL", "PRIMARY", "M"], "acquisition": "3D", "ending": ".dcm", "maker": "SIEMENS", "tesla": 3.0,
            "age": "091Y", "shape": voxels.shape, **given,
        }  # fmt: skip

    def _head(self, facts: dict[str, Any], kind: str, instance: str) -> Any:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, instance
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = Dataset()
        data.file_meta = meta
        for name, value in self.IDENTITY.items():
            setattr(data, name, value)
        data.SOPClassUID, data.SOPInstanceUID, data.Modality = kind, instance, facts["modality"]
        data.PatientID, data.PatientAge = facts["patient"], facts["age"]
        data.StudyInstanceUID, data.SeriesInstanceUID = facts["study"], facts["series"]
        data.FrameOfReferenceUID, data.StudyDate = facts["frame"], facts["date"]
        data.SeriesDate = data.AcquisitionDate = data.ContentDate = facts["date"]
        data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = "101112"
        data.SeriesNumber, data.SeriesDescription = facts.get("number", 1), facts["description"]
        data.ProtocolName = facts.get("protocol", facts["description"])
        if facts["modality"] == "MR":
            data.ContrastBolusAgent, data.ImageType = facts["agent"], facts["type"]
            data.MRAcquisitionType, data.ScanningSequence, data.SequenceVariant = facts["acquisition"], "GR", "SP"
            data.EchoTime, data.RepetitionTime, data.FlipAngle = facts.get("te", 3.0), facts.get("tr", 1900.0), 9
            data.Manufacturer, data.MagneticFieldStrength = facts["maker"], facts["tesla"]
        return data

    def _pixels(self, data: Any, rows: np.ndarray) -> None:
        data.Rows, data.Columns = rows.shape[-2:]
        data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
        data.PixelData = np.ascontiguousarray(rows.astype("<u2")).tobytes()

    def _save(self, data: Any, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        data.save_as(file, enforce_file_format=True)
