"""Identities planted wherever real data carry them, the real commands run over them, and every byte that comes out searched.

    plant(root)             source trees (BIDS, plain folder, OpenBTAI/MOLAB sheets), each place with tokens of its own -> Token list
    Road(...).walk()        real processes; standard output and error are kept as outputs too
    leaks(folder, tokens)   tokens found in any file or file name, however packed: gzip, zip, tar, Parquet, SQLite, base64, UTF-16

The key table and what lies with it are the custodian's and are not outputs. Nothing of the product reads or writes here.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np
import openpyxl
import pyarrow.parquet as pq
from openpyxl.comments import Comment

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
LABELS = ("RN", "progression")


@dataclass
class Plants:
    """Tokens by the place they were planted in. Each is unique, so that a leak names its place."""

    tokens: dict[str, str] = field(default_factory=dict)  # token -> place

    def name(self, place: str, longest: int = 40) -> str:
        return self._new(
            place,
            f"Zqx{chr(65 + len(self.tokens) // 26 % 26)}{chr(97 + len(self.tokens) % 26)}{place.title()}"[:longest],
        )

    def mrn(self, place: str) -> str:
        return self._new(place, f"90{len(self.tokens):03d}4711{len(self.tokens) * 7919 % 1000:03d}")

    def date(self, place: str) -> str:
        return self._new(
            place,
            f"{1931 + len(self.tokens) % 9}-{1 + len(self.tokens) % 12:02d}-{1 + len(self.tokens) % 28:02d}T{len(self.tokens) % 24:02d}:17:{len(self.tokens) % 60:02d}",
        )

    def _new(self, place: str, token: str) -> str:
        token = token if token not in self.tokens else f"{token}{len(self.tokens)}"
        self.tokens[token] = place
        return token


def plant(root: Path, plants: Plants, patients: int) -> dict[str, Path]:
    """Source trees under `root`, whose own name is a token too: layout -> folder."""
    root = root / plants.name("sourcefolder")
    return {
        "bids": _bids(root / "bids", plants, patients),
        "folder": _folder(root / plants.name("datafolder"), plants, 3),
        "molab": _molab(root / "molab", plants),
    }


def _bids(root: Path, plants: Plants, patients: int) -> Path:
    table = [
        ["participant_id", "age", "sex", "label", "label_source", "patient_name", "date_of_birth", "mrn", "comment"]
    ]
    for number in range(patients):
        subject, session = f"sub-{plants.name('subject')}", f"ses-{plants.name('session')}"
        told = [
            plants.name("namecolumn"),
            plants.date("birthcolumn"),
            plants.mrn("mrncolumn"),
            plants.name("commentcolumn"),
        ]
        table.append([subject, str(50 + number), "F", LABELS[number % 2], "follow-up", *told])
        image = root / subject / session / "anat" / f"{subject}_{session}_ce-gad_T1w.nii.gz"
        mask = (
            root / "derivatives/lesions" / subject / session / "anat" / f"{subject}_{session}_desc-lesion_mask.nii.gz"
        )
        _scan(image, mask, plants, number)
        sidecar = {
            "Manufacturer": "GE", "MagneticFieldStrength": 3, "PatientName": plants.name("sidecarname"), "PatientID": plants.mrn("sidecarid"),
            "PatientBirthDate": plants.date("sidecarbirth"), "AcquisitionDateTime": plants.date("sidecardate"),
            "DeviceSerialNumber": plants.mrn("sidecarserial"), "ReferringPhysicianName": plants.name("sidecarphysician"),
        }  # fmt: skip
        Path(str(image).removesuffix(".nii.gz") + ".json").write_text(json.dumps(sidecar))
        rows = f"session_id\tacq_time\toperator\n{session}\t{plants.date('sessionsdate')}\t{plants.name('operator')}\n"
        (root / subject / f"{subject}_sessions.tsv").write_text(rows)
    about = {
        "Name": "Second centre",
        "BIDSVersion": "1.9.0",
        "Authors": [plants.name("author")],
        "Acknowledgements": plants.name("thanks"),
    }
    (root / "dataset_description.json").write_text(json.dumps(about))
    (root / "participants.tsv").write_text("".join("\t".join(row) + "\n" for row in table))
    return root


def _folder(root: Path, plants: Plants, count: int) -> Path:
    for number in range(count):
        name = f"{plants.name('filename')}_{plants.mrn('filename')}.nii.gz"
        _scan(root / plants.name("patientfolder") / name, root / "masks" / name, plants, 50 + number)
    torn = root / plants.name("patientfolder") / f"{plants.name('tornfile')}.nii.gz"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(next(root.rglob("*.nii.gz")).read_bytes()[:4000])  # a header, and voxels that end too soon
    return root


def _molab(root: Path, plants: Plants) -> Path:
    """Two lesions of two patients; the sheet's comments, free text, hidden sheet and properties hold identities."""
    for number, patient in enumerate(("010005", "040001")):
        folder = root / patient / patient / "NIFTI"
        for visit, day in enumerate(("19000101", "19000601")):
            _scan(
                folder / f"{patient}_{day}_T1CE_img.nii",
                folder / f"{patient}_{day}_T1CE_msk.nii",
                plants,
                70 + 10 * visit + number,
            )
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Hoja1"
    book.properties.creator = plants.name("sheetcreator")
    book.properties.description = plants.mrn("sheetproperty")
    titles = {0: "PATIENT ID", 1: "AGE", 2: "SEX", 4: "LESION", 5: "PRIMARY", 31: "SRS 1", 43: "RADIATION NECROSIS"}
    for position, title in titles.items():
        sheet.cell(13, position + 1, title)
    for row, (patient, days) in enumerate((("010005", "n/a"), ("040001", "140")), 16):
        for position, value in {0: patient, 1: 60, 2: 1, 4: 1, 5: 1, 31: 20, 32: 1, 33: "3", 34: "3", 43: days}.items():
            sheet.cell(row, position + 1, value)
        sheet.cell(row, 1).comment = Comment(plants.name("cellcomment"), plants.name("commentauthor"))
        sheet.cell(row, 75, plants.name("freetext"))
        sheet.cell(row, 76, plants.date("mrdate"))
    hidden = book.create_sheet("hidden")
    hidden.sheet_state = "hidden"
    hidden["A1"] = plants.name("hiddensheet")
    book.save(root / "OpenBTAI_METS_ClinicalData.xlsx")
    return root


def _scan(image: Path, mask: Path, plants: Plants, seed: int) -> None:
    """A ball in noisy air, a smaller one in it; every text field of both headers, and their extensions, hold tokens."""
    draw = np.random.default_rng(seed)
    x, y, z = np.indices((40, 44, 40)) - np.array([20, 22, 20]).reshape(3, 1, 1, 1)
    brain, lesion = x**2 + y**2 + z**2 < 15**2, (x - 5) ** 2 + y**2 + (z + 3) ** 2 < 4**2
    data = (draw.normal(0, 8, brain.shape) ** 2 / 8 + brain * draw.normal(400, 20, brain.shape)) * np.where(
        lesion, 2.2, 1
    )
    for path, voxels in ((image, data.astype(np.int16)), (mask, lesion.astype(np.uint8))):
        picture = nibabel.Nifti1Image(voxels, AFFINE)
        picture.set_sform(AFFINE, 1)
        picture.set_qform(AFFINE, 1)
        picture.header["descrip"] = plants.name("descrip", 79)
        picture.header["aux_file"] = plants.name("aux", 23)
        picture.header["db_name"] = plants.name("db", 17)
        picture.header["intent_name"] = plants.name("int", 15)
        picture.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", plants.name("extension").encode()))
        picture.header.extensions.append(
            nibabel.nifti1.Nifti1Extension("afni", f"<a>{plants.mrn('afni')}</a>".encode())
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(picture, path)


@dataclass
class Road:
    """Commands run one after another in `work`; all they say is kept in work/said/."""

    work: Path
    sources: dict[str, Path]
    keys: Path
    codes: dict[str, int] = field(default_factory=dict)

    def run(self, label: str, *words: object, expected: int = 0) -> None:
        """One real process. Its exit code must be `expected`: a road that did not run proves nothing."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("RNFM", "PYTEST"))}
        environment |= {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
        command = [sys.executable, "-m", "rnfm", *map(str, words)]
        done = subprocess.run(command, cwd=self.work, env=environment, capture_output=True, timeout=300)
        (self.work / "said").mkdir(exist_ok=True)
        (self.work / "said" / f"{len(self.codes):02d} {label}.txt").write_bytes(done.stdout + b"\n--\n" + done.stderr)
        self.codes[label] = done.returncode
        assert done.returncode == expected, f"{label}: {done.returncode}\n{done.stderr.decode()[-2000:]}"

    def short(self) -> None:
        """Index, prepare, and the ways they fail."""
        bids, keys = self.sources["bids"], ("--keys", self.keys)
        self.run("index", "data", "index", bids, "--out", "cohort", *keys)
        self.run("index again", "data", "index", bids, "--out", "cohort", *keys)
        self.run("index, wrong layout", "data", "index", bids, "--out", "none", *keys, "--layout", "molab", expected=2)
        self.run(
            "index, option of another layout",
            "data",
            "index",
            bids,
            "--out",
            "none",
            *keys,
            "--masks",
            bids,
            expected=2,
        )
        folder = self.sources["folder"]
        self.run(
            "index, folder", "data", "index", folder, "--out", "plain", *keys, "--layout", "folder", "--masks", folder / "masks",
            "--image-glob", "Zqx*/*.nii.gz", "--namespace", "plain", "--max-bad", "0",
        )  # fmt: skip
        self.run("prepare", "data", "prepare", "cohort", *keys, "--out", "volumes", "--spacing-mm", "3", "3", "3")
        self.run(
            "prepare, torn file",
            "data",
            "prepare",
            "plain",
            *keys,
            "--out",
            "plain_volumes",
            "--spacing-mm",
            "3",
            "3",
            "3",
        )
        self.run("whois, not a terminal", "data", "whois", "P-00000000", *keys, expected=2)
        gone = sorted(folder.glob("Zqx*/*.nii.gz"))
        for file in gone:
            file.rename(file.with_suffix(".away"))
        prepare = ("data", "prepare", "plain", *keys, "--out", "gone", "--spacing-mm", "4", "4", "4")
        self.run("prepare, files gone", *prepare, expected=3)
        self.run("prepare, files gone, debug", *prepare, "--debug", expected=1)
        for file in gone:
            file.with_suffix(".away").rename(file)

    def long(self) -> None:
        """All stages that read what the first ones wrote, as far as a classifier and its prediction."""
        keys = ("--keys", self.keys)
        self.run("index, molab", "data", "index", self.sources["molab"], "--out", "molab", *keys)
        self.run(
            "prepare, molab", "data", "prepare", "molab", *keys, "--out", "molab_volumes", "--spacing-mm", "3", "3", "3"
        )
        self.run("split", "data", "split", "cohort", "--out", "split", "--folds", "2")
        self.run("qc", "data", "qc", "volumes", "--out", "qc")
        self.run("qc, torn file", "data", "qc", "plain_volumes", "--out", "plain_qc")
        self.run("show", "data", "show", "volumes")
        self.run("overlap", "data", "overlap", "volumes", "plain_volumes", "--pairs", "pairs.csv")
        scan = pq.read_table(self.work / "volumes/scans.parquet")["scan"].to_pylist()[0]
        self.run("restore", "data", "restore", "volumes", "--scan", scan, "--out", "restored.nii.gz")
        self.run("shard", "data", "shard", "volumes", "--split", "split", "--out", "shards", "--crop", "24", "24", "24")
        self.run(
            "shard, zarr",
            "data",
            "shard",
            "volumes",
            "--out",
            "zarr_shards",
            "--crop",
            "24",
            "24",
            "24",
            "--format",
            "zarr",
        )
        self.run("verify", "data", "verify", "shards", "--deep")
        database = f"sqlite:///{self.work}/mlflow.db"
        self.run(
            "pretrain", "pretrain", "shards", "--out", "run", "--steps", "2", "--global-batch", "4", "--model.name", "vit_micro",
            "--model.patch", "6", "--log-every", "1", "--tracking.uri", database,
        )  # fmt: skip
        self.run("embed", "embed", "run/foundation", "--volumes", "volumes", "--out", "embeddings")
        self.run(
            "finetune", "finetune", "volumes", "--split", "split", "--foundation", "run/foundation", "--out", "classifier", "--epochs", "1",
            "--protocols", "cv", "holdout", "--tracking.uri", database,
        )  # fmt: skip
        self.run("baseline", "baseline", "volume_only", "--volumes", "volumes", "--split", "split", "--out", "baseline")
        self.run("evaluate", "evaluate", "classifier", "baseline", "--out", "evaluation")
        self.run(
            "report",
            "report",
            "--evaluation",
            "evaluation",
            "--predictions",
            "classifier",
            "baseline",
            "--foundation",
            "run/foundation",
            "--out",
            "report",
        )
        self.run("export", "export", "run/foundation", "--out", "exported")


def leaks(folder: Path, tokens: Sequence[str]) -> dict[str, list[str]]:
    """Token -> files (below `folder`) in whose name or content it stands."""
    wanted = re.compile(b"|".join(re.escape(form) for token in tokens for form in _forms(token)), re.IGNORECASE)
    plain = {form.lower(): token for token in tokens for form in _forms(token)}
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        for text in (name.encode(), *(_unpacked(path) if path.is_file() else ())):
            for match in set(wanted.findall(text)):
                found.setdefault(plain[match.lower()], [])
                found[plain[match.lower()]] += [name] * (name not in found[plain[match.lower()]])
    return found


def _forms(token: str) -> list[bytes]:
    """As UTF-8 and UTF-16, and a date as its day alone, with and without dashes."""
    forms = (
        [token] if "T" not in token or "-" not in token else [token[:10], token[:10].replace("-", "") + token[11:13]]
    )
    return [form.encode(code) for form in forms for code in ("utf-8", "utf-16-le")]


def _unpacked(path: Path) -> Iterator[bytes]:
    raw = path.read_bytes()
    yield raw
    yield from _inside(raw, depth=0)
    if raw[:4] == b"PAR1":
        for column in pq.read_table(io.BytesIO(raw)).to_pydict().values():
            yield repr(column).encode()
    if raw[:15] == b"SQLite format 3":
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:  # a long text is split over pages
            yield "\n".join(database.iterdump()).encode()


def _inside(raw: bytes, depth: int) -> Iterator[bytes]:
    """What is packed in `raw`: gzip members and zip entries (also in the middle, as in a tar), base64 of pages."""
    if depth > 3:
        return
    for start in (match.start() for match in re.finditer(rb"\x1f\x8b\x08", raw)):
        stream = zlib.decompressobj(wbits=31)
        try:
            content = stream.decompress(raw[start:])
        except zlib.error:
            continue
        yield content
        yield from _inside(content, depth + 1)
    if raw[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for entry in archive.namelist():
                yield entry.encode()
                yield archive.read(entry)
                yield from _inside(archive.read(entry), depth + 1)
    for packed in re.findall(rb"base64,([A-Za-z0-9+/=]{64,})", raw):
        content = base64.b64decode(packed + b"=" * (-len(packed) % 4))
        yield content
        yield from _inside(content, depth + 1)


def control(folder: Path, token: str) -> set[str]:
    """The search is no proof if it is blind: put `token` into one output of each kind; names of the kinds it was found in."""
    import pyarrow as pa

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "plain.log").write_text(f"... {token.upper()} ...")
    (folder / "packed.nii.gz").write_bytes(gzip.compress(b"0" * 500 + token.encode()))
    with zipfile.ZipFile(folder / "book.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", token * 3)
    pq.write_table(pa.table({"a": [["x", token]]}), folder / "table.parquet", compression="zstd")
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.execute("create table runs (text)")
        database.execute("insert into runs values (?)", ("y" * 6000 + token + "y" * 6000,))
    database.close()
    (folder / "page.html").write_text(
        f'<img src="data:image/png;base64,{base64.b64encode(b"z" * 90 + token.encode()).decode()}">'
    )
    (folder / "wide.bin").write_bytes(token.encode("utf-16-le"))
    (folder / "middle.tar").write_bytes(b"\0" * 512 + gzip.compress(token.encode()) + b"\0" * 512)
    (folder / f"{token}.txt").write_text("")
    return set(leaks(folder, [token]).get(token, ()))


KINDS = ("plain.log", "packed.nii.gz", "book.npz", "table.parquet", "mlflow.db", "page.html", "wide.bin", "middle.tar")
