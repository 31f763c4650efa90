#include "socket.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace sockets {
namespace {

int64_t Result(int64_t result) { return result < 0 ? -errno : result; }

template <typename Call>
int64_t Uninterrupted(Call call) {
  int64_t result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return Result(result);
}

const sockaddr* Address(const Bytes& bytes) {
    return reinterpret_cast<const sockaddr*>(bytes.data); }

template <typename Call>
int64_t NameBy(Call call, int fd, Bytes bytes) {
  socklen_t length = socklen_t(bytes.length);
  if (call(fd, reinterpret_cast<sockaddr*>(bytes.data), &length) != 0) return -errno;
  return std::min<int64_t>(length, int64_t(bytes.length));
}

}  // namespace

int64_t Create(int family, int type, int protocol) {
  return Result(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
}

int64_t Bind(int fd, Bytes sockaddr, uint64_t length) {
  if (length > sockaddr.length) return -EINVAL;
  return Result(bind(fd, Address(sockaddr), socklen_t(length)));
}

int64_t Listen(int fd, int backlog) { return Result(listen(fd, backlog)); }

int64_t Accept(int fd, Bytes bytes) {
  socklen_t length = socklen_t(bytes.length);
  sockaddr* name = bytes.length == 0 ? nullptr : reinterpret_cast<sockaddr*>(bytes.data);
  return Uninterrupted([&] {
    return accept4(fd, name, name ? &length : nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  });
}

int64_t Connect(int fd, Bytes sockaddr, uint64_t length) {
  if (length > sockaddr.length) return -EINVAL;
  return Result(connect(fd, Address(sockaddr), socklen_t(length)));
}

int64_t Send(int fd, iovec* buffers, size_t count, int flags) {
  msghdr message = {};
  message.msg_iov = buffers;
  message.msg_iovlen = count;
  return Uninterrupted([&] { return sendmsg(fd, &message, flags | MSG_NOSIGNAL); });
}

int64_t Receive(int fd, iovec* buffers, size_t count, int flags) {
  msghdr message = {};
  message.msg_iov = buffers;
  message.msg_iovlen = count;
  return Uninterrupted([&] { return recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC); });
}

int64_t Shutdown(int fd, int how) { return Result(shutdown(fd, how)); }

int64_t Name(int fd, Bytes sockaddr) { return NameBy(getsockname, fd, sockaddr); }

int64_t PeerName(int fd, Bytes sockaddr) { return NameBy(getpeername, fd, sockaddr); }

int64_t GetOption(int fd, int level, int option, Bytes value) {
  socklen_t length = socklen_t(value.length);
  if (getsockopt(fd, level, option, value.data, &length) != 0) return -errno;
  return int64_t(length);
}

int64_t SetOption(int fd, int level, int option, Bytes value, uint64_t length) {
  if (length > value.length) return -EINVAL;
  return Result(setsockopt(fd, level, option, value.data, socklen_t(length)));
}

int64_t Readable(int fd) {
  int count = 0;
  return ioctl(fd, FIONREAD, &count) == 0 ? int64_t(count) : -errno;
}

}  // namespace sockets
