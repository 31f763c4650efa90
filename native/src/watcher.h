// The JavaScript object around a readiness::Watch (NativeWatcher of native/binding.ts), and its
// life: garbage collection, close, and the end of the environment, in whatever order they come.
#pragma once

#include <napi.h>

#include <cstdint>

#include "poll.h"

class Watcher : public Napi::ObjectWrap<Watcher> {
 public:
  // Makes the class; once per environment, before Create.
  static void Define(Napi::Env env);

  // Makes a stopped watcher in `object`. 0, or a negative errno.
  static int64_t Create(Napi::Env env, int fd, napi_value callback, napi_value* object);

  // A watcher that is closed already.
  explicit Watcher(const Napi::CallbackInfo& info);
  ~Watcher();

 private:
  template <void (Watcher::*Method)()>
  static void Call(const Napi::CallbackInfo& info);

  int64_t Open(int fd, napi_value callback);
  void OnReadable();

  void Start();
  void Stop();
  void RefLoop();
  void UnrefLoop();
  void Close();
  void CloseWatch();

  readiness::Watch* watch_ = nullptr;  // null before Open and from Close on
  napi_async_cleanup_hook_handle hook_ = nullptr;
  bool is_started_ = false;
};
