"""The losses of self-supervised learning as pure functions of tensors; no parameters, no randomness, no state.

Legend: B (= N of the papers) samples of a batch, E channels, T tokens, P voxels of a token, K prototypes, Q queue entries,
C channels, D H W voxels. Every function returns a scalar that is a mean over the batch, differentiable in what is learned.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(z1_BE: Tensor, z2_BE: Tensor, temperature: float) -> Tensor:
    """NT-Xent (SimCLR, Chen et al. 2020): cosine similarities of all 2B views, self excluded, mean over the 2B."""
    z = F.normalize(torch.cat((z1_BE, z2_BE)), dim=1)
    B = z1_BE.shape[0]
    logits = z @ z.T / temperature
    logits = logits.masked_fill(torch.eye(2 * B, dtype=torch.bool, device=z.device), float("-inf"))
    partner = torch.arange(2 * B, device=z.device).roll(B)
    return F.cross_entropy(logits, partner)


def info_nce(
    q_BE: Tensor, k_BE: Tensor, temperature: float, symmetric: bool = False, queue: Tensor | None = None
) -> Tensor:
    """InfoNCE (van den Oord et al. 2018) on cosine similarities; sample i's positive is k_i.

    Negatives are the other view's other samples, or, given a `queue` (Q, E), its entries (MoCo, He et al. 2020).
    `symmetric` is the mean of both directions.
    """
    q, k = F.normalize(q_BE, dim=1), F.normalize(k_BE, dim=1)
    if queue is None:
        logits, target = q @ k.T, torch.arange(q.shape[0], device=q.device)
    else:
        positive_B1 = (q * k).sum(dim=1, keepdim=True)
        logits = torch.cat((positive_B1, q @ F.normalize(queue, dim=1).T), dim=1)
        target = torch.zeros(q.shape[0], dtype=torch.long, device=q.device)
    loss = F.cross_entropy(logits / temperature, target)
    return (loss + info_nce(k_BE, q_BE, temperature, queue=queue)) / 2 if symmetric else loss


def normalise_patches(target_BTP: Tensor) -> Tensor:
    """Each token's voxels as (t - mean) / sqrt(unbiased variance + 1e-6) (MAE's normalised pixels)."""
    mean = target_BTP.mean(dim=-1, keepdim=True)
    variance = target_BTP.var(dim=-1, keepdim=True)
    return (target_BTP - mean) / (variance + 1e-6).sqrt()


def mae_loss(target_BTP: Tensor, pred_BTP: Tensor, mask_BT: Tensor, normalise: bool = False) -> Tensor:
    """MAE (He et al. 2022): the mean over masked tokens (mask 1 = hidden) of each token's mean squared error.

    Where every sample hides the same number of tokens, this is also the mean over samples of their own means.
    """
    if normalise:
        target_BTP = normalise_patches(target_BTP)
    error_BT = (pred_BTP - target_BTP).square().mean(dim=-1)
    mask_BT = mask_BT.to(error_BT.dtype)
    return (error_BT * mask_BT).sum() / mask_BT.sum()


def simmim_loss(x_BCDHW: Tensor, rec_BCDHW: Tensor, mask_vox: Tensor) -> Tensor:
    """SimMIM (Xie et al. 2022): L1 over masked voxels / (their count + 1e-5) / channels.

    `mask_vox`: 1 = hidden, (B, D, H, W) or (B, 1, D, H, W), the same for all channels.
    """
    mask = mask_vox.to(x_BCDHW.dtype).reshape(x_BCDHW.shape[0], 1, *x_BCDHW.shape[2:])
    return ((x_BCDHW - rec_BCDHW).abs() * mask).sum() / (mask.sum() + 1e-5) / x_BCDHW.shape[1]


def dino_loss(
    teacher: Sequence[Tensor],
    student: Sequence[Tensor],
    center: Tensor,
    teacher_temp: float,
    student_temp: float,
) -> Tensor:
    """DINO (Caron et al. 2021): cross-entropy, the mean over all pairs of a teacher's and a student's *different* views.

    `teacher`, `student`: lists of (B, K) logits, view i of one being view i of the other (the student may have more, the
    local crops). No gradient reaches the teacher.
    """
    targets = [F.softmax((view.detach() - center) / teacher_temp, dim=-1) for view in teacher]
    logs = [F.log_softmax(view / student_temp, dim=-1) for view in student]
    pairs = [(t, s) for t in range(len(targets)) for s in range(len(logs)) if s != t]
    return torch.stack([-(targets[t] * logs[s]).sum(dim=-1).mean() for t, s in pairs]).mean()


@torch.no_grad()
def dino_center(center: Tensor, teacher: Tensor | Sequence[Tensor], momentum: float) -> Tensor:
    """The next centre: momentum * center + (1 - momentum) * mean of the teacher's logits over all views and samples."""
    logits = teacher if isinstance(teacher, Tensor) else torch.cat(list(teacher))
    return center * momentum + logits.mean(dim=0) * (1 - momentum)


def barlow(z1_BE: Tensor, z2_BE: Tensor, lam: float) -> Tensor:
    """Barlow Twins (Zbontar et al. 2021, equations 1 and 2): sum (1 - C_ii)^2 + lam * sum_{i != j} C_ij^2.

    C is the correlation of the channels of one view with those of the other, over the batch.
    """
    one, two = (F.normalize(z - z.mean(dim=0), dim=0) for z in (z1_BE, z2_BE))
    correlation_EE = one.T @ two
    diagonal = correlation_EE.diagonal()
    off_diagonal = correlation_EE.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + lam * off_diagonal
