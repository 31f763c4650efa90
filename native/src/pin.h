// The pin table: which memory outside the arenas may be moved to and from, and which pages are
// locked.
#pragma once

#include <cstddef>
#include <cstdint>

#include "types.h"

namespace pin {

uint64_t AddressOf(Memory buffer);
int64_t Pin(uint64_t address, uint64_t length);
int64_t PinUnlocked(uint64_t address, uint64_t length);
int64_t Unpin(uint64_t address, uint64_t length);
int64_t PinnedBytes();

// Whether a local range may be touched: it lies in an arena, or in pinned memory.
bool Reachable(uint64_t address, uint64_t length);

// Ends every pin that the calling thread made; its environment ends, and its memory with it.
void ReleaseThread();

}  // namespace pin
