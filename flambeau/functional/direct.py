"""The torch namespace's own forms of neural-network functions.

Where torch.nn.functional has words, these have numbers (reduction: 1 mean, 2 sum, any other and by
default none), other orders of arguments and other defaults. Switches for cuDNN are accepted: they
choose kernels, not results.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.functional import (
    adaptive_pooling,
    loss,
    normalisation,
    pointwise,
    rearranging,
    sampling,
    sequence_loss,
)
from flambeau.functional import dropout as dropouts
from flambeau.functional import embedding as tables
from flambeau.functional import margin as _margin
from flambeau.functional import softmax as soft
from flambeau.functional.channels import (
    channel_shuffle,
    native_channel_shuffle,
    pixel_shuffle,
    pixel_unshuffle,
)
from flambeau.functional.convolution import (
    bilinear,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from flambeau.functional.linear_loss import conv_tbc
from flambeau.functional.normalisation import rms_norm
from flambeau.functional.options import numpy_names
from flambeau.functional.pooling import (
    avg_pool1d,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool3d,
)
from flambeau.tensor.tensor import Tensor

adaptive_avg_pool1d = adaptive_pooling.adaptive_avg_pool1d


def _word(reduction: int) -> str:
    return {1: "mean", 2: "sum"}.get(reduction, "none")


# ---- layers -------------------------------------------------------------------------------------


def adaptive_max_pool1d(input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:
    """Maxima over windows that divide the last axis into output_size parts, and their indices."""
    pair: tuple[Tensor, Tensor] = adaptive_pooling.adaptive_max_pool1d(input, output_size, True)
    return pair


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """conv1d, conv2d, conv3d or a transposed one, by the weight's rank."""
    rank = weight.ndim - 2
    if rank not in (1, 2, 3):
        raise RuntimeError(f"convolution: expected a weight of 3 to 5 dimensions, got {rank + 2}")
    steps = (tuple(stride), tuple(padding))
    if not transposed:
        plain = (conv1d, conv2d, conv3d)[rank - 1]
        return plain(input, weight, bias, *steps, tuple(dilation), groups)
    turned = (conv_transpose1d, conv_transpose2d, conv_transpose3d)[rank - 1]
    return turned(input, weight, bias, *steps, tuple(output_padding), groups, tuple(dilation))


def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """torch.nn.functional.batch_norm, every argument given."""
    return normalisation.normalised_batch(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )


def native_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """batch_norm with the mean and 1 / deviation of each channel, in training (else empty)."""
    made = normalisation.normalised_batch(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )
    if not training:
        return made, input.new_empty(0), input.new_empty(0)
    axes = [axis for axis in range(input.ndim) if axis != 1]
    plain = input.detach()
    variance = plain.var(axes, correction=0)
    return made, plain.mean(axes), (variance + eps).rsqrt()


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """torch.nn.functional.instance_norm, every argument given."""
    return normalisation.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
    cudnn_enable: bool = True,
) -> Tensor:
    """torch.nn.functional.layer_norm."""
    return normalisation.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
    cudnn_enabled: bool = True,
) -> Tensor:
    """torch.nn.functional.group_norm."""
    return normalisation.group_norm(input, num_groups, weight, bias, eps)


def embedding(
    weight: Tensor,
    indices: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of weight at indices; padding_idx -1 is none."""
    padding = None if padding_idx < 0 else padding_idx
    return tables.embedding(
        indices, weight, padding, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
    )


def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Bags of rows by mode 0 sum, 1 mean, 2 max: (bags, the bag of each index, the bags' sizes,
    offsets again). The last three are what PyTorch's derivative would need.
    """
    word = ("sum", "mean", "max")[mode]
    made = tables.embedding_bag(
        indices, weight, offsets, mode=word, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse,
        per_sample_weights=per_sample_weights, include_last_offset=include_last_offset,
        padding_idx=padding_idx,
    )  # fmt: skip
    ends = [*offsets.tolist(), indices.numel()] if not include_last_offset else offsets.tolist()
    sizes = offsets.new_tensor([b - a for a, b in itertools.pairwise(ends)])
    bags = offsets.new_tensor([n for n, size in enumerate(sizes.tolist()) for _ in range(size)])
    return made, bags, sizes, offsets.clone()


def embedding_renorm_(
    input: Tensor, indices: Tensor, max_norm: float, norm_type: float = 2.0
) -> Tensor:
    """Scales the rows at indices down to a norm of at most max_norm, in place."""
    from flambeau.autograd.modes import no_grad

    with no_grad():
        rows = indices.reshape(-1).unique()
        taken = input[rows]
        norms = taken.norm(norm_type, 1, keepdim=True)
        input[rows] = taken * (max_norm / (norms + 1e-7)).clamp(max=1.0)
    return input


def constant_pad_nd(input: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """torch.nn.functional.pad with a constant."""
    try:
        padded: Tensor = rearranging.pad(input, tuple(pad), "constant", value)
        return padded
    except Exception:
        refuse_misgiven()
        raise


def affine_grid_generator(theta: Tensor, size: Any, align_corners: bool) -> Tensor:
    """torch.nn.functional.affine_grid."""
    return sampling.affine_grid(theta, size, align_corners)


def grid_sampler_2d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """grid_sampler for images [N, C, H, W]."""
    try:
        return _sampled("2d", 4, input, grid, interpolation_mode, padding_mode, align_corners)
    except Exception:
        refuse_misgiven()
        raise


def grid_sampler_3d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """grid_sampler for volumes [N, C, D, H, W]."""
    try:
        return _sampled("3d", 5, input, grid, interpolation_mode, padding_mode, align_corners)
    except Exception:
        refuse_misgiven()
        raise


def _sampled(kind: str, rank: int, input: Tensor, grid: Tensor, *modes: Any) -> Tensor:
    if input.ndim != rank or grid.ndim != rank:
        raise RuntimeError(
            f"grid_sampler_{kind}(): expected {rank - 2}-dimensional input and grid with batch and "
            f"channels, but got input with sizes {list(input.shape)} and grid with sizes "
            f"{list(grid.shape)}"
        )
    return grid_sampler(input, grid, *modes)


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """torch.nn.functional.grid_sample; modes by number, in the order of its documentation."""
    mode, padding = sampling.MODES[interpolation_mode], sampling.PADDINGS[padding_mode]
    return sampling.grid_sample(input, grid, mode, padding, align_corners)


def _probability(p: float) -> float:
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    return p


def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """torch.nn.functional.dropout, every argument given."""
    return dropouts.dropout(input, _probability(p), train)


def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Whole channels dropped, every argument given."""
    return dropouts.feature_dropout(input, _probability(p), train)


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """torch.nn.functional.alpha_dropout, every argument given."""
    return dropouts.alpha_dropout(input, _probability(p), train)


def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """torch.nn.functional.feature_alpha_dropout, every argument given."""
    return dropouts.feature_alpha_dropout(input, _probability(p), train)


@numpy_names
def softmax(
    input: Tensor, dim: int, dtype: DType | None = None, *, out: Tensor | None = None
) -> Tensor:
    """exp(x) / sum(exp(x)) along dim; in `dtype` if given."""
    return pointwise.write_same(soft.softmax(input, dim, dtype=dtype), out)


@numpy_names
def log_softmax(
    input: Tensor, dim: int, dtype: DType | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The logarithm of softmax along dim; in `dtype` if given."""
    return pointwise.write_same(soft.log_softmax(input, dim, dtype=dtype), out)


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """dropout in place."""
    return dropouts.dropout(input, p, train, True)


def feature_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """feature_dropout in place."""
    return dropouts.feature_dropout(input, p, train, True)


def alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """alpha_dropout in place."""
    return dropouts.alpha_dropout(input, p, train, True)


def feature_alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """feature_alpha_dropout in place."""
    return dropouts.feature_alpha_dropout(input, p, train, True)


# ---- losses -------------------------------------------------------------------------------------


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: int = 0,
) -> Tensor:
    """torch.nn.functional.binary_cross_entropy_with_logits."""
    return loss.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_word(reduction), pos_weight=pos_weight
    )


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """torch.nn.functional.cosine_embedding_loss."""
    return _margin.cosine_embedding_loss(input1, input2, target, margin, reduction=_word(reduction))


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 0,
    zero_infinity: bool = False,
) -> Tensor:
    """torch.nn.functional.ctc_loss."""
    return sequence_loss.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, _word(reduction), zero_infinity
    )


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 0
) -> Tensor:
    """torch.nn.functional.hinge_embedding_loss."""
    return _margin.hinge_embedding_loss(input, target, margin, reduction=_word(reduction))


def kl_div(
    input: Tensor, target: Tensor, reduction: int = 0, *, log_target: bool = False
) -> Tensor:
    """torch.nn.functional.kl_div."""
    return loss.kl_div(input, target, reduction=_word(reduction), log_target=log_target)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """torch.nn.functional.margin_ranking_loss."""
    return _margin.margin_ranking_loss(input1, input2, target, margin, reduction=_word(reduction))


def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int
) -> Tensor:
    """torch.nn.functional.poisson_nll_loss, every argument given."""
    return loss.poisson_nll_loss(
        input, target, log_input, full, eps=eps, reduction=_word(reduction)
    )


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-06,
    swap: bool = False,
    reduction: int = 0,
) -> Tensor:
    """torch.nn.functional.triplet_margin_loss."""
    return _margin.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=_word(reduction)
    )


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace.
__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_max_pool1d",
    "affine_grid_generator",
    "alpha_dropout",
    "alpha_dropout_",
    "avg_pool1d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy_with_logits",
    "channel_shuffle",
    "constant_pad_nd",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_tbc",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolution",
    "cosine_embedding_loss",
    "ctc_loss",
    "dropout",
    "dropout_",
    "embedding",
    "embedding_bag",
    "embedding_renorm_",
    "feature_alpha_dropout",
    "feature_alpha_dropout_",
    "feature_dropout",
    "feature_dropout_",
    "grid_sampler",
    "grid_sampler_2d",
    "grid_sampler_3d",
    "group_norm",
    "hinge_embedding_loss",
    "instance_norm",
    "kl_div",
    "layer_norm",
    "log_softmax",
    "margin_ranking_loss",
    "native_batch_norm",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool3d",
    "native_channel_shuffle",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "rms_norm",
    "softmax",
    "triplet_margin_loss",
]
