#include "shm.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>

#include "layout.gen.h"

namespace shm {
namespace {

// The arenas of this process, all threads. Process-wide because an address says nothing of its
// thread, and a fixed table of atomics because a signal handler reads it. Slots are reused.
struct Slot {
  std::atomic<uintptr_t> start{0};
  std::atomic<uintptr_t> end{0};
};
constexpr int kSlotCount = 1024;
Slot slots[kSlotCount];
std::atomic<int> slots_used{0};  // the highest slot ever taken, plus one

bool Register(uintptr_t start, size_t bytes) {
  for (int index = 0; index < kSlotCount; index++) {
    uintptr_t free = 0;
    if (!slots[index].start.compare_exchange_strong(free, start)) continue;
    slots[index].end.store(start + bytes);
    int used = slots_used.load();
    while (used <= index && !slots_used.compare_exchange_weak(used, index + 1)) {
    }
    return true;
  }
  return false;
}

void Unregister(uintptr_t start) {
  for (Slot& slot : slots) {
    if (slot.start.load() != start) continue;
    slot.end.store(0);
    slot.start.store(0);
    return;
  }
}

// A peer that truncates its segment makes our accesses to it fault. The page it took away becomes a
// private zero page: its own connection reads nonsense, which every reader checks for, and nothing
// else is hurt. Faults elsewhere go to whoever handled them before.
struct sigaction previous_action;

void OnBusError(int signal, siginfo_t* info, void* context) {
  const uintptr_t page = reinterpret_cast<uintptr_t>(info->si_addr) & ~uintptr_t(PageSize() - 1);
  if (info->si_code > 0 && InArena(page, PageSize())) {
    const int saved = errno;
    void* mapped = mmap(reinterpret_cast<void*>(page), PageSize(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    errno = saved;
    if (mapped != MAP_FAILED) return;
  }
  if (previous_action.sa_flags & SA_SIGINFO) {
    return previous_action.sa_sigaction(signal, info, context);
  }
  if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    return previous_action.sa_handler(signal);
  }
  // Returning repeats the access, and the default action ends the process. A signal that somebody
  // sent has no access to repeat and is sent again.
  struct sigaction fallback = {};
  fallback.sa_handler = SIG_DFL;
  sigaction(signal, &fallback, nullptr);
  if (info->si_code <= 0) raise(signal);
}

void GuardOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    PageSize();  // computed outside the handler
    struct sigaction action = {};
    action.sa_sigaction = OnBusError;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous_action);
  });
}

bool IsPageRange(Memory arena, uint64_t offset, uint64_t length) {
  const uint64_t mask = PageSize() - 1;
  return length > 0 && (offset & mask) == 0 && offset <= arena.length &&
         length <= arena.length - offset &&
         InArena(reinterpret_cast<uintptr_t>(arena.data), arena.length);
}

int64_t CheckHeader(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0) return -errno;
  if (!S_ISREG(status.st_mode)) return -EILSEQ;
  if (status.st_uid != geteuid()) return -EACCES;
  layout::SegmentHeader header;
  const ssize_t got = pread(fd, &header, sizeof header, 0);
  if (got < 0) return -errno;
  if (size_t(got) != sizeof header || header.magic != layout::SEGMENT_MAGIC) return -EILSEQ;
  if (header.version != layout::SEGMENT_VERSION) return -EPROTO;
  if (header.bytes != uint64_t(status.st_size)) return -EILSEQ;
  return 0;
}

int64_t Allocate(int fd, int mode, uint64_t offset, uint64_t length) {
  int result;
  do {
    result = fallocate(fd, mode, off_t(offset), off_t(length));
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : -errno;
}

}  // namespace

int64_t PageSize() {
  static const int64_t bytes = sysconf(_SC_PAGESIZE);
  return bytes;
}

bool InArena(uintptr_t address, size_t length) {
  const int used = slots_used.load(std::memory_order_acquire);
  for (int index = 0; index < used; index++) {
    const uintptr_t start = slots[index].start.load(std::memory_order_acquire);
    const uintptr_t end = slots[index].end.load(std::memory_order_acquire);
    if (start == 0 || address < start || address >= end || length > end - address) continue;
    // A slot that was reused between the two loads mixes two arenas.
    if (slots[index].start.load(std::memory_order_acquire) == start) return true;
  }
  return false;
}

Arena ArenaCreate(uint64_t bytes) {
  if (bytes == 0 || bytes % PageSize() != 0) return {-EINVAL, nullptr, 0};
  GuardOnce();
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return {-errno, nullptr, 0};
  // A stray read must cost one page, not a huge one; and a core dump need not hold the arena.
  madvise(data, bytes, MADV_NOHUGEPAGE);
  madvise(data, bytes, MADV_DONTDUMP);
  if (!Register(reinterpret_cast<uintptr_t>(data), bytes)) {
    munmap(data, bytes);
    return {-ENOMEM, nullptr, 0};
  }
  return {0, data, bytes};
}

void ArenaDestroy(void* data, size_t bytes) {
  Unregister(reinterpret_cast<uintptr_t>(data));
  munmap(data, bytes);
}

uint64_t ArenaAddress(Memory arena) { return reinterpret_cast<uintptr_t>(arena.data); }

int64_t ArenaMap(Memory arena, uint64_t offset, int fd, uint64_t length) {
  if (!IsPageRange(arena, offset, length)) return -EINVAL;
  void* mapped = mmap(arena.data + offset, length, PROT_READ | PROT_WRITE,
      MAP_SHARED | MAP_FIXED, fd, 0);
  return mapped == MAP_FAILED ? -errno : 0;
}

int64_t ArenaUnmap(Memory arena, uint64_t offset, uint64_t length) {
  if (!IsPageRange(arena, offset, length)) return -EINVAL;
  void* mapped = mmap(arena.data + offset, length, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  if (mapped == MAP_FAILED) return -errno;
  madvise(mapped, length, MADV_NOHUGEPAGE);
  madvise(mapped, length, MADV_DONTDUMP);
  return 0;
}

int64_t SegmentCreate(std::string path, uint64_t bytes) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return -errno;
  if (ftruncate(fd, off_t(bytes)) == 0) return fd;
  const int error = errno;
  unlink(path.c_str());
  close(fd);
  return -error;
}

int64_t SegmentOpen(std::string path) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return -errno;
  const int64_t error = CheckHeader(fd);
  if (error == 0) return fd;
  close(fd);
  return error;
}

int64_t SegmentSize(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 ? int64_t(status.st_size) : -errno;
}

int64_t SegmentCommit(int fd, uint64_t offset, uint64_t length) {
  return Allocate(fd, FALLOC_FL_KEEP_SIZE, offset, length);
}

int64_t SegmentRelease(int fd, uint64_t offset, uint64_t length) {
  return Allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

int64_t LockExclusive(int fd) {
  int result;
  do {
    result = flock(fd, LOCK_EX);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : -errno;
}

// Not repeated after EINTR: Linux has closed the descriptor by then.
int64_t DuplicateDescriptor(int fd) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy < 0 ? -errno : copy;
}

int64_t CloseDescriptor(int fd) { return close(fd) == 0 || errno == EINTR ? 0 : -errno; }

}  // namespace shm
