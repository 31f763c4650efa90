// What the hardware does with the same memory, for benchmarks. See native/binding.ts.
#pragma once

#include <cstdint>

namespace floors {

double SpinPingPong(uint64_t address0, uint64_t address1, int side, uint64_t iterations);
double FutexPingPong(uint64_t address0, uint64_t address1, int side, uint64_t iterations);
double CopyRate(uint64_t target, uint64_t source, uint64_t length, uint64_t stride, uint64_t slots,
                uint64_t iterations);

}  // namespace floors
