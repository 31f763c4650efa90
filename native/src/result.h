// How the results of native functions become JavaScript values: numbers, negative errno included, and
// the few that carry memory.
#pragma once

#include <node_api.h>

#include <cerrno>
#include <cstdint>

#include "clock.h"
#include "shm.h"

namespace translate {

inline napi_value ToValue(napi_env env, double number) {
  napi_value value = nullptr;
  napi_create_double(env, number, &value);
  return value;
}

inline napi_value ToValue(napi_env env, int64_t number) {
  napi_value value = nullptr;
  if (number >= INT32_MIN && number <= INT32_MAX) {
    napi_create_int32(env, int32_t(number), &value);
  } else {
    napi_create_double(env, double(number), &value);
  }
  return value;
}

inline napi_value ToValue(napi_env env, uint64_t number) { return ToValue(env, int64_t(number)); }

inline napi_value ToValue(napi_env env, const Cpus& cpus) {
  napi_value array = nullptr;
  napi_create_array_with_length(env, cpus.list.size(), &array);
  for (size_t index = 0; index < cpus.list.size(); index++) {
    napi_set_element(env, array, uint32_t(index), ToValue(env, int64_t(cpus.list[index])));
  }
  return array;
}

// The arena is address space, not memory: the collector must not count it as pressure.
inline napi_value ToValue(napi_env env, const shm::Arena& arena) {
  if (arena.error != 0) return ToValue(env, arena.error);
  int64_t ignored;
  napi_adjust_external_memory(env, -int64_t(arena.bytes), &ignored);
  auto destroy = [](napi_env env, void* data, void* bytes) {
    shm::ArenaDestroy(data, reinterpret_cast<size_t>(bytes));
    int64_t ignored;
    napi_adjust_external_memory(env, int64_t(reinterpret_cast<size_t>(bytes)), &ignored);
  };
  napi_value buffer = nullptr;
  void* const bytes = reinterpret_cast<void*>(arena.bytes);
  const napi_status status =
      napi_create_external_arraybuffer(env, arena.data, arena.bytes, destroy, bytes, &buffer);
  if (status == napi_ok) return buffer;
  destroy(env, arena.data, bytes);
  bool is_pending = false;
  napi_is_exception_pending(env, &is_pending);
  if (is_pending) napi_get_and_clear_last_exception(env, &buffer);
  return ToValue(env, int64_t(-ENOMEM));
}

}  // namespace translate
