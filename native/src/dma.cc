#include "dma.h"

#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "pin.h"

namespace dma {
namespace {

using Transfer = ssize_t (*)(pid_t, const iovec*, unsigned long, const iovec*, unsigned long,
    unsigned long);

// The kernel stops a transfer at the first page it cannot reach and says how far it got; the next
// attempt starts there and names the failure.
int64_t MoveRemote(Transfer transfer, int pid, uint64_t local, uint64_t remote, uint64_t length) {
  for (uint64_t done = 0; done < length;) {
    const iovec here = {reinterpret_cast<void*>(local + done), length - done};
    const iovec there = {reinterpret_cast<void*>(remote + done), length - done};
    const ssize_t moved = transfer(pid, &here, 1, &there, 1, 0);
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) return -errno;
    if (moved == 0) return -EFAULT;
    done += uint64_t(moved);
  }
  return int64_t(length);
}

}  // namespace

int64_t Move(int target_pid, uint64_t target, int source_pid, uint64_t source, uint64_t length) {
  if (target_pid != 0 && source_pid != 0) return -EINVAL;
  if (target_pid == 0 && !pin::Reachable(target, length)) return -EFAULT;
  if (source_pid == 0 && !pin::Reachable(source, length)) return -EFAULT;
  if (source_pid != 0) return MoveRemote(process_vm_readv, source_pid, target, source, length);
  if (target_pid != 0) return MoveRemote(process_vm_writev, target_pid, source, target, length);
  memmove(reinterpret_cast<void*>(target), reinterpret_cast<const void*>(source), length);
  return int64_t(length);
}

}  // namespace dma
