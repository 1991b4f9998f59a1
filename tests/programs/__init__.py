"""Whole programs, random and hand-picked, against PyTorch and against sync mode."""
