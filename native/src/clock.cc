#include "clock.h"

#include <sched.h>

#include <cerrno>
#include <ctime>

namespace machine {
namespace {

double Nanos(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return double(time.tv_sec) * 1e9 + double(time.tv_nsec);
}

}  // namespace

double Now() { return Nanos(CLOCK_MONOTONIC); }

double CpuTime() { return Nanos(CLOCK_PROCESS_CPUTIME_ID); }

int64_t SetAffinity(Cpus cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu : cpus.list) {
    if (cpu < 0 || cpu >= CPU_SETSIZE) return -EINVAL;
    CPU_SET(cpu, &set);
  }
  return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : -errno;
}

Cpus Affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  Cpus cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &set)) cpus.list.push_back(cpu);
  }
  return cpus;
}

int64_t Sanitized() {
#ifdef __SANITIZE_ADDRESS__
  return 1;
#else
  return 0;
#endif
}

}  // namespace machine
