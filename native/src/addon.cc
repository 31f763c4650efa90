// The entry of the addon. No state of its own: what an environment holds (arenas, watchers) is
// tied to its JavaScript objects; what the process holds (the pin table, the list of arenas) is
// in pin.cc and shm.cc, with the reason there.
#include <node_api.h>

#include "pin.h"
#include "translate.h"

NAPI_MODULE_INIT() {
  napi_add_env_cleanup_hook(env, [](void*) { pin::ReleaseThread(); }, nullptr);
  return translate::Export(env, exports) ? exports : nullptr;
}
