// Messages with a name and control data: one datagram each. See native/binding.ts.
#pragma once

#include <sys/uio.h>

#include "types.h"

namespace sockets {

// What a received message came with, in the words of its result array.
enum MessageWord { kNameLength, kControlLength, kMessageFlags, kMessageWords };

int64_t SendMessage(int fd, iovec* buffers, size_t count, int flags, Bytes name, Bytes control);
int64_t ReceiveMessage(int fd, iovec* buffers, size_t count, int flags, Bytes name, Bytes control,
    Words result);

}  // namespace sockets
