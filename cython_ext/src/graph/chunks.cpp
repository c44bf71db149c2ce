#include "paradox/graph/chunks.hpp"

#include <cstring>
#include <new>

#if defined(__linux__) || defined(__APPLE__)
#include <sys/mman.h>
#endif

namespace paradox {
namespace {

constexpr std::int64_t kChunkBytes = std::int64_t{32} << 20;

/// Zeroed memory that begins on a page; what is never written to takes no memory.
std::uint8_t* map_chunk(std::size_t bytes) {
#if defined(__linux__) || defined(__APPLE__)
  void* chunk = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (chunk == MAP_FAILED) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  madvise(chunk, bytes, MADV_HUGEPAGE);  // a wish: without it a search is slower, not wrong
#endif
  return static_cast<std::uint8_t*>(chunk);
#else
  auto* chunk = static_cast<std::uint8_t*>(::operator new(bytes, std::align_val_t{64}));
  std::memset(chunk, 0, bytes);
  return chunk;
#endif
}

}  // namespace

void Chunks::Unmap::operator()(std::uint8_t* chunk) const {
#if defined(__linux__) || defined(__APPLE__)
  munmap(chunk, bytes);
#else
  ::operator delete(chunk, std::align_val_t{64});
#endif
}

Chunks::Chunks(std::int64_t record_bytes) : record_bytes_(record_bytes) {
  while ((record_bytes_ << (shift_ + 1)) <= kChunkBytes) ++shift_;
  mask_ = (std::uint32_t{1} << shift_) - 1;
}

Chunks::Chunks(const Chunks& other) : Chunks(other.record_bytes_) {
  grow(other.size());
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const std::int64_t first = static_cast<std::int64_t>(i) << shift_;
    const std::int64_t n = std::min(size_ - first, std::int64_t{1} << shift_);
    std::memcpy(chunks_[i].get(), other.chunks_[i].get(),
                static_cast<std::size_t>(n * record_bytes_));
  }
}

/// A chunk too many is left for the next time.
void Chunks::grow(std::int64_t n) {
  const std::int64_t n_chunks = (size_ + n + mask_) >> shift_;
  const auto bytes = static_cast<std::size_t>(record_bytes_ << shift_);
  while (static_cast<std::int64_t>(chunks_.size()) < n_chunks) {
    append(Chunk(map_chunk(bytes), Unmap{bytes}));
  }
  poke_word(size_, size_ + n);
}

}  // namespace paradox
