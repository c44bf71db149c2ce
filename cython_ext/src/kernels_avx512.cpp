// AVX-512 (F and BW).
#if defined(__x86_64__) || defined(_M_X64)

#include "paradox/avx512.hpp"
#include "paradox/define_kernels.hpp"

PARADOX_DEFINE_KERNELS(avx512, Avx512)

#endif
