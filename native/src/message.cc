#include "message.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sockets {
namespace {

msghdr Describe(iovec* buffers, size_t count, Bytes name, Bytes control) {
  msghdr message = {};
  message.msg_iov = buffers;
  message.msg_iovlen = count;
  message.msg_name = name.data;
  message.msg_namelen = socklen_t(name.length);
  message.msg_control = control.data;
  message.msg_controllen = control.length;
  return message;
}

}  // namespace

int64_t SendMessage(int fd, iovec* buffers, size_t count, int flags, Bytes name, Bytes control) {
  const msghdr message = Describe(buffers, count, name, control);
  ssize_t taken;
  do {
    taken = sendmsg(fd, &message, flags | MSG_NOSIGNAL);
  } while (taken < 0 && errno == EINTR);
  return taken < 0 ? -errno : taken;
}

int64_t ReceiveMessage(int fd, iovec* buffers, size_t count, int flags, Bytes name, Bytes control,
    Words result) {
  if (result.length < kMessageWords) return -EINVAL;
  // The kernel tells the length that the name has, also where it had no room for all of it.
  sockaddr_storage peer;
  const Bytes room = {reinterpret_cast<uint8_t*>(&peer), name.length == 0 ? 0 : sizeof peer};
  msghdr message;
  ssize_t taken;
  do {
    message = Describe(buffers, count, room, control);
    taken = recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
  } while (taken < 0 && errno == EINTR);
  if (taken < 0) return -errno;
  const size_t length = std::min<size_t>({message.msg_namelen, name.length, sizeof peer});
  if (length > 0) memcpy(name.data, &peer, length);
  result.data[kNameLength] = int32_t(length);
  result.data[kControlLength] = int32_t(message.msg_controllen);
  result.data[kMessageFlags] = message.msg_flags;
  return taken;
}

}  // namespace sockets
