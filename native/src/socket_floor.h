// What the kernel does with the same messages, for benchmarks. See native/binding.ts.
#pragma once

#include <cstdint>

namespace floors {

double SocketPingPong(int type, uint64_t bytes, uint64_t iterations);

}  // namespace floors
