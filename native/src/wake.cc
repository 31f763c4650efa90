#include "wake.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

#include "pin.h"

namespace wake {
namespace {

int64_t Result(int64_t result) { return result < 0 ? -errno : result; }

// Opens a pipe of this user; anything else under that name is refused.
int64_t OpenPipe(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -errno;
  struct stat status;
  int error = 0;
  if (fstat(fd, &status) != 0) {
    error = errno;
  } else if (!S_ISFIFO(status.st_mode)) {
    error = EILSEQ;
  } else if (status.st_uid != geteuid()) {
    error = EACCES;
  }
  if (error == 0) return fd;
  close(fd);
  return -error;
}

}  // namespace

int64_t PipeCreate(std::string path) { return Result(mkfifo(path.c_str(), 0600)); }

// Read-write, so that the last peer's leaving is no end of file for the owner.
int64_t PipeOpenOwner(std::string path) { return OpenPipe(path, O_RDWR); }

int64_t PipeOpenPeer(std::string path) { return OpenPipe(path, O_WRONLY); }

int64_t PipeWrite(int fd, Bytes bytes, uint64_t length) {
  if (length == 0 || length > PIPE_BUF || length > bytes.length) return -EINVAL;
  ssize_t result;
  do {
    result = write(fd, bytes.data, length);
  } while (result < 0 && errno == EINTR);
  return Result(result);
}

int64_t PipeAlive(int fd) {
  pollfd entry = {fd, 0, 0};
  int result;
  do {
    result = poll(&entry, 1, 0);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return -errno;
  if (entry.revents & POLLNVAL) return -EBADF;
  return entry.revents & POLLERR ? 0 : 1;
}

int64_t PipeRead(int fd, Bytes bytes) {
  ssize_t result;
  do {
    result = read(fd, bytes.data, bytes.length);
  } while (result < 0 && errno == EINTR);
  return Result(result);
}

int64_t FutexWait(uint64_t address, uint32_t expected, double timeout_nanos) {
  if (!pin::Reachable(address, sizeof(uint32_t))) return -EFAULT;
  const bool is_slice = timeout_nanos > kSliceNanos;
  const int64_t nanos = int64_t(is_slice ? kSliceNanos : timeout_nanos);
  const timespec timeout = {time_t(nanos / 1000000000), long(nanos % 1000000000)};
  if (syscall(SYS_futex, address, FUTEX_WAIT, expected, &timeout, nullptr, 0) == 0) return 0;
  if (errno == ETIMEDOUT && is_slice) return -EINTR;
  return -errno;
}

int64_t FutexWake(uint64_t address, int count) {
  if (!pin::Reachable(address, sizeof(uint32_t))) return -EFAULT;
  return Result(syscall(SYS_futex, address, FUTEX_WAKE, count, nullptr, nullptr, 0));
}

int64_t Barrier() { return Result(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0)); }

int64_t BarrierRegister() {
  return Result(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0));
}

}  // namespace wake
