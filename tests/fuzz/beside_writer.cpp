// Searches of a graph beside one that changes it, under the thread sanitizer. What may be torn are
// the codes and factors of edges, and of the last nodes of a sketch (see `graph.hpp`): a kernel
// alone reads them, so the kernels are built without the sanitizer. A node's vector, which they
// read too, is written with its header.
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "answers_of.hpp"
#include "paradox/graph/graph.hpp"
#include "use.hpp"

namespace paradox {
extern const GraphKernels graph_kernels_scalar;
}

namespace {

using fuzz::expect;
using paradox::Graph;
using paradox::Random;

constexpr int kDim = 8, kReaders = 2;
constexpr std::int64_t kMost = 2'500;

/// What readers see: the moment, and which nodes are removed in it.
struct View {
  paradox::GraphMoment moment;
  std::vector<std::uint8_t> is_removed;
};

class Run {
 public:
  Run(bool sweeps, bool is_compact)
      : graph_({kDim, paradox::Metric::l2, 32, 20, 1, sweeps, is_compact},
               paradox::graph_kernels_scalar),
        vectors_(fuzz::vectors(kMost, kDim, random_)),
        norms_(kMost, 1.0),
        ids_(kMost),
        slots_(kMost) {
    std::iota(ids_.begin(), ids_.end(), 0);
    std::iota(slots_.begin(), slots_.end(), 0);
    add(200);
  }

  void run() {
    std::vector<std::thread> readers;
    for (int i = 0; i < kReaders; ++i) readers.emplace_back([this, i] { read(i); });
    while (graph_.size() + 120 < kMost) {
      add(20 + random_.below(100));
      if (random_.below(2) == 0) remove();
      bypass();
    }
    is_over_ = true;
    for (std::thread& reader : readers) reader.join();
    std::printf("%lld nodes, %lld searches, %d bypasses\n", static_cast<long long>(graph_.size()),
                static_cast<long long>(n_searches_.load()), n_bypasses_);
  }

 private:
  void add(std::int64_t n) {
    graph_.add(vectors_.data() + graph_.size() * kDim, n, 2);
    is_removed_.resize(static_cast<std::size_t>(graph_.size()));
    publish();
  }

  void remove() {
    std::vector<std::int64_t> gone;
    for (std::size_t node = 0; node < is_removed_.size(); ++node) {
      if (is_removed_[node] != 0 || random_.below(20) != 0) continue;
      is_removed_[node] = 1;
      gone.push_back(static_cast<std::int64_t>(node));
    }
    graph_.remove(gone.data(), static_cast<std::int64_t>(gone.size()), ++seq_);
    publish();
  }

  void publish() {
    const auto view = std::make_shared<View>(View{graph_.moment(seq_), is_removed_});
    seen_.push_back(view);
    std::atomic_store(&view_, std::shared_ptr<const View>(view));
  }

  void bypass() {
    std::shared_ptr<const View> oldest;
    while ((oldest = seen_.front().lock()) == nullptr) seen_.pop_front();
    const std::uint32_t seq = oldest->moment.seq;
    oldest.reset();
    if (!graph_.bypass(seq, 2)) return;
    ++n_bypasses_;
    publish();
  }

  void read(int number) {
    Random random(static_cast<std::uint64_t>(number) + 7);
    for (; !is_over_; ++n_searches_) {
      const std::shared_ptr<const View> view = std::atomic_load(&view_);
      const std::vector<std::uint8_t>& is_removed = view->is_removed;
      const std::vector<float> query = fuzz::vectors(1, kDim, random);
      const bool is_scan = random.below(8) == 0;  // without rows, of the nodes' own vectors
      paradox::GraphRows rows;
      rows.vectors = is_scan ? nullptr : vectors_.data();
      rows.norms = norms_.data();
      rows.ids = ids_.data();
      rows.slots = number == 0 ? nullptr : slots_.data();
      rows.n_allowed = static_cast<std::int64_t>(is_removed.size()) -
                       std::accumulate(is_removed.begin(), is_removed.end(), std::int64_t{0});
      fuzz::Found found(1, 10);
      graph_.search(query.data(), 1, 10, is_scan ? Graph::kEveryNode : 40, rows, view->moment, 1,
                    found.ids.data(), found.distances.data());
      found.check([&](std::int64_t id) {
        const auto node = static_cast<std::size_t>(id);
        return node < is_removed.size() && is_removed[node] == 0;
      });
    }
  }

  Random random_{3};
  Graph graph_;
  const std::vector<float> vectors_;
  const std::vector<double> norms_;
  std::vector<std::int64_t> ids_;
  std::vector<std::int32_t> slots_;
  std::vector<std::uint8_t> is_removed_;
  std::shared_ptr<const View> view_;
  std::deque<std::weak_ptr<const View>> seen_;
  std::uint32_t seq_ = 1;
  int n_bypasses_ = 0;
  std::atomic<bool> is_over_{false};
  std::atomic<std::int64_t> n_searches_{0};
};

}  // namespace

int main() {
  for (const bool is_compact : {false, true}) {
    for (const bool sweeps : {false, true}) Run(sweeps, is_compact).run();
  }
}
