#include "poll.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <ctime>

#include "wake.h"

namespace readiness {
namespace {

constexpr int kEventsMax = 256;

int64_t Result(int64_t result) { return result < 0 ? -errno : result; }

// Older kernels know whole milliseconds only; rounding up never wakes before the time.
int WaitMillis(int epoll, epoll_event* events, int count, double nanos) {
  return epoll_wait(epoll, events, count, int(std::ceil(nanos / 1e6)));
}

int Wait(int epoll, epoll_event* events, int count, double nanos) {
  if (nanos == 0) return epoll_wait(epoll, events, count, 0);
#ifdef SYS_epoll_pwait2
  static std::atomic<bool> is_known{true};
  if (is_known.load(std::memory_order_relaxed)) {
    // The kernel's own structure: 64 bits on every architecture, unlike timespec.
    const int64_t timeout[2] = {int64_t(nanos / 1e9), int64_t(std::fmod(nanos, 1e9))};
    const long result = syscall(SYS_epoll_pwait2, epoll, events, count, timeout, nullptr, 0);
    if (result >= 0 || errno != ENOSYS) return int(result);
    is_known.store(false, std::memory_order_relaxed);
  }
#endif
  return WaitMillis(epoll, events, count, nanos);
}

}  // namespace

int64_t EpollCreate() { return Result(epoll_create1(EPOLL_CLOEXEC)); }

int64_t EpollControl(int epoll, int fd, uint32_t events, uint32_t token) {
  epoll_event event = {};
  event.events = events;
  event.data.u32 = token;
  if (events == 0) return Result(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &event));
  const int64_t changed = Result(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
  return changed == -ENOENT ? Result(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) : changed;
}

int64_t EpollWait(int epoll, Words records, double timeout_nanos) {
  epoll_event events[kEventsMax];
  const int room = int(std::min<size_t>(records.length / 2, kEventsMax));
  if (room == 0) return -EINVAL;
  const int count = Wait(epoll, events, room, std::min(timeout_nanos, wake::kSliceNanos));
  if (count < 0) return errno == EINTR ? 0 : -errno;
  for (int index = 0; index < count; index++) {
    records.data[index * 2] = int32_t(events[index].data.u32);
    records.data[index * 2 + 1] = int32_t(events[index].events);
  }
  return count;
}

int64_t EventCreate() { return Result(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

// A full counter is readable already, and an empty one is clear.
int64_t EventSignal(int fd) {
  const uint64_t one = 1;
  return write(fd, &one, sizeof one) >= 0 || errno == EAGAIN ? 0 : -errno;
}

int64_t EventClear(int fd) {
  uint64_t count;
  return read(fd, &count, sizeof count) >= 0 || errno == EAGAIN ? 0 : -errno;
}

Watch* Watch::Create(uv_loop_t* loop, int fd, void* owner, Callback readable,
    int64_t* error) {
  Watch* watch = new Watch;
  *error = uv_poll_init(loop, &watch->handle_, fd);
  if (*error != 0) {
    delete watch;
    return nullptr;
  }
  watch->handle_.data = watch;
  watch->owner_ = owner;
  watch->readable_ = readable;
  return watch;
}

void Watch::Start() {
  uv_poll_start(&handle_, UV_READABLE, [](uv_poll_t* handle, int, int) {
    Watch* watch = static_cast<Watch*>(handle->data);
    watch->readable_(watch->owner_);
  });
}

void Watch::Stop() { uv_poll_stop(&handle_); }

void Watch::Ref() { uv_ref(reinterpret_cast<uv_handle_t*>(&handle_)); }

void Watch::Unref() { uv_unref(reinterpret_cast<uv_handle_t*>(&handle_)); }

void Watch::Close(Callback closed, void* data) {
  owner_ = nullptr;
  closed_ = closed;
  closed_data_ = data;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), [](uv_handle_t* handle) {
    Watch* watch = static_cast<Watch*>(handle->data);
    watch->closed_(watch->closed_data_);
    delete watch;
  });
}

}  // namespace readiness
