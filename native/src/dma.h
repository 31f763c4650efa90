// Moving bytes between an arena, pinned memory, and memory of another process.
#pragma once

#include <cstdint>

namespace dma {

int64_t Move(int target_pid, uint64_t target, int source_pid, uint64_t source, uint64_t length);

}  // namespace dma
