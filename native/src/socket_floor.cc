#include "socket_floor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <vector>

#include "clock.h"

namespace floors {
namespace {

constexpr uint64_t kBatch = 100;
constexpr uint64_t kBytesMax = 65507;  // of a UDP datagram over IPv4
constexpr timeval kPatience = {2, 0};

// A blocking socket of 127.0.0.1, closed at the end.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    // Fails on a datagram socket, which has nothing to delay.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int fd() const { return fd_; }

  bool Bind(sockaddr_in* name) const {
    *name = {};
    name->sin_family = AF_INET;
    name->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof *name;
    auto* const address = reinterpret_cast<sockaddr*>(name);
    return bind(fd_, address, length) == 0 && getsockname(fd_, address, &length) == 0;
  }

  bool Connect(const sockaddr_in& name) const {
    return connect(fd_, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
  }

  bool Send(const std::vector<char>& message) const {
    return send(fd_, message.data(), message.size(), MSG_NOSIGNAL) == ssize_t(message.size());
  }

  // A stream may give a message in parts.
  bool Receive(std::vector<char>& message) const {
    for (size_t had = 0; had < message.size();) {
      const ssize_t taken = recv(fd_, message.data() + had, message.size() - had, 0);
      if (taken <= 0) return false;
      had += size_t(taken);
    }
    return true;
  }

 private:
  const int fd_;
};

int Open(int type) { return socket(AF_INET, type | SOCK_CLOEXEC, 0); }

// The far end of `near`; -1 when it could not be made.
int Pair(int type, const Socket& near) {
  sockaddr_in here, there;
  const int fd = Open(type);
  if (type == SOCK_STREAM) {
    const Socket listener(fd);
    if (!listener.Bind(&there) || listen(fd, 1) != 0 || !near.Connect(there)) return -1;
    return accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
  }
  const bool is_paired = near.Bind(&here) && fd >= 0 &&
      Socket(dup(fd)).Bind(&there) && near.Connect(there) && Socket(dup(fd)).Connect(here);
  if (is_paired) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

void Echo(const Socket& socket, uint64_t bytes, uint64_t iterations) {
  std::vector<char> message(bytes);
  for (uint64_t round = 0; round < iterations; round++) {
    if (!socket.Receive(message) || !socket.Send(message)) return;
  }
}

// The near side on the first processor that the caller may use, the far one on the last, until the end.
class Places {
 public:
  Places() : is_known_(sched_getaffinity(0, sizeof all_, &all_) == 0) {}
  ~Places() {
    if (is_known_) sched_setaffinity(0, sizeof all_, &all_);
  }

  void TakeFirst() const { Take(+1); }
  void TakeLast() const { Take(-1); }

 private:
  void Take(int step) const {
    if (!is_known_) return;
    int at = step > 0 ? 0 : CPU_SETSIZE - 1;
    while (!CPU_ISSET(at, &all_)) at += step;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(at, &one);
    sched_setaffinity(0, sizeof one, &one);
  }

  cpu_set_t all_;
  const bool is_known_;
};

double Median(std::vector<double>& values) {
  auto middle = values.begin() + long(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

double SocketPingPong(int type, uint64_t bytes, uint64_t iterations) {
  const bool is_sound = (type == SOCK_STREAM || type == SOCK_DGRAM) && bytes >= 1 &&
      bytes <= kBytesMax && iterations >= kBatch;
  if (!is_sound) return -EINVAL;
  const Socket near(Open(type));
  const Socket far(near.fd() < 0 ? -1 : Pair(type, near));
  if (far.fd() < 0) return -ENETDOWN;
  const Places places;
  std::thread echo([&] {
    places.TakeLast();
    Echo(far, bytes, iterations);
  });
  places.TakeFirst();
  std::vector<char> message(bytes);
  std::vector<double> batches;
  double start = machine::Now();
  bool is_whole = true;
  for (uint64_t round = 1; is_whole && round <= iterations; round++) {
    is_whole = near.Send(message) && near.Receive(message);
    if (round % kBatch != 0) continue;
    const double now = machine::Now();
    batches.push_back((now - start) / double(kBatch));
    start = now;
  }
  echo.join();
  return is_whole ? Median(batches) : -ETIMEDOUT;
}

}  // namespace floors
