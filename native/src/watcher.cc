#include "watcher.h"

#include "poll.h"

namespace watcher {
namespace {

// Lives until both the loop has let go of the watch and the JavaScript object is gone. The
// callback is a property of the object, so that a watcher and its callback that only know each
// other are collected. While started, a strong reference keeps the object.
struct Watcher {
  napi_env env = nullptr;
  readiness::Watch* watch = nullptr;  // null from Close on
  napi_ref self = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  bool is_started = false;
  bool is_closed = false;
  bool is_finalized = false;
};

constexpr napi_type_tag kTag = {0x6b0f1d3a4a7c4e55, 0x9f2d8e31c64b7a10};

// Not enumerable, not writable: where the callback is kept.
constexpr const char* kCallback = "callback";

void DeleteIfDone(Watcher* watcher) {
  if (watcher->is_closed && watcher->is_finalized) delete watcher;
}

void Stop(Watcher* watcher) {
  if (watcher->watch == nullptr || !watcher->is_started) return;
  watcher->is_started = false;
  watcher->watch->Stop();
  uint32_t count;
  napi_reference_unref(watcher->env, watcher->self, &count);
}

void Close(Watcher* watcher) {
  if (watcher->watch == nullptr) return;
  Stop(watcher);
  watcher->watch->Close();
  watcher->watch = nullptr;
}

void OnClosed(void* owner) {
  Watcher* watcher = static_cast<Watcher*>(owner);
  watcher->is_closed = true;
  napi_remove_async_cleanup_hook(watcher->hook);
  DeleteIfDone(watcher);
}

void OnReadable(void* owner) {
  Watcher* watcher = static_cast<Watcher*>(owner);
  napi_env env = watcher->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value self, callback, result, exception;
  if (napi_get_reference_value(env, watcher->self, &self) == napi_ok && self != nullptr &&
      napi_get_named_property(env, self, kCallback, &callback) == napi_ok) {
    const napi_status status = napi_make_callback(env, nullptr, self, callback, 0, nullptr,
        &result);
    if (status == napi_pending_exception &&
        napi_get_and_clear_last_exception(env, &exception) == napi_ok) {
      napi_fatal_exception(env, exception);
    }
  }
  napi_close_handle_scope(env, scope);
}

// A method on something else than a watcher does nothing: there is nothing to do it to.
Watcher* This(napi_env env, napi_callback_info info) {
  napi_value self;
  size_t count = 0;
  bool is_watcher = false;
  void* data = nullptr;
  if (napi_get_cb_info(env, info, &count, nullptr, &self, nullptr) != napi_ok) return nullptr;
  if (napi_check_object_type_tag(env, self, &kTag, &is_watcher) != napi_ok ||
      !is_watcher) return nullptr;
  if (napi_unwrap(env, self, &data) != napi_ok) return nullptr;
  Watcher* watcher = static_cast<Watcher*>(data);
  return watcher->watch == nullptr ? nullptr : watcher;
}

napi_value StartMethod(napi_env env, napi_callback_info info) {
  Watcher* watcher = This(env, info);
  if (watcher == nullptr || watcher->is_started) return nullptr;
  watcher->is_started = true;
  watcher->watch->Start();
  uint32_t count;
  napi_reference_ref(env, watcher->self, &count);
  return nullptr;
}

napi_value StopMethod(napi_env env, napi_callback_info info) {
  if (Watcher* watcher = This(env, info)) Stop(watcher);
  return nullptr;
}

napi_value RefMethod(napi_env env, napi_callback_info info) {
  if (Watcher* watcher = This(env, info)) watcher->watch->Ref();
  return nullptr;
}

napi_value UnrefMethod(napi_env env, napi_callback_info info) {
  if (Watcher* watcher = This(env, info)) watcher->watch->Unref();
  return nullptr;
}

napi_value CloseMethod(napi_env env, napi_callback_info info) {
  if (Watcher* watcher = This(env, info)) Close(watcher);
  return nullptr;
}

// The object is collected, or the environment is past its end.
void OnFinalized(napi_env env, void* data, void*) {
  Watcher* watcher = static_cast<Watcher*>(data);
  watcher->is_started = false;  // the reference goes now
  Close(watcher);
  napi_delete_reference(env, watcher->self);
  watcher->self = nullptr;
  watcher->is_finalized = true;
  DeleteIfDone(watcher);
}

// The environment ends while the watch is open; the loop still runs until OnClosed removes the
// hook.
void OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* data) {
  Watcher* watcher = static_cast<Watcher*>(data);
  watcher->is_started = false;  // no references from here on
  Close(watcher);
}

bool Define(napi_env env, napi_value object, napi_value callback) {
  const napi_property_descriptor properties[] = {
      {"start", nullptr, StartMethod, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"stop", nullptr, StopMethod, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"ref", nullptr, RefMethod, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"unref", nullptr, UnrefMethod, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"close", nullptr, CloseMethod, nullptr, nullptr, nullptr, napi_default, nullptr},
      {kCallback, nullptr, nullptr, nullptr, nullptr, callback, napi_default, nullptr},
  };
  return napi_define_properties(env, object, sizeof properties / sizeof *properties,
      properties) == napi_ok;
}

}  // namespace

int64_t Create(napi_env env, int fd, napi_value callback, napi_value* object) {
  uv_loop_t* loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -ENOSYS;
  if (napi_create_object(env, object) != napi_ok || !Define(env, *object, callback)) return -ENOMEM;
  Watcher* watcher = new Watcher;
  int64_t error = 0;
  watcher->env = env;
  watcher->watch = readiness::Watch::Create(loop, fd, watcher, OnReadable, OnClosed, &error);
  if (watcher->watch == nullptr) {
    delete watcher;
    return error;
  }
  napi_add_async_cleanup_hook(env, OnEnvironmentEnd, watcher, &watcher->hook);
  napi_type_tag_object(env, *object, &kTag);
  napi_create_reference(env, *object, 0, &watcher->self);
  napi_wrap(env, *object, watcher, OnFinalized, nullptr, nullptr);
  return 0;
}

}  // namespace watcher
