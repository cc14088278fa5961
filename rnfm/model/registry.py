"""Networks by name. A new family is one entry here and one file beside it.

| name      | width | depth | heads |   | name      | width | depth | heads |
|-----------|-------|-------|-------|---|-----------|-------|-------|-------|
| vit_micro |    96 |     4 |     4 |   | vit_base  |   768 |    12 |    12 |
| vit_mini  |   192 |     6 |     4 |   | vit_large |  1024 |    24 |    16 |
| vit_tiny  |   192 |    12 |     3 |   | vit_huge  |  1280 |    32 |    16 |
| vit_small |   384 |    12 |     6 |   | resnet10, resnet18: MONAI's CNN   |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rnfm.core.errors import ConfigError, nearest
from rnfm.model.patches import Triple, token_grid, triple

if TYPE_CHECKING:
    from rnfm.model.backbone import Backbone

VIT_DEFAULTS = {"mlp_ratio": 4.0, "position": "sincos"}
VIT_SIZES = {
    "vit_micro": {"dim": 96, "depth": 4, "heads": 4},
    "vit_mini": {"dim": 192, "depth": 6, "heads": 4},
    "vit_tiny": {"dim": 192, "depth": 12, "heads": 3},
    "vit_small": {"dim": 384, "depth": 12, "heads": 6},
    "vit_base": {"dim": 768, "depth": 12, "heads": 12},
    "vit_large": {"dim": 1024, "depth": 24, "heads": 16},
    "vit_huge": {"dim": 1280, "depth": 32, "heads": 16},
}
CNN_SIZES: dict[str, dict[str, Any]] = {"resnet10": {}, "resnet18": {}}


def names() -> list[str]:
    """Every name that `create_model` knows."""
    return [*VIT_SIZES, *CNN_SIZES]


def create_model(
    name: str,
    in_channels: int = 1,
    num_classes: int = 0,
    crop: int | Sequence[int] = (96, 96, 96),
    patch: int | Sequence[int] = 16,
    pooling: str = "cls",
    **overrides: Any,
) -> Backbone:
    """A network with fresh weights (drawn from torch's global generator: seed it first).

    `crop` and `patch` are in voxels, one number or three; `num_classes=0` gives pooled features instead of logits. A ViT
    takes `dim, depth, heads, mlp_ratio, position="sincos"|"learned"` as overrides. A CNN has no patch and ignores it.
    `model.architecture` names every setting, so it recreates the network even if defaults change later.
    Raises ConfigError for an unknown name or override and for sizes that do not fit.
    """
    if name not in names():
        raise ConfigError(
            "model", f"{name!r} is not a model{nearest(name, names())}", f"Use one of {', '.join(names())}"
        )
    if in_channels < 1 or num_classes < 0:
        raise ConfigError("model", f"in_channels={in_channels}, num_classes={num_classes}", "Use >= 1 and >= 0")
    size = triple(crop, "crop")
    head = {"name": name, "in_channels": in_channels, "num_classes": num_classes, "crop": list(size)}
    build: Callable[..., Backbone] = _vit if name in VIT_SIZES else _cnn
    return build({**head, "pooling": pooling}, overrides, size, triple(patch, "patch"))


def _vit(head: dict[str, Any], overrides: dict[str, Any], crop: Triple, patch: Triple) -> Backbone:
    from rnfm.model.vit import VisionTransformer

    defaults = VIT_SIZES[head["name"]] | VIT_DEFAULTS
    _refuse_unknown(overrides, defaults)
    architecture = head | {"patch": list(patch)} | defaults | overrides
    token_grid(crop, patch)
    if architecture["dim"] % architecture["heads"]:
        raise ConfigError(
            "heads", f"{architecture['heads']} do not divide the width {architecture['dim']}", "Change one"
        )
    if architecture["position"] not in ("sincos", "learned"):
        raise ConfigError("position", f"is {architecture['position']!r}", "Use 'sincos' or 'learned'")
    return VisionTransformer(architecture, crop=crop, patch=patch)


def _cnn(head: dict[str, Any], overrides: dict[str, Any], crop: Triple, patch: Triple) -> Backbone:
    from rnfm.model.cnn import ResNet

    _refuse_unknown(overrides, {})
    return ResNet(head, crop=crop)


def _refuse_unknown(overrides: dict[str, Any], known: dict[str, Any]) -> None:
    for key in overrides:
        if key not in known:
            options = f"Use {', '.join(known)}" if known else "Leave it out"
            raise ConfigError("model", f"{key!r} is not a setting of it{nearest(key, known)}", options)
