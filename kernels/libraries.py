"""How much is optimised, and when: Numba's code libraries with a lighter hand.

Numba optimises every function by itself, again within each of its callers, and compiles it each time. Here
a function that only kernels call stays as it was written until it is linked into one of them, and what is
linked is optimised once. Nothing is left to the vectorisers: vectors are written as such.
"""

import llvmlite.binding as llvm
from numba.core import cgutils, codegen, config
from numba.core.runtime import rtsys

OPTIMISATION = 2  # less than with 3 is unrolled and inlined, at equal speed; tiles and epilogues are the same


class Library(codegen.JITCodeLibrary):
    """Code that is run."""

    def add_linking_library(self, library):
        if library is not rtsys.library:  # which every function would get; no kernel has objects
            for part in (library, *library.parts):
                super().add_linking_library(part)

    def _optimize_functions(self, module):
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self):
        level = min(OPTIMISATION, int(config.OPT))
        passes, builder = self._codegen._module_pass_manager(
            opt=level, loop_vectorize=False, slp_vectorize=False
        )
        passes.run(self._final_module, builder)


class Part(codegen.CodeLibrary):
    """Code of one function that is a part of others'."""

    module = None

    def __init__(self, owner, name):
        super().__init__(owner, name)
        self.parts = {}  # what it calls, as keys, callers before callees: linking drops what none has called

    def add_linking_library(self, library):
        if library is not rtsys.library:
            self.parts |= {library: None} | library.parts

    def add_ir_module(self, module):
        for function in module.functions:
            if not function.is_declaration:
                function.linkage = "linkonce_odr"
        self.module = llvm.parse_assembly(cgutils.normalize_ir_text(str(module)))

    def finalize(self):
        self._finalized = True

    def _get_module_for_linking(self):
        return self.module

    def get_function(self, name):
        return self.module.get_function(name)

    def get_llvm_str(self):
        return str(self.module)

    get_asm_str = get_llvm_str
