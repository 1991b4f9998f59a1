# Written by tools/make_stubs.py; run it after a change of the functions named here.

import builtins as _builtins
from builtins import bool as _bool
from builtins import float as _float
from builtins import str as _str
from typing import Any

from flambeau import accelerator as accelerator
from flambeau import autograd as autograd
from flambeau import backends as backends
from flambeau import compiler as compiler
from flambeau import cpu as cpu
from flambeau import cuda as cuda
from flambeau import linalg as linalg
from flambeau import mps as mps
from flambeau import nn as nn
from flambeau import optim as optim
from flambeau import random as random
from flambeau import serialization as serialization
from flambeau import testing as testing
from flambeau import utils as utils
from flambeau import version as version
from flambeau.autograd.modes import enable_grad as enable_grad
from flambeau.autograd.modes import inference_mode as inference_mode
from flambeau.autograd.modes import is_grad_enabled as is_grad_enabled
from flambeau.autograd.modes import is_inference_mode_enabled as is_inference_mode_enabled
from flambeau.autograd.modes import no_grad as no_grad
from flambeau.autograd.modes import set_grad_enabled as set_grad_enabled
from flambeau.compiler import compile as compile
from flambeau.core.device import device as device
from flambeau.core.device import get_default_device as get_default_device
from flambeau.core.device import set_default_device as set_default_device
from flambeau.core.dtypes import DType
from flambeau.core.dtypes import finfo as finfo
from flambeau.core.dtypes import get_default_dtype as get_default_dtype
from flambeau.core.dtypes import iinfo as iinfo
from flambeau.core.dtypes import set_default_dtype as set_default_dtype
from flambeau.core.layout import Layout, MemoryFormat
from flambeau.core.layout import channels_last as channels_last
from flambeau.core.layout import channels_last_3d as channels_last_3d
from flambeau.core.layout import contiguous_format as contiguous_format
from flambeau.core.layout import preserve_format as preserve_format
from flambeau.core.layout import sparse_coo as sparse_coo
from flambeau.core.layout import sparse_csr as sparse_csr
from flambeau.core.layout import strided as strided
from flambeau.core.promotion import can_cast as can_cast
from flambeau.core.promotion import promote_types as promote_types
from flambeau.core.size import Size as Size
from flambeau.functional.activation import celu as celu
from flambeau.functional.activation import celu_ as celu_
from flambeau.functional.activation import hardshrink as hardshrink
from flambeau.functional.activation import log_softmax as log_softmax
from flambeau.functional.activation import prelu as prelu
from flambeau.functional.activation import relu as relu
from flambeau.functional.activation import relu_ as relu_
from flambeau.functional.activation import rrelu as rrelu
from flambeau.functional.activation import rrelu_ as rrelu_
from flambeau.functional.activation import selu as selu
from flambeau.functional.activation import selu_ as selu_
from flambeau.functional.activation import softmax as softmax
from flambeau.functional.activation import threshold as threshold
from flambeau.functional.activation import threshold_ as threshold_
from flambeau.functional.conversion import clone as clone
from flambeau.functional.conversion import complex as complex
from flambeau.functional.conversion import conj as conj
from flambeau.functional.conversion import imag as imag
from flambeau.functional.conversion import real as real
from flambeau.functional.creation import arange as arange
from flambeau.functional.creation import as_tensor as as_tensor
from flambeau.functional.creation import empty as empty
from flambeau.functional.creation import empty_like as empty_like
from flambeau.functional.creation import empty_strided as empty_strided
from flambeau.functional.creation import eye as eye
from flambeau.functional.creation import from_dlpack as from_dlpack
from flambeau.functional.creation import from_numpy as from_numpy
from flambeau.functional.creation import frombuffer as frombuffer
from flambeau.functional.creation import full as full
from flambeau.functional.creation import full_like as full_like
from flambeau.functional.creation import linspace as linspace
from flambeau.functional.creation import logspace as logspace
from flambeau.functional.creation import ones as ones
from flambeau.functional.creation import ones_like as ones_like
from flambeau.functional.creation import range_
from flambeau.functional.creation import tensor as tensor
from flambeau.functional.creation import tril_indices as tril_indices
from flambeau.functional.creation import triu_indices as triu_indices
from flambeau.functional.creation import zeros as zeros
from flambeau.functional.creation import zeros_like as zeros_like
from flambeau.functional.folding import RETURN_TYPES
from flambeau.functional.gathering import gather as gather
from flambeau.functional.gathering import index_add as index_add
from flambeau.functional.gathering import index_copy as index_copy
from flambeau.functional.gathering import index_fill as index_fill
from flambeau.functional.gathering import index_select as index_select
from flambeau.functional.gathering import put as put
from flambeau.functional.gathering import scatter as scatter
from flambeau.functional.gathering import scatter_add as scatter_add
from flambeau.functional.gathering import scatter_reduce as scatter_reduce
from flambeau.functional.gathering import take as take
from flambeau.functional.gathering import take_along_dim as take_along_dim
from flambeau.functional.geometry import cdist as cdist
from flambeau.functional.geometry import cross as cross
from flambeau.functional.geometry import linalg_cross as linalg_cross
from flambeau.functional.geometry import trace as trace
from flambeau.functional.indexing import index_put as index_put
from flambeau.functional.indexing import index_put_ as index_put_
from flambeau.functional.joining import atleast_1d as atleast_1d
from flambeau.functional.joining import atleast_2d as atleast_2d
from flambeau.functional.joining import atleast_3d as atleast_3d
from flambeau.functional.joining import block_diag as block_diag
from flambeau.functional.joining import broadcast_tensors as broadcast_tensors
from flambeau.functional.joining import cartesian_prod as cartesian_prod
from flambeau.functional.joining import cat as cat
from flambeau.functional.joining import column_stack as column_stack
from flambeau.functional.joining import combinations as combinations
from flambeau.functional.joining import dstack as dstack
from flambeau.functional.joining import hstack as hstack
from flambeau.functional.joining import meshgrid as meshgrid
from flambeau.functional.joining import stack as stack
from flambeau.functional.joining import vstack as vstack
from flambeau.functional.linear_algebra import bmm as bmm
from flambeau.functional.linear_algebra import chain_matmul as chain_matmul
from flambeau.functional.linear_algebra import dot as dot
from flambeau.functional.linear_algebra import einsum as einsum
from flambeau.functional.linear_algebra import inner as inner
from flambeau.functional.linear_algebra import kron as kron
from flambeau.functional.linear_algebra import matmul as matmul
from flambeau.functional.linear_algebra import mm as mm
from flambeau.functional.linear_algebra import multi_dot as multi_dot
from flambeau.functional.linear_algebra import mv as mv
from flambeau.functional.linear_algebra import outer as outer
from flambeau.functional.linear_algebra import tensordot as tensordot
from flambeau.functional.linear_algebra import vdot as vdot
from flambeau.functional.masking import argwhere as argwhere
from flambeau.functional.masking import masked_fill as masked_fill
from flambeau.functional.masking import masked_scatter as masked_scatter
from flambeau.functional.masking import masked_select as masked_select
from flambeau.functional.masking import nonzero as nonzero
from flambeau.functional.moments import dist as dist
from flambeau.functional.moments import logsumexp as logsumexp
from flambeau.functional.moments import norm as norm
from flambeau.functional.moments import std as std
from flambeau.functional.moments import std_mean as std_mean
from flambeau.functional.moments import var as var
from flambeau.functional.moments import var_mean as var_mean
from flambeau.functional.moments import vector_norm as vector_norm
from flambeau.functional.ordering import argsort as argsort
from flambeau.functional.ordering import bincount as bincount
from flambeau.functional.ordering import cummax as cummax
from flambeau.functional.ordering import cummin as cummin
from flambeau.functional.ordering import cumprod as cumprod
from flambeau.functional.ordering import cumsum as cumsum
from flambeau.functional.ordering import cumulative_trapezoid as cumulative_trapezoid
from flambeau.functional.ordering import diff as diff
from flambeau.functional.ordering import histc as histc
from flambeau.functional.ordering import kthvalue as kthvalue
from flambeau.functional.ordering import logcumsumexp as logcumsumexp
from flambeau.functional.ordering import msort as msort
from flambeau.functional.ordering import sort as sort
from flambeau.functional.ordering import topk as topk
from flambeau.functional.ordering import trapezoid as trapezoid
from flambeau.functional.ordering import unique as unique
from flambeau.functional.ordering import unique_consecutive as unique_consecutive
from flambeau.functional.parts import as_strided as as_strided
from flambeau.functional.parts import chunk as chunk
from flambeau.functional.parts import diagonal as diagonal
from flambeau.functional.parts import split as split
from flambeau.functional.parts import split_with_sizes as split_with_sizes
from flambeau.functional.parts import tensor_split as tensor_split
from flambeau.functional.parts import unbind as unbind
from flambeau.functional.parts import view_as_real as view_as_real
from flambeau.functional.pointwise import add as add
from flambeau.functional.pointwise import add_ as add_
from flambeau.functional.pointwise import addcdiv as addcdiv
from flambeau.functional.pointwise import addcdiv_ as addcdiv_
from flambeau.functional.pointwise import addcmul as addcmul
from flambeau.functional.pointwise import addcmul_ as addcmul_
from flambeau.functional.pointwise import clamp as clamp
from flambeau.functional.pointwise import clamp_ as clamp_
from flambeau.functional.pointwise import clamp_max as clamp_max
from flambeau.functional.pointwise import clamp_min as clamp_min
from flambeau.functional.pointwise import div as div
from flambeau.functional.pointwise import div_ as div_
from flambeau.functional.pointwise import float_power as float_power
from flambeau.functional.pointwise import lerp as lerp
from flambeau.functional.pointwise import lerp_ as lerp_
from flambeau.functional.pointwise import nan_to_num as nan_to_num
from flambeau.functional.pointwise import positive as positive
from flambeau.functional.pointwise import pow as pow
from flambeau.functional.pointwise import pow_ as pow_
from flambeau.functional.pointwise import round as round
from flambeau.functional.pointwise import round_ as round_
from flambeau.functional.pointwise import rsub as rsub
from flambeau.functional.pointwise import sub as sub
from flambeau.functional.pointwise import sub_ as sub_
from flambeau.functional.pointwise import where as where
from flambeau.functional.randomness import Generator as Generator
from flambeau.functional.randomness import alpha_dropout as alpha_dropout
from flambeau.functional.randomness import bernoulli as bernoulli
from flambeau.functional.randomness import default_generator as default_generator
from flambeau.functional.randomness import dropout as dropout
from flambeau.functional.randomness import feature_alpha_dropout as feature_alpha_dropout
from flambeau.functional.randomness import feature_dropout as feature_dropout
from flambeau.functional.randomness import get_rng_state as get_rng_state
from flambeau.functional.randomness import initial_seed as initial_seed
from flambeau.functional.randomness import manual_seed as manual_seed
from flambeau.functional.randomness import multinomial as multinomial
from flambeau.functional.randomness import normal as normal
from flambeau.functional.randomness import poisson as poisson
from flambeau.functional.randomness import rand as rand
from flambeau.functional.randomness import randint as randint
from flambeau.functional.randomness import randn as randn
from flambeau.functional.randomness import randperm as randperm
from flambeau.functional.randomness import seed as seed
from flambeau.functional.randomness import set_rng_state as set_rng_state
from flambeau.functional.ranking import bucketize as bucketize
from flambeau.functional.ranking import median as median
from flambeau.functional.ranking import mode as mode
from flambeau.functional.ranking import nanmedian as nanmedian
from flambeau.functional.ranking import nanquantile as nanquantile
from flambeau.functional.ranking import quantile as quantile
from flambeau.functional.ranking import searchsorted as searchsorted
from flambeau.functional.rearranging import diag as diag
from flambeau.functional.rearranging import diag_embed as diag_embed
from flambeau.functional.rearranging import diagflat as diagflat
from flambeau.functional.rearranging import flip as flip
from flambeau.functional.rearranging import fliplr as fliplr
from flambeau.functional.rearranging import flipud as flipud
from flambeau.functional.rearranging import repeat_interleave as repeat_interleave
from flambeau.functional.rearranging import roll as roll
from flambeau.functional.rearranging import rot90 as rot90
from flambeau.functional.rearranging import tile as tile
from flambeau.functional.rearranging import tril as tril
from flambeau.functional.rearranging import triu as triu
from flambeau.functional.reduction import all as all
from flambeau.functional.reduction import allclose as allclose
from flambeau.functional.reduction import amax as amax
from flambeau.functional.reduction import amin as amin
from flambeau.functional.reduction import aminmax as aminmax
from flambeau.functional.reduction import any as any
from flambeau.functional.reduction import argmax as argmax
from flambeau.functional.reduction import argmin as argmin
from flambeau.functional.reduction import count_nonzero as count_nonzero
from flambeau.functional.reduction import equal as equal
from flambeau.functional.reduction import isclose as isclose
from flambeau.functional.reduction import max as max
from flambeau.functional.reduction import mean as mean
from flambeau.functional.reduction import min as min
from flambeau.functional.reduction import nanmean as nanmean
from flambeau.functional.reduction import nansum as nansum
from flambeau.functional.reduction import prod as prod
from flambeau.functional.reduction import sum as sum
from flambeau.functional.similarity import cosine_similarity as cosine_similarity
from flambeau.functional.similarity import pairwise_distance as pairwise_distance
from flambeau.functional.views import adjoint as adjoint
from flambeau.functional.views import broadcast_to as broadcast_to
from flambeau.functional.views import flatten as flatten
from flambeau.functional.views import movedim as movedim
from flambeau.functional.views import narrow as narrow
from flambeau.functional.views import permute as permute
from flambeau.functional.views import ravel as ravel
from flambeau.functional.views import reshape as reshape
from flambeau.functional.views import select as select
from flambeau.functional.views import squeeze as squeeze
from flambeau.functional.views import t as t
from flambeau.functional.views import transpose as transpose
from flambeau.functional.views import unflatten as unflatten
from flambeau.functional.views import unsqueeze as unsqueeze
from flambeau.serialization import load as load
from flambeau.serialization import save as save
from flambeau.tensor.printing import set_printoptions as set_printoptions
from flambeau.tensor.tensor import Tensor as Tensor
from flambeau.tensor.tensor import is_tensor as is_tensor

e: _float
inf: _float
nan: _float
pi: _float
newaxis: None
__version__: _str
FLAMBEAU_VERSION: _str
bfloat16: DType
bool: DType
cdouble: DType
cfloat: DType
complex128: DType
complex64: DType
double: DType
float: DType
float16: DType
float32: DType
float64: DType
half: DType
int: DType
int16: DType
int32: DType
int64: DType
int8: DType
long: DType
short: DType
uint16: DType
uint32: DType
uint64: DType
uint8: DType
BFloat16Tensor: type[Tensor]
BoolTensor: type[Tensor]
ByteTensor: type[Tensor]
CharTensor: type[Tensor]
ComplexDoubleTensor: type[Tensor]
ComplexFloatTensor: type[Tensor]
DoubleTensor: type[Tensor]
FloatTensor: type[Tensor]
HalfTensor: type[Tensor]
IntTensor: type[Tensor]
LongTensor: type[Tensor]
ShortTensor: type[Tensor]
asarray = as_tensor
clip = clamp
clip_ = clamp_
concat = cat
concatenate = cat
divide = div
divide_ = div_
dtype = DType
ger = outer
layout = Layout
memory_format = MemoryFormat
moveaxis = movedim
range = range_
return_types = RETURN_TYPES
row_stack = vstack
subtract = sub
subtract_ = sub_
swapaxes = transpose
swapdims = transpose
trapz = trapezoid
true_divide = div
true_divide_ = div_

def is_floating_point(input: Tensor) -> _builtins.bool:
    """Whether the tensor's dtype is a float dtype."""

def is_complex(input: Tensor) -> _builtins.bool:
    """Whether the tensor's dtype is complex."""

def numel(input: Tensor) -> _builtins.int:
    """Number of elements."""

def is_nonzero(input: Tensor) -> _builtins.bool:
    """Whether a one-element tensor is not zero."""

def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The dtype that arithmetic of the two would have."""

def set_num_threads(count: _builtins.int) -> None:
    """How many threads compiled programs may use."""

def get_num_threads() -> _builtins.int:
    """How many threads compiled programs may use."""

def set_num_interop_threads(count: _builtins.int) -> None:
    """Accepted for PyTorch's sake: programs run one after another."""

def use_deterministic_algorithms(
    mode: _builtins.bool, *, warn_only: _builtins.bool = False
) -> None:
    """Accepted: Flambeau's programs are always deterministic."""

def are_deterministic_algorithms_enabled() -> _builtins.bool:
    """True: Flambeau's programs are always deterministic."""

def set_float32_matmul_precision(precision: _str) -> None:
    """Accepted: float32 products are always computed in full float32."""

def get_float32_matmul_precision() -> _str:
    """The precision of float32 products: always the highest."""

def typename(obj: Any) -> _str:
    """The type's name; for tensors PyTorch's legacy one."""

def abs(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise abs of `input` (a new tensor of its shape)."""

def abs_(self: Tensor) -> Tensor:
    """abs in place."""

def absolute(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise abs of `input` (a new tensor of its shape)."""

def absolute_(self: Tensor) -> Tensor:
    """abs in place."""

def acos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise acos of `input` (a new tensor of its shape)."""

def acos_(self: Tensor) -> Tensor:
    """acos in place."""

def acosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise acosh of `input` (a new tensor of its shape)."""

def acosh_(self: Tensor) -> Tensor:
    """acosh in place."""

def addbmm(input: Any, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
    """beta * input + alpha * (product of `batch1` and `batch2`); beta 0 ignores the input."""

def addmm(input: Any, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
    """beta * input + alpha * (product of `mat1` and `mat2`); beta 0 ignores the input."""

def addmv(input: Any, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
    """beta * input + alpha * (product of `mat` and `vec`); beta 0 ignores the input."""

def addr(input: Any, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
    """beta * input + alpha * (product of `vec1` and `vec2`); beta 0 ignores the input."""

def arccos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise acos of `input` (a new tensor of its shape)."""

def arccosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise acosh of `input` (a new tensor of its shape)."""

def arcsin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise asin of `input` (a new tensor of its shape)."""

def arcsinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise asinh of `input` (a new tensor of its shape)."""

def arctan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise atan of `input` (a new tensor of its shape)."""

def arctan2(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise atan2 of `input` and `other`, broadcast and promoted."""

def arctanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise atanh of `input` (a new tensor of its shape)."""

def asin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise asin of `input` (a new tensor of its shape)."""

def asin_(self: Tensor) -> Tensor:
    """asin in place."""

def asinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise asinh of `input` (a new tensor of its shape)."""

def asinh_(self: Tensor) -> Tensor:
    """asinh in place."""

def atan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise atan of `input` (a new tensor of its shape)."""

def atan2(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise atan2 of `input` and `other`, broadcast and promoted."""

def atan2_(self: Tensor, other: Any) -> Tensor:
    """atan2 in place: `other` must broadcast to this tensor's shape."""

def atan_(self: Tensor) -> Tensor:
    """atan in place."""

def atanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise atanh of `input` (a new tensor of its shape)."""

def atanh_(self: Tensor) -> Tensor:
    """atanh in place."""

def baddbmm(input: Any, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
    """beta * input + alpha * (product of `batch1` and `batch2`); beta 0 ignores the input."""

def bitwise_and(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise bitwise_and of `input` and `other`, broadcast and promoted."""

def bitwise_and_(self: Tensor, other: Any) -> Tensor:
    """bitwise_and in place: `other` must broadcast to this tensor's shape."""

def bitwise_left_shift(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise bitwise_left_shift of `input` and `other`, broadcast and promoted."""

def bitwise_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise bitwise_not of `input` (a new tensor of its shape)."""

def bitwise_not_(self: Tensor) -> Tensor:
    """bitwise_not in place."""

def bitwise_or(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise bitwise_or of `input` and `other`, broadcast and promoted."""

def bitwise_or_(self: Tensor, other: Any) -> Tensor:
    """bitwise_or in place: `other` must broadcast to this tensor's shape."""

def bitwise_right_shift(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise bitwise_right_shift of `input` and `other`, broadcast and promoted."""

def bitwise_xor(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise bitwise_xor of `input` and `other`, broadcast and promoted."""

def bitwise_xor_(self: Tensor, other: Any) -> Tensor:
    """bitwise_xor in place: `other` must broadcast to this tensor's shape."""

def ceil(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise ceil of `input` (a new tensor of its shape)."""

def ceil_(self: Tensor) -> Tensor:
    """ceil in place."""

def copysign(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise copysign of `input` and `other`, broadcast and promoted."""

def copysign_(self: Tensor, other: Any) -> Tensor:
    """copysign in place: `other` must broadcast to this tensor's shape."""

def cos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise cos of `input` (a new tensor of its shape)."""

def cos_(self: Tensor) -> Tensor:
    """cos in place."""

def cosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise cosh of `input` (a new tensor of its shape)."""

def cosh_(self: Tensor) -> Tensor:
    """cosh in place."""

def digamma(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise digamma of `input` (a new tensor of its shape)."""

def digamma_(self: Tensor) -> Tensor:
    """digamma in place."""

def eq(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise eq of `input` and `other`, broadcast and promoted."""

def eq_(self: Tensor, other: Any) -> Tensor:
    """eq in place: `other` must broadcast to this tensor's shape."""

def erf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise erf of `input` (a new tensor of its shape)."""

def erf_(self: Tensor) -> Tensor:
    """erf in place."""

def erfc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise erfc of `input` (a new tensor of its shape)."""

def erfc_(self: Tensor) -> Tensor:
    """erfc in place."""

def erfinv(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise erfinv of `input` (a new tensor of its shape)."""

def erfinv_(self: Tensor) -> Tensor:
    """erfinv in place."""

def exp(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise exp of `input` (a new tensor of its shape)."""

def exp2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise exp2 of `input` (a new tensor of its shape)."""

def exp2_(self: Tensor) -> Tensor:
    """exp2 in place."""

def exp_(self: Tensor) -> Tensor:
    """exp in place."""

def expm1(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise expm1 of `input` (a new tensor of its shape)."""

def expm1_(self: Tensor) -> Tensor:
    """expm1 in place."""

def fix(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise trunc of `input` (a new tensor of its shape)."""

def fix_(self: Tensor) -> Tensor:
    """trunc in place."""

def floor(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise floor of `input` (a new tensor of its shape)."""

def floor_(self: Tensor) -> Tensor:
    """floor in place."""

def floor_divide(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise floor_divide of `input` and `other`, broadcast and promoted."""

def floor_divide_(self: Tensor, other: Any) -> Tensor:
    """floor_divide in place: `other` must broadcast to this tensor's shape."""

def fmax(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise fmax of `input` and `other`, broadcast and promoted."""

def fmin(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise fmin of `input` and `other`, broadcast and promoted."""

def fmod(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise fmod of `input` and `other`, broadcast and promoted."""

def fmod_(self: Tensor, other: Any) -> Tensor:
    """fmod in place: `other` must broadcast to this tensor's shape."""

def frac(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise frac of `input` (a new tensor of its shape)."""

def frac_(self: Tensor) -> Tensor:
    """frac in place."""

def ge(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise ge of `input` and `other`, broadcast and promoted."""

def ge_(self: Tensor, other: Any) -> Tensor:
    """ge in place: `other` must broadcast to this tensor's shape."""

def greater(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise gt of `input` and `other`, broadcast and promoted."""

def greater_equal(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise ge of `input` and `other`, broadcast and promoted."""

def gt(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise gt of `input` and `other`, broadcast and promoted."""

def gt_(self: Tensor, other: Any) -> Tensor:
    """gt in place: `other` must broadcast to this tensor's shape."""

def hypot(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise hypot of `input` and `other`, broadcast and promoted."""

def hypot_(self: Tensor, other: Any) -> Tensor:
    """hypot in place: `other` must broadcast to this tensor's shape."""

def isfinite(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise isfinite of `input` (a new tensor of its shape)."""

def isinf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise isinf of `input` (a new tensor of its shape)."""

def isnan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise isnan of `input` (a new tensor of its shape)."""

def le(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise le of `input` and `other`, broadcast and promoted."""

def le_(self: Tensor, other: Any) -> Tensor:
    """le in place: `other` must broadcast to this tensor's shape."""

def less(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise lt of `input` and `other`, broadcast and promoted."""

def less_equal(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise le of `input` and `other`, broadcast and promoted."""

def lgamma(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise lgamma of `input` (a new tensor of its shape)."""

def lgamma_(self: Tensor) -> Tensor:
    """lgamma in place."""

def log(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise log of `input` (a new tensor of its shape)."""

def log10(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise log10 of `input` (a new tensor of its shape)."""

def log10_(self: Tensor) -> Tensor:
    """log10 in place."""

def log1p(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise log1p of `input` (a new tensor of its shape)."""

def log1p_(self: Tensor) -> Tensor:
    """log1p in place."""

def log2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise log2 of `input` (a new tensor of its shape)."""

def log2_(self: Tensor) -> Tensor:
    """log2 in place."""

def log_(self: Tensor) -> Tensor:
    """log in place."""

def logaddexp(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise logaddexp of `input` and `other`, broadcast and promoted."""

def logical_and(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise logical_and of `input` and `other`, broadcast and promoted."""

def logical_and_(self: Tensor, other: Any) -> Tensor:
    """logical_and in place: `other` must broadcast to this tensor's shape."""

def logical_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise logical_not of `input` (a new tensor of its shape)."""

def logical_or(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise logical_or of `input` and `other`, broadcast and promoted."""

def logical_or_(self: Tensor, other: Any) -> Tensor:
    """logical_or in place: `other` must broadcast to this tensor's shape."""

def logical_xor(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise logical_xor of `input` and `other`, broadcast and promoted."""

def logical_xor_(self: Tensor, other: Any) -> Tensor:
    """logical_xor in place: `other` must broadcast to this tensor's shape."""

def lt(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise lt of `input` and `other`, broadcast and promoted."""

def lt_(self: Tensor, other: Any) -> Tensor:
    """lt in place: `other` must broadcast to this tensor's shape."""

def maximum(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise maximum of `input` and `other`, broadcast and promoted."""

def minimum(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise minimum of `input` and `other`, broadcast and promoted."""

def mul(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise mul of `input` and `other`, broadcast and promoted."""

def mul_(self: Tensor, other: Any) -> Tensor:
    """mul in place: `other` must broadcast to this tensor's shape."""

def multiply(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise mul of `input` and `other`, broadcast and promoted."""

def multiply_(self: Tensor, other: Any) -> Tensor:
    """mul in place: `other` must broadcast to this tensor's shape."""

def ne(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise ne of `input` and `other`, broadcast and promoted."""

def ne_(self: Tensor, other: Any) -> Tensor:
    """ne in place: `other` must broadcast to this tensor's shape."""

def neg(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise neg of `input` (a new tensor of its shape)."""

def neg_(self: Tensor) -> Tensor:
    """neg in place."""

def negative(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise neg of `input` (a new tensor of its shape)."""

def negative_(self: Tensor) -> Tensor:
    """neg in place."""

def nextafter(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise nextafter of `input` and `other`, broadcast and promoted."""

def nextafter_(self: Tensor, other: Any) -> Tensor:
    """nextafter in place: `other` must broadcast to this tensor's shape."""

def not_equal(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise ne of `input` and `other`, broadcast and promoted."""

def rand_like(
    input: Tensor,
    *args: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: _bool = False,
    memory_format: Any = None,
    generator: Any = None,
) -> Tensor: ...
def randint_like(
    input: Tensor,
    *args: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: _bool = False,
    memory_format: Any = None,
    generator: Any = None,
) -> Tensor: ...
def randn_like(
    input: Tensor,
    *args: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: _bool = False,
    memory_format: Any = None,
    generator: Any = None,
) -> Tensor: ...
def reciprocal(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise reciprocal of `input` (a new tensor of its shape)."""

def reciprocal_(self: Tensor) -> Tensor:
    """reciprocal in place."""

def remainder(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise remainder of `input` and `other`, broadcast and promoted."""

def remainder_(self: Tensor, other: Any) -> Tensor:
    """remainder in place: `other` must broadcast to this tensor's shape."""

def rsqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise rsqrt of `input` (a new tensor of its shape)."""

def rsqrt_(self: Tensor) -> Tensor:
    """rsqrt in place."""

def sgn(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise sgn of `input` (a new tensor of its shape)."""

def sgn_(self: Tensor) -> Tensor:
    """sgn in place."""

def sigmoid(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise sigmoid of `input` (a new tensor of its shape)."""

def sigmoid_(self: Tensor) -> Tensor:
    """sigmoid in place."""

def sign(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise sign of `input` (a new tensor of its shape)."""

def sign_(self: Tensor) -> Tensor:
    """sign in place."""

def sin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise sin of `input` (a new tensor of its shape)."""

def sin_(self: Tensor) -> Tensor:
    """sin in place."""

def sinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise sinh of `input` (a new tensor of its shape)."""

def sinh_(self: Tensor) -> Tensor:
    """sinh in place."""

def sqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise sqrt of `input` (a new tensor of its shape)."""

def sqrt_(self: Tensor) -> Tensor:
    """sqrt in place."""

def square(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise square of `input` (a new tensor of its shape)."""

def square_(self: Tensor) -> Tensor:
    """square in place."""

def tan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise tan of `input` (a new tensor of its shape)."""

def tan_(self: Tensor) -> Tensor:
    """tan in place."""

def tanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise tanh of `input` (a new tensor of its shape)."""

def tanh_(self: Tensor) -> Tensor:
    """tanh in place."""

def trunc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise trunc of `input` (a new tensor of its shape)."""

def trunc_(self: Tensor) -> Tensor:
    """trunc in place."""

def xlogy(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise xlogy of `input` and `other`, broadcast and promoted."""

def xlogy_(self: Tensor, other: Any) -> Tensor:
    """xlogy in place: `other` must broadcast to this tensor's shape."""
