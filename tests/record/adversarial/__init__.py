"""Programs made to fool recognition: each is the same code path over and over, with something else
different every time. Each case is a function of the library (`t`: flambeau or PyTorch).
"""
