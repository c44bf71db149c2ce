// Threads for one call at a time or many: sized by the caller, parked without using CPU.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace paradox {

/// One pool per process, started by the first call that asks for more than one thread, and started
/// anew in a forked child. It is never destroyed: parked threads end with the process, and a daemon
/// thread still inside a call at exit does not have its pool pulled away.
class ThreadPool {
 public:
  static ThreadPool& instance();

  /// Runs task(0) … task(n_tasks - 1) on the calling thread and up to `threads - 1` others, in
  /// ascending order of start. Rethrows the first exception; tasks not yet started are then left
  /// out. Calls from several threads share the workers; a call never waits for a free worker.
  void run(std::int64_t n_tasks, int threads, const std::function<void(std::int64_t)>& task);

 private:
  struct Job;

  static constexpr std::size_t kMaxWorkers = 256;

  void grow();
  void work();

  std::mutex mutex_;
  std::condition_variable wake_, left_;
  std::vector<Job*> jobs_;  // those that still want helpers
  std::vector<std::thread> workers_;
  std::size_t busy_ = 0;
};

}  // namespace paradox
