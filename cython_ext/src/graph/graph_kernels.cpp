#include "paradox/graph/graph_kernels.hpp"

#include <cstring>

namespace paradox {

extern const GraphKernels graph_kernels_scalar;
#if defined(__x86_64__) || defined(_M_X64)
extern const GraphKernels graph_kernels_avx2;
extern const GraphKernels graph_kernels_avx512;
extern const GraphKernels graph_kernels_avx512vnni;
#elif defined(__aarch64__)
extern const GraphKernels graph_kernels_neon;
#endif

// A level asks of the machine no more than that of the scans (`kernel_table.cpp`), so that whoever
// has the one has the other. AMX has nothing for a walk: that level is the one below it here.
const GraphKernels* find_graph_kernels(const char* isa) {
  const auto is_meant = [isa](const GraphKernels& kernels) {
    return std::strcmp(kernels.isa, isa) == 0;
  };
#if defined(__x86_64__) || defined(_M_X64)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
    const bool has_vnni = __builtin_cpu_supports("avx512vnni");
    const bool meant = is_meant(graph_kernels_avx512vnni) || std::strcmp(isa, "amx") == 0;
    if (has_vnni && meant) return &graph_kernels_avx512vnni;
    if (is_meant(graph_kernels_avx512)) return &graph_kernels_avx512;
  }
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
  if (has_avx2 && is_meant(graph_kernels_avx2)) return &graph_kernels_avx2;
#elif defined(__aarch64__)
  if (is_meant(graph_kernels_neon)) return &graph_kernels_neon;
#endif
  return is_meant(graph_kernels_scalar) ? &graph_kernels_scalar : nullptr;
}

}  // namespace paradox
