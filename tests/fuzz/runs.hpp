// Runs by number, in child processes: one that ends its process is counted, and the next begins.
//
//     fuzz_graph FIRST N [SECONDS]     runs FIRST to FIRST + N - 1, as far as the time allows
#pragma once

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

/// A count read from a file must not reserve memory for more than the file can hold.
extern "C" inline const char* __asan_default_options() {
  return "max_allocation_size_mb=256:detect_leaks=0";
}

namespace fuzz {

/// Longer runs hang: they take milliseconds.
constexpr unsigned kLongestRunS = 20;

constexpr std::uint64_t kMostCrashes = 20;

/// Ends the run where what must hold does not.
inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "expected %s\n", what);
  std::abort();
}

/// Calls run(seed), which returns whether what it was given was accepted; returns the exit status.
template <class Run>
int run_all(const char* name, int argc, char** argv, const Run& run) {
  if (argc < 3) {
    std::fprintf(stderr, "%s: expected the first run, and how many\n", name);
    return 2;
  }
  struct Progress {
    std::uint64_t next, n_accepted;
  };
  const std::uint64_t first = std::strtoull(argv[1], nullptr, 10);
  const std::uint64_t end = first + std::strtoull(argv[2], nullptr, 10);
  const std::time_t begin = std::time(nullptr);
  const long most_s = argc > 3 ? std::strtol(argv[3], nullptr, 10) : 0;
  auto* shared = static_cast<volatile Progress*>(
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  shared->next = first;
  const auto is_over = [&] {
    return shared->next >= end || (most_s > 0 && std::time(nullptr) - begin >= most_s);
  };
  std::uint64_t n_crashes = 0;
  while (!is_over() && n_crashes < kMostCrashes) {
    const pid_t child = fork();
    if (child == 0) {
      while (!is_over()) {
        alarm(kLongestRunS);
        if (run(shared->next)) shared->n_accepted = shared->n_accepted + 1;
        shared->next = shared->next + 1;
      }
      _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0) return 2;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    const bool hung = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    std::fprintf(stderr, "%s: run %llu %s\n", name, static_cast<unsigned long long>(shared->next),
                 hung ? "hung" : "crashed");
    ++n_crashes;
    shared->next = shared->next + 1;
  }
  std::printf("%s: %llu runs, %llu accepted, %llu crashes, %lld s\n", name,
              static_cast<unsigned long long>(shared->next - first),
              static_cast<unsigned long long>(shared->n_accepted),
              static_cast<unsigned long long>(n_crashes),
              static_cast<long long>(std::time(nullptr) - begin));
  return n_crashes == 0 ? 0 : 1;
}

}  // namespace fuzz
