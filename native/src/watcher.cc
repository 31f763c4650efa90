#include "watcher.h"

#include <cerrno>

namespace {

constexpr napi_type_tag kTag = {0x6b0f1d3a4a7c4e55, 0x9f2d8e31c64b7a10};

// Not enumerable, not writable: where the callback is kept. A property of the object, so that a
// watcher and its callback that only know each other are collected.
constexpr const char* kCallback = "callback";

}  // namespace

void Watcher::Define(Napi::Env env) {
  Napi::Function constructor = DefineClass(env, "NativeWatcher", {});
  // Not as instance methods: those throw on something else than a watcher, where these do nothing.
  Napi::Object prototype = constructor.Get("prototype").As<Napi::Object>();
  prototype.Set("start", Napi::Function::New<Call<&Watcher::Start>>(env, "start"));
  prototype.Set("stop", Napi::Function::New<Call<&Watcher::Stop>>(env, "stop"));
  prototype.Set("ref", Napi::Function::New<Call<&Watcher::RefLoop>>(env, "ref"));
  prototype.Set("unref", Napi::Function::New<Call<&Watcher::UnrefLoop>>(env, "unref"));
  prototype.Set("close", Napi::Function::New<Call<&Watcher::Close>>(env, "close"));
  env.SetInstanceData(new Napi::FunctionReference(Napi::Persistent(constructor)));
}

int64_t Watcher::Create(Napi::Env env, int fd, napi_value callback, napi_value* object) {
  Napi::Object made = env.GetInstanceData<Napi::FunctionReference>()->New({});
  if (made.IsEmpty()) return -ENOMEM;
  *object = made;
  return Unwrap(made)->Open(fd, callback);
}

Watcher::Watcher(const Napi::CallbackInfo& info) : ObjectWrap(info) { Value().TypeTag(&kTag); }

// The object is collected, or the environment is past its end: there is nothing left to unref.
Watcher::~Watcher() { CloseWatch(); }

template <void (Watcher::*Method)()>
void Watcher::Call(const Napi::CallbackInfo& info) {
  if (!info.This().IsObject()) return;
  const Napi::Object self = info.This().As<Napi::Object>();
  if (!self.CheckTypeTag(&kTag)) return;
  Watcher* watcher = Unwrap(self);
  if (watcher->watch_ != nullptr) (watcher->*Method)();
}

int64_t Watcher::Open(int fd, napi_value callback) {
  uv_loop_t* loop;
  if (napi_get_uv_event_loop(Env(), &loop) != napi_ok) return -ENOSYS;
  int64_t error = 0;
  watch_ = readiness::Watch::Create(loop, fd, this,
      [](void* self) { static_cast<Watcher*>(self)->OnReadable(); }, &error);
  if (watch_ == nullptr) return error;
  Value().DefineProperty(Napi::PropertyDescriptor::Value(kCallback, callback, napi_default));
  // When the environment ends it waits until the loop has let go of the watch, which may outlive
  // this object.
  auto on_end = [](napi_async_cleanup_hook_handle, void* watch) {
    void* const owner = static_cast<readiness::Watch*>(watch)->owner();
    if (owner != nullptr) static_cast<Watcher*>(owner)->CloseWatch();
  };
  napi_add_async_cleanup_hook(Env(), on_end, watch_, &hook_);
  return 0;
}

// In plain Node-API: the environment may be ending, and then every call may fail, to no effect.
void Watcher::OnReadable() {
  const napi_env env = Env();
  Napi::HandleScope scope(env);
  napi_value self, callback, result, exception;
  if (napi_get_reference_value(env, *this, &self) != napi_ok || self == nullptr) return;
  if (napi_get_named_property(env, self, kCallback, &callback) != napi_ok) return;
  if (napi_make_callback(env, nullptr, self, callback, 0, nullptr, &result) !=
      napi_pending_exception) return;
  if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) {
    napi_fatal_exception(env, exception);
  }
}

// While started, a strong reference keeps the object.
void Watcher::Start() {
  if (is_started_) return;
  is_started_ = true;
  watch_->Start();
  Ref();
}

void Watcher::Stop() {
  if (!is_started_) return;
  is_started_ = false;
  watch_->Stop();
  Unref();
}

void Watcher::RefLoop() { watch_->Ref(); }

void Watcher::UnrefLoop() { watch_->Unref(); }

void Watcher::Close() {
  Stop();
  CloseWatch();
}

// Without a reference to give back: for use when no JavaScript is left, too.
void Watcher::CloseWatch() {
  if (watch_ == nullptr) return;
  is_started_ = false;
  watch_->Close([](void* hook) {
    napi_remove_async_cleanup_hook(static_cast<napi_async_cleanup_hook_handle>(hook));
  }, hook_);
  watch_ = nullptr;
}
