"""Which module of functional/ has which members of Tensor and names of torch."""

# Written by tools/make_stubs.py; run it after a change of the functions named here.

METHODS = {
    "activation": "hardshrink prelu relu relu_",
    "complex_numbers": (
        "angle conj conj_physical conj_physical_ is_conj is_neg resolve_conj resolve_neg "
    ),
    "counting": "histogram nonzero_static",
    "creation": (
        "bfloat16 bool byte cdouble cfloat char clone contiguous cpu cuda double float half int "
        "long new_empty new_full new_ones new_tensor new_zeros pin_memory short to type_as "
    ),
    "elementary": (
        "deg2rad deg2rad_ frexp gcd gcd_ heaviside heaviside_ hypot hypot_ isneginf isposinf "
        "isreal lcm lcm_ ldexp ldexp_ logaddexp logaddexp2 logit logit_ mvlgamma mvlgamma_ "
        "rad2deg rad2deg_ signbit sinc sinc_ xlogy xlogy_ "
    ),
    "factorisation": "cholesky lu qr svd",
    "indexing": (
        "__getitem__ __setitem__ argwhere gather index_add index_add_ index_copy index_copy_ "
        "index_fill index_fill_ index_put index_put_ index_select masked_fill masked_fill_ "
        "masked_scatter masked_scatter_ masked_select nonzero put put_ scatter scatter_ "
        "scatter_add scatter_add_ scatter_reduce scatter_reduce_ take take_along_dim "
    ),
    "inplace": (
        "as_strided_ copy_ fill_ fill_diagonal_ resize_ resize_as_ set_ squeeze_ swapaxes_ "
        "swapdims_ t_ transpose_ unsqueeze_ zero_ "
    ),
    "legacy_types": "new type",
    "linear_algebra": (
        "__matmul__ __rmatmul__ addbmm addbmm_ addmm addmm_ addmv addmv_ addr addr_ baddbmm "
        "baddbmm_ bmm cross dot ger inner kron matmul mm mv outer trace vdot "
    ),
    "matrix_functions": "matrix_exp matrix_power pinverse",
    "memory": (
        "_is_zerotensor _typed_storage const_data_ptr dim_order is_distributed is_inference "
        "is_pinned is_set_to new_empty_strided record_stream storage storage_type untyped_storage "
    ),
    "ordering": (
        "argsort bincount cummax cummin cumprod cumprod_ cumsum cumsum_ diff histc kthvalue "
        "logcumsumexp median mode msort nanmedian nanquantile quantile sort topk unique "
        "unique_consecutive "
    ),
    "overwriting": (
        "as_strided_scatter diagonal_scatter dsplit hsplit index_reduce index_reduce_ narrow_copy "
        "select_scatter slice_inverse slice_scatter unsafe_chunk unsafe_split "
        "unsafe_split_with_sizes vsplit "
    ),
    "random_integers": "random_",
    "randomness": (
        "bernoulli bernoulli_ cauchy_ exponential_ geometric_ log_normal_ multinomial normal_ "
        "uniform_ "
    ),
    "rarer": (
        "__delitem__ __reversed__ _indices _is_view apply_ as_subclass ccol_indices chalf "
        "coalesce col_indices crow_indices dense_dim dequantize eig hash_tensor index indices "
        "int_repr ipu is_coalesced is_nonzero is_same_size lstsq map2_ map_ module_load mtia "
        "q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point "
        "qscheme reinforce resize resize_as resize_as_sparse_ row_indices solve sparse_dim "
        "sparse_resize_ sparse_resize_and_clear_ sum_to_size symeig to_dense to_mkldnn "
        "to_padded_tensor values xpu "
    ),
    "reduction": (
        "all allclose amax amin aminmax any argmax argmin count_nonzero dist equal isclose "
        "logsumexp max mean min nanmean nansum norm prod std sum var "
    ),
    "shaping": (
        "adjoint as_strided broadcast_to chunk diag diag_embed diagflat diagonal expand expand_as "
        "flatten flip fliplr flipud moveaxis movedim narrow permute ravel repeat "
        "repeat_interleave reshape reshape_as roll rot90 select split split_with_sizes squeeze "
        "swapaxes swapdims t tensor_split tile transpose tril tril_ triu triu_ unbind unflatten "
        "unfold unsqueeze view view_as "
    ),
    "shared_memory": "is_shared share_memory_",
    "short_time": "istft stft",
    "softmax": "log_softmax softmax",
    "solving": (
        "cholesky_inverse cholesky_solve det geqrf inverse logdet lu_solve orgqr ormqr slogdet "
        "triangular_solve "
    ),
    "sparse_making": (
        "smm sparse_mask sspaddmm to_sparse to_sparse_bsc to_sparse_bsr to_sparse_coo "
        "to_sparse_csc to_sparse_csr "
    ),
    "special_functions": "i0 i0_ igamma igamma_ igammac igammac_ polygamma polygamma_",
    "statistics": "corrcoef cov renorm renorm_",
}
PROPERTIES = {
    "complex_numbers": "imag real",
    "rarer": (
        "_has_symbolic_sizes_strides grad_dtype is_ipu is_maia is_mtia is_sparse_csr is_vulkan "
        "is_xla is_xpu name volatile "
    ),
    "shaping": "H T mH mT",
}
NAMES = {
    "activation": (
        "celu celu_ hardshrink prelu relu relu_ rrelu rrelu_ selu selu_ threshold threshold_ "
    ),
    "complex_numbers": (
        "angle complex conj conj_physical conj_physical_ imag is_conj is_neg polar real "
        "resolve_conj resolve_neg view_as_complex view_as_real "
    ),
    "conversion": "clone",
    "counted": "arange eye linspace logspace range=range_ tril_indices triu_indices",
    "counting": "histogram histogramdd isin nonzero_static unravel_index",
    "creation": "empty empty_like empty_strided full full_like ones ones_like zeros zeros_like",
    "direct": (
        "adaptive_avg_pool1d adaptive_max_pool1d affine_grid_generator alpha_dropout "
        "alpha_dropout_ avg_pool1d batch_norm bilinear binary_cross_entropy_with_logits "
        "channel_shuffle constant_pad_nd conv1d conv2d conv3d conv_tbc conv_transpose1d "
        "conv_transpose2d conv_transpose3d convolution cosine_embedding_loss ctc_loss dropout "
        "dropout_ embedding embedding_bag embedding_renorm_ feature_alpha_dropout "
        "feature_alpha_dropout_ feature_dropout feature_dropout_ grid_sampler grid_sampler_2d "
        "grid_sampler_3d group_norm hinge_embedding_loss instance_norm kl_div layer_norm "
        "log_softmax margin_ranking_loss max_pool1d max_pool1d_with_indices max_pool2d max_pool3d "
        "native_batch_norm native_channel_shuffle pixel_shuffle pixel_unshuffle poisson_nll_loss "
        "rms_norm softmax triplet_margin_loss "
    ),
    "elementary": (
        "deg2rad deg2rad_ frexp gcd gcd_ heaviside hypot isneginf isposinf isreal lcm lcm_ ldexp "
        "ldexp_ logaddexp logaddexp2 logit logit_ mvlgamma rad2deg rad2deg_ signbit sinc sinc_ "
        "xlogy xlogy_ "
    ),
    "factorisation": "cholesky lu qr svd",
    "fake_quantize": "fake_quantize_per_channel_affine fake_quantize_per_tensor_affine",
    "folding": "return_types=RETURN_TYPES",
    "from_data": "as_tensor from_dlpack from_numpy frombuffer tensor",
    "generators": "Generator get_rng_state initial_seed manual_seed seed set_rng_state",
    "indexing": (
        "argwhere gather index_add index_copy index_fill index_put index_put_ index_select "
        "masked_fill masked_scatter masked_select nonzero put scatter scatter_add scatter_reduce "
        "take take_along_dim "
    ),
    "inplace": "fill fill_ resize_as_ zero_",
    "legacy_types": (
        "BFloat16Tensor=LEGACY_TYPES[BFloat16Tensor] BoolTensor=LEGACY_TYPES[BoolTensor] "
        "ByteTensor=LEGACY_TYPES[ByteTensor] CharTensor=LEGACY_TYPES[CharTensor] "
        "DoubleTensor=LEGACY_TYPES[DoubleTensor] FloatTensor=LEGACY_TYPES[FloatTensor] "
        "HalfTensor=LEGACY_TYPES[HalfTensor] IntTensor=LEGACY_TYPES[IntTensor] "
        "LongTensor=LEGACY_TYPES[LongTensor] ShortTensor=LEGACY_TYPES[ShortTensor] "
    ),
    "linear_algebra": (
        "addbmm addmm addmv addr baddbmm bmm cdist chain_matmul cross dot einsum ger inner kron "
        "matmul mm mv outer tensordot trace vdot "
    ),
    "matrix_functions": (
        "eig=REMOVED_NAMES[eig] lstsq=REMOVED_NAMES[lstsq] matrix_exp matrix_power "
        "matrix_rank=REMOVED_NAMES[matrix_rank] pinverse solve=REMOVED_NAMES[solve] "
        "symeig=REMOVED_NAMES[symeig] vander "
    ),
    "memory": (
        "BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage "
        "ComplexFloatStorage DoubleStorage FloatStorage HalfStorage IntStorage LongStorage "
        "ShortStorage TypedStorage UntypedStorage asarray empty_permuted is_storage "
    ),
    "ordering": (
        "argsort bincount bucketize cummax cummin cumprod cumsum cumulative_trapezoid diff histc "
        "kthvalue logcumsumexp median mode msort nanmedian nanquantile quantile searchsorted sort "
        "topk trapezoid trapz unique unique_consecutive "
    ),
    "overwriting": (
        "alias_copy as_strided_copy as_strided_scatter detach_copy diagonal_copy diagonal_scatter "
        "dsplit expand_copy hsplit index_reduce narrow_copy permute_copy select_copy "
        "select_scatter slice_copy slice_inverse slice_scatter split_copy split_with_sizes_copy "
        "squeeze_copy t_copy transpose_copy unbind_copy unfold_copy unsafe_chunk unsafe_split "
        "unsafe_split_with_sizes unsqueeze_copy view_as_real_copy view_copy vsplit "
    ),
    "pointwise": (
        "abs abs_ absolute acos acos_ acosh acosh_ add arccos arccos_ arccosh arccosh_ arcsin "
        "arcsin_ arcsinh arcsinh_ arctan arctan2 arctan_ arctanh arctanh_ asin asin_ asinh asinh_ "
        "atan atan2 atan_ atanh atanh_ bitwise_and bitwise_left_shift bitwise_not bitwise_or "
        "bitwise_right_shift bitwise_xor ceil ceil_ copysign cos cos_ cosh cosh_ digamma div "
        "divide eq erf erf_ erfc erfc_ erfinv exp exp2 exp2_ exp_ expm1 expm1_ fix fix_ floor "
        "floor_ floor_divide fmax fmin fmod frac frac_ ge greater greater_equal gt isfinite isinf "
        "isnan le less less_equal lgamma log log10 log10_ log1p log1p_ log2 log2_ log_ "
        "logical_and logical_not logical_or logical_xor lt maximum minimum mul multiply "
        "nan_to_num nan_to_num_ ne neg neg_ negative negative_ nextafter not_equal positive "
        "reciprocal reciprocal_ remainder round round_ rsqrt rsqrt_ rsub sgn sigmoid sigmoid_ "
        "sign sin sin_ sinh sinh_ sqrt sqrt_ square square_ sub subtract tan tan_ tanh tanh_ "
        "true_divide trunc trunc_ "
    ),
    "powers": "float_power pow",
    "random_integers": "randint randint_like randperm",
    "randomness": "bernoulli multinomial normal poisson rand rand_like randn randn_like",
    "rarer": "broadcast_shapes is_same_size scalar_tensor",
    "rarer_functions": (
        "addmv_=FUNCTIONS[addmv_] as_strided_=FUNCTIONS[as_strided_] "
        "ccol_indices_copy=FUNCTIONS[ccol_indices_copy] "
        "col_indices_copy=FUNCTIONS[col_indices_copy] compiled_with_cxx11_abi cond "
        "crow_indices_copy=FUNCTIONS[crow_indices_copy] dequantize=FUNCTIONS[dequantize] "
        "detach=FUNCTIONS[detach] detach_=FUNCTIONS[detach_] frobenius_norm "
        "get_deterministic_debug_mode get_device=FUNCTIONS[get_device] get_device_module "
        "get_num_interop_threads hash_tensor=FUNCTIONS[hash_tensor] "
        "indices_copy=FUNCTIONS[indices_copy] int_repr=FUNCTIONS[int_repr] "
        "is_deterministic_algorithms_warn_only_enabled is_distributed=FUNCTIONS[is_distributed] "
        "is_inference=FUNCTIONS[is_inference] is_signed=FUNCTIONS[is_signed] is_vulkan_available "
        "is_warn_always_enabled lobpcg native_dropout native_group_norm native_layer_norm "
        "norm_except_dim nuclear_norm pca_lowrank "
        "q_per_channel_axis=FUNCTIONS[q_per_channel_axis] "
        "q_per_channel_scales=FUNCTIONS[q_per_channel_scales] "
        "q_per_channel_zero_points=FUNCTIONS[q_per_channel_zero_points] "
        "q_scale=FUNCTIONS[q_scale] q_zero_point=FUNCTIONS[q_zero_point] "
        "resize_as_sparse_=FUNCTIONS[resize_as_sparse_] "
        "row_indices_copy=FUNCTIONS[row_indices_copy] segment_reduce set_default_tensor_type "
        "set_deterministic_debug_mode set_flush_denormal set_warn_always svd_lowrank sym_float "
        "sym_int sym_ite sym_max sym_min sym_not sym_sqrt sym_sum to_dlpack "
        "values_copy=FUNCTIONS[values_copy] view_as_complex_copy while_loop "
    ),
    "recurrent": "gru_cell lstm_cell rnn_relu_cell rnn_tanh_cell",
    "recurrent_layers": "gru lstm rnn_relu rnn_tanh",
    "reduction": (
        "all allclose amax amin aminmax any argmax argmin count_nonzero dist equal isclose "
        "logsumexp max mean min nanmean nansum norm prod std std_mean sum var var_mean "
    ),
    "shaping": (
        "adjoint as_strided atleast_1d atleast_2d atleast_3d block_diag broadcast_tensors "
        "broadcast_to cartesian_prod cat chunk column_stack combinations concat concatenate diag "
        "diag_embed diagflat diagonal dstack flatten flip fliplr flipud hstack meshgrid moveaxis "
        "movedim narrow permute ravel repeat_interleave reshape roll rot90 row_stack select split "
        "split_with_sizes squeeze stack swapaxes swapdims t tensor_split tile transpose tril triu "
        "unbind unflatten unsqueeze vstack "
    ),
    "short_time": "istft stft",
    "similarity": "cosine_similarity pairwise_distance pdist",
    "slopes": "gradient",
    "solving": (
        "cholesky_inverse cholesky_solve det geqrf inverse logdet lu_solve lu_unpack orgqr ormqr "
        "slogdet triangular_solve "
    ),
    "sparse_making": (
        "dsmm=SPARSE_NAMES[dsmm] hsmm=SPARSE_NAMES[hsmm] hspmm saddmm=SPARSE_NAMES[saddmm] smm "
        "sparse_bsc_tensor sparse_bsr_tensor sparse_compressed_tensor sparse_coo_tensor "
        "sparse_csc_tensor sparse_csr_tensor spmm sspaddmm "
    ),
    "special_functions": "i0 i0_ igamma igammac polygamma",
    "statistics": "corrcoef cov renorm",
    "ternary": (
        "addcdiv addcmul clamp clamp_ clamp_max clamp_max_ clamp_min clamp_min_ clip clip_ lerp "
        "where "
    ),
    "windows": "bartlett_window blackman_window hamming_window hann_window kaiser_window",
}
