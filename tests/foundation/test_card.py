"""The model card: readable by the hub, honest about its origin, naming nobody."""

import re
import subprocess
import sys

import yaml


def test_the_front_matter_is_what_the_hub_reads(made):
    text = (made.path / "README.md").read_text()
    _, head, _ = text.split("---\n", 2)
    assert yaml.safe_load(head) == {
        "license": "cc-by-4.0",
        "library_name": "rnfm",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["medical-imaging", "mri", "3d", "vision-transformer", "self-supervised-learning"],
    }


def test_contract_training_and_facts_are_in_the_tables(made):
    text = (made.path / "README.md").read_text()
    for line in (
        "| axes of D, H, W | RAS (right, anterior, superior) |",
        "| voxel size | 1.5 x 1.5 x 1.5 mm |",
        "| intensity | rule zscore, low 0.5, high 99.5, clip 5.0 |",
        "| channels | t1ce |",
        "| crop | 8 x 8 x 8 voxels |",
        "| objective | mae |",
        "| patients seen | 2 |",
        f"| input: shards | {'d' * 64} |",
        "| sites | A, B |",
        r"| note | one \| two three &lt;b> |",
        f"{sum(p.numel() for p in made.model.parameters()):,} parameters",
    ):
        assert line in text
    assert "Not a medical device" in text


def test_no_patient_is_named(made):
    assert not re.search(r"P-[0-9A-F]{8}", (made.path / "README.md").read_text())


def test_the_loading_lines_of_the_card_work(made):
    (code,) = re.findall(r"```python\n(.*?)```", (made.path / "README.md").read_text(), re.DOTALL)
    code = code.replace("path/of/this/folder", str(made.path)) + "print(tuple(embedding.shape))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "(1, 24)"
