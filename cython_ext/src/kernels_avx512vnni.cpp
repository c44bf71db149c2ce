// AVX-512 with VNNI.
#if defined(__x86_64__) || defined(_M_X64)

#include "paradox/avx512vnni.hpp"
#include "paradox/define_kernels.hpp"

PARADOX_DEFINE_KERNELS(avx512vnni, Avx512Vnni)

#endif
