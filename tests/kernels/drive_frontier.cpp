// A frontier beside a plain list of nodes: what is met, in any order, and what is expanded; also
// once memory has run out as it grew.
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <new>
#include <vector>

#include "paradox/graph/frontier.hpp"
#include "paradox/graph/least_key.hpp"
#include "paradox/graph/random.hpp"

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

int n_allocations_left = -1;  // of those on cache lines; below 0: any number

struct Known {
  std::uint32_t node;
  float key;
};

class Beside {
 public:
  Beside(std::uint64_t seed, std::uint32_t n_nodes) : random_(seed), n_nodes_(n_nodes) {
    kernels_.least_key = paradox::least_key_of_lanes;
  }

  /// Begins a search; the frontier is the one of the searches before.
  void begin(paradox::Frontier* frontier) {
    known_.clear();
    frontier->clear();
  }

  void go_on(paradox::Frontier* frontier, int n_steps) {
    for (int step = 0; step < n_steps; ++step) {
      draw_nodes();
      switch (random_.next() % 4) {
        case 0:
          meet_without_keys(frontier);
          break;
        case 1:
          expand(frontier, draw_key());
          break;
        default:
          meet(frontier);
          expand(frontier, kInfinity);
      }
      expect(frontier->size() == known_.size());
    }
  }

 private:
  void draw_nodes() {
    n_ = 1 + static_cast<int>(random_.next() % 32);
    for (int i = 0; i < n_; ++i) {
      nodes_[i] = static_cast<std::uint32_t>(random_.next() % n_nodes_);
      keys_[i] = draw_key();
    }
  }
  float draw_key() { return static_cast<float>(random_.next() % 64) - 32.0f; }

  Known* find(std::uint32_t node) {
    for (Known& known : known_) {
      if (known.node == node) return &known;
    }
    return nullptr;
  }

  void meet(paradox::Frontier* frontier) {
    const auto which =
        static_cast<std::uint32_t>(random_.next()) & (~std::uint32_t{0} >> (32 - n_));
    frontier->meet(nodes_, keys_, which);
    for (int i = 0; i < n_; ++i) {
      if ((which >> i & 1) == 0) continue;
      if (Known* known = find(nodes_[i])) {
        known->key = 0.5f * (known->key + keys_[i]);
      } else {
        known_.push_back({nodes_[i], keys_[i]});
      }
    }
  }

  void meet_without_keys(paradox::Frontier* frontier) {
    const std::uint32_t before = frontier->size();
    frontier->meet(nodes_, n_);
    for (int i = 0; i < n_; ++i) {
      if (find(nodes_[i]) == nullptr) known_.push_back({nodes_[i], kInfinity});
    }
    for (std::uint32_t number = before; number < frontier->size(); number += 2) {
      expect(frontier->node(number) == known_[number].node);
      frontier->set_key(number, known_[number].key = draw_key());
    }
  }

  void expand(paradox::Frontier* frontier, float farthest) {
    Known* least = nullptr;
    for (Known& known : known_) {
      if (known.key < (least == nullptr ? kInfinity : least->key)) least = &known;
    }
    const bool is_one = least != nullptr && least->key <= farthest;
    const std::uint32_t wanted = is_one ? least->node : paradox::Frontier::kNone;
    expect(frontier->peek(kernels_, farthest) == wanted);
    expect(frontier->pop(kernels_, farthest) == wanted);
    if (!is_one) return;
    expect(frontier->least().key == least->key);
    least->key = kInfinity;
  }

  static void expect(bool is_so) {
    if (is_so) return;
    std::printf("a frontier differs\n");
    std::exit(1);
  }

  paradox::Random random_;
  std::uint32_t n_nodes_;
  paradox::GraphKernels kernels_{};
  std::vector<Known> known_;
  int n_ = 0;
  std::uint32_t nodes_[32];
  float keys_[32];
};

/// Memory runs out at one allocation after the other, each time in the midst of a search, which
/// then goes on.
void run_out_of_memory(Beside* beside) {
  for (int n = 0;; ++n) {
    n_allocations_left = -1;
    paradox::Frontier frontier;
    beside->begin(&frontier);
    n_allocations_left = n;
    bool has_run_out = false;
    try {
      beside->go_on(&frontier, 200);
    } catch (const std::bad_alloc&) {
      has_run_out = true;
    }
    n_allocations_left = -1;
    beside->go_on(&frontier, 200);
    beside->begin(&frontier);
    beside->go_on(&frontier, 200);
    if (!has_run_out) return;
  }
}

}  // namespace

void* operator new(std::size_t n, std::align_val_t alignment) {
  if (n_allocations_left >= 0 && n_allocations_left-- == 0) throw std::bad_alloc();
  const auto line = static_cast<std::size_t>(alignment);
  void* memory = std::aligned_alloc(line, (n + line - 1) / line * line);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }

int main() {
  paradox::Frontier frontier;
  for (int seed = 0; seed < 200; ++seed) {
    const bool is_long = seed % 50 == 0;
    Beside beside(static_cast<std::uint64_t>(seed), is_long ? 40'000 : 500);
    beside.begin(&frontier);
    beside.go_on(&frontier, is_long ? 1'000 : 60);
  }
  Beside beside(200, 4'000);
  run_out_of_memory(&beside);
  std::printf("the same\n");
  return 0;
}
