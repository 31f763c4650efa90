// Named pipes, futexes and the asymmetric barrier. See native/binding.ts.
#pragma once

#include <cstdint>
#include <string>

#include "types.h"

namespace wake {

int64_t PipeCreate(std::string path);
int64_t PipeOpenOwner(std::string path);
int64_t PipeOpenPeer(std::string path);
int64_t PipeWrite(int fd, Bytes bytes, uint64_t length);
int64_t PipeAlive(int fd);
int64_t PipeRead(int fd, Bytes bytes);
int64_t FutexWait(uint64_t address, uint32_t expected, double timeout_nanos);
int64_t FutexWake(uint64_t address, int count);
int64_t Barrier();
int64_t BarrierRegister();

// The longest stretch that a wait sleeps at once: a worker that is terminated meanwhile ends then.
constexpr double kSliceNanos = 500e6;

}  // namespace wake
