"""A side whose program is installed, and broken."""

raise RuntimeError("libcuda.so.1 is not there")
