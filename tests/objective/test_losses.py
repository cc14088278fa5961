"""Each loss against float64 loops written from its paper's definition: the value, and the gradient by central differences."""

import math

import numpy as np
import pytest
import torch

from rnfm.objective import losses

RNG = np.random.default_rng(0)


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def nt_xent(z1, z2, temperature):
    views, n = [*z1, *z2], len(z1)
    terms = []
    for i in range(2 * n):
        similarity = {k: math.exp(cosine(views[i], views[k]) / temperature) for k in range(2 * n) if k != i}
        terms.append(-math.log(similarity[(i + n) % (2 * n)] / sum(similarity.values())))
    return sum(terms) / (2 * n)


def info_nce(q, k, temperature, symmetric=False, queue=None):
    def one_way(a, b):
        terms = []
        for i in range(len(a)):
            positive = math.exp(cosine(a[i], b[i]) / temperature)
            negatives = [b[j] for j in range(len(b)) if j != i] if queue is None else list(queue)
            total = positive + sum(math.exp(cosine(a[i], other) / temperature) for other in negatives)
            terms.append(-math.log(positive / total))
        return sum(terms) / len(terms)

    return (one_way(q, k) + one_way(k, q)) / 2 if symmetric else one_way(q, k)


def mae_loss(target, pred, mask, normalise):
    terms = []
    for b, t in np.argwhere(mask):
        patch = list(target[b, t])
        if normalise:
            mean = sum(patch) / len(patch)
            variance = sum((v - mean) ** 2 for v in patch) / (len(patch) - 1)
            patch = [(v - mean) / math.sqrt(variance + 1e-6) for v in patch]
        terms.append(sum((p - v) ** 2 for p, v in zip(pred[b, t], patch, strict=True)) / len(patch))
    return sum(terms) / len(terms)


def simmim_loss(x, rec, mask_vox):
    total = count = 0.0
    for b, d, h, w in np.argwhere(mask_vox):
        count += 1
        total += sum(abs(x[b, c, d, h, w] - rec[b, c, d, h, w]) for c in range(x.shape[1]))
    return total / (count + 1e-5) / x.shape[1]


def softmax(row):
    powers = [math.exp(v) for v in row]
    return [p / sum(powers) for p in powers]


def dino_loss(teacher, student, center, teacher_temp, student_temp):
    pairs = []
    for t, targets in enumerate(teacher):
        for s, logits in enumerate(student):
            if s == t:
                continue
            rows = []
            for i in range(len(targets)):
                p = softmax([(v - c) / teacher_temp for v, c in zip(targets[i], center, strict=True)])
                q = softmax([v / student_temp for v in logits[i]])
                rows.append(-sum(a * math.log(b) for a, b in zip(p, q, strict=True)))
            pairs.append(sum(rows) / len(rows))
    return sum(pairs) / len(pairs)


def barlow(z1, z2, lam):
    width, loss = z1.shape[1], 0.0
    for i in range(width):
        for j in range(width):
            a, b = z1[:, i] - z1[:, i].mean(), z2[:, j] - z2[:, j].mean()
            c = sum(a * b) / (math.sqrt(sum(a**2)) * math.sqrt(sum(b**2)))
            loss += (1 - c) ** 2 if i == j else lam * c**2
    return loss


Z1, Z2, QUEUE = RNG.normal(size=(5, 4)), RNG.normal(size=(5, 4)), RNG.normal(size=(7, 4))
PATCHES, PREDICTED = RNG.normal(2, 3, size=(2, 3, 8)), RNG.normal(size=(2, 3, 8))
MASK = np.array([[1, 0, 1], [0, 1, 1]])
VOLUME, RESTORED = RNG.normal(size=(2, 2, 2, 3, 2)), RNG.normal(size=(2, 2, 2, 3, 2))
MASK_VOX = RNG.integers(0, 2, size=(2, 2, 3, 2))
TEACHER, STUDENT, CENTER = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(4, 3, 4)), RNG.normal(size=4)

# name, reference, arguments in order, positions of the arguments that are learned
CASES = [
    ("nt_xent", nt_xent, (Z1, Z2, 0.5), (0, 1)),
    ("nt_xent", nt_xent, (Z1, Z2, 0.07), (0, 1)),
    ("info_nce", info_nce, (Z1, Z2, 0.2), (0, 1)),
    ("info_nce", info_nce, (Z1, Z2, 0.2, True), (0, 1)),
    ("info_nce", info_nce, (Z1, Z2, 0.2, False, QUEUE), (0, 1)),
    ("info_nce", info_nce, (Z1, Z2, 0.2, True, QUEUE), (0, 1)),
    ("mae_loss", mae_loss, (PATCHES, PREDICTED, MASK, False), (1,)),
    ("mae_loss", mae_loss, (PATCHES, PREDICTED, MASK, True), (1,)),
    ("simmim_loss", simmim_loss, (VOLUME, RESTORED, MASK_VOX), (1,)),
    ("dino_loss", dino_loss, (TEACHER, STUDENT, CENTER, 0.04, 0.1), (1,)),
    ("dino_loss", dino_loss, (TEACHER[:1], STUDENT[:2], CENTER, 0.1, 0.2), (1,)),
    ("barlow", barlow, (Z1, Z2, 0.005), (0, 1)),
]
LISTS = {"dino_loss": (0, 1)}


def tensors(name, arguments, learned=()):
    made = [torch.from_numpy(a.copy()) if isinstance(a, np.ndarray) else a for a in arguments]
    for place in learned:
        made[place].requires_grad_()
    return made, [list(a) if i in LISTS.get(name, ()) else a for i, a in enumerate(made)]


@pytest.mark.parametrize(("name", "reference", "arguments", "learned"), CASES)
def test_the_value_equals_the_definition(name, reference, arguments, learned):
    _, given = tensors(name, arguments)
    assert float(getattr(losses, name)(*given)) == pytest.approx(reference(*arguments), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(("name", "reference", "arguments", "learned"), CASES)
def test_the_gradient_equals_the_definition(name, reference, arguments, learned):
    leaves, given = tensors(name, arguments, learned)
    getattr(losses, name)(*given).backward()
    for place in learned:
        step = 1e-6
        for index in np.ndindex(*arguments[place].shape):
            ends = []
            for sign in (1, -1):
                moved = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
                moved[place][index] += sign * step
                ends.append(reference(*moved))
            assert float(leaves[place].grad[index]) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-6)


@pytest.mark.parametrize(("name", "reference", "arguments", "learned"), CASES)
def test_single_precision_is_close(name, reference, arguments, learned):
    _, given = tensors(
        name, [a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype == float else a for a in arguments]
    )
    assert float(getattr(losses, name)(*given)) == pytest.approx(reference(*arguments), rel=2e-5)


def test_dino_gives_the_teacher_no_gradient():
    leaves, given = tensors("dino_loss", (TEACHER, STUDENT, CENTER, 0.04, 0.1), learned=(0, 1))
    losses.dino_loss(*given).backward()
    assert leaves[0].grad is None
    assert leaves[1].grad.abs().sum() > 0


@pytest.mark.parametrize("shape", [(4,), (1, 4)])
def test_the_centre_moves_towards_the_mean_of_all_teacher_views(shape):
    expected = 0.9 * CENTER + 0.1 * (TEACHER[0].sum(0) + TEACHER[1].sum(0)) / 6
    center = torch.from_numpy(CENTER).reshape(shape)
    for teacher in (torch.from_numpy(TEACHER).flatten(0, 1), list(torch.from_numpy(TEACHER))):
        moved = losses.dino_center(center, teacher, 0.9)
        assert moved.shape == shape
        np.testing.assert_allclose(moved.reshape(4), expected, atol=1e-12)


def test_simmim_takes_a_mask_with_or_without_a_channel_axis():
    x, rec, mask = (torch.from_numpy(a) for a in (VOLUME, RESTORED, MASK_VOX))
    assert torch.equal(losses.simmim_loss(x, rec, mask), losses.simmim_loss(x, rec, mask.unsqueeze(1).bool()))


def test_visible_patches_do_not_matter_to_mae():
    target, pred, mask = (torch.from_numpy(a.copy()) for a in (PATCHES, PREDICTED, MASK))
    before = losses.mae_loss(target, pred, mask)
    pred[0, 1] += 100
    assert losses.mae_loss(target, pred, mask) == before


def test_a_constant_patch_normalises_to_zero_and_not_to_noise():
    assert losses.normalise_patches(torch.full((1, 1, 8), 3.0)).abs().max() == 0
