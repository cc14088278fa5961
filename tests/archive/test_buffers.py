"""Buffers: used again when free, never while anything refers to them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from rnfm.archive.buffers import Buffers


def test_a_free_array_is_used_again():
    buffers = Buffers((2, 3))
    for _ in range(10):
        array = buffers.take()
        assert array.shape == (2, 3)
        assert array.dtype == np.float32
        del array
    assert len(buffers) == 1


@pytest.mark.parametrize("hold", ["array", "slice", "slice of a reshape", "memoryview", "tensor", "tensor view"])
def test_an_array_in_use_is_never_given_out(hold):
    torch = pytest.importorskip("torch")
    buffers = Buffers((4, 4))
    keep = {
        "array": lambda a: a,
        "slice": lambda a: a[1:2],
        "slice of a reshape": lambda a: a.reshape(2, 8)[0][2:],
        "memoryview": lambda a: memoryview(a),
        "tensor": torch.from_numpy,
        "tensor view": lambda a: torch.from_numpy(a)[0],
    }[hold](buffers.take())
    others = [buffers.take() for _ in range(3)]
    assert len(buffers) == 4
    assert not any(np.shares_memory(np.asarray(keep), other) for other in others)
    del keep, others
    kept = [buffers.take() for _ in range(4)]
    assert len(kept) == len(buffers) == 4


def test_threads_never_share_one():
    buffers, wrong = Buffers((64,)), []

    def work(mark):
        for _ in range(300):
            array = buffers.take()
            array[:] = mark
            if not (array == mark).all():
                wrong.append(mark)
            del array

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(buffers) <= 4
