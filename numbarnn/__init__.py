from .kernels.cells import cell, phase
