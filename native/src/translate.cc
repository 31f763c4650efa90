#include "translate.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <string>
#include <tuple>
#include <utility>

#include "clock.h"
#include "dma.h"
#include "floor.h"
#include "hold.h"
#include "message.h"
#include "pin.h"
#include "poll.h"
#include "shm.h"
#include "socket.h"
#include "socket_floor.h"
#include "types.h"
#include "wake.h"
#include "watcher.h"

namespace translate {
namespace {

// Arguments -------------------------------------------------------------------------------------

constexpr double kWholeMax = 9007199254740992.0;  // 2^53

// How an argument type is read from a value. Read returns false when the value is of another type.
template <typename T>
struct Argument;

template <>
struct Argument<double> {
  static constexpr const char* kWanted = "a number";
  static bool Read(napi_env env, napi_value value, double* out) {
    return napi_get_value_double(env, value, out) == napi_ok && !std::isnan(*out);
  }
};

template <>
struct Argument<uint64_t> {
  static constexpr const char* kWanted = "a whole number from 0 to 2^53";
  static bool Read(napi_env env, napi_value value, uint64_t* out) {
    double number;
    if (napi_get_value_double(env, value, &number) != napi_ok) return false;
    if (!(number >= 0 && number <= kWholeMax)) return false;
    *out = uint64_t(number);
    return double(*out) == number;
  }
};

template <>
struct Argument<int> {
  static constexpr const char* kWanted = "a 32-bit integer";
  static bool Read(napi_env env, napi_value value, int* out) {
    double number;
    if (napi_get_value_double(env, value, &number) != napi_ok) return false;
    if (!(number >= INT32_MIN && number <= INT32_MAX)) return false;
    *out = int(number);
    return double(*out) == number;
  }
};

// A word of memory: the same bits, whether the caller holds them signed or unsigned.
template <>
struct Argument<uint32_t> {
  static constexpr const char* kWanted = "a 32-bit word";
  static bool Read(napi_env env, napi_value value, uint32_t* out) {
    double number;
    if (napi_get_value_double(env, value, &number) != napi_ok) return false;
    if (!(number >= INT32_MIN && number <= UINT32_MAX)) return false;
    const int64_t whole = int64_t(number);
    *out = uint32_t(whole);
    return double(whole) == number;
  }
};

template <>
struct Argument<std::string> {
  static constexpr const char* kWanted = "a string without NUL";
  static bool Read(napi_env env, napi_value value, std::string* out) {
    size_t length;
    if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return false;
    out->resize(length);
    napi_get_value_string_utf8(env, value, &(*out)[0], length + 1, &length);
    return out->find('\0') == std::string::npos;
  }
};

template <typename View, typename Element, napi_typedarray_type kType>
bool ReadView(napi_env env, napi_value value, View* out) {
  napi_typedarray_type type;
  void* data;
  const napi_status status =
      napi_get_typedarray_info(env, value, &type, &out->length, &data, nullptr, nullptr);
  if (status != napi_ok) return false;
  out->data = static_cast<Element*>(data);
  return type == kType;
}

template <>
struct Argument<Bytes> {
  static constexpr const char* kWanted = "a Uint8Array";
  static bool Read(napi_env env, napi_value value, Bytes* out) {
    return ReadView<Bytes, uint8_t, napi_uint8_array>(env, value, out);
  }
};

struct OptionalBytes {
  Bytes bytes;  // empty, without an address, for null
};

template <>
struct Argument<OptionalBytes> {
  static constexpr const char* kWanted = "a Uint8Array or null";
  static bool Read(napi_env env, napi_value value, OptionalBytes* out) {
    napi_valuetype type;
    if (napi_typeof(env, value, &type) == napi_ok && type == napi_null) return true;
    return Argument<Bytes>::Read(env, value, &out->bytes);
  }
};

template <>
struct Argument<Words> {
  static constexpr const char* kWanted = "an Int32Array";
  static bool Read(napi_env env, napi_value value, Words* out) {
    return ReadView<Words, int32_t, napi_int32_array>(env, value, out);
  }
};

template <>
struct Argument<Memory> {
  static constexpr const char* kWanted = "an ArrayBuffer";
  static bool Read(napi_env env, napi_value value, Memory* out) {
    void* data;
    if (napi_get_arraybuffer_info(env, value, &data, &out->length) == napi_ok) {
      out->data = static_cast<uint8_t*>(data);
      return true;
    }
    return ReadShared(env, value, out);
  }

 private:
  // N-API answers for a SharedArrayBuffer only through a view of it.
  static bool ReadShared(napi_env env, napi_value value, Memory* out) {
    napi_value global, type, view;
    bool is_shared = false;
    if (napi_get_global(env, &global) != napi_ok) return false;
    if (napi_get_named_property(env, global, "SharedArrayBuffer", &type) != napi_ok) return false;
    if (napi_instanceof(env, value, type, &is_shared) != napi_ok || !is_shared) return false;
    if (napi_get_named_property(env, global, "Uint8Array", &type) != napi_ok) return false;
    if (napi_new_instance(env, type, 1, &value, &view) != napi_ok) return false;
    Bytes bytes;
    if (!Argument<Bytes>::Read(env, view, &bytes)) return false;
    *out = {bytes.data, bytes.length};
    return true;
  }
};

template <>
struct Argument<Cpus> {
  static constexpr const char* kWanted = "an array of CPU numbers";
  static bool Read(napi_env env, napi_value value, Cpus* out) {
    uint32_t length;
    if (napi_get_array_length(env, value, &length) != napi_ok) return false;
    for (uint32_t index = 0; index < length; index++) {
      napi_value element;
      int cpu;
      if (napi_get_element(env, value, index, &element) != napi_ok) return false;
      if (!Argument<int>::Read(env, element, &cpu)) return false;
      out->list.push_back(cpu);
    }
    return true;
  }
};

struct Array {
  napi_value value = nullptr;
  uint32_t length = 0;
};

template <>
struct Argument<Array> {
  static constexpr const char* kWanted = "an array";
  static bool Read(napi_env env, napi_value value, Array* out) {
    out->value = value;
    return napi_get_array_length(env, value, &out->length) == napi_ok;
  }
};

// An ordinary ArrayBuffer itself, and not where its bytes are now.
template <>
struct Argument<hold::Holdable> {
  static constexpr const char* kWanted = "an ArrayBuffer that is not shared";
  static bool Read(napi_env env, napi_value value, hold::Holdable* out) {
    bool is_array_buffer = false;
    out->array_buffer = value;
    return napi_is_arraybuffer(env, value, &is_array_buffer) == napi_ok && is_array_buffer;
  }
};

struct Function {
  napi_value value = nullptr;
};

template <>
struct Argument<Function> {
  static constexpr const char* kWanted = "a function";
  static bool Read(napi_env env, napi_value value, Function* out) {
    napi_valuetype type;
    out->value = value;
    return napi_typeof(env, value, &type) == napi_ok && type == napi_function;
  }
};

void Throw(napi_env env, const void* name, const std::string& what) {
  napi_throw_type_error(env, nullptr,
      (std::string(static_cast<const char*>(name)) + ": " + what).c_str());
}

// Reads all arguments. False leaves a TypeError pending.
template <typename... T, size_t... I>
bool ReadAll(napi_env env, napi_callback_info info, [[maybe_unused]] std::tuple<T...>* out,
    void** name,
             std::index_sequence<I...>) {
  constexpr size_t wanted = sizeof...(T);
  napi_value values[wanted + 1];
  size_t count = wanted;
  if (napi_get_cb_info(env, info, &count, values, nullptr, name) != napi_ok) return false;
  if (count != wanted) {
    Throw(env, *name, "takes " + std::to_string(wanted) + " arguments, not " +
                          std::to_string(count));
    return false;
  }
  size_t wrong = 0;
  const char* kind = nullptr;
  const bool is_read = ((wrong = I + 1, kind = Argument<T>::kWanted,
                         Argument<T>::Read(env, values[I], &std::get<I>(*out))) && ...);
  if (!is_read) Throw(env, *name, "argument " + std::to_string(wrong) + " must be " + kind);
  return is_read;
}

template <typename... T>
bool ReadAll(napi_env env, napi_callback_info info, std::tuple<T...>* out, void** name) {
  return ReadAll(env, info, out, name, std::index_sequence_for<T...>());
}

// Results ---------------------------------------------------------------------------------------

napi_value ToValue(napi_env env, double number) {
  napi_value value = nullptr;
  napi_create_double(env, number, &value);
  return value;
}

napi_value ToValue(napi_env env, int64_t number) {
  napi_value value = nullptr;
  if (number >= INT32_MIN && number <= INT32_MAX) {
    napi_create_int32(env, int32_t(number), &value);
  } else {
    napi_create_double(env, double(number), &value);
  }
  return value;
}

napi_value ToValue(napi_env env, uint64_t number) { return ToValue(env, int64_t(number)); }

napi_value ToValue(napi_env env, const Cpus& cpus) {
  napi_value array = nullptr;
  napi_create_array_with_length(env, cpus.list.size(), &array);
  for (size_t index = 0; index < cpus.list.size(); index++) {
    napi_set_element(env, array, uint32_t(index), ToValue(env, int64_t(cpus.list[index])));
  }
  return array;
}

// The arena is address space, not memory: the collector must not count it as pressure.
napi_value ToValue(napi_env env, const shm::Arena& arena) {
  if (arena.error != 0) return ToValue(env, arena.error);
  int64_t ignored;
  napi_adjust_external_memory(env, -int64_t(arena.bytes), &ignored);
  auto destroy = [](napi_env env, void* data, void* bytes) {
    shm::ArenaDestroy(data, reinterpret_cast<size_t>(bytes));
    int64_t ignored;
    napi_adjust_external_memory(env, int64_t(reinterpret_cast<size_t>(bytes)), &ignored);
  };
  napi_value buffer = nullptr;
  void* const bytes = reinterpret_cast<void*>(arena.bytes);
  const napi_status status =
      napi_create_external_arraybuffer(env, arena.data, arena.bytes, destroy, bytes, &buffer);
  if (status == napi_ok) return buffer;
  destroy(env, arena.data, bytes);
  bool is_pending = false;
  napi_is_exception_pending(env, &is_pending);
  if (is_pending) napi_get_and_clear_last_exception(env, &buffer);
  return ToValue(env, int64_t(-ENOMEM));
}

// Calls -----------------------------------------------------------------------------------------

template <auto Function>
struct Call;

template <typename R, typename... T, R (*Callee)(T...)>
struct Call<Callee> {
  static napi_value Invoke(napi_env env, napi_callback_info info) {
    std::tuple<T...> arguments;
    void* name;
    if (!ReadAll(env, info, &arguments, &name)) return nullptr;
    return ToValue(env, std::apply(Callee, std::move(arguments)));
  }
};

// A negative timeout has passed already.
int64_t FutexWait(uint64_t address, uint32_t expected, double timeout) {
  return wake::FutexWait(address, expected, timeout > 0 ? timeout : 0);
}

int64_t EpollWait(int epoll, Words records, double timeout) {
  return readiness::EpollWait(epoll, records, timeout > 0 ? timeout : 0);
}

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

napi_value Watch(napi_env env, napi_callback_info info) {
  std::tuple<int, Function> arguments;
  void* name;
  if (!ReadAll(env, info, &arguments, &name)) return nullptr;
  napi_value object = nullptr;
  const int64_t error = Watcher::Create(env, std::get<0>(arguments),
      std::get<1>(arguments).value, &object);
  return error == 0 ? object : ToValue(env, error);
}

struct Entry {
  const char* name;
  napi_callback callback;
};

#define CALL(name, function) {name, Call<function>::Invoke}

const Entry kEntries[] = {
    CALL("arenaCreate", shm::ArenaCreate),
    CALL("arenaAddress", shm::ArenaAddress),
    CALL("arenaMap", shm::ArenaMap),
    CALL("arenaUnmap", shm::ArenaUnmap),
    CALL("segmentCreate", shm::SegmentCreate),
    CALL("segmentOpen", shm::SegmentOpen),
    CALL("segmentSize", shm::SegmentSize),
    CALL("segmentCommit", shm::SegmentCommit),
    CALL("segmentRelease", shm::SegmentRelease),
    CALL("lockExclusive", shm::LockExclusive),
    CALL("closeDescriptor", shm::CloseDescriptor),
    CALL("pipeCreate", wake::PipeCreate),
    CALL("pipeOpenOwner", wake::PipeOpenOwner),
    CALL("pipeOpenPeer", wake::PipeOpenPeer),
    CALL("pipeWrite", wake::PipeWrite),
    CALL("pipeAlive", wake::PipeAlive),
    CALL("pipeRead", wake::PipeRead),
    CALL("futexWait", FutexWait),
    CALL("futexWake", wake::FutexWake),
    CALL("barrier", wake::Barrier),
    CALL("barrierRegister", wake::BarrierRegister),
    CALL("addressOf", pin::AddressOf),
    CALL("pin", pin::Pin),
    CALL("pinUnlocked", pin::PinUnlocked),
    CALL("unpin", pin::Unpin),
    CALL("pinnedBytes", pin::PinnedBytes),
    CALL("hold", hold::Hold),
    CALL("release", hold::Release),
    CALL("move", dma::Move),
    CALL("epollCreate", readiness::EpollCreate),
    CALL("epollControl", readiness::EpollControl),
    CALL("epollWait", EpollWait),
    CALL("eventCreate", readiness::EventCreate),
    CALL("eventSignal", readiness::EventSignal),
    CALL("eventClear", readiness::EventClear),
    {"watch", Watch},
    CALL("socketCreate", sockets::Create),
    CALL("socketBind", sockets::Bind),
    CALL("socketListen", sockets::Listen),
    CALL("socketAccept", sockets::Accept),
    CALL("socketConnect", sockets::Connect),
    {"socketSend", SocketTransfer<sockets::Send>},
    {"socketReceive", SocketTransfer<sockets::Receive>},
    {"socketSendMessage", SocketSendMessage},
    {"socketReceiveMessage", SocketReceiveMessage},
    CALL("socketShutdown", sockets::Shutdown),
    CALL("socketName", sockets::Name),
    CALL("socketPeerName", sockets::PeerName),
    CALL("socketGetOption", sockets::GetOption),
    CALL("socketSetOption", sockets::SetOption),
    CALL("socketReadable", sockets::Readable),
    CALL("now", machine::Now),
    CALL("pageSize", shm::PageSize),
    CALL("setAffinity", machine::SetAffinity),
    CALL("affinity", machine::Affinity),
    CALL("cpuTime", machine::CpuTime),
    CALL("sanitized", machine::Sanitized),
    CALL("spinPingPong", floors::SpinPingPong),
    CALL("futexPingPong", floors::FutexPingPong),
    CALL("copyRate", floors::CopyRate),
    CALL("socketPingPong", floors::SocketPingPong),
};

#undef CALL

}  // namespace

bool Export(napi_env env, napi_value exports) {
  for (const Entry& entry : kEntries) {
    napi_value function;
    void* const name = const_cast<char*>(entry.name);
    if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.callback, name,
        &function) != napi_ok ||
        napi_set_named_property(env, exports, entry.name, function) != napi_ok) {
      return false;
    }
  }
  return true;
}

}  // namespace translate
