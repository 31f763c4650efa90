// Arenas and segment files. See native/binding.ts for the contract of each function.
#pragma once

#include <cstdint>
#include <string>

#include "types.h"

namespace shm {

struct Arena {
  int64_t error = 0;  // negative errno, then there is no memory
  void* data = nullptr;
  size_t bytes = 0;
};

Arena ArenaCreate(uint64_t bytes);
void ArenaDestroy(void* data, size_t bytes);
int64_t ArenaMap(Memory arena, uint64_t offset, int fd, uint64_t length);
int64_t ArenaUnmap(Memory arena, uint64_t offset, uint64_t length);
uint64_t ArenaAddress(Memory arena);

// Whether the range lies in one arena of this process. Takes no lock; safe in a signal handler.
bool InArena(uintptr_t address, size_t length);

int64_t SegmentCreate(std::string path, uint64_t bytes);
int64_t SegmentOpen(std::string path);
int64_t SegmentSize(int fd);
int64_t SegmentCommit(int fd, uint64_t offset, uint64_t length);
int64_t SegmentRelease(int fd, uint64_t offset, uint64_t length);
int64_t LockExclusive(int fd);
int64_t CloseDescriptor(int fd);
// Another descriptor of the same open file.
int64_t DuplicateDescriptor(int fd);
int64_t PageSize();

}  // namespace shm
