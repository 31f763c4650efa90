// epoll, event descriptors, and the event loop's watch on a descriptor. See native/binding.ts.
#pragma once

#include <uv.h>

#include <cstdint>

#include "types.h"

namespace readiness {

int64_t EpollCreate();
int64_t EpollControl(int epoll, int fd, uint32_t events, uint32_t token);
int64_t EpollWait(int epoll, Words records, double timeout_nanos);
int64_t EventCreate();
int64_t EventSignal(int fd);
int64_t EventClear(int fd);

// A uv_poll_t with an owner. Created stopped. After Close nothing is called but `closed`, once,
// from the loop; then the watch is gone. The owner may go as soon as it has called Close.
class Watch {
 public:
  using Callback = void (*)(void* data);

  // Null, with a negative errno in `error`, when the loop cannot watch the descriptor.
  static Watch* Create(uv_loop_t* loop, int fd, void* owner, Callback readable,
      int64_t* error);
  void Start();
  void Stop();
  void Ref();
  void Unref();
  void Close(Callback closed, void* data);
  void* owner() const { return owner_; }  // null from Close on

 private:
  Watch() = default;

  uv_poll_t handle_;
  void* owner_ = nullptr;
  Callback readable_ = nullptr;
  Callback closed_ = nullptr;
  void* closed_data_ = nullptr;
};

}  // namespace readiness
