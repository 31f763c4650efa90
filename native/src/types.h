// The argument types of the native functions, apart from numbers and strings. Borrowed: valid
// during the call only.
#pragma once

#include <cstddef>
#include <cstdint>

struct Bytes {  // a Uint8Array
  uint8_t* data = nullptr;
  size_t length = 0;
};

struct Words {  // an Int32Array
  int32_t* data = nullptr;
  size_t length = 0;
};

struct Memory {  // an ArrayBuffer; detached or empty has length 0
  uint8_t* data = nullptr;
  size_t length = 0;
};
