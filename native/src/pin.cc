#include "pin.h"

#include <sys/mman.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <tuple>

#include "intervals.h"
#include "shm.h"

namespace pin {
namespace {

using Range = IntervalCounts::Range;

// A pin belongs to the thread that made it, because the memory does: when the thread's environment
// ends, its pins end. A thread is named by the address of its own copy of this variable.
thread_local char this_thread;

struct Key {
  uint64_t address;
  uint64_t length;
  const void* thread;
  bool operator<(const Key& other) const {
    return std::tie(address, length, thread) < std::tie(other.address, other.length, other.thread);
  }
};

struct Counts {
  int64_t locked = 0;
  int64_t unlocked = 0;
};

// One table for the process, under one mutex: mlock does not nest, so threads that pin pages of the
// same memory must share the count of each page.
struct Table {
  std::mutex mutex;
  std::map<Key, Counts> pins;
  IntervalCounts reach;         // bytes, of every pin
  IntervalCounts locked_pages;  // page boundaries, of locked pins
  int64_t locked_bytes = 0;
};

// Never destroyed: a worker may still end while the process does.
Table& TheTable() {
  static Table* table = new Table;
  return *table;
}

Range PagesOf(uint64_t address, uint64_t length) {
  const uint64_t mask = shm::PageSize() - 1;
  return {address & ~mask, (address + length + mask) & ~mask};
}

int64_t LockPages(Table& table, Range pages) {
  const std::vector<Range> gaps = table.locked_pages.Gaps(pages.first, pages.second);
  for (size_t done = 0; done < gaps.size(); done++) {
    const size_t length = gaps[done].second - gaps[done].first;
    if (mlock(reinterpret_cast<void*>(gaps[done].first), length) == 0) continue;
    // A failure may have marked a part, so what failed is unlocked as well.
    for (size_t undo = 0; undo <= done; undo++) {
      munlock(reinterpret_cast<void*>(gaps[undo].first), gaps[undo].second - gaps[undo].first);
    }
    // A limit of zero answers EPERM, and a lack of pages EAGAIN; to the caller they are one limit.
    return -ENOMEM;
  }
  for (const Range& gap : gaps) table.locked_bytes += int64_t(gap.second - gap.first);
  table.locked_pages.Add(pages.first, pages.second);
  return 0;
}

void UnlockPages(Table& table, Range pages) {
  for (const Range& free : table.locked_pages.Remove(pages.first, pages.second)) {
    munlock(reinterpret_cast<void*>(free.first), free.second - free.first);
    table.locked_bytes -= int64_t(free.second - free.first);
  }
}

int64_t Enter(uint64_t address, uint64_t length, bool is_locked) {
  if (address == 0 || length == 0) return -EINVAL;
  Table& table = TheTable();
  std::lock_guard<std::mutex> guard(table.mutex);
  if (is_locked) {
    const int64_t error = LockPages(table, PagesOf(address, length));
    if (error != 0) return error;
  }
  table.reach.Add(address, address + length);
  Counts& counts = table.pins[{address, length, &this_thread}];
  (is_locked ? counts.locked : counts.unlocked)++;
  return 0;
}

// Unlocked pins of a range end first: pages stay locked as long as anybody may rely on it.
void Leave(Table& table, std::map<Key, Counts>::iterator found) {
  const Key key = found->first;
  Counts& counts = found->second;
  if (counts.unlocked > 0) {
    counts.unlocked--;
  } else {
    counts.locked--;
    UnlockPages(table, PagesOf(key.address, key.length));
  }
  table.reach.Remove(key.address, key.address + key.length);
  if (counts.locked == 0 && counts.unlocked == 0) table.pins.erase(found);
}

}  // namespace

uint64_t AddressOf(Memory buffer) { return buffer.length ==
    0 ? 0 : reinterpret_cast<uintptr_t>(buffer.data); }

int64_t Pin(uint64_t address, uint64_t length) { return Enter(address, length, true); }

int64_t PinUnlocked(uint64_t address, uint64_t length) { return Enter(address, length, false); }

int64_t Unpin(uint64_t address, uint64_t length) {
  Table& table = TheTable();
  std::lock_guard<std::mutex> guard(table.mutex);
  auto found = table.pins.find({address, length, &this_thread});
  if (found == table.pins.end()) {
    // Another thread of the same host may have made it.
    found = table.pins.lower_bound({address, length, nullptr});
    if (found == table.pins.end() || found->first.address != address ||
        found->first.length != length) {
      return -EINVAL;
    }
  }
  Leave(table, found);
  return 0;
}

int64_t PinnedBytes() {
  Table& table = TheTable();
  std::lock_guard<std::mutex> guard(table.mutex);
  return table.locked_bytes;
}

bool Reachable(uint64_t address, uint64_t length) {
  if (shm::InArena(address, length)) return true;
  Table& table = TheTable();
  std::lock_guard<std::mutex> guard(table.mutex);
  return address + length >= address && table.reach.Covers(address, address + length);
}

void ReleaseThread() {
  Table& table = TheTable();
  std::lock_guard<std::mutex> guard(table.mutex);
  for (auto next = table.pins.begin(); next != table.pins.end();) {
    auto current = next++;
    if (current->first.thread != &this_thread) continue;
    for (int64_t left = current->second.locked + current->second.unlocked; left > 0; left--) {
      Leave(table, current);
    }
  }
}

}  // namespace pin
