// How often each point of a line is covered, kept as maximal intervals of equal count, so that a
// range of a million pages is one entry.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

class IntervalCounts {
 public:
  using Range = std::pair<uintptr_t, uintptr_t>;  // from, to (excluded)

  // The parts of a range that nothing covers.
  std::vector<Range> Gaps(uintptr_t from, uintptr_t to) const {
    std::vector<Range> gaps;
    auto next = FirstEndingAfter(from);
    while (from < to) {
      if (next == intervals_.end() || next->first >= to) {
        gaps.push_back({from, to});
        break;
      }
      if (from < next->first) gaps.push_back({from, next->first});
      from = next->second.to;
      ++next;
    }
    return gaps;
  }

  bool Covers(uintptr_t from, uintptr_t to) const {
    auto next = FirstEndingAfter(from);
    for (; next != intervals_.end() && next->first <= from; ++next) {
      if (next->second.to >= to) return true;
      from = next->second.to;
    }
    return false;
  }

  void Add(uintptr_t from, uintptr_t to) {
    for (const Range& gap : Gaps(from, to)) intervals_[gap.first] = {gap.second, 0};
    Change(from, to, 1);
  }

  // The range is covered throughout. Returns the parts that no longer are.
  std::vector<Range> Remove(uintptr_t from, uintptr_t to) {
    Change(from, to, -1);
    std::vector<Range> uncovered;
    for (auto next = FirstEndingAfter(from); next != intervals_.end() && next->first < to;) {
      if (next->second.count > 0) {
        ++next;
        continue;
      }
      uncovered.push_back({next->first, next->second.to});
      next = intervals_.erase(next);
    }
    return uncovered;
  }

 private:
  struct Interval {
    uintptr_t to;
    int64_t count;
  };
  using Map = std::map<uintptr_t, Interval>;

  Map::const_iterator FirstEndingAfter(uintptr_t point) const {
    auto next = intervals_.upper_bound(point);
    if (next != intervals_.begin() && std::prev(next)->second.to > point) --next;
    return next;
  }

  Map::iterator FirstEndingAfter(uintptr_t point) {
    auto next = intervals_.upper_bound(point);
    if (next != intervals_.begin() && std::prev(next)->second.to > point) --next;
    return next;
  }

  void SplitAt(uintptr_t point) {
    auto found = FirstEndingAfter(point);
    if (found == intervals_.end() || found->first >= point) return;
    const Interval whole = found->second;
    found->second.to = point;
    intervals_[point] = whole;
  }

  void Change(uintptr_t from, uintptr_t to, int64_t by) {
    SplitAt(from);
    SplitAt(to);
    auto next = intervals_.lower_bound(from);
    for (; next != intervals_.end() && next->first < to; ++next) {
      next->second.count += by;
    }
    Merge(from, to);
  }

  // Joins neighbours of equal count, from the one before the range to the one after it.
  void Merge(uintptr_t from, uintptr_t to) {
    auto current = intervals_.lower_bound(from);
    if (current != intervals_.begin()) --current;
    while (current != intervals_.end() && current->first <= to) {
      auto next = std::next(current);
      if (next == intervals_.end()) return;
      if (current->second.to == next->first && current->second.count == next->second.count) {
        current->second.to = next->second.to;
        intervals_.erase(next);
      } else {
        current = next;
      }
    }
  }

  Map intervals_;
};
