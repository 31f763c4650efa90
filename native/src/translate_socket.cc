#include "translate_socket.h"

#include <string>
#include <tuple>

#include "argument.h"
#include "message.h"
#include "result.h"
#include "socket.h"

namespace translate {
namespace {

// Fills `out` from the first `count` buffers; false leaves a TypeError pending.
bool ReadBuffers(napi_env env, const void* name, Array buffers, Array lengths, uint32_t count,
    iovec* out) {
  for (uint32_t index = 0; index < count; index++) {
    napi_value value;
    uint64_t length;
    if (napi_get_element(env, lengths.value, index, &value) != napi_ok ||
        !Argument<uint64_t>::Read(env, value, &length)) {
      Throw(env, name, std::string("a length must be ") + Argument<uint64_t>::kWanted);
      return false;
    }
    Bytes bytes;
    napi_valuetype type = napi_undefined;
    if (napi_get_element(env, buffers.value, index, &value) == napi_ok) {
      napi_typeof(env, value, &type);
    }
    if (type != napi_null && !Argument<Bytes>::Read(env, value, &bytes)) {
      Throw(env, name, "a buffer must be a Uint8Array or null");
      return false;
    }
    if (length > bytes.length) {
      Throw(env, name, "a buffer must be at least as long as its length");
      return false;
    }
    out[index] = {bytes.data, length};
  }
  return true;
}

// Runs `transfer` on the first `count` buffers: all of a stream's that the kernel takes at once, but
// a message is whole or refused. Null leaves a TypeError pending.
template <typename Transfer>
napi_value WithBuffers(napi_env env, const void* name, Array buffers, Array lengths,
    uint32_t count, bool is_message, Transfer transfer) {
  if (count > buffers.length || count > lengths.length) {
    Throw(env, name, "count exceeds the buffers or lengths given");
    return nullptr;
  }
  if (is_message && count > sockets::kBufferCountMax) return ToValue(env, int64_t(-EMSGSIZE));
  const uint32_t used = count < sockets::kBufferCountMax ? count : sockets::kBufferCountMax;
  iovec vectors[sockets::kBufferCountMax];
  if (!ReadBuffers(env, name, buffers, lengths, used, vectors)) return nullptr;
  return ToValue(env, transfer(vectors, size_t(used)));
}

template <int64_t (*Transfer)(int, iovec*, size_t, int)>
napi_value SocketTransfer(napi_env env, napi_callback_info info) {
  std::tuple<int, Array, Array, uint32_t, int> arguments;
  void* name;
  if (!ReadAll(env, info, &arguments, &name)) return nullptr;
  const auto& [fd, buffers, lengths, count, flags] = arguments;
  return WithBuffers(env, name, buffers, lengths, count, false,
      [fd = fd, flags = flags](iovec* vectors, size_t used) {
        return Transfer(fd, vectors, used, flags);
      });
}

}  // namespace

napi_value SocketSend(napi_env env, napi_callback_info info) {
  return SocketTransfer<sockets::Send>(env, info);
}

napi_value SocketReceive(napi_env env, napi_callback_info info) {
  return SocketTransfer<sockets::Receive>(env, info);
}

napi_value SocketSendMessage(napi_env env, napi_callback_info info) {
  std::tuple<int, Array, Array, uint32_t, int, OptionalBytes, OptionalBytes> arguments;
  void* name;
  if (!ReadAll(env, info, &arguments, &name)) return nullptr;
  const auto& [fd, buffers, lengths, count, flags, peer, control] = arguments;
  return WithBuffers(env, name, buffers, lengths, count, true,
      [fd = fd, flags = flags, to = peer.bytes, with = control.bytes](
          iovec* vectors, size_t used) {
        return sockets::SendMessage(fd, vectors, used, flags, to, with);
      });
}

napi_value SocketReceiveMessage(napi_env env, napi_callback_info info) {
  std::tuple<int, Array, Array, uint32_t, int, OptionalBytes, OptionalBytes, Words> arguments;
  void* name;
  if (!ReadAll(env, info, &arguments, &name)) return nullptr;
  const auto& [fd, buffers, lengths, count, flags, peer, control, result] = arguments;
  return WithBuffers(env, name, buffers, lengths, count, true,
      [fd = fd, flags = flags, from = peer.bytes, with = control.bytes, told = result](
          iovec* vectors, size_t used) {
        return sockets::ReceiveMessage(fd, vectors, used, flags, from, with, told);
      });
}

}  // namespace translate
