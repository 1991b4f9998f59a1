# Written by tools/make_stubs.py; run it after a change of the functions named here.

import builtins as _builtins
from builtins import bool as _bool
from builtins import float as _float
from builtins import int as _int
from builtins import str as _str
from builtins import tuple as _tuple
from typing import Any

from flambeau import _C as _C
from flambeau import __config__ as __config__
from flambeau import accelerator as accelerator
from flambeau import amp as amp
from flambeau import ao as ao
from flambeau import autograd as autograd
from flambeau import backends as backends
from flambeau import checkpoint as checkpoint
from flambeau import compiler as compiler
from flambeau import cpu as cpu
from flambeau import cuda as cuda
from flambeau import distributed as distributed
from flambeau import distributions as distributions
from flambeau import fft as fft
from flambeau import func as func
from flambeau import futures as futures
from flambeau import fx as fx
from flambeau import hub as hub
from flambeau import jit as jit
from flambeau import library as library
from flambeau import linalg as linalg
from flambeau import masked as masked
from flambeau import metrics as metrics
from flambeau import mps as mps
from flambeau import multiprocessing as multiprocessing
from flambeau import nested as nested
from flambeau import nn as nn
from flambeau import onnx as onnx
from flambeau import optim as optim
from flambeau import overrides as overrides
from flambeau import plot as plot
from flambeau import profiler as profiler
from flambeau import quantization as quantization
from flambeau import random as random
from flambeau import serialization as serialization
from flambeau import signal as signal
from flambeau import sparse as sparse
from flambeau import special as special
from flambeau import storage as storage
from flambeau import testing as testing
from flambeau import types as types
from flambeau import utils as utils
from flambeau import version as version
from flambeau import vision as vision
from flambeau import xpu as xpu
from flambeau._C import PyTorchFileReader as PyTorchFileReader
from flambeau._C import PyTorchFileWriter as PyTorchFileWriter
from flambeau._C import _assert as _assert
from flambeau.accelerator import Event as Event
from flambeau.accelerator import Stream as Stream
from flambeau.amp.autocast_mode import autocast as autocast
from flambeau.amp.autocast_mode import autocast_decrement_nesting as autocast_decrement_nesting
from flambeau.amp.autocast_mode import autocast_increment_nesting as autocast_increment_nesting
from flambeau.amp.autocast_mode import clear_autocast_cache as clear_autocast_cache
from flambeau.amp.autocast_mode import get_autocast_dtype as get_autocast_dtype
from flambeau.amp.autocast_mode import is_autocast_cache_enabled as is_autocast_cache_enabled
from flambeau.amp.autocast_mode import is_autocast_enabled as is_autocast_enabled
from flambeau.amp.autocast_mode import set_autocast_cache_enabled as set_autocast_cache_enabled
from flambeau.amp.autocast_mode import set_autocast_dtype as set_autocast_dtype
from flambeau.amp.autocast_mode import set_autocast_enabled as set_autocast_enabled
from flambeau.amp.grad_scaler import GradScaler as GradScaler
from flambeau.amp.legacy import get_autocast_cpu_dtype as get_autocast_cpu_dtype
from flambeau.amp.legacy import get_autocast_gpu_dtype as get_autocast_gpu_dtype
from flambeau.amp.legacy import is_autocast_cpu_enabled as is_autocast_cpu_enabled
from flambeau.amp.legacy import set_autocast_cpu_dtype as set_autocast_cpu_dtype
from flambeau.amp.legacy import set_autocast_cpu_enabled as set_autocast_cpu_enabled
from flambeau.amp.legacy import set_autocast_gpu_dtype as set_autocast_gpu_dtype
from flambeau.autograd.anomaly_mode import is_anomaly_check_nan_enabled as is_anomaly_check_nan_enabled
from flambeau.autograd.anomaly_mode import is_anomaly_enabled as is_anomaly_enabled
from flambeau.autograd.anomaly_mode import set_anomaly_enabled as set_anomaly_enabled
from flambeau.autograd.modes import enable_grad as enable_grad
from flambeau.autograd.modes import inference_mode as inference_mode
from flambeau.autograd.modes import is_grad_enabled as is_grad_enabled
from flambeau.autograd.modes import is_inference_mode_enabled as is_inference_mode_enabled
from flambeau.autograd.modes import no_grad as no_grad
from flambeau.autograd.modes import set_grad_enabled as set_grad_enabled
from flambeau.compat.notebook import load_ipython_extension as load_ipython_extension
from flambeau.compat.notebook import unload_ipython_extension as unload_ipython_extension
from flambeau.compiler import compile as compile
from flambeau.core.device import device as device
from flambeau.core.device import get_default_device as get_default_device
from flambeau.core.device import set_default_device as set_default_device
from flambeau.core.dtypes import DType
from flambeau.core.dtypes import finfo as finfo
from flambeau.core.dtypes import get_default_dtype as get_default_dtype
from flambeau.core.dtypes import iinfo as iinfo
from flambeau.core.dtypes import set_default_dtype as set_default_dtype
from flambeau.core.errors import AcceleratorError as AcceleratorError
from flambeau.core.errors import OutOfMemoryError as OutOfMemoryError
from flambeau.core.layout import Layout, MemoryFormat
from flambeau.core.layout import channels_last as channels_last
from flambeau.core.layout import channels_last_3d as channels_last_3d
from flambeau.core.layout import contiguous_format as contiguous_format
from flambeau.core.layout import jagged as jagged
from flambeau.core.layout import preserve_format as preserve_format
from flambeau.core.layout import sparse_bsc as sparse_bsc
from flambeau.core.layout import sparse_bsr as sparse_bsr
from flambeau.core.layout import sparse_coo as sparse_coo
from flambeau.core.layout import sparse_csc as sparse_csc
from flambeau.core.layout import sparse_csr as sparse_csr
from flambeau.core.layout import strided as strided
from flambeau.core.promotion import can_cast as can_cast
from flambeau.core.promotion import promote_types as promote_types
from flambeau.core.size import Size as Size
from flambeau.debugging import debug as debug
from flambeau.distributions.draws import binomial as binomial
from flambeau.execute.cpu.tuning import tune as tune
from flambeau.explaining import explain as explain
from flambeau.func.mapping import vmap as vmap
from flambeau.functional.activation import celu as celu
from flambeau.functional.activation import celu_ as celu_
from flambeau.functional.activation import hardshrink as hardshrink
from flambeau.functional.activation import prelu as prelu
from flambeau.functional.activation import relu as relu
from flambeau.functional.activation import relu_ as relu_
from flambeau.functional.activation import rrelu as rrelu
from flambeau.functional.activation import rrelu_ as rrelu_
from flambeau.functional.activation import selu as selu
from flambeau.functional.activation import selu_ as selu_
from flambeau.functional.activation import threshold as threshold
from flambeau.functional.activation import threshold_ as threshold_
from flambeau.functional.axis_order import adjoint as adjoint
from flambeau.functional.axis_order import movedim as movedim
from flambeau.functional.axis_order import permute as permute
from flambeau.functional.axis_order import t as t
from flambeau.functional.axis_order import transpose as transpose
from flambeau.functional.channels import channel_shuffle as channel_shuffle
from flambeau.functional.channels import pixel_shuffle as pixel_shuffle
from flambeau.functional.channels import pixel_unshuffle as pixel_unshuffle
from flambeau.functional.complex_numbers import angle as angle
from flambeau.functional.complex_numbers import complex as complex
from flambeau.functional.complex_numbers import conj as conj
from flambeau.functional.complex_numbers import conj_physical as conj_physical
from flambeau.functional.complex_numbers import conj_physical_ as conj_physical_
from flambeau.functional.complex_numbers import imag as imag
from flambeau.functional.complex_numbers import is_conj as is_conj
from flambeau.functional.complex_numbers import is_neg as is_neg
from flambeau.functional.complex_numbers import polar as polar
from flambeau.functional.complex_numbers import real as real
from flambeau.functional.complex_numbers import resolve_conj as resolve_conj
from flambeau.functional.complex_numbers import resolve_neg as resolve_neg
from flambeau.functional.complex_numbers import view_as_complex as view_as_complex
from flambeau.functional.complex_numbers import view_as_real as view_as_real
from flambeau.functional.conversion import clone as clone
from flambeau.functional.convolution import bilinear as bilinear
from flambeau.functional.convolution import conv1d as conv1d
from flambeau.functional.convolution import conv2d as conv2d
from flambeau.functional.convolution import conv3d as conv3d
from flambeau.functional.counted import arange as arange
from flambeau.functional.counted import eye as eye
from flambeau.functional.counted import linspace as linspace
from flambeau.functional.counted import logspace as logspace
from flambeau.functional.counted import range_
from flambeau.functional.counted import tril_indices as tril_indices
from flambeau.functional.counted import triu_indices as triu_indices
from flambeau.functional.counting import histogram as histogram
from flambeau.functional.counting import histogramdd as histogramdd
from flambeau.functional.counting import isin as isin
from flambeau.functional.counting import nonzero_static as nonzero_static
from flambeau.functional.counting import unravel_index as unravel_index
from flambeau.functional.creation import empty as empty
from flambeau.functional.creation import empty_like as empty_like
from flambeau.functional.creation import empty_strided as empty_strided
from flambeau.functional.creation import full as full
from flambeau.functional.creation import full_like as full_like
from flambeau.functional.creation import ones as ones
from flambeau.functional.creation import ones_like as ones_like
from flambeau.functional.creation import zeros as zeros
from flambeau.functional.creation import zeros_like as zeros_like
from flambeau.functional.direct import adaptive_max_pool1d as adaptive_max_pool1d
from flambeau.functional.direct import affine_grid_generator as affine_grid_generator
from flambeau.functional.direct import alpha_dropout as alpha_dropout
from flambeau.functional.direct import alpha_dropout_ as alpha_dropout_
from flambeau.functional.direct import batch_norm as batch_norm
from flambeau.functional.direct import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from flambeau.functional.direct import constant_pad_nd as constant_pad_nd
from flambeau.functional.direct import convolution as convolution
from flambeau.functional.direct import cosine_embedding_loss as cosine_embedding_loss
from flambeau.functional.direct import ctc_loss as ctc_loss
from flambeau.functional.direct import dropout as dropout
from flambeau.functional.direct import dropout_ as dropout_
from flambeau.functional.direct import embedding as embedding
from flambeau.functional.direct import embedding_bag as embedding_bag
from flambeau.functional.direct import embedding_renorm_ as embedding_renorm_
from flambeau.functional.direct import feature_alpha_dropout as feature_alpha_dropout
from flambeau.functional.direct import feature_alpha_dropout_ as feature_alpha_dropout_
from flambeau.functional.direct import feature_dropout as feature_dropout
from flambeau.functional.direct import feature_dropout_ as feature_dropout_
from flambeau.functional.direct import grid_sampler as grid_sampler
from flambeau.functional.direct import grid_sampler_2d as grid_sampler_2d
from flambeau.functional.direct import grid_sampler_3d as grid_sampler_3d
from flambeau.functional.direct import group_norm as group_norm
from flambeau.functional.direct import hinge_embedding_loss as hinge_embedding_loss
from flambeau.functional.direct import instance_norm as instance_norm
from flambeau.functional.direct import kl_div as kl_div
from flambeau.functional.direct import layer_norm as layer_norm
from flambeau.functional.direct import log_softmax as log_softmax
from flambeau.functional.direct import margin_ranking_loss as margin_ranking_loss
from flambeau.functional.direct import native_batch_norm as native_batch_norm
from flambeau.functional.direct import poisson_nll_loss as poisson_nll_loss
from flambeau.functional.direct import softmax as softmax
from flambeau.functional.direct import triplet_margin_loss as triplet_margin_loss
from flambeau.functional.elementary import frexp as frexp
from flambeau.functional.elementary import logit as logit
from flambeau.functional.elementary import logit_ as logit_
from flambeau.functional.elementary import mvlgamma as mvlgamma
from flambeau.functional.factorisation import cholesky as cholesky
from flambeau.functional.factorisation import lu as lu
from flambeau.functional.factorisation import qr as qr
from flambeau.functional.factorisation import svd as svd
from flambeau.functional.fake_quantize import fake_quantize_per_channel_affine as fake_quantize_per_channel_affine
from flambeau.functional.fake_quantize import fake_quantize_per_tensor_affine as fake_quantize_per_tensor_affine
from flambeau.functional.folding import RETURN_TYPES
from flambeau.functional.from_data import as_tensor as as_tensor
from flambeau.functional.from_data import from_dlpack as from_dlpack
from flambeau.functional.from_data import from_numpy as from_numpy
from flambeau.functional.from_data import frombuffer as frombuffer
from flambeau.functional.from_data import tensor as tensor
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
from flambeau.functional.generators import Generator as Generator
from flambeau.functional.generators import default_generator as default_generator
from flambeau.functional.generators import get_rng_state as get_rng_state
from flambeau.functional.generators import initial_seed as initial_seed
from flambeau.functional.generators import manual_seed as manual_seed
from flambeau.functional.generators import seed as seed
from flambeau.functional.generators import set_rng_state as set_rng_state
from flambeau.functional.geometry import cdist as cdist
from flambeau.functional.geometry import cross as cross
from flambeau.functional.geometry import trace as trace
from flambeau.functional.indexing import index_put as index_put
from flambeau.functional.indexing import index_put_ as index_put_
from flambeau.functional.inplace import fill as fill
from flambeau.functional.inplace import fill_ as fill_
from flambeau.functional.inplace import resize_as_ as resize_as_
from flambeau.functional.inplace import zero_ as zero_
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
from flambeau.functional.linear_algebra import mv as mv
from flambeau.functional.linear_algebra import outer as outer
from flambeau.functional.linear_algebra import tensordot as tensordot
from flambeau.functional.linear_algebra import vdot as vdot
from flambeau.functional.linear_loss import conv_tbc as conv_tbc
from flambeau.functional.masking import argwhere as argwhere
from flambeau.functional.masking import masked_fill as masked_fill
from flambeau.functional.masking import masked_scatter as masked_scatter
from flambeau.functional.masking import masked_select as masked_select
from flambeau.functional.masking import nonzero as nonzero
from flambeau.functional.matrix_functions import matrix_exp as matrix_exp
from flambeau.functional.matrix_functions import matrix_power as matrix_power
from flambeau.functional.matrix_functions import pinverse as pinverse
from flambeau.functional.matrix_functions import vander as vander
from flambeau.functional.memory import TypedStorage as TypedStorage
from flambeau.functional.memory import UntypedStorage as UntypedStorage
from flambeau.functional.memory import asarray as asarray
from flambeau.functional.memory import empty_permuted as empty_permuted
from flambeau.functional.memory import is_storage as is_storage
from flambeau.functional.moments import dist as dist
from flambeau.functional.moments import logsumexp as logsumexp
from flambeau.functional.moments import norm as norm
from flambeau.functional.moments import std as std
from flambeau.functional.moments import std_mean as std_mean
from flambeau.functional.moments import var as var
from flambeau.functional.moments import var_mean as var_mean
from flambeau.functional.normalisation import rms_norm as rms_norm
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
from flambeau.functional.overwriting import as_strided_scatter as as_strided_scatter
from flambeau.functional.overwriting import diagonal_scatter as diagonal_scatter
from flambeau.functional.overwriting import index_reduce as index_reduce
from flambeau.functional.overwriting import select_scatter as select_scatter
from flambeau.functional.overwriting import slice_inverse as slice_inverse
from flambeau.functional.overwriting import slice_scatter as slice_scatter
from flambeau.functional.parts import as_strided as as_strided
from flambeau.functional.parts import chunk as chunk
from flambeau.functional.parts import diagonal as diagonal
from flambeau.functional.parts import split as split
from flambeau.functional.parts import split_with_sizes as split_with_sizes
from flambeau.functional.parts import tensor_split as tensor_split
from flambeau.functional.parts import unbind as unbind
from flambeau.functional.pointwise import add as add
from flambeau.functional.pointwise import div as div
from flambeau.functional.pointwise import nan_to_num as nan_to_num
from flambeau.functional.pointwise import nan_to_num_ as nan_to_num_
from flambeau.functional.pointwise import positive as positive
from flambeau.functional.pointwise import round as round
from flambeau.functional.pointwise import round_ as round_
from flambeau.functional.pointwise import rsub as rsub
from flambeau.functional.pointwise import sub as sub
from flambeau.functional.pooling import avg_pool1d as avg_pool1d
from flambeau.functional.powers import float_power as float_power
from flambeau.functional.powers import pow as pow
from flambeau.functional.random_integers import randint as randint
from flambeau.functional.random_integers import randint_like as randint_like
from flambeau.functional.random_integers import randperm as randperm
from flambeau.functional.randomness import bernoulli as bernoulli
from flambeau.functional.randomness import multinomial as multinomial
from flambeau.functional.randomness import normal as normal
from flambeau.functional.randomness import poisson as poisson
from flambeau.functional.randomness import rand as rand
from flambeau.functional.randomness import rand_like as rand_like
from flambeau.functional.randomness import randn as randn
from flambeau.functional.randomness import randn_like as randn_like
from flambeau.functional.ranking import bucketize as bucketize
from flambeau.functional.ranking import median as median
from flambeau.functional.ranking import mode as mode
from flambeau.functional.ranking import nanmedian as nanmedian
from flambeau.functional.ranking import nanquantile as nanquantile
from flambeau.functional.ranking import quantile as quantile
from flambeau.functional.ranking import searchsorted as searchsorted
from flambeau.functional.rarer import broadcast_shapes as broadcast_shapes
from flambeau.functional.rarer import is_same_size as is_same_size
from flambeau.functional.rarer import scalar_tensor as scalar_tensor
from flambeau.functional.rarer_functions import compiled_with_cxx11_abi as compiled_with_cxx11_abi
from flambeau.functional.rarer_functions import cond as cond
from flambeau.functional.rarer_functions import frobenius_norm as frobenius_norm
from flambeau.functional.rarer_functions import get_deterministic_debug_mode as get_deterministic_debug_mode
from flambeau.functional.rarer_functions import get_device_module as get_device_module
from flambeau.functional.rarer_functions import get_num_interop_threads as get_num_interop_threads
from flambeau.functional.rarer_functions import is_deterministic_algorithms_warn_only_enabled as is_deterministic_algorithms_warn_only_enabled
from flambeau.functional.rarer_functions import is_vulkan_available as is_vulkan_available
from flambeau.functional.rarer_functions import is_warn_always_enabled as is_warn_always_enabled
from flambeau.functional.rarer_functions import lobpcg as lobpcg
from flambeau.functional.rarer_functions import native_dropout as native_dropout
from flambeau.functional.rarer_functions import native_group_norm as native_group_norm
from flambeau.functional.rarer_functions import native_layer_norm as native_layer_norm
from flambeau.functional.rarer_functions import norm_except_dim as norm_except_dim
from flambeau.functional.rarer_functions import nuclear_norm as nuclear_norm
from flambeau.functional.rarer_functions import pca_lowrank as pca_lowrank
from flambeau.functional.rarer_functions import segment_reduce as segment_reduce
from flambeau.functional.rarer_functions import set_default_tensor_type as set_default_tensor_type
from flambeau.functional.rarer_functions import set_deterministic_debug_mode as set_deterministic_debug_mode
from flambeau.functional.rarer_functions import set_flush_denormal as set_flush_denormal
from flambeau.functional.rarer_functions import set_warn_always as set_warn_always
from flambeau.functional.rarer_functions import svd_lowrank as svd_lowrank
from flambeau.functional.rarer_functions import sym_float as sym_float
from flambeau.functional.rarer_functions import sym_int as sym_int
from flambeau.functional.rarer_functions import sym_ite as sym_ite
from flambeau.functional.rarer_functions import sym_max as sym_max
from flambeau.functional.rarer_functions import sym_min as sym_min
from flambeau.functional.rarer_functions import sym_not as sym_not
from flambeau.functional.rarer_functions import sym_sqrt as sym_sqrt
from flambeau.functional.rarer_functions import sym_sum as sym_sum
from flambeau.functional.rarer_functions import to_dlpack as to_dlpack
from flambeau.functional.rarer_functions import view_as_complex_copy as view_as_complex_copy
from flambeau.functional.rarer_functions import while_loop as while_loop
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
from flambeau.functional.recurrent import lstm_cell as lstm_cell
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
from flambeau.functional.short_time import istft as istft
from flambeau.functional.short_time import stft as stft
from flambeau.functional.similarity import cosine_similarity as cosine_similarity
from flambeau.functional.similarity import pairwise_distance as pairwise_distance
from flambeau.functional.similarity import pdist as pdist
from flambeau.functional.slopes import gradient as gradient
from flambeau.functional.solving import cholesky_inverse as cholesky_inverse
from flambeau.functional.solving import cholesky_solve as cholesky_solve
from flambeau.functional.solving import det as det
from flambeau.functional.solving import geqrf as geqrf
from flambeau.functional.solving import inverse as inverse
from flambeau.functional.solving import logdet as logdet
from flambeau.functional.solving import lu_solve as lu_solve
from flambeau.functional.solving import lu_unpack as lu_unpack
from flambeau.functional.solving import orgqr as orgqr
from flambeau.functional.solving import ormqr as ormqr
from flambeau.functional.solving import slogdet as slogdet
from flambeau.functional.solving import triangular_solve as triangular_solve
from flambeau.functional.sparse_making import hspmm as hspmm
from flambeau.functional.sparse_making import smm as smm
from flambeau.functional.sparse_making import sparse_compressed_tensor as sparse_compressed_tensor
from flambeau.functional.sparse_making import sparse_coo_tensor as sparse_coo_tensor
from flambeau.functional.sparse_making import sparse_csc_tensor as sparse_csc_tensor
from flambeau.functional.sparse_making import sparse_csr_tensor as sparse_csr_tensor
from flambeau.functional.sparse_making import spmm as spmm
from flambeau.functional.sparse_making import sspaddmm as sspaddmm
from flambeau.functional.special_functions import polygamma as polygamma
from flambeau.functional.statistics import corrcoef as corrcoef
from flambeau.functional.statistics import cov as cov
from flambeau.functional.statistics import renorm as renorm
from flambeau.functional.ternary import addcdiv as addcdiv
from flambeau.functional.ternary import addcmul as addcmul
from flambeau.functional.ternary import clamp as clamp
from flambeau.functional.ternary import clamp_ as clamp_
from flambeau.functional.ternary import clamp_max as clamp_max
from flambeau.functional.ternary import clamp_max_ as clamp_max_
from flambeau.functional.ternary import clamp_min as clamp_min
from flambeau.functional.ternary import clamp_min_ as clamp_min_
from flambeau.functional.ternary import lerp as lerp
from flambeau.functional.ternary import where as where
from flambeau.functional.views import broadcast_to as broadcast_to
from flambeau.functional.views import flatten as flatten
from flambeau.functional.views import narrow as narrow
from flambeau.functional.views import ravel as ravel
from flambeau.functional.views import reshape as reshape
from flambeau.functional.views import select as select
from flambeau.functional.views import squeeze as squeeze
from flambeau.functional.views import unflatten as unflatten
from flambeau.functional.views import unsqueeze as unsqueeze
from flambeau.functional.windows import bartlett_window as bartlett_window
from flambeau.functional.windows import blackman_window as blackman_window
from flambeau.functional.windows import hamming_window as hamming_window
from flambeau.functional.windows import hann_window as hann_window
from flambeau.functional.windows import kaiser_window as kaiser_window
from flambeau.futures import Future as Future
from flambeau.jit import fork as fork
from flambeau.jit import wait as wait
from flambeau.nn.modules.scripted import ScriptFunction as ScriptFunction
from flambeau.nn.modules.scripted import ScriptModule as ScriptModule
from flambeau.seeing.drawing import graph as graph
from flambeau.seeing.progress import progress as progress
from flambeau.seeing.summary import summary as summary
from flambeau.serialization import load as load
from flambeau.serialization import save as save
from flambeau.storage import FloatStorage
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
Storage = FloatStorage
clip = clamp
clip_ = clamp_
concat = cat
concatenate = cat
divide = div
dsmm = spmm
dtype = DType
ger = outer
hsmm = hspmm
layout = Layout
memory_format = MemoryFormat
moveaxis = movedim
native_channel_shuffle = channel_shuffle
range = range_
return_types = RETURN_TYPES
row_stack = vstack
saddmm = sspaddmm
subtract = sub
swapdims = transpose
trapz = trapezoid
true_divide = div
unsafe_chunk = chunk
unsafe_split = split
unsafe_split_with_sizes = split_with_sizes

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
    """Whether each program is compiled at once, so that every run of it gives the same bits."""

def are_deterministic_algorithms_enabled() -> _builtins.bool:
    """What `use_deterministic_algorithms` was told."""

def set_float32_matmul_precision(precision: _str) -> None:
    """Accepted: float32 products are always computed in full float32."""

def get_float32_matmul_precision() -> _str:
    """The precision of float32 products: always the highest."""

def typename(obj: Any) -> _str:
    """The type's name; for tensors PyTorch's legacy one."""

def abs(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise abs of `input` (a new tensor of its shape)."""

def abs_(input: Tensor) -> Tensor:
    """abs in place."""

def absolute(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise abs of `input` (a new tensor of its shape)."""

def acos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise acos of `input` (a new tensor of its shape)."""

def acos_(input: Tensor) -> Tensor:
    """acos in place."""

def acosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise acosh of `input` (a new tensor of its shape)."""

def acosh_(input: Tensor) -> Tensor:
    """acosh in place."""

def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Means over windows that divide the last axes into output_size parts."""

def addbmm(input: Any, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
    """beta * input + alpha * (product of `batch1` and `batch2`); beta 0 ignores the input."""

def addmm(input: Any, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
    """beta * input + alpha * (product of `mat1` and `mat2`); beta 0 ignores the input."""

def addmv(input: Any, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
    """beta * input + alpha * (product of `mat` and `vec`); beta 0 ignores the input."""

def addmv_(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.addmv_(...)`: see `Tensor.addmv_`."""

def addr(input: Any, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
    """beta * input + alpha * (product of `vec1` and `vec2`); beta 0 ignores the input."""

def alias_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `alias` shows, in its own memory."""

def arccos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise acos of `input` (a new tensor of its shape)."""

def arccos_(input: Tensor) -> Tensor:
    """acos in place."""

def arccosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise acosh of `input` (a new tensor of its shape)."""

def arccosh_(input: Tensor) -> Tensor:
    """acosh in place."""

def arcsin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise asin of `input` (a new tensor of its shape)."""

def arcsin_(input: Tensor) -> Tensor:
    """asin in place."""

def arcsinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise asinh of `input` (a new tensor of its shape)."""

def arcsinh_(input: Tensor) -> Tensor:
    """asinh in place."""

def arctan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise atan of `input` (a new tensor of its shape)."""

def arctan2(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise atan2 of `input` and `other`, broadcast and promoted."""

def arctan_(input: Tensor) -> Tensor:
    """atan in place."""

def arctanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise atanh of `input` (a new tensor of its shape)."""

def arctanh_(input: Tensor) -> Tensor:
    """atanh in place."""

def as_strided_(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.as_strided_(...)`: see `Tensor.as_strided_`."""

def as_strided_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `as_strided` shows, in its own memory."""

def asin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise asin of `input` (a new tensor of its shape)."""

def asin_(input: Tensor) -> Tensor:
    """asin in place."""

def asinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise asinh of `input` (a new tensor of its shape)."""

def asinh_(input: Tensor) -> Tensor:
    """asinh in place."""

def atan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise atan of `input` (a new tensor of its shape)."""

def atan2(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise atan2 of `input` and `other`, broadcast and promoted."""

def atan_(input: Tensor) -> Tensor:
    """atan in place."""

def atanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise atanh of `input` (a new tensor of its shape)."""

def atanh_(input: Tensor) -> Tensor:
    """atanh in place."""

def baddbmm(input: Any, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
    """beta * input + alpha * (product of `batch1` and `batch2`); beta 0 ignores the input."""

def bitwise_and(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise bitwise_and of `input` and `other`, broadcast and promoted."""

def bitwise_left_shift(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise bitwise_left_shift of `input` and `other`, broadcast and promoted."""

def bitwise_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise bitwise_not of `input` (a new tensor of its shape)."""

def bitwise_or(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise bitwise_or of `input` and `other`, broadcast and promoted."""

def bitwise_right_shift(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise bitwise_right_shift of `input` and `other`, broadcast and promoted."""

def bitwise_xor(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise bitwise_xor of `input` and `other`, broadcast and promoted."""

def ccol_indices_copy(input: Tensor) -> Any:
    """A copy of `input.ccol_indices()`."""

def ceil(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise ceil of `input` (a new tensor of its shape)."""

def ceil_(input: Tensor) -> Tensor:
    """ceil in place."""

def col_indices_copy(input: Tensor) -> Any:
    """A copy of `input.col_indices()`."""

def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: _int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The adjoint of conv1d, upsampling by the stride; weight [C, O / groups, *K]."""

def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: _int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The adjoint of conv2d, upsampling by the stride; weight [C, O / groups, *K]."""

def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: _int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The adjoint of conv3d, upsampling by the stride; weight [C, O / groups, *K]."""

def copysign(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise copysign of `input` and `other`, broadcast and promoted."""

def cos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise cos of `input` (a new tensor of its shape)."""

def cos_(input: Tensor) -> Tensor:
    """cos in place."""

def cosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise cosh of `input` (a new tensor of its shape)."""

def cosh_(input: Tensor) -> Tensor:
    """cosh in place."""

def crow_indices_copy(input: Tensor) -> Any:
    """A copy of `input.crow_indices()`."""

def deg2rad(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise deg2rad of `input` (a new tensor of its shape)."""

def deg2rad_(input: Tensor) -> Tensor:
    """deg2rad in place."""

def dequantize(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.dequantize(...)`: see `Tensor.dequantize`."""

def detach(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.detach(...)`: see `Tensor.detach`."""

def detach_(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.detach_(...)`: see `Tensor.detach_`."""

def detach_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `detach` shows, in its own memory."""

def diagonal_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `diagonal` shows, in its own memory."""

def digamma(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise digamma of `input` (a new tensor of its shape)."""

def dsplit(input: Tensor, indices_or_sections: Any = None, *more: Any, **named: Any) -> Any:
    """Parts along one dimension: so many equal ones, or cut at indices (views)."""

def eig(*args: Any, **kwargs: Any) -> Any:
    """Removed from PyTorch: RuntimeError."""

def eq(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise eq of `input` and `other`, broadcast and promoted."""

def erf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise erf of `input` (a new tensor of its shape)."""

def erf_(input: Tensor) -> Tensor:
    """erf in place."""

def erfc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise erfc of `input` (a new tensor of its shape)."""

def erfc_(input: Tensor) -> Tensor:
    """erfc in place."""

def erfinv(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise erfinv of `input` (a new tensor of its shape)."""

def exp(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise exp of `input` (a new tensor of its shape)."""

def exp2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise exp2 of `input` (a new tensor of its shape)."""

def exp2_(input: Tensor) -> Tensor:
    """exp2 in place."""

def exp_(input: Tensor) -> Tensor:
    """exp in place."""

def expand_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `expand` shows, in its own memory."""

def expm1(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise expm1 of `input` (a new tensor of its shape)."""

def expm1_(input: Tensor) -> Tensor:
    """expm1 in place."""

def fix(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise trunc of `input` (a new tensor of its shape)."""

def fix_(input: Tensor) -> Tensor:
    """trunc in place."""

def floor(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise floor of `input` (a new tensor of its shape)."""

def floor_(input: Tensor) -> Tensor:
    """floor in place."""

def floor_divide(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise floor_divide of `input` and `other`, broadcast and promoted."""

def fmax(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise fmax of `input` and `other`, broadcast and promoted."""

def fmin(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise fmin of `input` and `other`, broadcast and promoted."""

def fmod(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise fmod of `input` and `other`, broadcast and promoted."""

def frac(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise frac of `input` (a new tensor of its shape)."""

def frac_(input: Tensor) -> Tensor:
    """frac in place."""

def gcd(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise gcd of `input` and `other`, broadcast and promoted."""

def gcd_(input: Tensor, other: Any) -> Tensor:
    """gcd in place: `other` must broadcast to this tensor's shape."""

def ge(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise ge of `input` and `other`, broadcast and promoted."""

def get_device(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.get_device(...)`: see `Tensor.get_device`."""

def greater(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise gt of `input` and `other`, broadcast and promoted."""

def greater_equal(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise ge of `input` and `other`, broadcast and promoted."""

def gru(*args: Any, **kwargs: Any) -> _tuple[Tensor, ...]:
    """The outputs and last states of a network (gru), padded or packed."""

def gru_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step (gru_cell): the new state [n, h]."""

def gt(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise gt of `input` and `other`, broadcast and promoted."""

def hash_tensor(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.hash_tensor(...)`: see `Tensor.hash_tensor`."""

def heaviside(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise heaviside of `input` and `other`, broadcast and promoted."""

def hsplit(input: Tensor, indices_or_sections: Any = None, *more: Any, **named: Any) -> Any:
    """Parts along one dimension: so many equal ones, or cut at indices (views)."""

def hypot(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise hypot of `input` and `other`, broadcast and promoted."""

def i0(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise i0 of `input` (a new tensor of its shape)."""

def i0_(input: Tensor) -> Tensor:
    """i0 in place."""

def igamma(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise igamma of `input` and `other`, broadcast and promoted."""

def igammac(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise igammac of `input` and `other`, broadcast and promoted."""

def indices_copy(input: Tensor) -> Any:
    """A copy of `input.indices()`."""

def int_repr(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.int_repr(...)`: see `Tensor.int_repr`."""

def is_distributed(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.is_distributed(...)`: see `Tensor.is_distributed`."""

def is_inference(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.is_inference(...)`: see `Tensor.is_inference`."""

def is_signed(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.is_signed(...)`: see `Tensor.is_signed`."""

def isfinite(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise isfinite of `input` (a new tensor of its shape)."""

def isinf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise isinf of `input` (a new tensor of its shape)."""

def isnan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise isnan of `input` (a new tensor of its shape)."""

def isneginf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise isneginf of `input` (a new tensor of its shape)."""

def isposinf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise isposinf of `input` (a new tensor of its shape)."""

def isreal(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise isreal of `input` (a new tensor of its shape)."""

def lcm(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise lcm of `input` and `other`, broadcast and promoted."""

def lcm_(input: Tensor, other: Any) -> Tensor:
    """lcm in place: `other` must broadcast to this tensor's shape."""

def ldexp(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise ldexp of `input` and `other`, broadcast and promoted."""

def ldexp_(input: Tensor, other: Any) -> Tensor:
    """ldexp in place: `other` must broadcast to this tensor's shape."""

def le(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise le of `input` and `other`, broadcast and promoted."""

def less(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise lt of `input` and `other`, broadcast and promoted."""

def less_equal(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise le of `input` and `other`, broadcast and promoted."""

def lgamma(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise lgamma of `input` (a new tensor of its shape)."""

def log(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise log of `input` (a new tensor of its shape)."""

def log10(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise log10 of `input` (a new tensor of its shape)."""

def log10_(input: Tensor) -> Tensor:
    """log10 in place."""

def log1p(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise log1p of `input` (a new tensor of its shape)."""

def log1p_(input: Tensor) -> Tensor:
    """log1p in place."""

def log2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise log2 of `input` (a new tensor of its shape)."""

def log2_(input: Tensor) -> Tensor:
    """log2 in place."""

def log_(input: Tensor) -> Tensor:
    """log in place."""

def logaddexp(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise logaddexp of `input` and `other`, broadcast and promoted."""

def logaddexp2(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise logaddexp2 of `input` and `other`, broadcast and promoted."""

def logical_and(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise logical_and of `input` and `other`, broadcast and promoted."""

def logical_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise logical_not of `input` (a new tensor of its shape)."""

def logical_or(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise logical_or of `input` and `other`, broadcast and promoted."""

def logical_xor(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise logical_xor of `input` and `other`, broadcast and promoted."""

def lstm(*args: Any, **kwargs: Any) -> _tuple[Tensor, ...]:
    """The outputs and last states of a network (lstm), padded or packed."""

def lstsq(*args: Any, **kwargs: Any) -> Any:
    """Removed from PyTorch: RuntimeError."""

def lt(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise lt of `input` and `other`, broadcast and promoted."""

def matrix_rank(*args: Any, **kwargs: Any) -> Any:
    """Removed from PyTorch: RuntimeError."""

def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: _bool = False,
    return_indices: _bool = False,
) -> Any:
    """The largest element of each window of the last axes; also its flat index if asked."""

def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: _bool = False,
    return_indices: _bool = False,
) -> _tuple[Tensor, Tensor]:
    """max_pool1d and the flat index of each maximum."""

def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: _bool = False,
    return_indices: _bool = False,
) -> Any:
    """The largest element of each window of the last axes; also its flat index if asked."""

def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: _bool = False,
    return_indices: _bool = False,
) -> Any:
    """The largest element of each window of the last axes; also its flat index if asked."""

def maximum(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise maximum of `input` and `other`, broadcast and promoted."""

def minimum(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise minimum of `input` and `other`, broadcast and promoted."""

def mul(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise mul of `input` and `other`, broadcast and promoted."""

def multiply(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise mul of `input` and `other`, broadcast and promoted."""

def narrow_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `narrow` shows, in its own memory."""

def ne(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise ne of `input` and `other`, broadcast and promoted."""

def neg(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise neg of `input` (a new tensor of its shape)."""

def neg_(input: Tensor) -> Tensor:
    """neg in place."""

def negative(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise neg of `input` (a new tensor of its shape)."""

def negative_(input: Tensor) -> Tensor:
    """neg in place."""

def nextafter(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise nextafter of `input` and `other`, broadcast and promoted."""

def not_equal(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise ne of `input` and `other`, broadcast and promoted."""

def permute_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `permute` shows, in its own memory."""

def q_per_channel_axis(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.q_per_channel_axis(...)`: see `Tensor.q_per_channel_axis`."""

def q_per_channel_scales(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.q_per_channel_scales(...)`: see `Tensor.q_per_channel_scales`."""

def q_per_channel_zero_points(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.q_per_channel_zero_points(...)`: see `Tensor.q_per_channel_zero_points`."""

def q_scale(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.q_scale(...)`: see `Tensor.q_scale`."""

def q_zero_point(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.q_zero_point(...)`: see `Tensor.q_zero_point`."""

def rad2deg(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise rad2deg of `input` (a new tensor of its shape)."""

def rad2deg_(input: Tensor) -> Tensor:
    """rad2deg in place."""

def reciprocal(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise reciprocal of `input` (a new tensor of its shape)."""

def reciprocal_(input: Tensor) -> Tensor:
    """reciprocal in place."""

def remainder(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise remainder of `input` and `other`, broadcast and promoted."""

def resize_as_sparse_(input: Tensor, *args: Any, **options: Any) -> Any:
    """`input.resize_as_sparse_(...)`: see `Tensor.resize_as_sparse_`."""

def rnn_relu(*args: Any, **kwargs: Any) -> _tuple[Tensor, ...]:
    """The outputs and last states of a network (rnn_relu), padded or packed."""

def rnn_relu_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step (rnn_relu_cell): the new state [n, h]."""

def rnn_tanh(*args: Any, **kwargs: Any) -> _tuple[Tensor, ...]:
    """The outputs and last states of a network (rnn_tanh), padded or packed."""

def rnn_tanh_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step (rnn_tanh_cell): the new state [n, h]."""

def row_indices_copy(input: Tensor) -> Any:
    """A copy of `input.row_indices()`."""

def rsqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise rsqrt of `input` (a new tensor of its shape)."""

def rsqrt_(input: Tensor) -> Tensor:
    """rsqrt in place."""

def select_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `select` shows, in its own memory."""

def sgn(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise sgn of `input` (a new tensor of its shape)."""

def sigmoid(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise sigmoid of `input` (a new tensor of its shape)."""

def sigmoid_(input: Tensor) -> Tensor:
    """sigmoid in place."""

def sign(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise sign of `input` (a new tensor of its shape)."""

def signbit(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise signbit of `input` (a new tensor of its shape)."""

def sin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise sin of `input` (a new tensor of its shape)."""

def sin_(input: Tensor) -> Tensor:
    """sin in place."""

def sinc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise sinc of `input` (a new tensor of its shape)."""

def sinc_(input: Tensor) -> Tensor:
    """sinc in place."""

def sinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise sinh of `input` (a new tensor of its shape)."""

def sinh_(input: Tensor) -> Tensor:
    """sinh in place."""

def slice_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `slice` shows, in its own memory."""

def solve(*args: Any, **kwargs: Any) -> Any:
    """Removed from PyTorch: RuntimeError."""

def sparse_bsc_tensor(*args: Any, **options: Any) -> Any:
    """NotImplementedError: sparse layouts of blocks are not supported."""

def sparse_bsr_tensor(*args: Any, **options: Any) -> Any:
    """NotImplementedError: sparse layouts of blocks are not supported."""

def split_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `split` shows, in its own memory."""

def split_with_sizes_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `split_with_sizes` shows, in its own memory."""

def sqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise sqrt of `input` (a new tensor of its shape)."""

def sqrt_(input: Tensor) -> Tensor:
    """sqrt in place."""

def square(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise square of `input` (a new tensor of its shape)."""

def square_(input: Tensor) -> Tensor:
    """square in place."""

def squeeze_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `squeeze` shows, in its own memory."""

def swapaxes(input: Tensor, dim0: _int, dim1: _int) -> Tensor:
    """The view with two dimensions swapped."""

def symeig(*args: Any, **kwargs: Any) -> Any:
    """Removed from PyTorch: RuntimeError."""

def t_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `t` shows, in its own memory."""

def tan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise tan of `input` (a new tensor of its shape)."""

def tan_(input: Tensor) -> Tensor:
    """tan in place."""

def tanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise tanh of `input` (a new tensor of its shape)."""

def tanh_(input: Tensor) -> Tensor:
    """tanh in place."""

def transpose_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `transpose` shows, in its own memory."""

def trunc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elementwise trunc of `input` (a new tensor of its shape)."""

def trunc_(input: Tensor) -> Tensor:
    """trunc in place."""

def unbind_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `unbind` shows, in its own memory."""

def unfold_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `unfold` shows, in its own memory."""

def unsqueeze_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `unsqueeze` shows, in its own memory."""

def values_copy(input: Tensor) -> Any:
    """A copy of `input.values()`."""

def view_as_real_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `view_as_real` shows, in its own memory."""

def view_copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    """A copy of what `view` shows, in its own memory."""

def vsplit(input: Tensor, indices_or_sections: Any = None, *more: Any, **named: Any) -> Any:
    """Parts along one dimension: so many equal ones, or cut at indices (views)."""

def xlogy(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The elementwise xlogy of `input` and `other`, broadcast and promoted."""

def xlogy_(input: Tensor, other: Any) -> Tensor:
    """xlogy in place: `other` must broadcast to this tensor's shape."""
