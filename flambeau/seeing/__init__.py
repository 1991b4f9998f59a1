"""Seeing what a model is and what a program does: summaries, the graph behind a loss, progress."""
