// The clock and the machine. See native/binding.ts.
#pragma once

#include <cstdint>
#include <vector>

struct Cpus {
  std::vector<int> list;
};

namespace machine {

double Now();
double CpuTime();
int64_t SetAffinity(Cpus cpus);
Cpus Affinity();
int64_t Sanitized();

}  // namespace machine
