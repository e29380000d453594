"""Attention kernels for GPUs, in Triton, which is only imported where they are used."""
