"""rnfm: distributed pre-training of 3D vision transformers on MRI."""

__version__ = "0.1.0"
