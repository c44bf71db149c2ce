#include "paradox/kernel_table.hpp"

#include <cstring>

namespace paradox {

extern const KernelTable kernels_scalar;

#if defined(__x86_64__) || defined(_M_X64)

extern const KernelTable kernels_avx2;
extern const KernelTable kernels_avx512;
extern const KernelTable kernels_avx512vnni;

const KernelTable* available_kernels(int rank) {
  // The builtins ask CPUID, and XGETBV whether the system saves the wider registers.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
    if (__builtin_cpu_supports("avx512vnni") && rank-- == 0) return &kernels_avx512vnni;
    if (rank-- == 0) return &kernels_avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c") && rank-- == 0) {
    return &kernels_avx2;
  }
  return rank == 0 ? &kernels_scalar : nullptr;
}

#elif defined(__aarch64__)

extern const KernelTable kernels_neon;

const KernelTable* available_kernels(int rank) {
  if (rank == 0) return &kernels_neon;
  return rank == 1 ? &kernels_scalar : nullptr;
}

#else

const KernelTable* available_kernels(int rank) { return rank == 0 ? &kernels_scalar : nullptr; }

#endif

const KernelTable* find_kernels(const char* isa) {
  for (int rank = 0;; ++rank) {
    const KernelTable* table = available_kernels(rank);
    if (table == nullptr || std::strcmp(table->isa, isa) == 0) return table;
  }
}

}  // namespace paradox
