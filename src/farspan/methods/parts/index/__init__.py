"""`index`: what stands for a block when it is searched."""
