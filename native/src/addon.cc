// The entry of the addon. No state of its own: what an environment holds (arenas, watchers) is
// tied to its JavaScript objects; what the process holds (the pin table, the table of holds, the
// list of arenas) is in pin.cc, hold.cc and shm.cc, with the reason there.
#include <napi.h>

#include "hold.h"
#include "pin.h"
#include "translate.h"
#include "watcher.h"

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  env.AddCleanupHook([] {
    pin::ReleaseThread();
    hold::ReleaseThread();
  });
  Watcher::Define(env);
  translate::Export(env, exports);
  return exports;
}

NODE_API_MODULE(winsock_direct, Init)
