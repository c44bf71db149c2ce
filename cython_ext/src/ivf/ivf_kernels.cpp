#include "paradox/ivf/ivf_kernels.hpp"

#include <cstring>

namespace paradox {

extern const IvfKernels ivf_kernels_scalar;
#if defined(__x86_64__) || defined(_M_X64)
extern const IvfKernels ivf_kernels_avx2;
#endif

const IvfKernels* find_ivf_kernels(const char* isa) {
#if defined(__x86_64__) || defined(_M_X64)
  // avx512 and amx run the loops of avx2.
  const bool wide = std::strncmp(isa, "avx", 3) == 0 || std::strcmp(isa, "amx") == 0;
  __builtin_cpu_init();
  if (wide && __builtin_cpu_supports("avx2")) return &ivf_kernels_avx2;
#endif
  return std::strcmp(isa, "scalar") == 0 || std::strcmp(isa, "neon") == 0 ? &ivf_kernels_scalar
                                                                          : nullptr;
}

}  // namespace paradox
