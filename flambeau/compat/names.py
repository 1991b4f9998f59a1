"""Which Flambeau module answers to which name of PyTorch's."""

from __future__ import annotations

from importlib.machinery import PathFinder

ROOTS = {
    "torch": "flambeau",
    "torchvision": "flambeau.vision",
    "torchmetrics": "flambeau.metrics",
}
# The roots that may be left to the package that is installed under that name.
LEAVABLE = frozenset({"torchmetrics", "torchvision"})

# Packages that work on PyTorch's names alone: they run as they are where they are installed.
IN_PLACE = {"torchinfo": "flambeau.seeing.summary"}

# Rooms of the house that have no counterpart in PyTorch: `import torch.graph` must not find them.
INTERNAL = frozenset(
    {
        "bundles",
        "checkpoint",
        "cli",
        "compat",
        "core",
        "dynamo",
        "execute",
        "graph",
        "inductor",
        "nvtx",
        "ops",
        "plot",
        "record",
        "seeing",
        "tensor",
    },
)

# PyTorch spreads these over more files than Flambeau does. Pickles and a few programs name the
# file; where Flambeau has no module of that name, the room that holds the same classes answers.
_NN_FILES = (
    "activation adaptive batchnorm channelshuffle container conv distance dropout flatten fold "
    "instancenorm linear loss module normalization padding pixelshuffle pooling rnn sparse "
    "transformer upsampling"
).split()
_OPTIM_FILES = "adadelta adagrad adam adamax adamw asgd nadam optimizer radam rmsprop sgd".split()
_DISTRIBUTION_FILES = (
    "bernoulli beta binomial categorical cauchy chi2 dirichlet exponential exp_family gamma "
    "geometric gumbel half_cauchy half_normal inverse_gamma kumaraswamy laplace log_normal "
    "logistic_normal mixture_same_family multinomial negative_binomial normal one_hot_categorical "
    "pareto poisson relaxed_bernoulli relaxed_categorical studentT transformed_distribution "
    "uniform von_mises weibull fishersnedecor multivariate_normal lowrank_multivariate_normal "
    "lkj_cholesky"
).split()
_DATA_FILES = "dataloader dataset sampler".split()
_REGION_FILES = "roi_align roi_pool ps_roi_align ps_roi_pool".split()
_LOSS_FILES = "ciou diou focal giou".split()
_SHARDING_FILES = (
    "_functional_collectives _composable _composable.fsdp _tensor _tensor.experimental "
    "algorithms algorithms.join algorithms.model_averaging "
    "algorithms.model_averaging.averagers checkpoint checkpoint.default_planner "
    "checkpoint.format_utils checkpoint.hf_storage checkpoint.optimizer checkpoint.state_dict "
    "checkpoint.state_dict_loader device_mesh fsdp fsdp.api fsdp.fully_sharded_data_parallel "
    "fsdp.sharded_grad_scaler fsdp.wrap optim tensor tensor._utils tensor.experimental "
    "tensor.parallel tensor.placement_types utils"
).split()

GATHERED: dict[str, str] = {
    "torch._dynamo": "flambeau.dynamo",
    "torch._dynamo._trace_wrapped_higher_order_op": "flambeau.dynamo",
    "torch._dynamo.eval_frame": "flambeau.dynamo",
    "torch._subclasses": "flambeau.dynamo",
    "torch._subclasses.fake_tensor": "flambeau.dynamo",
    "torch._inductor": "flambeau.inductor",
    "torch._inductor.config": "flambeau.inductor",
    "torch._logging": "flambeau.dynamo",
    "torch._tensor": "flambeau.tensor.tensor",
    "torch._utils": "flambeau.bundles",
    "torch.autograd.profiler": "flambeau.explaining.legacy",
    "torch.autograd.profiler_util": "flambeau.explaining.profiled",
    "torch.autograd.variable": "flambeau.autograd",
    "torch.cuda.nvtx": "flambeau.nvtx",
    **{f"torch.cuda.{name}": "flambeau.cuda" for name in ("graphs", "memory", "random", "streams")},
    "torch.distributed.constants": "flambeau.distributed.group",
    "torch.distributed.distributed_c10d": "flambeau.distributed",
    **{f"torch.distributed.{name}": "flambeau.distributed.sharding" for name in _SHARDING_FILES},
    "torch.jit.annotations": "flambeau.jit",
    "torch.nn.attention.flex_attention": "flambeau.nn.flex_attention",
    "torch.nn.modules": "flambeau.nn",
    "torch.nn.modules.utils": "flambeau.nn.modules.sizes",
    "torch.nn.parameter": "flambeau.nn",
    **{f"torch.nn.modules.{name}": "flambeau.nn" for name in _NN_FILES},
    **{f"torch.optim.{name}": "flambeau.optim" for name in _OPTIM_FILES},
    "torch.distributions.utils": "flambeau.distributions.parameters",
    **{f"torch.distributions.{name}": "flambeau.distributions" for name in _DISTRIBUTION_FILES},
    "torch.ao.quantization": "flambeau.quantization",
    "torch.cuda.amp": "flambeau.amp.cuda",
    "torch.cuda.amp.autocast_mode": "flambeau.amp.cuda",
    "torch.cuda.amp.grad_scaler": "flambeau.amp.cuda",
    "torch.cpu.amp": "flambeau.amp.cpu",
    **{f"torch.utils.data.{name}": "flambeau.utils.data" for name in _DATA_FILES},
    "torchvision.transforms.transforms": "flambeau.vision.transforms",
    "torchvision.transforms._functional_pil": "flambeau.vision.transforms.pil_images",
    "torchvision.transforms._functional_tensor": "flambeau.vision.transforms.functional",
    "torchvision.transforms.functional_tensor": "flambeau.vision.transforms.functional",
    "torchvision.datasets.utils": "flambeau.vision.datasets.download",
    "torchvision.models._utils": "flambeau.vision.models.intermediate",
    "torchvision.models.detection._utils": "flambeau.vision.models.detection.matching",
    "torchvision.models.detection.anchor_utils": "flambeau.vision.models.detection.anchors",
    "torchvision.models.detection.backbone_utils": "flambeau.vision.models.detection.backbones",
    "torchvision.models.segmentation._utils": "flambeau.vision.models.segmentation.shared",
    "torchvision.ops.deform_conv": "flambeau.vision.ops.deformable",
    "torchvision.ops.misc": "flambeau.vision.ops.layers",
    "torchvision.ops.feature_pyramid_network": "flambeau.vision.ops.pyramids",
    **{f"torchvision.ops.{name}": "flambeau.vision.ops.regions" for name in _REGION_FILES},
    **{f"torchvision.ops.{name}_loss": "flambeau.vision.ops.losses" for name in _LOSS_FILES},
}

# The public packages of PyTorch 2.x, to tell "not built yet" from "no such thing".
PYTORCH = frozenset(
    (
        "_C accelerator amp ao autograd backends compiler cpu cuda distributed distributions "
        "export fft func functional futures fx hub jit library linalg masked monitor mps "
        "multiprocessing mtia nested nn onnx optim overrides package profiler quantization random "
        "serialization signal sparse special storage testing types utils version xpu"
    ).split()
)


def target(name: str) -> str:
    """The Flambeau name of the same relative place: torch.nn.init -> flambeau.nn.init."""
    root, _, rest = name.partition(".")
    return f"{ROOTS[root]}.{rest}" if rest else ROOTS[root]


def is_internal(name: str) -> bool:
    """Whether a torch.* name would reach into a room that PyTorch does not have."""
    parts = name.split(".")
    return parts[0] == "torch" and len(parts) > 1 and parts[1] in INTERNAL


def missing(name: str) -> str:
    """The text of the ImportError for a name that Flambeau cannot answer."""
    root, _, rest = name.partition(".")
    if root == "torch" and rest and rest.partition(".")[0] not in PYTORCH:
        return f"No module named '{name}': neither Flambeau nor PyTorch 2.x is known to have it"
    whole = f"{root} yet (it would be {ROOTS[root]})" if not rest else f"{name} yet"
    if root in LEAVABLE and PathFinder.find_spec(root) is not None:
        return (
            f"flambeau has no {whole}, but the package {root} is installed: to run that on "
            f"Flambeau, say `flambeau run --leave {root}` or set FLAMBEAU_LEAVE={root}"
        )
    return (
        f"flambeau has no {whole}. In this process `import {root}` means Flambeau; run the "
        f"script with plain `python` to have PyTorch's, or guard the import with "
        f"`try: ... except ImportError:`"
    )
