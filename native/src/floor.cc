#include "floor.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <vector>

#include "clock.h"
#include "pin.h"

namespace floors {
namespace {

using Word = std::atomic<uint32_t>;

constexpr double kPatienceNanos = 2e9;
constexpr uint64_t kBatch = 1000;
constexpr int kSpinsPerClockRead = 4096;

inline void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

struct Spin {
  static void Store(Word& word, uint32_t value) { word.store(value, std::memory_order_release); }

  static bool WaitFor(Word& word, uint32_t value) {
    double since = 0;
    for (int spins = 0; word.load(std::memory_order_acquire) != value; spins++) {
      Pause();
      if (spins % kSpinsPerClockRead != kSpinsPerClockRead - 1) continue;
      const double now = machine::Now();
      if (since == 0) since = now;
      if (now - since > kPatienceNanos) return false;
      // On a single free processor the other side runs only when this one stands back.
      sched_yield();
    }
    return true;
  }
};

struct Futex {
  static void Store(Word& word, uint32_t value) {
    word.store(value);
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }

  static bool WaitFor(Word& word, uint32_t value) {
    const double since = machine::Now();
    for (uint32_t held = word.load(); held != value; held = word.load()) {
      if (machine::Now() - since > kPatienceNanos) return false;
      const timespec timeout = {0, 100000000};
      syscall(SYS_futex, &word, FUTEX_WAIT, held, &timeout, nullptr, 0);
    }
    return true;
  }
};

double Median(std::vector<double>& values) {
  if (values.empty()) return 0;
  auto middle = values.begin() + long(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Round n stores n in word 0, and the answer is n in word 1. Both words are 0 at the start.
template <typename Way>
double PingPong(uint64_t address0, uint64_t address1, int side, uint64_t iterations) {
  if (!pin::Reachable(address0, 4) || !pin::Reachable(address1, 4)) return -EFAULT;
  const bool is_sound = (address0 | address1) % 4 == 0 && (side == 0 || side == 1) &&
      iterations < UINT32_MAX;
  if (!is_sound) return -EINVAL;
  Word& ping = *reinterpret_cast<Word*>(address0);
  Word& pong = *reinterpret_cast<Word*>(address1);
  std::vector<double> batches;
  double start = machine::Now();
  uint64_t batched = 0;
  for (uint32_t round = 1; round <= iterations; round++) {
    if (side == 1) {
      if (!Way::WaitFor(ping, round)) return -ETIMEDOUT;
      Way::Store(pong, round);
      continue;
    }
    Way::Store(ping, round);
    if (!Way::WaitFor(pong, round)) return -ETIMEDOUT;
    if (++batched < kBatch && round < iterations) continue;
    const double now = machine::Now();
    batches.push_back((now - start) / double(batched));
    start = now;
    batched = 0;
  }
  // The other side's patience with a late start must not count: the first batch is dropped.
  if (batches.size() > 1) batches.erase(batches.begin());
  return Median(batches);
}

bool SlotsReachable(uint64_t address, uint64_t length, uint64_t stride, uint64_t slots) {
  uint64_t last, span;
  if (__builtin_mul_overflow(stride, slots - 1, &last) ||
      __builtin_add_overflow(last, length, &span)) return false;
  return pin::Reachable(address, span);
}

}  // namespace

double SpinPingPong(uint64_t address0, uint64_t address1, int side, uint64_t iterations) {
  return PingPong<Spin>(address0, address1, side, iterations);
}

double FutexPingPong(uint64_t address0, uint64_t address1, int side, uint64_t iterations) {
  return PingPong<Futex>(address0, address1, side, iterations);
}

double CopyRate(uint64_t target, uint64_t source, uint64_t length, uint64_t stride, uint64_t slots,
                uint64_t iterations) {
  if (slots == 0 || length == 0) return -EINVAL;
  if (!SlotsReachable(target, length, stride, slots) ||
      !SlotsReachable(source, length, stride, slots)) return -EFAULT;
  const double start = machine::Now();
  uint64_t slot = 0;
  for (uint64_t done = 0; done < iterations; done++) {
    memmove(reinterpret_cast<void*>(target + slot * stride),
        reinterpret_cast<const void*>(source + slot * stride),
            length);
    asm volatile("" ::: "memory");
    if (++slot == slots) slot = 0;
  }
  return machine::Now() - start;
}

}  // namespace floors
