"""Random numbers that PyTorch has drawn, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np


def words_of(data: str) -> np.ndarray:
    return np.array([int(word, 16) for word in data.split()], np.uint64)


# ---- recorded from PyTorch 2.13: (kind, seed, n, attributes, indices, bit patterns there) -------

GOLDEN: list[tuple[str, int, int, dict[str, Any], tuple[int, ...], str]] = [
    ("uniform32", 0, 5, {}, (0, 1, 2, 4), "3efe1558 3f44aa2f 3db533a8 3e9d6686"),
    (
        "uniform32",
        42,
        1000,
        {"low": -0.3, "high": 1.7},
        (0, 1, 500, 999),
        "3fbb7600 3fc3d74c 3eea695e be767664",
    ),
    (
        "uniform64",
        1,
        700,
        {"low": -0.1, "high": 3.3},
        (0, 1, 350, 699),
        "3fbb8a6fec65b291 3fe53b45921911c1 3ff6d235a5f4585d 3fe0fa4ae26af4bd",
    ),
    ("uniform_float16", 3, 50, {}, (0, 1, 25, 49), "1c5e 2ec2 3202 3bb3"),
    ("uniform_bfloat16", 3, 50, {}, (0, 1, 25, 49), "3b8c0000 3dd80000 3e400000 3f760000"),
    ("normal_float32", 0, 5, {}, (0, 1, 2, 4), "3fc53f5c be963c50 c00b7149 bf8ad1a1"),
    ("normal_float32", 0, 16, {}, (0, 1, 8, 15), "bf901b85 bf93808a 3ea50138 be7d367c"),
    (
        "normal_float32",
        7,
        3001,
        {"mean": 0.3, "std": 1.7},
        (0, 1, 1500, 3000),
        "bf8c0fb0 3f78fa8b 3fb2a82b 400a2480",
    ),
    (
        "normal_float64",
        7,
        15,
        {},
        (0, 1, 7, 14),
        "bfc2ca2e8774a1c0 3fe92811cc01ae83 3ff3b7da1d78a859 3ff653c436cdbeab",
    ),
    (
        "normal_float64",
        7,
        300,
        {"mean": 0.3, "std": 1.7},
        (0, 1, 150, 299),
        "3fda68efc0596b9d 3fd8500be03556a4 3fd9bccce6b76395 3ffa3ccf00e9191d",
    ),
    ("normal_float16", 9, 37, {}, (0, 1, 18, 36), "bc45 b9bd 3ba1 bba6"),
    ("normal_bfloat16", 9, 37, {}, (0, 1, 18, 36), "bf890000 bf380000 3f740000 bf750000"),
    ("bernoulli", 11, 100, {"p": 0.3}, (0, 1, 50, 99), "1 0 0 0"),
    (
        "exponential",
        12,
        100,
        {"rate": 0.7, "dtype": "float32"},
        (0, 1, 50, 99),
        "3fec65fa 3fb1c859 3fa339a8 3fe418d4",
    ),
    (
        "cauchy",
        13,
        100,
        {"median": 0.3, "sigma": 0.7},
        (0, 1, 50, 99),
        "3fedec41ff801cb2 3fd101102e9abb60 bffcdd072123b65e 3ff431deea8c1a0b",
    ),
    (
        "log_normal",
        14,
        101,
        {"dtype": "float32"},
        (0, 1, 50, 100),
        "3eb71ad9 3fa5555d 403e45cb 40021485",
    ),
    (
        "geometric",
        15,
        100,
        {"p": 0.2},
        (0, 1, 50, 99),
        "4014000000000000 4014000000000000 3ff0000000000000 4032000000000000",
    ),
    ("random_range", 16, 2000, {"span": 107, "low": -7}, (0, 1, 1000, 1999), "23 26 41 47"),
    (
        "random_range",
        16,
        2000,
        {"span": 1099511627776, "low": 0},
        (0, 1, 1000, 1999),
        "a9539fbcee 790e418245 a1e60678cb de3bb43b2",
    ),
    ("permutation", 17, 1000, {}, (0, 1, 500, 999), "22f 61 119 334"),
    (
        "bits64",
        9223372036854775808,
        5,
        {},
        (0, 1, 2, 4),
        "8c7f0aac97c4aa2f b716a675d821ccc0 9a4eb343dba252fb 6c74a4099fa1ded3",
    ),
]
