#include "paradox/kernel_table.hpp"

#include <cstring>

#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace paradox {

extern const KernelTable kernels_scalar;

#if defined(__x86_64__) || defined(_M_X64)

extern const KernelTable kernels_avx2;
extern const KernelTable kernels_avx512;
extern const KernelTable kernels_avx512vnni;
extern const KernelTable kernels_amx;

namespace {

/// Linux keeps the tile registers of a process only once it has asked for them.
bool may_use_tiles() {
#if defined(__linux__) && defined(__x86_64__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}

}  // namespace

const KernelTable* available_kernels(int rank) {
  // The builtins ask CPUID, and XGETBV whether the system saves the wider registers.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
    const bool has_vnni = __builtin_cpu_supports("avx512vnni");
    const bool has_amx = __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8");
    if (has_vnni && has_amx && may_use_tiles() && rank-- == 0) return &kernels_amx;
    if (has_vnni && rank-- == 0) return &kernels_avx512vnni;
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
