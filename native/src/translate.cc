#include "translate.h"

#include <tuple>
#include <utility>

#include "argument.h"
#include "clock.h"
#include "dma.h"
#include "floor.h"
#include "hold.h"
#include "pin.h"
#include "poll.h"
#include "result.h"
#include "shm.h"
#include "socket.h"
#include "socket_floor.h"
#include "translate_socket.h"
#include "types.h"
#include "wake.h"
#include "watcher.h"

namespace translate {
namespace {

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
    CALL("descriptorDuplicate", shm::DuplicateDescriptor),
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
    {"socketSend", SocketSend},
    {"socketReceive", SocketReceive},
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
