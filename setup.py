"""The native modules; everything else is in pyproject.toml."""

import platform
import sys
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# Only the file of a level is compiled for it; nothing is compiled for the machine at hand.
# GCC 12's own avx512fintrin.h trips these two warnings.
AVX512 = ["-mavx512f", "-mavx512bw", "-Wno-uninitialized", "-Wno-maybe-uninitialized"]
X86_FLAGS = {
    "kernels_avx2.cpp": ["-mavx2", "-mfma", "-mf16c"],
    "kernels_avx512.cpp": AVX512,
    "kernels_avx512vnni.cpp": [*AVX512, "-mavx512vnni"],
    "kernels_amx.cpp": [*AVX512, "-mavx512vnni", "-mamx-tile", "-mamx-int8"],
    "graph_kernels_avx2.cpp": ["-mavx2", "-mf16c"],
    "ivf_kernels_avx2.cpp": ["-mavx2"],
    "graph_kernels_avx512.cpp": AVX512,
    "graph_kernels_avx512vnni.cpp": [*AVX512, "-mavx512vnni"],
    "ivf_kernels_avx512.cpp": AVX512,
}


class BuildNative(build_ext):
    """Adds the flags of a source file's level to those of its extension."""

    def build_extensions(self):
        compile_one = self.compiler._compile
        is_x86 = platform.machine().lower() in {"x86_64", "amd64"}

        def compile_with_level(obj, src, ext, cc_args, extra_postargs, pp_opts):
            level = X86_FLAGS.get(Path(src).name, []) if is_x86 else []
            compile_one(obj, src, ext, cc_args, [*extra_postargs, *level], pp_opts)

        self.compiler._compile = compile_with_level
        super().build_extensions()


def extension(name, sources):
    """Describe a native module: its Cython file and the C++ it wraps."""
    return Extension(
        f"paradox._native.{name}",
        sources=[f"cython_ext/{name}.pyx", *sources],
        include_dirs=["cython_ext/include", numpy.get_include()],
        depends=sorted(path.as_posix() for path in Path("cython_ext/include").rglob("*.hpp")),
        language="c++",
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        # Contraction off: a product and a sum are rounded alike on every level unless fma is
        # written.
        extra_compile_args=[
            "-std=c++17",
            "-O3",
            "-ffp-contract=off",
            "-fvisibility=hidden",
            "-pthread",
        ],
        extra_link_args=["-pthread", *(["-s"] if sys.platform == "linux" else [])],
    )


def sources(pattern):
    """Return C++ files below `cython_ext/src`, in an order of their own."""
    return sorted(path.as_posix() for path in Path("cython_ext/src").glob(pattern))


MODULES = [
    extension("kernels", sources("*.cpp")),
    extension("graph", sources("graph/*.cpp") + sources("thread_pool.cpp")),
    extension(
        "ivf",
        sources("ivf/*.cpp")
        + sources("graph/graph_kernels*.cpp")
        + sources("graph/rotation.cpp")
        + sources("thread_pool.cpp"),
    ),
]

setup(ext_modules=cythonize(MODULES), cmdclass={"build_ext": BuildNative})
