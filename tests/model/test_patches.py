"""Token order and positions against hand-written answers and naive loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.core.errors import ConfigError
from rnfm.model import patchify, sincos3d, unpatchify


def test_token_order_is_d_h_w_row_major_and_voxels_run_d_h_w_c():
    C, D, H, W = 2, 2, 4, 6
    x = torch.arange(C * D * H * W, dtype=torch.float32).reshape(1, C, D, H, W)
    tokens = patchify(x, (1, 2, 3))
    expected = [
        [
            float(x[0, c, td + i, th * 2 + j, tw * 3 + k])
            for i in range(1)
            for j in range(2)
            for k in range(3)
            for c in range(C)
        ]
        for td in range(2)
        for th in range(2)
        for tw in range(2)
    ]
    assert tokens.tolist() == [expected]


sizes = st.tuples(*[st.integers(1, 3)] * 3)


@settings(max_examples=40, deadline=None)
@given(batch=st.integers(1, 2), channels=st.integers(1, 3), grid=sizes, patch=sizes)
def test_unpatchify_is_the_inverse(batch, channels, grid, patch):
    size = tuple(g * p for g, p in zip(grid, patch, strict=True))
    x = torch.randn(batch, channels, *size)
    tokens = patchify(x, patch)
    assert tokens.shape == (batch, math.prod(grid), math.prod(patch) * channels)
    assert torch.equal(unpatchify(tokens, patch, size), x)


@pytest.mark.parametrize(("grid", "dim"), [((2, 3, 4), 12), ((1, 2, 2), 32), ((3, 1, 2), 64)])
def test_sincos3d_equals_the_definition(grid, dim):
    n = dim // 6
    table = sincos3d(grid, dim)
    assert table.shape == (math.prod(grid), dim)
    row = 0
    for d in range(grid[0]):
        for h in range(grid[1]):
            for w in range(grid[2]):
                angles = [[position * 10000 ** (-k / n) for k in range(n)] for position in (d, h, w)]
                expected = [f(a) for axis in angles for f in (math.sin, math.cos) for a in axis]
                expected += [0.0] * (dim - 6 * n)
                assert table[row].tolist() == pytest.approx(expected, abs=1e-7)
                row += 1


def test_a_patch_that_does_not_divide_is_refused_with_a_size_that_fits():
    with pytest.raises(ConfigError, match=r"^patch: \(8, 8, 8\) does not divide the crop \(30, 32, 32\)\. Use a crop such as \(24, 32, 32\)\.$"):  # fmt: skip
        patchify(torch.zeros(1, 1, 30, 32, 32), 8)


def test_tokens_of_another_volume_are_refused():
    with pytest.raises(ConfigError, match="8 tokens of 64 voxels do not fill"):
        unpatchify(torch.zeros(1, 8, 64), 4, 12)


@pytest.mark.parametrize("patch", [0, (2, 2), (2, 2, 2.5), -1])
def test_a_patch_is_one_or_three_positive_whole_numbers(patch):
    with pytest.raises(ConfigError, match="not one or three positive whole numbers"):
        patchify(torch.zeros(1, 1, 4, 4, 4), patch)
