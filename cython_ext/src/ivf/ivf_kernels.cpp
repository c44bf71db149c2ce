#include "paradox/ivf/ivf_kernels.hpp"

#include <cstring>

namespace paradox {

extern const IvfKernels ivf_kernels_scalar;
#if defined(__x86_64__) || defined(_M_X64)
extern const IvfKernels ivf_kernels_avx2;
extern const IvfKernels ivf_kernels_avx512;
#elif defined(__aarch64__)
extern const IvfKernels ivf_kernels_neon;
#endif

// A level asks of the machine no more than that of the graph (`graph_kernels.cpp`), whose kernels
// lists use too. VNNI and AMX have nothing for lists: those levels are AVX-512 here.
const IvfKernels* find_ivf_kernels(const char* isa) {
  const auto is_meant = [isa](const IvfKernels& kernels) {
    return std::strcmp(kernels.isa, isa) == 0;
  };
#if defined(__x86_64__) || defined(_M_X64)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
    const bool is_above = std::strcmp(isa, "avx512vnni") == 0 || std::strcmp(isa, "amx") == 0;
    const bool has_above = is_above && __builtin_cpu_supports("avx512vnni");
    if (has_above || is_meant(ivf_kernels_avx512)) return &ivf_kernels_avx512;
  }
  if (__builtin_cpu_supports("avx2") && is_meant(ivf_kernels_avx2)) return &ivf_kernels_avx2;
#elif defined(__aarch64__)
  if (is_meant(ivf_kernels_neon)) return &ivf_kernels_neon;
#endif
  return is_meant(ivf_kernels_scalar) ? &ivf_kernels_scalar : nullptr;
}

}  // namespace paradox
