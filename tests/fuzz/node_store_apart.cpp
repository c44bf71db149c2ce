// Every node in memory of its own, which ends where the node does: a sanitizer then sees what reads
// beyond a node, or a node that is not there. In place of `graph/node_store.cpp`.
#include <cstring>
#include <new>

#include "paradox/graph/node_store.hpp"

namespace paradox {

void NodeStore::Unmap::operator()(std::uint8_t* chunk) const {
  ::operator delete(chunk, std::align_val_t{64});
}

NodeStore::NodeStore(const NodeLayout& layout) : layout_(layout), shift_(0), mask_(0) {}

void NodeStore::grow(std::int64_t n) {
  const auto bytes = static_cast<std::size_t>(layout_.stride);
  for (std::int64_t i = 0; i < n; ++i) {
    auto* node = static_cast<std::uint8_t*>(::operator new(bytes, std::align_val_t{64}));
    std::memset(node, 0, bytes);
    append(Chunk(node, Unmap{bytes}));
  }
  size_ += n;
}

}  // namespace paradox
