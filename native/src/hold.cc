// The one file that depends on V8's headers and not on Node-API alone: Node-API can keep an
// ArrayBuffer object alive, but not its memory, which leaves the object when it is transferred. V8
// counts the users of that memory (v8::BackingStore), and a hold is one of them.
#include "hold.h"

#include <v8.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace hold {
namespace {

using Store = std::shared_ptr<v8::BackingStore>;

// A thread is named by the address of its own copy of this variable, as in pin.cc.
thread_local char this_thread;

struct Held {
  Store store;
  const void* thread;
};

// One table for the process, as for pins. Stores leave it under the mutex but are let go outside:
// the last user of memory runs whatever its maker wanted to happen then.
struct Table {
  std::mutex mutex;
  std::map<uint64_t, Held> holds;
  uint64_t last = 0;
};

// Never destroyed: a worker may still end while the process does.
Table& TheTable() {
  static Table* table = new Table;
  return *table;
}

// A napi_value is a v8::Local; every Node-API of Node itself converts like this.
v8::Local<v8::Value> ToLocal(napi_value value) {
  v8::Local<v8::Value> local;
  static_assert(sizeof local == sizeof value, "a napi_value is a v8::Local");
  std::memcpy(static_cast<void*>(&local), &value, sizeof value);
  return local;
}

}  // namespace

int64_t Hold(Holdable buffer) {
  Store store = ToLocal(buffer.array_buffer).As<v8::ArrayBuffer>()->GetBackingStore();
  // A resizable buffer takes pages away from memory that is still held.
  if (store->ByteLength() == 0 || store->IsResizableByUserJavaScript()) return -EINVAL;
  Table& table = TheTable();
  std::lock_guard<std::mutex> guard(table.mutex);
  table.holds[++table.last] = {std::move(store), &this_thread};
  return int64_t(table.last);
}

int64_t Release(uint64_t handle) {
  Store freed;
  Table& table = TheTable();
  std::lock_guard<std::mutex> guard(table.mutex);
  auto found = table.holds.find(handle);
  if (found == table.holds.end()) return -EINVAL;
  freed = std::move(found->second.store);
  table.holds.erase(found);
  return 0;
}

void ReleaseThread() {
  std::vector<Store> freed;
  Table& table = TheTable();
  std::lock_guard<std::mutex> guard(table.mutex);
  for (auto next = table.holds.begin(); next != table.holds.end();) {
    auto current = next++;
    if (current->second.thread != &this_thread) continue;
    freed.push_back(std::move(current->second.store));
    table.holds.erase(current);
  }
}

}  // namespace hold
