"""Functions that are Python in PyTorch, as far as their first mistakes go: what each asks of its
operands before any kernel sees them, in order. `target.size` is an attribute that the operand must
have, `*tensors` are tensors one by one (`**tensors`: or a list of them), `reduction` is the word by
which a loss is reduced; a bare name is the function in C that gets the arguments of those names,
`name(..)` one that gets them by position.
"""

from __future__ import annotations

_LOSS = "target.size input.size reduction"
_POOL = "max_pool{}d(input,kernel_size,stride,padding,dilation,ceil_mode)"
_CTC = "log_probs,targets,input_lengths,target_lengths,blank,reduction,zero_infinity"
FUNCTIONAL = {
    "adaptive_avg_pool2d": "input.size", "adaptive_avg_pool3d": "input.size",
    "adaptive_max_pool1d": "adaptive_max_pool1d", "adaptive_max_pool2d": "input.size",
    "adaptive_max_pool3d": "input.size", "alpha_dropout": "alpha_dropout",
    "batch_norm": "input.size batch_norm", "ctc_loss": f"reduction ctc_loss({_CTC})",
    "max_pool1d": _POOL.format(1), "max_pool2d": _POOL.format(2),
    "binary_cross_entropy": f"{_LOSS} binary_cross_entropy",
    "binary_cross_entropy_with_logits": f"{_LOSS} binary_cross_entropy_with_logits",
    "celu": "celu", "cosine_embedding_loss": "reduction cosine_embedding_loss",
    "cross_entropy": "reduction cross_entropy_loss", "dropout": "dropout", "dropout1d": "input.dim",
    "dropout2d": "input.dim", "dropout3d": "input.dim", "elu": "elu", "embedding": "embedding",
    "feature_alpha_dropout": "feature_alpha_dropout", "gaussian_nll_loss": "input.size",
    "glu": "input.dim", "grid_sample": "grid_sampler", "group_norm": "input.dim group_norm",
    "gumbel_softmax": "", "hardsigmoid": "hardsigmoid", "hardswish": "hardswish",
    "hardtanh": "hardtanh", "hinge_embedding_loss": "reduction hinge_embedding_loss",
    "huber_loss": _LOSS, "instance_norm": "input.size instance_norm", "interpolate": "input.dim",
    "kl_div": "reduction kl_div", "l1_loss": _LOSS, "layer_norm": "layer_norm",
    "leaky_relu": "leaky_relu",
    "linear_cross_entropy": "input.dim linear_weight.dim target.shape",
    "local_response_norm": "input.dim", "log_softmax": "input.log_softmax(dim)",
    "lp_pool1d": "", "margin_ranking_loss": "reduction input1.dim input2.dim target.dim",
    "max_unpool1d": "input.size indices.unsqueeze", "max_unpool2d": "input.size",
    "max_unpool3d": "input.size", "mish": "mish", "mse_loss": _LOSS,
    "multi_head_attention_forward": "query.dim key.dim value.dim",
    "max_pool3d": f"input.is_cuda {_POOL.format(3)}", "fractional_max_pool2d": "input.dim",
    "fractional_max_pool3d": "input.dim",
    "multi_margin_loss": "reduction multi_margin_loss",
    "multilabel_margin_loss": "reduction multilabel_margin_loss",
    "multilabel_soft_margin_loss": "log_sigmoid", "nll_loss": "reduction nll_loss_nd",
    "normalize": "input.norm", "pad": "pad", "poisson_nll_loss": "reduction poisson_nll_loss",
    "relu": "relu", "relu6": "relu6", "rms_norm": "rms_norm", "rrelu": "rrelu", "selu": "selu",
    "silu": "silu", "smooth_l1_loss": _LOSS, "soft_margin_loss": "reduction soft_margin_loss",
    "softmax": "input.softmax(dim)", "softsign": "input.abs", "tanhshrink": "input.tanh",
    "threshold": "threshold", "triplet_margin_loss": "reduction triplet_margin_loss",
    "triplet_margin_with_distance_loss": "anchor.ndim positive.ndim negative.ndim",
    "sigmoid": "input.sigmoid", "tanh": "input.tanh", "upsample_bilinear": "input.dim",
    "upsample_nearest": "input.dim",
}  # fmt: skip
TORCH = {
    **dict.fromkeys(
        ("atleast_1d", "atleast_2d", "atleast_3d", "meshgrid"), "**tensors",
    ),
    **dict.fromkeys(("block_diag", "broadcast_tensors", "cartesian_prod"), "*tensors"),
    "cdist": "cdist", "norm": "input.layout", "split": "tensor.split", "stft": "input.dim stft",
    "tensordot": "a.dim b.dim", "unique": "_unique2", "unique_consecutive": "unique_consecutive",
    "unravel_index": "indices.is_complex", "lu": "_lu_with_info",
}  # fmt: skip


def steps(kind: str, name: str) -> list[str] | None:
    """What a function asks, step by step; None where it is not one of these."""
    found = (FUNCTIONAL if kind == "F" else TORCH).get(name)
    return None if found is None else found.split()


def inner_names() -> set[str]:
    """The functions in C that they give their operands to."""
    every = [*FUNCTIONAL.values(), *TORCH.values()]
    steps = {step for line in every for step in line.split()} - {"reduction"}
    found = {step for step in steps if "." not in step and step[0] != "*" and step[-1] != ")"}
    return found | {"atleast_1d", "atleast_2d", "atleast_3d"}
