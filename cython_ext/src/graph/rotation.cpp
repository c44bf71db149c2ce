#include "paradox/graph/rotation.hpp"

#include <algorithm>
#include <cmath>

#include "paradox/graph/random.hpp"

namespace paradox {

Rotation::Rotation(int dim, int padded_dim, std::uint64_t seed)
    : dim_(dim), padded_dim_(padded_dim), span_(1), signs_(kRounds * padded_dim) {
  while (2 * span_ <= padded_dim) span_ *= 2;
  scale_ = 1.0f / std::sqrt(static_cast<float>(span_));
  Random random(seed);
  for (float& sign : signs_) sign = (random.next() >> 63) != 0 ? 1.0f : -1.0f;
  for (int round = 0; round < kRounds; ++round) {
    const auto begin = signs_.begin() + std::int64_t{round} * padded_dim_ + begin_of(round);
    std::for_each(begin, begin + span_, [this](float& sign) { sign *= scale_; });
  }
}

void Rotation::apply(const GraphKernels& kernels, const float* in, float* out) const {
  std::copy_n(in, dim_, out);
  std::fill(out + dim_, out + padded_dim_, 0.0f);
  for (int round = 0; round < kRounds; ++round) {
    const float* signs = signs_.data() + std::int64_t{round} * padded_dim_;
    const int begin = begin_of(round);
    for (int j = 0; j < padded_dim_; ++j) out[j] *= signs[j];
    kernels.hadamard(out + begin, span_);
  }
}

void Rotation::invert(const GraphKernels& kernels, float* values) const {
  for (int round = kRounds - 1; round >= 0; --round) {
    const float* signs = signs_.data() + std::int64_t{round} * padded_dim_;
    const int begin = begin_of(round);
    for (int j = begin; j < begin + span_; ++j) values[j] *= scale_;
    kernels.hadamard(values + begin, span_);
    for (int j = 0; j < padded_dim_; ++j) values[j] *= std::copysign(1.0f, signs[j]);
  }
}

}  // namespace paradox
