"""Numba's compiler, short of the passes that loops over words, pointers and given arrays have no use for:
nothing is a closure, a literal argument or an expression of arrays.
"""

from types import ModuleType

from numba import _dynfunc
from numba.core import ir
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import FunctionPass, PassManager, register_pass
from numba.core.typed_passes import IRLegalization, NativeLowering, NoPythonBackend, NopythonTypeInference
from numba.core.untyped_passes import FixupArgs, IRProcessing, TranslateByteCode

from .libraries import Library, Part


@register_pass(mutates_CFG=False, analysis_only=False)
class _Names(FunctionPass):
    """What a module's attribute is, is known at once; Numba would look for its type at every use."""

    _name = "numbarnn_names"

    def __init__(self):
        super().__init__()

    def run_pass(self, state):
        modules = {}
        for block in state.func_ir.blocks.values():
            for assignment in block.find_insts(ir.Assign):
                value = assignment.value
                if isinstance(value, ir.Global) and isinstance(value.value, ModuleType):
                    modules[assignment.target.name] = value.value
                elif isinstance(value, ir.Expr) and value.op == "getattr" and value.value.name in modules:
                    found = getattr(modules[value.value.name], value.attr)
                    assignment.value = ir.Global(value.attr, found, value.loc)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    """To code that is run."""

    _name = "numbarnn_lowering"

    def run_pass(self, state):
        state.library = Library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        state.type_annotation = None  # a description of what was compiled, for people
        return super().run_pass(state)


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(NativeLowering):
    """To code that callers contain."""

    _name = "numbarnn_part_lowering"

    def run_pass(self, state):
        state.library = Part(state.targetctx.codegen(), state.func_id.func_qualname)
        state.type_annotation = None
        state.flags.no_compile = True
        super().run_pass(state)
        function = state.cr.fndesc
        key = _dynfunc.make_function(
            function.lookup_module(), function.qualname, "", 0, state.cr.env, (state.library,)
        )
        state.targetctx.insert_user_function(key, function, [state.library])
        state.cr = state.cr._replace(cfunc=key)
        return True


class Pipeline(CompilerBase):
    """Of a kernel."""

    lowering = _Lowering

    def define_pipelines(self):
        passes = PassManager("numbarnn")
        before = TranslateByteCode, FixupArgs, _Names, IRProcessing, NopythonTypeInference
        for each in (*before, IRLegalization, self.lowering, NoPythonBackend):
            passes.add_pass(each, each.__name__)
        passes.finalize()
        return [passes]


class PartPipeline(Pipeline):
    """Of a function that only kernels call."""

    lowering = _PartLowering
