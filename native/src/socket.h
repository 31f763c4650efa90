// Kernel sockets: nonblocking, closed on exec, and a send never raises SIGPIPE. See
// native/binding.ts.
#pragma once

#include <sys/uio.h>

#include <cstdint>

#include "types.h"

namespace sockets {

constexpr uint32_t kBufferCountMax = 1024;  // IOV_MAX of Linux

int64_t Create(int family, int type, int protocol);
int64_t Bind(int fd, Bytes sockaddr, uint64_t length);
int64_t Listen(int fd, int backlog);
int64_t Accept(int fd, Bytes sockaddr);
int64_t Connect(int fd, Bytes sockaddr, uint64_t length);
int64_t Send(int fd, iovec* buffers, size_t count, int flags);
int64_t Receive(int fd, iovec* buffers, size_t count, int flags);
int64_t Shutdown(int fd, int how);
int64_t Name(int fd, Bytes sockaddr);
int64_t PeerName(int fd, Bytes sockaddr);
int64_t GetOption(int fd, int level, int option, Bytes value);
int64_t SetOption(int fd, int level, int option, Bytes value, uint64_t length);
int64_t Readable(int fd);

}  // namespace sockets
