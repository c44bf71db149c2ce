// Vectors that begin on a cache line.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace paradox {

template <class T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};

  CacheLineAllocator() = default;
  template <class U>
  explicit CacheLineAllocator(const CacheLineAllocator<U>&) {}

  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kAlignment)); }
  void deallocate(T* pointer, std::size_t) { ::operator delete(pointer, kAlignment); }
  bool operator==(const CacheLineAllocator&) const { return true; }
  bool operator!=(const CacheLineAllocator&) const { return false; }
};

template <class T>
using AlignedVector = std::vector<T, CacheLineAllocator<T>>;

/// Scratch that grows and is kept; what was in it is not.
template <class T>
T* at_least(AlignedVector<T>& buffer, std::int64_t n) {
  if (buffer.size() < static_cast<std::size_t>(n)) {
    buffer.clear();
    buffer.resize(static_cast<std::size_t>(n));
  }
  return buffer.data();
}

}  // namespace paradox
