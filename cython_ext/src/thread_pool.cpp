#include "paradox/thread_pool.hpp"

#include <pthread.h>

#include <algorithm>
#include <memory>

namespace paradox {

struct ThreadPool::Job {
  const std::function<void(std::int64_t)>& task;
  const std::int64_t n_tasks;
  std::int64_t helpers_wanted;
  std::int64_t helpers_inside = 0;
  std::atomic<std::int64_t> next{0};
  std::mutex error_mutex{};
  std::exception_ptr error{};

  void take_part() {
    try {
      for (std::int64_t i = next++; i < n_tasks; i = next++) task(i);
    } catch (...) {
      next = n_tasks;
      const std::lock_guard lock(error_mutex);
      if (!error) error = std::current_exception();
    }
  }
};

namespace {

std::atomic<ThreadPool*> current{nullptr};

// A forked child has the pool's memory but none of its threads, and its mutex in any state: it
// leaves that pool alone and makes its own. Nothing else is safe between fork and return.
[[maybe_unused]] const int fork_handler =
    pthread_atfork(nullptr, nullptr, [] { current.store(nullptr); });

}  // namespace

ThreadPool& ThreadPool::instance() {
  ThreadPool* pool = current.load();
  if (pool == nullptr) {
    auto fresh = std::make_unique<ThreadPool>();
    if (current.compare_exchange_strong(pool, fresh.get())) pool = fresh.release();
  }
  return *pool;
}

void ThreadPool::run(std::int64_t n_tasks, int threads,
                     const std::function<void(std::int64_t)>& task) {
  const std::int64_t helpers = std::min<std::int64_t>(threads, n_tasks) - 1;
  if (helpers < 1) {
    for (std::int64_t i = 0; i < n_tasks; ++i) task(i);
    return;
  }
  Job job{task, n_tasks, helpers};
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(&job);
    grow();
  }
  wake_.notify_all();
  job.take_part();
  {
    std::unique_lock lock(mutex_);
    jobs_.erase(std::remove(jobs_.begin(), jobs_.end(), &job), jobs_.end());
    left_.wait(lock, [&] { return job.helpers_inside == 0; });
  }
  if (job.error) std::rethrow_exception(job.error);
}

/// Starts workers until every wanted helper could have one. Fewer are enough: the caller takes part
/// and would do all the tasks alone.
void ThreadPool::grow() {
  std::size_t wanted = busy_;
  for (const Job* job : jobs_) wanted += static_cast<std::size_t>(job->helpers_wanted);
  try {
    while (workers_.size() < std::min(wanted, kMaxWorkers)) {
      workers_.emplace_back([this] { work(); });
    }
  } catch (const std::exception&) {  // the system gives no more threads, or no memory for them
  }
}

void ThreadPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return !jobs_.empty(); });
    Job& job = *jobs_.front();
    if (--job.helpers_wanted == 0) jobs_.erase(jobs_.begin());
    ++job.helpers_inside;
    ++busy_;
    lock.unlock();
    job.take_part();
    lock.lock();
    --busy_;
    if (--job.helpers_inside == 0) left_.notify_all();
  }
}

}  // namespace paradox
