"""Attention: rotary angles, kernels, and the adapter to transformers."""
