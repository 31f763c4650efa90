// Keeps the memory of an ArrayBuffer in being while something outside JavaScript has its address.
#pragma once

#include <node_api.h>

#include <cstdint>

namespace hold {

struct Holdable {
  napi_value array_buffer = nullptr;
};

int64_t Hold(Holdable buffer);
int64_t Release(uint64_t handle);

// Ends every hold that the calling thread made; its environment ends.
void ReleaseThread();

}  // namespace hold
