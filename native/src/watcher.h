// The JavaScript object around a readiness::Watch (NativeWatcher of native/binding.ts), and its
// life: garbage collection, close, and the end of the environment, in whatever order they come.
#pragma once

#include <node_api.h>

#include <cstdint>

namespace watcher {

// Makes a stopped watcher in `object`. 0, or a negative errno.
int64_t Create(napi_env env, int fd, napi_value callback, napi_value* object);

}  // namespace watcher
