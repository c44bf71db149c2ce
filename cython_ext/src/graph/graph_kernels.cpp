#include "paradox/graph/graph_kernels.hpp"

#include <cstring>

namespace paradox {

extern const GraphKernels graph_kernels_scalar;
#if defined(__x86_64__) || defined(_M_X64)
extern const GraphKernels graph_kernels_avx2;
#endif

const GraphKernels* find_graph_kernels(const char* isa) {
#if defined(__x86_64__) || defined(_M_X64)
  const bool wide = std::strcmp(isa, "avx2") == 0 || std::strcmp(isa, "avx512") == 0;
  __builtin_cpu_init();
  if (wide && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c")) {
    return &graph_kernels_avx2;
  }
#endif
  return std::strcmp(isa, "scalar") == 0 || std::strcmp(isa, "neon") == 0 ? &graph_kernels_scalar
                                                                          : nullptr;
}

}  // namespace paradox
