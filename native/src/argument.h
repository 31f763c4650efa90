// How JavaScript values become C++ arguments: one Argument<T> for each type, and reading all arguments
// of a call. A wrong type or count leaves a TypeError pending that names the function and the argument.
// It must not know the functions behind it.
#pragma once

#include <node_api.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include "clock.h"
#include "hold.h"
#include "types.h"

namespace translate {

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

inline void Throw(napi_env env, const void* name, const std::string& what) {
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

}  // namespace translate
