"""Small trees of every public layout, with the names and label conventions as they are published.

Nothing here comes from the adapters: names are spelt out scan by scan, and what each scan must become stands beside it.
A volume is a noisy ellipsoid (a head of 120 mm) and, in its mask, a cube of 27 voxels for every value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np

SHAPE_VOX, SPACING_MM, CUBE_VOXELS = (26, 28, 24), 5.0, 27
BRATS = ("t1n", "t2w", "t2f")


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One scan as it lies in the tree, and what must be read from it."""

    image: str
    patient: str
    name: str
    mask: str | None = None
    values: tuple[int, ...] = ()  # that the mask holds
    lesion: tuple[int, ...] = ()  # of them, those that count as lesion
    day: int | None = None
    age: float | None = None
    sex: str | None = None
    stray: bool = False


@dataclass(frozen=True, kw_only=True)
class Tree:
    """`folder`: the top folder's own name. `others`: files of other sequences. `secrets`: what no output may hold.

    A secret holds a letter beyond f or a sign, since digests and codes are full of every other short word.
    """

    folder: str
    namespace: str
    scans: tuple[Scan, ...]
    secrets: tuple[str, ...]
    others: tuple[str, ...] = ()
    tables: dict[str, str] = field(default_factory=dict)
    says: tuple[str, ...] = ()  # sentences of the summary

    def write(self, parent: Path, *, only: Callable[[str], bool] = lambda _name: True) -> Path:
        """The tree under `parent`, files for whose path `only` is true; its top folder is returned."""
        root = parent / self.folder
        root.mkdir(parents=True)
        for number, scan in enumerate(self.scans):
            if only(scan.image):
                write_nifti(root / scan.image, head(number, cubes(scan.values) > 0))
            if scan.mask and only(scan.mask):
                write_nifti(root / scan.mask, cubes(scan.values))
        for number, name in enumerate(self.others):
            if only(name):
                write_nifti(root / name, head(1000 + number))
        for name, text in self.tables.items():
            (root / name).write_text(text)
        return root


def write_nifti(path: Path, voxels: np.ndarray) -> None:
    """LPS axes, as most of these data sets have; both forms set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = 60, 65, -58
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_sform(affine, code=1)
    image.header.set_qform(affine, code=1)
    nibabel.save(image, path)


def head(seed: int, bright: np.ndarray | None = None) -> np.ndarray:
    """A head of its own for each seed: noise of 5% in an ellipsoid, air around it, lesions twice as bright as tissue."""
    rng = np.random.default_rng(seed)
    where = np.stack(np.meshgrid(*(np.linspace(-1.2, 1.2, n) for n in SHAPE_VOX), indexing="ij"))
    inside = (where**2).sum(axis=0) < 1
    image = np.where(inside, rng.normal(600, 30, SHAPE_VOX), rng.normal(8, 2, SHAPE_VOX)).clip(0)
    return np.where(False if bright is None else bright, 2 * image, image).astype(np.int16)


def cubes(values: Sequence[int]) -> np.ndarray:
    """One 3 x 3 x 3 cube for each value, inside the head and apart from each other."""
    mask = np.zeros(SHAPE_VOX, np.uint8)
    for number, value in enumerate(values):
        x, y = 7 + 4 * (number % 3), 8 + 4 * (number // 3)
        mask[x : x + 3, y : y + 3, 10:13] = value
    return mask


def _brats(folder: str, case: str, *, prefix: str = "", **values: object) -> Scan:
    """`<folder><case>/<case>-t1c.nii.gz` with `-seg` beside it, of patient <case> without its time point."""
    path = f"{folder}{case}/{case}"
    return Scan(image=f"{path}-t1c.nii.gz", mask=f"{path}-seg.nii.gz", patient=case[:-4], name=prefix + case, **values)  # type: ignore[arg-type]


def _beside(scans: Sequence[Scan], ending: str, others: Sequence[str]) -> tuple[str, ...]:
    """The other sequences of every scan: its image's name with another ending."""
    return tuple(scan.image.replace(ending, other) for scan in scans for other in others)


METS = (
    _brats("", "BraTS-MET-00002-000", values=(1, 2, 3), lesion=(1, 3)),
    _brats("", "BraTS-MET-00002-001", values=(2, 3, 4, 6, 8), lesion=(3,), stray=True),
    _brats("UCSD - Training/", "BraTS-MET-00641-000", values=(3,), lesion=(3,)),
    Scan(
        image="UCSD - Training/BraTS-MET-00642-000/BraTS-MET-00642-000-t1c.nii.gz",
        patient="BraTS-MET-00642",
        name="BraTS-MET-00642-000",
    ),
)
PRETREAT = (
    _brats("", "BraTS-MET-00002-000", prefix="pretreat/", values=(1, 2, 3), lesion=(1, 3)),
    _brats("", "BraTS-MET-00777-000", prefix="pretreat/", values=(2, 3, 4), lesion=(3,), stray=True),
)
GLI = (
    Scan(
        image="BraTS2021_00005/BraTS2021_00005_t1ce.nii.gz",
        mask="BraTS2021_00005/BraTS2021_00005_seg.nii.gz",
        patient="BraTS2021_00005",
        name="BraTS2021_00005",
        values=(1, 2, 4),
        lesion=(1, 4),
    ),
    _brats("", "BraTS-GLI-00005-100", values=(1, 2, 3), lesion=(1, 3)),
    _brats("", "BraTS-GLI-00005-101", values=(2, 3), lesion=(3,)),
)


def _bmsr(part: str, case: str, mask: str | None = None, **values: object) -> Scan:
    path = f"UCSF_BrainMetastases_{part}/{case}/{case}"
    return Scan(
        image=f"{path}_T1post.nii.gz",
        mask=f"{path}_{mask}.nii.gz" if mask else None,
        patient=case[:-1],
        name=case,
        **values,
    )  # type: ignore[arg-type]


BMSR = (
    _bmsr("TRAIN", "100101A", "seg", values=(1,), lesion=(1,)),
    _bmsr("TRAIN", "100101B", "seg", values=(1,), lesion=(1,)),
    _bmsr("TRAIN", "100102A", "BraTS-seg", values=(2, 3), lesion=(3,)),
    _bmsr("TEST", "100414A"),
)
STANFORD = (
    Scan(image="test/Mets_107/t1_gd.nii.gz", patient="Mets_107", name="test/Mets_107"),
    Scan(
        image="train/Mets_005/t1_gd.nii.gz",
        mask="train/Mets_005/seg.nii.gz",
        patient="Mets_005",
        name="train/Mets_005",
        values=(1,),
        lesion=(1,),
    ),
)


def _nyu(patient: str, study: str, image: str, **values: object) -> Scan:
    folder = f"patientId/{patient}/studyId/{study}"
    return Scan(image=f"imaging/{folder}/{image}.nii.gz", patient=patient, name=folder, **values)  # type: ignore[arg-type]


NYU_MASK = "imaging/patientId/10030586/studyId/1874507413/RTSTRUCT_segmentation.nii.gz"
NYU = (
    _nyu("10030586", "1874507413", "RTSTRUCT_MRI", mask=NYU_MASK, values=(1, 2, 4), lesion=(1, 4)),
    _nyu("10030586", "1974507999", "CT1"),
    _nyu("10099999", "1674501111", "CT1"),
)
YALE = tuple(
    Scan(
        image=f"{patient}/{date}/{patient}_{date}_{time}_POST.nii.gz",
        patient=patient,
        name=f"{patient}/{date}",
        day=day,
    )
    # 28 February to 1 March of a leap year are two days; 2 to 30 November are 28.
    for patient, date, time, day in (
        ("YG_0NP3CJOF1T9P", "2012-02-28", "10-11-12", 0),
        ("YG_0NP3CJOF1T9P", "2012-03-01", "08-00-00", 2),
        ("YG_2AAAAAAAAAAA", "2014-11-02", "09-30-00", 0),
        ("YG_2AAAAAAAAAAA", "2014-11-30", "09-30-01", 28),
    )
)


def _upenn(case: str, mask: str | None = None, **values: object) -> Scan:
    return Scan(
        image=f"NIfTI-files/images_structural/{case}/{case}_T1GD.nii.gz",
        mask=f"NIfTI-files/{mask.format(case)}.nii.gz" if mask else None,
        patient=case[:-3],
        name=case,
        **values,
    )  # type: ignore[arg-type]


MANUAL, AUTOMATED = "images_segm/{}_segm", "automated_segm/{}_automated_approx_segm"
UPENN = (
    _upenn("UPENN-GBM-00001_11", MANUAL, values=(1, 2, 4), lesion=(1, 4), day=0, age=52.5, sex="F"),
    _upenn("UPENN-GBM-00001_21", day=217, age=53.1, sex="F"),
    _upenn("UPENN-GBM-00002_11", AUTOMATED, values=(1, 2, 4), lesion=(1, 4), day=0, age=90.0, sex="M"),
)
UPENN_TABLE = (
    "ID,Gender,Age_at_scan_years,Survival_from_surgery_days_UPDATED,Survival_Status,IDH1,MGMT,KPS,GTR_over90percent,"
    "Time_since_baseline_preop,PsP_TP_score\n"
    "UPENN-GBM-00001_11,F,52.5,7411,Deceased,Wildtype,Methylated,80,Y,0,\n"
    "UPENN-GBM-00001_21,F,53.1,7411,Deceased,Wildtype,Methylated,80,Not Applicable,217,3\n"
    "UPENN-GBM-00002_11,M,91.25,8422,Deceased,Wildtype,Methylated,Not Available,N,0,\n"
)


def _pdgm(case: str, file: str | None = None, **values: object) -> Scan:
    path = f"UCSF-PDGM-v5/{case}_nifti/{file or case}"
    return Scan(
        image=f"{path}_T1c.nii.gz",
        mask=f"{path}_tumor_segmentation.nii.gz",
        patient=case[:14],
        name=case,
        **values,
    )  # type: ignore[arg-type]


PDGM = (
    _pdgm("UCSF-PDGM-0004", values=(1, 2, 4), lesion=(1, 4), day=0, age=66.0, sex="M"),
    # Folder ids have four digits; a file of one with three has been seen.
    _pdgm("UCSF-PDGM-0009", "UCSF-PDGM-009", values=(2, 4), lesion=(4,), day=0, age=40.0, sex="F"),
    _pdgm("UCSF-PDGM-0391", values=(1, 2, 4), lesion=(1, 4), day=0, age=58.0, sex="F"),
    _pdgm("UCSF-PDGM-0391_FU016d", values=(4,), lesion=(4,), day=16, age=58.0, sex="F"),
)
PDGM_TABLE = (
    "ID,Sex,Age at MRI,WHO CNS Grade,Final pathologic diagnosis (WHO 2021),MGMT status,MGMT index,1p/19q,IDH,"
    "1-dead 0-alive,OS,EOR,Biopsy prior to imaging,BraTS21 ID,BraTS21 Segmentation Cohort,BraTS21 MGMT Cohort\n"
    'UCSF-PDGM-004,M,66,4,"Glioblastoma, IDH-wildtype",negative,0,unknown,wildtype,1,1303,STR,No,BraTS2021_00097,Training,\n'
    'UCSF-PDGM-009,F,40,2,"Astrocytoma, IDH-mutant",positive,5,intact,IDH1 p.R132H,0,,GTR,No,,,\n'
    'UCSF-PDGM-391,F,58,4,"Glioblastoma, IDH-wildtype",positive,3,unknown,wildtype,1,511,GTR,No,,,\n'
    'UCSF-PDGM-0391_FU016d,F,58,4,"Glioblastoma, IDH-wildtype",positive,3,unknown,wildtype,1,495,GTR,No,,,\n'
)


def _lumiere(week: str, mask: bool, **values: object) -> Scan:
    case = f"Patient-002/{week}"
    program = f"Imaging/{case}/DeepBraTumIA-segmentation/atlas"
    return Scan(
        image=f"{program}/skull_strip/ct1_skull_strip.nii.gz" if mask else f"Imaging/{case}/CT1.nii.gz",
        mask=f"{program}/segmentation/seg_mask.nii.gz" if mask else None,
        patient="Patient-002",
        name=case,
        **values,
    )  # type: ignore[arg-type]


LUMIERE = (
    _lumiere("week-000-1", True, values=(1, 2, 3), lesion=(1, 2), day=0),
    _lumiere("week-000-2", True, values=(1, 3), lesion=(1,), day=0),
    _lumiere("week-013", False, day=91),
    _lumiere("week-104", True, values=(1, 2), lesion=(1, 2), day=728),
)


def _proteas(folder: str, visit: str, masks: str = "tumor segmentation", **values: object) -> Scan:
    return Scan(
        image=f"{folder}/BraTS/{visit}/t1c.nii.gz",
        mask=f"{folder}/{masks}/{folder}_tumor_mask_{visit}.nii.gz" if values else None,
        patient=folder[:3],
        name=f"{folder}/BraTS/{visit}",
        **values,
    )  # type: ignore[arg-type]


PROTEAS = (
    _proteas("P03a", "baseline", values=(1, 2, 3), lesion=(1, 3)),
    _proteas("P03a", "fu1", values=(2, 3), lesion=(3,)),
    _proteas("P03b", "baseline", "tumor_segmentation", values=(3,), lesion=(3,)),
    _proteas("P28", "baseline", values=(1, 3), lesion=(1, 3)),
    _proteas("P28", "fu10"),
)
MOLAB = tuple(
    Scan(
        image=f"{pid}/{pid}/NIFTI/{pid}_{date}_T1_img.nii",
        mask=f"{pid}/{pid}/NIFTI/{pid}_{date}_T1_msk.nii",
        patient=pid,
        name=f"{pid}_{date}_T1",
        values=values,
        lesion=values,
        day=day,
    )
    for pid, date, day, values in (
        ("010005", "19000101", 0, (11, 12)),
        ("010005", "19000601", 151, (11, 12)),
        ("040011", "19000101", 0, (11, 12)),
    )
)
BIDS = (
    Scan(
        image="sub-H7K/ses-2/anat/sub-H7K_ses-2_ce-gad_T1w.nii.gz",
        mask="derivatives/lesions/sub-H7K/ses-2/anat/sub-H7K_ses-2_desc-lesion_mask.nii.gz",
        patient="H7K",
        name="sub-H7K/ses-2/anat/sub-H7K_ses-2_ce-gad_T1w",
        values=(1,),
        lesion=(1,),
    ),
    Scan(
        image="sub-J3M/anat/sub-J3M_ce-gad_T1w.nii.gz",
        patient="J3M",
        name="sub-J3M/anat/sub-J3M_ce-gad_T1w",
    ),
)
FOLDER = (
    Scan(
        image="HANSEN_19530417.nii.gz",
        mask="HANSEN_19530417_mask.nii.gz",
        patient="HANSEN",
        name="HANSEN_19530417",
        values=(1,),
        lesion=(1,),
    ),
    Scan(image="MEIER_19610203.nii.gz", patient="MEIER", name="MEIER_19610203"),
)

TREES: dict[str, Tree] = {
    "brats_mets": Tree(
        folder="ASNR-MICCAI-BraTS2023-MET-Challenge-TrainingData",
        namespace="brats-met",
        scans=METS,
        others=_beside(METS, "t1c", BRATS),
        secrets=("MET-00", "UCSD", "ASNR"),
        says=("`mask_values` are 1 (necrotic core), 3 (enhancing tumour); not 2 (oedema), 4 (resection cavity).",),
    ),
    "pretreat": Tree(
        folder="Pretreat-MetsToBrain-Masks",
        namespace="brats-met",
        scans=PRETREAT,
        others=_beside(PRETREAT, "t1c", BRATS),
        secrets=("MET-00",),
        says=("share their patient ids (namespace brats-met)", "on the SRI24 atlas"),
    ),
    "brats_gli": Tree(
        folder="TrainingData",
        namespace="brats-gli",
        scans=GLI,
        others=(*_beside(GLI[:1], "t1ce", ("t1", "t2", "flair")), *_beside(GLI[1:], "t1c", BRATS)),
        secrets=("BraTS-GLI-0", "BraTS2021_0", "TrainingData"),
        says=(
            "(2 masks): `mask_values` are 1 (necrotic core), 3 (enh",
            "(1 mask): `mask_values` are 1 (necrotic core), 4 (enh",
        ),
    ),
    "ucsf_bmsr": Tree(
        folder="UCSF_BrainMetastases_v1.3",
        namespace="ucsf-bmsr",
        scans=BMSR,
        others=(
            *_beside(BMSR, "T1post", ("T1pre", "FLAIR", "T2Synth", "subtraction")),
            "UCSF_BrainMetastases_TRAIN/100101A/100101A_BraTS-seg.nii.gz",
        ),
        secrets=("100101A", "100102A", "100414A", "UCSF_BrainMetastases"),
        says=("(2 seg masks): `mask_values` are every value > 0", "(1 BraTS-seg mask): `mask_values` are 3 (enhancing"),
    ),
    "stanford": Tree(
        folder="brainmetshare",
        namespace="brainmetshare",
        scans=STANFORD,
        others=_beside(STANFORD, "t1_gd", ("bravo", "t1_pre", "flair")),
        secrets=("Mets_0", "Mets_1", "brainmetshare/train"),
        says=("The image is t1_gd; bravo.nii.gz",),
    ),
    "nyumets": Tree(
        folder="NYUMets",
        namespace="nyumets",
        scans=NYU,
        others=tuple(
            f"imaging/{scan.name}/{other}.nii.gz"
            for scan in NYU
            for other in ("T1", "T2", "FLAIR", *(["CT1"] if scan.mask else []))
        ),
        secrets=("10030586", "1874507413", "1974507999", "1674501111"),
        says=("`mask_values` are 1 (tumour), 4 (tumour).",),
    ),
    "yale": Tree(
        folder="Yale-Brain-Mets-Longitudinal",
        namespace="yale-brain-mets",
        scans=YALE,
        others=_beside(YALE, "POST", ("PRE", "T2", "FLAIR")),
        secrets=("YG_", "0NP3CJ", "2012-0", "2014-1", "10-11-12"),
        says=("The data set has no masks.",),
    ),
    "upenn_gbm": Tree(
        folder="UPENN-GBM",
        namespace="upenn-gbm",
        scans=UPENN,
        others=(
            *_beside(UPENN, "T1GD", ("T1", "T2", "FLAIR")),
            "NIfTI-files/" + AUTOMATED.format(UPENN[0].name) + ".nii.gz",
        ),
        tables={"UPENN-GBM_clinical_info_v2.1.csv": UPENN_TABLE},
        secrets=("GBM-0", "0001_11", "Methylated", "Deceased"),
        says=(
            "(1 manual mask): `mask_values` are 1 (necrotic core), 4",
            "(1 automated mask): `mask_values` are 1 (necrotic",
        ),
    ),
    "ucsf_pdgm": Tree(
        folder="PKG - UCSF-PDGM Version 5",
        namespace="ucsf-pdgm",
        scans=PDGM,
        others=_beside(PDGM, "T1c", ("T1", "T1c_bias", "T2", "FLAIR", "ADC")),
        tables={"UCSF-PDGM-metadata_v5.csv": PDGM_TABLE},
        secrets=("PDGM-0", "FU016d", "BraTS2021", "Astrocytoma", "wildtype", "PKG"),
        says=("Age and sex are from the metadata CSV",),
    ),
    "lumiere": Tree(
        folder="LUMIERE",
        namespace="lumiere",
        scans=LUMIERE,
        others=tuple(
            f"Imaging/{scan.name}/{other}.nii.gz"
            for scan in LUMIERE
            for other in ("T1", "T2", "FLAIR", *(["CT1"] if scan.mask else []))
        ),
        secrets=("Patient-002", "week-0", "week-1"),
        says=("(3 atlas masks): `mask_values` are 1 (enhancing tumour), 2 (necrotic core); not 3 (oedema).",),
    ),
    "proteas": Tree(
        folder="PROTEAS",
        namespace="proteas",
        scans=PROTEAS,
        others=_beside(PROTEAS, "t1c", ("t1", "t2", "flair")),
        secrets=("P03", "P28", "fu10"),
        says=("Folders that differ only in a or b are one patient.",),
    ),
    "molab": Tree(
        folder="OpenBTAI", namespace="openbtai", scans=MOLAB, secrets=("010005_", "040011_", "_19000101", "_19000601")
    ),
    "bids": Tree(
        folder="site",
        namespace="north-hospital",
        scans=BIDS,
        tables={"dataset_description.json": '{"Name": "North Hospital", "BIDSVersion": "1.9.0"}'},
        secrets=("H7K", "J3M", "ses-2"),
    ),
    "folder": Tree(
        folder="export", namespace="folder", scans=FOLDER, secrets=("HANSEN", "MEIER", "19530417", "19610203")
    ),
}
