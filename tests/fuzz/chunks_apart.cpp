// Every record in memory of its own, which ends where the record does: a sanitizer then sees what
// reads beyond a node, or a node that is not there. In place of `graph/chunks.cpp`.
#include <cstring>
#include <new>

#include "paradox/graph/chunks.hpp"

namespace paradox {

void Chunks::Unmap::operator()(std::uint8_t* chunk) const {
  ::operator delete(chunk, std::align_val_t{64});
}

Chunks::Chunks(std::int64_t record_bytes) : record_bytes_(record_bytes), mask_(0) {}

void Chunks::grow(std::int64_t n) {
  const auto bytes = static_cast<std::size_t>(record_bytes_);
  for (std::int64_t i = 0; i < n; ++i) {
    auto* record = static_cast<std::uint8_t*>(::operator new(bytes, std::align_val_t{64}));
    std::memset(record, 0, bytes);
    append(Chunk(record, Unmap{bytes}));
  }
  size_ += n;
}

}  // namespace paradox
