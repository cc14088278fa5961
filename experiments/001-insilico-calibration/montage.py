"""Both classes side by side: necrosis above, progression below, axial and coronal through the lesion; and two heads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rnfm.insilico import Patch, plan, render_patch
from rnfm.insilico.patient import examine

COLUMNS, SEED, LEAST_CC = 8, 5, 2.0


def write(path: Path) -> None:
    """Write the picture as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(5, COLUMNS, figsize=(12, 8.2), gridspec_kw={"height_ratios": [1, 1, 1, 1, 1.35]})
    for top, label in ((0, 1), (2, 0)):
        for column, patch in enumerate(some(label)):
            _lesion(axes[top, column], axes[top + 1, column], patch)
    for axis, text in zip(axes[(0, 2), 0], ("radiation necrosis", "progression"), strict=True):
        axis.set_title(f"{text}: axial, coronal", fontsize=9, loc="left")
    for axis in axes.flat:
        axis.axis("off")
    _heads(figure, axes)
    figure.subplots_adjust(0.01, 0.005, 0.99, 0.97, 0.03, 0.05)
    figure.savefig(path, dpi=80)
    plt.close(figure)
    _smaller(path)


def some(label: int) -> list[Patch]:
    """The first lesions of a class that are large enough to show; nothing else is chosen about them."""
    found: list[Patch] = []
    index = 0
    while len(found) < COLUMNS:
        patch = render_patch(SEED, "site_a", index, size_vox=48)
        index += 1
        if patch.label == label and patch.traits.volume_cc > LEAST_CC:
            found.append(patch)
    return found


def _lesion(axial, coronal, patch: Patch) -> None:  # type: ignore[no-untyped-def]
    image, outlined = patch.image_DHW / patch.scanner.gain, patch.mask_DHW > 0
    z, y = outlined.sum(axis=(0, 1)).argmax(), outlined.sum(axis=(0, 2)).argmax()
    for axis, plane in ((axial, image[:, :, z]), (coronal, image[:, y])):
        axis.imshow(plane.T, origin="lower", cmap="gray", vmin=0.1, vmax=2.1, interpolation="nearest")


def _heads(figure, axes) -> None:  # type: ignore[no-untyped-def]
    """The last row: whole heads of four patients, axial and sagittal."""
    people = [plan.site_a(0, 12)[0], plan.site_a(0, 12)[3], plan.site_b(0, 2)[0], plan.pool(0, 2)[0]]
    for column, person in enumerate(people):
        examined = examine(person, person.visits[-1], seed=0, voxel_mm=1.0)
        image, steps_mm = examined.scan.image, examined.scan.sampled.steps_mm
        outlined = examined.scan.mask > 0
        axial = image[:, :, outlined.sum(axis=(0, 1)).argmax()]
        high = np.percentile(image, 99.3)
        for offset, (plane, aspect) in enumerate(
            ((axial, steps_mm[1] / steps_mm[0]), (image[image.shape[0] // 2], steps_mm[2] / steps_mm[1]))
        ):
            axis = axes[4, 2 * column + offset]
            axis.imshow(plane.T, origin="lower", cmap="gray", vmin=0, vmax=high, aspect=aspect)


def _smaller(path: Path) -> None:
    """64 greys are enough."""
    from PIL import Image

    Image.open(path).convert("L").quantize(64).save(path, optimize=True)
