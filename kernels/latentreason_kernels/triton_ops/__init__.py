"""The triton backend: flash-style kernels that evaluate the visibility predicate in registers."""
