// Generated from native/layout/*.layout.ts by scripts/gen-layout.ts. Do not edit.
#pragma once

#include <cstddef>
#include <cstdint>

namespace layout {

constexpr uint64_t PARKED_FUTEX = 1;
constexpr uint64_t PARKED_NO = 0;
constexpr uint64_t PARKED_PIPE = 2;
constexpr uint64_t QUEUE_PAIR_SLOTS = 4096;
constexpr uint64_t READY_MAP_WORDS = 128;
constexpr uint64_t READY_SUMMARY_WORDS = 4;
constexpr uint64_t SEGMENT_MAGIC = 826561367;
constexpr uint64_t SEGMENT_VERSION = 4;

struct SegmentHeader {
  alignas(4) uint32_t magic;
  alignas(4) uint32_t version;
  alignas(8) uint64_t bytes;
  alignas(4) uint32_t pid;
  alignas(4) uint32_t address;
  alignas(8) uint64_t generation;
  alignas(64) uint32_t engineParked;
  alignas(64) uint32_t readySummary[4];
  alignas(4) uint32_t framesWaiting;
  alignas(64) uint32_t readyMap[128];
};

static_assert(sizeof(SegmentHeader) == 704, "SegmentHeader is 704 bytes");
static_assert(offsetof(SegmentHeader, magic) == 0, "magic is at 0");
static_assert(offsetof(SegmentHeader, version) == 4, "version is at 4");
static_assert(offsetof(SegmentHeader, bytes) == 8, "bytes is at 8");
static_assert(offsetof(SegmentHeader, pid) == 16, "pid is at 16");
static_assert(offsetof(SegmentHeader, address) == 20, "address is at 20");
static_assert(offsetof(SegmentHeader, generation) == 24, "generation is at 24");
static_assert(offsetof(SegmentHeader, engineParked) == 64, "engineParked is at 64");
static_assert(offsetof(SegmentHeader, readySummary) == 128, "readySummary is at 128");
static_assert(offsetof(SegmentHeader, framesWaiting) == 144, "framesWaiting is at 144");
static_assert(offsetof(SegmentHeader, readyMap) == 192, "readyMap is at 192");

}  // namespace layout
